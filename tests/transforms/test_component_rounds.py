"""The components of edges: in one process, in rounds, and as a plain search finds them."""

import random
import tempfile
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.ids import digest
from tests.components import Pairs, commit_edges, label_files, labels_of, searched
from transforms.component_labels import label_buckets
from transforms.component_rounds import large_star, most_rounds, small_star
from transforms.id_numbers import distinct, from_column, numbers_of, to_column
from transforms.signed_pages import DedupConfig


def labelled(pairs: Pairs, one_process: int, buckets: int, seed: int) -> tuple[dict[str, str], int]:
    rng = random.Random(seed)
    config = DedupConfig(buckets=buckets, one_process_edges=one_process)
    with tempfile.TemporaryDirectory() as output:
        cut = [pairs[number::3] for number in range(3)]
        made = [commit_edges(output, f"edges-{n}", part) for n, part in enumerate(cut)]
        found = [path for part in made for path in part.files.get("edges", {}).values()]
        files, rounds = label_files(output, found, len(pairs), config, rng)
        return labels_of(output, files, label_buckets(config, len(pairs))), rounds


def named(*numbers: int) -> tuple[str, ...]:
    return tuple(digest(number) for number in numbers)


# Ids of which many share their first or last 64 bits too.
ids = st.integers(0, 30).map(digest) | st.tuples(st.integers(0, 3), st.integers(0, 3)).map(
    lambda halves: f"{halves[0]:016x}{halves[1]:016x}"
)


@given(st.lists(st.tuples(ids, ids), max_size=40), st.integers(1, 5), st.integers(0, 9))
@settings(deadline=None, max_examples=40)
def test_one_process_and_rounds_find_what_a_search_finds(
    pairs: Pairs, buckets: int, seed: int
) -> None:
    expected = searched(pairs)
    assert labelled(pairs, len(pairs), buckets, seed)[0] == expected
    if pairs:
        found, rounds = labelled(pairs, 0, buckets, seed)
        assert found == expected
        assert 1 <= rounds <= most_rounds(len(pairs))


def in_order(pairs: int) -> Pairs:
    chain = sorted(named(*range(pairs + 1)))
    return list(pairwise(chain))


SHAPES = {
    "chain": [named(number, number + 1) for number in range(1000)],
    "chain in the order of ids": in_order(1000),
    "star": [named(0, number) for number in range(1, 1001)],
    "cycle": [named(number, (number + 1) % 1000) for number in range(1000)],
    "pairs": [named(2 * number, 2 * number + 1) for number in range(500)],
    "tree": [named(number, number // 2) for number in range(1, 1000)],
    "two stars joined by a chain": [
        *(named(0, number) for number in range(1, 300)),
        *(named(number, number + 1) for number in range(299, 700)),
        *(named(700, number) for number in range(701, 1000)),
    ],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_rounds_are_few(shape: str) -> None:
    pairs = SHAPES[shape]
    expected = searched(pairs)
    assert labelled(pairs, len(pairs), 7, 1)[0] == expected
    found, rounds = labelled(pairs, 0, 7, 1)
    assert found == expected
    assert rounds <= 2 + np.log2(1000)


def test_a_hub_costs_no_more_links_than_it_has() -> None:
    ids = numbers_of(pa.chunked_array([sorted(named(*range(1001)))]))
    hub = np.repeat(ids[500:501], 1000, axis=0)
    others = np.delete(ids, 500, axis=0)
    links = large_star(np.concatenate([hub, others]), np.concatenate([others, hub]))
    assert len(links[0]) == 1000
    assert links[2].sum() == 500  # the larger ones hang on the smallest instead of the hub
    again = small_star(*links)
    assert len(again[0]) == 1000
    assert (again[1] == ids[0]).all()


def test_record_read_twice_is_no_link(tmp_path) -> None:
    a = digest("a")
    made = commit_edges(str(tmp_path), "edges-0", [(a, a)])
    path = made.files["edges"]["edges-0"]
    config = DedupConfig(one_process_edges=0)
    files, rounds = label_files(str(tmp_path), [path], 1, config, random.Random(0))
    assert (files, rounds) == ({}, 1)


@given(st.lists(ids))
@settings(deadline=None)
def test_ids_keep_their_order_as_numbers(found: list[str]) -> None:
    column = pa.chunked_array([pa.array(["x" * 7, *found], pa.string())[1:], found[:3]])
    numbers = numbers_of(column)
    assert [f"{high:016x}{low:016x}" for high, low in numbers.tolist()] == column.to_pylist()
    assert (from_column(pa.chunked_array([to_column(numbers)])) == numbers).all()
    values, places = distinct(numbers)
    told = [f"{high:016x}{low:016x}" for high, low in values.tolist()]
    assert told == sorted(set(found))
    assert [told[place] for place in places.tolist()] == column.to_pylist()


def test_no_id_is_taken_for_another() -> None:
    for wrong in ("a" * 31, "a" * 33, ""):
        with pytest.raises(ValueError, match="32 digits"):
            numbers_of(pa.chunked_array([["a" * 32, wrong]]))
