"""What a page can make the parser take is bounded: memory, depth, attributes, time.

None of these pages says in its source what it becomes: their tags are made to deceive what limits a
source (`source_limits.py`), so the tree is watched while it is made.
"""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
from selectolax.lexbor import LexborHTMLParser

from schemas.errors import HtmlParseError, PageDeadlineError, PageTooLargeError
from transforms import html_parsers, page_kernel, parse_kernel
from transforms.dom import parse_html
from transforms.html_parsers import canonical_lexbor
from transforms.interleave import extract_page
from transforms.page_limits import ExtractConfig
from transforms.source_limits import DEPTH_CHECK_FROM, MAX_ATTRIBUTES
from transforms.stream_parser import stream_markup

pytestmark = pytest.mark.skipif(
    not (page_kernel.AVAILABLE and parse_kernel.has_lexbor()),
    reason="lexbor is not called directly here",
)

TO_LEXBOR = "<table>x</table>"
"""A text in a table that is in no cell leaves a page to lexbor."""

LARGE = {
    "formatting with long attributes": "<p>"
    + "".join(f"<b title={nth}{'x' * 20_000}>" for nth in range(20))
    + "<p>x" * 600,
    "formatting behind end tags of others": "<p>"
    + "".join(f"<b a={nth}>" for nth in range(2600))
    + "</i>" * 2600
    + "<p>x" * 2600,
    "formatting that its cells do not close": "<p>"
    + "".join(f"<b a={nth}><table><td></b></td></table>" for nth in range(4000))
    + "<p>x" * 4000,
    "a link that is left open": f"<p><a href={'x' * 2_000_000}>" + "<p>x" * 2000,
}
DEEP = {
    "end tags in cells": "<div><table><td></div></table>",
    "end tags in templates": "<div><template></div></template>",
    "end tags in objects": "<div><object></div></object>",
    "end tags in values": '<div><p title="></div>">',
    "end tags in formulas": "<div><math><mtext></div></math>",
    "end tags of links": "<a><b><i><div></a></b></i>",
}
CROWDED = {
    "html": "".join(f"<html a{nth}=1>" for nth in range(2 * MAX_ATTRIBUTES)),
    "body": "".join(f"<body a{nth}=1>" for nth in range(2 * MAX_ATTRIBUTES)),
}


@pytest.mark.parametrize("html", LARGE.values(), ids=LARGE.keys())
def test_page_that_would_take_gigabytes_is_refused(html: str) -> None:
    assert stream_markup(TO_LEXBOR) is None
    tracemalloc.start()
    try:
        with pytest.raises(PageTooLargeError, match=r"bytes of m.* from .* characters of HTML"):
            parse_html(TO_LEXBOR + html)
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Given back, although lexbor was left in the middle.
    assert peak < 1200 * 1024**2
    assert left < 1024**2


@pytest.mark.parametrize("unit", DEEP.values(), ids=DEEP.keys())
def test_page_that_is_deeper_than_its_source_says_is_refused(unit: str) -> None:
    assert len(parse_html(TO_LEXBOR + unit * 1000)) > 2000
    for backend in html_parsers.BACKENDS:
        with pytest.raises(PageTooLargeError, match=f"more than {DEPTH_CHECK_FROM} deep"):
            extract_page(TO_LEXBOR + unit * 40_000, "http://a/", ExtractConfig(), backend)


