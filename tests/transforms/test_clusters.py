"""Components against brute force, clusters whatever the order of rows, the shuffle end to end."""

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.rows import Cluster
from schemas.tables import schema_of
from transforms.clusters import (
    BAND_SCHEMA,
    EDGE_SCHEMA,
    band_rows,
    build_clusters,
    connected_components,
    edges_of_bucket,
    rank_members,
    star_edges,
)
from transforms.minhash import MinHashConfig, signatures, text_hash

CONFIG = MinHashConfig()


def member_table(rows):
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    types = [pa.string(), pa.string(), pa.int64()]
    arrays = [pa.array(c, t) for c, t in zip(columns, types, strict=True)]
    return pa.table(arrays, names=["id", "date", "length"])


def edge_table(rows):
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return pa.table([pa.array(c, pa.string()) for c in columns], schema=EDGE_SCHEMA)


def shuffled(table, rng):
    order = list(range(table.num_rows))
    rng.shuffle(order)
    return table.take(pa.array(order, pa.int64()))


def page_batch(pages):
    """Pages given as (id, date, url, text)."""
    return pa.record_batch(
        {
            "id": pa.array([page[0] for page in pages], pa.string()),
            "date": pa.array([page[1] for page in pages], pa.string()),
            "length": pa.array([len(page[3]) for page in pages], pa.int64()),
            "url": pa.array([page[2] for page in pages], pa.string()),
            "text_key": pa.array(
                [text_hash(page[3]) if page[3] else None for page in pages], pa.string()
            ),
        }
    )


