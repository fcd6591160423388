"""Which paragraphs stand on several pages of one site: counted over the corpus, told to the parts.

What a template writes on every page (a notice, an invitation, an author's line) describes none of
them. Paragraphs of the pages that dedup kept meet by site and text; a part sends each once a page
and gets back those that stand on `dedup.paragraph_pages` pages or more. A page counts once however
often it was crawled or printed: pages of one component of duplicates are one. Memory is a bucket
of keys, some 30 bytes a paragraph, and the repeated ones of a part.

Nothing is removed here. Table `repeated_paragraphs` says what goes, `scores_shortened` holds the
measures of what is left; gate `shard` applies both (`shortened_pages.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from schemas.ids import digest
from schemas.paragraph_rows import RepeatedParagraph
from transforms.pages import PageFiles, components_of
from transforms.paragraphs import (
    Piece,
    Repeated,
    piece_keys,
    removals,
    repeats,
    shorten,
    split_paragraphs,
)
from transforms.select_images import KeptFiles, read_kept_pages
from transforms.shuffle import Block, split_rows
from transforms.sink import Part, PartSink
from transforms.table_files import iter_batches
from transforms.text_scores import score_text

STAGE = "dedup"
STEP_VERSION = 1

_SEEN_SCHEMA = pa.schema(
    [pa.field("part", pa.int32()), pa.field("key", pa.binary()), pa.field("page", pa.uint64())]
)
_COUNT_SCHEMA = pa.schema(
    [pa.field("key", pa.binary()), pa.field("pages", pa.int64()), pa.field("first", pa.uint64())]
)
_ROWS_PER_BLOCK = 1 << 17
_PAGES_PER_READ = 512


@dataclass(frozen=True, slots=True)
class NumberedFiles:
    """The files of a part, and its number: what travels in its place."""

    number: int
    kept: KeptFiles


# --- pages as paragraphs


def document_pieces(batch: pa.RecordBatch) -> Iterator[tuple[str, list[Piece]]]:
    """Documents of a batch: id, text nodes and images in order."""
    nodes = batch.column("nodes")
    flat = nodes.flatten()
    texts = pc.struct_field(flat, "text").to_pylist()
    captions = pc.equal(pc.struct_field(flat, "role"), "caption").to_pylist()
    start = 0
    lengths = nodes.value_lengths().to_pylist()
    for page_id, length in zip(batch.column("doc_id").to_pylist(), lengths, strict=True):
        places = range(start, start + length)
        yield page_id, [Piece(row - start, texts[row], captions[row]) for row in places]
        start += length


def text_pieces(text: str) -> list[Piece]:
    """The paragraphs of a text."""
    return [Piece(position, part) for position, part in enumerate(split_paragraphs(text))]


def _iter_pages(
    output: str, files: PageFiles, wanted: Mapping[str, object]
) -> Iterator[tuple[str, list[Piece]]]:
    """The wanted pages of a part."""
    for path in files.paths("documents"):
        for batch in iter_batches(output, path, _PAGES_PER_READ, ["doc_id", "nodes"]):
            for page_id, pieces in document_pieces(batch):
                if page_id in wanted:
                    yield page_id, pieces
    for path in files.paths("texts"):
        for batch in iter_batches(output, path, _PAGES_PER_READ, ["text_id", "text"]):
            columns = (batch.column(name).to_pylist() for name in ("text_id", "text"))
            for page_id, text in zip(*columns, strict=True):
                if page_id in wanted:
                    yield page_id, text_pieces(text)


def _sited_pages(output: str, files: KeptFiles) -> dict[str, tuple[str, int]]:
    """Of each kept page with a URL its site, and the number by which it is counted.

    A row of a table without a page has the site of its image: it is no page of a site.
    """
    pages = read_kept_pages(output, files)
    pages = pages.filter(pc.and_(pc.not_equal(pages["site"], ""), pc.not_equal(pages["url"], "")))
    components = components_of(output, files.clusters, pages["id"])
    columns = (pages["id"], pages["site"], pages["url"], components)
    return {
        page_id: (site, _page_number(component, url))
        for page_id, site, url, component in zip(*(c.to_pylist() for c in columns), strict=True)
    }


def _page_number(component: str | None, url: str) -> int:
    """64 bits: the chance that one of a million pages of a paragraph is not counted is 10^-7."""
    name = ("url", url) if component is None else ("component", component)
    return int(digest(*name)[:16], 16)


# --- the shuffle


@dataclass(eq=False)
class EmitParagraphs:
    """Map side: every paragraph of a page, once, to the bucket of its site and text."""

    output: str
    buckets: int

    def __call__(self, part: Part) -> Iterator[Block]:
        """Yield keys and pages, and an empty block for the part itself."""
        files: NumberedFiles = part.spec
        sited = _sited_pages(self.output, files.kept)
        keys: list[str] = []
        pages: list[int] = []
        for page_id, pieces in _iter_pages(self.output, files.kept.pages, sited):
            site, number = sited[page_id]
            found = {key for piece in pieces for key in piece_keys(site, piece) if key}
            keys += sorted(found)
            pages += [number] * len(found)
            if len(keys) >= _ROWS_PER_BLOCK:
                yield from self._blocks(files.number, keys, pages)
                keys, pages = [], []
        yield from self._blocks(files.number, keys, pages)
        yield f"part {files.number}", _SEEN_SCHEMA.empty_table()

    def _blocks(self, part: int, keys: list[str], pages: list[int]) -> Iterator[Block]:
        columns = [[part] * len(keys), [bytes.fromhex(key) for key in keys], pages]
        rows = pa.table(columns, schema=_SEEN_SCHEMA)
        names = [f"meet {int(key[:8], 16) % self.buckets:05d}" for key in keys]
        return split_rows(rows, names)


@dataclass(eq=False)
class CountPages:
    """Reduce: the paragraphs that stand on too many pages, to the numbers of the parts."""

    min_pages: int

    def __call__(self, bucket: str, rows: pa.Table) -> Iterator[Block]:
        """Count distinct pages."""
        kind, _, name = bucket.partition(" ")
        if kind == "part":
            yield name, _COUNT_SCHEMA.empty_table()
            return
        counts = rows.group_by("key", use_threads=False).aggregate(
            [("page", "count_distinct"), ("page", "min")]
        )
        counts = counts.rename_columns({"page_count_distinct": "pages", "page_min": "first"})
        counts = counts.filter(pc.greater_equal(counts["pages"], self.min_pages))
        parts = rows.group_by(["part", "key"], use_threads=False).aggregate([])
        found = parts.join(counts, "key", join_type="inner", use_threads=False)
        names = found["part"].cast(pa.string())
        yield from split_rows(found.select(_COUNT_SCHEMA.names).cast(_COUNT_SCHEMA), names)


@dataclass(eq=False)
class CommitParagraphs:
    """Last reduce: what goes of the pages of a part, and the measures of what is left of them."""

    output: str
    min_pages: int
    files: Mapping[str, KeptFiles]
    """Part name -> its files."""

    def __call__(self, part: Part, rows: pa.Table, sink: PartSink) -> None:
        """Read the part's pages again, and note what goes."""
        if not len(rows):
            return
        keys = (key.hex() for key in rows["key"].to_pylist())
        columns = (rows[name].to_pylist() for name in ("pages", "first"))
        counts = dict(zip(keys, map(Repeated, *columns), strict=True))
        files = self.files[part.spec]
        sited = _sited_pages(self.output, files)
        for page_id, pieces in _iter_pages(self.output, files.pages, sited):
            site, number = sited[page_id]
            gone = removals(pieces, repeats(site, pieces, counts, number))
            if not gone:
                continue
            for node, pages in sorted(gone.items()):
                row = RepeatedParagraph(page_id, node, pages, self.min_pages - 1)
                sink.write_row("repeated_paragraphs", row)
            left = shorten(pieces, gone.__contains__)
            sink.write_row("scores_shortened", score_text(page_id, left))
            sink.fact("shortened_pages")
            sink.fact("repeated_paragraphs", len(gone))
