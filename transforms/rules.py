"""One rule of a gate, as a recipe writes it.

::

    min_side  = { value = "least(width, height)", min = 200 }
    language  = { value = "language", in = ["en", "de"] }
    best      = { value = "clip_score", top_fraction = 0.3, over = "passing" }
    landscape = { sql = "width > height" }
    landscape = "width > height"                                 # the same

`min` and `max` include the threshold, `above` and `below` do not. A lower and an upper limit may
stand together; `in`, `not_in`, `equals` and `top_fraction` stand alone. A rule keeps a row only
when its condition is true: NULL is in no range, in no list, in no complement of a list, and in no
top fraction.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

from schemas.errors import RecipeError
from transforms.expressions import Kind, Tree, parse_expression

Scalar = float | str | bool

KEYS = (
    "value",
    "min",
    "max",
    "above",
    "below",
    "in",
    "not_in",
    "equals",
    "top_fraction",
    "over",
    "sql",
)
"""Every key that a rule may have."""

_LIMITS = ("min", "above", "max", "below")
_ALONE = ("in", "not_in", "equals", "top_fraction")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class RowRule:
    """A rule: an expression, and the condition on its value."""

    name: str
    where: str
    """Dotted path of the rule in the recipe: what error messages start with."""
    tree_json: str
    """Parse tree of the expression, as JSON."""
    threshold: str
    """The condition as the ledger shows it: `min=200`, `in=en,de`, or the SQL."""
    sql: bool = False
    """Whether the expression is the whole rule, true or not."""
    lower: float | None = None
    upper: float | None = None
    above: bool = False
    """Whether `lower` itself is refused."""
    below: bool = False
    """Whether `upper` itself is refused."""
    members: tuple[Scalar, ...] | None = None
    exclude: bool = False
    """Whether `members` are refused instead of asked for."""
    top_fraction: float | None = None
    over: Literal["passing", "all"] = "passing"
    """`passing`: of the rows that pass all rules that are no `top_fraction`; `all`: of all rows."""

    @property
    def tree(self) -> Tree:
        """Parse tree of the expression."""
        tree: Tree = json.loads(self.tree_json)
        return tree

    @property
    def wants(self) -> Kind:
        """The kind that the expression must have for the condition to make sense."""
        if self.sql:
            return "boolean"
        return "number" if self.members is None else _scalar_kind(self.members[0])


def parse_rule(name: str, spec: Any, where: str) -> RowRule:
    """A rule from what the recipe has under its name.

    Args:
        name: the rule's name.
        spec: a table of the keys above, or a string: plain SQL.
        where: dotted path of the rule.

    Raises:
        RecipeError: the message starts with the dotted path of what is wrong.
    """
    if not _NAME.fullmatch(name):
        raise RecipeError(f"{where}: a rule's name is lower-case letters, digits and _")
    if isinstance(spec, str):
        return _sql_rule(name, spec, where, where)
    if not isinstance(spec, Mapping):
        raise RecipeError(f"{where}: a rule is a table or a string, not {spec!r}")
    for key in spec:
        if key not in KEYS:
            raise RecipeError(f"{where}.{key}: unknown key; known keys: {', '.join(KEYS)}")
    for key in ("value", "sql"):
        if key in spec and not isinstance(spec[key], str):
            raise RecipeError(f"{where}.{key}: an expression is a string, not {spec[key]!r}")
    if "sql" in spec:
        others = [key for key in spec if key != "sql"]
        if others:
            raise RecipeError(f"{where}.{others[0]}: nothing can stand beside sql")
        return _sql_rule(name, spec["sql"], where, f"{where}.sql")
    if "value" not in spec:
        raise RecipeError(f"{where}: a rule needs value or sql")
    conditions = [key for key in spec if key not in ("value", "over")]
    if not conditions:
        raise RecipeError(f"{where}: no condition; one of {', '.join((*_LIMITS, *_ALONE))}")
    alone = [key for key in conditions if key in _ALONE]
    if alone and len(conditions) > 1:
        raise RecipeError(f"{where}.{alone[0]}: no other condition can stand beside it")
    if "over" in spec and "top_fraction" not in spec:
        raise RecipeError(f"{where}.over: only beside top_fraction")
    tree = json.dumps(parse_expression(spec["value"], f"{where}.value"))
    threshold = ", ".join(f"{key}={_shown(spec[key])}" for key in conditions)
    if "top_fraction" in spec:
        return _top_rule(name, spec, where, tree, threshold)
    if alone:
        members = _members(alone[0], spec[alone[0]], f"{where}.{alone[0]}")
        exclude = alone[0] == "not_in"
        return RowRule(name, where, tree, threshold, members=members, exclude=exclude)
    return _range_rule(name, spec, where, tree, threshold)


def _sql_rule(name: str, text: str, where: str, path: str) -> RowRule:
    tree = json.dumps(parse_expression(text, path))
    return RowRule(name, where, tree, " ".join(text.split()), sql=True)


def _top_rule(name: str, spec: Mapping[str, Any], where: str, tree: str, threshold: str) -> RowRule:
    fraction = _number(spec["top_fraction"], f"{where}.top_fraction")
    if not 0 < fraction <= 1:
        raise RecipeError(f"{where}.top_fraction: above 0 and at most 1, not {fraction!r}")
    over = spec.get("over", "passing")
    if over not in ("passing", "all"):
        raise RecipeError(f"{where}.over: passing or all, not {over!r}")
    return RowRule(name, where, tree, threshold, top_fraction=fraction, over=over)


def _range_rule(
    name: str, spec: Mapping[str, Any], where: str, tree: str, threshold: str
) -> RowRule:
    limits = {key: _number(spec[key], f"{where}.{key}") for key in _LIMITS if key in spec}
    for one, other in (("min", "above"), ("max", "below")):
        if one in limits and other in limits:
            raise RecipeError(f"{where}.{other}: cannot stand beside {one}")
    lower = limits.get("min", limits.get("above"))
    upper = limits.get("max", limits.get("below"))
    strict = "above" in limits or "below" in limits
    empty = (
        lower is not None and upper is not None and (lower > upper or (strict and lower == upper))
    )
    if empty:
        raise RecipeError(f"{where}: no value is in the range {threshold}")
    return RowRule(
        name,
        where,
        tree,
        threshold,
        lower=lower,
        upper=upper,
        above="above" in limits,
        below="below" in limits,
    )


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecipeError(f"{where}: a number is wanted, not {value!r}")
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if not isfinite(number):
        raise RecipeError(f"{where}: a finite number is wanted, not {value!r}")
    return number


def _scalar_kind(value: Any) -> Kind:
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"


def _members(key: str, value: Any, where: str) -> tuple[Scalar, ...]:
    if key == "equals":
        value = [value]
    if not isinstance(value, list | tuple) or not value:
        raise RecipeError(f"{where}: a list of at least one value is wanted, not {value!r}")
    members: list[Scalar] = []
    for member in value:
        is_number = not isinstance(member, bool | str)
        members.append(_number(member, where) if is_number else member)
    if len({_scalar_kind(member) for member in members}) > 1:
        raise RecipeError(f"{where}: numbers or texts, not both")
    return tuple(members)


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(_shown(member) for member in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
