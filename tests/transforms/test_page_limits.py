"""The page kernel counts and limits what the Python code in `source_limits.py` does."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.extraction_data import SETS, load_set
from schemas.errors import PageTooLargeError
from transforms import page_kernel, parse_kernel, source_limits
from transforms.html_parsers import canonical_lexbor
from transforms.source_limits import LONG_TAG, MAX_DEPTH, MAX_FORMATTING, prepare_source

pytestmark = pytest.mark.skipif(
    not page_kernel.AVAILABLE, reason="the page kernel was not built: there was no C compiler"
)
derandomized = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    max_examples=1000,
)
LONG = "x" * LONG_TAG

COUNTED = {
    "nothing": ("", (0, 0, 0)),
    "text": ("abc", (0, 0, 0)),
    "tags": ("<p>a</p><br/><", (4, 0, 0)),
    "formatting": ("<b><I ><font/>a</b\n></code>", (5, 1, 0)),
    "more closed than opened": ("</b></em></u><b>", (4, -2, 0)),
    "names that begin alike": ("<body><s-x><small><ss><b", (5, 1, 0)),
    "a long tag": (f"<p a='b' c={LONG}>", (1, 0, 4)),
    "a tag a byte too short": (f"<p a='{'x' * (LONG_TAG - 7)}>", (1, 0, 0)),
    "a tag just long enough": (f"<p a='{'x' * (LONG_TAG - 6)}>", (1, 0, 2)),
    "a long tag at the end": (f"<p>{LONG}</p {LONG}", (2, 0, 1)),
    "a long text": (f"<p>a b c {LONG}<br>", (2, 0, 0)),
    "a long text before a long tag": (f"<p>a b {LONG}<br d\ne\t{LONG}>", (2, 0, 3)),
    "no tag in it": (f"<p>a < b {LONG} <1 </>", (4, 0, 0)),
    "the largest": (f"<p a b {LONG}><p a b c {LONG}><p a {LONG}>", (3, 0, 4)),
}


@pytest.mark.parametrize(("html", "expected"), COUNTED.values(), ids=COUNTED.keys())
def test_tags_are_counted(html: str, expected: tuple[int, int, int]) -> None:
    for before in ("", " " * 57, " " * 63, " " * 64):
        source = (before + html).encode()
        assert source_limits._count_tags(source) == expected
        assert parse_kernel.slim(source.decode())[1] == expected


PIECES = [
    "<b>", "</b>", "<B ", "<i/", "</strong\n", "<strong>", "<strike\t", "<s>", "<tt\r", "<u\f",
    "<u\v",
    "<body>", "<", "</", ">", "/", "<p a='b'", "'", '"', " ", "\n", "x" * 37, "x" * 64, LONG,
    "\x00",
    "\u00a0", "<!--", "-->", "<script>", "</script>",
]  # fmt: skip


@derandomized
@given(st.lists(st.sampled_from(PIECES), max_size=20))
def test_soup_is_counted_alike(drawn: list[str]) -> None:
    source = "".join(drawn).encode()
    assert parse_kernel.slim(source.decode())[1] == source_limits._count_tags(source)


# Sources, and what is left of them where two elements may nest, one of them for formatting.
LIMITED = {
    "nothing": ("", ""),
    "as deep as it may": ("<div><div>a</div></div>", "<div><div>a</div></div>"),
    "deeper": ("<div><div><div>a</div>b</div>c</div>", "<div><div>ab</div>c</div>"),
    "deeper in other letters": ("<A-B><Div><DIV>a</diV></div></a-b>", "<A-B><Div>a</div></a-b>"),
    "formatting": ("<b><i>a</i>b</b><i>c</i>", "<b>ab</b><i>c</i>"),
    "passed over": ("<p><li><td><br><div>a", "<p><li><td><br><div>a"),
    "closed by another end": ("<div><span></div><div><span>a", "<div><span></div><div><span>a"),
    "never opened": ("</div></b><div><div></b>a", "</div></b><div><div></b>a"),
    "in a comment": ("<div><!-- <div> --><div><div>a", "<div><!-- <div> --><div>a"),
    "in a comment that goes on": ("<!-- ><div><div><div>a", "<!-- ><div><div><div>a"),
    "behind a comment that ends at once": ("<!--><div><!---><div><div>a", "<!--><div><!---><div>a"),
    "behind a comment that ends oddly": ("<!-- a --!><div><div><div>a", "<!-- a --!><div><div>a"),
    "in raw text": (
        "<div><SCRIPT><div></Script><style-x><div></style><title><div></title ><div>a<div>b",
        "<div><SCRIPT><div></Script><style-x><div></style><title><div></title ><div>ab",
    ),
    "not raw text": ("<scripts><titles><div>a</scripts>", "<scripts><titles>a</scripts>"),
    "raw text left open": ("<div><div><xmp><div>", "<div><div><xmp><div>"),
    "cut off": ("<div><div><div a='b'", "<div><div>"),
    "no tags": ("<div><div>< div><1></><", "<div><div>< div><1></><"),
    "a `>` in a value": ("<div><div><div a='>'>b", "<div><div>'>b"),
}


@pytest.mark.parametrize(("html", "expected"), LIMITED.values(), ids=LIMITED.keys())
def test_depth_is_limited(html: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_limits, "MAX_DEPTH", 2)
    monkeypatch.setattr(source_limits, "MAX_FORMATTING", 1)
    assert source_limits._limit_depth(html.encode()).decode() == expected
    limited = parse_kernel.limit_depth(html.encode())
    assert limited is not None
    assert limited.decode() == expected


NESTING = [
    "<div>", "</div>", "<DIV a>", "<x-y>", "</x-y>", "<b>", "</b>", "<font color=a>", "</font>",
    "<p>",
    "<section", "</section", ">", "<!--", "-->", "--", "<script>", "</script>", "<title>",
    "</titlex",
    "<iframe_>", "<style\u00e9>", "<d\u00e9>", "</D\u00e9>", "<", "</", "/", "'", "a", " ",
    "\v", "<br>",
]  # fmt: skip


@derandomized
@given(st.lists(st.sampled_from(NESTING), max_size=40), st.integers(0, 4), st.integers(0, 2))
def test_soup_is_limited_alike(drawn: list[str], depth: int, formatting: int) -> None:
    source = "".join(drawn).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_limits, "MAX_DEPTH", depth)
        patch.setattr(source_limits, "MAX_FORMATTING", formatting)
        assert parse_kernel.limit_depth(source) == source_limits._limit_depth(source)


def test_page_that_is_not_deep_stays_itself() -> None:
    source = b"<div>" * MAX_DEPTH
    assert parse_kernel.limit_depth(source) is source


def test_page_of_very_many_names_is_left_to_python() -> None:
    def made(count: int) -> bytes:
        return "".join(f"<x{number}></x{number}>" for number in range(count)).encode()

    assert parse_kernel.limit_depth(made(400)) == made(400)
    assert parse_kernel.limit_depth(made(600)) is None
    source = b"<x-y>" * (MAX_DEPTH + 1) + made(5000)
    assert parse_kernel.limit_depth(source) is None
    assert prepare_source(source.decode()) == source_limits._limit_depth(source) != source


def test_real_pages_are_counted_and_limited_alike(shared_data: Path) -> None:
    pages = [page.html for name in SETS for page in load_set(name, shared_data)[::7]]
    ends = re.compile(rb"</(?:div|b|i|strong|span)>")
    for html in pages:
        source = html.encode("utf-8", "replace")
        assert parse_kernel.slim(source.decode())[1] == source_limits._count_tags(source)
        for each in (source, ends.sub(b"", source)):
            assert parse_kernel.limit_depth(each) in (source_limits._limit_depth(each), None)


@pytest.mark.parametrize("html", ["<b>" * 3000, "<p><b>x" * 2500, "<div>" * 9000, "<p>x" * 9000])
def test_source_is_the_same_without_the_kernel(html: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = prepare_source(html)
    monkeypatch.setattr(page_kernel, "AVAILABLE", False)
    assert prepare_source(html) == found
    assert found.count(b"<b>") <= MAX_FORMATTING


@pytest.mark.parametrize(
    "emptied", ["<svg>" + "<path/>" * 9000 + "</svg>", "<script>" + "'<i/>'+" * 9000 + "</script>"]
)
@pytest.mark.parametrize("deep", ["<div>" * 600 + "x", "<p><b><i><u><a href=/><em>x" * 60])
def test_tags_that_are_emptied_count_as_without_the_kernel(
    emptied: str, deep: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = canonical_lexbor(prepare_source(emptied + deep))
    monkeypatch.setattr(page_kernel, "AVAILABLE", False)
    assert canonical_lexbor(prepare_source(emptied + deep)) == found


@pytest.mark.parametrize("kernel", [True, False])
def test_a_flood_of_attributes_is_refused_wherever_it_is(
    kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_kernel, "AVAILABLE", kernel)
    with pytest.raises(PageTooLargeError, match="about 6000 attributes"):
        prepare_source("<link " + " ".join(f"a{number}=b" for number in range(6000)) + ">")
