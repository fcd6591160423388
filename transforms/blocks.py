"""Content of a page, tag by tag, as blocks: the markup of texts, the place of images.

One loop over the tags that matter, with a stack of the few elements that do something when they
close. What each element becomes is said in `interleave.py`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from schemas.rows import Node
from transforms.block_writer import BlockWriter, OpenList, clean_piece
from transforms.button_labels import is_all_of_its_line
from transforms.content_features import BREAKING, BREAKING_NAMES
from transforms.dom import CODES, NAMES, Dom, code_table
from transforms.image_nodes import read_emoji, read_image
from transforms.image_sources import picture_file
from transforms.layout_lists import LayoutLists
from transforms.main_content import Content
from transforms.markup import clean_code, clean_text, fenced_code, table_lines
from transforms.name_groups import says_aside, says_caption
from transforms.page_walk import ALONE, ENDS_LINE, WHOLE, plain_blanks, read_steps
from transforms.tables import data_rows

_LANGUAGE_CLASS = re.compile(r"(?:^|\s)(?:language|lang)-([A-Za-z0-9+#.\-]{1,20})(?:\s|$)")
_NUMBER = re.compile(r"-?\d{1,9}$")
_IMAGES = frozenset(CODES[name] for name in ("img", "amp-img", "picture"))
_HEADINGS = {CODES[f"h{level}"]: level for level in range(1, 7)}
_A_LINE = WHOLE | ALONE
"""Flags of a step whose element is a line, and nothing but that."""
_CHECK_EVERY = 256
"""Steps between two looks at the clock and at what has been written."""


@dataclass(slots=True)
class _Figure:
    """An open figure."""

    first: int
    """Nodes before the figure."""
    caption: str = ""


@dataclass(slots=True)
class Walker(BlockWriter):
    """Turns the content of the DOM into blocks. One walker serves one page."""

    dom: Dom
    content: Content
    base: str
    """What relative references are relative to."""
    _stack: list[tuple[int, Callable[[], None]]] = field(default_factory=list)
    """End tag and closing action of each open element that has one."""
    _figures: list[_Figure] = field(default_factory=list)
    _links: list[str | None] = field(default_factory=list)
    """What each open link around images leads to."""
    _layout: LayoutLists = field(init=False)

    def walk(self) -> list[Node]:
        """Reads the content of the page and returns its blocks.

        Raises:
            PageTooLargeError: It is beyond a limit.
            PageDeadlineError: It took too long.
        """
        buffer, stack = self.buffer, self._stack
        skip_to = 0
        steps = read_steps(self.dom, self.content)
        self._layout = LayoutLists(self.dom, steps)
        for begin in range(0, len(steps), _CHECK_EVERY):
            self.check()
            for step in steps[begin : begin + _CHECK_EVERY]:
                if isinstance(step, Node):
                    while stack:
                        stack.pop()[1]()
                    if buffer:
                        self.end_line()
                    self.nodes.append(step)
                    continue
                tag, flags, code, text = step
                if tag < skip_to:
                    continue
                while stack and stack[-1][0] <= tag:
                    stack.pop()[1]()
                if flags & ENDS_LINE and buffer:
                    self.end_line()
                if code:
                    if flags & _A_LINE == _A_LINE and code in _HEADINGS and not stack:
                        self.end_line()
                        self.put_heading(_HEADINGS[code], clean_piece(text))
                        continue
                    skip_to = _OPENERS[code](self, tag)
                    if skip_to > tag:
                        continue
                if flags & WHOLE and not buffer and not self.marks:
                    if line := clean_piece(text):
                        self.add(line)
                elif text and (buffer or not text.isspace()):
                    buffer.append(text)
        while stack:
            stack.pop()[1]()
        self.end_line()
        self.end_group()
        self.check()
        return self.nodes

    # Elements. Each takes the position of one and returns the position to go on from.

    def _push(self, node: int, close: Callable[[], None]) -> int:
        self._stack.append((int(self.dom.closes[node]), close))
        return node

    def _open_heading(self, node: int) -> int:
        self.end_line()
        before, self.heading = self.heading, int(self.dom.name(node)[1])

        def close() -> None:
            self.end_line()
            self.heading = before

        return self._push(node, close)

    def _open_quote(self, node: int) -> int:
        self.end_line()
        self.quotes += 1

        def close() -> None:
            self.end_line()
            self.quotes -= 1

        return self._push(node, close)

    def _open_marks(self, node: int, marks: str) -> int:
        self.buffer.append(marks[0])
        self.marks += 1

        def close() -> None:
            self.buffer.append(marks[1])
            self.marks -= 1

        return self._push(node, close)

    def _open_list(self, node: int) -> int:
        self.end_line()
        if not self.lists and node in self._layout:
            return self._push(node, self.end_line)
        tag = self.dom.name(node)
        number = None
        if tag == "ol":
            start = self.dom.attribute(node, "start").strip()
            number = int(start) if _NUMBER.match(start) else 1
        self.is_fresh = self.is_fresh or not self.lists
        self.lists.append(OpenList("definition_list" if tag == "dl" else "list", number))

        def close() -> None:
            self.end_line()
            if len(self.lists) == 1:
                self.end_group()
            self.lists.pop()

        return self._push(node, close)

    def _open_item(self, node: int) -> int:
        self.end_line()
        if not self.lists:
            return self._push(node, self.end_line)
        tag, innermost = self.dom.name(node), self.lists[-1]
        marker = {"dt": "", "dd": ": "}.get(tag, "- ")
        if tag == "li" and innermost.number is not None:
            value = self.dom.attribute(node, "value").strip()
            number = int(value) if _NUMBER.match(value) else innermost.number
            marker, innermost.number = f"{number}. ", number + 1
        self.markers.append(marker)

        def close() -> None:
            self.end_line()
            self.markers.pop()

        return self._push(node, close)

    def _open_figure(self, node: int) -> int:
        self.end_line()
        self._figures.append(_Figure(len(self.nodes)))
        return self._push(node, self._close_figure)

    def _close_figure(self) -> None:
        self.end_line()
        figure = self._figures.pop()
        if not figure.caption:
            return
        for node in self.nodes[figure.first :]:
            if node.kind == "image" and node.figcaption is None:
                node.figcaption = figure.caption[: self.limits.max_alt_characters]

    def _open_caption(self, node: int) -> int:
        self.end_line()
        self.end_group()
        self.captions.append([])
        of_figure = self.dom.name(node) == "figcaption"

        def close() -> None:
            self.end_line()
            lines = self.captions.pop()
            if lines:
                self.put("caption", "\n".join(lines))
                if of_figure and self._figures and not self._figures[-1].caption:
                    self._figures[-1].caption = " ".join(" ".join(lines).split())

        return self._push(node, close)

    def _open_noscript(self, node: int) -> int:
        self.end_line()
        before, self.noscript = self.noscript, node

        def close() -> None:
            self.end_line()
            self.noscript = before

        return self._push(node, close)

    def _open_link(self, node: int) -> int:
        """A link around images: it may lead to their full size."""
        self._links.append(picture_file(self.dom.attribute(node, "href"), self.base))

        def close() -> None:
            self._links.pop()

        return self._push(node, close)

    def _pictures(self, node: int) -> bool:
        return bool(self.content.images[node : int(self.dom.closes[node])].any())

    def _texts(self, node: int) -> list[str]:
        """The kept texts of an element."""
        kept, end = self.content.kept, int(self.dom.closes[node])
        return [self.dom.text_behind(tag) for tag in range(node, end) if kept[tag]]

    def _code(self, node: int) -> int:
        """Code in a line stands between backticks, unless it holds more than text."""
        end = int(self.dom.closes[node])
        if end > node + 1 and _NOT_IN_LINE[np.abs(self.dom.tags[node + 1 : end])].any():
            return node
        text = "".join(self._texts(node))
        if text.strip() and "`" not in text:
            lead = " " if text[0].isspace() else ""
            text = f"{lead}`{text.strip()}`" + (" " if text[-1].isspace() else "")
        self.buffer.append(plain_blanks(text))
        return end

    def _preformatted(self, node: int) -> int:
        self.end_line()
        self.end_group()
        dom, end = self.dom, int(self.dom.closes[node])
        language = ""
        for owner in (node, node + 1):
            if owner < end and not language:
                match = _LANGUAGE_CLASS.search(dom.attribute(owner, "class"))
                language = match.group(1) if match else ""
        parts: list[str] = []

        def put() -> None:
            text = clean_code("".join(parts))
            parts.clear()
            if text:
                self.put("code", fenced_code(text, language))

        position = node
        while position < end:
            code = int(dom.tags[position])
            if code in _IMAGES and (emoji := read_emoji(dom, position)) is not None:
                parts.append(emoji)
            elif code in _IMAGES:
                put()
                self._image(position)
                position = max(int(dom.closes[position]), position)
            elif position > node:
                name = NAMES[abs(code)]
                ends_line = code > 0 and name in ("div", "p", "li", "tr") and parts
                if name == "br" or (ends_line and not parts[-1].endswith("\n")):
                    parts.append("\n")
            if self.content.kept[position]:
                parts.append(dom.text_behind(position))
            position += 1
        put()
        return end

    def _table(self, node: int) -> int:
        self.end_line()
        rows = data_rows(self.dom, self.content, node)
        if rows is None:
            return self._push(node, self.end_line)
        self.end_group()
        lines: list[str] = []

        def put() -> None:
            if lines:
                self.put("table", "\n".join(lines))
                lines.clear()

        for row in rows:
            if row.caption:
                self.put("caption", clean_text(row.caption))
                continue
            lines.extend(table_lines(row.cells, row.header))
            if row.images:
                put()
                for image in row.images:
                    self._image(image)
        put()
        return int(self.dom.closes[node])

    def _button(self, node: int) -> int:
        """A label is no text, unless it is all of a heading: a question that opens its answer."""
        # (ARIA Authoring Practices, Accordion.) A picture that a button enlarges is content.
        end = int(self.dom.closes[node])
        if is_all_of_its_line(self.dom, node, end):
            for tag in range(node, end):
                if int(self.dom.tags[tag]) == CODES["br"]:
                    self.buffer.append(" ")
                if self.content.kept[tag]:
                    self.buffer.append(plain_blanks(self.dom.text_behind(tag)))
        position = node + 1
        while position < end:
            if int(self.dom.tags[position]) in _IMAGES and read_emoji(self.dom, position) is None:
                self._image(position)
                position = int(self.dom.closes[position])
            position += 1
        return end

    def _math(self, node: int) -> int:
        formula = self.dom.attribute(node, "alttext")
        if not formula:
            return node
        self.buffer.append(plain_blanks(formula))
        return int(self.dom.closes[node])

    def _image(self, node: int) -> int:
        """An `img`, an `amp-img`, or a `picture` with all that is in it; an emoji is its text."""
        end = int(self.dom.closes[node])
        images = self.content.images
        if not (images[node] or images[node : end + 1].any()):
            return node
        if (emoji := read_emoji(self.dom, node)) is not None:
            # All that a `noscript` holds is its twin.
            is_twin = self.noscript >= 0 and self.dom.closes[self.noscript] <= node + 1
            self.buffer.append("" if is_twin else plain_blanks(emoji))
            return node
        link = self._links[-1] if self._links else None
        found = read_image(self.dom, node, self.base, link, self.limits.max_alt_characters)
        if found is not None:
            self.end_line()
            self.end_group()
            self.put_image(found.node, found.position, found.lazy)
        # The noscript twin of an amp-img follows inside.
        return end if self.dom.name(node) == "picture" else node

    def _open_named(self, node: int) -> int:
        """A caption where its class says so; else a block, or nothing in a line."""
        names = self.dom.attribute(node, "class")
        if names and says_aside(names) and not BREAKING[self.dom.tags[node]]:
            return int(self.dom.closes[node])
        if names and not self.captions and says_caption(names) and not self._pictures(node):
            return self._open_caption(node)
        if not BREAKING[self.dom.tags[node]]:
            return node
        self.end_line()
        return self._push(node, self.end_line)


_NOT_IN_LINE = code_table(BREAKING_NAMES + " br img amp-img picture")

_BY_NAME: Mapping[str, Callable[[Walker, int], int]] = (
    dict.fromkeys(("p", "div", "span", "small", "cite", "sup"), Walker._open_named)
    | dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), Walker._open_heading)
    | dict.fromkeys(("ul", "ol", "dl", "menu", "dir"), Walker._open_list)
    | dict.fromkeys(("li", "dt", "dd"), Walker._open_item)
    | dict.fromkeys(("pre", "listing", "plaintext", "xmp"), Walker._preformatted)
    | dict.fromkeys(("figcaption", "caption"), Walker._open_caption)
    | dict.fromkeys(("img", "amp-img", "picture"), Walker._image)
    | {
        "a": Walker._open_link,
        "blockquote": Walker._open_quote,
        "q": lambda walker, node: walker._open_marks(node, "\u201c\u201d"),
        "rt": lambda walker, node: walker._open_marks(node, "()"),
        "figure": Walker._open_figure,
        "noscript": Walker._open_noscript,
        "code": Walker._code,
        "table": Walker._table,
        "button": Walker._button,
        "math": Walker._math,
    }
)
_OPENERS = {CODES[name]: opener for name, opener in _BY_NAME.items()}
"""What each element that can be a step does, by its code."""
