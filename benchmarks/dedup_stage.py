"""The stage from signatures to clusters at growing sizes: time, memory, bytes that are shuffled.

Ids and signatures are made up, so that a million pages take seconds to make: one in five is a near
copy (nine of ten hashes) and one in fifty a true copy of a page before it, copies of copies among
them. The steps are those of a run, on one core; each size is a process of its own.
"""

import argparse
import json
import os
import resource
import shutil
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.dedup_parts import Outcome, Scale
from benchmarks.processes import run_json, say
from benchmarks.report import Row, middle

SIZES = (10_000, 100_000, 1_000_000)
QUICK_SIZES = (1_000, 10_000)
PART_PAGES = 50_000
SEED = 7
NEAR, EXACT = 0.20, 0.02
SAME_HASHES = 0.9
GROWTH = 11.0
"""Most that ten times as many pages may take."""
EXTRAPOLATED = 3_000_000_000


def measure_stage(scale: Scale, folder: Path) -> Outcome:
    """Rows for every size, growth from one to the next, and what three billion pages would take."""
    sizes = SIZES if scale.rounds > 1 else QUICK_SIZES
    rounds = 3 if scale.rounds > 1 else 1
    runs: dict[int, list[dict[str, Any]]] = {size: [] for size in sizes}
    for number in range(rounds):
        for size in sizes:
            say(f"stage dedup, {size:,} pages: round {number + 1} of {rounds}")
            target = folder / f"{size}-{number}"
            # What makes the pages is a process of its own: its memory is not the stage's.
            for what in ("make", "run"):
                command = [sys.executable, "-m", "benchmarks.dedup_stage", what, str(size)]
                found = run_json([*command, str(target)])
            runs[size].append(found)
            shutil.rmtree(target)
    rows: list[Row] = []
    seconds = {size: middle([run["seconds"] for run in found]) for size, found in runs.items()}
    for size, done in runs.items():
        what = f"stage dedup, {size:,} pages"
        rows += [
            Row(what, size / seconds[size], "pages/s"),
            Row(f"{what}: peak memory", middle([run["peak_mb"] for run in done]), "MB",
                more_is_better=False),
            Row(f"{what}: shuffled", done[0]["shuffled"] / size, "bytes/page",
                more_is_better=False),
        ]  # fmt: skip
    for small, large in pairwise(sizes):
        rows.append(
            Row(f"stage dedup, {large:,} pages: time", seconds[large] / seconds[small], "x",
                f"of {small:,} pages, bound", GROWTH, more_is_better=False)
        )  # fmt: skip
    large, small = sizes[-1], sizes[-2]
    # What starting costs falls out of the difference.
    each = (seconds[large] - seconds[small]) / (large - small)
    rows.append(Row("stage dedup, 3 billion pages, if it goes on like that",
                    each * EXTRAPOLATED / 3600, "core hours", more_is_better=False))  # fmt: skip
    return Outcome(rows, {str(size): found for size, found in runs.items()}, {})


def make_signatures(size: int, hashes: int) -> "np.ndarray[tuple[int, int], np.dtype[np.uint32]]":
    """Signatures of pages, [size, hashes]; a page and the one it is a copy of stand far apart."""
    rng = np.random.default_rng(SEED)
    values = rng.integers(0, 2**32, (size, hashes), dtype=np.uint32)
    kind = rng.random(size)
    # The product of two uniform numbers favours early pages, so some have many copies.
    source = (rng.random(size) * rng.random(size) * np.arange(size)).astype(np.int64)
    for page in np.flatnonzero(kind < NEAR + EXACT).tolist():
        kept = rng.random(hashes) < (SAME_HASHES if kind[page] < NEAR else 1.0)
        values[page, kept] = values[source[page], kept]
    return values


def signature_rows(
    rng: np.random.Generator, block: "np.ndarray[tuple[int, int], np.dtype[np.uint32]]", first: int
) -> pa.Table:
    """Rows of table `signatures` for some signatures; the first page has number `first`."""
    count, hashes = block.shape
    data = pa.py_buffer(np.ascontiguousarray(block).tobytes())
    width = block.dtype.itemsize * hashes
    return pa.table(
        {
            "id": pa.array([rng.bytes(16).hex() for _ in range(count)]),
            "kind": pa.array(["document"] * count),
            "url": pa.array([f"http://site/{first + row}" for row in range(count)]),
            "date": pa.array(["2026-01-01T00:00:00Z"] * count),
            "length": pa.array(rng.integers(500, 5000, count)),
            "score": pa.nulls(count, pa.float64()),
            "text_key": pa.array([rng.bytes(16).hex() for _ in range(count)]),
            "signature": pa.Array.from_buffers(pa.binary(width), count, [None, data]),
        }
    )


