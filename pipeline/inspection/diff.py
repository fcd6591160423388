"""Two outputs side by side: what a changed recipe moved, rule by rule.

Rows of two runs on the same input have the same ids, so the ledgers meet by them: what a rule drops
in one output and the other keeps, it moved. A page is kept where it is a sample; a caption or node
where gate `shard` saw it and no row of the ledger is about it.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from pipeline.inspection import described
from pipeline.inspection.database import broken_file, dict_rows, open_databases
from pipeline.inspection.recipe_diff import recipe_changes, rule_of, threshold_of
from pipeline.inspection.rule_paths import ledger_path
from pipeline.inspection.snapshot import Snapshot, read_snapshot
from pipeline.inspection.streams import Json
from pipeline.run_record import read_run
from schemas.errors import InputError, UserError
from schemas.shards import STREAMS, Manifest
from transforms import storage

_TABLES = {"captions": "caption", "image_nodes": "image", "paragraphs": "paragraph"}
"""Table of the funnel -> kind of its rows in the ledger."""
_CANDIDATES = {
    "candidates_captions": "SELECT 'caption' AS kind, caption_id AS id, NULL::BIGINT AS node",
    "candidates_nodes": (
        "SELECT CASE kind WHEN 'image' THEN 'image' ELSE 'paragraph' END AS kind, id, node"
    ),
}
"""What gate `shard` saw of captions and nodes: view -> the rows by kind, id and node."""
_PAGES = """
    SELECT unnest(['page', CASE stream WHEN 'text' THEN 'text' ELSE 'document' END]) AS kind,
        json_extract_string(json, '$.doc_id') AS id, NULL::BIGINT AS node
    FROM {side}_samples WHERE stream <> 'captioned'
