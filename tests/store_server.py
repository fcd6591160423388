"""A real S3 server on loopback (moto's), and before it a proxy that counts and misbehaves.

    with s3_server() as server, FaultyStore(server, faults=Faults(seed=1, share=0.1)) as store:
        store.url("bucket/out")    # with the variables of `store.environment` set

The proxy's faults are a function of the seed, the kind and key of a request and how often it has
come: the same requests meet the same faults, whatever order they come in.
"""

import asyncio
import hashlib
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import boto3
from aiohttp import web
from yarl import URL

BUCKET = "weft"
FAULTS = ("500", "503", "slow-down", "cut-answer", "cut-request", "lost-answer", "delay")
"""What the proxy does on purpose: an error of the server, one without a body, the one that asks for
fewer requests; the connection cut in the middle of the answer's body, of the request's body, or
after the server has done what was asked; a pause."""
SLOW_DOWN = (
    '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message>'
    "<RequestId>0</RequestId></Error>"
)


_BARE = frozenset({"HEAD", "PUT", "PART", "DELETE", "ABORT"})
"""Requests whose answers have no body."""


@dataclass(frozen=True)
class Faults:
    """Which requests meet a fault."""

    seed: int
    share: float
    """Of the requests of a kind for a key, counted one by one."""
    kinds: tuple[str, ...] = FAULTS
    most: int = 2
    """Times that one kind of request for one key meets a fault: a store gets well again."""
    pause: float = 0.05
    """Seconds of a delay."""

    def pick(self, kind: str, key: str, number: int) -> str | None:
        """The fault of the request that came `number` times before, if it meets one."""
        if number >= self.most:
            return None
        found = hashlib.sha256(f"{self.seed} {kind} {key} {number}".encode()).digest()
        if int.from_bytes(found[:8], "big") >= self.share * 2**64:
            return None
        return self.kinds[found[8] % len(self.kinds)]


@dataclass(frozen=True)
class Request:
    """A request that came to the store."""

    kind: str
    """GET, GET-RANGE, HEAD, PUT, LIST, LIST-UPLOADS, DELETE, CREATE-UPLOAD, PART, COMPLETE, ABORT,
    or another method."""
    key: str
    """Bucket and key, or bucket and the prefix that is listed."""
    fault: str | None
    received: int
    """Bytes of the answer's body."""
    sent: int
    """Bytes of the request's body."""


def kind_of(method: str, key: str, query: dict[str, str], ranged: bool) -> str:
    """What a request asks a store for."""
    if method == "GET":
        if "uploads" in query:
            return "LIST-UPLOADS"
        if "list-type" in query or "/" not in key.strip("/"):
            return "LIST"
        return "GET-RANGE" if ranged else "GET"
    if method == "POST":
        return "CREATE-UPLOAD" if "uploads" in query else "COMPLETE"
    if "uploadId" in query:
        return {"PUT": "PART", "DELETE": "ABORT"}.get(method, method)
    return method


