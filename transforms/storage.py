"""Files behind fsspec URLs, and how one is published: whole or not at all.

Locally a file is written under a temporary name beside its place, flushed to the disk and renamed.
On an object store it is one upload: of a small file one request, made when all of it is known; of a
larger one an upload of parts, which becomes visible on `commit` and is dropped on any other exit.
Nothing here ever opens a final name for writing. S3 has a module of its own (`s3_store.py`); other
stores are what fsspec makes of them.
"""

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from schemas.errors import OutputError

TEMPORARY_PREFIX = ".tmp-"
PART_BYTES = 8 * 1024 * 1024
"""Of an upload, where the file system has no block size of its own."""
_REMEMBERING = ("gs://", "gcs://", "az://", "abfs://", "abfss://")
"""Stores whose file systems remember listings unless they are told not to."""
_READ_ONLY = frozenset(
    {"http", "https", "data", "zip", "tar", "libarchive", "github", "git", "reference"}
)
_READERS = 32
"""Small files that are read from a store at once."""


def resolve(url: str) -> tuple[Any, str]:
    """The file system and the path on it of a URL or local path."""
    try:
        if url.startswith(("s3://", "s3a://")):
            # Where s3fs is not installed, fsspec says so below.
            with contextlib.suppress(ImportError):
                from transforms.s3_store import S3Store, open_store

                return open_store(), S3Store._strip_protocol(url)
        # Workers write what the driver lists, so no listing may be remembered.
        options = {"use_listings_cache": False} if url.startswith(_REMEMBERING) else {}
        fs, path = fsspec.core.url_to_fs(url, **options)
    except (ValueError, TypeError, AttributeError, ImportError, OSError) as e:
        # Some file systems take options that no URL has, and say so in their own ways.
        raise OutputError(f"{url}: cannot be opened: {e}") from e
    return fs, path


def is_local(url: str) -> bool:
    """Whether a URL is a path of this machine."""
    return isinstance(resolve(url)[0], LocalFileSystem)


def is_read_only(fs: Any) -> bool:
    """Whether a file system is the web's, or inside a file, where nothing is ever written."""
    names = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    return not names.isdisjoint(_READ_ONLY)


def join(url: str, *names: str) -> str:
    """A URL below a folder URL."""
    return "/".join([url.rstrip("/"), *names])


@contextlib.contextmanager
def publish(url: str) -> Iterator[BinaryIO]:
    """A binary file that appears at `url` when the block ends well, and leaves nothing else."""
    fs, path = resolve(url)
    if isinstance(fs, LocalFileSystem):
        with _publish_local(path) as file:
            yield file
        return
    upload = _Upload(fs, path)
    try:
        yield cast(BinaryIO, upload)
        upload.commit()
    except BaseException:
        # `discard` on a failed upload may fail in turn; the first error is the one to report.
        with contextlib.suppress(Exception):
            upload.discard()
        raise


class _Upload(io.RawIOBase):
    """A file on its way to a store: nothing is there before `commit`."""

    def __init__(self, fs: Any, path: str) -> None:
        self._fs = fs
        self._path = path
        # The memory's file system publishes on open whatever `autocommit` says.
        parts = not isinstance(fs, MemoryFileSystem)
        self._part = (getattr(fs, "default_block_size", None) or PART_BYTES) if parts else 0
        self._buffer = io.BytesIO()
        self._file: Any = None
        self._size = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self._size += size
        if self._file is None and self._part and self._buffer.tell() + size >= self._part:
            self._file = self._fs.open(self._path, "wb", autocommit=False, block_size=self._part)
            self._file.write(self._buffer.getvalue())
            self._buffer = io.BytesIO()
        (self._buffer if self._file is None else self._file).write(data)
        return size

    def commit(self) -> None:
        """Publish it."""
        if self._file is None:
            self._fs.pipe_file(self._path, self._buffer.getvalue())
            return
        self._file.close()
        complete = getattr(self._fs, "complete", None)
        complete(self._file) if complete else self._file.commit()

    def discard(self) -> None:
        """Drop it."""
        if self._file is not None:
            try:
                self._file.discard()
            finally:
                self._file.closed = True  # else it flushes what is left when it is collected


