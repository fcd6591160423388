"""What an explorer must show, counted anew from the numbers of a report."""

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass
class Moved:
    """Where limits of a rule stand now, as a recipe would say it."""

    lower: float | None = None
    upper: float | None = None
    above: bool = False
    below: bool = False
    passing: list[Any] | None = None
    """Values that pass, of a rule with members."""


@dataclass
class Expected:
    kept: int = 0
    languages: dict[str, int] = field(default_factory=dict)


def as_in_recipe(rule: Json) -> Moved:
    if rule["form"] == "range":
        return Moved(rule["lower"], rule["upper"], rule["above"], rule["below"])
    passing = [v for v in rule["values"] if (v in rule["members"]) != rule["exclude"]]
    return Moved(passing=passing)


def passes(rule: Json, number: int, moved: Moved) -> bool:
    """Whether rows of a bin pass: the bin is judged by a value that lies inside it."""
    if number == 0:
        return False
    if rule["form"] == "members":
        values = rule["values"]
        if number > len(values):
            return bool(rule["exclude"])
        return values[number - 1] in (moved.passing or [])
    # Places on a line on which a cut [v, 0] is just left of v and [v, 1] just right of it.
    cuts = [(value, side - 0.5) for value, side in rule["cuts"]]
    left = cuts[number - 2] if number >= 2 else (float("-inf"), 0.0)
    right = cuts[number - 1] if number <= len(cuts) else (float("inf"), 0.0)
    low = moved.lower is None or left >= (moved.lower, 0.5 if moved.above else -0.5)
    high = moved.upper is None or right <= (moved.upper, -0.5 if moved.below else 0.5)
    return low and high


def expect(explorer: Json, moves: dict[str, Moved]) -> Expected:
    """Rows kept under moved limits, in all and by language.

    Args:
        explorer: Of a report.
        moves: The rules that moved, by path: joint ones, or a single one that is not.
    """
    rules = {rule["path"]: rule for rule in explorer["rules"]}
    alone = [path for path in moves if not rules[path]["is_joint"]]
    if alone:
        (path,) = moves
        judged, table = [rules[path]], explorer["single"][path]
        columns = [table["bins"]]
    else:
        judged = [rule for rule in explorer["rules"] if rule["is_joint"]]
        table = explorer["joint"]
        columns = table["bins"]
    expected = Expected(languages=dict.fromkeys(explorer["languages"], 0))
    for i, rows in enumerate(table["rows"]):
        fine = all(
            passes(rule, column[i], moves.get(rule["path"], as_in_recipe(rule)))
            for rule, column in zip(judged, columns, strict=True)
        )
        if fine and table["rest"][i]:
            expected.kept += rows
            expected.languages[explorer["languages"][table["language"][i]]] += rows
    return expected
