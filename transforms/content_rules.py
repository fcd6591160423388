"""What of a page is settled by rules, whatever the model says of its blocks.

- **Sure chrome.** `nav`, `dialog`, an element with such a role, a `footer` outside articles, and
  what a reader does not see (`hidden`, `display:none`, `visibility:hidden`) is no content, unless
  it holds more than `MAX_SHARE` of the page's text: scripts show and hide whole pages.
- **Wholes.** A table of data, a listing of code, a definition list and a list of links are kept or
  left out whole, by most of their text; all but the last also for the mean log-odds of it.
- **Code.** A listing between kept texts stays.
- **Alike.** A paragraph stays that stands as several kept ones do: the same elements, of the same
  classes, one of which says something, up to an element around them all. So the end of an article
  is not lost for what follows it. Parts of wholes are left alone.
- **Headings.** A heading goes with what it heads: without a kept block behind it, before the next
  heading, it goes too, unless the model is sure of it. In an `aside` it heads nothing outside. The
  last `h1` shortly before the first kept block is the headline and stays, but for one that names
  the site: all of it is a link to `/`.
- **Twins.** A long text that stands in two places of a page, for wide and for narrow screens, is
  kept once.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from transforms.content_features import BITS, LINKED_SHARE, Blocks, tag_bit
from transforms.dom import ATTRIBUTE, CODES, Dom, code_table

Flags = npt.NDArray[np.bool_]

MAX_SHARE = 35
"""Percent of the page's text above which no element is sure chrome."""
LONG = 60
"""Visible bytes from which a text is said once."""
SURE_HEADING = 2.0
"""Log-odds from which a heading stays whatever is behind it."""
HEADLINE_REACH = 15
"""Blocks (bylines, dates, buttons) between a headline and the content, outside any `aside`."""
MAX_LINKED = 60
"""Percent of a list's text in links above which it is a list of links."""
PARAGRAPH = 100
"""Visible bytes from which a text is a paragraph that may be kept for others."""
MAX_LINKS = 16
"""64ths of a paragraph in links above which it may not."""
ALIKE = 4
"""Kept paragraphs that keep one that stands as they do."""
STEPS = 4
"""Elements up to the one around all that are compared."""
LINK_REACH = 16
"""Tags of a headline among which the link is looked for that may be all of it."""
ASIDE_REACH = 64
"""Elements around a heading, or a picture, among which an `aside` is looked for."""
LINKED_UNIT = 64
"""The share of a block in links that is all of it."""
PARTS = ("li", "td th", "dl", "pre code")
"""Groups of tags whose texts are parts of a whole."""
MEANT = ("td th", "pre code", "blockquote q")
"""Groups of tags (`tag_bit`) whose texts repeat others on purpose: cells, code and quotes."""

_CHROME = code_table("nav dialog menu")
_WHOLE = code_table("table pre dl")
_LAYOUT_INSIDE = code_table(
    "table h1 h2 h3 h4 figure pre form article section blockquote p div ul ol dl"
)
_LISTS = code_table("ul ol dl")
_ARTICLES = code_table("article main")
_HEADINGS = code_table("h1 h2 h3 h4 h5 h6")
_ASIDE = CODES["aside"]
_ROLE, _HIDDEN, _STYLE, _CLASS, _HREF = b"role", b"hidden", b"style", b"class", b"href"
_MAY_HIDE = re.compile(rb' (?:%b|%b|%b)="' % (_ROLE, _HIDDEN, _STYLE))
_ROLES = b"navigation dialog alertdialog search banner contentinfo menu menubar toolbar".split()
_UNTIL_FOUND = b"until-found"
_HIDING = ((b"display", b"none"), (b"visibility", b"hidden"))
_HIDES = re.compile(b"|".join(rb"%b\s*:\s*%b" % each for each in _HIDING), re.I)


def is_near(blocks: Blocks, bit: int) -> Flags:
    """Whether a group of names or tags is that of one of the three nearest elements."""
    found: Flags = blocks.measures[:, blocks.measures.shape[1] - BITS + bit] > 0
    return found


def is_around(blocks: Blocks, bit: int) -> Flags:
    """Whether a group of names or tags is that of any element around."""
    found: Flags = blocks.measures[:, blocks.measures.shape[1] - 2 * BITS + bit] > 0
    return found


def _makes_chrome(attribute: bytes, value: bytes) -> bool:
    if attribute == _ROLE:
        return value in _ROLES
    if attribute == _HIDDEN:
        return value != _UNTIL_FOUND
    return attribute == _STYLE and _HIDES.search(value) is not None


def _chrome_by_attributes(dom: Dom) -> list[int]:
    # What looks like an attribute may be the end of a value, or text: the tag tells.
    places = [match.start() for match in _MAY_HIDE.finditer(dom.source)]
    return [
        tag
        for tag in np.unique(np.searchsorted(dom.starts, places) - 1).tolist()
        if any(
            _makes_chrome(*each)
            for each in ATTRIBUTE.findall(dom.source, dom.starts[tag], dom.stops[tag])
        )
    ]


