"""Rows of the index of a stream, by a condition."""

from typing import Any

import msgspec

from pipeline.inspection.database import dict_rows
from schemas.errors import InputError
from schemas.rows import IndexRow
from schemas.tables import schema_of

_COLUMNS = ", ".join(f'"{name}"' for name in schema_of(IndexRow).names)


def index_rows(con: Any, stream: str, where: str, *values: Any) -> list[IndexRow]:
    """The rows that a condition with parameters chooses.

    Args:
        con: A connection with the view of the index.
        stream: The stream.
        where: What follows `WHERE`: ours, never a stranger's.
        values: Of its parameters.

    Raises:
        InputError: A row lacks a value.
        duckdb.Error: The file cannot be read.
    """
    rows = dict_rows(con, f"SELECT {_COLUMNS} FROM index_{stream} WHERE {where}", *values)
    try:
        return [msgspec.convert(row, IndexRow) for row in rows]
    except msgspec.ValidationError as e:
        raise InputError(f"the index of {stream} has a row that cannot be: {e}") from e
