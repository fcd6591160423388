"""Assign: gate `shard` decides, and what passes contends with its duplicates (`settle.py`).

First every rule is applied to a part's candidates, so a member of a cluster that fails a rule never
stands in anyone's way. A page that is wanted as an interleaved document goes before one that is
wanted as text. Captions contend too: one text for one image, from the best-ranked page.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import RecipeError
from schemas.outcomes import OK
from transforms.assigned_nodes import with_assigned
from transforms.candidates import CAPTION_SCHEMA, DOCUMENT_SCHEMA, NODE_SCHEMA
from transforms.document_gate import (
    DocumentDecisions,
    document_top_values,
    evaluate_documents,
)
from transforms.document_rules import DocumentGate
from transforms.gates import (
    Cutoffs,
    Decisions,
    RowGate,
    evaluate,
    find_cutoffs,
    parse_gate,
    search_cutoffs,
)
from transforms.image_sets import set_keys, with_sets
from transforms.pages import rows_with, some
from transforms.score_columns import NO_SCORES, ScoreFile, with_scores
from transforms.scored_rows import (
    ScoreFiles,
    document_scores,
    with_caption_scores,
    with_node_scores,
)
from transforms.settle import (
    CONTENDER_SCHEMA,
    caption_contenders,
    page_contenders,
    to_buckets,
)
from transforms.shortened_pages import RULE as REPEATED_PARAGRAPH
from transforms.shortened_pages import (
    ParagraphFiles,
    with_repeated_captions,
    with_repeats,
    with_shortened_scores,
)
from transforms.shuffle import Block
from transforms.sink import Part
from transforms.table_files import read_table

STEP_VERSION = 3
IMAGE_MISSING = "image_missing"
"""Built-in rule: no sample without bytes."""


def parse_captioned_gate(spec: Any, where: str) -> RowGate:
    """The gate of the captioned stream: first the built-in rules.

    There is an image, and a caption that is a paragraph is none that the site repeats.

    Raises:
        RecipeError: A rule that is refused, or has the name of a built-in one.
    """
    return _with_built_in(
        spec,
        where,
        {
            IMAGE_MISSING: {"value": "outcome", "equals": OK},
            REPEATED_PARAGRAPH: {"value": "coalesce(paragraph_pages, 0)", "max": 0},
        },
    )


def parse_text_gate(spec: Any, where: str) -> RowGate:
    """The gate of the text stream: first the built-in rule that something is left of the page.

    Raises:
        RecipeError: A rule that is refused, or has the name of the built-in one.
    """
    # Nothing was extracted without text: only what lost all its paragraphs has no character.
    return _with_built_in(spec, where, {REPEATED_PARAGRAPH: {"value": "characters", "min": 1}})


def _with_built_in(spec: Any, where: str, built_in: Mapping[str, Any]) -> RowGate:
    gate = parse_gate(spec, where)
    for rule in gate.rules:
        if rule.name in built_in:
            raise RecipeError(f"{where}.{rule.name}: the name of a built-in rule")
    return RowGate((*parse_gate(built_in, where).rules, *gate.rules))


@dataclass(frozen=True, slots=True)
class StreamGates:
    """Gate `shard`, and the cutoffs of its `top_fraction` rules over the whole corpus."""

    captioned: RowGate
    interleaved: DocumentGate
    text: RowGate
    cutoffs: Mapping[str, Cutoffs]
    """`captioned`, `text`, or `image`, `paragraph`, `document` -> rule -> cutoff."""


@dataclass(frozen=True, slots=True)
class AssignFiles:
    """The candidates of one part."""

    part: str
    documents: str | None
    nodes: str | None
    captions: str | None
    texts: str | None
    clusters: str | None
    paragraphs: ParagraphFiles = field(default_factory=ParagraphFiles)
    models: ScoreFile = NO_SCORES
    """Scores of pages by models of the recipe."""
    paragraph_scores: ScoreFile = NO_SCORES
    scores: ScoreFiles = field(default_factory=ScoreFiles)


@dataclass(frozen=True)
class Judged:
    """A part's candidates with what the rules say, duplicates aside."""

    documents: pa.Table
    nodes: pa.Table
    document_decisions: DocumentDecisions
    texts: pa.Table
    """Texts, then the documents that lost their last image."""
    text_decisions: Decisions
    captions: pa.Table
    caption_decisions: Decisions


def _read(output: str, path: str | None, schema: pa.Schema) -> pa.Table:
    found = read_table(output, some(path))
    return schema.empty_table() if found is None else found.cast(schema)


def _read_pages(output: str, files: AssignFiles, path: str | None) -> pa.Table:
    return with_scores(output, files.models, _read(output, path, DOCUMENT_SCHEMA))


def _read_nodes(output: str, files: AssignFiles) -> pa.Table:
    nodes = _read(output, files.nodes, NODE_SCHEMA)
    nodes = with_scores(output, files.paragraph_scores, nodes, (("id", "id"), ("node", "node")))
    nodes = with_repeats(output, files.paragraphs, nodes)
    return with_node_scores(output, files.scores, nodes)


def read_captions(output: str, files: AssignFiles, nodes: pa.Table | None = None) -> pa.Table:
    """A part's captions with all columns that gate `shard` sees.

    Args:
        output: Where the files lie.
        files: Those of the part.
        nodes: Those of its documents, where they are read already.
    """
    nodes = _read_nodes(output, files) if nodes is None else nodes
    captions = _read(output, files.captions, CAPTION_SCHEMA)
    captions = with_scores(output, files.models, captions, (("doc_id", "id"),))
    captions = with_repeated_captions(captions, nodes)
    return with_caption_scores(output, files.scores, captions)


