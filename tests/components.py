"""Connected components in memory, by the functions of a run: shuffles without Beam."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

from pipeline.state import sum_facts
from schemas.commits import Commit
from schemas.duplicate_rows import Edge
from schemas.tables import schema_of
from transforms.clusters import KINDS
from transforms.component_labels import LabelPages, read_labels
from transforms.component_rounds import MOVED, CommitLinks, EmitLinks, LinkFiles, LinkLarger
from transforms.duplicates import LINKS
from transforms.shuffle import Block
from transforms.signed_pages import DedupConfig
from transforms.sink import Part, PartSink

Pairs = list[tuple[str, str]]


def regroup(
    blocks: Iterable[Block], function: Callable[[str, pa.Table], Any], rng: random.Random
) -> Iterator[tuple[str, Any]]:
    """A shuffle: blocks of a bucket come in any order."""
    buckets = defaultdict(list)
    for bucket, rows in blocks:
        buckets[bucket].append(rows)
    for bucket in rng.sample(sorted(buckets), len(buckets)):
        rng.shuffle(buckets[bucket])
        yield bucket, function(bucket, pa.concat_tables(buckets[bucket]))


def commit(output: str, part: Part, function: Callable[[Part, PartSink], None]) -> Commit:
    """Run what commits a part."""
    with PartSink("dedup", output, part) as sink:
        function(part, sink)
        return sink.publish()


def searched(pairs: Pairs) -> dict[str, str]:
    """Every id that is not the smallest of its component, and the smallest."""
    near: dict[str, set[str]] = {}
    for a, b in pairs:
        near.setdefault(a, set()).add(b)
        near.setdefault(b, set()).add(a)
    found: dict[str, str] = {}
    for start in sorted(near):
        if start in found:
            continue
        found[start] = start
        open_ones = [start]
        while open_ones:
            for other in near[open_ones.pop()] - found.keys():
                found[other] = start
                open_ones.append(other)
    return {page: label for page, label in found.items() if page != label}


def commit_edges(output: str, name: str, pairs: Pairs) -> Commit:
    """Edges as a part of table `edges`."""
    rows = [
        {"kind": KINDS[row % len(KINDS)], "similarity": 1.0, "a_id": a, "b_id": b}
        | {f"{end}_{fact}": value for end in "ab"
           for fact, value in (("date", ""), ("length", 1), ("part", "p"), ("published", False))}
        for row, (a, b) in enumerate(pairs)
    ]  # fmt: skip

    def write(part: Part, sink: PartSink) -> None:
        sink.write("edges", pa.Table.from_pylist(rows, schema=schema_of(Edge)))
        sink.fact(LINKS, len(rows))

    return commit(output, Part(name, "f" * 16), write)


def label_files(
    output: str, edges: list[str], links: int, config: DedupConfig, rng: random.Random
) -> tuple[dict[str, str], int]:
    """The labels of edges as a run makes them: the file of each bucket, and the rounds it took.

    Args:
        output: Where the files of edges are, and those of labels go.
        edges: Paths of files of table `edges`.
        links: Edges of every kind but `record`.
        config: Says whether one process does it.
        rng: Shuffles blocks.
    """
    if links <= config.one_process_edges:
        part = Part("labels-0001-all", "f" * 16, tuple(edges))
        found = [commit(output, part, LabelPages(output, config, links))]
        return _by_bucket(found), 0
    sources = [LinkFiles(edges=path) for path in edges]
    number = 0
    while True:
        number += 1
        found = _round(output, [LinkFiles(), *sources], config.buckets, number, rng)
        if not sum_facts(found)[MOVED]:
            return _by_bucket(found), number
        sources = [LinkFiles(labels=path) for path in _by_bucket(found).values()]


def _round(
    output: str, sources: list[LinkFiles], buckets: int, number: int, rng: random.Random
) -> list[Commit]:
    emit = EmitLinks(output, buckets)
    blocks = [block for files in sources for block in emit(Part("s", "", files))]
    blocks = [block for _, found in regroup(blocks, LinkLarger(buckets), rng) for block in found]

    def commit_bucket(bucket: str, rows: pa.Table) -> Commit:
        part = Part(f"labels-{number:04d}-{bucket}", "f" * 16, 0)
        return commit(output, part, lambda part, sink: CommitLinks()(part, rows, sink))

    found = [made for _, made in regroup(blocks, commit_bucket, rng)]
    assert len(found) == buckets
    return found


def _by_bucket(commits: list[Commit]) -> dict[str, str]:
    return {
        name.rpartition("-")[2]: path
        for found in commits
        for name, path in found.files.get("labels", {}).items()
    }


def labels_of(output: str, files: dict[str, str], buckets: int) -> dict[str, str]:
    """Every id that a label stands for, and the label; checks that each is in its bucket."""
    found = {}
    for bucket, path in files.items():
        ids, labels = read_labels(output, path)
        assert ids.tolist() == sorted(ids.tolist())
        for (high, low), (label_high, label_low) in zip(ids.tolist(), labels.tolist(), strict=True):
            assert low % buckets == int(bucket)
            found[f"{high:016x}{low:016x}"] = f"{label_high:016x}{label_low:016x}"
    return found
