"""`inspect --verify`: every hash, every offset, every key of shards and packs, recomputed."""

import threading
from collections.abc import Callable, Collection
from contextlib import ExitStack
from functools import partial
from typing import Any

import duckdb

from pipeline.inspection.database import broken_file, first_line, open_database
from pipeline.inspection.foreign import scan_tars
from pipeline.inspection.index_rows import index_rows
from pipeline.inspection.shard_folders import INDEX
from pipeline.inspection.snapshot import Snapshot
from pipeline.inspection.streams import Json, check_index
from pipeline.inspection.tar_files import map_files
from pipeline.inspection.targets import TarFiles
from pipeline.inspection.verify_packs import PackedImage, check_pack
from pipeline.inspection.verify_shards import MAX_PROBLEMS, Checked, ShardToCheck, check_shard
from pipeline.progress import Done, Progress
from schemas.errors import InputError
from schemas.rows import IndexRow
from schemas.shards import STREAMS, parse_shard_name
from transforms import storage

_PACKED = ("image_records", "image_answers", "images")
"""Tables whose rows point into packs."""
Task = Callable[[], Checked]


def verify(
    target: Snapshot | TarFiles, streams: Collection[str] = STREAMS, quiet: bool = False
) -> Json:
    """Recompute what shards, indexes, manifests and packs say of each other.

    Args:
        target: An output, its shards, or any tars, of which is told what can be read.
        streams: Check these streams of Weft; with fewer than all, packs are not checked.
        quiet: Report no progress.

    Returns:
        `output`; `sound`, whether nothing is wrong; `checked`: how many `shards`, `samples`,
        `members`, `bytes`, and, where there are such, `packs`, `packed_images`, `pack_bytes`;
        `problem_count`; `problems`, sorted by file, `MAX_PROBLEMS` at most: `file`, `key` (null:
        the file as a whole), `what`, `is`, `should_be` (null where `what` says all).
    """
    if isinstance(target, TarFiles):
        return _verify_tars(target, quiet)
    total = Checked(target.output)
    for line in target.problems:
        total.problem(line)
    with ExitStack() as stack:
        tasks: list[Task] = []
        for stream in target.folders:
            if stream in streams:
                tasks += _shard_tasks(target, stream, stack, total)
        if set(streams) == set(STREAMS):
            tasks += _pack_tasks(target, stack, total)
        done = 0
        with Progress(quiet).step("verifying", len(tasks), lambda: Done(done), "files"):
            for checked in map_files(_run, tasks):
                done += 1
                _add(total, checked)
    return _result(target.output, total)


def _run(task: Task) -> Checked:
    return task()


def _add(total: Checked, checked: Checked) -> None:
    total.found += checked.found
    total.problems += checked.problems[: max(0, MAX_PROBLEMS - len(total.problems))]
    for name, number in checked.counts.items():
        total.count(name, number)


def _result(output: str, total: Checked) -> Json:
    names = ("shards", "samples", "members", "bytes")
    return {
        "output": output,
        "sound": not total.found,
        "checked": dict.fromkeys(names, 0) | total.counts,
        "problem_count": total.found,
        "problems": total.problems,
    }


class _Index:
    """The index of a stream; threads ask it at once."""

    def __init__(self, con: Any, stream: str) -> None:
        """Read which shards it names; raises `duckdb.Error`."""
        self._con = con
        self._turn = threading.Lock()
        self._stream = stream
        found = con.execute(f"SELECT DISTINCT shard FROM index_{stream} ORDER BY 1").fetchall()
        self.shards = [str(row[0]) for row in found]

    def rows(self, shard: str) -> list[IndexRow]:
        """The rows of a shard; raises `duckdb.Error` or `InputError`."""
        with self._turn:
            return index_rows(self._con, self._stream, "shard = ?", shard)

    def twice(self) -> list[tuple[str, int]]:
        """Keys that it has more than once, and how often; raises `duckdb.Error`."""
        query = (
            f"SELECT key, count(*) FROM index_{self._stream} GROUP BY key HAVING count(*) > 1 "
            f"ORDER BY key LIMIT {MAX_PROBLEMS}"
        )
        found: list[tuple[str, int]] = self._con.execute(query).fetchall()
        return found


