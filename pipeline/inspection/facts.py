"""Everything `inspect` knows of an output, as plain values: the JSON form."""

from typing import Any

import duckdb
import msgspec

from pipeline.inspection.contamination import contamination_facts
from pipeline.inspection.database import broken_file, first_line, open_database, view_files
from pipeline.inspection.image_answers import answer_facts
from pipeline.inspection.snapshot import RunRecord, Snapshot, TableRecord, read_snapshot
from pipeline.inspection.streams import Json, manifest_facts, read_places, stream_facts
from schemas.errors import InputError
from schemas.rows import IndexRow
from schemas.shards import STREAMS
from schemas.tables import schema_of

STREAM_TABLES = {
    "captioned": ("captions", "captioned_samples"),
    "interleaved": ("interleaved", "image_nodes", "paragraphs", "interleaved_samples"),
    "text": ("text", "text_samples"),
}
"""The tables of stage `shard` whose rows are what a stream is made of."""
EVALUATION_ITEMS = "evaluation_items"
"""The table of stage `dedup` that counts what decontamination looked for."""


def inspect_output(output: str) -> dict[str, Any]:
    """What is in an output, as JSON has it.

    Keys, always all of them:
        `output`; `complete` (whether nothing is missing); `problems` (a line each); `recipe`
        (`name`, `fingerprint`; null without a run record); `inputs` (`files`, `bytes`); `versions`.
        `stages`: stage -> `status`, `seconds`, `parts`, `facts`, and `tables`: table -> `in`,
        `kept`, `rejected`, `failed`, `rejected_by_rule`, `failed_by_error`.
        `images`: what became of image URLs (`image_answers.answer_facts`); null before stage fetch.
        `contamination`: what held an evaluation item (`contamination.contamination_facts`); null
        where nothing was looked for.
        `streams`: stream -> its measures, for the streams that have a manifest or an index:
        `samples`, `shards`, `bytes`, and `splits` with the same for each split. With an index:
        `images`, `characters`, `text_length`, `languages`, `sites` (how many), `top_sites`,
        `samples_in_tables` (samples of the shards that the last run's tables still have; languages,
        sites and captions are theirs). Captioned: `caption_length` of all captions (`text_length`
        is the one for training), `captions_by_origin`. Interleaved: `images_per_document`. Both:
        `image_width`, `image_height`, `image_aspect` (longer side by shorter), `image_shape`.
        `judged`: table -> counts as above, of the tables that gate `shard` took the stream from.

    Distributions are described at `streams.distribution`; lists are sorted by count, then name.

    Raises:
        InputError: There is no output, or a file of it is there and cannot be read.
    """
    snapshot = read_snapshot(output)
    images, contamination, streams = _measures(snapshot)
    return {
        "output": output,
        "complete": not snapshot.problems,
        "problems": snapshot.problems,
        **_run_facts(snapshot.run),
        "images": images,
        "contamination": contamination,
        "streams": streams,
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


def _measures(snapshot: Snapshot) -> tuple[Json | None, Json | None, Json]:
    """Of images, of contamination, and of the streams."""
    images: Json | None = None
    contamination: Json | None = None
    found: Json = {}
    used = ["samples", "image_answers", "contamination", *(f"index_{stream}" for stream in STREAMS)]
    with open_database(snapshot, used) as con:
        try:
            if snapshot.tables.get("image_answers"):
                images = answer_facts(con)
            if _looked_for_items(snapshot.run):
                contamination = contamination_facts(con)
            indexed = [stream for stream in STREAMS if stream in snapshot.indexes]
            for stream in indexed:
                _check_index(con, snapshot, stream)
            if indexed:
                read_places(con, indexed)
            for stream in STREAMS:
                manifest = snapshot.manifests.get(stream)
                if stream in indexed:
                    found[stream] = stream_facts(con, stream, manifest)
                elif manifest is not None:
                    found[stream] = manifest_facts(manifest)
        except duckdb.Error as e:
            files = view_files(snapshot)
            broken = broken_file(snapshot, [file for view in used for file in files[view]])
            if broken is None:
                broken = InputError(f"{snapshot.output}: {first_line(e)}")
            raise broken from e
    for stream, facts in found.items():
        facts["judged"] = _judged(snapshot.run, stream)
        _compare(snapshot, stream, facts)
    return images, contamination, found


def _looked_for_items(run: RunRecord | None) -> bool:
    """Whether the run knew evaluation items."""
    dedup = None if run is None else run.stages.get("dedup")
    return dedup is not None and EVALUATION_ITEMS in dedup.tables


def _check_index(con: Any, snapshot: Snapshot, stream: str) -> None:
    """Refuse an index that is a Parquet file of something else."""
    columns = {row[0] for row in con.execute(f"DESCRIBE index_{stream}").fetchall()}
    missing = [name for name in schema_of(IndexRow).names if name not in columns]
    if missing:
        raise InputError(
            f"{snapshot.output}/{snapshot.indexes[stream]}: not an index: no column {missing[0]}"
        )


def _judged(run: RunRecord | None, stream: str) -> Json:
    shard = None if run is None else run.stages.get("shard")
    tables = {} if shard is None else shard.tables
    return {name: _counts(tables[name]) for name in STREAM_TABLES[stream] if name in tables}


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
    if facts["samples_in_tables"] != indexed:
        snapshot.problems.append(
            f"{stream}: {facts['samples_in_tables']} of {indexed} samples are in the tables of the "
            "last run; languages, sites and captions are of those only"
        )
