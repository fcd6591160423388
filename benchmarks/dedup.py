"""`make bench-dedup`: how fast near-duplicates are found.

Each part is a module of its own and gives rows: `signatures` sets ours beside datatrove, datasketch
and rensa, `stage` goes from signatures to clusters at growing sizes, `labels` tells what is found
of a corpus whose duplicates are known. benchmarks/README.md says how each number is made.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.dedup_labels import measure_labels
from benchmarks.dedup_parts import Outcome, Scale
from benchmarks.dedup_signatures import measure_signatures, targets_of
from benchmarks.dedup_stage import measure_stage
from benchmarks.processes import ROOT
from benchmarks.report import RESULTS, Report, Row, hardware, versions

QUICK_RESULTS = ROOT / "out" / "benchmarks"
DISTRIBUTIONS = ("weft-data", "apache-beam", "datasketch", "numpy", "pyarrow", "xxhash")
ROUNDS, SECONDS = 5, 4.0
QUICK_ROUNDS, QUICK_SECONDS = 1, 1.0

PARTS: dict[str, Callable[[Scale, Path], Outcome]] = {
    "signatures": measure_signatures,
    "stage": measure_stage,
    "labels": measure_labels,
}


def main() -> None:
    """Program entry."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dedup", description=__doc__)
    quick = "a smoke run: one round; its file goes to out/benchmarks"
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--no-peers", action="store_true", help="only what our environment has")
    parser.add_argument("--part", choices=PARTS, help="one part alone; to out/benchmarks too")
    given = parser.parse_args()
    rounds, seconds = (QUICK_ROUNDS, QUICK_SECONDS) if given.quick else (ROUNDS, SECONDS)
    scale = Scale(rounds, seconds, peers=not given.no_peers)
    machine = hardware()
    begin = time.perf_counter()
    rows: list[Row] = []
    details: dict[str, Any] = {"rounds": rounds}
    known = versions(DISTRIBUTIONS)
    for part in [given.part] if given.part else PARTS:
        with tempfile.TemporaryDirectory(prefix="weft-bench-") as folder:
            outcome = PARTS[part](scale, Path(folder))
        rows += outcome.rows
        details[part] = outcome.details
        known = {**outcome.versions, **known}
    details["seconds"] = round(time.perf_counter() - begin, 1)
    arguments = [
        f"--{key.replace('_', '-')}" + ("" if value is True else f" {value}")
        for key, value in vars(given).items()
        if value
    ]
    command = "make bench-dedup" + (f' ARGS="{" ".join(arguments)}"' if arguments else "")
    report = Report("dedup", command, machine, known, rows, details)
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    report.show(console)
    show_targets(console, rows)
    path = (QUICK_RESULTS if arguments else RESULTS) / "dedup.json"
    report.write(path)
    console.print(f"{path.relative_to(ROOT)} written, {details['seconds']:.0f} s")


def show_targets(console: Console, rows: Sequence[Row]) -> None:
    """Print what is promised and what is."""
    for row in rows:
        least = targets_of(row)
        if least is None or row.ratio is None:
            continue
        verdict = "holds" if row.ratio >= least else "MISSED"
        bound = f"{row.ratio:.3g}x, at least {least:g}x"
        console.print(f"{row.what}, {row.peer_name}: {bound}: {verdict}", highlight=False)


if __name__ == "__main__":
    main()
