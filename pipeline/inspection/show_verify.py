"""What was verified, for a terminal."""

from typing import Any

from rich.console import Console
from rich.text import Text

from pipeline.inspection.show import printable, size
from pipeline.inspection.streams import Json

PROBLEMS_SHOWN = 50
_VALUE = 70
"""Characters of a value that are shown; a sha256 has 64."""


def render_verified(facts: Json, console: Console) -> None:
    """Print what is wrong, then what was checked."""
    for problem in facts["problems"][:PROBLEMS_SHOWN]:
        key = "" if problem["key"] is None else f" {problem['key']}"
        console.print(
            Text("! ", "bold yellow")
            + printable(f"{problem['file']}{key}: ", 300)
            + printable(problem["what"], 500),
            soft_wrap=True,
        )
        if problem["is"] is not None or problem["should_be"] is not None:
            is_, should = (_value(problem[name]) for name in ("is", "should_be"))
            console.print(Text("    is        ", "dim") + is_, soft_wrap=True)
            console.print(Text("    should be ", "dim") + should, soft_wrap=True)
    rest = facts["problem_count"] - PROBLEMS_SHOWN
    if rest > 0:
        console.print(Text(f"  and {rest:,} problems more; --json lists 1,000", "dim"))
    checked = facts["checked"]
    told = [f"{checked['samples']:,} samples in {checked['shards']:,} shards "
            f"({checked['members']:,} members, {size(checked['bytes'])})"]  # fmt: skip
    if "packs" in checked:
        told.append(
            f"{checked.get('packed_images', 0):,} images in {checked['packs']:,} packs "
            f"({size(checked.get('pack_bytes', 0))})"
        )
    console.print(Text("checked ", "bold") + " and ".join(told), highlight=False)
    count = facts["problem_count"]
    verdict = "nothing is wrong" if facts["sound"] else f"{count:,} problem{'s' * (count != 1)}"
    console.print(Text(verdict, "bold green" if facts["sound"] else "bold red"))


def _value(value: Any) -> Text:
    return Text("nothing") if value is None else printable(value, _VALUE)
