"""Numbers, years, dates and times in a text, with every value that their spelling allows.

`1.000` is one thousand in Germany and one in England, `03/05/2019` is in March or in May: each
reading is kept, and two quantities agree where a reading of the one is a reading of the other.
What only numbers something (`Figure 3`, `IMG_2033`, a serial number) is none; see `entities`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

NUMBER, YEAR, DATE, TIME = "number", "year", "date", "time"
"""Kinds of quantities."""

_MONTHS = (
    "january jan januar jänner janvier enero ene gennaio januari janeiro",
    "february feb februar février fév febrero febbraio februari fevereiro",
    "march mar märz mars marzo maart março",
    "april apr avril avr abril aprile",
    "may mai mayo maggio mei maio",
    "june jun juni juin junio giugno junho",
    "july jul juli juillet julio luglio julho",
    "august aug août agosto augustus",
    "september sep sept septembre septiembre settembre setembro",
    "october oct oktober okt octobre octubre ottobre outubro",
    "november nov novembre noviembre novembro",
    "december dec dezember dez décembre diciembre dicembre dezembro",
)
MONTHS = {name: at for at, names in enumerate(_MONTHS, 1) for name in names.split()}
"""Names of months in English, German, French, Spanish, Italian, Dutch and Portuguese."""

_NUMBER_WORDS = {
    "en": "two three four five six seven eight nine ten eleven twelve",
    "de": "zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
    "fr": "deux trois quatre cinq six sept huit neuf dix onze douze",
    "es": "dos tres cuatro cinco seis siete ocho nueve diez once doce",
    "it": "due tre quattro cinque sei sette otto nove dieci undici dodici",
    "pt": "dois três quatro cinco seis sete oito nove dez onze doze",
    "nl": "twee drie vier vijf zes zeven acht negen tien elf twaalf",
}
_WORD_VALUES = {
    language: {word: value for value, word in enumerate(said.split(), 2)}
    for language, said in _NUMBER_WORDS.items()
}
_WORD_VALUES["pt"]["duas"] = 2
_TEENS = "thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth"
    " fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth twenty-first"
    " twenty-second twenty-third twenty-fourth twenty-fifth twenty-sixth twenty-seventh"
    " twenty-eighth twenty-ninth thirtieth thirty-first"
)
_ORDINAL_VALUES = {word: value for value, word in enumerate(_ORDINALS.split(), 1)}
_WORD_VALUES["en"] |= {word: at for at, word in enumerate(_TEENS.split(), 13)}
_WORD_VALUES["en"] |= {word: 10 * at for at, word in enumerate(_TENS.split(), 2)}
_SAME_AS = {
    "en": {"couple": 2, "pair": 2, "both": 2, "duo": 2, "twin": 2, "twins": 2, "trio": 3}
    | {"triplets": 3, "quartet": 4, "dozen": 12, "hundred": 100, "thousand": 1000}
    | {"single": 1, "one": 1, "a": 1, "an": 1}
    | _ORDINAL_VALUES,
    "de": {"paar": 2, "beide": 2, "beiden": 2, "dutzend": 12, "ein": 1, "eine": 1, "hundert": 100},
    "fr": {"paire": 2, "couple": 2, "douzaine": 12, "un": 1, "une": 1, "cent": 100},
    "es": {"par": 2, "pareja": 2, "ambos": 2, "docena": 12, "un": 1, "una": 1, "cien": 100},
    "it": {"paio": 2, "coppia": 2, "dozzina": 12, "un": 1, "una": 1, "cento": 100},
    "pt": {"par": 2, "casal": 2, "dúzia": 12, "um": 1, "uma": 1, "cem": 100},
    "nl": {"paar": 2, "beide": 2, "dozijn": 12, "een": 1, "honderd": 100},
}
"""Words that may stand for a number, but say none by themselves."""

_UNIT_NAMES = {
    "kg": "kg kilo kilos kilogram kilograms kilogramme kilogrammes",
    "g": "g gr gram grams gramm grammes",
    "lb": "lb lbs pound pounds",
    "oz": "oz ounce ounces",
    "km": "km kms kilometer kilometers kilometre kilometres",
    "m": "m meter meters metre metres",
    "cm": "cm centimeter centimeters centimetre centimetres",
    "mm": "mm millimeter millimeters millimetre millimetres",
    "inch": 'inch inches zoll " ″ ”',
    "foot": "ft foot feet ′",
    "mile": "mi mile miles",
    "km/h": "km/h kmh kph",
    "mph": "mph",
    "l": "l liter liters litre litres",
    "ml": "ml milliliter milliliters millilitre millilitres",
    "°C": "°c ºc celsius",
    "°F": "°f ºf fahrenheit",
    "°": "° degree degrees grad",
    "%": "% percent prozent",
    "W": "w watt watts",
    "kW": "kw kilowatt kilowatts",
    "hp": "hp ps horsepower",
    "MP": "mp megapixel megapixels",
    "GB": "gb gigabyte gigabytes",
    "TB": "tb terabyte terabytes",
    "MB": "mb megabyte megabytes",
    "Hz": "hz hertz",
    "GHz": "ghz",
    "h": "h hr hrs hour hours",
    "min": "min mins minute minutes",
    "$": "$ dollar dollars usd us$",
    "€": "€ euro euros eur",
    "£": "£ gbp",
    "¥": "¥ yen yuan",
    "₹": "₹ rupee rupees",
}
_UNITS = {alias: unit for unit, aliases in _UNIT_NAMES.items() for alias in aliases.split()}
_DIMENSIONS = {
    unit: units
    for units in (
        "kg g lb oz",
        "km m cm mm inch foot mile",
        "km/h mph",
        "l ml",
        "°C °F °",
        "W kW hp",
        "GB TB MB",
        "Hz GHz",
        "h min",
        "$ € £ ¥ ₹",
    )
    for unit in units.split()
}
_MULTIPLIERS = {"k": 1000, "million": 10**6, "millions": 10**6, "mio": 10**6, "bn": 10**9}
_MULTIPLIERS |= {"millionen": 10**6, "billion": 10**9, "billions": 10**9, "thousand": 1000}

_GROUPED = r"\d{1,3}(?:[.,'’\u00a0\u202f]\d{3}){1,4}(?:[.,]\d{1,6})?(?!\d)|\d{1,15}(?:[.,]\d{1,6})?"
_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_ORDINAL = r"(?:st|nd|rd|th|er|\.|º|ª)?"
_ORDINAL_WORD = "|".join(sorted(_ORDINAL_VALUES, key=len, reverse=True))
_DATES = re.compile(
    rf"\b(?P<d1>\d{{1,2}}){_ORDINAL}[ -](?:(?:of|de|di) )?(?P<m1>{_MONTH})\b\.?"
    r"(?:(?:,? |-| de | del )(?P<y1>\d{4})\b)?"
    rf"|\b(?P<m2>{_MONTH})\b\.? (?P<d2>\d{{1,2}})(?:st|nd|rd|th)?\b(?!:)(?:,? (?P<y2>\d{{4}})\b)?"
    rf"|\b(?P<m3>{_MONTH})\b\.?(?:,? | de | del )(?P<y3>\d{{4}})\b"
    r"|\b(?P<y4>\d{4})[-/.](?P<m4>\d{1,2})[-/.](?P<d4>\d{1,2})\b"
    r"|\b(?P<a5>\d{1,2})(?P<s5>[-/.])(?P<b5>\d{1,2})(?P=s5)(?P<y5>\d{4})\b"
    r"|(?P<y6>\d{4})年(?:(?P<m6>\d{1,2})月(?:(?P<d6>\d{1,2})日)?)?"
    r"|(?P<m7>\d{1,2})月(?P<d7>\d{1,2})日"
    rf"|\b(?P<d8>{_ORDINAL_WORD}) of (?P<m8>{_MONTH})\b(?:,? (?P<y8>\d{{4}})\b)?"
    rf"|\b(?P<m9>{_MONTH}) (?:the )?(?P<d9>{_ORDINAL_WORD})\b(?:,? (?P<y9>\d{{4}})\b)?",
    re.I,
)
_TIMES = re.compile(
    r"(?<![\d:.])(?P<h>[01]?\d|2[0-3])[:.h](?P<m>[0-5]\d)(?::[0-5]\d)?(?![\d:])"
    r"(?P<half> ?[ap]\.?m\b)?|(?<![\d:.])(?P<h2>1[0-2]|[1-9]) ?(?P<half2>[ap]\.?m)\b",
    re.I,
)
_NUMBERS = re.compile(
    rf"(?<![\w.,:/])(?P<money>US\$|[$€£¥₹])?[ \u00a0]?(?P<number>{_GROUPED})"
    r"(?P<ordinal>(?:st|nd|rd|th)\b)?(?P<decade>['’]?s\b)?"
)
_AFTER = re.compile(r"[ \u00a0\u202f-]?(?P<word>[^\W\d_]{1,15}(?:/h)?|[%°º″”\"′$€£¥₹](?:[CF]\b)?)")
_ALL_WORDS = re.compile(r"[^\W\d_]{1,30}")
_HYPHENATED = re.compile(r"[^\W\d_]{1,30}-[^\W\d_]{1,30}")
_NO_NUMBER_AFTER = re.compile(r"[:/]\d|[^\W_]|_|[.,]\d")
_DISPLAYS = ("4", "8")
"""Of `4K` and `8K`, which say how a picture is shown."""
_FIRST_YEAR, _LAST_YEAR = 1500, 2099
_MAX_DIGITS = 7
"""Digits of a number without a separator or a unit, above which it is a serial number."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number, a year, a date or a time."""

    kind: str
    text: str
    """As it is written."""
    values: frozenset[Decimal] = frozenset()
    """Readings of a number; of a time, minutes since midnight or noon."""
    unit: str = ""
    """Of a number: `kg`, `%`, `$`, ...; empty: none."""
    days: frozenset[tuple[int, int, int]] = frozenset()
    """Readings of a year or a date: year, month, day; 0 where it does not say."""
    span: tuple[int, int] = (0, 0)
    """Where it stands."""

    @property
    def measures(self) -> str:
        """What its unit measures: the same text for kg and lb, another one for km."""
        return _DIMENSIONS.get(self.unit, self.unit)


