"""Cards: pictures that stand with the headline of another page, both linking to it.

Lists of articles and of products are made of cards, and so are the teasers beside an article. A
card's picture goes with its text; beside an article the text must be one that the model is sure of,
or stand among paragraphs, as a product that the article is about does.
"""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transforms.content_features import LINKED_SHARE, Blocks
from transforms.dom import CODES, Dom

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

HEADLINE = 8
"""Bytes of a linked text, white space left out, that may head a card."""
LARGEST_CARD = 1000
"""Visible bytes of text of a card, at most."""
PROSE = 80
"""Visible bytes of a paragraph, at least."""
ARTICLE = 1500
"""Visible bytes of paragraphs in one element, outside cards, from which a page has an article."""
AMONG_PROSE = 300
"""Visible bytes of paragraphs in an element from which a card in it stands among them."""
SURE_CARD = 1.5
"""Log-odds of the headline of a card from which it is content beside an article. Of the cards of
WCXB's pages whose text is kept beside an article, nine in ten below it are no content."""

MAX_CARDS = 2000
"""Pictures of a page that are looked at; more are no cards."""
MAX_STEPS = 12
"""Elements around a picture that are looked at."""
LINK_STEPS = 6
"""Those of them that may be the link that a picture stands in."""
PROSE_STEPS = 3
"""Elements around a card that may have paragraphs of their own."""
MAX_LINKS = 32
"""Links to one page, and texts that read like one, that are looked at."""
WIDEST_CARD = 20_000
"""Bytes of markup of a card, at most."""
LONGEST_LINK = 4000
"""Bytes of the start tag of a link, and of what stands in it, that are looked at."""

_HREF = b' href="'
_ENDINGS = b"jpg jpeg png gif webp avif bmp tif tiff".split()
_PICTURE_FILE = re.compile(rb"\.(?:%b)(?:$|[?#])" % b"|".join(_ENDINGS), re.I)
_NO_TEXT = re.compile(rb"<[^>]*>|&nbsp;|\s+")
_A = CODES["a"]


NO_CARD, STAYS, GOES, OPEN = range(4)
"""What can be said of a picture: `OPEN` is a card whose text goes, on a page without an article."""


@dataclass(frozen=True, slots=True)
class Card:
    """A picture and the text that links to the same page."""

    element: int
    """The smallest element that holds both."""
    link: int
    """The link that has the text."""


def link_around(dom: Dom, picture: int) -> int:
    """The link that a picture stands in, -1 where there is none near."""
    element = picture
    for _ in range(LINK_STEPS):
        element = int(dom.parents[element])
        if element <= 0:
            return -1
        if dom.tags[element] == _A:
            return element
    return -1


def reference_of(dom: Dom, link: int) -> bytes:
    """The attribute that says where a link leads, with its name; empty if to no other page."""
    source, stop = dom.source, min(int(dom.stops[link]), int(dom.starts[link]) + LONGEST_LINK)
    begin = source.find(_HREF, dom.starts[link], stop)
    end = source.find(b'"', begin + len(_HREF), stop) + 1
    reference = source[begin:end] if begin >= 0 and end > 0 else b""
    if reference[len(_HREF) :][:1] in b'#"' or _PICTURE_FILE.search(reference[:-1]):
        return b""
    return reference


def _has_headline(dom: Dom, link: int) -> bool:
    begin = int(dom.stops[link])
    end = min(int(dom.starts[dom.closes[link]]), begin + LONGEST_LINK)
    return len(_NO_TEXT.sub(b"", dom.source[begin:end])) >= HEADLINE


def card_around(dom: Dom, picture: int) -> Card | None:
    """The card of a picture, if it has one."""
    link = link_around(dom, picture)
    reference = reference_of(dom, link) if link >= 0 else b""
    if not reference:
        return None
    if _has_headline(dom, link):
        return Card(link, link)
    links = 0
    element = int(dom.parents[link])
    for _ in range(MAX_STEPS):
        begin, end = int(dom.starts[element]), int(dom.stops[dom.closes[element]])
        if end - begin > WIDEST_CARD or element <= 0:
            break
        place = dom.source.find(reference, begin, end)
        while place >= 0:
            other = int(np.searchsorted(dom.starts, place)) - 1
            links += 1
            is_link = place < dom.stops[other] and dom.tags[other] == _A
            if is_link and _has_headline(dom, other):
                return Card(element, other)
            if links > MAX_LINKS:
                return None
            place = dom.source.find(reference, place + len(_HREF), end)
        element = int(dom.parents[element])
    return None


