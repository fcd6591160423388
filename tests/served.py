"""A server of `weft serve` in a thread, over a small output whose images lie in packs."""

import asyncio
import hashlib
import http.client
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import psutil

from pipeline.serve.query_worker import QueryConfig
from pipeline.serve.server import listen, serving
from schemas.ids import image_key
from schemas.rows import Caption, Image, Locator
from tests.small_output import Output, build, jpeg
from transforms.packs import PackWriter
from transforms.sink import PartSink

HTML = "<script>alert(1)</script><img src=x onerror=alert(2)>"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(3)'/>"
JPEG, OTHER_JPEG = jpeg(20, 30), jpeg(31, 21)


def key_of(data: bytes) -> str:
    return image_key(hashlib.sha256(data).hexdigest())


def image(url: str, data: bytes, place: Locator) -> Image:
    return Image(url, key_of(data), "ok", 1, place.pack, place.offset, place.size)


def build_with_packs(url: str) -> Output:
    """A small output, a caption of HTML, and images in a pack: two of JPEG, one that is SVG."""
    out = build(url)
    with PackWriter(url, 1 << 20) as writer:
        slots = {data: writer.add(key_of(data), "img", data) for data in (JPEG, OTHER_JPEG, SVG)}
        (pack,) = writer.close()

    def fetch(sink: PartSink) -> None:
        sink.commit.packs.append(pack)
        for number, (data, slot) in enumerate(slots.items()):
            sink.seen("image_answers")
            place = Locator(pack, slot.offset, slot.size)
            sink.keep("image_answers", image(f"https://a.example/{number}", data, place))

    def refs(sink: PartSink) -> None:
        sink.seen("captions")
        sink.keep("captions", Caption("c9", "d", "u", "i", HTML, "alt", 0))

    out.part("fetch", "answers", fetch)
    out.part("refs", "more", refs)
    out.finish()
    return out


@dataclass
class Answer:
    """What a server said."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Served:
    """A server on loopback."""

    output: str
    port: int = 0
    said: list[str] = field(default_factory=list)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Send a request line as it is: no client makes another path of it."""
        connection = self.connect()
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        named = {"Host": f"127.0.0.1:{self.port}"}
        for name, value in (named | {k.replace("_", "-"): v for k, v in headers.items()}).items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        told = {name.lower(): value for name, value in response.getheaders()}
        answer = Answer(response.status, told, response.read())
        connection.close()
        return answer

    def sql(self, query: str) -> Answer:
        return self.ask(f"/api/sql?{urlencode({'q': query}, quote_via=quote)}")


def query_processes() -> set[psutil.Process]:
    """The processes behind queries of all servers in this process."""
    found = set()
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if any("query_worker" in argument for argument in child.cmdline()):
                found.add(child)
    return found


@contextmanager
def serve(output: str, seconds: float = 30.0, rows: int = 1000) -> Iterator[Served]:
    """Serve an output from a thread until the block ends."""
    served = Served(output)
    loop = asyncio.new_event_loop()
    stop, started = asyncio.Event(), threading.Event()
    failed: list[BaseException] = []

    async def run() -> None:
        listener = listen("127.0.0.1", 0)
        served.port = listener.getsockname()[1]
        config = QueryConfig(output, os.getpid(), seconds, rows)
        async with serving(output, listener, "127.0.0.1", config, served.said.append):
            started.set()
            await stop.wait()

    def work() -> None:
        try:
            loop.run_until_complete(run())
        except BaseException as error:
            failed.append(error)
        finally:
            loop.close()
            started.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert started.wait(60)
        if failed:
            raise failed[0]
        yield served
    finally:
        if not failed:
            loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        assert not thread.is_alive()
