"""One HTTP request and its answer, with the addresses checked and everything bounded.

What the network does becomes an outcome (`schemas/outcomes.py`); what is wrong in our own code is
raised as it is. Redirects are only reported: whoever follows one checks it like any other URL.
"""

import asyncio
import errno
import functools
import os
import socket
import ssl
from contextvars import ContextVar
from dataclasses import dataclass, field

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDictProxy
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


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one request."""

    outcome: str
    """`ok`, or why there is no body; a redirect is `http_301` and so on."""
    message: str | None = None
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)

    def header(self, name: str) -> str | None:
        """The first value of a header, by its lower-case name."""
        return next((value for key, value in self.headers if key == name), None)


def one_line(text: str) -> str:
    """A message as people read it: one line, bounded, nothing that a terminal would obey."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * MAX_MESSAGE]).split())
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…"


def _explained(error: BaseException) -> str:
    """The text of an error without the bytes that it points at, or its name where it has none."""
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        return error.message.partition("\n")[0].removesuffix(":")
    return str(error) or type(error).__name__


def _headers(received: "CIMultiDictProxy[str]") -> tuple[tuple[str, str], ...]:
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


def _failure(error: Exception, head: bool) -> FetchError:
    """What an error of the HTTP client means, while waiting for the head or reading the body."""
    text = _explained(error)
    if isinstance(error, TimeoutError):
        text = str(error) or "the time for one request is over"
        return FetchError("timeout", text if head else f"{text} (in the body)")
    if isinstance(error, aiohttp.ClientSSLError):
        return FetchError("tls", text)
    if isinstance(error, aiohttp.ClientConnectorError):
        if isinstance(error.os_error, _UncheckedAddress):
            return FetchError("blocked_address", text)
        return FetchError("connect", _explained(error.os_error))
    if isinstance(error, aiohttp.InvalidURL):
        return FetchError("bad_url", text)
    if isinstance(error, aiohttp.ClientPayloadError):
        return FetchError("truncated", _explained(error.__cause__ or error))
    if isinstance(error, aiohttp.ServerDisconnectedError) and head:
        # Its text is the half of a head that came, if any did.
        return FetchError("disconnected", "the connection was closed before an answer came")
    if isinstance(error, aiohttp.ClientConnectionError | OSError):
        return FetchError("disconnected" if head else "truncated", text)
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
        self._max_bytes = max_bytes
        self._allowed = AllowedHosts(config.allow_hosts)
        self._resolver = Resolver(config, self._allowed)
        if tls is None:
            tls = _trusted(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        # limit=0: how many requests there are is the caller's affair, and a connection that waits
        # to be used again must not stand in the way of a new one. The resolver caches by itself.
        connector = aiohttp.TCPConnector(
            resolver=self._resolver,
            use_dns_cache=False,
            ssl=tls,
            limit=0,
            keepalive_timeout=_KEEP_ALIVE_SECONDS,
            socket_factory=self._socket,
        )
        connector._factory = functools.partial[ResponseHandler](
            _Connection, loop=asyncio.get_running_loop()
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            read_bufsize=_READ_BYTES,
            timeout=aiohttp.ClientTimeout(
                total=config.total_seconds,
                connect=config.dns_seconds + config.connect_seconds,
                sock_connect=config.connect_seconds,
                sock_read=config.read_seconds,
            ),
            headers={
                "User-Agent": config.user_agent,
                "Accept": accept,
                # Images are compressed already: a second coding costs both sides time, and hides
                # from the head how large the body is.
                "Accept-Encoding": "identity",
            },
        )
        # The client would ask a second time by itself after a lost connection; tries are counted
        # and spaced by the caller.
        self._session._retry_connection = False

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

    def refusal(self, url: URL) -> FetchError | None:
        """Why a URL is not asked for, as far as it says so itself: its port, or a bare address."""
        host, port = url.raw_host or "", url.port or 0
        if port in BLOCKED_PORTS:
            return FetchError("bad_url", f"port {port} is not one of the web")
        if ":" in host or host.replace(".", "").isdigit():
            # The connector does not ask the resolver about these.
            if (host, port) in self._allowed:
                self._resolver.cleared.add(host)
            elif not is_public(host):
                return FetchError("blocked_address", f"{host} is not public")
        return None

    async def get(self, url: URL) -> Reply:
        """Ask for a URL once. Nothing about the network is raised."""
        for stale in range(_MAX_STALE + 1):
            opened: list[str] = []
            _OPENED.set(opened)
            try:
                async with self._session.get(url, allow_redirects=False) as response:
                    return await self._read(response)
            except FetchError as error:
                return Reply(error.outcome, one_line(str(error)))
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                failure = _failure(error, head=True)
                # A connection that was kept may have been closed just as it was used again: then
                # nobody read the request (RFC 9112, 9.3.1), and this is no other try.
                if failure.outcome != "disconnected" or opened or stale == _MAX_STALE:
                    return Reply(failure.outcome, one_line(str(failure)))
        raise AssertionError("the last round returns")

    async def _read(self, response: aiohttp.ClientResponse) -> Reply:
        status = response.status
        headers = _headers(response.headers)
        if not 100 <= status <= 599:
            raise FetchError("protocol", f"status {status}")
        if status != 200:
            await self._drain(response)
            return Reply(f"http_{status}", None, status, headers)
        try:
            body = await self._body(response)
        except FetchError as error:
            response.close()
            return Reply(error.outcome, one_line(str(error)), status, headers)
        return Reply(OK, None, status, headers, body)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        most = self._max_bytes
        length = response.content_length
        if length is not None and length > most:
            raise FetchError("too_large", f"Content-Length {length}, more than {most} bytes")
        content = response.content
        pieces = []
        size = 0
        try:
            while piece := await content.readany():
                pieces.append(piece)
                size += len(piece)
                if size > most:
                    raise FetchError("too_large", f"more than {most} bytes")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _failure(error, head=False) from error
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        coding = ", ".join(response.headers.getall("Content-Encoding", ()))
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

    async def _drain(self, response: aiohttp.ClientResponse) -> None:
        """Read a short body that nobody wants, so that its connection can be used again."""
        content = response.content
        if content.is_eof() or (response.content_length or 0) > _DRAINED_BYTES:
            return
        size = 0
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while size <= _DRAINED_BYTES and (piece := await content.readany()):
                    size += len(piece)
        except (aiohttp.ClientError, TimeoutError, OSError):
            response.close()

    async def close(self) -> None:
        """Close every connection and the resolver."""
        await self._session.close()
        await self._resolver.close()