def clusters_of_pages(pages, min_similarity=0.75, num_buckets=5, blocks=1):
    """The whole way: rows, buckets, edges, clusters."""
    texts = {page[0]: page[3] for page in pages}
    size = -(-len(pages) // blocks)
    rows = []
    for start in range(0, len(pages), size):
        block = pages[start : start + size]
        values = signatures([page[3] for page in block], CONFIG)
        rows.append(band_rows(page_batch(block), values, CONFIG, num_buckets))
    table = pa.Table.from_batches(rows, BAND_SCHEMA)
    edges = pa.concat_tables(
        edges_of_bucket(table.filter(pa.compute.equal(table["bucket"], bucket)))
        for bucket in range(num_buckets)
    )
    return build_clusters(
        table,
        edges,
        lambda ids: signatures([texts[name] for name in ids.to_pylist()], CONFIG),
        min_similarity,
    )


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


def test_ranks_are_latest_then_longest_then_smallest_id():
    members = member_table(
        [
            ("d", "2020-01-01T00:00:00Z", 5),
            ("c", "2021-01-01T00:00:00Z", 4),
            ("b", "2021-01-01T00:00:00Z", 9),
            ("a", "", 100),
            ("f", "2020-01-01T00:00:00Z", 6),
            ("e", "2020-01-01T00:00:00Z", 5),
        ]
    )
    assert members["id"].take(pa.array(rank_members(members))).to_pylist() == list("bcfdea")


@given(st.lists(st.integers(0, 5), max_size=30), st.randoms(use_true_random=False))
def test_star_edges_link_each_row_to_the_best_of_its_key(keys, rng):
    rank = list(range(len(keys)))
    rng.shuffle(rank)
    a, b = star_edges(np.array(keys, np.int64), np.array(rank, np.int64))
    expected = set()
    for row, key in enumerate(keys):
        group = [other for other, value in enumerate(keys) if value == key]
        best = min(group, key=lambda other: rank[other])
        if best != row:
            expected.add((best, row))
    assert set(zip(a.tolist(), b.tolist(), strict=True)) == expected
    assert len(a) == len(expected)


def test_band_rows_hold_a_row_for_each_key():
    pages = [
        ("p1", "2020", "http://a/", "one two three"),
        ("p2", "2021", None, "..."),
        ("p3", "", "", ""),
    ]
    rows = band_rows(page_batch(pages), signatures([p[3] for p in pages], CONFIG), CONFIG, 16)
    assert rows.schema == BAND_SCHEMA
    found = [(row["kind"], row["id"]) for row in rows.to_pylist()]
    expected = [("text", "p1"), ("text", "p2"), ("url", "p1"), *[("near_text", "p1")] * 14]
    assert found == expected
    assert all(0 <= bucket < 16 for bucket in rows["bucket"].to_pylist())
    assert len(set(rows["key"].to_pylist())) == len(expected)
    assert rows.to_pylist()[0] | {"bucket": 0, "key": b""} == {
        "bucket": 0,
        "kind": "text",
        "key": b"",
        "id": "p1",
        "date": "2020",
        "length": 13,
    }


@pytest.mark.parametrize("table", [False, True], ids=["batch", "table-of-chunks"])
def test_band_rows_of_no_page_are_none(table):
    pages = page_batch([])
    pages = pa.Table.from_batches([], pages.schema) if table else pages
    rows = band_rows(pages, signatures([], CONFIG), CONFIG, 4)
    assert (rows.num_rows, rows.schema) == (0, BAND_SCHEMA)
    edges = edges_of_bucket(pa.Table.from_batches([rows]))
    assert (edges.num_rows, edges.schema) == (0, EDGE_SCHEMA)


def test_same_key_goes_to_the_same_bucket_and_kinds_do_not_mix():
    # The URL of one page is the text key of the other.
    batch = pa.record_batch(
        {
            "id": ["a", "b"],
            "date": ["", ""],
            "length": [1, 1],
            "url": ["x", None],
            "text_key": [None, "x"],
        }
    )
    rows = pa.Table.from_batches([band_rows(batch, None, CONFIG, 1)])
    assert edges_of_bucket(rows).num_rows == 0
    many = pa.Table.from_batches([band_rows(batch, None, CONFIG, 97)] * 2)
    buckets = many.group_by("key").aggregate([("bucket", "count_distinct")])
    assert buckets["bucket_count_distinct"].to_pylist() == [1, 1]


def test_edges_of_bucket_are_stars_whatever_the_order():
    rows = []
    for kind, key, names in [
        ("url", b"k", "abcd"),
        ("text", b"k", "ba"),
        ("text", b"l", "ab"),
        ("url", b"z", "q"),
    ]:
        rows += [
            (0, kind, key, name, f"200{'badc'.index(name) if name in 'badc' else 0}", 1)
            for name in names
        ]
    rows.append(rows[0])
    table = pa.table(
        [pa.array(c, f.type) for c, f in zip(zip(*rows, strict=True), BAND_SCHEMA, strict=True)],
        schema=BAND_SCHEMA,
    )
    rng = random.Random(0)
    for _ in range(10):
        found = edges_of_bucket(shuffled(table, rng))
        assert found.schema == EDGE_SCHEMA
        assert [tuple(row.values()) for row in found.to_pylist()] == [
            ("text", "a", "b"),
            ("url", "c", "a"),
            ("url", "c", "b"),
            ("url", "c", "d"),
        ]


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
    found = build_clusters(member_table(MEMBERS), edges, None, 0.8)
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


def test_near_text_candidates_join_only_when_similar():
    base = np.arange(100, dtype=np.uint32)
    values = {name: base.copy() for name in "abcdef"}
    values["b"][:20] += 1000  # 0.8 to a
    values["c"][:40] += 1000  # 0.8 to b, 0.6 to a
    values["d"][:21] += 2000  # 0.79 to a
    asked = []

    def lookup(ids):
        asked.append(ids.to_pylist())
        return np.stack([values[name] for name in ids.to_pylist()])

    edges = edge_table([("near_text", *pair) for pair in ("ab", "bc", "ca", "ad", "da", "ef")])
    found = build_clusters(member_table(MEMBERS), edges, lookup, 0.8)
    assert [tuple(row.values())[1:] for row in found.to_pylist()] == [
        ("c", "c", 0, 1.0),
        ("b", "c", 1, 0.8),
        ("a", "c", 2, 0.6),
        ("e", "e", 0, 1.0),
        ("f", "e", 1, 1.0),
    ]
    assert all(len(ids) == len(set(ids)) for ids in asked)


def test_candidates_below_the_threshold_leave_no_cluster():
    edges = edge_table([("near_text", "a", "b")])
    found = build_clusters(
        member_table(MEMBERS), edges, lambda ids: np.arange(2 * len(ids)).reshape(-1, 2), 0.5
    )
    assert (found.num_rows, found.schema) == (0, schema_of(Cluster))


def test_no_edges_make_no_cluster():
    found = build_clusters(member_table([]), edge_table([]), None, 0.8)
    assert (found.num_rows, found.schema) == (0, schema_of(Cluster))


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        (("url", "a", "ghost"), "ghost"),
        (("phash", "a", "b"), "phash"),
        (("near_text", "a", "b"), "without signatures"),
    ],
    ids=["unknown-member", "unknown-kind", "no-signatures"],
)
def test_broken_input_is_refused(edge, message):
    with pytest.raises(ValueError, match=message):
        build_clusters(member_table(MEMBERS), edge_table([edge]), None, 0.8)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["url", "text", "near_text"]), st.integers(0, 11), st.integers(0, 11)
        ),
        max_size=30,
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=80, deadline=None)
def test_clusters_do_not_depend_on_row_order(edges, rng):
    members = member_table([(f"m{i:02}", f"20{i % 3}", i % 2) for i in range(12)])
    grid = np.random.default_rng(4).integers(0, 2, (12, 16)).astype(np.uint32)

    def lookup(ids):
        return grid[[int(name[1:]) for name in ids.to_pylist()]]

    table = edge_table([(kind, f"m{a:02}", f"m{b:02}") for kind, a, b in edges])
    expected = build_clusters(members, table, lookup, 0.5)
    turned = edge_table([(k, b, a) for k, a, b in zip(*table.to_pydict().values(), strict=True)])
    mixed = pa.concat_tables([shuffled(table, rng), shuffled(turned, rng)])
    twice = pa.concat_tables([shuffled(members, rng), members])
    assert build_clusters(twice, mixed, lookup, 0.5).equals(expected)

    for kind in ("url", "text"):
        exact = [
            (int(a[1:]), int(b[1:]))
            for k, a, b in zip(*table.to_pydict().values(), strict=True)
            if k == kind
        ]
        a, b = np.array(exact, np.int64).reshape(-1, 2).T
        labels = brute_force_components(a.tolist(), b.tolist(), 12)
        sizes = sorted(labels.count(label) for label in set(labels) if labels.count(label) > 1)
        rows = expected.filter(pa.compute.equal(expected["kind"], kind))
        assert sorted(rows["cluster_id"].value_counts().field("counts").to_pylist()) == sizes


