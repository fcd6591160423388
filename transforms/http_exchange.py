"""One HTTP request and its answer, with the addresses checked and everything bounded.

What the network does becomes an outcome (`schemas/outcomes.py`); what is wrong in our own code is
raised as it is. Redirects are only reported: whoever follows one checks it like any other URL.

Connections, their pool and the parser are aiohttp's. Its session is left out: of the time that it
takes a request, half is for what is not wanted here (cookies, proxies, bodies to send, redirects,
tries of its own), and without it there is nothing of the kind to switch off.
"""

import asyncio
import errno
import functools
import os
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from schemas.errors import ContentDecodeError, FetchError, PayloadTooLargeError
from schemas.outcomes import OK
from transforms.addresses import BLOCKED_PORTS, AllowedHosts, is_public
from transforms.dns import Resolver
from transforms.fetch_config import FetchConfig
from transforms.http_content import undo_codings

REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""Statuses that lead elsewhere (RFC 9110, 15.4)."""
MAX_HEADER_BYTES = 64 * 1024
"""Names and values of an answer's headers together; servers send a hundredth of it."""
MAX_MESSAGE = 300
"""Characters of a message."""

# Read and thrown away, so that the connection can be used again: most pages that say "not found"
# are smaller, and the next image of the site is one round trip nearer.
_DRAINED_BYTES = 64 * 1024
_DRAIN_SECONDS = 1.0
_READ_BYTES = 256 * 1024
_KEEP_ALIVE_SECONDS = 15.0
# Kept connections of one host that may turn out to be closed, one after the other.
_MAX_STALE = 4
# Addresses that connections were opened to on behalf of the request under way, in whatever task.
_OPENED: ContextVar[list[str]] = ContextVar("_OPENED")
_OPEN_CODINGS = frozenset({"", "identity", "none"})


_Headers = tuple[tuple[str, str], ...]


def _value(headers: _Headers, name: str) -> str | None:
    return next((value for key, value in headers if key == name), None)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one request."""

    outcome: str
    """`ok`, or why there is no body; a redirect is `http_301` and so on."""
    message: str | None = None
    status: int | None = None
    headers: _Headers = ()
    body: bytes = field(default=b"", repr=False)

    def header(self, name: str) -> str | None:
        """The first value of a header, by its lower-case name."""
        return _value(self.headers, name)


@dataclass(slots=True)
class _Head:
    """The head of an answer, as soon as it is whole."""

    status: int | None = None
    headers: _Headers = ()


def one_line(text: str) -> str:
    """A message as people read it: one line, bounded, nothing that a terminal would obey."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * MAX_MESSAGE]).split())
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…"


def _explained(error: BaseException) -> str:
    """The text of an error without the bytes that it points at, or its name where it has none."""
    if isinstance(error, HttpProcessingError):
        return error.message.partition("\n")[0].removesuffix(":")
    return str(error) or type(error).__name__


def _headers(received: Mapping[str, str]) -> _Headers:
    headers = tuple(
        (
            name.lower(),
            # What is no UTF-8 came as surrogates, which no file can hold.
            value
            if value.isascii()
            else value.encode(errors="surrogateescape").decode(errors="replace"),
        )
        for name, value in received.items()
    )
    if sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        # Dropping some of them could drop the one that reserves the image.
        raise FetchError("protocol", f"more than {MAX_HEADER_BYTES} bytes of headers")
    return headers


def _length(headers: _Headers) -> int:
    """What `Content-Length` says, which the parser has checked; 0 without it."""
    return int(_value(headers, "content-length") or 0)


def _failure(error: Exception, in_body: bool) -> FetchError:
    """What an error of the HTTP client means, while waiting for the head or reading the body."""
    text = _explained(error)
    if isinstance(error, TimeoutError):
        text = str(error) or "the time for one request is over"
        return FetchError("timeout", f"{text} (in the body)" if in_body else text)
    if isinstance(error, aiohttp.ClientSSLError):
        return FetchError("tls", text)
    if isinstance(error, aiohttp.ClientConnectorError):
        if isinstance(error.os_error, _UncheckedAddress):
            return FetchError("blocked_address", text)
        return FetchError("connect", _explained(error.os_error))
    if isinstance(error, aiohttp.ClientPayloadError):
        return FetchError("truncated", _explained(error.__cause__ or error))
    if isinstance(error, aiohttp.ServerDisconnectedError) and not in_body:
        # Its text is the half of a head that came, if any did.
        return FetchError("disconnected", "the connection was closed before an answer came")
    if isinstance(error, aiohttp.ClientConnectionError | OSError):
        return FetchError("truncated" if in_body else "disconnected", text)
    return FetchError("protocol", text)