def block_spans(dom: Dom, blocks: Blocks, elements: Any) -> npt.NDArray[np.int64]:
    """The first block in each element, and one past its last: (elements, 2)."""
    edges = np.stack([elements, dom.closes[elements]], axis=1)
    return np.searchsorted(blocks.first, edges)


def sure_chrome(dom: Dom, blocks: Blocks) -> Flags:
    """Whether each block is chrome by its elements alone."""
    codes = np.maximum(dom.tags, 0)
    tags = np.flatnonzero(_CHROME[codes]).tolist()
    tags += _chrome_by_attributes(dom)
    footers = dom.positions("footer")
    if footers:
        articles = np.flatnonzero(_ARTICLES[codes])
        size = len(dom)
        opened = np.bincount(articles, minlength=size) - np.bincount(
            dom.closes[articles], minlength=size
        )
        around = np.cumsum(opened)
        tags += [tag for tag in footers if not around[tag]]
    chrome = np.zeros(len(blocks.first), np.bool_)
    if not tags:
        return chrome
    running = np.concatenate([[0], np.cumsum(blocks.size)])
    spans = block_spans(dom, blocks, tags)
    for begin, end in spans.tolist():
        if 100 * (running[end] - running[begin]) <= MAX_SHARE * running[-1]:
            chrome[begin:end] = True
    return chrome


def keep_whole(
    dom: Dom,
    blocks: Blocks,
    linked: npt.NDArray[Any],
    keep: Flags,
    above: npt.NDArray[Any],
    chrome: Flags,
) -> None:
    """Keeps or leaves out tables, code, definition lists and lists of links as a whole.

    Args:
        dom: The page.
        blocks: Its blocks.
        linked: Share of each block that is in links, in 64ths.
        keep: Which blocks are kept; is changed.
        above: How far the log-odds of each are above the threshold.
        chrome: Which are sure chrome.
    """
    codes = np.maximum(dom.tags, 0)
    wholes = np.flatnonzero(_WHOLE[codes] | _LISTS[codes])
    if not len(wholes):
        return
    sums = np.zeros((4, len(keep) + 1))
    weighed = np.where(chrome, 0, blocks.size * above)
    np.cumsum(
        [blocks.size, blocks.size * keep, blocks.size * linked, weighed], axis=1, out=sums[:, 1:]
    )
    spans = block_spans(dom, blocks, wholes)
    totals = sums[:, spans[:, 1]] - sums[:, spans[:, 0]]
    is_list = ~_WHOLE[codes[wholes]]
    may = (spans[:, 1] - spans[:, 0] > 1) & (totals[0] > 0)
    may &= ~is_list | (100 * totals[2] > MAX_LINKED * LINKED_UNIT * totals[0])
    stays = (2 * totals[1] > totals[0]) | (~is_list & (totals[3] > 0))
    for each in np.flatnonzero(may).tolist():
        inside = codes[wholes[each] + 1 : dom.closes[wholes[each]]]
        if codes[wholes[each]] == CODES["table"] and _LAYOUT_INSIDE[inside].any():
            continue
        inside_blocks = slice(*spans[each].tolist())
        # Answers that are hidden until they are asked for stand in lists of terms.
        says = ~chrome[inside_blocks] | (codes[wholes[each]] == CODES["dl"])
        keep[inside_blocks] = stays[each] & says


def keep_code(dom: Dom, blocks: Blocks, keep: Flags) -> None:
    """Keeps listings of code that stand between kept texts."""
    listings = dom.positions("pre")
    if not listings:
        return
    texts = np.flatnonzero(blocks.size > 0)
    for begin, end in block_spans(dom, blocks, listings).tolist():
        before = texts[np.searchsorted(texts, begin) - 1 : np.searchsorted(texts, begin)]
        behind = texts[np.searchsorted(texts, end) : np.searchsorted(texts, end) + 1]
        if len(before) and len(behind) and keep[before[0]] and keep[behind[0]]:
            keep[begin:end] = True


def keep_alike(
    dom: Dom, blocks: Blocks, linked: npt.NDArray[Any], keep: Flags, chrome: Flags
) -> None:
    """Keeps paragraphs that stand as others do that are kept.

    Args:
        dom: The page.
        blocks: Its blocks.
        linked: Share of each block that is in links, in 64ths.
        keep: Which blocks are kept; is changed.
        chrome: Which are sure chrome.
    """
    paragraphs = (blocks.size >= PARAGRAPH) & (linked <= MAX_LINKS)
    for names in PARTS:
        paragraphs &= ~is_around(blocks, tag_bit(names))
    wanted = np.flatnonzero(paragraphs & ~keep & ~chrome).tolist()
    kept = np.flatnonzero(paragraphs & keep).tolist()
    if not wanted or len(kept) < ALIKE:
        return
    # Numbers for names, so that long ones are compared once.
    numbers: dict[tuple[int, bytes], int] = {}
    name_of: dict[int, tuple[int, bool]] = {}

    def read_name(tag: int) -> tuple[int, bool]:
        attributes = ATTRIBUTE.findall(dom.source, dom.starts[tag], dom.stops[tag])
        named = dict(attributes).get(_CLASS, b"")
        return numbers.setdefault((int(dom.tags[tag]), named), len(numbers)), bool(named)

    def places(block: int) -> Iterator[tuple[int, ...]]:
        """Each of the nearest elements around a block's own, and the names that lead to it."""
        tag = int(blocks.first[block])
        tag = tag if dom.tags[tag] > 0 else int(dom.parents[tag])
        path: tuple[int, ...] = ()
        has_class = False
        for _ in range(STEPS):
            if tag < 0:
                return
            if tag not in name_of:
                name_of[tag] = read_name(tag)
            number, is_named = name_of[tag]
            path, has_class = (*path, number), has_class or is_named
            tag = int(dom.parents[tag])
            if has_class:
                yield tag, *path

    counts = Counter(place for block in kept for place in places(block))
    for block in wanted:
        keep[block] = any(counts[place] >= ALIKE for place in places(block))


