"""Distinct images, and which of them look alike: the first step of stage `dedup_images`.

Answers that are images meet by the hash of their bytes. The perceptual hash of each distinct image
is dealt to the buckets of its bands (`phash_pairs.py`), where near ones meet; a band row is 10
bytes, and equal hashes travel as one from every bucket.

``answers -> [by image_key] distinct images -> [by band] pairs``
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.duplicate_rows import DistinctImage, ImagePair
from schemas.outcomes import OK
from schemas.tables import schema_of
from transforms.pages import first_rows
from transforms.phash_index import Hashes, has_structure
from transforms.phash_pairs import MAX_DISTANCE, deal_hashes, find_pairs
from transforms.shuffle import Block, split_rows
from transforms.sink import Part, PartSink
from transforms.table_files import read_rows

STAGE = "dedup_images"
STEP_VERSION = 1

_IMAGE_SCHEMA = schema_of(DistinctImage)
_BAND_SCHEMA = pa.schema([pa.field("band", pa.uint16(), False), pa.field("phash", pa.uint64())])


@dataclass(frozen=True, slots=True)
class ImageDedupConfig:
    """How duplicates among images are found."""

    perceptual: bool = True
    """Whether images that look alike are one; else only those of the same bytes."""
    max_distance: int = 4
    """Bits of 64 by which the perceptual hashes of two such images may differ, 0 to 6. Of copies of
    524 pictures, JPEG at quality 40 to 85 and half to full size, 83% lie within 4 bits, 93% within
    6; of 137,000 pairs of different files 32 and 49."""
    min_set: int = 2
    """Images from which two documents with the same set of them are duplicates; 0: they never are.
    OBELICS (`11_02`) takes 1, by which any two pages with one agency photograph are the same."""


def image_dedup_checks(config: ImageDedupConfig) -> dict[str, bool]:
    """What a recipe has to hold, by the message where it does not."""
    return {
        f"dedup_images.max_distance: must be from 0 to {MAX_DISTANCE}": (
            0 <= config.max_distance <= MAX_DISTANCE
        ),
        "dedup_images.min_set: must be 0 or more": config.min_set >= 0,
    }


@dataclass(frozen=True, slots=True)
class ImageSource:
    """Answers of a bucket of URLs, in this output or in another."""

    output: str
    answers: str
    """File of `image_answers`."""
    refs: str | None = None
    """File of `image_refs` of the same bucket: only its URLs count. None: all do."""


def key_bucket(image_key: str, buckets: int) -> str:
    """The bucket of an image, by its bytes."""
    return f"{int(image_key[:8], 16) % buckets:05d}"


def to_hashes(column: pa.Array | pa.ChunkedArray) -> Hashes:
    """Signed hashes of a table, without nulls, as numbers of 64 bits."""
    signed: np.ndarray[tuple[int], np.dtype[np.int64]] = column.to_numpy()
    return signed.view(np.uint64)


@dataclass(eq=False)
class EmitImages:
    """Map side: the images among some answers, by their bytes. A part's spec is its source.

    A part without a source makes every bucket of the last shuffle exist.
    """

    config: ImageDedupConfig
    buckets: int

    def __call__(self, part: Part) -> Iterator[Block]:
        """Yield images by bucket."""
        source: ImageSource | None = part.spec
        if source is None:
            for number in range(self.buckets):
                yield f"images {number:05d}", _IMAGE_SCHEMA.empty_table()
                yield f"pairs {number:05d}", _BAND_SCHEMA.empty_table()
            return
        images = self._images(source)
        keys = images["image_key"].to_pylist()
        yield from split_rows(images, [f"key {key_bucket(key, self.buckets)}" for key in keys])

    def _images(self, source: ImageSource) -> pa.Table:
        columns = ["image_url", "image_key", "outcome", "phash", "width", "height"]
        rows = read_rows(source.output, [source.answers], "image_answers", columns)
        rows = rows.filter(pc.equal(rows["outcome"], OK))
        if source.refs is not None:
            refs = read_rows(source.output, [source.refs], "image_refs", ["image_url"])
            used = pc.is_in(rows["image_url"], value_set=refs["image_url"].combine_chunks())
            rows = rows.filter(used)
        # Without a hash is as good as without structure: 0.
        hashes = to_hashes(pc.fill_null(rows["phash"], 0))
        says = has_structure(hashes) & self.config.perceptual
        pixels = pc.multiply(pc.fill_null(rows["width"], 0), pc.fill_null(rows["height"], 0))
        columns = [rows["image_key"], pa.array(hashes.view(np.int64), mask=~says), pixels]
        images = pa.table(columns, names=_IMAGE_SCHEMA.names).cast(_IMAGE_SCHEMA)
        return images.group_by(_IMAGE_SCHEMA.names, use_threads=False).aggregate([])


@dataclass(eq=False)
class ChooseImages:
    """First reduce: every image once; its perceptual hash to the buckets of its bands."""

    config: ImageDedupConfig
    buckets: int

    def __call__(self, bucket: str, rows: pa.Table) -> Iterator[Block]:
        """Yield the images of the bucket, and bands."""
        kind, _, name = bucket.partition(" ")
        if kind != "key":
            yield bucket, rows
            return
        # One file has one hash, unless its answers were recorded by different versions.
        order = [("image_key", "ascending"), ("pixels", "descending"), ("phash", "ascending")]
        rows = rows.sort_by(order)
        rows = rows.take(first_rows(rows["image_key"]))
        yield f"images {name}", rows
        hashes = to_hashes(pc.unique(rows["phash"].drop_null()))
        if self.config.max_distance and len(hashes):
            bands, dealt, buckets = deal_hashes(hashes, self.config.max_distance, self.buckets)
            table = pa.table([pa.array(bands), pa.array(dealt)], schema=_BAND_SCHEMA)
            yield from split_rows(table, [f"pairs {number:05d}" for number in buckets.tolist()])


@dataclass(eq=False)
class CommitImages:
    """Last reduce: `distinct_images` of a bucket of keys, or `image_pairs` of one of bands.

    A part's spec says which: `images` or `pairs`.
    """

    config: ImageDedupConfig

    def __call__(self, part: Part, rows: pa.Table, sink: PartSink) -> None:
        """Write, and count images."""
        if part.spec == "images":
            sink.seen("distinct_images", len(rows))
            sink.count("distinct_images", kept=len(rows))
            sink.write("distinct_images", rows.sort_by("image_key"))
            return
        if not len(rows):
            return
        bands, hashes = rows["band"].to_numpy(), rows["phash"].to_numpy()
        found = find_pairs(bands, hashes, self.config.max_distance)
        sink.fact("split_groups", found.split_groups)
        sink.fact("split_group_rows", found.split_rows)
        distance = np.bitwise_count(found.a ^ found.b).astype(np.int64)
        columns = [found.a.view(np.int64), found.b.view(np.int64), distance]
        sink.write(
            "image_pairs", pa.table([pa.array(c) for c in columns], schema=schema_of(ImagePair))
        )
