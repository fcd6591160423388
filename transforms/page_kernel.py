"""Pages read in C where a compiler was there at installation: the same numbers, many times faster.

Reading tags (`dom.py`), measuring blocks (`content_features.py`, `content_names.py`), weighing them
(`content_model.py`), settling them by rules (`content_rules.py`, `main_content.py`), weighing
pictures (`content_images.py`, `image_cards.py`) and listing the steps of the walk (`page_walk.py`)
would be most of what a page costs: some hundred numpy calls on arrays of a thousand entries, each
of which costs more than its arithmetic.
The kernel (`_page_*.c`) does the same in a few passes. The numpy code stays: it is the description,
the reference that the kernel is tested against, and what runs where the kernel was not built.
Whatever has a name (elements, words, attributes) is named there and handed to the kernel once.

What it does with a source, before there is a tree, is in `parse_kernel.py`; the walk is in
`walk_kernel.py`.
"""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

try:
    from transforms import _page_kernel
except ImportError:  # not built: there was no C compiler
    AVAILABLE = False
else:
    AVAILABLE = True

if TYPE_CHECKING:
    from transforms.content_features import Blocks
    from transforms.content_images import Candidate
    from transforms.content_model import ContentModel
    from transforms.dom import Dom

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

LARGEST = (1 << 29) - 1
"""Bytes of a page that the kernel measures: it counts with 32 bits."""

_WORD_BYTES = 16
_WHOLE = (1 << 64) - 1


# The tables are made at first use, because the modules that they come from import this one.


@cache
def _tag_names() -> object:
    from transforms import dom

    return _page_kernel.tag_names(
        dom._PACKED.tobytes(),
        dom._PACKED_CODES.astype(np.uint8).tobytes(),
        dom._IS_VOID.tobytes(),
        dom.OTHER,
    )


def read_tags(source: bytes, max_tags: int) -> tuple[Ints, bytes] | None:
    """Of each tag: code, start, stop, closing tag, level, parent, end of text, (7, tags).

    And by code, whether the page has the element. None where the markup is not canonical. Raises
    `OverflowError` where it has more tags.
    """
    found = _page_kernel.read_tags(_tag_names(), source, max_tags)
    return None if found is None else (np.frombuffer(found[0], np.int64).reshape(7, -1), found[1])


def attributes(
    source: bytes, start: int, stop: int, read_references: Callable[[str], str]
) -> dict[str, str]:
    """What `Dom.attributes` gives, of the tag in a range of a page's markup."""
    return _page_kernel.attributes(source, start, stop, read_references)


def _words() -> bytes:
    from transforms.name_groups import WORDS

    entries = []
    for word, bits in WORDS.items():
        if len(word) > _WORD_BYTES:
            raise ValueError(f"{word!r} has more than the kernel's {_WORD_BYTES} bytes")
        entries.append(word.ljust(_WORD_BYTES, b"\0") + bits.to_bytes(8, "little"))
    return b"".join(entries)


def _attributes() -> bytes:
    from transforms import content_names as names

    entries = [
        (int.from_bytes(name, "little"), _WHOLE, kind) for name, kind in names._ATTRIBUTES.items()
    ]
    entries += [(int(names._ID), int(names._FIVE), names._NAMED)]
    entries += [(int(names._ROLE), int(names._SEVEN), names._NAMED)]
    return np.array(entries, np.uint64).tobytes()


def _bit_table(tables: tuple[npt.NDArray[np.bool_], ...]) -> bytes:
    """One table of bytes for up to eight of flags, the first the lowest bit."""
    return np.packbits(np.stack(tables), axis=0, bitorder="little").tobytes()


@cache
def _measure_tables() -> object:
    from transforms import content_features as features
    from transforms import content_names as names
    from transforms.dom import CODES, code_table
    from transforms.name_groups import GROUPS

    # In the order of the kernel's traits.
    traits = (
        features.BREAKING,
        features._IMAGES,
        features._HEADINGS,
        *map(code_table, ("body", "a", "br", "input button", "h1")),
    )
    return _page_kernel.measure_tables(
        _words(),
        _attributes(),
        names._HIDDEN,
        hash("page kernel") & _WHOLE,  # a secret of the process; no result depends on it
        _bit_table(traits),
        features._TAG_BITS.tobytes(),
        bytes(CODES[name] for name in features._COUNTED.split()),
        np.stack(features._COUNTERS).tobytes(),
        _bit_table(features._FIRST),
        _bit_table(features._LAST),
        features.LEVELS,
        len(features._FIRST),
        len(features._LAST),
        len(GROUPS),
        features.BITS,
        features.SENTENCE,
    )