def near_duplicate_pages():
    rng = random.Random(8)
    pages = []
    for family in range(30):
        article = [f"f{family}w{rng.randint(0, 300)}" for _ in range(400)]
        for copy in range(3):
            edited = list(article)
            for place in rng.sample(range(400), copy * 2):
                edited[place] = "changed"
            pages.append(
                (
                    f"{family:02}-{copy}",
                    f"202{copy}-01-01",
                    f"http://s/{family}/{copy}",
                    " ".join(edited),
                )
            )
    pages += [
        ("empty-1", "2020", "http://e/1", ""),
        ("empty-2", "2020", "http://e/2", ""),
        ("again-1", "2020", "http://same/", "short"),
        ("again-2", "2021", "http://same/", "short"),
    ]
    return pages


def test_pages_go_through_the_shuffle_whatever_the_order():
    pages = near_duplicate_pages()
    found = clusters_of_pages(pages)
    near = {}
    for row in found.to_pylist():
        near.setdefault((row["kind"], row["cluster_id"]), []).append(row["id"])
    expected = {
        ("near_text", f"{f:02}-2"): [f"{f:02}-{copy}" for copy in (2, 1, 0)] for f in range(30)
    }
    for kind in ("near_text", "text", "url"):
        expected[kind, "again-2"] = ["again-2", "again-1"]
    assert near == expected
    assert min(found["similarity"].to_pylist()) >= 0.75
    rng = random.Random(1)
    for num_buckets, blocks in ((1, 1), (7, 4), (64, 94)):
        rng.shuffle(pages)
        assert clusters_of_pages(pages, num_buckets=num_buckets, blocks=blocks).equals(found)
