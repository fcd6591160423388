"""Packs: indexed tar files of image bytes as received, written once and read by range.

A pack is spooled to a local disk and published under a hash that tells what is in it, so two
attempts at a part cannot harm each other, and what no commit names is an orphan. Rows carry
locators `(pack, offset, size)`; bytes never travel through a shuffle.
"""

import contextlib
import hashlib
import os
import tarfile
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO, TypeVar, cast

from fsspec.implementations.local import LocalFileSystem

from schemas.errors import ImageMissingError, StoreError
from schemas.rows import Locator
from transforms import storage

BLOCK = tarfile.BLOCKSIZE
MAX_GAP_BYTES = 64 * 1024
"""Two ranges of a pack closer than this are read as one: cheaper than another request."""
MAX_SPAN_BYTES = 16 * 1024 * 1024


_TAR_NAME = 100
_TAR_SIZE = 8**11 - 1
_TAR_END = b"0" + bytes(100) + b"ustar\x0000" + bytes(247)
_TAR_END_SUM = sum(_TAR_END)


def packs_url(output: str) -> str:
    """The folder of the packs of an output."""
    return storage.join(output, "packs")


def tar_header(name: str, size: int) -> bytes:
    """A constant tar header: no owner, no clock (POSIX.1-1988, section 10.1.1)."""
    encoded = name.encode()
    if len(encoded) > _TAR_NAME or size > _TAR_SIZE:
        info = tarfile.TarInfo(name)
        info.size = size
        info.mode = 0o644
        return info.tobuf(format=tarfile.USTAR_FORMAT)
    # What `tarfile` writes, in a tenth of the time.
    start = encoded.ljust(_TAR_NAME, b"\0") + b"0000644\0" + 2 * b"0000000\0" + b"%011o\0" % size
    start += b"00000000000\0"
    checksum = sum(start) + _TAR_END_SUM + 8 * 32
    return start + b"%06o\0 " % checksum + _TAR_END


@dataclass(frozen=True, slots=True)
class Slot:
    """Where an image lies: the number of the pack within its writer, and the byte range."""

    pack: int
    offset: int
    size: int


class PackWriter:
    """Writes the images of one part into as few packs as `max_bytes` allows.

    The same key is written once. `close` publishes the packs and returns their names, in the order
    that `Slot.pack` counts; leaving the block without it publishes nothing.
    """

    def __init__(self, output: str, max_bytes: int) -> None:
        self._output = output
        self._max_bytes = max_bytes
        self._spool = storage.spool_folder(output)
        self._file: BinaryIO | None = None
        self._path = ""
        self._hash = hashlib.sha256()
        self._position = 0
        self._names: list[str] = []
        self._slots: dict[str, Slot] = {}

    def __enter__(self) -> "PackWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)

    def add(self, image_key: str, extension: str, data: bytes) -> Slot:
        """Append an image as `<image_key>.<extension>`; returns where its bytes lie."""
        known = self._slots.get(image_key)
        if known is not None:
            return known
        if self._file is not None and self._position + len(data) > self._max_bytes:
            self._finish()
        if self._file is None:
            handle, self._path = tempfile.mkstemp(
                prefix=storage.TEMPORARY_PREFIX, suffix=".tar", dir=self._spool
            )
            self._file = cast(BinaryIO, os.fdopen(handle, "wb"))
            self._hash = hashlib.sha256()
            self._position = 0
        header = tar_header(f"{image_key}.{extension}", len(data))
        # Keys are hashes of the bytes: the headers tell all of the content, at no cost.
        self._hash.update(header)
        self._write(header)
        slot = Slot(len(self._names), self._position, len(data))
        self._write(data)
        self._write(bytes(-len(data) % BLOCK))
        self._slots[image_key] = slot
        return slot

    def close(self) -> list[str]:
        """Publish; the names of the packs."""
        if self._file is not None:
            self._finish()
        return self._names

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        self._file.write(data)
        self._position += len(data)

    def _finish(self) -> None:
        assert self._file is not None
        self._write(b"\0" * (2 * BLOCK))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
        name = f"{self._hash.hexdigest()[:32]}.tar"
        os.chmod(self._path, 0o644)
        storage.upload(self._path, storage.join(packs_url(self._output), name))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        self._names.append(name)


