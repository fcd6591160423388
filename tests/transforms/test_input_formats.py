from pathlib import Path

import pytest

from schemas.errors import InputError
from transforms import input_formats
from transforms.input_columns import InputConfig
from transforms.input_formats import (
    FORMATS,
    InputFormat,
    detect_format,
    ending_of,
    formats_of,
    make_reader,
)
from transforms.input_tables import JsonLinesTable


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


def test_a_corpus_goes_before_the_table_of_its_ending_and_two_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"text_list": [], "matched": []}\n')

    def holds(word: str) -> InputFormat:
        return InputFormat(
            (".jsonl",), JsonLinesTable, 1, lambda url: word in Path(url).read_text()
        )

    def known(*corpora: str) -> None:
        formats = {"jsonl": FORMATS["jsonl"], **{word: holds(word) for word in corpora}}
        monkeypatch.setattr(input_formats, "FORMATS", formats)

    known("text_list", "something")
    assert detect_format(str(path)) == "text_list"
    known("something")
    assert detect_format(str(path)) == "jsonl"
    known("text_list", "matched")
    with pytest.raises(InputError, match="may be text_list or matched; say which with --set"):
        detect_format(str(path))
