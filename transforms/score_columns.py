"""Columns that a recipe adds to rows: scores that lie in a table of their own, joined when judged.

A scorer of the recipe has a name of its own choosing, so its columns are in no schema. Its table
lies beside the rows that it scores, part by part; a row that it does not have gets null.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from transforms.pages import positions, some, take_or_null
from transforms.table_files import read_table


@dataclass(frozen=True, slots=True)
class ScoreFile:
    """The scores of one part."""

    path: str | None = None
    """None where the part has no row that is scored."""
    names: tuple[str, ...] = ()
    """The columns, float64 each."""


NO_SCORES = ScoreFile()
BY_ID = (("id", "id"),)
"""The keys of pages."""


def score_fields(names: Sequence[str]) -> list[pa.Field]:
    """The columns as Arrow fields."""
    return [pa.field(name, pa.float64()) for name in names]


def with_scores(
    output: str, scores: ScoreFile, rows: pa.Table, keys: Sequence[tuple[str, str]] = BY_ID
) -> pa.Table:
    """Rows with the columns of their scores.

    Args:
        output: Where the tables lie.
        scores: The file that has them.
        rows: The rows.
        keys: What they are joined by: pairs of a column of the rows and one of the scores, which
            has each key once.
    """
    if not scores.names:
        return rows
    found = read_table(output, some(scores.path))
    if found is None:
        for field in score_fields(scores.names):
            rows = rows.append_column(field, pa.nulls(len(rows), field.type))
        return rows
    own, others = ([pair[side] for pair in keys] for side in (0, 1))
    known, asked = _key(found, others), _key(rows, own)
    if known.equals(asked):
        # Written in the order of the rows: comparing is a hundred times faster than looking up.
        met = found
    else:
        at = positions(known, asked)
        met = pa.table({name: take_or_null(found[name], at) for name in scores.names})
    for field in score_fields(scores.names):
        rows = rows.append_column(field, met[field.name].cast(field.type))
    return rows


def _key(rows: pa.Table, columns: Sequence[str]) -> pa.ChunkedArray:
    """What tells rows apart, as one column."""
    parts = [rows[name].cast(pa.string()) for name in columns]
    return parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, ":")
