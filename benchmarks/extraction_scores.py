"""How well an extractor did on a page: text by shingles or words, snippets, images.

Each measure is the one that its data set was published with, so that figures can be set beside
published ones; `score_shingles` gives what `evaluate.py` of scrapinghub's article extraction
benchmark gives, `score_words` what WCXB's README describes. A word is a run of `\\w`, so the light
markup of our nodes, all punctuation, is no word.
"""

import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from urllib.parse import unquote, urljoin, urlsplit

SHINGLE_WORDS = 4

_WORD = re.compile(r"\w+")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Score:
    """Shares from 0 to 1."""

    precision: float
    recall: float
    f1: float

    @classmethod
    def of(cls, precision: float, recall: float) -> "Score":
        """The score with its F1, which is 0 where both are."""
        both = precision + recall
        return cls(precision, recall, 2 * precision * recall / both if both else 0.0)


def shingles(text: str) -> "Counter[tuple[str, ...]]":
    """The runs of four words of a text, with their counts; a shorter text is one run."""
    words = _WORD.findall(text)
    starts = range(max(1, len(words) - SHINGLE_WORDS + 1)) if words else range(0)
    return Counter(tuple(words[start : start + SHINGLE_WORDS]) for start in starts)


def word_counts(text: str) -> "Counter[str]":
    """The words of a text in lower case, with their counts."""
    return Counter(_WORD.findall(text.lower()))


def _shares(expected: "Counter[Hashable]", found: "Counter[Hashable]") -> tuple[float, float]:
    """Share of `found` that is expected, and of `expected` that is found; 0 of nothing."""
    common = (expected & found).total()
    return common / (found.total() or 1), common / (expected.total() or 1)


def score_shingles(pairs: Iterable[tuple[str, str]]) -> Score:
    """Mean precision and mean recall of (expected, found) texts, and the F1 of the two means.

    As `evaluate.py`: a page without an expected text counts for no recall, one where nothing was
    found for no precision.
    """
    precisions, recalls = [], []
    for expected_text, found_text in pairs:
        expected = Counter[Hashable](shingles(expected_text))
        found = Counter[Hashable](shingles(found_text))
        precision, recall = _shares(expected, found)
        if found:
            precisions.append(precision)
        if expected:
            recalls.append(recall)
    return Score.of(mean(precisions), mean(recalls))


def score_words(expected_text: str, found_text: str) -> Score:
    """Precision, recall and F1 of one page over word counts; two empty texts agree."""
    expected = Counter[Hashable](word_counts(expected_text))
    found = Counter[Hashable](word_counts(found_text))
    if not expected and not found:
        return Score(1.0, 1.0, 1.0)
    return Score.of(*_shares(expected, found))


def mean_score(scores: Sequence[Score]) -> Score:
    """The means over pages, the one of F1 too (so it is not the F1 of the other two)."""
    return Score(
        mean([score.precision for score in scores]),
        mean([score.recall for score in scores]),
        mean([score.f1 for score in scores]),
    )


def mean(values: Sequence[float]) -> float:
    """The mean, 0 of nothing."""
    return fmean(values) if values else 0.0


def snippets_present(snippets: Sequence[str], text: str) -> int:
    """How many of the snippets stand in a text; letter case and white space do not count."""
    searched = _folded(text)
    return sum(_folded(snippet) in searched for snippet in snippets)


def _folded(text: str) -> str:
    return _SPACE.sub(" ", text).strip().lower()


def comparable_url(page_url: str, reference: str) -> str | None:
    """A reference resolved, without query and fragment, percent-escapes read.

    None for no file: an empty reference, a `data:` URI, what no URL parser reads.
    """
    reference = reference.strip()
    try:
        parts = urlsplit(urljoin(page_url, reference)) if reference else None
    except ValueError:
        return None
    if parts is None or parts.scheme == "data":
        return None
    return f"{parts.scheme}://{parts.netloc.lower()}{unquote(parts.path)}"


@dataclass(frozen=True, slots=True)
class ImageCounts:
    """Expected and found images of pages."""

    expected: int
    expected_found: int
    """Expected images that an extractor gave."""
    found: int
    found_expected: int
    """Given images that are expected."""

    @property
    def recall(self) -> float:
        """Share of the expected images that were given."""
        return self.expected_found / (self.expected or 1)

    @property
    def precision(self) -> float:
        """Share of the given images that are expected."""
        return self.found_expected / (self.found or 1)


def count_images(
    expected: Sequence[Collection[str]],
    found: Sequence[Collection[str]],
    optional: Collection[str] = (),
) -> ImageCounts:
    """Counts of a page.

    Args:
        expected: For each expected image, the comparable URLs of its files.
        found: For each given image, the comparable URLs of its files.
        optional: Comparable URLs that may be given and need not be; they are in no count.
    """
    wanted = {url for urls in expected for url in urls}
    given = {url for urls in found for url in urls}
    judged = [
        urls for urls in found if not wanted.isdisjoint(urls) or set(optional).isdisjoint(urls)
    ]
    return ImageCounts(
        expected=len(expected),
        expected_found=sum(not given.isdisjoint(urls) for urls in expected),
        found=len(judged),
        found_expected=sum(not wanted.isdisjoint(urls) for urls in judged),
    )


def sum_counts(counts: Iterable[ImageCounts]) -> ImageCounts:
    """The sums over pages: every image counts the same."""
    rows = [
        (each.expected, each.expected_found, each.found, each.found_expected) for each in counts
    ]
    return (
        ImageCounts(*(sum(column) for column in zip(*rows, strict=True)))
        if rows
        else (ImageCounts(0, 0, 0, 0))
    )
