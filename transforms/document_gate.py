"""The gate of interleaved documents: rules for images and paragraphs, then rules for what is left.

1. Node rules judge each node by itself. Before every rule of the recipe an image whose outcome is
   not `ok` fails `image_missing`, and a text that its site repeats fails `repeated_paragraph`.
2. Removals that the caller found elsewhere (the loser of a cluster, say) are added under their
   rules.
3. Of the images of a document that survive so far and share a value of the column
   `repeated_image` names (`image_key` unless the gate says otherwise; false turns it off), the
   first in reading order stays and the others fail the built-in rule `repeated_image` (MM1). An
   occurrence that a rule removed does not count as the first.
4. Where the gate says `assign`, the images that are left are assigned to the text units that are
   left (`assigned_nodes.py`). Document rules see the assignment inside their aggregates, as columns
   of the nodes. A document with more pairs than can be assigned fails `too_many_pairs`.
5. Document rules judge the document that is left. They see the columns of the document, `sum`,
   `count`, `min` and `max` over columns of its surviving nodes, and what is counted over the
   survivors: `images`, `paragraphs`, `words`, `characters`. Every other column is of the document
   as it was extracted, but for those that `rescore` names: they are measured anew, once, on the
   surviving text.
6. A document without a surviving image fails the built-in rule `no_image`, before every rule of
   the recipe. It has its own mask, because it is offered to the stream of texts.

Document rules follow removals "until nothing changes". No rule that judges a node looks at
another node but `repeated_image`, which keeps what it once kept when others go; and a document
rule removes documents, never nodes. So the second round finds nothing to remove, and this order
of steps is the fixpoint: the gate, applied to its own survivors, keeps all of them. What can
change the survivors is only the caller, by a removal elsewhere: it says so in `removed`, and all
document rules run again on what is left.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import RecipeError
from transforms.assigned_nodes import (
    ASSIGNED_SCHEMA,
    MAX_CELLS,
    AssignedNodes,
    PairScores,
    assign_nodes,
    with_assigned,
)
from transforms.document_measures import (
    Indices,
    as_array,
    measure_survivors,
    rows_of_kind,
    with_measures,
)
from transforms.document_rules import DocumentGate
from transforms.gates import (
    Cutoffs,
    Decisions,
    Mask,
    Outcome,
    check_gate,
    decide,
    evaluate,
    ledger_rows,
    top_values,
)
from transforms.shortened_pages import repeated_paragraph

STEP_VERSION = 2

TOO_MANY_PAIRS = "too_many_pairs"
"""Built-in rule: more pairs of images and texts than can be assigned."""
NODE_COLUMNS = ("id", "node", "kind", "words", "characters", "outcome")
"""Columns that every table of nodes has: the document, the position, `image` or `text`, ..."""


@dataclass(frozen=True)
class DocumentDecisions:
    """What the gate says of documents and nodes, each in the order of its table."""

    documents: Decisions
    no_image: Mask
    """Documents without a surviving image: to be offered to the text stream."""
    node_keep: Mask
    """Surviving nodes, those of rejected documents too."""
    images: Decisions
    """Of the rows `image_rows` of the nodes."""
    image_rows: Indices
    paragraphs: Decisions
    """Of the rows `paragraph_rows` of the nodes."""
    paragraph_rows: Indices
    measures: Any
    """Arrow table, a row a document: `COUNTED`, rescored columns, aggregates of the rules."""
    assigned: Any = None
    """Arrow table of `ASSIGNED_SCHEMA`, a row a node; None where the gate does not assign."""

    def ledger(self, gate: str, documents: Any, nodes: Any) -> Any:
        """The ledger's rows, as an Arrow table: of images, of paragraphs, of documents.

        Args:
            gate: name of the gate, `shard.interleaved`.
            documents: the table of documents that was judged.
            nodes: the table of nodes that was judged.
        """
        places = nodes.select(["id", "node"])
        images, texts = places.take(self.image_rows), places.take(self.paragraph_rows)
        parts = (
            ledger_rows(gate, "image", images["id"], images["node"], self.images),
            ledger_rows(gate, "paragraph", texts["id"], texts["node"], self.paragraphs),
            ledger_rows(gate, "document", documents.column("id"), None, self.documents),
        )
        return pa.concat_tables(parts)


class _Judged(NamedTuple):
    """What the node rules say; `reading_order` sorts nodes by document and position."""

    owner: Indices
    reading_order: Indices
    images: Decisions
    image_rows: Indices
    paragraphs: Decisions
    paragraph_rows: Indices
    keep: Mask


def check_document_gate(gate: DocumentGate, documents: Any, nodes: Any, where: str) -> None:
    """Check every rule against the columns it will see.

    Args:
        gate: the gate.
        documents: Arrow schema of the documents.
        nodes: Arrow schema of the nodes.
        where: dotted path of the gate.

    Raises:
        RecipeError: as in `check_gate`; a column that the gate needs is not there.
    """
    needed = [*NODE_COLUMNS, *([gate.repeated_image] if gate.repeated_image else [])]
    needed += ["text"] if gate.rescore else []
    for name in needed:
        if name not in nodes.names:
            raise RecipeError(f"{where}: the nodes have no column {name!r}")
    check_gate(gate.image, nodes, f"{where}.image")
    check_gate(gate.paragraph, nodes, f"{where}.paragraph")
    empty = np.zeros(0, np.intp)
    left = nodes.empty_table()
    if gate.assign is not None:
        left = with_assigned(left, ASSIGNED_SCHEMA.empty_table())
    measures = measure_survivors(gate, documents.empty_table(), left, empty, empty)
    seen = with_measures(documents.empty_table(), measures)
    check_gate(gate.document, seen.schema, f"{where}.document")


def evaluate_documents(
    gate: DocumentGate,
    documents: Any,
    nodes: Any,
    cutoffs: Mapping[str, Cutoffs] | None = None,
    removed: Mapping[str, Mask] | None = None,
    scores: PairScores | None = None,
) -> DocumentDecisions:
    """Apply a gate to documents and their nodes.

    Args:
        gate: the gate.
        documents: an Arrow table with a column `id`, each value once, and what the rules use.
        nodes: an Arrow table with `NODE_COLUMNS`, all nodes of these documents, in any order.
        cutoffs: by part (`image`, `paragraph`, `document`) and rule, for `top_fraction` rules.
        removed: nodes removed elsewhere, a mask a rule; they fail it after the rules of the recipe.
        scores: of images and texts, for a gate that assigns.
    """
    judged, measures, assigned = _judge_and_measure(
        gate, documents, nodes, cutoffs or {}, removed or {}, scores
    )
    no_image = _no_image(measures)
    seen = with_measures(documents, measures)
    rules = evaluate(
        gate.document, seen, (cutoffs or {}).get("document"), as_array(documents.column("id"))
    )
    return DocumentDecisions(
        documents=decide(
            [no_image, *_too_many_pairs(assigned), *rules.outcomes], documents.num_rows
        ),
        no_image=no_image.failed,
        node_keep=judged.keep,
        images=judged.images,
        image_rows=judged.image_rows,
        paragraphs=judged.paragraphs,
        paragraph_rows=judged.paragraph_rows,
        measures=measures,
        assigned=None if assigned is None else assigned.columns,
    )


def document_top_values(
    gate: DocumentGate,
    part: str,
    documents: Any,
    nodes: Any,
    cutoffs: Mapping[str, Cutoffs] | None = None,
    removed: Mapping[str, Mask] | None = None,
    scores: PairScores | None = None,
) -> dict[str, tuple[npt.NDArray[np.float64], Any]]:
    """`top_values` of a part of the gate: `image`, `paragraph`, with their cutoffs `document`.

    What fails a built-in rule does not pass: `over = "passing"` leaves it out. But repeated images
    are found after the node rules, so they take part.
    """
    if part == "document":
        _, measures, assigned = _judge_and_measure(
            gate, documents, nodes, cutoffs or {}, removed or {}, scores
        )
        seen = with_measures(documents, measures)
        built_in = [_no_image(measures), *_too_many_pairs(assigned)]
        eligible = decide(built_in, documents.num_rows).keep
        return top_values(gate.document, seen, as_array(documents.column("id")), eligible)
    rows = rows_of_kind(nodes, "image" if part == "image" else "text")
    table = nodes.take(pa.array(rows))
    if part == "image":
        return top_values(gate.image, table, _node_keys(table), ~_missing(table).failed)
    return top_values(gate.paragraph, table, _node_keys(table), ~repeated_paragraph(table).failed)


def _node_keys(nodes: Any) -> Any:
    """What breaks ties of `top_fraction` among nodes: document and position."""
    position = nodes.column("node").cast(pa.string())
    return as_array(pc.binary_join_element_wise(nodes.column("id"), position, ":"))


def _missing(images: Any) -> Outcome:
    outcome = as_array(images.column("outcome")).cast(pa.string())
    ok = np.asarray(pc.equal(outcome, "ok").fill_null(False))
    return Outcome("image_missing", "outcome=ok", ~ok, texts=outcome)


def _no_image(measures: Any) -> Outcome:
    images = as_array(measures.column("images")).cast(pa.float64())
    return Outcome("no_image", "min=1", np.asarray(images) == 0, values=images)


def _too_many_pairs(assigned: AssignedNodes | None) -> list[Outcome]:
    """The built-in rule of a gate that assigns."""
    if assigned is None:
        return []
    failed = assigned.cells > MAX_CELLS
    values = pa.array(assigned.cells, pa.float64())
    return [Outcome(TOO_MANY_PAIRS, f"max={MAX_CELLS}", failed, values=values)]


def _owners(documents: Any, nodes: Any) -> Indices:
    """The row of each node's document."""
    ids = as_array(documents.column("id"))
    if len(ids.unique()) != len(ids):
        raise ValueError("two documents of the table have one id")
    owner = as_array(pc.index_in(nodes.column("id"), value_set=ids))
    if owner.null_count:
        raise ValueError("a node belongs to no document of the table")
    rows: Indices = owner.to_numpy().astype(np.intp)
    return rows


