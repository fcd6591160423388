"""Which pictures of a page belong to its content, given which of its texts do.

- A *card* is a picture and a short text that link to the same other page. On a page that lists, its
  picture goes with its text. Beside an article, cards are teasers of others: the picture stays
  only where the model is sure of the text, or the card stands among the article's paragraphs.
- Any other picture in a line of kept text stays.
- An advertisement and the portrait of an author go by their names, an icon by its size, a
  background by its name and an empty `alt`.
- In an `aside`, or in the header of the page, pictures go with its text.
- What stands before the first kept text goes where it leads to the front page of a site, or is a
  strip.
- Of two pictures that are shown one at a time, one stays.
- A picture stays where little text is left out between the kept texts around it: between two
  paragraphs, or below the headline. Else, from the picture outward, the first element that holds
  text other than captions decides: the picture stays where most of that text does.

A picture before the first kept text may stay if it follows the page's main heading, or shares an
article with what is kept; one behind the last, if nothing but captions stands between, or it is a
figure.

Captions go with their pictures: their text is kept where a kept picture stands in the same figure,
or right before or behind them.
"""

import re
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from transforms import page_kernel
from transforms.content_boxes import classes_with
from transforms.content_features import BITS, Blocks, tag_bit
from transforms.content_rules import ASIDE_REACH, is_around, is_near
from transforms.display_twins import drop_display_twins
from transforms.dom import CODES, Dom, code_table, unescape
from transforms.image_cards import GOES, MAX_STEPS, NO_CARD, OPEN, STAYS, judge_cards
from transforms.image_marks import (
    DECORATIVE,
    NETWORK_FILE,
    NETWORKS,
    TWO_SIDES,
    is_beside_content,
    is_decoration,
    is_icon,
    is_logo,
    is_masthead,
    is_narrow_drawing,
    is_small_mark,
    may_be_decoration,
    tag_span,
)
from transforms.image_previews import drop_previews
from transforms.image_sources import SIDES
from transforms.name_groups import BESIDE_PARTS, BESIDE_STARTS, GROUPS, says_caption

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Candidate = tuple[int, int, bool, int, int]
"""A picture: its tag; its block; whether it stays, unless names say otherwise; how many elements,
from it outward, are asked for the names of what is no content; and signs that it is an icon or a
decoration."""

SOME_TEXT = 40
"""Visible bytes of text that can decide on a picture."""
GAP = 300
"""Visible bytes of text left out between two kept texts where a picture is still between them."""
MAX_CAPTION = 600
"""Visible bytes up to which a text in a figure is its caption."""

SURE = 1.0
"""Log-odds from which the model may keep a picture whose surroundings go."""
VERY_SURE = 3.0
"""Log-odds from which the model outweighs the name of a box around a picture."""
NAMED_BOXES = 4
"""Elements whose names tell what a picture is: it, and those right around it."""
REACH = 4
"""Blocks beyond the kept ones at which a picture may stay."""
LEAD = 12
"""Blocks before the first kept one at which a picture may lead in the content."""

_SAYS_CAPTION = b"aption"
# What is found holds these.
_MAY_BE_BESIDE = re.compile(
    rb' (?i:class|id)="[^"]*?(?:(?i:%b)|(?:(?<![a-z])|(?=[A-Z]))(?i:%b))'
    % (b"|".join(BESIDE_PARTS), b"|".join(BESIDE_STARTS))
)
_MAY_BE_SIDES = re.compile(SIDES.pattern, re.I)
_MAY_BE_NETWORK = re.compile(rb' src="[^"]*?(?:%b)' % b"|".join(NETWORKS), re.I)
_IMAGES = code_table("img amp-img")
_HOUSES = code_table("article main")
_FIGURE = CODES["figure"]
_ASIDE, _HEADER = CODES["aside"], CODES["header"]
_PARTS = code_table("article main section")
_UNWANTED = np.array(
    [
        *map(tag_bit, ("footer",)),
        *map(
            list(GROUPS).index,
            ("share", "related", "profile", "subscribe", "comment", "navigation", "notice"),
        ),
    ]
)
"""Groups of names and tags that no picture of the content is near."""


def _running(values: npt.NDArray[Any]) -> Ints:
    sums = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=sums[1:])
    return sums


def _caption_tags(dom: Dom) -> list[int]:
    found = classes_with(dom, _SAYS_CAPTION)
    named = {value for value in {value for _, value in found} if says_caption(unescape(value))}
    return [tag for tag, value in found if value in named]


def _sure_captions(dom: Dom, blocks: Blocks, named: list[int]) -> Flags:
    """Whether each block is a caption by its element, or by a class alone."""
    found = is_near(blocks, tag_bit("figcaption caption"))
    for tag in named:
        begin, end = np.searchsorted(blocks.first, (tag, int(dom.closes[tag]))).tolist()
        found[begin:end] = True
    return found & (blocks.size > 0) & (blocks.size < MAX_CAPTION)


def _captions(blocks: Blocks, sure: Flags) -> Flags:
    """Whether each block may be a caption: it stands in a figure, or is called so."""
    found = is_near(blocks, list(GROUPS).index("figure"))
    found |= is_around(blocks, tag_bit("figure picture"))
    return sure | (found & (blocks.size > 0) & (blocks.size < MAX_CAPTION))


