"""An output as its last run left it, for a server that outlives runs: its tables, images, samples.

What a query asks of the tables is ours, with what strangers send as parameters. (Queries of users
run in processes of their own: `query_pool.py`.) A place in a table that nobody has vouched for is
not followed: a pack must be one that commits name, a shard must have the name of one, and the bytes
must be what their key says.
"""

import hashlib
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb

from pipeline.inspection.database import dict_rows, first_line, open_database
from pipeline.inspection.index_rows import index_rows
from pipeline.inspection.sample_content import FoundSample
from pipeline.inspection.samples import read_indexed
from pipeline.inspection.snapshot import Snapshot, read_snapshot
from pipeline.inspection.sql import file_of_error
from pipeline.inspection.streams import Json
from pipeline.run_record import RUN_FILE
from schemas.errors import ImageMissingError, InputError
from schemas.ids import image_key
from schemas.rows import IndexRow, Locator
from schemas.shards import STREAMS, parse_shard_name
from schemas.tables import TABLES
from transforms import storage
from transforms.packs import read_images
from transforms.shards import BLOCK, MAX_SAMPLE_BYTES, check_range, read_header

LOOK_SECONDS = 2.0
"""How long an output is taken to be as it was."""
_PLACES = ("image_answers", "images", "image_records")
"""Tables that tell where images lie, in the order in which they are asked."""
_PLACE_COLUMNS = {"image_key", "pack", "offset", "size"}


@dataclass(eq=False)
class _Opened:
    """A database over a snapshot, closed when the last who uses it has done."""

    snapshot: Snapshot
    con: Any
    closing: ExitStack
    users: int = 0
    is_old: bool = False


class Corpus:
    """An output; the methods may be called by several threads."""

    def __init__(self, output: str) -> None:
        """Open it.

        Args:
            output: Folder or URL of an output of `run`, or of shards that stand alone.

        Raises:
            InputError: There is none, or a file of it cannot be read.
        """
        self.output = output
        self._lock = threading.Lock()
        self._record = storage.read_bytes(storage.join(output, RUN_FILE))
        self._looked = time.monotonic()
        self._opened = _open(output)

    def close(self) -> None:
        """Close the database, when nobody uses it any more."""
        with self._lock:
            self._retire(self._opened)

    @contextmanager
    def use(self) -> Iterator[tuple[Snapshot, Any]]:
        """The snapshot of the last run, and a connection of one's own over it.

        Raises:
            InputError: A run has changed the output, and it cannot be read now; or a file of it
                cannot be read.
        """
        with self._lock:
            self._look_again()
            opened = self._opened
            opened.users += 1
            con = opened.con.cursor()
        try:
            yield opened.snapshot, con
        except duckdb.Error as e:
            broken = file_of_error(opened.snapshot, e, only_named=True)
            raise broken or InputError(f"{self.output}: {first_line(e)}") from e
        finally:
            con.close()
            with self._lock:
                opened.users -= 1
                if opened.is_old and not opened.users:
                    opened.closing.close()

    def _look_again(self) -> None:
        """Open the output anew where a run has told something else of it."""
        if time.monotonic() < self._looked + LOOK_SECONDS:
            return
        record = storage.read_bytes(storage.join(self.output, RUN_FILE))
        if record != self._record:
            old, self._opened = self._opened, _open(self.output)
            self._record = record
            self._retire(old)
        self._looked = time.monotonic()

    @staticmethod
    def _retire(opened: _Opened) -> None:
        opened.is_old = True
        if not opened.users:
            opened.closing.close()

    def tables(self) -> list[Json]:
        """The tables, each with `name`, `meaning`, `files`, `bytes` (null of an index), `columns`.

        A column has `name` and `type`, as DuckDB calls it.
        """
        with self.use() as (snapshot, con):
            rows = dict_rows(
                con,
                "SELECT table_name, column_name AS name, data_type AS type FROM duckdb_columns() "
                "WHERE NOT internal ORDER BY table_name, column_index",
            )
        found: dict[str, Json] = {}
        for row in rows:
            name = row.pop("table_name")
            stream = name.removeprefix("index_")
            indexed = [snapshot.indexes[stream]] if stream in snapshot.indexes else []
            table = found.setdefault(
                name,
                {
                    "name": name,
                    "meaning": _meaning(name),
                    "files": len(snapshot.tables.get(name, indexed)),
                    "bytes": snapshot.table_bytes.get(name),
                    "columns": [],
                },
            )
            table["columns"].append(row)
        return list(found.values())

    def locate(self, keys: Collection[str]) -> dict[str, Locator]:
        """Where images lie: `image_key` -> place; of images that have no bytes nothing."""
        wanted, found = set(keys), dict[str, Locator]()
        with self.use() as (snapshot, con):
            packs = frozenset(snapshot.packs)
            for view in _PLACES:
                columns = {row["column_name"] for row in dict_rows(con, f"DESCRIBE {view}")}
                if not wanted or not columns >= _PLACE_COLUMNS:
                    continue
                rows = dict_rows(
                    con,
                    f'SELECT DISTINCT image_key, pack, "offset" AS place, size FROM {view} '
                    "WHERE image_key IN (SELECT unnest(?::VARCHAR[])) AND pack IS NOT NULL "
                    "ORDER BY ALL",
                    sorted(wanted),
                )
                for row in rows:
                    if row["pack"] in packs and row["place"] >= 0 <= row["size"]:
                        place = Locator(row["pack"], row["place"], row["size"])
                        found.setdefault(row["image_key"], place)
                wanted -= found.keys()
        return found

    def image(self, key: str, place: Locator) -> bytes:
        """The bytes of an image as received.

        Raises:
            ImageMissingError: They are not where they should be.
        """
        data = read_images(self.output, [place])[place]
        if isinstance(data, Exception):
            raise data
        if image_key(hashlib.sha256(data).hexdigest()) != key:
            raise ImageMissingError(f"pack {place.pack} holds another image at {place.offset}")
        return data

    def sample(self, key: str) -> FoundSample | None:
        """The sample of a key; None where no stream has it.

        Raises:
            InputError: Its shard does not hold it, or cannot be read.
        """
        with self.use() as (snapshot, con):
            for stream in STREAMS:
                for row in _rows_of(con, snapshot, stream, key):
                    return read_indexed(snapshot, stream, row)
        return None

    def member(self, stream: str, key: str, suffix: str) -> bytes | None:
        """A member of a sample, by one range of its shard; None where there is none.

        Raises:
            InputError: Its shard does not hold it, or cannot be read.
        """
        with self.use() as (snapshot, con):
            for row in _rows_of(con, snapshot, stream, key):
                if suffix in row.members:
                    return _read_member(snapshot, stream, row, suffix)
        return None


