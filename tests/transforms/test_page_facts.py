"""Facts that pages declare of themselves: hand-made pages on both backends, then real ones."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from beam_runner import main
from tests.conftest import hang_guard
from transforms.charset import decode_html
from transforms.dom import BACKENDS, parse_html
from transforms.page_dates import parse_date
from transforms.page_facts import PageFacts, page_facts
from transforms.urls import normalize_url

URL = "https://town.example/news/harbour?page=2"
CRAWLED = "2024-06-01T12:00:00Z"
CC = "https://creativecommons.org/licenses"


def facts_of(
    html: str, headers: tuple[tuple[str, str], ...] = (), backend: str = "lexbor"
) -> PageFacts:
    return page_facts(html, parse_html(html, backend), URL, headers, CRAWLED)


def ld(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f'<script type="application/ld+json">{text}</script>'


def meta(name: str, content: str) -> str:
    return f'<meta name="{name}" content="{content}">'


def og(name: str, content: str) -> str:
    return f"<meta property='{name}' content='{content}'>"


ARTICLE = {"@type": "NewsArticle", "datePublished": "2024-03-05", "author": {"name": "Ana Lima"}}

# Name of the case -> page, and the facts that it must have; all others must be as on an empty page.
PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "nothing": ("<p>text", {}),
    # title
    "title": ("<title> The\n harbour &amp; us </title><h1>No</h1>", {"title": "The harbour & us"}),
    "title from h1": ("<title> </title><h1></h1><h1>Der <b>Hafen</b></h1>", {"title": "Der Hafen"}),
    "title of a drawing": ("<body><svg><title>Icon</title></svg>x", {"inline_svgs": 1}),
    # language
    "language of the root": ('<html lang="pt-BR"><body lang=en>', {"language_declared": "pt-BR"}),
    "language by http-equiv": (
        '<meta http-equiv="Content-Language" content="de">', {"language_declared": "de"}),
    "language by Open Graph": (og("og:locale", "zh_TW"), {"language_declared": "zh-TW"}),
    # canonical
    "canonical": (
        '<head><link href="/a/../b?x=1#top" rel="canonical">',
        {"canonical_url": "https://town.example/b?x=1"}),
    "canonical, unquoted": (
        "<head><Link rel=canonical href=//TOWN.example:443/a&amp;b>",
        {"canonical_url": "https://town.example/a&b"}),
    "canonical twice the same": (
        '<link rel=canonical href="/b"><link rel=canonical href="https://town.example/b">',
        {"canonical_url": "https://town.example/b"}),
    "canonicals that disagree": (
        '<link rel=canonical href="/b"><link rel=canonical href="/c">' + og("og:url", "/d"), {}),
    "canonical in a comment": ('<head><!-- <link rel="canonical" href="/b"> -->', {}),
    "canonical in a script": ("<head><script>'<link rel=\"canonical\" href=\"/b\">'</script>", {}),
    "canonical in the body": ('<head></head><body><link rel="canonical" href="/b">', {}),
    "canonical of another scheme": ('<link rel=canonical href="android-app://a/b">', {}),
    "canonical empty": ('<link rel=canonical href="">', {}),
    "canonical by Open Graph": (
        og("og:url", "http://town.example"), {"canonical_url": "http://town.example/"}),
    # dates
    "date by meta": (
        og("article:published_time", "2024-03-05T10:30:00+01:00")
        + og("article:modified_time", "2024-03-06T00:00:00.123Z"),
        {"date_published": "2024-03-05T09:30:00Z", "date_modified": "2024-03-06T00:00:00Z"}),
    "date by Dublin Core": (
        meta("DC.Date.Issued", "5 mars 2024"), {"date_published": "2024-03-05"}),
    "updated time": (
        og("og:updated_time", "1709629200"), {"date_modified": "2024-03-05T09:00:00Z"}),
    "date by microdata": (
        "<div itemscope itemtype='https://schema.org/BlogPosting'><time itemprop='datePublished' "
        "datetime='2024-03-05'>5/3</time><meta itemprop=dateModified content=2024-03-07></div>",
        {"date_published": "2024-03-05", "date_modified": "2024-03-07"}),
    "date in words of microdata": (
        '<span itemprop="datePublished dateCreated">5. März 2024</span>',
        {"date_published": "2024-03-05"}),
    "date of a comment": (
        '<div itemscope itemtype="http://schema.org/Comment"><time itemprop="datePublished" '
        'datetime="2024-03-05">x</time><span itemprop="author">Troll</span></div>', {}),
    "dates of a listing": (
        '<div itemscope itemtype="http://schema.org/Article"><meta itemprop="datePublished" '
        'content="2024-03-05"></div><div itemscope itemtype="http://schema.org/Article">'
        '<meta itemprop="datePublished" content="2024-03-06"></div>', {}),
    "pubdate": (
        '<article><time datetime="2024-03-05" pubdate>today</time></article>'
        '<time datetime="2023-01-01">', {"date_published": "2024-03-05"}),
    "date of tomorrow's paper": (meta("date", "2024-06-09"), {}),
    "date that is a zero": (meta("date", "0000-00-00") + meta("pubdate", "1970-01-01"), {}),
    "date that could be two": (meta("date", "03/04/2024"), {}),
    "same day twice": (
        og("article:published_time", "2024-03-05")
        + og("article:published_time", "2024-03-05T08:00:00Z"),
        {"date_published": "2024-03-05T08:00:00Z"}),
    # JSON-LD
    "JSON-LD": (
        ld({"@context": "https://schema.org", **ARTICLE, "license": f"{CC}/by-nc/4.0/deed.pt"}),
        {"date_published": "2024-03-05", "authors": ["Ana Lima"], "license": "cc-by-nc-4.0",
         "license_urls": [f"{CC}/by-nc/4.0/"]}),
    "JSON-LD graph with references": (
        ld({"@graph": [
            {"@type": ["WebPage"], "datePublished": "2020-01-01"},
            {"@type": ["Article", "BlogPosting"], "datePublished": "2024-03-05",
             "author": [{"@id": "#a"}, {"@type": "Person", "name": "久保 健"}]},
            {"@type": "Person", "@id": "#a", "name": " Zoë  Ní "},
            {"@type": "ImageObject", "license": f"{CC}/by/4.0/", "author": "Photo Agency"}]}),
        {"date_published": "2024-03-05", "authors": ["Zoë Ní", "久保 健"]}),
    "JSON-LD main entity": (
        ld([{"@type": "WebPage", "mainEntity": {**ARTICLE, "author": "Иван Петров"}}]),
        {"date_published": "2024-03-05", "authors": ["Иван Петров"]}),
    "JSON-LD review": (ld({**ARTICLE, "@type": "Review"}), {}),
    "JSON-LD listing": (
        ld([ARTICLE, {**ARTICLE, "datePublished": "2024-03-06", "author": "B"}]), {}),
    "JSON-LD in CDATA with line ends": (
        ld('\n//<![CDATA[\n{"@type":"Article","headline":"a\nb","datePublished":"2024-03-05"}\n//]]>'),
        {"date_published": "2024-03-05"}),
    "JSON-LD malformed, then sound": (
        ld('{"datePublished": oops}') + ld(ARTICLE),
        {"date_published": "2024-03-05", "authors": ["Ana Lima"]}),
    "JSON-LD nested without end": (ld('{"author":' + "[" * 90_000 + "1"), {}),
    "JSON-LD of odd types": (
        ld('{"@type": [1, "Article", null], "datePublished": {"a": 1}, "author": [[1], true],'
           '"license": 7, "@graph": "x", "@id": 5}'), {}),
    "JSON-LD in a comment": (f"<head><!-- {ld(ARTICLE)} -->", {}),
    # authors
    "author by meta": (meta("Author", "Jane Doe"), {"authors": ["Jane Doe"]}),
    "authors of a paper": (
        meta("citation_author", "Doe, Jane") + meta("citation_author", "王芳")
        + meta("author", "Publisher"), {"authors": ["Doe, Jane", "王芳"]}),
    "author that is an address": (
        og("article:author", "https://facebook.com/j") + meta("author", "jane@town.example"), {}),
    "author by microdata": (
        '<div itemscope itemtype="http://schema.org/Article"><p itemprop=author itemscope '
        'itemtype="http://schema.org/Person">By <a itemprop="name">Jane\n Doe</a></p></div>',
        {"authors": ["Jane Doe"]}),
    "author by link": ('<p>by <a rel="author nofollow" href=/j>Jane</a>', {"authors": ["Jane"]}),
    "authors of a listing": ('<a rel="author">A</a> <a rel="author">B</a>', {}),
    # licences
    "licence by link": (
        '<p><a rel="license" href="http://creativecommons.org/licenses/by-sa/3.0/deed.fr">CC</a>',
        {"license": "cc-by-sa-3.0", "license_urls": [f"{CC}/by-sa/3.0/"]}),
    "licence of a country": (
        f'<a href="{CC}/by-nc-nd/2.5/es/" rel="license">CC</a>',
        {"license": "cc-by-nc-nd-2.5-es", "license_urls": [f"{CC}/by-nc-nd/2.5/es/"]}),
    "licence in the head": (
        '<head><link rel="license" href="//creativecommons.org/publicdomain/zero/1.0/">',
        {"license": "cc0-1.0", "license_urls": ["https://creativecommons.org/publicdomain/zero/1.0/"]}),
    "licence in words": (
        meta("dcterms.rights", "© 2024, CC BY-SA 4.0"),
        {"license": "cc-by-sa-4.0", "license_urls": [f"{CC}/by-sa/4.0/"]}),
    "licence of a comment": (
        f'<p>see <a href="{CC}/by/4.0/legalcode">this</a>', {"license_urls": [f"{CC}/by/4.0/"]}),
    "licence of a picture": (
        f'<figure><img src=a><figcaption><a rel="license" href="{CC}/by/2.0/">x</a></figure>',
        {"license_urls": [f"{CC}/by/2.0/"]}),
    "licences that disagree": (
        f'<a rel="license" href="{CC}/by/4.0/">x</a><a rel="license" href="{CC}/by-nc/4.0/">y</a>',
        {"license_urls": [f"{CC}/by/4.0/", f"{CC}/by-nc/4.0/"]}),
    "licence of another kind": (
        '<a rel="license" href="/terms">terms</a>', {"license_urls": ["https://town.example/terms"]}),
    "licence by microdata": (
        '<div itemscope itemtype="http://schema.org/Article"><a itemprop="license" '
        'href="https://creativecommons.org/publicdomain/mark/1.0/">PD</a></div>',
        {"license": "cc-pdm-1.0",
         "license_urls": ["https://creativecommons.org/publicdomain/mark/1.0/"]}),
    # robots
    "robots": (
        meta("ROBOTS", "NOINDEX, NoFollow"), {"robots": "noindex, nofollow", "noindex": True}),
    "robots none": (meta("robots", "none"), {"robots": "none", "noindex": True}),
    "noai": (
        meta("robots", "noai,noimageai"),
        {"robots": "noai, noimageai", "noai": True, "noimageai": True, "ai_opt_out": True}),
    "noimageai": (
        meta("robots", "index noimageai"),
        {"robots": "index, noimageai", "noimageai": True, "ai_opt_out": True}),
    "robots of search only": (
        meta("googlebot", "noindex, max-snippet:-1"),
        {"robots": "googlebot: noindex, googlebot: max-snippet:-1"}),
    "robots of a crawler for models": (
        meta("GPTBot", "noindex"), {"robots": "gptbot: noindex", "ai_opt_out": True}),
    "crawler for models welcome": (meta("CCBot", "index,follow"), {
        "robots": "ccbot: index, ccbot: follow"}),
    "unavailable after": (
        meta("robots", "noarchive, unavailable_after: Tue, 25 Jun 2030 15:00:00 PST"),
        {"robots": "noarchive, unavailable_after", "unavailable_after": "2030-06-25T23:00:00Z"}),
    "robots that are prose": (meta("robots", "hello, <b>, 12"), {"robots": "hello"}),
    # text and data mining
    "reserved": (
        meta("tdm-reservation", "1") + meta("tdm-policy", "/tdm.json"),
        {"tdm_reserved": True, "ai_opt_out": True, "tdm_policy": "https://town.example/tdm.json"}),
    "not reserved": (meta("tdm-reservation", "0"), {"tdm_reserved": False}),
    # pictures
    "preview images": (
        og("og:image", "/a.jpg?x=1&amp;y=2") + og("og:image:url", "/a.jpg?x=1&amp;y=2")
        + og("og:image", "data:image/png;base64,AAAA") + og("og:image", "//cdn.example/b.png"),
        {"og_images": ["https://town.example/a.jpg?x=1&y=2", "https://cdn.example/b.png"]}),
    "data URIs": (
        '<p><img src="data:image/png;base64,AA"><img src="data:image/gif;base64,AA" '
        'data-src="/a.jpg"><img src="data:," srcset="/b.jpg 2x"><img src=/c.png>',
        {"data_uri_images": 1}),
    "drawings": ("<svg><g></g></svg><p><svg/>x</svg>", {"inline_svgs": 2}),
}  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", PAGES)
def test_page_has_exactly_the_facts_it_declares(case: str, backend: str) -> None:
    html, expected = PAGES[case]
    found = facts_of(html, backend=backend)
    empty = facts_of("")
    names = PageFacts.__dataclass_fields__
    assert {name: getattr(found, name) for name in names} == {
        name: getattr(empty, name) for name in names
    } | expected


# Lines of X-Robots-Tag -> robots, noindex, ai_opt_out.
HEADERS: list[tuple[list[str], str | None, bool, bool]] = [
    (["noindex, nofollow"], "noindex, nofollow", True, False),
    (["googlebot: noindex, nofollow"], "googlebot: noindex, googlebot: nofollow", False, False),
    (["otherbot: noindex", "noarchive"], "otherbot: noindex, noarchive", False, False),
    (["ClaudeBot: none"], "claudebot: none", False, True),
    (["noai"], "noai", False, True),
    (["*: noindex"], "noindex", True, False),
    (["unavailable_after: 25-Aug-2030 15:00:00 GMT, noai"], "unavailable_after, noai", False, True),
    (["max-snippet: 20, gptbot: noindex, nofollow"],
     "max-snippet:20, gptbot: noindex, gptbot: nofollow", False, True),
    (["", ":::, ,;"], None, False, False),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "robots", "noindex", "opt_out"), HEADERS)
def test_robots_header_is_read_line_by_line(
    lines: list[str], robots: str | None, noindex: bool, opt_out: bool
) -> None:
    facts = facts_of("<p>x", tuple(("x-robots-tag", line) for line in lines))
    assert (facts.robots, facts.noindex, facts.ai_opt_out) == (robots, noindex, opt_out)


def test_headers_and_page_are_read_together_and_a_reservation_wins() -> None:
    headers = (("tdm-reservation", "1"), ("tdm-policy", "https://a.example/p"),
               ("x-robots-tag", "noindex"), ("content-language", "sv"))  # fmt: skip
    facts = facts_of(meta("tdm-reservation", "0") + meta("robots", "noimageai"), headers)
    assert facts.tdm_reserved is True
    assert facts.tdm_policy == "https://a.example/p"
    assert facts.robots == "noimageai, noindex"
    assert facts.language_declared == "sv"
    assert facts_of("<p>x", (("content-language", "sv, en"),)).language_declared is None


DATES = {
    "2024-03-05": "2024-03-05",
    "2024-3-5": "2024-03-05",
    "2024/03/05 08:09": "2024-03-05T08:09:00",
    "20240305": "2024-03-05",
    "20240305080910": "2024-03-05T08:09:10",
    "2024-03-05T08:09:10": "2024-03-05T08:09:10",
    "2024-03-05T08:09:10Z": "2024-03-05T08:09:10Z",
    "2024-03-05 08:09:10 -0530": "2024-03-05T13:39:10Z",
    "2024-03-05T23:30:00-05:00": "2024-03-06T04:30:00Z",
    "2024-03-05T08:09:10.123456789+00:00": "2024-03-05T08:09:10Z",
    "2024-03-05T10:00:00+01:00[Europe/Paris]": "2024-03-05T09:00:00Z",
    "Tue, 05 Mar 2024 08:09:10 GMT": "2024-03-05T08:09:10Z",
    "Tue Mar 5, 2024": "2024-03-05",
    "March 5th, 2024": "2024-03-05",
    "Mar. 5, 2024 at 3:04 PM EST": "2024-03-05T20:04:00Z",
    "5 March 2024": "2024-03-05",
    "05-Mar-2024": "2024-03-05",
    "5. März 2024, 10:30 Uhr": "2024-03-05T10:30:00",
    "Dienstag, 5. Dezember 2023": "2023-12-05",
    "1er février 2024": "2024-02-01",
    "5 août 2023 à 14h05": "2023-08-05T14:05:00",
    "5 de marzo de 2024": "2024-03-05",
    "terça-feira, 5 de março de 2024": "2024-03-05",
    "5 марта 2024 г.": "2024-03-05",
    "5 marca 2024": "2024-03-05",
    "2024年3月5日": "2024-03-05",
    "2024년 3월 5일": "2024-03-05",
    "05.03.2024": "2024-03-05",
    "25/03/2024": "2024-03-25",
    "03/25/2024": "2024-03-25",
    "03/03/2024": "2024-03-03",
    "1709629200": "2024-03-05T09:00:00Z",
    "1709629200000": "2024-03-05T09:00:00Z",
    "1912-04-16": "1912-04-16",
    "2024-03": "2024-03",
    "2023": "2023",
    # Not a day, not one day, not a possible day.
    "03/04/2024": None,
    "3-4-2024": None,
    "2024-13-05": None,
    "2024-02-30": None,
    "2024-03-05T25:00:00": None,
    "2024-03-05 10:00 XYZ": None,
    "2024-03-05T10:00:00+23:00": None,
    "0001-01-01T00:00:00Z": None,
    "0001-01-01T00:00:00+05:00": None,
    "9999-12-31T23:59:59-05:00": None,
    "1970-01-01T00:00:00Z": None,
    "2024-06-03": None,
    "5 March 2024 | updated 6 March 2024": None,
    "yesterday": None,
    "12 Blurb 2024": None,
    "12:30": None,
    "": None,
    "2" * 500: None,
}


@pytest.mark.parametrize(("text", "expected"), DATES.items())
def test_date_has_one_spelling_or_none(text: str, expected: str | None) -> None:
    assert parse_date(text, CRAWLED) == expected


def test_date_is_not_bounded_where_the_crawl_has_none() -> None:
    assert parse_date("2031-01-01", "") == "2031-01-01"
    assert parse_date("2031-01-01", "not a date") == "2031-01-01"
    assert parse_date("2201-01-01", "") is None


@pytest.mark.parametrize(
    "html",
    [
        pytest.param(
            "<head>" + ('<link rel="canonical license" ' * 1000 + ">") * 100, id="unclosed_links"
        ),
        pytest.param(
            "<head>" + ("<link rel='canonical' href='\"" * 1000 + ">") * 100, id="unclosed_quotes"
        ),
        pytest.param('<script type="application/ld+json">{"author":' * 120_000, id="json_unclosed"),
        pytest.param(ld('{"author":' + '{"a":' * 400_000), id="json_deep"),
        pytest.param(ld('{"@type":"Article","author":' + "[1," * 500_000), id="json_lists"),
        pytest.param('<div itemscope itemprop="author">' * 100_000, id="nested_authors"),
        pytest.param('<i itemprop="datePublished">1' * 150_000, id="dates"),
        pytest.param(f'<a rel="license" href="{CC}/by/4.0/">' * 100_000, id="licences"),
        pytest.param(
            "".join(meta("robots", f"a{n}," + "noai," * 1000) for n in range(500)), id="robots"
        ),
        pytest.param(meta("robots", "a: noai," * 200_000), id="robots_of_agents"),
        pytest.param('<img src="data:a' + " data-a" * 400_000 + '">', id="attributes"),
        pytest.param("<h1>" * 150_000 + "<title>" * 3000, id="titles"),
        pytest.param("".join(f"<a rel=author>{n}" for n in range(100_000)), id="authors"),
    ],
)
def test_hostile_page_takes_linear_time(html: str) -> None:
    dom = parse_html(html)
    with hang_guard():
        facts = page_facts(html, dom, URL, (), CRAWLED)
    assert len(facts.authors) <= 32
    assert len(facts.license_urls) <= 32


def real_pages(shared_data: Path) -> list[str]:
    folder = shared_data / "extraction" / "scrapinghub" / "html"
    return [decode_html(gzip.decompress(f.read_bytes()), None)[0] for f in sorted(folder.iterdir())]


def test_facts_of_real_pages(shared_data: Path) -> None:
    pages = real_pages(shared_data)
    found = [page_facts(html, parse_html(html), URL, (), "2026-01-01") for html in pages]
    count = len(found)
    # News of 2019: nearly all say when and by whom, in a dozen ways.
    assert sum(facts.canonical_url is not None for facts in found) > 0.9 * count
    assert sum(facts.date_published is not None for facts in found) > 0.75 * count
    assert sum(bool(facts.authors) for facts in found) > 0.75 * count
    years = [facts.date_published[:4] for facts in found if facts.date_published]
    assert sum(year == "2019" for year in years) > 0.75 * len(years)
    urls = [facts.canonical_url for facts in found if facts.canonical_url]
    urls += [url for facts in found for url in (*facts.og_images, *facts.license_urls)]
    assert [url for url in urls if normalize_url(url) != url] == []


def test_backends_find_the_same_facts_on_real_pages(shared_data: Path) -> None:
    for html in real_pages(shared_data)[::20]:
        assert facts_of(html) == facts_of(html, backend="beautifulsoup")


def test_gate_reads_the_facts_of_pages(tmp_path: Path) -> None:
    town = "The harbour lies below the town, and in the morning the boats come back with the tide. "
    pages = {
        "open": ("", f"{meta('author', 'Ana')}<link rel=license href='{CC}/by/4.0/'>"),
        "meta": ("", meta("robots", "noai")),
        "header": ("X-Robots-Tag: gptbot: noindex\r\nX-Robots-Tag: nofollow\r\n", ""),
        "reserved": ("TDM-Reservation: 1\r\nTDM-Policy: /tdm\r\n", ""),
    }
    crawl = tmp_path / "crawl.warc"
    with crawl.open("wb") as out:
        for name, (headers, head) in pages.items():
            html = f"<html lang=en><head>{head}</head><body><article><h1>{name}</h1><p>{town * 5}"
            http = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{headers}\r\n{html}".encode()
            out.write(
                f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: https://town.example/{name}\r\n"
                f"WARC-Date: 2024-06-01T00:00:00Z\r\nWARC-Record-ID: <urn:uuid:{name}>\r\n"
                "Content-Type: application/http; msgtype=response\r\n"
                f"Content-Length: {len(http)}\r\n\r\n".encode()
                + http
                + b"\r\n\r\n"
            )
    output = tmp_path / "out"
    rule = 'gates.dedup.may_train="NOT ai_opt_out"'
    command = ["run", "mm1", "-i", str(crawl), "-o", str(output), "-w", "1", "-q", "--set", rule]
    assert main(command) == 0
    texts = pq.ParquetDataset(sorted((output / "tables" / "texts").iterdir())).read().to_pylist()
    found = {row["url"].rpartition("/")[2]: row for row in texts}
    assert {name: row["ai_opt_out"] for name, row in found.items()} == {
        "open": False, "meta": True, "header": True, "reserved": True,
    }  # fmt: skip
    assert (found["open"]["license"], found["open"]["authors"]) == ("cc-by-4.0", ["Ana"])
    assert found["header"]["robots"] == "gptbot: noindex, nofollow"
    assert found["reserved"]["tdm_policy"] == "https://town.example/tdm"
    ledger = pq.ParquetDataset(sorted((output / "tables" / "ledger").iterdir())).read().to_pylist()
    refused = {row["id"] for row in ledger if row["rule"] == "may_train"}
    assert refused == {row["text_id"] for name, row in found.items() if name != "open"}
