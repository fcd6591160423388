"""Loops: words, phrases, sentences or characters that a model repeats because it cannot stop.

BLIP-2 repeats phrases, CoCa digits, and most captioners the last sentence when they may write on.
What people repeat is shorter: `New York, New York`, `ha ha ha`, a row of five stars.
"""

from collections.abc import Sequence
from unicodedata import category

import numpy as np
import numpy.typing as npt

from recaptioner.checks.text import fold, is_unspaced, sentences, words

_MAX_PERIOD = 64
"""Words of the longest phrase whose repeats are looked for; sentences may be longer."""
_MAX_LETTERS = 16
_WORD_REPEATS = 5
_PHRASE_REPEATS = 3
_LONG_PHRASE = 7
"""Words from which on a phrase that follows itself is a loop."""
_NUMBER_REPEATS = 8
_SYMBOL_REPEATS = 10
_LETTER_RUN = 10
_SYLLABLE_REPEATS = 6
_CHARACTER_RUN = 20
_SENTENCE_WORDS = 4
_LONG_RUN = 9
_NGRAM = 4
_NGRAM_TOKENS = 24


def find_loop(text: str, max_repeated: float) -> str:
    """What a tidy text repeats, or nothing.

    - a word five times in a row, a number eight times, an emoji ten times;
    - a phrase of two words or more three times in a row, of seven words twice;
    - a sentence of at least four words, or a run of nine, twice, wherever it stands (18 in scripts
      whose words are letters);
    - a letter ten times, a syllable six times in a row; of what has no letter, six times and at
      least 20 characters;
    - in a text of at least 24 words, too large a share of runs of four words that stood before.

    Args:
        text: The text.
        max_repeated: The largest share of such runs that is no loop.

    Returns:
        The repeated piece, or an empty text.
    """
    tokens = _tokens(text)
    long_run = 2 * _LONG_RUN if is_unspaced(text) else _LONG_RUN
    return (
        _repeated_phrase(tokens)
        or _repeated_characters(text)
        or _repeated_sentence(text)
        or _repeated_run(tokens, long_run)
        or _repeated_ngrams(tokens, max_repeated)
    )


def _tokens(text: str) -> list[str]:
    """Words, and symbols that are no punctuation, each by itself."""
    found: list[str] = []
    rest = []
    for character in text:
        if _is_symbol(character):
            rest.append(f" {character} ")
        else:
            rest.append(character)
    for piece in "".join(rest).split():
        if len(piece) == 1 and _is_symbol(piece):
            found.append(piece)
        else:
            found += (fold(word) for word in words(piece))
    return found


def _is_symbol(character: str) -> bool:
    return not character.isascii() and category(character) == "So"


def _runs(
    codes: npt.NDArray[np.int64] | npt.NDArray[np.uint32], period: int
) -> list[tuple[int, int]]:
    """Where a sequence repeats with a period: start and length of each longest stretch."""
    same = np.concatenate(([False], codes[period:] == codes[:-period], [False]))
    edges = np.flatnonzero(same[1:] != same[:-1])
    return [(int(a), int(b - a) + period) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _repeated_phrase(tokens: Sequence[str]) -> str:
    numbers: dict[str, int] = {}
    codes = np.array([numbers.setdefault(token, len(numbers)) for token in tokens], np.int64)
    for period in range(1, min(_MAX_PERIOD, len(tokens) // 2) + 1):
        for start, length in _runs(codes, period):
            phrase = tokens[start : start + period]
            if length // period >= _repeats_of_loop(phrase):
                return " ".join(phrase)
    return ""


def _repeats_of_loop(phrase: Sequence[str]) -> int:
    """How often a phrase must follow itself to be a loop."""
    if not any(any(map(str.isalnum, token)) for token in phrase):
        return max(_SYMBOL_REPEATS // len(phrase), _WORD_REPEATS)
    if all(token.isdecimal() for token in phrase):
        return _NUMBER_REPEATS
    if len(phrase) == 1:
        return _WORD_REPEATS
    return 2 if len(phrase) >= _LONG_PHRASE else _PHRASE_REPEATS


def _repeated_characters(text: str) -> str:
    codes = np.frombuffer(text.casefold().encode("utf-32-le", "surrogatepass"), np.uint32)
    for period in range(1, min(_MAX_LETTERS, len(codes) // 2) + 1):
        for start, length in _runs(codes, period):
            unit = "".join(map(chr, codes[start : start + period].tolist()))
            if unit.isalpha():
                needed = _LETTER_RUN if period == 1 else _SYLLABLE_REPEATS * period
            else:
                needed = max(_CHARACTER_RUN, _SYLLABLE_REPEATS * period)
            if length >= needed:
                return unit
    return ""


def _repeated_sentence(text: str) -> str:
    seen = set()
    for sentence in sentences(text):
        said = tuple(map(fold, words(sentence)))
        if len(said) >= _SENTENCE_WORDS and said in seen:
            return sentence
        seen.add(said)
    return ""


def _repeated_run(tokens: Sequence[str], size: int) -> str:
    first: dict[tuple[str, ...], int] = {}
    for at, run in enumerate(zip(*(tokens[at:] for at in range(size)), strict=False)):
        if at - first.setdefault(run, at) >= size:
            return " ".join(run)
    return ""


def _repeated_ngrams(tokens: Sequence[str], max_repeated: float) -> str:
    if len(tokens) < _NGRAM_TOKENS:
        return ""
    ngrams = list(zip(*(tokens[at:] for at in range(_NGRAM)), strict=False))
    seen: set[tuple[str, ...]] = set()
    repeated = []
    for ngram in ngrams:
        if ngram in seen:
            repeated.append(ngram)
        seen.add(ngram)
    return " ".join(repeated[0]) if len(repeated) > max_repeated * len(ngrams) else ""
