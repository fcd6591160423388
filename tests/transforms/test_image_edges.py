import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rows import Node
from tests.conftest import hang_guard
from transforms.image_edges import MAX_BY_PLACE, MAX_NEIGHBOUR, link_images

PROSE = (
    "Every morning the boats leave the harbour before the sun is up, and they come back in the "
    "evening with what the sea has given them. Nobody remembers a year in which it was otherwise."
)
LABEL = "3 May"


def image(**fields: str) -> Node:
    return Node("image", "image", image_url="http://a.com/x.jpg", **fields)  # type: ignore[arg-type]


def text(content: str, role: str = "paragraph") -> Node:
    return Node("text", role, text=content)


def caption(content: str) -> Node:
    return text(content, "caption")


def neighbours(*nodes: Node) -> list[str | None]:
    link_images([*nodes])
    return [node.neighbour for node in nodes if node.kind == "image"]


def paragraphs(*nodes: Node) -> list[int | None]:
    link_images([*nodes])
    return [node.paragraph for node in nodes if node.kind == "image"]


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([image(), caption("A boat")], ["A boat"]),
        ([image(), caption(" A \n boat ")], ["A boat"]),
        ([caption("A boat"), image()], ["A boat"]),
        ([image(), caption("One"), image(), caption("Two")], ["One", "Two"]),
        ([caption("One"), image(), caption("Two"), image()], ["One", "Two"]),
        ([caption("Intro"), image(), caption("One")], ["One"]),
        ([image(), image(), caption("A boat")], [None, "A boat"]),
        ([caption("A boat"), image(), image()], ["A boat", None]),
        ([image(), caption("A boat."), caption("Photo: A. Bee")], ["A boat. Photo: A. Bee"]),
        ([image(), image(), caption("One"), caption("Two")], [None, None]),
        ([image(), text(PROSE), caption("A boat")], [None]),
        ([image(), caption("Boats by length"), text("| a | b |", "table")], [None]),
        ([text("| a | b |", "table"), caption("Boats by length"), image()], [None]),
        ([text("x = 1", "code"), caption("Listing 1"), image()], [None]),
        ([image(), caption("x" * (MAX_NEIGHBOUR + 1))], [None]),
        ([image(), caption("x" * MAX_NEIGHBOUR)], ["x" * MAX_NEIGHBOUR]),
        ([image(), caption("A boat."), caption("x" * MAX_NEIGHBOUR)], ["A boat."]),
    ],
    ids=lambda value: None,
)
def test_neighbour_by_class_is_the_caption_that_the_image_touches(
    nodes: list[Node], expected: list[str | None]
) -> None:
    assert neighbours(*nodes) == expected


def test_an_image_with_a_figcaption_has_no_neighbour() -> None:
    assert neighbours(image(figcaption="A boat"), caption("A boat"), caption("Credit")) == [None]


def test_a_figcaption_is_no_neighbour_of_the_next_image() -> None:
    assert neighbours(image(figcaption="A boat"), caption("A  boat"), image()) == [None, None]


@pytest.mark.parametrize(
    "line",
    [
        "Figure 3: The harbour at low tide",
        "Fig. 2 - How the tide is measured",
        "Abb. 4: Der Hafen",
        "Рис. 1. Гавань",
        "图1 港口",
        "The harbour at low tide. Photo: A. Bee",
        "(Photo by Ann Bee/Getty Images)",
        "The harbour at low tide (AFP)",
    ],
)
def test_neighbour_by_place_is_a_line_that_says_it_is_a_caption(line: str) -> None:
    assert neighbours(image(), text(line), text(PROSE)) == [line]


