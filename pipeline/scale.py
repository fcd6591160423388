"""What a corpus of any size costs: the model behind `plan --scale`.

Everything is a product: rows of a page (counted in this output, or in the demo's), times what a row
costs (`scale_costs.py`), times pages. A cost that nobody has measured is None, never a guess.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.output_counts import GROUPS, SCORERS, OutputCounts
from pipeline.recipe import Recipe, Settings
from pipeline.scale_costs import UnitCosts
from schemas.errors import UserError
from schemas.shards import STREAMS, choose_bits
from transforms.scorers.base import PIXELS
from transforms.scorers.registry import kind_of

PAGES = {
    "10 thousand": 10_000,
    "1 million": 1_000_000,
    "1 billion": 1_000_000_000,
    "MM1's 3 billion": 3_000_000_000,
}
PRICES = {
    "cpu_hour": "an hour of a core",
    "gpu_hour": "an hour of a GPU",
    "gb_shuffled": "a gigabyte (10^9 bytes) that is shuffled",
    "million_reads": "a million GET requests to the store",
    "million_writes": "a million PUT or LIST requests to the store",
    "gb_written": "a gigabyte that is stored, for as long as you keep it",
}
"""What a price may be of, in dollars."""
LISTED = 1000
"""Names that a store lists in one request."""
FILES_READ_BY_DRIVER = 2
"""Times that the driver reads a record: before a step, and after it."""
BASIS = {
    "extract": ("pages",),
    "dedup": ("pages",),
    "refs": ("image_urls",),
    "fetch": ("images",),
    "dedup_images": ("images",),
    "score": ("image_urls",),
    SCORERS: ("scored_images",),
    "recaption": ("recaptions",),
    "shard": tuple(f"{stream}_samples" for stream in STREAMS),
}
"""Group -> the rows that its cost on the demo crawl goes with."""
RECORD_NAME = 80
"""Bytes of the name of a record in `run.json`: step, file, hash, slice, fingerprint."""
BUCKETS = {
    "dedup": "dedup.buckets",
    "refs": "refs.buckets",
    "dedup_images": "dedup.buckets",
    "score": "refs.buckets",
    SCORERS: "dedup.buckets",
}
"""Group -> the key of the recipe that says how many buckets its shuffles have."""


@dataclass(frozen=True)
class Prices:
    """What the user pays, in dollars."""

    values: Mapping[str, float]

    @classmethod
    def parse(cls, given: list[str]) -> "Prices":
        """Read `NAME=DOLLARS`. Raises `UserError`."""
        values = {}
        for text in given:
            name, _, number = text.partition("=")
            try:
                value = float(number)
            except ValueError:
                value = math.nan
            if name not in PRICES or not 0 <= value < math.inf:
                raise UserError(
                    f"--price {text}: must be NAME=DOLLARS with a NAME of {', '.join(PRICES)}"
                )
            values[name] = value
        return cls(values)


def estimate(
    pages: int, recipe: Recipe, counts: OutputCounts, costs: UnitCosts, prices: Prices
) -> dict[str, Any]:
    """What so many pages cost.

    Args:
        pages: Pages of the input.
        recipe: Buckets, sizes of parts and shards, models.
        counts: Rows, records, bytes of an output, which a page of the input is like.
        costs: Unit costs.
        prices: Dollars; what has no price is not in the sum.

    Returns:
        `stages`: of each `cpu_hours`, `gpu_hours` (None: not measured), bytes `read`, `shuffled`,
        `written`, requests `gets` and `puts`, and `web` requests; `total` of them; `not_measured`:
        stages that lack a number; `parts`, `shards`, `records`, `files`; `largest_bucket` bytes by
        stage; `run_json` and `driver_memory` bytes; `dollars` by price, and their sum.
    """
    settings = recipe.settings
    times = pages / counts.rows["pages"]
    rows = {name: number * times for name, number in counts.rows.items()}
    parts = max(1, math.ceil(counts.input_bytes * times / settings.input.part_bytes))
    shards = count_shards(settings, rows, counts.stages["shard"].written * times)
    others = _other_records(settings, rows, shards)
    stages: dict[str, Any] = {}
    for stage in GROUPS:
        if stage == SCORERS and not has_models(recipe):
            continue
        found = counts.stages[stage]
        records = parts * found.part_commits / counts.parts + others[stage]
        files = parts * found.part_files / counts.parts
        if found.other_commits:
            files += others[stage] * found.other_files / found.other_commits
        spent = _demo_cost(stage, rows, costs)
        demo = costs.demo.counts.stages[stage]
        grown = max(1.0, others[stage] / demo.other_commits) if demo.other_commits else 1.0
        opened = costs.demo.opened[stage]["part"] * parts
        opened += costs.demo.opened[stage]["other"] * grown
        stages[stage] = {
            "cpu_hours": _cpu_hours(stage, recipe, rows, costs, spent["cpu"]),
            "gpu_hours": None if _uses_gpu(stage, recipe) else 0.0,
            "read": spent["read"],
            "shuffled": _shuffled(stage, pages, costs, spent["shuffled"]),
            "written": found.written * times,
            "gets": opened + records * FILES_READ_BY_DRIVER,
            "puts": records + files + 2 * records / LISTED,
            "web": 0.0,
            "records": records,
            "files": files,
        }
    stages["shard"]["gets"] += rows["captioned_samples"] + rows["interleaved_images"]
    if settings.fetch.contact:
        stages["fetch"]["web"] = max(0.0, rows["image_urls"] - rows["images_found"])
    stages["extract"]["read"] = max(stages["extract"]["read"], counts.input_bytes * times)
    total = {
        name: sum(stage[name] or 0.0 for stage in stages.values())
        for name in next(iter(stages.values()))
    }
    records = total["records"]
    memory = costs.value("driver.memory")
    return {
        "pages": pages,
        "stages": stages,
        "total": total,
        "not_measured": {
            name: [stage for stage, cost in stages.items() if cost[name] is None]
            for name in ("cpu_hours", "gpu_hours")
        },
        "parts": parts,
        "shards": shards,
        "largest_bucket": {
            stage: stages[stage]["shuffled"] / settings_at(settings, key)
            for stage, key in BUCKETS.items()
            if stage in stages
        },
        "run_json": records * RECORD_NAME,
        "driver_memory": None if memory is None else records * memory,
        "dollars": _dollars(total, prices),
    }


def settings_at(settings: Settings, key: str) -> int:
    """The number of buckets that a key of `BUCKETS` gives."""
    section, _, name = key.partition(".")
    return int(getattr(getattr(settings, section), name))


def count_shards(settings: Settings, rows: Mapping[str, float], written: float) -> int:
    """Shards of all streams, validation left out; bytes are dealt to samples alike."""
    samples = {stream: round(rows[f"{stream}_samples"]) for stream in STREAMS}
    each = written / max(1, sum(samples.values()))
    fmt = settings.shards
    return sum(
        1 << choose_bits(
            count, round(count * each), fmt.target_samples, fmt.target_bytes, None
        )
        for count in samples.values()
        if count
    )  # fmt: skip


def _other_records(settings: Settings, rows: Mapping[str, float], shards: int) -> dict[str, float]:
    """Records of a stage that no part of the input stands for."""
    of_pages, of_urls = settings.dedup.buckets, settings.refs.buckets
    score = settings.score
    scored = rows["scored_images"] / score.part_images + rows["scored_texts"] / score.part_texts
    return {
        "extract": 0.0,
        "dedup": 1.0,
        "refs": float(of_urls + (settings.fetch.buckets if settings.fetch.contact else 0)),
        "fetch": float(of_urls),
        "dedup_images": 3.0 * of_pages + of_urls + 1,
        "score": 0.0,
        SCORERS: math.ceil(scored) + 2.0 * score.buckets,
        "recaption": 0.0,
        "shard": float(shards),
    }


def _demo_cost(stage: str, rows: Mapping[str, float], costs: UnitCosts) -> dict[str, float]:
    """What a stage takes if its rows cost what they cost on the demo crawl."""
    demo = costs.demo
    basis = sum(demo.counts.rows[name] for name in BASIS[stage])
    mine = sum(rows[name] for name in BASIS[stage])
    alike = demo.counts.rows["pages"] * mine / basis if basis else 0.0
    return {name: value * alike for name, value in demo.per_page[stage].items()}


def _shuffled(stage: str, pages: int, costs: UnitCosts, demo: float) -> float:
    """Bytes; of dedup those of a million pages where they are more."""
    measured = costs.value("dedup.shuffled") if stage == "dedup" else None
    return max(demo, (measured or 0.0) * pages)


def _cpu_hours(
    stage: str, recipe: Recipe, rows: Mapping[str, float], costs: UnitCosts, demo: float
) -> float | None:
    """Hours of a core; None where a part of it was not measured."""

    def cost(name: str) -> float:
        return costs.costs[name].value

    seconds: float | None = demo
    if stage == "extract":
        seconds = cost("extract.page") * rows["pages"]
        seconds += cost("extract.image") * rows["images_in_input"]
    elif stage == "dedup":
        large = (cost("dedup.signature") + cost("dedup.page")) * rows["pages"]
        seconds = max(demo, large)
    elif stage == "fetch" and recipe.settings.fetch.contact:
        asked = max(0.0, rows["image_urls"] - rows["images_found"])
        seconds = demo + cost("fetch.image") * asked
    elif stage == SCORERS:
        seconds = _scoring(recipe, rows, costs, demo)
    elif stage == "recaption" and recipe.settings.recaption.is_on:
        seconds = None
    return None if seconds is None else seconds / 3600


def _scoring(
    recipe: Recipe, rows: Mapping[str, float], costs: UnitCosts, demo: float
) -> float | None:
    """Seconds of a core without a GPU; None where a model was not measured."""
    seconds = demo
    for scorer in recipe.scorers.values():
        kind = kind_of(scorer)
        if kind.sees != PIXELS:
            continue
        model = getattr(scorer.config, "model", "")
        image = costs.value(f"score.{model}.image")
        text = costs.value(f"score.{model}.text") if kind.embeds_texts else 0.0
        if image is None or text is None:
            return None
        seconds += image * rows["scored_images"] + text * rows["scored_texts"]
    return seconds


def has_models(recipe: Recipe) -> bool:
    """Whether the recipe has scorers that look at pixels."""
    return any(kind_of(scorer).sees == PIXELS for scorer in recipe.scorers.values())


def _uses_gpu(stage: str, recipe: Recipe) -> bool:
    """Whether a stage runs a model that belongs on a GPU: no such hour has been measured."""
    return stage == SCORERS or (stage == "recaption" and recipe.settings.recaption.is_on)


def _dollars(total: Mapping[str, float], prices: Prices) -> dict[str, float]:
    """Dollars by price; a price that was not given has none."""
    amounts = {
        "cpu_hour": total["cpu_hours"],
        "gpu_hour": total["gpu_hours"],
        "gb_shuffled": total["shuffled"] / 1e9,
        "million_reads": total["gets"] / 1e6,
        "million_writes": total["puts"] / 1e6,
        "gb_written": total["written"] / 1e9,
    }
    return {name: price * amounts[name] for name, price in prices.values.items()}
