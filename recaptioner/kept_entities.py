"""What became of an alt text's names, numbers and dates in a caption: kept, lost, contradicted.

Each must survive in some spelling. Where one is gone and another of its kind that nobody told the
model of stands there, the caption is wrong rather than poor: 1901 for 1910, Paris for Berlin.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from recaptioner.checks.language import guess_language
from recaptioner.checks.text import tidy
from recaptioner.entities import (
    Name,
    Token,
    capital_runs,
    find_entities,
    tokenize,
    without_noise,
)
from recaptioner.quantities import DATE, NUMBER, TIME, YEAR, Quantity, stand_ins

_ALT_CHARACTERS = 2000
"""Characters of an alt text in which entities are looked for: no caption keeps more than these."""
_TITLE_SHARE = 0.5
"""Share of the possible names of a title that must survive."""
_MIN_STEM = 4
"""Letters of the shortest name of a place that adjectives are made of by an ending."""
_MIN_JOINED = 6
"""Letters from which on a name may be written in one word or in two."""

_DEMONYMS = {
    "france": "french", "spain": "spanish", "netherlands": "dutch", "holland": "dutch",
    "britain": "british", "uk": "british", "england": "english", "poland": "polish",
    "turkey": "turkish", "switzerland": "swiss", "greece": "greek", "ireland": "irish",
    "scotland": "scottish", "wales": "welsh", "denmark": "danish", "sweden": "swedish",
    "finland": "finnish", "norway": "norwegian", "portugal": "portuguese", "usa": "american",
    "america": "american", "us": "american", "thailand": "thai", "vietnam": "vietnamese",
}  # fmt: skip
ABBREVIATIONS = {
    "al": "alabama", "ak": "alaska", "az": "arizona", "ar": "arkansas", "ca": "california",
    "co": "colorado", "ct": "connecticut", "de": "delaware", "fl": "florida", "ga": "georgia",
    "hi": "hawaii", "id": "idaho", "il": "illinois", "in": "indiana", "ia": "iowa", "ks": "kansas",
    "ky": "kentucky", "la": "louisiana", "me": "maine", "md": "maryland", "ma": "massachusetts",
    "mi": "michigan", "mn": "minnesota", "ms": "mississippi", "mo": "missouri", "mt": "montana",
    "ne": "nebraska", "nv": "nevada", "nh": "new hampshire", "nj": "new jersey",
    "nm": "new mexico", "ny": "new york", "nc": "north carolina", "nd": "north dakota",
    "oh": "ohio", "ok": "oklahoma", "or": "oregon", "pa": "pennsylvania", "ri": "rhode island",
    "sc": "south carolina", "sd": "south dakota", "tn": "tennessee", "tx": "texas", "ut": "utah",
    "vt": "vermont", "va": "virginia", "wa": "washington", "wv": "west virginia",
    "wi": "wisconsin", "wy": "wyoming", "dc": "washington", "nyc": "new york",
}  # fmt: skip
"""States of the USA, whose letters are not their initials."""
_DEMONYM_ENDINGS = ("n", "an", "ian", "ish", "ese", "i", "s", "ic")


@dataclass(frozen=True, slots=True)
class Fate:
    """Entities of an alt text that a caption does not keep, as the alt text writes them."""

    lost: tuple[str, ...] = ()
    contradicted: tuple[str, ...] = ()


def compare_entities(
    text: str,
    alt: str,
    description: str,
    *,
    alt_language: str = "",
    language: str = "",
    max_entities: int = 12,
) -> Fate:
    """What of an alt text a caption lost, and what it says instead.

    An entity is contradicted if it is gone and the caption has another one of its kind that is
    neither in the alt text nor in the description: another year for a year, another number of the
    same unit, another name for a name. Else it is lost. Numbers may be spelled out, dates and
    separators written in another way; names may lose accents, possessives and first names, and
    become acronyms or adjectives.

    Args:
        text: The caption, tidy.
        alt: The alt text.
        description: The description that was fused with it.
        alt_language: Language of the alt text, ISO 639-1; empty: guessed.
        language: Language of the caption; empty: that of the alt text.
        max_entities: How many names and how many quantities of the alt text are looked at, in the
            order in which they stand: a short caption keeps no more.
    """
    source = without_noise(tidy(alt[:_ALT_CHARACTERS]))
    described = tidy(description)
    alt_language = alt_language or guess_language(source) or "en"
    language = language or alt_language
    spoken = {token.folded for token in tokenize(described) if token.text.islower()}
    asked = find_entities(source, alt_language, spoken)
    said = find_entities(text, language, spoken)
    known = QuantitiesOf((*asked.quantities, *find_entities(described, language).quantities))
    kept = QuantitiesOf(said.quantities, stand_ins(text, language))
    new_quantities = [one for one in said.quantities if one not in known]
    given = WordsOf(tokenize(f"{tidy(alt)}\n{described}"))
    new_names = [name for name in said.names if not all(word in given for word in name.words)]
    lost: list[str] = []
    contradicted: list[str] = []
    for quantity in asked.quantities[:max_entities]:
        if quantity not in kept:
            replaced = any(_replaces(one, quantity) for one in new_quantities)
            (contradicted if replaced else lost).append(quantity.text)
    gone = _gone_names(asked.names[:max_entities], WordsOf(tokenize(text)), new_names)
    (contradicted if new_names else lost).extend(gone)
    return Fate(tuple(lost), tuple(contradicted))


class QuantitiesOf:
    """The quantities of a text: what is in it in some spelling."""

    def __init__(self, quantities: Iterable[Quantity], stand_ins: Collection[Decimal] = ()) -> None:
        self._stand_ins = stand_ins
        self._units: dict[Decimal, set[str]] = {}
        self._years: set[int] = set()
        self._days: set[tuple[int, int, int]] = set()
        self._yearless: set[tuple[int, int]] = set()
        self._times: set[Decimal] = set()
        for one in quantities:
            if one.kind == TIME:
                self._times |= one.values
            for value in one.values if one.kind == NUMBER else ():
                self._units.setdefault(value, set()).add(one.unit)
            for year, month, day in one.days:
                self._years.add(year)
                self._days |= {(y, month, d) for y in (year, 0) for d in (day, 0)}
                if not year:
                    self._yearless |= {(month, day), (month, 0)}

    def __contains__(self, wanted: Quantity) -> bool:
        if wanted.kind == TIME:
            return not wanted.values.isdisjoint(self._times)
        if wanted.kind == NUMBER:
            return any(self._has_number(value, wanted.unit) for value in wanted.values)
        if wanted.kind == YEAR:
            return any(
                year in self._years or Decimal(year) in self._units for year, _, _ in wanted.days
            )
        return any(
            day in self._days or (day[0] in self._years and day[1:] in self._yearless)
            for day in wanted.days
        )

    def _has_number(self, value: Decimal, unit: str) -> bool:
        if not unit and (value in self._years or value in self._stand_ins):
            return True
        units = self._units.get(value)
        return units is not None and (not unit or "" in units or unit in units)


def _replaces(one: Quantity, gone: Quantity) -> bool:
    """Whether a quantity that is new stands for one that is gone."""
    if gone.kind == NUMBER:
        return one.kind == NUMBER and (
            one.measures == gone.measures
            or bool(one.unit and gone.unit and not one.values.isdisjoint(gone.values))
        )
    if gone.kind == TIME:
        return one.kind == TIME
    if gone.kind == YEAR:
        return any(year for year, _, _ in one.days)
    return one.kind in (DATE, YEAR)


class WordsOf:
    """The words of a text: what is in it in some form."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._words = {token.folded for token in tokens}
        self._forms = {form for word in self._words for form in _forms(word)}
        runs = ("".join(t.folded[0] for t in run if t.is_capital) for run in capital_runs(tokens))
        self._initials = " ".join(runs)
        self._acronyms = {token.folded for token in tokens if token.is_marked}
        self._joined = "".join(token.folded for token in tokens)

    def __contains__(self, word: str) -> bool:
        """Whether a word is in the text, or its plural, its adjective, or what it stands for."""
        return (
            word in self._words
            or word in self._forms
            or not self._words.isdisjoint(_forms(word))
            or (word in ABBREVIATIONS and self._words.issuperset(ABBREVIATIONS[word].split()))
            or (2 <= len(word) <= 6 and word in self._initials)
        )

    def has_in_one(self, name: Sequence[Token]) -> bool:
        """Whether a name is in the text as an acronym, or cut into words in another way."""
        initials = "".join(token.folded[0] for token in name if token.is_capital)
        joined = "".join(token.folded for token in name)
        return (len(initials) > 1 and initials in self._acronyms) or (
            len(joined) >= _MIN_JOINED and joined in self._joined
        )


