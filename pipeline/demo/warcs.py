"""Writes a planned crawl as WARC files, with the damage that real ones have.

Three gzip files with a member for every record and a plain one (WARC/1.1, ISO 28500:2017). Sites
are spread over all of them; most images lie beside their page, some in another file. Digests are
those of the stored HTTP body. Every byte follows from the plan: no clock, no random ids.
"""

import base64
import hashlib
import random
import struct
import uuid
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from pipeline.demo.images import Picture
from pipeline.demo.plan import FIRST_DATE, Page, write_date
from pipeline.demo.truth import WarcTruth

FILES = ("demo-00.warc.gz", "demo-01.warc.gz", "demo-02.warc.gz", "demo-03.warc")
CORRUPT_FILE = 1
TRUNCATED_FILES = (2, 3)
IMAGE_DATE = write_date(FIRST_DATE.replace(month=6))
REVISIT_DATE = write_date(FIRST_DATE.replace(month=7))
REVISIT_PROFILE = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
_IDS = uuid.uuid5(uuid.NAMESPACE_URL, "https://meadow.example/records")


@dataclass(slots=True)
class _File:
    """A WARC while it is put together."""

    name: str
    parts: list[bytes] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    corrupt: int = 0
    truncated: int = 0
    last: list[bytes] = field(default_factory=list)
    """Truncated records, which come at the end."""


def payload_digest(body: bytes) -> str:
    """WARC-Payload-Digest: SHA-1 in base 32."""
    return "sha1:" + base64.b32encode(hashlib.sha1(body).digest()).decode()


def _deflate(data: bytes, window: int) -> bytes:
    deflater = zlib.compressobj(6, zlib.DEFLATED, window)
    return deflater.compress(data) + deflater.flush()


def gzip_member(data: bytes) -> bytes:
    """A gzip member without time, name or operating system."""
    tail = struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + _deflate(data, -15) + tail


