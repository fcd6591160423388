"""The exact cutoff of a fraction, against a plain sort."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms import top_fraction
from transforms.top_fraction import (
    Cutoff,
    count_part,
    merge_counts,
    narrow,
    order_bits,
    passes,
    rows_kept,
    start_search,
)

Part = tuple[np.ndarray, pa.Array]


def find_cutoff(fraction: float, parts: list[Part]) -> tuple[Cutoff, int]:
    """The cutoff over all parts, and how many passes it took."""
    state: object = start_search(fraction)
    rounds = 0
    while not isinstance(state, Cutoff):
        answers = [count_part(state, values, keys) for values, keys in parts]
        state = narrow(state, merge_counts(state, answers))
        rounds += 1
    return state, rounds


def as_part(values: list[float | None], first: int = 0) -> Part:
    numbers = np.array([math.nan if value is None else value for value in values], np.float64)
    return numbers, pa.array([f"id{first + row}" for row in range(len(values))], pa.string())


def brute_force(fraction: float, values: list[float | None]) -> set[int]:
    """The rows to keep by a plain sort: value down, hash of the key up."""
    rows = [row for row, value in enumerate(values) if value is not None]
    rows.sort(key=lambda row: (-values[row], xxhash.xxh3_64_intdigest(f"id{row}".encode())))  # type: ignore[operator]
    return set(rows[: math.ceil(Fraction(repr(fraction)) * len(rows))])


finite = st.floats(allow_nan=False, allow_infinity=False)
few = st.sampled_from([0.0, -0.0, 1.0, 1.0000000000000002, -1.0, 5e-324, 0.3])
columns = st.lists(st.none() | few | finite, max_size=60)


@settings(max_examples=300, deadline=None)
@given(columns, st.floats(0.01, 1), st.data())
def test_any_split_into_parts_keeps_what_a_sort_keeps(
    values: list[float | None], fraction: float, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=4)))
    bounds = [0, *cuts, len(values)]
    parts = [as_part(values[a:b], a) for a, b in itertools.pairwise(bounds)]
    limit = data.draw(st.sampled_from([0, 2, 1000]))
    with pytest.MonkeyPatch.context() as patch:
        # A small limit forces the passes that count further digits, down to the key's hash.
        patch.setattr(top_fraction, "COLLECT_LIMIT", limit)
        cutoff, rounds = find_cutoff(fraction, data.draw(st.permutations(parts)))
    kept = passes(cutoff, *as_part(values))
    assert set(np.flatnonzero(kept).tolist()) == brute_force(fraction, values)
    assert cutoff.kept == int(kept.sum())
    assert cutoff.rows == sum(value is not None for value in values)
    assert rounds <= 6


@given(st.lists(finite, min_size=2, max_size=20))
def test_bits_order_as_the_values_do_largest_first(values: list[float]) -> None:
    numbers = np.array(values)
    by_bits = numbers[np.argsort(order_bits(numbers), kind="stable")]
    assert by_bits.tolist() == sorted(values, reverse=True)


def test_minus_zero_ties_with_zero() -> None:
    assert len(set(order_bits(np.array([0.0, -0.0])).tolist())) == 1


@pytest.mark.parametrize(
    ("fraction", "rows", "kept"),
    [(0.1, 10, 1), (0.3, 10, 3), (0.3, 11, 4), (0.01, 1, 1), (1.0, 7, 7), (1, 7, 7), (0.5, 0, 0)],
)
def test_number_kept_is_the_ceiling_of_the_decimal_fraction(
    fraction: float, rows: int, kept: int
) -> None:
    assert rows_kept(fraction, rows) == kept


def test_ordinary_scores_need_two_passes() -> None:
    scores = np.random.default_rng(0).normal(0.25, 0.05, 10_000)
    keys = pa.array([f"id{row}" for row in range(10_000)])
    cutoff, rounds = find_cutoff(0.3, [(scores, keys)])
    assert rounds == 2
    assert cutoff.value == np.sort(scores)[::-1][2999]


def test_one_value_everywhere_is_cut_by_the_keys_with_bounded_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(top_fraction, "COLLECT_LIMIT", 100)
    values, keys = np.full(5000, 0.5), pa.array([f"id{row}" for row in range(5000)])
    state: object = start_search(0.2)
    largest = 0
    while not isinstance(state, Cutoff):
        answer = merge_counts(state, [count_part(state, values, keys)])
        largest = max(largest, len(answer.first)) if state.collect else largest
        state = narrow(state, answer)
    kept = passes(state, values, keys)
    assert int(kept.sum()) == 1000
    assert largest <= 100
    hashes = [xxhash.xxh3_64_intdigest(key.encode()) for key in keys.to_pylist()]
    assert sorted(np.array(hashes, np.uint64)[kept].tolist()) == sorted(hashes)[:1000]


def test_no_value_at_all_keeps_nothing() -> None:
    part = as_part([None, None])
    cutoff, _ = find_cutoff(0.5, [part])
    assert cutoff == Cutoff(0.5, 0, None)
    assert cutoff.value is None
    assert not passes(cutoff, *part).any()


@pytest.mark.parametrize("fraction", [0, -0.1, 1.5, math.nan])
def test_fraction_out_of_range_is_a_bug(fraction: float) -> None:
    with pytest.raises(ValueError, match="a fraction is above 0"):
        start_search(fraction)
