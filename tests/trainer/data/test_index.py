import json
import pickle
import shutil
import tarfile
from pathlib import Path

import fsspec
import pyarrow.parquet as pq
import pytest
import webdataset

from schemas.errors import InputError, OutputError
from tests.trainer_shards import captioned, tar_bytes, text_sample, write_own
from trainer.data import index as index_module
from trainer.data.foreign_index import scan_shard
from trainer.data.index import NoShardsError, ShardIndex, open_index
from trainer.data.tar_members import read_members


def own(folder: Path) -> str:
    texts = [text_sample(f"text {n}" * n) for n in range(7)]
    shards = {
        "train-000000.tar": texts[:3],
        "train-000001.tar": texts[3:6],
        "validation-000000.tar": texts[6:],
    }
    return write_own(folder, "text", shards)


def samples_of(index: ShardIndex) -> list[tuple[str, dict[str, bytes]]]:
    found = []
    for number in range(len(index)):
        with fsspec.open(index.shards[index.shard[number]], "rb") as file:
            file.seek(index.offset[number])
            key, members = read_members(file.read(index.size[number]))
        found.append((key, {suffix: bytes(data) for suffix, data in members.items()}))
    return found


def test_own_index_is_of_one_split(tmp_path: Path) -> None:
    index = open_index(own(tmp_path / "text"), "train")
    names = [Path(url).name for url in index.shards]
    assert names == ["train-000000.tar", "train-000001.tar"]
    assert [members["txt"] for _, members in samples_of(index)] == [
        f"text {n}".encode() * n for n in range(6)
    ]
    assert len(open_index(own(tmp_path / "text"), "validation")) == 1


def test_index_is_mapped_the_second_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = own(tmp_path / "text")
    first = open_index(folder, "train")
    monkeypatch.setattr(index_module, "open_table", None)
    again = pickle.loads(pickle.dumps(open_index(folder, "train")))
    assert again.fingerprint == first.fingerprint
    assert samples_of(again) == samples_of(first)
    assert len(pickle.dumps(again)) < 2000


def test_copy_has_the_same_fingerprint_and_other_data_another(tmp_path: Path) -> None:
    folder = own(tmp_path / "text")
    fingerprint = open_index(folder, "train").fingerprint
    shutil.copytree(folder, tmp_path / "copy")
    assert open_index(str(tmp_path / "copy"), "train").fingerprint == fingerprint
    other = write_own(tmp_path / "other", "text", {"train-000000.tar": [text_sample("a")]})
    assert open_index(other, "train").fingerprint != fingerprint


def test_cache_may_lie_elsewhere(tmp_path: Path) -> None:
    folder = own(tmp_path / "text")
    open_index(folder, "train", cache=str(tmp_path / "cache"))
    assert not (tmp_path / "text" / ".trainer").exists()
    assert list((tmp_path / "cache").iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"set data\.cache"):
        open_index(folder, "train", cache=str(tmp_path / "file"))


def test_missing_shard_is_named(tmp_path: Path) -> None:
    folder = own(tmp_path / "text")
    (tmp_path / "text" / "train-000001.tar").unlink()
    with pytest.raises(InputError, match=r"train-000001.tar: the shard is missing: copy it"):
        open_index(folder, "train")
    open_index(folder, "validation")


def test_truncated_shard_is_named(tmp_path: Path) -> None:
    folder = own(tmp_path / "text")
    shard = tmp_path / "text" / "train-000001.tar"
    shard.write_bytes(shard.read_bytes()[:1500])
    for _ in range(2):  # also where the index is kept already
        with pytest.raises(InputError, match=r"train-000001.tar: the shard is cut short: 1500"):
            open_index(folder, "train")


def test_shard_of_another_run_is_named(tmp_path: Path) -> None:
    folder = own(tmp_path / "text")
    with (tmp_path / "text" / "train-000000.tar").open("ab") as file:
        file.write(bytes(512))
    with pytest.raises(InputError, match=r"train-000000.tar: .* it is of another run"):
        open_index(folder, "train")


def test_index_of_another_run_is_refused(tmp_path: Path) -> None:
    folder = own(tmp_path / "text")
    table = pq.read_table(tmp_path / "text" / "index.parquet")
    pq.write_table(table.slice(1), tmp_path / "text" / "index.parquet")
    with pytest.raises(InputError, match="index and manifest are of different runs"):
        open_index(folder, "train")


def test_other_schema_is_refused(tmp_path: Path) -> None:
    folder = own(tmp_path / "text")
    path = tmp_path / "text" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 99}))
    with pytest.raises(InputError, match=r"manifest.json: manifest of schema version 99"):
        open_index(folder, "train")


def test_half_a_folder_is_refused(tmp_path: Path) -> None:
    folder = own(tmp_path / "text")
    (tmp_path / "text" / "manifest.json").rename(tmp_path / "manifest.json")
    with pytest.raises(InputError, match=r"index.parquet without manifest.json"):
        open_index(folder, "train")
    (tmp_path / "manifest.json").rename(tmp_path / "text" / "manifest.json")
    (tmp_path / "text" / "index.parquet").write_bytes(b"no Parquet")
    with pytest.raises(InputError, match="no index of shards"):
        open_index(folder, "train")
    (tmp_path / "text" / "index.parquet").unlink()
    with pytest.raises(InputError, match=r"index.parquet: is missing"):
        open_index(folder, "train")


def test_folder_without_shards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoShardsError, match="no folder of shards"):
        open_index(str(tmp_path / "none"), "train")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(NoShardsError, match=r"neither index.parquet nor a .tar file, but a.txt"):
        open_index(str(tmp_path), "train")
    with pytest.raises(NoShardsError, match=r"no shards of split 'test' .* train, validation"):
        open_index(own(tmp_path / "text"), "test")


