"""Pages without the paragraphs that their site repeats, as gate `shard` and the samples see them.

Nodes of documents carry how often they are repeated and fail the built-in rule. A page of the text
stream is measured, and written, as what is left of it; one of which nothing is left fails the same
rule. What was found is in tables of step `paragraphs` (`site_paragraphs.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.paragraph_rows import RepeatedParagraph
from schemas.rows import LedgerRow, TextScore
from schemas.tables import schema_of
from transforms.gates import Outcome
from transforms.pages import PageFiles, document_texts, positions, some, take_or_null
from transforms.paragraphs import shorten
from transforms.site_paragraphs import document_pieces, text_pieces
from transforms.table_files import iter_batches, read_rows, read_table

RULE = "repeated_paragraph"
"""Built-in rule of the streams of documents and texts."""
_COLUMNS = {"repeated_pages": "pages", "max_pages": "max_pages"}
"""Column of a node -> that of table `repeated_paragraphs`."""
_SCORES = [
    column.name
    for column in schema_of(TextScore)
    if column.name not in ("id", "language", "language_score")
]
"""The language is told by the whole page: what is left of it may be too short to tell."""


@dataclass(frozen=True, slots=True)
class ParagraphFiles:
    """What step `paragraphs` found in a part; None where it found nothing, or is off."""

    repeated: str | None = None
    scores: str | None = None


# --- documents


def with_repeats(output: str, files: ParagraphFiles, nodes: pa.Table) -> pa.Table:
    """Nodes with how often they are repeated, as `repeated_paragraph` wants them."""
    found = read_table(output, some(files.repeated))
    if found is None:
        return nodes
    at = positions(_places(found), _places(nodes))
    for name, source in _COLUMNS.items():
        nodes = nodes.append_column(name, take_or_null(found[source], at))
    return nodes


def _places(rows: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(rows["id"], rows["node"].cast(pa.string()), ":")


def repeated_paragraph(texts: Any) -> Outcome:
    """The built-in rule over text nodes: the site does not repeat them.

    Args:
        texts: A table of nodes. Without the columns of `with_repeats` none is repeated.
    """
    if any(name not in texts.column_names for name in _COLUMNS):
        return Outcome(RULE, "", np.zeros(len(texts), np.bool_))
    pages, most = (texts[name].combine_chunks() for name in _COLUMNS)
    threshold = f"max={pc.max(most).as_py()}"
    failed = np.asarray(pages.is_valid(), dtype=np.bool_)
    return Outcome(RULE, threshold, failed, values=pages.cast(pa.float64()))


def with_repeated_captions(captions: pa.Table, nodes: pa.Table) -> pa.Table:
    """Captions with `paragraph_pages`: of those that are paragraphs, what their site repeats.

    What is kept out of documents and texts does not come back at a picture.

    Args:
        captions: `doc_id`, `node`, `origin`, `paragraph_pages`.
        nodes: The nodes of their documents, `with_repeats`.
    """
    is_paragraph = pc.equal(captions["origin"], "paragraph")
    if "repeated_pages" not in nodes.column_names or not pc.any(is_paragraph).as_py():
        return captions
    places = _places(nodes)
    of_image = pa.table({"id": captions["doc_id"], "node": captions["node"]})
    paragraphs = take_or_null(nodes["paragraph"], positions(places, _places(of_image)))
    of_text = pa.table({"id": captions["doc_id"], "node": paragraphs})
    pages = take_or_null(nodes["repeated_pages"], positions(places, _places(of_text)))
    at = captions.schema.get_field_index("paragraph_pages")
    pages = pc.if_else(is_paragraph, pages, None).cast(pa.int64())
    return captions.set_column(at, "paragraph_pages", pages)


# --- texts


def with_shortened_scores(output: str, files: ParagraphFiles, pages: pa.Table) -> pa.Table:
    """Pages with the measures of what is left of those that lost a paragraph."""
    scores = read_table(output, some(files.scores))
    if scores is None:
        return pages
    at = positions(scores["id"], pages["id"])
    for name in _SCORES:
        place = pages.schema.get_field_index(name)
        field = pages.schema.field(place)
        fresh = take_or_null(scores[name], at).cast(field.type)
        column = pc.if_else(pa.array(at >= 0), fresh, pages[name])
        pages = pages.set_column(place, field, column)
    return pages


@dataclass(frozen=True)
class Removed:
    """The repeated paragraphs of some pages."""

    rows: Mapping[str, Mapping[int, RepeatedParagraph]]
    """Page -> position -> row."""

    @classmethod
    def read(cls, output: str, files: ParagraphFiles, ids: pa.ChunkedArray) -> "Removed":
        """Those of pages with some ids."""
        found = read_rows(output, some(files.repeated), "repeated_paragraphs")
        found = found.filter(pa.array(positions(ids, found["id"]) >= 0))
        rows: dict[str, dict[int, RepeatedParagraph]] = {}
        for row in found.to_pylist():
            rows.setdefault(row["id"], {})[row["node"]] = RepeatedParagraph(**row)
        return cls(rows)

    def ledger(self, gate: str) -> Iterator[LedgerRow]:
        """A row for each paragraph, by page and position."""
        for page_id in sorted(self.rows):
            for node, row in sorted(self.rows[page_id].items()):
                yield LedgerRow(
                    gate, "text_paragraph", page_id, node, RULE, True, float(row.pages), None,
                    f"max={row.max_pages}",
                )  # fmt: skip

    def iter_texts(self, output: str, files: PageFiles) -> Iterator[tuple[list[str], list[str]]]:
        """A part's pages in the order of `read_pages`, a batch at a time: ids, what is left."""
        for path in files.paths("documents"):
            for batch in iter_batches(output, path, 512, ["doc_id", "nodes"]):
                ids = batch.column("doc_id").to_pylist()
                texts, _ = document_texts(batch.column("nodes"))
                if not self.rows.keys().isdisjoint(ids):
                    for row, (page_id, pieces) in enumerate(document_pieces(batch)):
                        if page_id in self.rows:
                            texts[row] = shorten(pieces, self.rows[page_id].__contains__)
                yield ids, texts
        for path in files.paths("texts"):
            for batch in iter_batches(output, path, 512, ["text_id", "text"]):
                ids, texts = (batch.column(name).to_pylist() for name in ("text_id", "text"))
                for row, (page_id, text) in enumerate(zip(ids, texts, strict=True)):
                    if page_id in self.rows:
                        texts[row] = shorten(text_pieces(text), self.rows[page_id].__contains__)
                yield ids, texts
