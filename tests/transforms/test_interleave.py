# ruff: noqa: E501 (a case a line reads best)
import gzip
import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from time import monotonic

import pytest

from schemas.errors import HtmlParseError, PageDeadlineError, PageTooLargeError
from schemas.rows import Node
from tests.conftest import hang_guard
from transforms import interleave
from transforms.charset import decode_html
from transforms.dom import BACKENDS, Dom, parse_html
from transforms.image_sources import choose_source, parse_srcset
from transforms.interleave import extract_page
from transforms.page_limits import ExtractConfig
from transforms.urls import resolve_url

CONFIG = ExtractConfig(max_seconds=1e6)  # no page ends by the clock
URL = "http://site.org/a/page.html"
BASE = "http://site.org/a/"
GIF = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def shown(node: Node) -> tuple[str, str]:
    """A node as (role, text or URL below the page's folder)."""
    if node.kind == "image":
        return "image", (node.image_url or "").removeprefix(BASE)
    return node.role, node.text or ""


def nodes_of(html: str, backend: str = "lexbor") -> list[Node]:
    return extract_page(html, URL, CONFIG, backend).nodes


CASES = {
    "headings": ("<h1>A</h1><h2>B <i>c</i></h2><h6>D</h6>", [("heading", "# A"), ("heading", "## B c"), ("heading", "###### D")]),
    "heading_permalink": ("<h2>C#<a href=#c> #</a></h2>", [("heading", "## C#")]),
    "paragraphs": ("<p>one <b>two</b>\n three</p><div>four<p>five</div>six", [("paragraph", "one two three"), ("paragraph", "four"), ("paragraph", "five"), ("paragraph", "six")]),
    "line_break": ("<p>a<br>b<br/> c</p>", [("paragraph", "a\nb\nc")]),
    "two_breaks_part_paragraphs": ("<div>a<br>&nbsp;<br>b</div>", [("paragraph", "a"), ("paragraph", "b")]),
    "inline_keeps_spaces": ("<p>a<span>b</span> <em>c</em>d</p>", [("paragraph", "ab cd")]),
    "invisible_characters": ("<p>co&shy;op&#8203;er\u00a0ate&#1;</p>", [("paragraph", "cooper ate")]),
    "list": ("<ul><li>a<li>b <b>c</b></ul>", [("list", "- a\n- b c")]),
    "ordered_list": ("<ol start=3><li>a<li value=7>b<li>c</ol>", [("list", "3. a\n7. b\n8. c")]),
    "nested_list": ("<ul><li>a<ol><li>b<li>c</ol><li>d</ul>", [("list", "- a\n  1. b\n  2. c\n- d")]),
    "paragraphs_in_item": ("<ul><li><p>a</p><p>b</p></li></ul>", [("list", "- a\n  b")]),
    "heading_in_item": ("<ol><li><h3>T</h3><p>a</p><li>b</ol>", [("heading", "### T"), ("list", "1. a\n2. b")]),
    "definition_list": ("<dl><dt>T<dd>d<dt>U<dd>e</dl>", [("definition_list", "T\n: d\nU\n: e")]),
    "quote": ("<blockquote><p>a<br>b</p><p>c</blockquote>d", [("quote", "> a\n> b"), ("quote", "> c"), ("paragraph", "d")]),
    "inline_quote": ("<p><q>a</q> b</p>", [("paragraph", "\u201ca\u201d b")]),
    "code": ('<pre><code class="language-py">if a:\n    b()\n</code></pre>', [("code", "```py\nif a:\n    b()\n```")]),
    "code_with_fence": ("<pre>```\nx</pre>", [("code", "````\n```\nx\n````")]),
    "code_lines_by_br": ("<pre>a<br>  b</pre>", [("code", "```\na\n  b\n```")]),
    "inline_code": ("<p>call <code> f(x)</code>.</p>", [("paragraph", "call  `f(x)`.".replace("  ", " "))]),
    "table": ("<table><tr><th>a<th>b<tr><td>1<td>x|y</table>", [("table", "| a | b |\n| --- | --- |\n| 1 | x\\|y |")]),
    "table_caption": ("<table><caption>C</caption><tr><td>1<td>2<tr><td>3<td>4</table>", [("caption", "C"), ("table", "| 1 | 2 |\n| 3 | 4 |")]),
    "layout_table": ("<table><tr><td><h2>T</h2><p>a</td><td>b</td></tr></table>", [("heading", "## T"), ("paragraph", "a"), ("paragraph", "b")]),
    "nested_table": ("<table><tr><td>x<table><tr><td>1<td>2<tr><td>3<td>4</table><td>y</table>", [("paragraph", "x"), ("table", "| 1 | 2 |\n| 3 | 4 |"), ("paragraph", "y")]),
    "image_in_table": ("<table><tr><td>a<td><img src=1.jpg><tr><td>b<td>c</table>", [("table", "| a |  |"), ("image", "1.jpg"), ("table", "| b | c |")]),
    "ruby": ("<p><ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby></p>", [("paragraph", "漢(kan)")]),
    "math": ('<p>so <math alttext="x^2"><mi>x</mi><mn>2</mn></math>.</p>', [("paragraph", "so x^2.")]),
    "image_in_text": ("<p>a <img src=1.jpg> b</p>", [("paragraph", "a"), ("image", "1.jpg"), ("paragraph", "b")]),
    "image_in_link": ("<a href=/x><img src=1.jpg></a>", [("image", "1.jpg")]),
    "image_in_list": ("<ul><li>a<li><img src=1.jpg>b</ul>", [("list", "- a"), ("image", "1.jpg"), ("list", "- b")]),
    "image_in_pre": ("<pre>a\n<img src=1.jpg>\nb</pre>", [("code", "```\na\n```"), ("image", "1.jpg"), ("code", "```\nb\n```")]),
    "image_in_button": ("<button>Enlarge <img src=1.jpg></button>", [("image", "1.jpg")]),
    "image_in_heading": ("<h2>T <img src=1.jpg></h2>", [("heading", "## T"), ("image", "1.jpg")]),
    "entity_in_url": ("<img src='i.php?a=1&amp;b=2'>", [("image", "i.php?a=1&b=2")]),
    "protocol_relative": ("<img src=//cdn.org/1.jpg>", [("image", "http://cdn.org/1.jpg")]),
    "comma_in_url": ("<img src='w_1,h_2/a.jpg'>", [("image", "w_1,h_2/a.jpg")]),
    "data_uri_is_no_node": (f"<p>a</p><img src='{GIF}'>", [("paragraph", "a")]),
    "tracker_is_no_node": ("<p>a</p><img src=t.gif width=1 height=1>", [("paragraph", "a")]),
    "spacer_is_no_node": ("<p>a</p><img src=/img/spacer.gif>", [("paragraph", "a")]),
    "srcset_width": ("<img src=s.jpg srcset='m.jpg 800w, l.jpg 1600w, s.jpg 400w'>", [("image", "l.jpg")]),
    "srcset_density": ("<img src=s.jpg srcset='s.jpg, l.jpg 2x'>", [("image", "l.jpg")]),
    "srcset_commas": ("<img srcset='w_1,h_1/a.jpg 1x, w_2,h_2/a.jpg 2x'>", [("image", "w_2,h_2/a.jpg")]),
    "picture": ("<picture><source srcset='a.webp 1200w'><source srcset='b.webp 600w'><img src=c.jpg alt=x></picture>", [("image", "a.webp")]),
    "lazy": (f"<img src='{GIF}' data-src=1.jpg>", [("image", "1.jpg")]),
    "lazy_beats_placeholder_file": ("<img src=loading.gif data-original=1.jpg>", [("image", "1.jpg")]),
    "lazy_srcset": (f"<img src='{GIF}' data-srcset='1.jpg 400w, 2.jpg 900w'>", [("image", "2.jpg")]),
    "template_loses": ("<img src=s.jpg data-src='x_{width}.jpg'>", [("image", "s.jpg")]),
    "amp_img": ("<amp-img src=1.jpg width=9 height=9><noscript><img src=1.jpg></noscript></amp-img>", [("image", "1.jpg")]),
    "noscript_twin_after": (f"<p>a<img src='{GIF}' data-src=1.jpg><noscript><img src=1.jpg></noscript>b", [("paragraph", "a"), ("image", "1.jpg"), ("paragraph", "b")]),
    "noscript_twin_other_size": (f"<div><img src='{GIF}' data-src='1.jpg?w=900'><noscript><img src='1.jpg?w=100'></noscript></div>", [("image", "1.jpg?w=900")]),
    "noscript_twin_before": ("<div><noscript><img src=1.jpg></noscript><img data-src=1-big.jpg></div>", [("image", "1-big.jpg")]),
    "noscript_twin_far": ("<img src=1.jpg><p>a</p><noscript><img src=1.jpg></noscript>", [("image", "1.jpg"), ("paragraph", "a")]),
    "noscript_gallery": ("<div><img data-src=1.jpg><noscript><img src=1s.jpg></noscript><img data-src=2.jpg><noscript><img src=2s.jpg></noscript></div>", [("image", "1.jpg"), ("image", "2.jpg")]),
    "noscript_alone": (f"<p>a<img src='{GIF}'><noscript><img src=1.jpg></noscript>", [("paragraph", "a"), ("image", "1.jpg")]),
    "noscript_text": ("<p>a</p><noscript><p>Only here.</p><p>a</p><p>Please enable JavaScript.</p></noscript>", [("paragraph", "a"), ("paragraph", "Only here.")]),
    "figure": ("<figure><img src=1.jpg><figcaption>Two <b>cats</b></figcaption></figure>", [("image", "1.jpg"), ("caption", "Two cats")]),
    "figure_caption_first": ("<figure><figcaption>C</figcaption><img src=1.jpg></figure>", [("caption", "C"), ("image", "1.jpg")]),
    "never_shown": ("<script>x</script><style>y</style><template><p>z</template><svg><text>w</text></svg><p>a</p>", [("paragraph", "a")]),
    "empty": ("", []),
    "white_space": (" \n <p> </p><div>&nbsp;</div>", []),
}  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_element_becomes(name: str, backend: str) -> None:
    html, expected = CASES[name]
    assert [shown(node) for node in nodes_of(html, backend)] == expected


