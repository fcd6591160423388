"""Rules on what is content, and pages that no model may get wrong; the rest is in conformance/."""

import numpy as np
import pytest

from tests.conftest import hang_guard
from transforms import page_kernel
from transforms.content_boxes import drop_labels, drop_signatures, keep_details
from transforms.content_features import measure_blocks
from transforms.content_model import UNIT, WEIGHT_UNIT, load_model, score_blocks
from transforms.content_rules import (
    HEADLINE_REACH,
    drop_lone_headings,
    drop_twins,
    keep_whole,
    sure_chrome,
)
from transforms.dom import parse_html
from transforms.html_parsers import BACKENDS
from transforms.interleave import extract_page
from transforms.main_content import settle_blocks
from transforms.page_limits import ExtractConfig

SENTENCE = "The quick brown fox jumps over the lazy dog near the old river bank. "
ARTICLE = f"<h1>Title of it</h1><p>First. {SENTENCE * 4}</p><p>Second. {SENTENCE * 4}</p>"
LINKS = "".join(f"<li><a href=/{n}>Another headline number {n}</a>" for n in range(8))


def texts(html: str, backend: str = "lexbor") -> str:
    page = extract_page(html, "http://a.com/", ExtractConfig(), backend)
    return "\n".join(node.text or node.image_url or "" for node in page.nodes)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "chrome",
    [
        "<nav>GONE</nav>",
        "<div role=navigation>GONE</div>",
        "<div role=banner>GONE</div>",
        "<footer>GONE</footer>",
        "<dialog open>GONE</dialog>",
        "<div hidden>GONE</div>",
        "<div style='color:red; display : none'>GONE</div>",
        "<div style='DISPLAY:NONE'>GONE</div>",
        "<span style='visibility:hidden'><p>GONE</p></span>",
        "<form><label>GONE</label><input></form>",
        f"<ul><li><a href=/g>GONE</a>{LINKS}</ul>",
        "<script>GONE</script>",
        "<button>GONE</button>",
    ],
)
def test_sure_chrome_goes(chrome: str, backend: str) -> None:
    found = texts(f"<body>{ARTICLE}{chrome}</body>", backend)
    assert "GONE" not in found
    assert "First." in found
    assert "Second." in found


@pytest.mark.parametrize(
    "wrapper",
    [
        "<div class='sidebar'>{}</div>",
        "<div class='modal'>{}</div>",
        "<form>{}</form>",
        "<div style='display:none'>{}</div>",
        "<div hidden>{}</div>",
        "<footer>{}</footer>",
        "<nav>{}</nav>",
        "<div class='comments'>{}</div>",
        "<table><tr><td class=menu>{}</td></tr></table>",
        "<div class=header><main>{}</main></div>",
    ],
)
def test_no_wrapper_takes_the_article_with_it(wrapper: str) -> None:
    found = texts(f"<body>{wrapper.format(ARTICLE)}</body>")
    assert "First." in found
    assert "Second." in found


def test_footer_of_an_article_is_not_sure_chrome() -> None:
    dom = parse_html(f"<article>{ARTICLE}<footer>a</footer></article><footer>b</footer>")
    assert sure_chrome(dom, measure_blocks(dom)).tolist() == [False] * 4 + [True]


def test_until_found_and_hash_links_are_seen() -> None:
    dom = parse_html("<div hidden=until-found>a</div><div>b</div><p>ccc</p>")
    assert not sure_chrome(dom, measure_blocks(dom)).any()


def test_value_that_ends_like_an_attribute_is_read() -> None:
    """It is followed by a quote, behind which there may be no other."""
    found = texts(f"<body>{ARTICLE}<p title=' hidden='>Last. {SENTENCE * 4}</body>")
    assert "Last." in found


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([0.2, 0.2, -0.3], [True] * 3),
        ([0.9, -0.4, -0.4], [True] * 3),
        ([0.2, 0.2, -0.5], [True] * 3),
        ([0.2, -0.3, -0.3], [False] * 3),
    ],
)
def test_table_of_data_is_kept_or_left_out_whole(before: list[float], after: list[bool]) -> None:
    dom = parse_html("<table><tr><td>aaaa<td>bbbb<tr><td>cccc</table>")
    blocks = measure_blocks(dom)
    above, chrome = np.array(before), np.zeros(3, np.bool_)
    keep = above > 0
    keep_whole(dom, blocks, np.zeros(3, np.int64), keep, above, chrome)
    assert keep.tolist() == after
    # What is chrome has no say.
    keep[:] = False
    keep_whole(dom, blocks, np.zeros(3, np.int64), keep, above + 9, ~chrome)
    assert not keep.any()


