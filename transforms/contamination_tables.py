"""The rows of evaluation tables of any format, as values by column; of no meaning here.

A sample of a WebDataset tar is a row: the members of its JSON, its texts by suffix (`txt` is
`text`), its pictures as `images`, its key as `__key__`.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from schemas.errors import InputRowError
from transforms.byte_streams import open_file
from transforms.corpus_webdataset import IMAGE_SUFFIXES, member_text
from transforms.input_columns import InputConfig
from transforms.input_formats import ending_of
from transforms.input_rows import BadRow
from transforms.input_separated import SeparatedTable
from transforms.json_lines import MAX_LINE_BYTES, decode_json, read_lines
from transforms.parquet_rows import Columns, open_parquet, read_parquet
from transforms.tar_samples import Sample, read_samples

ENDINGS = (".parquet", ".jsonl", ".ndjson", ".csv", ".tsv", ".tar", ".tgz")

_JUDGED_ROWS = 100

Row = tuple[str, dict[str, Any]]


def column_names(url: str) -> list[str]:
    """The columns of a table: of files without a schema, those of the first rows.

    Raises:
        InputRowError: The file is of no format that is read, or its beginning is damaged.
    """
    ending = ending_of(url)
    if ending == ".parquet":
        with open_file(url) as stream:
            return list(open_parquet(stream).schema_arrow.names)
    if ending in (".csv", ".tsv"):
        return _separated(ending).columns(url)
    names: dict[str, None] = {}
    for row in islice(read_table_rows(url, None), _JUDGED_ROWS):
        if isinstance(row, BadRow):
            raise InputRowError(f"row {row.key}: {row.error}")
        names |= dict.fromkeys(row[1])
    return list(names)


def has_schema(url: str) -> bool:
    """Whether all rows of a table have the same columns."""
    return ending_of(url) in (".parquet", ".csv", ".tsv")


def _separated(ending: str) -> SeparatedTable:
    return SeparatedTable(InputConfig(), "," if ending == ".csv" else "\t")


def read_table_rows(url: str, names: Sequence[str] | None) -> Iterator[Row | BadRow]:
    """The rows of a table, each with its place and its values by column.

    Args:
        url: The file.
        names: Columns that are wanted; there may be more.

    Raises:
        InputRowError: The file is of no format that is read.
    """
    ending = ending_of(url)
    if ending == ".parquet":
        dotted = [name for name in names or () if "." in name]
        if dotted:
            raise InputRowError(f"column {dotted[0]!a}: a name with a dot; rename the column")
        yield from read_parquet(url, 0, None, Columns((), tuple(names or ())))
    elif ending in (".csv", ".tsv"):
        yield from _separated_rows(url, ending)
    elif ending in (".jsonl", ".ndjson"):
        for line in read_lines(url, 0, None):
            if isinstance(line, BadRow):
                yield line
                continue
            try:
                yield line.key, decode_json(line.data, dict)
            except InputRowError as e:
                yield BadRow(line.key, e)
    elif ending in (".tar", ".tgz"):
        with open_file(url) as stream:
            for sample in read_samples(stream, _is_wanted):
                if isinstance(sample, BadRow):
                    yield sample
                    continue
                try:
                    yield sample.key, _members(sample)
                except InputRowError as e:
                    yield BadRow(sample.key, e)
    else:
        raise InputRowError(f"is of no format that is read: {', '.join(ENDINGS)}")


def _separated_rows(url: str, ending: str) -> Iterator[Row | BadRow]:
    header: list[str] | None = None
    for row in _separated(ending).rows(url, 0, None):
        if isinstance(row, BadRow):
            yield row
            continue
        place, cells = row
        if header is None:
            header = cells
        elif len(cells) != len(header):
            message = f"{len(cells)} fields, where the first row has {len(header)}"
            yield BadRow(place, InputRowError(message))
        else:
            yield place, dict(zip(header, cells, strict=True))


def _is_wanted(suffix: str) -> bool:
    return suffix.rpartition(".")[2] in ("txt", "json", *IMAGE_SUFFIXES)


def _members(sample: Sample) -> dict[str, Any]:
    """A sample of a tar: members of its JSON, its texts (`txt` is `text`), its pictures."""
    row: dict[str, Any] = {"__key__": sample.key}
    pictures = []
    for suffix, data in sample.members.items():
        stem, _, kind = suffix.rpartition(".")
        if kind == "txt":
            row[stem or "text"] = member_text(data)
        elif kind == "json":
            if len(data) > MAX_LINE_BYTES:
                raise InputRowError(f"json: {len(data)} bytes, more than {MAX_LINE_BYTES}")
            row = decode_json(data, dict) | row
        else:
            pictures.append(data)
    return {**row, "images": pictures} if pictures else row
