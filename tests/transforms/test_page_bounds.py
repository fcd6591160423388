"""What a page can make the parser take is bounded: memory, depth, attributes, time.

None of these pages says in its source what it becomes: their tags are made to deceive what limits a
source (`source_limits.py`), so the tree is watched while it is made.
"""

import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
from selectolax.lexbor import LexborHTMLParser

from schemas.errors import HtmlParseError, PageDeadlineError, PageTooLargeError
from tests.conftest import hang_guard
from transforms import html_parsers, page_kernel, parse_kernel
from transforms.dom import parse_html
from transforms.html_parsers import MAX_LEVELS, canonical_beautifulsoup, canonical_lexbor
from transforms.interleave import extract_page
from transforms.page_facts import page_facts
from transforms.page_limits import ExtractConfig
from transforms.source_limits import MAX_ATTRIBUTES
from transforms.stream_parser import largest_markup, stream_markup

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
    "paragraphs in insertions": "<ins><p></ins></p>",
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
    assert peak < min(40 * largest_markup(html), 1200 * 1024**2)
    # Given back, although lexbor was left in the middle.
    assert left < 1024**2


@pytest.mark.parametrize("unit", DEEP.values(), ids=DEEP.keys())
def test_page_that_is_deeper_than_its_source_says_is_refused(unit: str) -> None:
    assert len(parse_html(TO_LEXBOR + unit * 1000)) > 2000
    with hang_guard(), pytest.raises(PageTooLargeError, match=f"more than {MAX_LEVELS} deep"):
        extract_page(TO_LEXBOR + unit * 31_000, "http://a/", ExtractConfig())


def test_page_that_is_too_much_for_lexbor_is_not_given_to_html5lib() -> None:
    html = TO_LEXBOR + DEEP["end tags in formulas"] * 31_000
    with hang_guard(), pytest.raises(PageTooLargeError, match=f"more than {MAX_LEVELS} deep"):
        extract_page(html, "http://a/", ExtractConfig(), "beautifulsoup")


