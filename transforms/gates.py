"""Gates: which rows a recipe keeps, and for every row that it does not, why.

A gate is an ordered list of rules over the columns of a table. All rules are applied to all rows,
in one query. A row is kept when every rule is true of it; a NULL value rejects. Of a row that is
not kept every failing rule goes to the ledger, the first in recipe order as `decisive`: it alone
counts in the sums, so kept + sum(rejected) = rows.

Scores are columns that exist before any gate: another threshold costs another query, not another
score.

`top_fraction` rules look at the whole corpus, so their cutoffs are found first (`top_values` of
every part, passed through `transforms.top_fraction`) and given to `evaluate`. Each such rule sees
the rows that pass all rules of the gate that are no `top_fraction` (`over = "passing"`), or all
rows (`over = "all"`); another `top_fraction` rule never changes what it sees, so their order does
not matter to what is kept.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import RecipeError
from schemas.rows import LedgerRow
from schemas.tables import schema_of
from transforms.expressions import Kind, column_kinds, first_line
from transforms.rule_query import Query, Typed, literal
from transforms.rules import RowRule, Scalar, parse_rule
from transforms.top_fraction import (
    Cutoff,
    Search,
    count_part,
    merge_counts,
    narrow,
    passes,
    start_search,
)

Mask = npt.NDArray[np.bool_]
Cutoffs = Mapping[str, Cutoff]

STEP_VERSION = 1

MAX_VALUE_TEXT = 200
"""Characters of a text that the ledger shows: texts are strangers', and of any length."""


@dataclass(frozen=True)
class RowGate:
    """Rules in recipe order. A gate without rules keeps everything."""

    rules: tuple[RowRule, ...]

    @property
    def top_fractions(self) -> tuple[RowRule, ...]:
        """The rules that need a cutoff."""
        return tuple(rule for rule in self.rules if rule.top_fraction is not None)


@dataclass(frozen=True)
class Outcome:
    """What one rule says of every row, and the values it saw."""

    rule: str
    threshold: str
    failed: Mask
    values: Any = None
    """Arrow float64 array, or None when the rule's value is no number."""
    texts: Any = None
    """Arrow string array, or None when the rule's value is a number."""
    every: Any = None
    """Of a list of texts, the value of every row; `texts` has those that are refused."""


@dataclass(frozen=True)
class Decisions:
    """What a gate says of every row."""

    keep: Mask
    outcomes: tuple[Outcome, ...]
    """One a rule, in recipe order."""
    decisive: npt.NDArray[np.intp] = field(repr=False)
    """Index of the first failing rule of each row, -1 of a row that is kept."""

    def rejected_by_rule(self) -> dict[str, int]:
        """How many rows each rule rejects as the decisive one; all rules are listed."""
        counts = np.bincount(self.decisive + 1, minlength=len(self.outcomes) + 1)[1:]
        return {
            outcome.rule: int(count) for outcome, count in zip(self.outcomes, counts, strict=True)
        }


class _Value(NamedTuple):
    """What a rule's expression is of every row; `shown` is the ledger's text for plain SQL."""

    rule: RowRule
    column: Any
    shown: Any


_SQL_TYPES: dict[Kind, str] = {"number": "DOUBLE", "text": "VARCHAR", "boolean": "BOOLEAN"}


def parse_gate(spec: Any, where: str) -> RowGate:
    """A gate from its table in the recipe: rule names and rules, in order.

    Args:
        spec: the table.
        where: its dotted path, `gates.shard.captioned`; errors start with it.

    Raises:
        RecipeError: a rule that is refused.
    """
    if not isinstance(spec, Mapping):
        raise RecipeError(f"{where}: a gate is a table of rules, not {spec!r}")
    return RowGate(tuple(parse_rule(name, rule, f"{where}.{name}") for name, rule in spec.items()))


def check_gate(gate: RowGate, schema: Any, where: str) -> None:
    """Check every rule against the columns it will see, and run the gate over no rows.

    Args:
        gate: the gate.
        schema: Arrow schema of the tables it will be given.
        where: dotted path of the gate.

    Raises:
        RecipeError: an unknown column, a value of the wrong kind, a query that does not bind.
    """
    query, sql = _compiled(gate, tuple(column_kinds(schema).items()))
    try:
        query.run(sql, schema.empty_table())
    except duckdb.ProgrammingError as error:
        raise RecipeError(f"{where}: {first_line(error)}") from error


