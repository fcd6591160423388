"""Rows of tables in the layouts in which they are published, and rows that are wrong."""

import bz2
import gzip
import json
import math
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import InputError
from tests.conftest import hang_guard
from transforms.input_columns import ColumnMap, InputConfig
from transforms.input_formats import make_reader
from transforms.input_parquet import ParquetTable
from transforms.input_rows import BadRow, InputDocument, RefusedRow, Row
from transforms.input_separated import SeparatedTable
from transforms.input_tables import MAX_FIELD_CHARACTERS

BOAT = "https://img.example/boat.jpg"
BARN = "https://img.example/barn.jpg"


def read(path: Path, name: str, **config: Any) -> list[Row]:
    return list(make_reader(name, InputConfig(**config)).read(str(path), 0, None))


def told(rows: list[Row]) -> list[tuple[str, ...]]:
    """Rows in short: key, URL and text of a document; key and rule or error of any other."""
    found: list[tuple[str, ...]] = []
    for row in rows:
        if isinstance(row, InputDocument):
            (node,), (caption,) = row.nodes, row.captions
            assert (node.kind, node.alt, caption.node) == ("image", caption.text, 0)
            assert caption.origin == "table"
            found.append((row.key, str(node.image_url), caption.text))
        elif isinstance(row, BadRow):
            found.append((row.key, str(row.error)))
        else:
            found.append((row.key, row.rule))
    return found


def sides(row: Row) -> tuple[int | None, int | None]:
    assert isinstance(row, InputDocument)
    return row.nodes[0].declared_width, row.nodes[0].declared_height


def parquet(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


# --- layouts


def test_cc12m_is_a_tsv_of_url_and_caption_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "cc12m.tsv"
    path.write_text(f'{BOAT}\tA 5" boat <PERSON>\n{BARN}\tThe "old" barn\n')
    assert told(read(path, "tsv", preset="cc12m")) == [
        ("0", BOAT, 'A 5" boat <PERSON>'),
        ("48", BARN, 'The "old" barn'),
    ]


def test_cc3m_is_a_tsv_of_caption_and_url_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "Train_GCC-training.tsv"
    path.write_text(f"a boat at the quay\t{BOAT}\n")
    assert told(read(path, "tsv", preset="cc3m")) == [("0", BOAT, "a boat at the quay")]


@pytest.mark.parametrize("preset", ["cc12m", "cc3m"])
def test_a_header_line_that_was_put_in_front_is_known(preset: str, tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text(f"url\tcaption\n{BOAT}\tA boat\n")
    assert told(read(path, "tsv", preset=preset)) == [("12", BOAT, "A boat")]


def test_coyo_is_parquet_with_sizes(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "part-00000.parquet",
        {
            "id": pa.array([841814333321, 1125899906842624], pa.int64()),
            "url": [BOAT, BARN],
            "text": ["A boat", "A barn"],
            "width": pa.array([1280, 300], pa.int64()),
            "height": pa.array([853, 0], pa.int64()),
            "image_phash": ["f6c5c2c3c1c0c4c1", "0000000000000000"],
            "text_length": [6, 6], "word_count": [2, 2], "num_tokens_bert": [4, 4],
            "num_tokens_gpt": [2, 2], "num_faces": [0, 0],
            "clip_similarity_vitb32": [0.3, 0.2], "clip_similarity_vitl14": [0.2, 0.1],
            "nsfw_score_opennsfw2": [0.1, 0.1], "nsfw_score_gantman": [0.1, 0.1],
            "watermark_score": [0.1, 0.9], "aesthetic_score_laion_v2": [5.1, 4.2],
        },
    )  # fmt: skip
    rows = read(path, "parquet", preset="coyo")
    assert told(rows) == [
        ("841814333321", BOAT, "A boat"), ("1125899906842624", BARN, "A barn"),
    ]  # fmt: skip
    assert [sides(row) for row in rows] == [(1280, 853), (300, None)]


def test_laion_is_parquet_with_upper_case_names_and_numbers_as_floats(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "part-00000-laion.parquet",
        {
            "SAMPLE_ID": pa.array([2950046003007.0, math.nan], pa.float64()),
            "URL": [BOAT, BARN], "TEXT": ["A boat", "A barn"],
            "HEIGHT": pa.array([480.0, None], pa.float64()),
            "WIDTH": pa.array([640.0, math.nan], pa.float64()),
            "LICENSE": ["https://creativecommons.org/licenses/by-sa/4.0/", "?"],
            "NSFW": ["UNLIKELY", None], "similarity": [0.33, 0.31],
        },
    )  # fmt: skip
    rows = read(path, "parquet", preset="laion")
    assert told(rows) == [("2950046003007", BOAT, "A boat"), ("1", BARN, "A barn")]
    assert [sides(row) for row in rows] == [(640, 480), (None, None)]
    assert [row.license for row in rows if isinstance(row, InputDocument)] == ["cc-by-sa-4.0", None]


def test_laion_of_later_years_has_lower_case_names(tmp_path: Path) -> None:
    columns = {
        "key": ["0001"], "url": [BOAT], "caption": ["A boat"], "original_width": [640],
        "original_height": [480], "hash": [-5327153262], "pwatermark": [0.1], "punsafe": [0.0],
    }  # fmt: skip
    rows = read(parquet(tmp_path / "l.parquet", columns), "parquet", preset="laion")
    assert (told(rows), sides(rows[0])) == ([("0001", BOAT, "A boat")], (640, 480))


def test_datacomp_is_parquet_with_a_uid(tmp_path: Path) -> None:
    columns = {
        "uid": ["00005f5e6f1b3ee6dfb1bb6d8dc0c2ba"], "url": [BOAT], "text": ["A boat"],
        "original_width": [800], "original_height": [600], "clip_b32_similarity_score": [0.2],
        "clip_l14_similarity_score": [0.2], "face_bboxes": [[[0.1, 0.2, 0.3, 0.4]]],
        "sha256": ["0" * 64],
    }  # fmt: skip
    rows = read(parquet(tmp_path / "d.parquet", columns), "parquet", preset="datacomp")
    assert told(rows) == [("00005f5e6f1b3ee6dfb1bb6d8dc0c2ba", BOAT, "A boat")]
    assert sides(rows[0]) == (800, 600)


def test_mapped_columns_win_and_the_others_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"url,Photo,words,alt\nhttp://page.example/,{BOAT},A boat,wrong\n")
    columns = ColumnMap(image_url="photo", text="words", page_url="url")
    (row,) = read(path, "csv", columns=columns)
    assert told([row])[0][1:] == (BOAT, "A boat")
    assert isinstance(row, InputDocument)
    assert row.url == "http://page.example/"


def test_positions_read_a_file_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"7,A boat,640,{BOAT}\n")
    columns = ColumnMap(image_url=3, text=1, key=0, width=2)
    (row,) = read(path, "csv", columns=columns)
    assert (told([row]), sides(row)) == ([("7", BOAT, "A boat")], (640, None))


