"""Made-up measures of streams, funnels and answers of hosts."""

import random

from tests.report.made_galleries import GATE, TEXT_GATE
from tests.report.made_gates import Json


def _step(
    title: str,
    unit: str,
    rows: int,
    tolls: list[tuple[str, str, int, str | None]],
    note: str | None = None,
) -> Json:
    taken = {kind: sum(n for _, k, n, _ in tolls if k == kind) for kind in ("rejected", "failed")}
    return {
        "stage": title.split()[0],
        "table": title,
        "title": title,
        "unit": unit,
        "in": rows,
        "kept": rows - sum(taken.values()),
        **taken,
        "note": note,
        "tolls": [
            {"name": name, "kind": kind, "rows": n, "rule": rule} for name, kind, n, rule in tolls
        ],
    }


def made_funnels(rules: list[Json], k: int) -> list[Json]:
    def tolls(gate: str) -> list[tuple[str, str, int, str | None]]:
        return [
            (rule["name"], "rejected", rule["decisive"], rule["path"])
            for rule in rules
            if rule["gate"] == gate
        ]

    pages = [
        _step(
            "records",
            "records",
            4_100 * k,
            [
                ("status", "rejected", 600 * k, None),
                ("content type", "rejected", 400 * k, None),
                ("TruncatedRecordError", "failed", 90 * k, None),
            ],
        ),
        _step(
            "pages",
            "pages",
            2_900 * k,
            [("no_content", "rejected", 300 * k, None)],
            "A record is a page, an image or neither.",
        ),
        _step(
            "language, length",
            "pages",
            2_600 * k,
            [("words", "rejected", 320 * k, None), ("language", "rejected", 410 * k, None)],
        ),
        _step(
            "duplicates",
            "pages",
            1_870 * k,
            [("near duplicate", "rejected", 420 * k, None), ("same URL", "rejected", 40 * k, None)],
        ),
    ]
    captions = [
        _step(
            "captions",
            "captions",
            1_900 * k,
            [("generic", "rejected", 260 * k, None), ("file_name", "rejected", 140 * k, None)],
            "A page has several images, and an image several captions.",
        ),
        _step("rules", "captions", 1_500 * k, tolls(GATE)),
    ]
    texts = [
        _step(
            "rules",
            "texts",
            1_500 * k,
            tolls(TEXT_GATE),
            "Pages without images, and texts of pages that were not interleaved.",
        )
    ]
    nothing = [_step("documents", "documents", 0, [])]
    return [
        {"stream": "captioned", "title": "Captioned images", "steps": pages + captions},
        {"stream": "interleaved", "title": "Interleaved documents", "steps": pages + nothing},
        {"stream": "text", "title": "Text", "steps": pages + texts},
        {
            "stream": "images",
            "title": "Images",
            "steps": [
                _step(
                    "image URLs",
                    "URLs",
                    3_000_000_000_000 + k,
                    [("timeout", "failed", 1_000_000_000_000, None), ("tiny", "rejected", 1, None)],
                )
            ],
        },
    ]


def _doubling(rng: random.Random, mean: float, k: int) -> Json:
    values = sorted(int(rng.lognormvariate(mean, 0.9)) for _ in range(800))
    edges = [0, *(1 << power for power in range(values[-1].bit_length()))]
    ends = [*edges[1:], float("inf")]
    counts = [sum(a <= v < b for v in values) * k for a, b in zip(edges, ends, strict=True)]
    return {
        "count": 800 * k,
        "min": values[0],
        "median": values[400],
        "mean": sum(values) / 800,
        "p95": values[760],
        "max": values[-1],
        "histogram": [{"from": edge, "count": n} for edge, n in zip(edges, counts, strict=True)],
    }


def made_score(middle: float, spread: float) -> Json:
    rng = random.Random(str(middle))
    values = sorted(rng.gauss(middle, spread) for _ in range(800))
    edges = [round(middle + spread * (i - 10) / 3.5, 4) for i in range(20)]
    ends = [*edges[1:], float("inf")]
    counts = [sum(a <= v < b for v in values) for a, b in zip(edges, ends, strict=True)]
    return {
        "count": sum(counts),
        "min": values[0],
        "median": values[400],
        "mean": middle,
        "p95": values[760],
        "max": values[-1],
        "edges": edges,
        "histogram": [{"from": edge, "count": n} for edge, n in zip(edges, counts, strict=True)],
    }


def made_streams(k: int) -> Json:
    found = {}
    for stream, samples in (("captioned", 620), ("interleaved", 250), ("text", 130)):
        rng = random.Random(stream)
        facts: Json = {
            "samples": samples * k,
            "shards": samples // 10 + 1,
            "bytes": samples * k * 41_000,
            "splits": {},
            "images": None if stream == "text" else samples * k * 2,
            "characters": samples * k * 900,
            "samples_in_tables": samples * k,
            "text_length": _doubling(rng, 4.6 if stream == "captioned" else 7, k),
            "sites": 41_200,
            "languages": [
                {"language": name, "samples": n * k}
                for name, n in (("en", 90), ("de", 20), ("ar", 5), (None, 1))
            ],
            "top_sites": [
                {"site": name, "samples": (60 - 3 * i) * k}
                for i, name in enumerate(
                    [
                        "example.org",
                        "مثال.example",
                        "photos.example.com",
                        "a-very-long-name-of-a-site-that-does-not-fit.example.net",
                    ]
                    + [f"site{n}.example" for n in range(14)]
                )
            ],
        }
        if stream == "captioned":
            facts["caption_length"] = _doubling(rng, 5, k)
            facts["captions_by_origin"] = [
                {"origin": "alt", "captions": 500 * k},
                {"origin": "fused", "captions": 400 * k},
            ]
        if stream == "interleaved":
            facts["images_per_document"] = _doubling(rng, 1.1, k)
        if stream != "text":
            facts |= {name: _doubling(rng, 6.3, k) for name in ("image_width", "image_height")}
            facts["image_shape"] = {"landscape": 800 * k, "portrait": 300 * k, "square": 0}
        found[stream] = facts
    return found


def made_fetch(k: int) -> Json:
    outcomes = {"ok": 700, "not_found": 120, "robots": 60, "timeout": 20, "not_an_image": 8}
    return {
        "urls": 908 * k,
        "ok": 700 * k,
        "hosts": 5_120,
        "bytes": 700 * k * 88_000,
        "by_outcome": [{"outcome": name, "urls": n * k} for name, n in outcomes.items()],
        "by_host": [
            {
                "host": f"cdn{i}.example.net",
                "urls": (50 - 3 * i) * k,
                "ok": (48 - 4 * i) * k if i < 11 else 0,
                "mostly": "not_found" if i else None,
            }
            for i in range(12)
        ],
        "by_type": [
            {"type": "jpeg", "urls": 610 * k, "ok": 600 * k},
            {"type": None, "urls": 30 * k, "ok": 0},
        ],
    }


def made_stages(k: int) -> Json:
    """Counts of two stages."""
    counts = {
        "in": 900 * k, "kept": 700 * k, "rejected": 150 * k, "failed": 50 * k,
        "rejected_by_rule": {"<u>status</u>": 100 * k, "length": 30 * k, "a": 15 * k, "b": 5 * k},
        "failed_by_error": {"TruncatedRecordError": 50 * k},
    }  # fmt: skip
    return {
        stage: {
            "status": "done",
            "seconds": 9.5,
            "parts": 4,
            "facts": {},
            "tables": {"pages": counts},
        }
        for stage in ("extract", "dedup")
    }