def _may_be_beside(dom: Dom, element: int) -> bool:
    """Whether an element may have the name of what is no content."""
    return _MAY_BE_BESIDE.search(dom.source, *tag_span(dom, element)) is not None


def _icon_signs(dom: Dom, picture: int) -> int:
    start, stop = int(dom.starts[picture]), int(dom.stops[picture])
    sides = len(_MAY_BE_SIDES.findall(dom.source, start, stop)) > 1
    return TWO_SIDES * sides | NETWORK_FILE * bool(_MAY_BE_NETWORK.search(dom.source, start, stop))


@dataclass(slots=True)
class _Surroundings:
    """What stands around the pictures of a page, by running sums over its blocks."""

    dom: Dom
    first: list[int]
    """The tag behind which each block starts."""
    all_text: Ints
    """Visible bytes."""
    text: Ints
    """Those outside captions."""
    kept_text: Ints
    """Those that are kept outside captions."""

    def _span(self, element: int) -> tuple[int, int]:
        """The first block in an element, and one past its last."""
        begin = bisect_left(self.first, element)
        return begin, bisect_left(self.first, int(self.dom.closes[element]), begin)

    def gaps(self, keep: Flags) -> Ints:
        """Of each block, the bytes left out between the kept texts around it.

        More than `GAP` where there is none on a side.
        """
        count = len(keep)
        numbers = np.arange(count)
        before = np.maximum.accumulate(np.where(keep, numbers, -1))
        behind = np.minimum.accumulate(np.where(keep, numbers, count)[::-1])[::-1]
        left_out = self.text - self.kept_text
        gaps: Ints = left_out[behind] - left_out[before + 1]
        gaps[(before < 0) | (behind == count)] = GAP + 1
        return gaps

    def is_among_kept(self, picture: int) -> bool:
        """Whether most of the text right around a picture is kept."""
        element = int(self.dom.parents[picture])
        for _ in range(MAX_STEPS):
            if element < 0:
                break
            begin, end = self._span(element)
            size = int(self.text[end] - self.text[begin])
            if size >= SOME_TEXT or element == 0:
                return 2 * int(self.kept_text[end] - self.kept_text[begin]) >= size
            element = int(self.dom.parents[element])
        return False

    def is_beside_text(self, picture: int) -> bool:
        """Whether a picture stands in an `aside`, or in the header of the page, that is left out.

        Without text outside captions neither can be, and a few words in an `aside` may be a label.
        A figure is shown for its own sake; a header that is in a part of the page is that part's.
        """
        dom, box = self.dom, 0
        element = int(dom.parents[picture])
        for _ in range(ASIDE_REACH):
            if element <= 0:
                break
            code = dom.tags[element]
            if code == _ASIDE:
                box = element
                break
            if code == _FIGURE:
                return False
            box = element if code == _HEADER else 0 if _PARTS[code] else box
            element = int(dom.parents[element])
        if not box:
            return False
        begin, end = self._span(box)
        least = SOME_TEXT if dom.tags[box] == _ASIDE else 1
        has_text = self.text[end] - self.text[begin] >= least
        return bool(has_text and self.kept_text[end] == self.kept_text[begin])

    def named_boxes(self, picture: int) -> int:
        """How many elements, from a picture outward, may have the name of what is no content.

        Only small boxes right around a picture count, up to the last one that may.
        """
        dom, element, named = self.dom, picture, 0
        for number in range(1, NAMED_BOXES + 1):
            if _may_be_beside(dom, element):
                named = number
            element = int(dom.parents[element])
            if element <= 0:
                break
            begin, end = self._span(element)
            if self.all_text[end] - self.all_text[begin] > GAP:
                break
        return named


def select_pictures(
    dom: Dom, blocks: Blocks, keep: Flags, chrome: Flags, scores: npt.NDArray[np.float32]
) -> tuple[Flags, Flags]:
    """The pictures that are content, one entry a tag, and the blocks with their captions.

    Args:
        dom: The page.
        blocks: Its blocks.
        keep: Which blocks are kept; all of them have text.
        chrome: Which blocks are sure chrome.
        scores: The log-odds of each block.
    """
    chosen = np.zeros(len(dom), np.bool_)
    captions = np.zeros(len(keep), np.bool_)
    if not blocks.images.any():
        return chosen, captions
    in_kernel = page_kernel.AVAILABLE and len(dom.source) <= page_kernel.LARGEST
    weigh = page_kernel.weigh_pictures if in_kernel else weigh_pictures
    pictures, near, in_noscript = weigh(dom, blocks, keep, chrome, scores, _caption_tags(dom))
    captioned = {place + step for place in near for step in (-1, 0, 1)}
    first_kept = int(keep.argmax())
    for tag, place, stays, boxes, signs in pictures:
        if not stays:
            continue
        leads = place < first_kept
        if keep[place]:
            goes = boxes and is_small_mark(dom, tag)
        else:
            goes = boxes and (
                is_beside_content(dom, tag, boxes)
                or ((leads or place not in captioned) and is_logo(dom, tag, boxes))
                or is_narrow_drawing(dom, tag)
            )
        goes = goes or (leads and is_masthead(dom, tag))
        goes = goes or (signs and is_icon(dom, tag, signs))
        chosen[tag] = not goes and not (signs & DECORATIVE and is_decoration(dom, tag))
    shown = [(tag, place) for tag, place, *_ in pictures if chosen[tag]]
    if len(shown) > 1:
        drop_display_twins(dom, chosen, keep, shown)
    if in_noscript:
        drop_previews(dom, chosen, [picture[0] for picture in pictures])
    # Captions go with their pictures.
    places = {place for tag, place, *_ in pictures if near and chosen[tag]}
    for place in near:
        captions[place] = not places.isdisjoint((place - 1, place, place + 1))
    return chosen, captions


