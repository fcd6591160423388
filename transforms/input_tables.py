"""Tables of image URLs and their texts: Parquet, JSON Lines, CSV and TSV.

A row becomes a document with one image node; its text is the node's `alt` and one caption of origin
`table`. CSV is read by the standard library: its parser judges row by row, so a broken row costs
itself, where a columnar one gives up a block, and at a million rows a second it is a small part of
what a row costs. A field in quotes may hold a line end, so such a file is one part; without quotes
a line is a row, and the file is cut anywhere.
"""

import csv
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import InputError, InputRowError
from schemas.rows import Node
from transforms import storage
from transforms.byte_streams import PIECE_BYTES, ByteStream, decompressed, open_file
from transforms.input_columns import (
    COMMON_NAMES,
    FIELDS,
    PRESETS,
    REQUIRED,
    InputConfig,
    find_columns,
    mapped_positions,
)
from transforms.input_rows import (
    TABLE_ORIGIN,
    BadRow,
    InputCaption,
    InputDocument,
    RefusedRow,
    Row,
)
from transforms.json_lines import MAX_LINE_BYTES, Line, decode_json, line_slices, read_lines
from transforms.licenses import license_of_url, licenses_in_text
from transforms.urls import MAX_URL_LENGTH, normalize_url

STEP_VERSION = 1
"""Raised when the same file gives other rows."""

MAX_FIELD_CHARACTERS = 1 << 20
"""Longest value of a column; a longer one fails its row."""
_BATCH_ROWS = 4096
_MAX_SIDE = 1_000_000
_SHOWN = 300

Values = Sequence[Any]
"""The values of `FIELDS` of one row, None where a field is not mapped or has no value."""


class Table(ABC):
    """What the formats share: rows of values become documents."""

    def __init__(self, config: InputConfig) -> None:
        self.config = config

    @abstractmethod
    def columns(self, url: str) -> list[str]:
        """The names of a file's columns, empty where it has none. Raises `InputError`."""

    @abstractmethod
    def slices(self, url: str, size: int, part_bytes: int) -> list[tuple[int, int | None]]:
        """As `InputReader.slices`."""

    @abstractmethod
    def _values(
        self, url: str, start: int, end: int | None
    ) -> Iterator[tuple[str, Values] | BadRow]:
        """Place and values of each row. Raises `LookupError` where a column is missing."""

    def check(self, url: str) -> None:
        """Raise `InputError` where the file has not the columns that are wanted."""
        try:
            self._check(url)
        except (LookupError, InputRowError) as e:
            raise InputError(f"input {url}: {e}") from e
        except OSError as e:
            raise InputError(f"input {url}: cannot be read: {e}") from e

    @abstractmethod
    def _check(self, url: str) -> None: ...

    def read(self, url: str, start: int, end: int | None) -> Iterator[Row]:
        """As `InputReader.read`."""
        try:
            for row in self._values(url, start, end):
                yield row if isinstance(row, BadRow) else _table_row(*row)
        except (LookupError, InputRowError) as e:
            yield BadRow(str(start), e if isinstance(e, InputRowError) else InputRowError(str(e)))


def _table_row(place: str, values: Values) -> Row:
    (image_url, text, page_url, key, width, height, language, license_, title, date) = values
    own = place
    try:
        if key is not None:
            own = _key_text(key) or place
        said = _text("text", text)
        image = _text("image_url", image_url)
        if not said or said.isspace():
            return RefusedRow(own, "no_text", image[:_SHOWN], "a text of one character or more")
        url = normalize_url(image)
        if url is None:
            return RefusedRow(
                own, "bad_url", image[:_SHOWN],
                f"an http or https URL of at most {MAX_URL_LENGTH} characters",
            )  # fmt: skip
        node = Node(
            "image",
            "image",
            image_url=url,
            alt=said,
            declared_width=None if width is None else _side(width),
            declared_height=None if height is None else _side(height),
        )
        code = None if license_ is None else _license(_text("license", license_))
        return InputDocument(
            own,
            "" if page_url is None else _text("page_url", page_url),
            [node],
            [InputCaption(0, said, TABLE_ORIGIN)],
            title="" if title is None else _text("title", title),
            date="" if date is None else _text("date", date),
            language_declared=None if language is None else _text("language", language) or None,
            license=code,
            place=int(place),
        )
    except InputRowError as e:
        return BadRow(own, e)


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        # What is no UTF-8 is refused when the row is looked at as a whole.
        value = value.decode("utf-8", "surrogateescape")
    if not isinstance(value, str):
        raise InputRowError(f"{name}: a {type(value).__name__}, not a text")
    if len(value) > MAX_FIELD_CHARACTERS:
        raise InputRowError(f"{name}: {len(value)} characters, more than {MAX_FIELD_CHARACTERS}")
    return value


