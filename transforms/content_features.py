"""A page as blocks of text with measures: what `content_model.py` weighs.

A *block* is the text and the pictures between two tags that part lines. Every measure is a small
whole number, computed by exact array operations over the whole page at once: the same page gives
the same numbers on every machine. None depends on the language; lengths are UTF-8 bytes, because
Chinese or Japanese say in a third of the characters what English does.

Measures of a block are of four kinds: its own text (length, share in links, digits, capitals,
punctuation); the elements around it, by tag and by what their names mean (`name_groups.py`), any of
them and the three nearest; how its containers look (size, links, prose, how often they repeat); and
where it stands on the page. The idea of weighing text density, link density and their neighbours
goes back to Kohlschuetter et al. 2010 (Boilerplate Detection using Shallow Text Features).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from transforms import page_kernel
from transforms.content_names import name_bits_of
from transforms.dom import CODES, NAMES, Dom, code_table
from transforms.name_groups import GROUPS

Array = npt.NDArray[Any]

BREAKING_NAMES = (
    "address article aside blockquote body center dd details dir div dl dt fieldset figcaption"
    " figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav"
    " noscript ol option optgroup p pre listing plaintext xmp search section summary table caption"
    " tbody td tfoot th thead title head tr ul"
)
"""Elements that part lines."""

LEVELS = 6
"""Containers around a block that are looked at, each larger than the one before."""

LINKED_SHARE = 66
"""The measure that is the share of a block in links, in 64ths."""

SENTENCE = 40
"""UTF-8 bytes from which a block counts as prose where most of it is outside links."""

BREAKING = code_table(BREAKING_NAMES)
_IMAGES = code_table("img amp-img")

_TAG_GROUPS = (
    "p",
    "li",
    "td th",
    "h1",
    "h2",
    "h3 h4",
    "h5 h6",
    "blockquote q",
    "pre code",
    "figure picture",
    "figcaption caption",
    "dl",
    "form fieldset",
    "label button legend",
    "nav menu",
    "header hgroup",
    "footer",
    "aside",
    "article",
    "main",
    "section",
    "ul ol",
    "a",
    "strong b em i",
    "address time",
    "details summary",
    "dialog",
)
_TAG_BITS = np.zeros(len(NAMES), np.int64)
for _bit, _names in enumerate(_TAG_GROUPS):
    for _name in _names.split():
        _TAG_BITS[CODES[_name]] |= 1 << (len(GROUPS) + _bit)
BITS = len(GROUPS) + len(_TAG_GROUPS)
assert BITS < 64


def tag_bit(names: str) -> int:
    """The bit of a group of tags."""
    return len(GROUPS) + _TAG_GROUPS.index(names)


def _class_of_bytes() -> tuple[Array, Array, Array]:
    """Three tables over bytes; each packs two counters, 32 bits a counter."""
    tables = np.zeros((3, 256), np.int64)
    high = 1 << 32
    for byte in range(33, 256):
        tables[0, byte] += 1  # visible
    for byte in b"0123456789":
        tables[0, byte] += high
    for byte in range(65, 91):
        tables[1, byte] += 1  # capitals
    for byte in b".!?;":
        tables[1, byte] += high
    for byte in b",:()\xef":  # EF begins the full-width forms of punctuation
        tables[2, byte] += 1
    for byte in b"|/\\*#@$%+=<>{}[]~^_":
        tables[2, byte] += high
    return tables[0], tables[1], tables[2]


_COUNTERS = _class_of_bytes()
_LOW = 0xFFFFFFFF


def _octets(*ranges: tuple[int, int]) -> Array:
    table = np.zeros(256, np.bool_)
    for low, high in ranges:
        table[low : high + 1] = True
    return table


_LAST = (_octets((33, 33), (46, 46), (63, 63)), _octets((58, 58)), _octets((128, 255)))
_FIRST = (
    _octets((97, 122)),
    _octets((65, 90)),
    _octets((48, 57)),
    _octets((38, 38)),
    _octets((128, 255)),
)
_HEADINGS = code_table("h1 h2 h3 h4 h5 h6")
_COUNTED = (
    "p li a img h1 h2 article section table td pre form input button blockquote main br time dl"
)
_PAGE_COUNTS = np.stack([code_table(name) for name in _COUNTED.split()]).astype(np.int64)


def log8(values: Array) -> Array:
    """Eight times the logarithm to base 2 of one more than each value, exact on every machine.

    Between powers of two it is linear.
    """
    mantissa, exponent = np.frexp((values + 1).astype(np.float64))
    return (exponent - 1) * 8 + (mantissa * 16).astype(np.int64) - 8


@dataclass(slots=True)
class Blocks:
    """The blocks of a page, in order, and their measures."""

    first: Array
    """The tag behind which each block starts; it ends before the first tag of the next group."""
    last: Array
    """The last tag of each block: its text is behind the tags from `first` to `last`."""
    size: Array
    """Visible UTF-8 bytes of text."""
    images: Array
    measures: Array
    """Whole numbers, float32, (blocks, measures)."""
    ranges: Array
    """First block, and one past the last, of the containers around each: (levels, 2, blocks)."""
    page: Array
    """Whole numbers, float32: measures of the page as a whole."""


def _running(values: Array) -> Array:
    total = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=total[1:])
    return total


def _page_text(dom: Dom) -> tuple[Array, Array]:
    """The bytes of the page without its tags, and where in them the text behind each tag starts."""
    lengths = dom.text_stops - dom.stops
    spans = np.empty(2 * len(dom), np.int64)
    spans[0::2] = dom.stops - dom.starts
    spans[1::2] = lengths
    is_text = np.zeros(2 * len(dom), np.bool_)
    is_text[1::2] = True
    octets = np.frombuffer(dom.source, np.uint8)[np.repeat(is_text, spans)]
    if b"&nbsp;" in dom.source:
        octets = np.frombuffer(octets.tobytes().replace(b"&nbsp;", b"      "), np.uint8)
    return octets, _running(lengths)


def _repeats(keys: Array) -> Array:
    """How often each value occurs."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    runs = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    lengths = np.diff(np.append(runs, len(keys)))
    found = np.empty(len(keys), np.int64)
    found[order] = np.repeat(lengths, lengths)
    return found


