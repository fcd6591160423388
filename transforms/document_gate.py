"""The gate of interleaved documents: rules for images and paragraphs, then rules for what is left.

1. Node rules judge each node by itself. Before every rule of the recipe an image whose outcome is
   not `ok` fails `image_missing`, and a text that its site repeats fails `repeated_paragraph`.
2. Removals that the caller found elsewhere (the loser of a cluster, say) are added under their
   rules.
3. Of the images of a document that survive so far and share a value of the column
   `repeated_image` names (`image_key` unless the gate says otherwise; false turns it off), the
   first in reading order stays and the others fail the built-in rule `repeated_image` (MM1). An
   occurrence that a rule removed does not count as the first.
4. Document rules judge the document that is left. They see the columns of the document, `sum`,
   `count`, `min` and `max` over columns of its surviving nodes, and what is counted over the
   survivors: `images`, `paragraphs`, `words`, `characters`. Every other column is of the document
   as it was extracted, but for those that `rescore` names: they are measured anew, once, on the
   surviving text.
5. A document without a surviving image fails the built-in rule `no_image`, before every rule of
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
from schemas.rows import TextScore
from schemas.tables import to_batch
from transforms.document_rules import Aggregate, DocumentGate
from transforms.expressions import column_kinds
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
from transforms.rule_query import Query
from transforms.shortened_pages import repeated_paragraph
from transforms.text_scores import score_text

STEP_VERSION = 2

NODE_COLUMNS = ("id", "node", "kind", "words", "characters", "outcome")
"""Columns that every table of nodes has: the document, the position, `image` or `text`, ..."""

Indices = npt.NDArray[np.intp]


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
    measures = _measure(gate, documents.empty_table(), nodes.empty_table(), empty, empty)
    seen = _with_measures(documents.empty_table(), measures)
    check_gate(gate.document, seen.schema, f"{where}.document")


def evaluate_documents(
    gate: DocumentGate,
    documents: Any,
    nodes: Any,
    cutoffs: Mapping[str, Cutoffs] | None = None,
    removed: Mapping[str, Mask] | None = None,
) -> DocumentDecisions:
    """Apply a gate to documents and their nodes.

    Args:
        gate: the gate.
        documents: an Arrow table with a column `id`, each value once, and what the rules use.
        nodes: an Arrow table with `NODE_COLUMNS`, all nodes of these documents, in any order.
        cutoffs: by part (`image`, `paragraph`, `document`) and rule, for `top_fraction` rules.
        removed: nodes removed elsewhere, a mask a rule; they fail it after the rules of the recipe.
    """
    judged, measures = _judge_and_measure(gate, documents, nodes, cutoffs or {}, removed or {})
    no_image = _no_image(measures)
    seen = _with_measures(documents, measures)
    rules = evaluate(
        gate.document, seen, (cutoffs or {}).get("document"), _one(documents.column("id"))
    )
    return DocumentDecisions(
        documents=decide([no_image, *rules.outcomes], documents.num_rows),
        no_image=no_image.failed,
        node_keep=judged.keep,
        images=judged.images,
        image_rows=judged.image_rows,
        paragraphs=judged.paragraphs,
        paragraph_rows=judged.paragraph_rows,
        measures=measures,
    )


def document_top_values(
    gate: DocumentGate,
    part: str,
    documents: Any,
    nodes: Any,
    cutoffs: Mapping[str, Cutoffs] | None = None,
    removed: Mapping[str, Mask] | None = None,
) -> dict[str, tuple[npt.NDArray[np.float64], Any]]:
    """`top_values` of a part of the gate: `image`, `paragraph`, with their cutoffs `document`.

    What fails a built-in rule does not pass: `over = "passing"` leaves it out. But repeated images
    are found after the node rules, so they take part.
    """
    if part == "document":
        _, measures = _judge_and_measure(gate, documents, nodes, cutoffs or {}, removed or {})
        seen = _with_measures(documents, measures)
        eligible = ~_no_image(measures).failed
        return top_values(gate.document, seen, _one(documents.column("id")), eligible)
    rows = _rows_of_kind(nodes, "image" if part == "image" else "text")
    table = nodes.take(pa.array(rows))
    if part == "image":
        return top_values(gate.image, table, _node_keys(table), ~_missing(table).failed)
    return top_values(gate.paragraph, table, _node_keys(table), ~repeated_paragraph(table).failed)


def _one(column: Any) -> Any:
    """A column as one array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _rows_of_kind(nodes: Any, kind: str) -> Indices:
    return np.flatnonzero(np.asarray(pc.equal(nodes.column("kind"), kind)))


def _node_keys(nodes: Any) -> Any:
    """What breaks ties of `top_fraction` among nodes: document and position."""
    position = nodes.column("node").cast(pa.string())
    return _one(pc.binary_join_element_wise(nodes.column("id"), position, ":"))


def _missing(images: Any) -> Outcome:
    outcome = _one(images.column("outcome")).cast(pa.string())
    ok = np.asarray(pc.equal(outcome, "ok").fill_null(False))
    return Outcome("image_missing", "outcome=ok", ~ok, texts=outcome)


def _no_image(measures: Any) -> Outcome:
    images = _one(measures.column("images")).cast(pa.float64())
    return Outcome("no_image", "min=1", np.asarray(images) == 0, values=images)


def _owners(documents: Any, nodes: Any) -> Indices:
    """The row of each node's document."""
    ids = _one(documents.column("id"))
    if len(ids.unique()) != len(ids):
        raise ValueError("two documents of the table have one id")
    owner = _one(pc.index_in(nodes.column("id"), value_set=ids))
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
) -> tuple[_Judged, Any]:
    judged = _judge_nodes(gate, documents, nodes, cutoffs, removed)
    survivors = judged.reading_order[judged.keep[judged.reading_order]]
    return judged, _measure(gate, documents, nodes, judged.owner, survivors)