def evaluate(
    gate: RowGate, table: Any, cutoffs: Cutoffs | None = None, keys: Any = None
) -> Decisions:
    """Apply a gate to the rows of an Arrow table.

    Args:
        gate: the gate.
        table: an Arrow table that has the columns the gate uses.
        cutoffs: by rule name, for `top_fraction` rules.
        keys: an Arrow array of ids, a row each: breaks ties of `top_fraction` rules.
    """
    outcomes = [_judge(value, cutoffs, keys) for value in _values(gate, table)]
    return decide(outcomes, table.num_rows)


def decide(outcomes: Sequence[Outcome], rows: int) -> Decisions:
    """Keep the rows that no outcome fails; the first that fails a row is decisive."""
    decisive = np.full(rows, -1, np.intp)
    for index in range(len(outcomes) - 1, -1, -1):
        decisive[outcomes[index].failed] = index
    return Decisions(decisive < 0, tuple(outcomes), decisive)


def top_values(
    gate: RowGate, table: Any, keys: Any, eligible: Mask | None = None
) -> dict[str, tuple[npt.NDArray[np.float64], Any]]:
    """By `top_fraction` rule, the values and keys of the rows that take part; NaN stands for NULL.

    Args:
        gate: the gate.
        table: rows of one part.
        keys: an Arrow array of ids, a row each.
        eligible: rows that pass rules outside the gate; all when None.
    """
    values = _values(gate, table)
    passing = np.ones(table.num_rows, np.bool_) if eligible is None else eligible.copy()
    for value in values:
        if value.rule.top_fraction is None:
            passing &= ~_judge(value, None, None).failed
    found = {}
    for rule, column, _ in values:
        if rule.top_fraction is not None and rule.over == "passing":
            chosen = pa.array(passing)
            found[rule.name] = (_floats(column.filter(chosen)), keys.filter(chosen))
        elif rule.top_fraction is not None:
            found[rule.name] = (_floats(column), keys)
    return found


def find_cutoffs(
    gate: RowGate, parts: Callable[[], Iterable[tuple[Any, Any]]]
) -> dict[str, Cutoff]:
    """The cutoffs of a gate over a corpus, in one process.

    Args:
        gate: the gate.
        parts: gives (table, keys) of every part; called once a pass.
    """
    return search_cutoffs(gate, lambda: (top_values(gate, *part) for part in parts()))


def search_cutoffs(
    gate: RowGate, parts: Callable[[], Iterable[Mapping[str, tuple[Any, Any]]]]
) -> dict[str, Cutoff]:
    """The cutoffs of a gate, from what `top_values` finds in every part.

    Args:
        gate: the gate.
        parts: gives the values of every part; called once a pass, never without a search.
    """
    states: dict[str, Search | Cutoff] = {
        rule.name: start_search(rule.top_fraction)
        for rule in gate.rules
        if rule.top_fraction is not None
    }
    while searches := {name: s for name, s in states.items() if isinstance(s, Search)}:
        totals = {name: merge_counts(search, []) for name, search in searches.items()}
        for found in parts():
            for name, search in searches.items():
                answer = count_part(search, *found[name])
                totals[name] = merge_counts(search, [totals[name], answer])
        states |= {name: narrow(search, totals[name]) for name, search in searches.items()}
    return {name: state for name, state in states.items() if isinstance(state, Cutoff)}


def ledger_rows(gate: str, kind: str, ids: Any, nodes: Any, decisions: Decisions) -> Any:
    """The ledger's rows of a gate, as an Arrow table: row by row, and rule by rule inside a row.

    Args:
        gate: name of the gate, `shard.captioned`.
        kind: what a row is: `document`, `text`, `caption`, `image`, `paragraph`, ...
        ids: an Arrow array of ids, a row each.
        nodes: an Arrow array of node positions, or None where rows are no nodes.
        decisions: what the gate said.
    """
    schema = schema_of(LedgerRow)
    tables, rows = [schema.empty_table()], [np.zeros(0, np.intp)]
    for index, outcome in enumerate(decisions.outcomes):
        failed = np.flatnonzero(outcome.failed)
        count = len(failed)
        if count == 0:
            continue
        chosen = pa.array(failed)
        columns = {
            "gate": pa.repeat(gate, count),
            "kind": pa.repeat(kind, count),
            "id": ids.take(chosen),
            "node": pa.nulls(count) if nodes is None else nodes.take(chosen),
            "rule": pa.repeat(outcome.rule, count),
            "decisive": pa.array(decisions.decisive[failed] == index),
            "value": pa.nulls(count) if outcome.values is None else outcome.values.take(chosen),
            "value_text": pa.nulls(count) if outcome.texts is None else outcome.texts.take(chosen),
            "threshold": pa.repeat(outcome.threshold, count),
        }
        tables.append(pa.table(columns).cast(schema))
        rows.append(failed)
    order = np.argsort(np.concatenate(rows), kind="stable")
    return pa.concat_tables(tables).take(pa.array(order)).combine_chunks()