def _forms(word: str) -> list[str]:
    """Plural, and adjectives that may be made of the name of a place."""
    forms = [f"{word}s", _DEMONYMS.get(word, f"{word}s")]
    if len(word) >= _MIN_STEM:
        stems = (word, word[:-1]) if word[-1] in "aeoy" else (word,)
        forms += [stem + ending for stem in stems for ending in _DEMONYM_ENDINGS]
    return forms


def _gone_names(names: Sequence[Name], said: WordsOf, new: Sequence[Name]) -> list[str]:
    """Names that a caption does not keep."""
    mixed = {word for name in new for word in name.words}

    def is_kept(name: Name) -> bool:
        kept = [word for word in name.words if word in said]
        if len(kept) == len(name.words) or said.has_in_one(tokenize(name.text)):
            return True
        # `Merkel` is Angela Merkel; `Angela Davis` is not.
        enough = 2 * len(kept) >= len(name.words) or name.words[-1] in kept
        return bool(kept) and enough and mixed.isdisjoint(kept)

    certain = [name.text for name in names if name.is_certain and not is_kept(name)]
    possible = [name for name in names if not name.is_certain]
    missing = [name.text for name in possible if not is_kept(name)]
    if len(missing) > (1 - _TITLE_SHARE) * len(possible) or (missing and new):
        return [*certain, *missing]
    return certain
