"""Servers that misbehave on purpose, on loopback: HTTP, TLS and DNS, each with a record of what it
was asked. They run in a thread of their own, so that whole pipelines can be run against them.

    with FaultServer() as server, NameServer({"site.test": ["127.0.0.1"]}) as names:
        url = server.url("/ok", host="site.test")
"""

import asyncio
import datetime
import gzip
import ipaddress
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BODY = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 16
"""What `/ok` and all that come to it answer: the first bytes of a JPEG, then noise."""


@dataclass
class Asked:
    """A request as it came, and the way back to whoever sent it."""

    path: str
    headers: dict[str, str]
    time: float
    number: int
    """Requests for this path before it."""
    writer: asyncio.StreamWriter = field(repr=False)
    body: bytes = field(default=b"", repr=False)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, status: int = 200, body: bytes = b"", **headers: str) -> None:
        """A whole answer that keeps the connection."""
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join([*lines, "", ""]).encode() + body)

    async def hang(self) -> None:
        """Until the other side, or the server, gives up."""
        await asyncio.Event().wait()


Handler = Callable[[Asked], Awaitable[bool | None]]
"""Answers one request; True closes the connection."""


def reply(status: int = 200, body: bytes = b"", **headers: str) -> Handler:
    """Always the same whole answer."""

    async def handler(asked: Asked) -> None:
        await asked.answer(status, body, **headers)

    return handler


def raw(data: bytes) -> Handler:
    """Bytes as they are, then the end of the connection."""

    async def handler(asked: Asked) -> bool:
        await asked.send(data)
        return True

    return handler


def in_turn(*handlers: Handler) -> Handler:
    """Another answer each time; the last one stays."""

    async def handler(asked: Asked) -> bool | None:
        return await handlers[min(asked.number, len(handlers) - 1)](asked)

    return handler


def redirect(location: str, status: int = 302) -> Handler:
    return reply(status, Location=location)


async def _slow_headers(asked: Asked) -> None:
    await asked.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    await asked.hang()


async def _trickled_headers(asked: Asked) -> None:
    await asked.send(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        await asked.send(b"a")
        await asyncio.sleep(0.02)


async def _slow_body(asked: Asked) -> None:
    await asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + BODY[:100])
    await asked.hang()


async def _trickled_body(asked: Asked) -> None:
    await asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n")
    while True:
        await asked.send(b"a")
        await asyncio.sleep(0.02)


async def _endless_body(asked: Asked) -> None:
    await asked.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await asked.send(bytes(65536))


async def _endless_interim(asked: Asked) -> None:
    while True:
        await asked.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await asyncio.sleep(0.01)


async def _hang(asked: Asked) -> None:
    await asked.hang()


async def _reset_body(asked: Asked) -> bool:
    """A body without a length that ends with a reset."""
    await asked.send(b"HTTP/1.1 200 OK\r\n\r\n" + BODY)
    await asyncio.sleep(0.1)
    asked.writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    return True


