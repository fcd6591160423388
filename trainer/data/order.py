"""The global order: which pack of which source stands at a position, and which rank computes it.

All of it is a function of the position alone, at the same cost everywhere. The sources follow each
other by a periodic table of their integer weights; the n-th pack that is taken of a source is one
of its epoch n // packs, permuted anew each epoch. Step k is the packs at positions [k G, (k+1) G):
how many ranks share them, and in how many micro-steps, changes nothing about the set.
"""

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from schemas.errors import RecipeError
from schemas.ids import digest
from trainer.data.permutation import derive, permute

ORDER_VERSION = 1
"""Raised when a position becomes another pack than before."""
MAX_PERIOD = 1_000_000
"""Largest sum of weights, divided by what they have in common: the table has that many entries."""

Numbers = npt.NDArray[np.int64]


class Packs(Protocol):
    """What the order needs of a plan."""

    @property
    def packs(self) -> int:
        """Packs of an epoch."""

    @property
    def fingerprint(self) -> str:
        """A hash of the plan."""

    @property
    def image_counts(self) -> npt.NDArray[np.int32]:
        """Images of each pack."""


def source_table(weights: tuple[int, ...]) -> npt.NDArray[np.int32]:
    """Sources in their periodic order, by error diffusion: each as evenly spread as can be.

    Every source gains its weight at each position, and the one with the most gives the whole sum
    for it; the first of those with the same. A period is the sum of the weights, divided by what
    they have in common, and holds each source exactly as often as its weight says.

    Raises:
        RecipeError: The table would be too long.
    """
    common = math.gcd(*weights)
    parts = np.array([weight // common for weight in weights], np.int64)
    period = int(parts.sum())
    if period > MAX_PERIOD:
        raise RecipeError(
            f"data.sources: weights {', '.join(map(str, weights))} repeat only after {period} "
            f"packs; take smaller integers (at most {MAX_PERIOD} together)"
        )
    credit = np.zeros(len(weights), np.int64)
    table = np.empty(period, np.int32)
    for position in range(period):
        credit += parts
        table[position] = credit.argmax()
        credit[table[position]] -= period
    return table


def deal(images: list[int], ranks: int, before: list[int]) -> list[list[int]]:
    """Deal a row so that the ranks have images as evenly as a greedy choice makes them.

    Args:
        images: Images of each pack of the row, a multiple of `ranks` of them, from many to few.
        ranks: Ranks; each gets equally many packs.
        before: Images that each rank was dealt in earlier rows of the step; they settle ties, and
            those of this row are added.

    Returns:
        Numbers of packs in the row, by rank.
    """
    each = len(images) // ranks
    hands: list[list[int]] = [[] for _ in range(ranks)]
    sums = [0] * ranks
    for number, count in enumerate(images):
        rank = min(
            (rank for rank in range(ranks) if len(hands[rank]) < each),
            key=lambda rank: (sums[rank], before[rank] + sums[rank], rank),
        )
        hands[rank].append(number)
        sums[rank] += count
    for rank in range(ranks):
        before[rank] += sums[rank]
    return hands


@dataclass(frozen=True)
class Order:
    """The order of a training.

    Raises:
        RecipeError: Weights whose period is too long.
    """

    plans: tuple[Packs, ...]
    weights: tuple[int, ...]
    """Of each plan, above 0."""
    seed: int
    global_batch: int
    table: npt.NDArray[np.int32] = field(init=False, repr=False, compare=False)
    """Sources of a period."""
    _rank: Numbers = field(init=False, repr=False, compare=False)
    """How many of the same source stand before each in the table."""
    _in_period: Numbers = field(init=False, repr=False, compare=False)
    """How often each source stands in it."""

    def __post_init__(self) -> None:
        table = source_table(self.weights)
        rank = np.zeros(len(table), np.int64)
        for source in range(len(self.plans)):
            mine = table == source
            rank[mine] = np.arange(int(mine.sum()))
        object.__setattr__(self, "table", table)
        object.__setattr__(self, "_rank", rank)
        object.__setattr__(self, "_in_period", np.bincount(table, minlength=len(self.plans)))

    @property
    def period(self) -> int:
        """Positions after which the sources come in the same order again."""
        return len(self.table)

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides what stands at a position."""
        plans = ",".join(plan.fingerprint for plan in self.plans)
        weights = ",".join(map(str, self.weights))
        return digest("order", ORDER_VERSION, plans, weights, self.seed, self.global_batch)

    def _taken(self, positions: Numbers) -> tuple[Numbers, Numbers]:
        """Source of each position, and how many of it were taken before."""
        period, slot = np.divmod(positions, self.period)
        sources: Numbers = self.table[slot].astype(np.int64)
        taken = period * self._in_period[sources] + self._rank[slot]
        return sources, taken

    def sources_and_packs(self, positions: Numbers) -> tuple[Numbers, Numbers]:
        """Source and pack at each position, int64 both."""
        sources, taken = self._taken(np.asarray(positions, np.int64))
        packs = np.empty(len(sources), np.int64)
        for source in np.unique(sources).tolist():
            size = self.plans[source].packs
            mine = np.flatnonzero(sources == source)
            epochs, numbers = np.divmod(taken[mine], size)
            for epoch in np.unique(epochs).tolist():
                among = mine[epochs == epoch]
                key = derive(self.seed, ORDER_VERSION, source, epoch)
                packs[among] = permute(key, size, numbers[epochs == epoch])
        return sources, packs

    def epoch_of(self, position: int) -> tuple[int, int]:
        """Number of the source at a position, and how many times it was gone through before."""
        sources, taken = self._taken(np.array([position], np.int64))
        source = int(sources[0])
        return source, int(taken[0]) // self.plans[source].packs

    def step(self, step: int, ranks: int, micro_batch: int) -> list[list[list[int]]]:
        """Positions that a step is made of, by micro-step and rank: `micro_batch` for each.

        Packs with alike numbers of images are computed at the same time, since ranks wait for each
        other at every micro-step.

        Raises:
            RecipeError: `global_batch` is no multiple of `ranks` x `micro_batch`.
        """
        row = ranks * micro_batch
        if self.global_batch % row:
            raise RecipeError(
                f"data.global_batch: {self.global_batch} packed sequences cannot be dealt to "
                f"{ranks} ranks with data.micro_batch {micro_batch}: it must be a multiple of {row}"
            )
        positions = np.arange(step * self.global_batch, (step + 1) * self.global_batch)
        sources, packs = self.sources_and_packs(positions)
        images = np.empty(len(positions), np.int64)
        for source in np.unique(sources).tolist():
            mine = sources == source
            images[mine] = self.plans[source].image_counts[packs[mine]]
        by_images = np.argsort(-images, kind="stable")
        before = [0] * ranks
        dealt = []
        for first in range(0, len(positions), row):
            among = by_images[first : first + row]
            hands = deal(images[among].tolist(), ranks, before)
            dealt.append([positions[among[hand]].tolist() for hand in hands])
        return dealt
