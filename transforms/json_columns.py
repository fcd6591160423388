"""JSON of many rows at once: Arrow columns laid out as structs, and written by DuckDB.

A dictionary a row and `json` take ten times as long. Keys are sorted, no space is written, and a
character beyond ASCII stays as it is. A number is written so that reading it gives the same one;
DuckDB and Python write very small and very large ones, and control characters, each its own way.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.expressions import query_rows

MAX_BYTES = 8 * 1024 * 1024
"""Of rows that DuckDB is given at once: it takes some 20 times the memory. A larger row is written
by Python."""

# Made once: `json.dumps` makes one a call.
_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

Columns = Mapping[str, pa.Array | pa.ChunkedArray]


def canonical_json(values: Mapping[str, Any]) -> str:
    """JSON of one object with one form: keys sorted, no spaces, non-ASCII as it is, no NaN."""
    return _JSON.encode(values)


def struct_column(members: Columns) -> pa.StructArray:
    """Columns of equal length as one: an object a row, its keys sorted."""
    names = sorted(members)
    return pa.StructArray.from_arrays([_whole(members[name]) for name in names], names=names)


def list_column(
    items: pa.Array | pa.ChunkedArray,
    counts: npt.NDArray[np.int64],
    data_type: pa.DataType | None = None,
) -> pa.ListArray:
    """Items laid end to end as a list a row.

    Args:
        items: As many as the counts say together.
        counts: Items of each row.
        data_type: Of the column, where its items may not be null.
    """
    offsets = np.zeros(len(counts) + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), _whole(items), type=data_type)


def json_column(members: Columns) -> pa.Array:
    """A JSON object a row.

    Raises:
        ValueError: A number is NaN or infinite; JSON has neither.
        TypeError: A column has members of a kind that is not looked into.
    """
    objects = struct_column(members)
    for path in _not_finite(objects, ""):
        raise ValueError(f"a number of {path} is not finite")
    made = [_written(piece) for piece in _pieces(objects)]
    return pa.concat_arrays(made) if made else pa.array([], pa.string())


def _pieces(objects: pa.StructArray) -> Iterator[pa.StructArray]:
    """The same rows in order, in pieces that are not too large, or of one row."""
    if len(objects) > 1 and objects.nbytes > MAX_BYTES:
        half = len(objects) // 2
        yield from _pieces(objects.slice(0, half))
        yield from _pieces(objects.slice(half))
    elif len(objects):
        # A copy: DuckDB refuses a struct in a slice of structs, and the size of a slice depends on
        # where it lies, which must not choose who writes a row.
        yield objects.take(pa.array(range(len(objects))))


def _written(objects: pa.StructArray) -> pa.Array:
    if len(objects) == 1 and objects.nbytes > MAX_BYTES:
        return pa.array([canonical_json(row) for row in objects.to_pylist()], pa.string())
    made = query_rows("SELECT to_json(o) AS o FROM rows", pa.table({"o": objects}))
    return _whole(made["o"])


def _not_finite(column: pa.Array, path: str) -> Iterator[str]:
    """Paths of the members that hold a number which JSON lacks."""
    kind = column.type
    if pa.types.is_struct(kind):
        for field, member in zip(kind, column.flatten(), strict=True):
            yield from _not_finite(member, f"{path}.{field.name}" if path else field.name)
    elif pa.types.is_list(kind):
        yield from _not_finite(column.flatten(), f"{path}[]")
    elif pa.types.is_dictionary(kind):
        yield from _not_finite(column.dictionary_decode(), path)
    elif pa.types.is_nested(kind):
        raise TypeError(f"{path} is a {kind}: only structs and lists are written")
    elif pa.types.is_floating(kind) and pc.all(pc.is_finite(column)).as_py() is False:
        yield path


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
