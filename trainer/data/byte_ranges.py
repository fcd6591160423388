"""Ranges of shards: by `pread` from local files, by fsspec from anywhere else.

A read that fails is tried again, ever later; then it ends the run, for a sample left out because a
disk was slow would be another order. What cannot get better (no such file, no right to read it, a
shard that ends before the range does) ends the run at once.
"""

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from schemas.errors import InputError

OPEN_FILES = 64
"""Local shards that a reader keeps open."""
STREAMS = 8
"""Ranges of a store that a reader asks for at once."""
MAX_GAP = 64 << 10
"""Bytes between two ranges of a shard of a store that are read along: less than a request costs."""
MAX_BLOCK = 16 << 20
"""Bytes of a request that ranges are merged up to."""
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds before the first and the later tries; each waits twice as long as the one before."""
_AT_ONCE = 1 << 30
"""Bytes that one call of the system is asked for: Linux gives 2 GiB at most."""

Answer = TypeVar("Answer")


class ShardReadError(InputError):
    """A shard that cannot be read, even when tried again."""


class TruncatedShardError(InputError):
    """A shard that ends before the samples do that its index lists."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Where bytes lie."""

    shard: int
    """Number in the reader's list of shards."""
    offset: int
    size: int


class ShardReader:
    """Reads ranges of a list of shards. One thread at a time may use it."""

    def __init__(
        self, shards: Sequence[str], retries: int, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Open nothing yet.

        Args:
            shards: Paths or fsspec URLs.
            retries: Times that a read is tried again.
            sleep: Waits some seconds; tests give another.
        """
        self._shards = shards
        self._retries = retries
        self._sleep = sleep
        self._open: OrderedDict[int, int] = OrderedDict()
        self._systems: dict[str, Any] = {}
        self._threads: ThreadPoolExecutor | None = None

    def read(self, ranges: Sequence[ByteRange]) -> list[bytes | memoryview]:
        """The bytes of each range, in the order asked for.

        Raises:
            ShardReadError: A shard is missing, or its reads went on failing.
            TruncatedShardError: A shard ends inside a range.
        """
        found: list[bytes | memoryview] = [b""] * len(ranges)
        remote = []
        for number, wanted in enumerate(ranges):
            path = _local_path(self._shards[wanted.shard])
            if path is None:
                remote.append(number)
            else:
                found[number] = self._read_local(wanted, path)
        if remote:
            self._read_remote([ranges[number] for number in remote], remote, found)
        return found

    def close(self) -> None:
        """Close what is open."""
        while self._open:
            os.close(self._open.popitem()[1])
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
            self._threads = None

    # --- files

    def _read_local(self, wanted: ByteRange, path: str) -> bytes:
        def attempt() -> bytes:
            try:
                return self._pread(wanted, path)
            except OSError:
                self._forget(wanted.shard)  # a handle may have gone stale
                raise

        return self._tried(wanted, attempt)

    def _pread(self, wanted: ByteRange, path: str) -> bytes:
        file = self._open.get(wanted.shard)
        if file is None:
            while len(self._open) >= OPEN_FILES:
                os.close(self._open.popitem(last=False)[1])
            file = self._open[wanted.shard] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        else:
            self._open.move_to_end(wanted.shard)
        data = os.pread(file, min(wanted.size, _AT_ONCE), wanted.offset)
        if len(data) == wanted.size:
            return data
        parts = [data]
        got = len(data)
        while got < wanted.size:
            data = os.pread(file, min(wanted.size - got, _AT_ONCE), wanted.offset + got)
            if not data:
                raise self._truncated(wanted)
            parts.append(data)
            got += len(data)
        return b"".join(parts)

    def _forget(self, shard: int) -> None:
        file = self._open.pop(shard, None)
        if file is not None:
            os.close(file)

    # --- stores

    def _read_remote(
        self, ranges: Sequence[ByteRange], places: list[int], found: list[bytes | memoryview]
    ) -> None:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(STREAMS, thread_name_prefix="shard-ranges")
        for shard in {each.shard for each in ranges}:
            self._system(self._shards[shard])
        blocks = merged(ranges)
        answers = self._threads.map(lambda block: self._fetch(block[0]), blocks)
        for (block, members), data in zip(blocks, answers, strict=True):
            view = memoryview(data)
            for member in members:
                start = ranges[member].offset - block.offset
                found[places[member]] = view[start : start + ranges[member].size]

    def _fetch(self, wanted: ByteRange) -> bytes:
        url = self._shards[wanted.shard]
        system = self._system(url)

        def attempt() -> bytes:
            data: bytes = system.cat_file(url, start=wanted.offset, end=wanted.offset + wanted.size)
            return data

        data = self._tried(wanted, attempt)
        if len(data) != wanted.size:
            raise self._truncated(wanted)
        return data

    def _system(self, url: str) -> Any:
        protocol = url.partition("://")[0]
        if protocol not in self._systems:
            import fsspec

            try:
                self._systems[protocol] = fsspec.core.url_to_fs(url)[0]
            except (ImportError, ValueError) as error:
                raise ShardReadError(f"{url}: no such kind of store: {error}") from error
        return self._systems[protocol]

    # --- both

    def _tried(self, wanted: ByteRange, attempt: Callable[[], Answer]) -> Answer:
        """What an attempt gives, the first that does."""
        wait = FIRST_WAIT
        for tries in range(1, self._retries + 2):
            try:
                return attempt()
            except InputError:
                raise
            except Exception as error:  # stores have errors of their own, of any kind
                lasting = isinstance(error, _LASTING)
                if not isinstance(error, OSError) and _local_path(self._shards[wanted.shard]):
                    raise
                if lasting or tries > self._retries:
                    where = f"{self._shards[wanted.shard]}: {wanted.size} bytes at {wanted.offset}"
                    times = "once" if tries == 1 else f"{tries} times"
                    raise ShardReadError(
                        f"{where}: cannot be read, tried {times}: {type(error).__name__}: {error}"
                    ) from error
                self._sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT)
        raise AssertionError("the last try returns or raises")

    def _truncated(self, wanted: ByteRange) -> TruncatedShardError:
        return TruncatedShardError(
            f"{self._shards[wanted.shard]}: ends before byte {wanted.offset + wanted.size}, inside "
            f"a sample of {wanted.size} bytes at {wanted.offset}: it is cut short, or another one "
            "than was indexed. Fetch it again, or run `python -m trainer prepare` again"
        )


_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


def _local_path(url: str) -> str | None:
    """The path of a local file; None of what is elsewhere."""
    if "://" not in url:
        return url
    return url.removeprefix("file://") if url.startswith("file://") else None


def merged(ranges: Sequence[ByteRange]) -> list[tuple[ByteRange, list[int]]]:
    """Ranges joined to requests, each with the numbers of those that it holds.

    Two of one shard are joined where at most `MAX_GAP` lies between them and both fit `MAX_BLOCK`.
    """
    order = sorted(range(len(ranges)), key=lambda n: (ranges[n].shard, ranges[n].offset))
    joined: list[tuple[ByteRange, list[int]]] = []
    for number in order:
        each = ranges[number]
        if joined:
            last, members = joined[-1]
            end = max(last.offset + last.size, each.offset + each.size)
            near = each.offset <= last.offset + last.size + MAX_GAP
            if last.shard == each.shard and near and end - last.offset <= MAX_BLOCK:
                members.append(number)
                joined[-1] = (ByteRange(last.shard, last.offset, end - last.offset), members)
                continue
        joined.append((each, [number]))
    return joined
