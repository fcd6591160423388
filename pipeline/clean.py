"""`clean`: what lies below an output and belongs to nothing any more, found and removed.

Files become visible by the commit record that names them, so what an attempt wrote that was killed,
or lost its race with another, is named by none. Every record counts, whichever recipe made it: what
a changed recipe would use again stays. A name that no part of Weft writes is never touched.
"""

import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pipeline.publish import read_manifest
from pipeline.run import OWN_NAMES, locked, normal_output
from pipeline.run_record import RUN_FILE, RUN_VERSION, read_run
from pipeline.state import read_answers
from recaptioner.journal import FOLDER as JOURNALS
from schemas.errors import InputError, OutputError
from schemas.folder_lock import LOCK_FILE
from schemas.shards import STREAMS, parse_shard_name
from transforms import storage
from transforms.write_shards import STAGE as SHARD_STAGE

STORE_HOURS = 24.0
"""Age of an orphan in a store, where no lock tells whether a run is under way: it writes a file
before the record that names it."""
KINDS = ("tables", "packs", "shards", "journals", "temporary", "uploads")

_TABLE = re.compile(r"tables/[a-z][a-z0-9_]*/[A-Za-z0-9_][A-Za-z0-9_.%+-]*-[0-9a-f]{16}\.parquet")
_PACK = re.compile(r"packs/[0-9a-f]{32}\.tar")
_SHARD = re.compile(rf"shards/({'|'.join(STREAMS)})/([^/]+)")
_GRAPH = re.compile(r"tmp/graphs/[0-9a-f]{64}\.pickle")
_RECORD = re.compile(r"[A-Za-z0-9_.%+-]+-[0-9a-f]{16}\.json")
_JOURNAL = re.compile(rf"{JOURNALS}/([a-z][a-z0-9_]*)/([^/]+)/[0-9a-f-]+\.jsonl")
_TEMPORARY = re.compile(rf"([A-Za-z0-9_.%+-]+/)*{re.escape(storage.TEMPORARY_PREFIX)}[\w.-]+", re.A)
_PLAIN = re.compile(r"[A-Za-z0-9_.%+/-]+")


@dataclass(frozen=True, slots=True)
class Orphan:
    """What `clean` removes."""

    kind: str
    """One of `KINDS`."""
    file: storage.Found
    """Its path is relative to the output."""


@dataclass(frozen=True, slots=True)
class Orphans:
    """What `clean` has found."""

    found: list[Orphan]
    """In the order of `KINDS`, then by path."""
    young: int
    """How many more there are that may belong to a run under way."""

    def facts(self) -> dict[str, Any]:
        """Files and bytes by kind, as JSON has them."""
        files = Counter(orphan.kind for orphan in self.found)
        size: Counter[str] = Counter()
        for orphan in self.found:
            size[orphan.kind] += orphan.file.size
        return {
            "kinds": {kind: {"files": files[kind], "bytes": size[kind]} for kind in KINDS},
            "files": files.total(),
            "bytes": size.total(),
            "young": self.young,
            "paths": [orphan.file.path for orphan in self.found],
        }


def clean(output: str, remove: bool, hours: float | None = None) -> Orphans:
    """Find what belongs to nothing, and remove it where that is wanted.

    Args:
        output: Folder or URL of an output.
        remove: Whether to remove it.
        hours: Leave what is younger. Unset: 0 on a disk, where a lock tells of a run that is under
            way, and `STORE_HOURS` elsewhere.

    Raises:
        InputError: There is no output, or one of its records cannot be read: what it names would
            look like an orphan.
        OutputError: A run is using it.
    """
    output = normal_output(output, "clean")
    _check_output(output)
    if hours is None:
        hours = 0.0 if storage.is_local(output) else STORE_HOURS
    with locked(output):
        before = time.time() - hours * 3600
        try:
            orphans = find_orphans(output, before)
            if remove:
                # A run that goes on gives what a killed one left its names again: look once more.
                still = {(each.kind, each.file) for each in find_orphans(output, before).found}
                found = [each for each in orphans.found if (each.kind, each.file) in still]
                orphans = replace(orphans, found=found)
                _remove(output, orphans)
        except OSError as e:
            raise OutputError(f"{output}: cannot be looked into or cleaned: {e}") from e
    return orphans


def _remove(output: str, orphans: Orphans) -> None:
    paths = [orphan.file.path for orphan in orphans.found if not orphan.file.upload]
    storage.remove_many([storage.join(output, path) for path in paths])
    for orphan in orphans.found:
        if orphan.file.upload:
            storage.drop_upload(storage.join(output, orphan.file.path), orphan.file.upload)


