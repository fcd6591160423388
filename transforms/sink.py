"""Where the rows of a part go: Parquet files that only the part's commit record makes visible.

A part's files carry its fingerprint in their names, and the record is written last; so planning is
a listing, two attempts at a part cannot harm each other, and a part whose record is there is done.
`PartSink.guard` is the only `try` around a step: a `DataError` becomes a row of `failures`;
anything else is a bug and crashes the part.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.commits import Commit, TableCounts, commit_path
from schemas.errors import DataError
from schemas.rows import Failure, LedgerRow
from schemas.tables import TABLES, to_batch
from transforms import storage

ROWS_PER_FLUSH = {"texts": 256}
"""Rows a table buffers before they go to its file; tables with page text flush early."""
DEFAULT_ROWS_PER_FLUSH = 8192
NODES_PER_FLUSH = 8192
"""Nodes of documents: those of some 256 pages, or a document each of so many rows of a table."""
MAX_MESSAGE = 500
"""Characters of an error message that are kept."""
HEARTBEAT_VARIABLE = "WEFT_HEARTBEATS"
"""Environment variable: the folder where workers note how many rows they have seen."""


@dataclass(frozen=True, slots=True)
class Part:
    """A unit of work: its name within the stage, and what makes its result unique."""

    name: str
    fingerprint: str
    spec: Any = None
    """What the function needs to find the part's input; small and picklable."""
    weight: int = 1
    """Bytes or rows, for equal shares."""

    @property
    def key(self) -> str:
        """The stem of the part's files."""
        return f"{self.name}-{self.fingerprint}"


class _Heartbeat:
    """Rows seen by this process, written to a file at most once a second."""

    def __init__(self) -> None:
        self._rows = 0
        self._next = 0.0

    def add(self, rows: int) -> None:
        self._rows += rows
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + 1.0
        folder = os.environ.get(HEARTBEAT_VARIABLE)
        if folder is None:
            return
        # A heartbeat only feeds the progress line: losing one is no error.
        with contextlib.suppress(OSError), open(f"{folder}/{os.getpid()}", "w") as file:
            file.write(str(self._rows))


_heartbeat = _Heartbeat()


class PartSink:
    """Where a part's rows go. Counts are checked when the part ends: nothing may be lost."""

    def __init__(self, stage: str, output: str, part: Part) -> None:
        self._stage = stage
        self._output = output
        self._part = part
        self._stack = contextlib.ExitStack()
        self._writers: dict[tuple[str, str], pq.ParquetWriter] = {}
        self._buffers: dict[str, list[Any]] = {}
        self._nodes = 0
        self._published: list[Callable[[], None]] = []
        self.commit = Commit(stage, part.name, part.fingerprint)

    def counts(self, table: str) -> TableCounts:
        """The running counts of a table."""
        return self.commit.counts.setdefault(table, TableCounts())

    def seen(self, table: str, rows: int = 1) -> None:
        """Rows of a table that enter this part."""
        self.counts(table).seen += rows
        self.beat(rows)

    def beat(self, rows: int) -> None:
        """Tell of progress: rows that are dealt with, counted or not yet."""
        _heartbeat.add(rows)

    def keep(self, table: str, row: Any) -> None:
        """Write a row of a table of fixed schema and count it as kept."""
        self.counts(table).kept += 1
        self.write_row(table, row)

    def reject(self, table: str, row: LedgerRow) -> None:
        """Count a row as rejected by the decisive rule of its ledger row."""
        rejected = self.counts(table).rejected
        rejected[row.rule] = rejected.get(row.rule, 0) + 1
        self.write_row("ledger", row)

    def fail(self, table: str, row_id: str, error: DataError) -> None:
        """Count a row as failed and note why."""
        failed = self.counts(table).failed
        failed[error.error] = failed.get(error.error, 0) + 1
        message = str(error)[:MAX_MESSAGE].encode("utf-8", "replace").decode()
        self.write_row("failures", Failure(self._stage, table, row_id, error.error, message))

    @contextlib.contextmanager
    def guard(self, table: str, row_id: str) -> Iterator[None]:
        """Turn a `DataError` of the block into a failed row."""
        try:
            yield
        except DataError as e:
            self.fail(table, row_id, e)

    def count(self, table: str, kept: int = 0, rejected: Mapping[str, int] | None = None) -> None:
        """Count many rows at once (their ledger rows are written with `write`)."""
        counts = self.counts(table)
        counts.kept += kept
        for rule, rows in (rejected or {}).items():
            if rows:
                counts.rejected[rule] = counts.rejected.get(rule, 0) + rows

    def fact(self, name: str, amount: int = 1) -> None:
        """Add to a number that is no row of a table."""
        self.commit.facts[name] = self.commit.facts.get(name, 0) + amount

    def write_row(self, table: str, row: Any) -> None:
        """Write a row of a table of fixed schema, uncounted."""
        buffer = self._buffers.setdefault(table, [])
        buffer.append(row)
        if table == "documents":
            self._nodes += len(row.nodes)
            if self._nodes >= NODES_PER_FLUSH:
                self._flush(table)
                self._nodes = 0
        elif len(buffer) >= ROWS_PER_FLUSH.get(table, DEFAULT_ROWS_PER_FLUSH):
            self._flush(table)

    def write(self, table: str, rows: pa.RecordBatch | pa.Table, file: str | None = None) -> None:
        """Write Arrow rows, uncounted, to the part's file of a table or to another part's file."""
        if rows.num_rows == 0:
            return
        name = self._part.name if file is None else file
        writer = self._writers.get((table, name))
        if writer is None:
            path = f"tables/{table}/{name}-{self._part.fingerprint}.parquet"
            handle = self._stack.enter_context(storage.publish(f"{self._output}/{path}"))
            writer = pq.ParquetWriter(handle, rows.schema, compression="zstd")
            self._writers[table, name] = writer
            self.commit.files.setdefault(table, {})[name] = path
        writer.write_table(rows) if isinstance(rows, pa.Table) else writer.write_batch(rows)

    def publish(self) -> Commit:
        """Close every file, check the counts, and write the commit record."""
        for table in list(self._buffers):
            self._flush(table)
        for table, counts in self.commit.counts.items():
            if counts.lost:
                raise AssertionError(
                    f"{self._stage}, part {self._part.name}, table {table}: {counts.seen} rows in, "
                    f"{counts.lost} of them neither kept, rejected nor failed"
                )
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
        self._stack.close()
        record = commit_path(self._stage, self._part.key)
        storage.write_bytes(f"{self._output}/{record}", self.commit.to_json())
        for call in self._published:
            call()
        return self.commit

    def on_publish(self, call: Callable[[], None]) -> None:
        """Call this when the commit record stands."""
        self._published.append(call)

    def __enter__(self) -> "PartSink":
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def _flush(self, table: str) -> None:
        rows = self._buffers.pop(table, [])
        if rows:
            self.write(table, to_batch(rows, TABLES[table]))


def is_committed(stage: str, output: str, part: Part) -> bool:
    """Whether the part's commit record is there."""
    fs, path = storage.resolve(f"{output}/{commit_path(stage, part.key)}")
    return bool(fs.exists(path))
