"""A page as flat lists in document order: one small DOM, two parsers that fill it.

`lexbor` (selectolax) is the fast one. `beautifulsoup` (BeautifulSoup over html5lib) follows the
same standard in plain Python: the reference that the fast one is tested against, and the second try
for a page it refuses.

The DOM is a handful of parallel lists, a position a node, in document order; the subtree of node
`i` is the range `[i, ends[i])`. So every later step is a loop over a range, sums over subtrees are
differences of prefix sums, and nothing recurses however deep a page nests. Comments, doctypes and
elements whose content is never read (`NEVER_READ`) do not enter it. Trees are capped at `MAX_DEPTH`
as browsers cap theirs: deeper tags are taken out of the source before it is parsed, because parsing
itself is quadratic in the depth; their text stays.
"""

import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from selectolax.lexbor import LexborHTMLParser, SelectolaxError

from schemas.errors import HtmlParseError, PageTooLargeError
from transforms.markup import word_set

BACKENDS = ("lexbor", "beautifulsoup")

MAX_DEPTH = 512
"""Nested elements that are kept, as in Blink and WebKit."""

MAX_DOM_NODES = 1_500_000
"""Elements and texts of a page; beyond them a page takes more than half a gigabyte of memory."""

NEVER_READ = word_set(
    "script style link template svg iframe noembed noframes canvas textarea select datalist audio"
    " video annotation annotation-xml"
)
"""Elements that hold no text or image of the page for a reader: they are not in the DOM."""

MAX_FORMATTING = 32
"""Open `b`, `font`, ...: a parser opens all of them again in each paragraph that follows."""

MAX_ATTRIBUTES = 5000
"""Attributes of one tag: parsers compare each with all before it, so a flood costs its square."""

_DEPTH_CHECK_FROM = 8000
"""Fewer tags than this cannot nest deep enough to cost more than a fifth of a second."""

_FORMATTING_CHECK_FROM = 2000
"""Fewer tags than this cannot multiply to more than half a million."""

_VOID = word_set("area base br col embed hr img input link meta param source track wbr")
# Elements that close themselves when the next one opens: their number says nothing about depth.
_SELF_CLOSING = word_set("p li td th tr dt dd option a html head body thead tbody tfoot colgroup")
_FORMATTING = word_set("b big code em font i nobr s small strike strong tt u")
_FORMATTING_TAG = re.compile(rf"<(/?)(?:{'|'.join(sorted(_FORMATTING))})(?=[\s/>])", re.I)
_TAG = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style|textarea|title|xmp|iframe)\b.*?(?:</\1|\Z)|<(/?)([a-zA-Z][^\s/>]*)[^>]*>?",
    re.S | re.I,
)
_TEMPLATE = re.compile(r"<(/?)template(?=[\s/>])[^>]*>", re.I)
# Elements whose attributes nobody asks for: reading them costs more than everything else about
# them.
_BARE = word_set("b i br em hr strong sup sub tbody thead u wbr")
_LONG_TAG_LENGTH = 20_000
_LONG_TAG = re.compile(rf"<[a-zA-Z][^<>]{{{_LONG_TAG_LENGTH - 1},}}")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_NO_ATTRIBUTES: Mapping[str, str | None] = {}


@dataclass(slots=True)
class Dom:
    """A parsed page. All lists have one entry a node, in document order."""

    tags: list[str] = field(default_factory=list)
    """Lower-case element name; empty for a text."""
    ends: list[int] = field(default_factory=list)
    """Position after the last node of the subtree."""
    parents: list[int] = field(default_factory=list)
    """Position of the parent; -1 for the root."""
    texts: list[str] = field(default_factory=list)
    """Characters of a text, entities decoded; empty for an element."""
    attributes: list[Mapping[str, str | None]] = field(default_factory=list)
    """Attributes of an element, names in lower case; an empty value may be None."""

    def __len__(self) -> int:
        return len(self.tags)

    def children(self, node: int) -> Iterator[int]:
        """Positions of the children of a node."""
        child, end = node + 1, self.ends[node]
        while child < end:
            yield child
            child = self.ends[child]

    def positions(self, name: str, start: int = 0, end: int | None = None) -> list[int]:
        """Positions of the elements of one name in a range, in order."""
        tags, found = self.tags, []
        node, end = start, len(self.tags) if end is None else end
        with suppress(ValueError):
            while True:
                node = tags.index(name, node, end)
                found.append(node)
                node += 1
        return found

    def attribute(self, node: int, name: str) -> str:
        """Value of an attribute; empty where it is missing or has none."""
        return self.attributes[node].get(name) or ""


def _check_size(dom: Dom) -> None:
    if len(dom.tags) > MAX_DOM_NODES:
        raise PageTooLargeError(f"more than {MAX_DOM_NODES} elements and texts")


def _check_attributes(html: str) -> None:
    if max(map(len, html.split("<"))) < _LONG_TAG_LENGTH:
        return
    for match in _LONG_TAG.finditer(html):
        count = len(_QUOTED.sub(" ", match.group()).split())
        if count > MAX_ATTRIBUTES:
            raise PageTooLargeError(f"a tag with about {count} attributes, over {MAX_ATTRIBUTES}")


def _leaves_formatting(html: str) -> bool:
    """Whether more formatting elements are opened than closed, by a simple count."""
    balance = sum(-1 if slash else 1 for slash in _FORMATTING_TAG.findall(html))
    return balance > MAX_FORMATTING


