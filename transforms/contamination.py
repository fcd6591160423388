"""Decontamination: what holds an item of an evaluation table goes no further.

Two part functions. `BuildEvaluation` reads the tables once and commits what items are known by, in
an order of its own: the same items in other files, or in another order, give the same tables.
`MatchTexts` looks for them in the pages past gate `dedup` and in all captions, before any download;
images are looked at where the answer of each URL is chosen (`image_answers.py`).
"""

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.contamination_rows import (
    Contamination,
    EvaluationImage,
    EvaluationNgram,
    EvaluationText,
)
from schemas.ids import digest
from schemas.rows import LedgerRow
from schemas.tables import schema_of, to_batch
from transforms.contamination_images import SHA256, ImageIndex
from transforms.contamination_items import DecontaminationConfig, EvaluationItem, read_items
from transforms.contamination_texts import Found, TextIndex, TextNgrams, text_ngrams
from transforms.gates import MAX_VALUE_TEXT
from transforms.minhash import TokenHashes
from transforms.pages import Places, iter_page_texts, some
from transforms.select_images import KeptFiles, read_kept_pages
from transforms.sink import Part, PartSink
from transforms.table_files import iter_batches, read_rows

STAGE = "dedup"
STEP_VERSION = 2
GATE = "decontamination"
RULE = "contaminated"
TOO_SHORT, NO_CONTENT = "too_short", "no_content"
PAGES, CAPTIONS = "decontaminated_pages", "decontaminated_captions"
ITEMS = "evaluation_items"
NGRAMS = "ngrams"
REMOVED = "removed"
"""What a commit calls the hash of the ids that are removed: what later steps depend on."""

_NGRAMS_PER_WRITE = 1 << 20
_CAPTIONS_PER_BATCH = 8192


@dataclass(frozen=True, slots=True)
class EvaluationFiles:
    """The tables that texts of items are known by; None for one without a row."""

    texts: str | None
    ngrams: str | None


def best_of_benchmarks(found: Iterable[tuple[str, str, float, Any]]) -> list[tuple[Any, int]]:
    """Of each benchmark the best match, and how many items of it were found; the best first.

    Args:
        found: Benchmark, item, closeness (higher is better) and match, in the order that settles
            ties.
    """
    best: dict[str, tuple[float, Any]] = {}
    items: dict[str, set[str]] = {}
    for benchmark, item, closeness, match in found:
        items.setdefault(benchmark, set()).add(item)
        if benchmark not in best or closeness > best[benchmark][0]:
            best[benchmark] = (closeness, match)
    order = sorted(best, key=lambda name: (-best[name][0], name))
    return [(best[name][1], len(items[name])) for name in order]


def named_item(benchmark: str, item: str, what: str) -> str:
    """An item as the ledger names it, and what of it was found."""
    return f"{benchmark}: {item} ({what})"[:MAX_VALUE_TEXT]


# --- what items are known by


