"""Shards of all three streams for tests of the trainer, written by the pipeline's own writer."""

import hashlib
import random
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.demo.prose import make_article
from pipeline.demo.scenes import caption, draw_scene, make_scene
from schemas.errors import DataError
from schemas.ids import image_key
from schemas.rows import IndexRow, Sample, SampleImage
from schemas.shards import Manifest, ShardEntry, ShardFormat, sample_key, shard_name, shard_of
from schemas.tables import schema_of, to_batch
from transforms.json_columns import canonical_json
from transforms.shards import write_shard

Drawn = tuple[str, dict[str, object], list[tuple[str, bytes]]]
"""Text, JSON, and captions with pictures of a sample."""


def _picture(rng: random.Random) -> tuple[str, bytes]:
    scene = make_scene(rng)
    file = BytesIO()
    draw_scene(scene, 80, 64).save(file, "JPEG", quality=90)
    return caption(scene, rng), file.getvalue()


def _captioned(rng: random.Random) -> Drawn:
    text, picture = _picture(rng)
    return text, {"caption": text}, [(text, picture)]


def _interleaved(rng: random.Random) -> Drawn:
    texts: list[str | None] = []
    images: list[str | None] = []
    pictures = [_picture(rng) for _ in range(rng.randint(1, 4))]
    for number, (text, _) in enumerate(pictures):
        texts += [None, text]
        images += [f"{number:02d}.jpg", None]
    return "", {"texts": texts, "images": images}, pictures


def _text(rng: random.Random) -> Drawn:
    text = "\n\n".join(make_article(rng, "en", rng.randint(1, 3)).paragraphs)
    return text, {}, []


DRAWN = {"captioned": _captioned, "interleaved": _interleaved, "text": _text}


def _sample(stream: str, split: str, number: int) -> tuple[Sample, dict[str, bytes]]:
    text, content, pictures = DRAWN[stream](random.Random(f"{stream}/{split}/{number}"))
    key = sample_key(stream, split, number)
    images, data = [], {}
    for _, picture in pictures:
        name = image_key(hashlib.sha256(picture).hexdigest())
        images.append(SampleImage(name, "", 0, len(picture), 80, 64, "jpeg", "RGB", 1, 1))
        data[name] = picture
    json = canonical_json({"key": key, **content})
    shard = shard_of(key, 1)
    txt = None if stream == "interleaved" else text
    return Sample(stream, split, shard, key, txt, json, len(text), images), data


def _fail(sample: Sample, error: DataError) -> None:
    raise error


def write_stream(folder: Path, stream: str, splits: dict[str, int]) -> None:
    """Two shards a split, index and manifest."""
    folder = folder / stream
    folder.mkdir(parents=True)
    entries: list[ShardEntry] = []
    rows: list[IndexRow] = []
    for split, count in sorted(splits.items()):
        made = [_sample(stream, split, number) for number in range(count)]
        data = {name: picture for _, found in made for name, picture in found.items()}
        for number in (0, 1):
            mine = sorted((s for s, _ in made if s.shard == number), key=lambda each: each.key)
            if not mine:
                continue
            name = shard_name(split, number)
            with (folder / name).open("wb") as out:
                result = write_shard(
                    mine, lambda image, data=data: data[image.image_key], ShardFormat(), out, _fail
                )  # type: ignore[misc]
            entries.append(ShardEntry(name, result.samples, result.bytes, result.sha256))
            rows += result.index
    with pq.ParquetWriter(folder / "index.parquet", schema_of(IndexRow)) as writer:
        writer.write_batch(to_batch(rows, IndexRow))
    manifest = Manifest(stream, "test", dict.fromkeys(splits, 1), entries)
    (folder / "manifest.json").write_text(manifest.to_json())


def write_shards(folder: Path, captioned: int = 60, interleaved: int = 40, text: int = 12) -> Path:
    """All three streams with a validation split; returns the folder."""
    for stream, count in (("captioned", captioned), ("interleaved", interleaved), ("text", text)):
        write_stream(folder, stream, {"train": count, "validation": max(4, count // 4)})
    return folder
