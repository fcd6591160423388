"""Which texts hold an evaluation item: word n-grams of the items, looked up in texts by the batch.

A text of an item is known by its distinct word n-grams (`minhash.words`: case and punctuation do
not count), or as a whole where it has fewer words than that. What counts is the share of the
*item's* n-grams that a text holds, not of the text's own: a page of any length that holds a
question holds all of it. A paraphrase shares no long n-gram and is not found.

N-grams are 64-bit hashes: polynomials over the hashes of the words, so one pass gives all widths.
The index is two arrays, sorted: 12 bytes an n-gram, and a table of a byte for each of some
positions that spares nearly every look-up.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transforms.minhash import TokenHashes, word_hashes

Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]

_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xFF51AFD7ED558CCD)
_BLOCK_WORDS = 1 << 17
"""Words whose n-grams are held at once."""
_BATCH_WORDS = 1 << 20
"""Words of texts that are looked up together; a longer text is alone."""
_FILTER_BITS = (16, 26)
"""Least and most bits of a position of the table: 64 KiB to 64 MiB."""


@dataclass(frozen=True, slots=True)
class TextNgrams:
    """What a text of an item is known by."""

    words: int
    width: int
    """Words of an n-gram."""
    ngrams: Hashes
    """Distinct and sorted."""


@dataclass(frozen=True, slots=True)
class Found:
    """A text of an item that is in a text."""

    text: int
    """Its number."""
    overlap: float
    """Share of its distinct n-grams, above 0 to 1."""


def iter_ngrams(words: Hashes, widths: Collection[int]) -> Iterator[tuple[int, Hashes]]:
    """The hash of every run of words of some widths, the smallest width first.

    Args:
        words: Hashes of the words of a text.
        widths: Words of a run, at least 1; a width above the length of the text gives nothing.
    """
    value = words.copy()
    for width in range(1, min(max(widths, default=0), len(words)) + 1):
        if width > 1:
            value = value[:-1]
            value *= _BASE
            value += words[width - 1 :]
        if width in widths:
            # With the width in it, runs of all widths can be looked up in one array.
            mixed = value + np.uint64(width)
            mixed ^= mixed >> np.uint64(33)
            mixed *= _MIX
            mixed ^= mixed >> np.uint64(29)
            yield width, mixed


def text_ngrams(text: str, ngram: int, known: TokenHashes) -> TextNgrams:
    """The n-grams of a text of an item; none of a text without a word."""
    words = word_hashes(text, known)
    width = min(ngram, len(words))
    found = [hashes for _, hashes in iter_ngrams(words, {width})]
    hashes = np.unique(found[0]) if found else np.zeros(0, np.uint64)
    return TextNgrams(len(words), width, hashes)


class TextIndex:
    """The texts of evaluation items, to be looked for in other texts."""

    def __init__(
        self, ngrams: Hashes, texts: Numbers, widths: Numbers, counts: Numbers, min_overlap: float
    ) -> None:
        """Build the index.

        Args:
            ngrams: Hash of each n-gram of each text, sorted.
            texts: The number of its text.
            widths: Width of the n-grams of each text, by its number.
            counts: Distinct n-grams of each text, by its number.
            min_overlap: Share of a text's n-grams from which it is found.
        """
        self._hashes, starts = np.unique(ngrams, return_index=True)
        self._starts = np.append(starts, len(ngrams))
        self._texts = texts.astype(np.int32)
        self._widths = frozenset(widths.tolist())
        self._counts = counts
        self._min_overlap = min_overlap
        self._known = TokenHashes()
        least, most = _FILTER_BITS
        bits = min(max((16 * len(self._hashes)).bit_length(), least), most)
        self._shift = np.uint64(64 - bits)
        self._filter = np.zeros(1 << bits, np.bool_)
        self._filter[self._hashes >> self._shift] = True

    def find(self, texts: Sequence[str]) -> list[list[Found]]:
        """For each text, the texts of items that it holds, by their numbers."""
        found: list[list[Found]] = [[] for _ in texts]
        if not len(self._hashes):
            return found
        pending: list[Hashes] = []
        waiting = first = 0
        for number, text in enumerate(texts):
            pending.append(word_hashes(text, self._known))
            waiting += len(pending[-1])
            if waiting >= _BATCH_WORDS or number == len(texts) - 1:
                for row, hits in self._hits(pending):
                    found[first + row] = self._judge(hits)
                pending, waiting, first = [], 0, number + 1
        return found

    def _hits(self, pending: Sequence[Hashes]) -> Iterator[tuple[int, Numbers]]:
        """Of each text that has any: its row, and the rows of its n-grams in the index."""
        words = np.concatenate(pending)
        ends = np.cumsum([len(item) for item in pending])
        owners, rows = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        reach = max(self._widths) - 1
        for begin in range(0, len(words), _BLOCK_WORDS):
            block = words[begin : begin + _BLOCK_WORDS + reach]
            for width, hashes in iter_ngrams(block, self._widths):
                hashes = hashes[:_BLOCK_WORDS]
                maybe = np.flatnonzero(self._filter[hashes >> self._shift])
                at = np.searchsorted(self._hashes, hashes[maybe])
                at = np.minimum(at, len(self._hashes) - 1)
                is_known = self._hashes[at] == hashes[maybe]
                places, at = maybe[is_known] + begin, at[is_known]
                owner = np.searchsorted(ends, places, side="right")
                # A run of words over the end of a text is nobody's.
                inside = places + width <= ends[owner]
                owners.append(owner[inside])
                rows.append(at[inside])
        keys = np.unique(np.concatenate(owners) * len(self._hashes) + np.concatenate(rows))
        if not len(keys):
            return
        owner, row = np.divmod(keys, len(self._hashes))
        bounds = np.flatnonzero(np.diff(owner, prepend=-1))
        for start, end in zip(bounds, np.append(bounds[1:], len(owner)), strict=True):
            yield int(owner[start]), row[start:end]

    def _judge(self, rows: Numbers) -> list[Found]:
        """The texts of items of which enough n-grams are among some rows of the index."""
        starts = self._starts[rows]
        lengths = self._starts[rows + 1] - starts
        offsets = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        numbers, counts = np.unique(
            self._texts[np.repeat(starts, lengths) + offsets], return_counts=True
        )
        overlaps = counts / self._counts[numbers]
        enough = overlaps >= self._min_overlap
        return [
            Found(number, overlap)
            for number, overlap in zip(
                numbers[enough].tolist(), overlaps[enough].tolist(), strict=True
            )
        ]
