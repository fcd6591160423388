"""Endings: whether a caption stops where its writer was cut off.

The engine says so (`length`), or the last characters do: a comma, an open bracket, a word that
nothing ends with. A short caption needs no full stop.
"""

import re

from recaptioner.checks.text import is_unspaced, sentences, words

_OPEN_ENDS = ",;:，、；：&/\\-–—‐‑([{（【「『“„«‚\ufffd"
"""Characters after which something must follow; the last is half a character."""
_BRACKETS = (("(", ")"), ("[", "]"), ("（", "）"), ("【", "】"))
_PAIRS = (("“", "”"), ("「", "」"), ("『", "』"))
# An inch and a smile are no halves of a pair.
_INCHES = re.compile(r"(?<=\d)\s?(?:''|[\"”″])")
_SMILE = re.compile(r"(?<!\w)[:;]['’]?-?[()\[\]]")
_SENTENCE_DONE = re.compile(r"[.!?…。！？।؟۔][\"'”’»)\]」』）*]{0,3}$")
_AFTER_ALL = re.compile(
    r"\b(?:photo|image|picture|credit|courtesy|source|copyright|via)\b|[©#@|]|\)$", re.I
)
"""Credits and tags follow the last sentence without being one."""

_UNFINISHED = {
    "en": "a an the and or of with from into onto between towards"
    " than but while whose my your their its",
    "de": "der die das des dem den eine einem einen einer eines und oder vom zum zur beim sowie",
    "fr": "le la les un une des du au aux et ou de avec dans sur par pour chez vers",
    "es": "el la los las un una unos unas y o de del al con en por para hacia desde",
    "it": "il lo la gli le un uno una e o di del della dei con nel nella per tra fra verso",
    "pt": "o os as um uma uns umas e ou de do da dos das com em no na num numa por para",
    "nl": "de het een en of met van naast tussen tegen zijn hun",
}
"""Words that no caption ends with, by language: in lower case, because names end with `A`."""
_UNFINISHED_SETS = {language: frozenset(said.split()) for language, said in _UNFINISHED.items()}
_HANGING = {
    "en": re.compile(
        r"\b(?:sits?|sitting|stands?|standing|l(?:ies|ying)|parked|placed|rest(?:s|ing)|located"
        r"|surrounded|hang(?:s|ing)|leans?|leaning|next|close|due|covered|filled|holding|wearing)"
        r" (?:in|on|by|to|near|under|against|at)$"
        r"|\b[a-z]{1,30} (?:who|which) (?:is|are|was|were|has|have)$"
        r"|^(?!.*\b(?:what|where|how|who|which|why|when|way|as|than|that|all|life|love)\b)"
        r".*\b(?!(?:it|this|there|here|he|she|you|we|i|they)\b)[a-z]{1,30} (?:is|are|was|were)$",
        re.I,
    )
}
_LAST_WORDS = 64
"""Characters of the end in which a hanging verb is looked for."""
_UNSPACED_UNFINISHED = "和与與及在把被从從向对對是がをにとはで"
_LONG = 100
"""Characters from which on a text of sentences should end as one."""
_SENTENCE_WORDS = 4


def find_truncation(text: str, finish: str, language: str) -> str:
    """Why a tidy text seems cut off, or nothing.

    Args:
        text: The text.
        finish: `length` where the engine stopped at its limit.
        language: That of the text, ISO 639-1; words are looked at in English, German, French,
            Spanish, Italian, Portuguese and Dutch.
    """
    if finish == "length":
        return "the engine stopped at its limit"
    text = _SMILE.sub("", text).rstrip()
    if not text:
        return ""
    if text[-1] in _OPEN_ENDS:
        return f"ends with {text[-1]}"
    return _open_pair(text) or _open_sentence(text, language)


def _open_pair(text: str) -> str:
    plain = _INCHES.sub("", text)
    # One behind a digit may be an inch or the end of a quote: that decides which of them is even.
    if text.count('"') % 2 and plain.count('"') % 2:
        return 'opens a " that it does not close'
    for opening, closing in _BRACKETS:
        if _is_open(plain, opening, closing):
            return f"opens a {opening} that it does not close"
    if "„" in plain:
        return ""  # German closes with what others open with
    for opening, closing in _PAIRS:
        if plain.rfind(opening) > plain.rfind(closing):
            return f"opens a {opening} that it does not close"
    return ""


def _is_open(text: str, opening: str, closing: str) -> bool:
    """Whether a bracket stays open. One that only closes is that of a list: `a) bread`."""
    depth = 0
    for character in text:
        if character == opening:
            depth += 1
        elif character == closing and depth:
            depth -= 1
    return depth > 0


def _open_sentence(text: str, language: str) -> str:
    if _SENTENCE_DONE.search(text[-5:]):
        return ""
    if is_unspaced(text):
        return f"ends with {text[-1]}" if text[-1] in _UNSPACED_UNFINISHED else ""
    last = text.rpartition(" ")[2]
    if last in _UNFINISHED_SETS.get(language, ()):
        return f"ends with {last!r}"
    hanging = _HANGING.get(language)
    if hanging is not None and (found := hanging.search(text[-_LAST_WORDS:])):
        return f"ends with {found[0]!r}"
    if len(text) >= _LONG:
        *whole, rest = sentences(text)
        whole = [one for one in whole if len(words(one)) >= _SENTENCE_WORDS]
        if len(whole) >= 2 and len(words(rest)) >= 3 and not _AFTER_ALL.search(rest):
            return "its last sentence has no end"
    return ""
