"""The steps of a page's content by the kernel: what `page_walk.py` describes, the same steps."""

from functools import cache
from typing import TYPE_CHECKING

from schemas.rows import Node
from transforms import page_kernel

if page_kernel.AVAILABLE:
    from transforms import _page_kernel

if TYPE_CHECKING:
    from transforms.dom import Dom
    from transforms.main_content import Content
    from transforms.page_walk import Step

# As in `page_kernel.py`, the tables are made at first use.


def _pattern(word: str) -> bytes:
    """Up to eight bytes and their mask, which leaves out what tells small letters from capitals."""
    mask = bytes(0xDF if letter.isalpha() else 0xFF for letter in word)
    if len(mask) > 8:
        raise ValueError(f"{word!r} has more than the kernel's 8 bytes")
    return word.encode().ljust(8, b"\0") + mask.ljust(8, b"\0")


@cache
def _walk_tables() -> object:
    from transforms.dom import ENTITIES
    from transforms.name_groups import HINTS
    from transforms.page_walk import ACTIONS, BLANKS, CLASS, CONTROLS

    entities = (
        name.encode().ljust(8, b"\0")
        + (b"\xff" * len(name)).ljust(8, b"\0")
        + character.encode().ljust(8, b"\0")
        for name, character in ENTITIES
    )
    octets = bytearray(256)
    for kind, characters in enumerate((BLANKS, CONTROLS, "&"), 1):
        for character in characters:
            octets[ord(character)] = kind
    return _page_kernel.walk_tables(
        ACTIONS.tobytes(),
        bytes(octets),
        int.from_bytes(CLASS, "little"),
        b"".join(map(_pattern, sorted(HINTS))),
        b"".join(entities),
    )


def read_steps(dom: "Dom", content: "Content") -> "list[Step | Node]":
    """The steps of a page's content."""
    return _page_kernel.read_steps(
        _walk_tables(),
        Node,
        dom.source,
        dom.tags,
        dom.starts,
        dom.stops,
        dom.text_stops,
        dom.closes,
        content.kept,
        content.opens_line,
        content.images,
    )
