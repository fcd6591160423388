"""A TIFF of several pictures as TIFFs of one picture each (TIFF 6.0, section 2).

Nothing is decoded: the directory of each picture and its strips or tiles are copied byte for byte
into a file of their own, so that pixels stay as they were received, and one that does not decode is
told by whoever decodes it. Directories inside a directory (EXIF, GPS, thumbnails) are left out.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from schemas.errors import ImageDecodeError
from transforms.image_headers import format_of, tiff_frames

MAX_FRAMES = 1000
MAX_PIECES = 1 << 17
"""Most strips or tiles of a picture."""
SLACK_BYTES = 1 << 20
"""What the pictures may be longer together than twice their file: directories that name the same
bytes over and over would be copied each time."""

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_PIECES = {0x0111: 0x0117, 0x0144: 0x0145}
"""Where strips and tiles lie, and the tag that has their sizes."""
_INNER = frozenset({0x014A, 0x8769, 0x8825, 0xA005})
"""Lead to other directories: sub-images, EXIF, GPS, interoperability."""
_OLD_JPEG = frozenset({0x0201, 0x0207})
"""Offsets of a kind that TIFF 6.0's successors forbid; nobody could copy them with certainty."""


@dataclass(frozen=True, slots=True)
class _Entry:
    tag: int
    kind: int
    items: int
    field: bytes
    """The value where it has four bytes or fewer, else its offset."""

    @property
    def size(self) -> int:
        return _TYPE_BYTES[self.kind] * self.items


class _Source:
    """A file with its byte order."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.order = "<" if data[:2] == b"II" else ">"

    def directories(self) -> Iterator[list[_Entry]]:
        """The entries of each directory; the chain ends where it comes back to itself."""
        seen: set[int] = set()
        (at,) = struct.unpack_from(self.order + "I", self.data, 4)
        while at and at not in seen:
            seen.add(at)
            (count,) = struct.unpack_from(self.order + "H", self.data, at)
            body = self.data[at + 2 : at + 2 + 12 * count]
            (at,) = struct.unpack_from(self.order + "I", self.data, at + 2 + 12 * count)
            yield [
                _Entry(tag, kind, items, field)
                for tag, kind, items, field in struct.iter_unpack(self.order + "HHI4s", body)
                if kind in _TYPE_BYTES and tag not in _INNER
            ]

    def span(self, at: int, size: int) -> bytes:
        """Bytes of the file; raises `ImageDecodeError` where they are not in it."""
        if at + size > len(self.data):
            raise ImageDecodeError("tiff: a directory that leads out of the file")
        return self.data[at : at + size]

    def value(self, entry: _Entry) -> bytes:
        if entry.size <= 4:
            return entry.field[: entry.size]
        return self.span(struct.unpack(self.order + "I", entry.field)[0], entry.size)

    def numbers(self, entry: _Entry) -> tuple[int, ...]:
        form = {3: "H", 4: "I"}.get(entry.kind)
        if form is None or entry.items > MAX_PIECES:
            raise ImageDecodeError(f"tiff: more than {MAX_PIECES} strips or tiles, or none")
        return struct.unpack(f"{self.order}{entry.items}{form}", self.value(entry))


def _pieces(source: _Source, entries: dict[int, _Entry]) -> dict[int, list[tuple[int, int]]]:
    """Offset and size of the strips or tiles, by the tag that says where they lie."""
    found = {}
    for tag, sizes_tag in _PIECES.items():
        if tag not in entries:
            continue
        if sizes_tag not in entries:
            raise ImageDecodeError("tiff: strips or tiles without their sizes")
        offsets, sizes = source.numbers(entries[tag]), source.numbers(entries[sizes_tag])
        if len(offsets) != len(sizes):
            raise ImageDecodeError(f"tiff: {len(offsets)} strips or tiles, {len(sizes)} sizes")
        found[tag] = list(zip(offsets, sizes, strict=True))
    if not found or _OLD_JPEG & entries.keys():
        raise ImageDecodeError("tiff: a picture without strips or tiles, or in the old JPEG way")
    return found


def _written(source: _Source, entries: dict[int, _Entry], room: int) -> bytes:
    """A file of one directory; raises `ImageDecodeError` where it is larger than `room`."""
    pieces = _pieces(source, entries)
    size = sum(entry.size for entry in entries.values())
    size += sum(length for spans in pieces.values() for _, length in spans)
    if size > room:
        raise ImageDecodeError("tiff: pictures several times longer than their file")
    order = source.order
    end = 8 + 2 + 12 * len(entries) + 4
    behind: list[bytes] = []

    def put(data: bytes) -> int:
        """Append behind the directory, at an even offset."""
        nonlocal end
        at = end
        behind.append(data + b"\0" * (len(data) % 2))
        end += len(behind[-1])
        return at

    lines = []
    for tag in sorted(entries):
        entry = entries[tag]
        kind = entry.kind
        if tag in pieces:
            places = [put(source.span(at, length)) for at, length in pieces[tag]]
            kind, value = 4, struct.pack(f"{order}{len(places)}I", *places)
        else:
            value = source.value(entry)
        field = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(order + "I", put(value))
        lines.append(struct.pack(order + "HHI4s", tag, kind, entry.items, field))
    head = source.data[:4] + struct.pack(order + "IH", 8, len(lines))
    return b"".join([head, *lines, bytes(4), *behind])


def split_tiff(data: bytes) -> list[bytes]:
    """The pictures of a file, in order; a file that is no TIFF of several is its only picture.

    Raises:
        ImageDecodeError: More than `MAX_FRAMES` pictures, or directories that cannot be followed.
    """
    if format_of(data) != "tiff":
        return [data]
    count = tiff_frames(data, MAX_FRAMES + 1)
    if count == 1:
        return [data]
    if count > MAX_FRAMES:
        raise ImageDecodeError(f"tiff: more than {MAX_FRAMES} frames")
    source = _Source(data)
    room = 2 * len(data) + SLACK_BYTES
    made = []
    try:
        for entries in source.directories():
            made.append(_written(source, {entry.tag: entry for entry in entries}, room))
            room -= len(made[-1])
    except struct.error as e:
        raise ImageDecodeError("tiff: a directory that leads out of the file") from e
    return made
