"""Rows to columns and back, for every table."""

import random
from collections.abc import Callable
from dataclasses import asdict, fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

import pyarrow as pa
import pytest

from schemas.tables import TABLES, from_dict, schema_of, to_batch

ROW_TYPES = sorted({*TABLES.values()}, key=lambda row_type: row_type.__name__)


def a_value(hint: Any, rng: random.Random) -> Any:
    arguments = get_args(hint)
    if type(None) in arguments:
        return None if rng.random() < 0.3 else a_value(arguments[0], rng)
    if get_origin(hint) is list:
        return [a_value(arguments[0], rng) for _ in range(rng.randrange(4))]
    if is_dataclass(hint):
        return a_row(hint, rng)
    draw: dict[type, Callable[[], Any]] = {
        str: lambda: rng.choice(["", "a", "\u00fc\n", "x" * 50]),
        int: lambda: rng.randint(-9, 2**40),
        float: rng.random,
        bool: lambda: rng.random() < 0.5,
        bytes: lambda: rng.randbytes(3),
    }
    return draw[hint]()


def a_row(row_type: Any, rng: random.Random) -> Any:
    hints = get_type_hints(row_type)
    return row_type(**{each.name: a_value(hints[each.name], rng) for each in fields(row_type)})


@pytest.mark.parametrize("row_type", ROW_TYPES, ids=lambda row_type: row_type.__name__)
@pytest.mark.parametrize("count", [0, 1, 40])
def test_rows_come_back_as_they_went(row_type: Any, count: int) -> None:
    rng = random.Random(count)
    rows = [a_row(row_type, rng) for _ in range(count)]
    batch = to_batch(rows, row_type)
    batch.validate(full=True)
    plain = [asdict(row) for row in rows]
    assert batch.equals(pa.RecordBatch.from_pylist(plain, schema_of(row_type)))
    assert [from_dict(row_type, values) for values in batch.to_pylist()] == rows
