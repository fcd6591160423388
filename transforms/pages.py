"""The pages of one extracted part, as the stages after extract read them.

Documents, texts, captions and scores of a part lie side by side in files of the same part, so they
are joined here without a shuffle. What is learned elsewhere about a page (its duplicates, its
images) is shuffled back to the part.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.rows import Document, TextScore
from schemas.tables import schema_of
from transforms.table_files import iter_batches, read_rows, read_table

_FACTS = (
    "url", "site", "title", "language_declared", "date", "charset", "truncated", "canonical_url",
    "date_published", "date_modified", "license", "robots", "noindex", "noai", "noimageai",
    "tdm_reserved", "unavailable_after", "ai_opt_out", "data_uri_images", "inline_svgs",
)  # fmt: skip
_SCORES = [column.name for column in schema_of(TextScore) if column.name != "id"]

PAGE_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("kind", pa.string()),
        *(schema_of(Document).field(name) for name in _FACTS),
        pa.field("image_nodes", pa.int64()),
        *(schema_of(TextScore).field(name) for name in _SCORES),
    ]
)
"""What gate `dedup` sees: a row a page. `kind` is `document` or `text`; `title` is the page's."""


@dataclass(frozen=True, slots=True)
class PageFiles:
    """The files of one extracted part; None where the part has no such row."""

    part: str
    documents: str | None
    texts: str | None
    captions: str | None
    scores_text: str | None
    image_records: str | None

    def paths(self, table: str) -> list[str]:
        """The path of a table's file, as a list of at most one."""
        return some(getattr(self, table))


def some(path: str | None) -> list[str]:
    """A path that may be missing, as a list of at most one."""
    return [] if path is None else [path]


