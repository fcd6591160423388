"""What other tools do with the same input, as a program of its own: it imports nothing of ours.

`python peers.py content NAME PAGES.json` or `python peers.py records NAME FILE.warc.gz`, run by an
interpreter that has the peer. Prints a line of JSON.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any


def resiliparse_text() -> Callable[[str, str], str]:
    """Main content of a page as plain text."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    def extract(html: str, url: str) -> str:
        return str(extract_plain_text(HTMLTree.parse(html), main_content=True))

    return extract


def trafilatura_text() -> Callable[[str, str], str]:
    """Main content of a page as plain text, with its default settings."""
    import trafilatura  # type: ignore[import-not-found]  # in an environment of its own

    def extract(html: str, url: str) -> str:
        return trafilatura.extract(html, url=url) or ""

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


CONTENT = {"resiliparse": resiliparse_text, "trafilatura": trafilatura_text}
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
            characters += len(extract(page["html"], page["url"]))
        except Exception:
            failed += 1
    wall = time.perf_counter() - begin
    return {"pages": len(pages), "characters": characters, "failed": failed, "wall": wall}


def run_records(name: str, path: str) -> dict[str, Any]:
    """Time of reading every response."""
    begin = time.perf_counter()
    records, size = RECORDS[name](path)
    return {"records": records, "bytes": size, "wall": time.perf_counter() - begin}


def main() -> None:
    """Program entry."""
    what, name, path = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    result = run_content(name, path) if what == "content" else run_records(name, path)
    print(json.dumps({**result, "version": version(name)}))


if __name__ == "__main__":
    main()