@pytest.mark.parametrize("backend", BACKENDS)
def test_figcaption_belongs_to_every_image_of_its_figure_only(backend: str) -> None:
    html = (
        "<img src=0.jpg><figure><img src=1.jpg><figure><img src=2.jpg><figcaption>inner</figcaption></figure>"
        "<picture><source srcset=3.jpg><img></picture><figcaption>outer  text</figcaption></figure><img src=4.jpg>"
    )
    images = [node for node in nodes_of(html, backend) if node.kind == "image"]
    assert [node.figcaption for node in images] == [None, "outer text", "inner", "outer text", None]


def test_image_keeps_what_the_page_declares() -> None:
    (node,) = nodes_of("<img src=1.jpg alt='A\n dog ' title=' Rex' width=640px height='50%'>")
    assert node == Node(
        "image", "image", image_url=BASE + "1.jpg", alt="A dog", title="Rex", declared_width=640
    )


def test_references_are_relative_to_the_base_element() -> None:
    page = extract_page("<head><base href='/img/'></head><body><img src=1.jpg>", URL, CONFIG)
    assert page.base_url == "http://site.org/img/"
    assert page.nodes[0].image_url == "http://site.org/img/1.jpg"
    assert extract_page("<base href='javascript:x'><p>x", URL, CONFIG).base_url == URL


