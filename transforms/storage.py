"""Files behind fsspec URLs, and how one is published: whole or not at all.

Locally a file is written under a temporary name beside its place, flushed to the disk and renamed.
On an object store it is one upload that becomes visible on `commit` and is dropped on any other
exit. Nothing here ever opens a final name for writing.
"""

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from schemas.errors import OutputError

TEMPORARY_PREFIX = ".tmp-"


def resolve(url: str) -> tuple[Any, str]:
    """The file system and the path on it of a URL or local path."""
    try:
        fs, path = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError, OSError) as e:
        raise OutputError(f"{url}: cannot be opened: {e}") from e
    return fs, path


def is_local(url: str) -> bool:
    """Whether a URL is a path of this machine."""
    return isinstance(resolve(url)[0], LocalFileSystem)


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
    if isinstance(fs, MemoryFileSystem):
        # It publishes on open whatever `autocommit` says.
        buffer = io.BytesIO()
        yield buffer
        fs.pipe_file(path, buffer.getvalue())
        return
    file = fs.open(path, "wb", autocommit=False)
    try:
        yield file
        file.close()
        file.commit()
    except BaseException:
        # `discard` on a failed upload may fail in turn; the first error is the one to report.
        with contextlib.suppress(Exception):
            file.discard()
        raise


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


def list_names(url: str) -> list[str]:
    """Sorted names of the files in a folder; empty where there is no folder."""
    fs, path = resolve(url)
    try:
        entries = fs.ls(path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    names = (entry["name"].rstrip("/").rsplit("/", 1)[-1] for entry in entries)
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