def _limit_depth(html: str) -> str:
    """The source without tags beyond `MAX_DEPTH` and `MAX_FORMATTING`; linear in its length."""
    pieces: list[str] = []
    copied = 0
    open_names: list[str] = []
    counts: Counter[str] = Counter()
    formatting = 0
    too_deep: Counter[str] = Counter()
    for match in _TAG.finditer(html):
        name = match.group(3)
        if name is None:
            continue
        name = name.lower()
        if name in _VOID or name in _SELF_CLOSING:
            continue
        if match.group(2):
            if too_deep[name]:
                too_deep[name] -= 1
            else:
                if counts[name]:
                    closed = ""
                    while closed != name:
                        closed = open_names.pop()
                        counts[closed] -= 1
                        formatting -= closed in _FORMATTING
                continue
        elif len(open_names) < MAX_DEPTH and (
            formatting < MAX_FORMATTING or name not in _FORMATTING
        ):
            open_names.append(name)
            counts[name] += 1
            formatting += name in _FORMATTING
            continue
        else:
            too_deep[name] += 1
        pieces.append(html[copied : match.start()])
        copied = match.end()
    pieces.append(html[copied:])
    return "".join(pieces)


def _read_lexbor(html: str) -> Dom:
    try:
        # Bytes, because lexbor takes no lone surrogates; the document keeps the bytes alive.
        root = LexborHTMLParser(html.encode("utf-8", "replace")).root
    except (SelectolaxError, RuntimeError, ValueError, MemoryError) as error:
        raise HtmlParseError(f"lexbor: {error}") from error
    if root is None:
        raise HtmlParseError("lexbor: the page has no root element")
    dom = Dom()
    tags, ends, parents, texts, attributes = (
        dom.tags,
        dom.ends,
        dom.parents,
        dom.texts,
        dom.attributes,
    )
    parent = -1
    node: Any = root
    while True:
        name = node.tag
        if name == "-text":
            tags.append("")
            texts.append(node.text_content or "")
            attributes.append(_NO_ATTRIBUTES)
            parents.append(parent)
            ends.append(len(tags))
        elif name is not None and name[0] not in "-!" and name not in NEVER_READ:
            position = len(tags)
            tags.append(name)
            texts.append("")
            attributes.append(_NO_ATTRIBUTES if name in _BARE else node.attributes)
            parents.append(parent)
            ends.append(position + 1)
            child = node.first_child
            if child is not None:
                parent = position
                node = child
                continue
        if parent < 0:
            return dom
        following = node.next
        while following is None:
            ends[parent] = len(tags)
            parent = parents[parent]
            if parent < 0:
                return dom
            node = node.parent
            following = node.next
        node = following
        if len(tags) > MAX_DOM_NODES:
            _check_size(dom)


def _without_templates(html: str) -> str:
    """The source without `template` elements, which html5lib does not know."""
    kept: list[str] = []
    copied = depth = 0
    for match in _TEMPLATE.finditer(html):
        if match.group(1):
            if depth == 1:
                copied = match.end()
            depth = max(0, depth - 1)
        else:
            if depth == 0:
                kept.append(html[copied : match.start()])
            depth += 1
    if depth == 0:
        kept.append(html[copied:])
    return "".join(kept)


def _read_beautifulsoup(html: str) -> Dom:
    # Imported here: the second backend is needed for the odd page, or to check the first.
    from bs4 import BeautifulSoup
    from bs4.element import NavigableString, PreformattedString, Tag

    try:
        with warnings.catch_warnings():
            # Its hints (text that looks like a URL, XML in an HTML parser) are for people at a
            # prompt.
            warnings.simplefilter("ignore")
            soup = BeautifulSoup(
                _without_templates(html.encode("utf-8", "replace").decode("utf-8")),
                "html5lib",
                multi_valued_attributes=None,
            )
    except Exception as error:  # html5lib raises whatever its tables lead to
        raise HtmlParseError(f"beautifulsoup: {type(error).__name__}: {error}") from error
    root = soup.html
    if root is None:
        raise HtmlParseError("beautifulsoup: the page has no root element")
    dom = Dom()
    # Entries: a node to read with its parent's position, or an element to close (None, position).
    waiting: list[tuple[Any, int]] = [(root, -1)]
    while waiting:
        node, parent = waiting.pop()
        if node is None:
            dom.ends[parent] = len(dom.tags)
            continue
        position = len(dom.tags)
        if isinstance(node, Tag):
            if node.name in NEVER_READ:
                continue
            dom.tags.append(node.name)
            dom.texts.append("")
            dom.attributes.append(
                _NO_ATTRIBUTES
                if node.name in _BARE
                else {str(key): str(value) for key, value in node.attrs.items()}
            )
            waiting.append((None, position))
            waiting.extend((child, position) for child in reversed(node.contents))
        elif isinstance(node, NavigableString) and not isinstance(node, PreformattedString):
            dom.tags.append("")
            dom.texts.append(str(node))
            dom.attributes.append(_NO_ATTRIBUTES)
        else:
            continue
        dom.parents.append(parent)
        dom.ends.append(position + 1)
        if len(dom.tags) > MAX_DOM_NODES:
            _check_size(dom)
    return dom


def parse_html(html: str, backend: str = "lexbor") -> Dom:
    """Parses a page.

    Args:
        html: The page, decoded.
        backend: `lexbor` or `beautifulsoup`.

    Raises:
        HtmlParseError: The backend refuses the page.
        PageTooLargeError: More than `MAX_DOM_NODES` nodes, or `MAX_ATTRIBUTES` in a tag.
    """
    _check_attributes(html)
    tags = html.count("<")
    if tags > _DEPTH_CHECK_FROM or (tags > _FORMATTING_CHECK_FROM and _leaves_formatting(html)):
        html = _limit_depth(html)
    if backend == "lexbor":
        return _read_lexbor(html)
    if backend == "beautifulsoup":
        return _read_beautifulsoup(html)
    raise ValueError(f"backend is one of {', '.join(BACKENDS)}, not {backend!r}")
