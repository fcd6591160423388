"""What the parts of `make bench-dedup` share: how much is measured, and what comes out."""

from dataclasses import dataclass, field
from typing import Any

from benchmarks.report import Row


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rounds: int
    seconds: float
    """Of one timed run of a side, where a part counts what is done in a time."""
    peers: bool = True
    """Whether peers run too that need an environment of their own."""


@dataclass
class Outcome:
    """What a part found."""

    rows: list[Row] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    """Of peers, by distribution."""