@dataclass(eq=False)
class BuildEvaluation:
    """Part function: tables of evaluation items to hashes of their texts and images."""

    config: DecontaminationConfig

    def setup(self) -> None:
        """Nothing is heavy here."""

    def __call__(self, part: Part, sink: PartSink) -> None:
        """Read the tables that the part names. Raises `InputError` for a row that is none."""
        texts: list[tuple[EvaluationText, TextNgrams]] = []
        images: list[EvaluationImage] = []
        known = TokenHashes()
        for url in part.spec:
            for number, item in enumerate(read_items(url, self.config)):
                sink.seen(ITEMS)
                found = self._texts(item, known)
                texts += found
                images += [
                    EvaluationImage(item.benchmark, item.item, *each) for each in item.images
                ]
                if found or item.images:
                    sink.count(ITEMS, kept=1)
                else:
                    sink.reject(ITEMS, self._refused(item, f"{posixpath.basename(url)}:{number}"))
        sink.fact("evaluation_texts", len(texts))
        sink.fact("evaluation_images", len(images))
        sink.commit.details["texts"] = self._write_texts(sink, texts)
        sink.commit.details["images"] = self._write_images(sink, images)

    def _texts(
        self, item: EvaluationItem, known: TokenHashes
    ) -> list[tuple[EvaluationText, TextNgrams]]:
        found = []
        for column, text in item.texts:
            ngrams = text_ngrams(text, self.config.ngram, known)
            if ngrams.words >= self.config.min_words:
                row = EvaluationText(
                    0, item.benchmark, item.item, column, ngrams.words, ngrams.width,
                    len(ngrams.ngrams),
                )  # fmt: skip
                found.append((row, ngrams))
        return found

    def _refused(self, item: EvaluationItem, place: str) -> LedgerRow:
        """The row of an item that nothing can be matched with."""
        shown = [text for _, text in item.texts if text.strip()]
        rule = TOO_SHORT if shown else NO_CONTENT
        threshold = f"a text of {self.config.min_words} words or more, or an image"
        value_text = named_item(item.benchmark, item.item, rule)
        return LedgerRow(GATE, "item", place, None, rule, True, None, value_text, threshold)

    def _write_texts(self, sink: PartSink, texts: list[tuple[EvaluationText, TextNgrams]]) -> str:
        """Write texts and n-grams, in an order that files do not change; returns their hash."""
        texts = sorted(texts, key=_text_order)
        rows = [replace(row, text=number) for number, (row, _) in enumerate(texts)]
        sink.write("evaluation_texts", to_batch(rows, EvaluationText))
        hashes = np.concatenate([np.zeros(0, np.uint64), *(each.ngrams for _, each in texts)])
        numbers = np.repeat(np.arange(len(texts)), [len(each.ngrams) for _, each in texts])
        order = np.lexsort((numbers, hashes))
        for start in range(0, len(order), _NGRAMS_PER_WRITE):
            chosen = order[start : start + _NGRAMS_PER_WRITE]
            columns = [hashes[chosen].view(np.int64), numbers[chosen]]
            schema = schema_of(EvaluationNgram)
            arrays = [pa.array(column, pa.int64()) for column in columns]
            sink.write("evaluation_ngrams", pa.RecordBatch.from_arrays(arrays, schema=schema))
        return digest(*(value for row in map(_text_order, texts) for value in row))

    def _write_images(self, sink: PartSink, images: list[EvaluationImage]) -> str:
        """Write images, in an order that files do not change; returns their hash."""
        images = sorted(images, key=_image_order)
        sink.write("evaluation_images", to_batch(images, EvaluationImage))
        return digest(*(value for row in map(_image_order, images) for value in row))


def _text_order(text: tuple[EvaluationText, TextNgrams]) -> tuple[str, str, str, int, bytes]:
    row, ngrams = text
    # Little-endian on any machine: it goes into fingerprints.
    data = ngrams.ngrams.astype("<u8").tobytes()
    return row.benchmark, row.item, row.field, row.words, data


def _image_order(row: EvaluationImage) -> tuple[str, str, str, str]:
    phash = "" if row.phash is None else f"{row.phash % (1 << 64):016x}"
    return row.benchmark, row.item, row.sha256 or "", phash


# --- texts that hold an item


