"""CIDEr-D (Vedantam, Zitnick, Parikh 2015), as `pycocoevalcap` computes it, without Java.

The idf comes from the references of the evaluated set, so a score holds for that set only, and the
score of a single picture is 0. Only the tokenizer is another: Stanford's runs in Java, the one here
follows its rules where captions need them (`TOKENIZER` names it beside a score).
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Gram = tuple[str, ...]

TOKENIZER = "weft-ptb-1"
LONGEST = 4
"""Words of the longest n-gram."""
SIGMA = 6.0
"""Of the penalty for another length, in words."""

PUNCTUATION = frozenset(
    ["''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--",
     "...", ";"]
)  # fmt: skip
"""Tokens that `pycocoevalcap` drops. Stanford's tokenizer gives brackets in lower case there, so
they stay; they do here too."""

_BRACKETS = {
    "(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-",
}  # fmt: skip
_TOKEN = re.compile(
    r"""
      \.\.\.+ | --+                              # dots, a dash
    | (?:[a-z]\.){2,}                            # u.s.
    | \d+(?:[.,:/]\d+)+                          # 1,000  4.5  10:30  1/2
    | (?:can)(?=not\b)                           # can|not
    | \w+?(?=n't\b)                              # do|n't
    | n't\b
    | '(?:s|m|d|ll|re|ve)\b                      # it|'s
    | \w+(?:[-&@]\w+)*                           # well-known
    | \S
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Cider:
    """Scores from 0 to 10, as `pycocoevalcap` gives them; papers print them times 100."""

    mean: float
    scores: list[float]
    """A picture each."""


def tokenize(caption: str) -> list[str]:
    """Words of a caption: lower case, clitics apart, without punctuation."""
    # Stanford's tokenizer writes all quotation marks as the ASCII ones.
    text = caption.lower().replace("\u2019", "'").replace("\u2018", "`")
    text = re.sub('["\u201c\u201d]', "''", text)
    found = (_BRACKETS.get(token, token) for token in _TOKEN.findall(text))
    return [token for token in found if token not in PUNCTUATION]


def _grams(words: Sequence[str]) -> Counter[Gram]:
    """How often each n-gram of 1 to `LONGEST` words occurs."""
    return Counter(
        tuple(words[start : start + size])
        for size in range(1, LONGEST + 1)
        for start in range(len(words) - size + 1)
    )


@dataclass(frozen=True, slots=True)
class _Vector:
    """A caption as tf-idf weights, by length of the n-gram."""

    weights: list[dict[Gram, float]]
    norms: list[float]
    length: int
    """Bigrams: that is what the reference counts as a caption's length."""


def _vector(grams: Counter[Gram], frequencies: Counter[Gram], log_pictures: float) -> _Vector:
    weights: list[dict[Gram, float]] = [{} for _ in range(LONGEST)]
    for gram, count in grams.items():
        # A gram of no reference counts as one of a single picture.
        idf = log_pictures - math.log(max(1, frequencies[gram]))
        weights[len(gram) - 1][gram] = count * idf
    norms = [math.sqrt(math.fsum(value * value for value in each.values())) for each in weights]
    length = sum(count for gram, count in grams.items() if len(gram) == 2)
    return _Vector(weights, norms, length)


def _similarity(candidate: _Vector, reference: _Vector) -> float:
    """Mean over n of the clipped cosine, times the penalty for another length."""
    total = 0.0
    for size in range(LONGEST):
        theirs = reference.weights[size]
        product = math.fsum(
            min(weight, theirs[gram]) * theirs[gram]
            for gram, weight in candidate.weights[size].items()
            if gram in theirs
        )
        norms = candidate.norms[size] * reference.norms[size]
        total += product / norms if norms else 0.0
    gap = candidate.length - reference.length
    return total / LONGEST * math.exp(-(gap**2) / (2 * SIGMA**2))


def cider_d(candidates: Sequence[str], references: Sequence[Iterable[str]]) -> Cider:
    """Score captions against the references of their pictures.

    Args:
        candidates: A caption a picture.
        references: One or more captions of each picture.

    Raises:
        ValueError: Another number of pictures, none, or one without references.
    """
    if len(candidates) != len(references) or not candidates:
        raise ValueError(f"{len(candidates)} captions for {len(references)} pictures")
    written = [[_grams(tokenize(text)) for text in texts] for texts in references]
    if not all(written):
        raise ValueError("a picture has no reference")
    # In how many pictures' references a gram occurs.
    frequencies = Counter(gram for texts in written for gram in set().union(*texts))
    log_pictures = math.log(len(written))
    scores = []
    for candidate, texts in zip(candidates, written, strict=True):
        mine = _vector(_grams(tokenize(candidate)), frequencies, log_pictures)
        found = [_similarity(mine, _vector(text, frequencies, log_pictures)) for text in texts]
        scores.append(10 * math.fsum(found) / len(found))
    return Cider(math.fsum(scores) / len(scores), scores)
