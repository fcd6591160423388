"""A page as arrays of tags in document order: one small DOM for both parsers.

The DOM is the canonical markup of the page (`html_parsers.py`) and, for each tag in it, where it
starts and ends, which element it names and where that element closes. A *node* is the number of a
start tag. The text behind a tag, up to the next one, is the text of that tag's number, be it a
start or an end tag. So the subtree of node `i` is the range from `i` to `closes[i]`, every measure
of subtrees is a difference of running sums, nothing recurses however deep a page nests, and a page
is read by a few dozen array operations instead of one Python object a node.
"""

import math
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property

import numpy as np
import numpy.typing as npt

from schemas.errors import HtmlParseError, PageDeadlineError, PageTooLargeError
from transforms import page_kernel
from transforms.html_parsers import (
    BACKENDS,
    MAX_TAGS,
    VOID,
    canonical_beautifulsoup,
    canonical_lexbor,
)
from transforms.source_limits import MAX_DEPTH, prepare_source
from transforms.stream_parser import largest_markup, stream_markup

Ints = npt.NDArray[np.int64]

OTHER = 1
"""Code of an element that `NAMES` lacks."""

_NAMES = (
    "a abbr address amp-img area article aside b base bdi bdo big blockquote body br button"
    " caption center cite code col colgroup dd del details dfn dialog dir div dl dt em embed"
    " fieldset figcaption figure font footer form frame frameset h1 h2 h3 h4 h5 h6 head header"
    " hgroup hr html i img input ins kbd label legend li listing main map mark math menu meta"
    " meter nav nobr noscript ol optgroup option output p param picture plaintext pre progress"
    " q rp rt ruby s samp search section small source span strike strong sub summary sup table"
    " tbody td tfoot th thead time title tr track tt u ul var wbr xmp"
)
NAMES = ("", "?", *_NAMES.split())
"""Elements by code; an end tag has the negative code of its element."""

CODES = {name: code for code, name in enumerate(NAMES)}

ATTRIBUTE = re.compile(rb' ([^\s=>/]+)="([^"]*)"')
"""An attribute of a tag: its name and its value; they are found from left to right."""

_ATTRIBUTE_TEXT = re.compile(ATTRIBUTE.pattern.decode(), re.ASCII)


def code_table(names: str) -> npt.NDArray[np.bool_]:
    """A table by code, true for some elements."""
    table = np.zeros(len(NAMES), np.bool_)
    table[[CODES[name] for name in names.split()]] = True
    return table


def _packed(name: str) -> int:
    return int.from_bytes(name.encode()[:8].ljust(8, b"\0"), "little")


# Eight bytes tell all names apart; tags are looked up by them, all tags of a page at once.
_by_bytes = sorted((_packed(name), code) for code, name in enumerate(NAMES) if code > OTHER)
_PACKED = np.array([packed for packed, _ in _by_bytes], np.uint64)
_PACKED_CODES = np.array([code for _, code in _by_bytes], np.int64)
_IS_VOID = code_table(" ".join(name for name in VOID if name in CODES))
_ONES = np.uint64(0x0101010101010101)
_HIGHS = np.uint64(0x8080808080808080)
_SPACES = np.uint64(0x2020202020202020)
_CLOSERS = np.uint64(0x3E3E3E3E3E3E3E3E)


class _UnreadableError(Exception):
    """The markup is not canonical: a name in it holds `<` or the like."""


ENTITIES = (
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&quot;", '"'),
    ("&nbsp;", "\u00a0"),
    ("&amp;", "&"),
)
"""The references of canonical markup; that of `&` is read last."""


def unescape(text: bytes) -> str:
    """Characters of a piece of canonical markup."""
    return _read_references(text.decode("utf-8", "replace"))


def _read_references(characters: str) -> str:
    if "&" in characters:
        for entity, character in ENTITIES:
            characters = characters.replace(entity, character)
    return characters


