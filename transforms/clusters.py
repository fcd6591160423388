"""Clusters of duplicate pages: rows of the LSH shuffle, its edges, their connected components.

Three kinds: `url` (same page URL), `text` (same exact text), `near_text` (estimated Jaccard
similarity of the MinHash signatures). A group that shares a key becomes a star around its
best-ranked member, so a group of n costs n - 1 edges. The trade-off: a near-duplicate meets only
the best of its group, and only by a band that they share.

Members are ranked: latest date first (as written, so ISO 8601 in UTC), then the longer text, then
the smaller id. Nothing here depends on the order of rows.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.ids import digest
from schemas.rows import Cluster
from schemas.tables import schema_of
from transforms.minhash import MinHashConfig, Signatures, band_keys, estimate_similarity, has_words

STEP_VERSION = 1

KINDS = ("near_text", "text", "url")
"""Kinds of clusters, in the order of the table."""

BAND_SCHEMA = pa.schema(
    [
        pa.field("bucket", pa.int32(), False),
        pa.field("kind", pa.string(), False),
        pa.field("key", pa.binary(), False),
        pa.field("id", pa.string(), False),
        pa.field("date", pa.string(), False),
        pa.field("length", pa.int64(), False),
    ]
)
"""What travels: pages whose rows agree in `kind` and `key` meet in the same bucket."""

EDGE_SCHEMA = pa.schema([pa.field(name, pa.string(), False) for name in ("kind", "a", "b")])
"""An edge between two ids; `a` is the best-ranked member of the group."""

_MEMBER_COLUMNS = ["id", "date", "length"]
_VERIFY_PAIRS = 1 << 15

Indices = npt.NDArray[np.int64]


def rank_members(members: pa.Table) -> Indices:
    """The order of members, best first: latest `date`, greatest `length`, smallest `id`."""
    order = pc.sort_indices(
        members,
        sort_keys=[("date", "descending"), ("length", "descending"), ("id", "ascending")],
    )
    return np.asarray(order.to_numpy(zero_copy_only=False), dtype=np.int64)


def star_edges(keys: Indices, rank: Indices) -> tuple[Indices, Indices]:
    """Link every row to the best-ranked row with the same key.

    Args:
        keys: A number per row; rows of equal keys are a group.
        rank: A distinct number per row, the smallest is the best.

    Returns:
        Row numbers (representative, member), a pair for every row that does not represent its
        group.
    """
    if not len(keys):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    order = np.lexsort((rank, keys))
    first = np.r_[True, keys[order][1:] != keys[order][:-1]]
    representative = order[first][np.cumsum(first) - 1]
    return representative[~first], order[~first]


def connected_components(a: Indices, b: Indices, count: int) -> Indices:
    """Label every node by the smallest node of its component.

    A union-find over arrays: each round hooks the roots of all edges to their smallest neighbour,
    then halves the paths until every node points at its root (Shiloach and Vishkin 1982). Two
    rounds at least halve the roots that still have an edge, so a million edges take some twenty
    rounds at the most.

    Args:
        a: One end of each edge, 0 to count - 1.
        b: The other end.
        count: Number of nodes.
    """
    parent = np.arange(count, dtype=np.int64)
    while True:
        root_a, root_b = parent[a], parent[b]
        apart = root_a != root_b
        if not apart.any():
            return parent
        a, b = root_a[apart], root_b[apart]
        np.minimum.at(parent, np.maximum(a, b), np.minimum(a, b))
        while not np.array_equal(grand := parent[parent], parent):
            parent = grand


def band_rows(
    pages: pa.RecordBatch | pa.Table,
    signatures: Signatures | None,
    config: MinHashConfig,
    num_buckets: int,
) -> pa.RecordBatch:
    """The rows by which pages meet: the map side of the shuffle.

    Args:
        pages: Columns `id`, `date`, `length`, and `url` (normalised) and `text_key`
            (`minhash.text_hash`), both of which may be null or empty: no row then.
        signatures: MinHash signatures in the order of the pages, [pages, hashes]; None for exact
            kinds only. A page whose text has no word gets no `near_text` row.
        config: The bands.
        num_buckets: Buckets of the shuffle; a row's bucket is its key modulo this.

    Returns:
        Rows of `BAND_SCHEMA`.
    """
    taken: list[Indices] = []
    kinds: list[str] = []
    keys: list[pa.Array] = []
    numbers: list[npt.NDArray[np.uint64]] = []
    for kind, column in (("text", "text_key"), ("url", "url")):
        rows, key = _exact_keys(kind, pages.column(column).to_pylist())
        taken.append(rows)
        kinds.append(kind)
        keys.append(_binary_column(key))
        numbers.append(key[:, 0])
    if signatures is not None:
        rows = np.flatnonzero(has_words(signatures))
        band = band_keys(signatures[rows], config).reshape(-1, 1)
        taken.append(np.repeat(rows, config.bands))
        kinds.append("near_text")
        keys.append(_binary_column(band))
        numbers.append(band[:, 0])
    bucket = np.concatenate(numbers) % np.uint64(num_buckets)
    members = pages.select(_MEMBER_COLUMNS).take(pa.array(np.concatenate(taken)))
    if isinstance(members, pa.Table):
        members = members.combine_chunks()
    columns = [
        pa.array(bucket.astype(np.int32)),
        pa.array(
            np.repeat(np.asarray(kinds, dtype=object), [len(rows) for rows in taken]), pa.string()
        ),
        pa.concat_arrays(keys),
        *(_one_array(members.column(name)) for name in _MEMBER_COLUMNS),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=BAND_SCHEMA)


def edges_of_bucket(rows: pa.Table) -> pa.Table:
    """Link every page of a bucket to the best-ranked page with its (kind, key): the reduce side.

    Args:
        rows: Rows of `BAND_SCHEMA`, in any order.

    Returns:
        Distinct edges of `EDGE_SCHEMA`, sorted by kind, a, b. Pages that meet under several keys
        get one edge.
    """
    if not rows.num_rows:
        return EDGE_SCHEMA.empty_table()
    members, codes = _members_of(rows)
    rank = _positions(rank_members(members))[codes]
    kind_codes, kinds = _codes(rows.column("kind"))
    key_codes, keys = _codes(rows.column("key"))
    a, b = star_edges(
        kind_codes * len(keys) + key_codes, rank * rows.num_rows + np.arange(rows.num_rows)
    )
    frame = np.unique(np.stack([kind_codes[a], codes[a], codes[b]], axis=1), axis=0)
    frame = frame[frame[:, 1] != frame[:, 2]]
    ids = members.column("id")
    table = pa.table(
        [
            kinds.take(pa.array(frame[:, 0])),
            ids.take(pa.array(frame[:, 1])),
            ids.take(pa.array(frame[:, 2])),
        ],
        schema=EDGE_SCHEMA,
    )
    return table.sort_by([(name, "ascending") for name in EDGE_SCHEMA.names])


def build_clusters(
    members: pa.Table,
    edges: pa.Table,
    signatures: Callable[[pa.Array], Signatures] | None,
    min_similarity: float,
) -> pa.Table:
    """Clusters of duplicates with ranks: the components of two or more pages, kind by kind.

    Args:
        members: Columns `id`, `date`, `length` of every page that occurs in an edge; others and
            repeated rows do no harm.
        edges: Columns `kind`, `a`, `b`, in any order and orientation. `url` and `text` edges are
            exact; `near_text` edges are candidates.
        signatures: MinHash signatures of an array of distinct ids, in its order. May be None
            without `near_text` edges.
        min_similarity: Estimated Jaccard similarity from which a candidate joins two pages.

    Returns:
        Rows of `schemas.rows.Cluster` sorted by kind, cluster id, rank. Members of a chain may be
        less similar to the representative (rank 0) than `min_similarity`; `similarity` says how
        much.

    Raises:
        ValueError: An edge names a page that `members` lacks, a kind is unknown, or candidates come
            without signatures.
    """
    unknown = set(pc.unique(edges.column("kind")).to_pylist()) - set(KINDS)
    if unknown:
        raise ValueError(f"unknown kinds of edges: {sorted(unknown)}")
    members, _ = _members_of(members)
    ids = members.column("id")
    rank = _positions(rank_members(members))
    tables = [schema_of(Cluster).empty_table()]
    for kind in KINDS:
        chosen = edges.filter(pc.equal(edges.column("kind"), kind))
        pairs = _pairs(chosen, ids)
        if not len(pairs):
            continue
        similar = _no_signatures if signatures is None else _similarity_of(signatures, ids)
        if kind == "near_text":
            pairs = pairs[similar(pairs) >= min_similarity]
        tables.append(_clusters_of(kind, pairs, ids, rank, similar))
    return pa.concat_tables(tables).combine_chunks()


_Similarity = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float64]]


def _clusters_of(
    kind: str, pairs: Indices, ids: pa.Array, rank: Indices, similar: _Similarity
) -> pa.Table:
    """The clusters that verified pairs of one kind form, sorted by cluster id and rank."""
    nodes, local = np.unique(pairs, return_inverse=True)
    local = local.reshape(-1, 2)
    labels = connected_components(local[:, 0], local[:, 1], len(nodes))
    order = np.lexsort((rank[nodes], labels))
    nodes, labels = nodes[order], labels[order]
    first = np.r_[True, labels[1:] != labels[:-1]] if len(labels) else np.empty(0, bool)
    starts = np.flatnonzero(first)
    cluster = np.cumsum(first) - 1
    best = nodes[starts[cluster]]
    place = np.arange(len(nodes)) - starts[cluster]
    similarity = np.ones(len(nodes))
    if kind == "near_text":
        others = np.flatnonzero(place > 0)
        similarity[others] = similar(np.stack([best[others], nodes[others]], axis=1))
    # Nodes are numbered in the order of their ids, so this is the order of cluster ids.
    order = np.lexsort((place, best))
    return pa.table(
        [
            pa.array([kind]).take(pa.array(np.zeros(len(nodes), np.int64))),
            ids.take(pa.array(nodes[order])),
            ids.take(pa.array(best[order])),
            pa.array(place[order].astype(np.int64)),
            pa.array(similarity[order]),
        ],
        schema=schema_of(Cluster),
    )


def _pairs(edges: pa.Table, ids: pa.Array) -> Indices:
    """Distinct unordered pairs of member numbers, sorted, shape [pairs, 2]."""
    ends = []
    for name in ("a", "b"):
        found = pc.index_in(edges.column(name), value_set=ids)
        if found.null_count:
            missing = edges.column(name).filter(pc.is_null(found))[0]
            raise ValueError(f"an edge names {missing}, which is not among the members")
        ends.append(found.to_numpy().astype(np.int64))
    a, b = ends
    pairs = np.stack([np.minimum(a, b), np.maximum(a, b)], axis=1)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    packed = np.unique(pairs[:, 0] * len(ids) + pairs[:, 1])
    return np.stack([packed // len(ids), packed % len(ids)], axis=1) if len(packed) else pairs


def _similarity_of(signatures: Callable[[pa.Array], Signatures], ids: pa.Array) -> _Similarity:
    """Estimated similarity of pairs, for a bounded number of signatures at a time."""

    def similarity(pairs: Indices) -> npt.NDArray[np.float64]:
        result = np.empty(len(pairs))
        for start in range(0, len(pairs), _VERIFY_PAIRS):
            part = pairs[start : start + _VERIFY_PAIRS]
            nodes, local = np.unique(part, return_inverse=True)
            local = local.reshape(-1, 2)
            values = signatures(ids.take(pa.array(nodes)))
            result[start : start + len(part)] = estimate_similarity(
                values[local[:, 0]], values[local[:, 1]]
            )
        return result

    return similarity


def _no_signatures(pairs: Indices) -> npt.NDArray[np.float64]:
    raise ValueError("near_text edges cannot be verified without signatures")


def _members_of(rows: pa.Table) -> tuple[pa.Table, Indices]:
    """Distinct pages of a table sorted by id, and for every row the number of its page.

    A page that occurs with several dates or lengths is taken with its best-ranked ones.
    """
    order = pc.sort_indices(
        rows, sort_keys=[("id", "ascending"), ("date", "descending"), ("length", "descending")]
    )
    codes, ids = _codes(rows.column("id").take(order))
    # Encoded in sorted order, so codes ascend and the first row of each is the best.
    first = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]]) if len(codes) else codes
    place = order.to_numpy(zero_copy_only=False).astype(np.int64)
    kept = rows.select(_MEMBER_COLUMNS).take(pa.array(place[first]))
    columns = [ids, *(_one_array(kept.column(name)) for name in ("date", "length"))]
    back = np.empty(len(codes), np.int64)
    back[place] = codes
    return pa.table(columns, names=_MEMBER_COLUMNS), back


def _codes(column: pa.ChunkedArray) -> tuple[Indices, pa.Array]:
    """A number per row, equal for equal values and in order of first occurrence, and the values."""
    encoded = _one_array(column).dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary


def _one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _positions(order: Indices) -> Indices:
    """The inverse of an order: the place of every row."""
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    return places


def _exact_keys(kind: str, values: list[str | None]) -> tuple[Indices, npt.NDArray[np.uint64]]:
    """Rows that have a value, and its 128-bit key as two numbers, shape [rows, 2]."""
    rows = [row for row, value in enumerate(values) if value]
    data = b"".join(bytes.fromhex(digest(kind, values[row] or "")) for row in rows)
    return np.asarray(rows, np.int64), np.frombuffer(data, "<u8").reshape(-1, 2)


def _binary_column(keys: npt.NDArray[np.uint64]) -> pa.Array:
    """Rows of numbers as binary values of 8 bytes a number."""
    width = 8 * keys.shape[1]
    data = pa.py_buffer(np.ascontiguousarray(keys, "<u8").tobytes())
    fixed = pa.Array.from_buffers(pa.binary(width), len(keys), [None, data])
    return fixed.cast(pa.binary())