def _head(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode()


FAULTS: Mapping[str, Handler] = {
    "/ok": reply(body=BODY, Content_Type="image/jpeg"),
    "/hang": _hang,
    "/slow-headers": _slow_headers,
    "/trickled-headers": _trickled_headers,
    "/slow-body": _slow_body,
    "/trickled-body": _trickled_body,
    "/endless-body": _endless_body,
    "/endless-interim": _endless_interim,
    "/long-length": raw(_head("Content-Length: 9000") + BODY),
    "/short-length": raw(_head("Content-Length: 100") + BODY),
    "/no-length": raw(_head() + BODY),
    "/reset-body": _reset_body,
    "/huge-length": raw(_head("Content-Length: 999999999999")),
    "/bad-length": raw(_head("Content-Length: many") + BODY),
    "/chunks": raw(
        _head("Transfer-Encoding: chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    ),
    "/truncated-chunk": raw(
        _head("Transfer-Encoding: chunked") + b"%x\r\n" % len(BODY) + BODY[:50]
    ),
    "/no-last-chunk": raw(
        _head("Transfer-Encoding: chunked") + b"%x\r\n%b\r\n" % (len(BODY), BODY)
    ),
    "/bad-chunk": raw(_head("Transfer-Encoding: chunked") + b"5\r\nabcde\r\nxyz\r\nabc\r\n"),
    "/gzip": reply(body=gzip.compress(BODY), Content_Encoding="gzip"),
    "/gzip-bomb": reply(body=gzip.compress(bytes(64 << 20)), Content_Encoding="gzip"),
    "/gzip-lie": reply(body=BODY, Content_Encoding="gzip"),
    "/gzip-garbage": reply(body=b"no image and no gzip", Content_Encoding="gzip"),
    "/empty": reply(),
    "/closed": raw(b""),
    "/half-head": raw(b"HTTP/1.1 200 OK\r\nContent-Ty"),
    "/garbage": raw(b"\x00\x01SSH-2.0-garbage\r\n\r\n"),
    "/long-header": raw(_head("X-Long: " + "a" * 20000, "Content-Length: 0")),
    "/many-headers": raw(_head(*[f"X-{i}: a" for i in range(1000)], "Content-Length: 0")),
    "/big-headers": raw(_head(*[f"X-{i}: {'a' * 8000}" for i in range(20)], "Content-Length: 0")),
    "/loop": redirect("/loop-back"),
    "/loop-back": redirect("/loop"),
    "/to-file": redirect("file:///etc/passwd"),
    "/to-nowhere": reply(302),
}
"""Paths and what is wrong with each. Any other `/status/410` answers that status, `/chain/3` leads
to `/ok` in three redirects, and all else is 404."""


async def _fallback(asked: Asked) -> None:
    kind, _, rest = asked.path[1:].partition("/")
    if kind == "status":
        await asked.answer(int(rest), b"" if rest in ("204", "304") else b"some page")
    elif kind == "chain":
        await asked.answer(302, Location=f"/chain/{int(rest) - 1}" if int(rest) > 1 else "/ok")
    else:
        await asked.answer(404, b"not found")


class _Threaded:
    """An event loop in a thread, for as long as the context."""

    def __enter__(self) -> Any:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self.loop).result(30)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self.loop).result(30)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(30)
        self.loop.close()

    async def _open(self) -> None:
        raise NotImplementedError

    async def _end(self) -> None:
        await self._close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _close(self) -> None:
        raise NotImplementedError


class FaultServer(_Threaded):
    """An HTTP server whose answers are chosen by path.

    Args:
        handlers: Answers by path, besides and before those of `FAULTS`.
        tls: Speak TLS with this context.
        greeting: Sent to whoever connects, before anything is asked, and then the end.
        address: A loopback address.
    """

    def __init__(
        self,
        handlers: Mapping[str, Handler] | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        greeting: bytes = b"",
        address: str = "127.0.0.1",
    ) -> None:
        self.handlers = {**FAULTS, **(handlers or {})}
        self.tls = tls
        self.greeting = greeting
        self.address = address
        self.port = 0
        self.asked: list[Asked] = []
        self.connections = 0
        """Connections that were made."""
        self.open = 0
        """Connections that are open."""
        self._counts: Counter[str] = Counter()

    def url(self, path: str, host: str | None = None) -> str:
        name = host or (f"[{self.address}]" if ":" in self.address else self.address)
        return f"http{'s' if self.tls else ''}://{name}:{self.port}{path}"

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.address, 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            if self.greeting:
                writer.write(self.greeting)
                await reader.read(1000)
                return
            while head := await self._head(reader):
                lines = head.decode("latin-1").split("\r\n")
                path = lines[0].split(" ")[1]
                headers = dict(line.split(": ", 1) for line in lines[1:] if line)
                body = await reader.readexactly(int(headers.get("Content-Length", "0")))
                number = self._counts[path]
                self._counts[path] += 1
                asked = Asked(path, headers, self.loop.time(), number, writer, body)
                self.asked.append(asked)
                handling = asyncio.ensure_future(self.handlers.get(path, _fallback)(asked))
                gone = asyncio.ensure_future(reader.read(1)) if path in _NEVER_ENDING else None
                if gone is not None:
                    # Seen only by reading: whoever was kept waiting has hung up.
                    await asyncio.wait({handling, gone}, return_when=asyncio.FIRST_COMPLETED)
                    handling.cancel()
                    gone.cancel()
                    return
                if await handling:
                    return
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return b""


_NEVER_ENDING = {
    "/hang",
    "/slow-headers",
    "/trickled-headers",
    "/slow-body",
    "/trickled-body",
    "/endless-body",
    "/endless-interim",
}

_TYPES = {1: 4, 28: 6}  # A and AAAA, and the version of their addresses


class NameServer(_Threaded):
    """A DNS server over UDP.

    Args:
        names: Addresses of each name; a list of lists gives another answer each time a name is
            looked up, of which the last stays. A name that is not there does not exist.
        ttl: Seconds that answers may be kept.
        silent: Names that get no answer at all.
    """

    def __init__(
        self,
        names: Mapping[str, Sequence[str] | Sequence[Sequence[str]]],
        *,
        ttl: int = 60,
        silent: Sequence[str] = (),
    ) -> None:
        self.names = dict(names)
        self.ttl = ttl
        self.silent = set(silent)
        self.port = 0
        self.asked: list[tuple[str, int]] = []
        """Names and record types."""

    @property
    def address(self) -> str:
        """As settings name it."""
        return f"127.0.0.1:{self.port}"

    async def _open(self) -> None:
        names = self

        class Protocol(asyncio.DatagramProtocol):
            def connection_made(self, transport: Any) -> None:
                self.transport = transport

            def datagram_received(self, data: bytes, source: Any) -> None:
                if (answer := names.answer(data)) is not None:
                    self.transport.sendto(answer, source)

        self._transport, _ = await self.loop.create_datagram_endpoint(
            Protocol, local_addr=("127.0.0.1", 0)
        )
        self.port = self._transport.get_extra_info("sockname")[1]

    async def _close(self) -> None:
        self._transport.close()

    def answer(self, query: bytes) -> bytes | None:
        """The answer to a query (RFC 1035, 4.1)."""
        labels, position = [], 12
        while length := query[position]:
            labels.append(query[position + 1 : position + 1 + length].decode("latin-1"))
            position += 1 + length
        name = ".".join(labels).lower()
        (kind,) = struct.unpack_from("!H", query, position + 1)
        question = query[12 : position + 5]
        if name in self.silent:
            self.asked.append((name, kind))
            return None
        addresses = self._addresses(name, kind)
        self.asked.append((name, kind))
        records = b""
        count = 0
        for address in map(ipaddress.ip_address, addresses or ()):
            if address.version == _TYPES.get(kind):
                packed = address.packed
                records += struct.pack("!HHHIH", 0xC00C, kind, 1, self.ttl, len(packed)) + packed
                count += 1
        flags = 0x8180 if addresses is not None else 0x8183
        return query[:2] + struct.pack("!HHHHH", flags, 1, count, 0, 0) + question + records

    def _addresses(self, name: str, kind: int) -> Sequence[str] | None:
        answers = self.names.get(name)
        if not answers:
            return None
        if isinstance(answers[0], str):
            return answers  # type: ignore[return-value]
        return answers[min(self.asked.count((name, kind)), len(answers) - 1)]


def certificates(folder: Path, name: str) -> Iterator[tuple[str, Path]]:
    """Certificates for a name, made now: what is wrong with each, and a file with it and its key.

    Yields:
        `authority` (to be trusted, without a key), then `good`, `expired`, `other-name` and
        `self-signed`.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])

    def make(
        label: str, subject: str, begin: datetime.datetime, end: datetime.datetime, own: bool
    ) -> tuple[str, Path]:
        key = authority_key if label == "authority" else ec.generate_private_key(ec.SECP256R1())
        own_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
        signer = key if own else authority_key
        certificate = (
            x509.CertificateBuilder()
            .subject_name(authority_name if label == "authority" else own_name)
            .issuer_name(own_name if own and label != "authority" else authority_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(subject)]), critical=False)
            .add_extension(
                x509.BasicConstraints(ca=label == "authority", path_length=None), critical=True
            )
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
                critical=False,
            )
            .sign(signer, hashes.SHA256())
        )
        path = folder / f"{label}.pem"
        data = certificate.public_bytes(serialization.Encoding.PEM)
        if label != "authority":
            data += key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        path.write_bytes(data)
        return label, path

    yield make("authority", "authority.test", now - day, now + day, own=True)
    yield make("good", name, now - day, now + day, own=False)
    yield make("expired", name, now - 3 * day, now - day, own=False)
    yield make("other-name", f"other.{name}", now - day, now + day, own=False)
    yield make("self-signed", name, now - day, now + day, own=True)


def tls_context(path: Path) -> ssl.SSLContext:
    """What a server needs to show a certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return context
