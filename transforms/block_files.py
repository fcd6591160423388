"""The files of block lists, entry by entry: text, CSV, TSV, JSONL and Parquet."""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import InputError, OutputError
from transforms import storage

Entry = str | int | bytes
"""An entry as it stands in the file: only Parquet and JSONL have numbers, only Parquet bytes."""

_NAME = re.compile(r"[A-Za-z_][\w \-]*")
_ENTRY = re.compile(r"[0-9a-fA-F]{16}|[0-9a-fA-F]{64}")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_DELIMITERS = {"csv": ",", "tsv": "\t"}


def mistake(url: str, line: int, what: str) -> InputError:
    """The error for one line, or row, of a file."""
    return InputError(f"{url}, line {line}: {what}")


def read_entries(url: str, column: str) -> Iterator[tuple[int, Entry]]:
    """The entries of a file, each with its line (of Parquet: its row), counted from 1.

    Args:
        url: A file; its name says what it is.
        column: Name of the column that is read, where there are columns.

    Raises:
        InputError: The file is not there, or cannot be read to its end.
    """
    name = url.lower().removesuffix(".gz")
    kind = name.rpartition(".")[2]
    try:
        fs, path = storage.resolve(url)
        with fs.open(path, "rb") as file:
            if kind == "parquet":
                yield from _parquet(url, file, column)
                return
            if url.lower().endswith(".gz"):
                file = cast(BinaryIO, gzip.GzipFile(fileobj=file))
            lines = _lines(url, file)
            if kind in _DELIMITERS:
                yield from _csv(url, lines, column, _DELIMITERS[kind])
            elif kind in ("jsonl", "ndjson"):
                yield from _jsonl(url, lines, column)
            else:
                yield from _text(lines)
    except (OSError, EOFError, zlib.error, OutputError, pa.ArrowException) as error:
        raise InputError(f"{url}: cannot be read: {error}") from error


def _lines(url: str, file: BinaryIO) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(io.BufferedReader(cast(Any, file)), 1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise mistake(url, number, f"not UTF-8: {error.reason}") from error
        yield number, text.removeprefix("\ufeff") if number == 1 else text


def _text(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, Entry]]:
    for number, line in lines:
        line = line.strip()
        if "#" in line:
            line = _COMMENT.sub("", line)
        if line:
            yield number, line


def _position(url: str, names: list[str], column: str) -> int:
    """Where the column stands."""
    found = [name.strip().lower() for name in names]
    if column in found:
        return found.index(column)
    if len(found) == 1 and _NAME.fullmatch(found[0]) and not _ENTRY.fullmatch(found[0]):
        return 0
    shown = ", ".join(found)[:200]
    raise mistake(url, 1, f"names no column {column}, but {shown}")


def _csv(
    url: str, lines: Iterator[tuple[int, str]], column: str, delimiter: str
) -> Iterator[tuple[int, Entry]]:
    rows = csv.reader((line for _, line in lines), delimiter=delimiter, strict=True)
    try:
        header = next(rows, None)
        if header is None:
            return
        position = _position(url, header, column)
        for row in rows:
            if len(row) > position:
                yield rows.line_num, row[position].strip()
            elif row:
                raise mistake(url, rows.line_num, f"no column {column}")
    except csv.Error as error:
        raise mistake(url, rows.line_num, str(error)) from error


def _jsonl(url: str, lines: Iterator[tuple[int, str]], column: str) -> Iterator[tuple[int, Entry]]:
    for number, line in lines:
        if not line.strip():
            continue
        try:
            value = msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            raise mistake(url, number, f"not JSON: {error}") from error
        if isinstance(value, dict):
            if column not in value and len(value) != 1:
                raise mistake(url, number, f"no key {column}")
            value = value[column] if column in value else next(iter(value.values()))
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise mistake(url, number, f"no text and no number as {column}")
        yield number, value


def _parquet(url: str, file: BinaryIO, column: str) -> Iterator[tuple[int, Entry]]:
    parquet = pq.ParquetFile(file)
    names = parquet.schema_arrow.names
    name = names[_position(url, names, column)]
    number = 0
    for batch in parquet.iter_batches(columns=[name], use_threads=False):
        for value in batch.column(0).to_pylist():
            number += 1
            if isinstance(value, bool) or not isinstance(value, str | int | bytes):
                raise mistake(url, number, f"no text, number or bytes as {column}")
            yield number, value
