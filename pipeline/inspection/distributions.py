"""Measures of many numbers: of a query's, or of values that were counted."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Json = dict[str, Any]

QUANTILES = (0.5, 0.95)
ASPECT_EDGES = (1.0, 1.25, 1.5, 2.0, 3.0, 5.0)
"""Lower edges of the bins of an aspect ratio."""
DIGITS = 4
"""Digits behind the point that are told."""

_BINARY_BIN = "CASE WHEN x < 1 THEN 0 ELSE CAST(pow(2, floor(log2(x))) AS BIGINT) END"
_PENDING = 1 << 20
"""Values that wait to be counted."""


@dataclass
class ValueCounts:
    """How often each value occurs; memory is bounded by the distinct ones."""

    values: npt.NDArray[Any] = field(default_factory=lambda: np.zeros(0))
    """Sorted, distinct; what still waits is not among them."""
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    _pending: list[npt.NDArray[Any]] = field(default_factory=list)

    @classmethod
    def of(cls, counts: Counter[Any]) -> "ValueCounts":
        """From numbers that were counted one by one."""
        values = sorted(counts)
        return cls(np.array(values), np.array([counts[value] for value in values], np.int64))

    def add(self, values: npt.NDArray[Any]) -> None:
        """Count each value of an array."""
        self._pending.append(values)
        if sum(map(len, self._pending)) >= _PENDING:
            self.settle()

    def settle(self) -> None:
        """Count what waits."""
        if not self._pending:
            return
        more, times = np.unique(np.concatenate(self._pending), return_counts=True)
        self._pending = []
        if not len(self.values):
            self.values, self.counts = more, times
            return
        both = np.concatenate([self.values, more])
        self.values, at = np.unique(both, return_inverse=True)
        summed = np.zeros(len(self.values), np.int64)
        np.add.at(summed, at, np.concatenate([self.counts, times]))
        self.counts = summed

    def distribution(self, edges: tuple[float, ...] | None = None) -> Json | None:
        """The measures that `distribution` gives of a query."""
        self.settle()
        if not len(self.values):
            return None
        sums = np.cumsum(self.counts)
        total = int(sums[-1])
        ranks = [max(1, int(np.ceil(total * share))) for share in QUANTILES]
        median, p95 = (self.values[np.searchsorted(sums, rank)].item() for rank in ranks)
        lower: npt.NDArray[Any] = np.array(edges)
        if edges is None:
            lower = np.array([0, *(1 << power for power in range(63))], np.int64)
        bins = np.bincount(
            np.searchsorted(lower, self.values, "right") - 1, self.counts, len(lower)
        ).astype(np.int64)
        return {
            "count": total,
            "min": rounded(self.values[0].item()),
            "median": rounded(median),
            "mean": round(float(self.values @ self.counts) / total, DIGITS),
            "p95": rounded(p95),
            "max": rounded(self.values[-1].item()),
            "histogram": histogram(
                {lower[at].item(): int(bins[at]) for at in np.flatnonzero(bins)}, edges
            ),
        }


def distribution(con: Any, source: str, edges: tuple[float, ...] | None = None) -> Json | None:
    """Measures of the column `x` of a query; None where it has no value.

    Args:
        con: The connection.
        source: SQL that gives one column `x` of numbers.
        edges: Lower edges of the bins; by default 0, 1, 2, 4, 8, ...

    Returns:
        `count`, `min`, `median`, `mean`, `p95`, `max`, and `histogram`, a list of `from` (the lower
        edge of a bin) and `count`, from the first bin that has values to the last. The median and
        the 95th percentile are values that occur: the smallest with at least that share at or
        below it.
    """
    quantiles = f"quantile_disc(x, [{', '.join(map(str, QUANTILES))}])"
    binned = _BINARY_BIN
    if edges is not None:
        binned = f"list_max(list_filter([{', '.join(map(str, edges))}], lambda edge: edge <= x))"
    row = con.execute(
        f"SELECT count(x), min(x), {quantiles}, avg(x), max(x), histogram({binned}) FROM ({source})"
    ).fetchone()
    count, least, found, mean, most, bins = row
    if not count:
        return None
    return {
        "count": count,
        "min": rounded(least),
        "median": rounded(found[0]),
        "mean": round(mean, DIGITS),
        "p95": rounded(found[1]),
        "max": rounded(most),
        "histogram": histogram(bins, edges),
    }


def rounded(value: float) -> float:
    """A number as it is told."""
    return round(value, DIGITS) if isinstance(value, float) else value


def histogram(bins: Mapping[float, int], edges: tuple[float, ...] | None) -> list[Json]:
    """Bins (lower edge -> count) without a gap, so that bars stand at their true distance."""
    if edges is None:
        edges = (0, *(1 << power for power in range(int(max(bins)).bit_length())))
    return [
        {"from": edge, "count": bins.get(edge, 0)}
        for edge in edges
        if min(bins) <= edge <= max(bins)
    ]