def foreign(folder: Path, form: int = tarfile.USTAR_FORMAT) -> str:
    """Shards as img2dataset writes them, and some oddities."""
    folder.mkdir()
    long = "a" * 150
    shards = [
        [(f"0000{n}.{suffix}", f"{n} {suffix}".encode()) for n in range(3) for suffix in SUFFIXES],
        [("sub.dir/x.0.JPG", b"x" * 700), ("sub.dir/x.json", b"{}"), ("README", b"no sample")],
    ]
    if form != tarfile.USTAR_FORMAT:
        shards.append([(f"{long}.txt", b"long"), (f"{long}.jpg", b"jpg"), ("b.txt", b"short")])
    for number, members in enumerate(shards):
        (folder / f"{number:05d}.tar").write_bytes(tar_bytes(members, form)[0])
    return str(folder)


SUFFIXES = ("jpg", "txt", "json")


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_foreign_samples_are_those_of_webdataset(tmp_path: Path, form: int) -> None:
    index = open_index(foreign(tmp_path / "foreign", form), "train")
    expected = []
    for sample in webdataset.WebDataset(index.shards, shardshuffle=False):
        members = {name: data for name, data in sample.items() if not name.startswith("_")}
        expected.append((sample["__key__"], members))
    assert samples_of(index) == expected
    assert len(index) == (4 if form == tarfile.USTAR_FORMAT else 6)
    assert open_index(str(tmp_path / "foreign"), "any split").fingerprint == index.fingerprint


def test_folders_and_links_are_passed_over(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "00000.tar", "w") as tar:
        folder = tarfile.TarInfo("a.b")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        link = tarfile.TarInfo("x.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    (tmp_path / "00001.tar").write_bytes(tar_bytes([("a.txt", b"a")])[0])
    assert [key for key, _ in samples_of(open_index(str(tmp_path), "train"))] == ["a"]
    (tmp_path / "00001.tar").unlink()
    with pytest.raises(InputError, match="no member of these tars is of a sample"):
        open_index(str(tmp_path), "train")


def test_sample_with_two_members_of_one_name_is_left_out(tmp_path: Path) -> None:
    members = [("a.txt", b"1"), ("a.TXT", b"2"), ("b.txt", b"3")]
    (tmp_path / "00000.tar").write_bytes(tar_bytes(members)[0])
    index = open_index(str(tmp_path), "train")
    assert [key for key, _ in samples_of(index)] == ["b"]
    assert index.left_out == 1


@pytest.mark.parametrize("keep", [100, 600, 1024 + 700, 2560])
def test_truncated_foreign_shard_is_named_with_its_offset(tmp_path: Path, keep: int) -> None:
    data, _ = tar_bytes([("a.txt", b"a"), ("b.txt", b"b" * 600), ("c.txt", b"c")])
    path = tmp_path / "00007.tar"
    path.write_bytes(data[:keep])
    with pytest.raises(InputError, match=r"00007.tar: the tar is cut short.* at (byte )?\d+"):
        scan_shard(str(path))


def test_damaged_foreign_shard_is_named_with_its_offset(tmp_path: Path) -> None:
    data = bytearray(tar_bytes([("a.txt", b"a"), ("b.txt", b"b")])[0])
    data[1030] ^= 1
    path = tmp_path / "00000.tar"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"00000.tar: damaged at byte 1024: no tar header"):
        open_index(str(tmp_path), "train")


def test_rewritten_foreign_shard_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "00000.tar"
    path.write_bytes(tar_bytes([("a.txt", b"a")])[0])
    first = open_index(str(tmp_path), "train").fingerprint
    path.write_bytes(tar_bytes([("b.txt", b"a")])[0])
    second = open_index(str(tmp_path), "train")
    assert second.fingerprint != first
    assert samples_of(second) == [("b", {"txt": b"a"})]


def test_many_foreign_shards_are_read_in_processes(tmp_path: Path) -> None:
    for number in range(9):
        data = tar_bytes([(f"{number}{n}.txt", b"a") for n in range(2)])[0]
        (tmp_path / f"{number:05d}.tar").write_bytes(data)
    index = open_index(str(tmp_path), "train")
    assert [key for key, _ in samples_of(index)] == [f"{n}{m}" for n in range(9) for m in range(2)]


def test_shards_of_a_store_need_a_local_cache(tmp_path: Path) -> None:
    fs = fsspec.filesystem("memory")
    for path in Path(own(tmp_path / "text")).iterdir():
        fs.pipe_file(f"/index-test/{path.name}", path.read_bytes())
    with pytest.raises(InputError, match=r"set data\.cache to a local folder"):
        open_index("memory://index-test", "train")
    index = open_index("memory://index-test", "train", cache=str(tmp_path / "cache"))
    assert len(index) == 6
    fs.pipe_file("/index-foreign/0.tar", tar_bytes([("a.txt", b"a"), ("a.jpg", b"b" * 9999)])[0])
    index = open_index("memory://index-foreign", "train", cache=str(tmp_path / "cache"))
    assert samples_of(index) == [("a", {"txt": b"a", "jpg": b"b" * 9999})]
    fs.rm("/index-test", recursive=True)
    with pytest.raises(NoShardsError, match="no folder of shards"):
        open_index("memory://index-test", "train", cache=str(tmp_path / "cache"))


def test_own_folder_of_captioned_samples(tmp_path: Path) -> None:
    folder = write_own(tmp_path, "captioned", {"train-000000.tar": [captioned("a", b"b" * 2000)]})
    ((_, members),) = samples_of(open_index(folder, "train"))
    assert members == {"json": b"{}", "txt": b"a", "jpg": b"b" * 2000}
