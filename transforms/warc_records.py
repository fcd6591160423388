"""What one record of a crawl file says: its head, the HTTP message in it, the body decoded."""

import base64
import hashlib
import io
import re
from dataclasses import dataclass

from fastwarc.warc import HeaderMap, WarcRecord

from schemas.errors import DataError, HttpParseError, WarcParseError
from transforms.http_content import undo_codings

MAX_HTTP_HEAD_BYTES = 1 << 20
"""The most bytes of an HTTP head; servers limit theirs to 8 to 256 KiB."""

_HTTP_RECORD = (
    b"WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http\r\n"
    b"Content-Length: %d\r\n\r\n%b"
)
_STATUS_LINE = re.compile(rb"HTTP/\d[\d.]*[ \t]+(\d{3})\b", re.IGNORECASE)
_DIGEST = re.compile(r"([A-Za-z0-9-]{1,20}):([A-Za-z0-9+/=_-]{1,200})")
_HEX_SHA1 = re.compile(r"[0-9a-fA-F]{40}")


@dataclass(frozen=True, slots=True)
class WarcConfig:
    """Bounds of the reader."""

    max_payload_bytes: int = 64 << 20
    """Bytes of a payload, before and after undoing its codings; a larger one is a
    `PayloadTooLargeError`. Holds every page and nearly every image."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record that may hold a page or an image."""

    kind: str
    """`response`, `resource` or `revisit`."""
    url: str
    """WARC-Target-URI without the angle brackets that some writers put around it."""
    date: str
    """WARC-Date as written, or empty."""
    offset: int
    """Byte offset in the file of the record, or of the compressed member that holds it."""
    status: int | None
    """HTTP status; null for what did not come over HTTP."""
    content_type: str
    """Media type, lower-case, without parameters; empty if none is declared."""
    content_type_raw: str | None
    """The media type as declared, with its parameters."""
    payload: bytes
    """The body with its codings undone; empty for a revisit."""
    payload_digest: str
    """WARC-Payload-Digest if declared (a sha1 always as `sha1:` and base32), else the sha1 of the
    body as stored; empty for a revisit that declares none."""
    truncated: str | None
    """WARC-Truncated as written."""
    refers_to_url: str | None
    """WARC-Refers-To-Target-URI of a revisit."""
    http_headers: tuple[tuple[str, str], ...] = ()
    """Names, in lower case, and values of the HTTP header lines, as received and in their order."""


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record, or bytes where one should be, that could not be read."""

    offset: int
    """As in `Record`."""
    url: str
    """WARC-Target-URI where it could still be read, or empty."""
    error: DataError
    """What is wrong; its message names file and offset."""


@dataclass(frozen=True, slots=True)
class SkippedRecord:
    """A sound record of a type that holds no page: it is only counted."""

    kind: str
    """WARC-Type in lower case: `request`, `metadata`, `warcinfo`, `conversion`, ..."""


def clean_url(value: str) -> str:
    """A URL without surrounding space and without the `<...>` that wget and others write."""
    value = value.strip()
    if value.startswith("<") and value.endswith(">"):
        value = value[1:-1].strip()
    return value


def parse_head(head: bytes) -> dict[str, str]:
    """The headers of a record; the first of several of one name counts, but lengths must agree."""
    if b"\r\n" not in head:
        head = head.replace(b"\n", b"\r\n")
    headers = HeaderMap()
    try:
        headers.parse(io.BytesIO(head))
    except OSError as error:
        raise WarcParseError(f"unreadable record head: {error}") from error
    found: dict[str, str] = {}
    for name, value in headers.to_tuples():
        name = name.lower()
        if found.setdefault(name, value) != value and name == "content-length":
            raise WarcParseError("two different values of Content-Length")
    for name in ("warc-type", "content-length"):
        if not found.get(name):
            raise WarcParseError(f"a record without {name}")
    length = found["content-length"]
    if not (length.isascii() and length.isdigit() and len(length) <= 18):
        raise WarcParseError(f"Content-Length is {length[:40]!r}")
    return found


def _payload_digest(declared: str, body: bytes | None) -> str:
    """The digest that revisits are joined by, in one spelling."""
    match = _DIGEST.fullmatch(declared.strip())
    if match is not None:
        algorithm, value = match[1].lower(), match[2]
        if algorithm == "sha1" and _HEX_SHA1.fullmatch(value):
            value = base64.b32encode(bytes.fromhex(value)).decode()
        return f"{algorithm}:{value.upper() if algorithm == 'sha1' else value}"
    if body is None:
        return ""
    return "sha1:" + base64.b32encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode()


def _parse_http(block: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, header lines and body of an HTTP message."""
    status_line = _STATUS_LINE.match(block)
    if status_line is None:
        raise HttpParseError(f"no HTTP status line but {block[:40]!r}")
    record = WarcRecord.from_bytes(_HTTP_RECORD % (len(block), block))
    try:
        record.parse_http(max_header_len=MAX_HTTP_HEAD_BYTES, quirks_mode=True)
        lines = [(name.lower(), value) for name, value in record.http_headers.to_tuples()]
        return int(status_line[1]), lines, record.reader.read()
    except OSError as error:
        raise HttpParseError(f"unreadable HTTP head: {error}") from error


def _joined(lines: list[tuple[str, str]]) -> dict[str, str]:
    """Headers by name; values of repeated ones joined by commas."""
    headers: dict[str, str] = {}
    for name, value in lines:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _media_type(declared: str | None) -> str:
    return (declared or "").split(";", 1)[0].split(",", 1)[0].strip().lower()


def to_record(
    kind: str, headers: dict[str, str], block: bytes, offset: int, config: WarcConfig
) -> Record:
    """The record of a head and its block; raises `RecordError`."""
    truncated = headers.get("warc-truncated") or None
    status: int | None = None
    declared_type: str | None = headers.get("content-type")
    http: dict[str, str] = {}
    lines: list[tuple[str, str]] = []
    body = block
    is_http = _media_type(declared_type) == "application/http" or block[:5] == b"HTTP/"
    if kind != "resource" and is_http and (block or kind == "response"):
        status, lines, body = _parse_http(block)
        http = _joined(lines)
        declared_type = http.get("content-type")
    elif kind == "revisit":
        declared_type = None
    digest = headers.get("warc-payload-digest", "")
    if kind == "revisit":
        payload = b""
    else:
        payload = undo_codings(
            body,
            http.get("transfer-encoding"),
            http.get("content-encoding"),
            config.max_payload_bytes,
            partial=truncated is not None,
        )
    refers_to = headers.get("warc-refers-to-target-uri")
    return Record(
        kind=kind,
        url=clean_url(headers.get("warc-target-uri", "")),
        date=headers.get("warc-date", ""),
        offset=offset,
        status=status,
        content_type=_media_type(declared_type),
        content_type_raw=declared_type,
        payload=payload,
        payload_digest=_payload_digest(digest, None if kind == "revisit" else body),
        truncated=truncated,
        refers_to_url=clean_url(refers_to) if refers_to else None,
        http_headers=tuple(lines),
    )
