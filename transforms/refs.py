"""Refs: how often an image URL is used, and which URLs have bytes already.

Uses and image records meet by URL: `image_refs` counts the distinct pages and sites of a URL, and
the best record of a URL becomes its row of `images`, so nothing in the crawl is downloaded again.
A revisit record takes the bytes of a record with the same payload digest, under whatever URL that
one was found; this needs a hop of its own, by digest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from schemas.ids import digest
from schemas.rows import Image, ImageRecord, ImageRef
from schemas.tables import schema_of
from transforms.ledger import builtin_ledger
from transforms.pages import components_of, known_columns, page_names, positions, some
from transforms.shuffle import Block, split_rows
from transforms.sink import Part, PartSink
from transforms.table_files import read_rows, read_table

STAGE = "refs"
STEP_VERSION = 3
GATE = "refs"

_USE_SCHEMA = pa.schema(
    [pa.field("image_url", pa.string()), pa.field("page_url", pa.string()),
     pa.field("site", pa.string())]
)  # fmt: skip
_MEET_SCHEMA = pa.schema(
    [
        pa.field("row", pa.string()),
        pa.field("page_url", pa.string()),
        pa.field("site", pa.string()),
        *(field.with_nullable(True) for field in schema_of(ImageRecord)),
    ]
)
"""Uses and records in one schema: `row` is `use` or `record`."""


@dataclass(frozen=True, slots=True)
class RefsConfig:
    """How uses and records of an image meet."""

    buckets: int = 64
    """Buckets of URLs: memory is one bucket, so more of them for a larger corpus."""


@dataclass(frozen=True, slots=True)
class MeetFiles:
    """What one part brings to the shuffle by URL."""

    part: str
    wanted_images: str | None
    wanted_captions: str | None
    documents: str | None
    """File of the part's documents, for the site of a caption's page."""
    image_records: str | None
    clusters: str | None
    """File of the part's clusters: pages of one component count as one."""


def url_bucket(url: str, buckets: int) -> str:
    """The bucket of an image URL."""
    return f"{int(digest('image_url', url)[:8], 16) % buckets:05d}"


def page_uses(output: str, files: MeetFiles) -> pa.Table:
    """The distinct uses of image URLs by a part's pages: `image_url`, `page_url`, `site`."""
    tables = [_USE_SCHEMA.empty_table()]
    images = read_table(output, some(files.wanted_images))
    if images is not None:
        components = components_of(output, files.clusters, images["id"])
        pages = page_names(images["page_url"], images["id"], components)
        columns = [images["image_url"], pages, images["site"]]
        tables.append(pa.table(columns, schema=_USE_SCHEMA))
    captions = read_table(output, some(files.wanted_captions), ["image_url", "doc_id"])
    if captions is not None:
        documents = read_rows(output, some(files.documents), "documents", ["doc_id", "url", "site"])
        found = documents.take(pa.array(positions(documents["doc_id"], captions["doc_id"])))
        components = components_of(output, files.clusters, found["doc_id"])
        pages = page_names(found["url"], found["doc_id"], components)
        columns = [captions["image_url"], pages, found["site"]]
        tables.append(pa.table(columns, schema=_USE_SCHEMA))
    uses = pa.concat_tables(tables)
    return uses.group_by(_USE_SCHEMA.names, use_threads=False).aggregate([])


@dataclass(eq=False)
class EmitImages:
    """Map side: distinct uses by URL, records by payload digest."""

    output: str
    config: RefsConfig

    def __call__(self, part: Part) -> Iterator[Block]:
        """Yield uses, records, and an empty block for every bucket of URLs."""
        files: MeetFiles = part.spec
        uses = page_uses(self.output, files)
        names = [url_bucket(url, self.config.buckets) for url in uses["image_url"].to_pylist()]
        yield from _prefixed("url", _meet_rows("use", uses), names)
        records = read_rows(self.output, some(files.image_records), "image_records")
        names = [
            url_bucket(key, self.config.buckets) for key in records["payload_digest"].to_pylist()
        ]
        yield from _prefixed("digest", _meet_rows("record", records), names)
        for number in range(self.config.buckets):
            yield f"url {number:05d}", _MEET_SCHEMA.empty_table()


