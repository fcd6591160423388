"""Properties and links in the body that are about the page itself.

Microdata describes more than the page: its comments, reviews, pictures, the articles that it lists.
A property counts where the nearest item around it is a work (`json_ld.is_work`), or none is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from transforms.dom import Dom
from transforms.json_ld import is_work

MAX_HITS = 200
"""Places of one kind that are looked at on a page."""


@dataclass(slots=True)
class Microdata:
    """What microdata says of the page, by the item that says it."""

    published: dict[int, list[str]] = field(default_factory=dict)
    modified: dict[int, list[str]] = field(default_factory=dict)
    authors: dict[int, list[str]] = field(default_factory=dict)
    licenses: list[str] = field(default_factory=list)


def _is_own(dom: Dom, node: int) -> tuple[bool, int]:
    """Whether a property is of the page or its subject, and the node of the item that has it."""
    for around in dom.ancestors(node):
        tag = dom.source[dom.starts[around] : dom.stops[around]]
        if b" itemscope" in tag:
            types = dom.attribute(around, "itemtype").split()
            return (not types or any(is_work(name) for name in types)), around
    return True, -1


def _value_of(dom: Dom, node: int) -> str:
    for name in ("content", "datetime"):
        if value := dom.attribute(node, name):
            return value
    return dom.text_of(node) if dom.closes[node] - node <= 50 else ""


def tags_with(dom: Dom, word: bytes) -> Iterator[int]:
    """The elements in whose tags a word stands, in order, the first `MAX_HITS`."""
    source = dom.source
    position = source.find(word)
    hits = 0
    while position >= 0 and hits < MAX_HITS:
        node = int(np.searchsorted(dom.starts, position)) - 1
        if node >= 0 and position < dom.stops[node]:
            hits += 1
            yield node
            position = int(dom.stops[node]) - 1
        position = source.find(word, position + 1)


def _properties(dom: Dom) -> Iterator[tuple[int, str]]:
    """Elements with the item properties that are read; microdata of shops has thousands more."""
    source = dom.source
    key = b' itemprop="'
    position = source.find(key)
    found = 0
    while position >= 0 and found < MAX_HITS:
        begin = position + len(key)
        if source[begin : begin + 1] in b"adlADL":
            value = source[begin : source.find(b'"', begin)].lower()
            for name in value.decode("utf-8", "replace").split():
                if name in ("datepublished", "datemodified", "author", "license"):
                    found += 1
                    yield int(np.searchsorted(dom.starts, position)) - 1, name
        position = source.find(key, begin)


def read_microdata(dom: Dom) -> Microdata:
    """The dates, authors and licences that microdata gives the page; never raises."""
    data = Microdata()
    for node, name in _properties(dom):
        own, item = _is_own(dom, node)
        if not own:
            continue
        if name == "license":
            data.licenses.append(dom.attribute(node, "href") or _value_of(dom, node))
        elif name == "author":
            inner = (
                tag
                for tag in range(node + 1, min(int(dom.closes[node]), node + 200))
                if b' itemprop="name"' in dom.source[dom.starts[tag] : dom.stops[tag]]
            )
            data.authors.setdefault(item, []).append(_value_of(dom, next(inner, node)))
        else:
            kind = data.published if name == "datepublished" else data.modified
            kind.setdefault(item, []).append(_value_of(dom, node))
    return data