def _chunked(data: bytes) -> bytes:
    sizes = iter([7, 300, 4096] + [1024] * (len(data) // 1024 + 1))
    out, place = b"", 0
    while place < len(data):
        piece = data[place : place + next(sizes)]
        out += b"%x\r\n%s\r\n" % (len(piece), piece)
        place += len(piece)
    return out + b"0\r\n\r\n"


def _brotli(data: bytes) -> bytes:
    """Brotli without compression (RFC 7932, 9.2): stored blocks after a window of 16 bits."""
    out = b""
    for place in range(0, len(data), 65536):
        block = data[place : place + 65536]
        # From the lowest bit: window (first block only), not last, 4 nibbles, size - 1, stored.
        head = (len(block) - 1) << 3 | 1 << 19
        head = head << 1 if place == 0 else head
        out += head.to_bytes(3, "little") + block
    return out + b"\x03"


_CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip_member,
    "deflate": lambda data: _deflate(data, 15),
    "br": _brotli,
    "chunked": _chunked,
}


def _http_head(status: int, headers: list[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _sent(page: Page) -> tuple[bytes, list[tuple[str, str]]]:
    """The body and the headers as the server sent them."""
    body, headers = page.body, list(page.headers)
    if page.coding == "gzip claimed":
        headers.append(("Content-Encoding", "gzip"))
    else:
        for coding in filter(None, page.coding.split(",")):
            body = _CODINGS[coding](body)
            name = "Transfer-Encoding" if coding == "chunked" else "Content-Encoding"
            headers.append((name, coding))
    if "chunked" not in page.coding:
        headers.append(("Content-Length", str(len(body))))
    return body, headers


def record(kind: str, url: str, date: str, block: bytes, headers: list[tuple[str, str]]) -> bytes:
    """A WARC record. Its id is a hash of what it holds."""
    named = hashlib.sha256(block).hexdigest()
    lines = ["WARC/1.1", f"WARC-Type: {kind}"]
    lines.append(f"WARC-Record-ID: <urn:uuid:{uuid.uuid5(_IDS, f'{kind} {url} {date} {named}')}>")
    lines += [f"WARC-Target-URI: {url}"] if url else []
    lines += [f"WARC-Date: {date}"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines.append(f"Content-Length: {len(block)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + block + b"\r\n\r\n"


def _http_record(
    kind: str,
    url: str,
    date: str,
    status: int,
    http: list[tuple[str, str]],
    body: bytes,
    extra: list[tuple[str, str]],
) -> bytes:
    """A response, a revisit (head only) or a resource (body only)."""
    headers = [("WARC-Payload-Digest", payload_digest(body)), *extra]
    if kind == "resource":
        types = [value for name, value in http if name == "Content-Type"]
        return record(kind, url, date, body, [*headers, ("Content-Type", types[0])])
    block = _http_head(status, http) + (b"" if kind == "revisit" else body)
    headers.append(("Content-Type", "application/http; msgtype=response"))
    return record(kind, url, date, block, headers)


def _page_record(page: Page) -> bytes:
    body, http = _sent(page)
    kind, extra = page.record_type, page.warc_headers
    return _http_record(kind, page.url, page.date, page.status, http, body, extra)


def _image_records(picture: Picture) -> Iterator[tuple[str, bytes]]:
    """The records of an image URL, with their types; none where the crawl has none."""
    if picture.data is None:
        return
    kind, body, extra = picture.record_type, picture.data, list[tuple[str, str]]()
    original = picture.revisit_of
    if original is not None and original.data is not None:
        kind, body = "revisit", original.data
        extra = _refers_to(original.url)
    http = [("Content-Type", picture.content_type), ("Content-Length", str(len(body)))]
    url, status = picture.url, picture.status
    date = IMAGE_DATE if original is None else REVISIT_DATE
    yield kind, _http_record(kind, url, date, status, http, body, extra)
    if picture.revisited:
        extra = _refers_to(url)
        yield "revisit", _http_record("revisit", url, REVISIT_DATE, status, http, body, extra)


def _refers_to(url: str) -> list[tuple[str, str]]:
    return [
        ("WARC-Profile", REVISIT_PROFILE),
        ("WARC-Refers-To-Target-URI", url),
        ("WARC-Refers-To-Date", IMAGE_DATE),
    ]


def _store(file: _File, kind: str, data: bytes, damage: str = "") -> None:
    """Appends a record, as a gzip member where the file is one, damaged where asked."""
    stored = gzip_member(data) if file.name.endswith(".gz") else data
    if damage == "truncated":
        file.truncated += 1
        file.last.append(stored[: len(stored) * 3 // 5])
        return
    if damage == "corrupt":
        # Right behind the member's head: nothing of the record can be inflated.
        stored = stored[:10] + b"\xff" * 64 + stored[74:]
        file.corrupt += 1
    else:
        file.counts[kind] = file.counts.get(kind, 0) + 1
    file.parts.append(stored)


def _extras(page: Page, number: int) -> Iterator[tuple[str, bytes]]:
    """Records that crawlers write beside a response."""
    if number % 10 == 0:
        host = page.url.split("/")[2]
        block = f"GET /{page.url.split('/', 3)[3]} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        kind = [("Content-Type", "application/http; msgtype=request")]
        yield "request", record("request", page.url, page.date, block, kind)
    if number % 25 == 0:
        kind = [("Content-Type", "application/warc-fields")]
        yield "metadata", record("metadata", page.url, page.date, b"fetchTimeMs: 41\r\n", kind)


def write_warcs(
    folder: Path, seed: int, pages: list[Page], pictures: list[Picture]
) -> tuple[list[WarcTruth], dict[int, str], dict[str, list[str]]]:
    """Writes the files.

    Returns:
        What each file holds; the file of every page, by the page's place in the list; the files of
        every image URL.
    """
    files = [_File(name) for name in FILES]
    for file in files:
        about = f"software: weft demo crawl\r\nisPartOf: {file.name}\r\n".encode()
        headers = [("WARC-Filename", file.name), ("Content-Type", "application/warc-fields")]
        _store(file, "warcinfo", record("warcinfo", "", write_date(FIRST_DATE), about, headers))
    page_files: dict[int, str] = {}
    image_files: dict[str, list[str]] = {}
    left = {picture.url: picture for picture in pictures}
    order = list(range(len(pages)))
    random.Random(f"{seed}/order").shuffle(order)
    truncated = iter(TRUNCATED_FILES)
    corrupt = [i for i in order if pages[i].damage == "corrupt"]
    order = [i for i in order if i not in corrupt]
    # Well inside its file: good records come before it and after it.
    order[len(order) // 2 : len(order) // 2] = corrupt
    for number, i in enumerate(order):
        page = pages[i]
        place = number % len(files)
        if page.damage:
            place = CORRUPT_FILE if page.damage == "corrupt" else next(truncated)
        page_files[i] = FILES[place]
        _store(files[place], page.record_type, _page_record(page), page.damage)
        for kind, data in _extras(page, number):
            _store(files[place], kind, data)
        for figure in page.figures:
            for picture in (figure.picture, *figure.alternatives):
                if left.pop(picture.url, None) is None:
                    continue
                # Every seventh image lies in another file than its page.
                at = (place + (len(left) % 7 == 0)) % len(files)
                for kind, data in _image_records(picture):
                    _store(files[at], kind, data)
                    image_files.setdefault(picture.url, []).append(FILES[at])
    assert not left, f"no page shows {sorted(left)}"
    truths = []
    for file in files:
        data = b"".join(file.parts + file.last)
        path = folder / file.name
        # A file that stands already keeps its modification time, so a second demo resumes.
        if not path.exists() or path.read_bytes() != data:
            path.write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
        counts = dict(sorted(file.counts.items()))
        truths.append(WarcTruth(file.name, len(data), sha256, counts, file.corrupt, file.truncated))
    return truths, page_files, image_files
