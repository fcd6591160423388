import io
import tarfile
from pathlib import Path

import pytest

from schemas.errors import InputError
from transforms.input_columns import InputConfig
from transforms.input_formats import (
    FORMATS,
    detect_format,
    ending_of,
    formats_of,
    make_reader,
)


@pytest.mark.parametrize(
    ("name", "ending", "found"),
    [
        ("rows.parquet", ".parquet", "parquet"),
        ("s3://b/ROWS.CSV.gz", ".csv", "csv"),
        ("rows.tsv.zst", ".tsv", "tsv"),
        ("rows.jsonl.bz2", ".jsonl", "jsonl"),
        ("rows.ndjson", ".ndjson", "jsonl"),
    ],
)
def test_the_ending_of_a_name_tells_the_format(name: str, ending: str, found: str) -> None:
    assert ending_of(name) == ending
    assert found in formats_of(name)


@pytest.mark.parametrize("name", ["crawl.warc.gz", "list.txt", "rows", "rows.xlsx", ".csv.d/x"])
def test_other_names_are_nobodys(name: str) -> None:
    assert formats_of(name) == []


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_a_reader(name: str) -> None:
    reader = make_reader(name, InputConfig())
    assert callable(reader.slices)
    assert callable(reader.read)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("t.csv", "anything", "csv"),
        ("t.jsonl", '{"url": "http://a/", "text": "A"}', "jsonl"),
        ("t.jsonl", '{"text_list": [], "image_info": []}', "mmc4"),
        ("t.jsonl", '{"texts": [], "images": []}', "omnicorpus"),
        ("t.jsonl", "no JSON", "jsonl"),
        ("t.parquet", "no Parquet", "parquet"),
    ],
)
def test_a_corpus_goes_before_the_table_of_its_ending(
    name: str, content: str, found: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(content + "\n")
    assert detect_format(str(path)) == found


def test_a_tar_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.tar"
    with tarfile.open(path, "w") as file:
        info = tarfile.TarInfo("notes.txt")
        info.size = 3
        file.addfile(info, io.BytesIO(b"abc"))
    with pytest.raises(InputError, match=r"input.format=NAME: webdataset, mint1t"):
        detect_format(str(path))
