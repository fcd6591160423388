import os
from pathlib import Path

import fsspec
import pytest

from schemas.errors import OutputError
from transforms import storage


@pytest.mark.parametrize("scheme", ["local", "memory"])
def test_publish_appears_only_when_the_block_ends_well(scheme: str, tmp_path: Path) -> None:
    url = f"{tmp_path}/a/b.bin" if scheme == "local" else "memory://storage-test/a/b.bin"
    with storage.publish(url) as file:
        file.write(b"one")
        assert storage.read_bytes(url) is None
    assert storage.read_bytes(url) == b"one"

    def write_and_fail() -> None:
        with storage.publish(url) as file:
            file.write(b"two")
            raise RuntimeError("cut")

    with pytest.raises(RuntimeError, match="cut"):
        write_and_fail()
    assert storage.read_bytes(url) == b"one", "a failed write must leave the old file"
    assert storage.list_names(url.rpartition("/")[0]) == ["b.bin"]


def test_publish_leaves_no_temporary_file(tmp_path: Path) -> None:
    with storage.publish(f"{tmp_path}/x") as file:
        file.write(b"x")
        assert [name.startswith(storage.TEMPORARY_PREFIX) for name in os.listdir(tmp_path)] == [
            True
        ]
        assert storage.list_names(str(tmp_path)) == [], "temporary files are not listed"
    assert os.listdir(tmp_path) == ["x"]


def test_upload_moves_beside_and_copies_elsewhere(tmp_path: Path) -> None:
    for url in (f"{tmp_path}/out/x", "memory://upload-test/x"):
        source = tmp_path / "source"
        source.write_bytes(b"data")
        storage.upload(str(source), url)
        assert storage.read_bytes(url) == b"data"


def test_list_names_of_a_missing_folder_is_empty(tmp_path: Path) -> None:
    assert storage.list_names(f"{tmp_path}/none") == []
    assert storage.read_bytes(f"{tmp_path}/none/file") is None
    storage.remove(f"{tmp_path}/none/file")


def test_resolve_of_an_unknown_scheme_names_it() -> None:
    with pytest.raises(OutputError, match="nosuch://x"):
        storage.resolve("nosuch://x")


def test_memory_is_not_local(tmp_path: Path) -> None:
    assert storage.is_local(str(tmp_path))
    assert not storage.is_local("memory://x")
    assert storage.spool_folder("memory://x") is None
    assert fsspec.filesystem("memory") is not None
