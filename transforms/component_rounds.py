"""Components of more edges than one process holds: stars that grow in rounds.

A round is two steps over links between pages (Kiveris et al. 2014, "Connected Components in
MapReduce and Beyond", the alternating algorithm). *Large-star*: every page links its larger
neighbours to the smallest page that it knows, itself among them. *Small-star*: every page links
its smaller neighbours, and itself, to the smallest of them. Neither adds a link or parts what was
joined. When a round moves no link, every component is a star around its smallest page, and each
link lies in the bucket of its larger end: those are the labels. That takes O(log(n)^2) rounds of n
links; a chain of a million pages takes some twenty.

Memory: a bucket, which is the links of its pages, from both ends: 2 / buckets of all, and at least
those of the page with most links. A component of n pages ends as one page with n links of 16 bytes.

Nothing here depends on the order of rows or the number of buckets.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.component_labels import bucket_names, edge_stars, label_rows, read_labels
from transforms.id_numbers import BINARY_ID, Indices, Numbers, distinct, from_column, to_column
from transforms.shuffle import Block, split_rows
from transforms.sink import Part, PartSink

MOVED = "moved_links"
"""Fact: links that a round moved. The round that moves none is the last."""
ROUNDS = "label_rounds"
"""Fact: rounds that it took."""

LINK_SCHEMA = pa.schema(
    [
        pa.field("a", BINARY_ID, False),
        pa.field("b", BINARY_ID, False),
        pa.field("moved", pa.bool_(), False),
    ]
)
"""A link between two pages, and whether this round has moved it."""

Mask = npt.NDArray[np.bool_]


def most_rounds(edges: int) -> int:
    """Rounds after which something must be wrong: more than the proven O(log(n)^2)."""
    return 8 + max(edges, 1).bit_length() ** 2


def large_star(a: Numbers, b: Numbers) -> tuple[Numbers, Numbers, Mask]:
    """Link the larger neighbours of pages to the smallest page that they know.

    Args:
        a: The pages, [links, 2]; of each, all its links are there.
        b: The neighbours.

    Returns:
        Distinct links: larger end, smaller end, and whether that was another one before.
    """
    ids, places = distinct(np.concatenate([a, b]))
    page, neighbour = places[: len(a)], places[len(a) :]
    smallest = np.arange(len(ids))
    np.minimum.at(smallest, page, neighbour)
    larger = np.flatnonzero(neighbour > page)
    page, neighbour = page[larger], neighbour[larger]
    return _links(ids, neighbour, smallest[page], smallest[page] != page)


def small_star(a: Numbers, b: Numbers, moved: Mask) -> tuple[Numbers, Numbers, Mask]:
    """Link pages and their smaller neighbours to the smallest of these.

    Args:
        a: The pages, [links, 2]; of each, all links to smaller ones are there.
        b: The smaller neighbours.
        moved: Whether large-star has moved the link.

    Returns:
        Distinct links: larger end, smaller end, and whether this round has moved it.
    """
    ids, places = distinct(np.concatenate([a, b]))
    page, neighbour = places[: len(a)], places[len(a) :]
    smallest = np.full(len(ids), len(ids), np.int64)
    np.minimum.at(smallest, page, neighbour)
    to_smallest = neighbour == smallest[page]
    larger = np.where(to_smallest, page, neighbour)
    return _links(ids, larger, smallest[page], moved | ~to_smallest)


def _links(
    ids: Numbers, larger: Indices, smaller: Indices, moved: Mask
) -> tuple[Numbers, Numbers, Mask]:
    """Distinct links in the order of their ends; one is moved where any of its rows is."""
    order = np.lexsort((~moved, smaller, larger))
    larger, smaller, moved = larger[order], smaller[order], moved[order]
    new = np.ones(len(order), bool)
    new[1:] = (larger[1:] != larger[:-1]) | (smaller[1:] != smaller[:-1])
    return ids[larger[new]], ids[smaller[new]], moved[new]


def link_rows(a: Numbers, b: Numbers, moved: Mask) -> pa.Table:
    """Rows of `LINK_SCHEMA`."""
    return pa.table([to_column(a), to_column(b), pa.array(moved)], schema=LINK_SCHEMA)


@dataclass(frozen=True, slots=True)
class LinkFiles:
    """Where links come from: a file of table `edges`, or one of `labels` of the round before."""

    edges: str | None = None
    labels: str | None = None


@dataclass(eq=False)
class EmitLinks:
    """Map side: links, from both ends. A part without a file opens every bucket."""

    output: str
    buckets: int

    def __call__(self, part: Part) -> Iterator[Block]:
        """Yield rows of `LINK_SCHEMA` by the bucket of their first end."""
        files: LinkFiles = part.spec
        if files.labels is not None:
            a, b = read_labels(self.output, files.labels)
        elif files.edges is not None:
            a, b = edge_stars(self.output, files.edges)
        else:
            for bucket in range(self.buckets):
                yield f"{bucket:05d}", LINK_SCHEMA.empty_table()
            return
        page, neighbour = np.concatenate([a, b]), np.concatenate([b, a])
        rows = link_rows(page, neighbour, np.zeros(len(page), bool))
        yield from split_rows(rows, bucket_names(page, self.buckets))


@dataclass(eq=False)
class LinkLarger:
    """First reduce: large-star on the pages of a bucket, links to the buckets of larger ends."""

    buckets: int

    def __call__(self, bucket: str, rows: pa.Table) -> Iterator[Block]:
        """Yield rows of `LINK_SCHEMA` by bucket, and an empty block for this one."""
        a, b, moved = large_star(from_column(rows["a"]), from_column(rows["b"]))
        yield from split_rows(link_rows(a, b, moved), bucket_names(a, self.buckets))
        yield bucket, LINK_SCHEMA.empty_table()


@dataclass(eq=False)
class CommitLinks:
    """Last reduce: small-star on the pages of a bucket. A part's spec is the number of the round.

    Only the first bucket's part has one, so that the sum over parts is the number of rounds.
    """

    def __call__(self, part: Part, rows: pa.Table, sink: PartSink) -> None:
        """Write `labels`: links, which are labels once no link is moved."""
        moved = rows["moved"].to_numpy().astype(bool)
        a, b, moved = small_star(from_column(rows["a"]), from_column(rows["b"]), moved)
        sink.fact(MOVED, int(moved.sum()))
        sink.fact(ROUNDS, part.spec)
        sink.write("labels", label_rows(a, b))
