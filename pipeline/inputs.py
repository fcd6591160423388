"""What `--input` may name: files, folders, globs, lists of paths, on any file system fsspec knows.

Rows carry a file's `source`, its path relative to the input root, so that the same crawl in
another place gives the same corpus. A file's identity for resuming is its source, size and change
stamp; its content is not read here.
"""

import gzip
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.errors import InputError, OutputError
from schemas.ids import digest
from transforms import storage
from transforms.extract import InputSlice
from transforms.sink import Part
from transforms.warc import slice_bounds

WARC_ENDINGS = (".warc", ".warc.gz", ".warc.zst", ".warc.lz4")
ARC_ENDINGS = (".arc", ".arc.gz")
LIST_ENDINGS = (".txt", ".paths", ".txt.gz", ".paths.gz")
_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to be read."""

    url: str
    source: str
    size: int
    stamp: str
    """Changes when the file's content does: entity tag, version or modification time."""


@dataclass(frozen=True, slots=True)
class _Found:
    fs: Any
    path: str
    root: str
    info: dict[str, Any]


def find_inputs(inputs: Sequence[str]) -> list[InputFile]:
    """The files that inputs name, sorted by source. Raises `InputError`."""
    if not inputs:
        raise InputError("no --input: give a WARC file, a folder, a glob or a list of paths")
    found = [file for name in inputs for file in _expand(name)]
    unique = {(file.fs.unstrip_protocol(file.path)): file for file in found}
    files = list(unique.values())
    sources = [posixpath.relpath(file.path, file.root) for file in files]
    if len(set(sources)) < len(sources):
        # Files of one name below different roots: their common folder tells them apart.
        try:
            common = posixpath.commonpath([posixpath.dirname(file.path) for file in files])
        except ValueError:
            common = "/"
        sources = [posixpath.relpath(file.path, common) for file in files]
    if len(set(sources)) < len(sources):
        raise InputError(
            "two inputs have the same name: one file by two paths, or files on different file "
            "systems; name each once, or read them apart"
        )
    for source in sources:
        if "::" in source or not source.isprintable():
            raise InputError(
                f"input {source!a}: a file's name may hold neither '::', which chains file "
                "systems, nor characters that cannot be shown; rename it"
            )
    made = [
        InputFile(
            file.fs.unstrip_protocol(file.path), source, int(file.info["size"]), _stamp(file.info)
        )
        for file, source in zip(files, sources, strict=True)
    ]
    if not any(file.size for file in made):
        raise InputError(f"input {made[0].url}: the file is empty, as is every other")
    return sorted(made, key=lambda file: file.source)


def _expand(name: str) -> list[_Found]:
    if not name:
        raise InputError("--input: is empty")
    try:
        fs, path = storage.resolve(name)
    except OutputError as e:
        raise InputError(f"input {e}") from e
    try:
        if _GLOB.search(path) and not fs.exists(path):
            found = _glob(fs, path)
        elif fs.isdir(path):
            found = _folder(fs, path)
        elif fs.isfile(path):
            if path.lower().endswith(LIST_ENDINGS):
                return _list(fs, path)
            if path.lower().endswith(ARC_ENDINGS):
                raise InputError(
                    f"input {name}: is an ARC file, which Weft does not read; convert it to WARC "
                    "first, for example with `warcio recompress`"
                )
            found = [_Found(fs, path, posixpath.dirname(path), fs.info(path))]
            # One among many is a failed row of the reader; one that was named is a mistake.
            if not found[0].info["size"]:
                raise InputError(f"input {name}: the file is empty")
        else:
            raise InputError(f"input {name}: there is no such file, folder or glob match")
    except OSError as e:
        raise InputError(f"input {name}: cannot be read: {e}") from e
    if not found and not fs.isdir(path):
        raise InputError(f"input {name}: there is no such file, folder or glob match")
    if not found:
        raise InputError(
            f"input {name}: holds no file that ends in {', '.join(WARC_ENDINGS)}; name other files "
            "one by one, or in a text file with a path a line"
        )
    return found


def _glob(fs: Any, path: str) -> list[_Found]:
    match = _GLOB.search(path)
    assert match is not None
    root = posixpath.dirname(path[: match.start()] + "x")
    matches = fs.glob(path, detail=True)
    return [
        _Found(fs, name, root, info) for name, info in matches.items() if info["type"] == "file"
    ]


def _folder(fs: Any, path: str) -> list[_Found]:
    files = fs.find(path, detail=True)
    return [
        _Found(fs, name, path.rstrip("/"), info)
        for name, info in files.items()
        if name.lower().endswith(WARC_ENDINGS)
        and not posixpath.basename(name).startswith(storage.TEMPORARY_PREFIX)
    ]


def _list(fs: Any, path: str) -> list[_Found]:
    """The files that a list names; a relative path is relative to the list's folder."""
    data = fs.cat_file(path)
    if path.lower().endswith(".gz"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError) as e:
            raise InputError(f"input list {path}: not a gzip file: {e}") from e
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as e:
        raise InputError(f"input list {path}: not UTF-8 text: {e}") from e
    lines = [line.strip() for line in lines]
    names = [line for line in lines if line and not line.startswith("#")]
    if not names:
        raise InputError(f"input list {path}: names no file")
    folder = posixpath.dirname(path)
    found = []
    for name in names:
        is_absolute = name.startswith("/") or "://" in name
        url = name if is_absolute else fs.unstrip_protocol(posixpath.join(folder, name))
        try:
            file_fs, file_path = storage.resolve(url)
            info = file_fs.info(file_path)
        except (OSError, OutputError) as e:
            raise InputError(f"input list {path}: {name}: cannot be read: {e}") from e
        if info["type"] != "file":
            raise InputError(f"input list {path}: {name}: is no file; a list names files only")
        root = posixpath.dirname(file_path) if is_absolute else folder
        found.append(_Found(file_fs, file_path, root, info))
    return found


def _stamp(info: dict[str, Any]) -> str:
    for key in ("ETag", "etag", "md5Hash", "generation", "mtime", "LastModified", "created"):
        if info.get(key):
            return str(info[key])
    return ""


def slice_inputs(files: Sequence[InputFile], part_bytes: int, config: str) -> list[Part]:
    """The parts of the extract stage: slices of at most about `part_bytes`.

    A part's name comes from its source alone, so another file beside it changes nothing.
    """
    parts = []
    for file in files:
        for start, end in slice_bounds(file.size, part_bytes, file.source):
            slug = re.sub(r"[^A-Za-z0-9]+", "-", posixpath.basename(file.source)).strip("-")[:40]
            name = f"{slug}-{digest(file.source)}-{start:012d}"
            fingerprint = digest(file.source, file.size, file.stamp, start, end or 0, config)[:16]
            spec = InputSlice(file.url, file.source, start, end)
            parts.append(Part(name, fingerprint, spec, (end or file.size) - start))
    if len({part.name for part in parts}) < len(parts):
        raise AssertionError("two parts have one name, and one of them would be lost")
    return parts
