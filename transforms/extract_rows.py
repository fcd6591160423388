"""Extract, for tables and existing corpora: what a reader gives becomes the tables of a crawl.

A row becomes a document or a text with captions, scores and image records, as a page would, so that
no later step asks where it came from. What differs follows from what there is: a document without a
text of its own is scored by its captions, a row without a page stands at the site of its image, and
a caption that the input gives takes the place of those that are found around an image.
"""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from schemas import ids
from schemas.errors import InputError, InputRowError, PageTooLargeError
from schemas.rows import Caption, Document, ImageRecord, LedgerRow, Node, Text, TextScore
from transforms.captions import find_captions, make_captions
from transforms.extract import (
    GATE,
    ExtractPart,
    ExtractSettings,
    InputSlice,
    keep_image,
    text_of,
)
from transforms.image_edges import link_images
from transforms.input_columns import InputConfig
from transforms.input_formats import make_reader
from transforms.input_rows import (
    BadRow,
    InputCaption,
    InputDocument,
    InputImage,
    InputReader,
    RefusedRow,
    Row,
)
from transforms.packs import PackWriter
from transforms.sink import Part, PartSink
from transforms.text_scores import score_text
from transforms.urls import MAX_URL_LENGTH, normalize_url, site_of
from transforms.warc import Record

STEP_VERSION = 1

_SHOWN = 300
"""Characters of a value that a ledger row shows."""


@dataclass(frozen=True, slots=True)
class RowTables:
    """What a row gives."""

    page: Document | Text
    captions: list[Caption]
    score: TextScore


def _usable(nodes: list[Node], captions: Sequence[InputCaption]) -> tuple[list[Node], list[int]]:
    """The nodes with normalised URLs, without images that have none; and the old positions."""
    kept: list[Node] = []
    places: list[int] = []
    said = {caption.node: caption.text for caption in reversed(captions)}
    for position, node in enumerate(nodes):
        if node.kind == "image":
            url = normalize_url(node.image_url or "")
            if url is None:
                continue
            alt = node.alt if node.alt is not None else said.get(position)
            if url != node.image_url or alt != node.alt:
                node = replace(node, image_url=url, alt=alt)
        elif not node.text or node.text.isspace():
            continue
        kept.append(node)
        places.append(position)
    return kept, places


def _payload(document: InputDocument) -> bytes:
    """Everything a row says, the same for the same row. Raises `InputRowError`."""
    fields = [
        document.url, document.title, document.date, document.language_declared or "",
        document.license or "", document.date_published or "",
    ]  # fmt: skip
    for node in document.nodes:
        fields += (
            node.kind, node.role, node.text or "", node.image_url or "", node.alt or "",
            node.title or "", node.figcaption or "", node.neighbour or "", node.full_url or "",
        )  # fmt: skip
    for caption in document.captions:
        fields += (str(caption.node), caption.origin, caption.text)
    said = "\0".join(fields)
    if said.count("\0") >= len(fields):
        raise InputRowError("a NUL character in a text")
    try:
        return said.encode()
    except UnicodeEncodeError as e:
        raise InputRowError(f"a text is no UTF-8: {e.reason}") from e


def row_tables(document: InputDocument, source: str, settings: ExtractSettings) -> RowTables | None:
    """Turn a row into rows of tables; None where it holds neither a text nor an image to ask for.

    Raises `InputRowError` and `PageTooLargeError`.
    """
    limits = settings.page
    if len(document.nodes) > limits.max_nodes:
        raise PageTooLargeError(f"more than {limits.max_nodes} nodes")
    payload = _payload(document)
    if len(payload) > limits.max_html_characters:
        raise PageTooLargeError(f"more than {limits.max_html_characters} characters")
    for caption in document.captions:
        if not 0 <= caption.node < len(document.nodes):
            raise InputRowError(f"a caption of node {caption.node}, which is not there")
    nodes, places = _usable(document.nodes, document.captions)
    if not nodes:
        return None
    sha256 = hashlib.sha256(payload).hexdigest()
    doc_id = ids.document_id(document.url, document.key, sha256)
    url = normalize_url(document.url) or ""
    captions = _captions(document, nodes, places, doc_id, url, settings)
    first_image = next((node.image_url for node in nodes if node.kind == "image"), None)
    text = text_of(nodes)
    # Of a row that is an image and its text, the text is all there is to judge.
    said = text or "\n".join(dict.fromkeys(caption.text for caption in captions))
    if len(said) > limits.max_characters:
        raise PageTooLargeError(f"more than {limits.max_characters} characters of text")
    score = score_text(doc_id, said)
    language, declared = score.language, document.language_declared
    site = site_of(url or first_image or "")
    if first_image is not None:
        page: Document | Text = Document(
            doc_id, url, site, document.title, language, declared, document.date, "", None,
            source, document.place, sha256, nodes, date_published=document.date_published,
            license=document.license,
        )  # fmt: skip
    else:
        page = Text(
            doc_id, url, site, document.title, language, declared, document.date, "", None,
            source, document.place, sha256, text, date_published=document.date_published,
            license=document.license,
        )  # fmt: skip
    return RowTables(page, captions, score)


