"""The kernel settles blocks as the rules in Python do."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transforms.test_page_kernel import (
    PAGES,
    PROSE,
    derandomized,
    markup,
    needs_kernel,
    numpy_only,
    pieces,
    real_sources,
)
from transforms import content_rules, page_kernel
from transforms.content_features import Blocks, measure_blocks
from transforms.content_model import score_blocks
from transforms.dom import Dom, parse_html
from transforms.html_parsers import canonical_lexbor
from transforms.main_content import MIN_TEXT, cover_tags, settle_blocks

pytestmark = needs_kernel

LONG_TEXT = f"<p>{PROSE * 5}</p>"
TWIN = PROSE[:85]


def random_scores(count: int, seed: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 1, count).astype(np.float32)


def check_alike(source: bytes, *seeds: int) -> int:
    """That both settle a page alike, with the scores of the model and others; its blocks."""
    dom = Dom(source)
    blocks = measure_blocks(dom)
    count = len(blocks.first)
    if not count:
        return 0
    kept, left_out = np.full((2, count), [[5], [-5]], np.float32)
    drawn = (random_scores(count, seed) for seed in (0, *seeds))
    for scores in (score_blocks(blocks), kept, left_out, *drawn):
        found = settle_blocks(dom, blocks, scores)
        with numpy_only():
            expected = settle_blocks(dom, blocks, scores)
        for one, other, name in zip(found, expected, ("chrome", "keep", "small"), strict=True):
            np.testing.assert_array_equal(one, other, name)
        covered = cover_tags(dom, blocks, found[1])
        with numpy_only():
            expected_cover = cover_tags(dom, blocks, found[1])
        np.testing.assert_array_equal(covered, expected_cover)
    return count


def settled(html: str, *scores: float) -> tuple[list[bool], list[bool]]:
    """Which blocks are chrome and which are content, where both agree."""
    source = canonical_lexbor(html.encode())
    check_alike(source)
    dom = Dom(source)
    blocks = measure_blocks(dom)
    given_scores = np.array(scores or [5.0] * len(blocks.first), np.float32)
    chrome, keep, _ = settle_blocks(dom, blocks, given_scores)
    with numpy_only():
        expected = settle_blocks(dom, blocks, given_scores)
    np.testing.assert_array_equal((chrome, keep), expected[:2])
    return chrome.tolist(), keep.tolist()


def is_chrome(tag: str) -> bool:
    """Whether a `div` with some attributes is sure chrome."""
    return settled(f"{LONG_TEXT}<div {tag}>gone</div>")[0][1]


@pytest.mark.parametrize("html", PAGES.values(), ids=PAGES.keys())
def test_pages_are_settled_alike(html: str) -> None:
    check_alike(canonical_lexbor(html.encode("utf-8", "replace")), 1, 2)


@pytest.mark.parametrize("role", content_rules._ROLES)
def test_roles_make_chrome(role: bytes) -> None:
    name = role.decode()
    assert is_chrome(f"role={name}")
    assert not is_chrome(f"role={name}s")
    assert not is_chrome(f"role={name[:-1]}")
    assert not is_chrome(f"role={name.upper()}")
    assert not is_chrome(f"role='{name} '")
    assert not is_chrome(f"aria-role={name}")


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ("hidden", True), ("hidden=''", True), ("hidden=false", True),
        ("hidden=until-found", False), ("hidden=UNTIL-FOUND", True), ("hidden=until-founds", True),
        ("aria-hidden=true", False), ("data-hidden=x", False), ("hiddens=x", False),
        ("style=display:none", True), ("style='DISPLAY:None'", True),
        ("style='color:red; display \t:\n none!'", True), ("style='display\f:\vnone'", True),
        ("style='display\x1c:none'", False), ("style='visibility\t:\x1chidden'", False),
        ("style='display:block none'", False), ("style='displaydisplay:none'", True),
        ("style='display: no'", False), ("style=display:", False), ("style=display", False),
        ("style='display:n display:none'", True), ("style='display:visibility:hidden'", True),
        ("style='visibility:none'", False), ("style='Visibility :hIdDen'", True),
        ("style='d\u0131splay:none'", False), ("style=''", False), ("style='\u212aisplay'", False),
        ("data-style=display:none", False), ("role=''", False), ("role", False),
    ],
)  # fmt: skip
def test_attributes_make_chrome(attribute: str, expected: bool) -> None:
    assert is_chrome(attribute) == expected


@pytest.mark.parametrize("name", ['role="menu"', 'hidden=""', 'style="display:none"'])
def test_names_in_values_and_texts_are_no_attributes(name: str) -> None:
    """A quote in a value is escaped, but a value may end in a name and `=`."""
    bare = name.partition('"')[0]
    assert not is_chrome(f"title='x {name} y'")
    assert not is_chrome(f"title=' {bare} ' alt=' {bare}'")
    assert not is_chrome(f"title=' {bare}' alt='menu' hiddens='display:none'")
    assert not any(settled(f"{LONG_TEXT}<div>a {name} b</div><div> {name}</div>")[0])
    assert is_chrome(f"title=' {bare}' alt=' {bare}' {name} title=' {bare}'")
    assert is_chrome(f"{name} title=' {bare}'")
    assert is_chrome(f"a\"b=' {bare}' {name}")


@pytest.mark.parametrize("name", ["role=menu", "hidden", "style=visibility:hidden"])
def test_attributes_are_found_at_every_offset(name: str) -> None:
    for length in range(70):
        assert is_chrome(f"title={'x' * length}y {name}")


@pytest.mark.parametrize(
    "ending",
    [b' role="menu"', b' hidden="', b' style="display:none', b' role="', b"=", b'="', b'"'],
)
def test_names_at_the_end_of_a_page_are_text(ending: bytes) -> None:
    for length in range(60, 130):
        assert check_alike(b"<html><p>" + b"x" * length + b"</p></html>" + ending) == 2


def test_attributes_of_end_tags_and_of_elements_without_one_hide_nothing() -> None:
    source = b"<html>" + LONG_TEXT.encode() + b'<div>a</div hidden=""><img role="menu">b</html>'
    assert check_alike(source) == 3
    dom = Dom(source)
    assert not content_rules.sure_chrome(dom, measure_blocks(dom)).any()


@pytest.mark.parametrize(("inside", "expected"), [(34, True), (35, True), (36, False)])
@pytest.mark.parametrize("unit", [1, 17, 20, 340])
def test_share_of_the_page_that_may_be_chrome(inside: int, unit: int, expected: bool) -> None:
    html = f"<nav>{'x' * (inside * unit)}</nav><p>{'y' * ((100 - inside) * unit)}"
    assert settled(html)[0] == [expected, False]


def test_chrome_in_chrome_is_chrome() -> None:
    html = f"{LONG_TEXT}<nav>a<div hidden>b</div>c<nav>d</nav>e</nav>f"
    assert settled(html)[0] == [False] + [True] * 5 + [False]


@pytest.mark.parametrize("around", ["article", "main", "article><main", "main><div"])
def test_footers_in_articles_are_no_chrome(around: str) -> None:
    inner = around.split("><")[::-1]
    closed = "".join(f"</{name}>" for name in inner)
    html = f"<{around}>{LONG_TEXT}<footer>a</footer>{closed}<footer>b</footer>"
    assert settled(html)[0] == [False, False, True]
    html = f"<footer>a</footer><{around}><article>x</article>{LONG_TEXT}<footer>a</footer>{closed}"
    assert settled(html)[0] == [True, False, False, False]


@pytest.mark.parametrize("tags", ["table tr td", "dl dd", "pre div", "ul li", "ol li", "dl ul li"])
@pytest.mark.parametrize("linked", [0, 59, 60, 61, 100])
def test_wholes_are_settled_alike(tags: str, linked: int) -> None:
    outer, *inner = tags.split()
    cell = f"<a href=x>{'x' * linked}</a>{'y' * (100 - linked)}"
    cells = "".join(f"<{inner[-1]}>{cell}</{inner[-1]}>" for _ in range(3))
    nested = f"<{inner[-1]}>{cell}<{outer}>{cells}</{outer}><p>z</{inner[-1]}>"
    for body in (cells, nested, cells + nested, nested * 3):
        html = f"{LONG_TEXT}<{outer}>{body}</{outer}><ul><li><{outer}>{body}</{outer}>{body}</ul>"
        assert check_alike(canonical_lexbor(html.encode()), *range(1, 20)) > 3


def test_innermost_whole_has_the_last_word() -> None:
    """The outer list is mostly left out, the one in it mostly kept."""
    link = f"<a href=x>{'x' * 90}</a>"
    inner = f"<ul><li>{link}<li>{link}<li>{link}</ul>"
    html = f"{LONG_TEXT}<ul><li>{link}<li>{link}<li>{link}<li>{inner}<li>{link}</ul>"
    _, keep = settled(html, 5, -5, -5, -5, 5, 5, -5, -5)
    assert keep == [True, False, False, False, True, True, True, False]


@pytest.mark.parametrize("first", [5.0, -5.0])
@pytest.mark.parametrize("last", [5.0, -5.0])
def test_code_between_kept_texts_is_kept(first: float, last: float) -> None:
    html = f"{LONG_TEXT}<p><img src=a><p>{PROSE}<pre>x = 1</pre><p><img src=b><p>{PROSE}y"
    _, keep = settled(html, 5, -5, first, -5, -5, last)
    assert keep[3] == (first > 0 and last > 0)


@pytest.mark.parametrize("seed", range(5))
def test_code_in_code_and_at_the_ends_is_settled_alike(seed: int) -> None:
    nested = "<pre>a<div>b<pre>c</pre></div>d</pre>"
    for html in (
        f"{nested}<p>{PROSE * 4}{nested * 3}<p>x{nested}",
        nested * 9,
        f"{LONG_TEXT}<pre>",
    ):
        check_alike(canonical_lexbor(html.encode()), *range(10 * seed, 10 * seed + 10))


@pytest.mark.parametrize(
    ("twin", "is_dropped"),
    [
        (TWIN, True), (f" {TWIN}\n", True), (TWIN.replace(" ", "\n\t  "), True),
        (TWIN.replace(" ", "\v\f\r"), True), (TWIN.replace(" ", "\x1c"), False),
        (TWIN.replace(" ", "&nbsp;"), False), (TWIN.replace(" ", "", 1), False),
        (f"{TWIN}.", False), (TWIN[:-1], False), (f"<b>{TWIN}</b>", False),
        (TWIN.replace("o", "O", 1), False), (TWIN.replace("b", "\0"), False),
    ],
)  # fmt: skip
def test_twin_has_the_same_words(twin: str, is_dropped: bool) -> None:
    html = f"{LONG_TEXT}<div><p>{TWIN}</div><section><p>{twin}</section><div><p>{twin}</div>"
    assert settled(html)[1][2] != is_dropped


@pytest.mark.parametrize("container", ["td", "th", "pre", "code", "blockquote", "q"])
def test_cells_code_and_quotes_are_no_twins(container: str) -> None:
    tags = f"<table><tr><{container}>" if container in ("td", "th") else f"<{container}>"
    html = f"{LONG_TEXT}<div>{tags}<p>{TWIN}</div></table><div>{tags}<p>{TWIN}</div></table>"
    assert settled(html)[1] == [True, True, True]


@pytest.mark.parametrize(("size", "is_dropped"), [(59, False), (60, True), (64, True), (200, True)])
def test_only_long_texts_are_twins(size: int, is_dropped: bool) -> None:
    text = "x" * size
    assert settled(f"{LONG_TEXT}<div><p>{text}</div><div><p>{text}</div>")[1][2] != is_dropped


def test_long_texts_with_spaces_anywhere_are_compared_alike() -> None:
    numbers = np.random.default_rng(5)
    texts = []
    for _ in range(60):
        letters = numbers.choice([*"aaaaaaaaaa", " ", "\n"], 200)
        spaced = "".join(letters).replace("a", "ab")
        texts += [spaced, spaced.replace("\n", "  "), spaced + " "]
    html = "".join(f"<div><p>{text}</p></div>" for text in numbers.permutation(texts * 2))
    source = canonical_lexbor(f"{LONG_TEXT}{html}".encode())
    assert check_alike(source, *range(1, 6)) == 361
    dom = Dom(source)
    blocks = measure_blocks(dom)
    _, keep, _ = settle_blocks(dom, blocks, np.full(361, 5, np.float32))
    assert keep.sum() == 1 + len({" ".join(text.split()) for text in texts})


@pytest.mark.parametrize("distance", range(13, 19))
def test_headline_shortly_before_the_content_is_kept(distance: int) -> None:
    html = "<h1>a</h1>" + "<p>x" * (distance - 1) + LONG_TEXT
    _, keep = settled(html, *[-5.0] * distance, 5)
    assert keep == [distance <= content_rules.HEADLINE_REACH] + [False] * (distance - 1) + [True]


@pytest.mark.parametrize("seed", range(8))
def test_headings_are_settled_alike(seed: int) -> None:
    numbers = np.random.default_rng(seed)
    names = numbers.choice(["h1", "h2", "h3", "h6", "p", "div", "h1 hidden", "nav"], 150)
    bodies = numbers.choice(["x", "<b>y</b>", "<img src=a>", "", "<div>z</div>w", PROSE], 150)
    html = "".join(
        f"<{name}>{body}</{name.split()[0]}>" for name, body in zip(names, bodies, strict=True)
    )
    check_alike(canonical_lexbor(html.encode()), *range(1, 8))


@pytest.mark.parametrize("size", [MIN_TEXT - 1, MIN_TEXT, MIN_TEXT + 1])
@pytest.mark.parametrize("chrome", ["", "<form></form>", "<aside></aside>", "<div hidden>x</div>"])
def test_small_pages_are_settled_alike(size: int, chrome: str) -> None:
    html = f"<div>{'x' * (size - 1)}</div>{chrome}<p>y<nav>{PROSE}</nav>"
    check_alike(canonical_lexbor(html.encode()), 1)


@pytest.mark.parametrize("size", [MIN_TEXT - 1, MIN_TEXT])
def test_page_with_little_text_is_kept_whole(size: int) -> None:
    html = f"<div>{'x' * (size - 1)}</div><p>y"
    assert settled(html, 5, -5)[1] == [True, size < MIN_TEXT]
    assert settled(f"{html}<form></form>", 5, -5)[1] == [True, False]


@pytest.mark.parametrize(
    "score", [-0.3, np.nextafter(np.float32(-0.3), np.float32(0)), -1.5, 0.7, 0.70001, -101, -200]
)
def test_threshold_is_compared_as_float32(score: float) -> None:
    dom = Dom(canonical_lexbor(f"{LONG_TEXT}<p>a<p>b<p><img src=c>".encode()))
    blocks = measure_blocks(dom)
    for others in (-0.3, -100, score - 1, score + 1):
        scores = np.array([score, others, -0.30000001, 5], np.float32)
        found = settle_blocks(dom, blocks, scores)
        with numpy_only():
            expected = settle_blocks(dom, blocks, scores)
        np.testing.assert_array_equal(found[1], expected[1])


def test_page_of_hidden_texts_or_of_pictures_is_settled_alike() -> None:
    for html in (
        "<div hidden>" + LONG_TEXT, "<img src=a><p><img src=b><nav><img src=c></nav>",
        "<p hidden>a", f"<div hidden>{PROSE}</div>" * 9, "<p><img src=a hidden>",
    ):  # fmt: skip
        assert check_alike(canonical_lexbor(html.encode()), 1, 2) > 0


ATTRIBUTES = [
    ' role="menu"', ' role="x"', ' hidden=""', ' hidden="until-found"', ' style="display: none"',
    ' style="DISPLAY"', ' title=" role="', ' title=" hidden=" role="menu"', ' class="nav"',
    ' a"="b" hidden=""', ' role="menu', " role=menu", ' /role="menu"', ' x hidden="" ',
    ' ="" hidden=""',
]  # fmt: skip
ELEMENTS = [
    "footer", "article", "nav", "menu", "dialog", "dl", "ol", "table", "h1", "h2", "h4", "aside",
    "pre", "q", "th", "main",
]  # fmt: skip
ruled = st.one_of(
    pieces,
    st.sampled_from(ELEMENTS).map(lambda name: (name, [])),
    st.tuples(st.sampled_from(["div", "p"]), st.sampled_from([TWIN, PROSE, f" {TWIN}\n"])).map(
        lambda drawn: f"<{drawn[0]}>{drawn[1]}</{drawn[0]}>"
    ),
    st.tuples(st.sampled_from(ELEMENTS), st.sampled_from(ATTRIBUTES)).map(
        lambda drawn: f"<{drawn[0]}{drawn[1]}>x<p>y</p></{drawn[0]}>"
    ),
)


@derandomized
@given(st.lists(ruled, max_size=80), st.integers(0, 2**32))
def test_drawn_pages_are_settled_alike(drawn: list[object], seed: int) -> None:
    body = markup(drawn)
    check_alike(f"<html><body>{body}</body></html>".encode(), seed, seed + 1)


def test_real_pages_are_settled_alike(shared_data: Path) -> None:
    found = [
        check_alike(parse_html(html).source, seed)
        for seed, html in enumerate(real_sources(shared_data, 37), 1)
    ]
    assert len(found) > 50
    assert sum(found) > 5000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("closes", 99), ("closes", 2), ("parents", 99), ("parents", -2), ("tags", 256),
        ("tags", -256), ("starts", -5), ("stops", 10_000),
    ],
)  # fmt: skip
def test_tags_that_lead_out_of_the_page_are_refused(name: str, value: int) -> None:
    dom = Dom(b"<html><p>x</p></html>")
    blocks = measure_blocks(dom)
    array = getattr(dom, name).copy()
    array[3] = value
    setattr(dom, name, array)
    with pytest.raises(ValueError, match="not the arrays of a page"):
        page_kernel.settle_blocks(dom, blocks, np.zeros(1, np.float32))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("first", [-1, 3]), ("first", [1, 1]), ("first", [3, 1]), ("last", [0, 4]),
        ("last", [2, 99]), ("last", [2, 2**62]), ("size", [-1, 1]), ("size", [1, 2**62]),
        ("size", [20, 20]), ("first", [1]), ("last", []), ("size", [1, 1, 1]),
    ],
)  # fmt: skip
def test_blocks_that_lead_out_of_the_page_are_refused(name: str, value: list[int]) -> None:
    dom, blocks = two_blocks()
    setattr(blocks, name, np.array(value, np.int64))
    with pytest.raises(ValueError, match="not the arrays of a page"):
        page_kernel.settle_blocks(dom, blocks, np.zeros(2, np.float32))


def two_blocks() -> tuple[Dom, Blocks]:
    dom = Dom(b"<html><p>x</p><p>y</p></html>")
    return dom, measure_blocks(dom)


def test_arrays_of_other_sizes_are_refused() -> None:
    dom, blocks = two_blocks()
    with pytest.raises(ValueError, match="not the arrays of a page"):
        page_kernel.settle_blocks(dom, blocks, np.zeros(2))
    blocks.measures = blocks.measures[:, :60].copy()
    with pytest.raises(ValueError, match="not the arrays of a page"):
        page_kernel.settle_blocks(dom, blocks, np.zeros(2, np.float32))


def test_other_tables_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    dom, blocks = two_blocks()
    tables = page_kernel._rule_tables()
    assert tables.count(b' role="') == 1
    for other in (tables[:-1], tables + b"x", bytes(len(tables)), tables.replace(b"\7", b"\x10")):
        monkeypatch.setattr(page_kernel, "_rule_tables", lambda other=other: other)
        with pytest.raises(ValueError, match="not the tables"):
            page_kernel.settle_blocks(dom, blocks, np.zeros(2, np.float32))


@pytest.mark.parametrize(
    ("first", "last"), [([1, 3], [2, 9]), ([-1, 3], [2, 4]), ([2, 3], [1, 4]), ([1], [2])]
)
def test_blocks_that_cover_no_tags_are_refused(first: list[int], last: list[int]) -> None:
    chosen, out = np.ones(2, np.bool_), np.zeros((2, 6), np.bool_)
    with pytest.raises(ValueError, match="not the blocks of a page"):
        page_kernel._page_kernel.cover_tags(np.array(first), np.array(last), chosen, *out)


def test_words_that_the_kernel_has_no_room_for_are_refused() -> None:
    for words in ([b"x"] * 5, [b"x" * 16]):
        with pytest.raises(ValueError, match="more than 4 words"):
            page_kernel._rule_words(words, 4)