def test_layout_table_is_not_taken_whole() -> None:
    dom = parse_html("<table><tr><td><p>aaaa</p><td>bbbb<tr><td>cccc</table>")
    keep = np.array([True, True, False])
    nothing = np.zeros(3, np.int64)
    keep_whole(dom, measure_blocks(dom), nothing, keep, nothing, nothing.astype(np.bool_))
    assert keep.tolist() == [True, True, False]


def test_list_of_links_is_kept_or_left_out_whole() -> None:
    dom = parse_html("<ul><li><a href=a>aaaa</a><li><a href=b>bbbb</a><li><a href=c>cccc</a></ul>")
    keep = np.array([True, False, False])
    keep_whole(dom, measure_blocks(dom), np.full(3, 64), keep, np.ones(3), ~np.ones(3, np.bool_))
    assert not keep.any()


def test_heading_goes_with_what_it_heads() -> None:
    dom = parse_html("<h2>a</h2><p>gone</p><h2>b</h2><h3>c</h3><p>kept</p><h2>d</h2>")
    keep = np.array([True, False, True, True, True, True])
    drop_lone_headings(dom, measure_blocks(dom), np.zeros(6), keep)
    assert keep.tolist() == [False, False, True, True, True, False]


def test_heading_of_which_the_model_is_sure_stays() -> None:
    dom = parse_html("<h2>Plans</h2><h4>Basic</h4><h1>$9</h1><p>gone</p>")
    keep = np.array([True, True, True, False])
    drop_lone_headings(dom, measure_blocks(dom), np.array([2.1, 2.0, 0.0, 9.0]), keep)
    assert keep.tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("aside", "keep", "after"),
    [
        ("<h3>b</h3><p>gone</p>", [1, 1, 0, 1], [True, False, False, True]),
        ("<h3>b</h3><p>kept</p>", [1, 1, 1, 1], [True] * 4),
        ("<h3>b</h3><h4>c</h4>", [1, 1, 1, 1], [True, False, False, True]),
        ("<div><h3>b</h3></div><p>gone</p>", [0, 1, 0, 1], [False, False, False, True]),
    ],
)
def test_heading_in_an_aside_heads_nothing_outside_and_parts_nothing(
    aside: str, keep: list[int], after: list[bool]
) -> None:
    dom = parse_html(f"<h2>a</h2><aside>{aside}</aside><p>kept</p>")
    flags = np.array(keep, np.bool_)
    drop_lone_headings(dom, measure_blocks(dom), np.zeros(4), flags)
    assert flags.tolist() == after


@pytest.mark.parametrize("is_built", [True, False])
@pytest.mark.parametrize(("box", "is_kept"), [("aside", True), ("div", False)])
def test_headline_is_looked_for_past_asides(
    box: str, is_kept: bool, is_built: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_kernel, "AVAILABLE", is_built and page_kernel.AVAILABLE)
    menu = "".join(f"<p>{number}" for number in range(HEADLINE_REACH + 1))
    asides = f"<{box}>{menu}<{box}>{menu}</{box}></{box}>"
    dom = parse_html(f"<h1>Title</h1>{asides}<p>x<p>{SENTENCE * 9}")
    blocks = measure_blocks(dom)
    scores = np.where(blocks.size > 200, 9, -9).astype(np.float32)
    _, keep, _ = settle_blocks(dom, blocks, scores)
    assert bool(keep[0]) is is_kept
    assert keep.sum() == 1 + is_kept


SITE_NAMES = ["<a href=/>River Post</a>", "<b><a href='/'><i>River</i> Post</a></b>"]
HEADLINES = [
    "<a href=/a>River Post</a>",
    "<a href=''>River Post</a>",
    "<a>River Post</a>",
    "<a href='//post.example/'>River Post</a>",
    "<a href=/>Home</a> The river",
    "The river at <a href=/>home</a>",
    "The river",
]


@pytest.mark.parametrize("is_built", [True, False])
@pytest.mark.parametrize("heading", SITE_NAMES + HEADLINES)
def test_name_of_the_site_is_no_headline(
    heading: str, is_built: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_kernel, "AVAILABLE", is_built and page_kernel.AVAILABLE)
    dom = parse_html(f"<h1>{heading}</h1>{LINKS}<p>{SENTENCE * 9}")
    blocks = measure_blocks(dom)
    scores = np.where(blocks.size > 200, 9, -9).astype(np.float32)
    _, keep, _ = settle_blocks(dom, blocks, scores)
    assert bool(keep[0]) is (heading in HEADLINES)


