"""Which URL an image element means: src, srcset, picture sources, lazy-loading attributes.

The trade-off: pages name the same picture up to a dozen times. The largest candidate that declares
a width wins, then the highest density, then a lazy attribute, then `src`; so a training image is as
large as the page offers it, and a placeholder in `src` never wins against the real picture that a
script would have put there.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter

from transforms.urls import resolve_url

MAX_SRCSET_LENGTH = 16_384
"""Characters of a srcset that are read; real ones have a few hundred."""

LAZY_SOURCES = (
    "data-src",
    "data-original",
    "data-lazy-src",
    "data-lazy",
    "data-lazyload",
    "data-lazyload-src",
    "data-original-src",
    "data-actualsrc",
    "data-hi-res-src",
    "data-full-src",
    "data-img-src",
    "data-image-src",
    "data-image",
    "data-echo",
    "data-url",
    "data-ll-src",
    "data-defer-src",
    "data-delayed-url",
    "data-native-src",
    "data-raw-src",
    "data-runner-src",
    "data-cfsrc",
    "data-td-src-property",
    "data-flickity-lazyload",
    "nitro-lazy-src",
    "lazy-src",
    "lazysrc",
)
"""Attributes that lazy-loading scripts copy into `src`, most common first."""

LAZY_SRCSETS = (
    "data-srcset",
    "data-lazy-srcset",
    "data-original-set",
    "data-ll-srcset",
    "data-flickity-lazyload-srcset",
    "nitro-lazy-srcset",
    "lazy-srcset",
)
"""Attributes that lazy-loading scripts copy into `srcset`."""

_LAZY_SOURCES = {name: rank for rank, name in enumerate(LAZY_SOURCES)}
_LAZY_SRCSETS = frozenset(LAZY_SRCSETS)
_CANDIDATE = re.compile(
    # Only commas at the end of a URL end its candidate; else its descriptors follow.
    r"[\s,]*(\S+)(?:(?<=,)|\s*((?:\([^)]*(?:\)|\Z)|[^,(])*),?)"
)
_GAPS = "".join(filter(str.isspace, map(chr, range(0x3001)))) + ","
_DESCRIPTOR = re.compile(r"(?:^|\s)(\d+(?:\.\d+)?)([wx])(?:\s|$)")
_SAYS_NOTHING = (
    "no|ajax|image|img|picture|photo|thumb|thumbnail|avatar|user|product|post|video|default|select"
    r"|woocommerce|gr[ea]y|white|black|light|dark|transparent|lazy|bg|background|\d{1,4}(?:x\d{1,4})?"
)
_PLACEHOLDER = re.compile(
    r"(?:blank|spacer|pixel|transparent|clear|clearpixel|cleardot|shim|trans|1x1|grey|gray|placeholder"
    r"|lazy-?load|lazy|loading|loader|ajax-loader)(?:[-_.]?(?:1x1|\d+))?"
    r"\.(?:gif|png|svg|jpe?g|webp)"
    # Longer names that say no more: `grey-placeholder`, `no-image`.
    rf"|(?:(?:{_SAYS_NOTHING})[-_.])*(?:placeholder|no[-_]?(?:image|img|photo|pic(?:ture)?))"
    rf"(?:[-_.](?:{_SAYS_NOTHING}))*(?:@\dx)?\.(?:gif|png|svg|jpe?g|webp)"
    # With the name of a version: `loading-trans-ced1...`. Shops sell spacers, loaders and blanks.
    r"|(?:blank|empty|dummy|spacer|loading|loader)(?:[-_.]trans(?:parent)?)?"
    r"(?:[-_.](?=[a-z]*\d)[a-z0-9]{16,})?\.(?:gif|png|svg)"
    r"|(?:divider|separator)\.gif",
    re.I,
)
_SVG = re.compile(r"\.svgz?(?:$|[?#])", re.I)
_PICTURE_FILE = re.compile(r"\.(?:jpe?g|png|gif|webp|avif|bmp|tiff?)(?:$|[?#])", re.I)
# The page about a picture (`File:Harbour.jpg`), as wikis link to.
_PICTURE_PAGE = re.compile(r"(?:/|^|=)(?:file|image|datei|fichier|archivo|bestand|plik):", re.I)
SIDES = re.compile(rb' (?:width|height)="([^"]*)"')
"""The sides that a start tag declares."""
_LENGTH = re.compile(r"\s*\+?(\d{1,6})(?:\.\d*)?\s*(?:px)?\s*$")


@dataclass(frozen=True, slots=True)
class ImageSource:
    """The URL chosen for an image element."""

    url: str
    lazy: bool
    """Whether a script would have loaded it: its twin may stand in a `noscript` beside it."""


def parse_srcset(srcset: str) -> list[tuple[str, float, float]]:
    """The candidates of a srcset as (URL, width in pixels or 0, density or 0), in order.

    Follows the standard (html.spec.whatwg.org, "parsing a srcset attribute"): a URL runs to the
    next white space, so commas inside it belong to it; only trailing commas end the candidate.
    """
    # White space and commas without a URL behind them would be tried from each place on.
    srcset = srcset[:MAX_SRCSET_LENGTH].rstrip(_GAPS)
    candidates = []
    for url, descriptors in _CANDIDATE.findall(srcset):
        width = density = 0.0
        if descriptors[-1:] == "w" and descriptors[:-1].isdecimal():
            width = float(descriptors[:-1])  # as nearly all
            descriptors = ""
        for value, unit in _DESCRIPTOR.findall(descriptors) if descriptors else ():
            if unit == "w":
                width = float(value)
            else:
                density = float(value)
        if url := url.rstrip(",") if url[-1] == "," else url:
            candidates.append((url, width, density))
    return candidates


def _url(base: str, reference: str | None) -> str | None:
    reference = (reference or "").strip()
    # "#" and "" mean the page itself; braces are templates that a script fills in.
    if not reference or reference[0] in "#{[<" or "{" in reference:
        return None
    return resolve_url(base, reference)


def _looks_like_url(reference: str | None) -> bool:
    reference = (reference or "").strip()
    return ("/" in reference or "." in reference) and " " not in reference and len(reference) > 3


def is_placeholder(url: str) -> bool:
    """Whether a URL has the file name of a spacer or of a picture shown while another loads."""
    if "?" not in url:
        name = url.rfind("/") + 1
        return name > 0 and _PLACEHOLDER.fullmatch(url, name) is not None
    # At the end of the path, or of a URL in the query.
    return any(
        _PLACEHOLDER.fullmatch(part, part.rfind("/") + 1) is not None
        for part in url.split("?")
        if "/" in part
    )


def declared_length(value: str | None) -> int | None:
    """A `width` or `height` attribute in CSS pixels; None for a percentage or the like."""
    if not value:
        return None
    if len(value) <= 6 and value.isascii() and value.isdigit():
        return int(value)
    match = _LENGTH.match(value)
    return int(match.group(1)) if match else None


def is_svg(url: str) -> bool:
    """Whether a URL names an SVG file."""
    return _SVG.search(url) is not None


def picture_file(href: str, base: str) -> str | None:
    """The URL a link leads to, if it is that of a picture file."""
    if not _PICTURE_FILE.search(href) or _PICTURE_PAGE.search(href):
        return None
    return _url(base, href)


def choose_source(
    attributes: Mapping[str, str],
    picture_sources: Iterable[Mapping[str, str]],
    base: str,
) -> ImageSource | None:
    """The URL of an `img` or `amp-img`.

    Args:
        attributes: Of the element.
        picture_sources: Attributes of the `source` elements of the `picture` around it, if any.
        base: What relative references are relative to.

    Returns:
        None where the element names no http or https image (data URIs, templates, nothing at all).
    """
    lazy = None
    if not _LAZY_SOURCES.keys().isdisjoint(attributes):
        for name in sorted(_LAZY_SOURCES.keys() & attributes.keys(), key=_LAZY_SOURCES.__getitem__):
            if _looks_like_url(attributes[name]):
                lazy = _url(base, attributes[name])
            if lazy is not None:
                break
    sets: list[tuple[str, bool]] = []
    for owner in (attributes, *picture_sources):
        if not _LAZY_SRCSETS.isdisjoint(owner):
            sets += [(owner[name], True) for name in LAZY_SRCSETS if owner.get(name)]
        if value := owner.get("srcset"):
            sets.append((value, False))
    candidates = [
        (width, density, reference, is_lazy)
        for srcset, is_lazy in sets
        for reference, width, density in parse_srcset(srcset)
    ]
    # Of equal ones the first; a URL is read only where it may be chosen.
    candidates.sort(key=itemgetter(0, 1), reverse=True)
    best: tuple[float, float, str, bool] | None = None
    for width, density, reference, is_lazy in candidates:
        url = _url(base, reference)
        if url is not None and not is_placeholder(url):
            best = (width, density, url, is_lazy)
            break
    if best is not None and (best[0] > 0 or best[1] > 1):
        return ImageSource(best[2], best[3] or lazy is not None)
    if lazy is not None:
        return ImageSource(lazy, True)
    plain = _url(base, attributes.get("src"))
    if plain is not None and not is_placeholder(plain):
        return ImageSource(plain, False)
    if best is not None:
        return ImageSource(best[2], best[3])
    return None