@pytest.mark.parametrize(
    "line",
    [
        "Figure 3 shows the harbour at low tide, when the boats cannot leave.",
        "Read on",
        PROSE,
        "Copyright 2019 The Harbour",
        "\u00a9 2019 The Harbour",
        "The harbour opens at seven:",
        "Photo: " + "a boat and " * (MAX_BY_PLACE // 10) + "AFP",
    ],
)
def test_neighbour_by_place_is_no_other_line(line: str) -> None:
    assert neighbours(text(LABEL), image(), text(line), text(LABEL)) == [None]


def test_neighbour_by_place_repeats_words_of_the_alt_text() -> None:
    alt = "Red boat at the quay in winter"
    assert neighbours(image(alt=alt), text("A red boat at the quay, 1910")) == [
        "A red boat at the quay, 1910"
    ]
    assert neighbours(image(title=alt), text("Red boat, quay, winter")) == [
        "Red boat, quay, winter"
    ]
    assert neighbours(image(alt=alt), text("Is it a red boat at the quay?")) == [None]
    assert neighbours(image(alt=alt), text("A red boat sails to the open sea today")) == [None]


def test_neighbour_by_place_is_a_line_that_interrupts_prose() -> None:
    line = "The harbour at low tide"
    assert neighbours(text(PROSE), image(), text(line), text(PROSE)) == [line]
    assert neighbours(text(LABEL), image(), text(line), text(PROSE)) == [None]
    assert neighbours(text(PROSE), image(), text(line), text(LABEL)) == [None]
    for other in (line + ".", "The harbour", "HARBOUR AT LOW TIDE", "2 See the harbour rules"):
        assert neighbours(text(PROSE), image(), text(other), text(PROSE)) == [None], other


def test_neighbour_before_an_image_is_a_numbered_line_that_is_not_anothers() -> None:
    line = "Figure 1: The harbour"
    assert neighbours(text(line), image(), text(PROSE)) == [line]
    assert neighbours(image(), text(line), image()) == [line, None]
    assert neighbours(text("The harbour (AFP)"), image(), text(PROSE)) == [None]


def test_paragraph_is_the_nearest_by_texts_in_between() -> None:
    assert paragraphs(text(PROSE), text(LABEL), image(), text(PROSE)) == [3]
    assert paragraphs(text(PROSE), image(), text(LABEL), text(PROSE)) == [0]
    assert paragraphs(text(PROSE), image(), text("# Boats", "heading"), text(PROSE)) == [0]
    assert paragraphs(text(PROSE), text("# Boats", "heading"), image(), text(PROSE)) == [3]


def test_paragraph_at_one_distance_is_the_one_behind() -> None:
    assert paragraphs(text(PROSE), image(), text(PROSE)) == [2]


def test_paragraph_is_not_made_farther_by_pictures_and_captions() -> None:
    nodes = [text(PROSE), image(), image(), image(), caption("A boat"), text(LABEL), text(PROSE)]
    assert paragraphs(*nodes) == [0, 0, 0]


def test_paragraph_is_a_paragraph_list_or_quote_and_no_label() -> None:
    for role in ("paragraph", "list", "quote", "definition_list"):
        assert paragraphs(image(), text("x" * 39), text("y" * 40, role)) == [2], role
    for role in ("heading", "table", "code", "caption"):
        assert paragraphs(image(), text(PROSE, role)) == [None], role
    assert paragraphs(image(), text("港" * 20)) == [1]
    assert paragraphs(image(), text("港" * 19)) == [None]


def test_paragraph_is_never_the_caption_of_an_image() -> None:
    line = "Figure 3: The harbour at low tide, when the boats cannot leave"
    assert paragraphs(image(), text(line), text(LABEL), text(PROSE)) == [3]


def test_link_images_changes_only_the_edges_of_images() -> None:
    nodes = [text(PROSE), image(alt="A boat"), caption("A red boat"), text("# End", "heading")]
    others = [replace(node) for node in nodes]
    link_images(nodes)
    assert nodes[1] == replace(others[1], neighbour="A red boat", paragraph=0)
    assert [nodes[0], *nodes[2:]] == [others[0], *others[2:]]
    link_images([])


_NODES = st.one_of(
    st.sampled_from([image(), image(figcaption="c"), caption("c"), caption("d"), text(PROSE)]),
    st.builds(text, st.text(min_size=1, max_size=60)),
    st.builds(
        text, st.text(min_size=1, max_size=60), st.sampled_from(["list", "table", "heading"])
    ),
    st.builds(image, alt=st.text(min_size=1, max_size=60)),
)


@given(st.lists(_NODES, max_size=12))
def test_link_images_again_gives_the_same(nodes: list[Node]) -> None:
    linked = [replace(node) for node in nodes]
    link_images(linked)
    again = [replace(node) for node in linked]
    link_images(again)
    assert again == linked
    texts = {" ".join((node.text or "").split()) for node in nodes}
    for node in linked:
        if node.kind == "image" and node.neighbour:
            assert node.neighbour in texts or all(
                part in " ".join(texts) for part in node.neighbour.split()
            )
        if node.paragraph is not None:
            assert linked[node.paragraph].kind == "text"


@given(st.lists(_NODES, max_size=12))
def test_nearest_paragraph_agrees_with_a_search_from_each_image(nodes: list[Node]) -> None:
    linked = [replace(node) for node in nodes]
    link_images(linked)
    by_place = {
        place
        for at, node in enumerate(linked)
        if node.neighbour
        for place in (at - 1, at + 1)
        if 0 <= place < len(nodes)
        and nodes[place].role == "paragraph"
        and " ".join((nodes[place].text or "").split()) == node.neighbour
    }
    kinds = ("paragraph", "list", "quote", "definition_list")
    for at, node in enumerate(linked):
        if node.kind != "image":
            continue
        found = []
        for side, places in enumerate((range(at + 1, len(nodes)), range(at - 1, -1, -1))):
            passed = 0
            for place in places:
                other = nodes[place]
                if other.kind == "image" or other.role == "caption" or place in by_place:
                    continue
                unspaced = re.search("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]", other.text or "")
                if other.role in kinds and len(other.text or "") >= (20 if unspaced else 40):
                    found.append((passed, side, place))
                    break
                passed += 1
        assert node.paragraph == (min(found)[2] if found else None)


def test_link_images_is_linear() -> None:
    pattern = [image(alt="a red boat at the quay"), text("Red boat " * 30), image(), caption("c")]
    long = [image(alt="x " * 2000), text("(" * 300), image(), caption("y" * MAX_NEIGHBOUR)]
    alone = [image(alt="a red boat at the quay")]
    with hang_guard():
        for nodes in (pattern * 2000, long * 2000, alone * 60_000, [text(LABEL), *alone] * 25_000):
            link_images(nodes)
