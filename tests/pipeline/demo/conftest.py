"""One generated crawl, and what an independent reader finds in it, for all tests of this folder."""

from collections import Counter
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from pipeline.demo import generate_demo_crawl
from pipeline.demo.truth import DemoTruth
from tests.pipeline.demo.crawl_reader import (
    TYPES_OF_PAGES,
    Record,
    read_gzip,
    read_plain,
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="session")
def truth(folder: Path) -> DemoTruth:
    return generate_demo_crawl(folder, seed=0, pages=300)


@pytest.fixture(scope="session")
def records(folder: Path, truth: DemoTruth) -> list[Record]:
    found = []
    for warc in truth.warcs:
        read = read_gzip if warc.name.endswith(".gz") else read_plain
        good, corrupt, cut = read((folder / warc.name).read_bytes(), warc.name)
        assert Counter(r.kind for r in good) == warc.records, warc.name
        assert (corrupt, cut) == (warc.corrupt, warc.truncated), warc.name
        found += good
    return found


@pytest.fixture(scope="session")
def page_records(records: list[Record]) -> dict[tuple[str, str], Record]:
    return {(r.url, r.headers["WARC-Date"]): r for r in records if r.kind in TYPES_OF_PAGES}


@pytest.fixture(scope="session")
def soups(
    truth: DemoTruth, page_records: dict[tuple[str, str], Record]
) -> dict[tuple[str, str], BeautifulSoup]:
    """The parsed article of every HTML page that was read whole."""
    soups = {}
    for page in truth.pages:
        if page.charset and page.reasons[:1] not in (["record_failure"], ["revisit"]):
            content = page_records[page.url, page.date].content()
            codec = {"windows-1252": "cp1252", "shift_jis": "cp932"}.get(page.charset, page.charset)
            if page_records[page.url, page.date].http.get("Content-Encoding") == "br":
                content = content[3:-1]  # One stored block between its head and the last one's.
            soups[page.url, page.date] = BeautifulSoup(content.decode(codec), "html5lib")
    return soups