def _captions(
    document: InputDocument,
    nodes: list[Node],
    places: list[int],
    doc_id: str,
    url: str,
    settings: ExtractSettings,
) -> list[Caption]:
    longest = settings.page.max_alt_characters
    now = {old: position for position, old in enumerate(places)}
    given = [
        (now[caption.node], caption.origin, text)
        for caption in document.captions
        if caption.node in now
        and nodes[now[caption.node]].kind == "image"
        and (text := " ".join(caption.text.split())[:longest].rstrip())
    ]
    captions = make_captions(given, nodes, doc_id, url, document.title)
    told = {position for position, _, _ in given}
    if all(position in told for position, node in enumerate(nodes) if node.kind == "image"):
        return captions
    link_images(nodes)
    found = find_captions(nodes, doc_id, url, document.title, settings.captions)
    captions += [caption for caption in found if caption.node not in told]
    return sorted(captions, key=lambda caption: caption.node)


def _as_record(image: InputImage, document: InputDocument) -> Record:
    """An image of a row as a crawl's record of it, which is what the packs are filled from."""
    digest = base64.b32encode(hashlib.sha1(image.data).digest()).decode()
    return Record(
        "resource", image.url, document.date, document.place, None, "", None, image.data,
        f"sha1:{digest}", None, None,
    )  # fmt: skip


def _rows_of(reader: InputReader, where: InputSlice) -> Iterator[Row]:
    """The rows of a slice; of a file that turns out to be of another format, a failed one."""
    try:
        yield from reader.read(where.url, where.start, where.end)
    except InputError as e:
        yield BadRow(str(where.start), InputRowError(str(e)))


@dataclass(eq=False)
class ExtractRows:
    """The part function: reads a slice with the reader of its format."""

    output: str
    settings: ExtractSettings
    config: InputConfig

    def setup(self) -> None:
        """Nothing is heavy here."""

    def __call__(self, part: Part, sink: PartSink) -> None:
        """Read the slice to its end."""
        where: InputSlice = part.spec
        reader = make_reader(where.format, self.config)
        images: list[tuple[ImageRecord, int]] = []
        known: set[str] = set()
        with PackWriter(self.output, self.settings.pack_bytes) as packs:
            for row in _rows_of(reader, where):
                sink.seen("rows")
                row_id = f"{where.source}:{row.key}"
                if isinstance(row, BadRow):
                    sink.fail("rows", row_id, row.error)
                elif isinstance(row, RefusedRow):
                    _reject(sink, row_id, row.rule, row.value, row.threshold)
                elif self._document(row, row_id, where.source, sink, known):
                    self._images(row, row_id, where.source, sink, packs, images)
            names = packs.close()
        sink.commit.packs = names
        for image, pack in images:
            sink.write_row("image_records", replace(image, pack=names[pack]))

    def _document(
        self, row: InputDocument, row_id: str, source: str, sink: PartSink, known: set[str]
    ) -> bool:
        """Write a row's tables; whether it was kept."""
        try:
            tables = row_tables(row, source, self.settings)
        except (InputRowError, PageTooLargeError) as e:
            sink.fail("rows", row_id, e)
            return False
        if tables is None:
            _reject(
                sink, row_id, "no_content", row.url[:_SHOWN],
                f"a text, or an image with an http or https URL of at most {MAX_URL_LENGTH} "
                "characters",
            )  # fmt: skip
            return False
        page_id = tables.score.id
        if page_id in known:
            _reject(sink, page_id, "same_record", row_id, "once")
            return False
        known.add(page_id)
        sink.count("rows", kept=1)
        table = "documents" if isinstance(tables.page, Document) else "texts"
        sink.seen(table)
        sink.keep(table, tables.page)
        sink.write_row("scores_text", tables.score)
        seen: set[str] = set()
        for caption in tables.captions:
            sink.seen("captions")
            if caption.caption_id in seen:
                ledger = LedgerRow(
                    GATE, "caption", caption.caption_id, None, "same_record", True, None,
                    caption.text, "once",
                )  # fmt: skip
                sink.reject("captions", ledger)
                continue
            seen.add(caption.caption_id)
            sink.keep("captions", caption)
        return True

    def _images(
        self,
        row: InputDocument,
        row_id: str,
        source: str,
        sink: PartSink,
        packs: PackWriter,
        images: list[tuple[ImageRecord, int]],
    ) -> None:
        for number, image in enumerate(row.images):
            record = _as_record(image, row)
            image_id = f"{row_id}:{number}"
            keep_image(record, image_id, source, self.settings, sink, packs, images)


def _reject(sink: PartSink, row_id: str, rule: str, value: str, threshold: str) -> None:
    shown = value.encode("utf-8", "replace").decode()
    sink.reject("rows", LedgerRow(GATE, "row", row_id, None, rule, True, None, shown, threshold))


@dataclass(eq=False)
class ExtractInput:
    """The part function of the stage: crawl files by `ExtractPart`, all others by `ExtractRows`."""

    output: str
    settings: ExtractSettings
    config: InputConfig

    def setup(self) -> None:
        """Nothing is heavy here."""

    def __call__(self, part: Part, sink: PartSink) -> None:
        """Read the slice to its end."""
        if part.spec.format == "warc":
            ExtractPart(self.output, self.settings)(part, sink)
        else:
            ExtractRows(self.output, self.settings, self.config)(part, sink)
