"""lexbor called directly by the page kernel, and through selectolax: both write the same."""

import ctypes
import logging
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from selectolax import lexbor
from selectolax.lexbor import LexborHTMLParser

from benchmarks.extraction_data import SETS, load_set, load_site_pages
from schemas.errors import HtmlParseError
from tests.conformance.case_files import read_cases
from transforms import html_parsers, page_kernel, parse_kernel
from transforms.html_parsers import LEXBOR_OPTIONS, canonical_lexbor
from transforms.source_limits import prepare_source

needs_direct = pytest.mark.skipif(
    not html_parsers.reads_directly(), reason="lexbor cannot be called directly here"
)
derandomized = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    max_examples=600,
)


@pytest.fixture
def undecided() -> Iterator[None]:
    """The way is chosen anew, in the test and after it."""
    parse_kernel._lexbor.cache_clear()
    html_parsers.reads_directly.cache_clear()
    yield
    parse_kernel._lexbor.cache_clear()
    html_parsers.reads_directly.cache_clear()


def by_the_rules(source: bytes) -> bytes:
    return html_parsers._write_lexbor(LexborHTMLParser(source, options=LEXBOR_OPTIONS).root)


def check(source: bytes) -> None:
    found = html_parsers._direct_lexbor(source)
    assert found == html_parsers._public_lexbor(source)
    assert found == by_the_rules(source)


@pytest.mark.skipif(
    sys.platform != "linux" or not page_kernel.AVAILABLE,
    reason="selectolax shows lexbor's functions on Linux, to a kernel that was built",
)
def test_lexbor_is_called_directly_on_linux() -> None:
    assert html_parsers.reads_directly()


# What each kind of source becomes, in the body.
WRITTEN = {
    "empty": ("", ""),
    "text": ("a &lt;&gt;&amp;&nbsp;\"'", "a &lt;&gt;&amp;&nbsp;\"'"),
    "values": (
        "<p a='<&gt;&amp;&nbsp;\"' b=\"'\" c d=>",
        '<p a="&lt;&gt;&amp;&nbsp;&quot;" b="\'" c="" d=""></p>',
    ),
    "characters of two bytes that begin as U+00A0 does": (
        "\u00a3<p a=\u00bf>\u00a0\u00a1\u00c2\u00a0",
        '\u00a3<p a="\u00bf">&nbsp;\u00a1\u00c2&nbsp;</p>',
    ),
    "names that can be spelled": (
        "<P @Click=a :b=c _d=e f.g=h (i)=j \u00e9=k><X-y.z>l",
        '<p @click="a" :b="c" _d="e" f.g="h" (i)="j" \u00e9="k"><x-y.z>l</x-y.z></p>',
    ),
    "names that cannot": (
        "<p a\"b=1 =c=2 d'=3 e<f=4 g=5><x<y>h</x<y><x\"y>i<z=1>j",
        '<p g="5"><span>h</span><span>i<span>j</span></span></p>',
    ),
    "void": ("<br></br><img><hr>a<wbr>", "<br><br><img><hr>a<wbr>"),
    "void for lexbor only": (
        "<keygen><bgsound><basefont>",
        "<keygen></keygen><bgsound></bgsound><basefont></basefont>",
    ),
    "comments": ("a<!-- <p> -->b<!--->c<?d?>e<!f>g</ h>i", "abcegi"),
    "nothing but what is never read": ("<template><p>a</template><svg><p>b</svg>", "<p>b</p>"),
    "never read": (
        "a<script>b</script><select><option>c</select><textarea>d</textarea><object>e</object>f",
        "af",
    ),
    "never read in a table": ("<table><svg></svg><tr><td><iframe></table>", None),
    "noscript": ("a<noscript><p>b</noscript>", "a<noscript><p>b</p></noscript>"),
    "raw text": ("<xmp><b>&amp;</xmp>", "<xmp>&lt;b&gt;&amp;amp;</xmp>"),
    "plaintext": ("<plaintext>a</plaintext>", "<plaintext>a&lt;/plaintext&gt;</plaintext>"),
    "foreign": (
        "<math xmlns:xlink=a xlink:href=b definitionurl=c><mi>d</mi><mspace/>"
        "<annotation-xml><p>e</annotation-xml></math>",
        '<math xmlns:xlink="a" xlink:href="b" definitionURL="c"><mi>d</mi><mspace></mspace></math>'
        "<p>e</p>",
    ),
    "zeros": ("a\x00b<p\x00 c\x00=d\x00>", 'ab<p\ufffd c\ufffd="d\ufffd"></p\ufffd>'),
    "lines": ("<pre>\n\na\r\nb\rc</pre>", "<pre>\na\nb\nc</pre>"),
    "misnested": ("<b>1<p>2</b>3", "<b>1</b><p><b>2</b>3</p>"),
}  # fmt: skip


@needs_direct
@pytest.mark.parametrize(("html", "expected"), WRITTEN.values(), ids=WRITTEN.keys())
def test_markup_is_that_of_the_rules(html: str, expected: str | None) -> None:
    source = html.encode()
    check(source)
    if expected is not None:
        body = f"<html><head></head><body>{expected}</body></html>"
        assert html_parsers._direct_lexbor(source).decode() == body


