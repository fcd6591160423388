"""Rows of strangers' Parquet files: cut by row groups, read in batches, only the columns asked for.

A row group whose pages are damaged costs its rows from there on, not the file. Memory is that of a
batch and of the pages and dictionaries it comes from. How many rows make a batch goes by what the
row group says of its size: a file that lies about it is bounded by Arrow's own limits alone.

The metadata of single columns are never asked for: where they are damaged PyArrow ends the process.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import InputError, InputRowError
from transforms.byte_streams import open_file
from transforms.input_rows import BadRow

BATCH_BYTES = 8 << 20
"""Decoded bytes of a batch, about, by the mean of all columns of its row group."""
MAX_BATCH_ROWS = 1024

ARROW_ERRORS = (pa.ArrowException, OSError, ValueError, OverflowError)
"""What Arrow raises of bad data: also for names and numbers of the footer that Python cannot hold.
"""


@dataclass(frozen=True, slots=True)
class Columns:
    """What a format needs: `a.b` asks for a member of `a` where that is a struct, else for `a`."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


def open_parquet(file: Any) -> pq.ParquetFile:
    """A file by its footer; raises `InputRowError` for a file that has none."""
    try:
        made = pq.ParquetFile(
            file,
            buffer_size=1 << 20,
            pre_buffer=False,
            page_checksum_verification=True,
            arrow_extensions_enabled=False,
        )
        made.schema_arrow.names.count("")  # names that are no text are told of here
        return made
    except ARROW_ERRORS as e:
        raise damage_of("no Parquet file", e) from e


def damage_of(what: str, error: Exception) -> InputRowError:
    """What Arrow says of bad data; an error of the file system, which has a number, is raised."""
    if isinstance(error, OSError) and (type(error) is not OSError or error.errno is not None):
        raise error
    return InputRowError(f"{what}: {' '.join(str(error).split())[:300]}")


def _chosen(file: pq.ParquetFile, url: str, columns: Columns) -> list[str]:
    """The names to read; raises `InputError` where a required column is missing."""
    schema = file.schema_arrow
    names = list(schema.names)
    chosen = []
    missing = []
    for wanted in (*columns.required, *columns.optional):
        top, _, member = wanted.partition(".")
        if names.count(top) > 1:
            raise InputError(f"{url}: two columns are called {top}")
        if top not in names:
            if wanted in columns.required:
                missing.append(top)
            continue
        kind = schema.field(top).type
        inner = pa.types.is_struct(kind) and member
        if not inner:
            chosen.append(top)
        elif kind.get_field_index(member) >= 0:
            chosen.append(wanted)
    if missing:
        raise InputError(
            f"{url}: has no column {', '.join(missing)}; it has {', '.join(names[:20]) or 'none'}"
        )
    return list(dict.fromkeys(chosen))


def parquet_slices(
    url: str, size: int, part_bytes: int, columns: Columns
) -> list[tuple[int, int | None]]:
    """Cut a file into runs of row groups of about `part_bytes` bytes.

    A file without a readable footer is one slice: reading it gives the row that says so.

    Raises:
        InputError: A required column is missing.
    """
    if part_bytes <= 0:
        raise ValueError(f"part_bytes must be positive, not {part_bytes}")
    with open_file(url) as stream:
        try:
            file = open_parquet(stream)
        except InputRowError:
            return [(0, None)]
        _chosen(file, url, columns)
        # What a group takes of the file is taken to be its share of the decoded bytes.
        sizes = [
            max(file.metadata.row_group(number).total_byte_size, 0)
            for number in range(file.metadata.num_row_groups)
        ]
        most = part_bytes * max(sum(sizes), 1) / max(size, 1)
        slices: list[tuple[int, int | None]] = []
        start = held = 0
        for number, decoded in enumerate(sizes):
            if number > start and held + decoded > most:
                slices.append((start, number))
                start, held = number, 0
            held += decoded
        slices.append((start, len(sizes) or None))
    return slices


def _batch_rows(file: pq.ParquetFile, number: int) -> int:
    """Rows of a batch of a row group."""
    group = file.metadata.row_group(number)
    rows = int(group.num_rows) * BATCH_BYTES // max(int(group.total_byte_size), 1)
    return max(1, min(MAX_BATCH_ROWS, rows))


def _rows_of(batch: pa.RecordBatch, first: int) -> Iterator[tuple[str, dict[str, Any]] | BadRow]:
    """Rows of a batch; one that Arrow cannot turn into text costs only itself."""
    try:
        rows = batch.to_pylist()
    except (ValueError, ArithmeticError, pa.ArrowException):
        if batch.num_rows > 1:
            for position in range(batch.num_rows):
                yield from _rows_of(batch.slice(position, 1), first + position)
            return
        yield BadRow(str(first), InputRowError("a value that cannot be read, as text not in UTF-8"))
        return
    for position, row in enumerate(rows):
        yield str(first + position), row


def read_parquet(
    url: str, start: int, end: int | None, columns: Columns
) -> Iterator[tuple[str, dict[str, Any]] | BadRow]:
    """The rows of the row groups [start, end), each with its number in the file as its key.

    Raises:
        InputError: A required column is missing.
    """
    with open_file(url) as stream:
        try:
            file = open_parquet(stream)
        except InputRowError as e:
            if start == 0:
                yield BadRow("0", e)
            return
        names = _chosen(file, url, columns)
        groups = file.metadata.num_row_groups
        row = 0
        for number in range(groups if end is None else min(end, groups)):
            first = row
            row += file.metadata.row_group(number).num_rows
            if number < start:
                continue
            try:
                for batch in file.iter_batches(
                    _batch_rows(file, number), [number], names, use_threads=False
                ):
                    yield from _rows_of(batch, first)
                    first += batch.num_rows
            except ARROW_ERRORS as e:
                yield BadRow(str(first), damage_of(f"row group {number}, rows {first} to {row}", e))