def test_a_page_past_its_deadline_is_a_typed_error() -> None:
    with pytest.raises(PageDeadlineError, match=r"s$|took too long"):
        extract_page("<p>x" * 1000, URL, ExtractConfig(max_seconds=1e-9))


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_deadline_is_a_time(seconds: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        ExtractConfig(max_seconds=seconds)


@pytest.mark.parametrize(
    ("config", "html"),
    [
        (ExtractConfig(max_html_characters=10), "<p>more than ten"),
        (ExtractConfig(max_nodes=3), "<p>x" * 4),
        (ExtractConfig(max_characters=9), "<p>0123456789"),
    ],
    ids=["source", "nodes", "characters"],
)
def test_page_beyond_a_limit_is_a_typed_error(config: ExtractConfig, html: str) -> None:
    with pytest.raises(PageTooLargeError):
        extract_page(html, URL, config)


def test_page_at_the_limit_is_kept() -> None:
    assert (
        len(extract_page("<p>x" * 3, URL, ExtractConfig(max_nodes=3, max_characters=3)).nodes) == 3
    )


def test_page_that_lexbor_refuses_is_read_by_beautifulsoup(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def parse(html: str, backend: str, deadline: float) -> Dom:
        assert deadline < monotonic() + CONFIG.max_seconds
        tried.append(backend)
        if backend == "lexbor":
            raise HtmlParseError("lexbor: no")
        return parse_html(html, backend, deadline)

    monkeypatch.setattr(interleave, "parse_html", parse)
    assert [shown(node) for node in nodes_of("<p>x")] == [("paragraph", "x")]
    assert tried == ["lexbor", "beautifulsoup"]


def test_srcset_follows_the_standard() -> None:
    assert parse_srcset(" a.jpg 100w 50h,b.jpg 2x, c,d.jpg ,e.jpg, f.jpg 1.5x,") == [
        ("a.jpg", 100, 0),
        ("b.jpg", 0, 2),
        ("c,d.jpg", 0, 0),
        ("e.jpg", 0, 0),
        ("f.jpg", 0, 1.5),
    ]
    assert parse_srcset(f"{GIF} 1w, a.jpg 2w") == [(GIF, 1, 0), ("a.jpg", 2, 0)]
    assert parse_srcset("") == parse_srcset(" , ,") == []


def test_srcset_of_brackets_costs_linear_time() -> None:
    with hang_guard():
        parse_srcset("( " * 2_000_000)


def test_huge_pages_are_linear() -> None:
    rows = "<table>" + "<tr><td>a<td>b</tr>" * 20_000 + "</table>"
    with hang_guard():
        (table,) = nodes_of(rows)
        nodes_of("<div class=sidebar>" * 200_000 + "x")
        nodes_of("<ul><li>" * 20_000 + "x")
    assert (table.text or "").count("\n") == 19_999


def test_extraction_does_not_depend_on_what_was_extracted_before() -> None:
    first = [nodes_of(html) for html, _ in CASES.values()]
    second = [nodes_of(html) for html, _ in reversed(CASES.values())]
    assert first == second[::-1]


# Real pages, where they are at hand.

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real pages at {DATA}")


def shingles(text: str) -> Counter[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return Counter(tuple(words[i : i + 4]) for i in range(max(1, len(words) - 3)))


@needs_data
def test_article_bodies_are_found() -> None:
    folder = DATA / "extraction" / "scrapinghub"
    truth = json.loads((folder / "ground-truth.json").read_text())
    recalls, precisions = [], []
    for key, row in sorted(truth.items())[::3]:
        html, _ = decode_html(
            gzip.decompress((folder / "html" / f"{key}.html.gz").read_bytes()), None
        )
        text = "\n".join(node.text or "" for node in nodes_of(html) if node.kind == "text")
        expected, found = shingles(row["articleBody"]), shingles(text)
        common = sum((expected & found).values())
        recalls.append(common / sum(expected.values()))
        precisions.append(common / sum(found.values()))
    assert sum(recalls) / len(recalls) >= 0.97
    assert sum(precisions) / len(precisions) >= 0.83


@needs_data
def test_article_images_are_found() -> None:
    """Any candidate of the same `img` counts: the expected pages name `src`, we take the largest."""
    expected_total = found_total = 0
    for folder in sorted((DATA / "extraction" / "readability" / "pages").iterdir())[::2]:
        expected = parse_html((folder / "expected.html").read_text(errors="replace"))
        wanted = set()
        for image in expected.positions("img"):
            source = choose_source(expected.attributes(image), (), URL)
            plain = resolve_url(URL, expected.attribute(image, "src"))
            if source is not None and plain is not None:
                wanted.add(frozenset(url.partition("?")[0] for url in (source.url, plain)))
        html, _ = decode_html((folder / "source.html").read_bytes(), None)
        found = {(node.image_url or "").partition("?")[0] for node in nodes_of(html)}
        expected_total += len(wanted)
        found_total += sum(not found.isdisjoint(urls) for urls in wanted)
    assert found_total / expected_total >= 0.88


@needs_data
@pytest.mark.parametrize(
    ("site", "chrome"),
    [
        ("flink-web", r"flink_squirrel_(100_color|500)\.png|flink-sine-wave|//avatars\d"),
        ("dc-image-processing", r"/data-logo(-sm)?\.svg"),
        ("cc-opensource-blog", r"gravatar|multiple-authors\.jpg|/trans\.gif"),
    ],
)
def test_every_image_of_a_site_but_its_chrome_is_found(site: str, chrome: str) -> None:
    folder = DATA / "sites" / site
    base = json.loads((folder / "_site.json").read_text())["base"]
    references = defaultdict(list)
    for line in (folder / "_refs.jsonl").read_text().splitlines():
        reference = json.loads(line)
        if reference["src"] and not reference["src"].startswith("data:"):
            references[reference["page"]].append(reference["src"])
    lost = []
    for page, sources in sorted(references.items())[::2]:
        html, _ = decode_html((folder / page).read_bytes(), None)
        extracted = extract_page(html, base + page, CONFIG)
        found = {node.image_url for node in extracted.nodes}
        urls = [resolve_url(extracted.base_url, source) for source in sources]
        lost += [url for url in urls if url not in found and not re.search(chrome, url or "")]
    assert len(lost) <= 0.02 * sum(map(len, references.values()))


@needs_data
def test_backends_give_the_same_pages() -> None:
    files = sorted((DATA / "extraction" / "readability" / "pages").glob("*/source.html"))[::9]
    for file in files:
        html, _ = decode_html(file.read_bytes(), None)
        if len(html) < 300_000:
            first = extract_page(html, URL, CONFIG)
            assert first.nodes == extract_page(html, URL, CONFIG, "beautifulsoup").nodes