def positions(ids: pa.ChunkedArray, of: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """The row of `ids` at which each value of `of` stands, -1 where it does not."""
    found = pc.index_in(of, value_set=ids.combine_chunks())
    return pc.fill_null(found, -1).to_numpy().astype(np.int64)  # type: ignore[no-any-return]


def known_columns(known: Mapping[str, Any], schema: pa.Schema, count: int) -> pa.Table:
    """Rows of a schema of which some columns are known; the others are null."""
    columns = [known.get(field.name, pa.nulls(count, field.type)) for field in schema]
    return pa.table(columns, schema=schema)


def first_rows(column: pa.ChunkedArray) -> pa.Array:
    """Of a sorted column, the row at which each value stands first."""
    codes = column.combine_chunks().dictionary_encode().indices.to_numpy()
    new = np.ones(len(codes), bool)
    new[1:] = codes[1:] != codes[:-1]
    return pa.array(np.flatnonzero(new))


class Places:
    """`positions` for many batches that are looked up in the same ids."""

    def __init__(self, ids: pa.ChunkedArray) -> None:
        self._rows = {key: row for row, key in reversed(list(enumerate(ids.to_pylist())))}

    def of(self, column: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.int64]:
        """The row at which each value stands, -1 where it does not."""
        rows = self._rows
        return np.array([rows.get(key, -1) for key in column.to_pylist()], np.int64)


def take_or_null(column: pa.ChunkedArray, rows: npt.NDArray[np.int64]) -> pa.ChunkedArray:
    """Values at rows; null where the row is -1."""
    return column.take(pa.array(rows, mask=rows < 0))


def components_of(output: str, clusters: str | None, ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """The duplicate component of each page, from a part's file of `clusters`; null where none."""
    found = read_table(output, some(clusters), ["id", "component"])
    if found is None:
        return pa.chunked_array([pa.nulls(len(ids), pa.string())])
    return take_or_null(found["component"], positions(found["id"], ids))


def page_names(
    urls: pa.ChunkedArray, ids: pa.ChunkedArray, components: pa.ChunkedArray
) -> pa.ChunkedArray:
    """What tells pages apart when they are counted: component, else URL, else id.

    So a page counts once, however often it was crawled, copied or edited.
    """
    return pc.coalesce(components, pc.if_else(pc.equal(urls, ""), ids, urls))


def read_pages(output: str, files: PageFiles) -> pa.Table:
    """The pages of a part, documents first, as `PAGE_SCHEMA`; no page text is read."""
    tables = []
    for kind, name, key in (("document", "documents", "doc_id"), ("text", "texts", "text_id")):
        # Of the nodes what each is, and none of their texts.
        columns = [key, *_FACTS, *(["nodes.list.element.kind"] if kind == "document" else [])]
        found = read_table(output, files.paths(name), columns)
        if found is None:
            continue
        counts = _image_counts(found["nodes"]) if kind == "document" else np.zeros(len(found), int)
        tables.append(
            pa.table(
                {
                    "id": found[key],
                    "kind": pa.array([kind] * len(found), pa.string()),
                    **{fact: found[fact] for fact in _FACTS},
                    "image_nodes": pa.array(counts, pa.int64()),
                }
            )
        )
    if not tables:
        return PAGE_SCHEMA.empty_table()
    pages = pa.concat_tables(tables)
    scores = read_rows(output, files.paths("scores_text"), "scores_text")
    rows = positions(scores["id"], pages["id"])
    for name in _SCORES:
        pages = pages.append_column(name, take_or_null(scores[name], rows))
    return pages.select(PAGE_SCHEMA.names).cast(PAGE_SCHEMA)


def _image_counts(nodes: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    is_image = pc.equal(pc.struct_field(pc.list_flatten(nodes), "kind"), "image")
    parents = pc.list_parent_indices(nodes).to_numpy()
    counts = np.zeros(len(nodes), np.int64)
    np.add.at(counts, parents[is_image.to_numpy().astype(bool)], 1)
    return counts


def iter_page_texts(
    output: str, files: PageFiles, rows: int = 512, only: pa.Array | None = None
) -> Iterator[tuple[list[str], list[str], list[str]]]:
    """A part's pages, a batch at a time, in the order of `read_pages`: ids, texts, contents.

    A page's content is its text with the URLs of its images in their places: what two pages share
    that are the same to a reader. The content of a page without images is its text. With `only`,
    the pages of these ids and no others.
    """
    for path in files.paths("documents"):
        batches = iter_batches(output, path, rows, ["doc_id", "nodes"])
        for batch in _chosen(batches, "doc_id", only):
            texts, contents = document_texts(batch.column("nodes"))
            yield batch.column("doc_id").to_pylist(), texts, contents
    for path in files.paths("texts"):
        batches = iter_batches(output, path, rows, ["text_id", "text"])
        for batch in _chosen(batches, "text_id", only):
            texts = batch.column("text").to_pylist()
            yield batch.column("text_id").to_pylist(), texts, texts


def _chosen(
    batches: Iterator[pa.RecordBatch], key: str, only: pa.Array | None
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch if only is None else batch.filter(pc.is_in(batch.column(key), value_set=only))


def document_texts(nodes: pa.ListArray) -> tuple[list[str], list[str]]:
    """The text of each document, and its text with image URLs in their places.

    Nodes are joined by blank lines; an image stands as `![](URL)`, which no text node can be. Where
    a document has no text, what its images say of themselves is content too: `![alt](URL)`. So rows
    of a table that give one picture two texts are two, and those that give it the same are one.
    """
    flat = nodes.flatten()
    texts = pc.struct_field(flat, "text").to_pylist()
    urls = pc.struct_field(flat, "image_url").to_pylist()
    shown = [f"![]({url})" if url else text for text, url in zip(texts, urls, strict=True)]
    lengths = nodes.value_lengths().to_numpy(zero_copy_only=False)
    ends = np.cumsum(lengths)
    bounds = list(zip((ends - lengths).tolist(), ends.tolist(), strict=True))
    joined = ["\n\n".join([text for text in texts[a:b] if text]) for a, b in bounds]
    if not all(joined):
        alts = pc.struct_field(flat, "alt").to_pylist()
        for (start, end), text in zip(bounds, joined, strict=True):
            if not text:
                shown[start:end] = [
                    f"![{alts[row] or ''}]({urls[row]})" for row in range(start, end)
                ]
    return joined, ["\n\n".join([text for text in shown[a:b] if text]) for a, b in bounds]


def node_places(nodes: pa.ListArray) -> tuple[pa.Array, pa.Array]:
    """Of each node of some documents, the row of its document and its position there, from 0."""
    lengths = nodes.value_lengths().to_numpy(zero_copy_only=False)
    starts = np.cumsum(lengths) - lengths
    numbers = np.arange(int(lengths.sum())) - np.repeat(starts, lengths)
    return pc.list_parent_indices(nodes), pa.array(numbers, pa.int64())


def rows_with(table: pa.Table, column: str, values: Sequence[str] | pa.Array) -> pa.Table:
    """The rows whose column holds one of some values."""
    return table.filter(pc.is_in(table[column], value_set=pa.array(values, pa.string())))
