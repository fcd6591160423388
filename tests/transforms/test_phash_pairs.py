"""Pairs of near hashes are those that comparing each with each finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.phash_pairs import MAX_DISTANCE, Pairs, band_masks, deal_hashes, find_pairs

WORDS = st.integers(0, 2**64 - 1)
BITS = st.lists(st.integers(0, 63), max_size=MAX_DISTANCE + 1)


def search(hashes: np.ndarray, distance: int, buckets: int, most: int = 512) -> set[tuple]:
    """The pairs that all buckets find together."""
    bands, dealt, where = deal_hashes(hashes, distance, buckets)
    found: set[tuple[int, int]] = set()
    for number in range(buckets):
        chosen = np.flatnonzero(where == number)[::-1]
        pairs = find_pairs(bands[chosen], dealt[chosen], distance, most)
        assert (pairs.a < pairs.b).all()
        found |= pair_set(pairs)
    return found


def pair_set(pairs: Pairs) -> set[tuple]:
    rows = list(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True))
    assert rows == sorted(set(rows))
    return set(rows)


def brute_force(hashes: np.ndarray, distance: int) -> set[tuple]:
    known = np.unique(hashes)
    near = np.bitwise_count(known[:, None] ^ known[None, :]) <= distance
    a, b = np.nonzero(np.triu(near, 1))
    return set(zip(known[a].tolist(), known[b].tolist(), strict=True))


@pytest.mark.parametrize("distance", range(1, MAX_DISTANCE + 1))
def test_a_band_is_long_and_any_few_bits_leave_one_whole(distance: int) -> None:
    masks = band_masks(distance)
    assert min(mask.bit_count() for mask in masks) >= 18
    assert len(set(masks)) == len(masks) <= 84
    rng = np.random.default_rng(distance)
    for _ in range(500):
        flipped = sum(1 << int(bit) for bit in rng.choice(64, distance, replace=False))
        assert any(not mask & flipped for mask in masks)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(WORDS, st.lists(BITS, max_size=8)), max_size=6),
    st.integers(1, MAX_DISTANCE),
    st.integers(1, 5),
)
def test_pairs_are_those_of_a_plain_search(
    seeds: list[tuple[int, list[list[int]]]], distance: int, buckets: int
) -> None:
    drawn = []
    for seed, copies in seeds:
        drawn.append(seed)
        for bits in copies:
            copy = seed
            for bit in bits:
                copy ^= 1 << bit
            drawn.append(copy)
    hashes = np.array(drawn, np.uint64)
    assert search(hashes, distance, buckets) == brute_force(hashes, distance)


@pytest.mark.parametrize("distance", [1, 2, 4, 6])
def test_crowds_are_dealt_again_and_stay_exact(distance: int) -> None:
    rng = np.random.default_rng(7)
    # All agree in 40 bits, which is in many bands: every group is far above its limit.
    free = rng.choice(64, 22, replace=False)
    hashes = np.zeros(800, np.uint64)
    for bit in free:
        hashes |= rng.integers(0, 2, len(hashes)).astype(np.uint64) << np.uint64(bit)
    expected = brute_force(hashes, distance)
    assert expected or distance < 4
    assert search(hashes, distance, 3, most=64) == expected


def test_what_cannot_be_told_apart_is_split_and_told() -> None:
    # Two bits of twenty-four are set: everything lies within 4 of everything.
    ball = [1 << a | 1 << b for a in range(24) for b in range(a)]
    hashes = np.array(ball, np.uint64)
    bands, dealt, _ = deal_hashes(hashes, 4, 1)
    pairs = find_pairs(bands, dealt, 4, most=16)
    assert pairs.split_groups > 0
    assert pairs.split_rows > 16 * pairs.split_groups
    assert pair_set(pairs) < brute_force(hashes, 4)
    again = find_pairs(bands[::-1], dealt[::-1], 4, most=16)
    assert pair_set(again) == pair_set(pairs)
    assert {end for pair in pair_set(pairs) for end in pair} == set(hashes.tolist()), (
        "none is cut off"
    )


@pytest.mark.parametrize("hashes", [[], [5], [5, 5, 5]])
def test_nothing_to_pair(hashes: list[int]) -> None:
    assert search(np.array(hashes, np.uint64), 4, 2) == set()
