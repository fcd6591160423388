"""Pictures that a page holds twice in a row, for wide and for narrow screens: one is left out.

A style sheet shows one of the two. They are told by their URLs, which are the same but for sizes,
and by their alternative text: a gallery numbers its files, and says something else of each. One
file twice in a row is meant so: stars, ticks.
"""

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

from schemas.rows import Node
from transforms.markup import word_set

_SIZE = re.compile(r"\d{2,5}(?:x\d{2,5})?")
"""A part of a path that is a side, or two, in pixels."""
_SIZES = word_set("w h width height size resize fit crop quality q dpr zoom")
"""Parameters of services that scale pictures."""


def _without_sizes(url: str) -> tuple[str, list[str], str, list[tuple[str, str]]]:
    parts = urlsplit(url)
    *folders, file = parts.path.split("/")
    query = [pair for pair in parse_qsl(parts.query, True) if pair[0] not in _SIZES]
    return parts.netloc, [folder for folder in folders if not _SIZE.fullmatch(folder)], file, query


def _are_twins(one: Node, other: Node) -> bool:
    if not one.alt or one.alt != other.alt or one.image_url == other.image_url:
        return False
    return _without_sizes(one.image_url or "") == _without_sizes(other.image_url or "")


def _distinct(nodes: list[Node]) -> Iterator[Node]:
    last: Node | None = None
    said: set[str | None] = set()
    """What the captions behind the last image say."""
    is_twin = False
    for node in nodes:
        if node.role == "image":
            is_twin = last is not None and _are_twins(last, node)
            if is_twin:
                continue
            last = node
            said.clear()
        elif node.role != "caption":
            last, is_twin = None, False
        elif is_twin and node.text in said:
            continue
        else:
            said.add(node.text)
        yield node


def drop_layout_twins(nodes: list[Node]) -> list[Node]:
    """Nodes without images that are the one before in another size, and without their captions.

    Nothing but captions stands between two such images; a caption goes that says what one of the
    first image says.
    """
    images = [node.role for node in nodes].count("image")
    return list(_distinct(nodes)) if images > 1 else nodes
