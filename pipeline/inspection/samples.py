"""Single samples of shards: by key, or drawn by the hash of key and seed.

In shards of Weft a sample is found in the index and read by one range of its tar. Other tars have
no index, so they are read from their beginning, up to the sample where its whole key is given.
"""

import hashlib
import heapq
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import duckdb

from pipeline.inspection.database import broken_file, first_line, open_database
from pipeline.inspection.index_rows import index_rows
from pipeline.inspection.sample_content import FoundSample
from pipeline.inspection.snapshot import Snapshot
from pipeline.inspection.streams import check_index
from pipeline.inspection.tar_files import iter_samples
from pipeline.inspection.targets import TarFiles
from pipeline.progress import Done, Progress
from schemas.errors import InputError
from schemas.rows import IndexRow
from schemas.shards import parse_shard_name
from transforms import storage
from transforms.shards import check_range, sample_of_block
from transforms.tar_samples import Sample

MIN_PREFIX = 6
"""Characters of a key that are enough to ask for a sample."""
_NAMED = 5
"""Keys that a message names."""


def find_sample(
    target: Snapshot | TarFiles, key: str, streams: Collection[str], quiet: bool = False
) -> FoundSample:
    """The sample of a key.

    Args:
        target: Shards of Weft, or any tars.
        key: The key, or a beginning of it of `MIN_PREFIX` characters or more that is of one only.
        streams: Look in these streams of Weft.
        quiet: Report no progress.

    Raises:
        InputError: No sample has the key, several do, or its shard does not hold it.
    """
    if isinstance(target, TarFiles):
        return _find_in_tars(target, key, quiet)
    if len(key) < MIN_PREFIX:
        raise InputError(f"--sample {key!r}: give at least {MIN_PREFIX} characters of the key")
    with _indexes(target, streams) as (con, indexed):
        found = [
            (stream, row)
            for stream in indexed
            for row in index_rows(
                con, stream, "starts_with(key, ?) ORDER BY key LIMIT ?", key, _NAMED + 1
            )
        ]
    _check_found([row.key for _, row in found], key, target.output)
    return read_indexed(target, *found[0])


def draw_samples(
    target: Snapshot | TarFiles,
    count: int,
    seed: int,
    streams: Collection[str],
    quiet: bool = False,
) -> list[FoundSample]:
    """Samples drawn by the hash of key and seed: the same ones from the same shards.

    Args:
        target: Shards of Weft, or any tars; the latter are all read.
        count: How many; fewer where there are fewer.
        seed: Another one gives other samples.
        streams: Streams of Weft over which they are spread evenly, as far as each has so many.
        quiet: Report no progress.

    Raises:
        InputError: There is no index, or a shard does not hold what its index says.
    """
    if isinstance(target, TarFiles):
        return _draw_from_tars(target, count, seed, quiet)
    order = "true ORDER BY sha256(concat(?::VARCHAR, ' ', key)) LIMIT ?"
    with _indexes(target, streams) as (con, indexed):
        found = [
            [(stream, row) for row in index_rows(con, stream, order, str(seed), count)]
            for stream in indexed
        ]
    turns = (rows[turn] for turn in range(count) for rows in found if turn < len(rows))
    drawn = sorted(islice(turns, count), key=lambda item: indexed.index(item[0]))
    return [read_indexed(target, stream, row) for stream, row in drawn]


@contextmanager
def _indexes(snapshot: Snapshot, streams: Collection[str]) -> Iterator[tuple[Any, list[str]]]:
    """A connection with the indexes of some streams, and which of them there are."""
    indexed = [stream for stream in snapshot.folders if stream in streams]
    indexed = [stream for stream in indexed if stream in snapshot.indexes]
    if not indexed:
        raise InputError(f"{snapshot.output}: no index.parquet is there to find samples in")
    with open_database(snapshot, [f"index_{stream}" for stream in indexed]) as con:
        try:
            for stream in indexed:
                check_index(snapshot, stream)
            yield con, indexed
        except duckdb.Error as e:
            broken = broken_file(snapshot, [snapshot.indexes[stream] for stream in indexed])
            raise broken or InputError(f"{snapshot.output}: {first_line(e)}") from e


def _check_found(keys: list[str], key: str, place: str) -> None:
    """Refuse a key of no sample, or of several."""
    if not keys:
        raise InputError(f"--sample {key!r}: no sample of {place} has such a key")
    if len(keys) > 1:
        named = ", ".join(keys[:_NAMED])
        more = " and more" if len(keys) > _NAMED else ""
        raise InputError(
            f"--sample {key!r}: is the beginning of several keys ({named}{more}); give more of it"
        )


def read_indexed(snapshot: Snapshot, stream: str, row: IndexRow) -> FoundSample:
    """A sample by its row of the index: one range of its tar.

    Raises:
        InputError: The shard does not hold it, or cannot be read.
    """
    try:
        split, _ = parse_shard_name(row.shard)
    except ValueError as e:
        raise InputError(f"{snapshot.indexes[stream]}: {e}") from e
    where = snapshot.place(stream, row.shard)
    fs, path = storage.resolve(storage.join(snapshot.output, where))
    try:
        check_range(row)
        members = sample_of_block(
            fs.cat_file(path, start=row.offset, end=row.offset + row.size), row
        )
    except (OSError, ValueError) as e:
        raise InputError(f"{where}: sample {row.key} cannot be read: {e}") from e
    except InputError as e:
        raise InputError(
            f"{where}: is not the shard that its index tells of ({e}); `--verify` tells more"
        ) from e
    sizes = {suffix: len(data) for suffix, data in members.items()}
    return FoundSample(where, row.key, row.offset, members, sizes, stream, split)


def _find_in_tars(files: TarFiles, key: str, quiet: bool) -> FoundSample:
    """The first sample of a key, else the one that begins with it."""
    begun: dict[tuple[str, str], FoundSample] = {}
    for found in _iter_found(files, quiet):
        if found.key == key:
            return found
        if len(key) >= MIN_PREFIX and found.key.startswith(key) and len(begun) <= _NAMED:
            begun[found.shard, found.key] = found
    _check_found([name for _, name in begun], key, files.target)
    return next(iter(begun.values()))


def _draw_from_tars(files: TarFiles, count: int, seed: int, quiet: bool) -> list[FoundSample]:
    """Of all samples those with the smallest hashes; so many are held."""
    hashed = (
        (hashlib.sha256(f"{seed} {found.key} {found.shard}".encode()).digest(), found)
        for found in _iter_found(files, quiet)
    )
    drawn = heapq.nsmallest(count, hashed, key=lambda item: item[0])
    return [found for _, found in drawn]


def _iter_found(files: TarFiles, quiet: bool) -> Iterator[FoundSample]:
    """The samples of tars; what cannot be read is passed over, whoever inspects them is told."""
    done = 0
    with Progress(quiet).step("reading", len(files.tars), lambda: Done(done), "tars"):
        for tar in files.tars:
            try:
                for item in iter_samples(tar):
                    if isinstance(item, Sample):
                        yield FoundSample(tar.name, item.key, item.offset, item.members, item.sizes)
            except OSError as e:
                raise InputError(f"{tar.name}: cannot be read: {e}") from e
            done += 1
