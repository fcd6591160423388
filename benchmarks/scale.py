"""`make bench-scale`: stages extract and dedup with one worker and two, and on ten times the input.

Speed is that of the stage as `run.json` has it, the start of its processes included. Memory is
taken in runs of its own, since looking costs time. README.md says how to read the rows.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.crawls import Crawl, Repeat, load_source, together, write_repeats
from benchmarks.driver_runs import NO_TEXTS
from benchmarks.memory import run_watched
from benchmarks.processes import ROOT, run_json, say
from benchmarks.report import RESULTS, Report, Row, hardware, middle, versions

QUICK_RESULTS = ROOT / "out" / "benchmarks"
DISTRIBUTIONS = ("weft-data", "apache-beam", "pyarrow", "fastwarc", "selectolax", "pillow")
RECIPE = "mm1"
TIMES = 10
"""How much larger the large input is."""
WORKERS = (1, 2)
SLICES = 4
"""Parts of a crawl file."""
MIN_SPEEDUP = 1.8
MAX_TIME = 10.5
"""Most that ten times the input may take."""
MAX_GROWTH = 1.2
"""Most that the peak of a worker may grow."""
LOOK_SECONDS = 0.1
"""From one look at the memory to the next: workers on the small input live for seconds."""
DEDUP_PART = 5_000
"""Pages of a part of stage dedup."""
DEDUP_PARTS = 10
"""Parts of its small input."""
SIZES = {"1x": 1, f"{TIMES}x": TIMES}


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rounds: int
    every: int
    """Take every so many-th page or image of the source only."""
    dedup_part: int


FULL = Scale(rounds=3, every=1, dedup_part=DEDUP_PART)
QUICK = Scale(rounds=1, every=6, dedup_part=500)

Measure = Callable[[str, int, bool], dict[str, Any]]
"""A run of a stage: the size, the workers, whether its memory is taken (`by_role`); gives `wall`,
seconds, and `pages`."""


class Extract:
    """Stage extract over crawl files: one of the source, and ten."""

    def __init__(self, scale: Scale, folder: Path) -> None:
        self._folder = folder
        source = load_source().thinned(scale.every)
        say(f"writing crawl files: {source.name}, {source.pages} pages, {source.images} images")
        # Every file holds every image, the largest too: decoding it sets the peak of memory.
        files = write_repeats(
            source, folder / "crawls", "scale", [Repeat(number, 1) for number in range(TIMES)]
        )
        self.crawls: dict[str, Crawl] = {
            size: together(files[:times]) for size, times in SIZES.items()
        }
        self.source = source.name
        self._part_bytes = files[0].bytes // SLICES + 1

    def __call__(self, size: str, workers: int, watch: bool) -> dict[str, Any]:
        """One run, into a fresh output."""
        crawl, output = self.crawls[size], self._folder / "extracted"
        more = ["--set", f"input.part_bytes={self._part_bytes}"]
        found = _run("extract", crawl.paths, output, workers, more, watch)
        shutil.rmtree(output)
        if found["pages"] != crawl.pages:
            raise SystemExit(f"extract, {size}: {found} does not cover {crawl.as_json()}")
        return found


class Dedup:
    """Stage dedup from made-up signatures on, as `driver_runs.py` makes them."""

    def __init__(self, scale: Scale, folder: Path) -> None:
        self._folder = folder
        self._pages = scale.dedup_part * DEDUP_PARTS
        for size, times in SIZES.items():
            say(f"writing signatures, {size}: {self._pages * times:,} pages")
            run_json([
                sys.executable, "-m", "benchmarks.driver_runs", "make", folder / f"made-{size}",
                "--parts", str(DEDUP_PARTS * times), "--rows", str(scale.dedup_part),
            ])  # fmt: skip

    def __call__(self, size: str, workers: int, watch: bool) -> dict[str, Any]:
        """One run, over a copy of what was made."""
        made, copy = self._folder / f"made-{size}", self._folder / f"made-{size}" / "out"
        kept = self._folder / f"kept-{size}"
        shutil.move(copy, kept)
        # Files are replaced and never written in place, so links will do; the input's identity
        # holds its time, so it stays where it is.
        shutil.copytree(kept, copy, copy_function=os.link)
        found = _run("dedup", [made / "crawl"], copy, workers, ["--set", NO_TEXTS], watch)
        shutil.rmtree(copy)
        shutil.move(kept, copy)
        return found


def _run(
    stage: str,
    inputs: Sequence[Path],
    output: Path,
    workers: int,
    more: Sequence[str],
    watch: bool,
) -> dict[str, Any]:
    """The command that a user gives; what `run.json` says of the stage."""
    command: list[str | Path] = [
        sys.executable, ROOT / "beam_runner.py", "run", RECIPE, "--output", output, "--quiet",
        "--no-report", "--stages", "extract" if stage == "extract" else "extract,dedup",
        "--workers", str(workers), *more,
    ]  # fmt: skip
    for path in inputs:
        command += ["--input", path]
    found: dict[str, Any] = {}
    if watch:
        _, sampler = run_watched(command, interval=LOOK_SECONDS)
        found["by_role"] = sampler.by_role()
    else:
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    done = json.loads((output / "run.json").read_text())["stages"]
    pages = done["extract"]["tables"]["pages"]["in"]
    return found | {"wall": done[stage]["seconds"], "parts": done[stage]["parts"], "pages": pages}


def measure_stage(
    name: str, run: Measure, rounds: int, min_speedup: float | None
) -> tuple[list[Row], dict[str, Any]]:
    """Rows of a stage, and every run: by size and workers, in turn."""
    kinds = [(size, workers) for size in SIZES for workers in WORKERS]
    runs: dict[tuple[str, int], list[dict[str, Any]]] = {kind: [] for kind in kinds}
    for number in range(rounds):
        for size, workers in kinds:
            say(f"{name}, {size}, {workers} workers: round {number + 1} of {rounds}")
            runs[size, workers].append(run(size, workers, False))
    seconds = {kind: middle([one["wall"] for one in found]) for kind, found in runs.items()}
    one, large = WORKERS[0], f"{TIMES}x"
    rows = [
        Row(f"{name}, {workers} workers", runs[large, workers][0]["pages"]
            / seconds[large, workers], "pages/s")
        for workers in WORKERS
    ]  # fmt: skip
    for workers in WORKERS[1:]:
        speedup = seconds[large, one] / seconds[large, workers]
        rows.append(
            Row(f"{name}: {workers} workers beside 1, {seconds[large, one]:.0f} s of it",
                speedup, "times", "target" if min_speedup else None, min_speedup)
        )  # fmt: skip
    rows += [
        Row(f"{name}, {workers} workers: time of {TIMES}x the input",
            seconds[large, workers] / seconds["1x", workers], "x", "bound", MAX_TIME,
            more_is_better=False)
        for workers in WORKERS
    ]  # fmt: skip
    peaks: dict[str, Any] = {}
    for size in SIZES:
        say(f"{name}, {size}: memory")
        peaks[size] = run(size, WORKERS[-1], True)["by_role"]
    for role in ("worker", "stage process", "driver"):
        small, big = (peaks[size][role]["rss"] for size in SIZES)
        # Rows that meet take memory by the bucket, and a local runner holds all of them.
        limit = MAX_GROWTH if min_speedup else None
        rows += [
            Row(f"{name}: peak of a {role} at {large}", big, "MB (RSS)", more_is_better=False),
            Row(f"{name}: growth of a {role}", big / small, f"{large} / 1x",
                "limit" if limit else None, limit, more_is_better=False),
        ]  # fmt: skip
    told = {f"{size}, {workers} workers": found for (size, workers), found in runs.items()}
    return rows, {"runs": told, "memory_mb": peaks}


def main() -> None:
    """Program entry."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    quick = "a smoke run: little input, one round; its file goes to out/benchmarks"
    parser.add_argument("--quick", action="store_true", help=quick)
    given = parser.parse_args()
    scale = QUICK if given.quick else FULL
    machine = hardware()
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as name:
        extract = Extract(scale, Path(name))
        rows, found = measure_stage("extract", extract, scale.rounds, MIN_SPEEDUP)
        details: dict[str, Any] = {
            "source": extract.source,
            "crawls": {size: crawl.as_json() for size, crawl in extract.crawls.items()},
            "extract": found,
        }
        shutil.rmtree(Path(name) / "crawls")
        more, details["dedup"] = measure_stage(
            "dedup", Dedup(scale, Path(name)), scale.rounds, None
        )
    details |= {"rounds": scale.rounds, "seconds": round(time.perf_counter() - begin, 1)}
    command = "make bench-scale" + (' ARGS="--quick"' if given.quick else "")
    report = Report("scale", command, machine, versions(DISTRIBUTIONS), rows + more, details)
    report.show(Console() if Console().is_terminal else Console(width=140))
    path = (QUICK_RESULTS if given.quick else RESULTS) / "scale.json"
    report.write(path)
    say(f"{path.relative_to(ROOT)} written, {details['seconds']:.0f} s")


if __name__ == "__main__":
    main()
