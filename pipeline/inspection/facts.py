"""Everything `inspect` knows of an output, as plain values: the JSON form."""

from collections.abc import Collection
from typing import Any

import msgspec

from pipeline.inspection.sample_texts import unread_facts
from pipeline.inspection.snapshot import RunRecord, Snapshot, TableRecord, read_snapshot
from pipeline.inspection.stream_tables import GATE_TABLES, stages_of
from pipeline.inspection.streams import Json, index_facts, manifest_facts, measure_index
from schemas.shards import STREAMS

SAMPLES_LIMIT = 16 << 20
"""Bytes of table `samples` up to which the command line reads it unasked."""
EVALUATION_ITEMS = "evaluation_items"
"""The table of stage `dedup` that counts what decontamination looked for."""


def inspect_output(
    output: str, streams: Collection[str] = STREAMS, samples_limit: int | None = None
) -> dict[str, Any]:
    """What is in an output, or in shards of one that stand alone: `snapshot_facts`."""
    return snapshot_facts(read_snapshot(output), streams, samples_limit)


def snapshot_facts(
    snapshot: Snapshot, streams: Collection[str] = STREAMS, samples_limit: int | None = None
) -> dict[str, Any]:
    """What is in an output, as JSON has it.

    Args:
        snapshot: The output.
        streams: Tell of these, and of the tables of a run that are about them.
        samples_limit: Bytes of table `samples` above which it is not read; None: it always is.

    Keys, always all of them:
        `output`; `complete` (whether nothing is missing); `problems` (a line each); `notes` (a line
        for each thing that was not looked at); `recipe` (`name`, `fingerprint`; null without a run
        record); `inputs` (`files`, `bytes`); `versions`.
        `stages`: stage -> `status`, `seconds`, `parts`, `facts`, and `tables`: table -> `in`,
        `kept`, `rejected`, `failed`, `rejected_by_rule`, `failed_by_error`.
        `images`: what became of image URLs (`image_answers.answer_facts`); null before stage fetch.
        `contamination`: what held an evaluation item (`contamination.contamination_facts`); null
        where nothing was looked for.
        `streams`: stream -> its measures, for the streams that have a manifest or an index:
        `samples`, `shards`, `bytes`, and `splits` with the same for each split. With an index:
        `images`, `characters`, `text_length`, `languages`, `sites` (how many), `top_sites`,
        `samples_in_tables` (samples of the shards that the last run's tables still have; languages,
        sites and captions are theirs; null, as these are, where the table was not read or is not
        there). Captioned: `caption_length` of all captions (`text_length` is the one for training),
        `captions_by_origin`. Interleaved: `images_per_document`. Both: `image_width`,
        `image_height`, `image_aspect` (longer side by shorter), `image_shape`.
        `judged`: table -> counts as above, of the tables that gate `shard` took the stream from.

    Distributions are as of `distributions.distribution`; lists are sorted by count, then name.

    Raises:
        InputError: There is no output, or a file of it is there and cannot be read.
    """
    notes: list[str] = []
    size = snapshot.table_bytes.get("samples", 0)
    has_samples = bool(snapshot.tables.get("samples"))
    if has_samples and samples_limit is not None and size > samples_limit:
        has_samples = False
        notes.append(
            f"languages, sites and captions were not counted: table samples has {size:,} bytes; "
            "--full reads it"
        )
    images, contamination, found = _measures(snapshot, streams, has_samples)
    problems = snapshot.all_problems
    run = _run_facts(snapshot.run)
    return {
        "output": snapshot.output,
        "complete": not problems,
        "problems": problems,
        "notes": notes,
        **run,
        "stages": stages_of(run["stages"], streams),
        "images": images,
        "contamination": contamination,
        "streams": found,
    }


def _run_facts(run: RunRecord | None) -> Json:
    if run is None:
        return {"recipe": None, "inputs": None, "versions": {}, "stages": {}}
    return {
        "recipe": {"name": run.recipe.name, "fingerprint": run.recipe.fingerprint},
        "inputs": {"files": len(run.inputs), "bytes": sum(file.bytes for file in run.inputs)},
        "versions": dict(sorted(run.versions.items())),
        "stages": {
            stage: {
                "status": record.status,
                "seconds": record.seconds,
                "parts": record.parts,
                "facts": dict(sorted(record.facts.items())),
                "tables": {
                    table: _counts(counts) for table, counts in sorted(record.tables.items())
                },
            }
            for stage, record in run.stages.items()
        },
    }


def _counts(counts: TableRecord) -> Json:
    plain: Json = msgspec.to_builtins(counts)
    for name in ("rejected_by_rule", "failed_by_error"):
        plain[name] = dict(sorted(plain[name].items()))
    return plain


def _measures(
    snapshot: Snapshot, streams: Collection[str], has_samples: bool
) -> tuple[Json | None, Json | None, Json]:
    """Of images, of contamination, and of the streams."""
    found: Json = {}
    indexed = [stream for stream in STREAMS if stream in streams and stream in snapshot.indexes]
    for stream in STREAMS:
        manifest = snapshot.manifests.get(stream)
        if stream in indexed:
            measures = measure_index(snapshot, stream)
            found[stream] = index_facts(measures, stream, manifest) | unread_facts(stream)
        elif stream in streams and manifest is not None:
            found[stream] = manifest_facts(manifest)
    images, contamination, texts = _table_facts(snapshot, streams, has_samples, indexed)
    for stream, facts in found.items():
        facts |= texts.get(stream, {})
        facts["judged"] = _judged(snapshot.run, stream)
        _compare(snapshot, stream, facts)
    return images, contamination, found


def _table_facts(
    snapshot: Snapshot, streams: Collection[str], has_samples: bool, indexed: list[str]
) -> tuple[Json | None, Json | None, dict[str, Json]]:
    """`table_facts.table_facts` of the tables that there are."""
    wanted = {
        "image_answers": bool(snapshot.tables.get("image_answers")) and set(streams) != {"text"},
        "contamination": _looked_for_items(snapshot.run),
        "samples": has_samples and bool(indexed),
    }
    tables = [table for table, is_wanted in wanted.items() if is_wanted]
    if not tables:
        return None, None, {}
    # Not at the top: it takes as long to import as the index of a large run to read.
    from pipeline.inspection.table_facts import table_facts

    return table_facts(snapshot, tables, indexed if has_samples else [])


def _looked_for_items(run: RunRecord | None) -> bool:
    """Whether the run knew evaluation items."""
    dedup = None if run is None else run.stages.get("dedup")
    return dedup is not None and EVALUATION_ITEMS in dedup.tables


def _judged(run: RunRecord | None, stream: str) -> Json:
    shard = None if run is None else run.stages.get("shard")
    tables = {} if shard is None else shard.tables
    return {name: _counts(tables[name]) for name in GATE_TABLES[stream] if name in tables}


def _compare(snapshot: Snapshot, stream: str, facts: Json) -> None:
    manifest = snapshot.manifests.get(stream)
    if "text_length" not in facts:
        return
    indexed = facts["samples"]
    if manifest is not None:
        listed = manifest.totals
        if (listed["samples"], listed["shards"]) != (indexed, facts["shards"]):
            snapshot.problems.append(
                f"{stream}: the manifest lists {listed['samples']} samples in {listed['shards']} "
                f"shards, the index {indexed} in {facts['shards']}"
            )
    if facts["samples_in_tables"] not in (None, indexed):
        snapshot.problems.append(
            f"{stream}: {facts['samples_in_tables']} of {indexed} samples are in the tables of the "
            "last run; languages, sites and captions are of those only"
        )
