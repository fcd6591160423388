"""The last step: samples into shards, and around them index, manifest and dataset card.

Which shards there are follows from the samples' keys alone. A shard without samples any more is
deleted; one whose rows are unchanged stays as it is, to the byte.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.recipe import Recipe
from pipeline.runners import Build
from pipeline.sampling_steps import sample_commits
from pipeline.state import Commits, RunState
from schemas.commits import Commit, commit_path
from schemas.errors import InputError, StageError
from schemas.ids import digest
from schemas.rows import IndexRow
from schemas.shards import STREAMS, Manifest, ShardEntry, choose_bits, parse_shard_name
from schemas.tables import schema_of
from transforms import storage, write_shards
from transforms.dataset_card import StreamSummary, dataset_card, summarise_stream
from transforms.shuffle import CommitBlocks, EmitBlocks
from transforms.sink import Part
from transforms.table_files import iter_batches

STAGE = write_shards.STAGE
MANIFEST = "manifest.json"
INDEX = "index.parquet"
CARD = "README.md"
PUBLISHED = "published"
"""Holds the fingerprint of the samples whose shards, manifests and card stand in `OUT/shards`."""


@dataclass(frozen=True)
class ShardPlan:
    """Which shards the samples of a run fall into."""

    samples: list[str]
    """Files of the table `samples`."""
    bits: dict[str, int]
    """`<stream>/<split>` -> k."""
    parts: set[str]
    """Part names of the shards that have samples."""
    fingerprint: str
    """Hash of the samples, the format and the code: a stream published under it is up to date."""


def read_manifest(output: str, stream: str) -> Manifest | None:
    """The manifest of a stream, or None where it has none."""
    url = storage.join(write_shards.shards_url(output), stream, MANIFEST)
    data = storage.read_bytes(url)
    if data is None:
        return None
    try:
        return Manifest.from_json(data)
    except InputError as e:
        raise InputError(f"{url}: {e}") from e


def plan_shards(state: RunState) -> ShardPlan:
    """Choose the number of shards, and list those that have samples."""
    sizes: dict[str, list[int]] = {}
    commits = sample_commits(state)
    for commit in commits.values():
        for group, (count, size) in commit.details.items():
            total = sizes.setdefault(group, [0, 0])
            total[0] += count
            total[1] += size
    fmt = state.recipe.settings.shards
    known: dict[str, int] = {}
    for stream in STREAMS:
        manifest = read_manifest(state.output, stream)
        if manifest is not None:
            known |= {f"{stream}/{split}": bits for split, bits in manifest.bits.items()}
    bits = {
        group: choose_bits(count, size, fmt.target_samples, fmt.target_bytes, known.get(group))
        for group, (count, size) in sorted(sizes.items())
    }
    files = [
        (path, commits[name].details.keys())
        for name in sorted(commits)
        if (path := commits[name].file("samples"))
    ]
    fingerprint = digest(
        *(commits[name].name for name in sorted(commits)),
        state.recipe.section("shards"), str(sorted(bits.items())),
        state.recipe.fingerprint, write_shards.versions(),
    )  # fmt: skip
    parts = write_shards.expected_shards(state.output, files, bits)
    return ShardPlan([path for path, _ in files], bits, parts, fingerprint)


def is_published(output: str, plan: ShardPlan, commits: Commits) -> bool:
    """Whether shards, index, manifest and card of these very samples stand, all of them."""
    marker = storage.join(output, "commits", STAGE, PUBLISHED)
    if storage.read_bytes(marker) != plan.fingerprint.encode():
        return False
    folder = write_shards.shards_url(output)
    if CARD not in storage.list_names(folder):
        return False
    return (
        set(commits) == plan.parts
        and not unsound_shards(output, commits)
        and all(
            {INDEX, MANIFEST} <= set(storage.list_names(storage.join(folder, stream)))
            for stream in STREAMS
        )
    )


def unsound_shards(output: str, commits: Commits) -> set[str]:
    """Names of the commits whose shard must be written again.

    Its tar is gone or has another size than was written, or samples of it failed: a pack may have
    been out of reach, and a record that is kept would lose them for good.
    """
    folder = write_shards.shards_url(output)
    sizes = {stream: storage.list_sizes(storage.join(folder, stream)) for stream in STREAMS}
    found = set()
    for part, commit in commits.items():
        stream, name = write_shards.shard_of_part(part)
        entry = commit.details["entry"]
        failed = any(counts.failed for counts in commit.counts.values())
        if failed or (entry["samples"] and sizes[stream].get(name) != entry["bytes"]):
            found.add(commit.name)
    return found


def shard_commits(output: str, plan: ShardPlan) -> tuple[Commits, list[str]]:
    """Commits of the plan's shards, and the names of all records that are not among them."""
    found: Commits = {}
    stale: list[str] = []
    for file in storage.list_names(storage.join(output, "commits", STAGE)):
        name = file.removesuffix(".json")
        part = name.rpartition("-")[0]
        if not part.startswith("shard-"):
            continue
        if part not in plan.parts:
            stale.append(name)
            continue
        data = storage.read_bytes(storage.join(output, "commits", STAGE, file))
        if data is None:
            continue
        if part in found:
            raise StageError(f"shard {part}: two records tell of it: {found[part].name}, {name}")
        found[part] = Commit.from_json(data)
    return found, stale


