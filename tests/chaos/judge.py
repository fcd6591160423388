"""What is expected of a round: how its runs may end, and what they must have made."""

import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.places import Place

STATUS: Mapping[str, set[int]] = {
    "driver": {-signal.SIGKILL},
    "driver-group": {-signal.SIGKILL},
    "store-driver": {-signal.SIGKILL},
    "forgotten": {-signal.SIGKILL},
    "sigterm": {128 + signal.SIGTERM},
    "sigint": {130},
    "outage": {1, 2},
    "storm": {1, 2},
    "disk": {1, 2},
    "rivals": {1},
}
"""Statuses besides 0 with which a run may end whose round is of a kind."""


@dataclass
class Done:
    """A strike as it came."""

    what: str
    stage: str
    files: int
    """Files that were written by then."""
    start: int
    """Of the round's command, counted from 1."""


@dataclass
class Played:
    """A round that was played."""

    number: int
    sort: str
    kind: str
    strikes: list[Done] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """Exit statuses of the command, start by start."""
    identical: bool = False
    faults: list[str] = field(default_factory=list)
    """What went wrong; the first one counts."""
    skipped: str = ""
    """Why this machine cannot do the round."""
    leftovers: dict[str, int] = field(default_factory=dict)
    """Files that `weft clean` found and removed afterwards, by kind."""
    twice: int = 0
    """Parts that were done more than once, where every part was handed out twice."""
    requests: dict[str, int] = field(default_factory=dict)
    """Faults of the store that requests met."""
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The round as the file of results has it."""
        return asdict(self)


def judge_end(kind: str, status: int, struck: bool, text: str) -> str | None:
    """What is wrong with how a run ended; None for nothing.

    Args:
        kind: Of the round.
        status: Its exit status.
        struck: Whether something was done to it.
        text: All that it printed.
    """
    if status not in {0, *(STATUS.get(kind, set()) if struck else set())}:
        return f"ended with status {status}"
    if "Traceback (most recent call last)" in text:
        return "printed a traceback"
    if status in (1, 2, 130, 143) and not is_a_line(text):
        return "ended without a line of its own"
    return None


def is_a_line(text: str) -> bool:
    """Whether the output ends with the one line of an error."""
    own = [line for line in text.splitlines() if line.startswith("weft: ")]
    return len(own) == 1 and text.rstrip().splitlines()[-1] == own[0]


def tail(log: Path) -> str:
    """The end of a log, in a line."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return " | ".join(lines[-3:])[-600:]


def first_difference(found: Mapping[str, bytes], wanted: Mapping[str, bytes]) -> str | None:
    """What differs first from the undisturbed run's files, by name; None when nothing does."""
    for name in sorted({*found, *wanted}):
        if name not in found:
            return f"{name} is missing"
        if name not in wanted:
            return f"{name} is not of the undisturbed run"
        if found[name] != wanted[name]:
            return f"{name} differs ({len(found[name])} bytes, not {len(wanted[name])})"
    return None


def judge_output(reference: Mapping[str, bytes], place: Place, played: Played) -> None:
    """Compare what is published, clean up, and compare again."""
    # It imports Beam, whose notice has to be silenced first.
    from pipeline.clean import clean

    for moment in ("after the run", "after clean"):
        difference = first_difference(place.published(), reference)
        if difference is not None:
            played.faults.append(f"{moment}: {difference}")
            return
        found = clean(place.url, remove=True, hours=0.0).facts()
        there = {kind: facts["files"] for kind, facts in found["kinds"].items() if facts["files"]}
        if moment == "after the run":
            played.leftovers = there
            if there.get("temporary"):
                played.faults.append(f"temporary files are left: {found['paths'][:3]}")
        elif there:
            played.faults.append(f"clean left {there}")
    played.identical = not played.faults
