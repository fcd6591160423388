"""Dates as pages write them, in one spelling: ISO 8601, UTC where an offset is known.

A date is taken only where it can mean one day: `03/04/2024` is April in one country and March in
another, so it is None; so is one before the first newspapers' archives, one after the crawl, and
the zero of some calendar that an empty field became. No clock is asked: what is too late is told by
the date of the crawl.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone

MAX_DATE_LENGTH = 80
"""Characters of a date; anything longer is a sentence."""

EARLIEST_YEAR = 1800
"""Archives of newspapers put their old issues online under their own dates."""

LATEST_YEAR = 2100
"""Where the date of the crawl is not known."""

PLACEHOLDERS = frozenset(
    {"1899-11-30", "1899-12-30", "1899-12-31", "1900-01-01", "1969-12-31", "1970-01-01"}
)
"""Zeros of spreadsheets, databases and Unix, in one time zone or another."""

# Month names and abbreviations by month; those that mean two months in two languages are left out.
_MONTHS = (
    "january jan januar jänner januari janvier janv enero ene janeiro gennaio gen января янв"
    " stycznia tammikuuta ocak ianuarie",
    "february feb februar februari février févr fév fevrier febrero fevereiro fev febbraio febr"
    " февраля фев февр lutego helmikuuta şubat februarie",
    "march mar märz mrz maart mrt mars marzo março марта мар marca maaliskuuta mart martie",
    "april apr avril avr abril abr aprile апреля апр kwietnia huhtikuuta nisan aprilie",
    "may mai mei mayo maio maggio mag maj мая toukokuuta mayıs",
    "june jun juni juin junio junho giugno giu июня июн czerwca kesäkuuta haziran iunie",
    "july jul juli juillet juil julio julho luglio lug июля июл lipca heinäkuuta temmuz iulie",
    "august aug augustus août aout agosto ago augusti августа авг sierpnia elokuuta ağustos",
    "september sep sept septembre septiembre setembro settembre set сентября сен сент września"
    " syyskuuta eylül septembrie",
    "october oct oktober okt octobre octubre outubro out ottobre ott октября окт października"
    " lokakuuta ekim octombrie",
    "november nov novembre noviembre novembro ноября ноя нояб listopada marraskuuta kasım"
    " noiembrie",
    "december dec dezember dez décembre déc decembre diciembre dic dezembro dicembre декабря дек"
    " grudnia joulukuuta aralık decembrie",
)
_MONTH = {name: number for number, names in enumerate(_MONTHS, 1) for name in names.split()}
# RFC 5322, section 4.3.
_ZONES = {
    "z": 0, "utc": 0, "gmt": 0, "ut": 0, "est": -300, "edt": -240, "cst": -360, "cdt": -300,
    "mst": -420, "mdt": -360, "pst": -480, "pdt": -420,
}  # fmt: skip
_LETTERS = r"[^\W\d_]"
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", re.A)
_YEAR_FIRST = re.compile(r"(?P<y>\d{4})(?P<s>[-/.])(?P<m>\d{1,2})(?P=s)(?P<d>\d{1,2})(?!\d)")
_COMPACT = re.compile(r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)(?!\d)")
_ALL_DIGITS = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)")
_UNIX = re.compile(r"([1-9]\d{9})(?:\d{3})?")
_REDUCED = re.compile(r"(\d{4})(?:-(\d\d))?")
_CJK = re.compile(r"(?P<y>\d{4})\s*[年년]\s*(?P<m>\d{1,2})\s*[月월]\s*(?P<d>\d{1,2})\s*[日号일]?")
_DAY_FIRST = re.compile(
    rf"(?P<d>\d{{1,2}})(?:st|nd|rd|th|er|º|ª|\.)?[\s\-/]*(?:(?:de|of)\s+)?(?P<n>{_LETTERS}+)\.?,?"
    r"[\s\-/]*(?:(?:de|del)\s+)?(?P<y>\d{4})(?!\d)(?:\s*г\.?|\s*r\.)?"
)
_MONTH_FIRST = re.compile(
    rf"(?P<n>{_LETTERS}+)\.?[\s\-]+(?P<d>\d{{1,2}})(?:st|nd|rd|th)?,?[\s\-]+(?P<y>\d{{4}})(?!\d)"
)
_DOTTED = re.compile(r"(?P<d>\d{1,2})\.\s?(?P<m>\d{1,2})\.\s?(?P<y>\d{4})(?!\d)")
_EITHER = re.compile(r"(?P<a>\d{1,2})(?P<s>[-/])(?P<b>\d{1,2})(?P=s)(?P<y>\d{4})(?!\d)")
_WEEKDAY = re.compile(rf"{_LETTERS}{{2,12}}(?:-feira)?[.,]*\s+(?=\d|{_LETTERS}+\.?\s+\d)")
_TIME = re.compile(
    rf"(?:\s*t\s*|[\s,]+(?:[-|@]\s+|{_LETTERS}{{1,4}}\s+)?)(\d{{1,2}})[:h](\d\d)(?::(\d\d)(?:[.,]\d+)?)?"
    r"(?:\s+uhr\b)?\s*([ap]\.?m\.?)?\s*(?:\(?([a-z]{1,3})\)?|(?:gmt|utc)?\s*([+\-−])(\d\d):?(\d\d)?)?"
    r"(?:\s*[(\[][^)\]]*[)\]])?"
)


def _day(match: re.Match[str]) -> date | None:
    """The day of a match, None where it can be none or two."""
    parts = match.groupdict()
    if "a" in parts:
        first, second = int(parts["a"]), int(parts["b"])
        if first != second and first <= 12 and second <= 12:
            return None
        day, month = (first, second) if second <= 12 else (second, first)
    else:
        number = parts.get("m")
        month = int(number) if number else _MONTH.get(parts["n"], 0)
        day = int(parts["d"])
    year = int(parts["y"])
    if not EARLIEST_YEAR <= year <= LATEST_YEAR:
        return None
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _offset(
    zone: str | None, sign: str | None, hours: str | None, minutes: str | None
) -> int | None:
    """Minutes east of UTC; None where no offset is given."""
    if sign:
        return (1 if sign == "+" else -1) * (60 * int(hours or 0) + int(minutes or 0))
    return _ZONES.get(zone) if zone else None


def _spell(day: date, rest: str) -> str | None:
    """A day and what is written behind it, in one spelling."""
    rest = rest.rstrip(" .,;")
    if not rest or rest in ("z", "t"):
        return day.isoformat()
    match = _TIME.fullmatch(rest)
    if match is None:
        return None
    hour, minute, second, half, *zone = match.groups()
    offset = _offset(*zone)
    if zone[0] and offset is None:
        return None
    hours = int(hour)
    if half:
        if not 1 <= hours <= 12:
            return None
        hours = hours % 12 + (12 if half[0] == "p" else 0)
    try:
        moment = datetime(day.year, day.month, day.day, hours, int(minute), int(second or 0))
    except ValueError:
        return None
    return _spell_moment(moment if offset is None else _at(moment, offset))


def _at(moment: datetime, offset: int) -> datetime | None:
    return (
        moment.replace(tzinfo=timezone(timedelta(minutes=offset))) if abs(offset) < 1440 else None
    )


def _spell_moment(moment: datetime | None) -> str | None:
    """A moment in UTC, or as it is where it has no offset; no offset on Earth exceeds 14 hours."""
    if moment is None or not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
        return None
    moment = moment.replace(microsecond=0)
    offset = moment.utcoffset()
    if offset is None:
        return moment.isoformat()
    if abs(offset) > timedelta(hours=14):
        return None
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _read(text: str) -> str | None:
    if match := _UNIX.fullmatch(text):
        return _spell_moment(datetime.fromtimestamp(int(match[1]), UTC))
    if match := _ALL_DIGITS.fullmatch(text):
        year, month, day, *clock = match.groups()
        text = f"{year}-{month}-{day} {':'.join(clock)}"
    if match := _REDUCED.fullmatch(text):
        year, month = match.groups()
        if month is None:
            return str(int(year)).zfill(4)
        return f"{int(year):04}-{int(month):02}" if 1 <= int(month) <= 12 else None
    for pattern in (_YEAR_FIRST, _COMPACT, _CJK):
        if match := pattern.match(text):
            day_found = _day(match)
            return None if day_found is None else _spell(day_found, text[match.end() :])
    for start in (text, _WEEKDAY.sub("", text, count=1) if _WEEKDAY.match(text) else ""):
        for pattern in (_DAY_FIRST, _MONTH_FIRST, _DOTTED, _EITHER):
            if (match := pattern.match(start)) and (day_found := _day(match)):
                return _spell(day_found, start[match.end() :])
    return None


def parse_date(text: str, crawled: str = "") -> str | None:
    """A date in one spelling.

    Args:
        text: As the page writes it: ISO 8601, RFC 5322, Unix seconds, or words and numbers in one
            of a dozen languages.
        crawled: When the page was fetched, ISO 8601; a date more than a day later is None.

    Returns:
        `YYYY-MM-DDTHH:MM:SSZ` where time and offset are given, `YYYY-MM-DDTHH:MM:SS` without an
        offset, `YYYY-MM-DD`, `YYYY-MM` or `YYYY` where that is all; None for what is no date, could
        be two, or cannot be true.
    """
    if not 4 <= len(text) <= MAX_DATE_LENGTH:
        return None
    if _ISO.match(text):
        # What nearly every page writes, twenty times as fast.
        try:
            found = _spell_moment(datetime.fromisoformat(text))
        except ValueError:
            found = _read(" ".join(text.lower().split()))
    else:
        found = _read(" ".join(text.lower().split()))
    if found is None or not EARLIEST_YEAR <= int(found[:4]) <= LATEST_YEAR:
        return None
    if found[:10] in PLACEHOLDERS:
        return None
    latest = f"{LATEST_YEAR}"
    with suppress(ValueError, OverflowError):
        latest = (date.fromisoformat(crawled[:10]) + timedelta(days=1)).isoformat()
    return found if found[: len(latest)] <= latest else None


def agreed_date(texts: Iterable[str], crawled: str = "") -> tuple[str | None, bool]:
    """The date on which several statements of one kind agree to the day, and whether any is a date.

    A page that lists articles has a date for each: that is none for the page.
    """
    dates = [found for text in texts if (found := parse_date(text, crawled))]
    if not dates:
        return None, False
    best = max(dates, key=len)
    return (best if all(best.startswith(found[:10]) for found in dates) else None), True