SIGNATURES = {
    "phpBB": ("<div id=sig1 class='signature'>{}</div>", True),
    "Invision": ("<div class='x post-signature'>{}</div>", True),
    "XenForo": ("<aside class='message-signature js-x'><div>{}</div></aside>", True),
    "vBulletin": ("<blockquote class='signature restore'>{}</blockquote>", True),
    "of a function": ("<div class=signature><code>{}</code></div>", False),
    "of a type": ("<div class=signature><pre>{}</pre></div>", False),
    "of a method": ("<p class=signature>{}</p>", False),
    "of a cook": ("<section class=signature><p>{}</p></section>", False),
    "with a heading": ("<div class=signature><h3>Dishes</h3><p>{}</p></div>", False),
    "another word": ("<div class=digital-signature>{}</div>", False),
}


@pytest.mark.parametrize("is_built", [True, False])
@pytest.mark.parametrize(("box", "goes"), SIGNATURES.values(), ids=SIGNATURES.keys())
def test_signatures_of_members_go(
    box: str, goes: bool, is_built: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_kernel, "AVAILABLE", is_built and page_kernel.AVAILABLE)
    for html, may_go in (
        (f"<p>{SENTENCE}</p>{box}<p>{SENTENCE}</p>{box}", True),
        (f"<p>{SENTENCE}</p>{box}<p>{SENTENCE}</p>", False),  # the end of a letter
        (f"<p>{SENTENCE}</p>{box * 9}", False),  # those who signed it
        (f"<p>A post.</p>{box}<p>Another</p>{box}", False),
    ):
        dom = parse_html(html.replace("{}", "I keep bees."))
        blocks = measure_blocks(dom)
        keep = np.ones(len(blocks.first), np.bool_)
        drop_signatures(dom, blocks, keep)
        assert all(keep) is not (goes and may_go)


def test_signatures_are_never_most_of_a_page() -> None:
    post = f"<p>{SENTENCE}</p><div class=signature>{SENTENCE * 2}</div>"
    dom = parse_html(post * 2)
    blocks = measure_blocks(dom)
    keep = np.ones(len(blocks.first), np.bool_)
    drop_signatures(dom, blocks, keep)
    assert all(keep)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("<h2>Installation <button>Copy link</button></h2>", "## Installation"),
        ("<h2><button>How long?<br>Really</button></h2>", "## How long? Really"),
        ("<h2><button>Prev</button><button>Next</button></h2>", ""),
        ("<h2> <button>Why</button> </h2>", "## Why"),
    ],
)
def test_button_that_is_not_all_of_a_heading_is_not_read(
    line: str, expected: str, backend: str
) -> None:
    page = extract_page(f"{ARTICLE}{line}<p>{SENTENCE * 3}", "http://a/", ExtractConfig(), backend)
    headings = [node.text for node in page.nodes if node.role == "heading"]
    assert headings == ["# Title of it", *[expected] * bool(expected)]


def test_hidden_rows_stay_hidden_and_hidden_answers_do_not() -> None:
    hidden = "<{0} style='display:none'>Hidden</{0}>"
    rows = f"<table><tr><td>a<td>b<tr><td>c<td>d<tr>{hidden.format('td') * 2}</table>"
    assert "Hidden" not in texts(ARTICLE + rows + ARTICLE)
    dom = parse_html(f"<p>{SENTENCE * 9}</p><dl><dt>Why?</dt>{hidden.format('dd')}</dl>")
    blocks = measure_blocks(dom)
    _, keep, _ = settle_blocks(dom, blocks, np.full(len(blocks.first), 3, np.float32))
    assert keep.tolist() == [True, True, True]


def test_text_that_details_repeat_is_kept_once() -> None:
    text = SENTENCE * 3
    dom = parse_html(f"<div><p>{text}</p></div><details><summary>More</summary><p>{text}</details>")
    blocks = measure_blocks(dom)
    keep = np.array([True, True, False])
    keep_details(dom, blocks, keep, ~np.ones(3, np.bool_))
    assert keep.tolist() == [True, True, False]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("element", ["h2", "h4", "dt", "p"])
