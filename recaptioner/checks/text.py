"""The text of an answer: cleaned, cut into words and sentences, without what it quotes.

Texts come from models and from the web, so every function takes time in proportion to their length
and no pattern has an unbounded repetition inside another one.
"""

import re
from unicodedata import category, combining, normalize

UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Thai, Lao, Myanmar, Khmer, kana and Han: written without spaces, so each letter is a word."""


def _marks() -> str:
    r"""Combining marks of scripts with spaces, for a class of a pattern: `\w` has none of them."""
    return "".join(
        chr(code)
        for code in range(0x300, 0x2000)
        if category(chr(code)).startswith("M") and not re.match(f"[{UNSPACED}]", chr(code))
    )


_LETTERS = rf"[^\W_{UNSPACED}]"
_WORD = re.compile(
    rf"[{UNSPACED}]"
    rf"|{_LETTERS}{{1,200}}(?:['’]{_LETTERS}{{1,200}}|[{_marks()}]{{1,30}}{_LETTERS}{{0,200}}){{0,50}}"
)
_UNSPACED_LETTER = re.compile(f"[{UNSPACED}]")
_SENTENCE_END = re.compile(r"[.!?…][\"'”’»)\]]{0,3}\s+|[。！？।][”’」』）]{0,3}\s*")

_MARKS = 30
"""Combining marks in a run that are kept (Unicode Standard Annex 15, section 13): to put a longer
run into its order takes the square of its length."""
_KEPT_CONTROLS = "\u200c\u200d\u200e\u200f\u061c\ufe0e\ufe0f"
"""Joiners and marks of direction: emoji, Persian and right-to-left texts need them."""

_VOICED = "\u3099\u309a"
"""Marks of kana that make another letter, not an accent."""

_SPECIAL_TOKENS = (
    "</s>",
    "<s>",
    "<pad>",
    "<bos>",
    "<eos>",
    "<unk>",
    "<end_of_turn>",
    "<|im_end|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|begin_of_text|>",
    "<|startoftext|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|pad|>",
    "<｜end▁of▁sentence｜>",
    "<｜begin▁of▁sentence｜>",
)
_QUOTES = (
    ('"', '"'),
    ("'", "'"),
    ("`", "`"),
    ("“", "”"),
    ("‘", "’"),
    ("„", "“"),
    ("„", "”"),
    ("«", "»"),
    ("»", "«"),
    ("「", "」"),
    ("『", "』"),
)
_WRAPPERS = ("```", "***", "**", "__")
_FENCE_LANGUAGE = re.compile(r"[A-Za-z]{0,15}[ \t]{0,9}\n")
_LABEL = re.compile(
    r"(?:[#*_>\s]{0,9}(?:(?:the|new|final|fused|merged|refined|rewritten|short|image|photo)\s){0,2}"
    r"(?:caption|description|beschreibung|bildunterschrift|légende|descripción|标题|描述|説明)"
    r"[*_]{0,3}\s?[:：][*_]{0,3}\s?)+",
    re.I,
)
_PREAMBLE = re.compile(
    r"(?:(?:sure|certainly|of course|okay|absolutely)\b[!,.]?\s?)?here(?:['’]s| is)\s"
    r"[^:.!?]{0,60}\b(?:caption|description|sentence|version|rewrite)\b[^:.!?]{0,60}[:：]\s?",
    re.I,
)
# Bounded: where an opening mark has no partner, each of many would look to the end of the text.
_QUOTED = re.compile(
    r"“[^”]{0,400}”|„[^“”]{0,400}[“”]|«[^»]{0,400}»|「[^」]{0,400}」|『[^』]{0,400}』"
    r"|(?<![\w])\"[^\"]{0,400}\"|‘[^‘\n]{0,200}?’(?!\w)|(?<![\w'])'[^'\n](?:[^'\n]|'(?=\w)){0,200}'"
)


def tidy(text: str) -> str:
    """A text in NFC, its runs of white space one space, without control characters."""
    if not text.isprintable():
        text = "".join(filter(_is_kept, text))
    if not text.isascii():
        text = _composed(text)
    return " ".join(text.split())


def _is_kept(character: str) -> bool:
    return character.isprintable() or character.isspace() or character in _KEPT_CONTROLS


def _composed(text: str) -> str:
    kept = []
    run = 0
    for character in text:
        run = run + 1 if combining(character) else 0
        if run <= _MARKS:
            kept.append(character)
    return normalize("NFC", "".join(kept))


def clean_output(text: str) -> str:
    """The caption in a model's answer, without what models put around one.

    NFC and single spaces; without control characters, special tokens at either end, a fence of
    Markdown, bold type or quotes around the whole, and a leading `Caption:` or `Here is the
    caption:`. What stands in the middle stays, for the checks to see. Cleaning twice is cleaning
    once.
    """
    text = tidy(_without_fence(text))
    while True:
        shorter = _without_wrapping(_without_special_tokens(_without_label(text)))
        if len(shorter) == len(text):
            return text
        text = shorter


def _without_fence(text: str) -> str:
    text = text.strip()
    if len(text) < 6 or not text.startswith("```") or not text.endswith("```"):
        return text
    language = _FENCE_LANGUAGE.match(text, 3)
    return text[language.end() if language else 3 : -3]


def _without_label(text: str) -> str:
    begin = 0
    for pattern in (_PREAMBLE, _LABEL):
        match = pattern.match(text, begin)
        begin = match.end() if match else begin
    return text[begin:].lstrip()


def _without_special_tokens(text: str) -> str:
    begin, end = 0, len(text)
    while token := next((t for t in _SPECIAL_TOKENS if text.startswith(t, begin, end)), ""):
        begin += len(token)
        begin += text.startswith(" ", begin, end)
    while token := next((t for t in _SPECIAL_TOKENS if text.endswith(t, begin, end)), ""):
        end -= len(token)
        end -= text.endswith(" ", begin, end)
    return text[begin:end]


def _without_wrapping(text: str) -> str:
    for mark in _WRAPPERS:
        if len(text) >= 2 * len(mark) and text.startswith(mark) and text.endswith(mark):
            return text.removeprefix(mark).removesuffix(mark).strip()
    for opening, closing in _QUOTES:
        if len(text) < 2 or not text.startswith(opening) or not text.endswith(closing):
            continue
        inner = text[1:-1]
        # `"A" and "B"` begins and ends with a quote that is not around the whole.
        if _quotes_in(inner, opening) == 0 and _quotes_in(inner, closing) == 0:
            return inner.strip()
    return text


def _quotes_in(text: str, mark: str) -> int:
    """How often a quote stands in a text other than as an apostrophe."""
    if mark not in "'’":
        return text.count(mark)
    return sum(
        not (text[at - 1 : at].isalnum() and text[at + 1 : at + 2].isalnum())
        for at, character in enumerate(text)
        if character == mark
    )


def fold(text: str) -> str:
    """A text in lower case and without accents, to compare words by."""
    if text.isascii():
        return text.casefold()
    parts = normalize("NFKD", text)
    plain = "".join(c for c in parts if not combining(c) or c in _VOICED)
    return normalize("NFC", plain).casefold()


def words(text: str) -> list[str]:
    """The words of a tidy text, in order, as written: `it's` is one, `blue-green` is two.

    In scripts without spaces each letter is a word.
    """
    return _WORD.findall(text)


def folded_words(text: str) -> list[str]:
    """The words of a tidy text as `fold` leaves them, without a possessive 's."""
    return [fold(word).replace("’", "'").removesuffix("'s") for word in words(text)]


def is_unspaced(text: str) -> bool:
    """Whether most of a text's words are letters of a script without spaces."""
    letters = len(_UNSPACED_LETTER.findall(text))
    return 2 * letters > len(words(text))


def sentences(text: str) -> list[str]:
    """The sentences of a tidy text with their marks; the last may have no mark."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    pieces = (text[a:b].strip() for a, b in zip([0, *ends], [*ends, len(text)], strict=True))
    return [piece for piece in pieces if piece]


def unquoted(text: str) -> str:
    """A text with an ellipsis for what stands in quotes: words of a sign are not those of a model.

    Quotes of more than 400 characters stay.
    """
    return _QUOTED.sub("…", text)
