"""What other tools do with the same input, as a program of its own: it imports nothing of ours.

`python peers.py content NAME PAGES.json` (speed alone), `python peers.py pages NAME PAGES.json`
(speed, and what was found on each page) or `python peers.py records NAME FILE.warc.gz`, run by an
interpreter that has the peer. Prints a line of JSON.
"""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any


@dataclass(frozen=True)
class Content:
    """What an extractor finds on a page."""

    text: str
    images: Sequence[Sequence[str]] = ()
    """For each image its URLs as the extractor gives them."""
    failed: bool = False
    """Whether it refused the page; then it found nothing."""


Extractor = Callable[[str, str], Content]
"""From decoded HTML and its URL."""

_BLOCK_TAG = re.compile(
    r"(?=</?(?:address|article|aside|blockquote|br|center|dd|div|dl|dt|figcaption|figure|footer|form"
    r"|h[1-6]|header|hr|li|main|nav|ol|option|p|pre|section|summary|table|tbody|td|th|tr|ul)\b)",
    re.I,
)


def set_blocks_apart(html: str) -> str:
    """HTML with a space before each tag of a block, so that its text keeps words apart."""
    return _BLOCK_TAG.sub(" ", html)


def resiliparse_content() -> Extractor:
    """Main content as plain text; it gives no images.

    Without alt texts, which no ground truth here counts as text: better than its default on each
    of the three sets. Its `comments=False` helps on articles and costs more on forums, so it stays.
    """
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    def extract(html: str, url: str) -> Content:
        tree = HTMLTree.parse(html)
        return Content(str(extract_plain_text(tree, main_content=True, alt_texts=False)))

    return extract


def trafilatura_content(fast: bool = False) -> Extractor:
    """Main content as plain text, with its default settings or without its fallbacks.

    Without comments: better than its default on each of the three sets, and what scrapinghub's
    benchmark runs.
    """
    import trafilatura  # type: ignore[import-not-found]  # in an environment of its own

    def extract(html: str, url: str) -> Content:
        text = trafilatura.extract(html, url=url, fast=fast, include_comments=False)
        return Content(text or "")

    return extract


def trafilatura_images(fast: bool = False) -> Extractor:
    """Main content with images (`include_images`), as its XML: text and `graphic` elements."""
    import trafilatura
    from lxml import etree  # type: ignore[import-untyped]

    def extract(html: str, url: str) -> Content:
        xml = trafilatura.extract(
            html, url=url, fast=fast, include_comments=False, include_images=True,
            output_format="xml",
        )  # fmt: skip
        if not xml:
            return Content("")
        root = etree.fromstring(xml.encode("utf-8"))
        images = [[each.get("src")] for each in root.iter("graphic") if each.get("src")]
        return Content(" ".join(root.itertext()), images)

    return extract


def readability_content() -> Extractor:
    """The summary that readability-lxml makes, its text and its `img` elements.

    Blocks are set apart: `text_content()` alone joins the last word of one and the first of the
    next.
    """
    import lxml.html  # type: ignore[import-untyped]
    from readability import Document  # type: ignore[import-not-found]  # as above

    def extract(html: str, url: str) -> Content:
        root = lxml.html.fromstring(set_blocks_apart(Document(html, url=url).summary()))
        images = [[each.get("src")] for each in root.iter("img") if each.get("src")]
        return Content(root.text_content(), images)

    return extract


def fastwarc_records(path: str) -> tuple[int, int]:
    """Response records and their payload bytes."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    records = size = 0
    with open(path, "rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            records += 1
            size += len(record.reader.read())
    return records, size


def warcio_records(path: str) -> tuple[int, int]:
    """Response records and their payload bytes."""
    from warcio.archiveiterator import (  # type: ignore[import-not-found]  # as above
        ArchiveIterator,
    )

    records = size = 0
    with open(path, "rb") as stream:
        for record in ArchiveIterator(stream):
            if record.rec_type == "response":
                records += 1
                size += len(record.content_stream().read())
    return records, size


CONTENT: dict[str, Callable[[], Extractor]] = {
    "resiliparse": resiliparse_content,
    "trafilatura": trafilatura_content,
    "trafilatura fast": partial(trafilatura_content, fast=True),
    "trafilatura images": trafilatura_images,
    "trafilatura fast images": partial(trafilatura_images, fast=True),
    "readability-lxml": readability_content,
}
RECORDS = {"fastwarc": fastwarc_records, "warcio": warcio_records}


def run_content(name: str, path: str) -> dict[str, Any]:
    """Time of extraction; a page that the peer cannot read counts as done."""
    with open(path, encoding="utf-8") as file:
        pages = json.load(file)
    extract = CONTENT[name]()
    characters = failed = 0
    begin = time.perf_counter()
    for page in pages:
        try:
            characters += len(extract(page["html"], page["url"]).text)
        except Exception:
            failed += 1
    wall = time.perf_counter() - begin
    return {"pages": len(pages), "characters": characters, "failed": failed, "wall": wall}


def run_pages(extract: Extractor, pages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What is found on each page, and the CPU and wall seconds that each took.

    One page goes first untimed: tables that a library makes at its first call are no cost of a
    crawl.
    """
    if pages:
        extract(pages[0]["html"], pages[0]["url"])
    found, cpu, wall = [], [], []
    for page in pages:
        begin, begin_cpu = time.perf_counter(), time.process_time()
        content = extract(page["html"], page["url"])
        cpu.append(time.process_time() - begin_cpu)
        wall.append(time.perf_counter() - begin)
        found.append({"text": content.text, "images": content.images, "failed": content.failed})
    return {"found": found, "cpu": cpu, "wall": wall}


def forgiving(extract: Extractor) -> Extractor:
    """The same, except that a page on which the peer raises anything has nothing."""

    def extract_or_nothing(html: str, url: str) -> Content:
        try:
            return extract(html, url)
        except Exception:
            return Content("", failed=True)

    return extract_or_nothing


def run_records(name: str, path: str) -> dict[str, Any]:
    """Time of reading every response."""
    begin = time.perf_counter()
    records, size = RECORDS[name](path)
    return {"records": records, "bytes": size, "wall": time.perf_counter() - begin}


def pin_to_one_core() -> None:
    """Keep this process and its threads on one core, so that a rate is one of a core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def main() -> None:
    """Program entry."""
    what, name, path = sys.argv[1:]
    pin_to_one_core()
    if what == "content":
        result = run_content(name, path)
    elif what == "records":
        result = run_records(name, path)
    else:
        with open(path, encoding="utf-8") as file:
            result = run_pages(forgiving(CONTENT[name]()), json.load(file))
    print(json.dumps({**result, "version": version(name.partition(" ")[0])}))


if __name__ == "__main__":
    main()
