import gzip
from itertools import pairwise
from pathlib import Path

import fsspec
import pytest

from pipeline.inputs import find_inputs, slice_inputs
from schemas.errors import InputError
from transforms.input_columns import InputConfig


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    folder = tmp_path / "crawl"
    for name in ("a.warc.gz", "b/c.warc", "b/d.WARC.GZ", "b/notes.txt", "e.warc.zst", "f.warc.lz4"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 100)
    return folder


def sources(*inputs: object) -> list[str]:
    return [file.source for file in find_inputs([str(item) for item in inputs])]


def test_a_folder_gives_its_crawl_files_by_relative_path(crawl: Path) -> None:
    assert sources(crawl) == ["a.warc.gz", "b/c.warc", "b/d.WARC.GZ", "e.warc.zst", "f.warc.lz4"]


def test_a_file_a_glob_and_a_url_are_relative_to_their_root(crawl: Path) -> None:
    assert sources(crawl / "b/c.warc") == ["c.warc"]
    assert sources(f"{crawl}/*/*.warc") == ["b/c.warc"]
    assert sources(f"{crawl}/b/*.warc") == ["c.warc"]
    assert sources(f"file://{crawl}/b") == ["c.warc", "d.WARC.GZ"]


def test_the_same_file_named_twice_is_read_once(crawl: Path) -> None:
    assert sources(crawl, crawl / "a.warc.gz", f"{crawl}/a*")[:2] == ["a.warc.gz", "b/c.warc"]
    assert len(sources(crawl, crawl / "a.warc.gz")) == 5


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same.warc").write_bytes(b"x")
    assert sources(tmp_path / "x", tmp_path / "y") == ["x/same.warc", "y/same.warc"]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_list_names_files_relative_to_itself(crawl: Path, packed: bool) -> None:
    text = b"# crawl\nb/c.warc\n\na.warc.gz\n"
    path = crawl / ("list.paths.gz" if packed else "list.txt")
    path.write_bytes(gzip.compress(text) if packed else text)
    assert sources(path) == ["a.warc.gz", "b/c.warc"]


