"""Dedup of pages before any download: signatures, the shuffle in which duplicates meet, clusters.

Two steps. `signatures` (a part function) applies gate `dedup` and hashes each page that passes.
`clusters` (a shuffle) brings pages together that share a URL, an exact text or a MinHash band, and
ends in one process that verifies candidates, joins them and ranks them; its output goes back to
the part each page came from, so that every later stage joins it without a shuffle.

A cluster is knowledge, not a verdict: who survives is decided by gate `shard`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.clusters import band_rows, build_clusters, connected_components, edges_of_bucket
from transforms.gates import RowGate, evaluate, ledger_rows
from transforms.ledger import builtin_ledger
from transforms.minhash import MinHashConfig, Signatures, signatures, text_hash
from transforms.pages import PageFiles, Places, iter_page_texts, positions, read_pages, rows_with
from transforms.shuffle import Block, split_rows
from transforms.sink import Part, PartSink
from transforms.table_files import read_table

STAGE = "dedup"
STEP_VERSION = 3
GATE = "dedup"
ALL = "all"
"""The bucket in which edges become clusters."""

_EDGE_ENDS = ("id", "date", "length", "part")
_EDGE_SCHEMA = pa.schema(
    [
        pa.field("kind", pa.string()),
        *(
            pa.field(f"{end}_{name}", pa.int64() if name == "length" else pa.string())
            for end in "ab"
            for name in _EDGE_ENDS
        ),
    ]
)


@dataclass(frozen=True, slots=True)
class DedupConfig:
    """How duplicates are found."""

    minhash: MinHashConfig = field(default_factory=MinHashConfig)
    min_similarity: float = 0.7
    """Estimated Jaccard similarity from which two pages are near-duplicates; the knee of FineWeb's
    14 x 8 bands lies at 0.72."""
    buckets: int = 64
    """Buckets of the shuffle: memory is one bucket, so more of them for a larger corpus."""


@dataclass(frozen=True, slots=True)
class SignedFiles:
    """The signatures of a part's pages, and the part's name."""

    part: str
    signatures: str | None


@dataclass(eq=False)
class SignPages:
    """Part function: gate `dedup`, then URL, exact-text key and MinHash signature of each page."""

    output: str
    gate: RowGate
    config: DedupConfig

    def setup(self) -> None:
        """Nothing is heavy here."""

    def __call__(self, part: Part, sink: PartSink) -> None:
        """Sign the pages of a part."""
        files: PageFiles = part.spec
        pages = read_pages(self.output, files)
        sink.seen("pages", len(pages))
        decisions = evaluate(self.gate, pages)
        sink.write("ledger", ledger_rows(GATE, "page", pages["id"], None, decisions))
        sink.count("pages", kept=int(decisions.keep.sum()), rejected=decisions.rejected_by_rule())
        kept = pages.filter(pa.array(decisions.keep))
        places = Places(kept["id"])
        for ids, texts, contents in iter_page_texts(self.output, files):
            rows = places.of(pa.array(ids, pa.string()))
            chosen = np.flatnonzero(rows >= 0).tolist()
            if not chosen:
                continue
            rows, texts = rows[chosen], [texts[row] for row in chosen]
            # Exact duplicates show the same images too: pages of one template, each with a picture
            # of its own, are none, nor is the print version of an illustrated page.
            keys = [text_hash(contents[row]) if contents[row] else "" for row in chosen]
            facts = kept.select(["id", "kind", "url", "date"]).take(pa.array(rows))
            # A row of a table is one image of its page and not the page: others share its URL.
            charsets = kept["charset"].take(pa.array(rows)).to_pylist()
            of_page = [bool(text or charset) for text, charset in zip(texts, charsets, strict=True)]
            urls = pc.if_else(pa.array(of_page, pa.bool_()), facts["url"], "")
            facts = facts.set_column(2, "url", urls)
            signed = signatures(texts, self.config.minhash)
            sink.write(
                "signatures",
                facts.append_column("length", pa.array([len(text) for text in texts], pa.int64()))
                .append_column("text_key", pa.array(keys, pa.string()))
                .append_column("signature", _to_column(signed))
                .combine_chunks(),
            )


def _to_column(values: Signatures) -> pa.Array:
    width = values.dtype.itemsize * values.shape[1]
    data = pa.py_buffer(np.ascontiguousarray(values).tobytes())
    return pa.Array.from_buffers(pa.binary(width), len(values), [None, data])


def _to_signatures(column: pa.ChunkedArray, config: MinHashConfig) -> Signatures:
    empty = signatures([], config)
    data = b"".join(column.to_pylist())
    return np.frombuffer(data, empty.dtype).reshape(-1, config.bands * config.rows)


@dataclass(eq=False)
class EmitBands:
    """Map side of the shuffle: the keys by which a part's pages meet others."""

    output: str
    config: DedupConfig

    def __call__(self, part: Part) -> Iterator[Block]:
        """Yield rows for each bucket, and at least an empty block for every one of them."""
        files: SignedFiles = part.spec
        pages = None
        if files.signatures is not None:
            pages = read_table(self.output, [files.signatures])
        if pages is None:
            pages = _empty_signed(self.config.minhash)
        signed = _to_signatures(pages["signature"], self.config.minhash)
        rows = pa.Table.from_batches(
            [band_rows(pages, signed, self.config.minhash, self.config.buckets)]
        )
        rows = pa.concat_tables([rows, _record_rows(pages, rows.schema, self.config.buckets)])
        rows = rows.append_column("part", pa.array([files.part] * len(rows), pa.string()))
        names = [_bucket(number) for number in rows["bucket"].to_pylist()]
        yield from split_rows(rows, names)
        # Every bucket exists, so that the step ends in a commit even where nothing meets.
        for number in range(self.config.buckets):
            yield _bucket(number), rows.slice(0, 0)


