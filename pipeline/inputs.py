"""What `--input` may name: files, folders, globs, lists of paths, on any file system fsspec knows.

Rows carry a file's `source`, its path relative to the input root, so that the same crawl in
another place gives the same corpus. A file's identity for resuming is its source, size and change
stamp. Crawl files are not opened here; of tables and corpora the first file of each kind is looked
at, and the rows of Parquet files are counted.
"""

import gzip
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from schemas.errors import InputError, OutputError
from schemas.ids import digest
from transforms import storage
from transforms.extract import InputSlice
from transforms.input_columns import TABLE_PART_BYTES, InputConfig
from transforms.input_formats import (
    AUTO,
    FORMATS,
    WARC,
    check_file,
    detect_format,
    ending_of,
    formats_of,
    make_reader,
)
from transforms.sink import Part
from transforms.warc import slice_bounds

WARC_ENDINGS = (".warc", ".warc.gz", ".warc.zst", ".warc.lz4")
ARC_ENDINGS = (".arc", ".arc.gz")
LIST_ENDINGS = (".txt", ".paths", ".txt.gz", ".paths.gz")
_AS_FOUND = InputConfig()
_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to be read."""

    url: str
    source: str
    size: int
    stamp: str
    """Changes when the file's content does: entity tag, version or modification time."""
    format: str = WARC
    """`warc`, or one of `input_formats.FORMATS`."""


@dataclass(frozen=True, slots=True)
class _Found:
    fs: Any
    path: str
    root: str
    info: dict[str, Any]


def find_inputs(inputs: Sequence[str], config: InputConfig = _AS_FOUND) -> list[InputFile]:
    """The files that inputs name, sorted by source. Raises `InputError`."""
    if not inputs:
        raise InputError("no --input: give a file, a folder, a glob or a list of paths")
    found = [file for name in inputs for file in _expand(name, config.format)]
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
            file.fs.unstrip_protocol(file.path), source, int(file.info["size"]), stamp_of(file.info)
        )
        for file, source in zip(files, sources, strict=True)
    ]
    if not any(file.size for file in made):
        raise InputError(f"input {made[0].url}: the file is empty, as is every other")
    return _with_formats(sorted(made, key=lambda file: file.source), config)


def _with_formats(files: list[InputFile], config: InputConfig) -> list[InputFile]:
    """Each file with its format; the first of each ending that is not empty speaks for all."""
    if config.format == WARC:
        return files
    known: dict[str, str] = {}
    for file in files:
        ending = ending_of(file.url)
        if config.format == AUTO and (ending in known or not formats_of(file.url)):
            continue
        if ending in known or not file.size:
            continue
        known[ending] = detect_format(file.url) if config.format == AUTO else config.format
        check_file(file.url, file.size, known[ending], config)
    return [replace(file, format=known.get(ending_of(file.url), WARC)) for file in files]


def _expand(name: str, wanted: str) -> list[_Found]:
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
            found = _folder(fs, path, name, wanted)
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
            f"input {name}: holds no file that ends in {', '.join(_endings(wanted))}; name other "
            "files one by one, or in a text file with a path a line"
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


def _endings(wanted: str) -> list[str]:
    """Endings of the files that a folder is searched for."""
    names = [wanted] if wanted in FORMATS else [] if wanted == WARC else list(FORMATS)
    tables = [ending for name in names for ending in FORMATS[name].endings]
    return [*(WARC_ENDINGS if wanted in (WARC, AUTO) else ()), *dict.fromkeys(tables)]


def _folder(fs: Any, path: str, name: str, wanted: str) -> list[_Found]:
    """The files of a folder that are of a format; if none is wanted, a crawl before any other."""
    files = [
        _Found(fs, found, path.rstrip("/"), info)
        for found, info in fs.find(path, detail=True).items()
        if not posixpath.basename(found).startswith(storage.TEMPORARY_PREFIX)
    ]
    if wanted in (WARC, AUTO):
        crawl = [file for file in files if file.path.lower().endswith(WARC_ENDINGS)]
        if crawl or wanted == WARC:
            return crawl
    endings = set(_endings(wanted))
    files = [file for file in files if ending_of(file.path) in endings]
    kinds = sorted({ending_of(file.path) for file in files})
    if wanted == AUTO and len(kinds) > 1:
        raise InputError(
            f"input {name}: holds files of several kinds ({', '.join(kinds)}); say which to read "
            "with --set input.format=NAME, or name them by a glob"
        )
    return files


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


def stamp_of(info: dict[str, Any]) -> str:
    """What changes when the content of a file does, as its file system tells it."""
    for key in ("ETag", "etag", "md5Hash", "generation", "mtime", "LastModified", "created"):
        if info.get(key):
            return str(info[key])
    return ""


def slice_inputs(
    files: Sequence[InputFile], settings: InputConfig, config: str, tables: str = ""
) -> list[Part]:
    """The parts of the extract stage: slices of at most about `settings.part_bytes`.

    A part's name comes from its source alone, so another file beside it changes nothing.

    Args:
        files: The files.
        settings: How they are cut and read.
        config: What shapes the rows of a crawl file.
        tables: What shapes the rows of any other file.
    """
    parts = []
    for file in files:
        bounds = _slices(file, settings)
        for start, end in bounds:
            slug = re.sub(r"[^A-Za-z0-9]+", "-", posixpath.basename(file.source)).strip("-")[:40]
            name = f"{slug}-{digest(file.source)}-{start:012d}"
            shape = config
            if file.format != WARC:
                shape = digest(file.format, FORMATS[file.format].version, tables)
            fingerprint = digest(file.source, file.size, file.stamp, start, end or 0, shape)[:16]
            spec = InputSlice(file.url, file.source, start, end, file.format)
            weight = (end or file.size) - start if file.format == WARC else file.size // len(bounds)
            parts.append(Part(name, fingerprint, spec, weight))
    if len({part.name for part in parts}) < len(parts):
        raise AssertionError("two parts have one name, and one of them would be lost")
    return parts


@lru_cache(maxsize=65536)
def _slices(file: InputFile, settings: InputConfig) -> Sequence[tuple[int, int | None]]:
    if file.format == WARC:
        return slice_bounds(file.size, settings.part_bytes, file.source)
    if not file.size:
        return [(0, None)]
    part_bytes = min(settings.part_bytes, TABLE_PART_BYTES)
    return make_reader(file.format, settings).slices(file.url, file.size, part_bytes)
