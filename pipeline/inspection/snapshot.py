"""The files of an output's last run, found without a glob: `run.json`, commit records, manifests.

Parts of other recipes lie beside those of the last run, so only what a snapshot names counts. What
is missing becomes a line of `problems` and the rest is shown; what is there but unreadable is an
error, for no number of such an output can be trusted. (`tolerant` makes a line of that as well:
whoever verifies wants to hear of everything.)

The shards of an output may stand alone: `OUT/shards`, or the folder of one stream, copied or not.
"""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

import msgspec

from pipeline.inspection.shard_folders import INDEX, MANIFEST, read_file, shard_folders
from pipeline.run_record import RUN_FILE, RUN_VERSION, STAGES
from schemas.commits import Commit, commit_path
from schemas.errors import InputError
from schemas.shards import SCHEMA_VERSION, STREAMS, Manifest, parse_shard_name
from schemas.tables import TABLES
from transforms import storage

_RUN_FOLDERS = ("commits", "tables", "packs")
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
    """One line for each thing that is missing or does not fit, but for shards."""
    shard_problems: list[str] = field(default_factory=list)
    """The same of shards, by their names and sizes."""
    folders: dict[str, str] = field(
        default_factory=lambda: {stream: f"shards/{stream}" for stream in STREAMS}
    )
    """Stream -> the folder of its shards, relative to the output; empty: the output itself."""
    table_bytes: dict[str, int] = field(default_factory=dict)
    """Table -> bytes of its files."""
    packs: list[str] = field(default_factory=list)
    """Names of the packs that its rows point into, sorted."""
    tolerant: bool = False

    @property
    def all_problems(self) -> list[str]:
        """What is wrong, shards included."""
        return [*self.problems, *self.shard_problems]

    def place(self, stream: str, name: str) -> str:
        """The path of a file beside the shards of a stream, relative to the output."""
        return "/".join(part for part in (self.folders[stream], name) if part)

    def unreadable(self, error: InputError) -> None:
        """Note a file that cannot be read; raises the error unless the snapshot is tolerant."""
        if not self.tolerant:
            raise error
        self.problems.append(str(error))


class NoOutputError(InputError):
    """A place without an output of Weft and without shards of one."""


def read_snapshot(output: str, tolerant: bool = False) -> Snapshot:
    """Find everything that the last run of an output published, or shards that stand alone.

    Args:
        output: Folder or URL of an output, of its shards, or of the shards of one stream.
        tolerant: Note a commit or manifest that cannot be read as a problem.

    Raises:
        InputError: There is no output, or a record, commit or manifest is not what it should be;
            the message names the file.
    """
    snapshot = Snapshot(output, tolerant=tolerant)
    data = read_file(output, RUN_FILE)
    if data is None:
        _look_without_run(snapshot)
    else:
        snapshot.run = _decode_run(data, storage.join(output, RUN_FILE))
        _check_stages(snapshot.run, snapshot.problems)
        for stage, record in snapshot.run.stages.items():
            _add_tables(snapshot, stage, record)
        _drop_missing(snapshot)
    _add_streams(snapshot)
    return snapshot


def _check_place(output: str) -> list[str]:
    """The names in a folder without a run record; raises `InputError` where there is nothing."""
    fs, path = storage.resolve(output)
    try:
        if fs.isfile(path):
            raise NoOutputError(f"{output}: is a file, not an output of Weft")
        names = storage.list_names(output)
    except OSError as e:
        raise InputError(f"{output}: cannot be read: {e}") from e
    if not names:
        what = "is empty" if fs.exists(path) else "there is no such folder"
        raise NoOutputError(f"{output}: {what}")
    return names