def find_quantities(text: str, language: str) -> list[Quantity]:
    """Numbers, years, dates and times of a tidy text, in order.

    Args:
        text: The text.
        language: That of number words: en, de, fr, es, it, pt, nl; no words in any other.
    """
    found: list[Quantity] = []
    for finder in (_find_dates, _find_times, _find_numbers):
        rest = _blanked(text, found)
        found += finder(rest)
    found += _find_number_words(_blanked(text, found), language)
    return sorted(found, key=lambda one: one.span)


def stand_ins(text: str, language: str) -> frozenset[Decimal]:
    """Numbers that a tidy text may mean without saying one: `a pair`, `both`, `the third`."""
    names = _SAME_AS.get(language, {})
    found = (*_ALL_WORDS.findall(text), *_HYPHENATED.findall(text))
    said = {word.casefold() for word in found}
    return frozenset(Decimal(names[word]) for word in said if word in names)


def _blanked(text: str, found: list[Quantity]) -> str:
    pieces = []
    done = 0
    for begin, end in sorted(one.span for one in found):
        pieces += [text[done:begin], " " * (end - begin)]
        done = end
    return "".join((*pieces, text[done:]))


def _day(year: str, month: str, day: str) -> tuple[int, int, int] | None:
    """Three numbers if a calendar may hold them; what is not said is empty, and becomes 0."""
    limits = ((year, 1000, 2199), (month, 1, 12), (day, 1, 31))
    if any(said and not low <= int(said) <= high for said, low, high in limits):
        return None
    return int(year or 0), int(month or 0), int(day or 0)


