"""Clusters of pages: what edges join, ranked, and written back to the parts of the pages.

``edges -> by page: its label -> by component: what chains may have to compare -> to the parts
that have it -> by component: clusters -> to the part of each page``

Edges of a component meet in one place, so that every later stage joins what is known of a page
without a shuffle. Memory: the components of a bucket; the largest component bounds it from below.
A cluster is knowledge, not a verdict: who survives is decided by gate `shard`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.duplicate_rows import Cluster, Edge
from schemas.tables import schema_of
from transforms.clusters import build_clusters, connected_components
from transforms.compare_pages import Comparison, read_compared
from transforms.component_labels import bucket_names, read_labels
from transforms.id_numbers import distinct, numbers_of
from transforms.ledger import builtin_ledger
from transforms.page_places import (
    first_places,
    holders_of,
    page_places,
    repeated_records,
    splits_of,
)
from transforms.page_rank import component_places
from transforms.pages import known_columns, positions, rows_with, some
from transforms.shuffle import Block, split_rows
from transforms.signed_pages import GATE, DedupConfig, SignedFiles, read_signed
from transforms.sink import Part, PartSink
from transforms.table_files import read_rows

STEP_VERSION = 1
CLUSTER_SCHEMA = pa.schema(
    [
        *schema_of(Cluster),
        pa.field("component", pa.string()),
        pa.field("place", pa.int64()),
        pa.field("date", pa.string()),
        pa.field("length", pa.int64()),
        pa.field("score", pa.float64()),
        pa.field("earlier", pa.bool_()),
        pa.field("published", pa.bool_()),
        pa.field("split", pa.string()),
        pa.field("held_by", pa.string()),
    ]
)
"""Table `clusters`: its public columns, and what settling duplicates needs. `place` is the position
of the page in its component; `earlier` and `published` tell of pages of earlier outputs; `held_by`
and `split` are explained at `page_places.holders_of` and `splits_of`."""
_RECORD = "record"
"""Kind of a row that tells of a page that stands elsewhere too."""
_MEET_SCHEMA = pa.schema(
    [
        *(pa.field(column.name, column.type) for column in schema_of(Edge)),
        pa.field("compared", pa.large_binary()),
    ]
)
"""Edges of a bucket of components, and pages: `a_id` and `compared`, the rest null."""
_FACTS = ("cut_components", "cut_pages")
"""Rows whose kind is one of these tell of a bucket: `rank` is the number."""
_ORDER = [(name, "ascending") for name in ("kind", "cluster_id", "rank")]


@dataclass(frozen=True, slots=True)
class EdgeFiles:
    """What is known of the pages of one part."""

    part: str
    edges: str | None
    """Edges whose second ends are in this part."""
    pages: int
    """Pages of this run that were signed."""


@dataclass(eq=False)
class EmitEdges:
    """Map side: the edges of a part, each to the bucket that knows the label of its first end."""

    output: str
    buckets: int
    """Buckets of labels."""

    def __call__(self, part: Part) -> Iterator[Block]:
        """Yield edges by bucket, and an empty block for the part itself."""
        files: EdgeFiles = part.spec
        edges = read_rows(self.output, some(files.edges), "edges")
        is_record = pc.equal(edges["kind"], _RECORD)
        for rows, name in ((edges.filter(pc.invert(is_record)), "label "),
                           (edges.filter(is_record), "record ")):  # fmt: skip
            yield from split_rows(rows, bucket_names(numbers_of(rows["a_id"]), self.buckets, name))
        yield f"part {files.part}", schema_of(Edge).empty_table()


@dataclass(eq=False)
class JoinLabels:
    """First reduce: the edges of a bucket, each to the bucket of its component."""

    output: str
    labels: Mapping[str, str]
    """The file of each bucket of labels that has any."""
    buckets: int
    """Buckets of components."""

    def __call__(self, bucket: str, rows: pa.Table) -> Iterator[Block]:
        """Yield edges by bucket."""
        kind, _, name = bucket.partition(" ")
        if kind != "label":
            yield bucket, rows
            return
        pages = numbers_of(rows["a_id"])
        ids, found = read_labels(self.output, self.labels.get(name))
        # Those that are named nowhere are the smallest of their components, and their own labels.
        both, places = distinct(np.concatenate([ids, pages]))
        labels = both.copy()
        labels[places[: len(ids)]] = found
        labels = labels[places[len(ids) :]]
        yield from split_rows(rows, bucket_names(labels, self.buckets, "component "))


def pages_to_compare(edges: pa.Table) -> pa.Table:
    """The pages that clusters may have to compare: a row a page, columns of `page_places`.

    They are those of `near_text` components in which some pair has no edge.
    """
    near = edges.filter(pc.equal(edges["kind"], "near_text"))
    ends = np.stack([numbers_of(near[name]) for name in ("a_id", "b_id")], axis=1)
    ids, places = distinct(ends.reshape(-1, 2))
    a, b = np.sort(places.reshape(-1, 2), axis=1).T
    label = connected_components(a, b, len(ids))
    # A record that stands in two parts is like itself, which is no pair of pages.
    distinct_pairs = np.unique((a * len(ids) + b)[a != b])
    pages = np.bincount(label, minlength=len(ids))
    pairs = np.bincount(label[distinct_pairs // max(len(ids), 1)], minlength=len(ids))
    is_open = pairs < pages * (pages - 1) // 2
    return first_places(page_places(near.filter(pa.array(is_open[label[a]])), ()))


@dataclass(eq=False)
class AskPages:
    """Second reduce: the edges of whole components; asks the parts for pages to compare."""

    def __call__(self, bucket: str, rows: pa.Table) -> Iterator[Block]:
        """Yield the edges for the same bucket, and `id`, `bucket` for the parts of pages."""
        if not bucket.startswith("component "):
            yield bucket, rows
            return
        compared = pa.nulls(len(rows), pa.large_binary())
        yield bucket, rows.append_column("compared", compared).cast(_MEET_SCHEMA)
        wanted = pages_to_compare(rows)
        asked = wanted.select(["id"]).append_column("bucket", pa.array([bucket] * len(wanted)))
        for part, pages in split_rows(asked, wanted["part"]):
            yield f"pages {part}", pages


@dataclass(eq=False)
class AnswerPages:
    """Third reduce: what is compared of a part's pages, to the buckets that asked."""

    output: str
    config: DedupConfig
    signed: Sequence[SignedFiles]

    def __call__(self, bucket: str, rows: pa.Table) -> Iterator[Block]:
        """Yield rows without an edge: id of a page, and what is compared of it."""
        kind, _, name = bucket.partition(" ")
        if kind != "pages":
            yield bucket, rows
            return
        files = self._by_part[name]
        pages = read_signed(self.output, files, self.config.minhash)
        at = positions(pages["id"], rows["id"])
        compared = read_compared(self.output, self.config, files, pages, at)
        columns = {"a_id": rows["id"], "compared": compared}
        yield from split_rows(known_columns(columns, _MEET_SCHEMA, len(rows)), rows["bucket"])

    @cached_property
    def _by_part(self) -> dict[str, SignedFiles]:
        return {files.part: files for files in self.signed}


