"""Which part of a page is content: rules on structure, names and link density, nothing learned.

A page is judged in three steps over the flat lists of `dom.py`, each linear in the page:

1. **Drop.** An element goes, with its subtree, when
   - it is hidden (`hidden`, `aria-hidden="true"` without an image, `display:none`,
     `visibility:hidden`);
   - its tag is `nav`, `dialog` or `menu`, or its role says the same (`ROLES`); a `footer` outside
     articles, or without prose; an `aside` of links, or away from the prose; a `form` with little
     text;
   - its class or id names boilerplate, or names what is boilerplate in an element that is mostly
     links, or small and without prose, image and `h1` (`boilerplate_names.py`);
   - it is a list of links: at least `MIN_LINKS` links with `MAX_LINK_DENSITY` of its text, and not
     a list between paragraphs. Links to picture files do not count.

   Nothing goes that holds more than `MAX_DROPPED_SHARE` of the page's prose or its `main`, so a
   wrapper with an unlucky class cannot take the article with it. Comments and cookie notices,
   often longer than the article, go up to `MAX_SURE_SHARE`.
2. **Choose.** From `body` into the `main`, then into the `article`, that holds most of the prose
   left; then, outside articles, from child to child as long as one holds `MIN_PROSE_SHARE` of the
   prose and no picture (an image that is no link to another page) is left behind it.
3. **Widen.** The content starts at the last `h1` before the chosen element, so that a title and a
   lead picture above the body belong to it.

Prose is text outside links in pieces of at least `SENTENCE` bytes. What cannot be told apart is
kept: losing a paragraph costs more than keeping a byline.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import accumulate

from transforms.boilerplate_names import name_verdict
from transforms.dom import Dom
from transforms.markup import word_set

MAX_DROPPED_SHARE = 0.35
"""Share of the page's prose from which no class, id or tag makes an element boilerplate."""

MIN_PROSE_SHARE = 0.70
"""Share of an element's prose that a child must hold to replace it."""

MAX_LINK_DENSITY = 0.75
"""Share of a block's characters inside links from which it counts as a list of links."""

MIN_LINKS = 3
"""Links of a block that may count as a list of links."""

SENTENCE = 40
"""UTF-8 bytes from which a text counts as prose: menus and headlines are made of shorter ones."""

MIN_PROSE = 300
"""Bytes of prose below which nothing can be told apart: the whole body is content."""

SMALL = 300
"""Characters of prose up to which an element with a weak name counts as small."""

ROLES = word_set(
    "navigation banner contentinfo complementary search dialog alertdialog menu menubar"
    " toolbar tooltip tablist alert"
)
"""Landmarks and widgets that hold no content."""

MAX_SURE_SHARE = 0.75
"""Share of the page's prose from which even comments and notices are content, as in a forum."""

_DROPPED_TAGS = frozenset(["nav", "dialog", "menu", "head"])
_NAMED_TAGS = word_set(
    "div section ul ol aside header footer form p span a table td li dl figure nav article"
    " center h2 h3 h4 h5 h6 small"
    " fieldset button details summary strong em"
)
_LISTS = frozenset(["ul", "ol", "dl", "table"])
_LINK_BLOCKS = word_set("ul ol div section table dl header")
_INLINE_TAGS = word_set("a span strong em small h2 h3 h4 h5 h6")
_NO_CONTAINERS = word_set(
    "p a span b i em strong ul ol li dl dd dt pre blockquote figure figcaption h1 h2 h3 h4 h5"
    " h6 link"
)
_JUDGED_TAGS = _DROPPED_TAGS | _NAMED_TAGS
_PICTURE_FILE = re.compile(r"\.(?:jpe?g|png|gif|webp|avif|svg|bmp|tiff?)(?:$|[?#])", re.I)
_HIDDEN_STYLE = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.I)


