"""DuckDB over the tables of one output: views over exactly the files of a snapshot.

DuckDB sees no file system but `SnapshotFiles`, which knows the files of the snapshot by name, opens
them for reading and refuses everything else. So one way serves local folders, stores and memory,
and a query can neither read nor write anything beside the tables.
"""

import contextlib
import itertools
import re
import tempfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from io import SEEK_CUR, SEEK_END, SEEK_SET
from math import isfinite
from threading import local
from typing import Any

import duckdb
import fsspec
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.inspection.snapshot import Snapshot, known_tables, read_snapshot
from schemas.errors import InputError, UserError
from schemas.rows import IndexRow
from schemas.shards import STREAMS
from schemas.tables import TABLES, schema_of
from transforms import storage

PROTOCOL = "weft"
MEMORY_LIMIT = "1GB"
"""What DuckDB may hold before it spills to the temporary folder."""
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
_SQL_TYPES = {
    pa.string(): "VARCHAR",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.binary(): "BLOB",
}
_REFUSED = "PermissionError"
"""How `first_line` begins when a query tried to write to a table's file."""


@dataclass(frozen=True)
class SqlResult:
    """Rows that a query gave, as values that JSON has."""

    columns: list[str]
    """Distinct names."""
    rows: list[list[Any]]


class _Ranges:
    """An open file that many threads read at once: each has its own position.

    DuckDB shares one handle among its threads, and seeks before it reads.
    """

    def __init__(self, fs: Any, path: str) -> None:
        self._fs = fs
        self._path = path
        self._size = int(fs.info(path)["size"])
        self._at = local()

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        base = {SEEK_SET: 0, SEEK_CUR: self.tell(), SEEK_END: self._size}[whence]
        self._at.position = base + offset
        return self.tell()

    def tell(self) -> int:
        return int(getattr(self._at, "position", 0))

    def read(self, size: int = -1) -> bytes:
        start = self.tell()
        end = self._size if size < 0 else min(start + size, self._size)
        data: bytes = self._fs.cat_file(self._path, start=start, end=end) if end > start else b""
        self._at.position = start + len(data)
        return data

    def close(self) -> None:
        """Nothing is held."""


class SnapshotFiles(fsspec.AbstractFileSystem):
    """The files of a snapshot, for reading; everything else is not there."""

    protocol = PROTOCOL
    cachable = False

    def __init__(self, output: str, names: list[str]) -> None:
        super().__init__()
        self._fs, root = storage.resolve(output)
        self._paths = {name: storage.join(root, name) for name in names}

    def _path(self, path: str) -> str:
        name = str(path).removeprefix(f"{PROTOCOL}://").lstrip("/")
        if name not in self._paths:
            raise FileNotFoundError(f"{path} is no file of this run")
        return self._paths[name]

    def open(self, path: str, mode: str = "rb", **options: Any) -> _Ranges:
        """Open a file of the snapshot; raises `PermissionError` for any mode but reading."""
        del options
        if mode != "rb":
            raise PermissionError(f"{path}: the tables are read-only")
        return _Ranges(self._fs, self._path(path))

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Size and type of a file."""
        del options
        size = self._fs.info(self._path(path))["size"]
        return {"name": path, "size": size, "type": "file"}

    def glob(self, path: str, **options: Any) -> list[str]:
        """The path itself: no pattern is expanded."""
        del options
        self._path(path)
        return [path]

    def modified(self, path: str) -> datetime:
        """A constant: the files of a snapshot never change."""
        self._path(path)
        return datetime.fromtimestamp(0, UTC)


def _quoted(text: str, quote: str = "'") -> str:
    return quote + text.replace(quote, 2 * quote) + quote


def _views(snapshot: Snapshot) -> Iterator[tuple[str, list[str], pa.Schema | None]]:
    """Name, files, and the schema where there is no file, of each view."""
    for table in sorted({*known_tables(), *(set(snapshot.tables) - {"index"})}):
        empty = schema_of(TABLES[table]) if table in TABLES else None
        yield table, snapshot.tables.get(table, []), empty
    for stream in STREAMS:
        files = [snapshot.indexes[stream]] if stream in snapshot.indexes else []
        yield f"index_{stream}", files, schema_of(IndexRow)


def view_files(snapshot: Snapshot) -> dict[str, list[str]]:
    """View -> its files."""
    return {name: files for name, files, empty in _views(snapshot) if files or empty is not None}


def _all_files(views: Iterable[list[str]]) -> list[str]:
    return sorted(itertools.chain.from_iterable(views))


@contextlib.contextmanager
def open_database(snapshot: Snapshot, only: Collection[str] | None = None) -> Iterator[Any]:
    """A locked DuckDB connection with a view for each table of a snapshot.

    Args:
        snapshot: The files.
        only: Make these views and no others.

    Raises:
        InputError: A file cannot be read; the message names it.
    """
    files = SnapshotFiles(snapshot.output, _all_files(view_files(snapshot).values()))
    con = duckdb.connect(":memory:")
    with tempfile.TemporaryDirectory(prefix="weft-inspect-") as spill:
        con.register_filesystem(files)
        try:
            _create_views(con, snapshot, only)
            for setting in (
                f"memory_limit = '{MEMORY_LIMIT}'",
                f"temp_directory = {_quoted(spill)}",
                f"allowed_directories = ['{PROTOCOL}://']",
                "enable_external_access = false",
                "autoload_known_extensions = false",
                "autoinstall_known_extensions = false",
                "python_enable_replacements = false",
                "lock_configuration = true",
            ):
                con.execute(f"SET {setting}")
            yield con
        finally:
            # The file system and the connection hold each other: neither would ever be freed.
            con.unregister_filesystem(PROTOCOL)
            con.close()


def _create_views(con: Any, snapshot: Snapshot, only: Collection[str] | None) -> None:
    for view, files, empty in _views(snapshot):
        if only is not None and view not in only:
            continue
        name = _quoted(view, '"')
        if files:
            urls = ", ".join(_quoted(f"{PROTOCOL}://{file}") for file in files)
            source = f"read_parquet([{urls}], hive_partitioning = false)"
            try:
                con.execute(f"CREATE VIEW {name} AS SELECT * FROM {source}")
            except duckdb.Error as e:
                raise broken_file(snapshot, files) or _unreadable(snapshot, view, e) from e
        elif empty is not None:
            columns = ", ".join(
                f"{_quoted(field.name, '"')} {_sql_type(field.type)}" for field in empty
            )
            con.execute(f"CREATE TABLE {name} ({columns})")


def _sql_type(kind: pa.DataType) -> str:
    """DuckDB's name of an Arrow type; registering an Arrow table would import pandas."""
    if pa.types.is_list(kind):
        return f"{_sql_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        members = (f"{_quoted(field.name, '"')} {_sql_type(field.type)}" for field in kind)
        return f"STRUCT({', '.join(members)})"
    return _SQL_TYPES[kind]


