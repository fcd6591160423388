"""`make bench-loader`: how fast the trainer's loader is, beside webdataset and Megatron-Energon.

All sides read the same shards with the same number of processes, one a core.
benchmarks/README.md says how each number is made.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Console

from benchmarks.loader_inputs import loader_config, open_input, write_captioned
from benchmarks.processes import ROOT, run_json, say
from benchmarks.report import RESULTS, Report, Row, hardware, middle, versions
from benchmarks.score_inputs import load_pairs

QUICK_RESULTS = ROOT / "out" / "benchmarks"
DISTRIBUTIONS = ("weft-data", "torch", "webdataset", "pillow", "open_clip_torch", "numpy")
ENERGON = ROOT / ".venv-energon" / "bin"
ROUNDS, QUICK_ROUNDS = 3, 1
SAMPLES, QUICK_SAMPLES = 6000, 600
TURNS = 24
"""Steps at the start and at the end whose first batch is timed: a step of larger photos takes a
fifth longer than the next, so that a few say more of photos than of places."""
RAW_SIDE = 336
"""Pixels of the square that pictures become: ViT-L/14 at 336, as MM1's ablations."""
WEBDATASET = "webdataset"
TARGETS = {"raw": 3.0, "decoded": 2.0}


def run_side(what: str, folder: Path, *options: str) -> dict[str, Any]:
    """The answer of a side that is one process (and its workers)."""
    return run_json([
        sys.executable, "-m", "benchmarks.loader_sides", what, "--folder", folder, *options,
    ])  # fmt: skip


def run_shared(what: str, folder: Path, processes: int, *options: str) -> dict[str, float]:
    """Samples and megabytes a second of several processes that share the work."""
    command = [sys.executable, "-m", "benchmarks.loader_sides", what, "--folder", str(folder),
               "--processes", str(processes), *options]  # fmt: skip
    running = [
        subprocess.Popen([*command, "--number", str(number)], cwd=ROOT, stdout=subprocess.PIPE)
        for number in range(processes)
    ]
    answers = []
    for each in running:
        out, _ = each.communicate()
        if each.returncode != 0:
            raise SystemExit(f"{' '.join(command)}: ended with status {each.returncode}")
        answers.append(json.loads(out.splitlines()[-1]))
    # The processes need not begin at one moment: each counts its own time.
    return {
        "samples": sum(a["samples"] / a["seconds"] for a in answers),
        "megabytes": sum(a["bytes"] / a["seconds"] for a in answers) / 1e6,
    }


def speed(answer: dict[str, float]) -> float:
    """Samples a second."""
    return answer["samples"] / answer["seconds"]


def measure_speed(
    folder: Path, processes: int, rounds: int, has_energon: bool
) -> tuple[list[Row], dict[str, list[float]]]:
    """Rows of raw and decoded samples, all sides in turn."""
    runs: dict[str, list[float]] = {}

    def note(what: str, value: float) -> None:
        runs.setdefault(what, []).append(value)

    workers = ["--workers", str(processes)]
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for what in ("ours-raw", "webdataset-raw"):
            found = run_shared(what, folder, processes)
            note(what, found["samples"])
            note(f"{what} MB/s", found["megabytes"])
        note("ours-draft", speed(run_side("ours-decoded", folder, *workers, "--draft")))
        note("webdataset-decoded", speed(run_side("webdataset-decoded", folder, *workers)))
        note("ours-whole", speed(run_side("ours-decoded", folder, *workers)))
        if has_energon:
            note("energon-decoded", speed(run_energon(folder, processes)))
        for name, options in (("draft", ["--draft"]), ("whole", [])):
            found = run_shared("decode-alone", folder, processes, *options)
            note(f"limit-{name}", found["samples"])
            note(f"limit-{name} MB/s", found["megabytes"])
    m = {name: middle(values) for name, values in runs.items()}
    unit = "samples/s"
    rows = [
        Row("raw samples, shuffled", m["ours-raw"], unit, f"{WEBDATASET}, shuffle buffer",
            m["webdataset-raw"]),
        Row("decoded, JPEG draft", m["ours-draft"], unit, WEBDATASET, m["webdataset-decoded"]),
        Row("decoded, no draft", m["ours-whole"], unit, WEBDATASET, m["webdataset-decoded"]),
        Row("decoded, JPEG draft", m["ours-draft"], unit, "decoding alone", m["limit-draft"]),
        Row("decoded, no draft", m["ours-whole"], unit, "decoding alone", m["limit-whole"]),
    ]  # fmt: skip
    if has_energon:
        for name, key in (("JPEG draft", "ours-draft"), ("no draft", "ours-whole")):
            rows.append(
                Row(f"decoded, {name}", m[key], unit, "Megatron-Energon", m["energon-decoded"])
            )
    return rows, runs


