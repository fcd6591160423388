"""One rule at its threshold: how many rows fail it, which are just kept and which just dropped.

A rule of a gate is applied again by the gate's own code (`rejudge.py`), because the ledger has no
value of a row that was kept. Of what no gate decides, as duplicates, the ledger alone tells.
"""

from typing import Any

import duckdb

from pipeline.inspection import described
from pipeline.inspection.database import broken_file, dict_rows, open_database
from pipeline.inspection.rejudge import Rejudge, read_state
from pipeline.inspection.rule_losses import add_losses
from pipeline.inspection.rule_paths import find_rule, ledger_path, ledger_place
from pipeline.inspection.rule_tally import RuleTally
from pipeline.inspection.snapshot import Snapshot, read_snapshot
from pipeline.inspection.streams import Json

_VIEWS = (*described.VIEWS, "ledger")


def explain_rule(output: str, name: str, examples: int = 10) -> Json:
    """What a rule does to the rows that its gate saw.

    Args:
        output: An output of a run that has ended.
        name: Dotted path of the rule, `gates.shard.captioned.min_side`, or the end of it.
        examples: How many rows of each kind are shown.

    Returns:
        `rule` (its path), `kind` of its rows, `threshold`, `spec` (what the recipe says; null of a
        built-in rule); `rows` that the gate judged (null where the ledger alone tells), `failed`
        (rows that fail the rule), `decisive` (of which it is the first that fails), `alone` (which
        fail no other rule of the gate: what would be kept without it), `without_value` (failed
        rows of which the value is NULL); `values`: `value` and `rows`, the most frequent refused
        texts; `kept` and `dropped`: the rows nearest to the threshold, on either side; of a rule
        without numbers those with the smallest ids. Each has `id`, `node`, `kind`, `value`,
        `value_text`, `decisive`, `also` (the other rules that it fails), `lost` (the rule by
        which a row that the gate kept was lost later, as a duplicate), `text`, `url`, `image_url`.
        Kept rows pass all rules of the gate.

    Raises:
        InputError: No output, or no run has ended there.
        UserError: No rule, or several, of this name; the message lists them.
    """
    snapshot = read_snapshot(output)
    rejudge = Rejudge(read_state(output))
    with open_database(snapshot, _VIEWS) as con:
        try:
            path = find_rule(name, rejudge.rules, _ledger_rules(con))
            if path in rejudge.rules:
                found = _judged(rejudge, path, examples)
                add_losses(con, found["kept"])
            else:
                found = _told(con, path, examples)
            described.describe(con, [*found["kept"], *found["dropped"]])
        except duckdb.Error as e:
            raise _broken(snapshot) or e from e
    return {"output": output, "rule": path, "spec": _spec(rejudge, path), **found}


def _broken(snapshot: Snapshot) -> Exception | None:
    return broken_file(
        snapshot, [file for view in _VIEWS for file in snapshot.tables.get(view, [])]
    )


def _spec(rejudge: Rejudge, path: str) -> Any:
    found: Any = rejudge.state.recipe.values
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _ledger_rules(con: Any) -> list[str]:
    rows = dict_rows(con, "SELECT DISTINCT gate, kind, rule FROM ledger")
    return sorted({ledger_path(row["gate"], row["kind"], row["rule"]) for row in rows})


def _judged(rejudge: Rejudge, path: str, examples: int) -> Json:
    """Apply the rule's gate again, and keep the rows that are nearest to the threshold."""
    gate, _, name = path.rpartition(".")
    rule = rejudge.rules[path]
    tally = RuleTally(name, rejudge.limits(path), examples)
    for judged in rejudge.rows(gate):
        tally.add(judged)
    return tally.facts(None if rule is None else rule.threshold)


def _told(con: Any, path: str, examples: int) -> Json:
    """What the ledger says of a rule that no gate of the recipe has."""
    gate, kind, rule = ledger_place(path)
    where = "gate = ? AND rule = ? AND (? IS NULL OR kind = ?)"
    values = [gate, rule, kind, kind]
    (counts,) = dict_rows(
        con,
        "SELECT count(*) AS failed, count(*) FILTER (decisive) AS decisive, min(kind) AS kind, "
        f"min(threshold) AS threshold FROM ledger WHERE {where}",
        *values,
    )
    dropped = dict_rows(
        con,
        "SELECT id, node, kind, value, value_text, decisive FROM ledger "
        f"WHERE {where} ORDER BY ALL LIMIT {int(examples)}",
        *values,
    )
    for row in dropped:
        row |= {"also": [], "lost": None}
    facts = {"kind": counts["kind"], "threshold": counts["threshold"], "rows": None}
    told = {"failed": counts["failed"], "decisive": counts["decisive"]}
    unknown: Json = {"alone": None, "without_value": None, "values": [], "kept": []}
    return {**facts, **told, **unknown, "dropped": dropped}
