"""Assign: gate `shard` decides, duplicates are settled, and what is left becomes samples.

First every rule is applied to a part's candidates. Among the pages that pass, those of one
duplicate component meet and the best-ranked is kept first; another is kept unless a page already
kept shares one of its clusters. So no cluster dies with its survivor: a member that fails a rule
never stood in anyone's way. A page that is wanted as an interleaved document goes before one that
is wanted as text. Captions settle the same way: one text for one image, from the best-ranked page.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import RecipeError
from schemas.ids import digest
from schemas.outcomes import OK
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
from transforms.pages import positions, rows_with, some
from transforms.shuffle import Block, split_rows
from transforms.sink import Part
from transforms.table_files import read_table

STEP_VERSION = 2
IMAGE_MISSING = "image_missing"
"""Built-in rule: no sample without bytes."""
DUPLICATE = "duplicate"
DUPLICATE_PAIR = "duplicate_pair"

Mask = npt.NDArray[np.bool_]

_CONTENDER_SCHEMA = pa.schema(
    [
        pa.field("row", pa.string()),
        pa.field("part", pa.string()),
        pa.field("id", pa.string()),
        pa.field("cluster", pa.string()),
        pa.field("component", pa.string()),
        pa.field("order", pa.int64()),
        pa.field("date", pa.string()),
        pa.field("length", pa.int64()),
    ]
)
_LOSER_SCHEMA = pa.schema([pa.field(name, pa.string()) for name in ("row", "id", "winner")])


def parse_captioned_gate(spec: Any, where: str) -> RowGate:
    """The gate of the captioned stream: first the built-in rule that there is an image.

    Raises:
        RecipeError: A rule that is refused, or has the name of the built-in one.
    """
    gate = parse_gate(spec, where)
    if any(rule.name == IMAGE_MISSING for rule in gate.rules):
        raise RecipeError(f"{where}.{IMAGE_MISSING}: the name of a built-in rule")
    built_in = parse_gate({IMAGE_MISSING: {"value": "outcome", "equals": OK}}, where)
    return RowGate((*built_in.rules, *gate.rules))


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


def _judge_documents(
    output: str, files: AssignFiles, gates: StreamGates
) -> tuple[pa.Table, pa.Table, DocumentDecisions]:
    documents = _read(output, files.documents, DOCUMENT_SCHEMA)
    nodes = _read(output, files.nodes, NODE_SCHEMA)
    return documents, nodes, evaluate_documents(gates.interleaved, documents, nodes, gates.cutoffs)


def _texts(
    output: str,
    files: AssignFiles,
    documents: pa.Table,
    nodes: pa.Table,
    decided: DocumentDecisions,
) -> pa.Table:
    """Candidates of the text stream: texts, then the documents that lost their last image.

    A document that never had a text, as a row of a table of images, has none to offer.
    """
    texts = _read(output, files.texts, DOCUMENT_SCHEMA)
    told = pc.unique(rows_with(nodes, "kind", ["text"])["id"])
    offered = pc.and_(pa.array(decided.no_image), pc.is_in(documents["id"], value_set=told))
    return pa.concat_tables([texts, documents.filter(offered)])


def _offered(output: str, files: AssignFiles, gates: StreamGates) -> pa.Table:
    documents, nodes, decided = _judge_documents(output, files, gates)
    return _texts(output, files, documents, nodes, decided)


def judge(output: str, files: AssignFiles, gates: StreamGates) -> Judged:
    """Apply gate `shard` to a part."""
    documents, nodes, decided = _judge_documents(output, files, gates)
    texts = _texts(output, files, documents, nodes, decided)
    captions = _read(output, files.captions, CAPTION_SCHEMA)
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
            rows = _read(output, files.captions, CAPTION_SCHEMA)
            yield rows, rows["caption_id"]

    def nodes_and_documents(part: str) -> Iterator[Mapping[str, tuple[Any, Any]]]:
        for files in parts:
            documents = _read(output, files.documents, DOCUMENT_SCHEMA)
            nodes = _read(output, files.nodes, NODE_SCHEMA)
            yield document_top_values(gates.interleaved, part, documents, nodes, gates.cutoffs)

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


def pair_key(image_key: str, text: str) -> str:
    """What two captions share that say the same of the same image."""
    return digest("pair", image_key, " ".join(text.casefold().split()))


@dataclass(eq=False)
class EmitContenders:
    """Map side: the rows that pass all rules and may have a duplicate that does too."""

    output: str
    gates: StreamGates
    buckets: int

    def __call__(self, part: Part) -> Iterator[Block]:
        """Yield contenders by component or pair, and an empty block for the part itself."""
        files: AssignFiles = part.spec
        judged = judge(self.output, files, self.gates)
        keep = pa.array(judged.document_decisions.documents.keep)
        texts = pa.array(judged.text_decisions.keep)
        tables = [
            self._pages(files, 0, judged.documents.filter(keep)),
            self._pages(files, 1, judged.texts.filter(texts)),
            self._captions(files, judged.captions.filter(pa.array(judged.caption_decisions.keep))),
        ]
        rows = pa.concat_tables(tables)
        names = [self._bucket(name) for name in rows["component"].to_pylist()]
        yield from split_rows(rows, names)
        yield f"part {files.part}", _CONTENDER_SCHEMA.empty_table()

    def _bucket(self, component: str) -> str:
        return f"meet {int(component[:8], 16) % self.buckets:05d}"

    def _pages(self, files: AssignFiles, order: int, pages: pa.Table) -> pa.Table:
        clusters = read_table(self.output, some(files.clusters))
        if clusters is None:
            return _CONTENDER_SCHEMA.empty_table()
        rows = clusters.filter(pc.is_in(clusters["id"], value_set=pages["id"].combine_chunks()))
        count = len(rows)
        cluster = pc.binary_join_element_wise(rows["kind"], rows["cluster_id"], ":")
        return pa.table(
            [
                pa.array(["page"] * count, pa.string()),
                pa.array([files.part] * count, pa.string()),
                rows["id"],
                cluster,
                rows["component"],
                pa.array([order] * count, pa.int64()),
                rows["date"],
                rows["length"],
            ],
            names=_CONTENDER_SCHEMA.names,
        ).cast(_CONTENDER_SCHEMA)

    def _captions(self, files: AssignFiles, captions: pa.Table) -> pa.Table:
        count = len(captions)
        keys = [
            pair_key(image, text)
            for image, text in zip(
                captions["image_key"].to_pylist(), captions["text"].to_pylist(), strict=True
            )
        ]
        return pa.table(
            [
                pa.array(["caption"] * count, pa.string()),
                pa.array([files.part] * count, pa.string()),
                captions["caption_id"],
                pa.array(keys, pa.string()),
                pa.array(keys, pa.string()),
                pa.array([0] * count, pa.int64()),
                captions["date"],
                captions["characters"],
            ],
            names=_CONTENDER_SCHEMA.names,
        ).cast(_CONTENDER_SCHEMA)


def settle_duplicates(bucket: str, rows: pa.Table) -> Iterator[Block]:
    """First reduce: who loses to whom, back to the parts of the losers."""
    kind, _, name = bucket.partition(" ")
    if kind == "part":
        yield name, _LOSER_SCHEMA.empty_table()
        return
    rows = rows.sort_by(
        [
            ("component", "ascending"),
            ("order", "ascending"),
            ("date", "descending"),
            ("length", "descending"),
            ("id", "ascending"),
            ("part", "ascending"),
            ("cluster", "ascending"),
        ]
    )
    holders: dict[str, str] = {}
    verdicts: dict[tuple[str, str, str], str | None] = {}
    clusters: dict[tuple[str, str, str], list[str]] = {}
    columns = (rows[name].to_pylist() for name in ("row", "part", "id", "cluster"))
    for row, part, row_id, cluster in zip(*columns, strict=True):
        clusters.setdefault((row, part, row_id), []).append(cluster)
    # A dictionary keeps the sorted order, so members come best first.
    for member, joined in clusters.items():
        winner = next((holders[cluster] for cluster in joined if cluster in holders), None)
        verdicts[member] = winner
        if winner is None:
            for cluster in joined:
                holders[cluster] = member[2]
    losers = [(*member, winner) for member, winner in verdicts.items() if winner is not None]
    table = pa.table(
        {
            "row": pa.array([loser[0] for loser in losers], pa.string()),
            "id": pa.array([loser[2] for loser in losers], pa.string()),
            "winner": pa.array([loser[3] for loser in losers], pa.string()),
        }
    )
    yield from split_rows(table, [loser[1] for loser in losers])


def winners_of(losers: pa.Table, row: str, ids: pa.ChunkedArray) -> tuple[Mask, pa.ChunkedArray]:
    """Of some ids, which lost, and to whom."""
    chosen = losers.filter(pc.equal(losers["row"], row))
    at = positions(chosen["id"], ids)
    return at >= 0, chosen["winner"].take(pa.array(at, mask=at < 0))
