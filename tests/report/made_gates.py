"""Made-up rows of gates, and what a report counts of them: rules, explorers, slices."""

import random
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Json = dict[str, Any]

LANGUAGES = ["en", "de", "ar", "ja", "unknown", "other"]
SHARES = [0.55, 0.2, 0.1, 0.06, 0.05, 0.04]
SCRIPTS = {"en": "Latin", "de": "Latin", "ar": "Arabic", "ja": "Japanese"}


@dataclass
class MadeRule:
    """A rule, and how to draw a value of it."""

    name: str
    expression: str
    draw: Any
    lower: float | None = None
    upper: float | None = None
    above: bool = False
    below: bool = False
    cuts: tuple[float, ...] = ()
    values: tuple[Any, ...] | None = None
    members: tuple[Any, ...] | None = None
    exclude: bool = False
    is_joint: bool = True

    @property
    def form(self) -> str:
        return "range" if self.members is None else "members"

    @property
    def threshold(self) -> str:
        if self.members is not None:
            return f"{'not_in' if self.exclude else 'in'}={','.join(map(str, self.members))}"
        parts = []
        if self.lower is not None:
            parts.append(f"{'above' if self.above else 'min'}={self.lower}")
        if self.upper is not None:
            parts.append(f"{'below' if self.below else 'max'}={self.upper}")
        return ", ".join(parts)

    @cached_property
    def all_cuts(self) -> list[tuple[float, int]]:
        # A limit of either kind may come to stand at a number where a rule has both kinds.
        sides = (0, 1) if None not in (self.lower, self.upper) else (0,)
        own = [(cut, side) for cut in self.cuts for side in sides]
        if self.lower is not None:
            own.append((self.lower, int(self.above)))
        if self.upper is not None:
            own.append((self.upper, int(not self.below)))
        return sorted(set(own))

    def bin_of(self, value: Any) -> int:
        """The bin of the contract: 0 is NULL."""
        if value is None:
            return 0
        if self.values is not None:
            return self.values.index(value) + 1 if value in self.values else len(self.values) + 1
        # A cut [v, 0] lies below v, [v, 1] above it: v itself stands at [v, 0.5].
        return bisect_left(self.all_cuts, (value, 0.5)) + 1

    def passes(self, value: Any) -> bool:
        if value is None:
            return False
        if self.members is not None:
            return (value in self.members) != self.exclude
        low = self.lower is None or value > self.lower or (value == self.lower and not self.above)
        high = self.upper is None or value < self.upper or (value == self.upper and not self.below)
        return bool(low and high)


def captioned_rules(rng: random.Random) -> list[MadeRule]:
    return [
        MadeRule(
            "min_side",
            "least(width, height)",
            lambda: int(rng.lognormvariate(5.7, 0.8)),
            lower=200,
            cuts=(64, 100, 128, 150, 200, 224, 250, 300, 400, 512, 768, 1024, 2048),
        ),
        MadeRule(
            "aspect",
            "greatest(width, height) / least(width, height)",
            lambda: round(1 + rng.expovariate(1.4), 3),
            upper=3,
            cuts=(1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 5, 8),
        ),
        MadeRule(
            "alignment",
            "clip_score",
            lambda: None if rng.random() < 0.04 else round(rng.gauss(0.27, 0.06), 4),
            lower=0.24,
            upper=0.6,
            above=True,
            below=True,
            cuts=tuple(round(0.1 + 0.02 * i, 2) for i in range(20)),
        ),
        MadeRule(
            "language", "language", lambda: None, values=("en", "de", "ar"), members=("en", "de")
        ),
        MadeRule(
            "boilerplate",
            "flag_boilerplate",
            lambda: rng.random() < 0.12,
            values=(True, False),
            members=(True,),
            exclude=True,
            is_joint=False,
        ),
        MadeRule(
            "shared_text",
            "text_images",
            lambda: int(rng.paretovariate(0.8)),
            upper=10,
            cuts=(1, 2, 3, 5, 10, 20, 50, 100, 1000),
            is_joint=False,
        ),
    ]


