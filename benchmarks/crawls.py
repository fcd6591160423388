"""Crawl files to measure on: real pages and images, repeated under other hosts.

The source is a folder of saved web sites (each with `_site.json` naming its base URL) where there
is one, else the generated demo crawl. Every repeat moves a record to another host, in its URL and
inside the page, and changes the bytes of every image, so that no repeat is an exact duplicate of
another: packs are written for each, and ids differ. Texts do repeat, which extract does not notice.
"""

import gzip
import json
import mimetypes
import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit

from pipeline.demo import generate_demo_crawl
from transforms.extract import record_kind
from transforms.warc import Record, WarcConfig, read_records

SITES = Path(__file__).resolve().parents[2] / "shared" / "data" / "sites"
PAGE_ENDINGS = (".html", ".htm", ".xhtml")
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".avif")
DATE = "2026-01-01T00:00:00Z"
DEMO_PAGES = 1200
DEMO_SEED = 0
LEVEL = 6
"""Of gzip: what crawlers use, and what the time to inflate depends on little."""


@dataclass(frozen=True, slots=True)
class Item:
    """A page or an image of the source."""

    url: str
    content_type: str
    body: bytes
    is_page: bool


@dataclass(frozen=True, slots=True)
class Source:
    """Where the items came from."""

    name: str
    items: tuple[Item, ...]

    @property
    def pages(self) -> int:
        """Number of pages."""
        return sum(item.is_page for item in self.items)

    @property
    def images(self) -> int:
        """Number of images, broken ones included."""
        return len(self.items) - self.pages

    def thinned(self, every: int) -> "Source":
        """Every so many-th item only."""
        name = self.name if every == 1 else f"{self.name}; one of {every} records"
        return Source(name, self.items[::every])


def load_source(sites: Path = SITES) -> Source:
    """The saved sites, or the demo crawl where there are none."""
    folders = sorted(path.parent for path in sites.glob("*/_site.json"))
    if folders:
        items = tuple(item for folder in folders for item in _site_items(folder))
        return Source("saved sites: " + ", ".join(folder.name for folder in folders), items)
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as folder_name:
        generate_demo_crawl(Path(folder_name), seed=DEMO_SEED, pages=DEMO_PAGES)
        items = tuple(_demo_items(Path(folder_name)))
    return Source(f"generated demo crawl, seed {DEMO_SEED}, {DEMO_PAGES} pages", items)


def _site_items(folder: Path) -> Iterator[Item]:
    base = json.loads((folder / "_site.json").read_text())["base"]
    for path in sorted(folder.rglob("*")):
        ending = path.suffix.lower()
        if path.name.startswith("_") or ending not in (*PAGE_ENDINGS, *IMAGE_ENDINGS):
            continue
        url = urljoin(base, quote(path.relative_to(folder).as_posix()))
        content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        yield Item(url, content_type, path.read_bytes(), ending in PAGE_ENDINGS)


def _demo_items(folder: Path) -> Iterator[Item]:
    for path in sorted(folder.glob("**/*.warc*")):
        with path.open("rb") as stream:
            for record in read_records(stream, path.name, WarcConfig(), 0, None):
                if not isinstance(record, Record) or record.status != 200 or not record.payload:
                    continue
                kind = record_kind(record)
                if kind in ("page", "image"):
                    raw = record.content_type_raw or record.content_type
                    yield Item(record.url, raw, record.payload, kind == "page")


@dataclass(frozen=True, slots=True)
class Repeat:
    """One file to write: the whole source under another host."""

    number: int
    image_share: int
    """Every `image_share`-th image is in the file (another one in each repeat); 0 for none."""

    def picks(self, index: int) -> bool:
        """Whether the image of this index is in the repeat."""
        return self.image_share > 0 and index % self.image_share == self.number % self.image_share


@dataclass(frozen=True, slots=True)
class Crawl:
    """A crawl file (or several) and what is in it."""

    paths: tuple[Path, ...]
    pages: int
    images: int

    @property
    def bytes(self) -> int:
        """Compressed size."""
        return sum(path.stat().st_size for path in self.paths)

    def as_json(self) -> dict[str, int]:
        """For the details of a report."""
        return {
            "files": len(self.paths),
            "pages": self.pages,
            "images": self.images,
            "bytes": self.bytes,
        }


def write_repeats(
    source: Source, folder: Path, name: str, repeats: Sequence[Repeat], processes: int = 2
) -> list[Crawl]:
    """A file for each repeat; the same source gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}-{repeat.number:03d}.warc.gz" for repeat in repeats]
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(_write_repeat, [source] * len(repeats), paths, repeats))


def _write_repeat(source: Source, path: Path, repeat: Repeat) -> Crawl:
    images = [item for item in source.items if not item.is_page]
    chosen = [item for item in source.items if item.is_page]
    pages = len(chosen)
    chosen += [item for index, item in enumerate(images) if repeat.picks(index)]
    # Pages and images lie mixed, as in a crawl, so that every slice holds both.
    random.Random(repeat.number).shuffle(chosen)
    with path.open("wb") as out:
        out.write(
            warc_member("warcinfo", None, "application/warc-fields", b"software: benchmark\r\n")
        )
        for item in chosen:
            url, body = _moved(item, repeat.number)
            lines = f"Content-Type: {item.content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
            block = f"HTTP/1.1 200 OK\r\n{lines}".encode() + body
            out.write(warc_member("response", url, "application/http; msgtype=response", block))
    return Crawl((path,), pages, len(chosen) - pages)


def _moved(item: Item, number: int) -> tuple[str, bytes]:
    parts = urlsplit(item.url)
    host = f"r{number:03d}.{parts.netloc}"
    url = parts._replace(netloc=host).geturl()
    if item.is_page:
        return url, item.body.replace(parts.netloc.encode(), host.encode())
    # Decoders ignore what follows an image's end; in an SVG it is a comment.
    return url, item.body + f"<!-- {number:03d} -->".encode()


def warc_member(kind: str, url: str | None, content_type: str, block: bytes) -> bytes:
    """A record as a gzip member; the same arguments give the same bytes."""
    lines = ["WARC/1.1", f"WARC-Type: {kind}", f"WARC-Date: {DATE}"]
    if url is not None:
        lines.append(f"WARC-Target-URI: {url}")
    lines += [f"Content-Type: {content_type}", f"Content-Length: {len(block)}", "", ""]
    return gzip.compress("\r\n".join(lines).encode() + block + b"\r\n\r\n", LEVEL, mtime=0)


def joined(crawls: Sequence[Crawl], path: Path) -> Crawl:
    """All files as one: gzip members follow each other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        for crawl in crawls:
            for part in crawl.paths:
                with part.open("rb") as data:
                    shutil.copyfileobj(data, out, 1 << 20)
    return Crawl((path,), sum(c.pages for c in crawls), sum(c.images for c in crawls))


def together(crawls: Sequence[Crawl]) -> Crawl:
    """All files as one crawl of several files."""
    paths = tuple(path for crawl in crawls for path in crawl.paths)
    return Crawl(paths, sum(c.pages for c in crawls), sum(c.images for c in crawls))
