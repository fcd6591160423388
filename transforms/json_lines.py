"""Files of lines, a JSON value a line: sliced by bytes, decompressed, each line bounded.

A line belongs to the slice in which it begins, so slices need no look into the file, and however a
file is cut its slices together give each line once. A line is named by its byte offset in the
decompressed file: a number would need all lines in front of it. Only plain files are cut.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from schemas.errors import InputRowError
from transforms.byte_streams import (
    COMPRESSED_ENDINGS,
    PIECE_BYTES,
    ByteStream,
    compression_of,
    decompressed,
    open_file,
)
from transforms.input_rows import BadRow

MAX_LINE_BYTES = 16 << 20
"""Longest line that is held. What a decoded line takes is a small multiple of it."""

_BOM = b"\xef\xbb\xbf"
_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its line end."""

    offset: int
    """Where it begins, in bytes of the decompressed file."""
    data: bytes
    place: str = ""
    """Which part of the file, where it holds several files of lines."""

    @property
    def key(self) -> str:
        """The line's name within its file."""
        return f"{self.place}{self.offset}"


def line_slices(url: str, size: int, part_bytes: int) -> list[tuple[int, int | None]]:
    """Cut a file of lines into byte ranges; (0, None) for one whose name says it is compressed."""
    if part_bytes <= 0:
        raise ValueError(f"part_bytes must be positive, not {part_bytes}")
    if size <= part_bytes or url.lower().endswith(COMPRESSED_ENDINGS):
        return [(0, None)]
    return [(start, min(start + part_bytes, size)) for start in range(0, size, part_bytes)]


def lines_of(
    stream: ByteStream, offset: int = 0, end: int | None = None, begun: bool = True
) -> Iterator[Line | BadRow]:
    """The lines that begin in front of `end`; empty ones are left out.

    Args:
        stream: Bytes from `offset` on.
        offset: Where the stream stands in the decompressed file.
        end: Where the slice ends; None is the end of the file.
        begun: Whether a line begins at `offset`; if not, the first one begins behind a line end.

    Yields:
        `Line`; `BadRow` for one that is longer than `MAX_LINE_BYTES`, and as the last row where the
        stream is damaged: what stood in front of the damage was given.
    """
    held: list[bytes] = []
    size, start = 0, offset
    skips = not begun
    try:
        while end is None or start < end:
            piece = stream.read(PIECE_BYTES)
            if not piece:
                if size and not skips:
                    yield from _line(start, size, held)
                return
            position = 0
            while (found := piece.find(b"\n", position)) >= 0:
                size += found - position
                if not skips:
                    if size <= MAX_LINE_BYTES:
                        held.append(piece[position:found])
                    yield from _line(start, size, held)
                held, skips = [], False
                start += size + 1
                size, position = 0, found + 1
                if end is not None and start >= end:
                    return
            size += len(piece) - position
            if skips or size > MAX_LINE_BYTES:
                held = []
            else:
                held.append(piece[position:])
    except InputRowError as e:
        yield BadRow(str(start), e)


def _line(start: int, size: int, held: list[bytes]) -> Iterator[Line | BadRow]:
    if size > MAX_LINE_BYTES:
        message = f"a line of {size} bytes, more than {MAX_LINE_BYTES}"
        yield BadRow(str(start), InputRowError(message))
        return
    data = b"".join(held)
    if start == 0:
        data = data.removeprefix(_BOM)
    if data and not data.isspace():
        yield Line(start, data.removesuffix(b"\r"))


def read_lines(url: str, start: int = 0, end: int | None = None) -> Iterator[Line | BadRow]:
    """The lines of a file, or of a slice of one, as `lines_of` gives them.

    A compressed file belongs to the slice that starts at 0, whatever its name says.
    """
    with open_file(url) as file:
        if start == 0:
            kind = compression_of(file.read(4))
            file.seek(0)
            yield from lines_of(decompressed(file), 0, end if kind is None else None)
        elif compression_of(file.read(4)) is None:
            file.seek(start - 1)
            begins = file.read(1) == b"\n"
            yield from lines_of(file, start, end, begins)


def decode_json(data: bytes | str, kind: type[_Row]) -> _Row:
    """A JSON value as `kind`; members that it does not name are passed over.

    What Python's own writer adds to JSON (`NaN`, `Infinity`, half a surrogate pair) is read too,
    as corpora are written by it.

    Raises:
        InputRowError: No JSON, no UTF-8, or a value of another type; the message says where.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as e:
        raise InputRowError(str(e)) from e
    except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
        error = e
    try:
        value: Any = json.loads(data)
    except (ValueError, RecursionError):
        raise InputRowError(f"no JSON: {error}") from error
    return convert_row(value, kind)


def convert_row(value: object, kind: type[_Row]) -> _Row:
    """A value of plain lists and dictionaries as `kind`; raises `InputRowError`."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError) as e:
        raise InputRowError(str(e)) from e