# --- formats

_PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": zstandard.compress,
}


@pytest.mark.parametrize("packed", _PACKERS)
@pytest.mark.parametrize("name", ["csv", "tsv", "jsonl"])
def test_a_compressed_file_gives_the_same_rows(name: str, packed: str, tmp_path: Path) -> None:
    texts = ["A boat", "Zwei Häuser", "第三", 'A "q"'] * 50
    if name == "jsonl":
        lines = [json.dumps({"url": BOAT, "text": text}) for text in texts]
    else:
        separator = "," if name == "csv" else "\t"
        shown = [f'"{t.replace(chr(34), chr(34) * 2)}"' if name == "csv" else t for t in texts]
        lines = [f"url{separator}text", *(f"{BOAT}{separator}{text}" for text in shown)]
    path = tmp_path / f"t.{name}{packed}"
    path.write_bytes(_PACKERS[packed](("\n".join(lines) + "\n").encode()))
    assert [row[2] for row in told(read(path, name))] == texts


def test_a_quoted_field_holds_separators_and_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(
        b"\xef\xbb\xbfurl,text\r\n" + f'{BOAT},"One, two\r\n""three"""\r\n\r\n{BARN},Barn'.encode()
    )
    assert [row[1:] for row in told(read(path, "csv"))] == [
        (BOAT, 'One, two\r\n"three"'), (BARN, "Barn"),
    ]  # fmt: skip


_TEXTS = st.text("ab\t\"' é", min_size=1, max_size=12).filter(str.strip)