@dataclass(eq=False)
class BuildComponents:
    """Fourth reduce: the edges of whole components to clusters, sent to the parts of the pages."""

    config: DedupConfig
    signed: Sequence[SignedFiles]

    def __call__(self, bucket: str, rows: pa.Table) -> Iterator[Block]:
        """Yield rows of `CLUSTER_SCHEMA` by part."""
        kind, _, name = bucket.partition(" ")
        if kind == "part":
            yield name, CLUSTER_SCHEMA.empty_table()
            return
        earlier = self._earlier
        if kind == "record":
            repeats = repeated_records(rows, earlier)
            yield from split_rows(_record_rows(repeats["id"]), repeats["part"])
            return
        is_page = pc.is_null(rows["kind"])
        pages = rows.filter(is_page)
        edges = rows.filter(pc.invert(is_page))
        members = first_places(page_places(edges, earlier))
        links = edges.select(["kind", "a_id", "b_id", "similarity"])
        links = links.rename_columns(["kind", "a", "b", "similarity"])
        compare = Comparison(self.config, pages["a_id"], pages["compared"])
        prefer = self.config.prefer
        built = build_clusters(members, links, compare, self.config.min_similarity, prefer)
        clusters = built.rows
        found = members.take(pa.array(positions(members["id"], clusters["id"])))
        clusters = clusters.append_column("component", components(clusters))
        for fact in ("date", "length", "score", "earlier", "published", "split"):
            clusters = clusters.append_column(fact, found[fact])
        clusters = clusters.append_column("place", component_places(clusters, prefer))
        clusters = clusters.append_column("held_by", holders_of(clusters))
        at = clusters.schema.get_field_index("split")
        clusters = clusters.set_column(at, "split", splits_of(clusters))
        clusters = clusters.select(CLUSTER_SCHEMA.names)
        yield from split_rows(clusters.cast(CLUSTER_SCHEMA), found["part"])
        told = _fact_rows((built.cut_components, built.cut_pages))
        yield members["part"][0].as_py(), told

    @cached_property
    def _earlier(self) -> list[str]:
        return [files.part for files in self.signed if files.earlier is not None]


