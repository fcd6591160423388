"""Samples: what gate `shard` kept, as the rows that shards are written from.

A row holds the texts of a sample and where its images lie; no image byte is read here. Keys and
splits are hashes, so a sample's place does not depend on what stands beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.ids import digest
from schemas.rows import LedgerRow, Sample, SampleImage, TextScore
from schemas.shards import ShardFormat, image_suffixes, sample_key
from schemas.tables import schema_of
from transforms.assign import AssignFiles, Judged, StreamGates, judge
from transforms.assigned_nodes import ASSIGNED_SCHEMA
from transforms.caption_choice import TRAINED_ON, choose_caption
from transforms.gates import Decisions, ledger_rows
from transforms.image_order import NATURAL, assigned_facts, in_order
from transforms.image_sets import IMAGE_SET
from transforms.pages import positions
from transforms.personal_data import MASKED, Masker
from transforms.recaptions import (
    Recaptions,
    read_recaptions,
    synthetic_captions,
    trained_text,
)
from transforms.sample_rows import canonical_json, keep_sample, write_pool
from transforms.scored_rows import ScoreColumns
from transforms.select_images import KeptFiles
from transforms.settle import DUPLICATE, DUPLICATE_PAIR, SAME_IMAGES, Mask, winners_of
from transforms.shortened_pages import Removed
from transforms.sink import Part, PartSink
from transforms.soft_cap import SamplingConfig, weigh

STEP_VERSION = 2
GATE = "shard"

_SCORES = [column.name for column in schema_of(TextScore) if column.name not in ("id", "language")]
_PAGE_FACTS = ("url", "site", "title", "language", "date")
_IMAGE_FACTS = ("image_url", "image_key", "sha256", "width", "height", "format")
_PLACE = ("pack", "offset", "size", "mode", "frames", "orientation")
_NODE_COLUMNS = ("node", "kind", "text", "alt", "title", "figcaption", *_IMAGE_FACTS, *_PLACE)
_CAPTION_COLUMNS = (
    "caption_id", "doc_id", "node", "origin", "text", "page_url", "page_title", "site", "language",
    "date", "component", "earlier_split", *_IMAGE_FACTS, *_PLACE,
)  # fmt: skip
_SAID = ("text", "alt", "title", "figcaption")
_WEIGHT = "sampling_weight"


@dataclass(frozen=True, slots=True)
class SampleConfig:
    """How samples are named, split and told apart."""

    format: ShardFormat
    prefer: tuple[str, ...]
    """Caption origins, best first."""
    validation: float
    """Share of sites or duplicate components that is held out."""
    order: str = NATURAL
    """Of the images of an interleaved sample (`image_order.py`)."""
    sampling: SamplingConfig | None = None
    """How captioned samples are drawn (`sampled.py`); None: all of them are written."""
    mask: tuple[str, ...] = ()
    """Kinds of personal data that no text of a sample has."""
    mix: Mapping[str, float] = field(default_factory=dict)
    """Origin -> share of the samples that are trained on it (`caption_choice.py`)."""


@dataclass(frozen=True, slots=True)
class SampleFiles:
    """The files of one part that samples are made of."""

    candidates: AssignFiles
    kept: KeptFiles
    recaptions: str | None = None


def split_of(row: Mapping[str, Any], validation: float) -> str:
    """The split of a sample: that of an earlier output, else by its duplicate component, or site.

    All duplicates of a page lie in one split, on whatever site, and so do all pages of a site that
    have no duplicate.
    """
    if row["earlier_split"] is not None:
        return str(row["earlier_split"])
    point = int(digest("split", row["component"] or row["site"])[:13], 16) / 16**13
    return "validation" if point < validation else "train"


def _with_nodes(
    documents: pa.Table, nodes: pa.Table, more: Sequence[str], rows: int = 128
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each document with its nodes in order; Python sees a few documents at a time."""
    at = positions(documents["id"], nodes["id"])
    owned = np.flatnonzero(at >= 0)
    numbers = nodes["node"].to_numpy()[owned]
    order = owned[np.lexsort((numbers, at[owned]))]
    starts = np.searchsorted(at[order], np.arange(len(documents) + 1))
    assigned = [name for name in ASSIGNED_SCHEMA.names if name in nodes.column_names]
    nodes = nodes.select([*_NODE_COLUMNS, *assigned, *more])
    for first in range(0, len(documents), rows):
        last = min(first + rows, len(documents))
        members = nodes.take(pa.array(order[starts[first] : starts[last]])).to_pylist()
        for number, page in enumerate(documents.slice(first, rows).to_pylist(), first):
            start, end = starts[number] - starts[first], starts[number + 1] - starts[first]
            yield page, members[start:end]


def _scores(row: Mapping[str, Any], models: Sequence[str]) -> dict[str, Any]:
    return {name: row[name] for name in (*_SCORES, *models)}


def _mask_page(masker: Masker, page: dict[str, Any], texts: Sequence[dict[str, Any]]) -> None:
    """Mask the title of a page, and all that its nodes or captions say."""
    for row, names in ((page, ("title", "page_title")), *((row, _SAID) for row in texts)):
        for name in names:
            if name in row:
                row[name] = masker.mask_or_none(row[name])


