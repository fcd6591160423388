"""Gates over rows: a test for every sentence of the design on gates, and of its principle 4."""

import hashlib
import json
import math
import pickle
import sys
import tomllib
from types import FrameType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import RecipeError
from schemas.rows import LedgerRow
from schemas.tables import schema_of
from transforms.gates import (
    STEP_VERSION,
    RowGate,
    check_gate,
    evaluate,
    find_cutoffs,
    ledger_rows,
    parse_gate,
    top_values,
)

RECIPE = """
min_side  = { value = "least(width, height)", min = 200 }
aspect    = { value = "greatest(width, height) / least(width, height)", max = 3 }
language  = { value = "language", in = ["en", "de"] }
alignment = { value = "clip_score", min = 0.28 }
"""


def gate_of(toml: str) -> RowGate:
    return parse_gate(tomllib.loads(toml), "gates.g")


def keep_of(toml: str, **columns: Any) -> list[bool]:
    table = pa.table(columns)
    gate = gate_of(toml)
    check_gate(gate, table.schema, "gates.g")
    kept: list[bool] = evaluate(gate, table).keep.tolist()
    return kept


def images(**changes: Any) -> pa.Table:
    row = {"width": 640, "height": 480, "language": "en", "clip_score": 0.3} | changes
    return pa.table({name: [value] for name, value in row.items()})


def ledger_of(gate: RowGate, table: pa.Table, ids: list[str] | None = None) -> list[dict[str, Any]]:
    keys = pa.array(ids or [f"id{row}" for row in range(table.num_rows)])
    rows: list[dict[str, Any]] = ledger_rows(
        "g", "caption", keys, None, evaluate(gate, table)
    ).to_pylist()
    return rows


@pytest.mark.parametrize(
    ("changes", "rejects"),
    [
        ({}, []),
        ({"width": 200, "height": 200}, []),
        ({"width": 199, "height": 200}, ["min_side"]),
        ({"width": 600, "height": 200}, []),
        ({"width": 601, "height": 200}, ["aspect"]),
        ({"language": "fr"}, ["language"]),
        ({"clip_score": 0.28}, []),
        ({"clip_score": 0.27999}, ["alignment"]),
        ({"width": 100, "language": "fr"}, ["min_side", "aspect", "language"]),
    ],
)
def test_rules_of_the_design_keep_and_reject(changes: dict[str, Any], rejects: list[str]) -> None:
    gate, table = gate_of(RECIPE), images(**changes)
    check_gate(gate, table.schema, "gates.g")
    assert evaluate(gate, table).keep.tolist() == [not rejects]
    assert [row["rule"] for row in ledger_of(gate, table)] == rejects


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("min = 2", [False, True, True, False]),
        ("max = 2", [True, True, False, False]),
        ("above = 2", [False, False, True, False]),
        ("below = 2", [True, False, False, False]),
        ("min = 2, max = 2", [False, True, False, False]),
        ("above = 1, below = 3", [False, True, False, False]),
        ("in = [1, 3]", [True, False, True, False]),
        ("not_in = [1, 3]", [False, True, False, False]),
        ("equals = 2", [False, True, False, False]),
    ],
)
def test_condition_keeps_both_sides_of_its_threshold(condition: str, kept: list[bool]) -> None:
    rule = f'r = {{ value = "x", {condition} }}'
    assert keep_of(rule, x=[1, 2, 3, None]) == kept


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ('r = { value = "s", not_in = ["a"] }', [False, True, False]),
        ('r = { value = "s", equals = "a" }', [True, False, False]),
        ("r = { value = \"s = 'a'\", equals = false }", [False, True, False]),
        ("r = { value = \"s = 'a'\", not_in = [false] }", [True, False, False]),
        ("r = \"s = 'a'\"", [True, False, False]),
        ("r = { sql = \"s <> 'a'\" }", [False, True, False]),
        ('r = "s is null"', [False, False, True]),
        ("", [True, True, True]),
    ],
)
def test_texts_and_booleans_are_judged(rule: str, kept: list[bool]) -> None:
    assert keep_of(rule, s=["a", "b", None]) == kept


BAD = [math.nan, math.inf, -math.inf, None]


@pytest.mark.parametrize(
    "rule",
    [
        'r = { value = "x", min = 0.28 }',
        'r = { value = "x", max = 0.28 }',
        'r = { value = "x", not_in = [1] }',
        'r = { value = "-x", min = -1e300, max = 1e300 }',
        'r = "x >= 0.28"',
        'r = "x < 0.28"',
        'r = "not (x >= 0.28)"',
        'r = "x <> 0"',
    ],
)
@pytest.mark.parametrize("data_type", [pa.float64(), pa.float32()], ids=str)
def test_nan_and_infinity_are_null_before_a_rule_and_null_rejects(
    rule: str, data_type: pa.DataType
) -> None:
    assert keep_of(rule, x=pa.array(BAD, data_type)) == [False] * 4


