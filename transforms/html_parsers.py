"""HTML as strangers write it becomes markup as the standard reads it: two parsers, one spelling.

`lexbor` (selectolax) is the fast one. `beautifulsoup` (BeautifulSoup over html5lib) follows the
same standard in plain Python: the reference that the fast one is tested against, and the second try
for a page it refuses.

Both give their tree back as *canonical markup*, the standard's own serialisation
(html.spec.whatwg.org, 13.3) of what is read: every element is closed, every attribute is quoted,
`<` and `>` stand only around tags. Comments, doctypes and elements whose content is never read
(`NEVER_READ`) are gone. So whatever follows reads one simple grammar, and reads it fast.

Trees are capped at `MAX_DEPTH` as browsers cap theirs: deeper tags are taken out of the source
before it is parsed, because parsing itself is quadratic in the depth; their text stays.
"""

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from selectolax.lexbor import LexborHTMLParser, SelectolaxError

from schemas.errors import HtmlParseError, PageTooLargeError
from transforms import page_kernel
from transforms.markup import word_set

Octets = npt.NDArray[Any]

BACKENDS = ("lexbor", "beautifulsoup")

MAX_DEPTH = 512
"""Nested elements that are kept, as in Blink and WebKit."""

MAX_TAGS = 1_000_000
"""Tags of the parsed page; beyond them a page takes more than half a gigabyte of memory."""

_NEVER_READ = (
    "script style link template svg iframe noembed noframes canvas textarea select datalist audio"
    " video object annotation annotation-xml"
)
NEVER_READ = _NEVER_READ.split()
"""Elements that hold no text or image of the page for a reader: they are not read."""

VOID = word_set("area base br col embed hr img input link meta param source track wbr")
"""Elements without an end tag."""

MAX_FORMATTING = 32
"""Open `b`, `font`, ...: a parser opens all of them again in each paragraph that follows."""

MAX_ATTRIBUTES = 5000
"""Attributes of one tag: parsers compare each with all before it, so a flood costs its square."""

_DEPTH_CHECK_FROM = 8000
"""Fewer tags than this cannot nest deep enough to cost more than a fifth of a second."""

MAX_OPTIONS = 1000
"""Options of a page's menus; lexbor takes time with their square, and nobody reads them."""

_FORMATTING_CHECK_FROM = 2000
"""Fewer tags than this cannot multiply to more than half a million."""

# Elements that close themselves when the next one opens: their number says nothing about depth.
_SELF_CLOSING = word_set("p li td th tr dt dd option a html head body thead tbody tfoot colgroup")
_FORMATTING = word_set("b big code em font i nobr s small strike strong tt u")
_LOWER = np.uint64(0x2020202020202020)
# White space, `/` and `>`, with the bit that `_LOWER` sets.
_NAME_ENDS = np.array(sorted({byte | 0x20 for byte in b" \t\n\r\f/>"}), np.uint64)
_TAG = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style|textarea|title|xmp|iframe)\b.*?(?:</\1|\Z)|<(/?)([a-zA-Z][^\s/>]*)[^>]*>?",
    re.S | re.I,
)
_TEMPLATE = re.compile(r"<(/?)template(?=[\s/>])[^>]*>", re.I)
_LONG_TAG_LENGTH = 20_000
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_OPTION = re.compile(rb"</?opt(?:ion|group)(?=[\s/>])[^>]*>", re.I)
_COMMENT = re.compile(rb"<!--.*?-->", re.S)
_RAW_TEXT = re.compile(rb"<(?:xmp|plaintext)[ >]")
_NAME = re.compile(r"[a-z][^\s/<>\"'=]*\Z")


def _tag_names(source: bytes) -> tuple[Octets, Octets]:
    """Offset of each `<`, and the eight bytes behind it in lower case, little-endian."""
    padded = source + b"\0" * 16
    starts = np.flatnonzero(np.frombuffer(padded, np.uint8) == 60)
    following = np.ndarray(len(source) + 8, "<u8", padded, strides=(1,))[starts + 1]
    return starts, following | _LOWER


def _check_attributes(html: str) -> None:
    # Scripts are passed over: a comparison in one looks like a tag.
    for match in _TAG.finditer(html):
        if match.group(3) and match.end() - match.start() > _LONG_TAG_LENGTH:
            count = len(_QUOTED.sub(" ", match.group()).split()) - 1
            if count > MAX_ATTRIBUTES:
                raise PageTooLargeError(
                    f"a tag with about {count} attributes, over {MAX_ATTRIBUTES}"
                )


def _leaves_formatting(names: Octets) -> bool:
    """Whether more formatting elements are opened than closed, by a simple count."""
    balance = 0
    for name in _FORMATTING:
        for length, sign, lead in ((len(name), 1, ""), (len(name) + 1, -1, "/")):
            mask = np.uint64((1 << (8 * length)) - 1)
            letters = np.uint64(int.from_bytes((lead + name).encode(), "little")) | _LOWER
            named = names[(names & mask) == (letters & mask)]
            after = (named >> np.uint64(8 * length)) & np.uint64(255)
            balance += sign * int(np.isin(after, _NAME_ENDS).sum())
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
        if name in VOID or name in _SELF_CLOSING:
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


