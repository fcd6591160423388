import io
import tarfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.data.small_corpus import tar_of
from trainer.data.tar_members import IndexMismatchError, read_members

SAMPLE = [("ab.json", b"{}"), ("ab.txt", b"text"), ("ab.00.jpg", b"x" * 513), ("ab.cls", b"")]


def plain(data: bytes | memoryview) -> tuple[str, dict[str, bytes]]:
    key, members = read_members(data)
    return key, {suffix: bytes(view) for suffix, view in members.items()}


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("folder", ["", "part one/", "f" * 90 + "/" + "g" * 90 + "/", "é/"])
def test_members_of_every_tar_format_are_read(format: int, folder: str) -> None:
    if not folder.isascii() and format == tarfile.USTAR_FORMAT:
        pytest.skip("ustar has no such names")
    data = tar_of([(folder + name, content) for name, content in SAMPLE], format)
    wanted = {name.partition(".")[2]: content for name, content in SAMPLE}
    assert plain(data) == (folder + "ab", wanted)
    assert plain(memoryview(data))[1] == wanted


def test_name_beyond_a_hundred_bytes_is_read() -> None:
    key = "k" * 300
    for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        assert plain(tar_of([(f"{key}.txt", b"a")], format)) == (key, {"txt": b"a"})


def test_suffix_is_lower_case_and_key_is_not() -> None:
    assert plain(tar_of([("A/B.c/Key.JPG", b"1")])) == ("A/B.c/Key", {"jpg": b"1"})


def test_folders_are_passed_over() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        folder = tarfile.TarInfo("d")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        info = tarfile.TarInfo("d/a.txt")
        tar.addfile(info, io.BytesIO())
        end = tar.offset
    assert plain(out.getvalue()[:end]) == ("d/a", {"txt": b""})


def linked() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("a.txt")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
        end = tar.offset
    return out.getvalue()[:end]


SOUND = tar_of(SAMPLE)
FLIPPED = bytes([*SOUND[:3], SOUND[3] ^ 1, *SOUND[4:]])
BROKEN: dict[str, tuple[Any, str]] = {
    "empty": (b"", "no member"),
    "end of the tar": (bytes(1024), "no tar header at byte 0"),
    "not a tar": (b"x" * 2048, "no tar header at byte 0"),
    "begins inside": (SOUND[512:], "no tar header at byte 0"),
    "ends inside a member": (SOUND[:-1024], "reaches beyond"),
    "ends inside a header": (SOUND[:-100], "no tar header"),
    "goes on into the next": (SOUND + tar_of([("ac.txt", b"")]), "of 'ab' and of 'ac'"),
    "twice the same": (SOUND + tar_of([("ab.TXT", b"")]), "two members 'txt'"),
    "one bit in the name": (FLIPPED, "wrong checksum at byte 0"),
    "a link": (linked(), "type '2'"),
    "no key": (tar_of([(".hidden", b"")]), "of no sample"),
    "no suffix": (tar_of([("README", b"")]), "of no sample"),
}


@pytest.mark.parametrize(("data", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_not_exactly_one_sample_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(IndexMismatchError, match=message):
        read_members(data)


@given(st.data())
@settings(deadline=None)
def test_any_damage_is_refused_or_leaves_a_sample(data: st.DataObject) -> None:
    damaged = bytearray(tar_of(SAMPLE, data.draw(st.sampled_from([0, 1, 2]))))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        key, members = read_members(bytes(damaged))
    except IndexMismatchError:
        return
    assert key
    assert sum(len(view) for view in members.values()) <= len(damaged)