class Dom:
    """A parsed page. All arrays have one entry a tag, in document order."""

    source: bytes
    """Canonical markup, from `<html>` on."""
    tags: Ints
    """Code of the element, negative for its end tag."""
    starts: Ints
    """Offset of the `<`."""
    stops: Ints
    """Offset after the `>`, where the text behind the tag starts."""
    closes: Ints
    """Of a start tag, the number of its end tag; of any other, its own number."""
    levels: Ints
    """Elements around the tag's element."""

    def __init__(self, source: bytes) -> None:
        """Reads canonical markup. Raises `PageTooLargeError`."""
        self.source = source
        if not page_kernel.AVAILABLE:
            self._read_tags()
            return
        try:
            found = page_kernel.read_tags(source, MAX_TAGS)
        except OverflowError as error:
            raise PageTooLargeError(str(error)) from None
        if found is None:
            raise _UnreadableError
        arrays, self.held = found
        self.tags, self.starts, self.stops, self.closes, self.levels, *rest = arrays
        self.parents, self.text_stops = rest

    def _read_tags(self) -> None:
        octets = np.frombuffer(self.source + b"\0", np.uint8)
        starts = np.flatnonzero(octets == 60)
        stops = np.flatnonzero(octets == 62) + 1
        if len(starts) > MAX_TAGS:
            raise PageTooLargeError(f"more than {MAX_TAGS} tags")
        if (
            len(starts) != len(stops)
            or not (starts < stops).all()
            or not (stops[:-1] <= starts[1:]).all()
        ):
            raise _UnreadableError
        is_end = octets[starts + 1] == 47
        codes = self._read_names(starts + 1 + is_end)
        step = np.where(is_end, -1, 1 - _IS_VOID[codes])
        after = np.cumsum(step)
        levels = after - (step > 0)
        # At one level, the tags in order are start, end, start, end, ...: each closes by the next.
        order = np.argsort(levels.astype(np.int16), kind="stable")
        opening = step[order] > 0
        opening[-1] = False
        closes = np.arange(len(starts))
        opened = order[opening]
        closes[opened] = order[np.flatnonzero(opening) + 1]
        tags = np.where(is_end, -codes, codes)
        if after[-1] != 0 or levels.min() < 0 or (tags[closes[opened]] != -tags[opened]).any():
            raise _UnreadableError
        self.tags, self.starts, self.stops = tags, starts, stops
        self.closes, self.levels = closes, levels

    def _read_names(self, offsets: Ints) -> Ints:
        names = self.bytes8[offsets]
        # The first space or `>` ends the name: the lowest zero byte of the exclusive or with it.
        ended = np.zeros(len(names), np.uint64)
        for pattern in (_SPACES, _CLOSERS):
            different = names ^ pattern
            ended |= (different - _ONES) & ~different & _HIGHS
        names &= ((ended & (~ended + np.uint64(1))) >> np.uint64(7)) - np.uint64(1)
        found = np.searchsorted(_PACKED, names)
        found[found == len(_PACKED)] = 0
        return np.where(_PACKED[found] == names, _PACKED_CODES[found], OTHER)

    def __len__(self) -> int:
        return len(self.tags)

    @cached_property
    def bytes8(self) -> npt.NDArray[np.uint64]:
        """At each offset of the markup, the eight bytes from there, little-endian."""
        return np.ndarray(len(self.source) + 8, "<u8", self.source + b"\0" * 16, strides=(1,))

    @cached_property
    def held(self) -> bytes:
        """By code, 1 for the elements that the page has."""
        held = np.zeros(256, np.uint8)
        held[np.abs(self.tags)] = 1
        return held.tobytes()

    @cached_property
    def parents(self) -> Ints:
        """The start tag of the element around each tag's element; -1 for the root."""
        size = len(self.tags)
        opening = np.flatnonzero(self.closes > np.arange(size))
        opening = opening[np.argsort(self.levels[opening], kind="stable")]
        keys = self.levels[opening] * size + opening
        wanted = (self.levels - 1) * size + np.arange(size)
        found = np.searchsorted(keys, wanted) - 1
        return np.where(self.levels > 0, opening[found], -1)

    @cached_property
    def text_stops(self) -> Ints:
        """The offset at which the text behind each tag ends."""
        return np.append(self.starts[1:], len(self.source))

    def name(self, node: int) -> str:
        """Name of an element; `?` where `NAMES` lacks it."""
        return NAMES[abs(int(self.tags[node]))]

    def positions(self, name: str, start: int = 0, end: int | None = None) -> list[int]:
        """The elements of one name in a range, in order."""
        code = CODES[name]
        if not self.held[code]:
            return []
        found: list[int] = ((self.tags[start:end] == code).nonzero()[0] + start).tolist()
        return found

    def text_behind(self, tag: int) -> str:
        """Characters between a tag and the next one."""
        return unescape(self.source[self.stops[tag] : self.text_stops[tag]])

    def text_of(self, node: int, most_tags: int | None = None) -> str:
        """Characters of an element: all texts in it, or those behind its first tags."""
        close = int(self.closes[node])
        stop = close if most_tags is None else min(close, node + most_tags)
        return "".join(self.text_behind(tag) for tag in range(node, stop))

    def attributes(self, node: int) -> dict[str, str]:
        """Attributes of an element, names in lower case."""
        start, stop = int(self.starts[node]), int(self.stops[node])
        if page_kernel.AVAILABLE:
            return page_kernel.attributes(self.source, start, stop, _read_references)
        tag = self.source[start:stop].decode("utf-8", "replace")
        found = _ATTRIBUTE_TEXT.findall(tag)
        if "&" not in tag:
            return dict(found)
        return {key: _read_references(value) for key, value in found}

    def attribute(self, node: int, name: str) -> str:
        """Value of an attribute; empty where it is missing or has none."""
        # Another value may end as this attribute begins: what is there is read from the left.
        if self.source.find(b' %b="' % name.encode(), self.starts[node], self.stops[node]) < 0:
            return ""
        return self.attributes(node).get(name, "")

    def ancestors(self, node: int) -> Iterator[int]:
        """The elements around a node, from the nearest on; no more than `MAX_DEPTH` of them."""
        for _ in range(MAX_DEPTH):
            node = int(self.parents[node])
            if node < 0:
                return
            yield node

    def children(self, node: int) -> Iterator[int]:
        """The elements directly in an element."""
        tag = node + 1
        while tag < self.closes[node]:
            yield tag
            tag = int(self.closes[tag]) + 1


