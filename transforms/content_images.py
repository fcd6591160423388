"""Which pictures of a page belong to its content, given which of its texts do.

- A *card* is a picture and a short text that link to the same other page. On a page that lists, its
  picture goes with its text. Beside an article, cards are teasers of others: the picture stays
  only where the model is sure of the text, or the card stands among the article's paragraphs.
- Any other picture in a line of kept text stays.
- An advertisement and the portrait of an author go by their names, an icon by its size.
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
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from transforms.content_features import LINKED_SHARE, Blocks, tag_bit
from transforms.content_rules import block_spans, is_around, is_near
from transforms.dom import CODES, Dom, code_table
from transforms.image_sources import declared_length
from transforms.name_groups import GROUPS, says_beside_content, says_caption

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

MAX_STEPS = 12
"""Elements around a picture that are looked at."""
SOME_TEXT = 40
"""Visible bytes of text that can decide on a picture."""
GAP = 300
"""Visible bytes of text left out between two kept texts where a picture is still between them."""
MAX_CAPTION = 600
"""Visible bytes up to which a text in a figure is its caption."""
ICON = 48
"""Pixels up to which a picture beside the text is an icon."""

SURE = 1.0
"""Log-odds from which the model may keep a picture whose surroundings go."""
VERY_SURE = 3.0
"""Log-odds from which the model outweighs the name of a box around a picture."""
REACH = 4
"""Blocks beyond the kept ones at which a picture may stay."""

HEADLINE = 8
"""Characters of a linked text that may head a card."""
LARGEST_CARD = 1000
"""Visible bytes of text of a card, at most."""
WIDEST_CARD = 20_000
"""Bytes of markup of a card, at most."""
PROSE = 80
"""Visible bytes of a paragraph, at least."""
ARTICLE = 1500
"""Visible bytes of paragraphs in one element, outside cards, from which a page has an article."""
AMONG_PROSE = 300
"""Visible bytes of paragraphs in an element from which a card in it stands among them."""
SURE_CARD = 1.5
"""Log-odds of the headline of a card from which it is content beside an article. Of the cards of
WCXB's pages whose text is kept beside an article, nine in ten below it are no content."""
NO_CARD = (-1, -1)

_PICTURE_FILE = re.compile(rb"\.(?:jpe?g|png|gif|webp|avif|bmp|tiff?)(?:$|[?#])", re.I)
_CAPTION_CLASS = re.compile(rb' class="([^"]*caption[^"]*)"', re.I)
_NAMES = re.compile(rb' (?:class|id)="([^"]*)"')
_SIDES = re.compile(rb' (?:width|height)="([^"]*)"')
_NETWORK_FILE = re.compile(
    rb' src="[^"]*[/_-](?:facebook|twitter|linkedin|pinterest|instagram|whatsapp|youtube|tiktok'
    rb"|telegram|reddit|rss)(?:[-_](?:icons?|logo|share|btn|button|white|black|\d+(?:x\d+)?))*"
    rb'\.(?:png|gif|svg|webp)[?"]',
    re.I,
)
_IMAGES = code_table("img amp-img")
_HOUSES = code_table("article main")
_A = CODES["a"]
_UNWANTED = ("share", "related", "profile", "subscribe", "comment", "navigation", "notice")
"""Groups of names that no picture of the content is near."""


def _running(values: npt.NDArray[Any]) -> Ints:
    sums = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=sums[1:])
    return sums


def _sure_captions(dom: Dom, blocks: Blocks) -> Flags:
    """Whether each block is a caption by its element, or by its class alone."""
    found = is_near(blocks, tag_bit("figcaption caption"))
    for match in _CAPTION_CLASS.finditer(dom.source):
        if says_caption(match.group(1).decode("utf-8", "replace")):
            tag = int(np.searchsorted(dom.starts, match.start())) - 1
            found[slice(*block_spans(dom, blocks, np.array([tag]))[0].tolist())] = True
    return found & (blocks.size > 0) & (blocks.size < MAX_CAPTION)


def _captions(blocks: Blocks, sure: Flags) -> Flags:
    """Whether each block may be a caption: it stands in a figure, or is called so."""
    found = is_near(blocks, list(GROUPS).index("figure"))
    found |= is_around(blocks, tag_bit("figure picture"))
    return sure | (found & (blocks.size > 0) & (blocks.size < MAX_CAPTION))


def _link_around(dom: Dom, picture: int) -> int:
    """The link that a picture stands in, -1 where there is none near."""
    element = picture
    for _ in range(6):
        element = int(dom.parents[element])
        if element <= 0:
            return -1
        if dom.tags[element] == _A:
            return element
    return -1


