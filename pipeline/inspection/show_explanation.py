"""The explanation of a page or an image for a terminal."""

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
    """Print what became of each page of a key, and the copies of its images."""
    for number, page in enumerate(found["pages"]):
        if number:
            console.print()
        _line(console, Text(page["kind"], "bold"), page["id"], page["date"], page["url"])
        if page["title"]:
            _line(console, "  title", page["title"])
        for cluster in page["clusters"]:
            _render_cluster(cluster, page["id"], found["prefer"], console)
        if page["edges"]:
            _line(console, "  linked, and in no cluster: not similar to the best-ranked page")
            for edge in page["edges"]:
                _render_edge(edge, console)
        if not page["clusters"] and not page["edges"]:
            _line(console, "  no duplicate was found")
        for row in page["repeated_paragraphs"]:
            pages = f"it stands on {row['pages']:,} pages of the site"
            _line(console, f"  paragraph {row['node']} is left out", pages)
        for row in page["ledger"]:
            value = row["value_text"] if row["value"] is None else f"{row['value']:g}"
            what = "rejected by" if row["decisive"] else "also failed"
            rule = f"{row['gate']}.{row['rule']}"
            _line(console, f"  {what}", rule, value, f"({row['threshold']})")
        if not page["ledger"]:
            _line(console, "  no gate rejected it")
    for image in found["images"]:
        _render_image(image, console)


def _render_image(image: Json, console: Console) -> None:
    _line(console, Text("image", "bold"), image["id"])
    used = f"on {image['documents']:,} pages of {image['sites']:,} sites"
    if image["size"] == 1:
        _line(console, "  no copy was found; used", used)
        return
    _line(console, f"  one of {image['size']:,} copies, rank {image['rank']}; used", used)
    for member in image["members"]:
        mark = "->" if member["id"] == image["id"] else "  "
        size = f"{member['width']} x {member['height']}"
        similarity = f"{member['similarity']:.3f}"
        first = f"    {mark} {member['rank']}"
        _line(console, first, similarity, member["id"], size, member["image_url"])
    if image["size"] > len(image["members"]):
        _line(console, f"       and {image['size'] - len(image['members']):,} more")


def _render_cluster(cluster: Json, page_id: str, prefer: list[str], console: Console) -> None:
    what = _KINDS.get(cluster["kind"], cluster["kind"])
    ranked = f"(best: {', then '.join(prefer)})" if prefer else ""
    _line(console, f"  one of {cluster['size']:,} {what}, rank {cluster['rank']}", ranked)
    for member in cluster["members"]:
        mark = "->" if member["id"] == page_id else "  "
        # The best one is compared with nobody.
        similarity = _similarity(member["similarity"], cluster["exact"] or member["rank"] == 0)
        score = "" if member["score"] is None else f"score {member['score']:g}"
        earlier = "published by an earlier run" if member["published"] else None
        facts = (
            member["date"], f"{member['length']:,} characters", score, member["url"], earlier
        )  # fmt: skip
        _line(console, f"    {mark} {member['rank']}", similarity, member["id"], *facts)
    if cluster["size"] > len(cluster["members"]):
        _line(console, f"       and {cluster['size'] - len(cluster['members']):,} more")
    if len(cluster["path"]) > 1:
        _line(console, "    by way of")
        for edge in cluster["path"]:
            _render_edge(edge, console)


def _render_edge(edge: Json, console: Console) -> None:
    similarity = _similarity(edge["similarity"], edge["exact"])
    _line(console, f"      {edge['a']} - {edge['b']}", edge["kind"], similarity)


def _similarity(value: float, exact: bool) -> str:
    """Of an estimate the sign is told, and no more digits than it has."""
    return f"{value:.3f}" if exact else f"about {value:.2f}"


def _line(console: Console, first: str | Text, *rest: str | None) -> None:
    """Print one line; what comes from strangers is text and nothing else."""
    line = first.copy() if isinstance(first, Text) else Text(first)
    for part in rest:
        if part:
            line.append_text(Text("  ") + printable(part, 200))
    console.print(line, soft_wrap=True)
