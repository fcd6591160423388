"""The formats of input files: their names, the endings of their files, and who reads them.

To add one: a reader (`input_rows.InputReader`), and an entry of `FORMATS`. With `input.format =
"auto"` a file's ending gives the candidates; of these the one whose `recognises` says yes to the
first file is taken, a table where none does, and two are the user's to tell apart.
"""

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from schemas.errors import InputError, InputRowError
from transforms.byte_streams import COMPRESSED_ENDINGS
from transforms.input_columns import InputConfig
from transforms.input_rows import InputReader
from transforms.input_tables import (
    STEP_VERSION,
    JsonLinesTable,
    ParquetTable,
    SeparatedTable,
    Table,
)

WARC = "warc"
AUTO = "auto"


@dataclass(frozen=True, slots=True)
class InputFormat:
    """A format."""

    endings: tuple[str, ...]
    """Endings of its files' names, without one for compression."""
    make: Callable[[InputConfig], InputReader]
    version: int
    """The reader's `STEP_VERSION`."""
    recognises: Callable[[str], bool] | None = None
    """Whether the file at a URL, which has one of the endings, is of the format, by its columns or
    first members; it may raise `InputRowError`. None: the table of its ending."""


FORMATS: Mapping[str, InputFormat] = MappingProxyType(
    {
        "parquet": InputFormat((".parquet",), ParquetTable, STEP_VERSION),
        "csv": InputFormat((".csv",), lambda config: SeparatedTable(config, ","), STEP_VERSION),
        "tsv": InputFormat((".tsv",), lambda config: SeparatedTable(config, "\t"), STEP_VERSION),
        "jsonl": InputFormat((".jsonl", ".ndjson"), JsonLinesTable, STEP_VERSION),
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
    """The format of a file by its name and, where that leaves a choice, by what it holds."""
    names = formats_of(url)
    corpora = [name for name in names if FORMATS[name].recognises is not None]
    try:
        found = [name for name in corpora if (FORMATS[name].recognises or bool)(url)]
    except (InputRowError, OSError) as e:
        raise InputError(f"input {url}: cannot be read: {e}") from e
    found = found or [name for name in names if FORMATS[name].recognises is None]
    if len(found) == 1:
        return found[0]
    raise InputError(
        f"input {url}: may be {' or '.join(found or names)}; say which with "
        f"--set input.format={(found or names)[0]}"
    )


def check_file(url: str, name: str, config: InputConfig) -> None:
    """Raise `InputError` where a table has not the columns that are asked for."""
    reader = make_reader(name, config)
    if isinstance(reader, Table):
        reader.check(url)
