"""Licences that a page states: links and words become one URL and a short code.

A link to Creative Commons is no licence of the page by itself: it may stand under one picture or in
a reader's comment. So a licence counts as *declared* where the page says so (`rel=license`,
`itemprop=license`, `dc.rights`, JSON-LD) and outside a `figure`; every other link is only listed.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from transforms.markup import word_set
from transforms.urls import resolve_url

MAX_LICENSES = 32
"""Distinct licence URLs of a page that are kept."""

_HOST = re.compile(r"https?://(?:[a-z]{1,3}\.)?creativecommons\.org/", re.I)
_CC_PATH = re.compile(
    r"(?:(?P<zero>publicdomain/zero)|(?P<mark>publicdomain/mark)|licenses/(?P<kind>[a-z+\-]{2,24}))"
    r"(?:/(?P<version>[1-9]\.\d))?(?:/(?P<place>[a-z]{2,10}))?(?=/|\?|\Z)",
    re.I,
)
_KINDS = word_set(
    "by by-nc by-nc-nd by-nc-sa by-nd by-nd-nc by-sa devnations nc nc-sa nc-sampling+ nd"
    " nd-nc publicdomain sa sampling sampling+"
)
_URL_IN_TEXT = re.compile(r"https?://[^\s\"'<>()]+")
_WORDS = re.compile(
    r"\bCC[\s\-]?(?:(?P<zero>0|ZERO)|(?P<kind>BY(?:[\s\-](?:NC|ND|SA))*))(?:[\s\-]+v?(?P<version>[1-9]\.\d))?"
    r"(?![\w.])",
    re.I,
)
_NOT_PLACES = frozenset({"deed", "legalcode", "rdf"})


@dataclass(frozen=True, slots=True)
class License:
    """A licence as a page names it."""

    url: str
    code: str | None
    """As `cc-by-sa-4.0`; None where the URL is none of Creative Commons'."""


def _code_and_path(kind: str, version: str | None, place: str | None) -> tuple[str, str]:
    code, path = f"cc-{kind}", f"licenses/{kind}/"
    if kind == "cc0":
        code, path = "cc0", "publicdomain/zero/"
    elif kind == "cc-pdm":
        code, path = "cc-pdm", "publicdomain/mark/"
    for part in (version, place):
        if part:
            code += f"-{part}"
            path += f"{part}/"
    return code, path


def license_of_url(url: str) -> License:
    """A licence by its normalised URL; the languages and legal texts of one licence are one."""
    host = _HOST.match(url)
    match = _CC_PATH.match(url, host.end()) if host else None
    if match is None:
        return License(url, None)
    kind = "cc0" if match["zero"] else "cc-pdm" if match["mark"] else match["kind"].lower()
    if match["kind"] and kind not in _KINDS:
        return License(url, None)
    place = match["place"].lower() if match["place"] and match["version"] else None
    code, path = _code_and_path(kind, match["version"], None if place in _NOT_PLACES else place)
    return License(f"https://creativecommons.org/{path}", code)


def licenses_in_text(text: str, base: str) -> list[License]:
    """The licences that a statement of rights names: by URL, else in words (`CC BY-SA 4.0`)."""
    text = text[:1000].strip()
    urls = _URL_IN_TEXT.findall(text)
    if urls:
        found = [
            license_of_url(url) for raw in urls if (url := resolve_url(base, raw.rstrip(".,;")))
        ]
        return [each for each in found if each.code is not None]
    licenses = []
    for match in _WORDS.finditer(text):
        kind = "cc0" if match["zero"] else "-".join(re.split(r"[\s\-]+", match["kind"].lower()))
        version = match["version"] or ("1.0" if match["zero"] else None)
        if kind == "cc0" or kind in _KINDS:
            code, path = _code_and_path(kind, version, None)
            licenses.append(License(f"https://creativecommons.org/{path}", code))
    return licenses


def settle(declared: Iterable[License], linked: Iterable[License]) -> tuple[str | None, list[str]]:
    """The licence of the page, and the distinct URLs of all that it names, declared ones first.

    The licence is known only where all declared ones with a code have the same code.
    """
    declared = list(declared)
    codes = {each.code for each in declared if each.code is not None}
    urls = list(dict.fromkeys(each.url for each in (*declared, *linked)))
    return (codes.pop() if len(codes) == 1 else None), urls[:MAX_LICENSES]