@pytest.mark.parametrize("html", CROWDED.values(), ids=CROWDED.keys())
def test_attributes_may_not_add_up_without_end(html: str) -> None:
    assert parse_html(TO_LEXBOR + html[: len(html) // 4])
    with pytest.raises(PageTooLargeError, match=f"more than {MAX_ATTRIBUTES} attributes"):
        parse_html(TO_LEXBOR + html)


def test_parsing_ends_at_the_deadline() -> None:
    # In a table what does not belong there is put before it, so the tree's depth is not seen.
    html = "<table>" + "<div><select></div></select>" * 100_000
    with pytest.raises(PageDeadlineError, match="parsing"):
        extract_page(html, "http://a/", ExtractConfig(max_seconds=0.05))


def test_limits_are_what_is_said() -> None:
    source = b"<p>a<p>b<p>c" * 1000
    size = len(canonical_lexbor(source))
    assert len(parse_kernel.lexbor_markup(source, size, 1 << 30, 9.0)) == size
    with pytest.raises(OverflowError, match=f"more than {size - 1} bytes of markup"):
        parse_kernel.lexbor_markup(source, size - 1, 1 << 30, 9.0)
    with pytest.raises(OverflowError, match="more than 1000 bytes of memory for the tree"):
        parse_kernel.lexbor_markup(source, size, 1000, 9.0)
    with pytest.raises(OverflowError, match="more than 0 bytes of memory"):
        parse_kernel.lexbor_markup(b"", size, 0, 9.0)
    with pytest.raises(TimeoutError):
        parse_kernel.lexbor_markup(source, size, 1 << 30, -1.0)
    for largest, most_memory in ((-1, 1), (1, -1)):
        with pytest.raises(ValueError, match="below 0"):
            parse_kernel.lexbor_markup(source, largest, most_memory, 9.0)


def test_lexbor_can_be_left_wherever_it_asks_for_memory() -> None:
    """Whatever it has asked for by then, all is given back, and the next page is read."""
    source = b"<p id=a><b c=d>e<table><td>&amp;<svg><title>f</svg><select><option>g</table><a>" * 99
    whole = html_parsers._direct_lexbor(source)
    refused = 0
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for most_memory in range(0, 1 << 21, 1999):
            try:
                assert parse_kernel.lexbor_markup(source, 1 << 20, most_memory, 9.0) == whole
            except OverflowError:
                refused += 1
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused > 100
    assert after - before < 50_000


def test_others_use_lexbor_beside_pages_that_are_refused() -> None:
    def refused(_: int) -> bool:
        with pytest.raises(OverflowError):
            parse_kernel.lexbor_markup(b"<p>x" * 5000, 1 << 20, 100_000, 9.0)
        return True

    def read(number: int) -> bool:
        tree = LexborHTMLParser(f"<p>{number}" * 500)
        return len(tree.css("p")) == 500 and tree.body is not None

    with ThreadPoolExecutor(4) as pool:
        for found in [pool.map(each, range(200)) for each in (refused, read, refused, read)]:
            assert all(found)


BETWEEN = {
    "tag": "<p class=ab>c",
    "end tag": "<p>a</p >b",
    "value": "<p title='a b' id=c>d",
    "reference": "a&notin;b&#x1f6a2;c",
    "reference in a value": "<p title='&notin;&amp'>",
    "line break": "<pre>\r\n\r\na\r\rb</pre>",
    "characters": "\u00e9\u6d77\U0001f6a2",
    "NUL": "a\0b<p c\0d=\0>",
    "comment": "a<!-- b --!> c --><!--> d",
    "raw text": "<title>a</titl</title><xmp></xm</xmp>",
    "script": "<script><!--<script></script>--></script>a",
    "foreign": "<svg><![CDATA[ ]] ]>]]></svg><math><mi>a</math>",
    "doctype": "<!doctype html PUBLIC 'a' \"b\">",
}


@pytest.mark.parametrize("piece", BETWEEN.values(), ids=BETWEEN.keys())
def test_source_is_read_across_the_ends_of_its_chunks(piece: str) -> None:
    for before in range(4096 - len(piece.encode()) - 2, 4099):
        source = ("x" * before + piece + "<p>y").encode()
        assert html_parsers._direct_lexbor(source) == html_parsers._public_lexbor(source)


@pytest.mark.parametrize("error", [OverflowError, TimeoutError])
def test_no_other_parser_is_tried_for_a_page_that_is_too_much(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bytes:
        raise error("no")

    def never(*_: object) -> bytes:
        raise AssertionError("html5lib has no limits")

    monkeypatch.setattr(parse_kernel, "lexbor_markup", refuse)
    monkeypatch.setattr("transforms.dom.canonical_beautifulsoup", never)
    for backend in html_parsers.BACKENDS:
        with pytest.raises((PageTooLargeError, PageDeadlineError)):
            extract_page(TO_LEXBOR, "http://a/", ExtractConfig(), backend)


def test_page_that_lexbor_cannot_read_is_for_the_other_parser(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> bytes:
        raise RuntimeError("no")

    monkeypatch.setattr(parse_kernel, "lexbor_markup", refuse)
    with pytest.raises(HtmlParseError):
        parse_html(TO_LEXBOR)
    assert parse_html(TO_LEXBOR, "beautifulsoup").source.count(b"x") == 1
