"""Where the values of a rule are cut into bins, so that a count tells exactly what passes.

A cut is a number and a side: `(v, 0)` lies just below v, so that v is right of it; `(v, 1)` just
above. A limit of a rule is such a cut: `min` and `below` cut below their number, `max` and `above`
above it. Bin 0 is NULL, bin 1 is left of the first cut, and so on.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.gates import Outcome
from transforms.rules import RowRule

Cut = tuple[float, int]
Bins = npt.NDArray[np.int64]

MAX_VALUES = 20
"""Texts of a list that have a bin of their own."""
_DIGITS = 3
"""Of a cut between values, so that it reads well."""


def limit_cuts(rule: RowRule) -> tuple[Cut | None, Cut | None]:
    """The cuts at which a rule's lower and upper limit stand."""
    lower = None if rule.lower is None else (rule.lower, int(rule.above))
    upper = None if rule.upper is None else (rule.upper, int(not rule.below))
    return lower, upper


def choose_cuts(
    rule: RowRule | None, limits: Sequence[float], values: npt.NDArray[np.float64], count: int
) -> list[Cut]:
    """Cuts at round numbers, about as many values between any two, and at the rule's limits.

    Args:
        rule: Tells the side of its limits; without one all cuts lie below their number.
        limits: Numbers that must be among the cuts.
        values: Some of those that will be counted, without NaN.
        count: Numbers that are cut at, but for the limits.
    """
    lower, upper = (None, None) if rule is None else limit_cuts(rule)
    sides = sorted({cut[1] for cut in (lower, upper) if cut is not None}) or [0]
    points = {float(limit) for limit in limits} | _round_points(values, count)
    return sorted((point, side) for point in points for side in sides)


def _round_points(values: npt.NDArray[np.float64], count: int) -> set[float]:
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return set()
    distinct = np.unique(finite)
    if len(distinct) <= count:
        return set(distinct.tolist())
    # Ranks show where the rows are, and even steps what is rare.
    shares = np.linspace(0, 1, count - count // 3)
    found = [*np.quantile(finite, shares, method="lower"), *_even(distinct, count // 3)]
    rounded = {float(f"{value:.{_DIGITS}g}") for value in found}
    if bool(np.all(distinct == np.floor(distinct))):
        rounded = {float(round(value)) for value in rounded}
    return rounded


def _even(distinct: npt.NDArray[np.float64], count: int) -> list[float]:
    # Without the last hundredth: one page of a million words is no reason for a step of a tenth.
    least, most = np.quantile(distinct, [0.0, 0.99])
    return list(np.linspace(least, most, count))


def bins_of_numbers(values: npt.NDArray[np.float64], cuts: Sequence[Cut]) -> Bins:
    """The bin of each value; 0 of NaN."""
    below = np.array([value for value, side in cuts if side == 0])
    above = np.array([value for value, side in cuts if side == 1])
    bins: Bins = (
        1 + np.searchsorted(below, values, "right") + np.searchsorted(above, values, "left")
    ).astype(np.int64)
    bins[np.isnan(values)] = 0
    return bins


def numbers_of(outcome: Outcome) -> npt.NDArray[np.float64] | None:
    """Values of a rule as numbers, NaN for NULL; None where they are none."""
    if outcome.values is None:
        return None
    values: npt.NDArray[np.float64] = outcome.values.cast(pa.float64()).to_numpy(
        zero_copy_only=False
    )
    return values


def choose_values(rule: RowRule, columns: Sequence[Any]) -> list[Any]:
    """The members of a rule and its most frequent values, as texts, numbers or truth values.

    Args:
        rule: One with members.
        columns: Arrow arrays of values: those of the outcome.
    """
    found = pa.chunked_array(columns).value_counts() if columns else []
    counted = [(each["values"].as_py(), each["counts"].as_py()) for each in found]
    known = sorted(
        ((value, count) for value, count in counted if value is not None),
        key=lambda item: (-item[1], str(item[0])),
    )
    members = list(rule.members or ())
    if rule.wants == "boolean":
        return [False, True]
    values = [value for value, _ in known[:MAX_VALUES]]
    return [*values, *(member for member in members if member not in values)]


def bins_of_members(column: Any, values: Sequence[Any]) -> Bins:
    """The bin of each value: its place among some from 1, then one for all others; 0 of NULL."""
    looked_up = pa.array([float(v) if isinstance(v, bool) else v for v in values], column.type)
    at = pc.index_in(column, value_set=looked_up)
    bins: Bins = np.asarray(pc.fill_null(at, len(values))).astype(np.int64) + 1
    bins[~np.asarray(column.is_valid())] = 0
    return bins
