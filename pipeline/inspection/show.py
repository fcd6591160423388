"""Facts and query results for a terminal, and as JSON text.

Sites, titles and captions are text from strangers: they are never read as markup, and characters
that a terminal might obey are not printed.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.funnel import funnel_table
from pipeline.inspection.show_recaptions import render_recaptions
from pipeline.inspection.streams import Json
from transforms.personal_data import MASKED

BAR = 20
"""Characters of the longest bar."""
LIST_ROWS = 10
"""Languages, sites and rules that are shown; the JSON has more."""

_LEVELS = {False: " ▁▂▃▄▅▆▇█", True: " .:-=+*#@"}
_UNSAFE = re.compile("[\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")


def printable(value: Any, limit: int | None = None) -> Text:
    """A value as text without markup and without control or format characters.

    White space becomes a space; what else cannot be printed becomes U+FFFD, so that it shows.
    """
    text = value if isinstance(value, str) else "" if value is None else _plain_json(value)
    if limit is not None and len(text) > limit:
        text = text[: limit - 1] + "…"
    if not text.isprintable():
        text = "".join(
            c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}"
            for c in text
        )
    return Text(text)


def _plain_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON whose characters a terminal prints and does not obey: others are escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def facts_json(facts: Json | list[Json]) -> str:
    """The facts as JSON."""
    return json_text(facts, indent=1)


def table_of(*columns: str | Text, right: Iterable[int] = ()) -> Table:
    """An empty table; the columns at the positions `right` hold numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    numbers = set(right)
    for position, column in enumerate(columns):
        if position in numbers:
            table.add_column(column, justify="right", no_wrap=True)
        else:
            table.add_column(column, overflow="fold")
    return table


def render(facts: Json, console: Console) -> None:
    """Print what is in an output: problems, the funnel, then each stream."""
    console.print(Text("output ", "bold") + printable(facts["output"]), soft_wrap=True)
    recipe, inputs = facts["recipe"], facts["inputs"]
    if recipe is not None:
        console.print(
            Text("recipe ", "bold")
            + printable(recipe["name"])
            + f" ({printable(recipe['fingerprint'][:12])}), {inputs['files']:,} input files, "
            f"{size(inputs['bytes'])}"
        )
    for problem in facts["problems"]:
        console.print(Text("! ", "bold yellow") + printable(problem))
    for note in facts["notes"]:
        console.print(Text("  " + note, "dim"))
    if facts["stages"]:
        console.print()
        console.print(funnel_table(facts["stages"]))
        _render_masked(facts["stages"], console)
        render_recaptions(facts["stages"], console)
    if facts["images"] is not None and facts["images"]["urls"]:
        console.print()
        _render_images(facts["images"], console)
    if facts["contamination"] is not None:
        console.print()
        _render_contamination(facts["contamination"], console)
    for stream, measures in facts["streams"].items():
        console.print()
        _render_stream(stream, measures, console)


def _render_masked(stages: Json, console: Console) -> None:
    """Print how much personal data was masked, where the recipe asks for it."""
    facts = stages.get("shard", {}).get("facts", {})
    counts = {
        name.removeprefix(MASKED): count for name, count in facts.items() if name.startswith(MASKED)
    }
    if counts:
        told = ", ".join(f"{printable(kind)} {count:,}" for kind, count in sorted(counts.items()))
        console.print(Text("\nmasked in samples  ", "bold") + told)


def _render_images(facts: Json, console: Console) -> None:
    """Print what became of image URLs: outcomes, then success by host and by type."""
    urls = facts["urls"]
    console.print(
        Text("images", "bold") + f"  {urls:,} answered URLs at {facts['hosts']:,} "
        f"host{'' if facts['hosts'] == 1 else 's'}, "
        f"{facts['ok'] / urls:.1%} with an image, {size(facts['bytes'])}"
    )
    outcomes = facts["by_outcome"]
    render_bars("outcome", "urls", outcomes, len(outcomes), urls, console)
    for what, rows, distinct in (
        ("host", facts["by_host"], facts["hosts"]),
        ("type", facts["by_type"], len(facts["by_type"])),
    ):
        table = table_of(what, "urls", "ok", "", "otherwise", right=(1, 2))
        for row in rows[:LIST_ROWS]:
            share = row["ok"] / row["urls"]
            table.add_row(
                printable(row[what] or "none", 40),
                f"{row['urls']:,}",
                f"{share:.1%}",
                _bar(share, console.options.ascii_only) if row["ok"] else Text(""),
                printable(row.get("mostly")),
            )
        if distinct > LIST_ROWS:
            table.add_row(Text(f"and {distinct - LIST_ROWS:,} more", "dim"), "", "", "", "")
        console.print(table)


def _render_contamination(facts: Json, console: Console) -> None:
    """Print what held an evaluation item: by benchmark, then what was removed."""
    removed, benchmarks = facts["removed"], facts["benchmarks"]
    console.print(
        Text("contamination", "bold")
        + f"  {removed:,} removed for items of {benchmarks:,} "
        + f"benchmark{'' if benchmarks == 1 else 's'}"
    )
    if not removed:
        return
    counts = ("items", "documents", "texts", "captions", "images")
    table = table_of("benchmark", *counts, right=range(1, len(counts) + 1))
    for row in facts["by_benchmark"][:LIST_ROWS]:
        table.add_row(printable(row["benchmark"], 40), *(f"{row[name]:,}" for name in counts))
    if benchmarks > LIST_ROWS:
        table.add_row(Text(f"and {benchmarks - LIST_ROWS:,} more", "dim"))
    console.print(table)
    table = table_of("removed", "benchmark", "item", "match", "url")
    for row in facts["rows"][:LIST_ROWS]:
        match = row["match"]
        if row["overlap"] is not None:
            match = f"{row['overlap']:.0%} of {row['field']}"
        elif row["distance"]:
            match = f"{match}, {row['distance']} bits"
        shown = (row["kind"], row["benchmark"], row["item"], match, row["url"])
        table.add_row(*(printable(value, 60) for value in shown))
    if removed > LIST_ROWS:
        table.add_row(Text("table contamination has all", "dim"))
    console.print(table)


