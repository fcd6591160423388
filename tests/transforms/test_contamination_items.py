"""Evaluation tables of every format give the same items; what is none is told, with its place."""

import csv
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from schemas.errors import InputError, RecipeError
from transforms.contamination_items import (
    DecontaminationConfig,
    EvaluationItem,
    benchmark_of,
    read_items,
    table_columns,
)
from transforms.image_facts import ImageFactsConfig, read_image_facts

ROWS = [
    {"id": "q1", "question": "How deep is the harbour?", "answer": "Nine metres, at low tide."},
    {"id": "q2", "question": "Who lit the lamp, and when?", "answer": "The keeper; at dusk."},
]
AS_FOUND = DecontaminationConfig()


def picture(shade: int = 3, kind: str = "PNG") -> bytes:
    image = Image.new("RGB", (64, 48), (shade, 90, 200))
    image.paste((250, 240, 10), (8, 8, 30, 40))
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_csv(path: Path, rows: list[dict[str, Any]], delimiter: str = ",") -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def as_json(row: dict[str, Any]) -> bytes:
    return json.dumps(row).encode()


MAKERS = {
    "parquet": lambda folder: write_parquet(folder / "quiz.parquet", ROWS),
    "jsonl": lambda folder: write_lines(folder / "quiz.jsonl", ROWS),
    "csv": lambda folder: write_csv(folder / "quiz.csv", ROWS),
    "tsv": lambda folder: write_csv(folder / "quiz.tsv", ROWS, "\t"),
    "tar": lambda folder: write_tar(
        folder / "quiz.tar", {f"{row['id']}.json": as_json(row) for row in ROWS}
    ),
}


def read(path: Path, config: DecontaminationConfig = AS_FOUND) -> list[EvaluationItem]:
    return list(read_items(str(path), config))


@pytest.mark.parametrize("kind", MAKERS)
def test_every_format_gives_the_same_items(kind: str, tmp_path: Path) -> None:
    assert read(MAKERS[kind](tmp_path)) == [
        EvaluationItem(
            "quiz", row["id"], [("question", row["question"]), ("answer", row["answer"])]
        )
        for row in ROWS
    ]


def test_named_columns_are_read_and_no_others(tmp_path: Path) -> None:
    rows = [{"Set": "quiz", "No": 7, "Asked": "How deep?", "question": "not this one"}]
    config = DecontaminationConfig(benchmark="set", item="no", texts=("asked", "elsewhere"))
    assert read(write_parquet(tmp_path / "a.parquet", rows), config) == [
        EvaluationItem("quiz", "7", [("Asked", "How deep?")])
    ]


def test_lists_and_members_of_a_column_are_texts_of_their_own(tmp_path: Path) -> None:
    rows = [
        {"captions": ["A boat.", None, "A red boat."]},
        {"prompt": [{"role": "user", "content": "How deep?"}]},
        {"prompt": 5, "captions": None},
    ]
    found = read(write_lines(tmp_path / "a.jsonl", rows))
    assert [[text for _, text in item.texts] for item in found] == [
        ["A boat.", "A red boat."], ["user", "How deep?"], [],
    ]  # fmt: skip
    assert len({item.item for item in found}) == 3, "rows without an id are told by their place"


def test_a_column_that_comes_late_is_read_and_twins_are_refused(tmp_path: Path) -> None:
    rows: list[dict[str, str]] = [
        {"question": f"How deep is it at {place}?"} for place in range(150)
    ]
    rows.append({"question": "Who lit the lamp?", "Answer": "The keeper; at dusk."})
    *_, last = read_items(str(write_lines(tmp_path / "late.jsonl", rows)), AS_FOUND)
    assert last.texts == [("question", "Who lit the lamp?"), ("Answer", "The keeper; at dusk.")]
    twins = write_lines(tmp_path / "twins.jsonl", [*rows, {"question": "a", "QUESTION": "b"}])
    with pytest.raises(InputError, match=r"row.*two columns 'question' and 'QUESTION'"):
        list(read_items(str(twins), AS_FOUND))
    (tmp_path / "twins.csv").write_text("question,question\na,b\n")
    with pytest.raises(InputError, match="two columns"):
        table_columns(str(tmp_path / "twins.csv"), AS_FOUND)


def test_images_are_known_by_bytes_and_looks(tmp_path: Path) -> None:
    data = picture()
    phash = read_image_facts(data, ImageFactsConfig()).phash
    known = (hashlib.sha256(data).hexdigest(), phash)
    broken = (hashlib.sha256(b"none").hexdigest(), None)
    flat = io.BytesIO()
    Image.new("RGB", (40, 40), "white").save(flat, "PNG")
    plain = (hashlib.sha256(flat.getvalue()).hexdigest(), None)
    values = (data, b"none", flat.getvalue())
    expected = [[known], [broken], [plain]]
    parquet = write_parquet(tmp_path / "a.parquet", [{"image": value} for value in values])
    assert [item.images for item in read(parquet)] == expected
    nested = [{"image": {"bytes": value, "path": "x.png"}} for value in values]
    parquet = write_parquet(tmp_path / "b.parquet", nested)
    assert [item.images for item in read(parquet)] == expected
    tar = write_tar(tmp_path / "c.tar", {f"{n}.png": value for n, value in enumerate(values)})
    assert [item.images for item in read(tar)] == expected
    rows = [{"sha256": known[0].upper(), "phash": f"{known[1] % 2**64:016x}"}, {"phash": 0}]
    assert [item.images for item in read(write_lines(tmp_path / "d.jsonl", rows))] == [[known], []]