def _parts(size: int) -> list[str]:
    return [f"part-{start // PART_PAGES:05d}" for start in range(0, size, PART_PAGES)]


def _make(size: int, output: str) -> dict[str, Any]:
    from transforms.signed_pages import DedupConfig
    from transforms.sink import Part, PartSink

    hashes = DedupConfig().minhash.hashes
    values = make_signatures(size, hashes)
    rng = np.random.default_rng(SEED + 1)
    for start in range(0, size, PART_PAGES):
        name = _parts(size)[start // PART_PAGES]
        table = signature_rows(rng, values[start : start + PART_PAGES], start)
        with PartSink("dedup", output, Part(name, "f" * 16)) as sink:
            sink.write("signatures", table)
            sink.publish()
    return {}


def _run(size: int, output: str) -> dict[str, Any]:
    from functools import partial

    from pipeline.cluster_steps import clusters_graph
    from pipeline.dedup_steps import edges_graph
    from pipeline.graphs import run_graph
    from pipeline.runners import RunnerConfig
    from pipeline.state import read_commits, sum_counts, sum_facts
    from transforms import shuffle
    from transforms.cluster_pages import AnswerPages, EdgeFiles, JoinLabels
    from transforms.component_labels import LabelPages, label_buckets
    from transforms.duplicates import LINKS
    from transforms.signed_pages import DedupConfig, SignedFiles
    from transforms.sink import Part, PartSink

    config = DedupConfig()
    made = read_commits(output, "dedup", [Part(name, "f" * 16) for name in _parts(size)])
    signed = [
        SignedFiles(name, commit.files["signatures"][name]) for name, commit in sorted(made.items())
    ]
    shuffled = 0
    encode = shuffle.encode_block

    def counted(rows: Any) -> bytes:
        nonlocal shuffled
        block = encode(rows)
        shuffled += len(block)
        return block

    shuffle.encode_block = counted
    parts = [Part(f"edges-{files.part}", "f" * 16, row) for row, files in enumerate(signed)]
    begin = time.perf_counter()
    graph = partial(edges_graph, output, config, signed, parts)
    run_graph("dedup", graph, RunnerConfig(log=os.devnull))
    linked = time.perf_counter()
    commits = read_commits(output, "dedup", parts)
    paths = {
        name: path
        for name, found in commits.items()
        for path in found.files.get("edges", {}).values()
    }
    links = sum_facts(commits.values())[LINKS]
    part = Part("labels-0001-all", "f" * 16, tuple(path for _, path in sorted(paths.items())))
    with PartSink("dedup", output, part) as sink:
        LabelPages(output, config, links)(part, sink)
        files = sink.publish().files.get("labels", {})
    labelled = time.perf_counter()
    labels = {name.removeprefix("labels-"): path for name, path in files.items()}
    specs = [
        EdgeFiles(found.part, paths.get(f"edges-{found.part}"), min(PART_PAGES, size - start))
        for found, start in zip(signed, range(0, size, PART_PAGES), strict=True)
    ]
    targets = [Part(f"clusters-{spec.part}", "f" * 16, spec) for spec in specs]
    join = JoinLabels(output, labels, config.buckets)
    answer = AnswerPages(output, config, signed)
    graph = partial(clusters_graph, output, label_buckets(config, links), join, answer, targets)
    run_graph("dedup", graph, RunnerConfig(log=os.devnull))
    end = time.perf_counter()
    clusters = read_commits(output, "dedup", targets)
    facts = sum_facts([*commits.values(), *clusters.values()])
    return {
        "seconds": round(end - begin, 3),
        "edges_seconds": round(linked - begin, 3),
        "labels_seconds": round(labelled - linked, 3),
        "clusters_seconds": round(end - labelled, 3),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1),
        "shuffled": shuffled,
        "facts": facts,
        "members": sum_counts(clusters.values())["clusters"].kept,
    }


def main() -> None:
    """Make the pages of one size, or measure it in this process, on one core."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dedup_stage", description=__doc__)
    parser.add_argument("what", choices=("make", "run"))
    parser.add_argument("pages", type=int)
    parser.add_argument("folder")
    given = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(json.dumps((_make if given.what == "make" else _run)(given.pages, given.folder)))


if __name__ == "__main__":
    main()
