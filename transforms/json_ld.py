"""What the JSON-LD of a page says of the page itself: dates, authors, licences.

A page describes more than itself in JSON-LD: its publisher, its pictures, its comments, the
articles that it lists. So only works are read (`is_work`) that stand at the top, in `@graph` or as
`mainEntity`; an article goes before the page that shows it; and where several works of one kind
disagree, nothing is said. Malformed JSON is left out: there is as much of it as of malformed HTML.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from transforms.markup import word_set

MAX_BLOCKS = 32
"""Places of a page at which a block is looked for."""
MAX_BLOCK_CHARACTERS = 256 * 1024
"""Characters of a block; a longer one is a catalogue and left out."""
MAX_NODES = 2000
"""Objects of a page that are looked at."""
MAX_VALUES = 32
"""Authors or licences of a work."""

_TYPE = "application/ld+json"
_END = re.compile(r"</script", re.I)
_KEYS = ('"datePublished"', '"dateModified"', '"author"', '"license"')
_INSIDE = ("@graph", "mainEntity", "mainEntityOfPage")
_WORKS = word_set(
    "Blog Book Collection Course CreativeWork Dataset Guide HowTo LearningResource"
    " MediaReview Question Recipe Report SoftwareSourceCode Thesis WebContent"
)


@dataclass(slots=True)
class Work:
    """What one work says of itself, as written."""

    is_page: bool
    published: list[str] = field(default_factory=list)
    modified: list[str] = field(default_factory=list)
    authors: list[str] = field(default_factory=list)
    licenses: list[str] = field(default_factory=list)


def is_work(type_name: str) -> bool:
    """Whether a type of schema.org is a page or a text that a page is about.

    Comments, reviews, pictures and people are not.
    """
    name = re.split(r"[/#:]", type_name)[-1]
    return name.endswith(("Article", "Posting", "Page")) or name in _WORKS


def _blocks(html: str) -> Iterator[str]:
    position = html.find(_TYPE)
    count = 0
    while position >= 0 and count < MAX_BLOCKS:
        count += 1
        tag = html.rfind("<", max(0, position - 500), position)
        start = html.find(">", position, position + 1000) + 1
        position += len(_TYPE)
        if tag >= 0 and start and html[tag : tag + 7].lower() == "<script":
            # The comment that hides a whole script is short before it, or there is none.
            near = max(0, tag - 2000)
            end = _END.search(html, start, start + MAX_BLOCK_CHARACTERS)
            if end is not None:
                position = end.end()
                if html.rfind("<!--", near, tag) <= html.rfind("-->", near, tag):
                    yield html[start : end.start()]
        position = html.find(_TYPE, position)


def _unwrapped(block: str) -> str:
    """A block without the comment or CDATA marks that old editors put around scripts."""
    block = block.strip(" \t\r\n;")
    if block[:1] not in ("{", "["):
        start = min((at for at in (block.find("{"), block.find("[{")) if at >= 0), default=0)
        block = block[start : max(block.rfind("}"), block.rfind("}]") + 1) + 1]
    return block


def _objects(value: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    if isinstance(value, list) and depth < 4:
        for item in value[:MAX_NODES]:
            yield from _objects(item, depth + 1)
    elif isinstance(value, dict):
        yield value
        if depth < 4:
            for key in _INSIDE:
                yield from _objects(value.get(key), depth + 1)


def _texts(value: Any, keys: tuple[str, ...], known: dict[str, dict[str, Any]]) -> list[str]:
    """The texts of a value: itself, or under the first of some keys of each object in it."""
    found: list[str] = []
    for item in (value if isinstance(value, list) else [value])[:MAX_VALUES]:
        if isinstance(item, dict):
            reference = item.get("@id")
            if not any(key in item for key in keys if key != "@id") and isinstance(reference, str):
                item = known.get(reference, item)
            item = next((item[key] for key in keys if item.get(key)), None)
            if isinstance(item, list):
                found += [each for each in item[:MAX_VALUES] if isinstance(each, str)]
        if isinstance(item, str):
            found.append(item)
    return found


def _types(node: dict[str, Any]) -> list[str]:
    types = node.get("@type")
    return [
        name for name in (types if isinstance(types, list) else [types]) if isinstance(name, str)
    ]


def read_works(html: str) -> list[Work]:
    """The works that a page's JSON-LD describes as the page or its subject, in order.

    Never raises; linear in the length of the page.
    """
    nodes: list[dict[str, Any]] = []
    for block in _blocks(html):
        if not any(key in block for key in _KEYS):
            continue
        try:
            parsed = json.loads(_unwrapped(block), strict=False)
        except (ValueError, RecursionError):
            continue
        for node in _objects(parsed):
            nodes.append(node)
            if len(nodes) >= MAX_NODES:
                break
    known = {
        node["@id"]: node for node in nodes if isinstance(node.get("@id"), str) and len(node) > 1
    }
    works = []
    for node in nodes:
        works_types = [name for name in _types(node) if is_work(name)]
        if not works_types:
            continue
        works.append(
            Work(
                all(name.endswith("Page") for name in works_types),
                _texts(node.get("datePublished"), ("@value",), {}),
                _texts(node.get("dateModified"), ("@value",), {}),
                _texts(node.get("author"), ("name",), known),
                _texts(node.get("license"), ("url", "@id"), known),
            )
        )
    return works