def escape_text(text: str) -> str:
    """Characters as canonical markup spells them between tags."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("\u00a0", "&nbsp;")


def _start_tag(name: str, attributes: Iterable[tuple[str, str]]) -> str:
    pairs = (
        f' {key}="{escape_text(value).replace(chr(34), "&quot;")}"'
        for key, value in attributes
        if _NAME.match(key)
    )
    return f"<{name}{''.join(pairs)}>"


def _write_lexbor(root: Any) -> bytes:
    """Canonical markup of a tree, node by node: for names that lexbor's serialiser leaves bare."""
    out: list[str] = []
    node, open_nodes = root, []
    while True:
        name = node.tag
        child = None
        if name == "-text":
            out.append(escape_text(node.text_content or ""))
        elif name is not None and name[0] not in "-!" and name not in NEVER_READ:
            written = name if _NAME.match(name) else "span"
            attributes: Mapping[str, str | None] = node.attributes
            out.append(
                _start_tag(written, ((key, value or "") for key, value in attributes.items()))
            )
            if name not in VOID:
                child = node.first_child
                if child is not None:
                    open_nodes.append((node, written))
                    node = child
                    continue
                out.append(f"</{written}>")
        while open_nodes and (following := node.next) is None:
            node, written = open_nodes.pop()
            out.append(f"</{written}>")
        if not open_nodes:
            return "".join(out).encode("utf-8", "replace")
        node = following


def canonical_lexbor(source: bytes, *, node_by_node: bool = False) -> bytes:
    """Canonical markup by lexbor, UTF-8, from `<html>` on.

    Args:
        source: The page, UTF-8.
        node_by_node: Write it here, not in lexbor: some ten times slower, and safe where element
        or attribute names hold characters like `<` that markup cannot spell.

    Raises `HtmlParseError`.
    """
    try:
        tree = LexborHTMLParser(source)
        if tree.root is None:
            raise HtmlParseError("lexbor: the page has no root element")
        if node_by_node:
            return _write_lexbor(tree.root)
        tree.strip_tags(NEVER_READ)
        markup = (tree.root.html or "").encode("utf-8", "replace")
    except (SelectolaxError, RuntimeError, ValueError, MemoryError) as error:
        raise HtmlParseError(f"lexbor: {error}") from error
    if (b"<xmp" in markup or b"<plaintext" in markup) and _RAW_TEXT.search(markup):
        return _write_lexbor(tree.root)
    if b"<!--" in markup:
        markup = _COMMENT.sub(b"", markup)
    return markup


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


def canonical_beautifulsoup(source: bytes) -> bytes:
    """Canonical markup by BeautifulSoup over html5lib, UTF-8, from `<html>` on.

    Raises `HtmlParseError`.
    """
    # Imported here: the second backend is needed for the odd page, or to check the first.
    from bs4 import BeautifulSoup
    from bs4.element import NavigableString, PreformattedString, Tag

    try:
        with warnings.catch_warnings():
            # Its hints (text that looks like a URL, XML in an HTML parser) are for people at a
            # prompt.
            warnings.simplefilter("ignore")
            soup = BeautifulSoup(
                _without_templates(source.decode("utf-8")),
                "html5lib",
                multi_valued_attributes=None,
            )
    except Exception as error:  # html5lib raises whatever its tables lead to
        raise HtmlParseError(f"beautifulsoup: {type(error).__name__}: {error}") from error
    root = soup.html
    if root is None:
        raise HtmlParseError("beautifulsoup: the page has no root element")
    out: list[str] = []
    # Entries: a node to write, or the end tag of one that was.
    waiting: list[Any] = [root]
    while waiting:
        node = waiting.pop()
        if type(node) is str:
            out.append(node)
        elif isinstance(node, Tag):
            if node.name in NEVER_READ:
                continue
            name = node.name if _NAME.match(node.name) else "span"
            out.append(
                _start_tag(name, ((str(key), str(value)) for key, value in node.attrs.items()))
            )
            if name not in VOID:
                waiting.append(f"</{name}>")
                waiting.extend(reversed(node.contents))
        elif isinstance(node, NavigableString) and not isinstance(node, PreformattedString):
            out.append(escape_text(str(node)))
    return "".join(out).encode("utf-8", "replace")


def prepare_source(html: str) -> bytes:
    """The source of a page as the parsers may see it, UTF-8.

    Nesting that costs its square is taken out and, where the kernel is there, what stands in
    scripts and styles, which is not read.

    Raises:
        PageTooLargeError: A tag with more than `MAX_ATTRIBUTES` attributes.
    """
    # Bytes, because lexbor takes no lone surrogates.
    source = html.encode("utf-8", "replace")
    if page_kernel.AVAILABLE:
        slimmed, tags, longest = page_kernel.slim(source)
    else:
        starts, _ = _tag_names(source)
        slimmed, tags = source, len(starts)
        longest = int(np.diff(np.append(starts, len(source))).max(initial=0))
    if longest >= _LONG_TAG_LENGTH:
        _check_attributes(html)
    if tags > _DEPTH_CHECK_FROM or (
        tags > _FORMATTING_CHECK_FROM and _leaves_formatting(_tag_names(source)[1])
    ):
        slimmed = _limit_depth(html).encode("utf-8", "replace")
    if tags > MAX_OPTIONS and len(_OPTION.findall(slimmed)) > MAX_OPTIONS:
        slimmed = _OPTION.sub(b" ", slimmed)
    return slimmed
