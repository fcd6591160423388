"""Components against brute force, chains cut against brute force, clusters whatever the order."""

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.duplicate_rows import Cluster
from schemas.tables import schema_of
from transforms import clusters as module
from transforms.clusters import build_clusters, connected_components, cut_chains
from transforms.minhash import estimate_similarity

EDGES = pa.schema(
    [("kind", pa.string()), ("a", pa.string()), ("b", pa.string()), ("similarity", pa.float64())]
)


def member_table(rows):
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    types = [pa.string(), pa.string(), pa.int64()]
    arrays = [pa.array(c, t) for c, t in zip(columns, types, strict=True)]
    return pa.table(arrays, names=["id", "date", "length"])


def edge_table(rows):
    rows = [(*row, 1.0) if len(row) == 3 else row for row in rows]
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    return pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, EDGES, strict=True)], schema=EDGES
    )


def shuffled(table, rng):
    order = list(range(table.num_rows))
    rng.shuffle(order)
    return table.take(pa.array(order, pa.int64()))


def nothing_to_compare(ids):
    raise AssertionError(f"asked for {ids}")


def compare_by(signatures):
    """What compares pages by the signatures that a function gives for some ids."""

    def compare(ids):
        values = signatures(ids)
        return lambda pairs: estimate_similarity(values[pairs[:, 0]], values[pairs[:, 1]])

    return compare


def brute_force_components(a, b, count):
    label = list(range(count))
    for x, y in zip(a, b, strict=True):
        low, high = sorted((label[x], label[y]))
        label = [low if value == high else value for value in label]
    return label


@given(
    st.integers(1, 40).flatmap(
        lambda count: st.tuples(
            st.just(count),
            st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=80),
        )
    )
)
@settings(max_examples=150, deadline=None)
def test_components_equal_brute_force(case):
    count, edges = case
    a, b = np.array(edges, dtype=np.int64).reshape(-1, 2).T
    expected = brute_force_components(a.tolist(), b.tolist(), count)
    assert connected_components(a, b, count).tolist() == expected


@pytest.mark.parametrize("shape", ["chain", "reversed-chain", "star", "random-tree"])
def test_components_of_hard_shapes_are_one(shape):
    count = 200_000
    rng = np.random.default_rng(2)
    nodes = np.arange(count - 1)
    a, b = {
        "chain": (nodes, nodes + 1),
        "reversed-chain": (nodes[::-1] + 1, nodes[::-1]),
        "star": (nodes, np.full(count - 1, count - 1)),
        "random-tree": (rng.integers(0, nodes + 1), nodes + 1),
    }[shape]
    names = rng.permutation(count)
    labels = connected_components(names[a], names[b], count)
    assert not labels.any()


def test_components_without_edges_are_single():
    empty = np.empty(0, np.int64)
    assert connected_components(empty, empty, 3).tolist() == [0, 1, 2]


MEMBERS = [
    ("a", "2020", 10),
    ("b", "2021", 10),
    ("c", "2021", 12),
    ("d", "2021", 12),
    ("e", "2019", 99),
    ("f", "2019", 1),
    ("unused", "2030", 1),
]


def test_exact_clusters_are_ranked_and_sorted():
    edges = edge_table(
        [
            ("url", "a", "b"),
            ("url", "c", "b"),
            ("text", "d", "c"),
            ("url", "e", "f"),
            ("text", "e", "e"),
        ]
    )
    found = build_clusters(member_table(MEMBERS), edges, nothing_to_compare, 0.8).rows
    assert found.schema == schema_of(Cluster)
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        ("text", "c", "c", 0, 1.0),
        ("text", "d", "c", 1, 1.0),
        ("url", "c", "c", 0, 1.0),
        ("url", "b", "c", 1, 1.0),
        ("url", "a", "c", 2, 1.0),
        ("url", "e", "e", 0, 1.0),
        ("url", "f", "e", 1, 1.0),
    ]


