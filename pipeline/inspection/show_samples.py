"""Samples for a terminal: one in full, or several in a few lines each."""

from typing import Any

from rich.console import Console
from rich.text import Text

from pipeline.inspection.show import json_text, printable, size
from pipeline.inspection.streams import Json

TEXT = 4000
"""Characters of a text that are shown of one sample."""
SHORT = 200
"""Characters of the text of one sample among several."""
_VALUE = 300


def render_sample(facts: Json, console: Console) -> None:
    """Print a sample: place, texts, captions or nodes in order, images, provenance."""
    _head(facts, console)
    for problem in facts["problems"]:
        console.print(Text("! ", "bold yellow") + printable(problem))
    members = ", ".join(f"{row['suffix']} {size(row['bytes'])}" for row in facts["members"])
    _field("members", members, console)
    if facts["text"] is not None:
        console.print(Text("text", "bold"))
        _text(facts["text"], "  ", console)
    if facts["captions"]:
        console.print(Text("captions", "bold") + Text("  (* is the text of the sample)", "dim"))
        for caption in facts["captions"]:
            _caption(caption, console)
    if facts["nodes"] is not None:
        console.print(Text("nodes", "bold"))
        for number, node in enumerate(facts["nodes"]):
            _node(number, node, console)
    if facts["images"]:
        console.print(Text("images", "bold"))
        for image in facts["images"]:
            _image(image, console)
    if facts["about"]:
        console.print(Text("about", "bold"))
        for name, value in facts["about"].items():
            _field(name, value, console, "  ")


def render_samples(found: list[Json], console: Console) -> None:
    """Print several samples, each in short."""
    for number, facts in enumerate(found):
        if number:
            console.print()
        _head(facts, console)
        text = facts["text"]
        if facts["nodes"] is not None:
            nodes = facts["nodes"]
            texts = [node["text"] for node in nodes if node["kind"] == "text"]
            text = " ".join(text for text in texts if isinstance(text, str))
            images = len(nodes) - len(texts)
            told = f"{len(nodes):,}, {images:,} image{'' if images == 1 else 's'}"
            _field("nodes", told, console, "  ")
        if text:
            _field("text", " ".join(text[: 4 * SHORT].split()), console, "  ", SHORT)
        for image in facts["images"]:
            _image(image, console)
        url = next((facts["about"][n] for n in ("page_url", "url") if n in facts["about"]), None)
        if url is not None:
            _field("url", url, console, "  ")


def _head(facts: Json, console: Console) -> None:
    stream = "" if facts["stream"] is None else f"{facts['stream']}, {facts['split']}  "
    console.print(
        Text("sample ", "bold") + printable(facts["key"], _VALUE) + "  " + stream
        + printable(f"{facts['shard']} at {facts['offset']}"),
        highlight=False, soft_wrap=True,
    )  # fmt: skip


def _field(name: str, value: Any, console: Console, indent: str = "", limit: int = _VALUE) -> None:
    console.print(
        Text(indent) + printable(name, 60) + "  " + printable(value, limit),
        highlight=False, soft_wrap=True,
    )  # fmt: skip


def _text(text: str, indent: str, console: Console) -> None:
    """Print a text line by line, the first `TEXT` characters of it."""
    for line in text[:TEXT].splitlines():
        console.print(Text(indent) + printable(line), highlight=False, soft_wrap=True)
    if len(text) > TEXT:
        console.print(Text(f"{indent}... {len(text) - TEXT:,} characters more; --json", "dim"))


def _caption(caption: Json, console: Console) -> None:
    rest = {k: v for k, v in caption.items() if k not in ("origin", "text", "chosen")}
    mark = "*" if caption["chosen"] else " "
    console.print(
        Text(f" {mark} ") + Text(f"{printable(caption.get('origin'), 20).plain:<10}", "bold")
        + " " + printable(caption.get("text"), TEXT),
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    told = [f"{name} {_short(value)}" for name, value in rest.items() if value not in (None, [])]
    if told:
        _field("", ", ".join(told), console, " " * 12)


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json_text(value)


def _node(number: int, node: Json, console: Console) -> None:
    if node["kind"] == "text":
        console.print(Text(f"  {number:>3}  text"), highlight=False)
        text = node["text"] if isinstance(node["text"], str) else json_text(node["text"])
        _text(text, " " * 7, console)
        return
    console.print(
        Text(f"  {number:>3}  image ") + printable(node["member"] or "not in the tar"),
        highlight=False,
    )
    for name in ("name", "image_url", "width", "height", "alt", "title", "figcaption", "scores"):
        if node.get(name) not in (None, "", {}, node["member"]):
            _field(name, node[name], console, " " * 7)


def _image(image: Json, console: Console) -> None:
    sides = f"{image['width']} x {image['height']}" if image["width"] else "no known size"
    told = f"{image['format'] or 'no known format'}, {sides}, {size(image['bytes'])}"
    path = image.get("path")
    console.print(
        Text("  ") + printable(image["member"]) + "  " + told
        + (Text(" -> ", "bold") + printable(path) if path else Text("")),
        highlight=False, soft_wrap=True,
    )  # fmt: skip