@dataclass(eq=False)
class MatchTexts:
    """Part function: pages past gate `dedup`, and captions, that hold a text of an item."""

    output: str
    files: EvaluationFiles
    min_overlap: float

    def setup(self) -> None:
        """Load the texts of items, once a worker."""
        texts = read_rows(self.output, some(self.files.texts), "evaluation_texts")
        ngrams = read_rows(self.output, some(self.files.ngrams), "evaluation_ngrams")
        names = (texts[name].to_pylist() for name in ("benchmark", "item", "field"))
        self._names: list[tuple[str, str, str]] = list(zip(*names, strict=True))
        self._index = TextIndex(
            ngrams["ngram"].to_numpy().view(np.uint64),
            ngrams["text"].to_numpy(),
            texts["width"].to_numpy(),
            texts["ngrams"].to_numpy(),
            self.min_overlap,
        )

    def __call__(self, part: Part, sink: PartSink) -> None:
        """Look at the texts of a part."""
        files: KeptFiles = part.spec
        removed: list[str] = []
        pages = read_kept_pages(self.output, files)
        sink.seen(PAGES, len(pages))
        places = Places(pages["id"])
        kinds, urls = pages["kind"].to_pylist(), pages["url"].to_pylist()
        for ids, texts, _ in iter_page_texts(self.output, files.pages):
            rows = places.of(pa.array(ids, pa.string()))
            chosen = np.flatnonzero(rows >= 0).tolist()
            found = self._index.find([texts[at] for at in chosen])
            for at, matches in zip(chosen, found, strict=True):
                if matches:
                    kind, url = kinds[rows[at]], urls[rows[at]]
                    self._remove(sink, PAGES, "page", matches, (kind, ids[at], url))
                    removed.append(ids[at])
        sink.count(PAGES, kept=len(pages) - len(removed))
        for path in files.pages.paths("captions"):
            for batch in iter_batches(self.output, path, _CAPTIONS_PER_BATCH):
                removed += self._captions(sink, batch)
        sink.commit.details[REMOVED] = digest(*sorted(removed))

    def _captions(self, sink: PartSink, batch: pa.RecordBatch) -> list[str]:
        sink.seen(CAPTIONS, batch.num_rows)
        found = self._index.find(batch.column("text").to_pylist())
        ids, urls = batch.column("caption_id"), batch.column("page_url")
        removed = []
        for row, matches in enumerate(found):
            if matches:
                removed.append(ids[row].as_py())
                place = ("caption", removed[-1], urls[row].as_py())
                self._remove(sink, CAPTIONS, "caption", matches, place)
        sink.count(CAPTIONS, kept=batch.num_rows - len(removed))
        return removed

    def _remove(
        self,
        sink: PartSink,
        table: str,
        kind: str,
        found: Sequence[Found],
        place: tuple[str, str, str],
    ) -> None:
        """A ledger row for what is removed, and what it holds of each benchmark."""
        best = best_of_benchmarks(
            (*self._names[match.text][:2], match.overlap, match) for match in found
        )
        what, row_id, url = place
        first: Found = best[0][0]
        threshold = f"less than {self.min_overlap:g} of the n-grams of any evaluation item"
        named = named_item(*self._names[first.text])
        sink.reject(
            table,
            LedgerRow(GATE, kind, row_id, None, RULE, True, first.overlap, named, threshold),
        )
        for match, items in best:
            benchmark, item, column = self._names[match.text]
            sink.write_row(
                "contamination",
                Contamination(
                    what, row_id, url, benchmark, item, column, NGRAMS, match.overlap, None, items
                ),
            )


# --- images of items


class ImageMatcher:
    """Images of items, and what an image URL is of them."""

    def __init__(self, output: str, path: str | None, distance: int) -> None:
        """Load the images of items.

        Args:
            output: Where the tables lie.
            path: File of `evaluation_images`.
            distance: Bits by which a perceptual hash may differ.
        """
        images = read_rows(output, some(path), "evaluation_images")
        self._names = list(
            zip(images["benchmark"].to_pylist(), images["item"].to_pylist(), strict=True)
        )
        sha256, phash = images["sha256"].to_pylist(), images["phash"].to_pylist()
        self._index = ImageIndex(sha256, phash, distance)
        self._distance = distance

    def find(self, image_url: str, sha256: str | None, phash: int | None) -> list[Contamination]:
        """A row for each benchmark that an image is of, the nearest first."""
        best = best_of_benchmarks(
            (*self._names[match.row], (match.match == SHA256) - match.distance, match)
            for match in self._index.find(sha256, phash)
        )
        rows = []
        for match, items in best:
            benchmark, item = self._names[match.row]
            rows.append(
                Contamination(
                    "image_url", image_url, image_url, benchmark, item, "image", match.match, None,
                    match.distance, items,
                )
            )  # fmt: skip
        return rows

    def refused(self, row: Contamination) -> LedgerRow:
        """The ledger row of an image URL that is removed."""
        assert row.distance is not None
        threshold = f"the bytes of no evaluation item, nor within {self._distance} bits of its hash"
        named = named_item(row.benchmark, row.item, row.match)
        return LedgerRow(
            GATE, "image_url", row.id, None, RULE, True, float(row.distance), named, threshold
        )
