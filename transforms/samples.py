"""Samples: what gate `shard` kept, as the rows that shards are written from.

A row holds the texts of a sample and where its images lie; no image byte is read here. Keys and
splits are hashes, so a sample's place does not depend on what stands beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from schemas.rows import LedgerRow
from schemas.shards import sample_key
from transforms.assign import AssignFiles, Judged, StreamGates, judge
from transforms.caption_choice import TRAINED_ON
from transforms.captioned_samples import Captioned, captioned_samples
from transforms.gates import Decisions, ledger_rows
from transforms.image_sets import IMAGE_SET
from transforms.interleaved_samples import interleaved_samples
from transforms.json_columns import json_column
from transforms.pages import positions, some
from transforms.personal_data import MASKED, Masker
from transforms.sample_rows import (
    PAGE_FACTS,
    SampleConfig,
    joined,
    keep_samples,
    page_scores,
    samples_table,
    splits_of,
    write_pool,
)
from transforms.scored_rows import ScoreColumns
from transforms.select_images import KeptFiles
from transforms.settle import DUPLICATE, DUPLICATE_PAIR, SAME_IMAGES, Mask, winners_of
from transforms.shortened_pages import Removed
from transforms.sink import Part, PartSink
from transforms.soft_cap import SamplingConfig, weigh
from transforms.table_files import read_rows

STEP_VERSION = 3
GATE = "shard"

_WEIGHT = "sampling_weight"


@dataclass(frozen=True, slots=True)
class SampleFiles:
    """The files of one part that samples are made of."""

    candidates: AssignFiles
    kept: KeptFiles
    recaptions: str | None = None


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
        of_images = (*scored.image, *scored.pair)
        self._write(
            sink, interleaved_samples(documents, nodes, self.config, masker, models, of_images)
        )
        ids = judged.texts["id"]
        ledger = ledger_rows(f"{GATE}.text", "text", ids, None, judged.text_decisions)
        kept = self._settle(sink, losers, "text", judged.texts, judged.text_decisions, ledger)
        removed = Removed.read(self.output, files.candidates.paragraphs, ids)
        self._text_paragraphs(judged.texts, removed, sink)
        texts = judged.texts.filter(pa.array(kept))
        self._write(sink, self._texts(texts, removed, files.kept, masker, models))
        kept = self._captions_kept(judged, losers, sink)
        captions = judged.captions.filter(pa.array(kept))
        written = read_rows(self.output, some(files.recaptions), "recaptions")
        if self.config.sampling is not None:
            self._write_pool(sink, captions, written, self.config.sampling, masker, scored)
        else:
            found = captioned_samples(captions, written, self.config, masker, scored)
            self._write(sink, self._counted(sink, found))
        for kind, count in masker.counts.items():
            sink.fact(f"{MASKED}{kind}", count)

    def _write(self, sink: PartSink, samples: Iterator[pa.Table]) -> None:
        for table in joined(samples):
            keep_samples(sink, table)

    def _counted(self, sink: PartSink, found: Iterator[Captioned]) -> Iterator[pa.Table]:
        """Samples; what they are trained on is counted."""
        for each in found:
            for origin in sorted(set(each.origins)):
                sink.fact(f"{TRAINED_ON}{origin}", each.origins.count(origin))
            yield each.samples

    def _write_pool(
        self,
        sink: PartSink,
        captions: pa.Table,
        written: pa.Table,
        sampling: SamplingConfig,
        masker: Masker,
        scored: ScoreColumns,
    ) -> None:
        weights = weigh(sampling, captions, "sampling.captioned")
        weighed = captions.append_column(_WEIGHT, weights)
        for each in captioned_samples(weighed, written, self.config, masker, scored, _WEIGHT):
            write_pool(sink, each.samples, each.chosen[_WEIGHT])

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

    def _texts(
        self,
        pages: pa.Table,
        removed: Removed,
        files: KeptFiles,
        masker: Masker,
        models: Sequence[str],
    ) -> Iterator[pa.Table]:
        if not len(pages):
            return
        for ids, texts in removed.iter_texts(self.output, files.pages):
            at = positions(pages["id"], pa.chunked_array([pa.array(ids, pa.string())]))
            rows = pages.take(pa.array(at[at >= 0]))
            kept = pa.array(texts, pa.string()).filter(pa.array(at >= 0))
            if len(rows):
                yield self._text_samples(rows, kept, masker, models)

    def _text_samples(
        self, pages: pa.Table, texts: pa.Array, masker: Masker, models: Sequence[str]
    ) -> pa.Table:
        masked = masker.mask_column(pa.chunked_array([texts]))
        keys = [sample_key("text", page) for page in pages["id"].to_pylist()]
        facts = {
            "key": pa.array(keys, pa.string()),
            "doc_id": pages["id"],
            **{name: pages[name] for name in PAGE_FACTS},
            "title": masker.mask_column(pages["title"]),
            "scores": page_scores(pages, models),
        }
        splits = splits_of(pages, self.config.validation)
        lengths = pc.utf8_length(masked)
        return samples_table("text", keys, splits, masked, json_column(facts), lengths)
