"""`make bench-stages`: CPU time and bytes of every stage a page, on the demo crawl at two sizes.

What starting costs falls out of the difference of the two. README.md says how to read the rows.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from fsspec.implementations.local import LocalFileSystem
from rich.console import Console

from benchmarks.processes import ROOT, run_json, say
from benchmarks.report import RESULTS, Report, Row, hardware, middle, versions

QUICK_RESULTS = ROOT / "out" / "benchmarks"
DISTRIBUTIONS = ("weft-data", "apache-beam", "pyarrow", "fastwarc", "selectolax", "pillow")
SIZES, QUICK_SIZES = (800, 3200), (250, 400)
ROUNDS, QUICK_ROUNDS = 3, 1
MEASURED = {"cpu": "CPU s", "read": "bytes", "shuffled": "bytes", "written": "bytes"}
"""What is measured of a stage, and the unit of it a page."""


def _spent() -> dict[str, float]:
    """CPU seconds of this process and its children, and bytes that it has read."""
    times = os.times()
    cpu = times.user + times.system + times.children_user + times.children_system
    lines = Path("/proc/self/io").read_text().splitlines()
    return {"cpu": cpu, "read": float(dict(line.split(": ") for line in lines)["rchar"])}


def run_stages(folder: Path, pages: int) -> dict[str, Any]:
    """A run of the demo's recipe in this process, stage by stage."""
    from pipeline import run
    from pipeline.demo import generate_demo_crawl
    from pipeline.output_counts import SCORERS, count_output
    from transforms import shuffle

    generate_demo_crawl(folder / "crawl", pages=pages)
    counts = {"shuffled": 0.0, "opened": 0.0}
    stages: dict[str, dict[str, float]] = {}

    def counted(call: Callable[..., Any], name: str, amount: Callable[[Any], float]) -> Any:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            found = call(*arguments, **options)
            counts[name] += amount(found)
            return found

        return wrapped

    run_stage, run_step = run._stage, vars(run)["run_step"]
    candidates: dict[str, float] = {}

    def spent(call: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
        before = _spent() | counts
        found = call()
        after = _spent() | counts
        return found, {name: round(after[name] - before[name], 3) for name in after}

    def step(state: Any, step: Any, *more: Any) -> int:
        found, own = spent(lambda: run_step(state, step, *more))
        if step.name == "candidates":
            candidates.update(own)
        return int(found)

    def stage(state: Any, name: str, *more: Any) -> None:
        _, stages[name] = spent(lambda: run_stage(state, name, *more))
        if name == "score":
            rest = {key: round(value - candidates[key], 3) for key, value in stages[name].items()}
            stages.update({name: candidates, SCORERS: rest})

    output = str(folder / "out")
    encode = counted(shuffle.encode_block, "shuffled", len)
    opened = counted(LocalFileSystem._open, "opened", lambda found: 1)
    options = run.RunOptions("demo", [str(folder / "crawl")], output, workers=1, quiet=True)
    with (
        patch.object(shuffle, "encode_block", encode),
        patch.object(LocalFileSystem, "_open", opened),
        patch.object(run, "_stage", stage),
        patch.object(run, "run_step", step),
    ):
        state = run.execute(options)
    found = count_output(output, state.record)
    assert found is not None
    return {"stages": stages, "counts": found.as_json()}


def main() -> None:
    """Program entry."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages", description=__doc__)
    quick = "a smoke run: few pages, one round; its file goes to out/benchmarks"
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--run", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        print(json.dumps(run_stages(given.folder, given.run)))
        return
    machine = hardware()
    begin = time.perf_counter()
    sizes = QUICK_SIZES if given.quick else SIZES
    rounds = QUICK_ROUNDS if given.quick else ROUNDS
    runs: dict[int, list[dict[str, Any]]] = {size: [] for size in sizes}
    for number in range(rounds):
        for size in sizes:
            say(f"{size:,} pages: round {number + 1} of {rounds}")
            with tempfile.TemporaryDirectory(prefix="weft-bench-") as name:
                found = run_json([
                    sys.executable, "-m", "benchmarks.stages", "--run", str(size), "--folder", name
                ])  # fmt: skip
            found["counts"]["source"] = f"demo crawl of {size:,} pages"
            for stage, spent in found["stages"].items():
                spent["written"] = found["counts"]["stages"][stage]["written"]
            runs[size].append(found)
    small, large = sizes
    grown = _pages(runs[large]) - _pages(runs[small])
    rows = []
    for stage in runs[large][0]["stages"]:
        for name, unit in MEASURED.items():
            more = _middle(runs[large], stage, name) - _middle(runs[small], stage, name)
            rows.append(
                Row(f"{stage}: {name}", max(0.0, more / grown), f"{unit}/page",
                    more_is_better=False)
            )  # fmt: skip
    details = {
        "rounds": rounds,
        "runs": {str(size): [run["stages"] for run in found] for size, found in runs.items()},
        "counts": {str(size): found[0]["counts"] for size, found in runs.items()},
        "seconds": round(time.perf_counter() - begin, 1),
    }
    command = "make bench-stages" + (' ARGS="--quick"' if given.quick else "")
    report = Report("stages", command, machine, versions(DISTRIBUTIONS), rows, details)
    report.show(Console() if Console().is_terminal else Console(width=140))
    path = (QUICK_RESULTS if given.quick else RESULTS) / "stages.json"
    report.write(path)
    say(f"{path.relative_to(ROOT)} written, {details['seconds']:.0f} s")


def _pages(runs: list[dict[str, Any]]) -> int:
    return int(runs[0]["counts"]["rows"]["pages"])


def _middle(runs: list[dict[str, Any]], stage: str, name: str) -> float:
    return middle([run["stages"][stage][name] for run in runs])


if __name__ == "__main__":
    main()
