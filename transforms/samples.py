"""Samples: what gate `shard` kept, as the rows that shards are written from.

A row holds the texts of a sample and where its images lie; no image byte is read here. Keys and
splits are hashes, so a sample's place does not depend on what stands beside it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.ids import digest
from schemas.rows import LedgerRow, Sample, SampleImage, TextScore
from schemas.shards import ShardFormat, image_suffixes, sample_key
from schemas.tables import schema_of
from transforms.assign import (
    AssignFiles,
    Judged,
    StreamGates,
    judge,
)
from transforms.gates import Decisions, ledger_rows
from transforms.image_sets import IMAGE_SET
from transforms.pages import positions
from transforms.select_images import KeptFiles
from transforms.settle import DUPLICATE, DUPLICATE_PAIR, SAME_IMAGES, Mask, winners_of
from transforms.shortened_pages import Removed
from transforms.sink import Part, PartSink

STEP_VERSION = 2
GATE = "shard"

_SCORES = [column.name for column in schema_of(TextScore) if column.name not in ("id", "language")]
_PAGE_FACTS = ("url", "site", "title", "language", "date")
_IMAGE_FACTS = ("image_url", "image_key", "sha256", "width", "height", "format")
_PLACE = ("pack", "offset", "size", "mode", "frames", "orientation")
_NODE_COLUMNS = ("kind", "text", "alt", "title", "figcaption", *_IMAGE_FACTS, *_PLACE)
_MEMBER_OVERHEAD = 1024
"""Bytes a tar member takes beside its data, near enough to size shards."""


@dataclass(frozen=True, slots=True)
class SampleConfig:
    """How samples are named, split and told apart."""

    format: ShardFormat
    prefer: tuple[str, ...]
    """Caption origins, best first."""
    validation: float
    """Share of sites or duplicate components that is held out."""


@dataclass(frozen=True, slots=True)
class SampleFiles:
    """The files of one part that samples are made of."""

    candidates: AssignFiles
    kept: KeptFiles


def split_of(row: Mapping[str, Any], validation: float) -> str:
    """The split of a sample: that of an earlier output, else by its duplicate component, or site.

    All duplicates of a page lie in one split, on whatever site, and so do all pages of a site that
    have no duplicate.
    """
    if row["earlier_split"] is not None:
        return str(row["earlier_split"])
    point = int(digest("split", row["component"] or row["site"])[:13], 16) / 16**13
    return "validation" if point < validation else "train"


def canonical_json(values: Mapping[str, Any]) -> str:
    """JSON with one form: keys sorted, no spaces, non-ASCII as it is, no NaN."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False,
                      allow_nan=False)  # fmt: skip


def choose_caption(captions: Sequence[Mapping[str, Any]], prefer: Sequence[str]) -> str:
    """The caption for training: by origin, then the longest, then the smallest id."""
    ranks = {origin: rank for rank, origin in enumerate(prefer)}
    best = min(
        captions,
        key=lambda row: (
            ranks.get(row["origin"], len(ranks)), -len(row["text"]), row["caption_id"]
        ),
    )  # fmt: skip
    return str(best["text"])


