"""CSV and TSV tables.

They are read by the standard library: its parser judges row by row, so a broken row costs itself,
where a columnar one gives up a block, and at a million rows a second it is a small part of what a
row costs. A field in quotes may hold a line end, so such a file is one part; without quotes a line
is a row, and the file is cut anywhere.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from schemas.errors import InputRowError
from transforms.byte_streams import PIECE_BYTES, ByteStream, decompressed, open_file
from transforms.input_columns import (
    COMMON_NAMES,
    FIELDS,
    PRESETS,
    InputConfig,
    find_columns,
    mapped_positions,
)
from transforms.input_rows import BadRow
from transforms.input_tables import MAX_FIELD_CHARACTERS, Table, Values
from transforms.json_lines import MAX_LINE_BYTES, Line, line_slices, read_lines


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the fields of a CSV or TSV file stand."""

    header: bool
    places: list[int | None]
    """Of each of `FIELDS`."""
    width: int
    """Fields of a row; 0 where the first row does not say."""


class SeparatedTable(Table):
    """CSV or TSV."""

    def __init__(self, config: InputConfig, separator: str) -> None:
        super().__init__(config)
        self._separator = separator
        self._quoted = config.quoted if config.quoted is not None else separator == ","

    def columns(self, url: str) -> list[str]:
        """The fields of the first row, header or not. Raises `InputRowError`."""
        for row in self.rows(url, 0, None):
            if isinstance(row, BadRow):
                raise InputRowError(f"first row: {row.error}")
            return row[1]
        return []

    def _check(self, url: str) -> None:
        self._layout(url)

    def slices(self, url: str, size: int, part_bytes: int) -> list[tuple[int, int | None]]:
        """By lines where a line is a row, else the file."""
        return [(0, None)] if self._quoted else line_slices(url, size, part_bytes)

    def _layout(self, url: str) -> _Layout:
        first = self.columns(url)
        positions = mapped_positions(self.config)
        if not positions and self.config.preset and _looks_headless(first, self.config.preset):
            positions = dict(PRESETS[self.config.preset].positions)
        if positions:
            for name, place in positions.items():
                if place >= len(first):
                    raise LookupError(
                        f"input.columns.{name}: position {place}, but the first row has "
                        f"{len(first)} fields"
                    )
            return _Layout(False, [positions.get(name) for name in FIELDS], len(first))
        found = find_columns(first, self.config)
        places = [first.index(found[name]) if name in found else None for name in FIELDS]
        return _Layout(True, places, len(first))

    def _values(
        self, url: str, start: int, end: int | None
    ) -> Iterator[tuple[str, Values] | BadRow]:
        layout = self._layout(url)
        is_header = layout.header and start == 0
        for row in self.rows(url, start, end):
            if is_header:
                is_header = False
                continue
            if isinstance(row, BadRow):
                yield row
                continue
            place, cells = row
            if len(cells) != layout.width:
                message = f"{len(cells)} fields, where the first row has {layout.width}"
                yield BadRow(place, InputRowError(message))
                continue
            # An empty cell of a table of texts is no value.
            yield place, [None if at is None else cells[at] or None for at in layout.places]

    def rows(
        self, url: str, start: int, end: int | None
    ) -> Iterator[tuple[str, list[str]] | BadRow]:
        """Place and fields of each row of a slice, the header line among them."""
        if self._quoted:
            with open_file(url) as file:
                yield from _quoted_rows(decompressed(file), self._separator)
            return
        for line in read_lines(url, start, end):
            if isinstance(line, Line):
                text = line.data.decode("utf-8", "surrogateescape")
                yield line.key, text.split(self._separator)
            else:
                yield line


def _looks_headless(first: list[str], preset: str) -> bool:
    """Whether the first row of a file is data: its fields are no names that we know."""
    known = {name for names in COMMON_NAMES.values() for name in names}
    known.update(name for names in PRESETS[preset].names.values() for name in names)
    return bool(PRESETS[preset].positions) and not all(
        cell.strip().lower() in known for cell in first
    )


class _CsvLines:
    """Lines for `csv.reader`, with their line ends; knows where the row at hand begins."""

    def __init__(self, stream: ByteStream) -> None:
        self._read: Callable[[int], bytes] = stream.read
        self._buffer = b""
        self._position = 0
        self.offset = 0
        self.row_start = 0
        """Where the row at hand begins; set by the caller between rows."""

    def __iter__(self) -> "_CsvLines":
        return self

    def __next__(self) -> str:
        line = self._line()
        if not line:
            raise StopIteration
        if self.offset == 0:
            line_text = line.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
        else:
            line_text = line.decode("utf-8", "surrogateescape")
        self.offset += len(line)
        if self.offset - self.row_start > MAX_LINE_BYTES:
            raise InputRowError(f"a row of more than {MAX_LINE_BYTES} bytes")
        return line_text

    def _line(self) -> bytes:
        """The next line, or a piece of one that is too long; empty at the end."""
        found = self._buffer.find(b"\n", self._position)
        if found >= 0:
            line = self._buffer[self._position : found + 1]
            self._position = found + 1
            return line
        pieces = [self._buffer[self._position :]]
        size = len(pieces[0])
        self._buffer, self._position = b"", 0
        while size <= MAX_LINE_BYTES and (piece := self._read(PIECE_BYTES)):
            found = piece.find(b"\n")
            if found >= 0:
                self._buffer, self._position = piece, found + 1
                pieces.append(piece[: found + 1])
                break
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)


def _quoted_rows(stream: ByteStream, separator: str) -> Iterator[tuple[str, list[str]] | BadRow]:
    """The rows of a file whose fields may stand in quotes, by the byte at which each begins."""
    # The limit belongs to the process; nothing else here parses CSV.
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    lines = _CsvLines(stream)
    rows = csv.reader(lines, delimiter=separator)
    while True:
        start = lines.row_start = lines.offset
        try:
            row = next(rows, None)
        except (csv.Error, InputRowError) as e:
            if lines.offset == start:
                # Nothing was read: the stream itself is damaged.
                yield BadRow(str(start), InputRowError(str(e)))
                return
            yield BadRow(str(start), InputRowError(f"no row of a table: {e}"))
            continue
        if row is None:
            return
        if row:
            yield str(start), row
