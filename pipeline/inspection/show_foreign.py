"""Tars without an index, for a terminal."""

from rich.console import Console
from rich.text import Text

from pipeline.inspection.show import (
    LIST_ROWS,
    distributions,
    number,
    printable,
    render_bars,
    size,
    table_of,
)
from pipeline.inspection.streams import Json

PROBLEMS_SHOWN = 20


def render_foreign(facts: Json, console: Console) -> None:
    """Print what is in tars: format, members, images, texts, and what is wrong."""
    console.print(Text("tars ", "bold") + printable(facts["output"]), soft_wrap=True)
    told = ", ".join(
        f"{row['format'] or 'no format that is known'} ({row['shards']:,})"
        for row in facts["formats"]
    )
    console.print(Text("format ", "bold") + printable(told), soft_wrap=True)
    render_problems(facts["problems"], console)
    console.print()
    names = ("shards", "samples", "bytes", "images", "characters")
    table = table_of(*names, right=range(len(names)))
    table.add_row(*(size(facts[n]) if n == "bytes" else number(facts[n]) for n in names))
    console.print(table)
    if facts["members"]:
        table = table_of("member", "members", "bytes", right=(1, 2))
        for row in facts["members"][:LIST_ROWS]:
            table.add_row(printable(row["suffix"], 40), f"{row['members']:,}", size(row["bytes"]))
        if len(facts["members"]) > LIST_ROWS:
            rest = len(facts["members"]) - LIST_ROWS
            table.add_row(Text(f"and {rest:,} more", "dim"), "", "")
        console.print(table)
    if facts["samples"]:
        console.print(distributions("", facts, console.options.ascii_only))
    languages = facts["languages"] or []
    known = sum(row["samples"] for row in languages)
    render_bars("language", "samples", languages, len(languages), known, console)
    formats = facts["image_formats"]
    total = sum(row["images"] for row in formats)
    render_bars("format", "images", formats, len(formats), total, console)
    if facts["image_width"] is not None:
        shapes = ", ".join(f"{count:,} {name}" for name, count in facts["image_shape"].items())
        console.print(Text(f"images: {shapes}"))
    if facts["requests"] is not None:
        _render_requests(facts["requests"], console)


def render_problems(problems: list[str], console: Console) -> None:
    """Print the first of some problems, and how many there are."""
    for problem in problems[:PROBLEMS_SHOWN]:
        console.print(Text("! ", "bold yellow") + printable(problem, 500))
    if len(problems) > PROBLEMS_SHOWN:
        rest = len(problems) - PROBLEMS_SHOWN
        console.print(Text(f"  and {rest:,} problems more; --json has them", "dim"))


def _render_requests(requests: Json, console: Console) -> None:
    console.print(
        Text("downloads", "bold") + f"  {requests['count']:,} URLs, "
        f"{requests['successes']:,} with an image, {requests['failed_to_download']:,} failed, "
        f"{requests['failed_to_resize']:,} could not be resized (by img2dataset's reports)"
    )
    statuses = requests["statuses"]
    total = sum(row["requests"] for row in statuses)
    render_bars("status", "requests", statuses, len(statuses), total, console)