def measure_blocks(dom: Dom) -> Blocks:
    """The blocks of a page."""
    if page_kernel.AVAILABLE and len(dom.source) <= page_kernel.LARGEST:
        return page_kernel.measure_blocks(dom)
    tags, closes, parents = dom.tags, dom.closes, dom.parents
    size = len(tags)
    numbers = np.arange(size)
    codes = np.abs(tags)
    is_start = tags > 0
    octets, offsets = _page_text(dom)
    counts = [table[octets] for table in _COUNTERS]
    # Chinese and Japanese stops and commas: U+3000 to U+303F begin with E3 80.
    counts[1][:-1] += ((octets[:-1] == 0xE3) & (octets[1:] == 0x80)) * (1 << 32)
    counted = [_running(count) for count in counts]
    shown = counted[0] & _LOW
    visible = shown[offsets]

    # Blocks: what stands between two tags that part lines, if it holds text or a picture.
    body = int(np.argmax(tags == CODES["body"]))
    breaking = BREAKING[codes]
    breaking[: body + 1] = True
    starting = np.flatnonzero(breaking)
    bounds = np.append(starting, size)
    images = _running(_IMAGES[codes] & is_start)
    filled = (visible[bounds[1:]] > visible[bounds[:-1]]) | (
        images[bounds[1:]] > images[bounds[:-1]]
    )
    filled &= starting >= body
    first, stop = starting[filled], bounds[1:][filled]
    count = len(first)
    if not count:
        return _no_blocks()
    block_size = visible[stop] - visible[first]
    block_images = images[stop] - images[first]

    # Running sums over tags.
    anchors = np.flatnonzero((codes == CODES["a"]) & is_start)
    depth = np.zeros(size, np.int64)
    depth[anchors] = 1
    links = _running(depth)
    depth[closes[anchors]] -= 1
    linked = _running(np.where(np.cumsum(depth) > 0, visible[1:] - visible[:-1], 0))
    breaks = _running(codes == CODES["br"])
    inputs = _running((tags == CODES["input"]) | (tags == CODES["button"]))
    block_linked = linked[stop] - linked[first]
    prose_here = np.where((block_size >= SENTENCE) & (block_linked * 2 < block_size), block_size, 0)
    prose = np.zeros(size + 1, np.int64)
    prose[first + 1] = prose_here
    np.cumsum(prose, out=prose)
    blocks = np.zeros(size + 1, np.int64)
    blocks[first + 1] = 1
    np.cumsum(blocks, out=blocks)
    total_prose, total_size = int(prose[-1]), int(block_size.sum())

    # What the elements around each block are, and say: any of them, and the three nearest.
    name_bits, classes = name_bits_of(dom)
    page_bits = int(name_bits[0] | name_bits[body])
    bits = np.where(is_start & (numbers > body), name_bits | _TAG_BITS[codes], 0)
    parents = np.maximum(parents, 0)
    any_bits, above = bits.copy(), parents
    for _ in range(9):  # 2**9 elements deep, as deep as a page nests
        any_bits |= any_bits[above]
        above = above[above]
    # The element whose text starts a block: the start tag before it, or the one around its end tag.
    one = np.where(is_start[first] & (closes[first] != first), first, parents[first])
    two = parents[one]
    three = parents[two]
    near = bits[one] | bits[two] | bits[three]
    own_bits = np.bitwise_or.reduceat(
        bits, np.stack([first, stop], axis=1).ravel()[: 2 * count - (stop[-1] == size)]
    )[::2]
    near |= own_bits

    # Containers: from each element to the nearest one around it that holds more blocks.
    is_first = np.zeros(size + 1, np.int64)
    is_first[first] = 1
    begin_of = np.cumsum(is_first[:-1]) - is_first[:-1]
    end_of = (begin_of + is_first[:-1])[closes]
    up = np.maximum(parents, body)
    for _ in range(5):
        same = (begin_of[up] == begin_of) & (end_of[up] == end_of)
        up = np.where(same, np.maximum(parents[up], body), up)
    container = np.where(end_of[one] - begin_of[one] > 1, one, up[one])
    containers = np.empty((LEVELS, count), np.int64)
    for level in range(LEVELS):
        containers[level] = container
        container = up[container]
    order = np.arange(count)
    ranges = np.stack(
        [np.minimum(begin_of[containers], order), np.maximum(end_of[containers], order + 1)], axis=1
    )
    stops = closes[containers]
    totals = {"size": visible, "linked": linked, "prose": prose, "blocks": blocks, "images": images}
    in_container = {name: of[stops] - of[containers] for name, of in totals.items()}
    elements = np.flatnonzero(is_start)
    repeated = np.zeros(size, np.int64)
    repeated[elements] = _repeats(
        ((parents[elements] + 1) * len(NAMES) + codes[elements]) * 4096 + classes[elements] % 4096
    )

    # The smallest elements that hold a part, half, or most of the page's prose.
    its_prose = prose[closes[elements]] - prose[elements]
    before, behind, inside = [], [], []
    for percent in (35, 50, 70, 85):
        holding = elements[its_prose * 100 >= percent * max(total_prose, 1)]
        deepest = int(holding[np.argmax(dom.levels[holding])]) if len(holding) else body
        begin, end = int(begin_of[deepest]), int(end_of[deepest])
        before.append(np.maximum(begin - order, 0))
        behind.append(np.maximum(order - end + 1, 0))
        inside.append((order >= begin) & (order < end))

    # Own text.
    text_begin, text_end = offsets[first], offsets[stop]
    digits, capitals, ends, commas, signs = (
        (found[text_end] - found[text_begin]) & _LOW
        for found in (counted[0] >> 32, counted[1], counted[1] >> 32, counted[2], counted[2] >> 32)
    )
    places = np.append(np.flatnonzero(octets > 32), 0)
    seen = np.append(octets, np.uint8(0))
    has_text = block_size > 0
    first_octet = np.where(has_text, seen[places[shown[text_begin]]], 0)
    last_octet = np.where(has_text, seen[places[shown[text_end] - 1]], 0)
    heading = _HEADINGS[codes[one]] & is_start[one]
    since_heading = order - np.maximum.accumulate(np.where(heading, order, -1))
    h1 = np.flatnonzero(codes[one] == CODES["h1"])
    earlier = np.cumsum(block_size) - block_size

    logs = [
        *in_container["size"], *in_container["blocks"],
        *repeated[containers], *in_container["images"],
        repeated[one], repeated[two], repeated[three],
        *before, *behind,
        block_size, links[stop] - links[first], block_images, inputs[stop] - inputs[first],
        breaks[stop] - breaks[first], ends, ends, commas, commas, signs,
        order, count - order, since_heading,
    ]  # fmt: skip
    shares = [
        *zip(in_container["linked"], in_container["size"], strict=True),
        *((its, np.full(count, total_prose)) for its in in_container["prose"]),
        *zip(in_container["prose"], in_container["size"], strict=True),
        (block_linked, block_size), (digits, block_size), (capitals, block_size),
        (order, np.full(count, count)), (earlier, np.full(count, total_size)),
    ]  # fmt: skip
    flags = [
        *inside,
        _LAST[0][last_octet], _LAST[1][last_octet], _LAST[2][last_octet],
        *(table[first_octet] for table in _FIRST),
        heading, np.full(count, len(h1) > 0), order > (h1[0] if len(h1) else count),
        order > (h1[-1] if len(h1) else count), prose_here > 0,
    ]  # fmt: skip
    levels = np.minimum(
        dom.levels[one] - np.stack([*dom.levels[containers], np.zeros(count, np.int64)]), 40
    )
    parts = np.stack([part for part, _ in shares])
    wholes = np.maximum(np.stack([whole for _, whole in shares]), 1)
    shifts = np.arange(BITS)[:, None]
    measures = np.concatenate(
        [
            log8(np.stack(logs)),
            parts * 64 // wholes,
            np.stack(flags) * 32,
            levels,
            ((any_bits[one] >> shifts) & 1) * 32,
            ((near >> shifts) & 1) * 32,
        ]
    )
    page = np.concatenate(
        [
            log8(
                np.append(
                    [count, total_size, int((prose_here > 0).sum())],
                    _PAGE_COUNTS @ np.bincount(codes[is_start], minlength=len(NAMES)),
                )
            ),
            [total_prose * 64 // max(total_size, 1), int(linked[-1]) * 64 // max(total_size, 1)],
            ((page_bits >> np.arange(len(GROUPS))) & 1) * 32,
            _declared_type(dom),
        ]
    )
    return Blocks(
        first, stop - 1, block_size, block_images,
        np.ascontiguousarray(measures.T, np.float32), ranges, page.astype(np.float32),
    )  # fmt: skip


def _no_blocks() -> Blocks:
    none = np.zeros(0, np.int64)
    return Blocks(
        none, none, none, none,
        np.zeros((0, 0), np.float32), np.zeros((LEVELS, 2, 0), np.int64), np.zeros(0, np.float32),
    )  # fmt: skip


def _declared_type(dom: Dom) -> list[int]:
    """What the page's own metadata calls it."""
    at = dom.source.find(b'"og:type"')
    said = dom.source[max(at - 80, 0) : at + 80] if at >= 0 else b""
    return [
        32 * (b'"article"' in said),
        32 * (b"product" in said),
        32 * (b'"website"' in said),
        32 * (at < 0),
    ]