def test_question_in_a_button_is_read(element: str, backend: str) -> None:
    question = f"<{element}><button>How long? <span>Really</span></button></{element}>"
    answer = f"<{'dd' if element == 'dt' else 'div'}>{SENTENCE * 3}"
    found = texts(f"{ARTICLE}<dl>{question}{answer}</dl>{ARTICLE}", backend)
    assert ("How long? Really" in found) is (element != "p")
    assert "long?Really" not in found


def test_twin_in_another_container_goes() -> None:
    dom = parse_html(f"<div><p>{SENTENCE * 2}</p></div><div><p>{SENTENCE * 2}</p><p>x</p></div>")
    keep = np.ones(3, np.bool_)
    drop_twins(dom, measure_blocks(dom), keep)
    assert keep.tolist() == [True, False, True]


def test_twins_side_by_side_are_meant() -> None:
    dom = parse_html(f"<div><p>{SENTENCE * 2}</p><p>{SENTENCE * 2}</p></div>")
    keep = np.ones(2, np.bool_)
    drop_twins(dom, measure_blocks(dom), keep)
    assert keep.all()


@pytest.mark.parametrize(
    ("inside", "before", "after"),
    [
        ("<summary>Why?</summary><p>Because.</p>", [True, False], [True, True]),
        ("<summary>Why?</summary><p>Because.</p>", [False, True], [True, True]),
        ("<summary>Why?</summary><p>Because.</p>", [False, False], [False, False]),
        ("<summary>Why?</summary><nav><p>Because.</p></nav>", [True, False], [True, False]),
        ("<summary>Menu</summary><p><a href=a>A link to it</a></p>", [True, False], [True, False]),
    ],
)
def test_question_and_answer_are_kept_together(
    inside: str, before: list[bool], after: list[bool]
) -> None:
    dom = parse_html(f"<p>{SENTENCE}</p><details>{inside}</details><p>{SENTENCE}</p>")
    blocks = measure_blocks(dom)
    keep = np.array([True, *before, True])
    keep_details(dom, blocks, keep, sure_chrome(dom, blocks))
    assert keep.tolist() == [True, *after, True]


LABELS = {
    "a label": ("<div class=ad-unit><p>Advertisement</p></div>", True),
    "its own box": ("<p class='label AdLabel'>Anuncio</p>", True),
    "beside a picture": ("<div class='x ads'><p>Ad</p><a href=b><img src=c></a></div>", True),
    "of a box around": ("<div class=advertisement><div><p>Weiter</p></div></div>", True),
    "in another language": ("<aside class=werbung><p>Anzeige</p></aside>", True),
    "in Spanish": ("<aside class=publicidad><p>Anuncio</p></aside>", True),
    "of a wrapper": ("<div class=zox-post-ad-wrap><span>Ad</span></div>", True),
    "of a box too far around": ("<div class=ad><i><b><u><p>Far</p></u></b></i></div>", False),
    "a heading": ("<div class=ad-unit><h3>Advertising</h3></div>", False),
    "a link": ("<div class=ad-unit><p><a href=b>Boots</a></p></div>", False),
    "a sentence": (f"<div class=ad><p>{SENTENCE * 2}</p></div>", False),
    "one of two": ("<div class=advert-details><p>Paris</p><p>40k</p></div>", False),
    "in a list": ("<ul><li class=ad>79 AD, a war</li></ul>", False),
    "in a table": ("<table><tr class=ad-size><td>30x250<tr><td>1<td>2</table>", False),
    "in a quote": ("<blockquote class=ad-copy><p>Have you used it?</p></blockquote>", False),
    "in a listing": ("<pre class=ad-script>Get-ADUser</pre>", False),
    "in a figure": ("<figure class=ad><figcaption>Soap, 1890</figcaption></figure>", False),
    "at the end of a name": ("<div class=vintage-ad><p>Soap, 1890</p></div>", False),
    "at the end of another": ("<div class=termin-anzeige><p>12. Mai</p></div>", False),
    "by its id": ("<p id=ad-hoc>Ad hoc</p>", False),
    "a hash": ("<p class='css-1ad9 b7-ad06-4e xAAd9'>Text</p>", False),
    "another word": ("<p class='adverb adaptive shadow'>Text</p>", False),
    "sponsors": ("<div class=sponsors><p>Mill and Sons</p></div>", False),
}


@pytest.mark.parametrize(("html", "goes"), LABELS.values(), ids=LABELS.keys())
def test_label_of_an_advertisement_goes(html: str, goes: bool) -> None:
    dom = parse_html(f"<p>{SENTENCE}</p>{html}<p>{SENTENCE}</p>")
    blocks = measure_blocks(dom)
    keep = np.ones(len(blocks.first), np.bool_)
    drop_labels(dom, blocks, keep)
    kept = keep[blocks.size > 0].tolist()
    assert kept[0]
    assert kept[-1]
    assert all(kept[1:-1]) is not goes