def _before(flags: Flags) -> npt.NDArray[np.int64]:
    """How many hold before each of them, and before the end."""
    return np.concatenate([[0], np.cumsum(flags)])


def _end_of_aside(dom: Dom, blocks: Blocks, place: int) -> int:
    """One past the last block in the `aside` around a block; the number of blocks without one."""
    element = int(dom.parents[blocks.first[place]])
    for _ in range(ASIDE_REACH):
        if element <= 0:
            break
        if dom.tags[element] == _ASIDE:
            return int(np.searchsorted(blocks.first, dom.closes[element]))
        element = int(dom.parents[element])
    return len(blocks.first)


def drop_lone_headings(dom: Dom, blocks: Blocks, scores: npt.NDArray[Any], keep: Flags) -> None:
    """Leaves out headings that head nothing that is kept, but those with high log-odds."""
    tags = dom.tags[blocks.first]
    parents = dom.parents[blocks.first]
    around = np.maximum(np.where(tags > 0, tags, dom.tags[np.maximum(parents, 0)]), 0)
    heading = _HEADINGS[around]
    places = np.flatnonzero(heading)
    if not len(places):
        return
    running = _before(keep & ~heading)
    # The next heading, from the last one on, and its level.
    following, below = len(keep), 0
    for place, level in zip(places[::-1].tolist(), around[places[::-1]].tolist(), strict=True):
        if keep[place] and not scores[place] > SURE_HEADING:
            end = _end_of_aside(dom, blocks, place)
            # A heading right behind this one that is lower and kept is something it heads.
            keep[place] = running[min(following, end)] > running[place] or (
                following < end and keep[following] and below > level
            )
            if not keep[place] and end < len(keep):
                # What is left out of it for this does not part a heading from what it heads.
                continue
        following, below = place, level


def _names_site(dom: Dom, heading: int) -> bool:
    """Whether the first link of a heading leads to the front page of the site."""
    for tag in range(heading + 1, min(int(dom.closes[heading]), heading + LINK_REACH)):
        if dom.tags[tag] == CODES["a"]:
            attributes = dict(ATTRIBUTE.findall(dom.source, dom.starts[tag], dom.stops[tag]))
            return attributes.get(_HREF) == b"/"
    return False


def keep_headline(dom: Dom, blocks: Blocks, keep: Flags, chrome: Flags) -> None:
    """Keeps the `h1` that stands over the content."""
    kept = np.flatnonzero(keep & (blocks.size > 0))
    if not len(kept):
        return
    found = np.array(dom.positions("h1"), np.int64)
    titles = np.searchsorted(blocks.first, found)
    asides = np.array(dom.positions("aside"), np.int64)
    opened, closed = block_spans(dom, blocks, asides).T
    depths = np.bincount(opened, minlength=len(keep) + 1)
    depths -= np.bincount(closed, minlength=len(keep) + 1)
    before = _before(np.cumsum(depths[:-1]) == 0)
    near = (titles <= kept[0]) & (before[titles] >= before[kept[0]] - HEADLINE_REACH)
    found, titles = found[near], titles[near]
    # An empty one has no block of its own.
    has_block = blocks.first[titles] < dom.closes[found]
    for heading, title in zip(found[has_block][::-1], titles[has_block][::-1], strict=True):
        is_link = blocks.measures[title, LINKED_SHARE] == LINKED_UNIT
        if not (is_link and _names_site(dom, int(heading))):
            keep[title] |= not chrome[title]
            return


def drop_twins(dom: Dom, blocks: Blocks, keep: Flags) -> None:
    """Leaves out long texts that were kept before, in another container."""
    seen: dict[bytes, int] = {}
    source = dom.source
    meant = np.zeros(len(keep), np.bool_)
    for names in MEANT:
        meant |= is_around(blocks, tag_bit(names))
    for place in np.flatnonzero(keep & (blocks.size >= LONG) & ~meant).tolist():
        first = int(blocks.first[place])
        begin, end = dom.stops[first], dom.text_stops[blocks.last[place]]
        text = b" ".join(source[begin:end].split())
        container = int(dom.parents[first])
        # Side by side, the author means both.
        if seen.setdefault(text, container) != container:
            keep[place] = False