def test_near_text_members_are_similar_to_the_best_ranked_one():
    base = np.arange(100, dtype=np.uint32)
    values = {name: base.copy() for name in "abcdef"}
    values["b"][:20] += 1000  # 0.8 to a
    values["c"][:40] += 1000  # 0.8 to b, 0.6 to a
    asked = []

    def lookup(ids):
        asked.append(ids.to_pylist())
        return np.stack([values[name] for name in ids.to_pylist()])

    edges = edge_table(
        [("near_text", "a", "b", 0.8), ("near_text", "c", "b", 0.8), ("near_text", "e", "f", 1.0)]
    )
    found = build_clusters(member_table(MEMBERS), edges, compare_by(lookup), 0.8)
    # `c` leads, `b` follows; `a` is like `b` only, and so it is no duplicate of `c`.
    assert [tuple(row.values())[1:] for row in found.rows.to_pylist()] == [
        ("c", "c", 0, 1.0),
        ("b", "c", 1, 0.8),
        ("e", "e", 0, 1.0),
        ("f", "e", 1, 1.0),
    ]
    assert (found.cut_components, found.cut_pages) == (1, 1)
    # Once, and of the component that has a page without an edge to the best alone.
    assert [sorted(ids) for ids in asked] == [["a", "b", "c"]]


def test_the_preferred_member_leads_and_is_told_first():
    members = pa.table(
        {
            "id": list("abc"),
            "date": ["2021", "2020", "2019"],
            "length": [1, 2, 3],
            "score": pa.array([None, 0.5, -2.0]),
        }
    )
    edges = edge_table([("near_text", "a", "b", 0.9), ("near_text", "b", "c", 0.9)])

    def similar(ids):
        return lambda pairs: np.full(len(pairs), 0.1)

    for prefer, expected in (
        (("latest", "longest"), [("a", "a"), ("b", "a")]),
        (("longest",), [("c", "c"), ("b", "c")]),
        # `b` is like both others, and so they are no duplicates of each other but of it.
        (("score", "latest"), [("b", "b"), ("c", "b"), ("a", "b")]),
    ):
        found = build_clusters(members, edges, similar, 0.8, prefer).rows
        rows = zip(found["id"].to_pylist(), found["cluster_id"].to_pylist(), strict=True)
        assert list(rows) == expected


def test_a_pair_that_is_told_twice_is_as_similar_as_it_may_be():
    # The text of a record that an earlier output has read by another recipe is another one.
    members = member_table([("a", "2024", 10), ("b", "2023", 10)])
    rows = [("near_text", "a", "b", 0.75), ("near_text", "b", "a", 0.9)]
    for told in (rows, rows[::-1]):
        found = build_clusters(members, edge_table(told), nothing_to_compare, 0.7).rows
        assert found["similarity"].to_pylist() == [1.0, 0.9]


def test_no_edges_make_no_cluster():
    found = build_clusters(member_table([]), edge_table([]), nothing_to_compare, 0.8).rows
    assert (found.num_rows, found.schema) == (0, schema_of(Cluster))


@pytest.mark.parametrize(
    ("edge", "message"),
    [(("url", "a", "ghost"), "ghost"), (("phash", "a", "b"), "phash")],
    ids=["unknown-member", "unknown-kind"],
)
def test_broken_input_is_refused(edge, message):
    with pytest.raises(ValueError, match=message):
        build_clusters(member_table(MEMBERS), edge_table([edge]), nothing_to_compare, 0.8)


def brute_force_leaders(component, edges, similar, most):
    """The definition of `cut_chains`, node by node."""
    leader = {}
    for label in sorted(set(component)):
        left = [node for node, own in enumerate(component) if own == label]
        for _ in range(most):
            if not left:
                break
            first = left[0]
            led = [node for node in left if node == first or similar(first, node) >= 0.5]
            leader |= dict.fromkeys(led, first)
            left = [node for node in left if node not in led]
        for node in left:
            if node not in leader:
                leader[node] = node
                neighbours = {y for x, y in edges if x == node} | {x for x, y in edges if y == node}
                for other in sorted(neighbours):
                    leader.setdefault(other, node)
    return [leader[node] for node in range(len(component))]