def weigh_pictures(
    dom: Dom,
    blocks: Blocks,
    keep: Flags,
    chrome: Flags,
    scores: npt.NDArray[np.float32],
    named: list[int],
) -> tuple[list[Candidate], list[int], bool]:
    """What places, texts and links say of the pictures of a page.

    Args:
        dom: The page.
        blocks: Its blocks.
        keep: Which of them are kept.
        chrome: Which are sure chrome.
        scores: The log-odds of each.
        named: Elements that are captions by their class.

    Returns:
        The pictures that may be content, in order; the blocks of captions right beside one that
        stays; and whether a picture stands in a `noscript`.
    """
    tags = np.flatnonzero(_IMAGES[np.maximum(dom.tags, 0)])
    places = np.searchsorted(blocks.first, tags, side="right") - 1
    # Also tags at which a block starts belong to the block.
    inside = (places >= 0) & (tags <= blocks.last[np.maximum(places, 0)])
    tags, places = tags[inside], places[inside]
    if not len(tags) or not keep.any():
        return [], [], False
    sure_caption = _sure_captions(dom, blocks, named)
    caption = _captions(blocks, sure_caption)
    candidate = _may_stay(dom, blocks, keep, chrome, scores, caption)[places]
    tags, places = tags[candidate], places[candidate]
    pictures = list(zip(tags.tolist(), places.tolist(), strict=True))
    verdicts = judge_cards(dom, blocks, keep, scores, (caption, sure_caption), pictures)
    text = np.where(caption, 0, blocks.size)
    around = _Surroundings(
        dom, blocks.first.tolist(), *map(_running, (blocks.size, text, text * keep))
    )
    between = around.gaps(keep) <= GAP
    found: list[Candidate] = []
    beside = np.zeros(len(keep) + 2, np.bool_)
    for (tag, place), verdict in zip(pictures, verdicts, strict=True):
        if verdict in (STAYS, GOES) or keep[place]:
            # In a line of kept text, only the picture's own names say something.
            stays, signs = verdict != GOES, 0
            boxes = int(verdict in (NO_CARD, OPEN) and _may_be_beside(dom, tag))
        else:
            liked = bool(scores[place] > SURE)
            stays = liked or (verdict == NO_CARD and bool(between[place]))
            stays = stays or around.is_among_kept(tag)
            stays = stays and (liked or not around.is_beside_text(tag))
            boxes = around.named_boxes(tag) if stays and scores[place] < VERY_SURE else 0
            signs = _icon_signs(dom, tag) if stays and not liked else 0
        signs |= DECORATIVE * (stays and may_be_decoration(dom, tag))
        found.append((tag, place, stays, boxes, signs))
        if stays:
            beside[place : place + 3] = True
    near = np.flatnonzero(caption & beside[1:-1] & ~chrome).tolist()
    spans = ((tag, dom.closes[tag]) for tag in dom.positions("noscript"))
    return found, near, any(np.ptp(np.searchsorted(tags, span)) for span in spans)


def _may_stay(
    dom: Dom,
    blocks: Blocks,
    keep: Flags,
    chrome: Flags,
    scores: npt.NDArray[np.float32],
    caption: Flags,
) -> Flags:
    """Whether a picture of each block may be content, by where the block stands and its names."""
    figure = is_around(blocks, tag_bit("figure picture"))
    named = blocks.measures[:, _UNWANTED - BITS].any(axis=1)
    # A figure may be shared, or open a dialog.
    bad = chrome | (named & ~figure & (scores < VERY_SURE))
    kept = np.flatnonzero(keep)
    first, last = int(kept[0]), int(kept[-1])
    start = _lead_start(dom, blocks, first)
    # Pictures and captions beside the first and the last kept text go with it.
    goes_on = ((blocks.size == 0) | caption) & ~bad
    while last + 1 < len(keep) and goes_on[last + 1]:
        last += 1
    while start > 0 and goes_on[start - 1]:
        start -= 1
    numbers, liked = np.arange(len(keep)), scores > SURE
    near = numbers >= np.minimum(start, first - np.where(liked, REACH, 1))
    near &= numbers <= last + np.where(liked | figure, REACH, 0)
    may_stay: Flags = keep | (near & ~bad)
    return may_stay


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
    return max(start, first_kept - LEAD)
