"""Scenes as shards of the stream `captioned`, in the format that the pipeline publishes.

Each split is drawn from generators named by the split and the number of a chunk, so that splits
have no scene generator in common and the number of processes changes nothing.
"""

import hashlib
import multiprocessing
import random
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import replace
from io import BytesIO

import pyarrow.parquet as pq

from pipeline.demo.images import SIZES
from pipeline.demo.scenes import SceneObject, caption, draw_scene, make_scene
from schemas.errors import DataError
from schemas.ids import digest, image_key
from schemas.rows import IndexRow, Sample, SampleImage
from schemas.shards import (
    Manifest,
    ShardEntry,
    ShardFormat,
    choose_bits,
    sample_key,
    shard_name,
    shard_of,
)
from schemas.tables import schema_of, to_batch
from transforms import storage
from transforms.sample_rows import canonical_json
from transforms.shards import write_shard

STREAM = "captioned"
CHUNK = 500
"""Scenes that one generator draws."""
FORMAT = ShardFormat(target_samples=4000)
QUALITY = 90
STEP_VERSION = 1

DrawnSample = tuple[Sample, bytes]
"""A sample whose shard is not known yet, and the bytes of its picture."""


def _describe(thing: SceneObject) -> dict[str, str]:
    return {"colour": thing.colour, "shape": thing.shape}


def _draw_sample(split: str, number: int, rng: random.Random) -> DrawnSample:
    scene = make_scene(rng)
    width, height = rng.choice(SIZES)
    # Half the size of the crawl's pictures: at the 64 pixels that the model sees nobody sees it,
    # and it costs a third.
    width, height = width // 2, height // 2
    file = BytesIO()
    draw_scene(scene, width, height).save(file, "JPEG", quality=QUALITY)
    picture = file.getvalue()
    text = caption(scene, rng)
    key = sample_key(STREAM, "scene", split, number)
    details = {
        "caption": text,
        "key": key,
        "count": scene.count,
        "kind": scene.kind,
        "objects": [_describe(thing) for thing in scene.objects],
        "position": scene.position,
        "relation": scene.relation,
    }
    found = image_key(hashlib.sha256(picture).hexdigest())
    image = SampleImage(found, "", 0, len(picture), width, height, "jpeg", "RGB", 1, 1)
    json = canonical_json(details)
    return Sample(STREAM, split, 0, key, text, json, len(text), [image]), picture


def _draw_chunk(split: str, chunk: int, count: int) -> list[DrawnSample]:
    """The first samples of one generator."""
    rng = random.Random(f"captioner/{split}/{chunk}")
    return [_draw_sample(split, chunk * CHUNK + number, rng) for number in range(count)]


def draw_samples(split: str, count: int, pool: Executor | None) -> list[DrawnSample]:
    """The first `count` samples of a split, in the order of their numbers."""
    starts = range(0, count, CHUNK)
    counts = [min(CHUNK, count - start) for start in starts]
    drawn: Iterator[list[DrawnSample]]
    if pool is None:
        drawn = map(_draw_chunk, [split] * len(starts), range(len(starts)), counts)
    else:
        drawn = pool.map(_draw_chunk, [split] * len(starts), range(len(starts)), counts)
    return [sample for found in drawn for sample in found]


def _fail(sample: Sample, error: DataError) -> None:
    raise error


def _write_split(
    folder: str, split: str, drawn: list[DrawnSample]
) -> tuple[int, list[ShardEntry], list[IndexRow]]:
    """Write the shards of a split; returns its bits, manifest entries and index rows."""
    payload = sum(len(picture) + len(sample.json) for sample, picture in drawn)
    bits = choose_bits(len(drawn), payload, FORMAT.target_samples, FORMAT.target_bytes, None)
    pictures = {sample.images[0].image_key: picture for sample, picture in drawn}
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


def write_scenes(output: str, splits: dict[str, int], processes: int = 1) -> Manifest:
    """Write `captioned/` below a folder: shards, index and, last, the manifest.

    Args:
        output: Folder or fsspec URL; it takes the place that `OUT/shards` has in a run.
        splits: Scenes of each split.
        processes: They only make it faster.
    """
    folder = storage.join(output, STREAM)
    bits: dict[str, int] = {}
    entries: list[ShardEntry] = []
    rows: list[IndexRow] = []
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context) if processes > 1 else None
    try:
        for split, count in sorted(splits.items()):
            drawn = draw_samples(split, count, pool)
            bits[split], more, index = _write_split(folder, split, drawn)
            entries += more
            rows += index
    finally:
        if pool is not None:
            pool.shutdown()
    with (
        storage.publish(storage.join(folder, "index.parquet")) as file,
        pq.ParquetWriter(file, schema_of(IndexRow), compression="zstd") as writer,
    ):
        writer.write_batch(to_batch(rows, IndexRow))
    recipe = digest("captioner", STEP_VERSION, str(FORMAT), QUALITY, str(sorted(splits.items())))
    manifest = Manifest(STREAM, recipe, bits, entries)
    storage.write_bytes(storage.join(folder, "manifest.json"), manifest.to_json().encode())
    return manifest
