"""The index answers as a comparison with every hash does."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from transforms.phash_index import PhashIndex

HASHES = np.random.default_rng(7).integers(0, 2**64, 20_000, dtype=np.uint64)
WORDS = st.integers(0, 2**64 - 1)


def brute_force(hashes, value, distance):
    best = min(((int(known) ^ value).bit_count() for known in hashes), default=65)
    return best if best <= distance else None


def flipped(value, bits):
    for bit in bits:
        value ^= 1 << bit
    return value


@pytest.mark.parametrize("distance", range(17))
def test_index_of_many_answers_as_brute_force(distance):
    index = PhashIndex(HASHES, distance)
    rng = np.random.default_rng(distance)
    for number in range(60):
        bits = rng.choice(64, rng.integers(0, distance + 3), replace=False)
        value = flipped(int(HASHES[number]), map(int, bits))
        differing = np.bitwise_count(HASHES ^ np.uint64(value)).min()
        expected = int(differing) if differing <= distance else None
        assert index.nearest(value) == expected
        assert index.nearest(value - 2**64 if value >> 63 else value) == expected


@pytest.mark.parametrize("distance", [0, 1, 2, 4, 7])
def test_every_hash_within_the_distance_is_found_wherever_it_differs(distance):
    """As many bits as are allowed, spread so that all chunks but one differ."""
    index = PhashIndex(HASHES, distance)
    value = int(HASHES[11])
    for shift in range(64):
        bits = {(shift + number * 64 // max(distance, 1)) % 64 for number in range(distance)}
        assert index.nearest(flipped(value, bits)) == len(bits)


@given(st.lists(WORDS, max_size=30), WORDS, st.integers(0, 16))
@example([0], 2**64 - 1, 16)
@example([2**64 - 1, 0], 1, 0)
def test_index_of_few_answers_as_brute_force(hashes, value, distance):
    index = PhashIndex(np.array(hashes, np.uint64), distance)
    assert len(index) == len(set(hashes))
    assert index.nearest(value) == brute_force(hashes, value, distance)


@settings(max_examples=25)
@given(st.integers(0, 2**16), st.integers(0, 7), st.lists(st.integers(0, 63), max_size=9))
def test_index_of_similar_hashes_answers_as_brute_force(start, distance, bits):
    """Most chunks of these are equal, so that whole chunks match for every hash."""
    hashes = np.arange(start, start + 5000, dtype=np.uint64)
    value = flipped(start, bits)
    differing = int(np.bitwise_count(hashes ^ np.uint64(value)).min())
    expected = differing if differing <= distance else None
    assert PhashIndex(hashes, distance).nearest(value) == expected


@pytest.mark.parametrize("distance", [0, 1, 4, 7, 8, 16])
def test_all_hashes_within_the_distance_are_given(distance):
    index = PhashIndex(HASHES, distance)
    rng = np.random.default_rng(distance)
    for number in range(40):
        bits = rng.choice(64, rng.integers(0, distance + 3), replace=False)
        value = flipped(int(HASHES[number]), map(int, bits))
        near = np.unique(HASHES[np.bitwise_count(HASHES ^ np.uint64(value)) <= distance])
        assert index.within(value).tolist() == near.tolist()
        assert index.within(value - 2**64 if value >> 63 else value).tolist() == near.tolist()
