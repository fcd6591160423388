"""Parquet files that are damaged, hostile, or of types nobody asked for."""

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import InputError
from transforms import parquet_rows
from transforms.input_rows import BadRow
from transforms.parquet_rows import Columns, parquet_slices, read_parquet

WANTED = Columns(("a",), ("g.url", "b"))


def read(path: Path, columns: Columns = WANTED) -> list[Any]:
    return list(read_parquet(str(path), 0, None, columns))


def test_only_named_columns_and_members_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = [{"a": 1, "g": {"url": "u", "x": 3}, "other": "y"}]
    pq.write_table(pa.Table.from_pylist(rows), path)
    assert read(path) == [("0", {"a": 1, "g": {"url": "u"}})]
    pq.write_table(pa.table({"a": [1], "g": ['{"url":"u"}']}), path)
    assert read(path) == [("0", {"a": 1, "g": '{"url":"u"}'})]


def test_text_that_is_no_utf8_costs_one_row(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    raw = pa.array([[b"one"], [b"\xff\xfe"], [b"three"]], pa.list_(pa.binary()))
    text = pa.ListArray.from_arrays(raw.offsets, raw.values.view(pa.string()))
    pq.write_table(pa.table({"a": text}), path)
    first, bad, last = read(path)
    assert (first, last) == (("0", {"a": ["one"]}), ("2", {"a": ["three"]}))
    assert isinstance(bad, BadRow)
    assert (bad.key, bad.error.error) == ("1", "InputRowError")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(50) + b"PAR1", b"not at all"])
def test_file_that_is_no_parquet_is_one_bad_row(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(data)
    assert parquet_slices(str(path), len(data), 10, WANTED) == [(0, None)]
    (bad,) = read(path)
    assert (bad.key, str(bad.error)[:16]) == ("0", "no Parquet file:")


def test_damaged_row_group_costs_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"a": [f"text {number} of many" for number in range(3000)]})
    pq.write_table(table, path, row_group_size=1000, use_dictionary=False, compression="none")
    data = bytearray(path.read_bytes())
    column = pq.read_metadata(path).row_group(1).column(0)
    data[column.data_page_offset : column.data_page_offset + 200] = bytes(200)
    path.write_bytes(data)
    found = read(path)
    bad = [item for item in found if isinstance(item, BadRow)]
    assert [item.key for item in bad] == ["1000"]
    assert "row group 1" in str(bad[0].error)
    assert [item[0] for item in found if isinstance(item, tuple)] == [
        *map(str, range(1000)),
        *map(str, range(2000, 3000)),
    ]


def test_two_columns_of_one_name_are_the_users_mistake(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    both = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(both, path)
    with pytest.raises(InputError, match="two columns are called a"):
        read(path)


def test_large_rows_come_in_small_batches(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    text = "".join(map(chr, range(32, 127))) * 1000
    table = pa.table({"a": [f"{n}{text}" for n in range(400)]})
    pq.write_table(table, path, use_dictionary=False, data_page_size=1 << 20, write_batch_size=10)
    del table
    taken = pa.total_allocated_bytes()
    largest = 0
    for _ in read_parquet(str(path), 0, None, WANTED):
        largest = max(largest, pa.total_allocated_bytes() - taken)
    assert path.stat().st_size < 4_000_000
    assert largest < 30_000_000 < 400 * len(text)


def test_slices_follow_the_size_of_the_groups(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"{n * 7919 % 100_003:06d}" * (1 if n < 500 else 3) for n in range(1000)]
    pq.write_table(
        pa.table({"a": texts}), path, row_group_size=100, use_dictionary=False, compression="none"
    )
    size = path.stat().st_size
    assert parquet_slices(str(path), size, size, WANTED) == [(0, 10)]
    slices = parquet_slices(str(path), size, size // 4, WANTED)
    assert [start for start, _ in slices] == [0, *(end for _, end in slices[:-1])]
    assert slices[-1][1] == 10
    counts = [(end or 0) - start for start, end in slices]
    assert counts[0] > counts[-2] >= 1
    assert 4 <= len(slices) < 10
    assert parquet_slices(str(path), size, 1, WANTED) == [(n, n + 1) for n in range(10)]


def test_error_of_the_file_system_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": range(100_000)}), path, row_group_size=1000)

    class Lost(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() < len(self.getvalue()) // 2:
                raise ConnectionResetError(104, "reset")
            return super().read(size)

    class Opened:
        def __enter__(self) -> io.BytesIO:
            return Lost(path.read_bytes())

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(parquet_rows, "open_file", lambda url: Opened())
    with pytest.raises(ConnectionResetError):
        read(path)


ROWS = pa.Table.from_pylist(
    [{"a": ["one", None], "g": {"url": "u"}, "b": f"text {n}"} for n in range(50)]
)
_SINK = io.BytesIO()
pq.write_table(ROWS, _SINK, row_group_size=20)
SOUND = _SINK.getvalue()


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), max_size=5))
def test_changed_bytes_never_crash(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    data = bytearray(SOUND)
    for position, value in changes:
        data[position] = value
    path = tmp_path / "a.parquet"
    path.write_bytes(data)
    try:
        slices = parquet_slices(str(path), len(data), 100, WANTED)
        found = [
            item for start, end in slices for item in read_parquet(str(path), start, end, WANTED)
        ]
    except InputError:
        return
    assert all(isinstance(item, tuple | BadRow) for item in found)
