"""Folders of shards, by path or fsspec URL: what lies in them, how long it is, where caches go."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from schemas.errors import InputError

THREADS = 32
"""Sizes that are asked for at once."""
CACHE = ".trainer"
"""The folder beside the shards that token counts and plans are kept in."""


def resolve(url: str) -> tuple[Any, str]:
    """The file system and the path on it of a URL or local path. Raises `InputError`."""
    try:
        fs, path = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError, OSError) as error:
        raise InputError(f"{url}: cannot be opened: {error}") from error
    return fs, path


def join(url: str, name: str) -> str:
    """A URL below a folder's."""
    return f"{url.rstrip('/')}/{name}"


def list_files(url: str) -> list[dict[str, Any]] | None:
    """What fsspec tells of the files of a folder, sorted by name; None where there is no folder.

    Each is its `info`, with `file`, the name without the folder, beside.

    Raises:
        InputError: The folder cannot be read.
    """
    fs, path = resolve(url)
    try:
        entries = fs.ls(path, detail=True, refresh=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(f"{url}: the folder cannot be read: {error}") from error
    files = [entry for entry in entries if entry["type"] == "file"]
    named = [{**entry, "file": entry["name"].rstrip("/").rsplit("/", 1)[-1]} for entry in files]
    return sorted(named, key=lambda entry: str(entry["file"]))


def file_sizes(urls: Sequence[str]) -> list[int | None]:
    """Bytes of each file, asked for in parallel; None where there is none.

    Raises:
        InputError: A file may not be read.
    """

    def size(url: str) -> int | None:
        fs, path = resolve(url)
        try:
            return int(fs.info(path)["size"])
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"{url}: cannot be read: {error}") from error

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(size, urls))


def read_file(url: str) -> bytes | None:
    """The content of a small file; None where there is none. Raises `InputError`."""
    fs, path = resolve(url)
    try:
        data: bytes = fs.cat_file(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{url}: cannot be read: {error}") from error
    return data


def cache_folder(folder: str, cache: str) -> Path:
    """Where token counts and plans of a folder of shards are kept.

    Raises:
        InputError: The shards lie in a store, and no folder of this machine is given.
    """
    if cache:
        return Path(cache)
    fs, path = resolve(folder)
    if not isinstance(fs, LocalFileSystem):
        raise InputError(
            f"{folder}: token counts and plans are mapped from files of this machine: set "
            "data.cache to a local folder"
        )
    return Path(path) / CACHE
