"""Which of several duplicates is preferred: by date, by length, by a score of the recipe, by id.

The score is one expression over what gate `dedup` sees, so it costs a query and no new measure. It
is kept beside the signature of a page and decides nothing but the order: a page without a score
(NULL) comes after all that have one, and what is equal in all of `dedup.prefer` goes by id.
"""

from collections.abc import Sequence

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import RecipeError
from transforms.expressions import column_kinds, first_line, parse_expression
from transforms.rule_query import Query

PREFERENCES = {"latest": "date", "longest": "length", "score": "score"}
"""What can be preferred -> the column whose greatest value comes first."""
DEFAULT_PREFERENCES = ("latest", "longest")

_WHERE = "dedup.score"

Indices = npt.NDArray[np.int64]


def check_rank(prefer: Sequence[str], score: str | None, schema: pa.Schema) -> None:
    """Check `dedup.prefer` and `dedup.score` of a recipe.

    Args:
        prefer: Names of `PREFERENCES`, the most important first.
        score: The expression, or None.
        schema: The columns that the expression may use.

    Raises:
        RecipeError: An unknown name, one that stands twice, none at all, a score that nobody
            prefers or that is missing, an expression that is refused or is no number.
    """
    for name in prefer:
        if name not in PREFERENCES:
            known = ", ".join(PREFERENCES)
            raise RecipeError(f"dedup.prefer: {name!r} is not one of {known}")
    if not prefer or len(set(prefer)) < len(prefer):
        raise RecipeError("dedup.prefer: name at least one thing, and each once")
    if score is None:
        if "score" in prefer:
            raise RecipeError("dedup.prefer: score needs an expression, dedup.score")
        return
    if "score" not in prefer:
        raise RecipeError(f"{_WHERE}: has no effect unless dedup.prefer names score")
    try:
        score_pages(score, schema.empty_table())
    except duckdb.ProgrammingError as error:
        raise RecipeError(f"{_WHERE}: {first_line(error)}") from error


def score_pages(score: str | None, pages: pa.Table) -> pa.ChunkedArray:
    """The score of each page, float64; NULL where the expression is, or there is none.

    Raises:
        RecipeError: The expression is refused, or is no number.
    """
    if score is None:
        return pa.chunked_array([pa.nulls(len(pages), pa.float64())])
    query = Query(column_kinds(pages.schema))
    typed = query.add(parse_expression(score, _WHERE), _WHERE)
    if typed.kind not in ("number", "null"):
        raise RecipeError(f"{_WHERE}: the value is a {typed.kind}, not a number")
    found = query.run(query.sql([f"CAST({typed.sql} AS DOUBLE)"]), pages)
    scores: pa.ChunkedArray = found.column(0)
    return scores


def rank_keys(prefer: Sequence[str]) -> list[tuple[str, str]]:
    """What pages are sorted by, best first; NULL comes last."""
    return [*((PREFERENCES[name], "descending") for name in prefer), ("id", "ascending")]


def rank_members(members: pa.Table, prefer: Sequence[str] = DEFAULT_PREFERENCES) -> Indices:
    """The order of members, best first: by default the latest `date`, then the greatest `length`.

    Args:
        members: Column `id`, and the columns of what is preferred. Dates are compared as written,
            so ISO 8601 in UTC.
        prefer: Names of `PREFERENCES`, the most important first; ties go by the smaller id.
    """
    order = pc.sort_indices(members, sort_keys=rank_keys(prefer))
    return np.asarray(order.to_numpy(zero_copy_only=False), dtype=np.int64)


def component_places(rows: pa.Table, prefer: Sequence[str]) -> pa.Array:
    """For each row, the position of its page among the pages of its component, from 0.

    Args:
        rows: Columns `component`, `id` and those of what is preferred, the same in all rows of an
            id; a page may have several rows.
        prefer: Names of `PREFERENCES`, the most important first; ties go by the smaller id.
    """
    order = pc.sort_indices(rows, sort_keys=[("component", "ascending"), *rank_keys(prefer)])
    new_page, new_component = (_changes(rows[name].take(order)) for name in ("id", "component"))
    number = np.cumsum(new_page)
    first = np.maximum.accumulate(np.where(new_component, number, 0))
    places = np.empty(len(rows), np.int64)
    places[order.to_numpy()] = number - first
    return pa.array(places)


def _changes(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Where a value is not that of the row before."""
    codes = column.combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    changed = np.ones(len(codes), bool)
    changed[1:] = codes[1:] != codes[:-1]
    return changed