def _find_dates(text: str) -> Iterator[Quantity]:
    for match in _DATES.finditer(text):
        got = {key: value or "" for key, value in match.groupdict().items()}
        if got["a5"]:
            readings = [
                _day(got["y5"], got["b5"], got["a5"]),
                _day(got["y5"], got["a5"], got["b5"]),
            ]
        else:
            year, month, day = (
                "".join(value for key, value in got.items() if key[0] == part) for part in "ymd"
            )
            month = str(MONTHS.get(month.casefold(), month))
            day = str(_ORDINAL_VALUES.get(day.casefold(), day))
            readings = [_day(year, month, day)]
        days = frozenset(reading for reading in readings if reading)
        if days:
            kind = YEAR if all(m == d == 0 for _, m, d in days) else DATE
            yield Quantity(kind, match[0].strip(), days=days, span=match.span())


def _find_times(text: str) -> Iterator[Quantity]:
    for match in _TIMES.finditer(text):
        hour, minute = int(match["h"] or match["h2"]), int(match["m"] or 0)
        half = (match["half"] or match["half2"] or "").strip()
        if "." in match[0][:3] and not half:
            continue  # 10.30 may be a number
        values = frozenset((Decimal(60 * (hour % 12) + minute),))
        yield Quantity(TIME, match[0], values=values, span=match.span())