"""
"""What is kept of pages: a document may end as a text."""
_COLUMNS = "kind, id, node"
_VIEWS = (
    *described.VIEWS, "ledger", "samples", *_CANDIDATES,
    *(f"index_{stream}" for stream in STREAMS),
)  # fmt: skip
_SIDES = ("a", "b")


def diff_outputs(output_a: str, output_b: str, examples: int = 5) -> Json:
    """What differs between two outputs.

    Args:
        output_a: An output of a run that has ended.
        output_b: Another, of the same input.
        examples: Rows of each direction that are shown for a rule.

    Returns:
        `a`, `b`; `problems` (a line each; what is missing in one, inputs that differ); `recipe`:
        `key`, `a`, `b` of the values that differ; `streams`: stream -> samples `a_only`, `b_only`,
        `both`; `tables`: table -> rows kept by gate `shard`, the same way; `rules`: of each that
        moved a row, or that the recipes have differently, `rule`, `changed` (whether the recipes
        differ in it), `threshold_a`, `threshold_b`, and `to_b`, `to_a`: `rows` that it decides
        about in one output and the other keeps (`to_b`: dropped in A, kept in B), `elsewhere`
        (which another rule drops there, or which did not get that far), `examples` of the first:
        `kind`, `id`, `node`, `value`, `value_text`, `threshold`, `text`, `url`, `image_url`;
        `shards`: stream -> `equal` (by sha256), `differ`, `a_only`, `b_only`, lists of names.

    Raises:
        UserError: Both are one output.
        InputError: An output is none, or its run has not ended.
    """
    _check_places(output_a, output_b)
    snapshots = {"a": read_snapshot(output_a), "b": read_snapshot(output_b)}
    for snapshot in snapshots.values():
        if snapshot.run is None or not snapshot.run.stages.get("shard"):
            raise InputError(f"{snapshot.output}: no run has ended here; run it to its end first")
    recipes = [_recipe(snapshot.output) for snapshot in snapshots.values()]
    changes = recipe_changes(*recipes)
    with open_databases({f"{side}_": each for side, each in snapshots.items()}, _VIEWS) as con:
        try:
            for side, snapshot in snapshots.items():
                _make_tables(con, side, snapshot)
            found = {
                "streams": {stream: _samples(con, stream) for stream in STREAMS},
                "tables": {table: _rows(con, kind) for table, kind in _TABLES.items()},
                "rules": _rules(con, changes, recipes, examples),
            }
        except duckdb.Error as e:
            raise _broken(snapshots) or e from e
    return {
        "a": output_a,
        "b": output_b,
        "problems": list(_problems(snapshots)),
        "recipe": changes,
        **found,
        "shards": {
            stream: _shards(*(snapshots[side].manifests.get(stream) for side in _SIDES))
            for stream in STREAMS
        },
    }


def _check_places(output_a: str, output_b: str) -> None:
    places = []
    for output in (output_a, output_b):
        fs, path = storage.resolve(output)
        local = storage.is_local(output)
        places.append(os.path.realpath(path) if local else fs.unstrip_protocol(path).rstrip("/"))
    if places[0] == places[1]:
        raise UserError(
            f"diff: {output_a} and {output_b} are one output, and its tables are those of its last "
            "run only; copy it (cp -r) before you run it again, and compare with the copy"
        )


def _recipe(output: str) -> Mapping[str, Any]:
    record = read_run(output)
    values: Mapping[str, Any] = {} if record is None else record["recipe"].get("values", {})
    return values


def _problems(snapshots: Mapping[str, Snapshot]) -> Any:
    for side, snapshot in snapshots.items():
        yield from (f"{side.upper()}: {problem}" for problem in snapshot.all_problems)
    inputs = [
        {(file.source, file.bytes) for file in snapshot.run.inputs}
        for snapshot in snapshots.values()
        if snapshot.run is not None
    ]
    if inputs[0] != inputs[1]:
        yield (
            f"the inputs differ: {len(inputs[0] - inputs[1])} files only in A, "
            f"{len(inputs[1] - inputs[0])} only in B, by name and size; rows of those are moved by "
            "no rule"
        )


def _broken(snapshots: Mapping[str, Snapshot]) -> InputError | None:
    for snapshot in snapshots.values():
        files = [file for view in _VIEWS for file in snapshot.tables.get(view, [])]
        broken = broken_file(snapshot, [*files, *snapshot.indexes.values()])
        if broken is not None:
            return broken
    return None


def _make_tables(con: Any, side: str, snapshot: Snapshot) -> None:
    """`a_dropped`: decisive ledger rows, the first gate's; `a_kept`: rows that passed all gates."""
    con.execute(
        f"""
        CREATE TEMP TABLE {side}_dropped AS
        SELECT {_COLUMNS}, gate, rule, any_value(value ORDER BY value) AS value,
            any_value(value_text ORDER BY value_text) AS value_text, min(threshold) AS threshold
        FROM {side}_ledger WHERE decisive GROUP BY {_COLUMNS}, gate, rule
        """
    )
    seen = [
        f"{rows} FROM {side}_{view}"
        for view, rows in _CANDIDATES.items()
        if snapshot.tables.get(view)
    ] or ["SELECT '' AS kind, '' AS id, NULL::BIGINT AS node WHERE false"]
    con.execute(
        f"""
        CREATE TEMP TABLE {side}_kept AS
        SELECT * FROM ({" UNION ALL ".join(seen)}) AS seen WHERE NOT EXISTS (
            SELECT 1 FROM {side}_dropped AS dropped WHERE {_same("seen", "dropped")}
        ) UNION {_PAGES.format(side=side)}
        """
    )


def _same(one: str, other: str) -> str:
    """SQL: two rows are about the same thing."""
    return (
        f"{one}.kind = {other}.kind AND {one}.id = {other}.id "
        f"AND {one}.node IS NOT DISTINCT FROM {other}.node"
    )


def _both(con: Any, rows: str) -> Json:
    """How many rows are in A only, B only and both.

    Args:
        con: The connection.
        rows: SQL that gives the distinct rows of a side, with `{side}` for its prefix.
    """
    counts = []
    for first, operator, second in (
        ("a", "EXCEPT", "b"),
        ("b", "EXCEPT", "a"),
        ("a", "INTERSECT", "b"),
    ):
        query = f"{rows.format(side=first)} {operator} {rows.format(side=second)}"
        counts.append(con.execute(f"SELECT count(*) FROM ({query})").fetchone()[0])
    return dict(zip(("a_only", "b_only", "both"), counts, strict=True))


def _samples(con: Any, stream: str) -> Json:
    return _both(con, f"SELECT key FROM {{side}}_index_{stream}")


def _rows(con: Any, kind: str) -> Json:
    return _both(con, f"SELECT id, node FROM {{side}}_kept WHERE kind = '{kind}'")