@needs_direct
@pytest.mark.parametrize("html", ["<frameset><frame src=a><noframes>b", "<html a=b><head c>", "\n"])
def test_markup_without_a_plain_body_is_that_of_the_rules(html: str) -> None:
    check(html.encode())


@needs_direct
def test_long_texts_are_written_around_each_place() -> None:
    for length in (*range(1, 20), 60, 63, 64, 65, 127, 128, 129, 1000):
        for special in ("&", "<", ">", '"', "\u00a0", "\u00a9", "\u20ac"):
            for place in {0, length // 2, length - 1}:
                text = f"{'x' * place}{special}{'y' * (length - 1 - place)}"
                escaped = html_parsers.escape_text(text)
                check(f"<p title='{escaped}'>{escaped}".encode())


@needs_direct
def test_deep_trees_are_walked_without_recursion() -> None:
    source = b"<i>" * 30 + b"<div>" * 3000 + b"deepest"
    check(source)
    assert html_parsers._direct_lexbor(source).count(b"</div>") == 3000


TOKENS = [
    "<p>", "<b>", "<a href=x>", "<div class=c>", "<table>", "<tr>", "<td>", "<li>", "<ul>", "<br>",
    "<img src=a alt='&quot;'>", "<select>", "<option>", "<template>", "<svg>", "<math>", "<mi>",
    "<annotation-xml encoding=text/html>", "<foreignObject>", "<desc>", "<title>", "<style>",
    "<script>", "<xmp>", "<plaintext>", "<noscript>", "<iframe>", "<textarea>", "<frameset>",
    "<frame>", "<noframes>", "<form>", "<input type=hidden>", "<button>", "<selectedcontent>",
    "<keygen>", "<col>", "<caption>", "<body a=b>", "<html c=d>", "<head>", "<nobr>",
    "<font size=1>", "<x<y z<=1>", "<p a\"='b'c>", "<image>", "<object>", "</p>", "</b>", "</a>",
    "</div>", "</table>",
    "</svg>", "</math>", "</select>", "</template>", "</title>", "</style>", "</script>", "</br>",
    "</body>", "</html>", "</head>", "</xmp>", "</form>", "<!--", "-->", "<![CDATA[", "]]>", "<?x",
    "<!doctype html>", "&amp", "&lt;", "&nbsp;", "&#0;", "&#xd800;", "&#128;", "\u00a0", "\u6d77",
    "\U0001f6a2", "\x00", "\r\n", "\f", "'", '"', "<", "</", ">", "=", "/", " ", "a",
    "xlink:href=u ",
]  # fmt: skip


@needs_direct
@derandomized
@given(st.lists(st.sampled_from(TOKENS), max_size=30))
def test_both_ways_agree_on_soup(drawn: list[str]) -> None:
    check("".join(drawn).encode())


def damaged(page: bytes, places: list[tuple[int, int]], pieces: list[str]) -> bytes:
    """A page with pieces in place of what stood between some places, in 65536ths of it."""
    for (first, length), piece in zip(places, pieces, strict=False):
        begin = len(page) * first >> 16
        page = page[:begin] + piece.encode() + page[begin + length :]
    return page.decode("utf-8", "replace").encode()


CASES = [case.html.encode() for case in read_cases()]


@needs_direct
def test_both_ways_agree_on_the_conformance_pages() -> None:
    for source in CASES:
        check(source)


@needs_direct
@derandomized
@given(
    st.sampled_from(CASES),
    st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 40)), max_size=8),
    st.lists(st.sampled_from(TOKENS), min_size=8, max_size=8),
)
def test_both_ways_agree_on_damaged_pages(
    page: bytes, places: list[tuple[int, int]], pieces: list[str]
) -> None:
    check(damaged(page[:30_000], places, pieces))


@needs_direct
def test_both_ways_agree_on_real_pages(shared_data: Path) -> None:
    pages = [page for name in SETS for page in load_set(name, shared_data)]
    pages += load_site_pages(shared_data)[::4]
    for number, page in enumerate(pages):
        source = prepare_source(page.html)
        found = html_parsers._direct_lexbor(source)
        assert found == html_parsers._public_lexbor(source)
        if number % 17 == 0:
            assert found == by_the_rules(source)


@needs_direct
def test_threads_do_not_meet() -> None:
    sources = CASES * 3
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(html_parsers._direct_lexbor, sources))
    assert found == [html_parsers._direct_lexbor(source) for source in sources]


