"""Samples of a tar by the WebDataset convention: members of one key stand side by side.

The key is a member's folder and its name up to the first dot, the suffix what is behind it. A
member that cannot be used costs its sample; so does damage beside it, because a sample that may
have lost its caption is no sample. A key that comes again later is a bad row.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from schemas.errors import InputRowError
from schemas.ids import digest
from transforms.byte_streams import ByteStream
from transforms.input_rows import BadRow
from transforms.tar_members import BadMember, CutShort, Member, read_members

MAX_SAMPLE_BYTES = 256 << 20
"""Most bytes of the wanted members of a sample."""
MAX_SAMPLE_MEMBERS = 10_000
MAX_SAMPLES = 4_000_000
"""Most samples of a tar: a hash of the key of each is kept, so that one that comes twice is told.
Real tars have ten thousand."""

_NAME = re.compile(r"((?:.*/)?[^./]+)\.([^/]+)")


@dataclass(slots=True)
class Sample:
    """Members of one key."""

    key: str
    offset: int
    """Of its first header, in bytes of the decompressed tar."""
    members: dict[str, bytes] = field(default_factory=dict)
    """Wanted members by suffix, in the tar's order."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes of each member by suffix, wanted or not."""


def sample_name(name: str) -> tuple[str, str] | None:
    """Key and suffix, in lower case, of a member's name.

    None for names without a dot and names that begin with one: they are of no sample.
    """
    found = _NAME.fullmatch(name)
    return (found[1], found[2].lower()) if found else None


class _Open:
    """The sample that is being read."""

    def __init__(self, key: str, offset: int, error: InputRowError | None) -> None:
        self.sample = Sample(key, offset)
        self.error = error
        self.count = 0
        self.bytes = 0

    def add(self, suffix: str, data: bytes | None, size: int) -> None:
        self.count += 1
        if suffix in self.sample.sizes:
            self.fail(InputRowError(f"two members of one name, of suffix {suffix}"))
        elif self.count > MAX_SAMPLE_MEMBERS:
            self.fail(InputRowError(f"more than {MAX_SAMPLE_MEMBERS} members in one sample"))
        elif self.error is None:
            self.sample.sizes[suffix] = size
            if data is not None:
                self.bytes += len(data)
                self.sample.members[suffix] = data
            if self.bytes > MAX_SAMPLE_BYTES:
                self.fail(InputRowError(f"a sample of more than {MAX_SAMPLE_BYTES} bytes"))

    def fail(self, error: InputRowError) -> None:
        """The first error is kept, the members are not."""
        self.error = self.error or error
        self.sample.members.clear()

    def result(self) -> Sample | BadRow:
        return self.sample if self.error is None else BadRow(self.sample.key, self.error)


def read_samples(stream: ByteStream, wants: Callable[[str], bool]) -> Iterator[Sample | BadRow]:
    """The samples of a tar in its order; at most one is held.

    Args:
        stream: The tar, plain or compressed.
        wants: Whether members of a suffix are wanted; the others are passed over.
    """

    def wants_member(name: str) -> bool:
        parts = sample_name(name)
        return parts is not None and wants(parts[1])

    seen: set[int] = set()
    current: _Open | None = None
    damage: InputRowError | None = None
    for item in read_members(stream, wants_member):
        if isinstance(item, CutShort) or item.name is None:
            assert not isinstance(item, Member)
            if current is None:
                yield BadRow(f"offset {item.offset}", item.error)
            else:
                current.fail(item.error)
            damage = InputRowError(f"a member may be lost in front of it: {item.error}")
            continue
        parts = sample_name(item.name)
        if parts is None:
            if isinstance(item, BadMember):
                yield BadRow(item.name, item.error)
            continue
        key, suffix = parts
        if current is None or current.sample.key != key:
            if current is not None:
                yield current.result()
            current = _Open(key, item.offset, damage)
            damage = None
            mark = int(digest(key)[:16], 16)
            if mark in seen:
                current.fail(InputRowError("the members of this key do not stand side by side"))
            elif len(seen) >= MAX_SAMPLES:
                yield BadRow(key, InputRowError(f"more than {MAX_SAMPLES} samples in one tar"))
                return
            seen.add(mark)
        if isinstance(item, BadMember):
            current.fail(item.error)
        else:
            current.add(suffix, item.data, item.size)
    if current is not None:
        yield current.result()
