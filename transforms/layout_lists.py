"""Lists that are none: `ul` and `ol` whose items are posts, products or teasers.

Shops, forums and news sites put each part of a page into an item. Written as a list, the
paragraphs of a thread would be bullets, and headings and pictures would tear the list into pieces,
each with a marker of its own. Such an item is what it holds, and nothing more. A list *lays out*
where more than half of its items are *parts of a page*. An item is one that has, of what is kept,

- a heading, or a list that lays out; or
- `LINES` lines and more, without those of tables and of lists inside, and no code. Of an `ol` only
  one with a class: numbered steps and clauses of many paragraphs stay numbered.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.rows import Node
from transforms.dom import CODES, Dom
from transforms.page_walk import ENDS_LINE, Step

LINES = 4
"""Lines of an item from which it is no point of a list."""

_LISTS = frozenset(CODES[name] for name in ("ul", "ol", "dl", "menu", "dir"))
_HEADINGS = frozenset(CODES[f"h{level}"] for level in range(1, 7))
_CODE = frozenset(CODES[name] for name in ("pre", "listing", "plaintext", "xmp"))
_TABLE, _ITEM, _OL, _DL = (CODES[name] for name in ("table", "li", "ol", "dl"))


@dataclass(slots=True)
class _List:
    """An open list, and its open item."""

    tag: int
    is_ordered: bool
    items: int = 0
    parts: int = 0
    """Items that are parts of a page."""
    may_be_long: bool = True
    """Whether lines alone make the item a part."""
    lines: int = 0
    has_heading: bool = False
    has_code: bool = False

    def end_item(self) -> None:
        is_long = self.may_be_long and self.lines >= LINES and not self.has_code
        self.parts += (self.has_heading or is_long) and self.items > 0
        self.lines = 0
        self.has_heading = self.has_code = False


def _layout_lists(dom: Dom, steps: Sequence[Step | Node]) -> set[int]:
    found: set[int] = set()
    open_lists: list[_List] = []

    def close() -> None:
        ended = open_lists.pop()
        ended.end_item()
        lays_out = 2 * ended.parts > ended.items and dom.tags[ended.tag] != _DL
        if lays_out:
            found.add(ended.tag)
        if open_lists:
            open_lists[-1].has_heading |= lays_out

    skip_to = 0
    for step in steps:
        if isinstance(step, Node):
            continue
        tag, flags, code, text = step
        if tag < skip_to:
            continue
        while open_lists and dom.closes[open_lists[-1].tag] <= tag:
            close()
        if code in _LISTS:
            open_lists.append(_List(tag, code == _OL))
        elif open_lists and code == _TABLE:
            skip_to = int(dom.closes[tag])
        elif open_lists:
            held = open_lists[-1]
            if code == _ITEM:
                held.end_item()
                held.items += 1
                held.may_be_long = not held.is_ordered or bool(dom.attribute(tag, "class"))
            held.has_heading |= code in _HEADINGS
            held.has_code |= code in _CODE
            held.lines += bool((flags & ENDS_LINE or code == _ITEM) and text and not text.isspace())
    while open_lists:
        close()
    return found


@dataclass(slots=True)
class LayoutLists:
    """The tags that open lists that lay out; looked for once one is asked for."""

    dom: Dom
    steps: Sequence[Step | Node]
    _found: set[int] | None = None

    def __contains__(self, tag: int) -> bool:
        if self._found is None:
            self._found = _layout_lists(self.dom, self.steps)
        return tag in self._found