def _markup_by_lexbor(html: str, deadline: float) -> bytes:
    markup = stream_markup(html)
    return markup or canonical_lexbor(prepare_source(html), largest_markup(html), deadline)


def _markup_by_beautifulsoup(html: str, deadline: float) -> bytes:
    # What html5lib takes has no bound, so it gets no page that is too much for lexbor.
    with suppress(HtmlParseError):
        _markup_by_lexbor(html, deadline)
    return canonical_beautifulsoup(prepare_source(html), largest_markup(html))


def parse_html(html: str, backend: str = "lexbor", deadline: float = math.inf) -> Dom:
    """Parses a page.

    Args:
        html: The page, decoded.
        backend: `lexbor` or `beautifulsoup`.
        deadline: When a parser is told to give up, by `time.monotonic()`.

    Raises:
        HtmlParseError: The backend refuses the page.
        PageTooLargeError: More than `MAX_TAGS` tags, `MAX_ATTRIBUTES` in one, or a tree or markup
            that is many times the page.
        PageDeadlineError: The deadline is over.
    """
    readers = {"lexbor": _markup_by_lexbor, "beautifulsoup": _markup_by_beautifulsoup}
    if backend not in readers:
        raise ValueError(f"backend is one of {', '.join(BACKENDS)}, not {backend!r}")
    try:
        markup = readers[backend](html, deadline)
    except OverflowError as error:
        raise PageTooLargeError(f"{error} from {len(html)} characters of HTML") from None
    except TimeoutError as error:
        raise PageDeadlineError(str(error)) from None
    try:
        return Dom(markup)
    except _UnreadableError:
        raise HtmlParseError(f"{backend}: the tree cannot be written as markup") from None
