"""Samples drawn at random, as shards of a stream in the format that the pipeline publishes."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace

import pyarrow.parquet as pq

from schemas.errors import DataError
from schemas.ids import digest
from schemas.rows import IndexRow, Sample
from schemas.shards import (
    Manifest,
    ShardEntry,
    ShardFormat,
    choose_bits,
    shard_name,
    shard_of,
)
from schemas.tables import schema_of, to_batch
from transforms import storage
from transforms.shards import write_shard

CHUNK = 500
"""Samples that one generator draws."""
FORMAT = ShardFormat(target_samples=4000)
DRAWN_VERSION = 2

DrawnSample = tuple[Sample, bytes]
"""A sample whose shard is not known yet, and the bytes of its picture, empty without one."""
DrawChunk = Callable[[str, int, int], list[DrawnSample]]
"""The first samples of one generator, given split, number of the chunk, how many."""


def draw_samples(
    draw: DrawChunk, split: str, count: int, pool: Executor | None
) -> list[DrawnSample]:
    """The first `count` samples of a split, in the order of their numbers."""
    starts = range(0, count, CHUNK)
    counts = [min(CHUNK, count - start) for start in starts]
    each = map if pool is None else pool.map
    drawn = each(draw, [split] * len(starts), range(len(starts)), counts)
    return [sample for found in drawn for sample in found]


def _fail(sample: Sample, error: DataError) -> None:
    raise error


def _write_split(
    folder: str, split: str, drawn: Sequence[DrawnSample]
) -> tuple[int, list[ShardEntry], list[IndexRow]]:
    """Write the shards of a split; returns its bits, manifest entries and index rows."""
    payload = sum(
        len(picture) + len(sample.json) + len(sample.txt or "") for sample, picture in drawn
    )
    bits = choose_bits(len(drawn), payload, FORMAT.target_samples, FORMAT.target_bytes, None)
    pictures = {image.image_key: data for sample, data in drawn for image in sample.images}
    groups: dict[int, list[Sample]] = {}
    for sample, _ in sorted(drawn, key=lambda each: each[0].key):
        number = shard_of(sample.key, bits)
        groups.setdefault(number, []).append(replace(sample, shard=number))
    entries, rows = [], []
    for number in sorted(groups):
        name = shard_name(split, number)
        with storage.publish(storage.join(folder, name)) as out:
            result = write_shard(
                groups[number], lambda image: pictures[image.image_key], FORMAT, out, _fail
            )
        entries.append(ShardEntry(name, result.samples, result.bytes, result.sha256))
        rows += result.index
    return bits, entries, rows


def write_stream(
    output: str, stream: str, drawn: Mapping[str, Sequence[DrawnSample]], drawn_as: str
) -> Manifest:
    """Write a stream: shards, index and, last, the manifest.

    Args:
        output: Folder or fsspec URL above the stream's.
        stream: `captioned` or `text`.
        drawn: Split -> its samples.
        drawn_as: What tells these samples from those of other settings.
    """
    folder = storage.join(output, stream)
    bits: dict[str, int] = {}
    entries: list[ShardEntry] = []
    rows: list[IndexRow] = []
    for split, samples in sorted(drawn.items()):
        bits[split], more, index = _write_split(folder, split, samples)
        entries += more
        rows += index
    with (
        storage.publish(storage.join(folder, "index.parquet")) as file,
        pq.ParquetWriter(file, schema_of(IndexRow), compression="zstd") as writer,
    ):
        writer.write_batch(to_batch(rows, IndexRow))
    counts = str(sorted((split, len(samples)) for split, samples in drawn.items()))
    recipe = digest("captioner", DRAWN_VERSION, str(FORMAT), stream, drawn_as, counts)
    manifest = Manifest(stream, recipe, bits, entries)
    storage.write_bytes(storage.join(folder, "manifest.json"), manifest.to_json().encode())
    return manifest