def text_rules(rng: random.Random) -> list[MadeRule]:
    names = [f"top_{n}gram" for n in (2, 3, 4)] + [f"dup_{n}gram" for n in range(5, 11)]
    ratios = tuple(round(0.02 * i, 2) for i in range(1, 20))
    return [
        MadeRule(
            "words",
            "words",
            lambda: int(rng.lognormvariate(6, 1.4)),
            lower=50,
            upper=100000,
            cuts=(0, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 100000),
            is_joint=False,
        ),
        *(
            MadeRule(
                name,
                f"coalesce({name}_char_ratio, 0)",
                lambda: round(rng.betavariate(1.2, 14), 4),
                upper=round(0.21 - 0.01 * i, 2),
                cuts=ratios,
                is_joint=False,
            )
            for i, name in enumerate(names)
        ),
    ]


def made_gate(gate: str, stream: str, kind: str, scale: int, rules: Any) -> Json:
    """The parts of a report that tell of a gate: `rules`, `explorer`, `slices`.

    Args:
        gate: Its path.
        stream: The stream it belongs to.
        kind: What its rows are.
        scale: Rows that each drawn row stands for.
        rules: Makes the rules from a random generator.
    """
    rng = random.Random(gate)
    made = rules(rng)
    rows = [_made_row(made, rng) for _ in range(1500)]
    return {
        "rules": [_rule_facts(gate, stream, kind, rule, made, rows, scale) for rule in made],
        "explorer": _explorer(gate, stream, kind, made, rows, scale),
        "slices": _slices(gate, stream, kind, made, rows, scale),
    }


def _made_row(rules: list[MadeRule], rng: random.Random) -> Json:
    language = rng.choices(LANGUAGES, SHARES)[0]
    row: Json = {rule.name: rule.draw() for rule in rules}
    if "language" in row:
        row["language"] = None if language == "unknown" else language
    if language == "ar" and "aspect" in row and rng.random() < 0.5:
        row["aspect"] = 6.5
    row["$language"] = LANGUAGES.index(language)
    row["$script"] = SCRIPTS.get(language, "unknown")
    row["$orientation"] = rng.choice(["landscape", "portrait", "square"])
    row["$fails"] = [rule.name for rule in rules if not rule.passes(row[rule.name])]
    return row


def _rule_facts(
    gate: str,
    stream: str,
    kind: str,
    rule: MadeRule,
    made: list[MadeRule],
    rows: list[Json],
    k: int,
) -> Json:
    failing = [row for row in rows if rule.name in row["$fails"]]
    facts: Json = {
        "path": f"{gate}.{rule.name}",
        "gate": gate,
        "name": rule.name,
        "kind": kind,
        "stream": stream,
        "form": rule.form,
        "expression": rule.expression,
        "threshold": rule.threshold,
        "rows": len(rows) * k,
        "failed": len(failing) * k,
        "decisive": sum(row["$fails"][0] == rule.name for row in failing) * k,
        "alone": sum(len(row["$fails"]) == 1 for row in failing) * k,
        "without_value": sum(row[rule.name] is None for row in rows) * k,
        "histogram": None,
        "limits": [limit for limit in (rule.lower, rule.upper) if limit is not None],
        "members": None,
        "examples": {"kept": [], "dropped": []},
    }
    bins = [rule.bin_of(row[rule.name]) for row in rows]
    if rule.members is not None:
        values = [*(rule.values or ()), "other"]
        facts["members"] = [
            {
                "value": str(value).lower() if isinstance(value, bool) else value,
                "rows": bins.count(i) * k,
                "failed": sum(b == i and rule.name in r["$fails"] for b, r in zip(bins, rows)) * k,  # noqa: B905
            }
            for i, value in enumerate(values, 1)
        ]
        return facts
    counts = {"rows": rows, "failed": failing}
    counts["others_pass"] = [row for row in rows if set(row["$fails"]) <= {rule.name}]
    facts["histogram"] = {"cuts": rule.all_cuts} | {
        name: [n * k for n in _bin_counts(rule, found)] for name, found in counts.items()
    }
    return facts


def _bin_counts(rule: MadeRule, rows: list[Json]) -> list[int]:
    found = Counter(rule.bin_of(row[rule.name]) for row in rows)
    return [found[i] for i in range(1, len(rule.all_cuts) + 2)]


