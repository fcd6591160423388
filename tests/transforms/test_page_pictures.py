"""The kernel weighs the pictures of a page as the rules in Python do."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import hang_guard
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
from transforms import content_images, page_kernel
from transforms.content_features import Blocks, measure_blocks
from transforms.content_images import Candidate, select_pictures
from transforms.content_model import score_blocks
from transforms.dom import Dom, parse_html
from transforms.html_parsers import canonical_lexbor
from transforms.main_content import settle_blocks

pytestmark = needs_kernel

Weighed = tuple[list[Candidate], list[int], bool]
TEXT = f"<p>{PROSE * 2}"


def weigh_alike(
    dom: Dom,
    blocks: Blocks,
    keep: npt.NDArray[np.bool_],
    chrome: npt.NDArray[np.bool_],
    scores: npt.NDArray[np.float32],
) -> Weighed:
    """What both say of the pictures of a page, which is the same."""
    tags = content_images._caption_tags(dom)
    with numpy_only():
        assert content_images._caption_tags(dom) == tags
    expected = content_images.weigh_pictures(dom, blocks, keep, chrome, scores, tags)
    found = page_kernel.weigh_pictures(dom, blocks, keep, chrome, scores, tags)
    assert found == expected
    assert [*map(type, found[0][:1])] == [*map(type, expected[0][:1])]
    selected = select_pictures(dom, blocks, keep, chrome, scores)
    with numpy_only():
        expected_flags = select_pictures(dom, blocks, keep, chrome, scores)
    np.testing.assert_array_equal(selected[0], expected_flags[0])
    np.testing.assert_array_equal(selected[1], expected_flags[1])
    return found


def check_alike(source: bytes, *seeds: int) -> int:
    """That both weigh a page alike, with the scores of the model and others; its candidates."""
    dom = Dom(source)
    blocks = measure_blocks(dom)
    count = len(blocks.first)
    if not count:
        return 0
    scores = score_blocks(blocks)
    chrome, keep, _ = settle_blocks(dom, blocks, scores)
    found = len(weigh_alike(dom, blocks, keep & (blocks.size > 0), chrome, scores)[0])
    for seed in seeds:
        numbers = np.random.default_rng(seed)
        odds = numbers.normal(numbers.normal(0, 1), 2, count).astype(np.float32)
        left_out = numbers.random(count) < numbers.random() / 3
        kept = (odds > 0) & (blocks.size > 0) & ~left_out
        found += len(weigh_alike(dom, blocks, kept, left_out, odds)[0])
    return found


def weighed(body: str, keep: str = "KEEP", like: str = "LIKE") -> tuple[Dom, Weighed]:
    """A page of which the texts with a word are kept, and what is said of its pictures."""
    dom = Dom(canonical_lexbor(f"<body>{body}</body>".encode()))
    blocks = measure_blocks(dom)
    texts = [
        "".join(dom.text_behind(tag) for tag in range(first, last + 1))
        for first, last in zip(blocks.first.tolist(), blocks.last.tolist(), strict=True)
    ]
    scores = np.array([5 if keep in text else 2 if like in text else -3 for text in texts])
    kept = scores > 4
    chrome = np.zeros(len(texts), np.bool_)
    return dom, weigh_alike(dom, blocks, kept, chrome, scores.astype(np.float32))


def stays(body: str) -> list[bool]:
    """Whether each candidate stays, between two paragraphs of an article."""
    text = f"<p>KEEP {PROSE * 15}</p>"
    return [each[2] for each in weighed(f"{text}{body}{text}")[1][0]]


@pytest.mark.parametrize("html", PAGES.values(), ids=PAGES.keys())
def test_pages_are_weighed_alike(html: str) -> None:
    check_alike(canonical_lexbor(html.encode("utf-8", "replace")), 1, 2, 3)


@pytest.mark.parametrize("distance", [0, 5, 6, 11, 12, 13, 14, 40])
@pytest.mark.parametrize("box", ["div", "span", "figure", "picture", "noscript", "li"])
def test_pictures_some_elements_away_are_weighed_alike(distance: int, box: str) -> None:
    for inner in ("", "<p>label", f"<p>{'x' * 39}", f"<p>{'x' * 40}", f"<p>{PROSE}"):
        nest = f"<{box}>" * distance + f"<img src=a>{inner}" + f"</{box}>" * distance
        source = canonical_lexbor(f"<h1>x</h1>{TEXT}<div>{nest}</div>{TEXT}".encode())
        assert check_alike(source, *range(1, 9)) > 0


@pytest.mark.parametrize("seed", range(6))
def test_pictures_around_the_kept_texts_are_weighed_alike(seed: int) -> None:
    numbers = np.random.default_rng(seed)
    names = [
        "h1",
        "p",
        "div",
        "article",
        "main",
        "nav",
        "figure",
        "p class=caption",
        "p class=share",
    ]
    drawn = numbers.choice(names, 70)
    bodies = numbers.choice(["x", "<img src=a>", "", "<img src=a>y", "<h1>z</h1>", PROSE], 70)
    html = "".join(
        f"<{name}>{body}" + f"</{name.split()[0]}>" * int(numbers.random() < 0.7)
        for name, body in zip(drawn.tolist(), bodies.tolist(), strict=True)
    )
    assert check_alike(canonical_lexbor(html.encode()), *range(1, 40)) > 0


def test_pages_without_kept_texts_or_pictures_are_weighed_alike() -> None:
    for html in ("<img src=a>", "<p>a<img src=b>", "<nav><img src=a>x</nav>", TEXT):
        dom = Dom(canonical_lexbor(html.encode()))
        blocks = measure_blocks(dom)
        none = np.zeros(len(blocks.first), np.bool_)
        scores = np.full(len(none), 5, np.float32)
        assert weigh_alike(dom, blocks, none, none, scores) == ([], [], False)
    for source in (b"<img>", b"<img>x", b"<p>x</p><img>y<p>z</p>", b'<img class="ad"><p>x</p>'):
        check_alike(source, *range(1, 9))


LINKED = [
    '<a href="/a">', '<a href="/b" class="x">', '<a href="#a">', '<a href="/a.jpg">', "<a>",
    '<a title=" href=" href="/a">', '<b href="/a">',
]  # fmt: skip
BOXES = [
    ("figure", []), ("figcaption", []), ("caption", []), ("noscript", []), ("picture", []),
    ("h1", []), ("main", []), ("article", []), ("footer", []),
    ("div", [("class", "thumbcaption")]), ("p", [("class", "caption"), ("id", "ad")]),
    ("div", [("class", "share")]), ("div", [("class", "sideAd")]), ("i", [("id", "author")]),
]  # fmt: skip
IMAGES = [
    "<img>", '<img src="/a.jpg">', '<img width="9" height="9" src="x">', '<img class="avatar">',
    '<img src="/facebook.png">', '<amp-img src="b"></amp-img>', "A headline of it",
    ' href="/a"', "&nbsp;&nbsp;1234567",
]  # fmt: skip
pictured = st.one_of(
    pieces,
    st.sampled_from(IMAGES),
    st.sampled_from(IMAGES),
    st.sampled_from(BOXES),
    st.sampled_from(BOXES),
    st.tuples(
        st.sampled_from(LINKED), st.sampled_from(IMAGES), st.sampled_from(["", "<p>x</p>", PROSE])
    ).map(lambda drawn: "".join(drawn) + f"</{drawn[0][1]}>"),
)


@derandomized
@given(st.lists(pictured, max_size=80), st.integers(0, 2**32))
def test_drawn_pages_are_weighed_alike(drawn: list[Any], seed: int) -> None:
    body = markup(drawn)
    check_alike(f"<html><body>{body}</body></html>".encode(), seed, seed + 1, seed + 2)


def test_real_pages_are_weighed_alike(shared_data: Path) -> None:
    found = [
        check_alike(parse_html(html).source, seed, seed + 1)
        for seed, html in enumerate(real_sources(shared_data, 23), 1)
    ]
    assert len(found) > 50
    assert sum(found) > 1000


PICTURE = "<a href=/a><img src=/a></a>"
HOSTILE = {
    "pictures": "<img src=a>" * 100_000,
    "pictures in links": PICTURE * 30_000,
    "pictures in one link": f"<a href=/a>{'<p><img src=a>' * 60_000}<p>A headline",
    "nested links": "<a href=/a><table><tr><td>" * 90 + "<img src=a>" * 20_000,
    "references in text": (PICTURE + ' href="/a"' * 150) * 3_000,
    "captions": "<p class=caption>x<img src=a>" * 50_000,
    "nested captions": "<div class=caption>" * 400 + "<p>x<img src=a>" * 50_000,
    "previews": "<div>" + "<img src=a><noscript><img src=a></noscript>" * 30_000,
    "one long name": f"<img class='{'aut' * 1_000_000}'>",
    "many names": f"<div {' '.join(f'class{n}=ad' for n in range(90))}><img src=a></div>" * 1_000,
    "words in one tag": f"<p title='{'aption' * 500_000}'>x<img src=a>",
    "open references": f"<a title='{' href=' * 300_000}' href=/a><img src=b></a>",
}


@pytest.mark.parametrize("html", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_pages_are_weighed_in_little_time(html: str) -> None:
    dom = parse_html(f"<body>{TEXT}{html}</div>{TEXT}")
    blocks = measure_blocks(dom)
    scores = np.full(len(blocks.first), 0.5, np.float32)
    keep = blocks.size > 50
    chrome = np.zeros(len(keep), np.bool_)
    with hang_guard():
        select_pictures(dom, blocks, keep, chrome, scores)
        keep[1:-1] = (blocks.size > 0)[1:-1]
        select_pictures(dom, blocks, keep, chrome, scores)


def two_blocks() -> tuple[Dom, Blocks, npt.NDArray[np.float32]]:
    dom = Dom(b'<html><p><a href="/a"><img></a></p><p>A headline</p></html>')
    return dom, measure_blocks(dom), np.zeros(2, np.float32)


def weigh(dom: Dom, blocks: Blocks, scores: Any, *tags: int, flags: int = 2) -> Weighed:
    ones = np.ones(flags, np.bool_)
    return page_kernel.weigh_pictures(dom, blocks, ones, ~ones, scores, [*tags])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("closes", 99), ("closes", 1), ("parents", 99), ("parents", -2), ("tags", 256),
        ("tags", -256), ("starts", -5), ("stops", 10_000),
    ],
)  # fmt: skip
def test_tags_that_lead_out_of_the_page_are_refused(name: str, value: int) -> None:
    dom, blocks, scores = two_blocks()
    array = getattr(dom, name).copy()
    array[3] = value
    setattr(dom, name, array)
    with pytest.raises(ValueError, match="not the arrays of a page"):
        weigh(dom, blocks, scores)
    if name in ("starts", "stops"):
        with pytest.raises(ValueError, match="not the arrays of a page"):
            page_kernel.classes_with(dom, b"x")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("first", [-1, 3]), ("first", [1, 1]), ("first", [6, 1]), ("last", [0, 4]),
        ("last", [2, 99]), ("last", [2, 2**62]), ("size", [-1, 1]), ("size", [1, 2**62]),
        ("first", [1]), ("last", []), ("size", [1, 1, 1]),
    ],
)  # fmt: skip
def test_blocks_that_lead_out_of_the_page_are_refused(name: str, value: list[int]) -> None:
    dom, blocks, scores = two_blocks()
    setattr(blocks, name, np.array(value, np.int64))
    with pytest.raises(ValueError, match="not the arrays of a page"):
        weigh(dom, blocks, scores)


def test_arrays_and_tags_of_other_sizes_are_refused() -> None:
    dom, blocks, scores = two_blocks()
    assert weigh(dom, blocks, scores, 1)[0]
    for call in (
        lambda: weigh(dom, blocks, scores, -1),
        lambda: weigh(dom, blocks, scores, len(dom)),
        lambda: weigh(dom, blocks, scores[:1]),
        lambda: weigh(dom, blocks, np.zeros(2)),
        lambda: weigh(dom, blocks, scores, flags=3),
    ):
        with pytest.raises(ValueError, match="not the arrays of a page"):
            call()
    blocks.measures = blocks.measures[:, :60].copy()
    with pytest.raises(ValueError, match="not the arrays of a page"):
        weigh(dom, blocks, scores)


def test_other_tables_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    dom, blocks, scores = two_blocks()
    tables = page_kernel._picture_tables()
    assert tables.count(b' href="') == 1
    at = tables.index(b' href="')
    negative = tables[:16] + b"\xff" * 8 + tables[24:]
    long = tables[: at + 15] + b"\x10" + tables[at + 16 :]
    for other in (tables[:-1], tables + b"x", bytes(len(tables)), negative, long):
        monkeypatch.setattr(page_kernel, "_picture_tables", lambda other=other: other)
        with pytest.raises(ValueError, match="not the tables"):
            weigh(dom, blocks, scores)
