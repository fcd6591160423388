"""Extract: records of a crawl file become documents, texts, captions, scores and packed images.

One pass over a slice of a file. A page with at least one image becomes a document, another a text;
an image record goes to a pack as received and becomes an image record, joined to the pages by URL
later. Memory is bounded by one record and the part's image rows.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

from schemas import ids
from schemas.errors import DataError, ImageError, WarcParseError
from schemas.rows import Caption, Document, ImageRecord, LedgerRow, Node, Text
from transforms import storage
from transforms.captions import CandidateConfig, find_captions
from transforms.charset import decode_html
from transforms.image_facts import (
    ImageFactsConfig,
    looks_like_image,
    outcome_of,
    read_image_facts,
)
from transforms.interleave import extract_page
from transforms.packs import PackWriter
from transforms.page_facts import page_facts
from transforms.page_limits import ExtractConfig
from transforms.parts import MapParts
from transforms.sink import Part, PartSink
from transforms.text_scores import score_text
from transforms.urls import normalize_url, site_of
from transforms.warc import BadRecord, Record, SkippedRecord, WarcConfig, read_records

STAGE = "extract"
STEP_VERSION = 3
GATE = "record"
"""Name of the gate in the ledger for the built-in rules of this stage."""

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
UNTYPED = frozenset({"", "application/octet-stream", "binary/octet-stream", "unknown/unknown"})
"""Content types that say nothing, so the bytes decide."""
_HTML_START = re.compile(
    rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)
_SNIFF_BYTES = 1024


@dataclass(frozen=True, slots=True)
class InputSlice:
    """A slice of an input file."""

    url: str
    source: str
    """Path relative to the input root; what rows carry."""
    start: int
    end: int | None
    format: str = "warc"
    """`warc`, or one of `input_formats.FORMATS`."""


@dataclass(frozen=True, slots=True)
class ExtractSettings:
    """What extract does with records, pages and images."""

    warc: WarcConfig = field(default_factory=WarcConfig)
    page: ExtractConfig = field(default_factory=ExtractConfig)
    captions: CandidateConfig = field(default_factory=CandidateConfig)
    image: ImageFactsConfig = field(default_factory=ImageFactsConfig)
    pack_bytes: int = 512 * 1024 * 1024
    """Size above which a part starts another pack."""


def record_kind(record: Record) -> str:
    """What a response or resource record holds: `page`, `image` or `other`.

    The declared type decides, except that bytes which are an image are one under any HTML label:
    servers mislabel pictures, and no page starts with an image's signature.
    """
    if record.content_type.startswith("image/"):
        return "image"
    if record.content_type in HTML_TYPES:
        return "image" if looks_like_image(record.payload[:_SNIFF_BYTES]) else "page"
    if record.content_type in UNTYPED:
        if looks_like_image(record.payload[:_SNIFF_BYTES]):
            return "image"
        if _HTML_START.match(record.payload[:_SNIFF_BYTES]):
            return "page"
    return "other"


def is_image_revisit(record: Record) -> bool:
    """Whether a revisit stands for an image: by the type it repeats, else by the URL's ending."""
    if record.content_type:
        return record.content_type.startswith("image/")
    path = record.url.partition("?")[0].lower()
    return path.endswith((".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".bmp"))


@dataclass(frozen=True, slots=True)
class PageRows:
    """What one page gives: a document or a text, and its caption candidates."""

    page: Document | Text
    captions: list[Caption]
    text: str
    """The text that is scored: all text nodes, blank lines between."""


def page_rows(record: Record, source: str, settings: ExtractSettings) -> PageRows | None:
    """Turn an HTML record into rows; None where the page holds neither text nor image.

    Raises `PageError`.
    """
    html, charset = decode_html(record.payload, record.content_type_raw)
    url = normalize_url(record.url) or record.url
    page = extract_page(html, url, settings.page)
    if not page.nodes:
        return None
    sha256 = hashlib.sha256(record.payload).hexdigest()
    doc_id = ids.document_id(record.url, record.date, sha256)
    text = text_of(page.nodes)
    declared = page_facts(html, page.dom, page.base_url, record.http_headers, record.date)
    facts: dict[str, Any] = {
        **{column.name: getattr(declared, column.name) for column in fields(declared)},
        "url": url,
        "site": site_of(url),
        "language": "und",
        "date": record.date,
        "charset": charset,
        "truncated": record.truncated,
        "source_file": source,
        "source_offset": record.offset,
        "payload_sha256": sha256,
    }
    if any(node.kind == "image" for node in page.nodes):
        document = Document(doc_id=doc_id, nodes=page.nodes, **facts)
        found = find_captions(page.nodes, doc_id, url, declared.title, settings.captions)
        return PageRows(document, found, text)
    return PageRows(Text(text_id=doc_id, text=text, **facts), [], text)


def text_of(nodes: list[Node]) -> str:
    """All text nodes of a document, blank lines between."""
    return "\n\n".join(node.text for node in nodes if node.text)


def image_record(record: Record, source: str, settings: ExtractSettings) -> ImageRecord:
    """The facts of an image record; raises `ImageError`."""
    facts = read_image_facts(record.payload, settings.image)
    return replace(
        _bare_image(record, source, "ok"),
        image_key=ids.image_key(facts.sha256),
        size=len(record.payload),
        width=facts.width,
        height=facts.height,
        format=facts.format,
        mode=facts.mode,
        frames=facts.frames,
        orientation=facts.orientation,
        sha256=facts.sha256,
        phash=facts.phash,
    )


def _bare_image(
    record: Record, source: str, outcome: str, message: str | None = None
) -> ImageRecord:
    return ImageRecord(
        image_url=normalize_url(record.url) or record.url,
        image_key=None,
        outcome=outcome,
        date=record.date,
        payload_digest=record.payload_digest,
        source_file=source,
        source_offset=record.offset,
        message=message,
    )


def keep_image(
    record: Record,
    record_id: str,
    source: str,
    settings: ExtractSettings,
    sink: PartSink,
    packs: PackWriter,
    images: list[tuple[ImageRecord, int]],
) -> None:
    """Pack an image; its row waits in `images`, with the pack's number, until packs have names."""
    sink.seen("image_records")
    try:
        image = image_record(record, source, settings)
    except ImageError as e:
        # A failed image keeps its row as well: `images` must say why a URL has no bytes.
        sink.fail("image_records", record_id, e)
        message = str(e)[:200]
        sink.write_row("image_records", _bare_image(record, source, outcome_of(e), message))
        return
    assert image.image_key is not None
    assert image.format is not None
    slot = packs.add(image.image_key, image.format, record.payload)
    sink.count("image_records", kept=1)
    images.append((replace(image, offset=slot.offset, size=slot.size), slot.pack))


def _ledger(record_id: str, rule: str, value: str, threshold: str, kind: str) -> LedgerRow:
    return LedgerRow(GATE, kind, record_id, None, rule, True, None, value, threshold)


@dataclass(eq=False)
class ExtractPart:
    """The part function: reads a slice, hands every record to a sink."""

    output: str
    settings: ExtractSettings

    def setup(self) -> None:
        """Nothing is heavy here."""

    def __call__(self, part: Part, sink: PartSink) -> None:
        """Read the slice to its end."""
        where: InputSlice = part.spec
        images: list[tuple[ImageRecord, int]] = []
        known: set[str] = set()
        found = False
        with PackWriter(self.output, self.settings.pack_bytes) as packs:
            for item in self._records(where):
                found = True
                if isinstance(item, SkippedRecord):
                    sink.fact(f"records_{item.kind}")
                    continue
                sink.seen("records")
                record_id = f"{where.source}:{item.offset}"
                if isinstance(item, BadRecord):
                    sink.fail("records", record_id, item.error)
                else:
                    self._record(item, record_id, where.source, sink, packs, images, known)
            names = packs.close()
        if where.start == 0 and not found:
            # A file of padding only, which the reader skips: say so, or it would seem read.
            sink.seen("records")
            sink.fail(
                "records", f"{where.source}:0", WarcParseError("no record in the whole slice")
            )
        sink.commit.packs = names
        for image, pack in images:
            sink.write_row("image_records", replace(image, pack=names[pack]))

    def _records(self, where: InputSlice) -> Iterator[Record | BadRecord | SkippedRecord]:
        fs, path = storage.resolve(where.url)
        with fs.open(path, "rb") as stream:
            yield from read_records(
                stream, where.source, self.settings.warc, where.start, where.end
            )

    def _record(
        self,
        record: Record,
        record_id: str,
        source: str,
        sink: PartSink,
        packs: PackWriter,
        images: list[tuple[ImageRecord, int]],
        known: set[str],
    ) -> None:
        def reject(rule: str, value: str, threshold: str) -> None:
            sink.reject("records", _ledger(record_id, rule, value, threshold, "record"))

        if record.kind == "revisit":
            if not is_image_revisit(record):
                reject("revisit", record.url, "a page that was not fetched again")
                return
            sink.count("records", kept=1)
            sink.seen("image_records")
            sink.keep("image_records", _bare_image(record, source, "revisit"))
            return
        if record.status is not None and record.status != 200:
            reject("status", str(record.status), "equals=200")
            return
        kind = record_kind(record)
        if kind == "other":
            reject("content_type", record.content_type, "HTML or an image")
            return
        if kind == "page" and not record.payload:
            reject("empty", record.content_type, "at least one byte")
            return
        sink.count("records", kept=1)
        if kind == "image":
            keep_image(record, record_id, source, self.settings, sink, packs, images)
        else:
            self._page(record, record_id, source, sink, known)

    def _page(
        self, record: Record, record_id: str, source: str, sink: PartSink, known: set[str]
    ) -> None:
        sink.seen("pages")
        try:
            rows = page_rows(record, source, self.settings)
            score = None if rows is None else score_text(_id_of(rows.page), rows.text)
        except DataError as e:
            sink.fail("pages", record_id, e)
            return
        if rows is None or score is None:
            sink.reject(
                "pages", _ledger(record_id, "no_content", record.url, "text or image", "page")
            )
            return
        page_id = _id_of(rows.page)
        if page_id in known:
            sink.reject("pages", _ledger(page_id, "same_record", record_id, "once", "page"))
            return
        known.add(page_id)
        sink.count("pages", kept=1)
        table = "documents" if isinstance(rows.page, Document) else "texts"
        sink.seen(table)
        sink.keep(table, replace(rows.page, language=score.language))
        sink.write_row("scores_text", score)
        seen_captions: set[str] = set()
        for caption in rows.captions:
            sink.seen("captions")
            if caption.caption_id in seen_captions:
                sink.reject(
                    "captions",
                    _ledger(caption.caption_id, "same_record", caption.text, "once", "caption"),
                )
                continue
            seen_captions.add(caption.caption_id)
            sink.keep("captions", caption)


def _id_of(page: Document | Text) -> str:
    return page.doc_id if isinstance(page, Document) else page.text_id


def extract_slices(output: str, parts: list[Part], settings: ExtractSettings) -> MapParts:
    """The transform: every slice of every input file through `ExtractPart`."""
    return MapParts(STAGE, output, parts, ExtractPart(output, settings))
