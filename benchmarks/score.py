"""`make bench-score`: how near stage `score` comes to its models, and to a loop one writes by hand.

Models have random weights: speed does not depend on them. On a machine without a GPU every core has
a process of one thread, as a run has; with one, a process has it and all cores decode.
benchmarks/README.md says how each number is made.
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.processes import ROOT, say
from benchmarks.report import RESULTS, Report, Row, hardware, middle, versions
from benchmarks.score_inputs import Pairs, load_pairs
from benchmarks.score_sides import write_plan
from transforms.score_plan import IMAGES, TEXTS

QUICK_RESULTS = ROOT / "out" / "benchmarks"
DISTRIBUTIONS = ("weft-data", "torch", "open_clip_torch", "webdataset", "pillow", "numpy")
ROUNDS = 3
ONCE, USED = "each picture once", "as pages use them"
"""The two inputs: without and with what pages repeat."""
TARGETS = {
    "forward pass alone": 0.9,
    "webdataset + open_clip loop": 2.0,
}
"""Least ratios, by what ours is set beside."""


@dataclass(frozen=True)
class Case:
    """A model, and how many pairs it is given on a CPU and on a GPU."""

    name: str
    model: str
    pretrained: str | None
    on_cpu: int
    on_gpu: int


CASES = (
    Case("ViT-B-32", "ViT-B-32", "random", 192, 8192),
    Case("ViT-L-14", "ViT-L-14", "random", 16, 4096),
    Case("tiny CLIP", "weft:tiny-clip", None, 1024, 8192),
)


class Side:
    """The processes of one side: they load the model once, then measure several things."""

    def __init__(self, side: str, case: Case, processes: int) -> None:
        command = [
            sys.executable, "-m", "benchmarks.score_sides", side,
            "--model", case.model, "--processes", str(processes),
        ]  # fmt: skip
        if case.pretrained is not None:
            command += ["--pretrained", case.pretrained]
        self._command = command
        self._running = [
            subprocess.Popen(
                [*command, "--number", str(number)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
            for number in range(processes)
        ]

    def __enter__(self) -> "Side":
        """The processes load their models meanwhile."""
        return self

    def __exit__(self, *error: object) -> None:
        """End of the processes: by themselves if nothing has failed."""
        for each in self._running:
            assert each.stdin is not None
            each.stdin.close()
            if error[0] is not None:
                each.kill()
            each.wait()

    def measure(self, what: str, output: Path, decoders: int = 0) -> float:
        """Items a second, all processes together; they begin when all of them are ready."""
        self._tell(json.dumps({"what": what, "output": str(output), "decoders": decoders}))
        self._answers()
        self._tell("go")
        answers = [json.loads(answer) for answer in self._answers()]
        speed: float = sum(a["items"] for a in answers) / max(a["seconds"] for a in answers)
        return speed

    def _tell(self, line: str) -> None:
        for each in self._running:
            assert each.stdin is not None
            each.stdin.write(f"{line}\n")

    def _answers(self) -> list[str]:
        found = []
        for each in self._running:
            assert each.stdout is not None
            answer = each.stdout.readline()
            if not answer:
                raise SystemExit(f"{' '.join(self._command)}: ended with status {each.wait()}")
            found.append(answer)
        return found


def write_inputs(output: Path, pairs: Pairs) -> None:
    """The plan and packs of ours, and the tar of the loop."""
    output.mkdir()
    write_plan(output, list(pairs.pairs))
    with tarfile.open(output / "pairs.tar", "w") as tar:
        for number, (data, text) in enumerate(pairs.pairs):
            for suffix, content in (("jpg", data), ("txt", text.encode())):
                info = tarfile.TarInfo(f"{number:06d}.{suffix}")
                info.size = len(content)
                tar.addfile(info, BytesIO(content))


def measure(case: Case, pairs: Pairs, folder: Path, rounds: int) -> tuple[list[Row], Any]:
    """The rows of a model."""
    on_gpu = has_gpu()
    cores = len(os.sched_getaffinity(0))
    # With a GPU the loop may decode beside the model: it gets the better of both ways. Without one
    # the model has all cores.
    processes, ways = (1, (0, cores)) if on_gpu else (cores, (0,))
    count = case.on_gpu if on_gpu else case.on_cpu
    inputs = {ONCE: pairs.distinct().take(count), USED: pairs.take(count)}
    folders = {name: folder / name.replace(" ", "-") for name in inputs}
    for name, found in inputs.items():
        write_inputs(folders[name], found)
    runs: dict[str, list[float]] = {}

    def note(what: str, value: float) -> None:
        runs.setdefault(what, []).append(value)

    facts = {name: each.facts() for name, each in inputs.items()}
    for number in range(rounds):
        say(f"{case.name}, round {number + 1} of {rounds}")
        with Side("ours", case, processes) as ours:
            note("forward", ours.measure("forward", folders[ONCE]))
            note("decode", ours.measure("decode", folders[ONCE]))
            for name, output in folders.items():
                note(f"images, {name}", ours.measure(IMAGES, output))
                note(f"texts, {name}", ours.measure(TEXTS, output))
                seconds = (
                    facts[name]["pictures"] / runs[f"images, {name}"][-1]
                    + facts[name]["texts"] / runs[f"texts, {name}"][-1]
                )
                note(f"pairs, {name}", facts[name]["pairs"] / seconds)
        with Side("naive", case, 1) as naive:
            for name, output in folders.items():
                speeds = [naive.measure("loop", output, decoders) for decoders in ways]
                note(f"loop, {name}", max(speeds))
    medians = {name: middle(values) for name, values in runs.items()}
    loop = "webdataset + open_clip loop"
    rows = [
        Row(f"{case.name}: images of stage score", medians[f"images, {ONCE}"], "images/s",
            "forward pass alone", medians["forward"]),
        Row(f"{case.name}: decoding and resizing alone", medians["decode"], "images/s"),
        Row(f"{case.name}: pairs, {USED}", medians[f"pairs, {USED}"], "pairs/s",
            loop, medians[f"loop, {USED}"]),
        Row(f"{case.name}: pairs, {ONCE}", medians[f"pairs, {ONCE}"], "pairs/s",
            loop, medians[f"loop, {ONCE}"]),
    ]  # fmt: skip
    details = {
        "runs": runs,
        "processes": processes,
        "inputs": facts,
    }
    return rows, details


def has_gpu() -> bool:
    """Whether the sides will find one."""
    import torch

    return bool(torch.cuda.is_available())


def main() -> None:
    """Program entry."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.score", description=__doc__)
    quick = "a smoke run: one round of the smallest model; its file goes to out/benchmarks"
    parser.add_argument("--quick", action="store_true", help=quick)
    given = parser.parse_args()
    machine = hardware()
    begin = time.perf_counter()
    pairs = load_pairs()
    rows: list[Row] = []
    details: dict[str, Any] = {"rounds": 1 if given.quick else ROUNDS}
    for case in CASES[2:] if given.quick else CASES[:2]:
        with tempfile.TemporaryDirectory(prefix="weft-bench-") as folder:
            found, told = measure(case, pairs, Path(folder), details["rounds"])
        rows += found
        details[case.name] = told
    details["seconds"] = round(time.perf_counter() - begin, 1)
    command = "make bench-score" + (' ARGS="--quick"' if given.quick else "")
    report = Report("score", command, machine, versions(DISTRIBUTIONS), rows, details)
    console = Console() if Console().is_terminal else Console(width=160)
    report.show(console)
    show_targets(console, rows)
    path = (QUICK_RESULTS if given.quick else RESULTS) / "score.json"
    report.write(path)
    console.print(f"{path.relative_to(ROOT)} written, {details['seconds']:.0f} s")


def show_targets(console: Console, rows: Sequence[Row]) -> None:
    """Print what is promised and what is."""
    for row in rows:
        least = TARGETS.get(row.peer_name or "")
        if least is not None and row.ratio is not None:
            verdict = "holds" if row.ratio >= least else "MISSED"
            bound = f"{row.ratio:.3g}x, at least {least:g}x"
            console.print(f"{row.what}, {row.peer_name}: {bound}: {verdict}", highlight=False)


if __name__ == "__main__":
    main()
