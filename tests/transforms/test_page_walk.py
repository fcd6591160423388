"""Steps of a page: what they are, and that the kernel gives the same ones."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rows import Node
from tests.transforms.test_page_kernel import (
    DAMAGES,
    ODD,
    PAGES,
    PROSE,
    derandomized,
    elements,
    markup,
    needs_kernel,
    numpy_only,
    pieces,
    real_sources,
)
from transforms import name_groups, page_kernel, walk_kernel
from transforms.blocks import _OPENERS
from transforms.content_features import measure_blocks
from transforms.dom import CODES, NAMES, Dom, _UnreadableError, code_table
from transforms.html_parsers import canonical_lexbor
from transforms.main_content import Content, select_content
from transforms.markup import clean_text
from transforms.page_walk import (
    ACTIONS,
    ALONE,
    BLANKS,
    BREAK,
    CONTROLS,
    ENDS_LINE,
    NAMED,
    OPEN,
    PICTURED,
    WHOLE,
    Step,
    plain_blanks,
    read_steps,
)

_PICTURES = code_table("img amp-img")


_ODD = {
    name: source
    for name, source in ODD.items()
    if source.decode(errors="ignore").encode() == source
}
_SIGNS = '<&lt;>"\u00a0 &amp;'
_TOO_SHORT = b"".join(each.ljust(8, b"\0") for each in (b"&a", b"\xff\xff", b"abc"))


def everything(page: Dom) -> Content:
    """A page of which all is content."""
    opens_line = np.zeros(len(page), np.bool_)
    opens_line[measure_blocks(page).first] = True
    return Content(np.ones(len(page), np.bool_), opens_line, _PICTURES[np.maximum(page.tags, 0)])


def some(page: Dom, seed: int) -> Content:
    """A page of which stretches are content, whatever they are."""
    numbers = np.random.default_rng(seed)
    kept = np.repeat(numbers.random(len(page) // 3 + 1) < 0.6, 3)[: len(page)]
    pictures = _PICTURES[np.maximum(page.tags, 0)] & (numbers.random(len(page)) < 0.6)
    return Content(kept, numbers.random(len(page)) < 0.2, pictures)


def steps_of(html: str) -> list[tuple[bool, str, str]]:
    """The steps of a page that is all content: the end of a line, an element, a text.

    A line that is a paragraph already ends the one before it.
    """
    page = Dom(canonical_lexbor(html.encode()))
    steps = read_steps(page, everything(page))
    tags = [step[0] for step in steps if not isinstance(step, Node)]
    assert tags == sorted(set(tags))
    return [
        (number > 0, "", step.text or "")
        if isinstance(step, Node)
        else (bool(step[1] & ENDS_LINE), NAMES[step[2]], step[3])
        for number, step in enumerate(steps)
    ]


def check_equal(source: bytes) -> int:
    """That both give the same steps, whatever of the page is content; how many they are."""
    page = Dom(source)
    found: list[list[Step | Node]] = []
    for content in (select_content(page), everything(page), some(page, 1), some(page, 2)):
        found.append(read_steps(page, content))
        with numpy_only():
            assert read_steps(page, content) == found[-1]
    return sum(map(len, found))


@pytest.mark.parametrize("kernel", [pytest.param(True, marks=needs_kernel), False])
@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>a</p><p>b</p>", [(False, "", "a"), (True, "", "b"), (True, "", "")]),
        ("<p>a <b>b</b>\n <i> c</i></p>", [(False, "", "a b c"), (True, "", "")]),
        ("<p>\n\t<p>a", [(False, "", "a"), (True, "", "")]),
        ("<p>a<br>b<p><br>c", [(False, "", f"a{BREAK}b"), (True, "", "c"), (True, "", "")]),
        ("<div><div>a</div></div>b", [(False, "", "a"), (True, "", "b"), (True, "", "")]),
        ("a<hr>b", [(False, "", "a"), (True, "", "b"), (True, "", "")]),
        ("<h1>a</h1>", [(False, "h1", "a"), (True, "", "")]),
        ("<a href=b>a</a>", [(False, "", "a"), (True, "", "")]),
        (
            "<a href=b><img src=c></a>d",
            [(False, "a", ""), (False, "img", ""), (False, "", "d"), (True, "", "")],
        ),
        ("<q>b</q> c", [(False, "q", "b"), (False, "", " c"), (True, "", "")]),
        ("<pre>a<b>b</b></pre>c", [(False, "pre", ""), (True, "", "c"), (True, "", "")]),
        ("<p>a<rp>(</rp>b", [(False, "", "ab"), (True, "", "")]),
        ("<p>a<input>b", [(False, "", "ab"), (True, "", "")]),
        ("<p class=lead>a", [(False, "", "a"), (True, "", "")]),
        ("<p class=SR-only>a", [(False, "p", "a"), (True, "", "")]),
        ("<p title=legend>a", [(False, "", "a"), (True, "", "")]),
        ("<span class=é>a</span>", [(False, "span", "a"), (True, "", "")]),
        ("<p>&lt;&amp;lt;&gt;&quot;&nbsp; &am<b>p;", [(False, "", _SIGNS), (True, "", "")]),
        ("<p>a\x7fb \x01 c", [(False, "", "ab c"), (True, "", "")]),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
def test_a_page_becomes_expected_steps(
    html: str, expected: list[tuple[bool, str, str]], kernel: bool
) -> None:
    if kernel:
        assert steps_of(html) == expected
    else:
        with numpy_only():
            assert steps_of(html) == expected


@pytest.mark.parametrize("kernel", [pytest.param(True, marks=needs_kernel), False])
@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>a</p><p> b </p>", ["a", "b"]),
        ("<p>a\u2014\u00e9</p>", ["a\u2014\u00e9"]),
        ("<p>a</p><p>\u00a0</p>", ["a", ("", ENDS_LINE | WHOLE)]),
        ("<p>a\u200b</p><p>b\u2003</p>", [("", WHOLE), ("", ENDS_LINE | WHOLE)]),
        ("<p>a<br>b</p><p>c", [("", 0), "c"]),
        ("<p>a<q>b</q> c</p>", [("", 0), ("q", ALONE), ("", WHOLE)]),
        ("<p>a <q>b</q></p>c", [("", 0), ("q", WHOLE | ALONE), "c"]),
        ("<blockquote><p>a</p></blockquote>b", [("blockquote", 0), ("", ENDS_LINE | WHOLE), "b"]),
        ("<h1>a</h1>b", [("h1", WHOLE | ALONE), "b"]),
        ("<h1>a<q>b</q></h1>", [("h1", 0), ("q", WHOLE | ALONE)]),
        (
            "<ul><li>a<ul><li>b",
            [("ul", 0), ("li", ENDS_LINE), ("ul", 0), ("li", ENDS_LINE | WHOLE)],
        ),
        ("<ul><li>a<li>b</ul>", [("ul", 0), *[("li", ENDS_LINE | WHOLE | ALONE)] * 2]),
        ("<img src=a>b", [("img", ALONE | WHOLE)]),
        ("<a href=a><img src=b></a>", [("a", 0), ("img", ALONE)]),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
def test_steps_say_whether_their_text_is_a_line(
    html: str, expected: list[tuple[str, int] | str], kernel: bool
) -> None:
    page = Dom(canonical_lexbor(f"<body>{html}<p>".encode()))
    with nullcontext() if kernel else numpy_only():
        steps = read_steps(page, everything(page))
    found = [
        step.text if isinstance(step, Node) else (NAMES[step[2]], step[1])
        for step in steps
        if isinstance(step, Node) or step[2] or step[3]
    ]
    assert found == expected


def test_what_is_no_content_is_no_step() -> None:
    page = Dom(canonical_lexbor(b"<h1>a</h1><ul><li>b</ul><p>c<br>d"))
    kept = np.zeros(len(page), np.bool_)
    content = Content(kept, kept, kept)
    assert read_steps(page, content) == []
    kept = kept.copy()
    kept[page.positions("br")] = True
    first, second = read_steps(page, Content(kept, content.kept, content.kept))
    assert first == Node("text", "paragraph", "d")
    assert not isinstance(second, Node)
    assert second[1:] == (ENDS_LINE, 0, "")


@needs_kernel
@pytest.mark.parametrize("html", PAGES.values(), ids=PAGES.keys())
def test_kernel_gives_the_steps_of_python(html: str) -> None:
    check_equal(canonical_lexbor(html.encode("utf-8", "replace")))


@needs_kernel
@pytest.mark.parametrize("source", _ODD.values(), ids=_ODD.keys())
def test_kernel_gives_the_steps_of_odd_markup(source: bytes) -> None:
    check_equal(source)


NAMES_DRAWN = [
    "p", "div", "span", "small", "a", "q", "rt", "ruby", "code", "pre", "ul", "li", "h2", "figure",
    "figcaption", "table", "td", "noscript", "math", "button", "picture", "amp-img", "head", "rp",
    "title", "option", "b", "section",
]  # fmt: skip
VALUES = [
    "", "caption", "x wp-caption-TEXT", "Legend", "lineNos", "edit", "EditSection", "sr-onl",
    "sr-only", "sr\x0donly", "scre\u212aen-reader", "bildunterschrift", "visuall", "cap tion",
    "headerlin", "headerlink-x", "x\xff", "didascali",
]  # fmt: skip
walked = st.tuples(
    st.sampled_from(NAMES_DRAWN),
    st.lists(st.tuples(st.sampled_from(["class", "title"]), st.sampled_from(VALUES)), max_size=2),
)
texts = st.sampled_from(
    ["", " ", "\n", "a", " b\t\x1f c ", "&lt;", "&amp;nbsp;", "&", "&nbs", "p;", "\x00", "\x01",
     "\x7f ", "\u00a0", "\u200b", "日本", PROSE]
)  # fmt: skip
voids = st.sampled_from(["<br>", "<img>", "<hr>", "<input>", "<br><br>"])


@needs_kernel
@derandomized
@given(
    st.lists(st.one_of(walked, walked, elements, texts, texts, voids, pieces), max_size=80),
    st.lists(st.tuples(st.integers(0, 65535), st.sampled_from(DAMAGES)), max_size=1),
)
def test_drawn_markup_gives_the_steps_of_python(
    drawn: list[object], damages: list[tuple[int, str]]
) -> None:
    body = markup(drawn)
    for place, damage in damages:
        at = place * len(body) >> 16
        body = body[:at] + damage + body[at:]
    try:
        check_equal(f'<html><body>{body}</body></html><hr title=""><hr title="">'.encode())
    except _UnreadableError:
        assert damages


@needs_kernel
def test_real_pages_give_the_steps_of_python(shared_data: Path) -> None:
    sources = real_sources(shared_data, 23)
    steps = [check_equal(canonical_lexbor(html.encode("utf-8", "replace"))) for html in sources]
    assert sum(steps) > 100 * len(steps)


@needs_kernel
@pytest.mark.parametrize("text", [b"\xe3<b>\x80", b"\xe3\x80<b>\x80 \xff", b"\xe3 \x01\x80<b>\xc3"])
def test_bytes_that_are_no_characters_spoil_no_others(text: bytes) -> None:
    page = Dom(b"<html><p>a" + text + b"</b>b</p></html>")
    step, *_ = read_steps(page, everything(page))
    found = (step.text if isinstance(step, Node) else step[3]) or ""
    assert (found[0], found[-1]) == ("a", "b")


def test_every_element_that_can_be_a_step_has_an_opener() -> None:
    can_open = np.flatnonzero(ACTIONS & (OPEN | PICTURED | NAMED)).tolist()
    assert sorted(_OPENERS) == can_open
    assert CODES["img"] in _OPENERS


@given(st.text(st.sampled_from(BLANKS + CONTROLS + " \u00a0\u2003\u200b\u00adab<é"), max_size=30))
def test_plain_blanks_change_no_clean_text(text: str) -> None:
    plain = plain_blanks(text)
    assert clean_text(plain) == clean_text(text)
    if plain.isascii():
        assert plain.strip() == clean_text(text)


@derandomized
@given(st.one_of(*map(st.from_regex, (name_groups._CAPTION, name_groups._ASIDE))))
def test_every_name_that_is_known_holds_a_hint(name: str) -> None:
    assert not name.isascii() or any(hint in name.lower() for hint in name_groups.HINTS)


@needs_kernel
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("closes", 99), ("closes", -1), ("closes", 1), ("tags", 1000), ("tags", 0),
        ("starts", -5), ("starts", 0), ("stops", 10_000), ("stops", 0), ("text_stops", 10_000),
        ("text_stops", 5),
    ],
)  # fmt: skip
def test_arrays_that_lead_out_of_the_page_are_refused(name: str, value: int) -> None:
    page = Dom(b"<html><p>x</p></html>")
    content = everything(page)
    array: npt.NDArray[np.int64] = getattr(page, name).copy()
    array[2] = value
    setattr(page, name, array)
    with pytest.raises(ValueError, match="not the arrays of a page"):
        walk_kernel.read_steps(page, content)


@needs_kernel
def test_arrays_of_different_sizes_are_refused() -> None:
    page = Dom(b"<html><p>x</p></html>")
    content = everything(page)
    page.closes = page.closes[:2]
    with pytest.raises(ValueError, match="different sizes"):
        walk_kernel.read_steps(page, content)
    short = Content(content.kept[:2], content.opens_line[:2], content.images[:2])
    with pytest.raises(ValueError, match="different sizes"):
        walk_kernel.read_steps(Dom(page.source), short)


@needs_kernel
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((bytes(300), bytes(256), 0, b"", b""), "sizes"),
        ((b"", bytes(256), 0, b"", b""), "sizes"),
        ((bytes(9), bytes(255), 0, b"", b""), "sizes"),
        ((bytes(9), bytes(256), 0, bytes(15), b""), "sizes"),
        ((bytes(9), bytes(256), 0, bytes(17 * 16), b""), "sizes"),
        ((bytes(9), bytes(256), 0, b"", bytes(9 * 24)), "sizes"),
        ((bytes(9), bytes(256), 0, b"", _TOO_SHORT), "shorter than its character"),
    ],
)  # fmt: skip
def test_tables_that_do_not_fit_are_refused(arguments: tuple[Any, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        page_kernel._page_kernel.walk_tables(*arguments)
