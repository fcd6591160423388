"""Which pictures of a page belong to its content, given which of its texts do.

A picture in a line of kept text stays. Any other is judged by its surroundings: from the picture
outward, the first element that holds text other than captions decides, and the picture stays where
most of that text does. So a figure between paragraphs stays, the thumbnail of a teaser goes with
the teaser, and an advertisement goes by its name. A picture before the first kept text stays if it
follows the page's main heading, or shares an article with what is kept.

Captions go with their pictures: their text is kept where a kept picture stands in the same figure,
or right before or behind them.
"""

import re

import numpy as np
import numpy.typing as npt

from transforms.content_features import LINKED_SHARE, Blocks, tag_bit
from transforms.content_rules import is_around, is_near
from transforms.dom import Dom, code_table
from transforms.name_groups import GROUPS

Flags = npt.NDArray[np.bool_]

MAX_STEPS = 12
"""Elements around a picture that are looked at."""
SOME_TEXT = 40
"""Visible bytes of text that can decide on a picture."""

MAX_CAPTION = 600
"""Visible bytes up to which a text in a figure is its caption."""

SURE = 1.0
"""Log-odds from which the model may keep a picture whose surroundings go."""
VERY_SURE = 3.0
"""Log-odds from which the model outweighs the name of a box around a picture."""
TEASER = 500
"""Visible bytes below which a text beside a picture may be that of a teaser."""
ISLAND = 200
"""Visible bytes of text beside a picture that may be its caption, where kept text is around."""
WIDEST_TEASER = 20_000
"""Bytes of markup of a teaser, at most."""
PROSE = 80
"""Visible bytes of a paragraph."""

_PICTURE_FILE = re.compile(rb"\.(?:jpe?g|png|gif|webp|avif|bmp|tiff?)(?:\"|[?#])", re.I)
_IMAGES = code_table("img amp-img")
_HOUSES = code_table("article main")
_UNWANTED = ("share", "related", "profile", "subscribe", "comment", "navigation", "notice")
"""Groups of names that no picture of the content is near."""


def caption_blocks(blocks: Blocks) -> Flags:
    """Whether each block is the caption of a picture, by its elements or by its class."""
    names = list(GROUPS).index("figure")
    found = is_near(blocks, tag_bit("figcaption caption")) | is_near(blocks, names)
    found |= is_around(blocks, tag_bit("figure picture"))
    return found & (blocks.size > 0) & (blocks.size < MAX_CAPTION)


def _links_twice(dom: Dom, picture: int, around: int) -> bool:
    """Whether a picture and a text beside it link to the same page: a teaser of that page."""
    link = picture
    for _ in range(4):
        link = int(dom.parents[link])
        if link <= around:
            return False
        if dom.name(link) == "a":
            break
    else:
        return False
    tag = dom.source[dom.starts[link] : dom.stops[link]]
    place = tag.find(b' href="')
    if place < 0:
        return False
    reference = tag[place : tag.index(b'"', place + 7) + 1]
    if reference.startswith(b' href="#') or _PICTURE_FILE.search(reference):
        return False
    begin, end = dom.starts[around], dom.stops[dom.closes[around]]
    return end - begin < WIDEST_TEASER and dom.source.count(reference, begin, end) > 1


def _nearest_kept(blocks: Blocks, keep: Flags, caption: Flags) -> npt.NDArray[np.bool_]:
    """Whether the last text up to each block is kept, and the first text from it on."""
    count = len(keep)
    counted = (blocks.size > 0) & ~caption
    numbers = np.arange(count)
    last = np.maximum.accumulate(np.where(counted, numbers, -1))
    following = np.minimum.accumulate(np.where(counted, numbers, count)[::-1])[::-1]
    padded = np.append(keep, False)
    return np.stack([padded[last] & (last >= 0), padded[following]])