def _with_nodes(
    documents: pa.Table, nodes: pa.Table, rows: int = 128
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each document with its nodes in order; Python sees a few documents at a time."""
    at = positions(documents["id"], nodes["id"])
    owned = np.flatnonzero(at >= 0)
    numbers = nodes["node"].to_numpy()[owned]
    order = owned[np.lexsort((numbers, at[owned]))]
    starts = np.searchsorted(at[order], np.arange(len(documents) + 1))
    nodes = nodes.select([*_NODE_COLUMNS])
    for first in range(0, len(documents), rows):
        last = min(first + rows, len(documents))
        members = nodes.take(pa.array(order[starts[first] : starts[last]])).to_pylist()
        for number, page in enumerate(documents.slice(first, rows).to_pylist(), first):
            start, end = starts[number] - starts[first], starts[number + 1] - starts[first]
            yield page, members[start:end]


def _scores(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in _SCORES}


def _sample_image(row: Mapping[str, Any]) -> SampleImage:
    names = ("image_key", "width", "height", "format", *_PLACE)
    return SampleImage(**{name: row[name] for name in names})


@dataclass(eq=False)
class BuildSamples:
    """Last reduce: a part's verdicts to the ledger, its samples to the table `samples`."""

    output: str
    gates: StreamGates
    config: SampleConfig
    files: Mapping[str, SampleFiles]

    def __call__(self, part: Part, losers: pa.Table, sink: PartSink) -> None:
        """Judge again (it is cheap and gives the same), drop the losers, write."""
        files = self.files[part.spec]
        judged = judge(self.output, files.candidates, self.gates)
        self._nodes(judged, sink)
        decided = judged.document_decisions
        ledger = decided.ledger(f"{GATE}.interleaved", judged.documents, judged.nodes)
        kept = self._settle(
            sink, losers, "interleaved", judged.documents, decided.documents, ledger
        )
        documents = judged.documents.filter(pa.array(kept))
        for sample in self._interleaved(
            documents, judged.nodes.filter(pa.array(decided.node_keep))
        ):
            self._write(sink, sample)
        ids = judged.texts["id"]
        ledger = ledger_rows(f"{GATE}.text", "text", ids, None, judged.text_decisions)
        kept = self._settle(sink, losers, "text", judged.texts, judged.text_decisions, ledger)
        removed = Removed.read(self.output, files.candidates.paragraphs, ids)
        self._text_paragraphs(judged.texts, removed, sink)
        for sample in self._texts(judged.texts.filter(pa.array(kept)), removed, files.kept):
            self._write(sink, sample)
        kept = self._captions_kept(judged, losers, sink)
        for sample in self._captioned(judged.captions.filter(pa.array(kept))):
            self._write(sink, sample)

    def _write(self, sink: PartSink, sample: Sample) -> None:
        sink.seen("samples")
        sink.keep("samples", sample)
        sizes = sink.commit.details.setdefault(f"{sample.stream}/{sample.split}", [0, 0])
        sizes[0] += 1
        sizes[1] += len(sample.json) + len(sample.txt or "") + _MEMBER_OVERHEAD
        sizes[1] += sum(image.size + _MEMBER_OVERHEAD for image in sample.images)

    def _nodes(self, judged: Judged, sink: PartSink) -> None:
        decided = judged.document_decisions
        for table, decisions in (
            ("image_nodes", decided.images),
            ("paragraphs", decided.paragraphs),
        ):
            sink.seen(table, len(decisions.keep))
            sink.count(table, kept=int(decisions.keep.sum()), rejected=decisions.rejected_by_rule())

    def _text_paragraphs(self, pages: pa.Table, removed: Removed, sink: PartSink) -> None:
        """Count what is cut out of the pages offered to the text stream, and what is left."""
        left = pc.sum(pages["paragraphs"]).as_py() or 0
        sink.seen("text_paragraphs", left)
        sink.count("text_paragraphs", kept=left)
        for row in removed.ledger(f"{GATE}.text"):
            sink.seen("text_paragraphs")
            sink.reject("text_paragraphs", row)

    def _settle(
        self,
        sink: PartSink,
        losers: pa.Table,
        stream: str,
        rows: pa.Table,
        decisions: Decisions,
        ledger: pa.Table,
    ) -> Mask:
        sink.seen(stream, len(rows))
        sink.count(stream, rejected=decisions.rejected_by_rule())
        sink.write("ledger", ledger)
        kind = "document" if stream == "interleaved" else "text"
        kept = decisions.keep
        for row, rule in (("page", DUPLICATE), (IMAGE_SET, SAME_IMAGES)):
            lost, winners = winners_of(losers, row, rows["id"])
            lost &= kept
            self._lost(sink, stream, f"{GATE}.{stream}", kind, rule, rows["id"], lost, winners)
            kept = kept & ~lost
        sink.count(stream, kept=int(kept.sum()))
        return kept

    def _captions_kept(self, judged: Judged, losers: pa.Table, sink: PartSink) -> Mask:
        captions, decisions = judged.captions, judged.caption_decisions
        lost, winners = winners_of(losers, "caption", captions["caption_id"])
        lost &= decisions.keep
        sink.seen("captions", len(captions))
        sink.count("captions", rejected=decisions.rejected_by_rule())
        sink.count("captions", kept=int((decisions.keep & ~lost).sum()))
        gate = f"{GATE}.captioned"
        ids = captions["caption_id"]
        sink.write("ledger", ledger_rows(gate, "caption", ids, None, decisions))
        self._lost(sink, "captions", gate, "caption", DUPLICATE_PAIR, ids, lost, winners)
        return decisions.keep & ~lost

    def _lost(
        self,
        sink: PartSink,
        table: str,
        gate: str,
        kind: str,
        rule: str,
        ids: pa.ChunkedArray,
        lost: Mask,
        winners: pa.ChunkedArray,
    ) -> None:
        chosen = pa.array(lost)
        pairs = zip(ids.filter(chosen).to_pylist(), winners.filter(chosen).to_pylist(), strict=True)
        for row_id, winner in pairs:
            sink.reject(
                table,
                LedgerRow(gate, kind, row_id, None, rule, True, None, winner, "best-ranked"),
            )

    def _interleaved(self, documents: pa.Table, nodes: pa.Table) -> Iterator[Sample]:
        for page, members in _with_nodes(documents, nodes):
            images = [node for node in members if node["kind"] == "image"]
            suffixes = iter(
                image_suffixes("interleaved", len(images), self.config.format.extension)
            )
            key = sample_key("interleaved", page["id"])
            layout = {
                "key": key,
                "doc_id": page["id"],
                **{name: page[name] for name in _PAGE_FACTS},
                "texts": [node["text"] if node["kind"] == "text" else None for node in members],
                "images": [next(suffixes) if node["kind"] == "image" else None for node in members],
                "image_info": [
                    {name: image[name] for name in (*_IMAGE_FACTS, "alt", "title", "figcaption")}
                    for image in images
                ],
                "scores": _scores(page),
            }
            yield Sample(
                stream="interleaved",
                split=split_of(page, self.config.validation),
                shard=0,
                key=key,
                txt=None,
                json=canonical_json(layout),
                text_length=sum(len(text) for text in layout["texts"] if text),
                images=[_sample_image(image) for image in images],
            )

    def _texts(self, pages: pa.Table, removed: Removed, files: KeptFiles) -> Iterator[Sample]:
        if not len(pages):
            return
        for ids, texts in removed.iter_texts(self.output, files.pages):
            at = positions(pages["id"], pa.chunked_array([pa.array(ids, pa.string())]))
            rows = pages.take(pa.array(at[at >= 0])).to_pylist()
            kept = [text for text, row in zip(texts, at, strict=True) if row >= 0]
            for page, text in zip(rows, kept, strict=True):
                key = sample_key("text", page["id"])
                facts = {
                    "key": key,
                    "doc_id": page["id"],
                    **{name: page[name] for name in _PAGE_FACTS},
                    "scores": _scores(page),
                }
                yield Sample(
                    stream="text",
                    split=split_of(page, self.config.validation),
                    shard=0,
                    key=key,
                    txt=text,
                    json=canonical_json(facts),
                    text_length=len(text),
                )

    def _captioned(self, captions: pa.Table) -> Iterator[Sample]:
        groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
        order = [("doc_id", "ascending"), ("node", "ascending"), ("caption_id", "ascending")]
        for row in captions.sort_by(order).to_pylist():
            groups.setdefault((row["image_key"], row["doc_id"]), []).append(row)
        for (image_key, doc_id), rows in groups.items():
            first = rows[0]
            key = sample_key("captioned", image_key, doc_id)
            text = choose_caption(rows, self.config.prefer)
            facts = {
                "key": key,
                "doc_id": doc_id,
                "page_url": first["page_url"],
                "page_title": first["page_title"],
                "site": first["site"],
                "language": first["language"],
                "date": first["date"],
                **{name: first[name] for name in _IMAGE_FACTS},
                "captions": [
                    {name: row[name] for name in ("caption_id", "origin", "text")} for row in rows
                ],
            }
            yield Sample(
                stream="captioned",
                split=split_of(first, self.config.validation),
                shard=0,
                key=key,
                txt=text,
                json=canonical_json(facts),
                text_length=len(text),
                images=[_sample_image(first)],
            )