@contextlib.contextmanager
def _publish_local(path: str) -> Iterator[BinaryIO]:
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            yield cast(BinaryIO, file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _umask() -> int:
    """The process's file mode mask; reading it needs setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def write_bytes(url: str, data: bytes) -> None:
    """Publish a small file."""
    with publish(url) as file:
        file.write(data)


def upload(local: str, url: str) -> None:
    """Publish a local file under a URL, by rename where both are on one disk."""
    fs, path = resolve(url)
    if isinstance(fs, LocalFileSystem):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with contextlib.suppress(OSError):
            os.replace(local, path)
            return
    with open(local, "rb") as source, publish(url) as target:
        while chunk := source.read(1 << 20):
            target.write(chunk)


def read_bytes(url: str) -> bytes | None:
    """The content of a small file, or None where there is none."""
    fs, path = resolve(url)
    try:
        return cast(bytes, fs.cat_file(path))
    except FileNotFoundError:
        return None


def read_many(urls: Sequence[str]) -> list[bytes | None]:
    """The content of many small files, as of `read_bytes`; from a store many at once."""
    if len(urls) < 2 or is_local(urls[0]):
        return [read_bytes(url) for url in urls]
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(read_bytes, urls))


def list_names(url: str) -> list[str]:
    """Sorted names of the files in a folder; empty where there is no folder."""
    fs, path = resolve(url)
    try:
        # Details would cost a call of the system for each of a hundred thousand files.
        entries = fs.ls(path, detail=False)
    except (FileNotFoundError, NotADirectoryError):
        return []
    names = (entry.rstrip("/").rsplit("/", 1)[-1] for entry in entries)
    return sorted(name for name in names if not name.startswith(TEMPORARY_PREFIX))


def list_sizes(url: str) -> dict[str, int]:
    """Size in bytes of each file in a folder, by name; empty where there is no folder."""
    fs, path = resolve(url)
    try:
        entries = fs.ls(path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {entry["name"].rstrip("/").rsplit("/", 1)[-1]: entry["size"] or 0 for entry in entries}


def remove(url: str) -> None:
    """Delete a file; it may be gone already."""
    fs, path = resolve(url)
    with contextlib.suppress(FileNotFoundError):
        fs.rm_file(path)


def remove_many(urls: Sequence[str]) -> None:
    """Delete files, many at once; some may be gone already."""
    with ThreadPoolExecutor(_READERS) as pool:
        for _ in pool.map(remove, urls):
            pass


@dataclass(frozen=True, slots=True)
class Found:
    """A file, or an upload that was begun and not ended."""

    path: str
    """Relative to the folder that was looked into."""
    size: int
    changed: float | None
    """Seconds since 1970; None where the file system does not tell."""
    upload: str = ""
    """Identifier of an upload; empty for a file."""


def find_files(url: str) -> list[Found]:
    """All files below a folder, sorted by path, those with temporary names too."""
    fs, folder = resolve(url)
    try:
        entries = fs.find(folder, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    start = len(folder.rstrip("/")) + 1
    found = [
        Found(name[start:], entry["size"] or 0, _changed(entry))
        for name, entry in entries.items()
        if entry["type"] != "directory" and len(name) > start
    ]
    return sorted(found, key=lambda each: each.path)


def _changed(entry: dict[str, Any]) -> float | None:
    for key in ("mtime", "LastModified", "updated", "created"):
        value = entry.get(key)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return None


def find_uploads(url: str) -> list[Found]:
    """Uploads below a folder that were begun and not ended: S3 keeps their parts, and bills them.

    Empty for a file system that has no such thing, or ends it itself.
    """
    fs, path = resolve(url)
    dangling = getattr(fs, "dangling", None)
    return sorted(dangling(path), key=lambda each: each.path) if dangling else []


def drop_upload(url: str, upload: str) -> None:
    """End an upload that `find_uploads` has found; what it holds is gone."""
    fs, path = resolve(url)
    fs.abort(path, upload)


def check_folder(url: str) -> None:
    """Ask a store whether there is such a place; raises `OSError` where it says no."""
    fs, path = resolve(url)
    if check := getattr(fs, "check_folder", None):
        check(path)


def check_writable(url: str) -> None:
    """Write, read and delete a small file below a store's folder.

    Raises `OSError` where one of these fails.
    """
    probe = join(url, "tmp", f"{TEMPORARY_PREFIX}write")
    write_bytes(probe, b"x")
    read_bytes(probe)
    remove(probe)


def spool_folder(output: str) -> str | None:
    """Where to spool large files before they are published.

    Beside a local output, so that a rename suffices; else the system's temporary folder (None).
    """
    fs, path = resolve(output)
    if not isinstance(fs, LocalFileSystem):
        return None
    folder = os.path.join(path, "tmp")
    os.makedirs(folder, exist_ok=True)
    return folder