@pytest.mark.parametrize("rule", ['r = { value = "1 / x", min = 0 }', 'r = "1 / x > 0"'])
def test_division_by_zero_is_null_and_rejects(rule: str) -> None:
    assert keep_of(rule, x=[0.0, -0.0, 5e-324, 2.0]) == [False, False, False, True]


def test_null_rejects_with_value_null() -> None:
    table = images(clip_score=math.nan)
    (row,) = ledger_of(gate_of(RECIPE), table)
    assert (row["rule"], row["value"], row["value_text"]) == ("alignment", None, None)
    assert row["threshold"] == "min=0.28"


def test_all_failing_rules_are_listed_and_the_first_in_recipe_order_is_decisive() -> None:
    table = images(width=100, height=700, language="fr", clip_score=0.1)
    rows = ledger_of(gate_of(RECIPE), table)
    assert [(row["rule"], row["decisive"]) for row in rows] == [
        ("min_side", True),
        ("aspect", False),
        ("language", False),
        ("alignment", False),
    ]
    assert [row["value"] for row in rows] == [100.0, 7.0, None, 0.1]
    assert [row["value_text"] for row in rows] == [None, None, "fr", None]
    backwards = RowGate(gate_of(RECIPE).rules[::-1])
    assert [row["rule"] for row in ledger_of(backwards, table) if row["decisive"]] == ["alignment"]


def test_ledger_has_the_columns_of_its_rows_and_the_node() -> None:
    table = pa.table({"x": [1, 5, 2]})
    decisions = evaluate(gate_of('r = { value = "x", min = 3 }'), table)
    ids, nodes = pa.array(["a", "b", "c"]), pa.array([7, 8, 9])
    ledger = ledger_rows("shard.x", "image", ids, nodes, decisions)
    assert ledger.schema == schema_of(LedgerRow)
    expected = {"gate": "shard.x", "kind": "image", "rule": "r", "decisive": True}
    expected |= {"value_text": None, "threshold": "min=3"}
    assert ledger.to_pylist() == [
        expected | {"id": "a", "node": 7, "value": 1.0},
        expected | {"id": "c", "node": 9, "value": 2.0},
    ]


def test_ledger_of_nothing_is_an_empty_table() -> None:
    decisions = evaluate(gate_of('r = { value = "x", min = 3 }'), pa.table({"x": [5]}))
    ledger = ledger_rows("g", "image", pa.array(["a"]), None, decisions)
    assert ledger.num_rows == 0
    assert ledger.schema == schema_of(LedgerRow)


def test_plain_sql_has_its_columns_as_json() -> None:
    table = pa.table({"w": [3], "n": [math.nan], 'q"': ['<b>"x"</b>'], "unused": [1]})
    gate = gate_of('r = \'w > 5 and "q""" = $$a$$ and n > 1\'')
    check_gate(gate, table.schema, "g")
    (row,) = ledger_of(gate, table)
    assert json.loads(row["value_text"]) == {"w": 3, 'q"': '<b>"x"</b>', "n": None}
    assert row["value"] is None
    assert row["threshold"] == 'w > 5 and "q""" = $$a$$ and n > 1'


def test_ledger_shows_the_start_of_a_long_text_only() -> None:
    table = pa.table({"s": ["é" * 100_000]})
    (row,) = ledger_of(gate_of('r = { value = "s", equals = "x" }'), table)
    assert row["value_text"] == "é" * 200
    (row,) = ledger_of(gate_of("r = \"s = 'x'\""), table)
    assert json.loads(row["value_text"]) == {"s": "é" * 200}


