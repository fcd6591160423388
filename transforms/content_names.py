"""Which groups of names (`name_groups.py`) the elements of a page carry, all elements at once."""

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from transforms.dom import Dom
from transforms.name_groups import GROUPS, WORDS

Array = npt.NDArray[Any]

_WORD = re.compile(rb"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\n")
_HIDDEN_STYLE = re.compile(rb"display\s*:\s*none|visibility\s*:\s*hidden")
_HIDDEN = 1 << list(GROUPS).index("hidden")
_LINE = 1 << 62
_BITS = {
    spelled: bits
    for word, bits in WORDS.items()
    for spelled in (word, word.capitalize(), word.upper())
} | {b"\n": _LINE}

# The attributes that are read, by the eight bytes from the space before them.
_NAMED, _CLASS, _STYLE, _FLAG, _ARIA = range(1, 6)
_ATTRIBUTES = {
    b' class="': _CLASS,
    b" itempro": _NAMED,
    b" itemtyp": _NAMED,
    b" data-te": _NAMED,
    b" data-co": _NAMED,
    b' style="': _STYLE,
    b" hidden=": _FLAG,
    b" aria-hi": _ARIA,
}
_ordered = sorted((int.from_bytes(name, "little"), kind) for name, kind in _ATTRIBUTES.items())
_EIGHT = np.array([packed for packed, _ in _ordered], np.uint64)
_KINDS = np.array([kind for _, kind in _ordered], np.int64)
_FIVE, _SEVEN = np.uint64((1 << 40) - 1), np.uint64((1 << 56) - 1)
_ID, _ROLE = (np.uint64(int.from_bytes(name, "little")) for name in (b' id="', b' role="'))


def name_bits_of(dom: Dom) -> tuple[Array, Array]:
    """Of each tag, the groups of its names as bits, and a number for its class on this page."""
    octets = np.frombuffer(dom.source, np.uint8)
    spaces = np.flatnonzero(octets == 32)
    following = dom.bytes8[spaces]
    found = np.searchsorted(_EIGHT, following)
    found[found == len(_EIGHT)] = 0
    kinds = np.where(_EIGHT[found] == following, _KINDS[found], 0)
    kinds[((following & _FIVE) == _ID) | ((following & _SEVEN) == _ROLE)] = _NAMED
    wanted = np.flatnonzero(kinds)
    places, kinds = spaces[wanted], kinds[wanted]
    owners = np.searchsorted(dom.starts, places) - 1
    in_tag = places < dom.stops[owners]
    places, owners, kinds = places[in_tag], owners[in_tag], kinds[in_tag]
    bits = np.zeros(len(dom), np.int64)
    classes = np.zeros(len(dom), np.int64)
    if not len(places):
        return bits, classes
    # A name that ends the page in a value has no quotes behind it.
    quotes = np.append(np.flatnonzero(octets == 34), [len(octets), len(octets)])
    opening = np.searchsorted(quotes, places)
    begins, ends = (quotes[opening] + 1).tolist(), quotes[opening + 1].tolist()
    source = dom.source
    numbers: dict[bytes, int] = {}
    ids = np.array(
        [
            numbers.setdefault(source[begin:end], len(numbers))
            for begin, end in zip(begins, ends, strict=True)
        ],
        np.int64,
    )
    # Every distinct value on a line of its own; the words of all of them at once.
    lines = b"\n".join([value.replace(b"\n", b" ") for value in numbers]) + b"\n"
    get = _BITS.get
    words = np.array([get(word, 0) for word in _WORD.findall(lines)], np.int64)
    line_ends = np.flatnonzero(words == _LINE)
    words[line_ends] = 0
    by_value = np.bitwise_or.reduceat(words, np.append(0, line_ends[:-1]))
    value_bits = np.where(kinds <= _CLASS, by_value[ids], 0)
    for each in np.flatnonzero(kinds > _CLASS).tolist():
        value = source[begins[each] : ends[each]]
        if (
            kinds[each] == _FLAG
            or (kinds[each] == _ARIA and value == b"true")
            or (kinds[each] == _STYLE and _HIDDEN_STYLE.search(value))
        ):
            value_bits[each] = _HIDDEN
    # Attributes of one tag stand side by side.
    changes = np.flatnonzero(np.append(True, owners[1:] != owners[:-1]))
    bits[owners[changes]] = np.bitwise_or.reduceat(value_bits, changes)
    is_class = kinds == _CLASS
    classes[owners[is_class]] = ids[is_class] + 1
    return bits, classes
