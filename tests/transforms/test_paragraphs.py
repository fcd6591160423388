import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.paragraphs import (
    Piece,
    Repeated,
    heading_level,
    paragraph_key,
    piece_keys,
    removals,
    repeats,
    shorten,
    split_paragraphs,
)

SPLITS = {
    "empty": ("", []),
    "blank": (" \n\t\n", []),
    "lines belong together": ("a\nb\n\nc", ["a\nb", "c"]),
    "a line of white space is blank": ("a\n \t\nb\r\n\r\nc", ["a", "b\r", "c"]),
    "code is one, blank lines and all": (
        "a\n\n```py\nx\n\ny\n```\n\nb",
        ["a", "```py\nx\n\ny\n```", "b"],
    ),
    "a longer fence holds a shorter one": (
        "````\n```\n\n```\n````\n\nb",
        ["````\n```\n\n```\n````", "b"],
    ),
    "an open fence runs to the end": ("```\nx\n\ny", ["```\nx\n\ny"]),
    "a fence inside a paragraph opens nothing": ("a\n```\n\nb", ["a\n```", "b"]),
}


@pytest.mark.parametrize(("text", "expected"), SPLITS.values(), ids=SPLITS.keys())
def test_a_text_is_cut_at_blank_lines(text: str, expected: list[str]) -> None:
    assert split_paragraphs(text) == expected


def test_headings_are_known_by_their_marks() -> None:
    levels = [heading_level(t) for t in ("# A", "###### B", "####### C", "#tag", "# A\nb", "A")]
    assert levels == [1, 6, 0, 0, 0, 0]


