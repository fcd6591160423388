"""The gate of interleaved documents: a test for every sentence of the design."""

import json
import tomllib
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import RecipeError
from schemas.rows import LedgerRow
from schemas.tables import schema_of
from transforms.document_gate import (
    DocumentDecisions,
    check_document_gate,
    document_top_values,
    evaluate_documents,
)
from transforms.document_rules import DocumentGate, parse_document_gate
from transforms.text_scores import score_text
from transforms.top_fraction import Cutoff, count_part, merge_counts, narrow, start_search

NODES = pa.schema(
    {
        "id": pa.string(),
        "node": pa.int64(),
        "kind": pa.string(),
        "words": pa.int64(),
        "characters": pa.int64(),
        "outcome": pa.string(),
        "image_key": pa.string(),
        "image_url": pa.string(),
        "width": pa.int64(),
        "clip_score": pa.float64(),
        "text": pa.string(),
    }
)
DOCUMENTS = pa.schema({"id": pa.string(), "language": pa.string(), "words": pa.int64()})


def image(doc: str, node: int, **changes: Any) -> dict[str, Any]:
    row = dict.fromkeys(NODES.names) | {"id": doc, "node": node, "kind": "image"}
    url = f"http://x/{doc}/{node}"
    return row | {"outcome": "ok", "image_key": url[-3:], "image_url": url, "width": 640} | changes


def text(doc: str, node: int, body: str) -> dict[str, Any]:
    row = dict.fromkeys(NODES.names) | {"id": doc, "node": node, "kind": "text", "text": body}
    return row | {"words": len(body.split()), "characters": len(body)}


def nodes_of(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), NODES)


def documents_of(*ids: str) -> pa.Table:
    return pa.Table.from_pylist(
        [{"id": id, "language": "xx", "words": 1000} for id in ids], DOCUMENTS
    )


def gate_of(toml: str) -> DocumentGate:
    gate = parse_document_gate(tomllib.loads(toml), "gates.d")
    check_document_gate(gate, DOCUMENTS, NODES, "gates.d")
    return gate


def ledger_of(
    decisions: DocumentDecisions, documents: pa.Table, nodes: pa.Table
) -> list[tuple[str, str, int | None, str, bool]]:
    table = decisions.ledger("shard.interleaved", documents, nodes)
    assert table.schema == schema_of(LedgerRow)
    return [(r["kind"], r["id"], r["node"], r["rule"], r["decisive"]) for r in table.to_pylist()]


@pytest.mark.parametrize("outcome", ["not_found", "decode_error", "OK", "", None])
def test_image_without_outcome_ok_fails_image_missing_first(outcome: str | None) -> None:
    documents = documents_of("a")
    nodes = nodes_of(image("a", 0, outcome=outcome, width=10), image("a", 1), text("a", 2, "x"))
    decisions = evaluate_documents(
        gate_of('image.side = { value = "width", min = 100 }'), documents, nodes
    )
    assert decisions.node_keep.tolist() == [False, True, True]
    assert ledger_of(decisions, documents, nodes) == [
        ("image", "a", 0, "image_missing", True),
        ("image", "a", 0, "side", False),
    ]
    row = decisions.ledger("g", documents, nodes).to_pylist()[0]
    assert (row["value"], row["value_text"], row["threshold"]) == (None, outcome, "outcome=ok")


def test_text_nodes_need_no_outcome() -> None:
    decisions = evaluate_documents(
        gate_of(""), documents_of("a"), nodes_of(text("a", 0, "x"), image("a", 1))
    )
    assert decisions.node_keep.tolist() == [True, True]


def test_a_paragraph_that_its_site_repeats_fails_the_built_in_rule_first() -> None:
    documents = documents_of("a")
    nodes = nodes_of(
        text("a", 0, "one two"), image("a", 1), text("a", 2, "one"), text("a", 3, "x y")
    )
    nodes = nodes.append_column("repeated_pages", pa.array([7, None, 3, None], pa.int64()))
    nodes = nodes.append_column("max_pages", pa.array([2, None, 2, None], pa.int64()))
    gate = gate_of('paragraph.words = { value = "words", min = 2 }')
    decisions = evaluate_documents(gate, documents, nodes)
    assert decisions.node_keep.tolist() == [False, True, False, True]
    assert decisions.paragraphs.rejected_by_rule() == {"repeated_paragraph": 2, "words": 0}
    assert decisions.measures["paragraphs"].to_pylist() == [1]
    rows = decisions.ledger("g", documents, nodes).to_pylist()
    told = [(row["node"], row["rule"], row["decisive"], row["value"]) for row in rows]
    assert told == [
        (0, "repeated_paragraph", True, 7.0),
        (2, "repeated_paragraph", True, 3.0),
        (2, "words", False, 1.0),
    ]
    assert rows[0]["threshold"] == "max=2"