def _empty_signed(config: MinHashConfig) -> pa.Table:
    names = ("id", "kind", "url", "date", "text_key")
    return pa.table(
        {
            **{name: pa.array([], pa.string()) for name in names},
            "length": pa.array([], pa.int64()),
            "signature": _to_column(signatures([], config)),
        }
    )


def _bucket(number: int) -> str:
    return f"{number:05d}"


def _record_rows(pages: pa.Table, schema: pa.Schema, buckets: int) -> pa.Table:
    """Rows by which the same record, read twice from different files, meets itself."""
    ids = pages["id"].to_pylist()
    return pa.table(
        {
            "bucket": pa.array([int(page_id[:8], 16) % buckets for page_id in ids], pa.int32()),
            "kind": pa.array(["record"] * len(ids), pa.string()),
            "key": pa.array([bytes.fromhex(page_id) for page_id in ids], pa.binary()),
            "id": pages["id"],
            "date": pages["date"],
            "length": pages["length"],
        }
    ).cast(schema)


def link_bucket(bucket: str, rows: pa.Table) -> Iterator[Block]:
    """Reduce side: the edges of a bucket, with what clusters need to know of both ends."""
    del bucket
    is_record = pc.equal(rows["kind"], "record")
    edges = edges_of_bucket(rows.filter(pc.invert(is_record)).drop_columns(["part"]))
    order = [("id", "ascending"), ("part", "ascending")]
    pages = rows.select(["id", "date", "length", "part"]).sort_by(order)
    ends = {"kind": edges["kind"]}
    for end in "ab":
        found = pages.take(pa.array(positions(pages["id"], edges[end])))
        ends |= {f"{end}_{name}": found[name] for name in _EDGE_ENDS}
    yield ALL, pa.table(ends).cast(_EDGE_SCHEMA)
    yield ALL, _same_records(rows.filter(is_record).sort_by(order))


def _same_records(rows: pa.Table) -> pa.Table:
    """Edges from a record's first part to every other part that holds the same record."""
    ids = np.asarray(rows["id"].to_pylist(), dtype=object)
    first = np.r_[True, ids[1:] != ids[:-1]] if len(ids) else np.empty(0, bool)
    starts = np.flatnonzero(first)[np.cumsum(first) - 1] if len(ids) else np.empty(0, np.int64)
    others = np.flatnonzero(~first)
    ends: dict[str, pa.Array | pa.ChunkedArray] = {
        "kind": pa.array(["record"] * len(others), pa.string())
    }
    for end, chosen in (("a", starts[others]), ("b", others)):
        found = rows.take(pa.array(chosen, pa.int64()))
        ends |= {f"{end}_{name}": found[name] for name in _EDGE_ENDS}
    return pa.table(ends).cast(_EDGE_SCHEMA)