@contextmanager
def s3_server() -> Iterator[str]:
    """The URL of an empty S3 server in a process of its own; it ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _await(url, process)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"{url}/moto-api/", timeout=5):
                return
        except OSError:
            assert process.poll() is None, "the S3 server has ended"
            assert time.monotonic() < end, "the S3 server does not start"
            time.sleep(0.05)


@dataclass
class FaultyStore:
    """A proxy before a store; it runs in a thread until the block ends."""

    server: str
    faults: Faults | None = None
    pause: float = 0.0
    """Seconds that every request for an object waits."""
    requests: list[Request] = field(default_factory=list)
    most_at_once: Counter[str] = field(default_factory=Counter)
    """Kind -> requests that were under way at one time."""
    down: bool = False
    """Whether every request is refused, as in an outage."""
    break_on: str = ""
    """A part of a key whose every request that changes something gets 500."""
    denied: frozenset[str] = frozenset()
    """Kinds of requests that nobody has the right to."""
    forgets: bool = False
    """Whether an upload that was completed or dropped is known no more, as many stores have it."""
    port: int = 0
    _seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    _at_once: Counter[str] = field(default_factory=Counter)
    _ended: set[str] = field(default_factory=set)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What the ordinary clients of AWS read."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            # Without it a machine that is none of Amazon's is asked for its role.
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def count(self, *kinds: str, below: str = "") -> int:
        """Requests of some kinds, or of all, whose key holds a text."""
        return sum(
            (not kinds or each.kind in kinds) and below in each.key for each in self.requests
        )

    def kinds(self) -> dict[str, int]:
        """Requests by kind."""
        return dict(sorted(Counter(each.kind for each in self.requests).items()))

    def met(self) -> dict[str, int]:
        """Faults that were met, by kind."""
        return dict(sorted(Counter(each.fault for each in self.requests if each.fault).items()))

    def forget(self) -> None:
        """Begin to count again."""
        self.requests.clear()
        self.most_at_once.clear()
        self._seen.clear()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        key = request.path.strip("/")
        query = dict(request.query)
        kind = kind_of(request.method, key, query, "Range" in request.headers)
        if kind.startswith("LIST"):
            key = f"{key}/{query.get('prefix', '')}"
        place = f"{key} {query.get('partNumber', '')} {request.headers.get('Range', '')}"
        number = self._seen[kind, place]
        self._seen[kind, place] += 1
        fault = self.faults.pick(kind, place, number) if self.faults else None
        if self.down or (self.break_on and self.break_on in key and request.method != "GET"):
            fault = "500"
        if kind in self.denied:
            fault = "denied"
        # What has no body cannot be cut in it.
        if fault == "cut-request" and not request.can_read_body:
            fault = "cut-answer"
        if fault == "cut-answer" and kind in _BARE:
            fault = "lost-answer"
        self._at_once[kind] += 1
        self.most_at_once[kind] = max(self.most_at_once[kind], self._at_once[kind])
        try:
            response, sent = await self._answer(request, kind, fault)
            received = response.content_length or 0
            self.requests.append(Request(kind, key, fault, received, sent))
            return response
        except (ConnectionError, asyncio.CancelledError):
            self.requests.append(Request(kind, key, fault, 0, 0))
            raise
        finally:
            self._at_once[kind] -= 1

    async def _answer(
        self, request: web.Request, kind: str, fault: str | None
    ) -> tuple[web.StreamResponse, int]:
        if self.pause or fault == "delay":
            await asyncio.sleep(self.pause + (self.faults.pause if self.faults and fault else 0.0))
        if fault == "cut-request":
            await request.content.read(64)
            return self._cut(request), 0
        body = await request.read()
        if fault == "500":
            return _error(500, "InternalError", "We encountered an internal error."), len(body)
        if fault == "denied":
            return _error(403, "AccessDenied", "Access Denied"), len(body)
        if fault == "503":
            return web.Response(status=503), len(body)
        if fault == "slow-down":
            return _error(503, "SlowDown", "Please reduce your request rate."), len(body)
        if self.forgets and kind in ("COMPLETE", "ABORT"):
            upload = request.query["uploadId"]
            if upload in self._ended:
                return _error(404, "NoSuchUpload", "The specified upload does not exist."), 0
            self._ended.add(upload)
        status, headers, data = await self._forward(request, body)
        if fault == "lost-answer":
            return self._cut(request), len(body)
        if fault == "cut-answer":
            response = web.StreamResponse(status=status, headers=headers)
            response.content_length = len(data)
            await response.prepare(request)
            await response.write(data[: len(data) // 2])
            return self._cut(request), len(body)
        if kind == "HEAD":
            response = web.Response(status=status, headers=headers)
            # `Content-Length` of a HEAD tells of the object.
            response.headers["Content-Length"] = headers.get("Content-Length", "0")
            return response, len(body)
        return web.Response(status=status, headers=headers, body=data), len(body)

    def _cut(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)  # nobody gets it

    async def _forward(
        self, request: web.Request, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        dropped = {"transfer-encoding", "connection", "keep-alive", "date", "server"}
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in {*dropped, "content-length", "accept-encoding", "expect"}
        }
        url = self.server + request.raw_path
        async with self._client.request(
            request.method,
            URL(url, encoded=True),
            headers=headers,
            data=body,
            skip_auto_headers=("User-Agent", "Content-Type", "Accept", "Accept-Encoding"),
            allow_redirects=False,
        ) as answer:
            data = await answer.read()
            kept = {
                name: value
                for name, value in answer.headers.items()
                if name.lower() not in dropped
                and (name.lower() != "content-length" or request.method == "HEAD")
            }
            return answer.status, kept, data

    def __enter__(self) -> "FaultyStore":
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        started = threading.Event()

        async def run() -> None:
            connector = aiohttp.TCPConnector(limit=64, force_close=True)
            timeout = aiohttp.ClientTimeout(total=60)
            async with aiohttp.ClientSession(connector=connector, timeout=timeout) as self._client:
                app = web.Application(client_max_size=1 << 30)
                app.router.add_route("*", "/{path:.*}", self.answer)
                runner = web.AppRunner(app, access_log=None, auto_decompress=False)
                await runner.setup()
                site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
                await site.start()
                self.port = runner.addresses[0][1]
                started.set()
                await self._stop.wait()
                await runner.cleanup()

        self._thread = threading.Thread(
            target=lambda: self._loop.run_until_complete(run()), daemon=True
        )
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        with suppress(RuntimeError):
            self._loop.close()


def _error(status: int, code: str, message: str) -> web.Response:
    text = SLOW_DOWN.format(code=code, message=message)
    return web.Response(status=status, text=text, content_type="application/xml")


def client(endpoint: str) -> Any:
    """Amazon's own client, to put things beside Weft and to look at what it left."""
    return boto3.client("s3", endpoint_url=endpoint)


def put_folder(endpoint: str, folder: Path, prefix: str) -> None:
    """Put the files below a folder into the bucket under a prefix."""
    store = client(endpoint)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.upload_file(str(path), BUCKET, f"{prefix}/{path.relative_to(folder).as_posix()}")


def objects(endpoint: str, prefix: str) -> dict[str, bytes]:
    """All objects under a prefix, by key below it."""
    store = client(endpoint)
    pages = store.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
    return {
        key.removeprefix(f"{prefix}/"): store.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        for key in keys
    }


def uploads(endpoint: str) -> list[str]:
    """Keys of the uploads that were begun and not ended."""
    found = client(endpoint).list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())
    return sorted(upload["Key"] for upload in found)
