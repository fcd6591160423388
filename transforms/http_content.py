"""Undo the transfer and content codings of an HTTP body, bounded in output.

A crawl keeps what the server sent, and servers lie: a body may claim gzip and be plain, claim
chunks and have none. So a coding that cannot be undone is a failure only where the body as stored
is of no use either; a page or an image is taken as it is. The trade-off: a page that really is half
decoded garbage fails, rather than being guessed at.
"""

import re
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]  # it has no stubs
import zstandard

from schemas.errors import ContentDecodeError, PayloadTooLargeError

MAX_CODINGS = 8
"""Codings named for one body; more is an attack, not a server."""
ZSTD_MAX_WINDOW_BYTES = 8 * 1024 * 1024
"""Window that a decoder of the HTTP coding `zstd` has to support and may refuse to exceed (RFC
9659, section 3)."""
MAX_MEMBERS = 1000
"""Gzip members or zstd frames of one body; servers send one, so more is an attack on our time."""
SNIFF_BYTES = 1024
"""Bytes looked at to tell HTML from other data."""

_GZIP = 31  # zlib's window bits for the gzip format
_OUTPUT_STEP = 1 << 20
_INPUT_STEP = 16 << 10
# zstandard has no bound on the output of one call. A block takes 4 bytes or more and gives 128 KiB
# at most, so a small piece bounds it.
_ZSTD_INPUT_STEP = 256
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]{0,4096})?\r?\n")
_CHUNK_END = re.compile(rb"\r?\n")
# The patterns of the WHATWG MIME sniffing standard, section 7.1, and the XHTML and body-only
# openings seen in crawls.
_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?[\s\x00]*<(?:!doctype\s+html|!--|\?xml\s|(?:html|head|body|script|iframe|h[1-6]"
    rb"|div|font|table|a|style|title|meta|link|b|br|p|ul|ol|img|center|frameset|form|span|section"
    rb"|article|main)[\s/>])",
    re.IGNORECASE,
)
_IMAGE = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF.{4}WEBP|BM.{4}\x00\x00\x00\x00|II\*\x00|MM\x00\*"
    rb"|\x00\x00\x01\x00|.{4}ftyp(?:avif|avis|heic|mif1)",
    re.DOTALL,
)


class _Undecodable(Exception):
    """A coding that this body does not have."""


def looks_like_html(body: bytes) -> bool:
    """Whether the first bytes open an HTML page."""
    return _HTML.match(body[:SNIFF_BYTES]) is not None


def looks_like_image(body: bytes) -> bool:
    """Whether the first bytes are those of a raster image format."""
    return _IMAGE.match(body) is not None


def remove_chunks(body: bytes) -> bytes:
    """Undo `Transfer-Encoding: chunked` (RFC 9112, section 7.1).

    A body that does not begin with a chunk is returned as it is. Where chunks stop making sense,
    what follows is appended as stored, and a last chunk that is cut short is kept: no byte of
    content is lost.
    """
    parts: list[bytes] = []
    position = 0
    while position < len(body):
        line = _CHUNK_SIZE.match(body, position)
        if line is None:
            parts.append(body[position:])
            break
        size = int(line[1], 16)
        if size == 0:
            break
        end = line.end() + size
        parts.append(body[line.end() : end])
        if end >= len(body):
            break
        closing = _CHUNK_END.match(body, end)
        if closing is None:
            if position == 0:
                return body
            parts[-1:] = [body[position:]]
            break
        position = closing.end()
    return b"".join(parts)


def _collect(step: Callable[[int], bytes], max_bytes: int) -> bytes:
    """Join what `step(most)` gives until it gives nothing; stops at the first byte too many."""
    parts: list[bytes] = []
    total = 0
    while piece := step(min(_OUTPUT_STEP, max_bytes + 1 - total)):
        parts.append(piece)
        total += len(piece)
        if total > max_bytes:
            raise PayloadTooLargeError(f"the decoded body is larger than {max_bytes} bytes")
    return b"".join(parts)


def _zlib(body: bytes, window_bits: int, max_bytes: int, partial: bool) -> bytes:
    inflater = zlib.decompressobj(window_bits)
    position = 0
    members = 1

    def step(most: int) -> bytes:
        nonlocal inflater, position, members
        while True:
            if inflater.eof:
                # Several gzip members make one body (RFC 1952, section 2.2); anything else behind
                # it is padding.
                position -= len(inflater.unused_data)
                if window_bits != _GZIP or body[position : position + 2] != b"\x1f\x8b":
                    return b""
                members += 1
                if members > MAX_MEMBERS:
                    raise _Undecodable(f"more than {MAX_MEMBERS} members")
                inflater = zlib.decompressobj(window_bits)
            given = inflater.unconsumed_tail
            if not given:
                given = body[position : position + _INPUT_STEP]
                position += len(given)
            try:
                piece = inflater.decompress(given, most)
            except zlib.error as error:
                raise _Undecodable(str(error)) from error
            if piece:
                return piece
            if not given and not inflater.eof:
                return b""

    decoded = _collect(step, max_bytes)
    if not inflater.eof and not (partial and decoded):
        raise _Undecodable("the compressed data ends early")
    return decoded