def size(count: int | None) -> str:
    """A number of bytes in decimal units."""
    if count is None:
        return "?"
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if value < 999.95:
            break
        value, unit = value / 1000, larger
    return f"{count} B" if unit == "B" else f"{value:,.1f} {unit}"


def _render_stream(stream: str, facts: Json, console: Console) -> None:
    ascii_only = console.options.ascii_only
    console.print(Text(stream, "bold"))
    indexed = "text_length" in facts
    names = ["samples", "shards", "bytes", *(("images", "characters") if indexed else ())]
    table = table_of("split", *names, right=range(1, len(names) + 1))
    rows = [*facts["splits"].items()]
    if len(rows) != 1:
        rows.append(("all", facts))
    for split, numbers in rows:
        cells = (
            size(numbers[name]) if name == "bytes" else number(numbers[name]) for name in names
        )
        table.add_row(printable(split), *cells)
    console.print(table)
    if indexed and facts["samples"]:
        console.print(distributions(stream, facts, ascii_only))
        _render_lists(facts, console)
    _render_rules(facts["judged"], console)


def number(value: float | None) -> str:
    """A number with commas; `?` where it is not known."""
    if value is None:
        return "?"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def distributions(stream: str, facts: Json, ascii_only: bool) -> Table:
    """A row for each measure; the bars are its histogram, bins twice as wide from one to the next.

    Bins of the aspect ratio have edges of their own (`streams.ASPECT_EDGES`).
    """
    table = table_of("", "min", "median", "mean", "p95", "max", "histogram", right=range(1, 6))
    text = "caption, chosen" if stream == "captioned" else "text"
    labels = {
        "text_length": f"{text} (chars)",
        "caption_length": "captions (chars)",
        "images_per_document": "images/document",
        "image_width": "image width (px)",
        "image_height": "height (px)",
        "image_aspect": "long/short side",
    }
    for name, label in labels.items():
        values = facts.get(name)
        if values is None:
            continue
        counts = [entry["count"] for entry in values["histogram"]]
        keys = ("min", "median", "mean", "p95", "max")
        table.add_row(label, *(number(values[key]) for key in keys), spark(counts, ascii_only))
    return table


def spark(counts: Sequence[int], ascii_only: bool) -> Text:
    """One character a bin, as high as its share of the fullest; a bin with any row is not blank."""
    levels = _LEVELS[ascii_only]
    most = max(counts, default=0) or 1
    steps = len(levels) - 1
    return Text("".join(levels[-(-count * steps // most)] for count in counts))


def _render_lists(facts: Json, console: Console) -> None:
    known = facts["samples_in_tables"]
    if known is not None:
        languages = facts["languages"]
        render_bars("language", "samples", languages, len(languages), known, console)
        render_bars("site", "samples", facts["top_sites"], facts["sites"], known, console)
    origins = facts.get("captions_by_origin") or []
    total = sum(row["captions"] for row in origins)
    render_bars("origin", "captions", origins, len(origins), total, console)
    if "image_shape" in facts:
        shapes = ", ".join(f"{count:,} {name}" for name, count in facts["image_shape"].items())
        console.print(Text(f"images: {shapes}"))


def render_bars(
    what: str, unit: str, rows: list[Json], distinct: int, total: int, console: Console
) -> None:
    """Print the share of each row as a bar.

    Args:
        what: Names the rows, and the member of a row that holds its name.
        unit: The member of a row that is counted.
        rows: The rows, the largest first; `LIST_ROWS` of them are shown.
        distinct: How many there are in all.
        total: What shares are of.
        console: Where to.
    """
    if not rows:
        return
    table = table_of(what, unit, "share", "", right=(1, 2))
    for row in rows[:LIST_ROWS]:
        share = row[unit] / total
        table.add_row(
            printable(row[what], 40),
            f"{row[unit]:,}",
            f"{share:.1%}",
            _bar(share, console.options.ascii_only),
        )
    if distinct > LIST_ROWS:
        table.add_row(Text(f"and {distinct - LIST_ROWS:,} more", "dim"), "", "", "")
    console.print(table)


def _bar(share: float, ascii_only: bool) -> Text:
    """A bar of at most `BAR` characters; eighths of one where the terminal has them."""
    if ascii_only:
        return Text("#" * max(1, round(share * BAR)), "cyan")
    eighths = max(1, round(share * BAR * 8))
    return Text("█" * (eighths // 8) + ("", *"▏▎▍▌▋▊▉")[eighths % 8], "cyan")


def _render_rules(judged: Json, console: Console) -> None:
    """What gate `shard` rejected, and what failed, by the table it was a row of."""
    tolls = [
        (table, name, rows, counts["in"])
        for table, counts in judged.items()
        for kind in ("rejected_by_rule", "failed_by_error")
        for name, rows in sorted(counts[kind].items(), key=lambda item: (-item[1], item[0]))
        if rows
    ]
    if not tolls:
        return
    table = table_of("rejected: table", "rule", "rows", "of", "", right=(2, 3))
    for source, rule, rows, seen in tolls:
        bar = _bar(rows / seen, console.options.ascii_only)
        table.add_row(printable(source), printable(rule), f"{rows:,}", f"{seen:,}", bar)
    console.print(table)
