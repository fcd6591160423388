"""A web server on loopback that serves the files of a folder and remembers what it was asked."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web


@dataclass
class FileServer:
    """Requests are noted as (seconds, path); `seconds` of the monotonic clock."""

    folder: Path
    delay: float = 0.0
    """Seconds before each answer."""
    robots: str | None = None
    port: int = 0
    requests: list[tuple[float, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def images_asked(self) -> list[str]:
        """Paths asked for, robots.txt left out."""
        return [path for _, path in self.requests if path != "/robots.txt"]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((time.monotonic(), request.rel_url.raw_path))
        if self.delay:
            await asyncio.sleep(self.delay)
        if request.path == "/robots.txt":
            return web.Response(text=self.robots) if self.robots else web.Response(status=404)
        path = self.folder / request.path.lstrip("/")
        return web.FileResponse(path) if path.is_file() else web.Response(status=404)


@contextmanager
def serve(folder: Path, delay: float = 0.0, robots: str | None = None) -> Iterator[FileServer]:
    """Serve a folder from a thread until the block ends."""
    server = FileServer(folder, delay, robots)
    loop = asyncio.new_event_loop()
    started = threading.Event()

    async def run(stop: asyncio.Event) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", server.answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.port = runner.addresses[0][1]
        started.set()
        await stop.wait()
        await runner.cleanup()

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(run(stop)), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
