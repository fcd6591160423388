from schemas.ids import caption_id
from schemas.rows import Node
from transforms.captions import find_captions


def image(**fields: str | None) -> Node:
    return Node("image", "image", image_url="http://a.com/x.jpg", **fields)  # type: ignore[arg-type]


def test_find_captions_lists_alt_figcaption_title_with_origin() -> None:
    nodes = [
        Node("text", "paragraph", text="words"),
        image(alt=" A  red\nbarn ", title="Barn", figcaption="A barn in Ohio."),
    ]
    captions = find_captions(nodes, "d" * 32, "http://a.com/")
    assert [(c.origin, c.text) for c in captions] == [
        ("alt", "A red barn"),
        ("figcaption", "A barn in Ohio."),
        ("title", "Barn"),
    ]
    assert {c.node for c in captions} == {1}
    assert {c.image_url for c in captions} == {"http://a.com/x.jpg"}
    assert {c.page_url for c in captions} == {"http://a.com/"}
    assert captions[0].caption_id == caption_id("d" * 32, 1, "alt", "A red barn")


def test_find_captions_of_empty_texts_are_none() -> None:
    assert (
        find_captions(
            [image(), image(alt="", title=" \n\u00a0"), Node("text", "list", text="- a")], "d", "u"
        )
        == []
    )


def test_find_captions_keeps_equal_texts_of_different_nodes_and_origins() -> None:
    captions = find_captions([image(alt="x", title="x"), image(alt="x")], "d", "u")
    assert [(c.node, c.origin) for c in captions] == [(0, "alt"), (0, "title"), (1, "alt")]
    assert len({c.caption_id for c in captions}) == 3