@functools.lru_cache(maxsize=4)
def _trusted(file: str | None, folder: str | None) -> ssl.SSLContext:
    """What OpenSSL trusts while the environment names these; reading that takes time."""
    del file, folder
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class _UncheckedAddress(OSError):
    """A connection was about to be made to an address that nobody checked."""


class _Connection(ResponseHandler):
    """A connection that tells the reader of a body when it breaks.

    The client's own says nothing after chunks that make no sense, so that the reader waits for the
    whole of its time; and it takes a body without a length for whole when the connection is reset.
    """

    def connection_lost(self, error: BaseException | None) -> None:
        body = self._payload
        if body is not None and isinstance(error, OSError):
            self._break(body, aiohttp.ClientPayloadError(f"connection lost: {error}"))
        problem = self.exception()
        super().connection_lost(error)
        if body is not None:
            self._break(
                body, aiohttp.ClientError(_explained(problem or aiohttp.ClientError("closed")))
            )

    @staticmethod
    def _break(body: aiohttp.StreamReader, error: Exception) -> None:
        if not body.is_eof() and body.exception() is None:
            body.set_exception(error)


def _connection(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return _Connection(loop)


class Exchange:
    """A pool of connections, and requests over them.

    Args:
        config: Deadlines, the user agent, name servers and allowed hosts.
        accept: The header `Accept`.
        max_bytes: Largest body, as sent and after its coding is undone.
        tls: What certificates are checked by; the default trusts what OpenSSL trusts, which the
            environment may name (`SSL_CERT_FILE`).
    """

    def __init__(
        self, config: FetchConfig, *, accept: str, max_bytes: int, tls: ssl.SSLContext | None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._max_bytes = max_bytes
        self._allowed = AllowedHosts(config.allow_hosts)
        self._resolver = Resolver(config, self._allowed)
        if tls is None:
            tls = _trusted(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        # limit=0: how many requests there are is the caller's affair, and a connection that waits
        # to be used again must not stand in the way of a new one. The resolver caches by itself.
        self._connector = aiohttp.TCPConnector(
            resolver=self._resolver,
            use_dns_cache=False,
            ssl=tls,
            limit=0,
            keepalive_timeout=_KEEP_ALIVE_SECONDS,
            socket_factory=self._socket,
        )
        self._connector._factory = functools.partial(_connection, self._loop)
        self._total_seconds = config.total_seconds
        self._read_seconds = config.read_seconds
        self._connecting = aiohttp.ClientTimeout(
            connect=config.dns_seconds + config.connect_seconds,
            sock_connect=config.connect_seconds,
        )
        # Images are compressed already: a second coding costs both sides time, and hides from the
        # head how large the body is.
        self._head_end = (
            f"User-Agent: {config.user_agent}\r\nAccept: {accept}\r\n"
            "Accept-Encoding: identity\r\n\r\n"
        )
        # What the pool knows a host by: costly to make, and the same for all of its URLs.
        self._target = functools.lru_cache(maxsize=4096)(self._new_target)

    def _new_target(self, origin: URL) -> ClientRequest:
        return ClientRequest("GET", origin, loop=self._loop)

    def _socket(self, address_info: aiohttp.AddrInfoType) -> socket.socket:
        """The socket of a connection, if its address is one that was checked.

        The connector connects this socket to this very address and resolves nothing in between, so
        the peer's address need not be asked for afterwards.
        """
        family, kind, protocol, _, address = address_info
        if not (is_public(address[0]) or address[0] in self._resolver.cleared):
            raise _UncheckedAddress(errno.EACCES, f"{address[0]} was not checked")
        _OPENED.get().append(address[0])
        return socket.socket(family=family, type=kind, proto=protocol)

    def refusal(self, url: str) -> FetchError | None:
        """Why a URL is not asked for, as far as it says so itself: its port, or a bare address."""
        target = URL(url, encoded=True)
        host, port = target.raw_host or "", target.port or 0
        if port in BLOCKED_PORTS:
            return FetchError("bad_url", f"port {port} is not one of the web")
        if ":" in host or host.replace(".", "").isdigit():
            # The connector does not ask the resolver about these.
            if (host, port) in self._allowed:
                self._resolver.cleared.add(host)
            elif not is_public(host):
                return FetchError("blocked_address", f"{host} is not public")
        return None

    async def get(self, url: str) -> Reply:
        """Ask for a normalised URL once. Nothing about the network is raised."""
        target = URL(url, encoded=True)
        for stale in range(_MAX_STALE + 1):
            opened: list[str] = []
            _OPENED.set(opened)
            head = _Head()
            try:
                async with asyncio.timeout(self._total_seconds):
                    body = await self._request(target, head)
            except FetchError as error:
                failure = error
            except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
                failure = _failure(error, in_body=head.status is not None)
            else:
                outcome = OK if head.status == 200 else f"http_{head.status}"
                return Reply(outcome, None, head.status, head.headers, body)
            # A connection that was kept may have been closed just as it was used again: then
            # nobody read the request (RFC 9112, 9.3.1), and this is no other try.
            if failure.outcome != "disconnected" or opened or stale == _MAX_STALE:
                break
        return Reply(failure.outcome, one_line(str(failure)), head.status, head.headers)

    async def _request(self, url: URL, head: _Head) -> bytes:
        connection = await self._connector.connect(
            self._target(url.origin()), traces=[], timeout=self._connecting
        )
        try:
            body = await self._read(connection, url, head)
        except FetchError:
            connection.release()
            raise
        except BaseException:
            connection.close()
            raise
        # Closed all the same, there and here, if anything of the answer is left in it.
        connection.release()
        return body

    async def _read(self, connection: Connection, url: URL, head: _Head) -> bytes:
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None:
            raise aiohttp.ServerDisconnectedError
        protocol.set_response_params(
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=self._read_seconds,
            read_bufsize=_READ_BYTES,
        )
        transport.write(
            f"GET {url.raw_path_qs} HTTP/1.1\r\nHost: {url.host_port_subcomponent}\r\n"
            f"{self._head_end}".encode("ascii")
        )
        protocol.start_timeout()
        while True:
            message, content = await protocol.read()
            if message.code >= 200 or message.code == 101:
                break
        if message.code > 599:
            raise FetchError("protocol", f"status {message.code}")
        head.headers = _headers(message.headers)
        head.status = message.code
        if message.code == 200:
            return await self._body(head.headers, content)
        await self._drain(head.headers, content)
        return b""

    async def _body(self, headers: _Headers, content: aiohttp.StreamReader) -> bytes:
        most = self._max_bytes
        length = _length(headers)
        if length > most:
            raise FetchError("too_large", f"Content-Length {length}, more than {most} bytes")
        pieces = []
        size = 0
        while piece := await content.readany():
            pieces.append(piece)
            size += len(piece)
            if size > most:
                raise FetchError("too_large", f"more than {most} bytes")
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        coding = ", ".join(value for name, value in headers if name == "content-encoding")
        if coding.strip().lower() not in _OPEN_CODINGS:
            body = await self._decoded(body, coding)
        if not body:
            raise FetchError("empty", "no byte of a body")
        return body

    async def _decoded(self, body: bytes, coding: str) -> bytes:
        try:
            # In a thread, however small: a kilobyte of zeros, coded, is a megabyte of work.
            return await asyncio.to_thread(undo_codings, body, None, coding, self._max_bytes)
        except PayloadTooLargeError as error:
            raise FetchError("too_large", str(error)) from error
        except ContentDecodeError as error:
            raise FetchError("content_coding", str(error)) from error

    async def _drain(self, headers: _Headers, content: aiohttp.StreamReader) -> None:
        """Read a short body that nobody wants, so that its connection can be used again."""
        if content.is_eof() or _length(headers) > _DRAINED_BYTES:
            return
        size = 0
        with suppress(aiohttp.ClientError, OSError):  # what is left in it closes the connection
            async with asyncio.timeout(_DRAIN_SECONDS):
                while size <= _DRAINED_BYTES and (piece := await content.readany()):
                    size += len(piece)

    async def close(self) -> None:
        """Close every connection and the resolver."""
        await self._connector.close()
        await self._resolver.close()
