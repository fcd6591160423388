"""An index for shards that somebody else wrote: img2dataset, MINT-1T, any WebDataset tars.

Only headers are read. Members of one key that stand side by side are a sample; the key is a name's
part up to the first dot behind its folders. Names without one, folders and links are passed over.
A sample with two members of one suffix is left out and counted: no reader could tell them apart.
"""

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pyarrow as pa

from schemas.errors import InputError
from trainer.data.shard_files import resolve
from trainer.data.tar_headers import (
    BLOCK,
    MAX_EXTENSION_BYTES,
    TarHeader,
    parse_header,
    pax_records,
    sample_name,
)

CACHE_BLOCK = 1 << 20
"""Bytes of a store that are read at once."""
SHARDS_A_PROCESS = 4
"""Below twice as many no process is started: it would take longer than the headers do."""

_SCHEMA = pa.schema(
    {
        "shard": pa.string(),
        "key": pa.string(),
        "offset": pa.int64(),
        "size": pa.int64(),
        "members": pa.list_(pa.string()),
        "member_offsets": pa.list_(pa.int64()),
        "member_sizes": pa.list_(pa.int64()),
    }
)
"""The columns of `schemas.rows.IndexRow` that headers tell."""


@dataclass
class ForeignIndex:
    """What the headers of a folder's shards say."""

    table: pa.Table
    fingerprint: str
    left_out: int
    """Samples with two members of one suffix."""


@dataclass
class _Sample:
    key: str
    offset: int
    members: list[str] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    end: int = 0


@dataclass(frozen=True)
class _Member:
    name: bytes
    start: int
    """Of its first header: that of its long name where it has one."""
    data: int
    size: int
    is_file: bool


def _members(file: BinaryIO, size: int, url: str, state: Any) -> Iterator[_Member]:
    """Members of a tar, in its order; raises `InputError` for one that is damaged or cut short."""

    def take(count: int, at: int) -> bytes:
        data = file.read(count)
        if len(data) != count:
            raise InputError(f"{url}: the tar is cut short at byte {at}: get it again")
        return data

    at = start = 0
    name: bytes | None = None
    stated: int | None = None
    while True:
        file.seek(at)
        if at + BLOCK > size:
            raise InputError(
                f"{url}: the tar is cut short at byte {size}: it has no end mark: get it again"
            )
        block = take(BLOCK, at)
        if block == bytes(BLOCK):
            return
        try:
            header = parse_header(block)
            state.update(block)
            extension = header.kind in b"xLgK"
            if extension and header.size > MAX_EXTENSION_BYTES:
                raise ValueError(f"an extension of {header.size} bytes")
            if extension:
                data = take(header.size, at)
                state.update(data)
                if header.kind == ord("L"):
                    name = data.split(b"\0", 1)[0]
                elif header.kind == ord("x"):
                    values = pax_records(data)
                    name = values.get(b"path", name)
                    if b"size" in values:
                        stated = int(values[b"size"])
        except ValueError as error:
            raise InputError(f"{url}: damaged at byte {at}: {error}") from error
        data_start = at + BLOCK
        if not extension and stated is not None:
            header = TarHeader(header.name, stated, header.kind)
        at = data_start + header.padded
        if at > size:
            raise InputError(
                f"{url}: the tar is cut short: the member at byte {data_start - BLOCK} ends at "
                f"{at}, the file at {size}: get it again"
            )
        if extension:
            continue
        full = header.name if name is None else name
        yield _Member(full, start, data_start, header.size, header.is_file)
        start, name, stated = at, None, None


def scan_shard(url: str) -> tuple[pa.Table, str, int]:
    """The samples of a tar by its headers, a hash of those, and how many were left out.

    Raises:
        InputError: The tar cannot be read, is damaged, or was cut short.
    """
    fs, path = resolve(url)
    state = hashlib.sha256()
    samples: list[_Sample] = []
    current: _Sample | None = None
    try:
        size = int(fs.info(path)["size"])
        state.update(str(size).encode())
        with fs.open(path, "rb", block_size=CACHE_BLOCK) as file:
            for member in _members(file, size, url, state):
                named = sample_name(member.name.decode("utf-8", "replace"))
                if not member.is_file or named is None:
                    current = None
                    continue
                key, suffix = named
                if current is None or current.key != key:
                    current = _Sample(key, member.start)
                    samples.append(current)
                current.members.append(suffix)
                current.offsets.append(member.data)
                current.sizes.append(member.size)
                current.end = member.data + member.size + -member.size % BLOCK
    except OSError as error:
        raise InputError(f"{url}: cannot be read: {error}") from error
    sound = [each for each in samples if len(set(each.members)) == len(each.members)]
    columns = {
        "shard": [url] * len(sound),
        "key": [each.key for each in sound],
        "offset": [each.offset for each in sound],
        "size": [each.end - each.offset for each in sound],
        "members": [each.members for each in sound],
        "member_offsets": [each.offsets for each in sound],
        "member_sizes": [each.sizes for each in sound],
    }
    table = pa.table(columns, schema=_SCHEMA)
    return table, state.hexdigest(), len(samples) - len(sound)


def make_foreign_index(
    shards: Sequence[str], progress: Callable[[str], None] | None = None
) -> ForeignIndex:
    """The index of tars, in their order, read in parallel processes.

    Raises:
        InputError: A tar cannot be read, is damaged, or was cut short; or none has a sample.
    """
    tables: list[pa.Table] = []
    state = hashlib.sha256()
    left_out = 0
    for number, (table, headers, bad) in enumerate(_scan(shards), 1):
        name = shards[number - 1].rsplit("/", 1)[-1]
        state.update(f"{name} {headers};".encode())
        tables.append(table)
        left_out += bad
        if progress:
            progress(f"headers: {number} of {len(shards)} shards read")
    table = pa.concat_tables(tables)
    if not len(table):
        raise InputError(f"{shards[0]}: no member of these tars is of a sample")
    return ForeignIndex(table, state.hexdigest()[:32], left_out)


def _scan(shards: Sequence[str]) -> Iterator[tuple[pa.Table, str, int]]:
    workers = min(len(shards) // SHARDS_A_PROCESS, os.cpu_count() or 1)
    if workers <= 1:
        yield from map(scan_shard, shards)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context) as pool:
        yield from pool.map(scan_shard, shards, chunksize=max(1, len(shards) // (16 * workers)))