def prepare_energon(folder: Path) -> str:
    """Make the index that Energon needs, beside the shards; why not, where it cannot."""
    if not (ENERGON / "energon").exists():
        return "not installed: `make energon` builds .venv-energon"
    done = subprocess.run(
        [
            ENERGON / "energon", "prepare", folder / "captioned", "--non-interactive",
            "--no-progress", "--num-workers=1", "--split-parts=train:train-.*",
            "--sample-type=CaptioningSample", '--field-map={"image": "jpg", "caption": "txt"}',
        ],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    return "" if done.returncode == 0 else f"energon prepare: {done.stderr.strip()[-300:]}"


def run_energon(folder: Path, workers: int) -> dict[str, Any]:
    """The same shards through Energon, in its own environment."""
    return run_json([
        ENERGON / "python", ROOT / "benchmarks" / "loader_energon.py", folder / "captioned",
        str(workers), str(RAW_SIDE),
    ])  # fmt: skip


def measure_resume(folder: Path, processes: int, turns: int) -> tuple[list[Row], Any]:
    """The row of the time to the first batch."""
    say("time to the first batch")
    found = run_side("resume", folder, "--workers", str(processes), "--turns", str(turns))
    row = Row(
        "first batch, resumed in the last steps", middle(found["end"]), "s",
        "in the first steps", middle(found["start"]), more_is_better=False,
    )  # fmt: skip
    return [row], found


def measure_memory(folder: Path, processes: int) -> tuple[list[Row], Any]:
    """The row of memory in the second epoch beside the first."""
    say("memory over two epochs")
    found = run_side("memory", folder, "--workers", str(processes))
    sizes = found["pss_mb"]
    half = len(sizes) // 2
    # The first samples of all are of buffers that are still being filled.
    first, second = mean(sizes[half // 2 : half]), mean(sizes[half + half // 2 :])
    row = Row(
        "memory (PSS) in the second epoch", second, "MB", "in the first", first,
        more_is_better=False,
    )  # fmt: skip
    return [row], found


def main() -> None:
    """Program entry."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loader", description=__doc__)
    quick = "a smoke run: one round over few samples; its file goes to out/benchmarks"
    parser.add_argument("--quick", action="store_true", help=quick)
    given = parser.parse_args()
    machine = hardware()
    begin = time.perf_counter()
    rounds, samples = (QUICK_ROUNDS, QUICK_SAMPLES) if given.quick else (ROUNDS, SAMPLES)
    processes = len(os.sched_getaffinity(0))
    found = load_pairs()
    distinct = found.distinct().pairs
    pairs = [distinct[number % len(distinct)] for number in range(samples)]
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as name:
        folder = Path(name)
        write_captioned(folder / "captioned", pairs, shards=8)
        size = sum(path.stat().st_size for path in (folder / "captioned").glob("*.tar"))
        open_input(folder, loader_config(0, True))  # counts tokens and plans, once
        missing = prepare_energon(folder)
        rows, runs = measure_speed(folder, processes, rounds, not missing)
        more, resumed = measure_resume(folder, processes, 3 if given.quick else TURNS)
        last, used = measure_memory(folder, processes)
    details = {
        "rounds": rounds, "processes": processes, "side": RAW_SIDE, "samples": samples,
        "megabytes": round(size / 1e6, 1), "page_cache": "warm: all sides read it before",
        "inputs": found.distinct().facts(), "runs": runs, "resume": resumed, "memory": used,
        "energon": missing or "measured", "seconds": round(time.perf_counter() - begin, 1),
    }  # fmt: skip
    command = "make bench-loader" + (' ARGS="--quick"' if given.quick else "")
    rows += [*more, *last]
    report = Report("loader", command, machine, versions(DISTRIBUTIONS), rows, details)
    console = Console() if Console().is_terminal else Console(width=160)
    report.show(console)
    show_targets(console, rows)
    path = (QUICK_RESULTS if given.quick else RESULTS) / "loader.json"
    report.write(path)
    console.print(f"{path.relative_to(ROOT)} written, {details['seconds']:.0f} s")


def show_targets(console: Console, rows: Sequence[Row]) -> None:
    """Print what is promised and what is."""
    for row in rows:
        assert row.peer_name is not None
        assert row.ratio is not None
        if row.peer_name.startswith(WEBDATASET) and "no draft" not in row.what:
            least = TARGETS[row.what.partition(",")[0].partition(" ")[0]]
            verdict = "holds" if row.ratio >= least else "MISSED"
            text = f"{row.ratio:.3g}x, at least {least:g}x"
        elif row.peer_name in ("in the first steps", "in the first"):
            verdict = "holds" if abs(row.ratio - 1) <= 0.1 else "MISSED"
            text = f"{row.ratio:.3g}, within 10%"
        else:
            continue
        console.print(f"{row.what}, {row.peer_name}: {text}: {verdict}", highlight=False)


if __name__ == "__main__":
    main()