def _check_output(output: str) -> None:
    """Refuse what is no output of Weft, and so holds nothing of ours. Raises `InputError`."""
    try:
        storage.check_folder(output)
        names = set(storage.list_names(output)) - {LOCK_FILE}
        record = read_run(output)
    except OSError as e:
        raise InputError(f"{output}: cannot be read: {e}") from e
    records = {
        stage: set(storage.list_names(storage.join(output, "commits", stage)))
        for stage in (storage.list_names(storage.join(output, "commits")) if names else ())
    }
    if record is None:
        # A run that was killed in its first stage has no record of its own yet.
        if names <= OWN_NAMES and any(
            _RECORD.fullmatch(each) for of in records.values() for each in of
        ):
            return
        raise InputError(f"{output}: is no output of Weft ({RUN_FILE} is missing); nothing is done")
    if record.get("run_version") != RUN_VERSION:
        raise InputError(
            f"{output}: its {RUN_FILE} is of version {record.get('run_version')}, not "
            f"{RUN_VERSION}: what its records name is not known; nothing is done"
        )
    for stage, facts in record["stages"].items():
        for name in facts.get("snapshot") or ():
            if f"{name}.json" not in records.get(stage, ()):
                raise InputError(
                    f"{output}: commits/{stage}/{name}.json is missing, so what it names would "
                    "look like leftovers; nothing is done: run the recipe to its end first"
                )


def find_orphans(output: str, before: float) -> Orphans:
    """What is named by no record and was last changed before a time, in seconds since 1970.

    Raises:
        InputError: A record or manifest cannot be read.
    """
    # Files first: what a run commits meanwhile is named by a record that is read later.
    there = [file for file in storage.find_files(output) if _is_ours(file.path)]
    uploads = storage.find_uploads(output)
    stages = set(storage.list_names(storage.join(output, "commits")))
    stages |= {match[1] for file in there if (match := _JOURNAL.fullmatch(file.path))}
    named, parts = _named(output, sorted(stages))
    found = [
        Orphan(kind, file) for file in there if (kind := _orphan_kind(file.path, named, parts))
    ]
    found += [Orphan("uploads", upload) for upload in uploads if _is_ours(upload.path)]
    # What tells no time may be young.
    old = [each for each in found if (each.file.changed or time.time()) <= before]
    old.sort(key=lambda each: (KINDS.index(each.kind), each.file.path, each.file.upload))
    return Orphans(old, len(found) - len(old))


def _is_ours(path: str) -> bool:
    """Whether Weft may have written a file of this name."""
    top = path.split("/")[0]
    known = top in OWN_NAMES or top.startswith(storage.TEMPORARY_PREFIX)
    return known and _PLAIN.fullmatch(path) is not None


def _named(output: str, stages: list[str]) -> tuple[set[str], set[tuple[str, str]]]:
    """Paths that records and manifests name, and stage and name of the parts that have one."""
    named: set[str] = set()
    parts: set[tuple[str, str]] = set()
    for stage in stages:
        for name, commit in read_answers(output, stage, "").items():
            parts.add((stage, name))
            for files in commit.files.values():
                named |= set(files.values())
            named |= {f"packs/{pack}" for pack in commit.packs}
            if stage == SHARD_STAGE and "entry" in commit.details:
                named.add(f"shards/{commit.details['stream']}/{commit.details['entry']['name']}")
    for stream in STREAMS:
        manifest = read_manifest(output, stream)
        entries = () if manifest is None else manifest.shards
        named |= {f"shards/{stream}/{shard.name}" for shard in entries}
    return named, parts


def _orphan_kind(path: str, named: set[str], parts: set[tuple[str, str]]) -> str | None:
    """The kind of orphan that a file is; None for what is named, or is not ours to judge."""
    if _TEMPORARY.fullmatch(path) or _GRAPH.fullmatch(path):
        return "temporary"
    if path in named:
        return None
    if _TABLE.fullmatch(path):
        return "tables"
    if _PACK.fullmatch(path):
        return "packs"
    if (shard := _SHARD.fullmatch(path)) and _is_shard(shard[2]):
        return "shards"
    if (journal := _JOURNAL.fullmatch(path)) and (journal[1], journal[2]) in parts:
        return "journals"
    return None


def _is_shard(name: str) -> bool:
    try:
        parse_shard_name(name)
    except ValueError:
        return False
    return True


def tell(orphans: Orphans, output: str, removed: bool) -> Iterator[str]:
    """What was found, a line each, and the sums."""
    from pipeline.inspection.show import size

    for orphan in orphans.found:
        yield f"{orphan.kind:10} {size(orphan.file.size):>9}  {orphan.file.path}"
    facts = orphans.facts()
    what = "removed" if removed else "would be removed"
    yield f"{facts['files']} files, {size(facts['bytes'])}: {what} from {output}"
    if orphans.young:
        yield f"{orphans.young} more are too young (--older-than): a run may be writing them"
    if orphans.found and not removed:
        yield "Nothing was touched: --yes removes them."