@lru_cache(maxsize=256)
def _compiled(gate: RowGate, columns: tuple[tuple[str, Kind | None], ...]) -> tuple[Query, str]:
    """One query for all rules: an output a rule, after plain SQL one more, the ledger's text."""
    query = Query(dict(columns))
    outputs = []
    for rule in gate.rules:
        query.touched = {}
        typed = query.add(rule.tree, rule.where)
        if typed.kind not in (rule.wants, "null"):
            what = "the expression" if rule.sql else f"{rule.threshold}: the value"
            raise RecipeError(f"{rule.where}: {what} is a {typed.kind}, not a {rule.wants}")
        outputs.append(f"CAST({typed.sql} AS {_SQL_TYPES[rule.wants]})")
        if rule.sql:
            outputs.append(_shown_columns(query, typed))
    return query, query.sql(outputs or ["0"])


def _shown_columns(query: Query, typed: Typed) -> str:
    """The columns that a plain SQL rule reads, as JSON, where the rule is not true."""
    members = []
    for name, column in query.touched.items():
        is_text = query.columns[name] == "text"
        shown = f"left({column}, {MAX_VALUE_TEXT})" if is_text else column
        members.append(f"{literal(name)}: {shown}")
    shown = f"CAST(to_json({{{', '.join(members)}}}) AS VARCHAR)" if members else "'{}'"
    return f"CASE WHEN {typed.sql} THEN NULL ELSE {shown} END"


def _values(gate: RowGate, table: Any) -> list[_Value]:
    """What each rule's expression is of every row, in recipe order."""
    query, sql = _compiled(gate, tuple(column_kinds(table.schema).items()))
    columns = iter(query.run(sql, table).columns)
    return [
        _Value(
            rule,
            next(columns).combine_chunks(),
            next(columns).combine_chunks() if rule.sql else None,
        )
        for rule in gate.rules
    ]


def _judge(value: _Value, cutoffs: Cutoffs | None, keys: Any) -> Outcome:
    """Apply a rule's condition to its values."""
    rule, column, shown = value
    if rule.sql:
        return Outcome(rule.name, rule.threshold, ~_truth(column), texts=shown)
    if rule.top_fraction is not None:
        if cutoffs is None or rule.name not in cutoffs or keys is None:
            raise ValueError(f"{rule.where}: top_fraction needs its cutoff and keys")
        cutoff = cutoffs[rule.name]
        threshold = f"{rule.threshold} (cutoff {cutoff.value}, over={rule.over})"
        kept = passes(cutoff, _floats(column), keys)
        return Outcome(rule.name, threshold, ~kept, values=column)
    if rule.members is not None:
        return _judge_members(rule, column, rule.members)
    numbers = _floats(column)
    kept = ~np.isnan(numbers)
    if rule.lower is not None:
        kept &= numbers > rule.lower if rule.above else numbers >= rule.lower
    if rule.upper is not None:
        kept &= numbers < rule.upper if rule.below else numbers <= rule.upper
    return Outcome(rule.name, rule.threshold, ~kept, values=column)


def _judge_members(rule: RowRule, column: Any, members: tuple[Scalar, ...]) -> Outcome:
    comparable = column
    if rule.wants == "boolean":
        column = comparable = column.cast(pa.int8()).cast(pa.float64())
    found = pc.is_in(comparable, value_set=pa.array(members).cast(comparable.type))
    valid = np.asarray(column.is_valid())
    kept = valid & (np.asarray(found) != rule.exclude)
    if rule.wants != "text":
        return Outcome(rule.name, rule.threshold, ~kept, values=column)
    refused = pc.if_else(pa.array(~kept), column, None)
    texts = pc.utf8_slice_codeunits(refused, 0, MAX_VALUE_TEXT)
    return Outcome(rule.name, rule.threshold, ~kept, texts=texts, every=column)


def _truth(column: Any) -> Mask:
    truth: Mask = np.asarray(column.fill_null(False))
    return truth


def _floats(column: Any) -> npt.NDArray[np.float64]:
    numbers: npt.NDArray[np.float64] = column.to_numpy(zero_copy_only=False)
    return numbers
