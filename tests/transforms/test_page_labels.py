"""The kernel reads what attributes say of pictures as the expressions in Python do."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transforms.test_page_kernel import PROSE, derandomized, needs_kernel, numpy_only
from tests.transforms.test_page_pictures import TEXT, check_alike, stays, weighed
from transforms import content_images, name_groups
from transforms.dom import Dom
from transforms.html_parsers import canonical_lexbor

pytestmark = needs_kernel


@pytest.mark.parametrize("size", [1, 599, 600, 601])
@pytest.mark.parametrize(
    "box",
    ["figcaption", "caption", "div class=caption", "div class='wp-caption-text'", "figure",
     "div class=figure", "p class='a-photo-caption' id=aption", "p data-aption class=legend",
     "p class=' class=' title=caption", "p title=' class=' class=caption", "p class=Caption",
     "p class=Xaption", "p class=''", "p title=aption", "br class=caption"],
)  # fmt: skip
def test_captions_are_found_alike(box: str, size: int) -> None:
    name = box.split()[0]
    for inner in ("{}", "<p>{}</p>", "<b>{}</b><p>more</p>", "<img src=b>{}"):
        body = f"<img src=a><{box}>{inner.format('x' * size)}</{name}>"
        for html in (f"<div>{body}</div>", f"<table>{body}</table>", f"<figure>{body}</figure>"):
            source = canonical_lexbor(f"{TEXT}{html}{TEXT}".encode())
            assert check_alike(source, 1, 2, 3) > 0


@pytest.mark.parametrize("classes", [5, 60, 61, 62, 63, 64, 65, 130])
def test_words_are_found_at_every_offset(classes: int) -> None:
    for title in range(70):
        caption = f"<p class='{'x' * classes} caption'>Said of it"
        source = f"<i title='{'y' * title}'></i>{TEXT}{caption}{TEXT}"
        dom = Dom(canonical_lexbor(source.encode()))
        assert content_images._caption_tags(dom) == [dom.positions("p")[1]]


def test_words_in_texts_and_in_other_tags_say_nothing() -> None:
    for source in (
        b"<html>x captions aption</html>",
        b'<html><p aption>x</p class="caption"></html>',
        b'<html>aption<p class="a">x</p> class="caption"</html>aption',
        b"<html><aption></aption></html>",
        b'<html><p aption class="caption></p></html>',
    ):  # fmt: skip
        dom = Dom(source)
        assert content_images._caption_tags(dom) == []
        with numpy_only():
            assert content_images._caption_tags(dom) == []


NAMES = [
    "ad", "x-ad", "ads_2", "bad", "9ad", "header", "sideAd", "SideAD", "SIDEAD", "AD", "gpt-1",
    "egpt", "dfpx", "sponsored", "xPROMO", "promo", "author", "coauthor", "coAuthor", "Xauthor",
    "authors", "AVATAR", "gravatar", "lazyload", "a\u0308d", "\u017fponsor", "byline:",
    "logo", "logos-2", "catalogo", "siteLogo", "SITELOGO", "LOGOS", "xlogo", "g-artboard",
    "partnerlogo", "epilogo", "logotype", "logoist", "print-only", "fingerprint-only", "favicon",
    "site-icon", "newsCobrand", "cobranding",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_that_may_be_beside_content_are_told_alike(name: str) -> None:
    boxes = [
        f"<img src=a class='{name}'>", f"<div id='{name}'><img src=a></div>",
        f"<div title='{name}' class=x><b class='y {name}'><img src=a></b></div>",
        f"<p><i id='{name}'><b><i><img src=a></i></b></i>",
        f"<b id='{name}'><p><b><i><img src=a>",
        f"<div class='{name}'><p>{'x' * 301}<br><img src=a></div>",
        f"<img src=a title='{'x' * 1970}' class='{name}'>",
        f"<img src=a title=' class=' id='{name}'>",
    ]  # fmt: skip
    for box in boxes:
        check_alike(canonical_lexbor(f"{TEXT}<div>{box}</div>{TEXT}".encode()), 1, 2, 3)
        stays(box)


def test_all_that_is_beside_content_may_be() -> None:
    for name in NAMES:
        for before in ("", "x", "X", "9", "-", "x "):
            for behind in ("", "x", "X", "9", "-", " x"):
                tag = f'<p class="{before}{name}{behind}">'.encode()
                if name_groups.BESIDE_CONTENT.search(tag) or name_groups.LOGO.search(tag):
                    assert content_images._MAY_BE_BESIDE.search(tag), tag


@pytest.mark.parametrize(
    ("attributes", "signs"),
    [
        ("src=a.jpg", 0), ("src=/facebook.png", 2), ("src=/FaceBook-icon.png", 2), ("src=rss", 2),
        ("src=/a.png alt=facebook", 0), ("data-src=facebook", 0), ("src=face title=book", 0),
        ("width=9 height=9", 1), ("width=9", 0), ("height=9 width=", 1),
        ("data-width=9 height=9", 0),
        ("width=9 src=tiktok height=x", 3), ("title=' width=' height=9 width=9", 1),
        ("title=' src=' src=/reddit", 2), ("title=' width=' height=' src='", 0),
        ("alt=' width=' title=' width='", 0), ("src=\u017factiktoK", 2), ("src=ti\u212atok", 0),
        ("alt='' class=hero-bg", 4), ("alt=' ' class=hero-bg", 0), ("class=hero-bg", 0),
        ("alt='' id=hero-bg", 0), ("alt='' class='x BackGround'", 4), ("alt='' title=bg", 0),
        ("title=' alt=' alt='' class=' bg' width=9 height=9", 5), ("alt='' class=b", 0),
    ],
)  # fmt: skip
def test_signs_of_icons_are_told_alike(attributes: str, signs: int) -> None:
    text = f"<p>KEEP {PROSE * 2}</p>"
    _, (found, _, _) = weighed(f"{text}<img {attributes}>{text}")
    assert [each[4] for each in found] == [signs]


@pytest.mark.parametrize(
    ("box", "signs"),
    [
        ("<div class=a-bg>{}</div>", 4), ("<div class=a-bg><picture>{}</picture></div>", 4),
        ("<div class=a-bg><b>{}</b></div>", 0),
        ("<picture class=a-bg><b>{}</b></picture>", 0),
        ("<div class=a-bg><picture><b>{}</b></picture></div>", 0),
    ],
)  # fmt: skip
def test_names_of_backgrounds_are_told_alike(box: str, signs: int) -> None:
    text = f"<p>KEEP {PROSE * 2}</p>"
    _, (found, _, _) = weighed(f"{text}{box.format('<img src=a alt=>')}{text}")
    assert [each[4] for each in found] == [signs]


WORDS = [
    *"aADdsS9-_ \u00e9\u017f\u212a=<", "author", "promo", "gpt", "rss", "twitter", "bg", "logo"
]  # fmt: skip
names_drawn = st.lists(st.sampled_from(WORDS), max_size=8).map("".join)
attributes_drawn = st.lists(
    st.tuples(
        st.sampled_from(["class", "id", "src", "width", "height", "Class", "SRC", "data-id", 'x"']),
        names_drawn,
    ),
    max_size=5,
)


@derandomized
@given(attributes_drawn, attributes_drawn, st.integers(0, 2**32))
def test_drawn_attributes_are_read_alike(
    own: list[tuple[str, str]], around: list[tuple[str, str]], seed: int
) -> None:
    def tag(name: str, attributes: list[tuple[str, str]]) -> str:
        pairs = "".join(f' {key}="{value}"' for key, value in attributes)
        return f"<{name}{re.sub('[<>]', '', pairs)}>"

    body = f"{tag('div', around)}{tag('img', own)}y</div><p>{PROSE}</p>"
    check_alike(f"<html><p>x</p>{body}</html>".encode(), seed, seed + 1)