@pytest.mark.parametrize("html", CROWDED.values(), ids=CROWDED.keys())
def test_attributes_may_not_add_up_without_end(html: str) -> None:
    assert parse_html(TO_LEXBOR + html[: len(html) // 4])
    with pytest.raises(PageTooLargeError, match=f"more than {MAX_ATTRIBUTES} attributes"):
        parse_html(TO_LEXBOR + html)


HIDDEN = {
    "before a table": "<table>{}",
    "behind comments": "</body>" + "<!--a-->" * 99 + TO_LEXBOR + "{}",
    "behind a comment that ends at once": "<table><!-->{}",
}


@pytest.mark.parametrize("page", HIDDEN.values(), ids=HIDDEN.keys())
def test_depth_that_is_hidden_is_found_when_the_tree_is_written(page: str) -> None:
    with hang_guard(), pytest.raises(PageTooLargeError, match=f"more than {MAX_LEVELS} deep"):
        extract_page(page.format("<ins><p></ins></p>" * 31_000), "http://a/", ExtractConfig())


def test_comment_that_ends_at_once_hides_no_tags() -> None:
    for comment in ("<!-->", "<!--->", "<!-- --!>"):
        dom = parse_html(TO_LEXBOR + comment + "<span>" * 70_000 + "x")
        assert int(dom.levels.max()) < 600


@pytest.mark.parametrize(
    "html",
    [
        # In a table what does not belong there is put before it, so the depth is not seen.
        "<table>" + "<div><select></div></select>" * 400_000,
        # A tag is parsed at once: its attributes are compared with one another.
        TO_LEXBOR + '<x z=">" ' + " ".join(f"a{nth}" for nth in range(300_000)) + ">",
    ],
    ids=["many tags", "one tag"],
)
def test_parsing_ends_at_the_deadline(html: str) -> None:
    with hang_guard(), pytest.raises(PageDeadlineError, match="parsing"):
        extract_page(html, "http://a/", ExtractConfig(max_seconds=0.2))


@pytest.mark.parametrize("start", ["<!-- -->", "<!doctype html>", " ", ""])
def test_page_that_begins_late_is_watched(start: str) -> None:
    source = (start * 9 + "<!--" + "-" * 9000 + "-->" + start + "<p>a").encode()
    assert html_parsers._direct_lexbor(source) == html_parsers._public_lexbor(source)


def test_levels_are_counted() -> None:
    deepest = b"<div>" * (MAX_LEVELS - 1)
    assert canonical_lexbor(deepest).count(b"</div>") == MAX_LEVELS - 1
    with pytest.raises(OverflowError, match=f"more than {MAX_LEVELS} deep"):
        canonical_lexbor(deepest + b"<div>")


def test_sloppy_pages_are_read_however_deep_they_become() -> None:
    html = "".join(f"<span><div>Post {nth} of a forum.</span></div>" for nth in range(12_000))
    page = extract_page(html, "http://a/", ExtractConfig())
    assert int(page.dom.levels.max()) > 12_000
    assert b"Post 11999" in page.dom.source
    assert len(page.nodes) > 1000


def test_all_parsers_say_where_markup_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    source = b"<p>a<p>b<p>c"
    for size in (60, 1000):
        monkeypatch.setattr(html_parsers, "reads_directly", lambda: False)
        for read in (canonical_lexbor, canonical_beautifulsoup):
            if size > len(canonical_lexbor(source)):
                assert read(source, largest=size) == canonical_lexbor(source)
            else:
                with pytest.raises(OverflowError, match="more than 60 bytes of markup"):
                    read(source, largest=size)


def test_memory_is_counted_as_it_is_taken_and_given_back() -> None:
    """The least limit under which a page is read is what lexbor holds at its peak."""
    source = b"<p title='" + b"x" * 3_000_000 + b"'>a" + b"<b>c</b>" * 2000

    def is_read(most_memory: int) -> bool:
        try:
            return bool(parse_kernel.lexbor_markup(source, 1 << 30, most_memory, 9.0))
        except OverflowError:
            return False

    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        assert is_read(1 << 30)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert is_read(peak)
    assert not is_read(peak * 9 // 10 - len(source))


def test_machine_without_memory_is_no_fault_of_the_page() -> None:
    script = """if True:
        import resource
        from transforms.dom import parse_html
        from transforms.interleave import extract_page
        from transforms.page_limits import ExtractConfig
        parse_html("<table>x</table>")
        taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        html = "<table>x</table>" + "<p><b>x</b> <i>y</i></p>" * 200_000
        resource.setrlimit(resource.RLIMIT_AS, (taken + 100 * 2**20, resource.RLIM_INFINITY))
        try:
            extract_page(html, "http://a/", ExtractConfig())
        except MemoryError:
            del html
            print("no memory", len(parse_html("<table>x</table>")))
    """
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert (found.returncode, found.stdout[:9]) == (0, "no memory"), found.stderr


def test_facts_of_nested_headings_cost_linear_time() -> None:
    html = "<p>x</p>" + "<h1><div>" * 200 + "<b></b>" * 300_000 + "</div></h1>" * 200
    with hang_guard():
        page = extract_page(html, "http://a/", ExtractConfig())
        assert page_facts(html, page.dom, page.base_url).title == ""


@pytest.mark.parametrize("span", ["rowspan=50 colspan=50", "colspan=50", "rowspan=50"])
def test_spans_do_not_make_a_table_of_nothing(span: str) -> None:
    rows = "".join(f"<tr><td {span}>x{nth}<td>y" for nth in range(20_000))
    with hang_guard():
        page = extract_page(f"<table>{rows}</table>", "http://a/", ExtractConfig())
    (table,) = page.nodes
    assert table.text is not None
    assert table.text.count("|") < 2 * 100_000
    assert table.text.count("x") == 20_000


def test_number_of_any_length_is_a_span() -> None:
    for digits in ("9" * 5000, "0" * 5000 + "2"):
        html = f"<table><tr><th>a<th>b<tr><td colspan={digits} rowspan={digits}>x<td>y</table>"
        (table,) = extract_page(html, "http://a/", ExtractConfig()).nodes
        assert "x" in (table.text or "")


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
