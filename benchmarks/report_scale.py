"""`make bench-report`: time and memory of `weft report` and `weft inspect` on a million captions.

benchmarks/README.md says how the input is made.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.processes import ROOT, say
from benchmarks.report import RESULTS, Report, Row, hardware, middle, versions
from benchmarks.report_inputs import deal_shards, grow_output
from pipeline.report.standing import FACTS, FOLDER, PAGE

QUICK_RESULTS = ROOT / "out" / "benchmarks"
DISTRIBUTIONS = ("weft-data", "duckdb", "pyarrow", "pillow")
PAGES = 2400
PART_BYTES = 65_536
CAPTIONS, QUICK_CAPTIONS = 1_000_000, 20_000
SHARDS = 1000
ROUNDS, QUICK_ROUNDS = 3, 1
LIMITS = {"seconds": 60.0, "memory": 1e9, "bytes": 15e6, "inspect": 2.0}


def run_weft(*arguments: str) -> dict[str, float]:
    """Seconds of a command, and the largest memory (bytes) of its own process."""
    command = [sys.executable, str(ROOT / "beam_runner.py"), *arguments]
    begin = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: ended with status {process.returncode}")
    return {"seconds": seconds, "memory": used.ru_maxrss * 1024.0}


def make_output(folder: Path, captions: int) -> tuple[Path, int]:
    """An output of the demo's recipe with about so many captions; where, and how many."""
    crawl = folder / "crawl"
    output = folder / "out"
    say("a crawl and its run")
    from pipeline.demo import generate_demo_crawl

    generate_demo_crawl(crawl, pages=PAGES)
    # A file that is not compressed record by record is one part, and would be one of no real size.
    files = [word for path in sorted(crawl.glob("*.warc.gz")) for word in ("-i", str(path))]
    run_weft(
        "run", "demo", *files, "-o", str(output), "-q", "--no-report",
        "--set", f"input.part_bytes={PART_BYTES}",
    )  # fmt: skip
    run: dict[str, Any] = json.loads((output / "run.json").read_text())
    there = run["stages"]["shard"]["tables"]["captions"]["in"]
    times = max(1, round(captions / there))
    say(f"its tables {times} times")
    grow_output(output, times)
    return output, there * times


def main() -> None:
    """Program entry."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report_scale", description=__doc__)
    quick = "a smoke run: one round over few rows; its file goes to out/benchmarks"
    parser.add_argument("--quick", action="store_true", help=quick)
    given = parser.parse_args()
    machine = hardware()
    begin = time.perf_counter()
    rounds = QUICK_ROUNDS if given.quick else ROUNDS
    runs: list[dict[str, float]] = []
    looks: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as name:
        output, captions = make_output(Path(name), QUICK_CAPTIONS if given.quick else CAPTIONS)
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            runs.append(run_weft("report", str(output), "-q"))
        facts = json.loads((output / FOLDER / FACTS).read_bytes())
        size = (output / FOLDER / PAGE).stat().st_size
        stream = output / "shards" / "captioned"
        shards = min(SHARDS, captions // 100)
        samples = deal_shards(stream, shards)
        for number in range(rounds):
            say(f"inspect, round {number + 1} of {rounds}")
            looks.append(run_weft("inspect", str(stream)))
    what = f"report of {captions:,} captions"
    values = {key: middle([run[key] for run in runs]) for key in ("seconds", "memory")}
    values["bytes"] = float(size)
    rows = [
        Row(f"{what}: time", values["seconds"], "s", "at most", LIMITS["seconds"],
            more_is_better=False),
        Row(f"{what}: memory", values["memory"] / 1e6, "MB", "at most", LIMITS["memory"] / 1e6,
            more_is_better=False),
        Row(f"{what}: index.html", size / 1e6, "MB", "at most", LIMITS["bytes"] / 1e6,
            more_is_better=False),
        Row(f"inspect of {shards:,} shards of {samples:,} samples",
            middle([run["seconds"] for run in looks]), "s", "at most", LIMITS["inspect"],
            more_is_better=False),
    ]  # fmt: skip
    details = {
        "rounds": rounds, "captions": captions, "judged": facts["judged"],
        "rows_by_gate": {found["gate"]: found["rows"] for found in facts["slices"]},
        "runs": runs, "inspect_runs": looks,
        "children_max_rss": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,
        "seconds": round(time.perf_counter() - begin, 1),
    }  # fmt: skip
    command = "make bench-report" + (' ARGS="--quick"' if given.quick else "")
    report = Report("report", command, machine, versions(DISTRIBUTIONS), rows, details)
    console = Console() if Console().is_terminal else Console(width=160)
    report.show(console)
    for row in rows:
        assert row.ratio is not None
        console.print(f"{row.what}: {'holds' if row.ratio >= 1 else 'MISSED'}", highlight=False)
    path = (QUICK_RESULTS if given.quick else RESULTS) / "report.json"
    report.write(path)
    console.print(f"{path.relative_to(ROOT)} written, {details['seconds']:.0f} s")


if __name__ == "__main__":
    main()
