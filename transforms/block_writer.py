"""Characters become lines, lines become blocks: the state of a page that is being written down.

What a finished line becomes is decided by the elements that are open around it: a heading, a
caption, an item of a list, a quote, else a paragraph.
"""

import math
import re
from dataclasses import dataclass, field
from time import monotonic

from schemas.errors import PageDeadlineError, PageTooLargeError
from schemas.rows import Node
from transforms.markup import clean_text
from transforms.page_limits import ExtractConfig
from transforms.page_walk import BREAK

_PERMALINK = re.compile(r"\s*[#\u00b6\u00a7]$")
"""The sign that documentation puts behind a heading to link to it."""

_POINT = re.compile(r" *(?:- |-?\d+\. |: )")


def clean_piece(text: str) -> str:
    """What `clean_text` gives, of a text that `plain_blanks` has left."""
    text = text.strip()
    # What is printable has no white space but blanks, and no character that goes.
    return text if text.isascii() or text.isprintable() else clean_text(text)


@dataclass(slots=True)
class Place:
    """Where a node stands: what merging twins needs to know of it."""

    position: int
    """Position in the DOM of an image; -1 for a text."""
    noscript: int
    """Position of the `noscript` around it; -1 outside."""
    lazy: bool = False
    """An image that a script would have loaded."""


@dataclass(slots=True)
class OpenList:
    """An open list or definition list."""

    role: str
    number: int | None
    """Number of the next item; None where items carry no number."""


@dataclass(slots=True, kw_only=True)
class BlockWriter:
    """Gathers characters into lines and lines into blocks."""

    limits: ExtractConfig
    deadline: float = math.inf
    """`time.monotonic()` after which the page has failed."""
    nodes: list[Node] = field(default_factory=list)
    """Finished blocks."""
    places: dict[int, Place] = field(default_factory=dict)
    """Of images and of what stands in `noscript`, by position in `nodes`."""
    buffer: list[str] = field(default_factory=list)
    """Pieces of the line that is being gathered, as `plain_blanks` leaves them."""
    lines: list[str] = field(default_factory=list)
    """Finished lines of the open list."""
    lists: list[OpenList] = field(default_factory=list)
    markers: list[str | None] = field(default_factory=list)
    """Marker of each open item; None once its first line has used it."""
    is_fresh: bool = False
    """Whether the outermost open list has written nothing yet."""
    captions: list[list[str]] = field(default_factory=list)
    """Lines of each open caption."""
    heading: int = 0
    """Level of the open heading, 0 outside."""
    quotes: int = 0
    """Open block quotes."""
    noscript: int = -1
    """Position of the open `noscript`, -1 outside."""
    marks: int = 0
    """Open elements that write into their line when they close."""
    _checked: int = 0
    """Nodes whose characters are counted."""
    _characters: int = 0

    def check(self) -> None:
        """Looks at the clock and at what has been written since the last time.

        Raises:
            PageTooLargeError: It is beyond a limit.
            PageDeadlineError: It took too long.
        """
        if monotonic() > self.deadline:
            raise PageDeadlineError("its blocks took too long")
        nodes, limits = self.nodes, self.limits
        if len(nodes) > limits.max_nodes:
            raise PageTooLargeError(f"more than {limits.max_nodes} nodes")
        self._characters += sum([len(node.text) for node in nodes[self._checked :] if node.text])
        self._checked = len(nodes)
        if self._characters > limits.max_characters:
            raise PageTooLargeError(f"more than {limits.max_characters} characters of text")

    def end_line(self) -> None:
        """Ends the line that is being gathered."""
        buffer = self.buffer
        if not buffer:
            return
        single = len(buffer) == 1
        raw = buffer[0] if single else "".join(buffer)
        buffer.clear()
        if BREAK not in raw:
            if text := clean_piece(raw) if single else clean_text(raw):
                self.add(text)
            return
        clean = clean_piece if single else clean_text
        paragraph: list[str] = []
        for line in (*map(clean, raw.split(BREAK)), ""):
            if line:
                paragraph.append(line)
            elif paragraph:  # two breaks in a row part paragraphs
                self.add("\n".join(paragraph))
                paragraph = []

    def add(self, text: str) -> None:
        """Adds a finished line, or lines, by the elements that are open."""
        if self.heading:
            self.put_heading(self.heading, text.replace("\n", " "))
        elif self.captions:
            self.captions[-1].append(text)
        elif self.lists:
            indent = "  " * max(0, len(self.markers) - 1)
            marker = self.markers[-1] if self.markers else ""
            if marker is None:
                marker = "  "
            elif self.markers:
                self.markers[-1] = None
            first, *others = text.split("\n")
            self.lines.append(indent + marker + first)
            self.lines.extend(indent + "  " + line for line in others)
        elif self.quotes:
            self.put("quote", "> " + text.replace("\n", "\n> "))
        else:
            self.put("paragraph", text)

    def put_heading(self, level: int, text: str) -> None:
        """Adds a line as a heading, once where it is said twice in a row."""
        self.end_group()
        if title := _PERMALINK.sub("", text):
            line = "#" * level + " " + title
            last = self.nodes[-1] if self.nodes else None
            if not last or (last.role, last.text) != ("heading", line):
                self.put("heading", line)

    def end_group(self) -> None:
        """Ends the list node that is being gathered."""
        if self.lines:
            role = self.lists[0].role if self.lists else "list"
            # Where a list begins, and where a text goes on behind a picture, nothing is above it.
            is_below = not self.is_fresh and _POINT.match(self.lines[0])
            margins = [len(line) - len(line.lstrip(" ")) for line in self.lines]
            margin, self.is_fresh = 0 if is_below else min(margins), False
            text = "\n".join([line[margin:] for line in self.lines])
            self.lines.clear()
            self.put(role, text)

    def put(self, role: str, text: str) -> None:
        """Adds a text node."""
        if self.noscript >= 0:
            self.places[len(self.nodes)] = Place(-1, self.noscript)
        self.nodes.append(Node("text", role, text))

    def put_image(self, node: Node, position: int, lazy: bool) -> None:
        """Adds an image node."""
        self.places[len(self.nodes)] = Place(position, self.noscript, lazy)
        self.nodes.append(node)