def _key_text(value: Any) -> str:
    """A key as text; whole numbers in one spelling, whatever type a file keeps them in."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else "" if value != value else str(value)
    if isinstance(value, int):
        return str(value)
    text = _text("key", value)
    if len(text) > _SHOWN:
        raise InputRowError(f"key: {len(text)} characters, more than {_SHOWN}")
    return text


def _side(value: Any) -> int | None:
    """A side in pixels; None for what is none."""
    try:
        side = int(float(value))
    except (TypeError, ValueError, OverflowError):
        return None
    return side if 0 < side <= _MAX_SIDE else None


def _license(text: str) -> str | None:
    """The code of a Creative Commons licence, by URL or in words; None for any other."""
    url = normalize_url(text)
    found = license_of_url(url).code if url else None
    if found is None:
        codes = {each.code for each in licenses_in_text(text, "")}
        found = codes.pop() if len(codes) == 1 else None
    return found


class ParquetTable(Table):
    """Parquet, cut by rows: a slice is a range of row numbers, so large row groups are cut too."""

    def columns(self, url: str) -> list[str]:
        """As `Table.columns`."""
        with self._open(url) as file:
            return list(file.schema_arrow.names)

    def _check(self, url: str) -> None:
        with self._open(url) as file:
            _fitting_columns(file.schema_arrow, self.config)

    def slices(self, url: str, size: int, part_bytes: int) -> list[tuple[int, int | None]]:
        """Ranges of rows whose mapped columns take about `part_bytes` unpacked."""
        del size
        try:
            with self._open(url) as file:
                names = set(_fitting_columns(file.schema_arrow, self.config).values())
                rows, weight = file.metadata.num_rows, _weight(file.metadata, names)
        except (LookupError, InputRowError) as e:
            raise InputError(f"input {url}: {e}") from e
        step = max(1, rows * part_bytes // max(weight, 1)) if weight > part_bytes else max(rows, 1)
        return [
            (start, start + step if start + step < rows else None)
            for start in range(0, max(rows, 1), step)
        ]

    def _values(
        self, url: str, start: int, end: int | None
    ) -> Iterator[tuple[str, Values] | BadRow]:
        with self._open(url) as file:
            found = _fitting_columns(file.schema_arrow, self.config)
            for group, first in _row_groups(file.metadata, start, end):
                yield from self._group(file, group, first, found, start, end)

    def _group(
        self,
        file: pq.ParquetFile,
        group: int,
        first: int,
        found: dict[str, str],
        start: int,
        end: int | None,
    ) -> Iterator[tuple[str, Values] | BadRow]:
        """The rows of a slice that lie in a row group, whose first row is number `first`."""
        wanted = sorted(set(found.values()))
        batches = file.iter_batches(_BATCH_ROWS, [group], wanted, use_threads=False)
        while end is None or first < end:
            try:
                batch = next(batches, None)
            except _ARROW_ERRORS as e:
                reason = " ".join(str(e).split())
                message = f"the row group is damaged from here to its end: {reason}"
                yield BadRow(str(max(first, start)), InputRowError(message))
                return
            if batch is None:
                return
            lists = [
                _values_of(batch.column(found[name])) if name in found else None for name in FIELDS
            ]
            stop = len(batch) if end is None else min(len(batch), end - first)
            for row in range(max(0, start - first), stop):
                yield str(first + row), [each and each[row] for each in lists]
            first += len(batch)

    def _open(self, url: str) -> "_OpenParquet":
        return _OpenParquet(url)


def _fitting_columns(schema: pa.Schema, config: InputConfig) -> dict[str, str]:
    """`find_columns` of a Parquet file.

    A column that nobody asked for, and that holds something else than its name says, is left out.
    """
    found = find_columns(schema.names, config)
    for name, column in list(found.items()):
        held = schema.field(column).type
        value = held.value_type if pa.types.is_dictionary(held) else held
        number = pa.types.is_integer(value) or pa.types.is_floating(value)
        if (
            pa.types.is_string(value)
            or pa.types.is_large_string(value)
            or pa.types.is_binary(value)
            or pa.types.is_large_binary(value)
            or pa.types.is_null(value)
            or (number and name in ("key", "width", "height"))
        ):
            continue
        if name in REQUIRED or getattr(config.columns, name) != "":
            raise LookupError(f"column {column!a} for {name}: holds {held}, not texts")
        del found[name]
    return found


_ARROW_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError)


class _OpenParquet:
    """A Parquet file in a block, read through a buffer rather than a column chunk at a time."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> pq.ParquetFile:
        fs, path = storage.resolve(self._url)
        self._file = fs.open(path, "rb")
        try:
            return pq.ParquetFile(self._file, buffer_size=PIECE_BYTES, pre_buffer=False)
        except _ARROW_ERRORS as e:
            self._file.close()
            raise InputRowError(f"no Parquet file: {e}") from e

    def __exit__(self, *error: object) -> None:
        self._file.close()


