"""Reads the case files: a page and, under it, the nodes that a person expects of it.

The notation is described in `README.md` beside this file. Everything that is not understood is an
error, so that a typing slip never turns an expectation into one that always holds.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path

from schemas.rows import Caption, Node
from transforms.page_facts import PageFacts

FOLDER = Path(__file__).resolve().parent
URL = "https://pages.example/journal/entry.html"
IMAGE_FIELDS = (
    "alt", "title", "figcaption", "neighbour", "full_url", "declared_width", "declared_height",
    "svg", "paragraph", "candidates",
)  # fmt: skip
"""Fields of an image that a case may state, in the order they are shown."""
NOT_BY_DEFAULT = frozenset(["paragraph", "candidates"])
PAGE_FACTS = frozenset(["base", *(each.name for each in fields(PageFacts))])
"""Names of page facts in a case file: those of `PageFacts`, and what URLs are relative to."""

_NUMBERS = frozenset(["declared_width", "declared_height", "paragraph"])
_URLS = frozenset(["full_url"])
_HEADER = re.compile(r"=== ([a-z0-9]+(?:-[a-z0-9]+)*)$")
_NODE = re.compile(r"([a-z_]+) *\|(?: (.*))?$")
_MORE_TEXT = re.compile(r" +\|(?: (.*))?$")
_FIELD = re.compile(r" +@ ([a-z_]+)(?: = (.*))?$")
_FACT = re.compile(r"page ([a-z_]+) = (.*)$")
_CHARACTER = re.compile(r"\{U\+([0-9A-F]{4,6})\}")
_PIECE = re.compile(r"\{:([a-z0-9]+)\}")
_PIECE_TEXT = re.compile(r":([a-z0-9]+) = (.+)$")
_REPEAT = re.compile(r"\{(\d+) x ([^{}]+)\}")

Shown = dict[str, object]
"""A node as the fields that are compared."""


@dataclass(frozen=True)
class Case:
    """A page and what it should become."""

    name: str
    """`topic/case`."""
    html: str
    url: str
    expected: list[Shown]
    facts: dict[str, str]
    """Expected facts of the page, by their name in `PAGE_FACTS`."""
    ignored: frozenset[str] = NOT_BY_DEFAULT
    """Fields of images that this case does not compare."""
    headers: list[tuple[str, str]] = field(default_factory=list)
    """HTTP headers that the page came with, names in lower case."""
    crawled: str = ""
    """When the page was fetched."""


def _expand(text: str) -> str:
    text = _REPEAT.sub(lambda match: match.group(2) * int(match.group(1)), text)
    return _CHARACTER.sub(lambda match: chr(int(match.group(1), 16)), text)


def _fill(pieces: dict[str, str], match: re.Match[str]) -> str:
    return pieces[match.group(1)]


def _absolute(url: str) -> str:
    """URLs are written below the folder of the page where they can be."""
    return url if "://" in url else URL.rpartition("/")[0] + "/" + url


def _blank(kind: str, role: str, ignored: frozenset[str]) -> Shown:
    shown: Shown = {"kind": kind, "role": role}
    if kind == "image":
        shown |= {name: None for name in IMAGE_FIELDS if name not in ignored}
        if "svg" not in ignored:
            shown["svg"] = False
        if "candidates" not in ignored:
            shown["candidates"] = []
    return shown


def _list(node: Shown) -> list[str]:
    found = node.get("candidates", [])
    assert isinstance(found, list)
    return found


def _read_nodes(
    lines: list[str], where: str, ignored: frozenset[str]
) -> tuple[list[Shown], dict[str, str]]:
    nodes: list[Shown] = []
    facts: dict[str, str] = {}
    content = [line for line in lines if line.strip()]
    nothing = content[-1:] == ["(nothing)"]
    for line in content[:-1] if nothing else content:
        if fact := _FACT.match(line):
            if fact.group(1) not in PAGE_FACTS:
                raise ValueError(f"{where}: no such page fact: {line!r}")
            facts[fact.group(1)] = _expand(fact.group(2))
        elif node := _NODE.match(line):
            role, text = node.group(1), _expand(node.group(2) or "")
            kind = "image" if role == "image" else "text"
            nodes.append(_blank(kind, role, ignored))
            nodes[-1]["image_url" if kind == "image" else "text"] = (
                _absolute(text) if kind == "image" else text
            )
        elif nodes and (more := _MORE_TEXT.match(line)) and nodes[-1]["kind"] == "text":
            nodes[-1]["text"] = f"{nodes[-1]['text']}\n{_expand(more.group(1) or '')}"
        elif nodes and (stated := _FIELD.match(line)) and nodes[-1]["kind"] == "image":
            name, value = stated.group(1), _expand(stated.group(2) or "")
            if name == "size":
                width, _, height = value.partition("x")
                nodes[-1]["declared_width"] = int(width) if width else None
                nodes[-1]["declared_height"] = int(height) if height else None
            elif name != "candidate" and name not in IMAGE_FIELDS:
                raise ValueError(f"{where}: no such field: {line!r}")
            elif name == "candidate":
                nodes[-1]["candidates"] = [*_list(nodes[-1]), value]
            elif name == "svg":
                nodes[-1]["svg"] = True
            elif name in _NUMBERS:
                nodes[-1][name] = int(value)
            else:
                nodes[-1][name] = _absolute(value) if name in _URLS else value
        else:
            raise ValueError(f"{where}: not understood: {line!r}")
    if nothing == bool(nodes):
        raise ValueError(f"{where}: no nodes; write (nothing) where none are expected")
    return nodes, facts


def _read_case(name: str, lines: list[str]) -> Case:
    url, crawled, ignored = URL, "", set(NOT_BY_DEFAULT)
    headers: list[tuple[str, str]] = []
    start = 0
    while start < len(lines) and lines[start].startswith(("#", "@")):
        word, _, value = lines[start].partition(" ")
        if word == "@url":
            url = value
        elif word == "@crawled":
            crawled = value
        elif word == "@header":
            header, _, said = value.partition(": ")
            headers.append((header.lower(), said))
        elif word == "@ignore":
            ignored |= set(value.split())
            if not ignored <= set(IMAGE_FIELDS):
                raise ValueError(f"{name}: no such field: {value!r}")
        elif word == "@compare":
            ignored -= set(value.split())
        elif word != "#":
            raise ValueError(f"{name}: not understood: {lines[start]!r}")
        start += 1
    if "---" not in lines:
        raise ValueError(f"{name}: no line --- between page and nodes")
    middle = lines.index("---")
    left_out = frozenset(ignored)
    expected, facts = _read_nodes(lines[middle + 1 :], name, left_out)
    html = _expand("\n".join(lines[start:middle]))
    return Case(name, html, url, expected, facts, left_out, headers, crawled)


def read_cases(folder: Path = FOLDER) -> list[Case]:
    """All cases below a folder, by topic, file and place in the file."""
    cases: list[Case] = []
    for file in sorted(folder.glob("*/*.case")):
        blocks: list[tuple[str, list[str]]] = []
        pieces: dict[str, str] = {}
        fill = partial(_fill, pieces)
        for line in file.read_text(encoding="utf-8").split("\n"):
            if header := _HEADER.match(line):
                blocks.append((f"{file.parent.name}/{header.group(1)}", []))
            elif blocks:
                blocks[-1][1].append(_PIECE.sub(fill, line))
            elif piece := _PIECE_TEXT.match(line):
                pieces[piece.group(1)] = piece.group(2)
            elif line and not line.startswith("#"):
                raise ValueError(f"{file}: text before the first case: {line!r}")
        cases.extend(_read_case(name, lines) for name, lines in blocks)
    names = [case.name for case in cases]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"case names that occur twice: {sorted(twice)}")
    return cases


def show_nodes(
    nodes: list[Node], captions: list[Caption], ignored: frozenset[str] = NOT_BY_DEFAULT
) -> list[Shown]:
    """The fields of nodes that a case compares."""
    everything: list[Shown] = []
    for position, node in enumerate(nodes):
        shown = _blank(node.kind, node.role, ignored)
        if node.kind == "image":
            shown["image_url"] = node.image_url
            for name in IMAGE_FIELDS:
                if name not in ignored and name != "candidates":
                    shown[name] = getattr(node, name)
            if "candidates" not in ignored:
                shown["candidates"] = [
                    " ".join([f"{each.origin}: {each.text}", *(f"[{flag}]" for flag in each.flags)])
                    for each in captions
                    if each.node == position
                ]
        else:
            shown["text"] = node.text
        everything.append(shown)
    return everything


def write_nodes(nodes: list[Shown]) -> str:
    """Nodes in the notation of the case files, for a readable difference."""
    lines: list[str] = []
    for node in nodes:
        text = str(node["image_url"] if node["kind"] == "image" else node["text"])
        first, *others = text.split("\n")
        lines.append(f"{node['role']!s:<10}| {first}".rstrip())
        lines.extend(f"{'':<10}| {line}".rstrip() for line in others)
        lines.extend(
            f"{'':<10}@ {name} = {node[name]}"
            for name in IMAGE_FIELDS
            if name != "candidates" and node.get(name) not in (None, False)
        )
        lines.extend(f"{'':<10}@ candidate = {text}" for text in _list(node))
    return "\n".join(lines)


def show_facts(facts: PageFacts, base: str, names: Iterable[str]) -> dict[str, str]:
    """The named facts of a page, as a case file writes them."""
    shown = {}
    for name in names:
        value = base if name == "base" else getattr(facts, name)
        if isinstance(value, list):
            value = "; ".join(value)
        if isinstance(value, bool):
            value = "yes" if value else "no"
        shown[name] = "(none)" if value in (None, "") else str(value)
    return shown
