"""Lists that are none: `ul` and `ol` whose items are posts, products or teasers.

Shops, forums and news sites put each part of a page into an item. Written as a list, the paragraphs
of a thread would be bullets, and headings and pictures would tear the list into pieces, each with a
marker of its own. Such an item is what it holds, and nothing more. A list *lays out* where

- it holds more headings than half its items, or
- an item has `LINES` lines and more, as a mean over all that are in it, with those of lists inside,
  and none is code: steps of instructions stay numbered.

Only what is kept counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.rows import Node
from transforms.dom import CODES, Dom
from transforms.page_walk import ENDS_LINE, Step

LINES = 4
"""Lines of an item from which it is no point of a list."""

_LISTS = frozenset(CODES[name] for name in ("ul", "ol", "menu", "dir"))
_HEADINGS = frozenset(CODES[f"h{level}"] for level in range(1, 7))
_CODE = frozenset(CODES[name] for name in ("pre", "listing", "plaintext", "xmp"))
_ITEM = CODES["li"]


@dataclass(slots=True)
class _Held:
    """What a list holds."""

    tag: int
    items: int = 0
    """Its own."""
    items_inside: int = 0
    """Those of lists in it."""
    headings: int = 0
    lines: int = 0
    has_code: bool = False

    def lays_out(self) -> bool:
        if self.headings:
            return 2 * self.headings > self.items
        return not self.has_code and self.lines >= LINES * max(self.items + self.items_inside, 1)


def _layout_lists(dom: Dom, steps: Sequence[Step | Node]) -> set[int]:
    found: set[int] = set()
    open_lists: list[_Held] = []

    def close() -> None:
        held = open_lists.pop()
        if held.lays_out():
            found.add(held.tag)
        if open_lists:
            around = open_lists[-1]
            around.items_inside += held.items + held.items_inside
            around.headings += held.headings
            around.lines += held.lines
            around.has_code |= held.has_code

    for step in steps:
        if isinstance(step, Node):
            continue
        tag, flags, code, text = step
        while open_lists and dom.closes[open_lists[-1].tag] <= tag:
            close()
        if code in _LISTS:
            open_lists.append(_Held(tag))
        elif open_lists:
            held = open_lists[-1]
            held.items += code == _ITEM
            held.headings += code in _HEADINGS
            held.has_code |= code in _CODE
            held.lines += (flags & ENDS_LINE or code == _ITEM) and not text.isspace() and bool(text)
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
