"""HTML as strangers write it becomes markup as the standard reads it: two parsers, one spelling.

`lexbor` (selectolax) is the fast one. `beautifulsoup` (BeautifulSoup over html5lib) follows the
same standard in plain Python: the reference that the fast one is tested against, and the second try
for a page it refuses.

Both give their tree back as *canonical markup*, the standard's own serialisation
(html.spec.whatwg.org, 13.3) of what is read: every element is closed, every attribute is quoted,
`<` and `>` stand only around tags. Comments, doctypes and elements whose content is never read
(`NEVER_READ`) are gone. So whatever follows reads one simple grammar, and reads it fast.

Most pages do without a tree: the page kernel writes their markup while it reads them
(`stream_parser.py`), the bytes that lexbor's tree would be written as, and leaves to lexbor what it
has no rule for. Whatever is said of the backend `lexbor` holds for both.

lexbor is called in one of two ways that write the same bytes. The direct one: the page kernel calls
the functions of the lexbor inside selectolax and writes the markup in one walk, in half the time
of the other; `parse_kernel.py` says what that relies on. The public one, selectolax's own, is taken
where the direct one is not there, and where the two do not agree on `_SPECIMEN`, which is tried
once in each process (`reads_directly`).

What would cost a parser the square of a page's length is limited before (`source_limits.py`).
"""

import logging
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from time import monotonic
from typing import Any

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser, SelectolaxError

from schemas.errors import HtmlParseError
from transforms import parse_kernel
from transforms.markup import word_set
from transforms.stream_parser import MOST_MARKUP

logger = logging.getLogger(__name__)

BACKENDS = ("lexbor", "beautifulsoup")

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

MAX_LEVELS = 30_000
"""Elements around one another. Sloppy pages of megabytes nest thousands deep, by end tags in the
wrong order; what is deeper takes the square of its length."""

MEMORY_OF_MARKUP = 32
"""Bytes that lexbor may take for a byte of markup that a page may have. Real pages take a thirtieth
of it and less; one that opens a `b` in each paragraph and closes none takes a third."""

MOST_MEMORY = 1 << 30
"""Bytes that lexbor may take for a page."""

LEXBOR_OPTIONS = int(LexborDocumentOptions.WO_EVENTS)
"""lexbor's events would copy a chosen option to where its menu shows it, which is not read, and
take time with the square of a menu's options."""

NOT_IN_NAMES = " \t\n\v\f\r/<>\"'="
"""Characters of names that markup cannot spell. Such an attribute is left out; such an element is
written as a `span`."""

_TEMPLATE = re.compile(r"<(/?)template(?=[\s/>])[^>]*>", re.I)
_COMMENT = re.compile(rb"<!--.*?-->", re.S)
_NAME = re.compile(rf"[^{NOT_IN_NAMES}]+\Z")
# Where lexbor's own serialisation is not canonical, or may not be: raw text, void elements that
# have end tags here, foreign ones, and names that cannot be spelled.
_NOT_CANONICAL = re.compile(
    rb"<(?:xmp|plaintext|frame|basefont|bgsound|keygen|math)[ >]|<[^a-z/]"
    rb"|<[a-z][^\s/<>\"'=]*+(?: [^\s/<>\"'=]++=\"[^\"<>]*+\")*+(?!>)"
)


def _check_size(size: int, largest: int) -> None:
    if size > largest:
        raise OverflowError(f"more than {largest} bytes of markup")


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
    """Canonical markup of a tree, node by node: the rules, for both ways."""
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


def _public_lexbor(source: bytes) -> bytes:
    """Canonical markup by what selectolax offers to everybody; raises what it raises."""
    source.decode("utf-8")
    tree = LexborHTMLParser(source, options=LEXBOR_OPTIONS)
    if tree.root is None:
        raise RuntimeError("the page has no root element")
    # Taken out first: lexbor's serialisation is ten times faster than ours, and mostly the same.
    tree.strip_tags(NEVER_READ)
    markup = _COMMENT.sub(b"", (tree.root.html or "").encode("utf-8"))
    return _write_lexbor(tree.root) if _NOT_CANONICAL.search(markup) else markup