@dataclass(eq=False)
class BuildClusters:
    """The last step: edges to clusters, written to a file for each part whose pages they name."""

    output: str
    config: DedupConfig
    signed: Sequence[SignedFiles]
    pages: int
    """Pages that were signed."""

    def __call__(self, part: Part, rows: pa.Table, sink: PartSink) -> None:
        """Verify, join, rank and write."""
        is_record = pc.equal(rows["kind"], "record")
        repeats = rows.filter(is_record)
        self._write_by_part(
            sink, "repeats", pa.table({"id": repeats["b_id"], "part": repeats["b_part"]})
        )
        sink.seen("distinct_pages", self.pages)
        sink.count(
            "distinct_pages",
            kept=self.pages - len(repeats),
            rejected={"same_record": len(repeats)},
        )
        ids = repeats.sort_by([("b_id", "ascending"), ("b_part", "ascending")])["b_id"]
        sink.write("ledger", builtin_ledger(GATE, "page", ids, None, "same_record", "once"))
        edges = rows.filter(pc.invert(is_record))
        ends = [edges.select([f"{e}_{n}" for n in _EDGE_ENDS]) for e in "ab"]
        members = pa.concat_tables([end.rename_columns(_EDGE_ENDS) for end in ends])
        links = pa.table({"kind": edges["kind"], "a": edges["a_id"], "b": edges["b_id"]})
        near = rows_with(edges, "kind", ["near_text"])
        clusters = build_clusters(members, links, self._lookup(near), self.config.min_similarity)
        # A record that stands in several parts belongs to the first of them.
        members = members.sort_by([("id", "ascending"), ("part", "ascending")])
        found = members.take(pa.array(positions(members["id"], clusters["id"])))
        clusters = clusters.append_column("component", components(clusters))
        for name in ("date", "length", "part"):
            clusters = clusters.append_column(name, found[name])
        sink.seen("clusters", len(clusters))
        sink.count("clusters", kept=len(clusters))
        for kind in sorted(set(clusters["kind"].to_pylist())):
            chosen = rows_with(clusters, "kind", [kind])
            sink.fact(f"clusters_{kind}", len(pc.unique(chosen["cluster_id"])))
        self._write_by_part(sink, "clusters", clusters)

    def _write_by_part(self, sink: PartSink, table: str, rows: pa.Table) -> None:
        for name, chosen in split_rows(rows.drop_columns(["part"]), rows["part"]):
            sink.write(table, chosen, file=name)

    def _lookup(self, near: pa.Table) -> "_SignatureLookup":
        wanted: dict[str, set[str]] = {}
        for end in "ab":
            for name, page_id in zip(
                near[f"{end}_part"].to_pylist(), near[f"{end}_id"].to_pylist(), strict=True
            ):
                wanted.setdefault(name, set()).add(page_id)
        tables = [_empty_signed(self.config.minhash).select(["id", "signature"])]
        for files in self.signed:
            if files.part in wanted and files.signatures is not None:
                found = read_table(self.output, [files.signatures], ["id", "signature"])
                tables.append(rows_with(found, "id", sorted(wanted[files.part])))
        rows = pa.concat_tables(tables)
        return _SignatureLookup(rows["id"], _to_signatures(rows["signature"], self.config.minhash))


@dataclass(frozen=True, slots=True)
class _SignatureLookup:
    ids: pa.ChunkedArray
    values: Signatures

    def __call__(self, wanted: pa.Array) -> Signatures:
        rows = positions(self.ids, pa.chunked_array([wanted]))
        if (rows < 0).any():
            raise AssertionError("an edge names a page that has no signature")
        return self.values[rows]


def components(clusters: pa.Table) -> pa.Array:
    """Of every cluster row, the id of the component that clusters of all kinds form together.

    Clusters of different kinds overlap; only pages of one component can keep each other out.
    """
    ids = pc.unique(clusters["id"]).sort()
    if not len(ids):
        return pa.array([], pa.string())
    column = pa.chunked_array([ids])
    a = positions(column, clusters["id"])
    b = positions(column, clusters["cluster_id"])
    labels: npt.NDArray[np.int64] = connected_components(a, b, len(ids))
    return ids.take(pa.array(labels[a]))
