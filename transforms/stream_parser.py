"""Canonical markup of pages that need no parser's tree, and how large any page may become.

`html_parsers.py` says what canonical markup is, `_page_stream.h` which pages the kernel reads.
"""

from transforms import page_kernel, parse_kernel

MAX_GROWTH = 64
"""Bytes of markup for a character of a page, beyond `LEAST_MARKUP`. Entities alone are six; the
formatting elements of a page that closes none of its own are forty."""

LEAST_MARKUP = 1 << 20
"""Bytes of markup that every page may have."""

MOST_MARKUP = 1 << 28
"""Bytes of markup that no page may have."""


def largest_markup(html: str) -> int:
    """Bytes of canonical markup that a page without tricks has at most.

    Formatting elements that are left open are opened again in each paragraph behind them, with all
    their attributes: some kilobytes can become gigabytes.
    """
    return min(MAX_GROWTH * len(html) + LEAST_MARKUP, MOST_MARKUP)


def stream_markup(html: str) -> bytes | None:
    """Canonical markup of a page, UTF-8, where it can be written while the page is read.

    It is `canonical_lexbor(prepare_source(html))` then.

    Returns:
        None of a page that is for lexbor: one whose tree is not what its tags say in turn (a block
        in a link that is closed before it, text between the cells of a table), or that has
        something without a rule here; and of every page where the kernel was not built.

    Raises:
        OverflowError: More than `largest_markup`.
    """
    if not page_kernel.AVAILABLE:
        return None
    return parse_kernel.stream_markup(html, largest_markup(html))
