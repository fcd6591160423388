"""Which pictures stay, given which texts do: pages on which the decision about texts is told."""

import numpy as np
import pytest

from tests.conftest import hang_guard
from transforms.content_features import measure_blocks
from transforms.content_images import GAP, select_pictures
from transforms.dom import parse_html
from transforms.image_cards import ARTICLE, MAX_CARDS
from transforms.image_nodes import read_image
from transforms.image_sources import is_placeholder

PROSE = 2 * (
    "<p>KEEP The first ferry leaves at dawn, and whoever comes too late walks around the whole bay"
    " of the old town. "
)
ARTICLE_TEXT = f"<div>{PROSE * 15}</div>"
TEASER = "<li><a href=/{0}><img src={0}.jpg></a><h3><a href=/{0}>{1} headline {0}</a></h3>"


def picture(name: str) -> str:
    return f"<div><img src={name}.jpg></div>"


def selected(body: str) -> tuple[list[str], list[str]]:
    """The chosen pictures and their captions; KEEP is kept for sure, MAYBE with log-odds of 0.5."""
    dom = parse_html(f"<body>{body}</body>")
    blocks = measure_blocks(dom)
    texts = [
        "".join(dom.text_behind(tag) for tag in range(first, last + 1))
        for first, last in zip(blocks.first.tolist(), blocks.last.tolist(), strict=True)
    ]
    odds = [5.0 if "KEEP" in text else 0.5 if "MAYBE" in text else -3.0 for text in texts]
    scores = np.array(odds, np.float32)
    pictures, captions = select_pictures(
        dom, blocks, scores > 0, np.zeros(len(texts), np.bool_), scores
    )
    names = [
        dom.attribute(int(tag), "src").removesuffix(".jpg") for tag in np.flatnonzero(pictures)
    ]
    return names, [texts[place].strip() for place in np.flatnonzero(captions)]


def test_picture_with_little_text_left_out_around_it_is_between_kept_texts() -> None:
    label, essay = "A label.", "Another text. " * (GAP // 10)
    body = f"{PROSE}<div>{label}{picture('near')}{label}</div>{PROSE}"
    assert selected(body)[0] == ["near"]
    body = f"{PROSE}<div>{essay}{picture('far')}{essay}</div>{PROSE}"
    assert selected(body)[0] == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"<h1>KEEP Title of it</h1>{picture('lead')}<p>By a writer{PROSE}", ["lead"]),
        (f"<p>Section</p>{picture('logo')}<p>Menu{PROSE}", []),
        (f"{PROSE}{picture('last')}<p>Share it now", ["last"]),
        (f"{PROSE}<p>Share it now</p>{picture('banner')}", []),
        (f"{PROSE}<p>Edited by us</p><figure>{picture('last')}</figure>", ["last"]),
    ],
    ids=["lead", "before", "last", "behind", "figure-behind"],
)
def test_picture_beyond_the_kept_texts_stays_where_it_belongs_to_them(
    body: str, expected: list[str]
) -> None:
    assert selected(body)[0] == expected


def test_cards_go_with_their_texts_on_a_page_that_lists() -> None:
    kept = "".join(TEASER.format(number, "MAYBE a") for number in range(5))
    left = "".join(TEASER.format(number, "A promoted") for number in range(5, 9))
    assert selected(f"<ul>{kept}</ul><hr><ul>{left * 3}</ul>")[0] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(("said", "stays"), [("KEEP the", True), ("MAYBE a", False), ("A", False)])
def test_cards_beside_an_article_stay_only_if_their_headlines_are_sure(
    said: str, stays: bool
) -> None:
    cards = "".join(TEASER.format(number, said) for number in range(5))
    assert len(PROSE) * 15 > ARTICLE
    found = selected(f"{ARTICLE_TEXT}<ul>{cards}</ul>")[0]
    assert found == (["0", "1", "2", "3", "4"] if stays else [])


def test_card_among_the_paragraphs_of_an_article_stays_with_its_text() -> None:
    card = "<div><a href=/s><img src=s.jpg></a><a href=/s>MAYBE the product it is about</a></div>"
    assert selected(f"<div>{PROSE * 9}{card}{PROSE * 9}</div>")[0] == ["s"]
    other = card.replace("MAYBE", "See also")
    assert selected(f"<div>{PROSE * 9}{other}{PROSE * 9}</div>")[0] == []


