"""JSON of many rows at once: Arrow columns laid out as structs, and written by DuckDB.

A dictionary a row and `json` take ten times as long. Keys are sorted, no space is written, a
character beyond ASCII stays as it is, and a number has its shortest form.
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
"""Rows that DuckDB is given at once; it takes up to 16 times the memory. A row that alone has more
is written by Python."""

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
    """
    objects = struct_column(members)
    if not _is_finite(objects):
        raise ValueError(f"a number of {', '.join(sorted(members))} is not finite")
    made = [_written(piece) for piece in _pieces(objects)]
    return pa.concat_arrays(made) if made else pa.array([], pa.string())


def _pieces(objects: pa.StructArray) -> Iterator[pa.StructArray]:
    """The same rows in order, in pieces that are not too large, or of one row."""
    if len(objects) > 1 and objects.nbytes > MAX_BYTES:
        half = len(objects) // 2
        yield from _pieces(objects.slice(0, half))
        yield from _pieces(objects.slice(half))
    elif len(objects):
        yield objects


def _written(objects: pa.StructArray) -> pa.Array:
    if objects.nbytes > MAX_BYTES:
        return pa.array([canonical_json(row) for row in objects.to_pylist()], pa.string())
    made = query_rows("SELECT to_json(o) AS o FROM rows", pa.table({"o": objects}))
    return _whole(made["o"])


def _is_finite(column: pa.Array) -> bool:
    if pa.types.is_struct(column.type):
        return all(_is_finite(member) for member in column.flatten())
    if pa.types.is_list(column.type):
        return _is_finite(column.flatten())
    return (
        not pa.types.is_floating(column.type) or pc.all(pc.is_finite(column)).as_py() is not False
    )


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