def _readings(number: str) -> frozenset[Decimal]:
    """What a number may mean: separators of thousands, or of decimals."""
    plain = re.sub(r"['’\u00a0\u202f]", "", number)
    marks = re.findall(r"[.,]", plain)
    readings = set()
    if len(set(marks)) == 2:  # 1,299.99
        decimal = plain.rfind(marks[-1])
        whole = re.sub(r"[.,]", "", plain[:decimal])
        readings.add(f"{whole}.{plain[decimal + 1 :]}")
    elif marks:
        whole, _, rest = plain.rpartition(marks[-1])
        if len(marks) == 1:
            readings.add(f"{whole}.{rest}")
        if len(marks) > 1 or len(rest) == 3:
            readings.add(re.sub(r"[.,]", "", plain))
    else:
        readings.add(plain)
    return frozenset(Decimal(reading) for reading in readings)


def _find_numbers(text: str) -> Iterator[Quantity]:
    at = 0
    while match := _NUMBERS.search(text, at):
        at = match.end()
        number, end = match["number"], match.end()
        values = _readings(number)
        unit = _UNITS[match["money"].casefold()] if match["money"] else ""
        after = _AFTER.match(text, end)
        if after and after["word"] == "K" and number in _DISPLAYS:
            continue
        if after and (factor := _MULTIPLIERS.get(after["word"].casefold())):
            values = frozenset(value * factor for value in values)
            end = at = after.end()
            after = _AFTER.match(text, end)
        if after and not unit and (named := _unit(after, end)):
            unit, end = named, after.end()
            at = end
        if not unit and end == match.end() and _NO_NUMBER_AFTER.match(text, end):
            continue  # part of a name, of a version, of 16:9
        if match["decade"] and not unit and number.isdecimal() and number.endswith("0"):
            # The nineties are 90 in `1990s` and in `90s`.
            values = frozenset((Decimal(int(number) % 100),))
            yield Quantity(NUMBER, match[0].strip(), values, "s", span=(match.start(), end))
            continue
        bare = number.isdecimal() and not unit and end == match.end() and not match["ordinal"]
        if bare and len(number) > _MAX_DIGITS:
            continue
        kind, days = NUMBER, frozenset[tuple[int, int, int]]()
        if bare and len(number) == 4 and _FIRST_YEAR <= int(number) <= _LAST_YEAR:
            kind, days = YEAR, frozenset(((int(number), 0, 0),))
        span = (match.start(), end)
        yield Quantity(kind, text[span[0] : end].strip(), values, unit, days, span)


def _unit(after: re.Match[str], begin: int) -> str:
    """The unit behind a number; of letters written with a capital (`5G`, `2 M`) few are one."""
    word = after["word"]
    if len(word) == 1 and word.isalpha() and word.isupper() and word != "W":
        return ""
    if word in '"”″' and after.start("word") != begin:
        return ""  # a quote that begins behind the number
    return _UNITS.get(word.casefold(), "")


def _find_number_words(text: str, language: str) -> Iterator[Quantity]:
    names = _WORD_VALUES.get(language, {})
    done = 0
    for match in _ALL_WORDS.finditer(text):
        value = names.get(match[0].casefold())
        if value is None or match.start() < done:
            continue
        done = match.end()
        after = _AFTER.match(text, done)
        word = after["word"].casefold() if after else ""
        ones = 1 if word == "one" else names.get(word, 0)
        if after and text[done] == "-" and 20 <= value <= 90 and 0 < ones < 10:
            value += ones
            done = after.end()
        if word in ("hundred", "thousand", "million"):
            value *= {"hundred": 100, "thousand": 1000, "million": 10**6}[word]
        unit = _UNITS.get(word, "") if len(word) > 1 else ""
        values = frozenset((Decimal(value),))
        span = (match.start(), done)
        yield Quantity(NUMBER, text[span[0] : done], values, unit, span=span)