def _card_around(dom: Dom, picture: int) -> tuple[int, int]:
    """The smallest element in which a text links to the page that a picture links to, and its link.

    `NO_CARD` where there is none.
    """
    link = _link_around(dom, picture)
    if link < 0:
        return NO_CARD
    source, starts, stops = dom.source, dom.starts, dom.stops
    begin = source.find(b' href="', starts[link], stops[link])
    if begin < 0:
        return NO_CARD
    reference = source[begin : source.index(b'"', begin + 7) + 1]
    if reference[7:8] in b'#"' or _PICTURE_FILE.search(reference[:-1]):
        return NO_CARD
    around, seen = link, -1
    for _ in range(MAX_STEPS):
        begin, end = int(starts[around]), int(stops[dom.closes[around]])
        if end - begin > WIDEST_CARD or around == 0:
            break
        place = source.find(reference, begin, end)
        while place >= 0:
            other = int(np.searchsorted(starts, place)) - 1
            if other > seen:
                texts = range(other, int(dom.closes[other]))
                if sum(len(dom.text_behind(tag).strip()) for tag in texts) >= HEADLINE:
                    return around, other
            place = source.find(reference, place + 7, end)
        around = int(dom.parents[around])
    return NO_CARD


def _is_icon(dom: Dom, picture: int) -> bool:
    """Whether a picture declares two short sides, or its file is the sign of a social network."""
    if _NETWORK_FILE.search(dom.source, dom.starts[picture], dom.stops[picture]):
        return True
    sides = _SIDES.findall(dom.source, dom.starts[picture], dom.stops[picture])
    lengths = [declared_length(value.decode("utf-8", "replace")) for value in sides]
    return len(lengths) == 2 and all(length is not None and length <= ICON for length in lengths)


