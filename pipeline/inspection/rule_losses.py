"""What became later of rows that a gate kept."""

from collections.abc import Sequence
from typing import Any

from pipeline.inspection.database import dict_rows
from pipeline.inspection.rule_paths import ledger_path
from pipeline.inspection.streams import Json


def add_losses(con: Any, rows: Sequence[Json]) -> None:
    """By which rule rows that a gate kept were lost later: to a duplicate, or to their document."""
    if not rows:
        return
    told = dict_rows(
        con,
        "SELECT id, node, kind, gate, rule FROM ledger WHERE decisive "
        "AND id IN (SELECT unnest(?::VARCHAR[])) ORDER BY ALL",
        [row["id"] for row in rows],
    )
    lost = {
        (row["id"], row["node"], row["kind"]): ledger_path(row["gate"], row["kind"], row["rule"])
        for row in told
    }
    for row in rows:
        row["lost"] = lost.get((row["id"], row["node"], row["kind"]))
