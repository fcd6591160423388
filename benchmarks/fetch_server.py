"""A web of many hosts on the loopback: `python -m benchmarks.fetch_server FOLDER --port N ...`.

Every image of a folder stands in memory; image number `n` is one of them with the number behind its
end, where decoders do not look, so that no two URLs have the same bytes. A host is an address of
127.0.0.0/8, which Linux has all of. Answers are put together by hand over asyncio's transports: the
server must not be what limits a client. It prints `ready`, serves until its standard input ends,
then prints what was asked for as one line of JSON.
"""

import argparse
import asyncio
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from benchmarks.processes import ROOT

TYPES = {".jpg": "image/jpeg", ".png": "image/png"}
BACKLOG = 1024
MAX_HEAD = 64 * 1024
"""Bytes of a request; nobody here sends more than a few hundred."""
OTHER = -1
"""The number of a request that is for no image, such as robots.txt; its answer is a 404."""
_LINE = re.compile(rb"GET /(\d{6})\.[a-z]+ ")
_HOST = re.compile(rb"\r\nhost: *([^\r\n:]+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


class Request(NamedTuple):
    """One request as the server saw it."""

    asked: float
    """Seconds of a monotonic clock, when the head was whole."""
    answered: float
    """When the answer was handed to the system."""
    host: str
    number: int


@dataclass
class Web:
    """What is served, and the record of it."""

    bodies: Sequence[bytes]
    types: Sequence[str]
    count: int
    """Images there are; their numbers begin at 0."""
    slow_hosts: Collection[str] = ()
    slow_seconds: float = 0.0
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._heads = [
            f"Content-Type: {kind}\r\nContent-Length: {len(body) + len(tail_of(0))}\r\n".encode()
            for body, kind in zip(self.bodies, self.types, strict=True)
        ]

    def answer(self, number: int, close: bool) -> list[bytes]:
        """The pieces of an answer."""
        end = b"Connection: close\r\n\r\n" if close else b"\r\n"
        if not 0 <= number < self.count:
            return [b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n", end]
        index = number % len(self.bodies)
        head = b"HTTP/1.1 200 OK\r\n" + self._heads[index] + end
        return [head, self.bodies[index], tail_of(number)]


def tail_of(number: int) -> bytes:
    """What makes an image's bytes its own."""
    return b"<!-- %06d -->" % number


class Connection(asyncio.Protocol):
    """One client: a request at a time, kept open unless it says otherwise."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._web.connections += 1

    def data_received(self, data: bytes) -> None:
        self._head += data
        while (end := self._head.find(b"\r\n\r\n")) >= 0:
            head, self._head = self._head[:end], self._head[end + 4 :]
            self._take(head)
        if len(self._head) > MAX_HEAD:
            self._transport.abort()

    def _take(self, head: bytes) -> None:
        asked = time.monotonic()
        line, host = _LINE.match(head), _HOST.search(head)
        number = int(line[1]) if line else OTHER
        name = host[1].decode("latin-1") if host else ""
        close = _CLOSE.search(head) is not None or b" HTTP/1.0\r\n" in head
        if name in self._web.slow_hosts:
            wait = self._web.slow_seconds
            asyncio.get_running_loop().call_later(wait, self._send, asked, name, number, close)
        else:
            self._send(asked, name, number, close)

    def _send(self, asked: float, host: str, number: int, close: bool) -> None:
        if self._transport.is_closing():
            return  # the client did not wait
        self._transport.writelines(self._web.answer(number, close))
        self._web.requests.append(Request(asked, time.monotonic(), host, number))
        if close:
            self._transport.close()


def host_names(count: int) -> list[str]:
    """Addresses that are hosts of their own."""
    return [f"127.0.{number // 250}.{number % 250 + 2}" for number in range(count)]


def load_web(folder: Path, count: int, slow_hosts: Collection[str], seconds: float) -> Web:
    """The images of a folder, in the order of their names."""
    paths = sorted(folder.iterdir())
    types = [TYPES[path.suffix] for path in paths]
    return Web([path.read_bytes() for path in paths], types, count, frozenset(slow_hosts), seconds)


async def serve(web: Web, hosts: Sequence[str], port: int) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(web), list(hosts), port, backlog=BACKLOG)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


@dataclass(frozen=True)
class Served:
    """What a server saw in its life."""

    requests: tuple[Request, ...]
    connections: int
    cpu: float
    """Seconds, of all its threads."""

    @property
    def images(self) -> list[Request]:
        """Requests for images, in the order of their answers."""
        return [request for request in self.requests if request.number != OTHER]

    def request_rate(self) -> float:
        """Images asked for a second, between the first request and the last."""
        asked = sorted(request.asked for request in self.images)
        return (len(asked) - 1) / (asked[-1] - asked[0])

    def most_within(self, seconds: float) -> int:
        """Most images that were asked for within so many seconds."""
        asked = sorted(request.asked for request in self.images)
        most = first = 0
        for last, moment in enumerate(asked):
            while moment - asked[first] >= seconds:
                first += 1
            most = max(most, last - first + 1)
        return most

    def answer_rate(self, without: Collection[str] = ()) -> float:
        """Images a second that hosts gave, some left out, until the last of these was answered.

        The clock starts at the first request for any image.
        """
        begin = min(request.asked for request in self.images)
        counted = [request.answered for request in self.images if request.host not in without]
        return len(counted) / (max(counted) - begin)


class ServerProcess:
    """A server in a process of its own, for the time of one run of a client."""

    def __init__(
        self,
        folder: Path,
        count: int,
        port: int,
        hosts: int,
        slow_hosts: Sequence[str] = (),
        slow_seconds: float = 0.0,
    ) -> None:
        self._command = [
            sys.executable, "-m", "benchmarks.fetch_server", str(folder), "--count", str(count),
            "--port", str(port), "--hosts", str(hosts), "--slow-seconds", str(slow_seconds),
            "--slow", *slow_hosts,
        ]  # fmt: skip

    def __enter__(self) -> "ServerProcess":
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            self._process.wait()
            raise SystemExit("the server did not start; it has said why")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None and kind is not None:
            self._process.kill()
        self._process.communicate()

    def stop(self) -> Served:
        """End it and get its record.

        Raises:
            SystemExit: It failed; it has said why on standard error.
        """
        answer, _ = self._process.communicate()
        if self._process.returncode != 0:
            raise SystemExit(f"the server ended with status {self._process.returncode}")
        found: dict[str, Any] = json.loads(answer)
        requests = tuple(Request(*request) for request in found["requests"])
        return Served(requests, found["connections"], found["cpu"])


def free_port() -> int:
    """A port that nobody listens on; servers of one benchmark take it in turn."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def bare_rate(hosts: Sequence[str], port: int, count: int, threads: int, keep_alive: bool) -> float:
    """Images a second that the server gives to a client that does nothing but receive."""
    connection = b"" if keep_alive else b"Connection: close\r\n"
    buffers = [bytearray(1 << 18) for _ in range(threads)]

    def receive(thread: int) -> None:
        open_ones: dict[str, socket.socket] = {}
        for number in range(thread, count, threads):
            host = hosts[number % len(hosts)]
            used = open_ones.pop(host, None) or socket.create_connection((host, port))
            request = f"GET /{number:06d}.jpg HTTP/1.1\r\nHost: {host}:{port}\r\n".encode()
            used.sendall(request + connection + b"\r\n")
            _receive_answer(used, buffers[thread])
            if keep_alive:
                open_ones[host] = used
            else:
                used.close()
        for used in open_ones.values():
            used.close()

    begin = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(receive, range(threads)))
    return count / (time.perf_counter() - begin)


def _receive_answer(used: socket.socket, buffer: bytearray) -> None:
    view, have, end = memoryview(buffer), 0, -1
    while end < 0:
        have += _some(used, view[have:])
        end = buffer.find(b"\r\n\r\n", 0, have)
    length = re.search(rb"Content-Length: (\d+)", buffer[:end])
    assert buffer.startswith(b"HTTP/1.1 200 ")
    assert length is not None
    while have < end + 4 + int(length[1]):
        have += _some(used, view[have:])


def _some(used: socket.socket, room: memoryview) -> int:
    size = used.recv_into(room)
    if size == 0:
        raise SystemExit("the server closed a connection before its answer was whole")
    return size


def main() -> None:
    """Program entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, required=True, help="images there are")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--hosts", type=int, required=True)
    parser.add_argument("--slow", nargs="*", default=[], help="hosts that answer late")
    parser.add_argument("--slow-seconds", type=float, default=0.0)
    given = parser.parse_args()
    web = load_web(given.folder, given.count, given.slow, given.slow_seconds)
    asyncio.run(serve(web, host_names(given.hosts), given.port))
    record = {"requests": web.requests, "connections": web.connections}
    print(json.dumps({**record, "cpu": round(time.process_time(), 3)}))


if __name__ == "__main__":
    main()