@dataclass(frozen=True, slots=True)
class Span:
    """One range to read, and the locators that lie in it."""

    pack: str
    start: int
    end: int
    locators: tuple[Locator, ...]


def coalesce(
    locators: Sequence[Locator],
    max_gap: int = MAX_GAP_BYTES,
    max_span: int = MAX_SPAN_BYTES,
) -> list[Span]:
    """Join ranges of a pack that are near each other into one read each."""
    spans: list[Span] = []
    group: list[Locator] = []
    end = 0
    for locator in sorted(set(locators), key=lambda item: (item.pack, item.offset, item.size)):
        stop = locator.offset + locator.size
        if group and (
            locator.pack != group[0].pack
            or locator.offset - end > max_gap
            or max(end, stop) - group[0].offset > max_span
        ):
            spans.append(Span(group[0].pack, group[0].offset, end, tuple(group)))
            group = []
        end = max(end, stop) if group else stop
        group.append(locator)
    if group:
        spans.append(Span(group[0].pack, group[0].offset, end, tuple(group)))
    return spans


def read_images(output: str, locators: Sequence[Locator]) -> dict[Locator, bytes | Exception]:
    """The bytes of many images, by coalesced range reads that fsspec runs side by side.

    A range that cannot be read whole gives an `ImageMissingError` as its value, so that one lost
    pack does not hide the images of another. Memory: the sum of the ranges; `read_windows` bounds
    it.

    Raises:
        StoreError: A store that fails, or refuses: what it holds is not lost.
    """
    return _read(*storage.resolve(packs_url(output)), locators)


def _read(fs: Any, folder: str, locators: Sequence[Locator]) -> dict[Locator, bytes | Exception]:
    spans = coalesce(locators)
    lost = OSError if isinstance(fs, LocalFileSystem) else FileNotFoundError
    paths = [f"{folder}/{span.pack}" for span in spans]
    blocks = fs.cat_ranges(
        paths, [span.start for span in spans], [span.end for span in spans], on_error="return"
    )
    found: dict[Locator, bytes | Exception] = {}
    for span, block in zip(spans, blocks, strict=True):
        if isinstance(block, Exception) and not isinstance(block, lost):
            # An outage, or rights that have run out: the images are still there.
            raise StoreError(f"{folder}/{span.pack}: {block}") from block
        for locator in span.locators:
            start = locator.offset - span.start
            if isinstance(block, Exception):
                reason = f"{type(block).__name__}: {block}"
            elif len(block) < start + locator.size:
                reason = "the pack is cut short"
            else:
                found[locator] = bytes(block[start : start + locator.size])
                continue
            found[locator] = ImageMissingError(
                f"pack {locator.pack}, {locator.size} bytes at {locator.offset}: {reason}"
            )
    return found


Window = TypeVar("Window")


def read_windows(
    output: str, windows: Iterable[tuple[Window, Sequence[Locator]]]
) -> Iterator[tuple[Window, dict[Locator, bytes | Exception]]]:
    """Yield windows in their order, each with the images at its places, as of `read_images`.

    The next window is read while one is worked on, so a store answers meanwhile. Memory: the
    images of two windows.
    """
    fs, folder = storage.resolve(packs_url(output))
    ahead: deque[tuple[Window, Future[dict[Locator, bytes | Exception]]]] = deque()
    with ThreadPoolExecutor(1) as reader:
        for window, places in windows:
            ahead.append((window, reader.submit(_read, fs, folder, places)))
            if len(ahead) > 1:
                first, read = ahead.popleft()
                yield first, read.result()
        for first, read in ahead:
            yield first, read.result()
