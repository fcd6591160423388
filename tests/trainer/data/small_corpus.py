"""A corpus in a folder, made by hand: shards, index, plan and order as the loader meets them."""

import io
import json
import random
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from trainer.data.order import Numbers

IMAGE_TOKENS = 4
LENGTH = 48
MAX_IMAGES = 3


class Letters:
    """A tokenizer of bytes, with the interface of `TextTokenizer`."""

    bos, eos, pad, vocabulary = 1, 2, 0, 259

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [[3 + byte for byte in text.encode()] for text in texts]


@dataclass(frozen=True)
class Piece:
    sample: int
    start: int
    stop: int
    images: int
    first_image: int


@dataclass(frozen=True)
class Index:
    shards: list[str]
    shard: Any
    offset: Any
    size: Any


@dataclass(frozen=True)
class Plan:
    rows: list[list[Piece]]

    def pieces_of(self, pack: int) -> list[Piece]:
        return self.rows[pack]


@dataclass(frozen=True)
class Source:
    name: str
    stream: str
    index: Index
    plan: Plan


@dataclass(frozen=True)
class Order:
    """Packs of the sources in turn, each epoch the same; dealt as they come."""

    packs: list[tuple[int, int]]
    global_batch: int

    def sources_and_packs(self, positions: Numbers) -> tuple[Numbers, Numbers]:
        found = np.array([self.packs[position * 7 % len(self.packs)] for position in positions])
        return found[:, 0], found[:, 1]

    def step(self, step: int, ranks: int, micro_batch: int) -> list[list[list[int]]]:
        positions = range(step * self.global_batch, (step + 1) * self.global_batch)
        row = ranks * micro_batch
        return [
            [
                [positions[at + rank * micro_batch + n] for n in range(micro_batch)]
                for rank in range(ranks)
            ]
            for at in range(0, self.global_batch, row)
        ]


@dataclass(frozen=True)
class SmallCorpus:
    sources: tuple[Source, ...]
    order: Order
    image_tokens: int = IMAGE_TOKENS
    sequence_length: int = LENGTH
    max_images: int = MAX_IMAGES
    tokenizer_source: str = ""


@dataclass(frozen=True)
class StuckOrder(Order):
    """Hangs behind the first step."""

    def step(self, step: int, ranks: int, micro_batch: int) -> list[list[list[int]]]:
        if step > 0:
            time.sleep(60)
        return super().step(step, ranks, micro_batch)


def jpeg(seed: int, size: tuple[int, int] = (40, 30), **options: Any) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).resize(size).save(out, "JPEG", **options)
    return out.getvalue()


def tar_of(members: Sequence[tuple[str, bytes]], format: int = tarfile.USTAR_FORMAT) -> bytes:
    """Members side by side, without the blocks that end a tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        end = tar.offset
    return out.getvalue()[:end]


def captioned(number: int, seed: int, text: str, image: bytes | None = None) -> bytes:
    key = f"{number:08x}"
    data = jpeg(seed) if image is None else image
    return tar_of([(f"{key}.txt", text.encode()), (f"{key}.jpg", data)])


def interleaved(number: int, elements: Sequence[str | bytes]) -> bytes:
    key = f"{number:08x}"
    texts, images, members = [], [], []
    for element in elements:
        name = None if isinstance(element, str) else f"{len(members):02d}.jpg"
        texts.append(element if isinstance(element, str) else None)
        images.append(name)
        if isinstance(element, bytes):
            members.append((f"{key}.{name}", element))
    layout = json.dumps({"texts": texts, "images": images}).encode()
    return tar_of([(f"{key}.json", layout), *members])


def write_source(
    folder: Path, stream: str, samples: Sequence[bytes], plan: list[list[Piece]], shards: int = 2
) -> Source:
    """A stream's samples dealt to shards, in turn."""
    folder.mkdir(parents=True)
    blocks: list[bytearray] = [bytearray() for _ in range(shards)]
    shard, offset = [], []
    for number, data in enumerate(samples):
        shard.append(number % shards)
        offset.append(len(blocks[number % shards]))
        blocks[number % shards] += data
    paths = [folder / f"train-{number:06d}.tar" for number in range(shards)]
    for path, block in zip(paths, blocks, strict=True):
        path.write_bytes(bytes(block) + bytes(1024))
    index = Index(
        [str(path) for path in paths],
        np.array(shard, np.int32),
        np.array(offset, np.int64),
        np.array([len(data) for data in samples], np.int64),
    )
    return Source(stream, stream, index, Plan(plan))


def places(text: str) -> int:
    """Places of a captioned sample: BOS, an image, its text, EOS."""
    return 2 + IMAGE_TOKENS + len(text)


def small_corpus(folder: Path, global_batch: int = 8) -> SmallCorpus:
    """Twelve captioned samples in six packs, and an interleaved document cut into two packs."""
    rng = random.Random(0)
    texts = ["".join(rng.choices("abcdef", k=rng.randrange(4, 16))) for _ in range(12)]
    samples = [captioned(number, number, text) for number, text in enumerate(texts)]
    plan = [[Piece(n, 0, places(texts[n]), 1, 0) for n in (pack, pack + 6)] for pack in range(6)]
    first = write_source(folder / "captioned", "captioned", samples, plan)
    document = interleaved(0, ["one two", jpeg(50), "three", jpeg(51), "four"])
    cut = 1 + 7 + IMAGE_TOKENS + 3  # inside "three"
    end = 1 + 7 + IMAGE_TOKENS + 5 + IMAGE_TOKENS + 4 + 1
    pieces = [[Piece(0, 0, cut, 1, 0)], [Piece(0, cut, end, 1, 1)]]
    second = write_source(folder / "interleaved", "interleaved", [document], pieces, shards=1)
    packs = [(0, pack) for pack in range(6)] + [(1, 0), (1, 1)]
    return SmallCorpus((first, second), Order(packs, global_batch))
