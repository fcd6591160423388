"""`make bench-redecide`: what another threshold costs, beside what scoring did.

Rows are pairs of a corpus in WebDataset form: pictures of scenes, each file with bytes of its own,
and captions with a number. They go through every stage once; then gate `alignment` gets another
threshold and the run is started again, up to the plan of its shards. Writing them is timed apart.
"""

import argparse
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.processes import ROOT, say
from benchmarks.report import RESULTS, Report, Row, hardware, middle, versions
from pipeline.demo.images import make_picture
from pipeline.demo.scenes import caption

QUICK_RESULTS = ROOT / "out" / "benchmarks"
DISTRIBUTIONS = ("weft-data", "apache-beam", "pyarrow", "duckdb", "torch", "open_clip_torch")
ROWS, QUICK_ROWS = 100_000, 2000
ROUNDS = 3
SHARE = 0.05
PLAN = "--plan"
"""Argument of a run that ends at the plan of its shards."""
PICTURES = 1000
SIZE = (320, 240)
ROWS_A_FILE = 12_500
RECIPE = """
description = "pairs of a corpus, scored by the tiny CLIP"
[dedup_images]
perceptual = false
min_set = 0
[shards]
target_samples = 5000
[scorers.clip]
model = "weft:tiny-clip"
[gates.shard.captioned]
alignment = { value = "clip_score", min = 0.2 }
"""


def write_corpus(folder: Path, rows: int) -> None:
    """Tar files of pairs. A comment in each file makes its bytes differ."""
    rng = random.Random(0)
    pictures = []
    for _ in range(PICTURES):
        picture = make_picture(rng, "", SIZE)
        assert picture.data is not None
        assert picture.scene is not None
        pictures.append((picture.data, picture.scene))
    folder.mkdir()
    for first in range(0, rows, ROWS_A_FILE):
        with tarfile.open(folder / f"pairs-{first:07d}.tar", "w") as tar:
            for number in range(first, min(first + ROWS_A_FILE, rows)):
                data, scene = pictures[number % PICTURES]
                note = b"%08d" % number
                jpeg = data[:2] + b"\xff\xfe\x00\x0a" + note + data[2:]
                text = f"{caption(scene, rng)}, number {number}".encode()
                for suffix, content in (("jpg", jpeg), ("txt", text)):
                    info = tarfile.TarInfo(f"{number:08d}.{suffix}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))


def run_timed(folder: Path, stages: str | None = None, *arguments: str) -> dict[str, Any]:
    """A run in a process of its own: its seconds, and those of writing shards and of their plan."""
    command = [
        sys.executable, "-m", "benchmarks.redecide", "--run", str(folder), stages or "all",
        *arguments,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: ended with status {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(folder: Path, rows: int, rounds: int) -> tuple[list[Row], dict[str, Any]]:
    """The rows of the report, and every run."""
    say(f"a corpus of {rows} pairs")
    write_corpus(folder / "corpus", rows)
    (folder / "recipe.toml").write_text(RECIPE)
    stages = "extract,dedup,refs,fetch,dedup_images"
    say("before scores")
    runs: dict[str, Any] = {"before": run_timed(folder, stages)}
    say("scores")
    runs["score"] = run_timed(folder, f"{stages},score")
    runs["shard plan"] = run_timed(folder, None, PLAN)
    runs["another threshold"] = []
    for number in range(rounds):
        say(f"another threshold, round {number + 1} of {rounds}")
        threshold = f"gates.shard.captioned.alignment.min={0.25 + number / 100}"
        runs["another threshold"].append(run_timed(folder, None, PLAN, threshold))
    say("shards")
    runs["shards"] = run_timed(folder, None, threshold)
    deciding = middle([run["seconds"] for run in runs["another threshold"]])
    scoring = runs["score"]["seconds"]
    share = Row(
        f"deciding again on {rows} rows: candidates, ledger, shard plan", deciding, "s",
        f"at most {SHARE:.0%} of scoring", SHARE * scoring, more_is_better=False,
    )  # fmt: skip
    written = Row(f"writing the shards of {rows} rows", runs["shards"]["writing"], "s")
    return [share, written], {"rows": rows, "runs": runs, "share": round(deciding / scoring, 4)}


def run_once(folder: str, stages: str, *arguments: str) -> dict[str, float]:
    """One run, timed; with `PLAN` among its overrides it ends at the plan of its shards."""
    from pipeline.stage_start import start_importing

    start_importing()  # as `weft run` does
    from pipeline import publish, run
    from pipeline.run_record import STAGES

    times = {"writing": 0.0, "planning": 0.0}

    def timed(name: str, function: Any) -> Any:
        def call(*args: Any) -> Any:
            begin = time.perf_counter()
            try:
                return function(*args)
            finally:
                times[name] += time.perf_counter() - begin

        return call

    def only_plan(state: Any, *_: Any) -> tuple[list[Any], int]:
        publish.plan_shards(state)
        return [], 0

    publish.plan_shards = timed("planning", publish.plan_shards)
    publishing: Any = only_plan if PLAN in arguments else timed("writing", run._publish)
    run._publish = publishing
    begin = time.perf_counter()
    options = run.RunOptions(
        os.path.join(folder, "recipe.toml"),
        [os.path.join(folder, "corpus")],
        os.path.join(folder, "out"),
        stages=STAGES if stages == "all" else stages.split(","),
        overrides=[word for word in arguments if word != PLAN],
        quiet=True,
    )
    run.execute(options)
    return {"seconds": time.perf_counter() - begin, **times}


def main() -> None:
    """Program entry."""
    if sys.argv[1:2] == ["--run"]:
        print(json.dumps(run_once(*sys.argv[2:])))
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks.redecide", description=__doc__)
    quick = "a smoke run: one round of few rows; its file goes to out/benchmarks"
    parser.add_argument("--quick", action="store_true", help=quick)
    given = parser.parse_args()
    machine = hardware()
    begin = time.perf_counter()
    rounds = 1 if given.quick else ROUNDS
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as name:
        rows, details = measure(Path(name), QUICK_ROWS if given.quick else ROWS, rounds)
    details |= {"rounds": rounds, "seconds": round(time.perf_counter() - begin, 1)}
    command = "make bench-redecide" + (' ARGS="--quick"' if given.quick else "")
    report = Report("redecide", command, machine, versions(DISTRIBUTIONS), rows, details)
    console = Console() if Console().is_terminal else Console(width=160)
    report.show(console)
    verdict = "holds" if details["share"] <= SHARE else "MISSED"
    console.print(f"share of scoring: {details['share']:.3f}, at most {SHARE}: {verdict}")
    path = (QUICK_RESULTS if given.quick else RESULTS) / "redecide.json"
    report.write(path)
    console.print(f"{path.relative_to(ROOT)} written, {details['seconds']:.0f} s")


if __name__ == "__main__":
    main()
