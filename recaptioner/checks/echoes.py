"""Echoes of the prompt, and copies of the alt text: answers that were not made but repeated.

A fused caption must quote alt text and description, so only what stands in neither is an echo.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from recaptioner.checks.text import folded_words, is_unspaced, sentences, tidy

_MARKERS = re.compile(
    r"<image>|<img>|\[IMAGE\]|\[IMG\]|^\{ ?\"|\[/?INST\]|<</?SYS>>|<\|[\w▁]{1,40}\|>"
    r"|<(?:start|end)_of_turn>"
    r"|#{2,4} ?(?:Instruction|Response|Input|Human|Assistant)\b"
    r"|\b(?:USER|ASSISTANT|SYSTEM|HUMAN) ?:|\bAlt[ -]?text ?[:：]|\bDescription ?[:：]"
    r"|(?:^|(?<=[.!?>\]\"] ))(?:User|Assistant|Human) ?:"
    r"|[(\[](?:Note|Hinweis|Anmerkung|Remarque|Nota) ?:|\balt[ -]text\b"
)
"""Role names, special tokens and field names of the usual templates, JSON, remarks on the task."""
_LABEL = re.compile(r"^[ \t#*]{0,4}([^\W\d_][\w /-]{1,30}?)[ *]{0,2}[:：]", re.M)
"""What a line of a prompt begins with: the name of a field."""
_SHORT_ECHO = 3
"""Words from which on a whole sentence of the prompt is an echo when it is one of the answer."""
_MIN_NEAR_COPY = 5
"""Words below which a rewritten text may come out as it went in but for one of them."""

_FUNCTION_WORDS = "a an the of in on at to with and is are by for from it its this that there"
_SAYS_NOTHING = frozenset(_FUNCTION_WORDS.split())


def find_echo(text: str, prompt: str, alt: str, description: str, echo_words: int) -> str:
    """What a caption repeats of its prompt, or nothing.

    A marker of a template; a field name of the prompt with its colon, or without where it is of
    two words or more (`Sentence 1 says`); a run of words of the prompt
    (as many letters and half again in scripts without spaces); a whole sentence of it. What stands
    in the alt text or in the description as well is data and may be quoted.

    Args:
        text: The caption, tidy.
        prompt: System and user text as they were sent.
        alt: The alt text in it.
        description: The description in it.
        echo_words: How many words make a run.
    """
    alt, description = tidy(alt), tidy(description)
    given = f"{alt}\n{description}"
    return (
        _marker(text, given)
        or _field(text, prompt, given)
        or _instruction(text, prompt, (alt, description), echo_words)
    )


def _marker(text: str, given: str) -> str:
    allowed = Counter(match[0] for match in _MARKERS.finditer(given))
    for marker, count in Counter(match[0] for match in _MARKERS.finditer(text)).items():
        if count > allowed[marker]:
            return marker
    return ""


def _field(text: str, prompt: str, given: str) -> str:
    said = text.casefold()
    quoted = given.casefold()
    labels = (match[1].casefold() for match in _LABEL.finditer(prompt))
    for label in dict.fromkeys(labels):
        for colon in ("",) if len(label.split()) > 1 else (":", "："):
            if said.count(label + colon) > quoted.count(label + colon):
                return label + colon
    return ""


def _ngrams(said: Sequence[str], size: int) -> Iterable[tuple[str, ...]]:
    return zip(*(said[at:] for at in range(size)), strict=False)


def _instruction(text: str, prompt: str, given: tuple[str, str], echo_words: int) -> str:
    size = echo_words + echo_words // 2 if is_unspaced(text) else echo_words
    data = [folded_words(one) for one in given]
    asked = folded_words(tidy(prompt))
    quoted = {ngram for said in data for ngram in _ngrams(said, size)}
    own = set(_ngrams(asked, size)) - quoted
    for ngram in _ngrams(folded_words(text), size):
        if ngram in own:
            return " ".join(ngram)
    lines = [tidy(line) for line in prompt.splitlines()]
    orders = {tuple(folded_words(one)) for line in lines for one in sentences(line)}
    orders -= {tuple(folded_words(s)) for one in given for s in sentences(one)}
    orders -= {tuple(said) for said in data}
    for sentence in sentences(text):
        said = tuple(folded_words(sentence))
        if len(said) >= _SHORT_ECHO and said in orders:
            return sentence
    return ""


def find_copy(
    text: str, mode: str, prompt: str, alt: str, description: str, copy_overlap: float
) -> str:
    """How a caption copies its alt text, or nothing.

    A copy has the words of the alt text in their order, whatever case, accents and punctuation. In
    mode `rewrite` one is also near: of the words of both texts, counted, at least `copy_overlap`
    are common, in any order. No copy is a description whose prompt did not hold the alt text, nor
    a fused caption whose description has no word that the alt text lacks.

    Args:
        text: The caption, tidy.
        mode: `describe`, `fuse` or `rewrite`.
        prompt: System and user text as they were sent.
        alt: The alt text.
        description: The description that was to be fused.
        copy_overlap: Share of common words, 0 to 1.
    """
    said, source = folded_words(text), folded_words(tidy(alt))
    if not source:
        return ""
    if said == source:
        if mode == "describe" and not _contains(folded_words(tidy(prompt)), source):
            return ""
        if mode == "fuse" and _adds_nothing(description, source):
            return ""
        return "the words of the alt text"
    if mode != "rewrite" or min(len(said), len(source)) < _MIN_NEAR_COPY:
        return ""
    ours, theirs = Counter(said), Counter(source)
    share = (ours & theirs).total() / (ours | theirs).total()
    return f"{share:.2f} of the words are those of the alt text" if share >= copy_overlap else ""


def _contains(said: Sequence[str], piece: Sequence[str]) -> bool:
    # Spaces around: no word is found inside another one.
    return f" {' '.join(piece)} " in f" {' '.join(said)} "


def _adds_nothing(description: str, source: Sequence[str]) -> bool:
    said = {word for word in folded_words(tidy(description)) if word not in _SAYS_NOTHING}
    return said <= set(source)