def _judge_documents(
    output: str, files: AssignFiles, gates: StreamGates
) -> tuple[pa.Table, pa.Table, DocumentDecisions]:
    documents = _read_pages(output, files, files.documents)
    nodes = _read_nodes(output, files)
    scores = document_scores(output, files.scores, gates.interleaved.assign)
    decided = evaluate_documents(gates.interleaved, documents, nodes, gates.cutoffs, scores=scores)
    return documents, nodes, decided


def _texts(
    output: str,
    files: AssignFiles,
    documents: pa.Table,
    nodes: pa.Table,
    decided: DocumentDecisions,
) -> pa.Table:
    """Candidates of the text stream: texts, then the documents that lost their last image.

    A document that never had a text, as a row of a table of images, has none to offer. Measures
    are of the page without the paragraphs that its site repeats.
    """
    texts = _read_pages(output, files, files.texts)
    told = pc.unique(rows_with(nodes, "kind", ["text"])["id"])
    offered = pc.and_(pa.array(decided.no_image), pc.is_in(documents["id"], value_set=told))
    pages = pa.concat_tables([texts, documents.filter(offered)])
    return with_shortened_scores(output, files.paragraphs, pages)


def _offered(output: str, files: AssignFiles, gates: StreamGates) -> pa.Table:
    documents, nodes, decided = _judge_documents(output, files, gates)
    return _texts(output, files, documents, nodes, decided)


def judge(output: str, files: AssignFiles, gates: StreamGates) -> Judged:
    """Apply gate `shard` to a part."""
    documents, nodes, decided = _judge_documents(output, files, gates)
    texts = _texts(output, files, documents, nodes, decided)
    captions = read_captions(output, files, nodes)
    if decided.assigned is not None:
        nodes = with_assigned(nodes, decided.assigned)
    return Judged(
        documents,
        nodes,
        decided,
        texts,
        evaluate(gates.text, texts, gates.cutoffs.get("text"), texts["id"]),
        captions,
        evaluate(gates.captioned, captions, gates.cutoffs.get("captioned"), captions["caption_id"]),
    )


def find_stream_cutoffs(
    output: str, parts: Sequence[AssignFiles], gates: StreamGates
) -> StreamGates:
    """The gates with the cutoffs of their `top_fraction` rules; reads no row where none has one."""

    def texts() -> Iterator[tuple[pa.Table, pa.ChunkedArray]]:
        for files in parts:
            rows = _offered(output, files, gates)
            yield rows, rows["id"]

    def captions() -> Iterator[tuple[pa.Table, pa.ChunkedArray]]:
        for files in parts:
            rows = read_captions(output, files)
            yield rows, rows["caption_id"]

    def nodes_and_documents(part: str) -> Iterator[Mapping[str, tuple[Any, Any]]]:
        for files in parts:
            documents = _read_pages(output, files, files.documents)
            nodes = _read_nodes(output, files)
            scores = document_scores(output, files.scores, gates.interleaved.assign)
            yield document_top_values(
                gates.interleaved, part, documents, nodes, gates.cutoffs, scores=scores
            )

    # Documents are judged by what is left of them, so the cutoffs of their nodes come first; and a
    # document that loses its last image is offered to the text stream, so that one comes last.
    for part, gate in (
        ("image", gates.interleaved.image),
        ("paragraph", gates.interleaved.paragraph),
        ("document", gates.interleaved.document),
    ):
        found = search_cutoffs(gate, partial(nodes_and_documents, part))
        gates = replace(gates, cutoffs={**gates.cutoffs, part: found})
    cutoffs = {
        "text": find_cutoffs(gates.text, texts),
        "captioned": find_cutoffs(gates.captioned, captions),
    }
    return replace(gates, cutoffs={**gates.cutoffs, **cutoffs})


@dataclass(eq=False)
class EmitContenders:
    """Map side: the rows that pass all rules and may have a duplicate that does too."""

    output: str
    gates: StreamGates
    buckets: int
    min_set: int
    """Images of a set, at least; 0: documents do not meet by their images."""

    def __call__(self, part: Part) -> Iterator[Block]:
        """Yield contenders by component, pair or set, and an empty block for the part itself."""
        files: AssignFiles = part.spec
        judged = judge(self.output, files, self.gates)
        keep = pa.array(judged.document_decisions.documents.keep)
        texts = pa.array(judged.text_decisions.keep)
        tables = [
            self._documents(files, judged, judged.documents.filter(keep)),
            self._pages(files, 1, judged.texts.filter(texts)),
            self._captions(files, judged.captions.filter(pa.array(judged.caption_decisions.keep))),
        ]
        rows = pa.concat_tables(tables)
        yield from to_buckets(rows, self.buckets)
        yield f"part {files.part}", CONTENDER_SCHEMA.empty_table()

    def _documents(self, files: AssignFiles, judged: Judged, documents: pa.Table) -> pa.Table:
        """Documents in a cluster, then those that have only a set of images."""
        left = judged.nodes.filter(pa.array(judged.document_decisions.node_keep))
        images = rows_with(left, "kind", ["image"])
        keys = set_keys(images["id"], images["image_cluster"], self.min_set)
        return with_sets(self._pages(files, 0, documents), documents, keys, files.part)

    def _pages(self, files: AssignFiles, order: int, pages: pa.Table) -> pa.Table:
        clusters = read_table(self.output, some(files.clusters))
        if clusters is None:
            return CONTENDER_SCHEMA.empty_table()
        rows = clusters.filter(pc.is_in(clusters["id"], value_set=pages["id"].combine_chunks()))
        return page_contenders(files.part, order, rows)

    def _captions(self, files: AssignFiles, captions: pa.Table) -> pa.Table:
        return caption_contenders(files.part, 0, captions)
