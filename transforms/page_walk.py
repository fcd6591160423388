"""The content of a page as steps: the few tags that do something, and the text between them.

Most tags of a page are not content, most of the others only part lines or stand in one. What is
left is a tenth: elements that open something (a heading, a list, a picture), ends of lines, and
texts. `blocks.py` goes from one step to the next and decides what each element becomes.

This is the description; the kernel gives the same steps (`page_kernel.py` has the why).
"""

import re

import numpy as np
import numpy.typing as npt

from schemas.rows import Node
from transforms import page_kernel, walk_kernel
from transforms.content_features import BREAKING_NAMES
from transforms.dom import NAMES, Dom
from transforms.main_content import Content
from transforms.name_groups import HINTS

Step = tuple[int, int, int, str]
"""A tag; flags; the code of the element that opens there, or 0; and the characters behind it up to
the next step, as `plain_blanks` leaves them.

An element that opens something is a step only where content is in it. A line that may hold
something ends before the next one begins; where an element that is a step closes, a new step
begins with the next text."""

ENDS_LINE, WHOLE, ALONE = 1, 2, 4
"""Flags of a step: a line ends before it; its text has no `BREAK`, and a line ends behind it; no
other step is in its element."""

BREAK = "\x00"
"""Stands for `br` in a text; a parser lets no NUL through."""

BLANKS = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f "
"""White space of ASCII, as Python knows it."""

CONTROLS = "".join(chr(code) for code in (*range(1, 32), 127) if chr(code) not in BLANKS)
"""Control characters of ASCII that no line keeps."""

OPEN, LINE, SKIP, BREAKS, PICTURED, NAMED = 1, 2, 4, 8, 16, 32
"""What an element does, a bit each: it is a step; a line ends where it starts and closes; what is
in it is passed over; it is a `br`; it is a step where a picture is in it; it is a step where its
class may say what it is, and does the rest of its bits elsewhere."""

_STEPS = (
    "h1 h2 h3 h4 h5 h6 ul ol dl menu dir li dt dd figcaption caption img amp-img picture"
    " blockquote q rt figure noscript code table math"
)
_ACTIONS: dict[str, int] = (
    dict.fromkeys((*BREAKING_NAMES.split(), "hr"), LINE)
    | dict.fromkeys(("head", "title", "meta", "base", "input", "rp", "option"), SKIP)
    | dict.fromkeys(("span", "small", "cite", "sup"), NAMED)
    | dict.fromkeys(("p", "div"), NAMED | LINE)
    | dict.fromkeys(("pre", "listing", "plaintext", "xmp", "button"), OPEN | SKIP)
    | dict.fromkeys(_STEPS.split(), OPEN)
    | {"a": PICTURED, "br": BREAKS}
)
ACTIONS = np.array([_ACTIONS.get(name, 0) for name in NAMES], np.uint8)
"""What each element does, by its code."""

CLASS = b' class="'
"""How the attribute begins that says what an element is."""

_RUN_OF_BLANKS = re.compile(f"[{BLANKS}]+")
_NO_CONTROLS = dict.fromkeys(map(ord, CONTROLS))
# What no hint can be compared with byte by byte is left to the walker too.
_HINT = re.compile(b"[\x80-\xff]|" + "|".join(map(re.escape, sorted(HINTS))).encode(), re.I)


def plain_blanks(text: str) -> str:
    """A text with one blank for each run of `BLANKS` and without `CONTROLS`.

    Whatever else makes a clean line of it (`clean_text`) gives the same as before; a text of ASCII
    is clean then but for blanks at its ends.
    """
    return _RUN_OF_BLANKS.sub(" ", text.translate(_NO_CONTROLS))


def _is_named(dom: Dom, tag: int) -> bool:
    """Whether the class of an element may be one that `name_groups.py` knows."""
    # A value may end as an attribute begins: whatever may be the class is looked at.
    _, *behind = dom.source[dom.starts[tag] : dom.stops[tag]].split(CLASS)
    return any(_HINT.search(each.partition(b'"')[0]) for each in behind)


