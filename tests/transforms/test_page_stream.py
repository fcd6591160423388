"""Pages that the page kernel writes as canonical markup while it reads them: as lexbor does."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from schemas.errors import PageTooLargeError
from tests.conformance.case_files import read_cases
from transforms import html_parsers, page_kernel, parse_kernel, source_limits, stream_parser
from transforms.dom import Dom, parse_html
from transforms.html_parsers import canonical_lexbor
from transforms.source_limits import prepare_source
from transforms.stream_parser import stream_markup

pytestmark = pytest.mark.skipif(not page_kernel.AVAILABLE, reason="the kernel was not built")


def check(html: str) -> bool:
    """Whether the page is read, and then as by lexbor."""
    found = stream_markup(html)
    assert found is None or found == canonical_lexbor(prepare_source(html))
    return found is not None


# What stands in the body of each page, or the whole page from `<html>` on.
READ = {
    "empty": ("", ""),
    "text": ("a &lt;&gt;&amp;&nbsp;\"'", "a &lt;&gt;&amp;&nbsp;\"'"),
    "values": (
        "<p a='<&gt;&amp;&nbsp;\"' b=\"'\" c d= e=f/>",
        '<p a="&lt;&gt;&amp;&nbsp;&quot;" b="\'" c="" d="e=f/"></p>',
    ),
    "the first of two attributes": (
        "<p a=1 A=2 b=3 longer-than-eight=4 longer-than-eighty=5 longer-than-eight=6>",
        '<p a="1" b="3" longer-than-eight="4" longer-than-eighty="5"></p>',
    ),
    "names": (
        "<P @Click=a \u00e9=k a\"b=c =d='e'><X-Y.z>",
        '<p @click="a" \u00e9="k"><x-y.z></x-y.z></p>',
    ),
    "characters that begin as U+00A0 does": (
        "\u00a3<p a=\u00bf>\u00a0\u00a1",
        '\u00a3<p a="\u00bf">&nbsp;\u00a1</p>',
    ),
    "references": (
        "&copy;&copy &notit; &notin; &nosuch; &; & &bne; &amp",
        "\u00a9\u00a9 \u00acit; \u2209 &amp;nosuch; &amp;; &amp; =\u20e5 &amp;",
    ),
    "references in values": (
        "<a href='?a=1&copy=2&copy3&copy;&copy'>",
        '<a href="?a=1&amp;copy=2&amp;copy3\u00a9\u00a9"></a>',
    ),
    "numbers": (
        "a&#65;&#x41&#0;&#xd800;&#x110000;&#128;&#x9F;&#;&#x;&#99999999999;&#38;",
        "aAA\ufffd\ufffd\ufffd\u20ac\u0178&amp;#;&amp;#x;\ufffd&amp;",
    ),
    "lines": ("<pre>\r\n\r\na\r\nb\rc\r</pre>", "<pre>\na\nb\nc\n</pre>"),
    "comments": ("a<!-- <p> -->b<!--->c<?d?>e<!f>g</ h>i<!-- -- >--!>j</>k<!---", "abcegijk"),
    "cut off": ("a<p>b<i title='c", "a<p>b</p>"),
    "lone angles": ("a < b > c <3 </", "a &lt; b &gt; c &lt;3 &lt;/"),
    "void": ("<br></br><img/><hr>a<wbr><input>", "<br><br><img><hr>a<wbr><input>"),
    "never read": (
        "a<script>'<p>'</script><style><i></style><textarea><b></textarea><iframe><u></iframe>b"
        "<select><option>c<optgroup></select><object><p>d</p></object><canvas>e</canvas>f<link>",
        "abf",
    ),
    "a script that hides its end": (
        "<script><!--<script></script>--></script>a<script><!--</script>b",
        "ab",
    ),
    "templates": (
        "a<template><p>b<template><script></template></script></template><select></select>c"
        "</template>d</template>e",
        "ade",
    ),
    "drawings": (
        "a<svg><title>b</title><style>c</style><g><path d=e><circle/></g><desc>f</desc></svg>g"
        "<svg/>h",
        "agh",
    ),
    "paragraphs": ("<p>1<p>2<div>3</p>4", "<p>1</p><p>2</p><div>3<p></p>4</div>"),
    "a paragraph in a button": (
        "<p>1<button><p>2<div>3</button>4",
        "<p>1<button><p>2</p><div>3</div></button>4</p>",
    ),
    "buttons": ("<button>1<button>2", "<button>1</button><button>2</button>"),
    "items": (
        "<ul><li>1<li><div>2<li>3<ul><li>4</ul></li></ul>",
        "<ul><li>1</li><li><div>2</div></li><li>3<ul><li>4</li></ul></li></ul>",
    ),
    "definitions": ("<dl><dt>1<dd>2<dt>3", "<dl><dt>1</dt><dd>2</dd><dt>3</dt></dl>"),
    "headings": ("<h1>1<h2>2</h3>3<p></h1>", "<h1>1</h1><h2>2</h2>3<p></p>"),
    "options": ("<option>1<option>2<p>", "<option>1</option><option>2<p></p></option>"),
    "ruby": ("<ruby>1<rp>(<rt>2<rb>3", "<ruby>1<rp>(</rp><rt>2</rt><rb>3</rb></ruby>"),
    "blocks that close what is in them": (
        "<div><span>1</div>2</span>3",
        "<div><span>1</span></div>23",
    ),
    "what is not open": ("a</div></p></li></h1></b></x></form>b", "a<p></p>b"),
    "an end tag that a block keeps from its element": (
        "<x><div></x>1</div></x>2",
        "<x><div>1</div></x>2",
    ),
    "formatting that is opened again": (
        "<p><b a=b>1<p>2</b>3",
        '<p><b a="b">1</b></p><p><b a="b">2</b>3</p>',
    ),
    "formatting that ends in another order": (
        "<b><i>1</b>2</i>3",
        "<b><i>1</i></b><i>2</i>3",
    ),
    "no more than three alike": (
        "<p><b><b><b><b>1<p>2",
        "<p><b><b><b><b>1</b></b></b></b></p><p><b><b><b>2</b></b></b></p>",
    ),
    "links end links": ("<a href=b>1<a>2<p>3", '<a href="b">1</a><a>2<p>3</p></a>'),
    "formatting ends at a cell": (
        "<b><table><td>1<i>2</table>3",
        "<b><table><tbody><tr><td>1<i>2</i></td></tr></tbody></table>3</b>",
    ),
    "end tags in a table": (
        "<div><b><form><table></form></b></div></x><tr></i></h1></li><td>1</table></div>",
        "<div><b><form><table><tbody><tr><td>1</td></tr></tbody></table></form></b></div>",
    ),
    "links in captions": (
        "<a><table><caption>1<a>2</table>3",
        "<a><table><caption>1<a>2</a></caption></table>3</a>",
    ),
    "columns in what is never read": ("<canvas><table><col> </table></canvas>1", "1"),
    "an end tag of a template between columns": (
        "<table><colgroup></template><!-- --><col></table>",
        "<table><colgroup><col></colgroup></table>",
    ),
    "one form in a table": (
        "<table><form a><form b><tr><td>1",
        '<table><form a=""></form><tbody><tr><td>1</td></tr></tbody></table>',
    ),
    "formatting that ends in a row of its table": (
        "<b><table><tr></b><td>1",
        "<b><table><tbody><tr><td>1</td></tr></tbody></table></b>",
    ),
    "formatting of one length": (
        "<p><b 1><b 2><b 3><b 4>x<p>y",
        '<p><b 1=""><b 2=""><b 3=""><b 4="">x</b></b></b></b></p>'
        '<p><b 1=""><b 2=""><b 3=""><b 4="">y</b></b></b></b></p>',
    ),
    "what ends with the page": ("<svg><g></g></svg>a<template>b</template>c<svg>", "ac"),
    "forms": (
        "<form><form>1</form><p></form>",
        "<form>1</form><p></p>",
    ),
    "tables": (
        "<table><caption>1<col><tr><td>2<th>3<tr><tbody><td>4<tfoot></table>5",
        "<table><caption>1</caption><colgroup><col></colgroup><tbody><tr><td>2</td><th>3</th></tr>"
        "<tr></tr></tbody><tbody><tr><td>4</td></tr></tbody><tfoot></tfoot></table>5",
    ),
    "tables in tables": (
        "<table><tr><td><table><tr><td>1</table>2<tr><td>3",
        "<table><tbody><tr><td><table><tbody><tr><td>1</td></tr></tbody></table>2</td></tr>"
        "<tr><td>3</td></tr></tbody></table>",
    ),
    "a table ends the one that is open": (
        "<table><tr><table><td>1",
        "<table><tbody><tr></tr></tbody></table><table><tbody><tr><td>1</td></tr></tbody></table>",
    ),
    "what a table holds beside its parts": (
        "<table> <form a><input type=HIDDEN><script></script><style></style></form>\n<tr>",
        '<table> <form a=""></form><input type="HIDDEN">\n<tbody><tr></tr></tbody></table>',
    ),
    "end tags that a table passes over": (
        "<table></tr></td></body><tr></tbody></td><td></caption>1</tfoot></th></td></table>2",
        "<table><tbody><tr></tr></tbody><tbody><tr><td>1</td></tr></tbody></table>2",
    ),
    "a table in a paragraph, without a doctype": (
        "<p>1<table>",
        "<p>1<table></table></p>",
    ),
    "a table behind a paragraph": (
        "<!doctype html><p>1<table>",
        "<p>1</p><table></table>",
    ),
    "parts of tables elsewhere": ("<td>1<tr>2<caption>3<col>4<head>5<frame>6", "123456"),
    "what comes behind the body": ("<p>1</body> 2</html>\n<p>3", "<p>1 2\n</p><p>3</p>"),
    "noscript": ("a<noscript><p>b</noscript>", "a<noscript><p>b</p></noscript>"),
    "embedded": ("<marquee><b>1</marquee>2<video><b>3</video>", "<marquee><b>1</b></marquee>2"),
}  # fmt: skip
WHOLE = {
    "html and body": (
        "\n<!-- a --><html a=b>\n<head c>\n<meta d></head> \n<body e>\n1",
        '<html a="b"><head c="">\n<meta d=""></head> \n<body e="">\n1</body></html>',
    ),
    "a head that ends by itself": (
        "<title>1 &lt;i></title> <base href=a><script></script><div>2<meta b></head><title>3",
        '<html><head><title>1 &lt;i&gt;</title> <base href="a"></head><body><div>2<meta b="">'
        "<title>3</title></div></body></html>",
    ),
    "a title that does not end": (
        "<title>1<p>",
        "<html><head><title>1&lt;p&gt;</title></head><body></body></html>",
    ),
    "noscript in the head": (
        "<noscript><link><style></style> </noscript><noscript><img></noscript>1",
        "<html><head><noscript> </noscript><noscript></noscript></head><body><img>1</body></html>",
    ),
    "behind the head": (
        "<head></head> <script></script><link><template></template> <p>1",
        "<html><head></head>  <body><p>1</p></body></html>",
    ),
    "a body with attributes behind its begin": (
        "<p><b>1<body a='2&amp;'><p>3<body>",
        '<html><head></head><body a="2&amp;"><p><b>1</b></p><p><b>3</b></p></body></html>',
    ),
    "a doctype that comes too late": (
        "</x><!doctype html><p>1<table>",
        "<html><head></head><body><p>1<table></table></p></body></html>",
    ),
    "white space": (" \n\t\f\r ", "<html><head></head><body></body></html>"),
    "end tags first": (
        "</p></x></head> </div><p>1",
        "<html><head></head> <body><p>1</p></body></html>",
    ),
}


@pytest.mark.parametrize(("html", "expected"), READ.values(), ids=READ.keys())
def test_body_is_read(html: str, expected: str) -> None:
    whole = f"<html><head></head><body>{expected}</body></html>"
    assert (stream_markup(html) or b"").decode() == whole
    assert check(html)


@pytest.mark.parametrize(("html", "expected"), WHOLE.values(), ids=WHOLE.keys())
def test_page_is_read(html: str, expected: str) -> None:
    assert (stream_markup(html) or b"").decode() == expected
    assert check(html)


LEFT_TO_LEXBOR = {
    "a block in formatting that ends before it": "<b>1<p>2</b>3",
    "a block in a link before the next": "<a>1<div>2<a>3",
    "nobr in nobr": "<nobr>1<nobr>2",
    "text in a table": "<table>1",
    "a reference in a table": "<table>&nbsp;",
    "an element in a table": "<table><p>",
    "an input in a table": "<table><input type=text>",
    "an end tag that makes an element in a table": "<table></p>",
    "a form that ends around what is open": "<form><div></form>1",
    "formulas": "<math><mi>1",
    "HTML in a drawing": "<svg><p>1",
    "HTML in a part of a drawing": "<svg><foreignObject><p>1",
    "CDATA in a drawing": "<svg><![CDATA[<p>]]></svg>",
    "an end tag of something around a drawing": "<div><svg></div>1",
    "a field in a menu": "<select><input>",
    "a cell in a template": "<template><td></template>1",
    "frames": "<frameset>",
    "raw text": "<xmp><b>",
    "plain text": "<plaintext>",
    "image": "<image>",
    "keygen": "<keygen>",
    "basefont": "<basefont>",
    "a name that cannot be spelled": "<x<y>",
    "attributes for html": "<p><html a>",
    "attributes for a body that has some": "<body a><body b>",
    "what belongs into a head that is closed": "<head></head><title>1",
    "a reference that may be white space": "&#32;<title>1",
    "a reference that may be the first line": "<pre>&#10;1",
    "a paragraph before a table, by a doctype that is not looked at": (
        '<!doctype html public "-//W3C//DTD HTML 4.01//EN"><p><table>'
    ),
    "formatting like other that is never read": "<p><b><b><b><canvas><b></canvas></b><p>x",
    "formatting alike but for names that cannot be spelled": "<p><b \"><b '><b><b><p>x",
    "formatting that is never read and left open": "<canvas><b></canvas>x",
    "a column in a template": "<template><col><script></template>a</script>b",
    "a menu in a template, which has no titles": "<template><select><title></template></title>x",
    "an element in the title of a drawing, which may be HTML": "<svg><title><g></svg>1",
    "an empty end tag before a first line": "<pre></>\n1",
    "a zero": "a\x00b",
    "four alike but for their order": "<p><b a b><b b a><b a b><b a b>",
    "a deep tree": "<div>" * 1000,
    "much formatting": "".join(f"<b a{number}>" for number in range(100)),
    "many attributes": f"<p {' '.join(f'a{number}' for number in range(100))}>",
    "many tags": "<br>" * 9000,
    "more formatting than is closed": "<p><i>" * 40 + "<br>" * 2000,
    "a doctype between columns": "<table><colgroup><!doctype> ",
}


@pytest.mark.parametrize("html", LEFT_TO_LEXBOR.values(), ids=LEFT_TO_LEXBOR.keys())
def test_page_is_left_to_lexbor(html: str) -> None:
    assert stream_markup(html) is None
    assert parse_html(html).source == canonical_lexbor(prepare_source(html))


def test_page_is_read_without_lexbor(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = parse_html("<p>1").source

    def refuse(source: bytes) -> bytes:
        raise AssertionError

    monkeypatch.setattr("transforms.dom.canonical_lexbor", refuse)
    assert parse_html("<p>1").source == expected


def test_page_is_read_by_lexbor_where_there_is_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_kernel, "AVAILABLE", False)
    assert stream_markup("<p>1") is None


def reopened(paragraphs: int, *, equal: bool) -> str:
    """A page with twenty elements that are opened again in each paragraph."""
    elements = (f"<b {'a' * (1020 if equal else 1000 + nth)}{nth}>" for nth in range(10, 30))
    return f"<p>{''.join(elements)}{'<p>x' * paragraphs}"


@pytest.mark.parametrize("backend", html_parsers.BACKENDS)
@pytest.mark.parametrize("is_built", [True, False])
def test_markup_may_not_grow_without_end(
    backend: str, is_built: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_kernel, "AVAILABLE", is_built)
    for left in ("", "<table>x"):  # a table with a text in it is left to lexbor
        assert len(parse_html(left + reopened(10, equal=False), backend).source) > 200_000
        with pytest.raises(PageTooLargeError, match="bytes of markup from"):
            parse_html(left + reopened(150, equal=True), backend)


def test_growth_is_noticed_before_it_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_parser, "LEAST_MARKUP", 1000)
    monkeypatch.setattr(stream_parser, "MAX_GROWTH", 3)
    assert stream_markup("<p>" * 400)
    with pytest.raises(OverflowError, match="bytes of markup"):
        stream_markup(reopened(10, equal=True))


def test_page_of_special_characters_may_grow() -> None:
    for character in ("\u00a0", "&", ">"):
        assert check(character * 400_000)
    assert check("<p title='" + ">" * 400_000 + "'>")


CROWDED = f"<a {'b ' * 12_000}>"


@pytest.mark.parametrize(
    "html",
    [
        CROWDED,
        f"</p {CROWDED[2:]}",
        f"<!x {CROWDED}",
        f"<template>{CROWDED}</template>",
        f"<noframes>{CROWDED}</noframes>",
        f"<noframes></noframes {CROWDED[2:]}",
        f"<title></titlex {CROWDED}</title>",
        f"<script><!--<script></script>{CROWDED}--></script>",
    ],
    ids=lambda html: html[:30],
)
def test_tag_of_too_many_attributes_is_refused_as_by_lexbor(html: str) -> None:
    assert stream_markup(html) is None
    with pytest.raises(PageTooLargeError):
        parse_html(html)


def test_threads_do_not_meet() -> None:
    pages = [case.html for case in read_cases()] * 3
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(stream_markup, pages))
    assert found == [stream_markup(html) for html in pages]


def test_parsed_page_is_a_dom() -> None:
    dom = parse_html("<ul><li>a<li>b")
    assert isinstance(dom, Dom)
    assert [dom.text_of(node) for node in dom.positions("li")] == ["a", "b"]


def test_tables_that_do_not_fit_are_refused() -> None:
    from transforms import _page_kernel

    names = parse_kernel._names
    formatting = names(source_limits.FORMATTING)
    given_tables: tuple[Any, ...] = (b"", b"", formatting, b"<", b"\x01a\x01b", 20_000, 1, 1, 1, 1)
    assert _page_kernel.stream_tables(*given_tables)
    for place, wrong in (
        (0, b"nosuch".ljust(16, b"\0")),
        (1, b"pp"),
        (1, b"p".ljust(17, b"\0")),
        (2, b"b"),
        (2, formatting * 20),
        (4, b"\x05a"),
        (4, b"\x01a\x09" + b"b" * 9),
        (4, b"\x00\x01a"),
        (4, b"\x01a\x01b" * 5000),
        (5, 0),
    ):
        with pytest.raises(ValueError, match="stream_tables"):
            _page_kernel.stream_tables(*(*given_tables[:place], wrong, *given_tables[place + 1 :]))
    with pytest.raises(TypeError):
        _page_kernel.stream_markup(parse_kernel._stream_tables(), b"bytes", 9)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="PyCapsule"):
        _page_kernel.stream_markup(page_kernel._tag_names(), "<p>", 9)
