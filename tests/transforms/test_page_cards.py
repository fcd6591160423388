"""The kernel finds and judges cards as the rules in Python do."""

import pytest

from tests.transforms.test_page_kernel import PROSE, needs_kernel
from tests.transforms.test_page_pictures import TEXT, check_alike, stays, weighed
from transforms import image_cards
from transforms.dom import Dom
from transforms.html_parsers import canonical_lexbor

pytestmark = needs_kernel

HEADLINE = "<a href='/{0}'>A headline {0}</a>"
CARD = "<div><a href='/{0}'><img src={0}.jpg></a>" + HEADLINE + "</div>"


@pytest.mark.parametrize("steps", range(4, 15))
def test_headline_some_elements_away_is_found_alike(steps: int) -> None:
    for around in (steps, 0), (0, steps), (steps // 2, steps - steps // 2):
        before, inside = ("<div>" * each for each in around)
        ends = ["</div>" * each for each in around]
        link = f"<a href=/a>{inside}<img src=a.jpg>{ends[1]}</a>"
        for body in (
            f"{before}{link}{ends[0]}{HEADLINE.format('a')}",
            f"{HEADLINE.format('a')}{before}{link}{ends[0]}",
        ):
            source = canonical_lexbor(f"<div>{body}</div>{TEXT}".encode())
            assert check_alike(source, *range(1, 7)) > 0


@pytest.mark.parametrize("links", [15, 16, 17, 31, 32, 33, 34, 40])
def test_links_to_one_page_are_counted_alike(links: int) -> None:
    bare = "<a href='/a'>x</a>"
    picture = "<a href='/a'><img src=a.jpg></a>"
    for before in (0, 1, links // 2, links - 1, links):
        sides = bare * before, bare * (links - before)
        for body in (
            f"{sides[0]}{picture}{sides[1]}{HEADLINE.format('a')}",
            f"<div>{sides[0]}{picture}</div>{sides[1]}{HEADLINE.format('a')}",
            f"<div>{sides[0]}<div>{picture}</div></div>{HEADLINE.format('a')}{sides[1]}",
            f"{HEADLINE.format('a')}<div>{sides[0]}<div>{picture}</div>{sides[1]}</div>",
        ):
            check_alike(canonical_lexbor(f"<div>{body}</div>{TEXT}".encode()), 1, 2, 3)
    assert len(stays(f"<div>{bare * links}{picture}{HEADLINE.format('a')}</div>")) == 1


@pytest.mark.parametrize(
    ("href", "leads"),
    [
        ("/a", True), ("/a.html", True), ("a", True), ("", False), ("#a", False), ("/a#b", True),
        ("/a.jpg", False), ("/a.JPEG", False), ("/a.Tiff?x", False), ("/a.png#x", False),
        ("/a.jpgx", True), ("/ajpg", True), ("/a.jpg/b", True), ("/a.jpg.html", True),
        ("/x?of=a.webp", False), ("/a.html?x.gif&y", True), ("/a.jpg\n", False),
        ("/a.jpg\nb", True), ("/a.jpg ", True), ("/é.avif", False), ("/.tif", False),
        ("/a.jp\u212ag", True), ("/a&quot;b", True), ("x" * 5000, False),
    ],
)  # fmt: skip
def test_links_that_lead_to_another_page_make_cards(href: str, leads: bool) -> None:
    link = f'<a href="{href}">'
    card = f"<div>{link}<img src=a></a><p>{link}Some other headline</a></div>"
    assert stays(card) == [not leads]


@pytest.mark.parametrize(
    ("text", "heads"),
    [
        ("12345678", True), ("1234567", False), ("1 2 3 4 5 6 7", False),
        ("1 2\n3 4 5 6 7 8", True),
        ("&nbsp;&nbsp;", False), ("&nbsp", False), ("&amp;123", True), ("&amp;12", False),
        ("<b>1234</b><i>5678</i>", True), ("<b class=abcdefgh>1234</b>", False), ("éééé", True),
        ("1234567\x1c", True), (f"<img alt='{'x' * 4000}'>", True),
        ("<br>" * 1100 + "x" * 99, False), (f"<img alt='{'&' * 990}'>", True),
        (" " * 3900 + "x" * 9, True), (" " * 3993 + "x" * 9, False),
    ],
)  # fmt: skip
def test_headlines_are_long_enough_alike(text: str, heads: bool) -> None:
    dom = Dom(canonical_lexbor(f"<body>{TEXT}<a href=/a><img src=a>{text}</a>{TEXT}".encode()))
    card = image_cards.card_around(dom, dom.positions("img")[0])
    assert (card is not None) == heads
    check_alike(dom.source, *range(1, 5))


@pytest.mark.parametrize("width", [900, 990, 999, 1000, 1001, 1010, 1100])
def test_cards_of_any_width_and_text_are_weighed_alike(width: int) -> None:
    long = f"<div>{CARD.format('a')}<p>{'x' * (width - 12)}</p></div>"
    wide = f"<div><!--{'x' * 9}--><p title='{'x' * (20 * width - 200)}'>y{CARD.format('a')}</div>"
    for card in (long, wide, long + wide):
        check_alike(canonical_lexbor(f"<div>{card}</div>{TEXT}".encode()), *range(1, 9))


@pytest.mark.parametrize("paragraphs", [0, 1, 2, 4, 17, 18, 19, 20])
@pytest.mark.parametrize("depth", range(5))
def test_cards_beside_and_among_paragraphs_are_weighed_alike(paragraphs: int, depth: int) -> None:
    card = "<div>" * depth + CARD.format("a") + "</div>" * depth
    prose = f"<p>{PROSE}</p>" * paragraphs
    for body in (
        f"{prose}{card}",
        f"{card}<br>{PROSE}<a href=b>{PROSE}x</a>{prose}",
        prose + card * 2,
    ):
        source = canonical_lexbor(f"<div>{body}</div>{CARD.format('b')}".encode())
        assert check_alike(source, *range(1, 9)) > 0


def test_pictures_beyond_the_largest_number_of_cards_are_none() -> None:
    cards = "".join(CARD.format(number) for number in range(image_cards.MAX_CARDS + 9))
    _, (found, _, _) = weighed(f"<p>KEEP {PROSE}</p><div>{cards}</div><p>KEEP {PROSE}</p>", "KEEP")
    assert len(found) == image_cards.MAX_CARDS + 9
    assert not any(each[2] for each in found)