def _judge_and_measure(
    gate: DocumentGate,
    documents: Any,
    nodes: Any,
    cutoffs: Mapping[str, Cutoffs],
    removed: Mapping[str, Mask],
    scores: PairScores | None,
) -> tuple[_Judged, Any, AssignedNodes | None]:
    judged = _judge_nodes(gate, documents, nodes, cutoffs, removed)
    survivors = judged.reading_order[judged.keep[judged.reading_order]]
    assigned = None
    if gate.assign is not None:
        if scores is None:
            raise ValueError("a gate that assigns needs the scores of pairs")
        ids = as_array(documents.column("id"))
        assigned = assign_nodes(gate.assign, ids, nodes, judged.owner, judged.keep, scores)
        nodes = with_assigned(nodes, assigned.columns)
    measures = measure_survivors(gate, documents, nodes, judged.owner, survivors)
    return judged, measures, assigned


def _judge_nodes(
    gate: DocumentGate,
    documents: Any,
    nodes: Any,
    cutoffs: Mapping[str, Cutoffs],
    removed: Mapping[str, Mask],
) -> _Judged:
    owner = _owners(documents, nodes)
    positions = as_array(nodes.column("node")).to_numpy()
    reading_order = np.lexsort((positions, owner))
    image_rows, paragraph_rows = rows_of_kind(nodes, "image"), rows_of_kind(nodes, "text")
    if len(image_rows) + len(paragraph_rows) != nodes.num_rows:
        raise ValueError("a node is neither an image nor a text")
    found: dict[str, list[Outcome]] = {}
    for part, rules, rows in (
        ("image", gate.image, image_rows),
        ("paragraph", gate.paragraph, paragraph_rows),
    ):
        table = nodes.take(pa.array(rows))
        found[part] = [_missing(table) if part == "image" else repeated_paragraph(table)]
        found[part] += evaluate(rules, table, cutoffs.get(part), _node_keys(table)).outcomes
        found[part] += [Outcome(name, "removed", mask[rows]) for name, mask in removed.items()]
    if gate.repeated_image is not None:
        so_far = decide(found["image"], len(image_rows)).keep
        column = as_array(nodes.column(gate.repeated_image))
        found["image"].append(
            _repeated(gate.repeated_image, column, owner, reading_order, image_rows, so_far)
        )
    images = decide(found["image"], len(image_rows))
    paragraphs = decide(found["paragraph"], len(paragraph_rows))
    keep = np.zeros(nodes.num_rows, np.bool_)
    keep[image_rows] = images.keep
    keep[paragraph_rows] = paragraphs.keep
    return _Judged(owner, reading_order, images, image_rows, paragraphs, paragraph_rows, keep)


def _repeated(
    name: str, column: Any, owner: Indices, reading_order: Indices, rows: Indices, so_far: Mask
) -> Outcome:
    """Fail images whose key a surviving image earlier in the document has; NULL is no key."""
    surviving = np.zeros(len(owner), np.bool_)
    surviving[rows] = so_far
    surviving &= np.asarray(column.is_valid())
    ordered = reading_order[surviving[reading_order]]
    keys = column.dictionary_encode()
    codes = keys.indices.fill_null(0).to_numpy().astype(np.int64)
    places = owner[ordered] * (len(keys.dictionary) + 1) + codes[ordered]
    _, first = np.unique(places, return_index=True)
    surviving[ordered[first]] = False
    chosen = column.take(pa.array(rows)).cast(pa.string())
    threshold = f"first of its {name} in the document"
    return Outcome("repeated_image", threshold, surviving[rows], texts=chosen)