def _record_rows(ids: pa.ChunkedArray) -> pa.Table:
    count = len(ids)
    columns = {
        "kind": pa.array([_RECORD] * count, pa.string()),
        "id": ids,
        "cluster_id": ids,
        "rank": pa.array([1] * count, pa.int64()),
        "similarity": pa.array([1.0] * count, pa.float64()),
    }
    return known_columns(columns, CLUSTER_SCHEMA, count)


def _fact_rows(amounts: Sequence[int]) -> pa.Table:
    rows = [
        dict.fromkeys(CLUSTER_SCHEMA.names) | {"kind": fact, "rank": amount}
        for fact, amount in zip(_FACTS, amounts, strict=True)
    ]
    empty = {"id": "", "cluster_id": "", "similarity": 0.0}
    return pa.Table.from_pylist([row | empty for row in rows], schema=CLUSTER_SCHEMA)


@dataclass(eq=False)
class CommitClusters:
    """Last reduce: the clusters of a part's pages; records that stand elsewhere are rejected."""

    output: str

    def __call__(self, part: Part, rows: pa.Table, sink: PartSink) -> None:
        """Write `clusters` and `repeats`, count both."""
        files: EdgeFiles = part.spec
        for fact in _FACTS:
            told = rows.filter(pc.equal(rows["kind"], fact))
            sink.fact(fact, pc.sum(told["rank"], min_count=0).as_py())
        others = pa.array([*_FACTS, _RECORD])
        clusters = rows.filter(pc.invert(pc.is_in(rows["kind"], value_set=others))).sort_by(_ORDER)
        sink.seen("clusters", len(clusters))
        sink.count("clusters", kept=len(clusters))
        # The best-ranked member of each cluster is in one part.
        heads = clusters.filter(pc.equal(clusters["rank"], 0))
        for kind in sorted(pc.unique(heads["kind"]).to_pylist()):
            sink.fact(f"clusters_{kind}", len(rows_with(heads, "kind", [kind])))
        sink.write("clusters", clusters)
        repeats = rows.filter(pc.equal(rows["kind"], _RECORD)).sort_by("id").select(["id"])
        sink.write("repeats", repeats)
        sink.seen("distinct_pages", files.pages)
        rejected = {"same_record": len(repeats)}
        sink.count("distinct_pages", kept=files.pages - len(repeats), rejected=rejected)
        ids = repeats["id"]
        sink.write("ledger", builtin_ledger(GATE, "page", ids, None, "same_record", "once"))


def components(clusters: pa.Table) -> pa.Array:
    """Of every cluster row, the id of the component that clusters of all kinds form together.

    Clusters of different kinds overlap; only pages of one component can keep each other out.
    """
    ids = pc.unique(clusters["id"]).sort()
    if not len(ids):
        return pa.array([], pa.string())
    column = pa.chunked_array([ids])
    a = positions(column, clusters["id"])
    b = positions(column, clusters["cluster_id"])
    labels: npt.NDArray[np.int64] = connected_components(a, b, len(ids))
    return ids.take(pa.array(labels[a]))
