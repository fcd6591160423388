"""Paragraphs that stand as others do that are kept, in the kernel and in Python."""

import numpy as np
import pytest

from tests.transforms.test_page_kernel import needs_kernel
from tests.transforms.test_page_rules import check_alike, settled
from transforms.content_rules import ALIKE, PARAGRAPH, STEPS
from transforms.html_parsers import canonical_lexbor

pytestmark = needs_kernel

LINK = "<a href=a>" + "l" * 24 + "</a>"


def text(number: int, size: int = PARAGRAPH) -> str:
    """A text of some bytes, unlike that of another number."""
    return f"{number:03}".rjust(size, "x")


def is_rescued(last: str, *, kept: int = ALIKE, one: str = "<p class=a>{}</p>") -> bool:
    """Whether a last block stays behind some that are kept, though its own score is low."""
    blocks = "".join(one.format(text(number)) for number in range(kept))
    return settled(f"<div>{blocks}{last}</div>", *[5.0] * kept, -5.0)[1][-1]


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (f"<p class=a>{text(9)}</p>", True),
        (f"<p class=a id=b title='c d'>{text(9)}</p>", True),
        (f"<p class=a>{text(9, PARAGRAPH - 1)}</p>", False),
        (f"<p class=b>{text(9)}</p>", False),
        (f"<p>{text(9)}</p>", False),
        (f"<p title=' class=\"a\"'>{text(9)}</p>", False),
        (f"<div class=a>{text(9)}</div>", False),
        (f"<section><p class=a>{text(9)}</p></section>", False),
        (f"<p class=a>{LINK}{text(9, 76)}</p>", True),
        (f"<p class=a>{LINK}{LINK}{text(9, 60)}</p>", False),
        (f"<p class=a hidden>{text(9)}</p>", False),
        (f"<p class=a><b>{text(9)}</b></p>", True),
    ],
)
def test_paragraph_stays_that_stands_as_others_do(last: str, expected: bool) -> None:
    assert is_rescued(last) == expected


def test_too_few_others_keep_nothing() -> None:
    last = f"<p class=a>{text(9)}</p>"
    assert is_rescued(last, kept=ALIKE)
    assert not is_rescued(last, kept=ALIKE - 1)


def test_others_may_stand_in_other_boxes_of_the_same_names() -> None:
    one = "<div class=c><p class=a>{}</p></div>"
    assert is_rescued(one.format(text(9)), one=one)
    assert not is_rescued(one.replace("=c", "=d").format(text(9)), one=one)
    assert not is_rescued(one.replace("div", "section").format(text(9)), one=one)


@pytest.mark.parametrize("boxes", range(1, STEPS + 2))
def test_boxes_are_compared_up_to_a_few(boxes: int) -> None:
    one = "<div class=c>" * boxes + "<p class=a>{}</p>" + "</div>" * boxes
    assert is_rescued(one.format(text(9)), one=one) == (boxes < STEPS)


def test_a_class_must_say_something() -> None:
    one = "<section><p>{}</p></section>"
    assert not is_rescued(one.format(text(9)), one=one)
    assert not is_rescued(f"<p>{text(9)}</p>", one="<p>{}</p>")
    named = one.replace("section>", "section class=b>", 1)
    assert is_rescued(named.format(text(9)), one=named)


@pytest.mark.parametrize("part", ["li", "td", "th", "dd", "code", "pre"])
def test_parts_of_wholes_are_left_alone(part: str) -> None:
    around = {"li": "ul", "td": "table><tr", "th": "table><tr", "dd": "dl"}.get(part, "div")
    one = f"<div class=b><{around}><{part} class=a><p class=c>{{}}</p></{part}></div></table>"
    assert not is_rescued(one.format(text(9)), one=one)


def test_hidden_paragraphs_stay_hidden_beside_rescued_ones() -> None:
    others = "".join(f"<p class=a>{text(number)}</p>" for number in range(3 * ALIKE))
    last = "".join(
        f"<p class=a {extra}>{text(99)}{extra}</p>" for extra in ("hidden", "", "hidden")
    )
    scores = [5.0] * 3 * ALIKE + [-5.0] * 3
    assert settled(f"<div>{others}{last}</div>", *scores)[1][-3:] == [False, True, False]


def test_a_rescued_twin_goes() -> None:
    one = "<div class=c><p class=a>{}</p></div>"
    assert not is_rescued(one.format(text(0)), one=one)


@pytest.mark.parametrize("seed", range(12))
def test_pages_of_few_names_are_settled_alike(seed: int) -> None:
    numbers = np.random.default_rng(seed)
    pieces = []
    for number in range(120):
        depth = int(numbers.integers(0, 5))
        names = numbers.choice(["div", "section", "p", "li", "td"], depth)
        classes = numbers.choice(["a", "b", "a b", "", "x" * 40], depth)
        opened = "".join(f"<{n} class='{c}'>" for n, c in zip(names, classes, strict=True))
        pieces.append(f"{opened}{text(number, int(numbers.integers(80, 130)))}")
        pieces.append("".join(f"</{name}>" for name in names[::-1][: numbers.integers(0, 6)]))
    assert check_alike(canonical_lexbor("".join(pieces).encode()), *range(1, 6)) > 50
