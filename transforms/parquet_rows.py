"""Rows of strangers' Parquet files: cut by row groups, read in batches, only the columns asked for.

A row group whose pages are damaged costs its rows from there on, not the file. What a file declares
of itself is bounded before it is decoded; a string of a dictionary that a hostile file repeats
millions of times is not seen before, so such a file is bounded only by `MAX_GROUP_VALUES`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import InputError, InputRowError
from transforms.byte_streams import open_file
from transforms.input_rows import BadRow

MAX_GROUP_BYTES = 2 << 30
"""Most bytes that the columns of a row group may declare to hold when they are decoded."""
MAX_GROUP_VALUES = 1 << 26
BATCH_BYTES = 8 << 20
"""Decoded bytes of a batch, about, by the mean of the row group."""
MAX_BATCH_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Columns:
    """What a format needs: `a.b` asks for a member of `a` where that is a struct, else for `a`."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


def _open(file: Any) -> pq.ParquetFile:
    """The footer; raises `InputRowError` for a file that has none."""
    try:
        return pq.ParquetFile(
            file,
            buffer_size=1 << 20,
            pre_buffer=False,
            page_checksum_verification=True,
            arrow_extensions_enabled=False,
        )
    except (pa.ArrowException, OSError) as e:
        raise _damage("no Parquet file", e) from e


def _damage(what: str, error: Exception) -> InputRowError:
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


def parquet_slices(url: str, part_bytes: int, columns: Columns) -> list[tuple[int, int | None]]:
    """Cut a file into runs of row groups of about `part_bytes` bytes.

    A file without a readable footer is one slice: reading it gives the row that says so.

    Raises:
        InputError: A required column is missing.
    """
    if part_bytes <= 0:
        raise ValueError(f"part_bytes must be positive, not {part_bytes}")
    with open_file(url) as stream:
        try:
            file = _open(stream)
        except InputRowError:
            return [(0, None)]
        _chosen(file, url, columns)
        slices: list[tuple[int, int | None]] = []
        start = 0
        held = 0
        for number in range(file.metadata.num_row_groups):
            group = file.metadata.row_group(number)
            size = sum(group.column(i).total_compressed_size for i in range(group.num_columns))
            if number > start and held + size > part_bytes:
                slices.append((start, number))
                start, held = number, 0
            held += size
        slices.append((start, file.metadata.num_row_groups or None))
    return slices


def _batch_rows(file: pq.ParquetFile, number: int, names: Sequence[str]) -> int:
    """Rows of a batch of a row group; raises `InputRowError` where it declares too much."""
    group = file.metadata.row_group(number)
    size = 0
    for i in range(group.num_columns):
        column = group.column(i)
        path = f"{column.path_in_schema}."
        if not any(path.startswith(f"{name}.") for name in names):
            continue
        if column.num_values > MAX_GROUP_VALUES:
            raise InputRowError(f"row group {number}: more than {MAX_GROUP_VALUES} values")
        size += column.total_uncompressed_size
    if size > MAX_GROUP_BYTES:
        raise InputRowError(f"row group {number}: {size} bytes, more than {MAX_GROUP_BYTES}")
    rows = int(group.num_rows) * BATCH_BYTES // max(size, 1)
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
            file = _open(stream)
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
                    _batch_rows(file, number, names), [number], names, use_threads=False
                ):
                    yield from _rows_of(batch, first)
                    first += batch.num_rows
            except InputRowError as e:
                yield BadRow(str(first), e)
            except (pa.ArrowException, OSError) as e:
                yield BadRow(str(first), _damage(f"row group {number}, rows {first} to {row}", e))
