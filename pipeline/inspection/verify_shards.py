"""One shard against its manifest entry and its index, in one pass over its bytes.

The pass hashes every byte and reads the tar as strictly as `shards.iter_shard` does. Where a header
is damaged the rest is looked at by the ranges of the index, so that each sample is accounted for.
Memory: one sample, and the index rows of the shard.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from pipeline.inspection.streams import Json
from schemas.errors import InputError
from schemas.rows import IndexRow
from schemas.shards import ShardEntry, parse_shard_name, shard_of
from transforms import storage
from transforms.shards import BLOCK, iter_shard, read_sample

MAX_PROBLEMS = 1000
"""Problems of one file that are kept; all are counted."""
_PIECE = 1 << 20


@dataclass
class Checked:
    """What of one file was checked, and what is wrong with it."""

    file: str
    """Relative to the output."""
    counts: dict[str, int] = field(default_factory=dict)
    problems: list[Json] = field(default_factory=list)
    found: int = 0
    """Problems, also those that are not kept."""

    def count(self, name: str, number: int = 1) -> None:
        """Add to a count."""
        self.counts[name] = self.counts.get(name, 0) + number

    def problem(
        self, what: str, key: str | None = None, is_: Any = None, should: Any = None
    ) -> None:
        """Note what is wrong.

        Args:
            what: In words.
            key: Of the sample or image; None: the file as a whole.
            is_: What is found.
            should: What is expected.
        """
        self.found += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(
                {"file": self.file, "key": key, "what": what, "is": is_, "should_be": should}
            )

    def compare(self, what: str, key: str | None, is_: Any, should: Any) -> None:
        """Note a problem where two values differ."""
        if is_ != should:
            self.problem(what, key, is_, should)


class HashedFile:
    """A file that is read forward, and the hash and number of the bytes read."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.bytes = 0

    def read(self, size: int = -1) -> bytes:
        """As of the file."""
        data: bytes = self._file.read(size)
        self._hash.update(data)
        self.bytes += len(data)
        return data

    def sha256(self) -> str:
        """The hash of the whole file: what was not read yet is read."""
        while self.read(_PIECE):
            pass
        return self._hash.hexdigest()


@dataclass(frozen=True)
class ShardToCheck:
    """A shard, and what is told of it."""

    output: str
    file: str
    """Relative to the output."""
    name: str
    entry: ShardEntry | None
    """None where the manifest does not list it."""
    bits: Mapping[str, int] | None
    """Of the manifest: split -> k; None without a manifest."""
    rows: list[IndexRow] | None
    """None without an index."""


def check_shard(shard: ShardToCheck) -> Checked:
    """Read a shard and compare it with what is told of it."""
    checked = Checked(shard.file)
    fs, path = storage.resolve(storage.join(shard.output, shard.file))
    try:
        with fs.open(path, "rb") as file:
            checked.count("shards")
            _check_open(shard, file, checked)
    except FileNotFoundError:
        checked.problem("the shard is missing")
    except OSError as e:
        checked.problem(f"cannot be read: {e}")
    return checked


def _check_open(shard: ShardToCheck, file: BinaryIO, checked: Checked) -> None:
    rows = {row.key: row for row in sorted(shard.rows or (), key=lambda row: row.offset)}
    hashed: Any = HashedFile(file)
    position = samples = 0
    is_whole = True
    try:
        for key, members in iter_shard(hashed):
            position = _check_sample(shard, key, members, position, rows.pop(key, None), checked)
            samples += 1
    except InputError as e:
        is_whole = False
        checked.problem(f"is no whole tar: {e}")
    sha256 = hashed.sha256()
    checked.count("bytes", hashed.bytes)
    if is_whole:
        for key in rows:
            checked.problem("is in the index and not in the tar", key)
    else:
        for row in rows.values():
            samples += _check_range(file, row, checked)
    checked.count("samples", samples)
    entry = shard.entry
    if entry is None:
        if shard.bits is not None:
            checked.problem("the manifest does not list it")
        return
    checked.compare("bytes of the file", None, hashed.bytes, entry.bytes)
    checked.compare("sha256 of the file", None, sha256, entry.sha256)
    checked.compare("samples that can be read", None, samples, entry.samples)


def _check_sample(
    shard: ShardToCheck,
    key: str,
    members: Mapping[str, bytes],
    start: int,
    row: IndexRow | None,
    checked: Checked,
) -> int:
    """Compare a sample of the tar with its row; the offset behind it."""
    offsets, at = [], start
    for data in members.values():
        offsets.append(at + BLOCK)
        at += BLOCK + len(data) + -len(data) % BLOCK
    checked.count("members", len(members))
    split, number = parse_shard_name(shard.name)
    bits = (shard.bits or {}).get(split)
    if bits is not None and shard_of(key, bits) != number:
        checked.problem("the key belongs to another shard", key, number, shard_of(key, bits))
    if shard.rows is None:
        return at
    if row is None:
        checked.problem("is in the tar and not in the index", key)
        return at
    told = {
        "offset": (start, row.offset),
        "size": (at - start, row.size),
        "members": (list(members), row.members),
        "offsets of members": (offsets, row.member_offsets),
        "sizes of members": ([len(data) for data in members.values()], row.member_sizes),
    }
    for what, (is_, should) in told.items():
        checked.compare(f"{what}: tar, index", key, is_, should)
    pictures = sum(suffix.rpartition(".")[2] not in ("json", "txt") for suffix in members)
    checked.compare("images: tar, index", key, pictures, row.images)
    return at


def _check_range(file: BinaryIO, row: IndexRow, checked: Checked) -> bool:
    """Whether a sample behind damage lies where the index says."""
    try:
        members = read_sample(file, row)
    except (InputError, OSError, ValueError) as e:
        checked.problem(f"cannot be read by the index: {e}", row.key)
        return False
    checked.count("members", len(members))
    return True