def test_a_remote_file_system_is_searched_the_same_way() -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe("/inputs-test/deep/one.warc", b"x" * 10)
    files = find_inputs(["memory://inputs-test"])
    assert [(file.source, file.size) for file in files] == [("deep/one.warc", 10)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.warc", "there is no such file"),
        ("*.nothing", "there is no such file"),
        ("empty", "holds no file that ends in"),
        ("missing.txt", "gone.warc: cannot be read"),
        ("blank.txt", "names no file"),
        ("binary.txt", "not UTF-8"),
        ("bad.txt.gz", "not a gzip file"),
        ("old.arc.gz", "ARC"),
    ],
)
def test_a_bad_input_is_named(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "missing.txt").write_text("gone.warc\n")
    (tmp_path / "blank.txt").write_text("# nothing\n\n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "bad.txt.gz").write_bytes(b"plain")
    (tmp_path / "old.arc.gz").write_bytes(b"x")
    with pytest.raises(InputError) as error:
        find_inputs([f"{tmp_path}/{name}"])
    assert message in str(error.value)
    assert name in str(error.value)


def test_no_input_at_all_is_an_error() -> None:
    with pytest.raises(InputError, match="--input"):
        find_inputs([])


def test_parts_do_not_depend_on_files_beside_them(crawl: Path) -> None:
    alone = slice_inputs(find_inputs([str(crawl / "b")]), InputConfig(1 << 20), "config")
    (crawl / "b" / "z.warc").write_bytes(b"x" * 50)
    more = slice_inputs(find_inputs([str(crawl / "b")]), InputConfig(1 << 20), "config")
    assert {part.key for part in alone} < {part.key for part in more}
    other = slice_inputs(find_inputs([str(crawl / "b")]), InputConfig(1 << 20), "other config")
    assert {part.key for part in more}.isdisjoint(part.key for part in other)


def test_a_changed_file_is_another_part_and_a_named_empty_one_an_error(crawl: Path) -> None:
    before = slice_inputs(find_inputs([str(crawl / "a.warc.gz")]), InputConfig(1 << 20), "c")
    (crawl / "a.warc.gz").write_bytes(b"x" * 101)
    after = slice_inputs(find_inputs([str(crawl / "a.warc.gz")]), InputConfig(1 << 20), "c")
    assert [part.name for part in before] == [part.name for part in after]
    assert before[0].fingerprint != after[0].fingerprint
    (crawl / "a.warc.gz").write_bytes(b"")
    with pytest.raises(InputError, match="the file is empty"):
        find_inputs([str(crawl / "a.warc.gz")])


def test_an_empty_file_among_others_is_left_to_the_reader(crawl: Path) -> None:
    (crawl / "a.warc.gz").write_bytes(b"")
    parts = slice_inputs(find_inputs([str(crawl)]), InputConfig(1 << 20), "c")
    assert len(parts) == 5
    for path in crawl.rglob("*.*"):
        path.write_bytes(b"")
    with pytest.raises(InputError, match="the file is empty, as is every other"):
        find_inputs([str(crawl)])


def test_slices_cover_a_large_file(tmp_path: Path) -> None:
    path = tmp_path / "large.warc.gz"
    path.write_bytes(b"x" * 1000)
    slices = [part.spec for part in slice_inputs(find_inputs([str(path)]), InputConfig(300), "c")]
    assert slices[0].start == 0
    assert all(a.end == b.start for a, b in pairwise(slices))
    assert slices[-1].end in (None, 1000)


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    folder = tmp_path / "tables"
    (folder / "deep").mkdir(parents=True)
    row = "https://a.example/1.jpg\tA boat\n"
    (folder / "a.tsv").write_text("url\ttext\n" + row * 100)
    (folder / "deep" / "b.tsv.gz").write_bytes(gzip.compress(("url\ttext\n" + row).encode()))
    (folder / "deep" / "README.md").write_text("no table")
    return folder


def formats(*inputs: object, **config: object) -> dict[str, str]:
    found = find_inputs([str(item) for item in inputs], InputConfig(**config))  # type: ignore[arg-type]
    return {file.source: file.format for file in found}


def test_a_folder_of_tables_gives_its_tables(tables: Path) -> None:
    assert formats(tables) == {"a.tsv": "tsv", "deep/b.tsv.gz": "tsv"}
    assert formats(tables, format="tsv") == formats(tables)
    assert formats(f"{tables}/*.tsv") == {"a.tsv": "tsv"}


def test_crawl_files_of_a_folder_go_before_its_tables(tables: Path) -> None:
    (tables / "c.warc.gz").write_bytes(b"x")
    assert formats(tables) == {"c.warc.gz": "warc"}
    assert formats(tables, format="tsv") == {"a.tsv": "tsv", "deep/b.tsv.gz": "tsv"}
    named = formats(tables / "c.warc.gz", tables / "a.tsv")
    assert named == {"a.tsv": "tsv", "c.warc.gz": "warc"}


def test_a_folder_of_several_kinds_needs_a_format(tables: Path) -> None:
    (tables / "c.csv").write_text("url,text\nhttps://a.example/1.jpg,A\n")
    with pytest.raises(InputError, match=r"several kinds \(\.csv, \.tsv\); say which"):
        formats(tables)
    assert formats(tables, format="csv") == {"c.csv": "csv"}


def test_a_format_without_files_is_named(tables: Path) -> None:
    with pytest.raises(InputError, match=r"holds no file that ends in \.parquet; name"):
        formats(tables, format="parquet")
    with pytest.raises(InputError, match=r"holds no file that ends in \.warc, "):
        formats(tables, format="warc")


def test_the_first_file_that_is_not_empty_is_looked_at(tables: Path) -> None:
    (tables / "0.tsv").write_bytes(b"")
    assert formats(tables)["0.tsv"] == "tsv"
    (tables / "1.tsv").write_text("link\twords\n")
    with pytest.raises(InputError, match=r"1\.tsv: no column for image_url; columns: link, words"):
        formats(tables)


def test_tables_are_cut_and_only_their_fingerprint_knows_the_columns(tables: Path) -> None:
    files = find_inputs([str(tables)])
    config = InputConfig(part_bytes=1000)
    parts = slice_inputs(files, config, "crawl", "tables")
    assert [(part.spec.source, part.spec.start, part.spec.format) for part in parts] == [
        *(("a.tsv", start, "tsv") for start in range(0, 3209, 1000)), ("deep/b.tsv.gz", 0, "tsv"),
    ]  # fmt: skip
    assert slice_inputs(files, config, "other crawl", "tables") == parts
    others = slice_inputs(files, config, "crawl", "other tables")
    assert {part.key for part in others}.isdisjoint(part.key for part in parts)