@settings(deadline=None, max_examples=40)
@given(st.lists(_TEXTS, min_size=1, max_size=20), st.integers(5, 90), st.booleans())
def test_slices_give_each_line_once(texts: list[str], part: int, ends: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("tsv", "jsonl"):
            texts = [text.replace("\t", " ") for text in texts]
            made = [json.dumps({"url": BOAT, "text": text}) for text in texts]
            if name == "tsv":
                made = ["url\ttext", *(f"{BOAT}\t{text}" for text in texts)]
            path = Path(folder) / f"t.{name}"
            path.write_text("\n".join(made) + ("\n" if ends else ""))
            reader = make_reader(name, InputConfig())
            size = path.stat().st_size
            slices = reader.slices(str(path), size, part)
            whole = told(list(reader.read(str(path), 0, None)))
            cut = [told(list(reader.read(str(path), start, end))) for start, end in slices]
            assert [row for rows in cut for row in rows] == whole
            assert texts == [row[2] for row in whole if len(row) == 3]


@pytest.mark.parametrize("group", [1, 3, 10, 100])
@pytest.mark.parametrize("part_bytes", [1, 4000, 30_000, 1_000_000])
def test_parquet_is_cut_by_rows_whatever_its_row_groups(
    group: int, part_bytes: int, tmp_path: Path
) -> None:
    columns = {"url": [BOAT] * 50, "text": [f"Boat {n}" for n in range(50)], "x": ["x" * 999] * 50}
    path = parquet(tmp_path / "t.parquet", columns, row_group_size=group, use_dictionary=False)
    reader = ParquetTable(InputConfig())
    slices = reader.slices(str(path), path.stat().st_size, part_bytes)
    assert slices[0][0] == 0
    assert slices[-1][1] is None
    assert all(a[1] == b[0] for a, b in pairwise(slices))
    rows = [row for start, end in slices for row in told(list(reader.read(str(path), start, end)))]
    assert rows == [(str(n), BOAT, f"Boat {n}") for n in range(50)]
    assert (len(slices) == 1) == (part_bytes == 1_000_000)


def test_a_csv_with_quotes_is_one_part_and_one_without_is_cut(tmp_path: Path) -> None:
    assert SeparatedTable(InputConfig(), ",").slices("t.csv", 1000, 300) == [(0, None)]
    assert len(SeparatedTable(InputConfig(quoted=False), ",").slices("t.csv", 1000, 300)) == 4
    assert len(SeparatedTable(InputConfig(), "\t").slices("t.tsv", 1000, 300)) == 4
    assert SeparatedTable(InputConfig(), "\t").slices("t.tsv.gz", 1000, 300) == [(0, None)]


# --- rows that are wrong


@pytest.mark.parametrize(
    ("url", "text", "expected"),
    [
        ("ftp://a.example/1.jpg", "A", "bad_url"),
        ("data:image/png;base64,AAAA", "A", "bad_url"),
        ("boat.jpg", "A", "bad_url"),
        ("", "A", "bad_url"),
        (None, "A", "bad_url"),
        ("https://a.example/" + "x" * 5000, "A", "bad_url"),
        (BOAT, "", "no_text"),
        (BOAT, " \t ", "no_text"),
        (BOAT, None, "no_text"),
        (BOAT, ["A"], "text: a list, not a text"),
        (BOAT, {"a": 1}, "text: a dict, not a text"),
        (BOAT, 5, "text: a int, not a text"),
        ([BOAT], "A", "image_url: a list, not a text"),
        (BOAT, "x" * (MAX_FIELD_CHARACTERS + 1), "text: 1048577 characters, more than 1048576"),
    ],
)  # fmt: skip
def test_a_bad_value_costs_its_row(url: Any, text: Any, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    rows = [{"id": "a", "url": BOAT, "text": "A"}, {"id": "b", "url": url, "text": text}]
    rows += [{"id": "c", "url": BARN, "text": "B"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert told(read(path, "jsonl")) == [("a", BOAT, "A"), ("b", expected), ("c", BARN, "B")]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"{broken", "no JSON"),
        (b'{"url": "http://a.example/1.jpg", "text": "cut', "no JSON"),
        (b"[1, 2]", "Expected `object`"),
        (b'"text"', "Expected `object`"),
        (b'{"url": "http://a.example/1.jpg", "text": "\xff"}', "no JSON"),
        (b"[" * 100_000, "Expected `object`"),
        (b'{"a":' * 100_000, "no JSON"),
    ],
    ids=["broken", "cut", "list", "text", "not-utf-8", "deep-list", "deep"],
)
def test_a_broken_json_line_costs_itself(line: bytes, error: str, tmp_path: Path) -> None:
    good = json.dumps({"url": BOAT, "text": "A"}).encode()
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"\n".join((good, line, good)) + b"\n")
    first, bad, last = told(read(path, "jsonl"))
    assert (first[1:], last[1:]) == ((BOAT, "A"), (BOAT, "A"))
    assert bad[0] == str(len(good) + 1)
    assert error in bad[1]


def test_a_csv_row_with_another_number_of_fields_costs_itself(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"url,text\n{BOAT},A\n{BOAT}\n{BOAT},a,b\n{BARN},B\n")
    good, short, long, last = told(read(path, "csv"))
    assert (good[2], last[2]) == ("A", "B")
    assert short[1] == "1 fields, where the first row has 2"
    assert long[1] == "3 fields, where the first row has 2"


