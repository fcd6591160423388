"""The explanation of a page for a terminal."""

from rich.console import Console
from rich.text import Text

from pipeline.inspection.show import printable
from pipeline.inspection.streams import Json

_KINDS = {
    "near_text": "near-duplicate texts",
    "text": "pages with the same text",
    "url": "crawls of the same URL",
    "record": "the same record, read twice",
}


def render_explanation(found: Json, console: Console) -> None:
    """Print what became of each page of a key."""
    for number, page in enumerate(found["pages"]):
        if number:
            console.print()
        _line(console, Text(page["kind"], "bold"), page["id"], page["date"], page["url"])
        if page["title"]:
            _line(console, "  title", page["title"])
        for cluster in page["clusters"]:
            _render_cluster(cluster, page["id"], console)
        if page["edges"]:
            _line(console, "  linked, and in no cluster: not similar to the best-ranked page")
            for edge in page["edges"]:
                _render_edge(edge, console)
        if not page["clusters"] and not page["edges"]:
            _line(console, "  no duplicate was found")
        for row in page["ledger"]:
            value = row["value_text"] if row["value"] is None else f"{row['value']:g}"
            what = "rejected by" if row["decisive"] else "also failed"
            rule = f"{row['gate']}.{row['rule']}"
            _line(console, f"  {what}", rule, value, f"({row['threshold']})")
        if not page["ledger"]:
            _line(console, "  no gate rejected it")


def _render_cluster(cluster: Json, page_id: str, console: Console) -> None:
    what = _KINDS.get(cluster["kind"], cluster["kind"])
    _line(console, f"  one of {cluster['size']:,} {what}, rank {cluster['rank']}")
    for member in cluster["members"]:
        mark = "->" if member["id"] == page_id else "  "
        similarity = f"{member['similarity']:.3f}"
        facts = (member["date"], f"{member['length']:,} characters", member["url"])
        _line(console, f"    {mark} {member['rank']}", similarity, member["id"], *facts)
    if cluster["size"] > len(cluster["members"]):
        _line(console, f"       and {cluster['size'] - len(cluster['members']):,} more")
    if len(cluster["path"]) > 1:
        _line(console, "    by way of")
        for edge in cluster["path"]:
            _render_edge(edge, console)


def _render_edge(edge: Json, console: Console) -> None:
    _line(console, f"      {edge['a']} - {edge['b']}", edge["kind"], f"{edge['similarity']:.3f}")


def _line(console: Console, first: str | Text, *rest: str | None) -> None:
    """Print one line; what comes from strangers is text and nothing else."""
    line = first.copy() if isinstance(first, Text) else Text(first)
    for part in rest:
        if part:
            line.append_text(Text("  ") + printable(part, 200))
    console.print(line, soft_wrap=True)
