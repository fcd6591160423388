"""The words of a text as the search for near-duplicates sees them: folded, in order.

`words` is the definition. The kernel (`minhash_kernel.py`) folds by itself what a table can say of
a character, whatever stands beside it; `fold_block` writes that table and `fold_token` folds the
rest. What a character folds to depends on its neighbours only where composition or the order of
marks does (Unicode Standard Annex 15).
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache

# Thai and Lao, Myanmar, Khmer, kana and its extensions, Han.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_UNSPACED_CHARACTER = re.compile(f"[{_UNSPACED}]")
_WORD = re.compile(f"[{_UNSPACED}]|[^\\W_{_UNSPACED}]+")
_SPACE = re.compile(r"\s")
_PIECE = 1 << 20

FOLD = bytes(
    byte if byte >= 0x80 else ord(chr(byte).lower()) if chr(byte).isalnum() else 0x20
    for byte in range(256)
)
"""Bytes of UTF-8: ASCII letters to lower case, other ASCII but digits to space; others stay."""

BLOCK = 256
"""Code points of a block of the kernel's table."""
ENTRY_BYTES = 8
"""Of a code point in that table: the size of what it folds to, and what it folds to."""
NEEDS_TOKEN = 255
"""In place of a size: the token that holds the character is folded as a whole."""

_PAIRS_END = 0x30000
"""No character from here on is composed of two; a test says so."""
_CACHED_TOKENS = 1 << 16
_MARKS = 30
_CACHED_TOKEN_BYTES = 64


def words(text: str) -> list[str]:
    """The words of a text that a shingle is made of, in order.

    Lower case (NFKC and case folding beyond ASCII); a word is a run of letters and digits, so
    punctuation, marks and symbols only separate. Scripts written without spaces (Han, kana, Thai,
    Lao, Myanmar, Khmer) give one word a character.
    """
    return [
        word for piece in pieces(text) for token in tokens(piece) for word in words_of_token(token)
    ]


def pieces(text: str) -> Iterable[bytes]:
    """A text as UTF-8, in pieces of about a million characters that share no word.

    The pieces bound the memory that a text takes. A word of more than a million characters may be
    cut. Lone surrogates stay.
    """
    return [_encode(text)] if len(text) <= _PIECE else _cut(text)


def _cut(text: str) -> Iterator[bytes]:
    start = 0
    while start < len(text):
        stop = len(text)
        if stop - start > _PIECE:
            cut = _SPACE.search(text, start + _PIECE, start + 2 * _PIECE)
            stop = cut.start() if cut else min(start + 2 * _PIECE, stop)
        yield _encode(text[start:stop])
        start = stop


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def tokens(piece: bytes) -> list[bytes]:
    """What stands between ASCII separators, in lower case as far as it is ASCII."""
    return piece.translate(FOLD).split()


def words_of_token(token: bytes) -> list[str]:
    """The words of one of `tokens`."""
    if token.isascii():
        return [token.decode("ascii")]
    text = _bounded_marks(token.decode("utf-8", "surrogatepass"))
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def _bounded_marks(text: str) -> str:
    """A text whose runs of combining marks have at most `_MARKS` (UAX #15, section 13).

    Putting a run into its order takes the square of its length.
    """
    if len(text) <= _MARKS:
        return text
    kept = []
    run = 0
    for character in text:
        run = run + 1 if unicodedata.combining(character) else 0
        if run <= _MARKS:
            kept.append(character)
    return "".join(kept)


# What the kernel asks for.


def fold_token(token: bytes) -> bytes:
    """The words of a run of UTF-8 without ASCII separators, a space between them.

    Those of short tokens are remembered, up to a bound: text from strangers may have any number.
    """
    return _fold_cached(token) if len(token) <= _CACHED_TOKEN_BYTES else _fold_token(token)


def _fold_token(token: bytes) -> bytes:
    return _encode(" ".join(words_of_token(token.translate(FOLD))))


_fold_cached = lru_cache(_CACHED_TOKENS)(_fold_token)


def fold_block(number: int) -> bytes:
    """What the code points from `number * BLOCK` on fold to, `ENTRY_BYTES` for each.

    A space stands wherever a word ends. Nothing is said of ASCII: that the kernel folds itself.
    """
    first = number * BLOCK
    return b"".join(_entry(chr(code)) for code in range(first, first + BLOCK))


def _entry(character: str) -> bytes:
    folded = b"" if character.isascii() else _fold_alone(character)
    if folded is None or len(folded) >= ENTRY_BYTES:
        return bytes([NEEDS_TOKEN]).ljust(ENTRY_BYTES, b"\0")
    return bytes([len(folded), *folded]).ljust(ENTRY_BYTES, b"\0")


def _fold_alone(character: str) -> bytes | None:
    """What a character folds to beside any others; None if it depends on them."""
    parts = unicodedata.normalize("NFKD", character)
    if parts[0] in _seconds():
        return None
    folded = "".join(map(_set_apart, unicodedata.normalize("NFKC", character).casefold()))
    # A mark may change places with others, which does not matter as long as all only separate.
    is_mark = unicodedata.combining(parts[0]) != 0
    if is_mark and (not folded.isspace() or not _seconds().isdisjoint(parts)):
        return None
    # One that carries a mark which folds to a letter: others may come before that mark.
    if any(unicodedata.combining(part) and _WORD.match(part.casefold()) for part in parts[1:]):
        return None
    return _encode(folded)


def _set_apart(character: str) -> str:
    """A character as it stands among others: in a word, as a word of its own, or as a space."""
    if _UNSPACED_CHARACTER.match(character):
        return f" {character} "
    return character if _WORD.match(character) else " "


@cache
def _seconds() -> frozenset[str]:
    """Characters that may be composed with the one before."""
    found = {chr(code) for code in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}  # Hangul
    for code in range(_PAIRS_END):
        pair = unicodedata.decomposition(chr(code)).split()
        if len(pair) == 2 and not pair[0].startswith("<"):
            found.add(chr(int(pair[1], 16)))
    return frozenset(found)