def _open(output: str) -> _Opened:
    snapshot = read_snapshot(output)
    with ExitStack() as stack:
        con = stack.enter_context(open_database(snapshot))
        return _Opened(snapshot, con, stack.pop_all())


def _meaning(table: str) -> str:
    """What a row of a table is, where the schema says it."""
    row_type = IndexRow if table.startswith("index_") else TABLES.get(table)
    told = "" if row_type is None else row_type.__doc__ or ""
    return told.strip().partition("\n")[0]


def _rows_of(con: Any, snapshot: Snapshot, stream: str, key: str) -> list[IndexRow]:
    """The row of a sample in the index of a stream, if it has one."""
    if stream not in snapshot.indexes:
        return []
    return index_rows(con, stream, "key = ? LIMIT 1", key)


def _read_member(snapshot: Snapshot, stream: str, row: IndexRow, suffix: str) -> bytes:
    where = snapshot.place(stream, row.shard)
    fs, path = storage.resolve(storage.join(snapshot.output, where))
    try:
        parse_shard_name(row.shard)
        check_range(row)
        number = row.members.index(suffix)
        begin, size = row.member_offsets[number] - BLOCK, row.member_sizes[number]
        if begin < 0 or not 0 <= size <= MAX_SAMPLE_BYTES:
            raise InputError(f"{suffix} cannot be {size} bytes at {begin + BLOCK}")
        block = fs.cat_file(path, start=begin, end=begin + BLOCK + size)
        head = read_header(block[:BLOCK], f"byte {begin}")
    except (OSError, ValueError, IndexError, InputError) as e:
        raise InputError(f"{where}: {row.key}.{suffix} cannot be read: {e}") from e
    if head != (row.key, suffix, size) or len(block) != BLOCK + size:
        raise InputError(f"{where}: does not hold {row.key}.{suffix} at {begin + BLOCK}")
    return bytes(block[BLOCK:])
