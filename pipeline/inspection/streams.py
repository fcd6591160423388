"""Measures of the streams of an output, from index and manifest: splits, lengths, images.

Sizes, lengths and images come from the index, which tells of every sample that stands in a shard;
no tar is opened. It is read once, some row groups at a time.

Arrow reads its few columns in a fifth of the time that DuckDB takes through a file system in
Python, and a large run has nothing else to wait for.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.inspection.distributions import ASPECT_EDGES, ValueCounts
from pipeline.inspection.distributions import Json as Json
from pipeline.inspection.snapshot import Snapshot
from schemas.errors import InputError
from schemas.rows import IndexRow
from schemas.shards import Manifest, parse_shard_name
from schemas.tables import schema_of
from transforms import storage

_COLUMNS = ["shard", "images", "text_length", "widths", "heights"]
_READ_ROWS = 1 << 18
"""Rows that are read at once; a row group more at most."""
_NUMBER = re.compile(r"-[0-9]{6}\.tar$")
_SPLIT_FACTS = ("samples", "images", "characters")
MANIFEST_FACTS = ("samples", "shards", "bytes")


@dataclass
class IndexMeasures:
    """What the rows of an index say together."""

    shards: dict[str, list[int]] = field(default_factory=dict)
    """Shard -> its samples, images and characters."""
    text_length: ValueCounts = field(default_factory=ValueCounts)
    images: ValueCounts = field(default_factory=ValueCounts)
    widths: ValueCounts = field(default_factory=ValueCounts)
    heights: ValueCounts = field(default_factory=ValueCounts)
    aspects: ValueCounts = field(default_factory=ValueCounts)
    landscape: int = 0
    portrait: int = 0
    square: int = 0


@contextmanager
def open_index(snapshot: Snapshot, stream: str) -> Iterator[pq.ParquetFile]:
    """The index of a stream.

    Raises:
        InputError: It cannot be read, or is a Parquet file of something else.
    """
    url = storage.join(snapshot.output, snapshot.indexes[stream])
    fs, path = storage.resolve(url)
    try:
        # Without `pre_buffer` columns are read one after the other: a store would send the file
        # as often as there are columns.
        with (
            fs.open(path, "rb") as file,
            pq.ParquetFile(file, pre_buffer=True, read_dictionary=["shard"]) as index,
        ):
            for column in schema_of(IndexRow):
                if column.name not in index.schema_arrow.names:
                    raise InputError(f"{url}: not an index: no column {column.name}")
            yield index
    except KeyError as e:
        raise InputError(f"{url}: not an index: no column shard") from e
    # Damaged bytes make Arrow raise its own errors, and some of Python's.
    except (pa.ArrowException, OSError, ValueError) as e:
        raise InputError(f"{url}: cannot be read: {str(e).splitlines()[0]}") from e


def check_index(snapshot: Snapshot, stream: str) -> None:
    """Refuse an index that is a Parquet file of something else; raises `InputError`."""
    with open_index(snapshot, stream):
        pass


def measure_index(snapshot: Snapshot, stream: str) -> IndexMeasures:
    """Read the index of a stream; raises `InputError`."""
    measures = IndexMeasures()
    with open_index(snapshot, stream) as index:
        for groups in _row_groups(index):
            _measure(index.read_row_groups(groups, _COLUMNS), measures)
    return measures


def _row_groups(index: pq.ParquetFile) -> Iterator[list[int]]:
    """Row groups, of which a shard has one, some at once: numpy is slow with little."""
    some, rows = list[int](), 0
    for number in range(index.num_row_groups):
        some.append(number)
        rows += index.metadata.row_group(number).num_rows
        if rows >= _READ_ROWS:
            yield some
            some, rows = [], 0
    if some:
        yield some


def _numbers(array: pa.Array) -> npt.NDArray[Any]:
    """Numbers without a null; `to_numpy` would import pandas."""
    return np.from_dlpack(array)


def _measure(rows: pa.Table, measures: IndexMeasures) -> None:
    columns = {name: rows[name].combine_chunks() for name in _COLUMNS}
    images, lengths = (_numbers(columns[name]) for name in ("images", "text_length"))
    measures.images.add(images)
    measures.text_length.add(lengths)
    shard = columns["shard"]
    names, codes = shard.dictionary.to_pylist(), _numbers(shard.indices)
    sums = [np.zeros(len(names), np.int64) for _ in _SPLIT_FACTS]
    for total, column in zip(sums, (np.ones_like(images), images, lengths), strict=True):
        np.add.at(total, codes, column)
    for name, *numbers in zip(names, *(total.tolist() for total in sums), strict=True):
        if numbers[0]:  # a dictionary may hold more than a batch uses
            known = measures.shards.setdefault(name, [0] * len(_SPLIT_FACTS))
            known[:] = (a + b for a, b in zip(known, numbers, strict=True))
    widths, heights = (_numbers(columns[name].flatten()) for name in ("widths", "heights"))
    if len(widths) != len(heights):
        raise ValueError(f"{len(widths)} widths beside {len(heights)} heights")
    measures.widths.add(widths)
    measures.heights.add(heights)
    ratios = np.maximum(widths, heights) / np.maximum(1, np.minimum(widths, heights))
    measures.aspects.add(np.round(ratios, 4))
    measures.landscape += int((widths > heights).sum())
    measures.portrait += int((widths < heights).sum())
    measures.square += int((widths == heights).sum())


def index_facts(measures: IndexMeasures, stream: str, manifest: Manifest | None) -> Json:
    """The measures of a stream under the names of the JSON."""
    splits = _split_facts(measures, manifest)
    facts: Json = {
        **{
            name: _sum_or_none([split[name] for split in splits.values()])
            for name in ("samples", "shards", "bytes", "images", "characters")
        },
        "splits": splits,
        "text_length": measures.text_length.distribution(),
    }
    if stream == "interleaved":
        facts["images_per_document"] = measures.images.distribution()
    if stream != "text":
        facts |= {
            "image_width": measures.widths.distribution(),
            "image_height": measures.heights.distribution(),
            "image_aspect": measures.aspects.distribution(ASPECT_EDGES),
            "image_shape": {
                name: getattr(measures, name) for name in ("landscape", "portrait", "square")
            },
        }
    return facts


def _split_facts(measures: IndexMeasures, manifest: Manifest | None) -> dict[str, Json]:
    """Split -> samples, shards, images and characters of the index, bytes of the manifest."""
    sizes = {} if manifest is None else manifest_splits(manifest)
    splits: dict[str, Json] = {}
    for name, numbers in measures.shards.items():
        split = _NUMBER.sub("", name)
        size = sizes[split]["bytes"] if split in sizes else None
        facts = splits.setdefault(
            split, {"samples": 0, "shards": 0, "bytes": size, "images": 0, "characters": 0}
        )
        facts["shards"] += 1
        for fact, number in zip(_SPLIT_FACTS, numbers, strict=True):
            facts[fact] += number
    return dict(sorted(splits.items()))


def _sum_or_none(values: list[int | None]) -> int | None:
    """The sum, or None where a value is unknown."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def manifest_facts(manifest: Manifest) -> Json:
    """What a manifest alone tells of a stream."""
    splits = manifest_splits(manifest)
    totals: Json = {name: sum(split[name] for split in splits.values()) for name in MANIFEST_FACTS}
    return {**totals, "splits": splits}


def manifest_splits(manifest: Manifest) -> dict[str, Json]:
    """Split -> samples, shards and bytes."""
    splits: dict[str, Json] = {}
    for shard in manifest.shards:
        split = splits.setdefault(parse_shard_name(shard.name)[0], dict.fromkeys(MANIFEST_FACTS, 0))
        split["samples"] += shard.samples
        split["shards"] += 1
        split["bytes"] += shard.bytes
    return dict(sorted(splits.items()))