def test_names_and_texts_of_strangers_are_bounded_and_can_be_kept(tmp_path: Path) -> None:
    rows = [{"id": "q\ud800\x00" + "n" * 1000, "benchmark": "", "text": "\udfff How\x00deep?"}]
    (item,) = read(write_lines(tmp_path / "a.jsonl", rows))
    assert item.item == ("q?\x00" + "n" * 1000)[:200]
    assert item.benchmark == "a"
    assert item.texts == [("text", "\udfff How\x00deep?")]


def test_a_tar_may_hold_several_texts_and_pictures_of_an_item(tmp_path: Path) -> None:
    tar = write_tar(
        tmp_path / "coco-00003.tar",
        {
            "7.json": as_json({"id": 12, "caption": "A boat"}),
            "7.txt": b"A red boat",
            "7.0.png": picture(),
            "7.1.jpg": picture(9, "JPEG"),
        },
    )
    (item,) = read(tar)
    assert (item.benchmark, item.item, len(item.images)) == ("coco", "12", 2)
    assert item.texts == [("caption", "A boat"), ("text", "A red boat")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/mmlu.parquet", "mmlu"),
        ("mmlu-00001-of-00004.parquet", "mmlu"),
        ("s3://x/coco-000012.tar", "coco"),
        ("quiz.v2.jsonl.gz", "quiz.v2"),
    ],
)
def test_benchmark_is_called_as_its_file(name: str, expected: str) -> None:
    assert benchmark_of(name) == expected


def broken_parquet(folder: Path) -> Path:
    path = folder / "a.parquet"
    path.write_bytes(b"PAR1 no table PAR1")
    return path


BROKEN = {
    "no column of an item": (
        lambda f: write_lines(f / "a.jsonl", [{"q": "How deep?"}]),
        AS_FOUND,
        r"a\.jsonl: has none of the columns question, .*; its columns: q\. Name those .*texts",
    ),
    "a named column is not there": (
        lambda f: write_csv(f / "a.csv", ROWS),
        DecontaminationConfig(item="number"),
        r"a\.csv: has no column 'number', which decontamination\.item names; its columns: id, ",
    ),
    "an empty object": (lambda f: write_lines(f / "a.jsonl", [{}]), AS_FOUND, "its columns: none"),
    "no row": (lambda f: write_lines(f / "a.jsonl", []), AS_FOUND, "its columns: none"),
    "no format": (lambda f: write_lines(f / "a.xml", []), AS_FOUND, "of no format that is read"),
    "no Parquet": (broken_parquet, AS_FOUND, r"a\.parquet: no Parquet file"),
    "no JSON": (
        lambda f: write_lines(f / "a.jsonl", [ROWS[0], "text"]), AS_FOUND, r"a\.jsonl: row 92: ",
    ),
    "too many fields": (
        lambda f: write_csv(f / "a.csv", ROWS).rename(f / "b.csv"), AS_FOUND, None,
    ),
    "no hash": (
        lambda f: write_lines(f / "a.jsonl", [{"sha256": "abc"}]),
        AS_FOUND,
        "row 0: sha256: not 64 hex digits: 'abc'; mend or remove the row",
    ),
    "no perceptual hash": (
        lambda f: write_lines(f / "a.jsonl", [{"phash": 1 << 64}]), AS_FOUND, "phash: neither",
    ),
    "an item that is a list": (
        lambda f: write_lines(f / "a.jsonl", [{"id": [1], "text": "a"}]), AS_FOUND, "item: a list",
    ),
    "a text without end": (
        lambda f: write_lines(f / "a.jsonl", [{"text": "a" * ((1 << 20) + 1)}]),
        AS_FOUND,
        "column 'text': 1048577 characters, more than 1048576",
    ),
    "lists without end": (
        lambda f: write_lines(f / "a.jsonl", [{"text": json.loads("[" * 20 + "]" * 20)}]),
        AS_FOUND,
        "lists inside lists",
    ),
    "a dot in a name": (
        lambda f: write_parquet(f / "a.parquet", [{"a.b": "x", "text": "y"}]),
        DecontaminationConfig(texts=("a.b",)),
        "a name with a dot",
    ),
    "no UTF-8": (
        lambda f: write_tar(f / "a.tar", {"1.txt": b"\xff\xfe\xfd"}), AS_FOUND, "no UTF-8",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "config", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_table_of_items_is_told(
    make: Any, config: DecontaminationConfig, message: str | None, tmp_path: Path
) -> None:
    path = make(tmp_path)
    if message is None:
        path.write_text(path.read_text() + "a,b\n")
        message = r"b\.csv, row [0-9]+: 2 fields, where the first row has 3"
    with pytest.raises(InputError, match=message) as caught:
        read(path, config)
    assert str(caught.value).startswith("decontamination: ")
    assert str(path) in str(caught.value)


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.parquet: cannot be read"):
        table_columns(str(tmp_path / "gone.parquet"), AS_FOUND)


@pytest.mark.parametrize(
    "values",
    [{"ngram": 1}, {"min_words": 14}, {"min_words": 0}, {"min_overlap": 0.0}, {"min_overlap": 1.1},
     {"phash_distance": 17}],
    ids=str,
)  # fmt: skip
def test_values_out_of_range_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=rf"^decontamination\.{next(iter(values))}: must be"):
        DecontaminationConfig(**values)