def test_image_rules_see_images_and_paragraph_rules_paragraphs() -> None:
    documents = documents_of("a")
    nodes = nodes_of(
        text("a", 0, "one two three"), image("a", 1, width=50), image("a", 2), text("a", 3, "one")
    )
    gate = gate_of(
        'image.side = { value = "width", min = 100 }\n'
        'paragraph.words = { value = "words", min = 2 }'
    )
    decisions = evaluate_documents(gate, documents, nodes)
    assert decisions.node_keep.tolist() == [True, False, True, False]
    assert ledger_of(decisions, documents, nodes) == [
        ("image", "a", 1, "side", True),
        ("paragraph", "a", 3, "words", True),
    ]
    assert decisions.images.rejected_by_rule() == {
        "image_missing": 0,
        "side": 1,
        "repeated_image": 0,
    }
    assert decisions.paragraphs.rejected_by_rule() == {"repeated_paragraph": 0, "words": 1}


def test_document_rules_run_after_removals() -> None:
    """Three images as extracted, one after the image rule: the document rule sees one."""
    documents = documents_of("a", "b")
    nodes = nodes_of(
        *(image("a", node, width=640 if node else 10) for node in range(2)),
        *(image("b", node) for node in range(2)),
    )
    gate = gate_of(
        'image.side = { value = "width", min = 100 }\n'
        'document.images = { value = "images", min = 2 }'
    )
    decisions = evaluate_documents(gate, documents, nodes)
    assert decisions.documents.keep.tolist() == [False, True]
    assert ("document", "a", None, "images", True) in ledger_of(decisions, documents, nodes)


def test_document_rules_use_what_is_counted_over_the_survivors() -> None:
    documents = documents_of("a")
    nodes = nodes_of(image("a", 0), text("a", 1, "one two"), text("a", 2, "gone"), image("a", 3))
    gate = gate_of('paragraph.words = { value = "words", min = 2 }')
    measures = evaluate_documents(gate, documents, nodes).measures.to_pylist()
    assert measures == [{"images": 2, "paragraphs": 1, "words": 2, "characters": 7}]
    kept = gate_of('document.words = { value = "words", max = 2 }\n' + 'paragraph.w = "words > 1"')
    # The document's own column `words` (1000) is hidden by the survivors'.
    assert evaluate_documents(kept, documents, nodes).documents.keep.tolist() == [True]


@pytest.mark.parametrize(
    ("expression", "kept"),
    [
        ("sum(width) = 300", True),
        ("min(width) = 100", True),
        ("max(width) = 200", True),
        ("count(width) = 2", True),
        ("count(*) = 4", True),
        ("count(distinct text) = 1", True),
        ("sum(width) filter (where node > 1) = 200", True),
        ("count(*) filter (where kind = 'text') = 2", True),
        ("count(kind = 'text') = 4", True),
        ("sum(width) / count(width) = 150", True),
        ("sum(width * 2) / images = 300", True),
        ("max(clip_score) = 0.5", True),
        ("sum(clip_score) = 0.5", True),
        ("min(text) = 'one'", True),
        ("sum(1 / (width - 100)) = 0.01", True),
        ("sum(null) > 0", False),
        ("max(width) > 1000", False),
    ],
)
def test_document_rules_use_sums_counts_minima_and_maxima_of_survivors(
    expression: str, kept: bool
) -> None:
    nodes = nodes_of(
        image("a", 0, width=100, clip_score=0.5),
        text("a", 1, "one"),
        image("a", 2, width=200, clip_score=float("nan")),
        image("a", 3, width=5000, outcome="gone", clip_score=9.0),
        text("a", 4, "one"),
        # Another document: nothing of it may leak into the first.
        image("b", 0, width=7),
    )
    gate = gate_of(f'document.r = "{expression}"')
    decisions = evaluate_documents(gate, documents_of("a", "b"), nodes)
    assert decisions.documents.keep[0] == kept


