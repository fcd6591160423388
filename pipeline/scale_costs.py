"""Unit costs that were measured, as the package ships them: what `scale.py` multiplies.

The file is a copy of numbers in `benchmarks/results`, made by `python -m benchmarks.unit_costs`.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from pipeline.output_counts import OutputCounts

FILE = Path(__file__).with_name("unit_costs.json")


@dataclass(frozen=True)
class UnitCost:
    """One measured number."""

    value: float
    unit: str
    file: str
    """Of `benchmarks/results`."""
    source: str
    """What in the file it is made of."""
    machine: str


@dataclass(frozen=True)
class DemoRun:
    """What every stage costs on the demo crawl."""

    machine: str
    per_page: dict[str, dict[str, float]]
    """Stage -> `cpu` (seconds of a core), `read`, `shuffled` (bytes) -> of a page."""
    opened: dict[str, dict[str, float]]
    """Stage -> files that are opened to be read: `part` for each part of the input, `other` for the
    records of the run that was counted that no part stands for."""
    counts: OutputCounts


@dataclass(frozen=True)
class UnitCosts:
    """All of them."""

    costs: dict[str, UnitCost]
    demo: DemoRun

    def value(self, name: str) -> float | None:
        """A number; None where it was not measured."""
        found = self.costs.get(name)
        return None if found is None else found.value


@cache
def load_costs() -> UnitCosts:
    """Those that come with Weft."""
    values = msgspec.json.decode(FILE.read_bytes())
    costs = {
        name: UnitCost(cost["value"], cost["unit"], cost["file"], cost["from"], cost["machine"])
        for name, cost in values["costs"].items()
    }
    demo = values["demo"]
    counts = OutputCounts.from_json(demo["counts"])
    return UnitCosts(costs, DemoRun(demo["machine"], demo["per_page"], demo["opened"], counts))
