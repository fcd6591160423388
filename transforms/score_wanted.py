"""What is to be scored of a part: the images and texts that gate `score` lets through, each once.

Images are those of its documents and captions that have bytes. Texts are the captions of these
images and, where a scorer asks for them, the paragraphs or sentences beside them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from schemas.outcomes import OK
from schemas.score_rows import TextUnit
from schemas.tables import schema_of
from transforms.candidates import CAPTION_SCHEMA, NODE_SCHEMA
from transforms.gates import RowGate, evaluate, ledger_rows
from transforms.minhash import text_hash
from transforms.pages import first_rows, rows_with, some
from transforms.sink import Part, PartSink
from transforms.table_files import read_table
from transforms.text_units import OFF, split_units

STEP_VERSION = 2
GATE = "score"
MAX_PAIRS = 100_000
"""Pairs of image and text unit of one document; the units behind them are left out, and counted."""

WANTED_IMAGE_SCHEMA = pa.schema(
    [
        pa.field("image_key", pa.string()),
        pa.field("pack", pa.string()),
        pa.field("offset", pa.int64()),
        pa.field("size", pa.int64()),
    ]
)
WANTED_TEXT_SCHEMA = pa.schema([pa.field("text_hash", pa.string()), pa.field("text", pa.string())])
PAIR_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("image_key", pa.string()),
        pa.field("text_hash", pa.string()),
    ]
)
"""A caption of an image, or with a null an image that meets all units of its document."""
CAPTION_PAIR_SCHEMA = pa.schema([pa.field("caption_id", pa.string()), *PAIR_SCHEMA])
"""The pair that a caption is. Those of captions that gate `score` refuses may be scored too: other
captions are the same pair."""


@dataclass(frozen=True, slots=True)
class ScoredFiles:
    """The candidates of one part."""

    nodes: str | None
    captions: str | None


@dataclass(eq=False)
class WantScores:
    """Part function: gate `score`, and what passes it."""

    output: str
    image_gate: RowGate
    caption_gate: RowGate
    unit: str
    """Units of documents: `off`, `paragraphs`, `sentences`."""

    def setup(self) -> None:
        """Nothing is heavy here."""

    def __call__(self, part: Part, sink: PartSink) -> None:
        """Judge, and write what is wanted in an order of its own."""
        files: ScoredFiles = part.spec
        captions = self._captions(files)
        # All of them, in their order: so a gate that decides again has nothing to look up.
        sink.write("caption_pairs", captions.select(CAPTION_PAIR_SCHEMA.names))
        captions = self._chosen(captions, sink)
        nodes = read_table(self.output, some(files.nodes))
        nodes = NODE_SCHEMA.empty_table() if nodes is None else nodes
        images = self._images(nodes, sink)
        units, texts = self._units(nodes, images, sink)
        known = [captions.select(WANTED_TEXT_SCHEMA.names).cast(WANTED_TEXT_SCHEMA), texts]
        _write_once(sink, "wanted_texts", pa.concat_tables(known))
        places = [rows.select(WANTED_IMAGE_SCHEMA.names) for rows in (captions, images)]
        _write_once(sink, "wanted_images_score", pa.concat_tables(places))
        pairs = [
            captions.select(PAIR_SCHEMA.names).cast(PAIR_SCHEMA),
            pa.table([images["id"], images["image_key"], pa.nulls(len(images), pa.string())],
                     schema=PAIR_SCHEMA),
        ]  # fmt: skip
        order = [(name, "ascending") for name in PAIR_SCHEMA.names]
        every = pa.concat_tables(pairs).group_by(PAIR_SCHEMA.names, use_threads=False)
        sink.write("wanted_pairs", every.aggregate([]).sort_by(order))
        sink.write("text_units", units)

    def _captions(self, files: ScoredFiles) -> pa.Table:
        """Captions with the pair that each is."""
        captions = read_table(self.output, some(files.captions))
        if captions is None:
            captions = CAPTION_SCHEMA.empty_table()
        hashes = pa.array([text_hash(text) for text in captions["text"].to_pylist()], pa.string())
        return captions.append_column("id", captions["doc_id"]).append_column("text_hash", hashes)

    def _chosen(self, captions: pa.Table, sink: PartSink) -> pa.Table:
        """Captions of images that have bytes, and that the gate lets through."""
        captions = rows_with(captions, "outcome", [OK])
        decisions = evaluate(self.caption_gate, captions)
        sink.seen("captions", len(captions))
        sink.count(
            "captions", kept=int(decisions.keep.sum()), rejected=decisions.rejected_by_rule()
        )
        ids = captions["caption_id"]
        sink.write("ledger", ledger_rows(f"{GATE}.caption", "caption", ids, None, decisions))
        return captions.filter(pa.array(decisions.keep))

    def _images(self, nodes: pa.Table, sink: PartSink) -> pa.Table:
        images = rows_with(rows_with(nodes, "kind", ["image"]), "outcome", [OK])
        decisions = evaluate(self.image_gate, images)
        sink.seen("image_nodes", len(images))
        sink.count(
            "image_nodes", kept=int(decisions.keep.sum()), rejected=decisions.rejected_by_rule()
        )
        sink.write(
            "ledger",
            ledger_rows(f"{GATE}.image", "image", images["id"], images["node"], decisions),
        )
        return images.filter(pa.array(decisions.keep))

    def _units(
        self, nodes: pa.Table, images: pa.Table, sink: PartSink
    ) -> tuple[pa.Table, pa.Table]:
        """The units of documents that have an image, and their texts."""
        if self.unit == OFF:
            return schema_of(TextUnit).empty_table(), WANTED_TEXT_SCHEMA.empty_table()
        counts = images.group_by("id", use_threads=False).aggregate([("image_key", "count")])
        rooms = {
            page: MAX_PAIRS // count
            for page, count in zip(
                counts["id"].to_pylist(), counts["image_key_count"].to_pylist(), strict=True
            )
        }
        texts = rows_with(nodes, "kind", ["text"]).sort_by(
            [("id", "ascending"), ("node", "ascending")]
        )
        rows = list(self._found(texts, rooms, sink))
        hashes = [text_hash(text) for _, _, _, text in rows]
        units = pa.table(
            [[row[at] for row in rows] for at in range(3)] + [hashes], schema=schema_of(TextUnit)
        )
        found = pa.table([hashes, [text for _, _, _, text in rows]], schema=WANTED_TEXT_SCHEMA)
        return units, found

    def _found(
        self, texts: pa.Table, rooms: dict[str, int], sink: PartSink
    ) -> Iterator[tuple[str, int, int, str]]:
        for page, node, text in zip(
            *(texts[name].to_pylist() for name in ("id", "node", "text")), strict=True
        ):
            if page not in rooms:
                continue
            units = split_units(text or "", self.unit)
            taken = units[: rooms[page]]
            rooms[page] -= len(taken)
            if len(taken) < len(units):
                sink.fact("text_units_left_out", len(units) - len(taken))
            for number, unit in enumerate(taken):
                yield page, node, number, unit


def _write_once(sink: PartSink, table: str, rows: pa.Table) -> None:
    """Write the first row of each key, sorted; the key is the first column."""
    rows = rows.sort_by([(name, "ascending") for name in rows.column_names[:3]])
    rows = rows.take(first_rows(rows[rows.column_names[0]])) if len(rows) else rows
    sink.count(table, kept=len(rows))
    sink.seen(table, len(rows))
    sink.write(table, rows)
