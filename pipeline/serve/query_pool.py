"""Users' queries, each in a process that may be ended: so many at once, one of a client."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import Self

import msgspec

from pipeline.serve.query_worker import LENGTH, REFUSED, STATUS, QueryConfig

PROCESSES = 2
"""Queries that run at once."""
MAX_WAITING = 16
"""Queries that wait; one more is refused."""
GRACE_SECONDS = 3.0
"""What a process has beyond the time of a query, to interrupt it and to say so."""
_START_SECONDS = 120.0
_AT_END = "the server ends"
_DIED = "its process ended; it may need more memory than a query may have"

# The path is the parent's, so that a checkout, an installed package and any working directory work.
_PROGRAM = """\
import sys
config, *sys.path = sys.argv[1:]
from pipeline.serve.query_worker import main
main(config)
"""


class BusyError(Exception):
    """Too many queries wait."""


@dataclass(eq=False)
class _Worker:
    """A process that runs queries."""

    process: subprocess.Popen[bytes]
    spill: tempfile.TemporaryDirectory[str]
    """Where DuckDB spills: a process that is ended does not clean up."""
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def start(cls, config: QueryConfig) -> Self:
        """Start a process; it is ready when it has sent its first frame."""
        ours, theirs = socket.socketpair()
        spill = tempfile.TemporaryDirectory(prefix="weft-serve-")
        with theirs:
            text = msgspec.json.encode(replace(config, parent=os.getpid())).decode()
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM, text, *map(str, sys.path)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=os.environ | {"TMPDIR": spill.name},
            )
        return cls(process, spill, *await asyncio.open_connection(sock=ours))

    async def receive(self) -> bytes:
        """A frame; raises `asyncio.IncompleteReadError` or `OSError` where the process ended."""
        (size,) = LENGTH.unpack(await self.reader.readexactly(LENGTH.size))
        return await self.reader.readexactly(size)

    async def send(self, query: str) -> None:
        """Ask a query."""
        data = query.encode("utf-8", "replace")
        self.writer.write(LENGTH.pack(len(data)) + data)
        await self.writer.drain()

    def end(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.wait()
        self.writer.close()
        self.spill.cleanup()


class QueryPool:
    """Processes that answer queries over the tables of an output, for use inside one event loop."""

    def __init__(self, config: QueryConfig, processes: int = PROCESSES) -> None:
        """Nothing is started yet.

        Args:
            config: What a query may read and take; its `parent` is set here.
            processes: Queries that run at once.
        """
        self._config = config
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._slots = asyncio.Semaphore(processes)
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._asked: Counter[str] = Counter()
        self._most = processes + MAX_WAITING
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End all processes; who waits for an answer is told that the query was stopped."""
        self._is_closed = True
        for worker in self._all:
            worker.end()
        self._all.clear()
        self._idle.clear()

    async def ask(self, query: str, client: str) -> tuple[int, bytes]:
        """HTTP status and JSON of the answer to a query.

        Cancelling it ends the query.

        Args:
            query: SQL.
            client: Who asks; the queries of one run one after the other.

        Raises:
            BusyError: Too many queries wait.
            RuntimeError: The process does not start, which no query can be the cause of.
        """
        if self._asked.total() >= self._most:
            raise BusyError
        self._asked[client] += 1
        try:
            async with self._turns[client], self._slots:
                return await self._answer(query)
        finally:
            self._asked[client] -= 1
            if not self._asked[client]:
                del self._asked[client], self._turns[client]

    async def _answer(self, query: str) -> tuple[int, bytes]:
        if self._is_closed:
            return _refused(_AT_END)
        try:
            worker = self._left_idle() or await self._started()
        except RuntimeError:
            if self._is_closed:
                return _refused(_AT_END)
            raise
        try:
            async with asyncio.timeout(self._config.seconds + GRACE_SECONDS):
                await worker.send(query)
                answer = await worker.receive()
        except BaseException as error:
            self._all.discard(worker)
            worker.end()
            if isinstance(error, TimeoutError):
                return _refused(f"it took longer than {self._config.seconds:g} s")
            if isinstance(error, asyncio.IncompleteReadError | OSError):
                return _refused(_AT_END if self._is_closed else _DIED)
            raise
        self._idle.append(worker)
        return STATUS.unpack_from(answer)[0], answer[STATUS.size :]

    def _left_idle(self) -> _Worker | None:
        while self._idle:
            worker = self._idle.pop()
            if worker.process.poll() is None:
                return worker
            self._all.discard(worker)
            worker.end()
        return None

    async def _started(self) -> _Worker:
        worker = await _Worker.start(self._config)
        self._all.add(worker)
        try:
            async with asyncio.timeout(_START_SECONDS):
                await worker.receive()
        except BaseException as error:
            self._all.discard(worker)
            worker.end()
            if isinstance(error, TimeoutError | asyncio.IncompleteReadError | OSError):
                status = worker.process.returncode
                raise RuntimeError(
                    f"no process for queries starts (exit status {status})"
                ) from error
            raise
        return worker


def _refused(why: str) -> tuple[int, bytes]:
    return REFUSED, msgspec.json.encode({"error": f"the query was stopped: {why}"})