@dataclass(frozen=True, slots=True)
class Content:
    """The range of a page that is content, and what to leave out of it."""

    start: int
    end: int
    dropped: Sequence[int]
    """One entry a node: 1 where it is left out, alone or with an element around it."""


@dataclass(slots=True)
class _Columns:
    """One number a node; as prefix sums, the value of a range is `column[end] - column[start]`."""

    prose: list[int]
    """Bytes outside links in texts of at least `SENTENCE` bytes."""
    short: list[int]
    """Bytes outside links in shorter texts."""
    linked: list[int]
    """Bytes in links."""
    images: list[int]
    pictures: list[int]
    """Images that are no link to another page."""
    links: list[int]


def _measure(dom: Dom) -> _Columns:
    size = len(dom)
    prose, short, linked = [0] * size, [0] * size, [0] * size
    images, pictures, links = [0] * size, [0] * size, [0] * size
    link_end = 0
    ends, texts = dom.ends, dom.texts
    for node, tag in enumerate(dom.tags):
        if not tag:
            text = texts[node].strip()
            if text:
                # Bytes, because Chinese or Japanese say in a third of the characters what English
                # does.
                length = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
                if node < link_end:
                    linked[node] = length
                elif length >= SENTENCE:
                    prose[node] = length
                else:
                    short[node] = length
        elif tag == "a":
            href = dom.attributes[node].get("href")
            # A link to a picture is the picture, enlarged; a gallery is no list of links.
            if href and not _PICTURE_FILE.search(href):
                links[node] = 1
                link_end = ends[node]
        elif tag == "img":
            images[node] = 1
            pictures[node] = int(node >= link_end)
    return _Columns(prose, short, linked, images, pictures, links)


def _total(values: list[int]) -> list[int]:
    return [0, *accumulate(values)]


def _is_hidden(dom: Dom, node: int, images: int) -> bool:
    attributes = dom.attributes[node]
    if "hidden" in attributes and dom.attribute(node, "hidden") != "until-found":
        return True
    if attributes.get("aria-hidden") == "true" and not images:
        return True
    style = attributes.get("style")
    return bool(style) and _HIDDEN_STYLE.search(style or "") is not None


def _roles(dom: Dom) -> dict[int, str | None]:
    return {node: its["role"] for node, its in enumerate(dom.attributes) if "role" in its}


def _mains(dom: Dom, roles: dict[int, str | None]) -> list[int]:
    return sorted({*dom.positions("main"), *(node for node in roles if roles[node] == "main")})


def _drop(dom: Dom, sums: _Columns) -> bytearray:
    """Marks what step 1 drops."""
    tags, ends, attributes, parents = dom.tags, dom.ends, dom.attributes, dom.parents
    prose, short, linked, images, links = (
        sums.prose,
        sums.short,
        sums.linked,
        sums.images,
        sums.links,
    )
    size = len(dom)
    dropped = bytearray(size)
    limit = MAX_DROPPED_SHARE * prose[-1]
    roles = _roles(dom)
    mains = _mains(dom, roles)
    headings = dom.positions("h1")
    article_end = 0
    node = 0
    while node < size:
        tag = tags[node]
        if not tag or (tag not in _JUDGED_TAGS and node not in roles and not attributes[node]):
            node += 1
            continue
        end = ends[node]
        its_prose = prose[end] - prose[node]
        its_text = its_prose + short[end] - short[node]
        its_linked = linked[end] - linked[node]
        mostly_links = its_linked > its_text
        drop = False
        if attributes[node]:
            drop = its_prose <= limit and _is_hidden(dom, node, images[end] - images[node])
        if not drop and its_prose <= limit and not _holds(mains, node, end):
            verdict = _named(dom, node) if tag in _NAMED_TAGS else 0
            if tag in _DROPPED_TAGS or roles.get(node) in ROLES or verdict >= 2:
                drop = True
            elif verdict == 1:
                drop = mostly_links or (
                    its_text <= SMALL
                    and not its_prose
                    and images[end] == images[node]
                    and not _holds(headings, node, end)
                )
            if not drop:
                if tag == "footer":
                    drop = node >= article_end or not its_prose or mostly_links
                elif tag == "aside":
                    around = parents[node]
                    beside = prose[ends[around]] - prose[around] - its_prose
                    drop = mostly_links or (node >= article_end and beside < limit)
                elif tag == "form":
                    drop = its_text <= SMALL
            if not drop and its_linked and tag in _LINK_BLOCKS:
                around = parents[node]
                among_prose = (
                    tag in _LISTS
                    and prose[node] > prose[around]
                    and prose[ends[around]] > prose[end]
                )
                drop = (
                    links[end] - links[node] >= MIN_LINKS
                    and its_linked > MAX_LINK_DENSITY * (its_text + its_linked)
                    and not among_prose
                )
        elif not drop and its_prose <= MAX_SURE_SHARE * prose[-1] and tag in _NAMED_TAGS:
            drop = _named(dom, node) == 3 and not _holds(mains, node, end)
        if drop:
            dropped[node:end] = b"\x01" * (end - node)
            node = end
            continue
        if tag == "article" and end > article_end:
            article_end = end
        node += 1
    return dropped


