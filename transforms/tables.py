"""Tables of data, told apart from tables that lay out a page.

A table is data when it has at least two rows and two columns, no table inside, no presentation
role, no cell with a heading, figure or code block, and cells that are short on average; header
cells excuse longer ones.
"""

from dataclasses import dataclass, field

import numpy as np

from transforms.dom import NAMES, Dom, code_table
from transforms.image_nodes import read_emoji
from transforms.main_content import Content

MAX_MEAN_CELL = 200
"""Characters of a cell, on average, up to which a table without header cells is data."""

MAX_MEAN_CELL_WITH_HEADER = 1000
"""The same for a table with header cells."""

MAX_SPAN = 50
"""Columns or rows that a cell may cover; browsers allow 1,000 columns, tables mean a few."""

MAX_COLUMNS = 1000
"""Columns that spans may make; HTML allows no wider cell."""

MAX_COVERED = 100_000
"""Cells of a table that hold nothing because a span covers their place; behind them spans are read
as of one cell."""

_LAYOUT_INSIDE = code_table("table h1 h2 h3 h4 figure pre form article section blockquote")
_PARTING = code_table("p div br li ul ol dl dt dd hr h5 h6 center")
_PICTURES = code_table("img amp-img picture")


@dataclass(slots=True)
class Row:
    """A row of a table, or its caption."""

    cells: list[str] = field(default_factory=list)
    """Raw characters of each cell."""
    images: list[int] = field(default_factory=list)
    """Positions of the images in the row."""
    header: bool = False
    """Whether it is the first row, of header cells only."""
    caption: str = ""


def _span(dom: Dom, cell: int, name: str) -> int:
    value = dom.attribute(cell, name).strip()
    if not (value.isascii() and value.isdigit()):
        return 1
    return max(1, min(int(value), MAX_SPAN)) if len(value) < 10 else MAX_SPAN


def data_rows(dom: Dom, content: Content, table: int) -> list[Row] | None:
    """The rows of a table of data; None for a table that lays out a page."""
    end = int(dom.closes[table])
    if dom.attribute(table, "role") in ("presentation", "none"):
        return None
    codes = dom.tags[table:end].tolist()
    if _LAYOUT_INSIDE[np.maximum(dom.tags[table + 1 : end], 0)].any():
        return None
    kept = content.kept[table:end].tolist()
    rows: list[Row] = []
    cell: list[str] | None = None
    cell_end = 0
    heads = cells = characters = 0
    heads_in_row = cells_in_row = 0
    table_source = dom.source[dom.starts[table] : dom.stops[end]]
    has_spans = b"colspan=" in table_source or b"rowspan=" in table_source
    wide = tall = 1
    all_covered = 0
    below: dict[int, int] = {}
    """Rows that a cell above still covers, by column."""

    def finish_cell() -> None:
        nonlocal cell, all_covered
        if cell is None:
            return
        row = rows[-1].cells
        fill_covered()
        may_cover = all_covered < MAX_COVERED
        covered = min(wide, max(1, MAX_COLUMNS - len(row))) if may_cover else 1
        for column in range(len(row), len(row) + covered):
            if tall > 1 and may_cover:
                below[column] = tall - 1
        row.append("".join(cell))
        row.extend([""] * (covered - 1))
        all_covered += covered - 1
        cell = None

    def fill_covered() -> None:
        nonlocal all_covered
        row = rows[-1].cells
        while below.get(len(row), 0) > 0:
            below[len(row)] -= 1
            row.append("")
            all_covered += 1

    def finish_row() -> None:
        if rows and not rows[-1].caption:
            rows[-1].header = len(rows[-1].cells) > 1 and heads_in_row == cells_in_row
            if has_spans and rows[-1].cells:
                fill_covered()

    node = table + 1
    while node < end:
        code = codes[node - table]
        name = NAMES[code] if code > 0 else ""
        if node >= cell_end:
            finish_cell()
        if name == "tr":
            finish_row()
            heads_in_row = cells_in_row = 0
            rows.append(Row())
        elif name in ("td", "th"):
            if not rows or rows[-1].caption:
                rows.append(Row())
            cell, cell_end = [], int(dom.closes[node])
            if has_spans:
                wide, tall = (_span(dom, node, name) for name in ("colspan", "rowspan"))
            cells += 1
            cells_in_row += 1
            if name == "th":
                heads += 1
                heads_in_row += 1
        elif name == "caption":
            text = dom.text_of(node)
            if text.strip():
                rows.append(Row(caption=text))
            node = int(dom.closes[node]) + 1
            continue
        elif code > 0 and _PICTURES[code]:
            if not rows:
                return None
            stop = max(int(dom.closes[node]), node)
            if content.images[node : stop + 1].any():
                emoji = read_emoji(dom, node)
                if emoji is None:
                    rows[-1].images.append(node)
                elif cell is not None:
                    cell.append(emoji)
            if name == "picture":
                node = stop
        elif cell and _PARTING[abs(code)]:
            cell.append(" ")
        elif name == "code" and cell is not None and not "".join(cell[-1:]).endswith("`"):
            close = int(dom.closes[node])
            text = "".join(dom.text_behind(tag) for tag in range(node, close) if kept[tag - table])
            if text.strip() and "`" not in text and "|" not in text:
                cell.append(f"`{text.strip()}`")
                characters += len(text)
                node = close
        if cell is not None and kept[node - table]:
            text = dom.text_behind(node)
            cell.append(text)
            characters += len(text.strip())
        node += 1
    finish_cell()
    finish_row()
    full = [row for row in rows if row.cells]
    if len(full) < 2 or max(len(row.cells) for row in full) < 2:
        return None
    limit = MAX_MEAN_CELL_WITH_HEADER if heads else MAX_MEAN_CELL
    if characters > limit * cells:
        return None
    for row in full[1:]:
        row.header = False
    return rows
