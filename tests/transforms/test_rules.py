"""How a rule is written, and what is said of one that is not."""

import math
from typing import Any

import pytest

from schemas.errors import RecipeError
from transforms.gates import parse_gate
from transforms.rules import parse_rule

WRONG: dict[str, tuple[Any, str]] = {
    "unknown key": (
        {"value": "w", "mni": 1},
        "gates.a.r.mni: unknown key; known keys: value, min, max, above, below, in, not_in, "
        "equals, top_fraction, over, sql",
    ),
    "no expression": ({"min": 1}, "gates.a.r: a rule needs value or sql"),
    "no condition": ({"value": "w"}, "gates.a.r: no condition; one of min, above, max, below"),
    "only over": ({"value": "w", "over": "all"}, "gates.a.r: no condition"),
    "not a rule": (3, "gates.a.r: a rule is a table or a string, not 3"),
    "value of a wrong type": ({"value": 3, "min": 1}, "gates.a.r.value: an expression is a string"),
    "sql of a wrong type": ({"sql": True}, "gates.a.r.sql: an expression is a string"),
    "sql and more": ({"sql": "true", "min": 1}, "gates.a.r.min: nothing can stand beside sql"),
    "text limit": ({"value": "w", "min": "1"}, "gates.a.r.min: a number is wanted, not '1'"),
    "boolean limit": ({"value": "w", "max": True}, "gates.a.r.max: a number is wanted, not True"),
    "nan limit": ({"value": "w", "min": math.nan}, "gates.a.r.min: a finite number is wanted"),
    "infinite limit": ({"value": "w", "max": math.inf}, "gates.a.r.max: a finite number"),
    "huge integer": ({"value": "w", "max": 10**400}, "gates.a.r.max: a finite number"),
    "empty range": ({"value": "w", "min": 2, "max": 1}, "gates.a.r: no value is in the range"),
    "empty open range": ({"value": "w", "min": 1, "below": 1}, "gates.a.r: no value is in"),
    "two lower limits": ({"value": "w", "min": 1, "above": 1}, "gates.a.r.above: cannot stand"),
    "two upper limits": ({"value": "w", "max": 1, "below": 1}, "gates.a.r.below: cannot stand"),
    "empty list": ({"value": "w", "in": []}, "gates.a.r.in: a list of at least one value"),
    "no list": ({"value": "w", "not_in": "en"}, "gates.a.r.not_in: a list of at least one value"),
    "mixed list": ({"value": "w", "in": [1, "a"]}, "gates.a.r.in: numbers or texts, not both"),
    "nan in a list": ({"value": "w", "in": [math.nan]}, "gates.a.r.in: a finite number"),
    "table in a list": ({"value": "w", "in": [{}]}, "gates.a.r.in: a number is wanted"),
    "list beside limit": ({"value": "w", "min": 1, "in": [1]}, "gates.a.r.in: no other condition"),
    "fraction of zero": ({"value": "w", "top_fraction": 0}, "gates.a.r.top_fraction: above 0"),
    "fraction above one": ({"value": "w", "top_fraction": 1.1}, "gates.a.r.top_fraction: above 0"),
    "fraction of nan": ({"value": "w", "top_fraction": math.nan}, "gates.a.r.top_fraction: a fin"),
    "wrong over": ({"value": "w", "top_fraction": 0.1, "over": "x"}, "gates.a.r.over: passing or"),
    "over without fraction": ({"value": "w", "min": 1, "over": "all"}, "gates.a.r.over: only"),
    "broken expression": ({"value": "w +", "min": 1}, "gates.a.r.value: syntax error"),
}


@pytest.mark.parametrize(("spec", "message"), WRONG.values(), ids=WRONG)
def test_wrong_rule_is_refused_with_its_path(spec: Any, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_gate({"r": spec}, "gates.a")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("name", ["", "A", "a b", "1a", "a.b", "a'"])
def test_rule_name_that_no_metric_can_have_is_refused(name: str) -> None:
    with pytest.raises(RecipeError, match="a rule's name is"):
        parse_gate({name: "true"}, "gates.a")


def test_gate_that_is_no_table_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"gates\.a: a gate is a table of rules, not 3"):
        parse_gate(3, "gates.a")


@pytest.mark.parametrize(
    ("spec", "threshold"),
    [
        ({"value": "w", "min": 200}, "min=200"),
        ({"value": "w", "min": 0.5, "below": 2}, "min=0.5, below=2"),
        ({"value": "w", "in": ["en", "de"]}, "in=en,de"),
        ({"value": "w", "equals": True}, "equals=true"),
        ({"value": "w", "top_fraction": 0.3}, "top_fraction=0.3"),
        ("w  >\n 3", "w > 3"),
    ],
)
def test_threshold_reads_as_the_recipe(spec: Any, threshold: str) -> None:
    assert parse_rule("r", spec, "g").threshold == threshold


def test_gate_keeps_the_order_of_the_recipe() -> None:
    gate = parse_gate({"z": "true", "a": "true", "m": "true"}, "g")
    assert [rule.name for rule in gate.rules] == ["z", "a", "m"]