def _unreadable(snapshot: Snapshot, view: str, error: Exception) -> InputError:
    where = storage.join(snapshot.output, "tables", view)
    return InputError(f"{where}: cannot be read: {first_line(error)}")


def first_line(error: Exception) -> str:
    """The line of a DuckDB error that says what is wrong."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    # An error of `SnapshotFiles` arrives as a Python traceback, with SQL behind it.
    named = [line for line in lines if re.match(r"[A-Za-z_.]+(Error|Exception)\b", line)]
    return named[-1] if lines[0].startswith("Traceback") and named else lines[0]


def broken_file(snapshot: Snapshot, files: list[str]) -> InputError | None:
    """The first of some files that cannot be read to its end, as an error that names it."""
    for file in files:
        url = storage.join(snapshot.output, file)
        fs, path = storage.resolve(url)
        try:
            with fs.open(path, "rb") as handle:
                for _ in pq.ParquetFile(handle).iter_batches(batch_size=256):
                    pass
        # Damaged bytes make Arrow raise its own errors, and some of Python's.
        except (pa.ArrowException, OSError, ValueError) as e:
            return InputError(f"{url}: cannot be read: {first_line(e)}")
    return None


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
            views = view_files(snapshot)
            if not isinstance(e, _NO_FILE_CLASSES) and not first_line(e).startswith(_REFUSED):
                files = _all_files(views.values())
                named = [file for file in files if file in str(e)]
                broken = broken_file(snapshot, named or files)
                if broken is not None:
                    raise broken from e
            tables = ", ".join(sorted(views))
            raise UserError(f"--sql: {first_line(e)} (tables: {tables})") from e


def _fetch(con: Any, query: str) -> SqlResult:
    if con.execute(query) is None or con.description is None:
        raise UserError("--sql: no query")
    columns = _distinct([column[0] for column in con.description])
    rows: list[list[Any]] = []
    size = 0
    while some := con.fetchmany(256):
        for row in some:
            plain = [_plain(value) for value in row]
            size += len(msgspec.json.encode(plain))
            rows.append(plain)
        if size > MAX_RESULT_BYTES:
            raise UserError(
                f"--sql: the result is above {MAX_RESULT_BYTES >> 20} MiB; aggregate, select fewer "
                "columns, or put a LIMIT"
            )
    return SqlResult(columns, rows)


def _distinct(names: list[str]) -> list[str]:
    """Names told apart by a number, as keys of a JSON object must be."""
    found: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in found:
            number += 1
            candidate = f"{name}_{number}"
        found.append(candidate)
    return found


def _plain(value: Any) -> Any:
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
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)