# Something of each kind that a writer treats in its own way.
_SPECIMEN = """<!doctype html><!-- a --><html lang=en a="<&gt;&nbsp;&quot;'£"><head><title>t
&amp; <b></title><script>x<y</script><meta charset=utf-8></head><body @click=f "=1 q"r=2 class>
<p id=x>1<b>2<p>3</b> &copy; 海<!-- <p> --><br/><x<y =z>4</x<y><img alt=5 src=a&amp;b><hr>
<table>6<tr><td>7<select><option>8</select></table><svg><title>9</title></svg><math xlink:href=u
definitionurl=v><mi>10</mi><annotation-xml>11</annotation-xml></math><template><p>12</template>
<textarea>13</textarea><noscript><img src=c></noscript><ul><li>14<li>15</ul><xmp><i>&amp;</xmp>
<pre>

16</pre><keygen><plaintext>17</p><p>""".encode()


def _direct_lexbor(source: bytes, largest: int = MOST_MARKUP, deadline: float = math.inf) -> bytes:
    """Canonical markup by lexbor's functions, as `canonical_lexbor`."""
    most_memory = min(MEMORY_OF_MARKUP * largest, MOST_MEMORY)
    return parse_kernel.lexbor_markup(source, largest, most_memory, deadline - monotonic())


@cache
def reads_directly() -> bool:
    """Whether lexbor is called directly in this process."""
    if not parse_kernel.has_lexbor():
        return False
    agree = _direct_lexbor(_SPECIMEN) == _public_lexbor(_SPECIMEN)
    if not agree:
        logger.warning("the page kernel reads lexbor's trees wrongly: it is not used for them")
    return agree


def canonical_lexbor(
    source: bytes, largest: int = MOST_MARKUP, deadline: float = math.inf
) -> bytes:
    """Canonical markup by lexbor, UTF-8, from `<html>` on.

    Where lexbor is called directly its tree has limits too; selectolax's own way has none.

    Args:
        source: The page, UTF-8.
        largest: Bytes of markup that it may have.
        deadline: When parsing is given up, by `time.monotonic()`.

    Raises:
        HtmlParseError: lexbor refuses the page.
        OverflowError: The page is too large, or nests too deep.
        TimeoutError: The deadline is over.
        MemoryError: The machine has no more; that says nothing about the page.
    """
    try:
        if reads_directly():
            return _direct_lexbor(source, largest, deadline)
        markup = _public_lexbor(source)
    except (SelectolaxError, RuntimeError, ValueError) as error:
        raise HtmlParseError(f"lexbor: {error}") from error
    _check_size(len(markup), largest)
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


def _write_soup(root: Any) -> Iterator[str]:
    """Canonical markup of BeautifulSoup's tree, in pieces."""
    from bs4.element import NavigableString, PreformattedString, Tag

    # Entries: a node to write, or the end tag of one that was.
    waiting: list[Any] = [root]
    while waiting:
        node = waiting.pop()
        if type(node) is str:
            yield node
        elif isinstance(node, Tag):
            if node.name in NEVER_READ:
                continue
            name = node.name if _NAME.match(node.name) else "span"
            yield _start_tag(name, ((str(key), str(value)) for key, value in node.attrs.items()))
            if name not in VOID:
                waiting.append(f"</{name}>")
                waiting.extend(reversed(node.contents))
        elif isinstance(node, NavigableString) and not isinstance(node, PreformattedString):
            yield escape_text(str(node))


def canonical_beautifulsoup(source: bytes, largest: int = MOST_MARKUP) -> bytes:
    """Canonical markup by BeautifulSoup over html5lib, UTF-8, from `<html>` on.

    Args as for `canonical_lexbor`; its tree and its time have no limit.

    Raises `HtmlParseError`, and `OverflowError` where the page is too large.
    """
    # Imported here: the second backend is needed for the odd page, or to check the first.
    from bs4 import BeautifulSoup

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
    if soup.html is None:
        raise HtmlParseError("beautifulsoup: the page has no root element")
    out = bytearray()
    for piece in _write_soup(soup.html):
        out += piece.encode("utf-8", "replace")
        _check_size(len(out), largest)
    return bytes(out)
