"""Strangers' images are decoded in other processes, which may crash or hang without harm.

A process that crashes, runs out of memory or takes too long costs the image it had, and is
replaced; the images of the others are not touched. The processes know nothing of Beam and hold
nothing of the parent's: no files, no sockets, no standard input.

The trade-off: an image travels through a socket, which costs a copy and two switches between
processes. Switches cost more than they seem to: each leaves the caches of the core to the other
side. So images that wait travel together; where one of them ends the process, each is asked for
again alone, which tells whose fault it is.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import IO, Self

import msgspec

from schemas.errors import FetchError, ImageDecodeError, NotAnImageError, TooManyPixelsError
from transforms.decode_worker import (
    BATCH,
    IMAGE,
    LENGTH,
    OUT_OF_MEMORY,
    Answer,
    Decoded,
    WorkerConfig,
    memory_limit,
)
from transforms.image_facts import ImageFactsConfig

__all__ = ["DecodePool", "Decoded"]

BATCH_IMAGES = 16
"""Images that travel together, at most."""

_BATCH_BYTES = 1 << 20
_BAD_STARTS = 3
_START_SECONDS = 120.0
_SOCKET_BYTES = 1 << 20
_LOG_BYTES = 1 << 16

# The path is the parent's, so that a checkout, an installed package and any working directory work.
_PROGRAM = """\
import sys
config, *sys.path = sys.argv[1:]
from transforms.decode_worker import main
main(config)
"""
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
"""Threads and arenas that nobody uses count as address space."""


_IMAGE_ERRORS = {
    kind.__name__: kind for kind in (NotAnImageError, ImageDecodeError, TooManyPixelsError)
}


def _ending(status: int) -> str:
    """How a process ended, in words."""
    if status == OUT_OF_MEMORY:
        return "the decoder ran out of memory"
    if status >= 0:
        return f"the decoder ended with exit status {status}"
    names = {number.value: number.name for number in signal.Signals}
    return f"the decoder was ended by {names.get(-status, f'signal {-status}')}"


class _ClosedError(Exception):
    """A worker closed its end of the socket: it has ended, or is about to."""


@dataclass(eq=False, slots=True)
class _Request:
    """An image, and what its caller waits for."""

    data: bytes
    thumbnail: bool
    decoded: asyncio.Future[Decoded]

    def answer(self, answer: Answer) -> None:
        """Let the caller go on."""
        if self.decoded.done():
            return  # cancelled
        if answer.decoded is None:
            self.decoded.set_exception(_IMAGE_ERRORS[answer.error](answer.message))
        else:
            self.decoded.set_result(answer.decoded)

    def fail(self, error: Exception) -> None:
        """Let the caller go on, with an error."""
        if not self.decoded.done():
            self.decoded.set_exception(error)


class _Worker:
    """A process that decodes, and the one that takes its place when it ends."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._bad_starts = 0
        self._closed = False
        self._start()

    def _start(self) -> None:
        self._ready = False
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._socket.setblocking(False)
            for end in (self._socket, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
            config = msgspec.json.encode(self._config).decode()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM, config, *map(str, sys.path)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                env=os.environ | _ONE_THREAD,
            )

    async def _stop(self) -> int:
        """End the process, whatever it does; its status if it had ended before."""
        self._process.kill()
        status: int = await asyncio.to_thread(self._process.wait)
        self._socket.close()
        self._log.close()
        return status

    async def close(self) -> None:
        """End the process for good."""
        self._closed = True
        await self._stop()

    async def replace(self) -> int:
        """End the process and start another; the status of the one that ended."""
        try:
            return await self._stop()
        finally:
            if not self._closed:
                self._start()

    async def _receive(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        pieces = []
        while size:
            piece = await loop.sock_recv(self._socket, size)
            if not piece:
                raise _ClosedError
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    async def _receive_frame(self) -> bytes:
        try:
            (size,) = LENGTH.unpack(await self._receive(LENGTH.size))
            return await self._receive(size)
        except ConnectionError as error:
            raise _ClosedError from error

    async def wait_ready(self) -> None:
        """Wait until the process can be asked.

        Raises:
            RuntimeError: Several in a row did not start, which no image can be the cause of.
        """
        while not self._ready:
            try:
                async with asyncio.timeout(_START_SECONDS):
                    await self._receive_frame()
                self._ready, self._bad_starts = True, 0
            except (_ClosedError, TimeoutError):
                self._log.seek(0)
                log = self._log.read(_LOG_BYTES).decode("utf-8", "replace").strip()
                self._bad_starts += 1
                status = await self.replace()
                if self._bad_starts >= _BAD_STARTS or self._closed:
                    message = f"decoders do not start ({_ending(status)}): {log}"
                    raise RuntimeError(message) from None

    async def ask(self, batch: Sequence[_Request]) -> list[Answer]:
        """Send images and wait for what is found out."""
        pieces = [BATCH.pack(len(batch))]
        for request in batch:
            pieces += [IMAGE.pack(len(request.data), request.thumbnail), request.data]
        try:
            await self._send(pieces)
        except ConnectionError as error:
            raise _ClosedError from error
        return msgspec.msgpack.decode(await self._receive_frame(), type=list[Answer])

    async def _send(self, pieces: Sequence[bytes]) -> None:
        # The socket was empty, so most of a usual batch goes at once, and nothing is joined.
        sent = self._socket.sendmsg(pieces)
        loop = asyncio.get_running_loop()
        for piece in pieces:
            if sent < len(piece):
                await loop.sock_sendall(self._socket, memoryview(piece)[sent:])
            sent = max(0, sent - len(piece))


class DecodePool:
    """Processes that decode images, for use inside one event loop.

    ::

        async with DecodePool(2, 20.0, ImageFactsConfig()) as pool:
            decoded = await pool.decode(data)

    Callers beyond the number of processes wait, first come, first served.
    """

    def __init__(
        self, processes: int, seconds: float, image: ImageFactsConfig, memory: int | None = None
    ) -> None:
        """Nothing is started yet.

        Args:
            processes: How many decode at once.
            seconds: Longest time for one image.
            image: Bounds of what is decoded.
            memory: Bytes of address space of a process; by default what `image` needs.
        """
        self._processes = processes
        self._seconds = seconds
        self._config = WorkerConfig(
            parent=0,
            alarm_seconds=2 * seconds + 5,
            image=image,
            memory=memory or memory_limit(image),
        )
        self._workers: list[_Worker] = []
        self._serving: list[asyncio.Task[None]] = []
        self._waiting: asyncio.Queue[_Request] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        self._config = replace(self._config, parent=os.getpid())
        self._waiting = asyncio.Queue()
        self._workers = [_Worker(self._config) for _ in range(self._processes)]
        self._serving = [asyncio.create_task(self._serve(worker)) for worker in self._workers]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await asyncio.gather(*(worker.close() for worker in self._workers))

    async def decode(self, data: bytes, *, thumbnail: bool = False) -> Decoded:
        """The facts of an image, and its thumbnail if one is asked for.

        Raises:
            ImageError: As `read_image_facts`.
            FetchError: `decode_timeout` or `decode_crash`.
        """
        request = _Request(data, thumbnail, asyncio.get_running_loop().create_future())
        self._waiting.put_nowait(request)
        return await request.decoded

    async def _serve(self, worker: _Worker) -> None:
        while True:
            batch = [await self._waiting.get()]
            size = len(batch[0].data)
            while len(batch) < BATCH_IMAGES and size < _BATCH_BYTES and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
                size += len(batch[-1].data)
            batch = [request for request in batch if not request.decoded.done()]
            if not batch:  # all were cancelled
                continue
            try:
                await self._answer(worker, batch)
            except Exception as error:
                for request in batch:
                    request.fail(error)

    async def _answer(self, worker: _Worker, batch: Sequence[_Request]) -> None:
        await worker.wait_ready()
        try:
            async with asyncio.timeout(self._seconds):
                answers = await worker.ask(batch)
        except (TimeoutError, _ClosedError) as error:
            status = await worker.replace()
            if len(batch) > 1:
                for request in batch:
                    await self._answer(worker, [request])
            elif isinstance(error, TimeoutError):
                message = f"not decoded within {self._seconds:g} s"
                batch[0].fail(FetchError("decode_timeout", message))
            else:
                batch[0].fail(FetchError("decode_crash", _ending(status)))
            return
        for request, answer in zip(batch, answers, strict=True):
            request.answer(answer)
