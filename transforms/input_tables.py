"""Tables of image URLs and their texts: what their formats share, and JSON Lines.

A row becomes a document with one image node; its text is the node's `alt` and one caption of origin
`table`. The readers of Parquet, CSV and TSV are in modules of their own.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from schemas.errors import InputError, InputRowError
from schemas.rows import Node
from transforms.input_columns import (
    FIELDS,
    InputConfig,
    find_columns,
)
from transforms.input_rows import (
    TABLE_ORIGIN,
    BadRow,
    InputCaption,
    InputDocument,
    RefusedRow,
    Row,
)
from transforms.json_lines import MAX_LINE_BYTES, decode_json, line_slices, read_lines
from transforms.licenses import license_of_url, licenses_in_text
from transforms.urls import MAX_URL_LENGTH, normalize_url

STEP_VERSION = 1
"""Raised when the same file gives other rows."""

MAX_FIELD_CHARACTERS = 1 << 20
"""Longest value of a column; a longer one fails its row."""
_MAX_SIDE = 1_000_000
_SHOWN = 300

Values = Sequence[Any]
"""The values of `FIELDS` of one row, None where a field is not mapped or has no value."""


class Table(ABC):
    """What the formats share: rows of values become documents."""

    def __init__(self, config: InputConfig) -> None:
        self.config = config

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


class JsonLinesTable(Table):
    """A JSON object a line; the members of the first one stand for all."""

    def columns(self, url: str) -> list[str]:
        """The members of the first line. Raises `InputRowError`."""
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
