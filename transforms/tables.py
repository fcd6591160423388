"""Tables of data, told apart from tables that lay out a page.

A table is data when it has at least two rows and two columns, no table inside, no presentation
role, no cell with a heading, figure or code block, and cells that are short on average; header
cells excuse longer ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from transforms.dom import Dom
from transforms.markup import word_set

MAX_MEAN_CELL = 200
"""Characters of a cell, on average, up to which a table without header cells is data."""

MAX_MEAN_CELL_WITH_HEADER = 1000
"""The same for a table with header cells."""

_LAYOUT_INSIDE = word_set("table h1 h2 h3 h4 figure pre form article section blockquote")
_PARTING = word_set("p div br li ul ol dl dt dd hr h5 h6 center")
_PICTURES = frozenset(["img", "amp-img", "picture"])


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


def data_rows(dom: Dom, dropped: Sequence[int], table: int) -> list[Row] | None:
    """The rows of a table of data; None for a table that lays out a page."""
    tags, ends = dom.tags, dom.ends
    end = ends[table]
    if dom.attribute(table, "role") in ("presentation", "none"):
        return None
    if not _LAYOUT_INSIDE.isdisjoint(tags[table + 1 : end]):
        return None
    rows: list[Row] = []
    cell: list[str] | None = None
    cell_end = 0
    heads = cells = characters = 0
    heads_in_row = 0

    def finish_row() -> None:
        if rows and not rows[-1].caption:
            rows[-1].header = len(rows[-1].cells) > 1 and heads_in_row == len(rows[-1].cells)

    node = table + 1
    while node < end:
        tag = tags[node]
        if dropped[node]:
            node = ends[node]
            continue
        if cell is not None and node >= cell_end:
            rows[-1].cells.append("".join(cell))
            cell = None
        if tag == "tr":
            finish_row()
            heads_in_row = 0
            rows.append(Row())
        elif tag in ("td", "th"):
            if not rows or rows[-1].caption:
                rows.append(Row())
            cell, cell_end = [], ends[node]
            cells += 1
            if tag == "th":
                heads += 1
                heads_in_row += 1
        elif tag == "caption":
            text = "".join(dom.texts[node + 1 : ends[node]])
            if text.strip():
                rows.append(Row(caption=text))
            node = ends[node]
            continue
        elif not tag:
            if cell is not None:
                cell.append(dom.texts[node])
                characters += len(dom.texts[node].strip())
        elif tag in _PICTURES:
            if not rows:
                return None
            rows[-1].images.append(node)
            node = ends[node]
            continue
        elif tag in _PARTING and cell:
            cell.append(" ")
        node += 1
    if cell is not None:
        rows[-1].cells.append("".join(cell))
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
