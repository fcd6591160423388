"""`make bench-driver`: what a hundred thousand parts cost the driver, by simulation.

Parts of a few made-up pages go through stage dedup and the planning of as many shards: the graphs
run, commits are listed and read, `run.json` is written. README.md says how to read the rows.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.memory import run_watched
from benchmarks.processes import ROOT, run_json, say
from benchmarks.report import RESULTS, Report, Row, hardware, versions

QUICK_RESULTS = ROOT / "out" / "benchmarks"
DISTRIBUTIONS = ("weft-data", "apache-beam", "pyarrow", "msgspec", "fsspec")
SIZES, QUICK_SIZES = (10_000, 100_000), (200, 1_000)
PAGES = 2
"""Of a part: few, since it is the number of parts that the driver feels, and the local runner keeps
what they shuffle in memory."""
OVERRIDES = (
    "dedup.buckets=2",  # two blocks to a part: all of them are in the memory of a local runner
    f"shards.target_samples={PAGES}",  # so there are as many shards as parts
)
LONGEST = 3 * 3600
"""Seconds that a simulation may take."""
MAX_GROWTH = 1.2
"""Most that ten times the parts may take beyond ten times the time."""


def simulate(folder: Path, parts: int) -> dict[str, Any]:
    """All measurements on so many parts."""
    given = [word for value in OVERRIDES for word in ("--set", value)]

    def command(what: str) -> list[str | Path]:
        sizes = ["--parts", str(parts), "--rows", str(PAGES)]
        return [sys.executable, "-m", "benchmarks.driver_runs", what, folder, *sizes, *given]

    for what in ("make", "samples"):
        say(f"{parts:,} parts: {what}")
        run_json(command(what), LONGEST)
    found: dict[str, Any] = {}
    for what in ("shards", "dedup", "plan"):
        say(f"{parts:,} parts: {what}")
        answer, sampler = run_watched(command(what), LONGEST)
        found[what] = json.loads(answer.splitlines()[-1])
        found[what]["by_role"] = sampler.by_role()
    return found


def rows_of(runs: dict[int, dict[str, Any]]) -> list[Row]:
    """Memory and time at the larger size, and how they have grown."""
    small, large = runs
    times = large / small
    rows: list[Row] = []
    for what, label, name in (
        ("dedup", "stage dedup, the driver alone", "own"),
        ("shards", "planning shards", "plan"),
        ("plan", "weft plan", "plan"),
    ):
        for size in runs:
            runs[size][what]["own_cpu"] = _own(runs[size][what], name)
        grown = runs[large][what]["own_cpu"] / max(runs[small][what]["own_cpu"], 1e-9)
        peak = runs[large][what]["by_role"]["driver"]["rss"]
        rows += [
            Row(f"{label}, {large:,} parts", runs[large][what]["own_cpu"], "CPU s",
                more_is_better=False),
            Row(f"{label}: {times:g} times the parts", grown, "x", "bound",
                times * MAX_GROWTH, more_is_better=False),
            Row(f"{label}: peak memory", peak, "MB", f"at {small:,} parts",
                runs[small][what]["by_role"]["driver"]["rss"], more_is_better=False),
        ]  # fmt: skip
    dedup, shards = runs[large]["dedup"], runs[large]["shards"]
    rows += [
        Row(f"stage dedup, {large:,} parts: peak memory of a {role}",
            dedup["by_role"][role]["rss"], "MB", f"at {small:,} parts",
            runs[small]["dedup"]["by_role"][role]["rss"], more_is_better=False)
        for role in ("stage process", "worker")
    ]  # fmt: skip
    rows += [
        Row(f"stage dedup, {large:,} parts: whole", dedup["stage_seconds"], "s",
            more_is_better=False),
        Row("largest graph", max(graph["bytes"] for graph in dedup["graphs"])
            / large, "bytes/part", more_is_better=False),
        Row("run.json", dedup["run_json_bytes"] / 1e6, "MB", more_is_better=False),
        Row("files in the output", dedup["files"], "files", more_is_better=False),
        Row("longest listing", max(one["names"] for one in dedup["listings"].values()), "names",
            more_is_better=False),
        Row("longest listing: time", max(one["seconds"] for one in dedup["listings"].values()),
            "s", more_is_better=False),
        Row("shards planned", shards["shards"], "shards", f"at {small:,} parts",
            runs[small]["shards"]["shards"]),
    ]  # fmt: skip
    return rows


def _own(run: dict[str, Any], name: str) -> float:
    """CPU seconds of the driver; what this benchmark does beside a run is left out.

    While graphs run in other processes the driver tells how far they are.
    """
    seconds = run["seconds"]
    if name == "own":
        return float(seconds["whole"]["cpu"] - seconds["measuring"]["cpu"])
    return float(sum(spent["cpu"] for spent in seconds.values()))


def main() -> None:
    """Program entry."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.driver", description=__doc__)
    quick = "a smoke run: few parts; its file goes to out/benchmarks"
    parser.add_argument("--quick", action="store_true", help=quick)
    given = parser.parse_args()
    machine = hardware()
    begin = time.perf_counter()
    runs: dict[int, dict[str, Any]] = {}
    for parts in QUICK_SIZES if given.quick else SIZES:
        with tempfile.TemporaryDirectory(prefix="weft-bench-") as name:
            runs[parts] = simulate(Path(name), parts)
            shutil.rmtree(Path(name) / "out")
    rows = rows_of(runs)
    details = {
        "folder": tempfile.gettempdir(),
        "pages_of_a_part": PAGES,
        "overrides": OVERRIDES,
        "runs": {str(parts): found for parts, found in runs.items()},
        "seconds": round(time.perf_counter() - begin, 1),
    }
    command = "make bench-driver" + (' ARGS="--quick"' if given.quick else "")
    report = Report("driver", command, machine, versions(DISTRIBUTIONS), rows, details)
    report.show(Console() if Console().is_terminal else Console(width=140))
    path = (QUICK_RESULTS if given.quick else RESULTS) / "driver.json"
    report.write(path)
    say(f"{path.relative_to(ROOT)} written, {details['seconds']:.0f} s")


if __name__ == "__main__":
    main()
