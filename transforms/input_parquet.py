"""Parquet tables: only the mapped columns are read, and any range of rows is a slice."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import InputRowError
from transforms.byte_streams import open_file
from transforms.input_columns import FIELDS, REQUIRED, InputConfig, find_columns
from transforms.input_rows import BadRow
from transforms.input_tables import Table, Values
from transforms.parquet_rows import ARROW_ERRORS, damage_of, open_parquet

_BATCH_ROWS = 4096
_MAX_RATIO = 1000
"""Bytes that a byte of a file is believed to unpack to: the footer is a stranger's."""


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
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        kind = pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary()
        return column.view(kind).to_pylist()  # type: ignore[no-any-return]


class ParquetTable(Table):
    """Parquet, cut by rows: a slice is a range of row numbers, so large row groups are cut too."""

    def _check(self, url: str) -> None:
        with open_file(url) as stream:
            _fitting_columns(open_parquet(stream).schema_arrow, self.config)

    def slices(self, url: str, size: int, part_bytes: int) -> list[tuple[int, int | None]]:
        """Ranges of rows that take about `part_bytes` unpacked, by what the footer says.

        A file without a readable footer is one slice: reading it gives the row that says so.
        """
        with open_file(url) as stream:
            try:
                metadata = open_parquet(stream).metadata
            except InputRowError:
                return [(0, None)]
            groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
            rows = sum(max(group.num_rows, 0) for group in groups)
            weight = sum(max(group.total_byte_size, 0) for group in groups)
        parts = max(1, -(-min(weight, size * _MAX_RATIO) // part_bytes))
        step = max(1, -(-rows // parts))
        return [
            (start, start + step if start + step < rows else None)
            for start in range(0, max(rows, 1), step)
        ]

    def _values(
        self, url: str, start: int, end: int | None
    ) -> Iterator[tuple[str, Values] | BadRow]:
        with open_file(url) as stream:
            file = open_parquet(stream)
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
                if batch is None:
                    return
                lists = [
                    _values_of(batch.column(found[name])) if name in found else None
                    for name in FIELDS
                ]
            except ARROW_ERRORS as e:
                place = max(first, start)
                yield BadRow(str(place), damage_of(f"row group {group}, from row {place}", e))
                return
            stop = len(batch) if end is None else min(len(batch), end - first)
            for row in range(max(0, start - first), stop):
                yield str(first + row), [each and each[row] for each in lists]
            first += len(batch)
