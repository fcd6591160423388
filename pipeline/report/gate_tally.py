"""All that a report tells of the gates, from one look at every row that they judged."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.inspection.rejudge import GATES, JudgedRows, Rejudge
from pipeline.inspection.rule_tally import RuleTally
from pipeline.inspection.streams import Json
from pipeline.report.explorer import ExplorerTally
from pipeline.report.slices import SliceTally
from transforms.candidates import CAPTION_SCHEMA

_THREADS = 2
"""Parts that are judged at once; so many wait, each in memory."""

Numbers = npt.NDArray[np.float64]

STREAM_OF_GATE = {
    "gates.shard.captioned": "captioned",
    "gates.fetch.caption": "captioned",
    "gates.fetch.image": "interleaved",
    "gates.shard.interleaved.image": "interleaved",
    "gates.shard.interleaved.paragraph": "interleaved",
    "gates.shard.interleaved.document": "interleaved",
    "gates.shard.text": "text",
}
"""The stream that a gate decides about; gate `dedup` decides about all."""


class GateTally:
    """Rules, explorer and slices of one gate.

    Args:
        rejudge: The gates of a run.
        gate: Path of the gate.
        examples: Rows kept and dropped that are kept of each rule.
    """

    def __init__(self, rejudge: Rejudge, gate: str, examples: int) -> None:
        self.gate = gate
        self.kind: str | None = None
        self._rules = {
            path.rpartition(".")[2]: rule
            for path, rule in rejudge.rules.items()
            if path.rpartition(".")[0] == gate
        }
        limits = {name: rejudge.limits(f"{gate}.{name}") for name in self._rules}
        self._tallies = {name: RuleTally(name, limits[name], examples) for name in self._rules}
        self._limits = limits
        self._explorer = ExplorerTally(self._rules, limits)
        self._scores: dict[str, list[Numbers]] = {}
        self._slices = SliceTally()

    def add(self, judged: JudgedRows) -> None:
        """Count some rows."""
        self.kind = judged.kind
        self._explorer.add(judged)
        self._slices.add(judged)
        if self.gate == "gates.shard.captioned":
            for name in judged.rows.column_names:
                column = judged.rows[name]
                if name not in CAPTION_SCHEMA.names and pa.types.is_floating(column.type):
                    values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
                    self._scores.setdefault(name, []).append(values)
        told = {outcome.rule for outcome in judged.decisions.outcomes}
        for name, tally in self._tallies.items():
            # A rule that is built in may be told by no outcome, as one that is turned off.
            if name in told:
                tally.add(judged)

    def finish(self) -> None:
        """There are no more rows."""
        self._explorer.finish()

    @property
    def rows(self) -> int:
        """Rows that were counted."""
        return self._explorer.rows

    @property
    def scores(self) -> dict[str, Numbers]:
        """Scores of models of the captions that were counted, by name; NaN where there is none."""
        return {name: np.concatenate(found) for name, found in self._scores.items()}

    def rules(self, spec: Callable[[str], Any]) -> list[Json]:
        """The rules, in recipe order.

        Args:
            spec: What the recipe says of the rule of a path.
        """
        found = []
        for name, rule in self._rules.items():
            facts = self._tallies[name].facts(None if rule is None else rule.threshold)
            said = spec(f"{self.gate}.{name}")
            found.append({
                "path": f"{self.gate}.{name}", "gate": self.gate, "name": name,
                "stream": STREAM_OF_GATE.get(self.gate),
                "form": self._explorer.bins[name].form,
                "expression": _expression(said),
                "limits": self._limits[name],
                "histogram": self._explorer.histogram(name),
                "members": self._explorer.members(name),
                "examples": {"kept": facts.pop("kept"), "dropped": facts.pop("dropped")},
                **facts,
            })  # fmt: skip
        return found

    def explorer(self, spec: Callable[[str], Any]) -> Json | None:
        """The gate's part of the threshold explorer; None where nothing can be moved."""
        found = self._explorer.facts(self.gate)
        if found is None:
            return None
        for rule in found["rules"]:
            rule["expression"] = _expression(spec(rule["path"]))
        named = {"kind": self.kind, "stream": STREAM_OF_GATE.get(self.gate)}
        return {**found, **named, "title": _title(self.gate), "unit": f"{self.kind}s"}

    def slices(self) -> Json | None:
        """The gate's part of the slice audit."""
        found = self._slices.facts()
        if found is None:
            return None
        named = {"kind": self.kind, "stream": STREAM_OF_GATE.get(self.gate)}
        return {"gate": self.gate, **named, **found}


def _expression(said: Any) -> str | None:
    if isinstance(said, str):
        return said
    found = said.get("value", said.get("sql")) if isinstance(said, dict) else None
    return None if found is None else str(found)


def _title(gate: str) -> str:
    return gate.removeprefix("gates.").replace(".", " / ")


def spread_parts(sizes: Sequence[tuple[str, int]], rows: int) -> list[str]:
    """Parts, evenly spread over all, that have at most so many rows together; at least one.

    Args:
        sizes: Name and rows of every part.
        rows: 0 means all.
    """
    total = sum(size for _, size in sizes)
    if not rows or total <= rows:
        return [name for name, _ in sizes]
    step = total / rows
    chosen, seen, due = [], 0.0, 0.0
    for name, size in sizes:
        if seen >= due:
            chosen.append(name)
            due += step * max(size, 1)
        seen += size
    return chosen


def tally_gates(rejudge: Rejudge, parts: Sequence[str], examples: int) -> dict[str, GateTally]:
    """Every gate of a run over the rows of some parts.

    Args:
        rejudge: The gates of the run.
        parts: Names of parts.
        examples: As `GateTally`.
    """
    found = {gate: GateTally(rejudge, gate, examples) for gate in GATES}
    for rows in _judged(rejudge, parts):
        for judged in rows:
            found[judged.gate].add(judged)
    for tally in found.values():
        tally.finish()
    return found


def _judged(rejudge: Rejudge, parts: Sequence[str]) -> Iterator[list[JudgedRows]]:
    """The rows of parts, in their order: some are judged while others are counted.

    Threads are enough: Parquet, Arrow and DuckDB run beside the interpreter.
    """
    ahead: deque[Future[list[JudgedRows]]] = deque()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="judge") as threads:
        try:
            for name in parts:
                ahead.append(threads.submit(_judge_part, rejudge, name))
                if len(ahead) > _THREADS:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            threads.shutdown(cancel_futures=True)


def _judge_part(rejudge: Rejudge, name: str) -> list[JudgedRows]:
    return list(rejudge.part(name))
