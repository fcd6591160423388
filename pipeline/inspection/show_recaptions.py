"""What became of the captions that models were asked for."""

from rich.console import Console
from rich.text import Text

from pipeline.inspection.streams import Json
from schemas.recaption_rows import OUTCOME_FACT, OUTCOMES, PROBLEM_FACT, RECAPTIONS
from transforms.caption_choice import TRAINED_ON


def render_recaptions(stages: Json, console: Console) -> None:
    """Print outcomes, why answers were refused, and what samples are trained on."""
    stage = stages.get("recaption", {})
    wanted = stage.get("tables", {}).get(RECAPTIONS, {}).get("in", 0)
    if not wanted:
        return
    facts = stage["facts"]
    outcomes = {
        name.removeprefix(OUTCOME_FACT): count
        for name, count in facts.items()
        if name.startswith(OUTCOME_FACT) and not name.startswith(PROBLEM_FACT)
    }
    ranks = {name: rank for rank, name in enumerate(OUTCOMES)}
    console.print()
    console.print(Text("captions asked for  ", "bold") + f"{wanted:,}")
    for name in sorted(outcomes, key=lambda name: (ranks.get(name, len(ranks)), name)):
        count = outcomes[name]
        meaning = OUTCOMES.get(name, "the image cannot be shown")
        console.print(f"  {name:22}{count:>9,}  {count / wanted:6.1%}  {meaning}", markup=False)
    problems = _counts(facts, PROBLEM_FACT)
    if problems:
        console.print(Text("answers refused  ", "bold") + problems)
    trained = _counts(stages.get("shard", {}).get("facts", {}), TRAINED_ON)
    if trained:
        console.print(Text("samples trained on  ", "bold") + trained)


def _counts(facts: Json, prefix: str) -> Text:
    found = {n.removeprefix(prefix): c for n, c in facts.items() if n.startswith(prefix)}
    ordered = sorted(found, key=lambda name: (-found[name], name))
    return Text(", ".join(f"{name} {found[name]:,}" for name in ordered))
