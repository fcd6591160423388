"""What would cost a parser the square of a page's length, limited before it is parsed.

Trees are capped at `MAX_DEPTH` as browsers cap theirs: deeper tags are taken out of the source
before it is parsed, because parsing itself is quadratic in the depth; their text stays. A source
does not say everything: what a parser makes of tags that are made to deceive is limited while it is
made (`_page_lexbor.c`).
"""

import re
from collections import Counter

from schemas.errors import PageTooLargeError
from transforms import page_kernel, parse_kernel
from transforms.html_parsers import VOID
from transforms.markup import word_set

MAX_DEPTH = 512
"""Nested elements that are kept, as in Blink and WebKit."""

MAX_FORMATTING = 32
"""Open `b`, `font`, ...: a parser opens all of them again in each paragraph that follows."""

MAX_ATTRIBUTES = 5000
"""Attributes of one tag: parsers compare each with all before it, so a flood costs its square."""

DEPTH_CHECK_FROM = 8000
"""Fewer tags than this cannot nest deep enough to cost more than a fifth of a second."""

FORMATTING_CHECK_FROM = 2000
"""Fewer tags than this cannot multiply to more than half a million."""

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
    rb"<!--(?:-?>|.*?(?:--!?>|\Z))|<(%s)\b.*?(?:</\1|\Z)|<(/?)([a-zA-Z][^\s/>]*)[^>]*>?"
    % "|".join(sorted(RAW_TEXT)).encode(),
    re.S | re.I,
)
_FORMATTING_TAG = re.compile(
    rb"<(/?)(?:%s)(?=[ \t\n\f\r/>])" % "|".join(sorted(FORMATTING)).encode(), re.I
)
_QUOTED = re.compile(rb"\"[^\"]*\"|'[^']*'")
_UNTIL_TAG = re.compile(rb"\A.*?(?=</?[a-zA-Z]|\Z)", re.S)
_SEPARATOR = re.compile(rb"[\s\"']")


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
