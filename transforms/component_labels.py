"""The component of each page: the smallest id among the pages that edges join, of all kinds.

What is kept are stars: for every page but the smallest of its component, the smallest. A page that
no row names is the label of its own component. Where edges fit into one process (`LabelPages`) a
union-find over arrays makes them. Beyond that, rounds do (`component_rounds.py`); the rows are the
same.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.clusters import connected_components
from transforms.id_numbers import (
    BINARY_ID,
    Numbers,
    buckets_of,
    distinct,
    from_column,
    numbers_of,
    to_column,
)
from transforms.pages import some
from transforms.shuffle import split_rows
from transforms.signed_pages import DedupConfig
from transforms.sink import Part, PartSink
from transforms.table_files import read_rows, read_table

STEP_VERSION = 1

LABEL_SCHEMA = pa.schema([pa.field("id", BINARY_ID, False), pa.field("label", BINARY_ID, False)])
"""Table `labels`: a page, and the smallest page of its component, which is another one."""
MAX_FILES = 256
"""Buckets that one process writes: each is a file that stays open until all are written."""
FILE_EDGES = 100_000
"""Edges from which one process writes a second bucket: what follows costs a block a bucket, too."""


def in_one_process(config: DedupConfig, edges: int) -> bool:
    """Whether so many edges are joined in one process."""
    return edges <= config.one_process_edges


def label_buckets(config: DedupConfig, edges: int) -> int:
    """The buckets by id in which labels lie."""
    if not in_one_process(config, edges):
        return config.buckets
    return min(config.buckets, MAX_FILES, 1 + edges // FILE_EDGES)


def bucket_names(numbers: Numbers, count: int, prefix: str = "") -> pa.Array:
    """The name of the bucket of each id: five digits."""
    names = pa.array([f"{prefix}{bucket:05d}" for bucket in range(count)])
    return names.take(pa.array(buckets_of(numbers, count)))


def stars(ends: Numbers) -> tuple[Numbers, Numbers]:
    """The components of edges as stars.

    Args:
        ends: Both ends of each edge, [edges, 2, 2].

    Returns:
        Every id but the smallest of its component, in their order, and the smallest of each.
    """
    ids, places = distinct(ends.reshape(-1, 2))
    del ends  # where edges are many this is a third of the memory
    a, b = places.reshape(-1, 2).T
    smallest = connected_components(a, b, len(ids))
    leaves = np.flatnonzero(smallest != np.arange(len(ids)))
    return ids[leaves], ids[smallest[leaves]]


def edge_stars(output: str, path: str | None) -> tuple[Numbers, Numbers]:
    """The components of the edges of one file, of every kind but `record`, as stars."""
    rows = read_rows(output, some(path), "edges", ["kind", "a_id", "b_id"])
    # One record that was read twice is one id.
    rows = rows.filter(pc.not_equal(rows["kind"], "record"))
    return stars(np.stack([numbers_of(rows[name]) for name in ("a_id", "b_id")], axis=1))


def label_rows(ids: Numbers, labels: Numbers) -> pa.Table:
    """Rows of `LABEL_SCHEMA`."""
    return pa.table([to_column(ids), to_column(labels)], schema=LABEL_SCHEMA)


def read_labels(output: str, path: str | None) -> tuple[Numbers, Numbers]:
    """Ids and labels of a file of table `labels`, sorted by id; none where there is no file."""
    found = read_table(output, some(path))
    if found is None:
        found = LABEL_SCHEMA.empty_table()
    return from_column(found["id"]), from_column(found["label"])


@dataclass(eq=False)
class LabelPages:
    """Part function: the labels of all edges; a part's spec is the paths of their files.

    Memory: at most some 145 bytes an edge. The edges of a file that say nothing new about which of
    its pages belong together are left out before files meet.
    """

    output: str
    config: DedupConfig
    edges: int
    """Edges in the files."""

    def setup(self) -> None:
        """Nothing is heavy here."""

    def __call__(self, part: Part, sink: PartSink) -> None:
        """Join, and write a file for each bucket of ids."""
        ids, labels = stars(self._read(part.spec))
        buckets = bucket_names(ids, label_buckets(self.config, self.edges), "labels-")
        for name, rows in split_rows(label_rows(ids, labels), buckets):
            sink.write("labels", rows, file=name)

    def _read(self, paths: tuple[str, ...]) -> Numbers:
        """The ends of the links of all files, [links, 2, 2]."""
        ends = np.empty((self.edges, 2, 2), np.uint64)
        count = 0
        for path in paths:
            ids, labels = edge_stars(self.output, path)
            links = ends[count : count + len(ids)]
            links[:, 0], links[:, 1] = ids, labels
            count += len(ids)
        return ends[:count]
