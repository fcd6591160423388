"""Clusters of duplicate pages: the components that edges form, and how far one may reach.

Three kinds: `url` (same page URL), `text` (same exact text), `near_text` (Jaccard similarity, by
MinHash signatures or exactly). Members are ranked: `page_rank.py`.

Similarity is not transitive: a chain of near-duplicates, each like the next, can join pages that
share nothing. So a `near_text` component is cut into clusters whose members are all similar to
their own best-ranked member. The trade-off: two pages of different clusters may be alike.

Nothing here depends on the order of rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.duplicate_rows import Cluster
from schemas.tables import schema_of
from transforms.page_rank import DEFAULT_PREFERENCES, PREFERENCES, rank_keys, rank_members

STEP_VERSION = 3

KINDS = ("near_text", "text", "url")
"""Kinds of clusters, in the order of the table."""
MAX_LEADERS = 32
"""Leaders of one component that all of its pages are compared with."""

_VERIFY_PAIRS = 1 << 15

Indices = npt.NDArray[np.int64]
Similarity = Callable[[Indices], npt.NDArray[np.float64]]
"""The similarity of pairs of nodes, [pairs, 2]."""
Compare = Callable[[pa.Array], Similarity]
"""What compares the pages of an array of distinct ids: nodes are their places in it."""


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


@dataclass(frozen=True, slots=True)
class Clusters:
    """Clusters, and what was done to components that were no clusters."""

    rows: pa.Table
    """Rows of `schemas.duplicate_rows.Cluster`, sorted by kind, cluster id, rank."""
    cut_components: int
    """`near_text` components with a page that is not similar to the best-ranked one."""
    cut_pages: int
    """Such pages: each leads a cluster of its own, joined that of another, or is left alone."""


def build_clusters(
    members: pa.Table,
    edges: pa.Table,
    compare: Compare,
    min_similarity: float,
    prefer: Sequence[str] = DEFAULT_PREFERENCES,
) -> Clusters:
    """Clusters of duplicates with ranks: two or more pages each, kind by kind.

    Args:
        members: Column `id`, and those of what is preferred (`page_rank.PREFERENCES`), of every
            page that occurs in an edge; others and repeated rows do no harm.
        edges: Columns `kind`, `a`, `b`, `similarity`, in any order and orientation; each holds.
        compare: Asked for where a component has a page without an edge to its leader; by the same
            measure as the edges.
        min_similarity: Jaccard similarity that members of a `near_text` cluster have to its
            best-ranked one, at least.
        prefer: What members are ranked by.

    Raises:
        ValueError: An edge names a page that `members` lacks, or a kind is unknown.
    """
    unknown = set(pc.unique(edges.column("kind")).to_pylist()) - set(KINDS)
    if unknown:
        raise ValueError(f"unknown kinds of edges: {sorted(unknown)}")
    members = _members_of(members, prefer)
    ids = _one_array(members.column("id"))
    rank = _positions(rank_members(members, prefer))
    tables = [schema_of(Cluster).empty_table()]
    components = pages = 0
    for kind in KINDS:
        chosen = edges.filter(pc.equal(edges.column("kind"), kind))
        pairs, known = _pairs(chosen, ids)
        if not len(pairs):
            continue
        nodes, local = np.unique(pairs, return_inverse=True)
        local = local.reshape(-1, 2)
        # Nodes in the order of their ranks, so that the first of a component is its best.
        order = np.argsort(rank[nodes])
        a, b = _positions(order)[local].T
        nodes = nodes[order]
        label = connected_components(a, b, len(nodes))
        similarity = np.ones(len(nodes))
        if kind == "near_text":
            found = _Near(a, b, known)
            leader, similarity = found.leaders(
                label, ids.take(pa.array(nodes)), compare, min_similarity
            )
            cut = leader != label
            components += len(np.unique(label[cut]))
            pages += int(cut.sum())
            label = leader
        tables.append(_cluster_rows(kind, nodes, label, similarity, ids))
    rows = pa.concat_tables(tables).combine_chunks()
    return Clusters(rows, components, pages)


def cut_chains(
    component: Indices, a: Indices, b: Indices, similar: Similarity, min_similarity: float
) -> tuple[Indices, npt.NDArray[np.float64]]:
    """Cut components into stars: every page similar to its leader, which ranks before it.

    The best-ranked page of a component leads; all that are similar to it follow. Of the rest, the
    best-ranked leads next, and so on. After `MAX_LEADERS` what is left follows the best-ranked page
    that it has an edge with and that follows nobody itself, so that the work stays in proportion
    to pages and edges, however long the chain.

    Args:
        component: The component of each node, as its smallest node; nodes stand in rank order.
        a: One end of each edge.
        b: The other end.
        similar: The similarity of pairs of nodes, [pairs, 2].
        min_similarity: What a follower has to its leader, at least.

    Returns:
        The leader of each node, itself where it leads or is alone, and the similarity to it.
    """
    count = len(component)
    leader = np.full(count, -1, np.int64)
    similarity = np.ones(count)
    open_ones = np.arange(count)
    for _ in range(MAX_LEADERS):
        if not len(open_ones):
            return leader, similarity
        first = _first_of(component, open_ones, count)
        leads = first == open_ones
        leader[open_ones[leads]] = open_ones[leads]
        others, first = open_ones[~leads], first[~leads]
        found = similar(np.stack([first, others], axis=1))
        follows = found >= min_similarity
        leader[others[follows]] = first[follows]
        similarity[others[follows]] = found[follows]
        open_ones = others[~follows]
    _follow_edges(leader, similarity, a, b, similar)
    return leader, similarity


def _first_of(component: Indices, nodes: Indices, count: int) -> Indices:
    """For each of some nodes, the smallest of them that is in its component."""
    first = np.full(count, count, np.int64)
    np.minimum.at(first, component[nodes], nodes)
    return first[component[nodes]]


def _follow_edges(
    leader: Indices,
    similarity: npt.NDArray[np.float64],
    a: Indices,
    b: Indices,
    similar: Similarity,
) -> None:
    """Let nodes without a leader follow the first neighbour that leads, in the order of ranks."""
    waiting = leader < 0
    low, high = np.minimum(a, b), np.maximum(a, b)
    between = waiting[low] & waiting[high]
    order = np.argsort(low[between], kind="stable")
    low, high = low[between][order], high[between][order]
    nodes = np.flatnonzero(waiting)
    starts = np.searchsorted(low, nodes).tolist()
    ends = np.searchsorted(low, nodes, side="right").tolist()
    others = high.tolist()
    found = dict.fromkeys(nodes.tolist(), -1)
    # One after the other: whether a node leads hangs on all that rank before it.
    for node, start, end in zip(list(found), starts, ends, strict=True):
        if found[node] < 0:
            found[node] = node
            for other in others[start:end]:
                if found[other] < 0:
                    found[other] = node
    leader[nodes] = list(found.values())
    follows = nodes[leader[nodes] != nodes]
    similarity[follows] = similar(np.stack([leader[follows], follows], axis=1))


def _cluster_rows(
    kind: str,
    nodes: Indices,
    leader: Indices,
    similarity: npt.NDArray[np.float64],
    ids: pa.Array,
) -> pa.Table:
    """The clusters of one kind, sorted by cluster id and rank; who is alone is in none."""
    sizes = np.bincount(leader, minlength=len(nodes))
    chosen = np.flatnonzero(sizes[leader] > 1)
    # Members are numbered in the order of their ids, so this is the order of cluster ids.
    order = chosen[np.lexsort((chosen, nodes[leader[chosen]]))]
    heads = leader[order]
    starts = np.flatnonzero(np.r_[True, heads[1:] != heads[:-1]]) if len(order) else order
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    return pa.table(
        [
            pa.array([kind]).take(pa.array(np.zeros(len(order), np.int64))),
            ids.take(pa.array(nodes[order])),
            ids.take(pa.array(nodes[heads])),
            pa.array(place.astype(np.int64)),
            pa.array(similarity[order]),
        ],
        schema=schema_of(Cluster),
    )


def _pairs(edges: pa.Table, ids: pa.Array) -> tuple[Indices, npt.NDArray[np.float64]]:
    """Distinct unordered pairs of member numbers, sorted, [pairs, 2], and their similarity.

    Of a pair that occurs more than once it is the greatest: a record that an earlier output has
    read by another recipe has two texts.
    """
    ends = []
    for name in ("a", "b"):
        found = pc.index_in(edges.column(name), value_set=ids)
        if found.null_count:
            missing = edges.column(name).filter(pc.is_null(found))[0]
            raise ValueError(f"an edge names {missing}, which is not among the members")
        ends.append(found.to_numpy().astype(np.int64))
    low, high = np.minimum(*ends), np.maximum(*ends)
    _, first, at = np.unique(low * len(ids) + high, return_index=True, return_inverse=True)
    similarity = np.zeros(len(first))
    np.maximum.at(similarity, at, edges.column("similarity").to_numpy())
    pairs = np.stack([low[first], high[first]], axis=1)
    apart = pairs[:, 0] != pairs[:, 1]
    return pairs[apart], similarity[apart]


@dataclass(frozen=True, slots=True)
class _Near:
    """The edges of `near_text`, between nodes in the order of their ranks."""

    a: Indices
    b: Indices
    known: npt.NDArray[np.float64]
    """The similarity of each edge."""

    def leaders(
        self,
        component: Indices,
        ids: pa.Array,
        compare: Compare,
        min_similarity: float,
    ) -> tuple[Indices, npt.NDArray[np.float64]]:
        """The leader of each node and the similarity to it, with chains cut.

        Nodes of similarity 1 count as one, the best-ranked: which of them have an edge to others is
        an accident of where they stand.
        """
        count = len(component)
        equal = self.known == 1.0
        first = connected_components(self.a[equal], self.b[equal], count)
        own, at = np.unique(first, return_inverse=True)
        a, b = at[self.a], at[self.b]
        apart = a != b
        near = _Near(a[apart], b[apart], self.known[apart])
        similar = near.look_up(at[component[own]], ids.take(pa.array(own)), compare, min_similarity)
        leader, similarity = cut_chains(at[component[own]], near.a, near.b, similar, min_similarity)
        return own[leader][at], similarity[at]

    def look_up(
        self, component: Indices, ids: pa.Array, compare: Compare, min_similarity: float
    ) -> Similarity:
        """The similarity of pairs of nodes: that of their edge, else what `compare` says.

        It is asked once, and only of components with a node that does not follow the best by an
        edge of its own.
        """
        low, high = np.minimum(self.a, self.b), np.maximum(self.a, self.b)
        has_edge = np.zeros(len(component), bool)
        has_edge[high[(component[high] == low) & (self.known >= min_similarity)]] = True
        has_edge[component] = True
        is_star = np.ones(len(component), bool)
        is_star[component[~has_edge]] = False
        needed = np.flatnonzero(~is_star[component])
        compared = compare(ids.take(pa.array(needed))) if len(needed) else None
        packed = low * len(component) + high
        order = np.argsort(packed)
        packed, known = packed[order], self.known[order]

        def similarity(pairs: Indices) -> npt.NDArray[np.float64]:
            if not len(packed):
                return np.ones(len(pairs))
            wanted = pairs.min(axis=1) * len(component) + pairs.max(axis=1)
            at = np.minimum(np.searchsorted(packed, wanted), len(packed) - 1)
            result: npt.NDArray[np.float64] = known[at].copy()
            unknown = np.flatnonzero(packed[at] != wanted)
            for start in range(0, len(unknown), _VERIFY_PAIRS):
                chosen = unknown[start : start + _VERIFY_PAIRS]
                assert compared is not None
                result[chosen] = compared(np.searchsorted(needed, pairs[chosen]))
            return result

        return similarity


def _members_of(rows: pa.Table, prefer: Sequence[str]) -> pa.Table:
    """Distinct pages of a table sorted by id.

    A page that occurs with several dates or lengths is taken with its best-ranked ones.
    """
    rows = rows.select(["id", *(PREFERENCES[name] for name in prefer)])
    rows = rows.sort_by([("id", "ascending"), *rank_keys(prefer)[:-1]])
    codes, _ = _codes(rows.column("id"))
    first = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]]) if len(codes) else codes
    return rows.take(pa.array(first)).combine_chunks()


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