@given(
    st.integers(1, 25).flatmap(
        lambda count: st.tuples(
            st.just(count),
            st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=60),
        )
    ),
    st.integers(0, 1000),
    st.integers(1, 4),
)
@settings(max_examples=200, deadline=None)
def test_chains_are_cut_as_brute_force_cuts_them(case, seed, most):
    count, pairs = case
    pairs = [(x, y) for x, y in pairs if x != y]
    a, b = np.array(pairs, np.int64).reshape(-1, 2).T
    component = connected_components(a, b, count)
    grid = np.random.default_rng(seed).random((count, count))
    grid = np.minimum(grid, grid.T)

    def similar(pairs):
        return grid[pairs[:, 0], pairs[:, 1]]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_LEADERS", most)
        leader, similarity = cut_chains(component, a, b, similar, 0.5)
    expected = brute_force_leaders(component.tolist(), pairs, lambda x, y: grid[x, y], most)
    assert leader.tolist() == expected
    own = leader == np.arange(count)
    assert (similarity[own] == 1.0).all()
    assert (similarity[~own] == grid[leader[~own], np.flatnonzero(~own)]).all()


def test_a_long_chain_is_cut_in_time_that_grows_with_its_length():
    count = 200_000
    a, b = np.arange(count - 1), np.arange(1, count)
    leader, _ = cut_chains(
        np.zeros(count, np.int64),
        a,
        b,
        lambda pairs: np.where(np.abs(pairs[:, 0] - pairs[:, 1]) == 1, 0.9, 0.0),
        0.7,
    )
    # Each page follows the one before it, or leads.
    assert set((np.arange(count) - leader).tolist()) == {0, 1}
    assert len(np.unique(leader)) == count // 2


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["url", "text", "near_text"]), st.integers(0, 11), st.integers(0, 11)
        ),
        max_size=30,
    ),
    st.randoms(use_true_random=False),
)
# A star whose edges are weaker than what a follower needs.
@example([("near_text", 2, 3), ("near_text", 2, 7)], random.Random(1))
@settings(max_examples=80, deadline=None)
def test_clusters_do_not_depend_on_row_order(edges, rng):
    members = member_table([(f"m{i:02}", f"20{i % 3}", i % 2) for i in range(12)])
    grid = np.random.default_rng(4).integers(0, 2, (12, 16)).astype(np.uint32)

    def lookup(ids):
        return grid[[int(name[1:]) for name in ids.to_pylist()]]

    table = edge_table(
        [(kind, f"m{a:02}", f"m{b:02}", float((grid[a] == grid[b]).mean())) for kind, a, b in edges]
    )
    expected = build_clusters(members, table, compare_by(lookup), 0.5).rows
    turned = table.rename_columns(["kind", "b", "a", "similarity"]).select(table.column_names)
    mixed = pa.concat_tables([shuffled(table, rng), shuffled(turned, rng)])
    twice = pa.concat_tables([shuffled(members, rng), members])
    assert build_clusters(twice, mixed, compare_by(lookup), 0.5).rows.equals(expected)

    for kind in ("url", "text"):
        exact = [(a, b) for own, a, b in edges if own == kind]
        a, b = np.array(exact, np.int64).reshape(-1, 2).T
        labels = brute_force_components(a.tolist(), b.tolist(), 12)
        sizes = sorted(labels.count(label) for label in set(labels) if labels.count(label) > 1)
        rows = expected.filter(pa.compute.equal(expected["kind"], kind))
        assert sorted(rows["cluster_id"].value_counts().field("counts").to_pylist()) == sizes
