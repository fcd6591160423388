"""Paragraphs of a page: where a text is cut, when two are the same, which of them go.

A paragraph of a text is what stands between blank lines; one of a document is a text node, which
is the same, since the text of a page is its text nodes joined by blank lines. What a paragraph is
can be seen in its text alone, so that one text is judged alike in every stream. But the caption of
a picture is none: it belongs to the picture, wherever that is shown.

What real sites repeat is told apart by three rules (docs/dedup.md says what was looked at):

- Code between fences stays: a command on three pages is a step of each of them.
- A heading stays as long as something under it does, on however many pages it stands ("Bug fixes",
  "Conclusion"). It goes with all that stood under it, and where it is repeated and stood over
  nothing. So no heading is left over that names what is gone.
- A paragraph that ends in a colon stays as long as the next one does, unless that is a heading.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from schemas.ids import digest

_FENCE = re.compile("`{3,}")
_HEADING = re.compile(r"(#{1,6}) [^\n]*\Z")
_COLONS = (":", "\uff1a")
_LEVELS = 6


class Piece(NamedTuple):
    """A paragraph or an image of a page."""

    position: int
    text: str | None
    """None for an image."""
    is_caption: bool = False


def split_paragraphs(text: str) -> list[str]:
    """The paragraphs of a text, in order; code between fences is one, blank lines and all.

    A fence that is never closed runs to the end, as in Markdown.
    """
    found: list[str] = []
    lines: list[str] = []
    fence = ""
    for line in text.split("\n"):
        if fence:
            lines.append(line)
            fence = "" if line == fence else fence
        elif not line or line.isspace():
            if lines:
                found.append("\n".join(lines))
                lines = []
        else:
            opening = None if lines else _FENCE.match(line)
            fence = opening.group() if opening else ""
            lines.append(line)
    if lines:
        found.append("\n".join(lines))
    return found


def is_code(paragraph: str) -> bool:
    """Whether a paragraph is code between fences."""
    return paragraph.startswith("```")


def heading_level(paragraph: str) -> int:
    """1 to 6 of a heading, 0 of anything else."""
    found = _HEADING.match(paragraph)
    return len(found.group(1)) if found else 0


def paragraph_key(site: str, paragraph: str) -> str:
    """One key for one paragraph of one site; case and white space do not count."""
    return digest("paragraph", site, " ".join(paragraph.split()).casefold())


def piece_keys(site: str, piece: Piece) -> list[str | None]:
    """Keys of the paragraphs of a piece: several only in a corpus that joins them; none of code."""
    if piece.text is None or piece.is_caption:
        return []
    parts = split_paragraphs(piece.text)
    return [None if is_code(part) else paragraph_key(site, part) for part in parts]


class Repeated(NamedTuple):
    """A paragraph that stands on too many pages of a site."""

    pages: int
    first: int
    """The smallest number of a page that it stands on."""


def repeats(
    site: str, pieces: Sequence[Piece], counts: Mapping[str, Repeated], page: int
) -> dict[int, int]:
    """The pieces of a page that its site repeats, by position: on how many pages they stand.

    A page of which most is repeated is one of several versions, and what they share is no notice
    of the site: of such pages the first keeps it.

    Args:
        site: The site.
        pieces: The page.
        counts: By key. A node of several paragraphs, as corpora have, is repeated when all of them
            are.
        page: The number by which the page is counted.
    """
    keys = {piece.position: piece_keys(site, piece) for piece in pieces}
    found = {
        position: min(counts[key].pages for key in own if key is not None)
        for position, own in keys.items()
        if own and all(key in counts for key in own)
    }
    sizes = {piece.position: len(piece.text) for piece in pieces if piece.text is not None}
    if 2 * sum(sizes[position] for position in found) <= sum(sizes.values()):
        return found
    return {
        position: pages
        for position, pages in found.items()
        if all(counts[key].first != page for key in keys[position] if key is not None)
    }


def removals(pieces: Sequence[Piece], repeated: Mapping[int, int]) -> dict[int, int]:
    """What goes of a page, by position: pages that it, or what stood under it, stands on.

    Args:
        pieces: The page, in reading order.
        repeated: `repeats` of it.
    """
    gone: dict[int, int] = {}
    # For headings of each level: does something stay under it, and on how many pages does the
    # least common of what goes from under it stand (0: nothing goes).
    stays = [False] * (_LEVELS + 1)
    least = [0] * (_LEVELS + 1)
    next_stays = False
    for position, text, is_caption in reversed(pieces):
        level = 0 if text is None or is_caption else heading_level(text)
        pages = repeated.get(position, 0)
        if level:
            pages = 0 if stays[level] else pages or least[level]
        elif text is not None and next_stays and text.endswith(_COLONS):
            pages = 0
        if pages:
            gone[position] = pages
        for at in range(1, level or _LEVELS + 1):
            stays[at] |= not pages
            if pages:
                least[at] = min(pages, least[at] or pages)
        if level:
            # It begins a section of its own: what is under it is under no heading before it.
            stays[level:] = [False] * (_LEVELS + 1 - level)
            least[level:] = [0] * (_LEVELS + 1 - level)
        next_stays = not pages and not level
    return gone


def shorten(pieces: Sequence[Piece], is_gone: Callable[[int], bool]) -> str:
    """The text of a page without what goes: empty where nothing is left."""
    left = (piece for piece in pieces if not is_gone(piece.position))
    return "\n\n".join(piece.text for piece in left if piece.text)