def _rules(con: Any, changes: list[Json], recipes: Sequence[Any], examples: int) -> list[Json]:
    """Rules that moved a row or were changed: changed ones first, then by what they moved."""
    changed = {rule_of(change["key"]) for change in changes} - {""}
    rules: dict[str, Json] = {path: _rule(path) for path in changed}
    for here, there in (("a", "b"), ("b", "a")):
        for row in dict_rows(con, _moves(here, there)):
            path = ledger_path(row["gate"], row["kind"], row["rule"])
            rule = rules.setdefault(path, _rule(path))
            moved = rule[f"to_{there}"]
            moved["rows"] += row["kept"]
            moved["elsewhere"] += row["elsewhere"]
            if row["kept"]:
                moved["examples"] += _examples(con, here, there, row, examples)
        for rule in rules.values():
            shown = rule[f"to_{there}"]["examples"] = rule[f"to_{there}"]["examples"][:examples]
            described.describe(con, shown, f"{here}_")
    _add_thresholds(con, rules, recipes)
    found = [
        rule | {"changed": path in changed}
        for path, rule in rules.items()
        if path in changed or any(rule[way]["rows"] or rule[way]["elsewhere"] for way in _WAYS)
    ]
    return sorted(found, key=lambda rule: (not rule["changed"], -_moved(rule), rule["rule"]))


_WAYS = ("to_a", "to_b")


def _moved(rule: Json) -> int:
    return sum(int(rule[way]["rows"]) for way in _WAYS)


def _rule(path: str) -> Json:
    empty = {way: {"rows": 0, "elsewhere": 0, "examples": []} for way in reversed(_WAYS)}
    return {"rule": path, "changed": False, "threshold_a": None, "threshold_b": None, **empty}


def _told(here: str, there: str) -> str:
    """SQL: what is dropped here; whether it is kept there, or dropped by the same rule."""
    return f"""
        SELECT dropped.*,
            EXISTS (SELECT 1 FROM {there}_kept AS kept WHERE {_same("kept", "dropped")}) AS kept,
            EXISTS (
                SELECT 1 FROM {there}_dropped AS other WHERE {_same("other", "dropped")}
                AND other.gate = dropped.gate AND other.rule = dropped.rule
            ) AS same
        FROM {here}_dropped AS dropped
    """


def _moves(here: str, there: str) -> str:
    """SQL: by rule, rows that it drops here, and that are kept there, or end elsewhere there."""
    return f"""
        SELECT gate, kind, rule, min(threshold) AS threshold,
            count(*) FILTER (kept AND NOT same) AS kept,
            count(*) FILTER (NOT kept AND NOT same) AS elsewhere
        FROM ({_told(here, there)}) GROUP BY gate, kind, rule ORDER BY gate, kind, rule
    """


def _examples(con: Any, here: str, there: str, rule: Json, count: int) -> list[Json]:
    return dict_rows(
        con,
        f"""
        SELECT {_COLUMNS}, value, value_text, threshold FROM ({_told(here, there)})
        WHERE gate = ? AND kind = ? AND rule = ? AND kept AND NOT same
        ORDER BY id, node LIMIT {int(count)}
        """,
        rule["gate"], rule["kind"], rule["rule"],
    )  # fmt: skip


def _add_thresholds(con: Any, rules: Mapping[str, Json], recipes: Sequence[Any]) -> None:
    """What each rule demands: as the ledger says, else, where no row fails it, as the recipe."""
    for side, recipe in zip(_SIDES, recipes, strict=True):
        rows = dict_rows(
            con,
            f"SELECT gate, kind, rule, min(threshold) AS threshold FROM {side}_ledger "
            "GROUP BY gate, kind, rule",
        )
        for path, rule in rules.items():
            rule[f"threshold_{side}"] = threshold_of(recipe, path)
        for row in rows:
            told = rules.get(ledger_path(row["gate"], row["kind"], row["rule"]))
            if told is not None:
                told[f"threshold_{side}"] = row["threshold"]


def _shards(a: Manifest | None, b: Manifest | None) -> Json:
    hashes = [{} if each is None else {s.name: s.sha256 for s in each.shards} for each in (a, b)]
    in_a, in_b = hashes
    common = sorted(in_a.keys() & in_b.keys())
    return {
        "equal": [name for name in common if in_a[name] == in_b[name]],
        "differ": [name for name in common if in_a[name] != in_b[name]],
        "a_only": sorted(in_a.keys() - in_b.keys()),
        "b_only": sorted(in_b.keys() - in_a.keys()),
    }
