"""`slim` leaves the tree that a parser builds, but for what is in scripts, styles and drawings, and
for the attributes of elements that nobody reads."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from benchmarks.extraction_data import SETS, load_set, load_site_pages
from tests.conftest import hang_guard
from transforms import page_kernel, parse_kernel
from transforms.html_parsers import canonical_lexbor

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


BARE = ("script", "style", "svg", "link", "iframe")


def tree_of(html: str) -> list[tuple[Any, ...]]:
    """The tree that lexbor builds, without what `slim` may leave out."""
    nodes: list[tuple[Any, ...]] = []
    waiting = [(LexborHTMLParser(html.encode()).root, 0)]
    while waiting:
        node, depth = waiting.pop()
        while node is not None:
            if node.tag != "-text":
                attributes = () if node.tag in BARE else sorted(node.attributes.items(), key=str)
                nodes.append((depth, node.tag, attributes))
            elif node.parent is None or node.parent.tag not in ("script", "style"):
                nodes.append((depth, node.text_content))
            if node.first_child is not None and node.tag != "svg":
                waiting.append((node.next, depth))
                node, depth = node.first_child, depth + 1
            else:
                node = node.next
    return nodes


# Sources, and what is left of them.
SLIM = {
    "script": ("a<script>x < '</p>'</script>b", "a<script></script>b"),
    "attributes": (
        "<script src='a>b' x=\">\">y</script >z",
        "<script></script >z",
    ),
    "attributes of links": (
        "<LINK rel=a href=b/><link href='c>d' /><link/ ><link\t>e</link>",
        "<LINK><link/><link><link>e</link>",
    ),
    "attributes of frames": ("<iframe src=a>b</iframe>c", "<iframe>b</iframe>c"),
    "attributes in a drawing": (
        "<svg c ><link d=e></svg><link g>h<svg a=b /><link i>",
        "<svg><link d=e></svg><link>h<svg/><link i>",
    ),
    "attributes in a template": (
        "<template><link a></template><select><link b></select><link c>d",
        "<template><link a></template><select><link b></select><link>d",
    ),
    "attributes that the page ends in": ("<link a='>", "<link a='>"),
    "attributes at the end of the page": ("<link a>", "<link a>"),
    "attributes of what is no link": ("<links a=b><link-b c>", "<links a=b><link-b c>"),
    "letters of any case": ("<SCRIPT>x</ScRiPt\n>y", "<SCRIPT></ScRiPt\n>y"),
    "style": ("<style>p > a {}</style>", "<style></style>"),
    "not its end": ("<script>a</scripts></ script></style></script/>b", "<script></script/>b"),
    "empty": ("<script></script>", "<script></script>"),
    "unclosed": ("<p><script>a<p>", "<p><script>a<p>"),
    "unclosed style": ("<p><style>a</style", "<p><style>a</style"),
    "comment in a script": ("<script><!-- a --></script>b", "<script><!-- a --></script>b"),
    "script in a script": (
        "<script><!--<script></script>a--></script><script>b</script>",
        "<script><!--<script></script>a--></script><script></script>",
    ),
    "script in a comment in a script": (
        "<script><!--<script>--></script><style>b</style>",
        "<script><!--<script>--></script><style></style>",
    ),
    "comment that ends at once": (
        "<script><!--><script>a</script><script>b</script>",
        "<script><!--><script>a</script><script></script>",
    ),
    "in a comment": (
        "<!--<script>a</script>--><!--><script>b</script>",
        "<!--<script>a</script>--><!--><script></script>",
    ),
    "comment ends": (
        "<!-- a --!><script>b</script><!---><script>c</script><!-- --<script>d</script>",
        "<!-- a --!><script></script><!---><script></script><!-- --<script>d</script>",
    ),
    "in a title": (
        "<title><script>a</title><script>b</script>",
        "<title><script>a</title><script></script>",
    ),
    "in a textarea": (
        "<textarea><style>a</textarea>b</style>",
        "<textarea><style>a</textarea>b</style>",
    ),
    "in raw text": (
        "<xmp><script>a</xmp><iframe><style></iframe><style>b</style>",
        "<xmp><script>a</xmp><iframe><style></iframe><style></style>",
    ),
    "plaintext": ("<plaintext><script>a</script>", "<plaintext><script>a</script>"),
    "in a value": (
        "<p title='<script>'>a<p title=\"</script>\">",
        "<p title='<script>'>a<p title=\"</script>\">",
    ),
    "quotes that are none": (
        '<p a"b><script>c</script>"<p a=b\'><script>d</script>',
        '<p a"b><script></script>"<p a=b\'><script></script>',
    ),
    "= as a name": (
        "<p ='><script>a</script>'><script>b</script>",
        "<p ='><script></script>'><script></script>",
    ),
    "no tags": (
        "< script>a</script>1 <2</><? <script>?><script>b</script>",
        "< script>a</script>1 <2</><? <script>?><script></script>",
    ),
    "declarations": (
        '<!doctype html "<script>"><script>a</script><![CDATA[>]]><style>b</style>',
        None,
    ),
    "svg": (
        "<svg><style>a<p>b</style></svg><style>c</style>",
        "<svg><style>a<p>b</style></svg><style>c</style>",
    ),
    "svg with nothing special": (
        "<svg><title>t</title><path d='' /></svg><style>c</style>",
        "<svg><title>t</title><path d='' /></svg><style></style>",
    ),
    "drawing": (
        "a<svg class=b>\n <path d='>'/><G fill=c><use href=#d></use></g\t> <!-- <p> --></SVG >e",
        "a<svg></SVG >e",
    ),
    "two drawings": (
        "<svg><path/></svg><svg><g><g></g></g></svg><svg>\n</svg>",
        "<svg></svg><svg></svg><svg></svg>",
    ),
    "drawing in a table": ("<table><svg><path></path></svg><tr>", "<table><svg></svg><tr>"),
    "drawing with a text": ("<svg><path/>a</svg>", "<svg><path/>a</svg>"),
    "drawing with a zero": ("<svg><path/>\x00</svg>", "<svg><path/>\x00</svg>"),
    "drawing with what leaves it": ("<svg><path/><p></svg>", "<svg><path/><p></svg>"),
    "drawing with HTML": (
        "<svg><path/><desc><b></desc></svg>",
        "<svg><path/><desc><b></desc></svg>",
    ),
    "drawing in a drawing": (
        "<svg><svg><path/></svg></svg>",
        "<svg><svg><path/></svg></svg>",
    ),
    "drawing left open": ("<svg><g></svg>a", "<svg><g></svg>a"),
    "drawing closed too often": ("<svg></g></svg>a", "<svg></g></svg>a"),
    "drawing that crosses": (
        "<svg><g><defs></g></defs></svg>a",
        "<svg><g><defs></g></defs></svg>a",
    ),
    "drawing that is empty": ("<svg/><path></path></svg>a", "<svg/><path></path></svg>a"),
    "drawing that only seems empty": ("<svg a=b/><path/></svg>a", "<svg></svg>a"),
    "shape that only seems empty": (
        "<svg><path d=a/></svg>b",
        "<svg><path d=a/></svg>b",
    ),
    "shape that is empty": ("<svg><path d=a /><path d/><path/ /></svg>b", "<svg></svg>b"),
    "shape with a slash inside": ("<svg><path / ></svg>b", "<svg><path / ></svg>b"),
    "drawing in a zone": (
        "<select><svg><path/></svg></select>",
        "<select><svg><path/></svg></select>",
    ),
    "drawing in another's": ("<math><svg><path/></svg></math>", "<math><svg><path/></svg></math>"),
    "drawing behind another end": ("<svg><path/></svgs></svg>", "<svg><path/></svgs></svg>"),
    "drawing cut off": ("<svg><path/><g", "<svg><path/><g"),
    "drawing cut off in a comment": ("<svg><path/><!-- a", "<svg><path/><!-- a"),
    "drawing as deep as can be": (
        f"<svg>{'<g>' * 32}{'</g>' * 32}</svg>",
        "<svg></svg>",
    ),
    "drawing that is deeper": (
        f"<svg>{'<g>' * 33}{'</g>' * 33}</svg>",
        f"<svg>{'<g>' * 33}{'</g>' * 33}</svg>",
    ),
    "script behind a drawing": (
        "<svg><path/></svg><script>a</script>",
        "<svg></svg><script></script>",
    ),
    "style in svg": (
        "<svg><style>a</style></svg><style>c</style>",
        "<svg><style>a</style></svg><style></style>",
    ),
    "html in svg": (
        "<svg><desc><b></desc></svg><style>c</style>",
        "<svg><desc><b></desc></svg><style>c</style>",
    ),
    "cdata in svg": (
        "<svg><![CDATA[<style>]]></svg><style>c</style>",
        "<svg><![CDATA[<style>]]></svg><style>c</style>",
    ),
    "select": ("<select><style></select><p>a</style>", "<select><style></select><p>a</style>"),
    "behind a select": (
        "<select><option>a</select><style>b</style>",
        "<select><option>a</select><style></style>",
    ),
    "template": (
        "<template><col><script></template><p>a</script>",
        "<template><col><script></template><p>a</script>",
    ),
    "zones that cross": (
        "<select><template></select></template><style>a</style>",
        "<select><template></select></template><style>a</style>",
    ),
    "frameset": (
        "<frameset></frameset><script>a</script>",
        "<frameset></frameset><script>a</script>",
    ),
    "cut off": ("<script>a</script><script", "<script></script><script"),
    "cut off in a value": (
        "<script>a</script><p a='<script>b</script>",
        "<script></script><p a='<script>b</script>",
    ),
    "beginnings": ("<script>a</script><", "<script></script><"),
}


@pytest.mark.parametrize(("source", "expected"), SLIM.values(), ids=SLIM.keys())
def test_slim_drops_what_cannot_be_markup(source: str, expected: str | None) -> None:
    found = parse_kernel.slim(source)[0]
    if expected is not None:
        assert found.decode() == expected
    assert tree_of(found.decode()) == tree_of(source)


RAW = ["<script>", "<style>", "<title>", "<textarea>", "<xmp>", "<iframe>", "<noembed>"]
ENDS = [
    "</script>", "</style>", "</title>", "</textarea>", "</SCRIPT\n>", "</style/>", "-->", "--!>",
    "</svg>", "</math>", "</desc>", "</mi>", "</select>", "</template>", "</noscript>", "</table>",
    "</head>", "</body>", "</html>", "</p>", "</div>", "</br>", "</>", "]]>", "'>", '">', ">", "",
]  # fmt: skip
ZONES = [
    "<svg>", "<math><mi>", "<select>", "<template><col>", "<table><colgroup>", "<noscript>",
    "<head><noscript>", "<title>", "<!--", "<script><!--", "<svg><desc>", "<frameset>",
    "<svg><title>", "<svg><foreignObject>", "<math><annotation-xml encoding='text/html'>", "",
]  # fmt: skip
OTHERS = [
    "<svg/>", "<script/>", "<script ", "<Style\t>", "<option>", "<table>", "<tr><td>", "<col>",
    "<frame>", "<noframes>", "<plaintext>", "<head>", "<body>", "<p>", "<b>", "<a>", "<button>",
    "<input>", "<image>", "<![CDATA[", "<!doctype ", "<?php ", "<!-->", "<!--->", "<p a='",
    '<p a="', "<", "</", "-", "=", "'", '"', "a", " ", "\x00", "&lt;", "\r\n", "<mtext>",
    "<link>", "<link a='b'/>", "<iframe a>", "<svg b=c>", "<script d=e/>", "<mglyph>", "<form>",
    "<textarea ",
]  # fmt: skip
SHAPES = [
    "<path d='M0'/>", "<path>", "</path>", "<g>", "</g>", "<g/>", "<g a=b/>", "<use/>",
    "<!-- a -->",
    " ", "\n", "<svg>", "</svg>", "</svg a>", "<p>", "x", "&lt;", "<title>", "<rect / >", "\x00",
    "<clipPath>", "</clippath>", "<svg/>", "</p>", "</table>", "<font size=1>", "</>", "<",
]  # fmt: skip
AROUND = [
    "<p>", "<b><p></b>", "<table>", "<table><tr>", "<table><colgroup>", "<a>", "<ul><li>", "<head>",
    "<select>", "<template>", "<math>", "<math><mi>", "<svg>", "<frameset>", "</body>", "</html>",
    "<g>", "<path>", "<title>", "<noscript>", "<button>", "<!doctype html>", "<svg><desc>", "",
]  # fmt: skip
SOUP = [*RAW, *ENDS, *ZONES, *OTHERS, *SHAPES[:16]]


@derandomized
@given(st.lists(st.sampled_from(SOUP), max_size=40))
def test_slim_leaves_the_tree_as_it_was(drawn: list[str]) -> None:
    source = " ".join(drawn)
    found = parse_kernel.slim(source)[0]
    if found != source.encode():
        assert tree_of(found.decode()) == tree_of(source)


@derandomized
@given(
    st.lists(st.sampled_from(SOUP), max_size=6),
    st.sampled_from(ZONES),
    st.sampled_from(ENDS),
    st.sampled_from(["script", "style", "title", "textarea"]),
)
def test_slim_leaves_the_tree_as_it_was_around_what_changes_the_reading(
    drawn: list[str], first: str, last: str, name: str
) -> None:
    raw = f"<{name}>a<b>c<p>d{last}</{name}>"
    source = f"<p>{first}{''.join(drawn)}{last}{raw}e<style>f<i></style>g"
    found = parse_kernel.slim(source)[0]
    if found != source.encode():
        assert tree_of(found.decode()) == tree_of(source)


@derandomized
@given(
    st.lists(st.sampled_from(AROUND), max_size=3),
    st.lists(st.sampled_from(SHAPES[:13] * 3 + SHAPES), max_size=8),
    st.lists(st.sampled_from(["<frameset>", "</g>", "</path>", "</svg>", "x", "<p>", *ENDS])),
)
def test_slim_leaves_the_tree_as_it_was_around_a_drawing(
    before: list[str], shapes: list[str], after: list[str]
) -> None:
    source = f"{''.join(before)}<svg>{''.join(shapes)}</svg>{''.join(after)}<script>a</script>"
    found = parse_kernel.slim(source)[0]
    if found != source.encode():
        assert tree_of(found.decode()) == tree_of(source)


def test_slim_leaves_real_trees_as_they_were(shared_data: Path) -> None:
    before = after = 0
    pages = [page for name in SETS for page in load_set(name, shared_data)[::11]]
    for html in [page.html for page in pages + load_site_pages(shared_data)[::11]]:
        source = html.encode("utf-8", "replace")
        found = parse_kernel.slim(html)[0]
        assert canonical_lexbor(found) == canonical_lexbor(source)
        before, after = before + len(source), after + len(found)
    assert after < 0.72 * before


def test_slim_is_linear_in_the_source() -> None:
    for piece in (
        "<script>",
        "<style>x",
        "<!--",
        "<script><!--<script>",
        "<svg><desc>",
        "</",
        "<p a='",
        "<title>",
        "<svg><g>",
        "<svg><path/><!--",
    ):
        source = piece * (12_000_000 // len(piece))
        with hang_guard():
            parse_kernel.slim(source)
