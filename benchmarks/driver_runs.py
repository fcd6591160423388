"""One measurement of the driver in a process of its own: `python -m benchmarks.driver_runs ...`.

The output of a crawl with very many parts is made up as far as the signatures of its pages: input
files, commit records, tables. From there on the code is that of a run. The result is one line of
JSON, the last on standard output.
"""

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.dedup_stage import SEED, make_signatures, signature_rows
from pipeline import publish
from pipeline.plan import make_plan
from pipeline.run import RunOptions, execute, prepare
from pipeline.stages import STEPS
from pipeline.state import RunState, read_commits
from pipeline.steps import Step
from schemas.commits import Commit, TableCounts, commit_path
from schemas.ids import digest
from schemas.shards import ShardEntry
from transforms import storage, write_shards
from transforms.signed_pages import DedupConfig
from transforms.sink import Part

PER_FOLDER = 1000
"""Input files in a folder, as crawls have them in segments."""
EXTRACTED = ("documents", "texts", "captions", "scores_text", "image_records")
STREAM, SPLIT = "captioned", "train"
NO_TEXTS = "dedup.paragraph_pages=0"
"""It would look for repeated paragraphs, and there are no texts."""


def options(folder: Path, overrides: Sequence[str], workers: int = 1) -> RunOptions:
    """The run that is measured."""
    return RunOptions(
        "mm1",
        [str(folder / "crawl")],
        str(folder / "out"),
        stages=["extract", "dedup"],
        overrides=[NO_TEXTS, *overrides],
        workers=workers,
    )


# --- what is made up


def make(folder: Path, overrides: Sequence[str], parts: int, pages: int) -> dict[str, Any]:
    """Input files, and all that steps up to the signatures of so many pages a part have left."""
    for number in range(parts):
        path = folder / "crawl" / f"segment-{number // PER_FOLDER:04d}" / f"{number:06d}.warc.gz"
        if number % PER_FOLDER == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(b"crawl")
    state = prepare(options(folder, overrides))
    for step in STEPS:
        if not isinstance(step, Step):
            raise AssertionError(f"{step.name}: comes before the signatures")
        found = step.parts(state)
        if step.name == "extract":
            state.commits["extract"] = _made(state, [_extracted(part, pages) for part in found])
        elif step.name == "signatures":
            _write_signatures(state, found, pages)
            break
        else:
            state.commits[step.name] = {}
    return {"parts": len(state.commits["extract"]), "pages": parts * pages}