def test_ledger_names_the_aggregates_that_a_plain_sql_rule_reads() -> None:
    nodes = nodes_of(image("a", 0, width=100), image("a", 1, width=50))
    gate = gate_of('document.r = "sum(width) > 200 or max(width) > sum(width)"')
    documents = documents_of("a")
    decisions = evaluate_documents(gate, documents, nodes)
    (row,) = decisions.ledger("g", documents, nodes).to_pylist()
    assert json.loads(row["value_text"]) == {"sum(width)": 150, "max(width)": 100}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("image.r = 'sum(width) > 1'", "aggregate sum() is allowed in document rules only"),
        ("document.r = 'sum(max(width)) > 1'", "aggregate max() is allowed in document rules only"),
        ("document.r = 'avg(width) > 1'", "function 'avg' is not allowed"),
        ("document.r = 'sum(wdth) > 1'", "gates.d.document.r: no column 'wdth'; nearest: width"),
        ("document.r = 'width > 1'", "gates.d.document.r: no column 'width'"),
        ("document.r = 'sum(text) > 1'", "gates.d.document.r: no sum of a text"),
        ("document.r = 'sum(width) over () > 1'", "a window function is not allowed"),
        ("document.r = 'sum(distinct width) > 1'", "sum(DISTINCT ...) is not allowed"),
        ("document.r = 'sum(width order by node) > 1'", "only plain arguments"),
        ("document.r = 'count() filter (where width) > 1'", "FILTER: a boolean is wanted"),
        ("document.r = 'max(width, 3) > 1'", "max() takes one argument"),
        ("images = {}", "gates.d.images: unknown key; known keys: image, paragraph, document"),
        ("image.r = { value = 'width', mni = 1 }", "gates.d.image.r.mni: unknown key"),
        ("image.image_missing = 'true'", "gates.d.image.image_missing: the name of a built-in"),
        ("document.no_image = 'true'", "gates.d.document.no_image: the name of a built-in rule"),
        ("rescore = 'language'", "gates.d.rescore: a list of columns is wanted"),
        ("rescore = ['langage']", "gates.d.rescore: no column 'langage'"),
        ("rescore = ['words']", "gates.d.rescore: 'words' is counted over the survivors anyway"),
        ("repeated_image = 3", "gates.d.repeated_image: a column or false, not 3"),
        ("repeated_image = 'phash'", "gates.d: the nodes have no column 'phash'"),
    ],
)
def test_wrong_document_gate_is_refused_with_its_path(spec: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        gate_of(spec)
    assert message in str(caught.value)


def test_other_measures_are_of_the_document_as_extracted() -> None:
    nodes = nodes_of(image("a", 0), text("a", 1, "This is the English text of a page."))
    gate = gate_of('document.lang = { value = "language", equals = "xx" }')
    assert evaluate_documents(gate, documents_of("a"), nodes).documents.keep.tolist() == [True]


ENGLISH = "This is a long English paragraph that stays with the page and has many words in it. " * 3
GERMAN = "Das ist ein langer deutscher Absatz, der nicht auf der Seite bleiben wird, leider. " * 9


def test_rescored_measures_are_computed_once_on_the_surviving_text() -> None:
    documents = documents_of("a", "b", "c")
    nodes = nodes_of(
        image("a", 0), text("a", 2, GERMAN), text("a", 3, "Last one."), text("a", 1, ENGLISH),
        image("b", 0), text("b", 1, ENGLISH),
        image("c", 0), text("c", 1, GERMAN),
    )  # fmt: skip
    gate = gate_of(
        "rescore = ['language', 'longest_word', 'stop_words']\n"
        "paragraph.english = \"text not like 'Das ist%'\"\n"
        'document.lang = { value = "language", in = ["en", "und"] }'
    )
    decisions = evaluate_documents(gate, documents, nodes)
    left = score_text("", ENGLISH + "\n\nLast one.")
    a, b, c = decisions.measures.select(["language", "longest_word", "stop_words"]).to_pylist()
    assert a == {"language": "en", "longest_word": left.longest_word, "stop_words": left.stop_words}
    # A column that the documents do not bring is measured for all of them, in all documents.
    assert (b["language"], b["longest_word"]) == ("en", score_text("", ENGLISH).longest_word)
    assert c == {"language": "und", "longest_word": 0, "stop_words": 0}
    assert decisions.documents.keep.tolist() == [True, True, True]


def test_rescored_measure_of_a_whole_document_stays_as_it_came() -> None:
    documents = documents_of("a", "b")
    nodes = nodes_of(
        image("a", 0),
        text("a", 1, ENGLISH),
        text("a", 2, "x"),
        image("b", 0),
        text("b", 1, ENGLISH),
    )
    gate = gate_of("rescore = ['language']\nparagraph.w = \"words > 1\"")
    decisions = evaluate_documents(gate, documents, nodes)
    assert decisions.measures["language"].to_pylist() == ["en", "xx"]


def test_document_left_without_an_image_has_its_own_rule_and_mask() -> None:
    documents = documents_of("gone", "never", "empty", "fine")
    nodes = nodes_of(
        image("gone", 0, outcome="gone"),
        text("gone", 1, "x"),
        text("never", 0, "x"),
        image("fine", 0),
    )
    gate = gate_of('document.paragraphs = { value = "paragraphs", min = 1 }')
    decisions = evaluate_documents(gate, documents, nodes)
    assert decisions.no_image.tolist() == [True, True, True, False]
    assert decisions.documents.keep.tolist() == [False] * 4
    assert decisions.documents.rejected_by_rule() == {"no_image": 3, "paragraphs": 1}
    assert [r for r in ledger_of(decisions, documents, nodes) if r[0] == "document"] == [
        ("document", "gone", None, "no_image", True),
        ("document", "never", None, "no_image", True),
        ("document", "empty", None, "no_image", True),
        ("document", "empty", None, "paragraphs", False),
        ("document", "fine", None, "paragraphs", True),
    ]


def test_first_surviving_occurrence_of_an_image_stays() -> None:
    documents = documents_of("a", "b")
    nodes = nodes_of(
        image("a", 5, image_key="k"),  # the table is in no order: this is the third occurrence
        image("a", 0, image_key="k", width=10),
        image("a", 3, image_key="k"),
        image("a", 1, image_key="k", outcome="gone"),
        image("a", 4, image_key="other"),
        image("b", 0, image_key="k"),
    )
    gate = gate_of('image.side = { value = "width", min = 100 }')
    decisions = evaluate_documents(gate, documents, nodes)
    assert decisions.node_keep.tolist() == [False, False, True, False, True, True]
    assert ledger_of(decisions, documents, nodes) == [
        ("image", "a", 5, "repeated_image", True),
        ("image", "a", 0, "side", True),
        ("image", "a", 1, "image_missing", True),
    ]
    assert decisions.measures["images"].to_pylist() == [2, 1]


@pytest.mark.parametrize(
    ("setting", "kept"),
    [("'image_key'", [True, True]), ("'image_url'", [True, False]), ("false", [True, True])],
)
def test_column_that_tells_images_apart_is_the_recipes(setting: str, kept: list[bool]) -> None:
    nodes = nodes_of(
        image("a", 0, image_key="1", image_url="u"), image("a", 1, image_key="2", image_url="u")
    )
    gate = gate_of(f"repeated_image = {setting}")
    assert evaluate_documents(gate, documents_of("a"), nodes).node_keep.tolist() == kept


def test_images_without_a_key_do_not_repeat() -> None:
    nodes = nodes_of(image("a", 0, image_key=None), image("a", 1, image_key=None))
    assert evaluate_documents(gate_of(""), documents_of("a"), nodes).node_keep.all()


def test_removal_elsewhere_is_recorded_and_document_rules_run_again() -> None:
    documents = documents_of("a")
    nodes = nodes_of(
        image("a", 0, image_key="k"),
        image("a", 1, image_key="k"),
        image("a", 2),
        text("a", 3, "x y"),
    )
    gate = gate_of('document.images = { value = "images", min = 2 }')
    first = evaluate_documents(gate, documents, nodes)
    assert first.documents.keep.tolist() == [True]
    assert first.node_keep.tolist() == [True, False, True, True]
    removed = {"duplicate": np.array([True, False, False, True])}
    second = evaluate_documents(gate, documents, nodes, removed=removed)
    # The second occurrence takes the place of the first, which is gone.
    assert second.node_keep.tolist() == [False, True, True, False]
    assert second.documents.keep.tolist() == [True]
    removed = {"duplicate": np.array([False, False, True, False])}
    third = evaluate_documents(gate, documents, nodes, removed=removed)
    assert third.documents.keep.tolist() == [False]
    assert ledger_of(third, documents, nodes) == [
        ("image", "a", 1, "repeated_image", True),
        ("image", "a", 2, "duplicate", True),
        ("document", "a", None, "images", True),
    ]


NODE = st.tuples(
    st.sampled_from("ab"),
    st.booleans(),
    st.sampled_from(["ok", "gone", None]),
    st.sampled_from(["k1", "k2", "k3", None]),
    st.integers(0, 4),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(NODE, max_size=12), st.randoms())
def test_survivors_are_a_fixpoint_and_order_of_rows_does_not_matter(
    drawn: list[tuple[str, bool, str | None, str | None, int]], random: Any
) -> None:
    rows = [
        image(doc, node, outcome=outcome, image_key=key, width=size)
        if is_image
        else text(doc, node, "w " * size)
        for node, (doc, is_image, outcome, key, size) in enumerate(drawn)
    ]
    gate = gate_of(
        'image.side = { value = "width", min = 1 }\nparagraph.w = { value = "words", min = 2 }\n'
        'document.images = { value = "images", max = 2 }\ndocument.area = "sum(width) >= 3"'
    )
    documents, nodes = documents_of("a", "b"), nodes_of(*rows)
    first = evaluate_documents(gate, documents, nodes)
    # in = kept + rejected, for documents, images and paragraphs
    for decisions in (first.documents, first.images, first.paragraphs):
        assert int(decisions.keep.sum()) + sum(decisions.rejected_by_rule().values()) == len(
            decisions.keep
        )
    assert int(first.images.keep.sum() + first.paragraphs.keep.sum()) == int(first.node_keep.sum())
    again = evaluate_documents(gate, documents, nodes.filter(pa.array(first.node_keep)))
    assert again.node_keep.all()
    assert again.documents.keep.tolist() == first.documents.keep.tolist()
    assert again.measures == first.measures
    order = list(range(len(rows)))
    random.shuffle(order)
    shuffled = evaluate_documents(gate, documents, nodes.take(pa.array(order, pa.int64())))
    assert shuffled.measures == first.measures
    assert [bool(first.node_keep[row]) for row in order] == shuffled.node_keep.tolist()


def cutoff_of(fraction: float, values: np.ndarray, keys: pa.Array) -> Cutoff:
    state: Any = start_search(fraction)
    while not isinstance(state, Cutoff):
        state = narrow(state, merge_counts(state, [count_part(state, values, keys)]))
    return state


def test_top_fractions_of_nodes_and_then_of_documents() -> None:
    documents = documents_of("a", "b", "c")
    nodes = nodes_of(
        image("a", 0, clip_score=0.9), image("a", 1, clip_score=0.8),
        image("b", 0, clip_score=0.7), image("b", 1, clip_score=0.99, outcome="gone"),
        image("c", 0, clip_score=0.1), image("c", 1, clip_score=0.2),
    )  # fmt: skip
    gate = gate_of(
        'image.best = { value = "clip_score", top_fraction = 0.6 }\n'
        'document.best = { value = "sum(clip_score)", top_fraction = 0.5 }'
    )
    cutoffs: dict[str, dict[str, Cutoff]] = {}
    for part, fraction in (("image", 0.6), ("document", 0.5)):
        found = document_top_values(gate, part, documents, nodes, cutoffs)
        cutoffs[part] = {"best": cutoff_of(fraction, *found["best"])}
    assert cutoffs["image"]["best"].rows == 5  # the missing image does not take part
    assert cutoffs["document"]["best"].rows == 2  # nor does the document left without an image
    decisions = evaluate_documents(gate, documents, nodes, cutoffs)
    assert decisions.node_keep.tolist() == [True, True, True, False, False, False]
    assert decisions.documents.keep.tolist() == [True, False, False]
    assert decisions.no_image.tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("documents", "rows", "message"),
    [
        (documents_of("a", "a"), [], "two documents of the table have one id"),
        (documents_of("a"), [image("b", 0)], "a node belongs to no document"),
        (documents_of("a"), [image("a", 0, kind="video")], "neither an image nor a text"),
        (documents_of("a"), [image("a", 0, kind=None)], "neither an image nor a text"),
    ],
    ids=["repeated id", "orphan", "unknown kind", "no kind"],
)
def test_tables_that_do_not_fit_are_a_bug(
    documents: pa.Table, rows: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate_documents(gate_of(""), documents, nodes_of(*rows))
