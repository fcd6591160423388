"""An output with its report, and its tables as plain DuckDB reads them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb


@dataclass(frozen=True)
class Reported:
    """An output with its report."""

    output: Path
    facts: dict[str, Any]

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """A query over the tables by plain DuckDB: `{captions}` is the table `captions`."""
        for folder in (self.output / "tables").iterdir():
            query = query.replace(f"{{{folder.name}}}", f"read_parquet('{folder}/*.parquet')")
        return duckdb.sql(query, params=list(values)).fetchall()

    def rule(self, path: str) -> dict[str, Any]:
        """A rule by its path."""
        return next(rule for rule in self.facts["rules"] if rule["path"] == path)

    def explorer(self, gate: str) -> dict[str, Any]:
        """The explorer of a gate."""
        return next(found for found in self.facts["explorers"] if found["gate"] == gate)