def _look_without_run(snapshot: Snapshot) -> None:
    """Tell a run that has no record, or shards that stand alone; raises `InputError`."""
    names = _check_place(snapshot.output)
    if any(name in names for name in _RUN_FOLDERS):
        has_shards = shard_folders(snapshot.output, ["shards"])
        why = "the run was stopped before its first stage ended"
        why = "what its stages did is not known" if has_shards else why
        snapshot.problems.append(f"{RUN_FILE} is missing: {why}")
        return
    snapshot.folders = shard_folders(snapshot.output, names)
    if not snapshot.folders:
        raise NoOutputError(
            f"{snapshot.output}: no output of Weft ({RUN_FILE} is missing; it holds {names[0]!r})"
        )


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
    packs = set(snapshot.packs)
    for name, data in _read_commits(snapshot.output, stage, record.snapshot):
        if data is None:
            missing.append(name)
            continue
        url = storage.join(snapshot.output, commit_path(stage, name))
        try:
            commit = _decode_commit(data)
        except (msgspec.MsgspecError, ValueError) as e:
            snapshot.unreadable(InputError(f"{url}: not a commit record: {e}"))
            continue
        for table, files in commit.files.items():
            snapshot.tables.setdefault(table, []).extend(files.values())
        packs |= set(commit.packs)
    if missing:
        snapshot.problems.append(
            f"stage {stage}: {len(missing)} of {len(record.snapshot)} commit records are missing "
            f"({commit_path(stage, missing[0])})"
        )
    snapshot.packs = sorted(packs)


def _decode_commit(data: bytes) -> Commit:
    """A commit whose files lie where they must; raises `MsgspecError` or `ValueError`."""
    commit = Commit.from_json(data)
    for table, files in commit.files.items():
        for path in files.values():
            if not _is_table_file(table, path):
                raise ValueError(f"table {table!r}, file {path!r}")
    for pack in commit.packs:
        if not re.fullmatch(r"[0-9a-f]{32}\.tar", pack):
            raise ValueError(f"pack {pack!r}")
    return commit


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
            yield from zip(some, pool.map(partial(read_file, output), paths), strict=True)


def _drop_missing(snapshot: Snapshot) -> None:
    """Leave out files that are gone, and say so; one listing a table."""
    for table, paths in sorted(snapshot.tables.items()):
        there = storage.list_sizes(storage.join(snapshot.output, "tables", table))
        kept = [path for path in paths if path.rpartition("/")[2] in there]
        if len(kept) < len(paths):
            first = next(path for path in paths if path not in kept)
            snapshot.problems.append(
                f"table {table}: {len(paths) - len(kept)} of {len(paths)} files are missing "
                f"({first})"
            )
        snapshot.tables[table] = kept
        snapshot.table_bytes[table] = sum(there[path.rpartition("/")[2]] for path in kept)


def _add_streams(snapshot: Snapshot) -> None:
    run, problems = snapshot.run, snapshot.problems
    published = run is not None and _has_run(run, "shard")
    for stream, folder in snapshot.folders.items():
        where = snapshot.place(stream, MANIFEST)
        data = read_file(snapshot.output, where)
        sizes = storage.list_sizes(storage.join(snapshot.output, folder))
        if INDEX in sizes:
            snapshot.indexes[stream] = snapshot.place(stream, INDEX)
        elif published or data is not None:
            problems.append(f"{snapshot.place(stream, INDEX)} is missing")
        if data is None:
            if published or stream in snapshot.indexes:
                problems.append(f"{where} is missing")
            continue
        try:
            manifest = Manifest.from_json(data)
            for shard in manifest.shards:
                parse_shard_name(shard.name)
        except (InputError, ValueError) as e:
            snapshot.unreadable(InputError(f"{storage.join(snapshot.output, where)}: {e}"))
            continue
        snapshot.manifests[stream] = manifest
        if run is not None and manifest.recipe_fingerprint != run.recipe.fingerprint:
            problems.append(
                f"{stream}: its shards are of recipe {manifest.recipe_fingerprint[:12]}, the last "
                f"run was of {run.recipe.fingerprint[:12]}"
            )
        snapshot.shard_problems += _compare_shards(snapshot, stream, manifest, sizes)


def _has_run(run: RunRecord, stage: str) -> bool:
    """Whether a stage has ended well at least once."""
    return stage in run.stages and bool(run.stages[stage].snapshot)


def _compare_shards(
    snapshot: Snapshot, stream: str, manifest: Manifest, sizes: dict[str, int]
) -> Iterator[str]:
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
            yield f"{stream}: {len(names)} shards {what} ({snapshot.place(stream, min(names))})"


def known_tables() -> list[str]:
    """Tables of fixed schema; `index` is none of them: the streams' own indexes hold its rows."""
    return [name for name in TABLES if name != "index"]
