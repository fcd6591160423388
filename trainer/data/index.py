"""Where samples lie: the index of a folder of shards.

Weft's own folders have one, `index.parquet` beside `manifest.json`; for any other folder of tars
`foreign_index` makes one. Either way three arrays are kept in the cache and mapped from then on;
the rest of the Parquet file (members of each sample) is read again only to count tokens.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import InputError
from schemas.ids import digest
from schemas.shards import Manifest, parse_shard_name
from trainer.data.foreign_index import make_foreign_index
from trainer.data.mapped import Array, Mapped, map_array, publish_folder
from trainer.data.shard_files import (
    cache_folder,
    file_sizes,
    join,
    list_files,
    read_file,
    resolve,
)

INDEX_VERSION = 1
"""Raised when the cached index changes."""
TAIL_BYTES = 64 << 10
"""Of the end of index.parquet, where its footer lies, that its fingerprint covers."""

Progress = Callable[[str], None]


class NoShardsError(InputError):
    """A folder that is not there, or without shards that are wanted."""


@dataclass(frozen=True)
class ShardIndex(Mapped):
    """Where the n samples of a folder lie."""

    shards: list[str]
    """Path or URL of each, sorted by name."""
    fingerprint: str
    """A hash of the shards: of their content (Weft's own), else of names, sizes and headers."""
    table: str
    """Path or URL of the Parquet file with the members of each sample."""
    kept: Path
    """The folder of the cache that all that is made of these shards goes to."""
    left_out: int
    """Samples of foreign shards that no reader could tell apart."""
    row: Array
    """int64 [n]: row of `table`."""
    shard: Array
    """int32 [n]: number in `shards`."""
    offset: Array
    """int64 [n]: byte of the first tar header."""
    size: Array
    """int64 [n]: bytes to the end of the last member's padding."""

    def __len__(self) -> int:
        return len(self.offset)


@contextlib.contextmanager
def open_table(url: str) -> Iterator[pq.ParquetFile]:
    """The Parquet file of an index."""
    fs, path = resolve(url)
    with fs.open(path, "rb") as opened, pq.ParquetFile(opened) as file:
        yield file


def open_index(
    folder: str, split: str, cache: str = "", progress: Progress | None = None
) -> ShardIndex:
    """The index of a folder of shards, made where there is none.

    Args:
        folder: Path or fsspec URL.
        split: Of Weft's own shards, the one that is wanted; foreign ones have none.
        cache: Folder that indexes, token counts and plans are kept in; unset: beside the shards.
        progress: Told how far it is.

    Raises:
        NoShardsError: No folder, or no shards in it.
        InputError: A shard is missing or too short, or the index is of other shards.
    """
    files = list_files(folder)
    if not files:
        raise NoShardsError(f"{folder}: no folder of shards, or an empty one")
    names = [str(entry["file"]) for entry in files]
    root = cache_folder(folder, cache)
    if "index.parquet" in names or "manifest.json" in names:
        return _open_own(folder, split, root)
    tars = [entry for entry in files if entry["file"].endswith(".tar")]
    if not tars:
        others = ", ".join(names[:3])
        raise NoShardsError(f"{folder}: neither index.parquet nor a .tar file, but {others}")
    shards = [join(folder, entry["file"]) for entry in tars]
    # A file that was written again may have other samples at the same size.
    stamps = [
        f"{entry['file']} {entry['size']} {entry.get('mtime') or entry.get('ETag') or ''}"
        for entry in tars
    ]
    kept = root / digest("foreign", INDEX_VERSION, *stamps)
    if not kept.is_dir():
        made = make_foreign_index(shards, progress)
        with publish_folder(kept) as new:
            pq.write_table(made.table, new / "index.parquet", row_group_size=1 << 16)
            _write_arrays(new, made.table, {url: n for n, url in enumerate(shards)})
            facts = {"fingerprint": made.fingerprint, "left_out": made.left_out}
            (new / "index.json").write_text(json.dumps(facts, sort_keys=True) + "\n")
    facts = json.loads((kept / "index.json").read_text())
    index = _map(kept, shards, str(kept / "index.parquet"), facts["fingerprint"], facts["left_out"])
    _check_lengths(index, None)
    return index


def _open_own(folder: str, split: str, root: Path) -> ShardIndex:
    again = "publish the shards again (`weft run`), or copy the whole folder"
    data = read_file(join(folder, "manifest.json"))
    if data is None:
        raise InputError(f"{folder}: index.parquet without manifest.json: {again}")
    try:
        manifest = Manifest.from_json(data)
    except InputError as error:
        raise InputError(f"{join(folder, 'manifest.json')}: {error}") from error
    splits = {entry.name: parse_shard_name(entry.name)[0] for entry in manifest.shards}
    entries = sorted(
        (entry for entry in manifest.shards if splits[entry.name] == split),
        key=lambda entry: entry.name,
    )
    if not entries:
        has = ", ".join(sorted(set(splits.values()))) or "none"
        raise NoShardsError(f"{folder}: no shards of split {split!r} (data.split); it has: {has}")
    table = join(folder, "index.parquet")
    hashes = [f"{entry.name} {entry.sha256}" for entry in entries]
    fingerprint = digest("shards", *hashes, _tail_hash(table, again))
    kept = root / digest("own", INDEX_VERSION, fingerprint)
    shards = [join(folder, entry.name) for entry in entries]
    if not kept.is_dir():
        try:
            with open_table(table) as file:
                rows = file.read(["shard", "offset", "size"])
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{table}: no index of shards: {error}; {again}") from error
        if rows.num_columns != 3:
            raise InputError(f"{table}: no index of shards: its columns are others; {again}")
        with publish_folder(kept) as new:
            _write_arrays(new, rows, {entry.name: n for n, entry in enumerate(entries)})
    index = _map(kept, shards, table, fingerprint, 0)
    samples = np.bincount(index.shard, minlength=len(shards))
    for entry, count in zip(entries, samples.tolist(), strict=True):
        if count != entry.samples:
            raise InputError(
                f"{table}: lists {count} samples of {entry.name}, the manifest {entry.samples}: "
                f"index and manifest are of different runs: {again}"
            )
    _check_lengths(index, [entry.bytes for entry in entries])
    return index


def _tail_hash(table: str, again: str) -> str:
    """A hash of the size of a Parquet file and of its end, where the statistics of all rows lie."""
    fs, path = resolve(table)
    try:
        size = int(fs.info(path)["size"])
        tail = fs.cat_file(path, start=max(0, size - TAIL_BYTES), end=size)
    except FileNotFoundError:
        raise InputError(f"{table}: is missing, though there is a manifest: {again}") from None
    except OSError as error:
        raise InputError(f"{table}: cannot be read: {error}") from error
    return digest(size, tail)


def _write_arrays(folder: Path, table: pa.Table, numbers: dict[str, int]) -> None:
    """Keep the rows whose shard has a number."""
    encoded = table["shard"].combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    by_code = [numbers.get(name, -1) for name in encoded.dictionary.to_pylist()]
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    shard = np.array([*by_code, -1], np.int32)[codes]
    rows = np.flatnonzero(shard >= 0)
    np.save(folder / "row.npy", rows)
    np.save(folder / "shard.npy", shard[rows])
    for name in ("offset", "size"):
        np.save(folder / f"{name}.npy", table[name].to_numpy()[rows].astype(np.int64))


def _map(kept: Path, shards: list[str], table: str, fingerprint: str, left_out: int) -> ShardIndex:
    arrays = [map_array(kept / f"{name}.npy") for name in ("row", "shard", "offset", "size")]
    return ShardIndex(shards, fingerprint, table, kept, left_out, *arrays)


def _check_lengths(index: ShardIndex, stated: list[int] | None) -> None:
    """Refuse shards that are not there or end before their last sample does."""
    needed = np.zeros(len(index.shards), np.int64)
    np.maximum.at(needed, index.shard, np.asarray(index.offset) + np.asarray(index.size))
    for number, (url, size) in enumerate(zip(index.shards, file_sizes(index.shards), strict=True)):
        if size is None:
            raise InputError(f"{url}: the shard is missing: copy it again, or publish the shards")
        if size < needed[number]:
            raise InputError(
                f"{url}: the shard is cut short: {size} bytes, and its last sample ends at "
                f"{needed[number]}: copy it again, or publish the shards again"
            )
        if stated is not None and size != stated[number]:
            raise InputError(
                f"{url}: {size} bytes, the manifest says {stated[number]}: it is of another run: "
                "copy the whole folder, or publish the shards again"
            )
