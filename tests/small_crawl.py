"""Small pages, pictures and WARC records that tests make crawls of, and what a run made of them."""

import hashlib
import io
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.demo.warcs import record

WORDS = ["boat", "barn", "quay", "mill", "bridge", "tower", "meadow", "market", "orchard", "lamp"]


def prose(seed: int | str, sentences: int = 6) -> str:
    rng = random.Random(seed)
    return " ".join(
        f"The {' of the '.join(rng.choices(WORDS, k=5))} is near the {rng.choice(WORDS)}."
        for _ in range(sentences)
    )


def picture(seed: int, side: int = 240, kind: str = "PNG", **options: Any) -> bytes:
    rng = random.Random(seed)
    small = Image.new("RGB", (6, 6))
    small.putdata([tuple(rng.randrange(256) for _ in "rgb") for _ in range(36)])
    out = io.BytesIO()
    small.resize((side, side), Image.Resampling.BICUBIC).save(out, kind, **options)
    return out.getvalue()


def response(url: str, kind: str, body: bytes, date: str = "2026-01-01T00:00:00Z") -> bytes:
    block = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode() + body
    headers = [("Content-Type", "application/http; msgtype=response")]
    return record("response", url, date, block, headers)


def write_pages(path: Path, pages: Mapping[str, str]) -> None:
    """Pages of a text each, by URL, as a file of OBELICS."""
    table = [
        {
            "images": [None],
            "texts": [content],
            "metadata": "[null]",
            "general_metadata": json.dumps({"url": url}),
        }
        for url, content in pages.items()
    ]
    pq.write_table(pa.Table.from_pylist(table), path)


def rows(output: Path, table: str) -> list[dict[str, Any]]:
    """The rows of a table that the last run's commits name."""
    found: list[dict[str, Any]] = []
    for stage, facts in json.loads((output / "run.json").read_text())["stages"].items():
        for name in facts["snapshot"]:
            path = output / "commits" / stage / f"{name}.json"
            commit = json.loads(path.read_text()) if path.exists() else {"files": {}}
            for file in commit["files"].get(table, {}).values():
                found += pq.read_table(output / file).to_pylist()
    return found


def shards(output: Path) -> dict[str, str]:
    return {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((output / "shards").rglob("*.tar"))
    }


def commits(output: Path) -> set[str]:
    return {path.stem for path in (output / "commits").rglob("*.json")}


SITE = "https://site.example"


def alt_text(number: int) -> str:
    return f"boat {number} at quay"


def picture_crawl(path: Path, pages: int, first: int = 0) -> Path:
    """Pages of two pictures each; every second picture is shared with the next page."""
    data = b""
    for number in range(first, first + pages):
        shown = (number, number + 1)
        html = "".join(
            f"<p>{prose(f'{number}/{which}', 3)}</p>"
            f'<img src="/{which}.jpg" alt="{alt_text(which)}" width=240 height=200>'
            for which in shown
        )
        body = f"<html><title>Page {number}</title><body><article>{html}</article></body></html>"
        data += response(f"{SITE}/page-{number}.html", "text/html", body.encode())
    for which in range(first, first + pages + 1):
        data += response(f"{SITE}/{which}.jpg", "image/jpeg", picture(which, 240, "JPEG"))
    path.write_bytes(data)
    return path


def write_recipe(path: Path, scorers: Mapping[str, Mapping[str, Any]], more: str = "") -> Path:
    lines = [
        'description = "test"', "[score]", "buckets = 2", "[dedup]", "buckets = 2",
        "[refs]", "buckets = 2", "[dedup_images]", "min_set = 0",
    ]  # fmt: skip
    for name, values in scorers.items():
        lines.append(f"[scorers.{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    path.write_text("\n".join(lines) + "\n" + more)
    return path