def measure_blocks(dom: "Dom") -> "Blocks":
    """The blocks of a page of up to `LARGEST` bytes."""
    from transforms.content_features import LEVELS, Blocks

    numbers, measures, page = _page_kernel.measure_blocks(
        _measure_tables(),
        dom.source,
        dom.tags,
        dom.starts,
        dom.stops,
        dom.closes,
        dom.levels,
        dom.parents,
    )
    rows = np.frombuffer(numbers, np.int64).reshape(4 + 2 * LEVELS, -1)
    count = rows.shape[1]
    first, last, size, images = rows[:4]
    return Blocks(
        first, last, size, images,
        np.frombuffer(measures, np.float32).reshape(count, -1 if count else 0),
        rows[4:].reshape(LEVELS, 2, count), np.frombuffer(page, np.float32),
    )  # fmt: skip


@lru_cache(maxsize=16)
def _network(model: "ContentModel") -> object:
    from transforms import content_model as network

    numbers = [model.page, *(each for layer in model.layers for each in layer)]
    first, second, third, _ = (len(biases) for _, biases in model.layers)
    return _page_kernel.network(
        b"".join(np.ascontiguousarray(each, np.float32).tobytes() for each in numbers),
        bytes(network.CONTAINERS),
        len(model.page),
        len(model.layers[0][0]),
        first,
        second,
        third,
        network.WEIGHT_UNIT,
        network.UNIT,
        network.LARGEST,
    )


def score_blocks(blocks: "Blocks", model: "ContentModel") -> npt.NDArray[np.float32]:
    """The log-odds that each of some blocks is content."""
    scores = _page_kernel.score_blocks(
        _network(model), blocks.size, blocks.ranges, blocks.measures, blocks.page
    )
    return np.frombuffer(scores, np.float32)


def _rule_words(words: list[bytes], count: int) -> bytes:
    """Words and their lengths, filled up to a number with what is no word."""
    if len(words) > count or any(len(word) >= _WORD_BYTES for word in words):
        raise ValueError(f"more than {count} words, or {_WORD_BYTES} bytes in one")
    words = words + [b""] * (count - len(words))
    return b"".join(word.ljust(_WORD_BYTES - 1, b"\0") + bytes([len(word)]) for word in words)


@cache
def _rule_tables() -> bytes:
    from transforms import content_rules as rules
    from transforms import main_content
    from transforms.content_features import BITS, LINKED_SHARE, tag_bit
    from transforms.dom import CODES, code_table

    numbers = [
        rules.MAX_SHARE,
        rules.MAX_LINKED,
        rules.LONG,
        main_content.MIN_TEXT,
        rules.HEADLINE_REACH,
        rules.LINK_REACH,
        rules.PARAGRAPH,
        rules.MAX_LINKS,
        rules.ALIKE,
        rules.STEPS,
        rules.ASIDE_REACH,
        LINKED_SHARE,
        *(2 * BITS - tag_bit(names) for names in (*rules.MEANT, *rules.PARTS)),
    ]
    attributes = (rules._ROLE, rules._HIDDEN, rules._STYLE)
    # In the order of the kernel's bits.
    tables = (
        rules._CHROME,
        rules._WHOLE,
        rules._LISTS,
        rules._ARTICLES,
        *map(code_table, ("footer", "pre", "h1", "table", "aside")),
        rules._LAYOUT_INSIDE,
        main_content._CHROME,
        code_table("a"),
    )
    traits = np.zeros(256, np.uint16)
    for bit, table in enumerate(tables):
        traits[: len(table)] |= table.astype(np.uint16) << bit
    headings = np.flatnonzero(rules._HEADINGS)
    traits[headings] |= (headings - CODES["h1"] + 1).astype(np.uint16) << 12
    return b"".join(
        (
            np.array(
                [main_content.THRESHOLD, main_content.BELOW_BEST, rules.SURE_HEADING]
            ).tobytes(),
            np.array(numbers, np.int64).tobytes(),
            (hash("page rules") & _WHOLE).to_bytes(8, "little"),  # a secret, as above
            _rule_words([b' %b="' % name for name in (*attributes, rules._CLASS, rules._HREF)], 5),
            _rule_words([rules._UNTIL_FOUND], 1),
            _rule_words([word for pair in rules._HIDING for word in pair], 4),
            _rule_words(rules._ROLES, 16),
            traits.tobytes(),
        )
    )


