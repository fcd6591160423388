"""Who loses to whom: duplicates are settled best first, so no cluster dies with its survivor.

Contenders, the rows that pass every rule, meet by component, or by pair. The best is kept first;
another is kept unless one already kept shares one of its clusters. What an earlier output has
published was kept before all others. Winners that show one set of images meet once more
(`image_sets.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.ids import digest
from transforms.distinct_images import key_bucket
from transforms.image_sets import set_bucket, set_keys, winners_by_set
from transforms.pages import known_columns, positions, some, take_or_null
from transforms.shuffle import Block, split_rows
from transforms.sink import Part
from transforms.table_files import read_rows, read_table

DUPLICATE = "duplicate"
DUPLICATE_PAIR = "duplicate_pair"
SAME_IMAGES = "same_images"

Mask = npt.NDArray[np.bool_]

CONTENDER_SCHEMA = pa.schema(
    [
        pa.field("row", pa.string()),
        pa.field("part", pa.string()),
        pa.field("id", pa.string()),
        pa.field("cluster", pa.string()),
        pa.field("component", pa.string()),
        pa.field("order", pa.int64()),
        pa.field("place", pa.int64()),
        pa.field("date", pa.string()),
        pa.field("length", pa.int64()),
        pa.field("image_set", pa.string()),
    ]
)
"""A row a page and cluster, or caption and pair; `image_set` of a document with enough images. One
that is in no cluster has a row without `cluster` and `component`."""
PUBLISHED = -1
"""Order of what an earlier output published: it loses to nobody, and holds all its clusters."""
_LOSER_SCHEMA = pa.schema([pa.field(name, pa.string()) for name in ("row", "id", "winner")])


def pair_key(image_key: str, text: str) -> str:
    """What two captions share that say the same of the same image."""
    return digest("pair", image_key, " ".join(text.casefold().split()))


@dataclass(frozen=True, slots=True)
class PublishedFiles:
    """What a part of an earlier output published."""

    part: str
    clusters: str | None
    """File of `clusters`, of those of its pages that have a duplicate."""
    captions: str | None
    """File of `earlier_captions`."""
    documents: str | None
    """File of `earlier_documents`."""


@dataclass(eq=False)
class EmitPublished:
    """Map side: what earlier outputs published, to where its duplicates contend."""

    output: str
    buckets: int
    ranks: Mapping[str, str]
    """Bucket of images -> its file of `image_ranks`."""
    min_set: int
    """Images of a set, at least; 0: documents do not meet by their images."""

    def __call__(self, part: Part) -> Iterator[Block]:
        """Yield rows that lose to nobody."""
        files: PublishedFiles = part.spec
        clusters = read_table(self.output, some(files.clusters))
        if clusters is not None:
            rows = clusters.filter(clusters["published"])
            yield from to_buckets(page_contenders(files.part, PUBLISHED, rows), self.buckets)
        captions = read_table(self.output, some(files.captions))
        if captions is not None:
            count = len(captions)
            captions = captions.append_column("date", pa.array([""] * count, pa.string()))
            captions = captions.append_column("characters", pa.array([0] * count, pa.int64()))
            images = self._image_clusters(captions["image_key"])
            captions = captions.append_column("image_cluster", images)
            rows = caption_contenders(files.part, PUBLISHED, captions)
            yield from to_buckets(rows, self.buckets)
        documents = read_table(self.output, some(files.documents))
        if documents is not None:
            images = self._image_clusters(documents["image_key"])
            keys = set_keys(documents["id"], images, self.min_set)
            rows = set_contenders(files.part, PUBLISHED, keys)
            yield from to_buckets(rows, self.buckets)

    def _image_clusters(self, keys: pa.ChunkedArray) -> pa.ChunkedArray:
        """The cluster of each image: itself where it is alone."""
        wanted = pc.unique(keys)
        buckets = sorted({key_bucket(key, self.buckets) for key in wanted.to_pylist()})
        paths = [self.ranks[bucket] for bucket in buckets if bucket in self.ranks]
        ranks = read_rows(self.output, paths, "image_ranks", ["image_key", "cluster_id"])
        found = take_or_null(ranks["cluster_id"], positions(ranks["image_key"], keys))
        return pc.coalesce(found, keys)


def to_buckets(contenders: pa.Table, buckets: int) -> Iterator[Block]:
    """Deal contenders to the buckets of their components, else of their sets of images."""
    columns = (contenders[name].to_pylist() for name in ("component", "image_set"))
    names = [
        f"meet {int(component[:8], 16) % buckets:05d}" if component else set_bucket(key, buckets)
        for component, key in zip(*columns, strict=True)
    ]
    yield from split_rows(contenders, names)


def page_contenders(part: str, order: int, clusters: pa.Table) -> pa.Table:
    """Contenders of some rows of `clusters`."""
    count = len(clusters)
    return pa.table(
        [
            pa.array(["page"] * count, pa.string()),
            pa.array([part] * count, pa.string()),
            clusters["id"],
            pc.binary_join_element_wise(clusters["kind"], clusters["cluster_id"], ":"),
            clusters["component"],
            pa.array([order] * count, pa.int64()),
            clusters["place"],
            clusters["date"],
            clusters["length"],
            pa.nulls(count, pa.string()),
        ],
        names=CONTENDER_SCHEMA.names,
    ).cast(CONTENDER_SCHEMA)


def caption_contenders(part: str, order: int, captions: pa.Table) -> pa.Table:
    """Contenders of captions: of one text for one image."""
    count = len(captions)
    keys = [
        pair_key(image, text)
        for image, text in zip(
            captions["image_cluster"].to_pylist(), captions["text"].to_pylist(), strict=True
        )
    ]
    return pa.table(
        [
            pa.array(["caption"] * count, pa.string()),
            pa.array([part] * count, pa.string()),
            captions["caption_id"],
            pa.array(keys, pa.string()),
            pa.array(keys, pa.string()),
            pa.array([order] * count, pa.int64()),
            # What a caption is preferred for is its own: it has no place among pages.
            pa.array([0] * count, pa.int64()),
            captions["date"],
            captions["characters"],
            pa.nulls(count, pa.string()),
        ],
        names=CONTENDER_SCHEMA.names,
    ).cast(CONTENDER_SCHEMA)


def set_contenders(part: str, order: int, keys: Mapping[str, str]) -> pa.Table:
    """Contenders of documents of which only the sets of images are told: id -> key of the set."""
    count = len(keys)
    known = {
        "row": pa.array(["page"] * count, pa.string()),
        "part": pa.array([part] * count, pa.string()),
        "id": pa.array(keys.keys(), pa.string()),
        "order": pa.array([order] * count, pa.int64()),
        "image_set": pa.array(keys.values(), pa.string()),
    }
    return known_columns(known, CONTENDER_SCHEMA, count)


def settle_duplicates(bucket: str, rows: pa.Table, buckets: int = 1) -> Iterator[Block]:
    """First reduce: who loses to whom, to the parts of the losers; winners by their images.

    Args:
        bucket: `part NAME`, `meet NUMBER`, or `set NUMBER`, whose rows go on.
        rows: Contenders; of `part` none.
        buckets: Buckets where sets of images meet.
    """
    kind, _, _ = bucket.partition(" ")
    if kind == "part":
        yield bucket, _LOSER_SCHEMA.empty_table()
        return
    if kind == "set":
        yield bucket, rows
        return
    rows = rows.sort_by(
        [
            ("component", "ascending"),
            ("order", "ascending"),
            ("place", "ascending"),
            ("date", "descending"),
            ("length", "descending"),
            ("id", "ascending"),
            ("part", "ascending"),
            ("cluster", "ascending"),
        ]
    )
    holders: dict[str, str] = {}
    verdicts: dict[tuple[str, str, str], str | None] = {}
    clusters: dict[tuple[str, str, str], list[str]] = {}
    columns = (rows[name].to_pylist() for name in ("row", "part", "id", "cluster", "order"))
    for row, part, row_id, cluster, order in zip(*columns, strict=True):
        if order == PUBLISHED:
            holders.setdefault(cluster, row_id)
        else:
            clusters.setdefault((row, part, row_id), []).append(cluster)
    # A dictionary keeps the sorted order, so members come best first.
    for member, joined in clusters.items():
        winner = next((holders[cluster] for cluster in joined if cluster in holders), None)
        verdicts[member] = winner
        if winner is None:
            for cluster in joined:
                holders[cluster] = member[2]
    losers = [(*member, winner) for member, winner in verdicts.items() if winner is not None]
    table = pa.table(
        {
            "row": pa.array([loser[0] for loser in losers], pa.string()),
            "id": pa.array([loser[2] for loser in losers], pa.string()),
            "winner": pa.array([loser[3] for loser in losers], pa.string()),
        }
    )
    yield from split_rows(table, [f"part {loser[1]}" for loser in losers])
    yield from winners_by_set(rows, {loser[:3] for loser in losers}, buckets)


def winners_of(losers: pa.Table, row: str, ids: pa.ChunkedArray) -> tuple[Mask, pa.ChunkedArray]:
    """Of some ids, which lost, and to whom."""
    chosen = losers.filter(pc.equal(losers["row"], row))
    at = positions(chosen["id"], ids)
    return at >= 0, chosen["winner"].take(pa.array(at, mask=at < 0))
