"""Keys of pages, and the pairs that follow: against brute force, whatever the order of rows."""

from itertools import combinations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.duplicate_keys import (
    KEY_SCHEMA,
    KINDS,
    NEAR_TEXT,
    SPLIT,
    key_rows,
    node_numbers,
    pairs_of_keys,
    part_of,
    row_of,
)
from transforms.minhash import MinHashConfig, signatures, text_hash

CONFIG = MinHashConfig()


def key_table(rows):
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, KEY_SCHEMA, strict=True)]
    return pa.table(arrays, schema=KEY_SCHEMA)


def pair_set(pairs):
    return {tuple(row.values()) for row in pairs.to_pylist()}


def test_nodes_name_part_and_row():
    nodes = node_numbers(70_000, np.array([0, 5, 2**32 - 1]))
    assert part_of(nodes).tolist() == [70_000] * 3
    assert row_of(nodes).tolist() == [0, 5, 2**32 - 1]


def test_a_page_has_a_row_for_each_key():
    texts = [
        "a page of some words that are enough",
        "",
        "a page of some words that are enough",
        "b",
    ]
    rows = key_rows(
        3,
        [f"{number:032x}" for number in range(4)],
        [text_hash(text) if text else "" for text in texts],
        ["http://a/", "http://b/", "", "http://a/"],
        signatures(texts, CONFIG),
        CONFIG,
    )
    assert rows.schema == KEY_SCHEMA
    found = {}
    for row in rows.to_pylist():
        assert row["node"] >> 32 == 3
        found.setdefault((KINDS[row["kind"]], row["node"] & 0xFFFFFFFF), []).append(
            (row["key"], row["check"])
        )
    assert {key: len(values) for key, values in found.items()} == {
        **{("near_text", row): CONFIG.bands for row in (0, 2, 3)},
        **{("record", row): 1 for row in range(4)},
        **{("text", row): 1 for row in (0, 2, 3)},
        **{("url", row): 1 for row in (0, 1, 3)},
    }
    assert found["near_text", 0] == found["near_text", 2] != found["near_text", 3]
    assert found["text", 0] == found["text", 2] != found["text", 3]
    assert found["url", 0] == found["url", 3] != found["url", 1]
    assert len({check for _, check in found["near_text", 0]}) == 1
    assert len({key for key, _ in found["near_text", 0]}) == CONFIG.bands


def test_what_counts_as_one_page_can_be_given():
    texts = ["a page of some words", "", "a page of some words"]
    ids, urls = [f"{number:032x}" for number in range(3)], [""] * 3
    same = np.array([7, 8, 9], np.uint64)
    rows = key_rows(0, ids, urls, urls, signatures(texts, CONFIG), CONFIG, same).to_pylist()
    found = {(row["node"], row["check"]) for row in rows if row["kind"] == 0}
    assert found == {(0, 7), (2, 9)}


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 4), st.integers(0, 40)),
        max_size=80,
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=150, deadline=None)
def test_pairs_are_those_that_share_a_key(rows, rng):
    # A node has one check, as a page has one signature.
    rows = sorted({(kind, key, check, 50 * check + node) for kind, key, check, node in rows})
    mixed = list(rows)
    rng.shuffle(mixed)
    found = pairs_of_keys(key_table(mixed))
    assert found.equals(pairs_of_keys(key_table(rows)))
    pairs = pair_set(found)
    assert len(pairs) == len(found)
    assert all(a < b for _, a, b in pairs)
    groups = {}
    for kind, key, check, node in rows:
        exact = (check,) if kind != NEAR_TEXT else ()
        groups.setdefault((kind, key, *exact), {}).setdefault(check, []).append(node)
    expected = set()
    for (kind, *_), by_check in groups.items():
        leaders = [min(nodes) for nodes in by_check.values()]
        expected |= {(kind, *sorted(pair)) for pair in combinations(leaders, 2)}
        for nodes in by_check.values():
            expected |= {(kind, min(nodes), node) for node in nodes if node != min(nodes)}
    assert pairs == expected


def test_large_group_is_split_and_stays_one_component():
    rows = [(NEAR_TEXT, 7, check, 1000 + check) for check in range(25)]
    rows += [(NEAR_TEXT, 8, check, 1000 + check) for check in range(4)]
    found = pair_set(pairs_of_keys(key_table(rows), most=4))
    assert {pair for pair in found if pair[0] == SPLIT} == {(SPLIT, 1000, 25)}
    pairs = {(a, b) for kind, a, b in found if kind == NEAR_TEXT}
    stars = {(1000 + check // 4 * 4, 1000 + check) for check in range(25) if check % 4}
    heads = {(1000, 1000 + check) for check in range(4, 25, 4)}
    each = {(1000 + a, 1000 + b) for a, b in combinations(range(4), 2)}
    assert pairs == stars | heads | each


def test_equal_signatures_count_once_however_many():
    rows = [(NEAR_TEXT, 7, 1, node) for node in range(1000)] + [(NEAR_TEXT, 7, 2, 5000)]
    found = pair_set(pairs_of_keys(key_table(rows)))
    assert found == {(NEAR_TEXT, 0, node) for node in range(1, 1000)} | {(NEAR_TEXT, 0, 5000)}


def test_no_rows_make_no_pairs():
    assert len(pairs_of_keys(key_table([]))) == 0