def _explorer(
    gate: str, stream: str, kind: str, made: list[MadeRule], rows: list[Json], scale: int
) -> Json:
    joint = [rule for rule in made if rule.is_joint]
    others = {rule.name for rule in made if not rule.is_joint}
    cells: dict[tuple[int, ...], int] = {}
    for row in rows:
        rest = int(others.isdisjoint(row["$fails"]))
        bins = [rule.bin_of(row[rule.name]) for rule in joint]
        key = (*bins, row["$language"], rest)
        cells[key] = cells.get(key, 0) + scale
    keys = sorted(cells)
    return {
        "gate": gate,
        "stream": stream,
        "kind": kind,
        "title": f"{stream}: {kind}s",
        "unit": f"{kind}s",
        "rows": len(rows) * scale,
        "languages": LANGUAGES,
        "rules": [
            {
                "path": f"{gate}.{rule.name}",
                "name": rule.name,
                "form": rule.form,
                "expression": rule.expression,
                "lower": rule.lower,
                "upper": rule.upper,
                "above": rule.above,
                "below": rule.below,
                "cuts": rule.all_cuts if rule.form == "range" else [],
                "values": None if rule.values is None else list(rule.values),
                "members": None if rule.members is None else list(rule.members),
                "exclude": rule.exclude,
                "is_joint": rule.is_joint,
            }
            for rule in made
        ],
        "joint": {
            "bins": [[key[i] for key in keys] for i in range(len(joint))],
            "language": [key[-2] for key in keys],
            "rest": [key[-1] for key in keys],
            "rows": [cells[key] for key in keys],
        }
        if joint
        else None,
        "single": {
            f"{gate}.{rule.name}": _single(rule, rows, scale) for rule in made if not rule.is_joint
        },
        "kept": sum(not row["$fails"] for row in rows) * scale,
    }


def _single(rule: MadeRule, rows: list[Json], scale: int) -> Json:
    cells: dict[tuple[int, int, int], int] = {}
    for row in rows:
        rest = int(set(row["$fails"]) <= {rule.name})
        key = (rule.bin_of(row[rule.name]), row["$language"], rest)
        cells[key] = cells.get(key, 0) + scale
    keys = sorted(cells)
    columns = ("bins", "language", "rest")
    found = {name: [key[i] for key in keys] for i, name in enumerate(columns)}
    return {**found, "rows": [cells[key] for key in keys]}


def _slices(
    gate: str, stream: str, kind: str, made: list[MadeRule], rows: list[Json], scale: int
) -> Json:
    names = [rule.name for rule in made]

    def failed(found: list[Json]) -> list[int]:
        return [sum(name in row["$fails"] for row in found) * scale for name in names]

    dimensions = []
    flags = []
    means = [n / (len(rows) * scale) for n in failed(rows)]
    for dimension, key in (
        ("language", "$language"),
        ("script", "$script"),
        ("orientation", "$orientation"),
    ):
        values = []
        for value in sorted({row[key] for row in rows}):
            found = [row for row in rows if row[key] == value]
            shown = LANGUAGES[value] if key == "$language" else value
            fails = failed(found)
            size = len(found) * scale
            kept = sum(not row["$fails"] for row in found) * scale
            values.append({"value": shown, "rows": size, "kept": kept, "failed": fails})
            flags += [
                {
                    "rule": name,
                    "dimension": dimension,
                    "value": shown,
                    "rate": n / size,
                    "mean": mean,
                    "rows": size,
                }
                for name, n, mean in zip(names, fails, means, strict=True)
                if n / size > 2 * mean > 0
            ]
        dimensions.append({"name": dimension, "distinct": len(values) + 3, "values": values})
    dimensions.append({"name": "image size", "distinct": 0, "values": []})
    return {
        "gate": gate,
        "stream": stream,
        "kind": kind,
        "rows": len(rows) * scale,
        "kept": sum(not row["$fails"] for row in rows) * scale,
        "rules": names,
        "failed": failed(rows),
        "dimensions": dimensions,
        "flags": flags,
    }