def test_labels_of_up_to_sixty_bytes_go() -> None:
    for size, goes in ((60, True), (61, False)):
        dom = parse_html(f"<p>a</p><div class=ad><p>{'x' * size}</p></div>")
        keep = np.ones(2, np.bool_)
        drop_labels(dom, measure_blocks(dom), keep)
        assert keep.tolist() == [True, not goes]


def test_labels_repeat_and_content_differs() -> None:
    for texts_of_boxes, goes in ((("Ad", "Ad", "Go on", "Ad"), True), (("A", "B", "C"), False)):
        boxes = "".join(f"<div class=ad-box><p>{text}</p></div>" for text in texts_of_boxes)
        dom = parse_html(f"<p>{SENTENCE}</p>{boxes}")
        keep = np.ones(len(texts_of_boxes) + 1, np.bool_)
        drop_labels(dom, measure_blocks(dom), keep)
        assert keep.tolist() == [True, *[not goes] * len(texts_of_boxes)]


def test_classified_advertisements_keep_their_labels() -> None:
    label = "<div class=ad-price><p>120 EUR</p></div>"
    dom = parse_html(f"{label}<div class=ad-text><p>{SENTENCE * 2}</p></div>")
    for is_kept in (True, False):
        keep = np.array([True, is_kept])
        drop_labels(dom, measure_blocks(dom), keep)
        assert keep.tolist() == [is_kept, is_kept]


def test_labels_cost_linear_time() -> None:
    attributes = " ".join(f"a{nth}=1" for nth in range(4000))
    dom = parse_html(f"<p>{SENTENCE}</p><div class=ad {attributes}>{'<p>word</p>' * 30_000}</div>")
    blocks = measure_blocks(dom)
    with hang_guard():
        drop_labels(dom, blocks, np.ones(len(blocks.first), np.bool_))


def test_page_with_little_text_is_kept_whole() -> None:
    html = "<body><div>one</div><p>two</p><div><img src=/3.jpg></div></body>"
    assert texts(html).split("\n") == ["one", "two", "http://a.com/3.jpg"]


def test_short_page_with_chrome_is_not_lost() -> None:
    html = (
        f"<nav>{LINKS}</nav><main><h1>A short one</h1><p>Tides today.</p></main><footer>f</footer>"
    )
    assert texts(html).split("\n") == ["# A short one", "Tides today."]


def test_page_without_a_body_of_text_is_empty() -> None:
    assert texts("<frameset><frame src=a></frameset>") == ""
    assert texts("<body><div></div></body>") == ""


def test_title_and_lead_picture_above_the_body_belong_to_the_content() -> None:
    body = f"<div><p>{SENTENCE * 9}</p><p>{SENTENCE * 9}</p></div>"
    found = texts(f"<body><nav>LOGO</nav><div><h1>T</h1><img src=/lead.jpg>{body}</div></body>")
    assert found.startswith("# T\nhttp://a.com/lead.jpg\n")


def test_picture_behind_the_body_belongs_to_the_content() -> None:
    body = f"<div><p>{SENTENCE * 9}</p><p>{SENTENCE * 9}</p></div>"
    assert "after.jpg" in texts(f"<body><div>{body}<div><img src=/after.jpg></div></div></body>")


def test_chinese_prose_counts_by_what_it_says() -> None:
    line = "这是一个关于天气和旅行的短句子文章。"
    html = f"<body><ul>{LINKS}</ul><div>{f'<p>{line}</p>' * 12}</div></body>"
    found = texts(html)
    assert found.count(line) == 12
    assert "Another headline" not in found


def test_scores_are_whole_numbers_exactly() -> None:
    """In 64-bit integers, the network gives what float32 gives."""
    dom = parse_html(f"<nav>{LINKS}</nav><main>{ARTICLE}</main><aside>{LINKS}</aside>")
    blocks = measure_blocks(dom)
    scores = score_blocks(blocks) * (UNIT * WEIGHT_UNIT)
    assert (scores == np.round(scores)).all()
    model = load_model()
    weights, bias = model.layers[0]
    exact = blocks.measures.astype(np.int64) @ weights.astype(np.int64) + bias.astype(np.int64)
    assert (blocks.measures @ weights + bias == exact).all()
