"""Content of a page, element by element, as blocks: the markup of texts, the place of images.

One loop over a range of the flat DOM with a stack of the few elements that do something when they
close. What each element becomes is said in `interleave.py`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.rows import Node
from transforms.block_writer import BREAK, Block, BlockWriter, OpenList
from transforms.dom import Dom
from transforms.image_sources import choose_source, declared_length
from transforms.markup import clean_code, clean_text, fenced_code, table_lines, word_set
from transforms.tables import data_rows

_LANGUAGE_CLASS = re.compile(r"(?:^|\s)(?:language|lang)-([A-Za-z0-9+#.\-]{1,20})(?:\s|$)")
_NUMBER = re.compile(r"-?\d{1,9}$")
_IMAGE_TAGS = frozenset(["img", "amp-img", "picture"])


@dataclass(slots=True)
class _Figure:
    """An open figure."""

    first: int
    """Blocks before the figure."""
    caption: str = ""


@dataclass(slots=True)
class Walker(BlockWriter):
    """Turns a range of the DOM into blocks. One walker serves one page."""

    dom: Dom
    dropped: Sequence[int]
    base: str
    """What relative references are relative to."""
    max_alt: int
    """Characters kept of alt, title and figcaption."""
    _stack: list[tuple[int, Callable[[], None]]] = field(default_factory=list)
    """End and closing action of each open element that has one."""
    _figures: list[_Figure] = field(default_factory=list)

    def walk(self, start: int, end: int) -> list[Block]:
        """Reads the nodes of a range and returns its blocks."""
        tags, ends, texts, dropped = self.dom.tags, self.dom.ends, self.dom.texts, self.dropped
        buffer, stack = self.buffer, self._stack
        node = start
        while node < end:
            while stack and stack[-1][0] <= node:
                stack.pop()[1]()
            tag = tags[node]
            if dropped[node]:
                if tag in _BREAKING:
                    self.end_line()
                node = ends[node]
            elif not tag:
                text = texts[node]
                if buffer or not text.isspace():
                    buffer.append(text)
                node += 1
            else:
                opener = _OPENERS.get(tag)
                node = node + 1 if opener is None else opener(self, node)
        while stack:
            stack.pop()[1]()
        self.end_line()
        self.end_group()
        return self.blocks

    # Elements. Each takes the position of one and returns the position to go on from.

    def _push(self, node: int, close: Callable[[], None]) -> int:
        self._stack.append((self.dom.ends[node], close))
        return node + 1

    def _block(self, node: int) -> int:
        self.end_line()
        return self._push(node, self.end_line)

    def _skip(self, node: int) -> int:
        return self.dom.ends[node]

    def _line_break(self, node: int) -> int:
        if self.buffer:
            self.buffer.append(BREAK)
        return node + 1

    def _rule(self, node: int) -> int:
        self.end_line()
        return node + 1

    def _open_heading(self, node: int) -> int:
        self.end_line()
        before, self.heading = self.heading, int(self.dom.tags[node][1])

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

    def _open_inline_quote(self, node: int) -> int:
        self.buffer.append("\u201c")
        return self._push(node, lambda: self.buffer.append("\u201d"))

    def _open_reading(self, node: int) -> int:
        self.buffer.append("(")
        return self._push(node, lambda: self.buffer.append(")"))

    def _open_list(self, node: int) -> int:
        self.end_line()
        tag = self.dom.tags[node]
        number = None
        if tag == "ol":
            start = self.dom.attribute(node, "start").strip()
            number = int(start) if _NUMBER.match(start) else 1
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
        tag, innermost = self.dom.tags[node], self.lists[-1]
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
        self._figures.append(_Figure(len(self.blocks)))
        return self._push(node, self._close_figure)

    def _close_figure(self) -> None:
        self.end_line()
        figure = self._figures.pop()
        if not figure.caption:
            return
        for block in self.blocks[figure.first :]:
            node = block.node
            if node.kind == "image" and node.figcaption is None:
                # A new node, because nodes are never changed.
                block.node = Node(
                    "image", node.role, None, node.image_url, node.alt, node.title,
                    figure.caption[: self.max_alt], node.declared_width, node.declared_height,
                )  # fmt: skip

    def _open_caption(self, node: int) -> int:
        self.end_line()
        self.end_group()
        self.captions.append([])
        of_figure = self.dom.tags[node] == "figcaption"

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

    def _code(self, node: int) -> int:
        """Code in a line stands between backticks, unless it holds more than text."""
        tags, end = self.dom.tags, self.dom.ends[node]
        inner = tags[node + 1 : end]
        if any(tag in _BREAKING or tag in _IMAGE_TAGS or tag == "br" for tag in inner):
            return node + 1
        text = "".join(self.dom.texts[node + 1 : end])
        if text.strip() and "`" not in text:
            lead = " " if text[0].isspace() else ""
            text = f"{lead}`{text.strip()}`" + (" " if text[-1].isspace() else "")
        self.buffer.append(text)
        return end

    def _preformatted(self, node: int) -> int:
        self.end_line()
        self.end_group()
        tags, end = self.dom.tags, self.dom.ends[node]
        language = ""
        for owner in (node, node + 1):
            if owner < end and not language:
                match = _LANGUAGE_CLASS.search(self.dom.attribute(owner, "class"))
                language = match.group(1) if match else ""
        parts: list[str] = []

        def put() -> None:
            text = clean_code("".join(parts))
            parts.clear()
            if text:
                self.put("code", fenced_code(text, language))

        position = node + 1
        while position < end:
            tag = tags[position]
            if self.dropped[position]:
                position = self.dom.ends[position]
                continue
            if not tag:
                parts.append(self.dom.texts[position])
            elif tag == "br" or (tag in ("div", "p", "li", "tr") and parts):
                if tag == "br" or not parts[-1].endswith("\n"):
                    parts.append("\n")
            elif tag in _IMAGE_TAGS:
                put()
                position = self._image(position)
                continue
            position += 1
        put()
        return end

    def _table(self, node: int) -> int:
        self.end_line()
        rows = data_rows(self.dom, self.dropped, node)
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
        return self.dom.ends[node]

    def _button(self, node: int) -> int:
        """The label of a button is no text of the page; a picture that it enlarges is content."""
        end = self.dom.ends[node]
        position = node + 1
        while position < end:
            if self.dom.tags[position] in _IMAGE_TAGS and not self.dropped[position]:
                position = self._image(position)
            else:
                position += 1
        return end

    def _math(self, node: int) -> int:
        formula = self.dom.attribute(node, "alttext")
        if not formula:
            return node + 1
        self.buffer.append(formula)
        return self.dom.ends[node]

    def _image(self, node: int) -> int:
        """An `img`, an `amp-img`, or a `picture` with all that is in it."""
        dom, end = self.dom, self.dom.ends[node]
        attributes, sources, position = dom.attributes[node], [], node
        if dom.tags[node] == "picture":
            attributes = {}
            for inner in range(node + 1, end):
                if dom.tags[inner] == "source":
                    sources.append(dom.attributes[inner])
                elif dom.tags[inner] in ("img", "amp-img") and not attributes:
                    attributes, position = dom.attributes[inner], inner
        elif dom.tags[node] == "amp-img":
            end = node + 1  # its noscript twin follows inside
        self._put_image(attributes, sources, position)
        return end

    def _put_image(
        self,
        attributes: Mapping[str, str | None],
        sources: list[Mapping[str, str | None]],
        position: int,
    ) -> None:
        width = declared_length(attributes.get("width"))
        height = declared_length(attributes.get("height"))
        if (width is not None and width <= 1) or (height is not None and height <= 1):
            return
        source = choose_source(attributes, sources, self.base)
        if source is None:
            return
        self.end_line()
        self.end_group()
        node = Node(
            "image",
            "image",
            image_url=source.url,
            alt=self._short(attributes.get("alt")),
            title=self._short(attributes.get("title")),
            declared_width=width,
            declared_height=height,
        )
        self.keep(Block(node, position, self.noscript, source.lazy))

    def _short(self, text: str | None) -> str | None:
        return (clean_text(text)[: self.max_alt].rstrip() or None) if text else None


_BREAKING = word_set(
    "address article aside blockquote body center dd details dir div dl dt fieldset figcaption"
    " figure"
    " footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav"
    " noscript ol"
    " optgroup p pre search section summary table tbody td tfoot th thead tr ul"
)
"""Elements that part lines."""

_OPENERS: Mapping[str, Callable[[Walker, int], int]] = (
    dict.fromkeys(_BREAKING, Walker._block)
    | dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), Walker._open_heading)
    | dict.fromkeys(("ul", "ol", "dl", "menu", "dir"), Walker._open_list)
    | dict.fromkeys(("li", "dt", "dd"), Walker._open_item)
    | dict.fromkeys(("pre", "listing", "plaintext", "xmp"), Walker._preformatted)
    | dict.fromkeys(("figcaption", "caption"), Walker._open_caption)
    | dict.fromkeys(_IMAGE_TAGS, Walker._image)
    | dict.fromkeys(
        ("head", "title", "meta", "link", "base", "input", "rp", "option"), Walker._skip
    )
    | {
        "br": Walker._line_break,
        "hr": Walker._rule,
        "blockquote": Walker._open_quote,
        "q": Walker._open_inline_quote,
        "rt": Walker._open_reading,
        "figure": Walker._open_figure,
        "noscript": Walker._open_noscript,
        "code": Walker._code,
        "table": Walker._table,
        "button": Walker._button,
        "math": Walker._math,
    }
)