def _made(state: RunState, commits: list[Commit]) -> dict[str, Commit]:
    """Write commit records; a table is not flushed to the disk, as a run would do it."""
    for commit in commits:
        path = Path(state.output) / commit_path(commit.stage, commit.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(commit.to_json())
    return {commit.part: commit for commit in commits}


def _commit(stage: str, part: Part, tables: tuple[str, ...], counted: str, rows: int) -> Commit:
    files = {table: {part.name: f"tables/{table}/{part.key}.parquet"} for table in tables}
    counts = {counted: TableCounts(rows, rows)}
    return Commit(stage, part.name, part.fingerprint, files, counts=counts)


def _extracted(part: Part, pages: int) -> Commit:
    commit = _commit("extract", part, EXTRACTED, "pages", pages)
    for table in EXTRACTED:
        commit.counts[table] = TableCounts(pages, pages)
    commit.facts = {"bytes": 2**28, "records": pages, "records_response": pages}
    return commit


def _write_signatures(state: RunState, parts: list[Part], pages: int) -> None:
    values = make_signatures(len(parts) * pages, DedupConfig().minhash.hashes)
    rng = np.random.default_rng(SEED + 1)
    commits = []
    (Path(state.output) / "tables" / "signatures").mkdir(parents=True)
    for number, part in enumerate(parts):
        first = number * pages
        commit = _commit("dedup", part, ("signatures",), "pages", pages)
        rows = signature_rows(rng, values[first : first + pages], first)
        path = commit.file("signatures")
        pq.write_table(rows, f"{state.output}/{path}", compression="zstd")
        commits.append(commit)
    _made(state, commits)


def make_samples(folder: Path, overrides: Sequence[str], samples: int) -> dict[str, Any]:
    """So many samples of every part, and a record for every shard that they fall into."""
    state = _extracted_state(folder, overrides)
    (Path(state.output) / "tables" / "samples").mkdir(parents=True)
    commits = []
    for number, part in enumerate(_sample_parts(state)):
        commit = _commit("shard", part, ("samples",), "captions", samples)
        commit.details = {f"{STREAM}/{SPLIT}": [samples, samples * 100_000]}
        keys = [digest("sample", number, row) for row in range(samples)]
        columns = {"stream": [STREAM] * samples, "split": [SPLIT] * samples, "key": keys}
        pq.write_table(pa.table(columns), f"{state.output}/{commit.file('samples')}")
        commits.append(commit)
    state.commits |= {"samples": _made(state, commits), "sampling": {}}
    shards = []
    for name in sorted(publish.plan_shards(state).parts):
        shard = Commit("shard", name, "f" * 16)
        stream, file = write_shards.shard_of_part(name)
        entry = ShardEntry(file, samples, samples * 100_000, "0" * 64)
        shard.details = {"stream": stream, "entry": entry}
        shards.append(shard)
    _made(state, shards)
    return {"samples": samples * len(commits), "shards": len(shards)}


def _extracted_state(folder: Path, overrides: Sequence[str]) -> RunState:
    """A run that knows the parts of its input."""
    state = prepare(options(folder, overrides))
    parts = next(step for step in STEPS if isinstance(step, Step)).parts(state)
    state.commits["extract"] = read_commits(state.output, "extract", parts)
    return state


def _sample_parts(state: RunState) -> list[Part]:
    return [Part(f"samples-{name}", "f" * 16) for name in sorted(state.commits["extract"])]


# --- what is measured


class Clock:
    """Seconds of this process alone: by the wall, and of its processors."""

    def __init__(self) -> None:
        self.spent: dict[str, dict[str, float]] = {}

    def time(self, name: str, call: Callable[[], Any]) -> Any:
        """Call, and add the time to a name."""
        wall, cpu = time.perf_counter(), time.process_time()
        found = call()
        spent = self.spent.setdefault(name, {"wall": 0.0, "cpu": 0.0})
        spent["wall"] = round(spent["wall"] + time.perf_counter() - wall, 3)
        spent["cpu"] = round(spent["cpu"] + time.process_time() - cpu, 3)
        return found


def run_dedup(folder: Path, overrides: Sequence[str], workers: int) -> dict[str, Any]:
    """The stage from signatures to clusters, as a run has it: driver, listings, `run.json`."""
    from pipeline import run_steps

    clock, graphs = Clock(), []
    run_graph = vars(run_steps)["run_graph"]

    def timed(stage: str, build: Any, config: Any, *more: Any) -> None:
        clock.time(
            "measuring", lambda: graphs.append({"stage": stage, "bytes": _graph_bytes(build)})
        )
        clock.time("graphs", lambda: run_graph(stage, build, config, *more))

    # What the driver waits for, told apart from what it does itself.
    with patch.object(run_steps, "run_graph", timed):
        state = clock.time("whole", lambda: execute(options(folder, overrides, workers)))
    stage = state.record["stages"]["dedup"]
    return {
        "seconds": clock.spent,
        "graphs": graphs,
        "stage_seconds": stage["seconds"],
        "steps": {name: len(found) for name, found in state.commits.items() if found},
        "facts": stage["facts"],
        "run_json_bytes": (folder / "out" / "run.json").stat().st_size,
        "listings": {stage: _listing(folder, stage) for stage in ("extract", "dedup", "shard")},
        "files": sum(len(names) for _, _, names in os.walk(folder / "out")),
        "peak_mb": _peak(),
    }


def _graph_bytes(build: Any) -> int:
    """Size of a graph as a runner is sent it."""
    pipeline = beam.Pipeline()
    build(pipeline)
    return len(pipeline.to_runner_api().SerializeToString())


def _listing(folder: Path, stage: str) -> dict[str, Any]:
    begin = time.perf_counter()
    names = storage.list_names(str(folder / "out" / "commits" / stage))
    seconds = round(time.perf_counter() - begin, 3)
    return {"names": len(names), "bytes": sum(map(len, names)), "seconds": seconds}


def run_shards(folder: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Shards planned from the samples of all parts, and the records of all shards read."""
    clock = Clock()
    state = clock.time("input", lambda: _extracted_state(folder, overrides))
    found = clock.time("commits", lambda: read_commits(state.output, "shard", _sample_parts(state)))
    state.commits |= {"samples": found, "sampling": {}}
    plan = clock.time("plan", lambda: publish.plan_shards(state))
    records, _ = clock.time("records", lambda: publish.shard_commits(state.output, plan))
    build = clock.time("graph", lambda: publish.write_graph(state, plan))
    return {
        "seconds": clock.spent,
        "shards": len(plan.parts),
        "records": len(records),
        "graph_bytes": _graph_bytes(build),
        "peak_mb": _peak(),
    }


def run_plan(folder: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """`weft plan` of an output that is up to date as far as the clusters."""
    clock = Clock()
    plan = clock.time("plan", lambda: make_plan(options(folder, overrides)))
    parts = sum(step.get("up_to_date", 0) for step in plan["steps"])
    return {"seconds": clock.spent, "parts": parts, "peak_mb": _peak()}


def _peak() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1)


def main() -> None:
    """Program entry."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.driver_runs", description=__doc__)
    parser.add_argument("what", choices=("make", "samples", "dedup", "shards", "plan"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--parts", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=10, help="Pages or samples of a part.")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    if given.what == "make":
        found = make(given.folder, given.set, given.parts, given.rows)
    elif given.what == "samples":
        found = make_samples(given.folder, given.set, given.rows)
    elif given.what == "dedup":
        found = run_dedup(given.folder, given.set, given.workers)
    elif given.what == "shards":
        found = run_shards(given.folder, given.set)
    else:
        found = run_plan(given.folder, given.set)
    print(json.dumps(found))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