def _actions(dom: Dom, content: Content) -> npt.NDArray[np.uint8]:
    """What each tag does, given what is in its element."""
    size = len(dom)
    sums = np.zeros((2, size + 1), np.int64)
    np.cumsum([content.kept | content.images, content.images], axis=1, out=sums[:, 1:])
    ends = np.maximum(dom.closes, np.arange(size) + 1)
    held, images = sums[:, ends] - sums[:, :-1]
    actions = np.where(held > 0, ACTIONS[np.maximum(dom.tags, 0)], 0).astype(np.uint8)
    actions[(actions == PICTURED) & (images == 0)] = 0
    actions[actions == PICTURED] = OPEN
    for tag in np.flatnonzero(actions & NAMED).tolist():
        actions[tag] = OPEN if _is_named(dom, tag) else actions[tag] & LINE
    return actions


def read_steps(dom: Dom, content: Content) -> list[Step | Node]:
    """The steps of a page, in order.

    One that is a line by itself, and stands in no element that is a step, is its paragraph already,
    where that takes no more than leaving out blanks around it.
    """
    if page_kernel.AVAILABLE:
        return walk_kernel.read_steps(dom, content)
    actions = _actions(dom, content)
    closes = dom.closes
    line_ends = content.opens_line | (actions & LINE > 0)
    line_ends[closes[actions & LINE > 0]] = True
    run_ends = np.zeros(len(dom), np.bool_)
    run_ends[closes[actions & OPEN > 0]] = True
    # An `img` closes where it opens.
    run_ends &= dom.tags < 0
    has_text = content.kept & (dom.text_stops > dom.stops)
    active = np.flatnonzero(line_ends | run_ends | has_text | (actions > 0))
    found: list[tuple[int, bool, int]] = []
    texts: list[list[str]] = []
    skip_to = 0
    is_open = in_run = False  # whether the line may hold something; whether a step takes text
    for tag in active.tolist():
        if tag < skip_to:
            continue
        action = int(actions[tag])
        if run_ends[tag]:
            # The element may have written into the line.
            is_open, in_run = True, False
        ends_line = is_open and bool(line_ends[tag])
        is_open &= not ends_line
        if ends_line or action & OPEN:
            found.append((tag, ends_line, int(dom.tags[tag]) if action & OPEN else 0))
            texts.append([])
            in_run = True
            is_open |= bool(action & OPEN)
        if action & SKIP and closes[tag] > tag:
            skip_to = int(closes[tag])
            continue
        pieces = [BREAK] if action & BREAKS and is_open else []
        if has_text[tag]:
            text = dom.text_behind(tag)
            if is_open or text.strip(BLANKS):
                pieces.append(text)
        if pieces:
            if not in_run:
                found.append((tag, False, 0))
                texts.append([])
            texts[-1].extend(pieces)
            is_open = in_run = True
    steps: list[Step | Node] = []
    following = [*found, (len(dom), True, 0)][1:]
    open_until = 0  # where the elements close that are steps
    for (tag, ends_line, code), pieces, (behind, ends, _) in zip(
        found, texts, following, strict=True
    ):
        text = plain_blanks("".join(pieces))
        is_whole = bool(text and ends and BREAK not in text)
        is_line = is_whole and (ends_line or not steps) and not code and tag >= open_until
        line = text.strip(BLANKS)
        if is_line and line and line.isprintable():
            steps.append(Node("text", "paragraph", line))
            continue
        is_alone = bool(code and behind >= closes[tag])
        flags = ENDS_LINE * ends_line + WHOLE * is_whole + ALONE * is_alone
        steps.append((tag, flags, code, text))
        open_until = max(open_until, int(closes[tag])) if code else open_until
    return steps
