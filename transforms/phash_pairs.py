"""All pairs of 64-bit hashes that differ in a few bits, found in buckets and not each with each.

The bits are cut into blocks. Of two hashes that differ in at most d bits at most d blocks differ,
so with d + r blocks they agree in r of them at least. A *band* is a choice of r blocks: each hash
is dealt once for each band by its bits there, and hashes that meet are compared. r is such that
these keys are long (distance 4: 15 bands, two of six blocks each, 20 bits). This is multi-index
hashing (Norouzi, Punjani and Fleet 2012) as a join.

Many hashes that agree in a band are dealt again by the bits that are left, in d + 1 blocks, so the
answer stays exact for any honest number of them. What is too many even then is cut into runs that
are compared each with each, and their firsts with the first of all: pairs are lost there, no hash
is, and the work is at most that of a run for each hash and key. Nothing depends on the order of
rows or the number of buckets.
"""

from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Bands = npt.NDArray[np.uint16]
Indices = npt.NDArray[np.int64]

MAX_DISTANCE = 6
"""Beyond this a hash would need hundreds of bands, and different pictures would meet."""
MAX_GROUP = 512
"""Hashes that are compared each with each."""

_BITS = 64
_KEY_BITS = 18
"""Bits of a key at least: a quarter of a million keys, so a million hashes meet in fours."""
_ROUNDS = 2
"""How often a large group is dealt again before it is cut."""
_MIX = np.uint64(0x9FB21C651E98DF25)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of hashes, and what was lost on the way."""

    a: Hashes
    """Sorted by `a`, `b`; `a` is below `b`."""
    b: Hashes
    split_groups: int
    """Groups that were too large to be compared each with each."""
    split_rows: int
    """Hashes in them."""


@cache
def band_masks(distance: int) -> tuple[int, ...]:
    """The bits of each band, for pairs that differ in at most `distance` bits, 1 to 6."""
    assert 1 <= distance <= MAX_DISTANCE
    agree = 1
    while agree * (_BITS // (distance + agree)) < _KEY_BITS:
        agree += 1
    blocks = _cut(list(range(_BITS)), distance + agree)
    return tuple(sum(chosen) for chosen in combinations(blocks, agree))


def _cut(bits: list[int], count: int) -> list[int]:
    """Some bits as `count` masks of nearly equal size."""
    ends = [len(bits) * number // count for number in range(count + 1)]
    return [sum(1 << bit for bit in bits[begin:end]) for begin, end in pairwise(ends)]


def deal_hashes(hashes: Hashes, distance: int, buckets: int) -> tuple[Bands, Hashes, Indices]:
    """Every hash once a band: the band, the hash, and the bucket where it meets others."""
    masks = band_masks(distance)
    bands = np.repeat(np.arange(len(masks), dtype=np.uint16), len(hashes))
    dealt = np.tile(hashes, len(masks))
    keys = dealt & np.repeat(np.array(masks, np.uint64), len(hashes))
    mixed = (keys + bands.astype(np.uint64)) * _MIX
    mixed ^= mixed >> np.uint64(29)
    return bands, dealt, (mixed % np.uint64(buckets)).astype(np.int64)


def find_pairs(bands: Bands, hashes: Hashes, distance: int, most: int = MAX_GROUP) -> Pairs:
    """The pairs of hashes that agree in a band and differ in at most `distance` bits.

    Args:
        bands: The band under which each hash was dealt, in any order and with repetition.
        hashes: The hashes.
        distance: Bits in which a pair may differ, 1 to `MAX_DISTANCE`.
        most: Size above which a group is dealt again, then split.
    """
    search = _Search(distance, most)
    for number, mask in enumerate(band_masks(distance)):
        chosen = np.sort(hashes[bands == number])
        starts, _ = _runs(chosen)
        search.agreeing(chosen[starts], mask, (1 << _BITS) - 1 - mask, _ROUNDS)
    return search.result()


class _Search:
    """Collects pairs."""

    def __init__(self, distance: int, most: int) -> None:
        self._distance = distance
        self._most = most
        self._found: list[tuple[Hashes, Hashes]] = [(np.zeros(0, np.uint64),) * 2]
        self._splits: list[int] = []

    def agreeing(self, hashes: Hashes, mask: int, free: int, rounds: int) -> None:
        """Pairs of distinct, sorted hashes that agree in a mask, and so differ in `free` only."""
        keys = hashes & np.uint64(mask)
        order = np.argsort(keys, kind="stable")
        hashes, keys = hashes[order], keys[order]
        starts, sizes = _runs(keys)
        small = np.repeat(sizes, sizes) <= self._most
        self._compare(hashes[small], keys[small])
        bits = [bit for bit in range(_BITS) if free >> bit & 1]
        for large in np.flatnonzero(sizes > self._most):
            group = hashes[starts[large] : starts[large] + sizes[large]]
            if not rounds or len(bits) <= self._distance:
                self._split(group)
                continue
            for again in _cut(bits, self._distance + 1):
                self.agreeing(group, again, free & ~again, rounds - 1)

    def _split(self, hashes: Hashes) -> None:
        self._splits.append(len(hashes))
        self._compare(hashes, np.arange(len(hashes)) // self._most)
        heads = hashes[self._most :: self._most]
        self._keep(np.full(len(heads), hashes[0]), heads)

    def _compare(self, hashes: Hashes, groups: npt.NDArray[np.generic]) -> None:
        """Compare each with each of the hashes of one group; those stand side by side."""
        _, sizes = _runs(groups)
        ends = np.repeat(np.cumsum(sizes), sizes)
        left, offset = np.arange(len(hashes)), 1
        while len(left := left[left + offset < ends[left]]):
            self._keep(hashes[left], hashes[left + offset])
            offset += 1

    def _keep(self, a: Hashes, b: Hashes) -> None:
        near = np.bitwise_count(a ^ b) <= self._distance
        if near.any():
            self._found.append((a[near], b[near]))

    def result(self) -> Pairs:
        """Everything found, each pair once."""
        a, b = (np.concatenate(column) for column in zip(*self._found, strict=True))
        low, high = np.minimum(a, b), np.maximum(a, b)
        order = np.lexsort((high, low))
        low, high = low[order], high[order]
        new = np.ones(len(low), bool)
        new[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
        return Pairs(low[new], high[new], len(self._splits), sum(self._splits))


def _runs(values: npt.NDArray[np.generic]) -> tuple[Indices, Indices]:
    """Where runs of equal values begin, and how long they are."""
    if not len(values):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
    return starts, np.diff(np.r_[starts, len(values)])
