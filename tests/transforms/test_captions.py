import pytest

from schemas.ids import caption_id
from schemas.rows import Caption, Node
from transforms.captions import CandidateConfig, find_captions

PROSE = "Every morning the boats leave the harbour before the sun is up."


def image(url: str = "http://a.com/x.jpg", **fields: str | int | None) -> Node:
    return Node("image", "image", image_url=url, **fields)  # type: ignore[arg-type]


def text(content: str, role: str = "paragraph") -> Node:
    return Node("text", role, text=content)


def found(nodes: list[Node], title: str = "", **config: object) -> list[Caption]:
    return find_captions(nodes, "d" * 32, "http://a.com/", title, CandidateConfig(**config))  # type: ignore[arg-type]


def test_find_captions_lists_every_origin_in_order() -> None:
    nodes = [
        text("words"),
        image(alt=" A  red\nbarn ", title="Barn", figcaption="A barn in Ohio.", neighbour="Ohio"),
    ]
    captions = found(nodes)
    assert [(c.origin, c.text) for c in captions] == [
        ("alt", "A red barn"),
        ("figcaption", "A barn in Ohio."),
        ("title", "Barn"),
        ("neighbour", "Ohio"),
    ]
    assert {c.node for c in captions} == {1}
    assert {c.image_url for c in captions} == {"http://a.com/x.jpg"}
    assert {c.page_url for c in captions} == {"http://a.com/"}
    assert captions[0].caption_id == caption_id("d" * 32, 1, "alt", "A red barn")


def test_find_captions_of_empty_texts_are_none() -> None:
    nodes = [image(), image(alt="", title=" \n\u00a0"), text("- a", "list")]
    assert found(nodes) == []


def test_find_captions_keeps_equal_texts_of_different_nodes_and_origins() -> None:
    captions = found([image(alt="x", title="x"), image(alt="x")])
    assert [(c.node, c.origin) for c in captions] == [(0, "alt"), (0, "title"), (1, "alt")]
    assert len({c.caption_id for c in captions}) == 3


def test_a_paragraph_is_a_candidate_only_where_it_is_asked_for() -> None:
    nodes = [image(alt="A boat", paragraph=1), text(PROSE)]
    assert [c.origin for c in found(nodes)] == ["alt"]
    captions = found(nodes, origins=("paragraph", "alt"))
    assert [(c.origin, c.text) for c in captions] == [("alt", "A boat"), ("paragraph", PROSE)]


def test_a_paragraph_over_the_limit_is_no_candidate() -> None:
    nodes = [image(paragraph=1), text(PROSE)]
    limit = len(PROSE)
    for size, count in ((limit, 1), (limit - 1, 0)):
        captions = found(nodes, origins=("paragraph",), max_paragraph_characters=size)
        assert len(captions) == count


def test_flags_follow_from_the_text() -> None:
    captions = found([image(alt="IMG_1234.JPG", title="image 3", figcaption="A red barn")])
    assert [(c.text, c.flags) for c in captions] == [
        ("IMG_1234.JPG", ["file_name"]),
        ("A red barn", []),
        ("image 3", ["generic"]),
    ]


@pytest.mark.parametrize(
    ("alt", "title", "heading", "expected"),
    [
        ("Boats of the North", "Boats of the north | Harbour", "", True),
        ("Harbour", "Boats of the north | Harbour", "", True),
        ("Boats of the north", "", "# Boats of the North", True),
        ("Boats", "Boats of the north | Harbour", "", False),
        ("Boats", "", "", False),
        ("Boats", "", "## Boats", False),
    ],
)
def test_flag_same_as_title(alt: str, title: str, heading: str, expected: bool) -> None:
    nodes = [*([text(heading, "heading")] if heading else []), image(alt=alt)]
    (caption,) = found(nodes, title)
    assert caption.flags == (["same_as_title"] if expected else [])


def test_flag_repeated_is_one_text_at_two_pictures() -> None:
    other = "http://a.com/y.jpg"
    captions = found([image(alt="A boat"), image(other, title="a boat!"), image(alt="A barn")])
    assert [c.flags for c in captions] == [["repeated"], ["repeated"], []]
    same = found([image(alt="A boat", title="A boat"), image(alt="A boat")])
    assert [c.flags for c in same] == [[], [], []], "one picture, wherever it stands"
