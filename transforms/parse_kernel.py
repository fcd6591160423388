"""What the page kernel does with a source: limits it, empties it, and has lexbor parse it.

It writes a page as UTF-8 and empties scripts, styles and drawings (`slim`), which nobody reads from
the tree and which are more than half of what a page weighs, and counts and limits what would cost
the square of a page's length (`slim`, `limit_depth`), as `source_limits.py` describes it.

`stream_markup` needs none of this: it writes a page's markup without making a tree. The elements
that it has rules for are named in `_page_stream.h`, beside what they are.

`lexbor_markup` calls the lexbor inside selectolax directly. What that relies on, strictly:

- Functions are found by name in the library that Python has already loaded; without one of them
  nothing is called.
- They are called as lexbor declares them in the major version `LEXBOR_MAJOR`; where selectolax was
  built with another, or does not say, nothing is called.
- What they answer is passed on to other functions, and never looked into. The layout of lexbor's
  structures is not known here.
- A document belongs to one call: no two threads share one, and nothing outlives it.
- lexbor takes its memory by functions that it is given (`lexbor_memory_setup`), so that a call can
  be left in the middle and its memory given back where it takes too much. They are Python's own,
  which selectolax gives it, for everybody else.

Nothing here is called where the kernel was not built (`page_kernel.AVAILABLE`).
"""

import ctypes
from functools import cache

import numpy as np

from transforms import page_kernel

if page_kernel.AVAILABLE:
    from transforms import _page_kernel

LEXBOR_MAJOR = 3
"""The major version of lexbor whose functions are as _page_lexbor.c declares them."""

_NAME_BYTES = 16


# The names are asked for at first use, because the module that they come from imports this one.


@cache
def _names(names: frozenset[str]) -> bytes:
    return b"".join(name.encode().ljust(_NAME_BYTES, b"\0") for name in sorted(names))


def slim(html: str) -> tuple[bytes, tuple[int, int, int]]:
    """A page's source without what stands in its scripts, styles and drawings, UTF-8.

    A `?` stands for each surrogate. The attributes of these, of `link` and of `iframe` go too. The
    tree that a parser makes of it is the same but for those. What a parser may read in another way
    is left alone: a script that holds `<!--`, an `svg` that holds more than shapes, whatever else
    stands in `svg`, `math`, `select` or `template`, and all that follows a `plaintext` or
    `frameset`.

    Returns:
        The source; and what `source_limits._count_tags` counts, of all of it.
    """
    from transforms import source_limits as limits

    source, *counts = _page_kernel.slim(_names(limits.FORMATTING), limits.LONG_TAG, html)
    tags, left_open, crowd = counts
    return source, (tags, left_open, crowd)


def limit_depth(source: bytes) -> bytes | None:
    """What `source_limits._limit_depth` gives; None where the page has hundreds of tag names."""
    from transforms import source_limits as limits

    return _page_kernel.limit_depth(
        _names(limits.NOT_NESTING),
        _names(limits.FORMATTING),
        _names(limits.RAW_TEXT),
        limits.MAX_DEPTH,
        limits.MAX_FORMATTING,
        source,
    )


@cache
def _stream_tables() -> object:
    from html.entities import html5

    from transforms import html_parsers as parsers
    from transforms import source_limits as limits

    references = bytearray()
    for name, characters in sorted(html5.items()):
        for each in (name.encode(), characters.encode()):
            references += bytes([len(each)]) + each
    return _page_kernel.stream_tables(
        _names(frozenset(parsers.NEVER_READ)),
        _names(parsers.VOID),
        _names(limits.FORMATTING),
        parsers.NOT_IN_NAMES.encode(),
        bytes(references),
        limits.LONG_TAG,
        limits.MAX_ATTRIBUTES,
        limits.FORMATTING_CHECK_FROM,
        limits.DEPTH_CHECK_FROM,
        limits.MAX_FORMATTING,
    )


def stream_markup(html: str, largest: int) -> bytes | None:
    """What `stream_parser.stream_markup` gives.

    Raises `OverflowError` where there are more than `largest` bytes of markup.
    """
    return _page_kernel.stream_markup(_stream_tables(), html, largest)


# In the order of `Functions` in _page_lexbor.c.
_LEXBOR = (
    "lxb_html_document_create",
    "lxb_html_document_dom_opt_set_noi",
    "lxb_html_document_parse_chunk_begin",
    "lxb_html_document_parse_chunk",
    "lxb_html_document_parse_chunk_end",
    "lxb_html_document_destroy",
    "lxb_dom_document_root",
    "lxb_dom_node_type_noi",
    "lxb_dom_node_first_child_noi",
    "lxb_dom_node_last_child_noi",
    "lxb_dom_node_next_noi",
    "lxb_dom_node_prev_noi",
    "lxb_dom_node_parent_noi",
    "lxb_dom_node_text_content",
    "lxb_dom_element_qualified_name",
    "lxb_dom_element_first_attribute_noi",
    "lxb_dom_element_next_attribute_noi",
    "lxb_dom_attr_qualified_name",
    "lxb_dom_attr_value_noi",
    "lexbor_memory_setup",
)


@cache
def _lexbor() -> object | None:
    """What `lexbor_markup` needs; None where it cannot be."""
    from selectolax import lexbor

    from transforms import html_parsers, source_limits

    if not page_kernel.AVAILABLE or getattr(lexbor, "LEXBOR_VERSION_MAJOR", None) != LEXBOR_MAJOR:
        return None
    try:
        library = ctypes.CDLL(lexbor.__file__)
        functions = [ctypes.cast(library[name], ctypes.c_void_p).value or 0 for name in _LEXBOR]
    except (OSError, AttributeError):  # built without these names for others to see
        return None
    return _page_kernel.lexbor(
        np.array(functions, np.uintp).tobytes(),
        html_parsers.LEXBOR_OPTIONS,
        _names(frozenset(html_parsers.NEVER_READ)),
        _names(html_parsers.VOID),
        html_parsers.NOT_IN_NAMES.encode(),
        html_parsers.MAX_LEVELS,
        source_limits.MAX_ATTRIBUTES,
    )


def has_lexbor() -> bool:
    """Whether `lexbor_markup` can be called."""
    return _lexbor() is not None


def lexbor_markup(source: bytes, largest: int, most_memory: int, seconds: float) -> bytes:
    """Canonical markup of a page by lexbor.

    Args:
        source: The page, UTF-8.
        largest: Bytes of markup that it may have.
        most_memory: Bytes that lexbor may take at a time.
        seconds: How long parsing may take.

    Raises `RuntimeError` where lexbor refuses the page, `ValueError` where it is not UTF-8,
    `OverflowError` where it is too large or nests deeper than `html_parsers.MAX_LEVELS`,
    `TimeoutError`, and `MemoryError` where the machine has no more.
    """
    return _page_kernel.lexbor_markup(_lexbor(), source, largest, most_memory, seconds)
