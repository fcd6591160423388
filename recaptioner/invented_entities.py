"""Entities that a caption has of itself: in neither the alt text nor the description.

Who fuses or rewrites two texts is told nothing else, so another number or name is made up. A doubt
is no alarm: a number is known by its digits or its value, a name by half of its words, by its
beginning, as an adjective or as an acronym.
"""

import re
from collections.abc import Iterable
from decimal import Decimal

from recaptioner.checks.language import guess_language
from recaptioner.checks.text import tidy
from recaptioner.entities import Name, Token, find_entities, tokenize
from recaptioner.kept_entities import ABBREVIATIONS, QuantitiesOf, WordsOf
from recaptioner.quantities import DATE, YEAR, Quantity, find_quantities, stand_ins

_DIGITS = re.compile(r"\d{1,40}")
_CENTURY = re.compile(r"[ -]?(?:centur|jahrhundert|jh\b|siècle|siglo|secolo|século|eeuw)", re.I)
_ROMAN = "I II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI XVII XVIII XIX XX XXI"
_ROMAN_VALUES = {roman: str(value) for value, roman in enumerate(_ROMAN.split(), 1)}
_FULL_NAMES = {
    "la": "los angeles", "sf": "san francisco", "us": "united states america",
    "usa": "united states america", "uk": "united kingdom great britain",
    "uae": "united arab emirates", "eu": "european union", "un": "united nations",
    "wwi": "world war", "wwii": "world war",
}  # fmt: skip
_WRITTEN_LIKE_NAMES = (
    "ac atm bbq bmx cctv cd cds cgi cnc cpu diy dj dna dslr dvd dvds fm gif gps gpu hd hdmi hdr"
    " id iv led leds lcd lp mc mri ok oled pc pcs pdf pvc qr rv sms suv suvs tv tvs ufo usb uv vhs"
    " vip vr wc wifi xl xxl xray"
    " art deco nouveau baroque edwardian georgian gothic medieval renaissance rococo victorian"
    " buddhist catholic christian hindu islamic jewish muslim orthodox protestant"
    " christmas easter halloween claus xmas"
)
_THINGS = frozenset(_WRITTEN_LIKE_NAMES.split())
"""Acronyms of things, styles, faiths and feasts: a picture shows them, and they name nothing."""
_MIN_STEM = 4
_MAX_ENDING = 3
"""Letters behind a common stem in which two forms of a name may differ."""
_MIN_ACRONYM, _MAX_ACRONYM = 3, 6
_MIN_CONSONANTS = 3
_VOWELS = re.compile("[aeiouy]")


def find_invented(
    text: str, alt: str, description: str, *, alt_language: str = "", language: str = ""
) -> tuple[str, ...]:
    """Numbers in digits, and names, of a caption that its sources do not have, as it writes them.

    Args:
        text: The caption, tidy.
        alt: The alt text.
        description: The description that was fused with it.
        alt_language: Language of the alt text, ISO 639-1; empty: guessed.
        language: Language of the caption; empty: that of the alt text.
    """
    alt, description = tidy(alt), tidy(description)
    alt_language = alt_language or guess_language(alt) or "en"
    language = language or alt_language
    given = tokenize(f"{alt}\n{description}")
    said = find_entities(text, language, {token.folded for token in given if token.text.islower()})
    sources = ((alt, alt_language), (description, language))
    numbers = _new_quantities(text, said.quantities, sources, given)
    return (*numbers, *_new_names(said.names, given))


def _new_quantities(
    text: str,
    said: Iterable[Quantity],
    sources: Iterable[tuple[str, str]],
    given: Iterable[Token],
) -> Iterable[str]:
    quantities = [one for source in sources for one in find_quantities(*source)]
    values = frozenset[Decimal]().union(*(stand_ins(*source) for source in sources))
    known = QuantitiesOf(quantities, values)
    digits = {run.lstrip("0") for token in given for run in _DIGITS.findall(token.text)}
    digits |= {_ROMAN_VALUES[token.text] for token in given if token.text in _ROMAN_VALUES}
    years = {year for one in quantities if one.kind in (YEAR, DATE) for year, _, _ in one.days}
    for one in said:
        runs = {run.lstrip("0") for run in _DIGITS.findall(one.text)}
        if runs and not runs <= digits and one not in known and not _is_age(text, one, years):
            yield one.text


def _is_age(text: str, one: Quantity, years: Iterable[int]) -> bool:
    """Whether a quantity is the decade or the century of a year that is known."""
    if one.unit == "s":
        return any(Decimal(year % 100 // 10 * 10) in one.values for year in years if year)
    if _CENTURY.match(text, one.span[1]):
        return any(Decimal((year + 99) // 100) in one.values for year in years if year)
    return False


def _new_names(names: Iterable[Name], given: list[Token]) -> Iterable[str]:
    short = [token.folded for token in given if token.text.isupper()]
    full = " ".join(f"{ABBREVIATIONS.get(one, '')} {_FULL_NAMES.get(one, '')}" for one in short)
    known = WordsOf([*given, *tokenize(full)])
    stems = {stem for token in given for stem in _stems(token.folded)}
    sounds = {_consonants(token.folded) for token in given if token.is_capital}
    acronyms = {token.folded for token in given if token.is_marked}
    for name in names:
        tokens = tokenize(name.text)
        is_shortened = not acronyms.isdisjoint(_acronyms(tokens))
        if not name.is_certain or is_shortened or known.has_in_one(tokens):
            continue
        new = [
            word
            for word in name.words
            if word not in known
            and word not in _THINGS
            and stems.isdisjoint(_stems(word))
            and (len(_consonants(word)) < _MIN_CONSONANTS or _consonants(word) not in sounds)
        ]
        # `Barack Obama` may be Obama; `Angela Davis` is not Angela.
        if 2 * len(new) > len(name.words) or (new and new[-1] == name.words[-1]):
            yield name.text


def _acronyms(name: Iterable[Token]) -> Iterable[str]:
    """What a name, or a part of it, may be shortened to: MLK for Dr. Martin Luther King Jr."""
    initials = "".join(token.folded[0] for token in name if token.is_capital)
    for size in range(_MIN_ACRONYM, _MAX_ACRONYM + 1):
        for begin in range(len(initials) - size + 1):
            yield initials[begin : begin + size]


def _stems(word: str) -> list[str]:
    """What is left of a word without an ending."""
    shortest = max(_MIN_STEM, len(word) - _MAX_ENDING)
    return [word[:end] for end in range(shortest, len(word) + 1)]


def _consonants(word: str) -> str:
    """A word by its first letter and its consonants: the same for Rhein and Rhine."""
    return word[:1] + _VOWELS.sub("", word[1:])