def test_card_has_the_picture_of_one_place_but_all_that_stand_there() -> None:
    link = "<a href=/a><img src={}.jpg></a>"
    body = (
        f"<div>{link.format('wide')}<p><a href=/a>KEEP its headline</a></p>{link.format('narrow')}"
    )
    assert selected(body)[0] == ["wide"]
    body = f"<div>{link.format(1)}{link.format(2)}<p><a href=/a>KEEP its headline</a>"
    assert selected(body)[0] == ["1", "2"]


@pytest.mark.parametrize("href", ["/full.jpg", "#top", ""])
def test_picture_linked_to_no_other_page_is_no_card(href: str) -> None:
    linked = f"<a href='{href}'><img src=t.jpg></a><a href='{href}'>its full size</a>"
    assert selected(f"<div>{PROSE * 9}<div>{linked}</div>{PROSE * 9}</div>")[0] == ["t"]


def test_links_beyond_the_largest_number_of_cards_are_pictures_like_others() -> None:
    cards = "".join(TEASER.format(number, "KEEP a") for number in range(MAX_CARDS + 50))
    assert len(selected(f"<ul>{cards}</ul>")[0]) == MAX_CARDS + 50


@pytest.mark.parametrize(
    ("box", "stays"),
    [
        ("class=photo", True),
        ("id=b9ad", True),
        ("class='broad-shadow'", True),
        ("class=ad", False),
        ("class='side-ad-300'", False),
        ("class=topAd", False),
        ("class=sponsored-box", False),
        ("class=post-author", False),
        ("class=authorInfo", False),
        ("id=gravatar-box", False),
    ],
)
def test_small_boxes_go_by_their_names(box: str, stays: bool) -> None:
    found = selected(f"{PROSE}<div {box}><img src=a.jpg></div>{PROSE}")[0]
    assert found == (["a"] if stays else [])


def test_names_of_a_whole_article_say_nothing_of_its_pictures() -> None:
    body = f"<article class='post author-jane tag-sponsored'>{PROSE * 3}{picture('a')}{PROSE}"
    assert selected(body)[0] == ["a"]


@pytest.mark.parametrize(
    ("image", "stays"),
    [
        ("<img src=a.jpg width=640 height=480>", True),
        ("<img src=a.jpg width=640>", True),
        ("<img src=a.jpg width=640 height=20>", True),
        ("<img src=a.jpg width=32 height=32>", False),
        ("<img src=a.jpg width=100% height=20>", True),
        ("<img src=/i/facebook.png>", False),
        ("<img src=/i/twitter-icon-32x32.svg?v=2>", False),
        ("<img src=/photos/facebook-campus.png>", True),
        ("<img src=/photos/twitter.jpg>", True),
    ],
)
def test_icons_go_by_size_or_file(image: str, stays: bool) -> None:
    assert bool(selected(f"{PROSE}<div>{image}</div>{PROSE}")[0]) == stays
    # In a line of text they are part of it.
    assert selected(f"{PROSE}<p>KEEP press {image} to go on</p>{PROSE}")[0]


def test_caption_by_class_alone_heads_no_card_and_goes_with_its_picture() -> None:
    thumb = (
        "<div class=thumb><a href=/wiki/Mill><img src=m.jpg></a>"
        "<div class=thumbcaption>The <a href=/wiki/Mill>windmill at dusk</a></div></div>"
    )
    names, captions = selected(f"<div>{PROSE * 9}{thumb}{PROSE * 9}</div>")
    assert names == ["m"]
    assert captions == ["The windmill at dusk"]


def test_blurred_preview_gives_way_to_the_picture_without_scripts() -> None:
    preview = "<img src=60.jpg width=800 height=600>"
    plain = "<noscript><img src=800.jpg width=800 height=600></noscript>"
    assert selected(f"{PROSE}<div>{preview}{plain}</div>{PROSE}")[0] == ["800"]
    # One that names what replaces it is told as a twin; one of another size is another picture.
    for other in (
        preview.replace("src", "data-src=800.jpg src"),
        preview.replace("800", "400"),
    ):
        assert len(selected(f"{PROSE}<div>{other}{plain}</div>{PROSE}")[0]) == 2


def test_page_without_kept_text_or_pictures_has_none() -> None:
    assert selected(f"<p>Left out.</p>{picture('a')}") == ([], [])
    assert selected(PROSE) == ([], [])


