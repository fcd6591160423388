"""What is fetched: images of the size that the web has, and tables and pages that name them.

Images are the PNG and JPEG files of the saved sites between 20 and 100 kB, where there are any,
else generated ones. Many URLs share one picture, but no two have the same bytes.
"""

import hashlib
import html
import io
import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.crawls import SITES, warc_member
from benchmarks.fetch_server import host_names, tail_of
from pipeline.demo.images import make_picture

MIN_BYTES = 20_000
MAX_BYTES = 100_000
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png"}
GENERATED = 60
GENERATED_SIZES = ((1024, 768), (1280, 960), (1600, 1200))
SEED = 0
PAGE_IMAGES = 20
"""Images of a page; a page has images of one host."""


@dataclass(frozen=True)
class Pictures:
    """Image files as they are served."""

    source: str
    files: tuple[tuple[str, bytes], ...]
    """Suffix and bytes."""
    facts: dict[str, Any]

    def only(self, suffix: str) -> "Pictures":
        """Those of one suffix."""
        kept = [data for name, data in self.files if name == suffix]
        return described(f"{self.source}; {suffix[1:]} alone", kept)

    def write(self, folder: Path) -> Path:
        """A file each, in this order."""
        folder.mkdir(parents=True)
        for number, (suffix, data) in enumerate(self.files):
            (folder / f"{number:06d}{suffix}").write_bytes(data)
        return folder


def load_pictures(sites: Path = SITES) -> Pictures:
    """Those of the saved sites, or generated ones where there are none."""
    found = [
        path.read_bytes()
        for path in sorted(sites.rglob("*"))
        if path.suffix.lower() in (".png", ".jpg", ".jpeg")
        and MIN_BYTES <= path.stat().st_size <= MAX_BYTES
    ]
    if found:
        return described("PNG and JPEG files of the saved sites", found)
    rng = random.Random(SEED)
    made: list[bytes] = []
    while len(made) < GENERATED:
        data = make_picture(rng, "", rng.choice(GENERATED_SIZES)).data
        assert data is not None
        if MIN_BYTES <= len(data) <= MAX_BYTES:
            made.append(data)
    return described(f"generated JPEG files, seed {SEED}", made)


def described(source: str, files: Iterable[bytes]) -> Pictures:
    """Files that decode, each named by what it is."""
    kept: list[tuple[str, bytes]] = []
    modes: Counter[str] = Counter()
    pixels = 0
    for data in files:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            kept.append((SUFFIXES[str(image.format)], data))
            modes[f"{image.format} {image.mode}"] += 1
            pixels += image.width * image.height
    facts = {
        "source": source,
        "pictures": len(kept),
        "mean_bytes": round(sum(len(data) for _, data in kept) / len(kept)),
        "mean_megapixels": round(pixels / len(kept) / 1e6, 3),
        "modes": dict(modes.most_common()),
    }
    return Pictures(source, tuple(kept), facts)


@dataclass(frozen=True)
class Workload:
    """So many images on so many hosts, and the files that name them."""

    pictures: Pictures
    folder: Path
    """The served files."""
    count: int
    hosts: int
    port: int

    @property
    def host_names(self) -> list[str]:
        """Every host."""
        return host_names(self.hosts)

    def host_of(self, number: int) -> str:
        """Where an image lies: neighbours in the table are on different hosts."""
        return self.host_names[number % self.hosts]

    def urls(self) -> list[str]:
        """Of every image, by number."""
        names, files = self.host_names, self.pictures.files
        return [
            f"http://{names[number % self.hosts]}:{self.port}/{number:06d}"
            f"{files[number % len(files)][0]}"
            for number in range(self.count)
        ]

    def digests(self) -> Counter[str]:
        """SHA-256 of every image."""
        files = self.pictures.files
        return Counter(
            hashlib.sha256(files[number % len(files)][1] + tail_of(number)).hexdigest()
            for number in range(self.count)
        )

    def write_table(self, path: Path) -> Path:
        """`url` and `caption` as Parquet."""
        captions = [caption_of(number) for number in range(self.count)]
        pq.write_table(pa.table({"url": self.urls(), "caption": captions}), path)
        return path

    def write_pages(self, path: Path) -> Path:
        """A crawl of pages that show the images, without the images."""
        urls = self.urls()
        with path.open("wb") as out:
            for host in range(self.hosts):
                mine = range(host, self.count, self.hosts)
                for page, start in enumerate(range(0, len(mine), PAGE_IMAGES)):
                    numbers = mine[start : start + PAGE_IMAGES]
                    body = page_of([(urls[number], caption_of(number)) for number in numbers])
                    lines = f"Content-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
                    url = f"http://{self.host_names[host]}:{self.port}/page-{page}.html"
                    block = f"HTTP/1.1 200 OK\r\n{lines}".encode() + body
                    out.write(
                        warc_member("response", url, "application/http; msgtype=response", block)
                    )
        return path


def caption_of(number: int) -> str:
    """A text that no other image has."""
    return f"The view from hill number {number} over the valley on a clear day in autumn"


def page_of(images: Sequence[tuple[str, str]]) -> bytes:
    """An article with these images (URL and caption) and a paragraph for each."""
    parts = [
        "<!DOCTYPE html><html><head><title>A walk</title></head><body><article><h1>A walk</h1>"
    ]
    for url, caption in images:
        text = html.escape(caption)
        parts.append(
            f'<figure><img src="{html.escape(url)}" alt="{text}"></figure><p>{text}, where the '
            "path turns left and follows the old wall down to the river and its two bridges.</p>"
        )
    return "".join([*parts, "</article></body></html>"]).encode()


def recipe_text(hosts: Sequence[str], contact: str) -> str:
    """The recipe of ours: no gates, no limit a host; the loopback is allowed by name."""
    return "\n".join(
        [
            'description = "Everything, for a measurement"',
            "[fetch]",
            f"contact = {json.dumps(contact)}",
            f"allow_hosts = {json.dumps(list(hosts))}",
            "host_rate = 0.0",
            "",
        ]
    )
