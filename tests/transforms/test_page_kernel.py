"""The kernel gives the numbers of the numpy code, and is built where it can be."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import PageTooLargeError
from tests.conftest import hang_guard
from transforms import content_names, dom, page_kernel
from transforms.content_features import BITS, Blocks, measure_blocks
from transforms.content_model import score_blocks
from transforms.dom import Dom
from transforms.html_parsers import canonical_lexbor

ROOT = Path(__file__).resolve().parents[2]

needs_kernel = pytest.mark.skipif(
    not page_kernel.AVAILABLE, reason="the page kernel was not built: there was no C compiler"
)
derandomized = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    max_examples=400,
)

DOM_ARRAYS = ("tags", "starts", "stops", "closes", "levels", "parents", "text_stops")
BLOCK_ARRAYS = Blocks.__slots__


@contextmanager
def numpy_only() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_kernel, "AVAILABLE", False)
        yield


def arrays_of(source: bytes) -> dict[str, npt.NDArray[Any]] | str:
    """Everything that is made of markup, or why it is not."""
    try:
        page = Dom(source)
    except dom._UnreadableError:
        return "unreadable"
    blocks = measure_blocks(page)
    found = {f"dom.{name}": getattr(page, name) for name in DOM_ARRAYS}
    found |= {f"blocks.{name}": getattr(blocks, name) for name in BLOCK_ARRAYS}
    return found | {"scores": score_blocks(blocks)}


def check_equal(source: bytes) -> str:
    """That both give the same; whether that is arrays."""
    found = arrays_of(source)
    with numpy_only():
        expected = arrays_of(source)
    if isinstance(found, str) or isinstance(expected, str):
        assert found == expected
        return "unreadable"
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        assert found[name].shape == array.shape, name
        np.testing.assert_array_equal(found[name], array, name)
    return "read"


PROSE = "The boats come back with the tide, and people walk along the quay to see what they bring. "
PAGES = {
    "empty": "",
    "text": "just text",
    "article": "<title>T</title><nav><a href=/>Home</a></nav><article class='post entry'>"
    f"<h1>H</h1><p>{PROSE * 3}<p>{PROSE}<img src=a><br><br>x<h2>I: </h2><p>{PROSE}</article>"
    "<footer>(c) 2024!",
    "no text": "<div><p> \n <div></div>",
    "images only": "<div><img src=a><p><amp-img></amp-img></div>",
    "names": "<div class='mainNav HTMLContent XMLHttp-sidebar_left A Ab ABc aB'><p id=footer>x"
    "<p itemprop=articleBody data-testid=share data-component=ad>y<p role=navigation>z",
    "names in many cases": "<p class='NAV nav Nav nAV NaV SHARE-bar Share9bar H1 h1 é-nav navé'>x",
    "long words": f"<p class='{'a' * 300} aggregaterating recommendations {'B' * 17}'>x",
    "hump after capitals": "<p class=XMLNav>x<div class=ABShare>y",
    "hidden to none": "<p aria-hidden=truely>x<p aria-hidden=tru>y",
    "white space of styles": "<p style='display\f:\vnone'>x<p style='visibility\t:\x1chidden'>y",
    "classes after a value": '<p title=" class=" class="a">x<p title=" class=" class="b">y',
    "half in links": f"<p><a>{'x' * 40}</a>{'y' * 40}<p><a>{'x' * 39}</a>{'y' * 41}<p>{'z' * 39}",
    "equally deep": f"<div><p>{'x' * 50}</div><div><p>{'y' * 50}</div><div><p>{'z' * 40}</div>",
    "hidden": "<p style='display : none'>a<p style='color:red;visibility:\n hidden'>b<p hidden>c"
    "<p aria-hidden=true>d<p aria-hidden=false>e<p style='displaydisplay:none'>f"
    "<p style='display:'>g<p style='visibility'>h<p style='display:block none'>i",
    "same classes": "<ul>" + "<li class=a>x<li class=b>y<li>z" * 9 + "</ul>",
    "two lines of a class": "<p class='nav\nfooter'>x<p class='nav footer'>y",
    "names in values": '<p title=" itemprops data-test aria-hidden" class="nav">x'
    "<p title=' class=' id='share'>y<p title='a id=' class=footer>z<p alt=' hidden= '>w<p class=x>",
    "links": f"<p><a href=a>{PROSE}</a><p>x<a href=b>y</a><a><b>z</a>w",
    "characters": "<p>1234 ABC. Wow! What? a;b,c:(d)|e/f\\g*h#i@j$k%l+m=n^_[~]<p>&lt;&amp;&nbsp;"
    "&nbsp;x&nbsp;<p>&nbsp;<p>a:<p>b.<p>c!<p>é<p>7",
    "japanese": "<p>海の港は、町の下にあります。毎朝船が戻ります。<p>（はい）<b>。</b>、",
    "many h1": f"<p>a<h1>b</h1><p>c<h1>d</h1><p>{PROSE}",
    "forms": "<form><input><button>b</button><label>l</label><select><option>o</select></form>x",
    "unknown elements": "<x-y><blockquotes>a</blockquotes></x-y><figcaptions>b</figcaptions>",
    "void": "<hr><p>a<hr>b<br>c<wbr>d<area>",
    "types": '<meta property="og:type" content="article"><p>x',
    "product": '<meta content="product" property="og:type"><p>x',
    "body attributes": "<html class=blog><body class='single product' id=forum><p>x",
    "text behind body": "<body><p>a</p></body>b",
    "table": f"<table><caption>c<tr><th>a<td>{PROSE}<tr><td><table><tr><td>x</table></table>",
    "511 deep": "<div class=nav>" + "<span>" * 509 + "<p>x",
    "513 deep": "<div class=nav>" + "<div>" * 511 + "<p>x<p>y",
    "2000 deep": "<div class=nav><p>a</p>" + "<div><i>" * 1000 + "<p>x<p>y",
    "long text": f"<p>{'A' * 5000}<p>{PROSE * 300}",
    "many classes": "".join(f"<p class=c{number}>x" for number in range(5000)),
}


@needs_kernel
@pytest.mark.parametrize("html", PAGES.values(), ids=PAGES.keys())
def test_kernel_gives_the_numbers_of_numpy(html: str) -> None:
    assert check_equal(canonical_lexbor(html.encode("utf-8", "replace"))) == "read"


BROKEN = {
    "nothing but an end": b"</html>",
    "unclosed": b"<html><p></html>",
    "two in one": b"<html <p></html>",
    "crossed": b"<html><i><b></i></b></html>",
    "closes too much": b"<html></html></p><p>",
    "a lone >": b"<html>></html>",
    "a lone <": b"<html><</html>",
    "cut off": b"<html><p></p></html",
    "no end": b"<html></html><",
    "70000 deep": b"<html>" + b"<p>" * 70_000 + b"</p>" * 70_000 + b"</html>",
    "65536 deep": b"<p>" * 65_536 + b"<br>" + b"</p>" * 65_536,
}
ODD = {
    "several roots": b"<html><p>x</p></html><p>y</p>text",
    "no name": b"<html><>x</></html>",
    "zeros in names": b"<html><p\0>x</p\0><a\0b></a\0b></html>",
    "classes of end tags": b'<html><body><p>x</p class="nav"><p class="nav">y</p></body></html>',
    "spaces at once": b'<html>< class="nav">x</></html>',
    "E3 80 across tags": b"<html><p>x\xe3<b>\x80</b>y</p></html>",
    "nbsp across tags": b"<html><p>&nbsp;&nb<b>sp;</b></p></html>",
    "text behind a root": b'<html></html>x og:type"og:type"' + b'"website"product' * 9,
    "a bare page": b"<html></html>",
    "control characters": bytes(range(1, 60))
    .join([b"<html>", b"</html>"])
    .replace(b"<\x01", b"\x01"),
    "65535 deep": b"<p>" * 65_535 + b"x<br>" + b"</p>" * 65_535,
}


@needs_kernel
@pytest.mark.parametrize("percent", [34, 35, 36, 49, 50, 69, 70, 84, 85, 86])
def test_parts_of_the_prose_are_found_alike(percent: int) -> None:
    inside, outside = "x" * 10 * percent, "y" * 10 * (100 - percent)
    html = f"<section><div><p>{inside}</div></section><p>{outside}<p>a<p>b"
    assert check_equal(canonical_lexbor(html.encode())) == "read"


@needs_kernel
@pytest.mark.parametrize("word", ["product", '"article"', '"website"'])
def test_declared_type_is_looked_for_in_the_same_bytes(word: str) -> None:
    for length in range(60, 90):
        for said in (word + "x" * length + '"og:type"', '"og:type"' + "x" * length + word):
            source = f"<html><body>{'y' * 100}{said}{'z' * 100}</body></html>"
            assert check_equal(source.encode()) == "read"
    assert check_equal(f'<html>{word}"og:type"</html>'.encode()) == "read"


@needs_kernel
@pytest.mark.parametrize("source", BROKEN.values(), ids=BROKEN.keys())
def test_markup_that_is_not_canonical_is_refused_by_both(source: bytes) -> None:
    assert check_equal(source) == "unreadable"


@needs_kernel
@pytest.mark.parametrize("source", ODD.values(), ids=ODD.keys())
def test_odd_markup_is_read_alike(source: bytes) -> None:
    assert check_equal(source) == "read"


@needs_kernel
@pytest.mark.parametrize(
    "source",
    [pytest.param(b"", id="nothing"), pytest.param(b"x<html></html>", id="text_first")],
)
def test_markup_without_a_first_tag_is_refused(source: bytes) -> None:
    with pytest.raises(dom._UnreadableError):
        Dom(source)


NAMES_DRAWN = [
    "div", "p", "a", "span", "li", "ul", "td", "table", "tr", "h1", "h2", "section", "article",
    "nav", "b", "i", "blockquote", "figure", "figcaption", "form", "button", "main", "header",
    "x-y", "figcaptionx", "pre", "label", "body",
]  # fmt: skip
VOID_DRAWN = ["br", "img", "hr", "input", "wbr"]
VALUES = [
    "", "nav", "mainNav Footer", "share-BAR", "post content", "a b  c", "true", "display:none",
    "x display : none;", "visibility:hidden", "color:red", " id=", " itemprop itemprops",
    "x class=",
    " hidden=", "\n", "é", "col-md-6 col-xs-12", "sidebar\nwidget", "\t", "a" * 40,
]  # fmt: skip
ATTRIBUTES = [
    "class", "id", "role", "itemprop", "itemtype", "data-test", "data-component", "style",
    "hidden", "aria-hidden", "title", "href", "property", "clas", "classy",
]  # fmt: skip
TEXTS = [
    "", " ", "\n  ", "word", PROSE, "A. B! C?", "12,5 (x): y;", "&nbsp;", "&nb", "sp;", "&amp;",
    "。、",
    "日本語。", "\x00", "\x7f", "|*#", '"', ' class="nav"', "og:type",
    '"og:type" "article"', "é" * 30,
]  # fmt: skip
DAMAGES = ["<", ">", '"', " ", "</p>", "<p>", "<br>", " id=", "&nbsp;", "\x00", "/", ' class="']

elements = st.tuples(
    st.sampled_from(NAMES_DRAWN),
    st.lists(st.tuples(st.sampled_from(ATTRIBUTES), st.sampled_from(VALUES)), max_size=4),
)
pieces = st.one_of(
    elements,
    elements,
    st.sampled_from(["close", "close"]),
    st.sampled_from(VOID_DRAWN).map(lambda name: f"<{name}>"),
    st.sampled_from(TEXTS),
    st.integers(1, 600),
)


def markup(drawn: list[Any]) -> str:
    """Canonical markup of what was drawn: elements, their ends, texts, and deep nests."""
    out, open_names = [], []
    for piece in drawn:
        if isinstance(piece, tuple):
            name, attributes = piece
            pairs = "".join(f' {key}="{value}"' for key, value in attributes)
            out.append(f"<{name}{pairs}>")
            open_names.append(name)
        elif isinstance(piece, int):
            deep = max(1, piece - 540)
            out.append("<div>" * deep)
            open_names += ["div"] * deep
        elif piece != "close":
            out.append(piece)
        elif open_names:
            out.append(f"</{open_names.pop()}>")
    out += [f"</{name}>" for name in reversed(open_names)]
    return "".join(out)


@needs_kernel
@derandomized
@given(
    st.lists(pieces, max_size=120),
    st.lists(st.tuples(st.integers(0, 65535), st.sampled_from(DAMAGES)), max_size=2),
    st.sampled_from(["<html><head></head><body>", '<html class="x"><body id="nav">', "<html>"]),
)
def test_drawn_markup_gives_the_numbers_of_numpy(
    drawn: list[Any], damages: list[tuple[int, str]], start: str
) -> None:
    body = markup(drawn)
    for place, damage in damages:
        at = place * len(body) >> 16
        body = body[:at] + damage + body[at:]
    ends = "</body></html>" if "<body" in start else "</html>"
    # The numpy code needs quotes behind every name that it looks for.
    check_equal(f'{start}{body}{ends}<hr title=""><hr title="">'.encode())


def real_sources(shared_data: Path, step: int) -> list[str]:
    from benchmarks.extraction_data import SETS, load_set, load_site_pages

    pages = [page for name in SETS for page in load_set(name, shared_data)[::step]]
    return [page.html for page in pages + load_site_pages(shared_data)[::step]]


@needs_kernel
def test_real_pages_give_the_numbers_of_numpy(shared_data: Path) -> None:
    sources = real_sources(shared_data, 11)
    read = [check_equal(canonical_lexbor(html.encode("utf-8", "replace"))) for html in sources]
    assert read.count("read") > 0.95 * len(read) > 100


@needs_kernel
def test_damaged_real_pages_give_the_numbers_of_numpy(shared_data: Path) -> None:
    numbers = np.random.default_rng(3)
    for html in real_sources(shared_data, 37):
        source = canonical_lexbor(html.encode("utf-8", "replace"))[:150_000]
        for at in numbers.integers(6, len(source), 3).tolist():
            piece = source[at : at + int(numbers.integers(1, 400))]
            to = int(numbers.integers(6, len(source)))
            check_equal(source[:to] + piece + source[to:] + b'<hr title=""><hr title="">')


@needs_kernel
def test_more_tags_than_allowed_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dom, "MAX_TAGS", 4)
    assert len(Dom(b"<html><p></p></html>")) == 4
    for source in (b"<html><p><br></p></html>", b"<" * 5, b">" + b"<" * 5):
        with pytest.raises(PageTooLargeError):
            Dom(source)
        with numpy_only(), pytest.raises(PageTooLargeError):
            Dom(source)


@needs_kernel
def test_names_in_one_long_value_are_read_in_linear_time() -> None:
    trap = b" itemprop" * 400_000
    source = b'<html><body><p title="' + trap + b'">' + b"x" * 4_000_000 + b'</p><p class="a"></p>'
    page = Dom(source + b"</body></html>")
    with hang_guard():
        assert len(measure_blocks(page).size) == 1


@needs_kernel
def test_a_name_without_a_value_behind_it_is_no_error() -> None:
    assert len(measure_blocks(Dom(b'<html><p title=" id=">x</p></html>')).size) == 1


@needs_kernel
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("closes", 99), ("closes", -1), ("parents", 3), ("parents", -2), ("tags", 1000),
        ("tags", 0), ("starts", -5), ("stops", 10_000), ("levels", 50), ("levels", -1),
    ],
)  # fmt: skip
def test_arrays_that_lead_out_of_the_page_are_refused(name: str, value: int) -> None:
    page = Dom(b"<html><p>x</p></html>")
    array = getattr(page, name).copy()
    array[3] = value
    setattr(page, name, array)
    with pytest.raises(ValueError, match="not the arrays of a page"):
        page_kernel.measure_blocks(page)


@needs_kernel
def test_arrays_of_different_sizes_are_refused() -> None:
    page = Dom(b"<html><p>x</p></html>")
    page.closes = page.closes[:2]
    with pytest.raises(ValueError, match="different sizes"):
        page_kernel.measure_blocks(page)


def test_bits_of_a_block_leave_the_sign_alone() -> None:
    """The kernel marks what it does not know yet with -1."""
    assert BITS < 64
    assert all(0 <= bits < 1 << 63 for bits in content_names.WORDS.values())


def test_pages_are_read_where_the_kernel_was_not_built() -> None:
    code = """if True:
        import sys
        sys.modules["transforms._page_kernel"] = None
        from transforms import page_kernel
        from transforms.content_features import measure_blocks
        from transforms.dom import parse_html
        assert not page_kernel.AVAILABLE
        print(measure_blocks(parse_html("<p>a<p>b")).size.tolist())
    """
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout == "[1, 1]\n"