def _image_scores(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """What the scorers of the recipe say of an image, or of an image and a text."""
    if not names:
        return {}
    found = {name: row[name] for name in names}
    return {"scores": {n: None if v is None else round(v, 6) for n, v in found.items()}}


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
        masker, models = Masker(self.config.mask), files.candidates.models.names
        judged = judge(self.output, files.candidates, self.gates)
        self._nodes(judged, sink)
        decided = judged.document_decisions
        ledger = decided.ledger(f"{GATE}.interleaved", judged.documents, judged.nodes)
        kept = self._settle(
            sink, losers, "interleaved", judged.documents, decided.documents, ledger
        )
        documents = judged.documents.filter(pa.array(kept))
        scored = files.candidates.scores.columns
        nodes = judged.nodes.filter(pa.array(decided.node_keep))
        for sample in self._interleaved(
            documents, nodes, masker, models, (*scored.image, *scored.pair)
        ):
            keep_sample(sink, sample)
        ids = judged.texts["id"]
        ledger = ledger_rows(f"{GATE}.text", "text", ids, None, judged.text_decisions)
        kept = self._settle(sink, losers, "text", judged.texts, judged.text_decisions, ledger)
        removed = Removed.read(self.output, files.candidates.paragraphs, ids)
        self._text_paragraphs(judged.texts, removed, sink)
        texts = judged.texts.filter(pa.array(kept))
        for sample in self._texts(texts, removed, files.kept, masker, models):
            keep_sample(sink, sample)
        kept = self._captions_kept(judged, losers, sink)
        captions = judged.captions.filter(pa.array(kept))
        written = read_recaptions(self.output, files.recaptions)
        if self.config.sampling is not None:
            pool = self._weighed(captions, written, self.config.sampling, masker, scored)
            write_pool(sink, pool)
        else:
            for sample, chosen in self._captioned(captions, written, masker, scored):
                keep_sample(sink, sample)
                sink.fact(f"{TRAINED_ON}{chosen['trained_on']}")
        for kind, found in masker.counts.items():
            sink.fact(f"{MASKED}{kind}", found)

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

    def _interleaved(
        self,
        documents: pa.Table,
        nodes: pa.Table,
        masker: Masker,
        models: Sequence[str],
        scored: Sequence[str] = (),
    ) -> Iterator[Sample]:
        for page, found in _with_nodes(documents, nodes, scored):
            _mask_page(masker, page, found)
            members = in_order(found, self.config.order)
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
                    | facts
                    | _image_scores(image, scored)
                    for image, facts in zip(images, assigned_facts(members), strict=True)
                ],
                "scores": _scores(page, models),
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

    def _texts(
        self,
        pages: pa.Table,
        removed: Removed,
        files: KeptFiles,
        masker: Masker,
        models: Sequence[str],
    ) -> Iterator[Sample]:
        if not len(pages):
            return
        for ids, texts in removed.iter_texts(self.output, files.pages):
            at = positions(pages["id"], pa.chunked_array([pa.array(ids, pa.string())]))
            rows = pages.take(pa.array(at[at >= 0])).to_pylist()
            kept = [text for text, row in zip(texts, at, strict=True) if row >= 0]
            for page, whole in zip(rows, kept, strict=True):
                _mask_page(masker, page, ())
                text = masker.mask(whole)
                key = sample_key("text", page["id"])
                facts = {
                    "key": key,
                    "doc_id": page["id"],
                    **{name: page[name] for name in _PAGE_FACTS},
                    "scores": _scores(page, models),
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

    def _weighed(
        self,
        captions: pa.Table,
        written: Recaptions,
        sampling: SamplingConfig,
        masker: Masker,
        scored: ScoreColumns,
    ) -> Iterator[tuple[Sample, float | None]]:
        weights = weigh(sampling, captions, "sampling.captioned")
        weighed = captions.append_column(_WEIGHT, weights)
        for sample, chosen in self._captioned(weighed, written, masker, scored):
            yield sample, chosen[_WEIGHT]

    def _captioned(
        self, captions: pa.Table, written: Recaptions, masker: Masker, scored: ScoreColumns
    ) -> Iterator[tuple[Sample, Mapping[str, Any]]]:
        """Samples, each with the best caption of its page and the origin it is trained on."""
        groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
        order = [("doc_id", "ascending"), ("node", "ascending"), ("caption_id", "ascending")]
        weights = [_WEIGHT] if _WEIGHT in captions.column_names else []
        names = dict.fromkeys((*_CAPTION_COLUMNS, *scored.image, *scored.pair, *weights))
        for row in captions.sort_by(order).select(list(names)).to_pylist():
            groups.setdefault((row["image_key"], row["doc_id"]), []).append(row)
        for (image_key, doc_id), rows in groups.items():
            first = rows[0]
            _mask_page(masker, first, ())
            for row in rows:
                row["text"] = masker.mask(row["text"])
            key = sample_key("captioned", image_key, doc_id)
            chosen = choose_caption(rows, self.config.prefer)
            synthetic = synthetic_captions(rows, written, masker)
            origin, text = trained_text(key, self.config.mix, str(chosen["text"]), synthetic)
            facts = {
                "key": key,
                "doc_id": doc_id,
                "page_url": first["page_url"],
                "page_title": first["page_title"],
                "site": first["site"],
                "language": first["language"],
                "date": first["date"],
                **{name: first[name] for name in _IMAGE_FACTS},
                **_image_scores(first, scored.image),
                "captions": [
                    {name: row[name] for name in ("caption_id", "origin", "text")}
                    | _image_scores(row, scored.pair)
                    for row in rows
                ]
                + synthetic,
            }
            sample = Sample(
                stream="captioned",
                split=split_of(first, self.config.validation),
                shard=0,
                key=key,
                txt=text,
                json=canonical_json(facts),
                text_length=len(text),
                images=[_sample_image(first)],
            )
            yield sample, {**chosen, "trained_on": origin}
