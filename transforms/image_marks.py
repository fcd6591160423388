"""Pictures that are no content by what they, and the small boxes around them, are called."""

import re
from itertools import islice

from transforms.dom import CODES, Dom
from transforms.image_cards import link_around, reference_of
from transforms.image_sources import SIDES, declared_length
from transforms.name_groups import ARTBOARD, BESIDE_CONTENT, DECORATION, LOGO, SMALL_MARK

ICON = 48
"""Pixels up to which a picture beside the text is an icon."""
LARGEST_LOGO = 400
"""Pixels up to which a picture in a box that is named so is a logo, where it declares a size."""
STRIP = 5
"""How many times its height a picture before the text is wide, at least, to be a strip."""
LONGEST_TAG = 2000
"""Bytes of a start tag that are looked at."""
LARGEST_FIGURE = 200
"""Tags of a figure in which its caption is looked for."""
MOST_ARTBOARDS = 16
"""Drawings of a chart that are looked at."""

NETWORKS = (
    b"facebook twitter linkedin pinterest instagram whatsapp youtube tiktok telegram reddit rss"
).split()
_NETWORK_FILE = re.compile(
    # Named after the network alone: a picture of its growth is not.
    rb' src="[^"]*/(?:(?:icons?|ico|logos?|social|share|follow|btn|button)[-_])*(?:%b)'
    rb"(?:[-_](?:icons?|logo|share|btn|button|white|black|\d+(?:x\d+)?))*"
    rb'\.(?:png|gif|svg|webp)[?"]' % b"|".join(NETWORKS),
    re.I,
)
TWO_SIDES, NETWORK_FILE, DECORATIVE = 1, 2, 4
"""Signs of an icon, a bit each: it declares two sides; its file may be that of a network. And one
that a picture lies behind a text."""
BEHIND = [b"background", b"bg"]
"""In lower case, what all names hold that `DECORATION` finds."""
_PIXELS = (re.compile(rb' width="(\d{1,6})(?:px)?"'), re.compile(rb' height="(\d{1,6})(?:px)?"'))
_NO_ALT = re.compile(rb' alt=""', re.I)
_MAY_BE_BEHIND = re.compile(rb' class="[^"]*?(?:%b)' % b"|".join(BEHIND), re.I)
_TO_FRONT_PAGE = re.compile(rb' href="(?:/|(?:https?:)?//[^/"?#]+/?)"', re.I)
_PICTURE = CODES["picture"]
_FIGURE, _FIGCAPTION = CODES["figure"], CODES["figcaption"]
_CELLS = (CODES["td"], CODES["th"])


def tag_span(dom: Dom, element: int) -> tuple[int, int]:
    """The range of a start tag in the markup, as far as it is looked at."""
    start = int(dom.starts[element])
    return start, min(int(dom.stops[element]), start + LONGEST_TAG)


def _sides(dom: Dom, picture: int) -> list[int | None]:
    """The sides that a picture declares, in pixels where they are."""
    found = SIDES.findall(dom.source, int(dom.starts[picture]), int(dom.stops[picture]))
    return [declared_length(value.decode("utf-8", "replace")) for value in found]


def _is_longer(lengths: list[int | None], pixels: int) -> bool:
    """Whether one of the sides of a picture is longer than some pixels."""
    return any(length is not None and length > pixels for length in lengths)


def is_icon(dom: Dom, picture: int, signs: int) -> bool:
    """Whether a picture declares two short sides, or its file is the sign of a social network.

    Args:
        dom: The page.
        picture: Its tag.
        signs: Of `TWO_SIDES` and `NETWORK_FILE` those that may hold.
    """
    if not signs & (TWO_SIDES | NETWORK_FILE):
        return False
    start, stop = int(dom.starts[picture]), int(dom.stops[picture])
    lengths = _sides(dom, picture)
    if _is_longer(lengths, ICON):
        return False
    if len(lengths) == 2 and None not in lengths:
        return True
    return bool(signs & NETWORK_FILE and _NETWORK_FILE.search(dom.source, start, stop))


def _has_caption(dom: Dom, element: int) -> bool:
    """Whether an element is a figure with a caption."""
    if dom.tags[element] != _FIGURE:
        return False
    end = min(int(dom.closes[element]), element + LARGEST_FIGURE)
    return bool((dom.tags[element:end] == _FIGCAPTION).any())


