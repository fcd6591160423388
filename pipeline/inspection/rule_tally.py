"""What one rule did to the rows that its gate judged: counts, and the rows nearest to it."""

import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.inspection.rejudge import JudgedRows
from pipeline.inspection.streams import Json
from transforms.gates import Outcome

_TOP_VALUES = 20
"""Refused texts that are listed, the most frequent first."""
_MAX_VALUES = 100_000
"""Distinct texts that are counted; what comes later, part by part, is not."""

_FEW = 256
"""Rows that are as well sorted by Python."""

Distances = npt.NDArray[np.float64]


class RuleTally:
    """Counts of a rule, and its nearest rows, over the rows that it is given.

    Args:
        name: Of the rule, inside its gate.
        limits: The numbers at which it turns.
        examples: Rows of each kind that are kept.
    """

    def __init__(self, name: str, limits: Sequence[float], examples: int) -> None:
        self._name = name
        self._limits = limits
        self._examples = examples
        self._kind: str | None = None
        self._threshold: str | None = None
        self._values: dict[str, int] = {}
        self.totals = dict.fromkeys(("rows", "failed", "decisive", "alone", "without_value"), 0)
        self.kept: list[Json] = []
        self.dropped: list[Json] = []

    def add(self, judged: JudgedRows) -> None:
        """Count some rows of the rule's gate."""
        self._kind = judged.kind
        outcomes = judged.decisions.outcomes
        at = [outcome.rule for outcome in outcomes].index(self._name)
        outcome = outcomes[at]
        if len(judged.ids):
            self._threshold = outcome.threshold or self._threshold
        self.totals["rows"] += len(judged.ids)
        self.totals["failed"] += int(outcome.failed.sum())
        self.totals["decisive"] += int((judged.decisions.decisive == at).sum())
        self.totals["alone"] += int((outcome.failed & (judged.failures == 1)).sum())
        self.totals["without_value"] += _without_value(outcome)
        if outcome.texts is not None:
            for text in outcome.texts.drop_null().to_pylist():
                if text in self._values or len(self._values) < _MAX_VALUES:
                    self._values[text] = self._values.get(text, 0) + 1
        distances = _distances(self._limits, outcome)
        for found, mask in ((self.kept, judged.decisions.keep), (self.dropped, outcome.failed)):
            found += _nearest(judged, at, distances, mask, self._examples)
            found[:] = sorted(found, key=_order)[: self._examples]

    def facts(self, threshold: str | None) -> Json:
        """What `rule_examples.explain_rule` tells of the rule.

        Args:
            threshold: Told where no row was judged.
        """
        counted = sorted(self._values.items(), key=lambda item: (-item[1], item[0]))[:_TOP_VALUES]
        return {
            "kind": self._kind,
            "threshold": self._threshold or threshold,
            **self.totals,
            "values": [{"value": value, "rows": rows} for value, rows in counted],
            **{
                name: [{k: v for k, v in row.items() if k != "distance"} for row in rows]
                for name, rows in (("kept", self.kept), ("dropped", self.dropped))
            },
        }


def _without_value(outcome: Outcome) -> int:
    told = outcome.texts if outcome.values is None else outcome.values
    if told is None:
        return 0
    return int((outcome.failed & ~np.asarray(told.is_valid())).sum())


def _distances(limits: Sequence[float], outcome: Outcome) -> Distances:
    """How far each value is from the nearest limit; infinite of NULL, 0 where there is no limit."""
    if outcome.values is None or not limits:
        return np.zeros(len(outcome.failed))
    values: Distances = np.asarray(
        outcome.values.cast("float64").to_numpy(zero_copy_only=False), np.float64
    )
    distances: Distances = np.min([np.abs(values - limit) for limit in limits], axis=0)
    distances[np.isnan(values)] = np.inf
    return distances


def _order(row: Json) -> Any:
    return row["distance"], row["id"], -1 if row["node"] is None else row["node"]


def _nearest(
    judged: JudgedRows, at: int, distances: Distances, mask: Any, count: int
) -> list[Json]:
    """Some rows of a mask, nearest first, ties by id and node."""
    rows = np.flatnonzero(mask)
    if len(rows) > count > 0:
        # Only what is no farther than the last that is wanted is worth becoming Python.
        farthest = np.partition(distances[rows], count - 1)[count - 1]
        rows = rows[distances[rows] <= farthest]
        if len(rows) > _FEW:
            rows = rows[_first(judged, distances, rows, count)]
    found = (
        {
            "id": judged.ids[row].as_py(),
            "node": None if judged.nodes is None else judged.nodes[row].as_py(),
            "kind": judged.kind,
            "distance": float(distances[row]),
            "row": row,
        }
        for row in rows.tolist()
    )
    return [_told_row(judged, at, row) for row in heapq.nsmallest(count, found, key=_order)]


def _first(judged: JudgedRows, distances: Distances, rows: Any, count: int) -> Any:
    """Places among rows of those that `_order` puts first."""
    chosen = pa.array(rows)
    columns = {"distance": pa.array(distances[rows]), "id": judged.ids.take(chosen)}
    if judged.nodes is not None:
        columns["node"] = judged.nodes.take(chosen)
    keys = [(name, "ascending") for name in columns]
    return np.asarray(pc.select_k_unstable(pa.table(columns), count, keys))


def _told_row(judged: JudgedRows, at: int, row: Json) -> Json:
    """A row with its value and what else is wrong with it."""
    place = row.pop("row")
    outcomes = judged.decisions.outcomes
    outcome = outcomes[at]
    others = (
        each.rule for index, each in enumerate(outcomes) if index != at and each.failed[place]
    )
    return row | {
        "value": None if outcome.values is None else _number(outcome.values[place].as_py()),
        "value_text": None if outcome.texts is None else outcome.texts[place].as_py(),
        "decisive": bool(judged.decisions.decisive[place] == at),
        "also": list(others),
        "lost": None,
    }


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