def _open_index(
    snapshot: Snapshot, stream: str, stack: ExitStack, checked: Checked
) -> _Index | None:
    """The index of a stream, of which names and keys were read; None where it cannot be."""
    if stream not in snapshot.indexes:
        return None
    try:
        con = stack.enter_context(open_database(snapshot, [f"index_{stream}"]))
        check_index(snapshot, stream)
        index = _Index(con, stream)
        for key, times in index.twice():
            checked.problem("rows of the key in the index", key, times, 1)
    except InputError as e:
        checked.problem(str(e))
        return None
    except duckdb.Error as e:
        broken = broken_file(snapshot, [snapshot.indexes[stream]])
        checked.problem(str(broken or first_line(e)))
        return None
    return index


def _shard_tasks(snapshot: Snapshot, stream: str, stack: ExitStack, total: Checked) -> list[Task]:
    """A task for each shard that folder, manifest or index name."""
    told = Checked(snapshot.place(stream, INDEX))
    index = _open_index(snapshot, stream, stack, told)
    manifest = snapshot.manifests.get(stream)
    entries = {} if manifest is None else {shard.name: shard for shard in manifest.shards}
    folder = storage.join(snapshot.output, snapshot.folders[stream])
    names = {name for name in storage.list_names(folder) if name.endswith(".tar")}
    names |= entries.keys() | set(index.shards if index else ())
    tasks: list[Task] = []
    for name in sorted(names):
        try:
            parse_shard_name(name)
        except ValueError as e:
            told.problem(str(e))
            continue
        tasks.append(partial(_check_shard, snapshot, stream, name, entries.get(name), index))
    _add(total, told)
    return tasks


def _check_shard(
    snapshot: Snapshot, stream: str, name: str, entry: Any, index: _Index | None
) -> Checked:
    manifest = snapshot.manifests.get(stream)
    bits = None if manifest is None else manifest.bits
    file = snapshot.place(stream, name)
    rows, broken = None, None
    try:
        rows = None if index is None else index.rows(name)
    except (duckdb.Error, InputError) as e:
        broken = first_line(e)
    checked = check_shard(ShardToCheck(snapshot.output, file, name, entry, bits, rows))
    if broken is not None:
        checked.problem(f"its rows of the index cannot be read: {broken}")
    return checked


def _pack_tasks(snapshot: Snapshot, stack: ExitStack, total: Checked) -> list[Task]:
    """A task for each pack that the snapshot names."""
    if not snapshot.packs:
        return []
    tables = [table for table in _PACKED if snapshot.tables.get(table)]
    try:
        con = stack.enter_context(open_database(snapshot, tables))
    except InputError as e:
        total.problem(str(e))
        con, tables = None, []
    turn = threading.Lock()

    def check(name: str) -> Checked:
        told: set[PackedImage] = set()
        broken = None
        try:
            with turn:
                for table in tables:
                    query = f'SELECT image_key, "offset", size FROM {table} WHERE pack = ?'
                    told |= set(con.execute(query, [name]).fetchall())
        except duckdb.Error as e:
            broken = first_line(e)
        checked = check_pack(snapshot.output, name, told)
        if broken is not None:
            checked.problem(f"the rows that point into it cannot be read: {broken}")
        return checked

    return [partial(check, name) for name in snapshot.packs]


def _verify_tars(files: TarFiles, quiet: bool) -> Json:
    """What of tars without an index can be read: there is nothing to compare them with."""
    total = Checked(files.target)
    for scanned in scan_tars(files, quiet):
        checked = Checked(scanned.tar.name)
        checked.count("shards")
        checked.count("samples", scanned.tally.samples)
        checked.count("members", scanned.tally.members.total())
        checked.count("bytes", scanned.tar.bytes)
        for row in scanned.problems:
            checked.problem(row["what"], row["key"])
        checked.found = scanned.found
        _add(total, checked)
    return _result(files.target, total)
