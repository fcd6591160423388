"""Rows of JSON lines as typed values; a file in which no row has what its format needs is told.

One row without a member is a bad row. A file whose first rows all lack one is another format, which
is the user's mistake: better said at once than a million times.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec

from schemas.errors import InputError, InputRowError
from transforms.input_rows import BadRow
from transforms.json_lines import Line, decode_json, read_lines

JUDGED_ROWS = 100
"""First rows of a file by which it is judged."""

_Row = TypeVar("_Row")


def _missing(data: bytes, required: Sequence[str]) -> list[str]:
    """Members that an object lacks; none for what is no object."""
    try:
        members = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return []
    return [name for name in required if name not in members]


def rows_of(
    lines: Iterable[Line | BadRow], kind: type[_Row], name: str, required: Sequence[str]
) -> Iterator[tuple[str, _Row] | BadRow]:
    """Lines as rows.

    Args:
        lines: Lines of a file, or of a slice of one.
        kind: What a row is.
        name: The file's name, for messages.
        required: Members that every row has; without any, the file is not judged.

    Raises:
        InputError: The first rows are objects, and each lacks a required member.
    """
    held: list[BadRow] = []
    absent: set[str] = set()
    judges = bool(required)
    for line in lines:
        if isinstance(line, BadRow):
            judges = False
            bad = line
        else:
            try:
                row = decode_json(line.data, kind)
            except InputRowError as e:
                bad = BadRow(line.key, e)
                if judges:
                    missing = _missing(line.data, required)
                    absent.update(missing)
                    judges = bool(missing)
            else:
                judges = False
                yield from held
                held = []
                yield line.key, row
                continue
        held.append(bad)
        if judges and len(held) < JUDGED_ROWS:
            continue
        if judges:
            break
        yield from held
        held = []
    if held:
        names = [name for name in required if name in absent]
        raise InputError(f"{name}: its rows have no {', '.join(names)}: another format?")


def read_json_rows(
    url: str, start: int, end: int | None, kind: type[_Row], required: Sequence[str]
) -> Iterator[tuple[str, _Row] | BadRow]:
    """The rows of a slice of a file of JSON lines; the slice at 0 judges the file.

    Raises:
        InputError: As `rows_of`.
    """
    return rows_of(read_lines(url, start, end), kind, url, required if start == 0 else ())