def _gzip(body: bytes, max_bytes: int, partial: bool) -> bytes:
    return _zlib(body, _GZIP, max_bytes, partial)


def _deflate(body: bytes, max_bytes: int, partial: bool) -> bytes:
    """The zlib format (RFC 9110, section 8.4.1.2); some servers send raw deflate data."""
    try:
        return _zlib(body, 15, max_bytes, partial)
    except _Undecodable as error:
        try:
            return _zlib(body, -15, max_bytes, partial)
        except _Undecodable:
            raise error from None


def _brotli(body: bytes, max_bytes: int, partial: bool) -> bytes:
    decompressor = brotli.Decompressor()
    rest = body

    def step(most: int) -> bytes:
        nonlocal rest
        given, rest = rest, b""
        try:
            return bytes(decompressor.process(given, output_buffer_limit=most))
        except brotli.error as error:
            raise _Undecodable("no brotli data") from error

    decoded = _collect(step, max_bytes)
    if not decompressor.is_finished() and not (partial and decoded):
        raise _Undecodable("the compressed data ends early")
    return decoded


def _zstd(body: bytes, max_bytes: int, partial: bool) -> bytes:
    decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_MAX_WINDOW_BYTES)
    frame = decompressor.decompressobj()
    position = 0
    frames = 1

    def step(most: int) -> bytes:
        nonlocal frame, position, frames
        while True:
            if frame.eof:
                position -= len(frame.unused_data)
                if body[position : position + 4] != b"\x28\xb5\x2f\xfd":
                    return b""
                frames += 1
                if frames > MAX_MEMBERS:
                    raise _Undecodable(f"more than {MAX_MEMBERS} frames")
                frame = decompressor.decompressobj()
            given = body[position : position + _ZSTD_INPUT_STEP]
            if not given:
                return b""
            position += len(given)
            try:
                piece = frame.decompress(given)
            except zstandard.ZstdError as error:
                raise _Undecodable(str(error)) from error
            if piece:
                return piece

    decoded = _collect(step, max_bytes)
    if not frame.eof and not (partial and decoded):
        raise _Undecodable("the compressed data ends early")
    return decoded


_DECODERS: dict[str, Callable[[bytes, int, bool], bytes]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
_NO_CODING = frozenset({"", "identity", "none"})


def _codings(header: str | None) -> list[str]:
    """The codings of a header in the order they were applied."""
    names = [name.strip().lower() for name in (header or "").split(",")]
    return [name for name in names if name not in _NO_CODING]


def _undo(body: bytes, codings: list[str], max_bytes: int, partial: bool) -> bytes:
    if len(codings) > MAX_CODINGS:
        raise _Undecodable(f"{len(codings)} codings")
    for coding in reversed(codings):
        if not body:
            return body
        if coding == "chunked":
            body = remove_chunks(body)
        elif coding in _DECODERS:
            try:
                body = _DECODERS[coding](body, max_bytes, partial)
            except _Undecodable as error:
                raise _Undecodable(f"{coding}: {error}") from error
        else:
            raise _Undecodable(f"unknown coding {coding[:40]!r}")
    return body


def undo_codings(
    body: bytes,
    transfer_encoding: str | None,
    content_encoding: str | None,
    max_bytes: int,
    *,
    partial: bool = False,
) -> bytes:
    """The content of an HTTP message, from its body as stored.

    Args:
        body: The body as received, or as far as it was stored.
        transfer_encoding: Value of `Transfer-Encoding`; several headers joined by commas.
        content_encoding: Value of `Content-Encoding`, likewise.
        max_bytes: The most bytes the content may have; no more than about 64 MiB beyond it are ever
            held.
        partial: The body is known to be cut short, so compressed data that ends early gives what it
            holds.

    Raises:
        ContentDecodeError: A coding is unknown or cannot be undone, and the body is neither HTML
            nor an image.
        PayloadTooLargeError: The content has more than `max_bytes`; it is not decoded to the end.
    """
    names = ", ".join(_codings(transfer_encoding) + _codings(content_encoding))
    if names:
        raw = body
        try:
            raw = body = _undo(body, _codings(transfer_encoding), max_bytes, partial)
            body = _undo(body, _codings(content_encoding), max_bytes, partial)
        except _Undecodable as error:
            if not (looks_like_html(raw) or looks_like_image(raw)):
                raise ContentDecodeError(f"codings {names[:100]!r}: {error}") from error
            body = raw
    if len(body) > max_bytes:
        raise PayloadTooLargeError(f"a body of {len(body)} bytes is larger than {max_bytes}")
    return body
