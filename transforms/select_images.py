"""Which images and captions of the kept pages are worth having: gate `fetch`.

It sees what the page says of an image, before any byte of it. Documents whose exact text a better
ranked page has are left out here; nearer judgement waits for gate `shard`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.rows import Caption
from schemas.tables import schema_of
from transforms.caption_flags import FLAG_FIELDS, flag_columns
from transforms.gates import RowGate, evaluate, ledger_rows
from transforms.ledger import builtin_ledger
from transforms.pages import (
    PAGE_SCHEMA,
    PageFiles,
    Places,
    node_places,
    read_pages,
    rows_with,
    some,
    take_or_null,
)
from transforms.sink import Part, PartSink
from transforms.table_files import iter_batches, read_table

STEP_VERSION = 2
GATE = "fetch"

PAGE_COLUMNS = [
    field.with_name("page_title" if field.name == "title" else field.name)
    for field in PAGE_SCHEMA
    if field.name not in ("id", "kind", "url")
]
NODE_COLUMNS = ("image_url", "alt", "title", "figcaption", "declared_width", "declared_height")

FETCH_IMAGE_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("node", pa.int64()),
        pa.field("page_url", pa.string()),
        pa.field("image_url", pa.string()),
        pa.field("alt", pa.string()),
        pa.field("title", pa.string()),
        pa.field("figcaption", pa.string()),
        pa.field("declared_width", pa.int64()),
        pa.field("declared_height", pa.int64()),
        *PAGE_COLUMNS,
    ]
)
"""What gate `fetch` sees of an image node: `title` is the image's, `page_title` the page's."""

FETCH_CAPTION_SCHEMA = pa.schema(
    [
        *(field for field in schema_of(Caption) if field.name != "doc_id"),
        *FLAG_FIELDS,
        pa.field("id", pa.string()),
        *PAGE_COLUMNS,
    ]
)
"""What gate `fetch` sees of a caption: `id` is its document's, `flag_*` are its flags."""


@dataclass(frozen=True, slots=True)
class KeptFiles:
    """A part's pages, and what dedup said of them."""

    pages: PageFiles
    signatures: str | None
    clusters: str | None
    repeats: str | None
    contamination: str | None = None
    """What holds an evaluation item; None where nothing does, or nothing was looked for."""


def contaminated_ids(output: str, files: KeptFiles, kinds: Sequence[str]) -> pa.Array:
    """Ids of what decontamination removed of a part: `document`, `text` or `caption`."""
    found = read_table(output, some(files.contamination), ["kind", "id"])
    if found is None:
        return pa.array([], pa.string())
    return rows_with(found, "kind", kinds)["id"].combine_chunks()


def read_kept_pages(output: str, files: KeptFiles, pages: pa.Table | None = None) -> pa.Table:
    """The pages of a part that passed gate `dedup` and decontamination, each record once.

    Args:
        output: Where the files lie.
        files: Those of the part.
        pages: What `read_pages` gives, where it is read already.
    """
    pages = read_pages(output, files.pages) if pages is None else pages
    signed = read_table(output, some(files.signatures), ["id"])
    if signed is None:
        return pages.slice(0, 0)
    pages = rows_with(pages, "id", signed["id"].combine_chunks())
    repeats = read_table(output, some(files.repeats))
    if repeats is not None:
        again = pc.is_in(pages["id"], value_set=repeats["id"].combine_chunks())
        pages = pages.filter(pc.invert(again))
    removed = contaminated_ids(output, files, ("document", "text"))
    return pages.filter(pc.invert(pc.is_in(pages["id"], value_set=removed)))


def exact_duplicates(output: str, files: KeptFiles) -> pa.Array:
    """Ids of the part's pages whose text and images, in their order, a better-ranked page has.

    Or one that an earlier output published.
    """
    clusters = read_table(output, some(files.clusters), ["id", "held_by"])
    if clusters is None:
        return pa.array([], pa.string())
    return clusters.filter(clusters["held_by"].is_valid())["id"].combine_chunks()


def as_seen_pages(pages: pa.Table) -> pa.Table:
    """Pages by the names that gate `fetch` has for their columns."""
    names = {"url": "page_url", "title": "page_title"}
    return pages.rename_columns([names.get(name, name) for name in pages.column_names])


def seen_images(
    nodes: pa.Table, pages: pa.Table, rows: "np.ndarray[tuple[int], np.dtype[np.int64]]"
) -> pa.Table:
    """Image nodes as gate `fetch` sees them, from `as_seen_pages` and each node's row there."""
    for name in FETCH_IMAGE_SCHEMA.names:
        if name not in NODE_COLUMNS and name not in nodes.column_names:
            nodes = nodes.append_column(name, take_or_null(pages[name], rows))
    return nodes.select(FETCH_IMAGE_SCHEMA.names)


def seen_captions(
    captions: pa.Table, pages: pa.Table, rows: "np.ndarray[tuple[int], np.dtype[np.int64]]"
) -> pa.Table:
    """Captions as gate `fetch` sees them, from `as_seen_pages` and each caption's row there."""
    seen = captions.rename_columns(
        ["id" if name == "doc_id" else name for name in captions.column_names]
    )
    for name, column in flag_columns(captions["flags"]).items():
        seen = seen.append_column(name, column)
    for field in PAGE_COLUMNS:
        seen = seen.append_column(field.name, take_or_null(pages[field.name], rows))
    return seen.select(FETCH_CAPTION_SCHEMA.names)


