"""Reads a demo crawl with code that shares nothing with its generator."""

import re
import zlib
from collections import Counter

from bs4 import BeautifulSoup

from pipeline.demo.truth import DemoTruth, PageTruth

UNSPACED = ("zh", "ja")
TYPES_OF_PAGES = ("response", "resource", "revisit")


class Record:
    """A record as this test reads it."""

    def __init__(self, headers: dict[str, str], block: bytes, warc: str) -> None:
        self.kind = headers["WARC-Type"]
        self.url = headers.get("WARC-Target-URI", "")
        self.headers, self.block, self.warc = headers, block, warc
        self.http: dict[str, str] = {}
        self.status, self.body = 200, block
        if headers.get("Content-Type", "").startswith("application/http; msgtype=response"):
            head, _, self.body = block.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            self.status = int(first.split()[1])
            self.http = dict(line.split(": ", 1) for line in lines)

    def content(self) -> bytes:
        """The body without its codings."""
        body = self.body
        if self.http.get("Transfer-Encoding") == "chunked":
            body, rest = b"", body
            while not rest.startswith(b"0\r\n"):
                size, _, rest = rest.partition(b"\r\n")
                body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        coding = self.http.get("Content-Encoding")
        if coding == "gzip" and body[:2] == b"\x1f\x8b":
            return zlib.decompress(body, 31)
        if coding == "deflate":
            return zlib.decompress(body)
        return body


def parse_record(data: bytes, warc: str) -> Record | None:
    """A record from its bytes, None where it is cut off."""
    head, _, rest = data.partition(b"\r\n\r\n")
    version, *lines = head.decode().split("\r\n")
    assert version == "WARC/1.1"
    headers = dict(line.split(": ", 1) for line in lines)
    size = int(headers["Content-Length"])
    return Record(headers, rest[:size], warc) if len(rest) >= size + 4 else None


def read_gzip(data: bytes, warc: str) -> tuple[list[Record], int, int]:
    """Good records, corrupt members and cut members of a file with a member for each record."""
    starts = [m.start() for m in re.finditer(rb"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff", data)]
    records, corrupt, cut = [], 0, 0
    place = 0
    for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
        if start < place:
            continue  # The same ten bytes by chance, or a compressed body, inside a member.
        inflate = zlib.decompressobj(31)
        try:
            content = inflate.decompress(data[start:])
        except zlib.error:
            corrupt += 1
            continue
        if not inflate.eof:
            assert end == len(data)
            cut += 1
            continue
        place = len(data) - len(inflate.unused_data)
        record = parse_record(content, warc)
        assert record is not None
        records.append(record)
    return records, corrupt, cut


def read_plain(data: bytes, warc: str) -> tuple[list[Record], int, int]:
    """Good records and cut records of a file without compression."""
    records: list[Record] = []
    while data:
        record = parse_record(data, warc)
        if record is None:
            return records, 0, 1
        records.append(record)
        data = data[data.index(b"\r\n\r\n") + 4 + len(record.block) + 4 :]
    return records, 0, 0


def article_text(soup: BeautifulSoup) -> str:
    """Paragraphs of the content, a line each."""
    texts = [p.get_text() for p in soup.find_all("p") if not p.find_parent("footer")]
    return "\n".join(" ".join(text.split()) for text in texts if text.strip())


def kept(truth: DemoTruth) -> list[PageTruth]:
    return [page for page in truth.pages if page.outcome != "rejected"]


def ngram_share(words: list[str], size: int, *, top: bool) -> float:
    """Share of characters in the most frequent n-gram or in all repeated ones (Gopher, A1.1)."""
    grams = [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]
    total = sum(map(len, words))
    if top:
        gram, count = Counter(grams).most_common(1)[0]
        return sum(map(len, gram)) * count / total if count > 1 else 0.0
    counts = Counter(grams)
    inside = {i + k for i, g in enumerate(grams) if counts[g] > 1 for k in range(size)}
    return sum(len(words[i]) for i in inside) / total


def shingles(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}


def jaccard(a: set[tuple[str, ...]], b: set[tuple[str, ...]]) -> float:
    return len(a & b) / len(a | b)
