"""The formats of input files: their names, the endings of their files, and who reads them.

To add one: a reader (`input_rows.InputReader`), and an entry of `FORMATS`; where its files end like
those of another format, `corpus_formats.sniff` tells them apart. With `input.format = "auto"` the
ending of a file and, where that leaves a choice, its first rows decide.
"""

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from schemas.errors import InputError, InputRowError
from transforms import corpus_formats, input_tables
from transforms.byte_streams import COMPRESSED_ENDINGS
from transforms.corpus_formats import READERS, sniff
from transforms.input_columns import InputConfig
from transforms.input_parquet import ParquetTable
from transforms.input_rows import InputReader
from transforms.input_separated import SeparatedTable
from transforms.input_tables import JsonLinesTable, Table

WARC = "warc"
AUTO = "auto"

_PARQUET, _LINES, _TAR = (".parquet",), (".jsonl", ".ndjson"), (".tar", ".tgz")


@dataclass(frozen=True, slots=True)
class InputFormat:
    """A format."""

    endings: tuple[str, ...]
    """Endings of its files' names, without one for compression."""
    make: Callable[[InputConfig], InputReader]
    version: int
    """The reader's `STEP_VERSION`."""
    is_table: bool = False


def _table(endings: tuple[str, ...], make: Callable[[InputConfig], InputReader]) -> InputFormat:
    return InputFormat(endings, make, input_tables.STEP_VERSION, is_table=True)


def _corpus(name: str, *endings: str) -> InputFormat:
    return InputFormat(endings, lambda config: READERS[name](), corpus_formats.STEP_VERSION)


FORMATS: Mapping[str, InputFormat] = MappingProxyType(
    {
        "parquet": _table(_PARQUET, ParquetTable),
        "csv": _table((".csv",), lambda config: SeparatedTable(config, ",")),
        "tsv": _table((".tsv",), lambda config: SeparatedTable(config, "\t")),
        "jsonl": _table(_LINES, JsonLinesTable),
        "obelics": _corpus("obelics", *_PARQUET),
        "mmc4": _corpus("mmc4", *_LINES, ".zip"),
        "omnicorpus": _corpus("omnicorpus", *_PARQUET, *_LINES),
        "webdataset": _corpus("webdataset", *_TAR),
        "mint1t": _corpus("mint1t", *_TAR),
    }
)


def format_names() -> list[str]:
    """What `input.format` may be."""
    return [AUTO, WARC, *FORMATS]


def make_reader(name: str, config: InputConfig) -> InputReader:
    """The reader of a format."""
    return FORMATS[name].make(config)


def ending_of(name: str) -> str:
    """The ending of a file's name that tells its format: `.csv` of `rows.CSV.gz`."""
    base = posixpath.basename(name).lower()
    for packed in COMPRESSED_ENDINGS:
        base = base.removesuffix(packed)
    return posixpath.splitext(base)[1]


def formats_of(name: str) -> list[str]:
    """The formats that a file of this name may have; empty for one that no reader claims."""
    ending = ending_of(name)
    return [each for each, known in FORMATS.items() if ending in known.endings]


def detect_format(url: str) -> str:
    """The format of a file by its name and, where that leaves a choice, by its first rows."""
    names = formats_of(url)
    if len(names) == 1:
        return names[0]
    try:
        found = sniff(url)
    except (InputRowError, OSError) as e:
        raise InputError(f"input {url}: cannot be read: {e}") from e
    tables = [name for name in names if FORMATS[name].is_table]
    if found in names:
        return found
    if tables:
        return tables[0]
    raise InputError(
        f"input {url}: its first rows are of no format that is known; say which it is with "
        f"--set input.format=NAME: {', '.join(names)}"
    )


def check_file(url: str, size: int, name: str, config: InputConfig) -> None:
    """Raise `InputError` where a file is not of its format, or has not the columns it needs."""
    reader = make_reader(name, config)
    if isinstance(reader, Table):
        reader.check(url)
    else:
        reader.slices(url, size, config.part_bytes)
