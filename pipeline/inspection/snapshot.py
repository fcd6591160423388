"""The files of an output's last run, found without a glob: `run.json`, commit records, manifests.

Parts of other recipes lie beside those of the last run, so only what a snapshot names counts. What
is missing becomes a line of `problems` and the rest is shown; what is there but unreadable is an
error, for no number of such an output can be trusted.
"""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

import msgspec

from pipeline.run_record import RUN_FILE, RUN_VERSION, STAGES
from schemas.commits import Commit, commit_path
from schemas.errors import InputError
from schemas.shards import SCHEMA_VERSION, STREAMS, Manifest
from schemas.tables import TABLES
from transforms import storage

_OWN_FOLDERS = ("commits", "tables", "packs", "shards")
_COMMITS_AT_ONCE = 512
_READERS = 16

Name = Annotated[str, msgspec.Meta(pattern="^[A-Za-z][A-Za-z0-9_]*$", max_length=100)]
"""Name of a stage, table, rule or error."""
PartName = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_][A-Za-z0-9_.%+-]*$", max_length=300)]
Rows = Annotated[int, msgspec.Meta(ge=0)]


class TableRecord(msgspec.Struct):
    """Counts of one table of a stage."""

    seen: Rows = msgspec.field(name="in")
    kept: Rows
    rejected: Rows
    failed: Rows
    rejected_by_rule: dict[Name, Rows] = {}
    failed_by_error: dict[Name, Rows] = {}


class StageRecord(msgspec.Struct):
    """What `run.json` tells of a stage."""

    status: Name
    seconds: float | None = None
    parts: Rows | None = None
    tables: dict[Name, TableRecord] = {}
    facts: dict[str, int] = {}
    snapshot: list[PartName] = []


class DedupRecord(msgspec.Struct):
    """How duplicates were verified and ranked; an older output tells nothing of it."""

    verify: str = "signatures"
    prefer: list[str] = []


class RecipeValues(msgspec.Struct):
    """What is read of the values of a recipe; all of them stand there."""

    dedup: DedupRecord = msgspec.field(default_factory=DedupRecord)


class RecipeRecord(msgspec.Struct):
    """Which recipe ran."""

    name: str
    fingerprint: str
    values: RecipeValues = msgspec.field(default_factory=RecipeValues)


class InputRecord(msgspec.Struct):
    """A file that was read."""

    source: str
    bytes: Rows


class RunRecord(msgspec.Struct):
    """What is read of `run.json`; more may stand in it."""

    run_version: int
    schema_version: int
    recipe: RecipeRecord
    stages: dict[Name, StageRecord]
    inputs: list[InputRecord] = []
    versions: dict[str, str] = {}


@dataclass
class Snapshot:
    """An output as its last run left it."""

    output: str
    run: RunRecord | None = None
    tables: dict[str, list[str]] = field(default_factory=dict)
    """Table -> its files, relative to the output."""
    manifests: dict[str, Manifest] = field(default_factory=dict)
    """Stream -> manifest, of the streams that have one."""
    indexes: dict[str, str] = field(default_factory=dict)
    """Stream -> its index, relative to the output."""
    problems: list[str] = field(default_factory=list)
    """One line for each thing that is missing or does not fit."""


def read_snapshot(output: str) -> Snapshot:
    """Find everything that the last run of an output published.

    Raises:
        InputError: There is no output, or a record, commit or manifest is not what it should be;
            the message names the file.
    """
    snapshot = Snapshot(output)
    data = _read(output, RUN_FILE)
    if data is None:
        _check_place(output)
        snapshot.problems.append(
            f"{RUN_FILE} is missing: the run was stopped before its first stage ended"
        )
    else:
        snapshot.run = _decode_run(data, storage.join(output, RUN_FILE))
        _check_stages(snapshot.run, snapshot.problems)
        for stage, record in snapshot.run.stages.items():
            _add_tables(snapshot, stage, record)
        _drop_missing(snapshot)
    _add_streams(snapshot)
    return snapshot


def _read(output: str, name: str) -> bytes | None:
    url = storage.join(output, name)
    try:
        return storage.read_bytes(url)
    except NotADirectoryError:
        return None
    except OSError as e:
        raise InputError(f"{url}: cannot be read: {e}") from e


def _check_place(output: str) -> None:
    """Without a run record: is it at least a run that was stopped early?"""
    fs, path = storage.resolve(output)
    try:
        if fs.isfile(path):
            raise InputError(f"{output}: is a file, not an output of Weft")
        names = storage.list_names(output)
    except OSError as e:
        raise InputError(f"{output}: cannot be read: {e}") from e
    if any(name in names for name in _OWN_FOLDERS):
        return
    if not names:
        what = "is empty" if fs.exists(path) else "there is no such folder"
        raise InputError(f"{output}: {what}")
    raise InputError(f"{output}: no output of Weft ({RUN_FILE} is missing; it holds {names[0]!r})")


