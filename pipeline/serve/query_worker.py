"""The process that runs users' queries: one that takes too much ends itself, and nothing else.

DuckDB's own limits do not hold for all that an expression may ask for (`repeat('x', 3000000000)`),
and not every expression can be interrupted. So a query has a process whose memory the system
bounds, and which the server may end. It is started by `query_pool.py`, answers one query after the
other over a socket, and ends when its parent does.

Frames, numbers in network order. A query: length (4 bytes), SQL in UTF-8. An answer: length (4
bytes), HTTP status (2 bytes), JSON. Before the first query the process sends an answer of length
0: it is ready.
"""

import os
import resource
import signal
import socket
import struct
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

import duckdb
import msgspec

from pipeline.inspection.database import first_line, open_database
from pipeline.inspection.snapshot import Snapshot, read_snapshot
from pipeline.inspection.sql import distinct_names, file_of_error, plain_value
from pipeline.run_record import RUN_FILE
from schemas.errors import InputError, UserError
from transforms import storage

LENGTH = struct.Struct("!I")
STATUS = struct.Struct("!H")

ANSWERED, REFUSED, BROKEN = 200, 400, 500

MAX_COUNTED = 100_000
"""Rows of a result that are counted; beyond it is only known that there are more."""
MAX_ROWS_BYTES = 8 << 20
"""Of the rows of an answer, as JSON."""
_FETCHED = 256
_READ_ONLY = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)


@dataclass(frozen=True)
class QueryConfig:
    """What a worker is told at its start."""

    output: str
    parent: int
    """Process id: the worker ends when this is not its parent any more."""
    seconds: float = 30.0
    """Longest time of a query."""
    rows: int = 1000
    """Rows of an answer, at most."""
    memory: int = 3 << 30
    """Bytes that the process may have, with what DuckDB holds of its own limit."""


class QueryResult(msgspec.Struct):
    """What a query gave."""

    columns: list[str]
    """Distinct names."""
    rows: list[list[Any]]
    """The first rows, as values that JSON has."""
    count: int
    """Rows of the result, as far as they were counted."""
    truncated: bool
    """Whether the result has more rows than `rows`."""
    counted: bool
    """Whether `count` is all; False of a result of more than `MAX_COUNTED` rows."""
    seconds: float


class _Tables:
    """A database over the last run of an output."""

    def __init__(self, output: str) -> None:
        self._output = output
        self._record: bytes | None = None
        self._closing = ExitStack()
        self._opened: tuple[Snapshot, Any] | None = None

    def current(self) -> tuple[Snapshot, Any]:
        """Opened anew where a run has told something else; raises `InputError`."""
        record = storage.read_bytes(storage.join(self._output, RUN_FILE))
        if self._opened is None or record != self._record:
            self._closing.close()
            self._opened = None
            snapshot = read_snapshot(self._output)
            self._opened = snapshot, self._closing.enter_context(open_database(snapshot))
            self._record = record
        return self._opened


def run_query(
    snapshot: Snapshot, con: Any, query: str, most_rows: int, seconds: float
) -> QueryResult:
    """Run one query that reads.

    Args:
        snapshot: The files behind the views.
        con: A locked connection with them.
        query: DuckDB SQL, of one statement.
        most_rows: Rows to give.
        seconds: It is interrupted after so long.

    Raises:
        UserError: DuckDB refuses it, it is no statement that reads, or it takes too long.
        InputError: A file of a table cannot be read.
    """
    begin = time.monotonic()
    is_late = threading.Event()

    def interrupt() -> None:
        is_late.set()
        cursor.interrupt()

    cursor = con.cursor()
    timer = threading.Timer(seconds, interrupt)
    timer.start()
    try:
        kinds = [statement.type for statement in cursor.extract_statements(query)]
        if len(kinds) != 1 or kinds[0] not in _READ_ONLY:
            raise UserError(
                "one query that reads is answered here: SELECT, FROM, WITH, VALUES, DESCRIBE, "
                "SUMMARIZE, SHOW or EXPLAIN"
            )
        cursor.execute("BEGIN TRANSACTION READ ONLY")
        cursor.execute(query)
        columns = distinct_names([column[0] for column in cursor.description])
        rows, count = _fetch(cursor, most_rows)
    except duckdb.InterruptException as e:
        late = f"the query was stopped: it took longer than {seconds:g} s"
        raise UserError(late if is_late.is_set() else first_line(e)) from e
    except duckdb.Error as e:
        raise file_of_error(snapshot, e, only_named=True) or UserError(first_line(e)) from e
    finally:
        timer.cancel()
        cursor.close()
    return QueryResult(
        columns, rows, min(count, MAX_COUNTED), count > len(rows), count <= MAX_COUNTED,
        round(time.monotonic() - begin, 3),
    )  # fmt: skip


def _fetch(cursor: Any, most_rows: int) -> tuple[list[list[Any]], int]:
    """The first rows, and how many there are, counted to `MAX_COUNTED` and one more."""
    rows: list[list[Any]] = []
    count = size = 0
    is_full = False
    while count <= MAX_COUNTED and (some := cursor.fetchmany(_FETCHED)):
        for row in some[: 0 if is_full else most_rows - len(rows)]:
            plain = [plain_value(value) for value in row]
            size += len(msgspec.json.encode(plain))
            if size > MAX_ROWS_BYTES:
                is_full = True
                break
            rows.append(plain)
        count += len(some)
    if count and not rows:
        raise UserError(f"a row is above {MAX_ROWS_BYTES >> 20} MiB; select fewer columns")
    return rows, count


def answer_query(tables: _Tables, query: str, config: QueryConfig) -> tuple[int, bytes]:
    """HTTP status and JSON of the answer to a query."""
    try:
        result = run_query(*tables.current(), query, config.rows, config.seconds)
        return ANSWERED, msgspec.json.encode(result)
    except InputError as error:
        status, message = BROKEN, str(error)
    except UserError as error:
        status, message = REFUSED, str(error)
    except MemoryError:
        status, message = REFUSED, "the result takes more memory than a query may have"
    return status, msgspec.json.encode({"error": message})


def serve(requests: BinaryIO, channel: socket.socket, config: QueryConfig) -> None:
    """Answer queries until the parent closes its end."""
    tables = _Tables(config.output)
    with suppress(InputError):  # each query tells of it
        tables.current()
    channel.sendall(LENGTH.pack(0))
    while head := requests.read(LENGTH.size):
        query = requests.read(*LENGTH.unpack(head)).decode("utf-8", "replace")
        status, text = answer_query(tables, query, config)
        channel.sendall(LENGTH.pack(STATUS.size + len(text)) + STATUS.pack(status) + text)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(0)


def main(text: str) -> None:
    """Serve the socket that is standard input.

    Args:
        text: A `QueryConfig` as JSON.
    """
    config = msgspec.json.decode(text, type=QueryConfig)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt ends
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    memory = config.memory if most == resource.RLIM_INFINITY else min(config.memory, most)
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    threading.Thread(target=_end_with, args=(config.parent,), daemon=True).start()
    channel = socket.socket(fileno=os.dup(0))
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    try:
        with channel, channel.makefile("rb") as requests:
            serve(requests, channel, config)
    except OSError:
        os._exit(0)  # the parent is gone
