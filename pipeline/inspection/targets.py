"""What `inspect` may be given: an output of Weft, its shards, or any tars."""

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.inspection.snapshot import NoOutputError, Snapshot, read_snapshot
from schemas.errors import InputError
from transforms import storage
from transforms.file_kinds import TAR_ENDINGS, file_kind

MAX_DEPTH = 4
"""Folders deep, the one that is named included, in which tars are looked for."""

_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class TarFile:
    """A tar."""

    url: str
    name: str
    """Relative to what was named."""
    bytes: int


@dataclass(frozen=True)
class TarFiles:
    """Tars, and what lies beside them."""

    target: str
    tars: list[TarFile]
    """Sorted by name."""
    beside: frozenset[str]
    """Names of the other files, relative to what was named."""


def find_target(target: str, tolerant: bool = False) -> Snapshot | TarFiles:
    """What lies at a place: an output of Weft, its shards, or any tars.

    Args:
        target: A folder, a tar, a glob, or any fsspec URL of these.
        tolerant: As of `read_snapshot`.

    Raises:
        InputError: There is nothing of that kind, or it cannot be read.
    """
    try:
        return read_snapshot(target, tolerant)
    except NoOutputError as error:
        found = _find_tars(target)
        if found is None:
            raise InputError(f"{error}; and no tar is there") from error
        return found


def _find_tars(target: str) -> TarFiles | None:
    fs, path = storage.resolve(target)
    try:
        if fs.isfile(path):
            root = posixpath.dirname(path)
            found = {path: fs.info(path)} if file_kind(target) == "tar" else {}
            return _tar_files(target, fs, root, found, lambda name: True)
        if fs.isdir(path):
            found = fs.find(path, maxdepth=MAX_DEPTH, detail=True)
            return _tar_files(target, fs, path, found, _is_tar)
        match = _GLOB.search(path)
        if match is None:
            return None
        root = posixpath.dirname(path[: match.start()] + "x")
        return _tar_files(target, fs, root, fs.glob(path, detail=True), _is_tar)
    except OSError as e:
        raise InputError(f"{target}: cannot be read: {e}") from e


def _is_tar(name: str) -> bool:
    return name.lower().endswith(TAR_ENDINGS)


def _tar_files(
    target: str, fs: Any, root: str, found: dict[str, Any], is_tar: Callable[[str], bool]
) -> TarFiles | None:
    tars, beside = [], set()
    for path, info in found.items():
        name = posixpath.relpath(path, root)
        last = posixpath.basename(name)
        is_file = info["type"] == "file" or (info.get("islink") and fs.isfile(path))
        if not is_file or last.startswith(storage.TEMPORARY_PREFIX):
            continue
        if is_tar(name):
            tars.append(TarFile(fs.unstrip_protocol(path), name, int(info["size"] or 0)))
        else:
            beside.add(name)
    if not tars:
        return None
    return TarFiles(target, sorted(tars, key=lambda tar: tar.name), frozenset(beside))
