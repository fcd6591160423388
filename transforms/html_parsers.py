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

Trees are capped at `MAX_DEPTH` as browsers cap theirs: deeper tags are taken out of the source
before it is parsed, because parsing itself is quadratic in the depth; their text stays.
"""

import logging
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser, SelectolaxError

from schemas.errors import HtmlParseError, PageTooLargeError
from transforms import page_kernel, parse_kernel
from transforms.markup import word_set

logger = logging.getLogger(__name__)

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

DEPTH_CHECK_FROM = 8000
"""Fewer tags than this cannot nest deep enough to cost more than a fifth of a second."""

FORMATTING_CHECK_FROM = 2000
"""Fewer tags than this cannot multiply to more than half a million."""

LEXBOR_OPTIONS = int(LexborDocumentOptions.WO_EVENTS)
"""lexbor's events would copy a chosen option to where its menu shows it, which is not read, and
take time with the square of a menu's options."""

NOT_IN_NAMES = " \t\n\v\f\r/<>\"'="
"""Characters of names that markup cannot spell. Such an attribute is left out; such an element is
written as a `span`."""

LONG_TAG = 20_000
"""Bytes of a tag that are worth to count its attributes."""

# Elements that close themselves when the next one opens: their number says nothing about depth.
_SELF_CLOSING = word_set("p li td th tr dt dd option a html head body thead tbody tfoot colgroup")
FORMATTING = word_set("b big code em font i nobr s small strike strong tt u")
"""Elements that a parser opens again in what follows."""

NOT_NESTING = VOID | _SELF_CLOSING
"""Elements that are passed over where depth is limited."""

RAW_TEXT = word_set("script style textarea title xmp iframe")
"""Elements whose content is text; it is passed over."""

_TAG = re.compile(
    rb"<!--.*?(?:-->|\Z)|<(%s)\b.*?(?:</\1|\Z)|<(/?)([a-zA-Z][^\s/>]*)[^>]*>?"
    % "|".join(sorted(RAW_TEXT)).encode(),
    re.S | re.I,
)
_FORMATTING_TAG = re.compile(
    rb"<(/?)(?:%s)(?=[ \t\n\f\r/>])" % "|".join(sorted(FORMATTING)).encode(), re.I
)
_TEMPLATE = re.compile(r"<(/?)template(?=[\s/>])[^>]*>", re.I)
_QUOTED = re.compile(rb"\"[^\"]*\"|'[^']*'")
_UNTIL_TAG = re.compile(rb"\A.*?(?=</?[a-zA-Z]|\Z)", re.S)
_SEPARATOR = re.compile(rb"[\s\"']")
_COMMENT = re.compile(rb"<!--.*?-->", re.S)
_NAME = re.compile(rf"[^{NOT_IN_NAMES}]+\Z")
# Where lexbor's own serialisation is not canonical, or may not be: raw text, void elements that
# have end tags here, foreign ones, and names that cannot be spelled.
_NOT_CANONICAL = re.compile(
    rb"<(?:xmp|plaintext|frame|basefont|bgsound|keygen|math)[ >]|<[^a-z/]"
    rb"|<[a-z][^\s/<>\"'=]*+(?: [^\s/<>\"'=]++=\"[^\"<>]*+\")*+(?!>)"
)


def _count_tags(source: bytes) -> tuple[int, int, int]:
    """What tells that a source could cost the square of its length.

    Returns:
        How many `<` there are; how many more formatting elements are opened than closed; and the
        most white space and quotes in a tag of `LONG_TAG` bytes or more, which may be in a script.
    """
    ends = _FORMATTING_TAG.findall(source)
    tags = (_UNTIL_TAG.sub(b"", gap, 1) for gap in source.split(b">") if len(gap) >= LONG_TAG)
    crowd = max((len(_SEPARATOR.findall(tag)) for tag in tags if len(tag) >= LONG_TAG), default=0)
    return source.count(b"<"), len(ends) - 2 * ends.count(b"/"), crowd


def _check_attributes(source: bytes) -> None:
    # Scripts are passed over: a comparison in one looks like a tag.
    for match in _TAG.finditer(source):
        if match.group(3) and match.end() - match.start() > LONG_TAG:
            count = len(_QUOTED.sub(b" ", match.group()).split()) - 1
            if count > MAX_ATTRIBUTES:
                raise PageTooLargeError(
                    f"a tag with about {count} attributes, over {MAX_ATTRIBUTES}"
                )


def _limit_depth(source: bytes) -> bytes:
    """The source without tags beyond `MAX_DEPTH` and `MAX_FORMATTING`; linear in its length."""
    pieces: list[bytes] = []
    copied = 0
    open_names: list[str] = []
    counts: Counter[str] = Counter()
    formatting = 0
    too_deep: Counter[str] = Counter()
    for match in _TAG.finditer(source):
        if match.group(3) is None:
            continue
        name = match.group(3).lower().decode()
        if name in NOT_NESTING:
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
                        formatting -= closed in FORMATTING
                continue
        elif len(open_names) < MAX_DEPTH and (
            formatting < MAX_FORMATTING or name not in FORMATTING
        ):
            open_names.append(name)
            counts[name] += 1
            formatting += name in FORMATTING
            continue
        else:
            too_deep[name] += 1
        pieces.append(source[copied : match.start()])
        copied = match.end()
    pieces.append(source[copied:])
    return b"".join(pieces)


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


@cache
def reads_directly() -> bool:
    """Whether lexbor is called directly in this process."""
    if not parse_kernel.has_lexbor():
        return False
    agree = parse_kernel.lexbor_markup(_SPECIMEN) == _public_lexbor(_SPECIMEN)
    if not agree:
        logger.warning("the page kernel reads lexbor's trees wrongly: it is not used for them")
    return agree


def canonical_lexbor(source: bytes) -> bytes:
    """Canonical markup by lexbor, UTF-8, from `<html>` on.

    Args:
        source: The page, UTF-8.

    Raises `HtmlParseError`.
    """
    try:
        return parse_kernel.lexbor_markup(source) if reads_directly() else _public_lexbor(source)
    except (SelectolaxError, RuntimeError, ValueError, MemoryError) as error:
        raise HtmlParseError(f"lexbor: {error}") from error


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
    if page_kernel.AVAILABLE:
        source, (tags, left_open, crowd) = parse_kernel.slim(html)
    else:
        source = html.encode("utf-8", "replace")
        tags, left_open, crowd = _count_tags(source)
    may_be_deep = tags > DEPTH_CHECK_FROM
    may_be_deep |= tags > FORMATTING_CHECK_FROM and left_open > MAX_FORMATTING
    if crowd > MAX_ATTRIBUTES or may_be_deep:
        whole = html.encode("utf-8", "replace")
        if crowd > MAX_ATTRIBUTES:
            _check_attributes(whole)
        if may_be_deep:
            limited = parse_kernel.limit_depth(whole) if page_kernel.AVAILABLE else None
            source = _limit_depth(whole) if limited is None else limited
            if page_kernel.AVAILABLE:
                source, _ = parse_kernel.slim(source.decode())
    return source