def write_graph(state: RunState, plan: ShardPlan) -> Build:
    """The graph that writes the shards whose rows have changed."""
    records: dict[str, list[str]] = {}
    for file in storage.list_names(storage.join(state.output, "commits", STAGE)):
        name = file.removesuffix(".json")
        if name.startswith("shard-"):
            records.setdefault(name.rpartition("-")[0], []).append(name)
    fmt = state.recipe.settings.shards
    sources = [Part(path, "", [path]) for path in plan.samples]
    emit = write_shards.EmitSamples(state.output, plan.bits)
    identify = write_shards.IdentifyShard(fmt)
    write = write_shards.WriteShard(state.output, fmt, records)
    return partial(_graph, state.output, sources, emit, identify, write)


def _graph(
    output: str, sources: list[Part], emit: Any, identify: Any, write: Any, pipeline: Any
) -> None:
    (
        pipeline
        | "EmitSamples" >> EmitBlocks(STAGE, sources, emit)
        | "WriteShards" >> CommitBlocks(STAGE, output, identify, write)
    )


def publish_streams(output: str, recipe: Recipe, plan: ShardPlan, commits: Commits) -> None:
    """Write index and manifest of each stream and the card, and delete what no manifest names."""
    summaries: dict[str, StreamSummary] = {}
    for stream in STREAMS:
        mine = [commit for commit in commits.values() if commit.details["stream"] == stream]
        mine = [commit for commit in mine if commit.details["entry"]["samples"] > 0]
        mine.sort(key=lambda commit: commit.details["entry"]["name"])
        manifest = Manifest(
            stream=stream,
            recipe_fingerprint=recipe.fingerprint,
            bits={
                group.partition("/")[2]: bits
                for group, bits in plan.bits.items()
                if group.startswith(f"{stream}/")
            },
            shards=[ShardEntry(**commit.details["entry"]) for commit in mine],
        )
        folder = storage.join(write_shards.shards_url(output), stream)
        numbers = _write_index(output, storage.join(folder, INDEX), mine)
        manifest_json = manifest.to_json().encode()
        storage.write_bytes(storage.join(folder, MANIFEST), manifest_json)
        _delete_others(folder, {shard.name for shard in manifest.shards})
        extension = recipe.settings.shards.extension
        summaries[stream] = summarise_stream(manifest, extension, *numbers)
    card = dataset_card(summaries, recipe_toml(recipe), recipe.fingerprint)
    storage.write_bytes(storage.join(write_shards.shards_url(output), CARD), card.encode())


def _write_index(output: str, url: str, commits: list[Commit]) -> tuple[int, int, int]:
    """Join the shards' index rows; returns images, most images in a sample, text length."""
    images = most = text_length = 0
    with (
        storage.publish(url) as file,
        pq.ParquetWriter(file, schema_of(IndexRow), compression="zstd") as writer,
    ):
        for batch in _index_batches(output, commits):
            writer.write_batch(batch)
            images += pc.sum(batch.column("images")).as_py()
            most = max(most, pc.max(batch.column("images")).as_py())
            text_length += pc.sum(batch.column("text_length")).as_py()
    return images, most, text_length


def _index_batches(output: str, commits: list[Commit]) -> Iterator[pa.RecordBatch]:
    for commit in commits:
        for path in commit.files["index"].values():
            yield from iter_batches(output, path, 65536)


def _delete_others(folder: str, names: set[str]) -> None:
    for name in storage.list_names(folder):
        if not name.endswith(".tar") or name in names:
            continue
        try:
            parse_shard_name(name)
        except ValueError:
            continue
        storage.remove(storage.join(folder, name))


def delete_records(output: str, names: list[str]) -> None:
    """Remove the records of shards that have no samples any more."""
    for name in names:
        storage.remove(storage.join(output, commit_path(STAGE, name)))


def recipe_toml(recipe: Recipe) -> str:
    """The resolved recipe as TOML, for people to read and to run again.

    Who asked for images, at what hosts, and on what machines, is nobody's business but ours, and
    changes no sample.
    """
    shown = {key: value for key, value in recipe.values.items() if key not in ("fetch", "workers")}
    return "\n".join(_toml_lines(shown, ()))


def _toml_lines(values: dict[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    # A rule stays on one line beside the others of its gate: their order means something.
    sections = {k: v for k, v in values.items() if isinstance(v, dict) and not _is_rule(v)}
    plain = {k: v for k, v in values.items() if k not in sections and v is not None}
    if path and (plain or not values):
        yield f"[{'.'.join(path)}]"
    for key, value in plain.items():
        yield f"{key} = {_toml_value(value)}"
    if plain:
        yield ""
    for key, value in sections.items():
        yield from _toml_lines(value, (*path, key))


def _is_rule(value: dict[str, Any]) -> bool:
    return "value" in value or "sql" in value


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml_value(item) for item in value)}]"
    if isinstance(value, dict):
        inner = ", ".join(f"{key} = {_toml_value(item)}" for key, item in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for the slash, which needs none.
        return json.dumps(value, ensure_ascii=False)
    return repr(value)