def _meet_rows(row: str, rows: pa.Table) -> pa.Table:
    known = dict(zip(rows.column_names, rows.columns, strict=True))
    known["row"] = pa.array([row] * len(rows), pa.string())
    return known_columns(known, _MEET_SCHEMA, len(rows))


def _prefixed(prefix: str, rows: pa.Table, names: Sequence[str]) -> Iterator[Block]:
    for name, chosen in split_rows(rows, names):
        yield f"{prefix} {name}", chosen


@dataclass(eq=False)
class JoinRevisits:
    """First reduce: a revisit takes the bytes of a record with its payload digest."""

    config: RefsConfig

    def __call__(self, bucket: str, rows: pa.Table) -> Iterator[Block]:
        """Pass uses through; resolve records by digest and send them on by URL."""
        kind, _, name = bucket.partition(" ")
        if kind == "url":
            yield name, rows
            return
        records = [row for row in rows.to_pylist() if row["outcome"] != "revisit"]
        best: dict[str, dict[str, object]] = {}
        for record in sorted(records, key=_preference):
            if record["outcome"] == "ok":
                best.setdefault(record["payload_digest"], record)
        for revisit in (row for row in rows.to_pylist() if row["outcome"] == "revisit"):
            found = best.get(revisit["payload_digest"])
            own = {name: revisit[name] for name in ("image_url", "date", "source_file")}
            own["source_offset"] = revisit["source_offset"]
            records.append({**found, **own} if found else {**revisit, "outcome": "revisit_missing"})
        resolved = pa.Table.from_pylist(records, _MEET_SCHEMA)
        names = [url_bucket(url, self.config.buckets) for url in resolved["image_url"].to_pylist()]
        yield from split_rows(resolved, names)


def _preference(record: dict[str, object]) -> tuple[object, ...]:
    """Sort key of an image's records, best first: usable, latest, then by key and place.

    WARC dates are fixed-width, so inverting each character sorts the latest first.
    """
    date = str(record["date"])
    return (
        record["outcome"] != "ok",
        tuple(-ord(character) for character in date),
        record["image_key"] or "",
        record["source_file"],
        record["source_offset"],
    )


@dataclass(eq=False)
class CommitImages:
    """Last reduce: the rows of `image_refs` and `images` of a bucket of URLs."""

    def __call__(self, part: Part, rows: pa.Table, sink: PartSink) -> None:
        """Count uses, choose a record for each URL."""
        uses = rows.filter(pc.equal(rows["row"], "use"))
        refs = (
            uses.group_by("image_url", use_threads=False)
            .aggregate([("page_url", "count_distinct"), ("site", "count_distinct")])
            .sort_by("image_url")
        )
        sink.seen("image_refs", len(refs))
        sink.count("image_refs", kept=len(refs))
        sink.write(
            "image_refs",
            pa.table(
                [refs["image_url"], refs["page_url_count_distinct"], refs["site_count_distinct"]],
                schema=schema_of(ImageRef),
            ),
        )
        wanted = set(refs["image_url"].to_pylist())
        answered: set[str] = set()
        records = rows.filter(pc.equal(rows["row"], "record")).to_pylist()
        for record in sorted(records, key=lambda row: (row["image_url"], *_preference(row))):
            sink.seen("image_records")
            url = record["image_url"]
            if url not in wanted or url in answered:
                rule = "superseded" if url in answered else "unreferenced"
                sink.count("image_records", rejected={rule: 1})
                sink.write("ledger", builtin_ledger(
                    GATE, "image_record", pa.chunked_array([[url]]), None, rule,
                    "one record for each URL that a kept page uses",
                ))  # fmt: skip
                continue
            answered.add(url)
            facts = {name: record.get(name) for name in schema_of(Image).names}
            facts |= {"attempt": 1, "answered_at": record["date"]}
            sink.keep("images", Image(**facts))
            sink.seen("images")
            sink.count("image_records", kept=1)