@pytest.mark.parametrize(
    ("sides", "declared"),
    [
        ("width=570 height=0", (570, None)),
        ("width=0 height=300", (None, 300)),
        ("width=570 height=1", None),
        ("width=0 height=0", None),
        ("width=0 height=1", None),
        ("width=0", None),
    ],
)
def test_side_of_no_length_is_not_declared(
    sides: str, declared: tuple[int | None, int | None] | None
) -> None:
    dom = parse_html(f"<img src=a.jpg {sides}>")
    found = read_image(dom, dom.positions("img")[0], "http://a.com/", None, 100)
    size = (found.node.declared_width, found.node.declared_height) if found else None
    assert size == declared


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a.com/blank.gif", True),
        ("http://a.com/x/Loading-64.svg?v=1", True),
        ("http://a.com/resize?to=9&of=http://b.com/1x1.png", True),
        ("http://a.com/resize?of=/spacer.gif?x", True),
        ("http://a.com/point-blank.gif", False),
        ("http://a.com/blank.gif/photo.jpg", False),
    ],
)
def test_placeholders_are_told_by_file_name(url: str, expected: bool) -> None:
    assert is_placeholder(url) == expected


def lazy_pair(name: str) -> str:
    sides = 'width="500" height="300"'
    return f"<img src=small-{name}.jpg {sides}><noscript><img src={name}.jpg {sides}></noscript>"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("".join(lazy_pair(name) for name in "abcd"), ["a", "b", "c", "d"]),
        ("<p>KEEP".join(lazy_pair(name) for name in "abcd"), ["a", "b", "c", "d"]),
        (
            "<img src=first.jpg width=500 height=300>" + lazy_pair("a"),
            ["first", "a"],
        ),
        (
            "<img src=other.jpg width=500 height=300><p>KEEP and more of it</p>"
            "<img width=500 height=300><noscript><img src=a.jpg width=500 height=300></noscript>",
            ["other", "a"],
        ),
        (
            "<img src=small.jpg width=500 height=300><img width=500 height=300>"
            "<noscript><img src=a.jpg width=500 height=300></noscript>",
            ["a"],
        ),
    ],
    ids=["a row of pairs", "pairs between texts", "a picture before", "text between", "a filler"],
)
def test_preview_goes_and_no_other_picture(body: str, expected: list[str]) -> None:
    found = selected(f"{PROSE}<div>{body}</div>{PROSE}")[0]
    assert [name for name in found if name] == expected


@pytest.mark.parametrize(
    "markup",
    [
        '<img src="/i/growth-of-reddit.png" width="1200" height="800">',
        '<img src="/i/facebook.png" width="1200" height="800">',
        '<div id="promontory"><img src="a.jpg"></div>',
        '<div class="bild-anzeigen"><img src="a.jpg"></div>',
        '<div class="b9ad"><img src="a.jpg"></div>',
        '<figure class="profile"><img src="a.jpg"><figcaption>A profile.</figcaption></figure>',
    ],
)
def test_name_that_only_looks_like_that_of_an_advertisement_is_none(markup: str) -> None:
    assert len(selected(f"{PROSE}<div>{markup}</div>{PROSE}")[0]) == 1


@pytest.mark.parametrize(
    "markup",
    [
        '<img src="/i/facebook.png">',
        '<img src="/i/icon-twitter-32x32.png">',
        '<div id="promo-2"><img src="a.jpg"></div>',
        '<div class="sidebarAd"><img src="a.jpg"></div>',
        '<div class="anzeige"><img src="a.jpg"></div>',
        '<figure class="author-photo"><img src="a.jpg"></figure>',
    ],
)
def test_name_of_an_advertisement_a_portrait_or_a_sign_tells(markup: str) -> None:
    assert selected(f"{PROSE}<div>{markup}</div>{PROSE}")[0] == []


@pytest.mark.parametrize(
    "body",
    [
        "<img src=a.jpg width=5 height=3><noscript><img src=b.jpg width=5 height=3></noscript>"
        * 100_000,
        "<img src=a.jpg><noscript></noscript>" * 100_000,
        "<figure class=profile>" + "<img src=a.jpg>" * 100_000 + "</figure>",
        "<div>" * 11 + "<a href=/7><img src=a.jpg></a>" * 2 + 'text href="/7"' * 400_000,
    ],
    ids=["pairs", "empty twins", "one figure", "texts like links"],
)
def test_pictures_of_a_hostile_page_take_linear_time(body: str) -> None:
    with hang_guard():
        selected(f"{PROSE}{body}{PROSE}")
