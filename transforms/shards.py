"""Samples to shards and back: a tar written front to back, and read by byte range or strictly.

A shard is a function of its samples: headers are constant, samples are sorted by key, and a sample
goes in whole or not at all. So the same rows give the same sha256, whoever writes them. Memory is
bounded by one sample, plus a row of the index for each.
"""

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from schemas.errors import DataError, ImageMissingError, InputError
from schemas.ids import image_key
from schemas.rows import IndexRow, Sample, SampleImage
from schemas.shards import (
    ShardFormat,
    check_interleaved,
    image_suffixes,
    member_name,
    parse_member_name,
    shard_name,
)
from transforms.image_codec import PreparedImage, prepare_image
from transforms.packs import tar_header

STEP_VERSION = 1

BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * BLOCK)
"""Two empty blocks end a tar."""

MAX_SAMPLE_BYTES = 2 * 1024**3
"""Above this `iter_shard` refuses a sample instead of filling the memory."""


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What was written: the numbers of a manifest entry, and the rows of the index."""

    samples: int
    bytes: int
    sha256: str
    index: list[IndexRow]


def _prepare(
    sample: Sample, read_image: Callable[[SampleImage], bytes], fmt: ShardFormat
) -> list[PreparedImage]:
    """All images of a sample.

    Raises:
        DataError: One of them cannot be read or prepared.
    """
    prepared = []
    for image in sample.images:
        data = read_image(image)
        if image_key(hashlib.sha256(data).hexdigest()) != image.image_key:
            raise ImageMissingError(
                f"image {image.image_key}: pack {image.pack} holds other bytes at {image.offset}"
            )
        prepared.append(prepare_image(data, image, fmt))
    return prepared


def sample_members(
    sample: Sample, images: list[PreparedImage], fmt: ShardFormat
) -> list[tuple[str, bytes]]:
    """Suffix and bytes of a sample's members, in tar order: JSON, text, images.

    The small members come first, so that a reader can judge a sample before it reads the images.

    Raises:
        ValueError: The sample is not as its stream demands; that is a mistake of the caller.
    """
    if (sample.txt is None) != (sample.stream == "interleaved"):
        raise ValueError(f"sample {sample.key} of stream {sample.stream}: wrong members")
    suffixes = image_suffixes(sample.stream, len(images), fmt.extension)
    if sample.stream == "interleaved":
        check_interleaved(json.loads(sample.json), suffixes)
    members = [("json", sample.json.encode())]
    if sample.txt is not None:
        members.append(("txt", sample.txt.encode()))
    members += zip(suffixes, (image.data for image in images), strict=True)
    return members


def write_shard(
    samples: Iterable[Sample],
    read_image: Callable[[SampleImage], bytes],
    fmt: ShardFormat,
    out: BinaryIO,
    on_failure: Callable[[Sample, DataError], None],
) -> ShardResult:
    """Write one shard.

    Args:
        samples: The samples of one shard, sorted by key.
        read_image: Bytes of an image as received; raises `DataError` where it cannot.
        fmt: The shard format.
        out: Where the tar goes; only written to, front to back.
        on_failure: Called with a sample of which an image cannot be read or prepared, and why.
            Nothing of that sample is written.

    Returns:
        Size, sha256 and index. With `samples` 0 the tar is empty and not worth publishing.

    Raises:
        ValueError: The samples are not of one shard, not sorted, or not as their stream demands.
    """
    hasher = hashlib.sha256()
    position = 0
    index: list[IndexRow] = []
    last_key, shard = "", None

    def write(data: bytes) -> None:
        nonlocal position
        hasher.update(data)
        out.write(data)
        position += len(data)

    for sample in samples:
        if sample.key <= last_key:
            raise ValueError(f"sample {sample.key} after {last_key}: keys must rise")
        last_key = sample.key
        shard = shard or (sample.stream, sample.split, sample.shard)
        if shard != (sample.stream, sample.split, sample.shard):
            raise ValueError(f"sample {sample.key} does not belong to shard {shard}")
        try:
            images = _prepare(sample, read_image, fmt)
        except DataError as error:
            on_failure(sample, error)
            continue
        members = sample_members(sample, images, fmt)
        start, offsets = position, []
        for suffix, data in members:
            write(tar_header(member_name(sample.key, suffix), len(data)))
            offsets.append(position)
            write(data)
            write(bytes(-len(data) % BLOCK))
        index.append(
            IndexRow(
                shard=shard_name(sample.split, sample.shard),
                key=sample.key,
                offset=start,
                size=position - start,
                members=[suffix for suffix, _ in members],
                member_offsets=offsets,
                member_sizes=[len(data) for _, data in members],
                images=len(images),
                widths=[image.width for image in images],
                heights=[image.height for image in images],
                text_length=sample.text_length,
            )
        )
    write(_END)
    return ShardResult(len(index), position, hasher.hexdigest(), index)


def read_sample(shard: BinaryIO, row: IndexRow) -> dict[str, bytes]:
    """One sample by its byte range, as suffix to bytes, in tar order.

    Args:
        shard: The open shard; `seek` and `read` are used once each.
        row: The sample's row of the index.

    Raises:
        InputError: The shard does not hold that sample there.
    """
    check_range(row)
    shard.seek(row.offset)
    return sample_of_block(shard.read(row.size), row)


def check_range(row: IndexRow) -> None:
    """Refuse a row of the index that nobody should read by; raises `InputError`."""
    if row.offset < 0 or not 0 <= row.size <= MAX_SAMPLE_BYTES:
        raise InputError(f"shard {row.shard}: {row.key} cannot be {row.size} bytes at {row.offset}")


def sample_of_block(block: bytes, row: IndexRow) -> dict[str, bytes]:
    """The sample in the bytes that its row of the index names; as `read_sample`."""
    members = {}
    for suffix, offset, size in zip(row.members, row.member_offsets, row.member_sizes, strict=True):
        start = offset - row.offset
        name = block[start - BLOCK : start - BLOCK + 100].rstrip(b"\0")
        if start + size > len(block) or name != member_name(row.key, suffix).encode():
            raise InputError(f"shard {row.shard} does not hold {row.key}.{suffix} at {offset}")
        members[suffix] = block[start : start + size]
    return members


def read_header(block: bytes, where: str) -> tuple[str, str, int]:
    """Key, suffix and size from the header of a member."""
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        key, suffix = parse_member_name(info.name)
        constant = tar_header(info.name, info.size)
    except (tarfile.HeaderError, ValueError) as error:
        raise InputError(f"{where}: {error}") from error
    if constant != block:
        raise InputError(f"{where}: not a header that this writer makes")
    return key, suffix, info.size


def iter_shard(
    shard: BinaryIO, max_sample_bytes: int = MAX_SAMPLE_BYTES
) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Read a shard front to back and accept nothing that `write_shard` does not write.

    It follows no link, opens no other file and decodes nothing. Keys must rise and members must be
    whole; the tar must end with its two empty blocks and nothing behind them.

    Args:
        shard: The open shard; only read.
        max_sample_bytes: Bytes of a sample above which it is refused.

    Yields:
        Key and members (suffix to bytes) of each sample.

    Raises:
        InputError: Anything else; the message names the byte offset.
    """
    position = 0
    key, members, held = "", dict[str, bytes](), 0
    while True:
        where = f"byte {position}"
        block = shard.read(BLOCK)
        if len(block) != BLOCK:
            raise InputError(f"{where}: the shard ends inside a block")
        position += BLOCK
        if not any(block):
            if shard.read(BLOCK + 1) != bytes(BLOCK):
                raise InputError(f"{where}: the end of the tar is not two empty blocks")
            if members:
                yield key, members
            return
        next_key, suffix, size = read_header(block, where)
        if next_key != key:
            if next_key < key:
                raise InputError(f"{where}: key {next_key} after {key}")
            if members:
                yield key, members
            key, members, held = next_key, {}, 0
        if suffix in members:
            raise InputError(f"{where}: {key}.{suffix} appears twice")
        held += size
        if held > max_sample_bytes:
            raise InputError(f"{where}: sample {key} is above {max_sample_bytes} bytes")
        data = shard.read(size + -size % BLOCK)
        if len(data) != size + -size % BLOCK or any(data[size:]):
            raise InputError(f"{where}: {key}.{suffix} is cut or not padded with zeros")
        members[suffix] = data[:size]
        position += len(data)
