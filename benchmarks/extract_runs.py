"""One measurement in a process of its own: `python -m benchmarks.extract_runs WHAT ...`.

A fresh process for each run, so that no run profits from what another has warmed up. The result is
one line of JSON, the last on standard output.
"""

import argparse
import json
import os
import resource
import signal
import sys
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType
from typing import Any

from pipeline.recipe import load_recipe
from schemas.errors import DataError
from schemas.rows import Document
from transforms.charset import decode_html
from transforms.extract import (
    ExtractPart,
    InputSlice,
    image_record,
    page_rows,
    record_kind,
)
from transforms.interleave import extract_page
from transforms.sink import Part, PartSink
from transforms.text_scores import score_text
from transforms.warc import Record, read_records

RECIPE = "mm1"
OURS = ("transforms", "schemas", "pipeline")
SAMPLE_SECONDS = 0.004


def pin_to_one_core() -> None:
    """Keep this process and its threads on one core, so that a rate is one of a core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


class Clock:
    """Wall and CPU seconds (all threads, user and system) of a block."""

    def __enter__(self) -> "Clock":
        self._cpu = _cpu_seconds()
        self._wall = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        self.wall = time.perf_counter() - self._wall
        self.cpu = _cpu_seconds() - self._cpu

    def as_json(self) -> dict[str, float]:
        """The two numbers."""
        return {"wall": round(self.wall, 3), "cpu": round(self.cpu, 3)}


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def run_loop(path: Path) -> dict[str, Any]:
    """The functions of the extract stage over a file, in a plain loop that keeps nothing."""
    settings = load_recipe(RECIPE).settings.extract
    pages = images = 0
    with Clock() as clock, path.open("rb") as stream:
        for record in read_records(stream, path.name, settings.warc, 0, None):
            if not isinstance(record, Record):
                continue
            if record_kind(record) == "page":
                pages += 1
                rows = page_rows(record, path.name, settings)
                if rows is not None:
                    page = rows.page
                    score_text(
                        page.doc_id if isinstance(page, Document) else page.text_id, rows.text
                    )
            else:
                images += 1
                try:
                    image_record(record, path.name, settings)
                except DataError:
                    continue
    return {"pages": pages, "images": images, **clock.as_json()}


def run_stage(
    paths: list[Path], output: Path, workers: int, part_bytes: int | None
) -> dict[str, Any]:
    """The stage as the command line runs it; `wall` is the stage's own time in `run.json`."""
    from pipeline import stage_server  # imports Beam, as the first stage of a run does
    from pipeline.run import RunOptions, execute

    del stage_server
    options = RunOptions(
        RECIPE,
        [str(path) for path in paths],
        str(output),
        stages=["extract"],
        overrides=[] if part_bytes is None else [f"input.part_bytes={part_bytes}"],
        workers=workers,
        quiet=True,
    )
    with Clock() as clock:
        state = execute(options)
    stage = state.record["stages"]["extract"]
    return {
        "pages": stage["tables"]["pages"]["in"],
        "images": stage["tables"].get("image_records", {}).get("in", 0),
        "parts": stage["parts"],
        "wall": stage["seconds"],
        "cpu": round(clock.cpu, 3),
        "whole_wall": round(clock.wall, 3),
    }


def run_memory(paths: list[Path], output: Path, workers: int, part_bytes: int) -> dict[str, Any]:
    """The stage in worker processes. The driver imports no more than a run does."""
    from pipeline.run import RunOptions, execute

    overrides = [f"input.part_bytes={part_bytes}"]
    files = [str(path) for path in paths]
    state = execute(
        RunOptions(RECIPE, files, str(output), ["extract"], overrides, workers, quiet=True)
    )
    stage = state.record["stages"]["extract"]
    return {"parts": stage["parts"], "pages": stage["tables"]["pages"]["in"]}


def run_profile(path: Path, output: Path) -> dict[str, Any]:
    """Where a part's CPU time goes, without Beam: by the innermost function of ours.

    A timer interrupts the process; the time since the interrupt before goes to the function that
    runs, so a call into a library counts for the function that made it, however long it takes.
    """
    settings = load_recipe(RECIPE).settings.extract
    part = Part("profile", "0", InputSlice(str(path), path.name, 0, None))
    root = f"{Path(__file__).resolve().parents[1]}{os.sep}"
    spent: defaultdict[str, float] = defaultdict(float)
    last = time.process_time()

    def take(number: int, frame: FrameType | None) -> None:
        nonlocal last
        now = time.process_time()
        while frame is not None:
            name = frame.f_code.co_filename
            if name.startswith(root) and name[len(root) :].startswith(OURS):
                spent[f"{name[len(root) :]}:{frame.f_code.co_name}"] += now - last
                break
            frame = frame.f_back
        last = now

    signal.signal(signal.SIGPROF, take)
    signal.setitimer(signal.ITIMER_PROF, SAMPLE_SECONDS, SAMPLE_SECONDS)
    with PartSink("extract", str(output), part) as sink:
        ExtractPart(str(output), settings)(part, sink)
        sink.publish()
    signal.setitimer(signal.ITIMER_PROF, 0.0)
    total = sum(spent.values())
    largest = sorted(spent, key=lambda name: -spent[name])
    return {
        "cpu": round(total, 2),
        "functions": {name: round(spent[name] / total, 4) for name in largest},
    }


def run_content(path: Path) -> dict[str, Any]:
    """Text and images of pages that are decoded already: what `peers.py` does, done by us."""
    settings = load_recipe(RECIPE).settings.extract.page
    pages = json.loads(path.read_text(encoding="utf-8"))
    characters = 0
    with Clock() as clock:
        for page in pages:
            found = extract_page(page["html"], page["url"], settings)
            characters += sum(len(node.text or "") for node in found.nodes)
    return {"pages": len(pages), "characters": characters, **clock.as_json()}


def run_records(path: Path) -> dict[str, Any]:
    """Every record of a file, payload included."""
    config = load_recipe(RECIPE).settings.extract.warc
    records = size = 0
    with Clock() as clock, path.open("rb") as stream:
        for record in read_records(stream, path.name, config, 0, None):
            if isinstance(record, Record):
                records += 1
                size += len(record.payload)
    return {"records": records, "bytes": size, **clock.as_json()}


def decoded_pages(path: Path, every: int) -> list[dict[str, str]]:
    """Every so many-th page of a file, decoded."""
    config = load_recipe(RECIPE).settings.extract.warc
    found: list[dict[str, str]] = []
    with path.open("rb") as stream:
        records = read_records(stream, path.name, config, 0, None)
        pages = (r for r in records if isinstance(r, Record) and record_kind(r) == "page")
        for number, record in enumerate(pages):
            if number % every == 0:
                html, _ = decode_html(record.payload, record.content_type_raw)
                found.append({"url": record.url, "html": html})
    return found


def main() -> None:
    """Program entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "what", choices=("loop", "stage", "memory", "profile", "content", "records")
    )
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--part-bytes", type=int)
    given = parser.parse_args()
    if given.what != "memory":
        pin_to_one_core()
    first = given.paths[0]
    if given.what == "loop":
        result = run_loop(first)
    elif given.what == "stage":
        result = run_stage(given.paths, given.output, given.workers, given.part_bytes)
    elif given.what == "memory":
        result = run_memory(given.paths, given.output, given.workers, given.part_bytes)
    elif given.what == "profile":
        result = run_profile(first, given.output)
    elif given.what == "content":
        result = run_content(first)
    else:
        result = run_records(first)
    print(json.dumps(result))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