def test_keys_are_of_site_and_text_without_case_and_white_space() -> None:
    keys = [
        paragraph_key("a.example", "Read  More\nhere"),
        paragraph_key("a.example", "read more HERE "),
        paragraph_key("b.example", "read more here"),
        paragraph_key("a.example", "read more here!"),
        paragraph_key("a.example", "page 1"),
        paragraph_key("a.example", "page 2"),
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 5


def test_code_images_and_captions_are_no_paragraphs() -> None:
    assert piece_keys("a", Piece(0, None)) == []
    assert piece_keys("a", Piece(0, "A boat", is_caption=True)) == []
    assert piece_keys("a", Piece(0, "```\nls\n```")) == [None]
    assert len(piece_keys("a", Piece(0, "One\n\nTwo"))) == 2


def test_a_node_of_several_paragraphs_is_repeated_when_all_are() -> None:
    keys = {text: paragraph_key("a", text) for text in ("One", "Two")}
    pieces = [Piece(0, "One\n\nTwo"), Piece(1, "One\n\nThree"), Piece(2, "One\n\n```\nls\n```")]
    one, two = Repeated(5, 9), Repeated(3, 9)
    assert repeats("a", pieces, {keys["One"]: one, keys["Two"]: two}, 9) == {0: 3}
    assert repeats("a", pieces, {keys["One"]: one}, 9) == {}


def test_of_pages_that_share_most_of_their_text_the_first_keeps_it() -> None:
    shared, own = "What all versions of the manual say.", "Changed in version 2."
    counts = {paragraph_key("a", shared): Repeated(3, 7)}
    version = [Piece(0, shared), Piece(1, own)]
    assert repeats("a", version, counts, 7) == {}
    assert repeats("a", version, counts, 8) == {0: 3}
    # On a page with more to say it is a notice, wherever that stands first.
    assert repeats("a", [*version, Piece(2, shared * 2)], counts, 7) == {0: 3}


REMOVALS = {
    "nothing is repeated": (["a", "b"], {}, {}),
    "a paragraph": (["a", "b"], {1: 3}, {1: 3}),
    "a repeated heading over something stays": (["# A", "b"], {0: 9}, {}),
    "an image is something": (["# A", None], {0: 9}, {}),
    "a heading goes with all under it": (["# A", "b", "c"], {1: 5, 2: 4}, {0: 4, 1: 5, 2: 4}),
    "a repeated heading tells its own pages": (["# A", "b"], {0: 9, 1: 5}, {0: 9, 1: 5}),
    "a repeated heading over nothing goes": (["a", "## B"], {1: 3}, {1: 3}),
    "a heading over nothing that is its page's own stays": (["a", "## B"], {}, {}),
    "a section ends at a heading of its level": (["## A", "b", "## C", "d"], {1: 3}, {0: 3, 1: 3}),
    "a section holds those of lower levels": (["# A", "b", "## C", "d"], {1: 3}, {1: 3}),
    "nested sections go together": (
        ["# A", "## B", "c", "## D", "e"],
        {2: 3, 4: 6},
        {0: 3, 1: 3, 2: 3, 3: 6, 4: 6},
    ),
    "a section under another that stays": (
        ["# A", "b", "## C", "d", "# E"],
        {3: 7},
        {2: 7, 3: 7},
    ),
    "what introduces what stays, stays": (["See:", "- a"], {0: 3}, {}),
    "what introduces an image stays": (["See:", None], {0: 3}, {}),
    "what introduces what goes, goes": (["See:", "- a"], {0: 3, 1: 4}, {0: 3, 1: 4}),
    "what introduces nothing goes": (["See\uff1a"], {0: 3}, {0: 3}),
    "a heading is not introduced": (["See:", "# A", "b"], {0: 3}, {0: 3}),
}


@pytest.mark.parametrize(("texts", "repeated", "gone"), REMOVALS.values(), ids=REMOVALS.keys())
def test_what_goes_of_a_page(
    texts: list[str | None], repeated: dict[int, int], gone: dict[int, int]
) -> None:
    pieces = [Piece(at, text) for at, text in enumerate(texts)]
    assert removals(pieces, repeated) == gone


def test_a_caption_is_no_heading() -> None:
    pieces = [Piece(0, "# 1 of the series", is_caption=True), Piece(1, "b"), Piece(2, "# C")]
    assert removals(pieces, {1: 3}) == {1: 3}


_TEXTS = st.lists(st.sampled_from(["# A", "## B", "### C", "d", "e:", "```\nf\n```", None]))


@settings(deadline=None)
@given(_TEXTS, st.sets(st.integers(0, 12)))
def test_no_heading_is_left_over_what_went_and_no_other_goes(
    texts: list[str | None], chosen: set[int]
) -> None:
    pieces = [Piece(at, text) for at, text in enumerate(texts)]
    repeated = {at: 3 for at in chosen if at < len(texts) and texts[at] and texts[at][0] != "`"}
    gone = removals(pieces, repeated)
    for at, text in enumerate(texts):
        level = heading_level(text or "")
        if not level:
            introduces = at + 1 < len(texts) and not heading_level(texts[at + 1] or "")
            spared = (text or "").endswith(":") and introduces and at + 1 not in gone
            assert (at in gone) == (at in repeated and not spared)
            continue
        ends = [n for n in range(at + 1, len(texts)) if 0 < heading_level(texts[n] or "") <= level]
        under = range(at + 1, ends[0] if ends else len(texts))
        stays = any(n not in gone for n in under)
        assert (at in gone) == (not stays and (at in repeated or len(under) > 0))
    assert removals([p for p in pieces if p.position not in gone], {}) == {}


def test_what_is_left_is_joined_by_blank_lines() -> None:
    pieces = [Piece(0, "a"), Piece(1, None), Piece(2, "b"), Piece(3, "c", is_caption=True)]
    assert shorten(pieces, {2}.__contains__) == "a\n\nc"
    assert shorten(pieces, {0, 2, 3}.__contains__) == ""


@settings(deadline=None)
@given(st.lists(st.text("ab`#: \n", min_size=1)))
def test_paragraphs_keep_every_line_that_is_not_blank(texts: list[str]) -> None:
    text = "\n\n".join(texts)
    lines = [line for part in split_paragraphs(text) for line in part.split("\n") if line.strip()]
    assert lines == [line for line in text.split("\n") if line.strip()]
