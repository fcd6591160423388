"""Permutations of 0..n-1 that are computed and not stored, from a seed, the same on every machine.

A Feistel network over the smallest even number of bits that holds n, walked until it lands below n
again (Black & Rogaway 2002, cycle walking): at most 4 n values, so 4 turns in the mean. The mixing
function is splitmix64 (Steele et al. 2014). Nothing depends on numpy's random generators, whose
streams may change between releases.
"""

import numpy as np
import numpy.typing as npt

ROUNDS = 6
_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15

Words = npt.NDArray[np.uint64]


def mix(words: Words) -> Words:
    """The finalizer of splitmix64: a bijection of 64-bit words that looks random."""
    with np.errstate(over="ignore"):
        words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return words ^ (words >> np.uint64(31))


def mix_one(word: int) -> int:
    """`mix` of an integer, taken modulo 2^64."""
    word &= _MASK
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _MASK
    return word ^ (word >> 31)


def derive(seed: int, *numbers: int) -> int:
    """A 64-bit key of a seed and of numbers, in their order."""
    key = mix_one(seed + _GAMMA)
    for number in numbers:
        key = mix_one(key ^ mix_one(number + _GAMMA))
    return key


def hash_numbers(key: int, numbers: npt.NDArray[np.int64]) -> Words:
    """A 64-bit hash of each number under a key of `derive`; different numbers never collide."""
    return mix(np.asarray(numbers).astype(np.uint64) ^ np.uint64(key))


def permute(key: int, size: int, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where a permutation of 0..size-1 sends each number.

    Args:
        key: Of `derive`; another key is another permutation.
        size: n, at least 1 and below 2^62.
        numbers: int64 in [0, size).
    """
    half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
    low = np.uint64((1 << int(half)) - 1)
    keys = [np.uint64(derive(key, turn)) for turn in range(ROUNDS)]
    values = np.asarray(numbers).astype(np.uint64)
    walking = np.arange(len(values))
    while len(walking):
        at = values[walking]
        left, right = at >> half, at & low
        for round_key in keys:
            left, right = right, left ^ (mix(right ^ round_key) & low)
        at = (left << half) | right
        values[walking] = at
        walking = walking[at >= np.uint64(size)]
    return values.astype(np.int64)