def select_pictures(
    dom: Dom, blocks: Blocks, keep: Flags, chrome: Flags, scores: npt.NDArray[np.float32]
) -> tuple[Flags, Flags]:
    """The pictures that are content, one entry a tag, and the blocks with their captions.

    Args:
        dom: The page.
        blocks: Its blocks.
        keep: Which blocks are kept.
        chrome: Which blocks are sure chrome.
        scores: The log-odds of each block.
    """
    tags = np.flatnonzero(_IMAGES[np.maximum(dom.tags, 0)])
    chosen = np.zeros(len(dom), np.bool_)
    captions = np.zeros(len(keep), np.bool_)
    if not len(tags) or not len(keep):
        return chosen, captions
    places = np.searchsorted(blocks.first, tags, side="right") - 1
    # Also tags at which a block starts belong to the block.
    inside = (places >= 0) & (tags <= blocks.last[np.maximum(places, 0)])
    tags, places = tags[inside], places[inside]
    in_text = keep[places] & (blocks.size[places] > 0)
    chosen[tags[in_text]] = True
    if not keep.any():
        return chosen, captions
    caption = caption_blocks(blocks)
    text = np.where(caption, 0, blocks.size)
    sums = np.zeros((2, len(keep) + 1), np.int64)
    np.cumsum([text, text * keep], axis=1, out=sums[:, 1:])
    named = np.zeros(len(keep), np.bool_)
    for name in _UNWANTED:
        named |= is_near(blocks, list(GROUPS).index(name))
    # A figure may be shared, or open a dialog; only an advertisement is none for all that.
    named &= ~is_around(blocks, tag_bit("figure picture"))
    named &= scores < VERY_SURE
    bad = chrome | named | is_near(blocks, list(GROUPS).index("ad"))
    kept = np.flatnonzero(keep)
    first_kept, last_kept = int(kept[0]), int(kept[-1])
    start = _lead_start(dom, blocks, first_kept)
    # Pictures and captions beside the first and the last kept text go with it.
    goes_on = ((blocks.size == 0) | caption) & ~bad
    while last_kept + 1 < len(keep) and goes_on[last_kept + 1]:
        last_kept += 1
    while start > 0 and goes_on[start - 1]:
        start -= 1
    reach = np.where(scores[places] > SURE, 4, 1)
    candidates = ~in_text & ~bad[places]
    candidates &= (places >= np.minimum(start, first_kept - reach)) & (
        places <= last_kept + 2 + reach
    )
    parents, closes, firsts = dom.parents, dom.closes, blocks.first
    beside = _nearest_kept(blocks, keep, caption)
    liked = scores[places] > SURE
    prose = keep & (blocks.size >= PROSE) & (2 * blocks.measures[:, LINKED_SHARE] < 64)
    is_article = 2 * int(blocks.size[prose].sum()) > int(blocks.size[keep].sum())
    for tag, like in zip(tags[candidates].tolist(), liked[candidates].tolist(), strict=True):
        element = int(parents[tag])
        for _ in range(MAX_STEPS):
            begin, end = np.searchsorted(firsts, (element, int(closes[element]))).tolist()
            size, good = (sums[:, end] - sums[:, begin]).tolist()
            if is_article and 0 < size < TEASER and _links_twice(dom, tag, element):
                break
            if size >= SOME_TEXT or element == 0:
                island = size < ISLAND and begin > 0 and end < len(keep)
                island = island and bool(beside[0, begin - 1] and beside[1, end])
                chosen[tag] = like or island or 2 * good >= size
                break
            element = int(parents[element])
    # Captions go with their pictures.
    with_picture = np.zeros(len(keep) + 2, np.bool_)
    with_picture[1 + places[chosen[tags]]] = True
    beside = with_picture[:-2] | with_picture[1:-1] | with_picture[2:]
    captions = caption & beside & ~chrome
    return chosen, captions


def _lead_start(dom: Dom, blocks: Blocks, first_kept: int) -> int:
    """The first block that may hold a picture that leads in the content."""
    first = int(blocks.first[first_kept])
    titles = [tag for tag in dom.positions("h1") if tag < first]
    start = first_kept
    if titles:
        start = int(np.searchsorted(blocks.first, titles[-1]))
    houses = np.flatnonzero(_HOUSES[np.maximum(dom.tags[:first], 0)])
    houses = houses[dom.closes[houses] > first]
    if len(houses):
        start = min(start, int(np.searchsorted(blocks.first, houses[-1])))
    return max(start, first_kept - 12)
