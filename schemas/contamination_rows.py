"""The rows of decontamination: evaluation items as hashes, and what of the corpus matched them.

No text and no picture of an evaluation item is kept: an output can be handed on without it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EvaluationText:
    """A text of an evaluation item, known by its n-grams."""

    text: int
    """Its number, from 0, in the order of benchmark, item and field."""
    benchmark: str
    item: str
    field: str
    """The column that the text stands in: `question`, `answer`, `caption`, ..."""
    words: int
    width: int
    """Words of its n-grams; all of its words where it has fewer than `decontamination.ngram`."""
    ngrams: int
    """Distinct n-grams."""


@dataclass(frozen=True, slots=True)
class EvaluationNgram:
    """An n-gram of a text; rows are sorted by both columns, the hash as an unsigned number."""

    ngram: int
    """64-bit hash, as a signed integer."""
    text: int


@dataclass(frozen=True, slots=True)
class EvaluationImage:
    """An image of an evaluation item."""

    benchmark: str
    item: str
    sha256: str | None
    phash: int | None
    """As in table `images`; null where the picture does not decode or is of one colour."""


@dataclass(frozen=True, slots=True)
class Contamination:
    """What is removed because an evaluation item is in it: a row for each benchmark that it holds.

    Of several items of one benchmark the row names the one that is there most completely.
    """

    kind: str
    """`document`, `text`, `caption` or `image_url`."""
    id: str
    """`doc_id`, `text_id`, `caption_id`, or the URL of the image."""
    url: str
    """Of the page; of an image its own."""
    benchmark: str
    item: str
    field: str
    """Column of the evaluation table."""
    match: str
    """`ngrams`, `sha256` or `phash`."""
    overlap: float | None
    """Share of the item's distinct n-grams that were found, 0 to 1."""
    distance: int | None
    """Bits in which the perceptual hashes differ."""
    items: int
    """Items of the benchmark that were found in it."""