def is_beside_content(dom: Dom, picture: int, boxes: int) -> bool:
    """Whether one of some elements, from a picture outward, has the name of what is no content.

    A figure with a caption is shown for its own sake.
    """
    element = picture
    for _ in range(boxes):
        if _has_caption(dom, element):
            return False
        if BESIDE_CONTENT.search(dom.source, *tag_span(dom, element)):
            return True
        element = int(dom.parents[element])
    return False


def is_small_mark(dom: Dom, picture: int) -> bool:
    """Whether a picture in a line of text is the avatar of who is quoted, or a site's icon."""
    return SMALL_MARK.search(dom.source, *tag_span(dom, picture)) is not None


def is_logo(dom: Dom, picture: int, boxes: int) -> bool:
    """Whether one of some elements, from a picture outward, is named as a logo.

    What declares more than `LARGEST_LOGO` pixels is none. In a figure with a caption, and in a cell
    of a table whose box is not named so, it is what the page is about.

    Args:
        dom: The page.
        picture: Its tag.
        boxes: How many elements are asked.
    """
    if _is_longer(_sides(dom, picture), LARGEST_LOGO):
        return False
    is_named, element = False, picture
    for _ in range(boxes):
        if _has_caption(dom, element):
            return False
        is_named |= LOGO.search(dom.source, *tag_span(dom, element)) is not None
        is_named &= dom.tags[element] not in _CELLS
        element = int(dom.parents[element])
    return is_named


def _boxes_behind(dom: Dom, picture: int) -> list[int]:
    """A picture and the box right around it, whose names tell that it lies behind a text."""
    box = int(dom.parents[picture])
    boxes = [picture, box, int(dom.parents[box])] if dom.tags[box] == _PICTURE else [picture, box]
    return [each for each in boxes if each > 0]


def may_be_decoration(dom: Dom, picture: int) -> bool:
    """Whether a picture has an empty `alt`, and names that may be those of a decoration."""
    if not _NO_ALT.search(dom.source, *tag_span(dom, picture)):
        return False
    boxes = _boxes_behind(dom, picture)
    return any(_MAY_BE_BEHIND.search(dom.source, *tag_span(dom, box)) for box in boxes)


def is_decoration(dom: Dom, picture: int) -> bool:
    """Whether a picture lies behind a text, by its name or that of the box right around it.

    One of which `may_be_decoration` holds: it says nothing to those who do not see it. A figure
    with a caption is none.
    """
    boxes = _boxes_behind(dom, picture)
    if any(_has_caption(dom, box) for box in (*boxes, int(dom.parents[boxes[-1]])) if box > 0):
        return False
    return any(DECORATION.search(dom.source, *tag_span(dom, box)) for box in boxes)


def is_masthead(dom: Dom, picture: int) -> bool:
    """Whether a picture before the text is the mark of the site or of a partner, or a banner.

    It leads to the front page of a site, and declares no side beyond `LARGEST_LOGO`; or it leads to
    another page, and is a strip by its declared sides. A figure with a caption is neither.
    """
    link = link_around(dom, picture)
    if link < 0 or any(_has_caption(dom, box) for box in (link, int(dom.parents[link]))):
        return False
    sides = [side.search(dom.source, *tag_span(dom, picture)) for side in _PIXELS]
    width, height = (int(side[1]) if side else 0 for side in sides)
    if width >= STRIP * height > 0:
        return reference_of(dom, link) != b""
    to_front_page = _TO_FRONT_PAGE.search(dom.source, *tag_span(dom, link))
    return to_front_page is not None and max(width, height) <= LARGEST_LOGO


def _artboard_width(dom: Dom, element: int) -> str | None:
    """Up to which width ai2html shows a chart; empty for the widest, None for another element."""
    attributes = dom.attributes(element)
    is_artboard = ARTBOARD.decode() in attributes.get("class", "").split()
    return attributes.get("data-max-width", "") if is_artboard else None


def is_narrow_drawing(dom: Dom, picture: int) -> bool:
    """Whether a picture is a chart that ai2html has drawn for wider screens right beside it."""
    board = int(dom.parents[picture])
    if board <= 0 or not _artboard_width(dom, board):
        return False
    beside = islice(dom.children(int(dom.parents[board])), MOST_ARTBOARDS)
    return any(_artboard_width(dom, child) == "" for child in beside)