def prose_of_elements(dom: Dom, blocks: Blocks, chosen: Flags) -> Ints:
    """Of each tag, the visible bytes of the paragraphs directly in its element, of those chosen."""
    prose = np.flatnonzero(chosen & (blocks.size >= PROSE))
    prose = prose[2 * blocks.measures[prose, LINKED_SHARE] < 64]
    first = blocks.first[prose]
    # A paragraph is the start tag before the text, or the element around the end tag before it.
    paragraphs = np.where(dom.closes[first] > first, first, dom.parents[first])
    elements = np.maximum(dom.parents[np.maximum(paragraphs, 0)], 0)
    sums = np.zeros(len(dom), np.int64)
    np.add.at(sums, elements, blocks.size[prose])
    return sums


def _is_among_prose(dom: Dom, prose: Ints, card: Card) -> bool:
    """Whether a card stands in an element that has paragraphs of its own."""
    element = card.element
    for _ in range(PROSE_STEPS):
        element = int(dom.parents[element])
        if element <= 0:
            return False
        if prose[element] >= AMONG_PROSE:
            return True
    return False


def judge_cards(
    dom: Dom,
    blocks: Blocks,
    keep: Flags,
    scores: npt.NDArray[np.float32],
    captions: tuple[Flags, Flags],
    pictures: list[tuple[int, int]],
) -> list[int]:
    """What can be said of pictures by the cards they stand in.

    Args:
        dom: The page.
        blocks: Its blocks.
        keep: Which blocks are kept.
        scores: The log-odds of each block.
        captions: Which blocks may be captions, and which are for sure: those head no card.
        pictures: The tag and the block of each picture, in order.
    """
    caption, sure_caption = captions
    texts = np.where(sure_caption, 0, blocks.size)
    sums = np.zeros((2, len(keep) + 1), np.int64)
    np.cumsum([texts, texts * keep], axis=1, out=sums[:, 1:])
    cards = [card_around(dom, tag) for tag, _ in pictures[:MAX_CARDS]]
    spans = []
    in_card = np.zeros(len(keep) + 1, np.int64)
    for card, (_, place) in zip(cards, pictures, strict=False):
        if card is None:
            spans.append((0, 0))
            continue
        inside = np.searchsorted(blocks.first, (card.element, int(dom.closes[card.element])))
        # A line that a card stands in is that of the card.
        begin, end = min(int(inside[0]), place), max(int(inside[1]), place + 1)
        spans.append((begin, end))
        in_card[begin] += 1
        in_card[end] -= 1
    outside = keep & ~caption & (np.cumsum(in_card[:-1]) == 0)
    prose = prose_of_elements(dom, blocks, outside)
    has_article = bool(prose.max() >= ARTICLE)
    verdicts = [NO_CARD] * len(pictures)
    last_link, last_place = -1, 0
    for number, (card, (begin, end)) in enumerate(zip(cards, spans, strict=True)):
        size, kept = (sums[:, end] - sums[:, begin]).tolist()
        if card is None or not 0 < size <= LARGEST_CARD:
            continue
        place = pictures[number][1]
        # The same link again, behind text: the picture for another width of screen.
        again = card.link == last_link and bool(blocks.size[last_place:place].any())
        last_link, last_place = card.link, place
        if 2 * kept < size:
            verdicts[number] = GOES if has_article else OPEN
        elif again:
            verdicts[number] = GOES
        elif not has_article or _is_among_prose(dom, prose, card):
            verdicts[number] = STAYS
        else:
            first = max(int(np.searchsorted(blocks.first, card.link, side="right")) - 1, 0)
            stop = int(np.searchsorted(blocks.first, int(dom.closes[card.link])))
            best = scores[first:stop][keep[first:stop]].max(initial=-100.0)
            verdicts[number] = STAYS if best >= SURE_CARD else GOES
    return verdicts