def name_no_function(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(parse_kernel, "_LEXBOR", [*parse_kernel._LEXBOR[:-1], "lxb_there_is_no_such"])


def name_another_version(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        "selectolax.lexbor.LEXBOR_VERSION_MAJOR", parse_kernel.LEXBOR_MAJOR + 1, raising=False
    )


def name_no_version(patch: pytest.MonkeyPatch) -> None:
    patch.delattr("selectolax.lexbor.LEXBOR_VERSION_MAJOR", raising=False)


def name_no_library(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("selectolax.lexbor.__file__", "/no/such/library.so")


def build_no_kernel(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(page_kernel, "AVAILABLE", False)


@pytest.mark.usefixtures("undecided")
@pytest.mark.parametrize(
    "lack",
    [name_no_function, name_another_version, name_no_version, name_no_library, build_no_kernel],
)
def test_public_way_is_taken_where_the_direct_one_is_not_there(
    lack: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    lack(monkeypatch)
    assert not html_parsers.reads_directly()
    source = html_parsers._SPECIMEN
    assert canonical_lexbor(source) == by_the_rules(source)


@pytest.mark.usefixtures("undecided")
def test_public_way_is_taken_where_the_two_do_not_agree(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(parse_kernel, "has_lexbor", lambda: True)
    monkeypatch.setattr(parse_kernel, "lexbor_markup", lambda *_: b"<html></html>")
    with caplog.at_level(logging.WARNING):
        assert canonical_lexbor(b"a") == b"<html><head></head><body>a</body></html>"
        assert canonical_lexbor(b"b") == b"<html><head></head><body>b</body></html>"
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_specimen_holds_what_only_the_rules_can_write() -> None:
    assert html_parsers._public_lexbor(html_parsers._SPECIMEN) == by_the_rules(
        html_parsers._SPECIMEN
    )
    assert html_parsers._NOT_CANONICAL.search(html_parsers._SPECIMEN)


NOT_UTF8 = {
    "a byte that begins nothing": b"a\xff",
    "a byte that continues nothing": b"a\x80b",
    "cut off": b"a\xe2\x82",
    "cut off by the next": b"a\xe2\x82<p>",
    "two bytes for one": b"\xc1\xbf",
    "three bytes for two": b"\xe0\x9f\xbf",
    "four bytes for three": b"\xf0\x8f\xbf\xbf",
    "a surrogate": b"\xed\xa0\x80",
    "above U+10FFFF": b"\xf4\x90\x80\x80",
    "a last byte that continues nothing": b"\xf0\x9f\x9a\x22",
    "behind much else": b"a" * 200 + b"\xfe" + b"a" * 200,
}
UTF8 = [
    *(chr(each) for each in (0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF)),
    "a" * 63 + "\u00e9" + "a" * 64 + "\U0001f6a2",
]


@needs_direct
@pytest.mark.parametrize("is_direct", [True, False])
@pytest.mark.parametrize("source", NOT_UTF8.values(), ids=NOT_UTF8.keys())
def test_source_that_is_not_utf8_is_a_typed_error(
    source: bytes, is_direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html_parsers, "reads_directly", lambda: is_direct)
    with pytest.raises(HtmlParseError, match="lexbor: "):
        canonical_lexbor(source)


@needs_direct
@pytest.mark.parametrize("text", UTF8, ids=ascii)
def test_source_at_the_edges_of_utf8_is_read(text: str) -> None:
    check(text.encode())


@needs_direct
@derandomized
@given(st.binary(max_size=12), st.integers(0, 130))
def test_what_is_utf8_is_what_python_decodes(octets: bytes, before: int) -> None:
    source = b"a" * before + octets
    try:
        source.decode()
    except UnicodeDecodeError:
        with pytest.raises(ValueError, match="not UTF-8"):
            html_parsers._direct_lexbor(source)
    else:
        html_parsers._direct_lexbor(source)


def test_page_that_is_refused_is_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bytes:
        raise RuntimeError("no")

    monkeypatch.setattr(html_parsers, "reads_directly", lambda: True)
    monkeypatch.setattr(parse_kernel, "lexbor_markup", refuse)
    with pytest.raises(HtmlParseError, match="lexbor: no"):
        canonical_lexbor(b"<p>x")


@needs_direct
def test_functions_that_do_not_fit_are_refused() -> None:
    from transforms import _page_kernel

    # The last one is called at once.
    setup = ctypes.CDLL(lexbor.__file__)[parse_kernel._LEXBOR[-1]]
    address = ctypes.cast(setup, ctypes.c_void_p).value
    assert address
    functions = bytes([1]) * 8 * (len(parse_kernel._LEXBOR) - 1) + address.to_bytes(8, "little")
    name = b"p".ljust(16, b"\0")
    assert _page_kernel.lexbor(functions, 0, name, name, b"<", 9, 9)
    for wrong in (
        (functions[8:], 0, name, name, b"<", 9, 9),
        (functions, 0, name[1:], name, b"<", 9, 9),
        (functions, 0, name * 60, name * 60, b"<", 9, 9),
        (functions, 0, name, name, b"<", -1, 9),
        (functions, 0, name, name, b"<", 9, -1),
    ):
        with pytest.raises(ValueError, match="sizes"):
            _page_kernel.lexbor(*wrong)
    with pytest.raises(ValueError, match="missing"):
        _page_kernel.lexbor(functions[8:] + bytes(8), 0, name, name, b"<", 9, 9)
    with pytest.raises(ValueError, match="incorrect name"):
        _page_kernel.lexbor_markup(page_kernel._tag_names(), b"", 9, 9, 9.0)
