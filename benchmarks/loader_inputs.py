"""Shards and a corpus that `make bench-loader` reads: real photos with their texts."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.processes import ROOT
from schemas.shards import Manifest, ShardEntry, member_name, sample_key, shard_name
from trainer.config import DataConfig, DecoderConfig, SourceConfig, TrainConfig
from trainer.data.corpus import Corpus, open_corpus
from transforms.packs import tar_header

IMAGE_TOKENS = 144
TOKENIZER = str(ROOT / "transforms" / "models" / "tiny_clip")


def write_captioned(folder: Path, pairs: Sequence[tuple[bytes, str]], shards: int) -> None:
    """A captioned stream: tars, index.parquet, manifest.json."""
    folder.mkdir(parents=True)
    keyed = sorted(
        (sample_key("captioned", number), data, text) for number, (data, text) in enumerate(pairs)
    )
    rows: list[dict[str, Any]] = []
    entries = []
    for number in range(shards):
        name = shard_name("train", number)
        mine = keyed[len(keyed) * number // shards : len(keyed) * (number + 1) // shards]
        hasher, position = hashlib.sha256(), 0
        with (folder / name).open("wb") as out:
            for key, data, text in mine:
                block = bytearray()
                members = [("json", json.dumps({"caption": text}).encode()),
                           ("txt", text.encode()), ("jpg", data)]  # fmt: skip
                offsets = []
                for suffix, content in members:
                    block += tar_header(member_name(key, suffix), len(content))
                    offsets.append(position + len(block))
                    block += content + bytes(-len(content) % 512)
                out.write(block)
                hasher.update(block)
                rows.append({
                    "shard": name, "key": key, "offset": position, "size": len(block),
                    "members": [suffix for suffix, _ in members], "member_offsets": offsets,
                    "member_sizes": [len(content) for _, content in members],
                })  # fmt: skip
                position += len(block)
            out.write(bytes(1024))
            hasher.update(bytes(1024))
        entries.append(ShardEntry(name, len(mine), position + 1024, hasher.hexdigest()))
    pq.write_table(pa.Table.from_pylist(rows), folder / "index.parquet")
    manifest = Manifest("captioned", "benchmark", {}, entries)
    (folder / "manifest.json").write_text(manifest.to_json())


def loader_config(workers: int, draft: bool) -> TrainConfig:
    """MM1's packs, of captions alone."""
    data = DataConfig(
        sources={"captioned": SourceConfig(1)}, sequence_length=4096, max_images=16,
        global_batch=4, micro_batch=1, workers=workers, draft=draft,
    )  # fmt: skip
    decoder = DecoderConfig(config={"model_type": "llama"}, tokenizer=TOKENIZER)
    return TrainConfig(data=data, decoder=decoder)


def open_input(folder: Path, config: TrainConfig) -> Corpus:
    """The corpus of the folder above `captioned`."""
    return open_corpus(config, str(folder), IMAGE_TOKENS)
