"""What every benchmark ends with: a table on the terminal and one JSON file of a fixed form.

The file holds `name`, `command`, `hardware`, `versions`, `rows` and `details`. A row compares what
Weft does with something else: a peer, a plain loop, the same on less input, or a limit. Its `ratio`
is above 1 where ours is better, whichever way the unit counts.
"""

import contextlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
DIGITS = 4
"""Significant digits of the numbers in the file; no measurement here is better than that."""


@dataclass(frozen=True)
class Row:
    """One comparison."""

    what: str
    ours: float
    unit: str
    peer_name: str | None = None
    peer: float | None = None
    more_is_better: bool = True

    @property
    def ratio(self) -> float | None:
        """How much better ours is; None without a peer, or where a number is not positive."""
        if self.peer is None or self.peer <= 0 or self.ours <= 0:
            return None
        return self.ours / self.peer if self.more_is_better else self.peer / self.ours

    def as_json(self) -> dict[str, Any]:
        """The row as it is written."""
        return {
            "what": self.what,
            "ours": round_to_digits(self.ours),
            "peer_name": self.peer_name,
            "peer": round_to_digits(self.peer),
            "unit": self.unit,
            "ratio": round_to_digits(self.ratio),
        }


def round_to_digits(value: float | None) -> float | None:
    """A number with `DIGITS` significant digits; None stays None."""
    return None if value is None else float(f"{value:.{DIGITS}g}")


def middle(values: Sequence[float]) -> float:
    """The median of several runs."""
    return float(median(values))


def hardware() -> dict[str, Any]:
    """What the numbers depend on, without naming the machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found: dict[str, Any] = {
        "cpu": _cpu_name(),
        "cores": cores,
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        # Above about 0.2 somebody else was using the machine when the benchmark began.
        "load_at_start": round(os.getloadavg()[0], 2),
    }
    if gpus := _gpu_names():
        found["gpus"] = gpus
    return found


def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpu_names() -> list[str]:
    command = [
        "nvidia-smi",
        "--query-gpu=name,memory.total,driver_version",
        "--format=csv,noheader",
    ]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


def versions(distributions: Sequence[str]) -> dict[str, str]:
    """Versions of Python and of the distributions that shape the numbers."""
    found = {"python": platform.python_version()}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@dataclass(frozen=True)
class Report:
    """A benchmark's result."""

    name: str
    command: str
    hardware: Mapping[str, Any]
    versions: Mapping[str, str]
    rows: Sequence[Row]
    details: Mapping[str, Any]
    """Inputs, single runs, profiles: what a reader needs to doubt the rows."""

    def as_json(self) -> dict[str, Any]:
        """The content of the file."""
        return {
            "name": self.name,
            "command": self.command,
            "hardware": dict(self.hardware),
            "versions": dict(self.versions),
            "rows": [row.as_json() for row in self.rows],
            "details": dict(self.details),
        }

    def write(self, path: Path) -> None:
        """Replace the file; a run that is stopped leaves the old one whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".tmp-{path.name}")
        text = json.dumps(self.as_json(), indent=1, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
        os.replace(temporary, path)

    def show(self, console: Console) -> None:
        """Print the rows."""
        where = ", ".join(
            str(self.hardware[key]) for key in ("cpu", "cores") if key in self.hardware
        )
        table = Table(title=f"{self.name} ({where} cores)", title_justify="left")
        for heading in ("what", "ours", "against", "", "unit", "ratio"):
            number = heading in ("ours", "", "ratio")
            table.add_column(heading, justify="right" if number else "left")
        for row in self.rows:
            ratio = row.ratio
            cells = [row.what, _text(row.ours), row.peer_name or "", _text(row.peer), row.unit]
            style = "red" if ratio is not None and ratio < 1 else None
            table.add_row(*cells, _text(ratio), style=style)
        console.print(table)


def _text(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