def _weight(metadata: pq.FileMetaData, names: set[str]) -> int:
    """Bytes of some columns, unpacked."""
    total = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place in range(group.num_columns):
            column = group.column(place)
            if column.path_in_schema.partition(".")[0] in names:
                total += column.total_uncompressed_size
    return total


def _row_groups(
    metadata: pq.FileMetaData, start: int, end: int | None
) -> Iterator[tuple[int, int]]:
    """The row groups that hold rows of a slice, each with the number of its first row."""
    at = 0
    for number in range(metadata.num_row_groups):
        rows = metadata.row_group(number).num_rows
        if at + rows > start and (end is None or at < end):
            yield number, at
        at += rows


def _values_of(column: pa.Array) -> list[Any]:
    """A column's values; text that is no UTF-8 as bytes."""
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        kind = pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary()
        return column.view(kind).to_pylist()  # type: ignore[no-any-return]


class JsonLinesTable(Table):
    """A JSON object a line; the members of the first one stand for all."""

    def columns(self, url: str) -> list[str]:
        """As `Table.columns`: the members of the first line."""
        for line in read_lines(url, 0, MAX_LINE_BYTES):
            if isinstance(line, BadRow):
                raise InputRowError(f"line at byte {line.key}: {line.error}")
            if line.data.lstrip().startswith(b"["):
                raise InputRowError("a JSON array; write it as JSON Lines, an object a line")
            return list(decode_json(line.data, dict))
        return []

    def _check(self, url: str) -> None:
        find_columns(self.columns(url), self.config)

    def slices(self, url: str, size: int, part_bytes: int) -> list[tuple[int, int | None]]:
        """As `line_slices`."""
        return line_slices(url, size, part_bytes)

    def _values(
        self, url: str, start: int, end: int | None
    ) -> Iterator[tuple[str, Values] | BadRow]:
        found = find_columns(self.columns(url), self.config)
        names = [found.get(name) for name in FIELDS]
        for line in read_lines(url, start, end):
            if isinstance(line, BadRow):
                yield line
                continue
            try:
                row = decode_json(line.data, dict)
            except InputRowError as e:
                yield BadRow(line.key, e)
                continue
            yield line.key, [None if name is None else row.get(name) for name in names]


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
        """As `Table.columns`: the fields of the first row, header or not."""
        for row in self._rows(url, 0, None):
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
        for row in self._rows(url, start, end):
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

    def _rows(
        self, url: str, start: int, end: int | None
    ) -> Iterator[tuple[str, list[str]] | BadRow]:
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