@dataclass(eq=False)
class SelectImages:
    """Part function: gate `fetch` over image nodes and captions of documents that dedup kept."""

    output: str
    image_gate: RowGate
    caption_gate: RowGate

    def setup(self) -> None:
        """Nothing is heavy here."""

    def __call__(self, part: Part, sink: PartSink) -> None:
        """Select what is worth fetching."""
        files: KeptFiles = part.spec
        documents = self._documents(files, sink)
        pages = as_seen_pages(documents)
        places = Places(pages["id"])
        for nodes in iter_image_nodes(self.output, files.pages):
            sink.seen("image_nodes", len(nodes))
            rows = places.of(nodes["id"])
            self._orphans(sink, "image_nodes", "image", nodes["id"], nodes["node"], rows)
            nodes = seen_images(nodes.filter(pa.array(rows >= 0)), pages, rows[rows >= 0])
            self._judge(sink, "image_nodes", self.image_gate, "image", nodes)
        contaminated = contaminated_ids(self.output, files, ("caption",))
        for path in files.pages.paths("captions"):
            for batch in iter_batches(self.output, path, 8192):
                captions = pa.Table.from_batches([batch])
                removed = pc.is_in(captions["caption_id"], value_set=contaminated)
                self._captions(sink, captions.filter(pc.invert(removed)), pages, places)

    def _documents(self, files: KeptFiles, sink: PartSink) -> pa.Table:
        """Documents with a text of their own; the others are counted as duplicates."""
        documents = rows_with(read_kept_pages(self.output, files), "kind", ["document"])
        sink.seen("documents", len(documents))
        again = pc.is_in(documents["id"], value_set=exact_duplicates(self.output, files))
        self._builtin(
            sink, "documents", "document", documents.filter(again)["id"], None, "duplicate",
            "the best-ranked page of its exact text",
        )  # fmt: skip
        kept = documents.filter(pc.invert(again))
        sink.count("documents", kept=len(kept))
        return kept

    def _captions(
        self, sink: PartSink, captions: pa.Table, pages: pa.Table, places: Places
    ) -> None:
        sink.seen("captions", len(captions))
        rows = places.of(captions["doc_id"])
        self._orphans(sink, "captions", "caption", captions["caption_id"], None, rows)
        kept, rows = captions.filter(pa.array(rows >= 0)), rows[rows >= 0]
        decisions = evaluate(self.caption_gate, seen_captions(kept, pages, rows))
        sink.write(
            "ledger", ledger_rows(f"{GATE}.caption", "caption", kept["caption_id"], None, decisions)
        )
        sink.count(
            "captions", kept=int(decisions.keep.sum()), rejected=decisions.rejected_by_rule()
        )
        sink.write("wanted_captions", kept.filter(pa.array(decisions.keep)))

    def _judge(self, sink: PartSink, table: str, gate: RowGate, kind: str, rows: pa.Table) -> None:
        decisions = evaluate(gate, rows)
        sink.write(
            "ledger", ledger_rows(f"{GATE}.{kind}", kind, rows["id"], rows["node"], decisions)
        )
        sink.count(table, kept=int(decisions.keep.sum()), rejected=decisions.rejected_by_rule())
        kept = rows.filter(pa.array(decisions.keep))
        sink.write("wanted_images", kept.select(["id", "node", "image_url", "page_url", "site"]))

    def _orphans(
        self,
        sink: PartSink,
        table: str,
        kind: str,
        ids: pa.ChunkedArray,
        nodes: pa.ChunkedArray | None,
        rows: "np.ndarray[tuple[int], np.dtype[np.int64]]",
    ) -> None:
        """Rows whose document did not come this far."""
        lost = pa.array(rows < 0)
        self._builtin(
            sink, table, kind, ids.filter(lost), None if nodes is None else nodes.filter(lost),
            "document_rejected", "its document passes gate dedup and decontamination, once",
        )  # fmt: skip

    def _builtin(
        self,
        sink: PartSink,
        table: str,
        kind: str,
        ids: pa.ChunkedArray,
        nodes: pa.ChunkedArray | None,
        rule: str,
        threshold: str,
    ) -> None:
        sink.count(table, rejected={rule: len(ids)})
        sink.write("ledger", builtin_ledger(GATE, kind, ids, nodes, rule, threshold))


def iter_image_nodes(output: str, files: PageFiles, rows: int = 1024) -> Iterator[pa.Table]:
    """The image nodes of so many documents of a part at a time, and what the page says of each."""
    columns = ["doc_id", *(f"nodes.list.element.{name}" for name in ("kind", *NODE_COLUMNS))]
    for path in files.paths("documents"):
        for batch in iter_batches(output, path, rows, columns):
            yield _image_nodes(batch)


def _image_nodes(batch: pa.RecordBatch) -> pa.Table:
    nodes = batch.column("nodes")
    flat = nodes.flatten()
    parents, numbers = node_places(nodes)
    table = pa.table(
        {
            "id": batch.column("doc_id").take(parents),
            "node": numbers,
            **{name: pc.struct_field(flat, name) for name in NODE_COLUMNS},
        }
    )
    return table.filter(pc.equal(pc.struct_field(flat, "kind"), "image"))
