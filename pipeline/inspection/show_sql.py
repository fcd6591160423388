"""The result of a query, for a terminal and as JSON text."""

from rich.console import Console
from rich.text import Text

from pipeline.inspection.show import json_text, printable, table_of
from pipeline.inspection.sql import SqlResult

SQL_ROWS = 100
CELL = 200
"""Characters of a cell of a query's result that are shown."""
MIN_CELL = 12
"""Characters a column needs; where the terminal is narrower, rows are shown as lists."""


def sql_json(result: SqlResult) -> str:
    """A query's result as a JSON array, an object a row and a row a line."""
    rows = (json_text(dict(zip(result.columns, row, strict=True))) for row in result.rows)
    return "[" + ",\n ".join(rows) + "]"


def render_sql(result: SqlResult, console: Console) -> None:
    """Print a query's result as a table, or as lists where the terminal is too narrow."""
    shown = result.rows[:SQL_ROWS]
    if len(result.columns) * MIN_CELL <= console.width or len(result.columns) == 1:
        table = table_of(*(printable(name) for name in result.columns))
        for row in shown:
            table.add_row(*(printable(value, CELL) for value in row))
        console.print(table)
    else:
        for number, row in enumerate(shown, 1):
            console.print(Text(f"row {number}", "bold"))
            for name, value in zip(result.columns, row, strict=True):
                console.print(Text("  ") + printable(name) + ": " + printable(value, CELL))
    count = len(result.rows)
    more = f", the first {SQL_ROWS:,} shown; --json gives all" if count > SQL_ROWS else ""
    console.print(Text(f"{count:,} row{'' if count == 1 else 's'}{more}", "dim"))