@dataclass(slots=True)
class _Surroundings:
    """What stands around the pictures of a page, by running sums over its blocks."""

    dom: Dom
    blocks: Blocks
    keep: Flags
    all_text: Ints
    """Visible bytes."""
    text: Ints
    """Those outside captions."""
    kept_text: Ints
    """Those kept outside captions."""
    card_text: Ints
    """Those outside sure captions."""
    kept_card_text: Ints

    @classmethod
    def of(
        cls, dom: Dom, blocks: Blocks, keep: Flags, caption: Flags, sure_caption: Flags
    ) -> "_Surroundings":
        text = np.where(caption, 0, blocks.size)
        card_text = np.where(sure_caption, 0, blocks.size)
        sizes = (blocks.size, text, text * keep, card_text, card_text * keep)
        return cls(dom, blocks, keep, *map(_running, sizes))

    def span(self, element: int) -> tuple[int, int]:
        """The first block in an element, and one past its last."""
        begin, end = np.searchsorted(self.blocks.first, (element, int(self.dom.closes[element])))
        return int(begin), int(end)

    def gaps(self) -> Ints:
        """Of each block, the bytes left out between the kept texts around it.

        More than `GAP` where there is none on a side.
        """
        count = len(self.keep)
        numbers = np.arange(count)
        before = np.maximum.accumulate(np.where(self.keep, numbers, -1))
        behind = np.minimum.accumulate(np.where(self.keep, numbers, count)[::-1])[::-1]
        left_out = self.text - self.kept_text
        gaps: Ints = left_out[behind] - left_out[before + 1]
        gaps[(before < 0) | (behind == count)] = GAP + 1
        return gaps

    def prose_of_elements(self, chosen: Flags) -> Ints:
        """Of each tag, the visible bytes of paragraphs directly in its element, of those chosen."""
        blocks, dom = self.blocks, self.dom
        prose = np.flatnonzero(chosen & (blocks.size >= PROSE))
        prose = prose[2 * blocks.measures[prose, LINKED_SHARE] < 64]
        first = blocks.first[prose]
        # A paragraph is the start tag before the text, or the element around the end tag before it.
        paragraphs = np.where(dom.closes[first] > first, first, dom.parents[first])
        elements = np.maximum(dom.parents[np.maximum(paragraphs, 0)], 0)
        sums = np.zeros(len(dom), np.int64)
        np.add.at(sums, elements, blocks.size[prose])
        return sums

    def is_among_kept(self, picture: int) -> bool:
        """Whether most of the text right around a picture is kept."""
        element = int(self.dom.parents[picture])
        for _ in range(MAX_STEPS):
            begin, end = self.span(element)
            size = int(self.text[end] - self.text[begin])
            if size >= SOME_TEXT or element == 0:
                return 2 * int(self.kept_text[end] - self.kept_text[begin]) >= size
            element = int(self.dom.parents[element])
        return False

    def is_beside_content(self, picture: int) -> bool:
        """Whether a picture, or a small box right around it, has the name of what is no content."""
        dom, element = self.dom, picture
        for _ in range(4):
            for names in _NAMES.findall(dom.source, dom.starts[element], dom.stops[element]):
                if says_beside_content(names.decode("utf-8", "replace")):
                    return True
            element = int(dom.parents[element])
            if element <= 0:
                break
            begin, end = self.span(element)
            if self.all_text[end] - self.all_text[begin] > GAP:
                break
        return False


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
    tags = np.flatnonzero(_IMAGES[np.maximum(dom.tags, 0)])
    count = len(keep)
    chosen = np.zeros(len(dom), np.bool_)
    places = np.searchsorted(blocks.first, tags, side="right") - 1
    # Also tags at which a block starts belong to the block.
    inside = (places >= 0) & (tags <= blocks.last[np.maximum(places, 0)])
    tags, places = tags[inside], places[inside]
    if not len(tags) or not keep.any():
        return chosen, np.zeros(count, np.bool_)
    sure_caption = _sure_captions(dom, blocks)
    caption = _captions(blocks, sure_caption)
    liked = scores > SURE
    candidate = _may_stay(dom, blocks, keep, chrome, scores, caption)[places]
    tags, places = tags[candidate], places[candidate]
    around = _Surroundings.of(dom, blocks, keep, caption, sure_caption)
    cards = [_card_around(dom, tag) for tag in tags.tolist()]
    spans = []
    in_card = np.zeros(count + 1, np.int64)
    for (card, _), place in zip(cards, places.tolist(), strict=True):
        # A line that a card stands in is that of the card.
        begin, end = around.span(card) if card >= 0 else (place, place)
        begin, end = min(begin, place), max(end, place + (card >= 0))
        spans.append((begin, end))
        in_card[begin] += 1
        in_card[end] -= 1
    prose = around.prose_of_elements(keep & ~caption & (np.cumsum(in_card[:-1]) == 0))
    has_article = bool(prose.max() >= ARTICLE)
    gaps = around.gaps()
    last_link, last_place = -1, 0
    for tag, place, (card, link), (begin, end) in zip(
        tags.tolist(), places.tolist(), cards, spans, strict=True
    ):
        size = int(around.card_text[end] - around.card_text[begin])
        kept = 2 * int(around.kept_card_text[end] - around.kept_card_text[begin]) >= size
        if 0 < size <= LARGEST_CARD and (kept or has_article):
            # The same link again, behind text: the picture for another width of screen.
            again = link == last_link and blocks.size[last_place:place].any()
            chosen[tag] = (
                kept
                and not again
                and (
                    not has_article
                    or _is_among_prose(dom, prose, card)
                    or _headline_score(dom, blocks, keep, scores, link) >= SURE_CARD
                )
            )
            last_link, last_place = link, place
        elif keep[place]:
            chosen[tag] = True
        elif scores[place] < VERY_SURE and around.is_beside_content(tag):
            continue
        elif liked[place] or not _is_icon(dom, tag):
            alone = size == 0 and gaps[place] <= GAP
            chosen[tag] = liked[place] or alone or around.is_among_kept(tag)
    # Captions go with their pictures.
    with_picture = np.zeros(count + 2, np.bool_)
    with_picture[1 + places[chosen[tags]]] = True
    beside = with_picture[:-2] | with_picture[1:-1] | with_picture[2:]
    return chosen, caption & beside & ~chrome


def _is_among_prose(dom: Dom, prose: Ints, card: int) -> bool:
    """Whether a card stands in an element that has paragraphs of its own."""
    for _ in range(3):
        card = int(dom.parents[card])
        if card <= 0:
            return False
        if prose[card] >= AMONG_PROSE:
            return True
    return False


def _headline_score(
    dom: Dom, blocks: Blocks, keep: Flags, scores: npt.NDArray[np.float32], link: int
) -> float:
    """The highest log-odds of the kept blocks that a link has text in."""
    begin = max(int(np.searchsorted(blocks.first, link, side="right")) - 1, 0)
    end = int(np.searchsorted(blocks.first, int(dom.closes[link])))
    return float(scores[begin:end][keep[begin:end]].max(initial=-100.0))


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
    named = is_near(blocks, tag_bit("footer"))
    for name in _UNWANTED:
        named |= is_near(blocks, list(GROUPS).index(name))
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
    numbers = np.arange(len(keep))
    liked = scores > SURE
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
    return max(start, first_kept - 12)