def _decode_run(data: bytes, url: str) -> RunRecord:
    try:
        run = msgspec.json.decode(data, type=RunRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise InputError(f"{url}: not a run record: {e}") from e
    if (run.run_version, run.schema_version) != (RUN_VERSION, SCHEMA_VERSION):
        raise InputError(
            f"{url}: written by another version of Weft (run version {run.run_version}, schema "
            f"version {run.schema_version}; this one reads {RUN_VERSION} and {SCHEMA_VERSION})"
        )
    return run


def _check_stages(run: RunRecord, problems: list[str]) -> None:
    missing = [stage for stage in STAGES if stage not in run.stages]
    if missing:
        problems.append(f"the run is not complete: no {', '.join(missing)} yet")
    for stage, record in run.stages.items():
        if record.status != "done":
            rest = "; the numbers are of its last good run" if record.tables else ""
            problems.append(f"stage {stage} is {record.status}{rest}")
        for table, counts in record.tables.items():
            if counts.seen != counts.kept + counts.rejected + counts.failed:
                problems.append(
                    f"stage {stage}, table {table}: {counts.seen} rows in are not the sum of "
                    f"{counts.kept} kept, {counts.rejected} rejected, {counts.failed} failed"
                )


def _add_tables(snapshot: Snapshot, stage: str, record: StageRecord) -> None:
    missing = []
    for name, data in _read_commits(snapshot.output, stage, record.snapshot):
        if data is None:
            missing.append(name)
            continue
        url = storage.join(snapshot.output, commit_path(stage, name))
        try:
            commit = Commit.from_json(data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as e:
            raise InputError(f"{url}: not a commit record: {e}") from e
        for table, files in commit.files.items():
            for path in files.values():
                if not _is_table_file(table, path):
                    raise InputError(f"{url}: not a commit record: table {table!r}, file {path!r}")
                snapshot.tables.setdefault(table, []).append(path)
    if missing:
        snapshot.problems.append(
            f"stage {stage}: {len(missing)} of {len(record.snapshot)} commit records are missing "
            f"({commit_path(stage, missing[0])})"
        )


def _is_table_file(table: str, path: str) -> bool:
    """Whether a path lies in its table's folder, whoever wrote the record."""
    if not re.fullmatch("[a-z][a-z0-9_]*", table):
        return False
    return re.fullmatch(rf"tables/{table}/[^/\\*?\[\]]+\.parquet", path) is not None


def _read_commits(output: str, stage: str, names: list[str]) -> Iterator[tuple[str, bytes | None]]:
    """Commit records, some at a time and those at once: a store takes its time for each."""
    with ThreadPoolExecutor(_READERS) as pool:
        for start in range(0, len(names), _COMMITS_AT_ONCE):
            some = names[start : start + _COMMITS_AT_ONCE]
            paths = [commit_path(stage, name) for name in some]
            yield from zip(some, pool.map(partial(_read, output), paths), strict=True)


def _drop_missing(snapshot: Snapshot) -> None:
    """Leave out files that are gone, and say so; one listing a table."""
    for table, paths in sorted(snapshot.tables.items()):
        there = set(storage.list_names(storage.join(snapshot.output, "tables", table)))
        kept = [path for path in paths if path.rpartition("/")[2] in there]
        if len(kept) < len(paths):
            first = next(path for path in paths if path not in kept)
            snapshot.problems.append(
                f"table {table}: {len(paths) - len(kept)} of {len(paths)} files are missing "
                f"({first})"
            )
        snapshot.tables[table] = kept


def _add_streams(snapshot: Snapshot) -> None:
    run, problems = snapshot.run, snapshot.problems
    published = run is not None and _has_run(run, "shard")
    for stream in STREAMS:
        folder = f"shards/{stream}"
        data = _read(snapshot.output, f"{folder}/manifest.json")
        sizes = _sizes(snapshot.output, folder)
        if "index.parquet" in sizes:
            snapshot.indexes[stream] = f"{folder}/index.parquet"
        elif published or data is not None:
            problems.append(f"{folder}/index.parquet is missing")
        if data is None:
            if published or stream in snapshot.indexes:
                problems.append(f"{folder}/manifest.json is missing")
            continue
        url = storage.join(snapshot.output, f"{folder}/manifest.json")
        try:
            manifest = Manifest.from_json(data)
        except (InputError, UnicodeDecodeError) as e:
            raise InputError(f"{url}: {e}") from e
        snapshot.manifests[stream] = manifest
        if run is not None and manifest.recipe_fingerprint != run.recipe.fingerprint:
            problems.append(
                f"{stream}: its shards are of recipe {manifest.recipe_fingerprint[:12]}, the last "
                f"run was of {run.recipe.fingerprint[:12]}"
            )
        problems += _compare_shards(stream, manifest, sizes)


def _has_run(run: RunRecord, stage: str) -> bool:
    """Whether a stage has ended well at least once."""
    return stage in run.stages and bool(run.stages[stage].snapshot)


def _sizes(output: str, folder: str) -> dict[str, int]:
    """Names and sizes of the files in a folder below an output; empty where there is none."""
    fs, path = storage.resolve(storage.join(output, folder))
    try:
        entries = fs.ls(path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {entry["name"].rpartition("/")[2]: entry["size"] or 0 for entry in entries}


def _compare_shards(stream: str, manifest: Manifest, sizes: dict[str, int]) -> Iterator[str]:
    """What the folder holds and what the manifest says of it; no tar is opened."""
    listed = {shard.name: shard.bytes for shard in manifest.shards}
    found = {name: size for name, size in sizes.items() if name.endswith(".tar")}
    for what, names in (
        ("are missing", [name for name in listed if name not in found]),
        ("are not in the manifest", [name for name in found if name not in listed]),
        (
            "have another size than the manifest says",
            [name for name, size in listed.items() if found.get(name, size) != size],
        ),
    ):
        if names:
            yield f"{stream}: {len(names)} shards {what} (shards/{stream}/{min(names)})"


def known_tables() -> list[str]:
    """Tables of fixed schema; `index` is none of them: the streams' own indexes hold its rows."""
    return [name for name in TABLES if name != "index"]