def _judge_nodes(
    gate: DocumentGate,
    documents: Any,
    nodes: Any,
    cutoffs: Mapping[str, Cutoffs],
    removed: Mapping[str, Mask],
) -> _Judged:
    owner = _owners(documents, nodes)
    positions = _one(nodes.column("node")).to_numpy()
    reading_order = np.lexsort((positions, owner))
    image_rows, paragraph_rows = _rows_of_kind(nodes, "image"), _rows_of_kind(nodes, "text")
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
        column = _one(nodes.column(gate.repeated_image))
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


def _with_measures(documents: Any, measures: Any) -> Any:
    """The documents as their rules see them: measured columns hide those of the same name."""
    kept = [name for name in documents.column_names if name not in measures.column_names]
    columns = {name: documents.column(name) for name in kept}
    return pa.table(columns | {name: measures.column(name) for name in measures.column_names})


def _measure(
    gate: DocumentGate, documents: Any, nodes: Any, owner: Indices, survivors: Indices
) -> Any:
    """What is measured on the survivors, a row a document; `survivors` are in reading order."""
    left = nodes.take(pa.array(survivors))
    owners, count = owner[survivors], documents.num_rows
    is_image = np.asarray(pc.equal(left.column("kind"), "image"), dtype=np.bool_)
    text_owners = owners[~is_image]
    columns: dict[str, Any] = {
        "images": np.bincount(owners[is_image], minlength=count),
        "paragraphs": np.bincount(text_owners, minlength=count),
    }
    for name in ("words", "characters"):
        sizes = _one(left.column(name)).fill_null(0).to_numpy()[~is_image]
        total = np.bincount(text_owners, weights=sizes, minlength=count)
        columns[name] = total.astype(np.int64)
    if gate.rescore:
        all_texts = np.bincount(owner[_rows_of_kind(nodes, "text")], minlength=count)
        shortened = columns["paragraphs"] != all_texts
        columns |= _rescore(gate.rescore, documents, left, owners, shortened)
    columns |= _aggregate(gate.aggregates, left, owners, count)
    return pa.table(columns)


def _rescore(
    names: tuple[str, ...], documents: Any, left: Any, owners: Indices, shortened: Mask
) -> dict[str, Any]:
    """The columns of `scores_text`, measured on the surviving text where a paragraph is gone.

    A document that kept all its paragraphs keeps its scores: it is the same text.
    """
    if any(name not in documents.column_names for name in names):
        shortened = np.ones(documents.num_rows, np.bool_)
    rows = np.flatnonzero(shortened)
    texts: dict[int, list[str]] = {int(row): [] for row in rows}
    wanted = np.flatnonzero(shortened[owners])
    kinds, bodies = left.column("kind"), left.column("text")
    chosen = pa.array(wanted)
    for row, kind, text in zip(
        owners[wanted].tolist(),
        kinds.take(chosen).to_pylist(),
        bodies.take(chosen).to_pylist(),
        strict=True,
    ):
        if kind == "text" and text:
            texts[row].append(text)
    scored = to_batch([score_text("", "\n\n".join(texts[int(row)])) for row in rows], TextScore)
    source = np.arange(documents.num_rows)
    source[rows] = documents.num_rows + np.arange(len(rows))
    columns = {}
    for name in names:
        fresh = scored.column(name)
        if name in documents.column_names:
            before = _one(documents.column(name)).cast(fresh.type)
            columns[name] = pa.concat_arrays([before, fresh]).take(pa.array(source))
        else:
            columns[name] = fresh
    return columns


def _aggregate(
    aggregates: tuple[Aggregate, ...], left: Any, owners: Indices, count: int
) -> dict[str, Any]:
    """Each aggregate, a row a document; of no node a count is 0 and everything else NULL."""
    if not aggregates:
        return {}
    query = Query(column_kinds(left.schema))
    outputs = []
    for one in aggregates:
        typed = query.add(one.argument, one.where)
        wanted = {"sum": ("number",), "count": ("number", "text", "boolean")}
        if typed.kind not in (*wanted.get(one.function, ("number", "text")), "null"):
            raise RecipeError(f"{one.where}: no {one.function} of a {typed.kind}")
        sql = "CAST(NULL AS DOUBLE)" if typed.kind == "null" else typed.sql
        if one.condition is not None:
            condition = query.add(one.condition, one.where)
            if condition.kind not in ("boolean", "null"):
                raise RecipeError(f"{one.where}: FILTER: a boolean is wanted here")
            sql = f"CASE WHEN {condition.sql} THEN {sql} END"
        outputs.append(sql)
    values = query.run(query.sql(outputs), left).append_column("owner", pa.array(owners))
    functions = [one.arrow_function for one in aggregates]
    # One thread: floats are added in reading order, so that a sum does not depend on the machine.
    grouped = values.group_by("owner", use_threads=False).aggregate(
        [(f"o{index}", function) for index, function in enumerate(functions)]
    )
    place = np.full(count, -1)
    place[_one(grouped.column("owner")).to_numpy()] = np.arange(grouped.num_rows)
    source = pa.array(place, mask=place < 0)
    columns = {}
    for index, (one, function) in enumerate(zip(aggregates, functions, strict=True)):
        column = _one(grouped.column(f"o{index}_{function}")).take(source)
        columns[one.column] = column.fill_null(0) if one.function == "count" else column
    return columns
