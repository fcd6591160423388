"""A user's query over the tables of an output, and its result as values that JSON has."""

from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from math import isfinite
from typing import Any

import duckdb
import msgspec

from pipeline.inspection.database import (
    all_files,
    broken_file,
    first_line,
    open_database,
    view_files,
)
from pipeline.inspection.snapshot import Snapshot, read_snapshot
from schemas.errors import InputError, UserError

MAX_RESULT_BYTES = 64 * 1024 * 1024
"""Size of a query's result, as JSON, above which it is refused."""

_NO_FILE_CLASSES = (
    duckdb.ParserException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.PermissionException,
    duckdb.ConversionException,
    duckdb.OutOfMemoryException,
)
"""Errors that no broken file causes."""
_REFUSED = "PermissionError"
"""How `first_line` begins when a query tried to write to a table's file."""


@dataclass(frozen=True)
class SqlResult:
    """Rows that a query gave, as values that JSON has."""

    columns: list[str]
    """Distinct names."""
    rows: list[list[Any]]


def run_sql(output: str, query: str) -> SqlResult:
    """Run a query over the tables of an output.

    Views: every table of the last run (`documents`, `captions`, `ledger`, `samples`, ...), empty
    where it has no row, and `index_captioned`, `index_interleaved`, `index_text`.

    Args:
        output: Folder or URL of the output.
        query: DuckDB SQL. It sees the views and nothing else: no file, no network, no setting.

    Raises:
        UserError: DuckDB refuses the query, or its result is above `MAX_RESULT_BYTES`.
        InputError: The output, or a file of it, cannot be read.
    """
    snapshot = read_snapshot(output)
    with open_database(snapshot) as con:
        try:
            return _fetch(con, query)
        except duckdb.Error as e:
            broken = file_of_error(snapshot, e)
            if broken is not None:
                raise broken from e
            tables = ", ".join(sorted(view_files(snapshot)))
            raise UserError(f"--sql: {first_line(e)} (tables: {tables})") from e


def file_of_error(
    snapshot: Snapshot, error: duckdb.Error, only_named: bool = False
) -> InputError | None:
    """The broken file that made a query fail, as an error that names it; None for any other.

    Args:
        snapshot: The files.
        error: What DuckDB says.
        only_named: Look at the files that it names, and do not read all where it names none.
    """
    if isinstance(error, _NO_FILE_CLASSES) or first_line(error).startswith(_REFUSED):
        return None
    files = all_files(view_files(snapshot).values())
    named = [file for file in files if file in str(error)]
    return broken_file(snapshot, named if named or only_named else files)


def _fetch(con: Any, query: str) -> SqlResult:
    if con.execute(query) is None or con.description is None:
        raise UserError("--sql: no query")
    columns = distinct_names([column[0] for column in con.description])
    rows: list[list[Any]] = []
    size = 0
    while some := con.fetchmany(256):
        for row in some:
            plain = [plain_value(value) for value in row]
            size += len(msgspec.json.encode(plain))
            rows.append(plain)
        if size > MAX_RESULT_BYTES:
            raise UserError(
                f"--sql: the result is above {MAX_RESULT_BYTES >> 20} MiB; aggregate, select fewer "
                "columns, or put a LIMIT"
            )
    return SqlResult(columns, rows)


def distinct_names(names: list[str]) -> list[str]:
    """Names told apart by a number, as keys of a JSON object must be."""
    found: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in found:
            number += 1
            candidate = f"{name}_{number}"
        found.append(candidate)
    return found


def plain_value(value: Any) -> Any:
    """A value of DuckDB as JSON has it: bytes as hex, dates in ISO 8601, no number lost."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(plain_value(key)): plain_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(item) for item in value]
    return str(value)