ROWS = st.lists(
    st.tuples(
        st.none() | st.sampled_from([0.0, 1.0, 2.0, math.nan, math.inf]),
        st.none() | st.sampled_from(["a", "b"]),
    ),
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(ROWS)
def test_kept_and_decisive_rejections_add_up_and_agree_with_the_ledger(
    rows: list[tuple[float | None, str | None]],
) -> None:
    table = pa.table(
        {
            "x": pa.array([row[0] for row in rows], pa.float64()),
            "s": pa.array([row[1] for row in rows], pa.string()),
        }
    )
    rules = 'one = { value = "x", min = 1 }\ntwo = { value = "s", in = ["a"] }\nthree = "2 / x > 1"'
    decisions = evaluate(gate_of(rules), table)
    finite = [x is not None and math.isfinite(x) for x, _ in rows]
    expected = [ok and x == 1.0 and s == "a" for ok, (x, s) in zip(finite, rows, strict=True)]
    assert decisions.keep.tolist() == expected
    rejected = decisions.rejected_by_rule()
    assert list(rejected) == ["one", "two", "three"]
    assert int(decisions.keep.sum()) + sum(rejected.values()) == len(rows)
    ids = pa.array([str(row) for row in range(len(rows))], pa.string())
    ledger = ledger_rows("g", "text", ids, None, decisions).to_pylist()
    decisive = [row for row in ledger if row["decisive"]]
    assert [row["id"] for row in decisive] == [str(r) for r in np.flatnonzero(~decisions.keep)]
    for name, count in rejected.items():
        assert sum(row["rule"] == name for row in decisive) == count


def test_value_of_the_wrong_kind_is_refused_when_the_recipe_loads() -> None:
    schema = pa.schema({"s": pa.string(), "x": pa.float64()})
    for rule, message in [
        ('r = { value = "s", min = 1 }', r"gates\.g\.r: min=1: the value is a text, not a number"),
        ('r = { value = "x", in = ["a"] }', r"gates\.g\.r: in=a: the value is a number, not a tex"),
        ('r = "x + 1"', r"gates\.g\.r: the expression is a number, not a boolean"),
        ('r = { value = "s", top_fraction = 0.1 }', r"the value is a text, not a number"),
        ('r = { value = "clip", min = 1 }', r"gates\.g\.r: no column 'clip'; columns: s, x"),
    ]:
        with pytest.raises(RecipeError, match=message):
            check_gate(gate_of(rule), schema, "gates.g")


def test_another_threshold_needs_the_scores_and_nothing_else() -> None:
    """Principle 4: scorers add columns, gates decide; the table is not changed by a gate."""
    table = images(clip_score=0.25)
    before = table.to_pylist()
    assert not evaluate(gate_of(RECIPE), table).keep[0]
    assert evaluate(gate_of(RECIPE.replace("0.28", "0.25")), table).keep[0]
    assert table.to_pylist() == before


# top_fraction


def corpus(rows: int, seed: int = 0) -> tuple[pa.Table, pa.Array]:
    random = np.random.default_rng(seed)
    scores = random.choice([0.1, 0.2, 0.2, 0.3, math.nan, 0.4, 0.5], rows)
    table = pa.table({"x": scores, "y": random.random(rows), "w": random.integers(0, 4, rows)})
    return table, pa.array([f"id{row}" for row in range(rows)])


def in_parts(table: pa.Table, keys: pa.Array, size: int) -> Any:
    return lambda: [
        (table.slice(start, size), keys.slice(start, size))
        for start in range(0, table.num_rows, size)
    ]


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_top_fraction_is_the_same_for_any_parts(size: int) -> None:
    table, keys = corpus(120)
    gate = gate_of('wide = { value = "w", min = 1 }\nbest = { value = "x", top_fraction = 0.3 }')
    check_gate(gate, table.schema, "g")
    cutoffs = find_cutoffs(gate, in_parts(table, keys, size))
    kept = np.concatenate(
        [evaluate(gate, part, cutoffs, ids).keep for part, ids in in_parts(table, keys, size)()]
    )
    x, w = table["x"].to_numpy(), table["w"].to_numpy()
    eligible = np.sort(x[(w >= 1) & ~np.isnan(x)])[::-1]
    assert kept.sum() == math.ceil(3 * len(eligible) / 10)
    assert sorted(x[kept], reverse=True) == eligible[: kept.sum()].tolist()
    assert kept.tolist() == evaluate(gate, table, cutoffs, keys).keep.tolist()


def test_top_fraction_is_over_rows_that_pass_the_other_rules_or_over_all() -> None:
    table = pa.table({"x": [9.0, 8.0, 7.0, 6.0, 5.0, 4.0], "w": [0, 0, 0, 1, 1, 1]})
    keys = pa.array(list("abcdef"))
    kept = {}
    for over in ("passing", "all"):
        gate = gate_of(
            f'best = {{ value = "x", top_fraction = 0.5, over = "{over}" }}\n'
            'wide = { value = "w", min = 1 }'
        )
        cutoffs = find_cutoffs(gate, lambda: [(table, keys)])
        decisions = evaluate(gate, table, cutoffs, keys)
        kept[over] = np.flatnonzero(decisions.keep).tolist()
    assert kept == {"passing": [3, 4], "all": []}


def test_several_top_fractions_see_the_same_rows_whatever_their_order() -> None:
    table, keys = corpus(200, seed=1)
    rules = [
        'by_x = { value = "x", top_fraction = 0.5 }',
        'by_y = { value = "y", top_fraction = 0.5 }',
        'wide = { value = "w", min = 1 }',
    ]
    results = []
    for order in ([0, 1, 2], [2, 1, 0]):
        gate = gate_of("\n".join(rules[index] for index in order))
        cutoffs = find_cutoffs(gate, in_parts(table, keys, 50))
        results.append((cutoffs, evaluate(gate, table, cutoffs, keys).keep.tolist()))
    assert results[0] == results[1]
    passing = int((table["w"].to_numpy() >= 1).sum())
    assert results[0][0]["by_y"].rows == passing
    assert results[0][0]["by_y"].kept == math.ceil(passing / 2)


def test_null_never_enters_a_top_fraction() -> None:
    table = pa.table({"x": [None, math.nan, 1.0, 2.0]})
    keys = pa.array(list("abcd"))
    gate = gate_of('best = { value = "x", top_fraction = 1.0, over = "all" }')
    found = top_values(gate, table, keys)["best"][0]
    assert np.isnan(found).tolist() == [True, True, False, False]
    cutoffs = find_cutoffs(gate, lambda: [(table, keys)])
    assert cutoffs["best"].rows == 2
    assert evaluate(gate, table, cutoffs, keys).keep.tolist() == [False, False, True, True]


def test_top_fraction_says_its_cutoff_in_the_ledger() -> None:
    table, keys = pa.table({"x": [0.25, 0.5]}), pa.array(["a", "b"])
    gate = gate_of('best = { value = "x", top_fraction = 0.5 }')
    cutoffs = find_cutoffs(gate, lambda: [(table, keys)])
    (row,) = ledger_rows("g", "image", keys, None, evaluate(gate, table, cutoffs, keys)).to_pylist()
    assert row["threshold"] == "top_fraction=0.5 (cutoff 0.5, over=passing)"
    assert row["value"] == 0.25


def test_top_fraction_without_its_cutoff_is_a_bug() -> None:
    gate = gate_of('best = { value = "x", top_fraction = 0.5 }')
    with pytest.raises(ValueError, match=r"gates\.g\.best: top_fraction needs its cutoff"):
        evaluate(gate, pa.table({"x": [1.0]}))


# Behind the curtain


def test_gate_travels_to_workers() -> None:
    gate = pickle.loads(pickle.dumps(gate_of(RECIPE)))
    assert evaluate(gate, images()).keep.tolist() == [True]


def test_chunks_and_no_rows_are_fine() -> None:
    gate = gate_of(RECIPE)
    table = pa.concat_tables([images(), images(width=1)])
    assert evaluate(gate, table).keep.tolist() == [True, False]
    assert evaluate(gate, table.slice(0, 0)).keep.tolist() == []
    assert evaluate(gate, table.slice(0, 0)).rejected_by_rule() == dict.fromkeys(
        ["min_side", "aspect", "language", "alignment"], 0
    )


def test_rows_keep_their_order_over_many_vectors() -> None:
    table = pa.table({"x": np.arange(100_000)})
    assert (evaluate(gate_of('r = "x % 3 = 0"'), table).keep == (np.arange(100_000) % 3 == 0)).all()


def test_five_rules_judge_a_table_without_a_step_a_row() -> None:
    count = 200_000
    random = np.random.default_rng(0)
    table = pa.table(
        {
            "width": random.integers(1, 2000, count),
            "height": random.integers(0, 2000, count),
            "language": random.choice(["en", "de", "fr"], count),
            "clip_score": random.normal(0.28, 0.05, count),
        }
    )
    gate = gate_of(RECIPE + 'area = "width * height > 90000"')

    def calls(rows: int) -> int:
        """How many functions, of Python and of C, judging some rows calls."""
        seen = 0

        def note(frame: FrameType, event: str, called: object) -> None:
            nonlocal seen
            seen += event.endswith("call")

        sys.setprofile(note)
        try:
            evaluate(gate, table.slice(0, rows))
        finally:
            sys.setprofile(None)
        return seen

    calls(1000)  # what is compiled once is compiled
    few, many = calls(1000), calls(count)
    assert few > 0
    assert many < few + count / 100


def test_output_changes_only_with_the_step_version() -> None:
    table = pa.table(
        {
            "width": [640, 100, 5000, None],
            "height": [480, 100, 200, 300],
            "language": ["en", "fr", None, "de"],
            "clip_score": [0.3, math.nan, 0.1, 0.28],
        }
    )
    gate = gate_of(RECIPE + 'area = "width * height > 90000"\ncustom = "width / 0 is null"')
    ledger = ledger_of(gate, table)
    digest = hashlib.sha256(json.dumps(ledger).encode()).hexdigest()[:16]
    assert (STEP_VERSION, len(ledger), digest) == (1, 8, "a504778f3d359a9c")
