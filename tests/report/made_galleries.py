"""Made-up examples, documents and clusters, with texts that a page must not trust."""

import base64
import io
import random
from typing import Any

from PIL import Image, ImageDraw

from tests.report.made_gates import Json

HOSTILE = [
    "<script>window.attacked = 1</script> a red bicycle against a wall",
    '</script ><img src=x onerror="window.attacked = 2"> <!-- \u2028 & &amp; ]]>',
    "<!--<script>",
    "درّاجة حمراء بجانب جدار قديم في المدينة",
    "古い壁のそばの赤い自転車",
    "a very long text " + "of many words " * 714,
    "\u202eright to left override\u202c and \u0000 and \x1b[31m red",
    "A lighthouse on a rocky coast at dusk, its beam over the sea",
]
GATE = "gates.shard.captioned"
TEXT_GATE = "gates.shard.text"
IMAGE_GATE = "gates.shard.interleaved.image"


def made_pictures() -> dict[str, str]:
    """Small pictures as data URLs, by key."""
    pictures = {}
    for number in range(12):
        rng = random.Random(number)
        size = rng.choice([(160, 120), (120, 160), (160, 160)])
        sky, ground, thing = ([rng.randrange(40, 230) for _ in range(3)] for _ in range(3))
        image = Image.new("RGB", size, tuple(sky))
        pen = ImageDraw.Draw(image)
        horizon = size[1] * 0.6
        pen.rectangle((0, horizon, *size), tuple(ground))
        left, radius = rng.uniform(0.2, 0.5) * size[0], rng.uniform(20, 45)
        pen.ellipse((left, horizon - radius, left + 2 * radius, horizon + radius), tuple(thing))
        file = io.BytesIO()
        image.save(file, "WEBP", quality=70)
        data = base64.b64encode(file.getvalue()).decode()
        pictures[f"p{number}"] = f"data:image/webp;base64,{data}"
    return pictures


def made_examples(rule: Json, number: int) -> dict[str, list[Json]]:
    def example(i: int, dropped: bool) -> Json:
        at = number + i + 3 * dropped
        return {
            "id": f"{number}-{i}",
            "node": None,
            "kind": rule["kind"],
            "value": None if i == 2 else 1 + i / 10,
            "value_text": None if i == 2 else f"{1 + i / 10}",
            "decisive": dropped and i == 0,
            "also": ["aspect", "words"] if dropped and i == 1 else [],
            "lost": f"{GATE}.alignment" if not dropped and i == 1 else None,
            "text": HOSTILE[at % len(HOSTILE)],
            "url": "javascript:window.attacked=4"
            if i == 2
            else f"https://example.org/page/{at}?a=1&b=<2>",
            "image_url": f"https://example.org/{at}.jpg" if rule["kind"] == "caption" else None,
            "picture": f"p{at % 12}" if rule["kind"] == "caption" and i < 2 else None,
            "unsafe": dropped and i == 0,
        }

    return {
        "kept": [example(i, False) for i in range(3)],
        "dropped": [example(i, True) for i in range(3)],
    }


def made_galleries(rules: list[Json]) -> Json:
    captions = [
        {
            "key": f"k{i}",
            "url": f"https://example.org/{i}.jpg",
            "picture": f"p{i}",
            "unsafe": i == 1,
            "captions": [
                {
                    "origin": "alt",
                    "model": None,
                    "outcome": None,
                    "text": HOSTILE[i],
                    "chosen": i == 2,
                    "scores": {"clip_score": 0.2411},
                },
                {
                    "origin": "description",
                    "model": "tiny/captioner",
                    "outcome": "described",
                    "text": "A red bicycle leans against a yellow wall.",
                    "chosen": False,
                    "scores": {"clip_score": 0.3022, "perplexity": 41.2},
                },
                {
                    "origin": "fused",
                    "model": "tiny/captioner",
                    "outcome": "fused",
                    "text": "A red Peugeot bicycle leans against a yellow wall in Lyon.",
                    "chosen": i != 2,
                    "scores": {},
                },
            ],
        }
        for i in range(5)
    ]
    return {"captions": captions, "documents": _documents(rules), "clusters": _clusters()}


def _documents(rules: list[Json]) -> list[Json]:
    def text(content: str, rule: str | None = None, value: Any = None) -> Json:
        return {
            "kind": "text",
            "text": content,
            "alt": None,
            "picture": None,
            "unsafe": False,
            "kept": rule is None,
            "rule": rule,
            "value": value,
        }

    def image(key: str, alt: str, rule: str | None = None, unsafe: bool = False) -> Json:
        return {
            "kind": "image",
            "text": "",
            "alt": alt,
            "picture": key,
            "unsafe": unsafe,
            "kept": rule is None,
            "rule": rule,
            "value": 48 if rule else None,
        }

    side = rules[0]["path"]
    nodes = [
        text(
            "The harbour was built in 1861, when the town had four hundred people and no road. " * 3
        ),
        image("p3", "The harbour at low tide"),
        text(HOSTILE[0]),
        image("p4", HOSTILE[1], side),
        text("Share this page! Subscribe to our newsletter.", f"{TEXT_GATE}.words", 7),
        image("p5", "", side, unsafe=True),
        text(HOSTILE[3]),
    ]
    return [
        {
            "id": "d1",
            "url": "https://example.org/harbour",
            "title": "The old harbour <b>today</b>",
            "kept": True,
            "rule": None,
            "nodes": nodes,
        },
        {
            "id": "d2",
            "url": "https://example.org/tags",
            "title": None,
            "kept": False,
            "rule": f"{TEXT_GATE}.words",
            "nodes": nodes[2:5],
        },
    ]


def _clusters() -> list[Json]:
    def member(i: int, kind: str) -> Json:
        return {
            "id": f"m{i}",
            "url": f"https://mirror{i}.example/story",
            "title": f"A story, copy {i}",
            "rank": i,
            "similarity": None if i == 0 else 0.97 - i / 100,
            "survives": i == 0,
            "picture": f"p{i}" if kind == "image" else None,
            "unsafe": kind == "image" and i == 2,
            "text": HOSTILE[i % len(HOSTILE)],
        }

    return [
        {"kind": kind, "size": size, "members": [member(i, kind) for i in range(3)]}
        for kind, size in (("near_text", 3), ("image", 41))
    ]