def _holds(positions: list[int], node: int, end: int) -> bool:
    """Whether one of the first three positions lies in a range."""
    return any(node <= position < end for position in positions[:3])


def _named(dom: Dom, node: int) -> int:
    """The verdict on class and id; those of inline elements and headings say little."""
    attributes, tag = dom.attributes[node], dom.tags[node]
    names, identity = attributes.get("class"), attributes.get("id")
    verdict = name_verdict(names) if names else 0
    if identity and tag not in _INLINE_TAGS:
        verdict = max(verdict, name_verdict(identity))
    return 0 if verdict == 1 and tag in _INLINE_TAGS else verdict


def _cleared(values: list[int], dropped: bytearray) -> list[int]:
    """Prefix sums of what is not dropped."""
    return _total([0 if gone else value for value, gone in zip(values, dropped, strict=True)])


def _choose(dom: Dom, body: int, prose: list[int], pictures: list[int], dropped: bytearray) -> int:
    """The element that step 2 ends at."""
    tags, ends = dom.tags, dom.ends

    def share(node: int) -> int:
        return prose[ends[node]] - prose[node]

    current = body
    if share(body) < MIN_PROSE:
        return body
    for inside, least in ((_mains(dom, _roles(dom)), 0.4), (dom.positions("article"), 0.6)):
        best = max(
            (node for node in inside if current < node < ends[current] and not dropped[node]),
            key=share,
            default=None,
        )
        if best is not None and share(best) >= least * share(current):
            current = best
    if tags[current] == "article":
        return current
    while True:
        best = max(
            (
                child
                for child in dom.children(current)
                if tags[child] and tags[child] not in _NO_CONTAINERS and not dropped[child]
            ),
            key=share,
            default=None,
        )
        if best is None or share(best) < MIN_PROSE_SHARE * share(current):
            return current
        if pictures[ends[current]] > pictures[ends[best]]:
            return current
        current = best
        if tags[current] == "article":
            return current


def select_content(dom: Dom) -> Content:
    """The content of a page; the whole body where the rules would leave nothing."""
    body = next(iter(dom.positions("body")), 0)
    columns = _measure(dom)
    sums = _Columns(*(_total(getattr(columns, each.name)) for each in fields(columns)))
    dropped = _drop(dom, sums)
    prose = _cleared(columns.prose, dropped)
    pictures = _cleared(columns.pictures, dropped)
    chosen = _choose(dom, body, prose, pictures, dropped)
    start, end = chosen, dom.ends[chosen]
    for node in dom.positions("h1", body, chosen):
        if not dropped[node]:
            start = node
    return Content(start, end, dropped)