def test_a_huge_csv_field_costs_its_row(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    huge = "x" * (MAX_FIELD_CHARACTERS + 1)
    path.write_text(f"url,text\n{BOAT},{huge}\n{BARN},B\n")
    bad, good = told(read(path, "csv"))
    assert bad[0] == "9"
    assert "field larger than field limit" in bad[1]
    assert good[1:] == (BARN, "B")


def test_a_quote_that_nobody_closes_ends_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with path.open("w") as file:
        file.write(f'url,text\n{BOAT},"never closed\n')
        file.writelines(f"{BOAT},Boat {number}\n" for number in range(100_000))
    with hang_guard(60):
        rows = told(read(path, "csv"))
    assert "field larger than field limit" in rows[0][1]
    # What stands behind the longest field is read again.
    assert rows[-1][1:] == (BOAT, "Boat 99999")


def test_bytes_that_are_no_utf_8_reach_the_row_and_not_its_neighbours(tmp_path: Path) -> None:
    line = f"{BOAT}\tB".encode()
    path = tmp_path / "t.tsv"
    path.write_bytes(b"url\ttext\n" + line + b"\n" + line + b"\xff\n" + line + b"\n")
    assert [row[2] for row in told(read(path, "tsv"))] == ["B", "B\udcff", "B"]
    raw = pa.array([b"B", b"B\xff", b"B"], pa.binary())
    columns = {"url": [BOAT] * 3, "text": raw.view(pa.string())}
    rows = read(parquet(tmp_path / "t.parquet", columns), "parquet")
    assert [row[2] for row in told(rows)] == ["B", "B\udcff", "B"]


def test_damage_ends_the_file_with_a_bad_row(tmp_path: Path) -> None:
    rows = "".join(f"{BOAT}\tBoat {number}\n" for number in range(20_000))
    path = tmp_path / "t.tsv.gz"
    path.write_bytes(gzip.compress(("url\ttext\n" + rows).encode())[:-2000])
    found = told(read(path, "tsv"))
    assert found[0][2] == "Boat 0"
    assert "ends early" in found[-1][1]
    assert len(found[-1]) == 2


def test_a_damaged_row_group_of_parquet_costs_its_rows(tmp_path: Path) -> None:
    columns = {"url": [f"{BOAT}?{n}" for n in range(5000)], "text": ["A"] * 5000}
    path = parquet(tmp_path / "t.parquet", columns, row_group_size=1000, compression="zstd")
    chunk = pq.ParquetFile(path).metadata.row_group(2).column(0)
    data = bytearray(path.read_bytes())
    begin = chunk.dictionary_page_offset or chunk.data_page_offset
    data[begin : begin + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(bytes(data))
    found = told(read(path, "parquet"))
    assert len(found) == 4001
    assert [row[0] for row in found if len(row) == 2] == ["2000"]
    assert "row group 2, from row 2000" in found[2000][1]
    path.write_bytes(b"PAR1 but nothing else PAR1")
    assert "no Parquet file" in told(read(path, "parquet"))[0][1]


# --- files that are wrong as a whole


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("csv", "link,words\n", "no column for image_url; columns: link, words; name it with"),
        ("csv", "url,words\n", "no column for text"),
        ("jsonl", '{"url": "x"}\n', "no column for text; columns: url"),
        ("jsonl", '[\n{"url": "x"}]\n', "a JSON array; write it as JSON Lines"),
        ("jsonl", "\n\n", "no column for image_url; it has no columns"),
        ("parquet", "nothing", "no Parquet file"),
    ],
)
def test_a_file_without_the_columns_is_refused(
    name: str, content: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / f"t.{name}"
    path.write_text(content)
    reader = make_reader(name, InputConfig())
    with pytest.raises(InputError) as error:
        reader.check(str(path))  # type: ignore[attr-defined]
    assert message in str(error.value)
    # Found while a part is read, the same is a failed row.
    (row,) = reader.read(str(path), 0, None)
    assert isinstance(row, BadRow)
    assert message in str(row.error)


def test_a_parquet_column_of_another_type_is_refused_or_left_out(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", {"url": [BOAT], "text": [["A", "B"]]})
    with pytest.raises(InputError, match=r"holds list<.*>, not texts"):
        ParquetTable(InputConfig()).check(str(path))
    columns = {"url": [BOAT], "text": ["A"], "language": [["en"]], "title": [3]}
    path = parquet(tmp_path / "u.parquet", columns)
    assert told(read(path, "parquet")) == [("0", BOAT, "A")]
    asked = InputConfig(columns=ColumnMap(language="language"))
    with pytest.raises(InputError, match="column 'language' for language: holds list"):
        ParquetTable(asked).check(str(path))


def test_a_refused_row_says_what_it_would_have_to_be(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("url,text\nmailto:me,A\n")
    (row,) = read(path, "csv")
    assert row == RefusedRow(
        "9", "bad_url", "mailto:me", "an http or https URL of at most 4096 characters"
    )
