"""Tokenizers and folders of shards for tests of the trainer, made in code."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.shards import Manifest, ShardEntry

Members = Mapping[str, bytes]
SPECIAL = ("<pad>", "<s>", "</s>", "<image>", "<|endoftext|>")


def write_tokenizer(folder: Path, bos: bool = True, model: Any = None, **config: Any) -> str:
    """A byte-level tokenizer without merges: a token a byte, but for its special ones."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {token: number for number, token in enumerate(SPECIAL)}
    for character in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocabulary.setdefault(character, len(vocabulary))
    tokenizer = Tokenizer(model or models.BPE(vocab=vocabulary, merges=[]))
    if model is None:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    values = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>" if bos else None,
        "eos_token": "</s>",
        "pad_token": "<pad>",
        **config,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(values))
    return str(folder)


def tar_bytes(
    members: Sequence[tuple[str, bytes]], form: int = tarfile.USTAR_FORMAT
) -> tuple[bytes, list[int]]:
    """A tar, and where the data of each member lies."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with tarfile.open(fileobj=io.BytesIO(buffer.getvalue())) as tar:
        return buffer.getvalue(), [member.offset_data for member in tar.getmembers()]


def write_own(folder: Path, stream: str, shards: Mapping[str, Sequence[Members]]) -> str:
    """A folder as `weft run` publishes it; the keys of samples are counted."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    entries = []
    number = 0
    for name, samples in shards.items():
        named: list[tuple[str, bytes]] = []
        keyed = []
        for members in samples:
            key = f"{number:08x}"
            keyed.append((key, members))
            named += [(f"{key}.{suffix}", data) for suffix, data in members.items()]
            number += 1
        data, offsets = tar_bytes(named)
        (folder / name).write_bytes(data)
        entries.append(ShardEntry(name, len(samples), len(data), hashlib.sha256(data).hexdigest()))
        place = iter(offsets)
        for key, members in keyed:
            at = [next(place) for _ in members]
            sizes = [len(each) for each in members.values()]
            start = at[0] - 512
            row = {"shard": name, "key": key, "offset": start}
            row["size"] = at[-1] + sizes[-1] + -sizes[-1] % 512 - start
            row |= {"members": list(members), "member_offsets": at, "member_sizes": sizes}
            rows.append(row)
    pq.write_table(pa.Table.from_pylist(rows), folder / "index.parquet")
    (folder / "manifest.json").write_text(Manifest(stream, "recipe", {}, entries).to_json())
    return str(folder)


def captioned(text: str, image: bytes = b"picture") -> dict[str, bytes]:
    return {"json": b"{}", "txt": text.encode("utf-8", "surrogatepass"), "jpg": image}


def interleaved(*elements: str | int) -> dict[str, bytes]:
    """Strings are texts, integers are images."""
    images = [f"{each:02d}.jpg" if isinstance(each, int) else None for each in elements]
    texts = [each if isinstance(each, str) else None for each in elements]
    members = {"json": json.dumps({"texts": texts, "images": images}).encode()}
    return members | {name: b"picture" for name in images if name is not None}


def text_sample(text: str) -> dict[str, bytes]:
    return {"json": b"{}", "txt": text.encode()}
