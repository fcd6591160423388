"""Lines of files however they are cut, and JSON as corpora hold it."""

import gzip
import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InputRowError
from transforms import json_lines
from transforms.input_rows import BadRow
from transforms.json_lines import Line, decode_json, line_slices, read_lines


def in_slices(path: Path, part_bytes: int) -> list[Line | BadRow]:
    bounds = line_slices(str(path), path.stat().st_size, part_bytes)
    return [line for start, end in bounds for line in read_lines(str(path), start, end)]


@given(
    st.binary(max_size=60).map(lambda data: bytes(b"ab\n\r \n\n{"[byte % 8] for byte in data)),
    st.integers(1, 20),
)
def test_slices_give_each_line_once(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, part_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("lines") / "rows.jsonl"
    path.write_bytes(data)
    expected = []
    offset = 0
    for line in data.split(b"\n"):
        if line.strip():
            expected.append(Line(offset, line.removesuffix(b"\r")))
        offset += len(line) + 1
    assert in_slices(path, part_bytes) == expected
    assert list(read_lines(str(path))) == expected


def test_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a":1}\n{"a":2}')
    assert list(read_lines(str(path))) == [Line(0, b'{"a":1}'), Line(11, b'{"a":2}')]


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.jsonl"])
def test_compressed_file_belongs_to_the_first_slice(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    lines = [b"%d %s" % (number, b"x" * (number % 7)) for number in range(5000)]
    path.write_bytes(gzip.compress(b"\n".join(lines)))
    found = in_slices(path, 1000)
    assert [line.data for line in found if isinstance(line, Line)] == lines
    assert len(found) == len(lines)


def test_cut_gzip_gives_its_lines_and_one_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    lines = [f"{math.sin(number)}".encode() for number in range(5000)]
    data = gzip.compress(b"\n".join(lines))
    path.write_bytes(data[: len(data) // 2])
    *sound, bad = read_lines(str(path))
    assert isinstance(bad, BadRow)
    assert "ends early" in str(bad.error)
    assert [line.data for line in sound if isinstance(line, Line)] == lines[: len(sound)]
    assert int(bad.key) == sum(len(line) + 1 for line in lines[: len(sound)])
    assert len(sound) > 1000


def test_too_long_line_is_one_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "MAX_LINE_BYTES", 1_000_000)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"first\n" + b"x" * 1_000_001 + b"\n" + b"y" * 1_000_000 + b"\nlast")
    first, bad, longest, last = read_lines(str(path))
    assert first == Line(0, b"first")
    assert isinstance(bad, BadRow)
    assert bad.key == "6"
    assert "1000001 bytes" in str(bad.error)
    assert isinstance(longest, Line)
    assert len(longest.data) == 1_000_000
    assert last == Line(2_000_009, b"last")


class Row(msgspec.Struct):
    a: list[int | None]
    b: float = 0.0
    c: str | None = None


@pytest.mark.parametrize(
    ("data", "row"),
    [
        pytest.param(b'{"a":[1,null],"z":{"y":[[]]}}', Row([1, None]), id="unknown members"),
        pytest.param(b'{"a":[],"b":Infinity}', Row([], math.inf), id="infinity"),
        pytest.param(b'{"a":[],"c":"\\ud83d"}', Row([], 0.0, "\ud83d"), id="half a pair"),
    ],
)
def test_json_becomes_row(data: bytes, row: Row) -> None:
    assert decode_json(data, Row) == row


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "no JSON", id="empty"),
        pytest.param(b'{"a":[1,', "no JSON", id="cut"),
        pytest.param(b'{"a":[]} x', "no JSON", id="more behind it"),
        pytest.param(b'{"a":[],"c":"\xff"}', "no JSON", id="not UTF-8"),
        pytest.param(b"[" * 100_000, "Expected `object`", id="deep"),
        pytest.param(
            b'{"z":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "no JSON", id="deep, whole"
        ),
        pytest.param(b'{"a":[' + b"9" * 5000 + b"]}", "out of range", id="long number"),
        pytest.param(b'{"b":1}', "required field `a`", id="missing"),
        pytest.param(b'{"a":"x"}', r"Expected `array`, got `str` - at `\$.a`", id="type"),
        pytest.param(b'{"a":NaN}', r"Expected `array`, got `float`", id="type behind NaN"),
        pytest.param(b"[]", "Expected `object`", id="no object"),
    ],
)
def test_bad_json_is_typed(data: bytes, message: str) -> None:
    with pytest.raises(InputRowError, match=message):
        decode_json(data, Row)