def _arrays(
    dom: "Dom", blocks: "Blocks"
) -> tuple[bytes, Ints, Ints, Ints, Ints, Ints, Ints, Ints, Ints, npt.NDArray[np.float32]]:
    """What the rules on blocks and on pictures read of a page, in the order of the kernel."""
    page = (dom.source, dom.tags, dom.starts, dom.stops, dom.closes, dom.parents)
    return *page, blocks.first, blocks.last, blocks.size, blocks.measures


def settle_blocks(
    dom: "Dom", blocks: "Blocks", scores: npt.NDArray[np.float32]
) -> tuple[Flags, Flags, bool]:
    """What `main_content.settle_blocks` gives for a page of up to `LARGEST` bytes."""
    chrome, keep = np.empty((2, len(blocks.first)), np.bool_)
    is_small = _page_kernel.settle_blocks(
        _rule_tables(),
        *_arrays(dom, blocks),
        scores,
        chrome,
        keep,
    )
    return chrome, keep, is_small


def cover_tags(dom: "Dom", blocks: "Blocks", chosen: Flags) -> tuple[Flags, Flags]:
    """What `main_content.cover_tags` gives."""
    lies_in, starts = np.empty((2, len(dom)), np.bool_)
    _page_kernel.cover_tags(blocks.first, blocks.last, chosen, lies_in, starts)
    return lies_in, starts


@cache
def _class_words(word: bytes) -> bytes:
    return _rule_words([word, b' class="'], 2)


def classes_with(dom: "Dom", word: bytes) -> list[tuple[int, bytes]]:
    """The elements whose start tags hold a word, and their classes, which are not empty."""
    return _page_kernel.classes_with(
        _class_words(word), dom.source, dom.starts, dom.stops, dom.closes
    )


@cache
def _picture_tables() -> bytes:
    from transforms import content_images as images
    from transforms import content_rules as rules
    from transforms import image_cards as cards
    from transforms import image_marks as marks
    from transforms import name_groups as groups
    from transforms.content_features import BITS, LINKED_SHARE, tag_bit
    from transforms.dom import code_table

    numbers = [
        images.SOME_TEXT, images.GAP, images.MAX_CAPTION, images.REACH, images.LEAD,
        images.NAMED_BOXES, marks.LONGEST_TAG, cards.MAX_STEPS, rules.ASIDE_REACH,
        cards.HEADLINE, cards.LARGEST_CARD, cards.PROSE, cards.ARTICLE, cards.AMONG_PROSE,
        cards.LINK_STEPS, cards.PROSE_STEPS, cards.MAX_CARDS, cards.MAX_LINKS, cards.WIDEST_CARD,
        cards.LONGEST_LINK, LINKED_SHARE,
        BITS - tag_bit("figcaption caption"), BITS - list(groups.GROUPS).index("figure"),
        2 * BITS - tag_bit("figure picture"), *(BITS - images._UNWANTED),
    ]  # fmt: skip
    hints = [groups.BESIDE_PARTS, groups.BESIDE_STARTS, marks.NETWORKS, marks.BEHIND]
    # In the order of the kernel's bits.
    traits = np.zeros(256, np.uint16)
    for bit, names in enumerate(
        ("img amp-img", "article main", "h1", "a", "noscript", "aside", "header",
         "article main section", "picture", "figure")
    ):  # fmt: skip
        table = code_table(names)
        traits[: len(table)] |= table.astype(np.uint16) << bit
    return b"".join(
        (
            np.array([images.SURE, images.VERY_SURE, cards.SURE_CARD, 0], np.float32).tobytes(),
            np.array(numbers, np.int64).tobytes(),
            _rule_words([cards._HREF, b"class", b"id", b"width", b"height", b"src", b"alt"], 7),
            _rule_words(cards._ENDINGS, 12),
            *(_rule_words(words, 16) for words in hints),
            traits.tobytes(),
        )
    )


def weigh_pictures(
    dom: "Dom",
    blocks: "Blocks",
    keep: Flags,
    chrome: Flags,
    scores: npt.NDArray[np.float32],
    named: list[int],
) -> "tuple[list[Candidate], list[int], bool]":
    """What `content_images.weigh_pictures` gives for a page of up to `LARGEST` bytes."""
    return _page_kernel.weigh_pictures(
        _picture_tables(),
        *_arrays(dom, blocks),
        scores,
        chrome,
        keep,
        np.array(named, np.int64),
    )
