"""The way from the crawl into each stream, step by step, with what each rule takes on it."""

from collections.abc import Collection
from typing import NamedTuple

from pipeline.inspection.streams import Json


class Step(NamedTuple):
    """A table of a stage that rows pass on their way."""

    stage: str
    table: str
    title: str
    unit: str
    gate: str | None = None
    """Path of the gate whose rules take rows here."""
    counted: str = ""
    """What is counted here, where that is not what the step before it left."""


_PAGES = (
    Step("extract", "records", "records of the crawl", "records"),
    Step("extract", "rows", "rows of the input tables", "rows"),
    Step("extract", "pages", "pages with content", "pages"),
    Step("dedup", "pages", "pages past gate dedup", "pages", "gates.dedup"),
    Step("dedup", "decontaminated_pages", "pages without evaluation items", "pages"),
    Step("dedup", "distinct_pages", "pages not published before", "pages"),
)
FUNNELS: dict[str, tuple[str, tuple[Step, ...]]] = {
    "captioned": (
        "captioned images",
        (
            *_PAGES,
            Step("extract", "captions", "captions of images", "captions",
                 counted="captions of all extracted pages; those of pages that gate dedup dropped "
                 "fall at gate fetch (document_rejected)"),
            Step("dedup", "decontaminated_captions", "without evaluation items", "captions"),
            Step("refs", "captions", "captions past gate fetch", "captions", "gates.fetch.caption"),
            Step("shard", "captions", "captions past gate shard", "captions",
                 "gates.shard.captioned"),
            Step("shard", "captioned_samples", "samples of one image", "samples"),
        ),
    ),
    "interleaved": (
        "interleaved documents",
        (
            *_PAGES,
            Step("refs", "documents", "documents with images", "documents"),
            Step("shard", "interleaved", "documents past gate shard", "documents",
                 "gates.shard.interleaved.document"),
            Step("shard", "interleaved_samples", "samples", "samples"),
        ),
    ),
    "text": (
        "texts",
        (
            *_PAGES,
            Step("shard", "text", "texts past gate shard", "texts", "gates.shard.text"),
            Step("shard", "text_samples", "samples", "samples"),
        ),
    ),
    "images": (
        "images of documents",
        (
            Step("refs", "image_nodes", "images on pages, past gate fetch", "uses",
                 "gates.fetch.image"),
            Step("refs", "image_refs", "distinct URLs", "URLs"),
            Step("fetch", "image_answers", "URLs answered", "URLs",
                 counted="URLs that were in the input or asked for; the others have no image yet"),
            Step("dedup_images", "distinct_images", "distinct images", "images"),
            Step("shard", "image_nodes", "images on pages, past gate shard", "uses",
                 "gates.shard.interleaved.image"),
        ),
    ),
}  # fmt: skip
"""Stream -> title and steps; a run has those of them whose tables it counted."""


def funnels(stages: Json, rules: Collection[str]) -> list[Json]:
    """The funnels of a run.

    Args:
        stages: Stages of `inspect_output`.
        rules: Paths of the rules that the report tells of.
    """
    found = []
    for stream, (title, steps) in FUNNELS.items():
        told: list[Json] = []
        for step in steps:
            counts = stages.get(step.stage, {}).get("tables", {}).get(step.table)
            if counts is not None:
                told.append(_told(step, counts, told[-1] if told else None, rules))
        if told:
            found.append({"stream": stream, "title": title, "steps": told})
    return found


def _told(step: Step, counts: Json, before: Json | None, rules: Collection[str]) -> Json:
    counted = {"rejected": counts["rejected_by_rule"], "failed": counts["failed_by_error"]}
    tolls = [
        {"name": name, "kind": kind, "rows": rows, "rule": _rule(step, name, rules)}
        for kind, found in counted.items()
        for name, rows in found.items()
        if rows
    ]
    return {
        "stage": step.stage, "table": step.table, "title": step.title, "unit": step.unit,
        **{name: counts[name] for name in ("in", "kept", "rejected", "failed")},
        "tolls": sorted(tolls, key=lambda toll: (-toll["rows"], toll["name"])),
        "note": _note(step, counts["in"], before),
    }  # fmt: skip


def _rule(step: Step, name: str, rules: Collection[str]) -> str | None:
    path = f"{step.gate}.{name}"
    return path if path in rules else None


def _note(step: Step, rows: int, before: Json | None) -> str | None:
    """Why a step does not begin with what the step before it left."""
    if before is None or (before["kept"] == rows and before["unit"] == step.unit):
        return None
    if step.counted:
        return step.counted
    if before["unit"] != step.unit:
        return f"{before['kept']:,} {before['unit']} become {rows:,} {step.unit}"
    if rows < before["kept"]:
        return f"{before['kept'] - rows:,} {step.unit} are not among them"
    return f"{rows - before['kept']:,} {step.unit} come from elsewhere"
