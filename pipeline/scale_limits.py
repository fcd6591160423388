"""What breaks first as a corpus grows: limits of Weft and of runners, and the pages they allow."""

from dataclasses import asdict, dataclass
from typing import Any

from pipeline.output_counts import OutputCounts
from pipeline.recipe import Recipe
from pipeline.scale import BUCKETS, settings_at
from pipeline.scale_costs import UnitCosts
from schemas.shards import MAX_BITS, STREAMS

GIB = 1 << 30
BUCKET_BYTES = GIB
"""Of rows in one bucket as they are shuffled: decoded and sorted they take some times as much."""
PROCESS_BYTES = 16 * GIB
"""Memory of the largest process that is thought of."""
LOCAL_COPIES = 2
"""Times that the local runner holds what a stage shuffles (`make bench-scale`, dedup: 2.1)."""
IMAGE_BYTES = 20
"""Of a distinct image in the one process that clusters them: 2 GB hold a hundred million."""


@dataclass(frozen=True)
class Limit:
    """One limit."""

    pages: int
    what: str
    do: str
    """What to do about it."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def find_limits(
    recipe: Recipe, counts: OutputCounts, costs: UnitCosts, size: dict[str, Any]
) -> list[Limit]:
    """Limits, the one that is met first at the head; one that cannot be computed is left out.

    Args:
        recipe: As for `estimate`.
        counts: As for `estimate`.
        costs: As for `estimate`.
        size: An estimate of many pages.
    """
    settings = recipe.settings
    each = {name: rows / counts.rows["pages"] for name, rows in counts.rows.items()}
    found: list[Limit] = []

    def add(pages: float, what: str, do: str) -> None:
        found.append(Limit(int(pages), what, do))

    for stage, key in BUCKETS.items():
        if stage in size["stages"] and (shuffled := size["stages"][stage]["shuffled"]):
            count = settings_at(settings, key)
            add(
                BUCKET_BYTES * count / shuffled * size["pages"],
                f"a bucket of {stage} may reach 1 GiB with {key} = {count}",
                f"raise {key} as the pages grow",
            )
    stage, largest = max(
        ((name, cost["shuffled"]) for name, cost in size["stages"].items()), key=lambda it: it[1]
    )
    if largest:
        add(PROCESS_BYTES / LOCAL_COPIES / largest * size["pages"],
            f"the local runner holds 16 GiB of what {stage} shuffles",
            "run on Flink or Dataflow, or a share of the input at a time")  # fmt: skip
    if each["distinct_images"]:
        add(PROCESS_BYTES / IMAGE_BYTES / each["distinct_images"],
            "the one process that clusters images needs 16 GiB",
            "give that worker more memory; it holds 20 bytes an image")  # fmt: skip
    if each["links"]:
        add(settings.dedup.one_process_edges / each["links"],
            "edges between duplicates no longer fit one process: their components are found in "
            "rounds", "nothing; or raise dedup.one_process_edges")  # fmt: skip
    samples = max(each[f"{stream}_samples"] for stream in STREAMS)
    if samples:
        add(settings.shards.target_samples * (1 << MAX_BITS) / samples,
            f"a split has {1 << MAX_BITS:,} shards, and they begin to grow",
            "raise shards.target_samples")  # fmt: skip
    part = settings.input.part_bytes / (counts.input_bytes / counts.rows["pages"])
    memory = costs.value("driver.memory")
    if memory:
        records = sum(stage.part_commits for stage in counts.stages.values()) / counts.parts
        add(PROCESS_BYTES / memory / records * part, "the driver holds 16 GiB of records",
            "raise input.part_bytes")  # fmt: skip
    return sorted(found, key=lambda limit: (limit.pages, limit.what))
