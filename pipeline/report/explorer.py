"""Counts from which a page tells what other thresholds would keep, exactly and without the tables.

Values of a gate's rules are cut into bins (`cuts.py`), and rows counted by their bins, language and
whether they pass the rules that are not told apart. Of the rules that refuse most there is one
table of all of them together, so that they can be moved at the same time; every rule has a table of
its own beside the verdict of all the others.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.inspection.rejudge import JudgedRows
from pipeline.inspection.streams import Json
from pipeline.report.cuts import (
    Bins,
    Cut,
    bins_of_members,
    bins_of_numbers,
    choose_cuts,
    choose_values,
    limit_cuts,
    numbers_of,
)
from pipeline.report.slices import language_of
from transforms.gates import Outcome
from transforms.rules import RowRule

LOOK_ROWS = 100_000
"""Rows of a gate that are looked at before its bins are chosen."""
JOINT_CUTS, SINGLE_CUTS = 14, 40
JOINT_RULES = 6
MAX_CELLS = 20_000
"""Of a joint table: a cell takes about twenty bytes of the page."""
LANGUAGES = 10
OTHER = "other"

Mask = npt.NDArray[np.bool_]
Cells = Counter[tuple[int, ...]]


@dataclass
class RuleBins:
    """How the values of one rule are cut."""

    rule: RowRule | None
    """None of a rule that is built in and has no value."""
    cuts: list[Cut] = field(default_factory=list)
    values: list[Any] | None = None
    """Of a rule with members."""

    def of(self, outcome: Outcome) -> Bins:
        """The bin of each row."""
        if self.values is not None:
            return bins_of_members(_members_column(outcome), self.values)
        numbers = numbers_of(outcome)
        if numbers is None:
            return np.zeros(len(outcome.failed), np.int64)
        return bins_of_numbers(numbers, self.cuts)

    @property
    def form(self) -> str:
        """`range`, `members`, `top_fraction`, `sql` or `built_in`."""
        if self.rule is None:
            return "built_in"
        if self.rule.sql:
            return "sql"
        if self.rule.top_fraction is not None:
            return "top_fraction"
        return "range" if self.rule.members is None else "members"

    @property
    def can_move(self) -> bool:
        """Whether what another threshold keeps follows from the bins."""
        if self.form == "members":
            return self.values is not None
        return self.form == "range" and bool(self.cuts)

    def passes(self, at: int) -> bool:
        """Whether the values of a bin pass; for those that can move."""
        assert self.rule is not None
        if at == 0:
            return False
        if self.values is not None:
            members = self.rule.members or ()
            is_member = at <= len(self.values) and self.values[at - 1] in members
            return is_member != self.rule.exclude
        lower, upper = limit_cuts(self.rule)
        # Bin j+1 is right of cut j: a lower limit at place j keeps bins from j+1 on.
        is_above = lower is None or at > self.cuts.index(lower) + 1
        return is_above and (upper is None or at <= self.cuts.index(upper) + 1)


def _members_column(outcome: Outcome) -> Any:
    return outcome.values if outcome.every is None else outcome.every


@dataclass(frozen=True)
class _Seen:
    """What is counted of some rows: not the rows themselves, which have texts."""

    outcomes: tuple[Outcome, ...]
    failures: npt.NDArray[np.int64]
    languages: Any


class ExplorerTally:
    """Counts of a gate's rows by bins, over the rows that it is given.

    Args:
        rules: Name -> rule, all of the gate in their order.
        limits: Name -> the numbers at which a rule turns.
    """

    def __init__(
        self, rules: Mapping[str, RowRule | None], limits: Mapping[str, Sequence[float]]
    ) -> None:
        self._rules = rules
        self._limits = limits
        self._waiting: list[_Seen] = []
        self.rows = 0
        self.bins: dict[str, RuleBins] = {}
        self.joint: list[str] = []
        self.languages: list[str] = []
        self._joint: Cells = Counter()
        self._single: dict[str, Cells] = {}
        self._failed: dict[str, npt.NDArray[np.int64]] = {}

    def add(self, judged: JudgedRows) -> None:
        """Count some rows, once enough have been seen to choose the bins."""
        if not len(judged.ids):
            return
        self.rows += len(judged.ids)
        seen = _Seen(judged.decisions.outcomes, judged.failures, language_of(judged.rows))
        if self.bins:
            self._count(seen)
            return
        self._waiting.append(seen)
        if self.rows >= LOOK_ROWS:
            self._choose()

    def finish(self) -> None:
        """Count what waits; leave no more cells than a page can hold."""
        if not self.bins:
            self._choose()
        while len(self._joint) > MAX_CELLS and len(self.joint) > 1:
            self._fold()

    def _choose(self) -> None:
        tolls: Counter[str] = Counter()
        for seen in self._waiting:
            for outcome in seen.outcomes:
                tolls[outcome.rule] += int(outcome.failed.sum())
        ranked = sorted(self._rules, key=lambda name: (-tolls[name], list(self._rules).index(name)))
        for name, rule in self._rules.items():
            count = JOINT_CUTS if ranked.index(name) < JOINT_RULES else SINGLE_CUTS
            self.bins[name] = self._rule_bins(name, rule, count)
        movable = [name for name in ranked if self.bins[name].can_move]
        self.joint = [name for name in movable if ranked.index(name) < JOINT_RULES]
        languages: Counter[str] = Counter()
        for seen in self._waiting:
            for each in seen.languages.value_counts():
                languages[each["values"].as_py()] += each["counts"].as_py()
        known = sorted(languages, key=lambda name: (-languages[name], name))
        self.languages = [*known[:LANGUAGES], OTHER]
        for name, found in self.bins.items():
            self._single[name] = Counter()
            self._failed[name] = np.zeros(_bin_count(found), np.int64)
        for seen in self._waiting:
            self._count(seen)
        self._waiting = []

    def _rule_bins(self, name: str, rule: RowRule | None, count: int) -> RuleBins:
        outcomes = [
            outcome for seen in self._waiting for outcome in seen.outcomes if outcome.rule == name
        ]
        found = RuleBins(rule)
        if found.form == "members":
            assert rule is not None
            columns = [_members_column(outcome) for outcome in outcomes]
            found.values = choose_values(rule, [column for column in columns if column is not None])
            return found
        numbers = [numbers_of(outcome) for outcome in outcomes]
        told = [values for values in numbers if values is not None]
        if told:
            values = np.concatenate(told)
            values = values[~np.isnan(values)]
            found.cuts = choose_cuts(rule, self._limits.get(name, ()), values, count)
        return found

    def _count(self, seen: "_Seen") -> None:
        languages = bins_of_members(seen.languages, self.languages[:-1]) - 1
        bins = {outcome.rule: self.bins[outcome.rule].of(outcome) for outcome in seen.outcomes}
        failed = {outcome.rule: outcome.failed for outcome in seen.outcomes}
        rest = seen.failures.copy()
        for name in self.joint:
            rest -= failed[name]
        columns = [bins[name] for name in self.joint]
        _add_cells(self._joint, [*columns, languages, rest == 0])
        for name, of_rule in bins.items():
            others = seen.failures - failed[name]
            _add_cells(self._single[name], [of_rule, languages, others == 0])
            size = len(self._failed[name])
            self._failed[name] += np.bincount(of_rule[failed[name]], minlength=size)

    def _fold(self) -> None:
        """Take the last rule out of the joint table: its verdict goes to that of the rest."""
        name = self.joint.pop()
        folded: Cells = Counter()
        for (*bins, last, language, rest), rows in self._joint.items():
            folded[*bins, language, int(rest and self.bins[name].passes(last))] += rows
        self._joint = folded

    def histogram(self, name: str) -> Json | None:
        """Rows of each bin of a rule, left to right: all, refused, and those no other rule refuses.

        None where its values are no numbers.
        """
        found = self.bins[name]
        if not found.cuts:
            return None
        size = _bin_count(found)
        rows, others = np.zeros(size, np.int64), np.zeros(size, np.int64)
        for (at, _, rest), count in self._single[name].items():
            rows[at] += count
            others[at] += count * rest
        return {
            "cuts": found.cuts,
            "rows": rows[1:].tolist(),
            "failed": self._failed[name][1:].tolist(),
            "others_pass": others[1:].tolist(),
        }

    def members(self, name: str) -> list[Json] | None:
        """Rows of each value of a rule with members; None of another."""
        found = self.bins[name]
        if found.values is None:
            return None
        rows: Counter[int] = Counter()
        for (at, _, _), count in self._single[name].items():
            rows[at] += count
        shown = [_shown(value) for value in found.values]
        labels = enumerate(["no value", *shown, OTHER])
        return [
            {"value": label, "rows": rows[at], "failed": int(self._failed[name][at])}
            for at, label in labels
            if rows[at]
        ]

    def facts(self, gate: str) -> Json | None:
        """What the page moves thresholds with; None where no row was judged or no rule can move."""
        movable = [name for name, found in self.bins.items() if found.can_move]
        if not self.rows or not movable:
            return None
        # In recipe order, as the rules are told.
        order = [name for name in movable if name in self.joint]
        places = [self.joint.index(name) for name in order]
        joint = Counter({
            (*(cell[at] for at in places), *cell[-2:]): rows for cell, rows in self._joint.items()
        })  # fmt: skip
        columns = _columns(joint, len(order) + 2)
        return {
            "gate": gate,
            "rows": self.rows,
            "kept": sum(
                rows
                for (*bins, _, rest), rows in joint.items()
                if rest and all(self.bins[n].passes(b) for n, b in zip(order, bins, strict=True))
            ),
            "languages": self.languages,
            "rules": [self._rule_facts(gate, name) for name in movable],
            "joint": {
                "bins": columns[: len(order)], "language": columns[-3], "rest": columns[-2],
                "rows": columns[-1],
            },
            "single": {
                f"{gate}.{name}": dict(
                    zip(
                        ("bins", "language", "rest", "rows"),
                        _columns(self._single[name], 3),
                        strict=True,
                    )
                )
                for name in movable
                if name not in self.joint
            },
        }  # fmt: skip

    def _rule_facts(self, gate: str, name: str) -> Json:
        found = self.bins[name]
        rule = found.rule
        assert rule is not None
        return {
            "path": f"{gate}.{name}",
            "name": name,
            "form": found.form,
            "lower": rule.lower,
            "upper": rule.upper,
            "above": rule.above,
            "below": rule.below,
            "cuts": found.cuts,
            "values": found.values,
            "members": None if rule.members is None else list(rule.members),
            "exclude": rule.exclude,
            "is_joint": name in self.joint,
        }


def _bin_count(found: RuleBins) -> int:
    return 2 + len(found.cuts if found.values is None else found.values)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _add_cells(cells: Cells, columns: Sequence[npt.NDArray[Any]]) -> None:
    """Count rows by the values of some columns of small numbers."""
    sizes = [int(column.max()) + 1 for column in columns]
    keys = np.zeros(len(columns[0]), np.int64)
    for column, size in zip(columns, sizes, strict=True):
        keys = keys * size + column
    distinct, counts = np.unique(keys, return_counts=True)
    parts = []
    for size in reversed(sizes):
        distinct, part = np.divmod(distinct, size)
        parts.append(part.tolist())
    for *cell, rows in zip(*reversed(parts), counts.tolist(), strict=True):
        cells[tuple(cell)] += rows


def _columns(cells: Cells, width: int) -> list[list[int]]:
    """A table of cells, by columns, the count last; sorted, so that a page is always the same."""
    if not cells:
        return [[] for _ in range(width + 1)]
    rows = [(*cell, count) for cell, count in sorted(cells.items())]
    return [list(column) for column in zip(*rows, strict=True)]
