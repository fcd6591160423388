"""The server: one output, on one address, until it is told to end."""

import asyncio
import errno
import ipaddress
import logging
import os
import signal
import socket
import sys
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing

from aiohttp import web

from pipeline.serve.corpus import Corpus
from pipeline.serve.guard import Hosts, add_headers, guard
from pipeline.serve.handlers import MAX_REQUEST_LINE, Site
from pipeline.serve.image_places import ImagePlaces
from pipeline.serve.pages import ReportPage, query_page
from pipeline.serve.query_pool import QueryPool
from pipeline.serve.query_worker import QueryConfig
from pipeline.serve.threads import is_working
from schemas.errors import UserError

Say = Callable[[str], None]

_MALFORMED = logging.getLogger(f"{__name__}.malformed")
"""What the HTTP parser says of requests that are none; they are answered, and no error of ours."""
_END_SECONDS = 0.5
"""What answers that are on their way have, at the end."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: Name or address.
        port: 0 picks one.

    Raises:
        UserError: There is no such address here, or the port is in use or not for this user.
    """
    if not host:
        raise UserError("--host : give a name or an address; 0.0.0.0 is all of this machine's")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as e:
        raise UserError(f"--host {host}: no address of this machine: {e}") from e
    found = socket.socket(family, kind, protocol)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen()
    except OSError as e:
        found.close()
        if e.errno == errno.EADDRINUSE:
            raise UserError(
                f"--port {port}: is in use; name another one, or 0 for any that is free"
            ) from e
        if e.errno == errno.EACCES:
            raise UserError(f"--port {port}: is not for this user; name one above 1023") from e
        raise UserError(f"--host {host}: cannot be listened on: {e}") from e
    return found


@asynccontextmanager
async def serving(
    output: str, listener: socket.socket, host: str, config: QueryConfig, say: Say
) -> AsyncIterator[None]:
    """Answer requests while the block runs.

    Args:
        output: Folder or URL of the output.
        listener: Is closed at the end.
        host: As the user named it.
        config: What queries may take.
        say: Is told what is done, a line each.

    Raises:
        InputError: There is no output, or a file of it cannot be read.
    """
    with closing(listener), closing(Corpus(output)) as corpus:
        async with QueryPool(config) as queries:
            site = Site(
                corpus, ImagePlaces(corpus), queries, ReportPage(output, say), query_page(output)
            )
            app = web.Application(middlewares=[guard(Hosts(host, listener.getsockname()[0]))])
            app.on_response_prepare.append(add_headers)
            site.add_routes(app)
            _MALFORMED.setLevel(logging.CRITICAL + 1)
            runner = web.AppRunner(
                app, access_log=None, logger=_MALFORMED, handler_cancellation=True,
                max_line_size=MAX_REQUEST_LINE, shutdown_timeout=_END_SECONDS,
            )  # fmt: skip
            await runner.setup()
            try:
                await web.SockSite(runner, listener).start()
                yield
            finally:
                # Whoever waits for a query is not waited for.
                await queries.close()
                await runner.cleanup()


def serve_output(
    output: str, host: str, port: int, open_browser: bool, tell: Say, say: Say
) -> None:
    """Serve an output until Ctrl-C.

    Args:
        output: Folder or URL of an output of `run`, or of shards that stand alone.
        host: Name or address to listen on.
        port: 0 picks one.
        open_browser: Whether to open the report.
        tell: Is told where the server is.
        say: Is told of what should be known besides, a line each.

    Raises:
        UserError: It cannot be listened there.
        InputError: There is no output, or a file of it cannot be read.
    """
    asyncio.run(_serve(output, host, port, open_browser, tell, say))
    if is_working():
        # A thread that waits for a slow store, or makes a report, holds nothing that must be kept;
        # an interpreter that ends around it may crash.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


async def _serve(
    output: str, host: str, port: int, open_browser: bool, tell: Say, say: Say
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    config = QueryConfig(output, os.getpid())
    listener = listen(host, port)
    address, port = listener.getsockname()[:2]
    async with serving(output, listener, host, config, say):
        url = f"http://{_shown(address)}:{port}/"
        if not ipaddress.ip_address(address).is_loopback:
            say(f"warning: everyone who reaches {host} can read this corpus")
        tell(f"serving {output} at {url} (Ctrl-C ends it)")
        if open_browser:
            webbrowser.open(url)
        await stop.wait()


def _shown(address: str) -> str:
    """An address as a URL has it, of this machine where it is that of all its networks."""
    if ipaddress.ip_address(address).is_unspecified:
        return "localhost"
    return f"[{address}]" if ":" in address else address
