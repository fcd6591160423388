"""The order of images and texts in an interleaved sample."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import RecipeError
from schemas.shards import ShardFormat, check_interleaved, image_suffixes
from transforms.assigned_nodes import ASSIGNED_SCHEMA
from transforms.candidates import DOCUMENT_SCHEMA, NODE_SCHEMA
from transforms.image_order import InterleavedConfig, assigned_facts, check_order, in_order
from transforms.interleaved_samples import interleaved_samples
from transforms.personal_data import Masker
from transforms.sample_rows import SampleConfig

Place = tuple[int, int, float] | None


def text(node: int) -> dict[str, Any]:
    return {"node": node, "kind": "text"}


def image(node: int, at: Place = None) -> dict[str, Any]:
    names = ASSIGNED_SCHEMA.names
    return {"node": node, "kind": "image", **dict(zip(names, at or (None,) * 3, strict=True))}


def table(*nodes: dict[str, Any]) -> pa.Table:
    schema = pa.schema([("node", pa.int64()), ("kind", pa.string()), *ASSIGNED_SCHEMA])
    return pa.Table.from_pylist(list(nodes), schema)


def ordered(order: str, *nodes: dict[str, Any]) -> pa.Table:
    found = table(*nodes)
    return found.take(pa.array(in_order(np.zeros(len(found), np.int64), found, order)))


def nodes_in(order: str, *nodes: dict[str, Any]) -> list[int]:
    numbers: list[int] = ordered(order, *nodes)["node"].to_pylist()
    return numbers


def facts_of(page: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pa.table(
        assigned_facts(np.zeros(len(page), np.int64), page)
    ).to_pylist()
    return rows


PAGE = (
    text(0), image(1, (4, 0, 0.5)), image(2), text(3), text(4), image(5, (0, 1, 0.5)),
    image(6, (0, 0, 0.25)), image(7, (0, 1, 0.75)), image(8),
)  # fmt: skip


def test_natural_order_is_that_of_the_page() -> None:
    assert nodes_in("natural", *PAGE) == list(range(9))


def test_assigned_images_stand_before_their_text_by_unit_then_score() -> None:
    # 2 and 8 have no score: they stay where they were, before text 3 and at the end.
    assert nodes_in("assigned", *PAGE) == [6, 7, 5, 0, 2, 3, 1, 4, 8]


def test_image_without_a_score_stands_farther_from_the_text_than_the_texts_own() -> None:
    assert nodes_in("assigned", image(0, (2, 0, 0.5)), image(1), text(2)) == [1, 0, 2]


def test_equal_images_of_one_unit_keep_their_order() -> None:
    page = (image(0, (2, 0, 0.5)), image(1, (2, 0, 0.5)), text(2))
    assert nodes_in("assigned", *page) == [0, 1, 2]


def test_facts_name_texts_by_their_place_in_the_sample() -> None:
    page = ordered("assigned", *PAGE)
    nodes = page["node"].to_pylist()
    facts = facts_of(page)
    assert [fact["text_index"] for fact in facts] == [3, 3, 3, None, 7, None]
    images = [row for row in page.to_pylist() if row["kind"] == "image"]
    for fact, node in zip(facts, images, strict=True):
        if fact["text_index"] is not None:
            assert nodes[fact["text_index"]] == node["assigned_node"]
    # In natural order the same texts stand elsewhere.
    assert [fact["text_index"] for fact in facts_of(table(*PAGE))] == [4, None, 0, 0, 0, None]


def test_documents_do_not_meet() -> None:
    pages = table(*PAGE, text(0), image(1, (2, 0, 0.5)), text(2))
    owners = np.repeat([0, 1], [len(PAGE), 3])
    shuffled = np.random.default_rng(0).permutation(len(pages))
    rows = in_order(owners[shuffled], pages.take(pa.array(shuffled)), "assigned")
    page, owners = pages.take(pa.array(shuffled[rows])), owners[shuffled[rows]]
    assert page["node"].to_pylist() == [6, 7, 5, 0, 2, 3, 1, 4, 8, 0, 1, 2]
    places = assigned_facts(owners, page)["text_index"].to_pylist()
    assert places == [3, 3, 3, None, 7, None, 2]


def test_image_of_a_text_that_is_not_there_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="a text that its sample lacks"):
        facts_of(table(image(0, (2, 0, 0.5)), text(1)))


def test_scores_of_a_sample_have_six_decimals() -> None:
    page = table(image(0, (1, 0, 0.9350724220275879)), text(1))
    assert facts_of(page) == [{"text_index": 1, "assigned_unit": 0, "assigned_score": 0.935072}]


def test_without_an_assignment_nothing_is_told() -> None:
    page = table(image(0), text(1)).select(["node", "kind"])
    assert assigned_facts(np.zeros(2, np.int64), page) == {}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.booleans(), max_size=8), st.randoms())
def test_every_node_is_there_once_and_texts_keep_their_order(
    kinds: list[bool], random: Any
) -> None:
    texts = [node for node, is_text in enumerate(kinds) if is_text]
    page = [
        text(node)
        if is_text
        else image(node, (random.choice(texts), random.randrange(2), 0.5) if texts else None)
        for node, is_text in enumerate(kinds)
    ]
    found = nodes_in("assigned", *page)
    assert sorted(found) == list(range(len(kinds)))
    assert [node for node in found if kinds[node]] == texts


@pytest.mark.parametrize(
    ("order", "assign", "message"),
    [
        ("reading", "clip", "interleaved.order: natural or assigned, not 'reading'"),
        ("assigned", None, "gates.shard.interleaved.assign"),
    ],
)
def test_wrong_order_is_refused(order: str, assign: str | None, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        check_order(InterleavedConfig(order), assign)
    assert message in str(caught.value)


@pytest.mark.parametrize(("order", "assign"), [("natural", None), ("assigned", "clip")])
def test_order_that_can_be_had_is_fine(order: str, assign: str | None) -> None:
    check_order(InterleavedConfig(order), assign)


def test_sample_holds_its_nodes_in_the_assigned_order() -> None:
    names = ("id", "node", "kind", "text", "image_key", *ASSIGNED_SCHEMA.names)
    rows = [
        ("d", 0, "image", None, "k0", 3, 0, 0.5),
        ("d", 1, "text", "one", None, None, None, None),
        ("d", 2, "image", None, "k2", 1, 0, 0.25),
        ("d", 3, "text", "two", None, None, None, None),
        ("d", 4, "image", None, "k4", 3, 0, 0.75),
    ]
    facts = {"width": 9, "height": 9, "format": "JPEG", "pack": "p", "offset": 0, "size": 1,
             "mode": "RGB", "frames": 1, "orientation": 1}  # fmt: skip
    schema = pa.schema([*NODE_SCHEMA, *ASSIGNED_SCHEMA])
    nodes = pa.Table.from_pylist(
        [facts | dict(zip(names, row, strict=True)) for row in rows], schema
    )
    documents = pa.Table.from_pylist([{"id": "d", "site": "s"}], DOCUMENT_SCHEMA)
    for order, texts, keys, places in (
        ("natural", [None, "one", None, "two", None], ["k0", "k2", "k4"], [3, 1, 3]),
        ("assigned", [None, "one", None, None, "two"], ["k2", "k4", "k0"], [1, 4, 4]),
    ):
        config = SampleConfig(ShardFormat(), ("alt",), 0.0, order)
        (made,) = interleaved_samples(documents, nodes, config, Masker(()))
        (sample,) = made.to_pylist()
        layout = json.loads(sample["json"])
        suffixes = image_suffixes("interleaved", 3, "jpg")
        check_interleaved(layout, suffixes)
        assert layout["texts"] == texts
        assert [info["image_key"] for info in layout["image_info"]] == keys
        assert [info["text_index"] for info in layout["image_info"]] == places
        # The members are in the order of the list, and so are their bytes.
        assert [image["image_key"] for image in sample["images"]] == keys
