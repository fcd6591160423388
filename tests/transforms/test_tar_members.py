"""Tars of strangers: every dialect, every damage, and names that want to be paths."""

import gzip
import io
import tarfile
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import hang_guard
from transforms import tar_members
from transforms.tar_members import BadMember, CutShort, Member, read_members

FILES = [("a/000.jpg", b"picture" * 300), ("a/000.txt", b"a caption"), ("b.json", b"{}")]


def make(
    files: Iterable[tuple[str, bytes]] = FILES,
    kind: int = tarfile.USTAR_FORMAT,
    change: Callable[[tarfile.TarInfo], object] = lambda info: None,
) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=kind) as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            change(info)
            tar.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return sink.getvalue()


def read(data: bytes, wants: Callable[[str], bool] = lambda name: True) -> list[Any]:
    return list(read_members(io.BytesIO(data), wants))


def header(**fields: bytes) -> bytes:
    """A header of one member with some fields written by hand, and a right checksum."""
    block = bytearray(make([("x.txt", b"")])[:512])
    places = {"name": (0, 100), "size": (124, 12), "type": (156, 1), "magic": (257, 8)}
    for name, value in fields.items():
        start, length = places[name]
        block[start : start + length] = value.ljust(length, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(records: dict[str, str]) -> bytes:
    return make([("p.txt", b"data")], tarfile.PAX_FORMAT, lambda i: i.pax_headers.update(records))


END = bytes(1024)


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("long", [False, True], ids=["short names", "long names"])
def test_every_dialect_gives_its_members(kind: int, long: bool) -> None:
    folder = "/".join(["folder-é" if kind != tarfile.USTAR_FORMAT else "folder"] * 15)
    files = [(f"{folder}/{name}" if long else name, data) for name, data in FILES]
    found = read(make(files, kind))
    assert [(member.name, member.data) for member in found] == files


def test_old_tar_without_magic_is_read() -> None:
    data = header(magic=b"", size=b"4", type=b"\0") + b"abcd" + bytes(508) + END
    assert read(data) == [Member("x.txt", 0, b"abcd", 4)]


def test_number_in_base_256_is_read() -> None:
    data = header(size=b"\x80" + bytes(9) + b"\x00\x04") + b"abcd" + bytes(508) + END
    assert read(data) == [Member("x.txt", 0, b"abcd", 4)]


def test_compressed_tar_is_read() -> None:
    assert read(gzip.compress(make())) == read(make())


def test_content_that_is_not_wanted_is_passed_over() -> None:
    found = read(make(), lambda name: name.endswith(".txt"))
    assert [member.data for member in found] == [None, b"a caption", None]


def test_tars_joined_end_to_end_are_one() -> None:
    other = make([("c.txt", b"more")])
    assert [member.name for member in read(make() + other)] == [*(n for n, _ in FILES), "c.txt"]


def test_folder_is_no_member() -> None:
    folder = make([("a/", b"")], change=lambda info: setattr(info, "type", tarfile.DIRTYPE))
    assert read(folder) == []
    assert read(header(name=b"a/", magic=b"") + END) == []


BAD_NAMES = {
    "absolute": ("/etc/passwd", "leads out"),
    "parent": ("a/../../b.txt", "leads out"),
    "backslash": ("a\\..\\b.txt", "leads out"),
    "drive": ("C:/b.txt", "leads out"),
    "control": ("a\x1b[2J.txt", "cannot be shown"),
    "line end": ("a\nb.txt", "cannot be shown"),
    "dot": ("./.", "without a name"),
    "long": ("a/" * 600 + "b.txt", "more than 1024"),
}


@pytest.mark.parametrize(("name", "message"), BAD_NAMES.values(), ids=BAD_NAMES)
def test_name_that_is_no_place_in_the_tar_is_typed(name: str, message: str) -> None:
    bad, good = read(make([(name, b"x"), ("good.txt", b"y")], tarfile.GNU_FORMAT))
    assert isinstance(bad, BadMember)
    assert message in str(bad.error)
    assert good.data == b"y"


def test_name_that_is_no_utf8_is_typed() -> None:
    bad, good = read(header(name=b"\xff\xfe.txt") + make([("good.txt", b"y")]))
    assert "no UTF-8" in str(bad.error)
    assert good.data == b"y"


def test_name_with_dots_of_no_meaning_is_cleaned() -> None:
    assert [member.name for member in read(make([("./a//./b.txt", b"")]))] == ["a/b.txt"]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.CHRTYPE, "member of type '3'"),
        (tarfile.FIFOTYPE, "member of type '6'"),
        (tarfile.GNUTYPE_SPARSE, "a sparse file"),
        (b"Q", "member of type 'Q'"),
    ],
)
def test_member_that_is_no_file_is_typed(kind: bytes, message: str) -> None:
    content = b"" if kind in b"123456" else b"1234" + bytes(508)
    data = header(type=kind, size=b"4") + content + make([("good.txt", b"y")])
    bad, good = read(data)
    assert (bad.name, good.data) == ("x.txt", b"y")
    assert message in str(bad.error)


def test_sparse_file_in_pax_is_refused() -> None:
    (bad,) = read(pax({"GNU.sparse.major": "1"}))
    assert "a sparse file" in str(bad.error)


def test_pax_header_overrides_name_and_size() -> None:
    assert read(pax({"path": "b/other.txt"})) == [Member("b/other.txt", 0x400, b"data", 4)]
    assert read(pax({"size": "4"}))[0].data == b"data"


@pytest.mark.parametrize(
    "record", [b"9 path=a\0", b"path=a\n", b"99 path=a\n", b"0 a=\n", b"7 size=\n"]
)
def test_pax_header_that_cannot_be_read_is_typed(record: bytes) -> None:
    size = b"%o" % len(record)
    data = header(type=b"x", size=size) + record.ljust(512, b"\0") + make([("a.txt", b"x")])
    (bad,) = read(data)
    assert "a PAX header" in str(bad.error)


def test_large_extension_is_not_held() -> None:
    data = header(type=b"L", size=b"%o" % (1 << 21)) + bytes(1 << 21) + make([("a.txt", b"x")])
    (bad,) = read(data)
    assert "a tar extension of 2097152 bytes" in str(bad.error)


@pytest.mark.parametrize("end", [700, 1500, 3000, 4000, 4500])
def test_cut_tar_gives_what_was_whole(end: int) -> None:
    *whole, cut = read(make()[:end])
    assert isinstance(cut, CutShort)
    assert whole == read(make())[: len(whole)]
    sizes = [512 + len(data) + -len(data) % 512 for _, data in FILES]
    assert len(whole) == sum(sum(sizes[: n + 1]) <= end for n in range(3))


def test_tar_without_end_mark_is_cut_short() -> None:
    data = make([("a.txt", b"x")])[:1024]
    first, cut = read(data)
    assert first.data == b"x"
    assert "without its end mark" in str(cut.error)
    (empty,) = read(b"")
    assert isinstance(empty, CutShort)


def test_cut_gzip_is_cut_short() -> None:
    files = [(f"{n}.txt", bytes([n]) * 5000) for n in range(50)]
    data = gzip.compress(make(files))
    *whole, cut = read(data[: len(data) // 2])
    assert isinstance(cut, CutShort)
    assert "ends early" in str(cut.error)
    assert [member.name for member in whole] == [name for name, _ in files[: len(whole)]]


def test_damaged_header_costs_its_member() -> None:
    data = bytearray(make())
    second = 512 + 2560
    data[second + 10] ^= 0x55
    first, bad, last = read(bytes(data))
    assert (first.name, last.name) == ("a/000.jpg", "b.json")
    assert isinstance(bad, BadMember)
    assert (bad.name, bad.offset) == (None, second)


@pytest.mark.parametrize("size", [b"hello", b"\xff" * 12, b"-1"])
def test_size_that_is_no_number_is_typed(size: bytes) -> None:
    bad, good = read(header(size=size) + make([("good.txt", b"y")]))
    assert (bad.name, good.name) == (None, "good.txt")


@pytest.mark.parametrize("size", [b"77777777777", b"\x80" + b"\xff" * 11])
def test_size_beyond_the_file_is_cut_short(size: bytes) -> None:
    with hang_guard():
        (cut,) = read(header(size=size) + make())
    assert "ends inside the member at 0" in str(cut.error)


def test_large_member_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_members, "MAX_MEMBER_BYTES", 1000)
    first, second, last = read(make())
    assert "2100 bytes, more than 1000" in str(first.error)
    assert (second.data, last.data) == (b"a caption", b"{}")


@pytest.mark.parametrize("data", [b"no tar at all, " * 1000, b"\x89PNG" * 300])
def test_file_that_is_no_tar_is_one_bad_place(data: bytes) -> None:
    found = read(data)
    assert [(type(item), item.offset) for item in found] == [(BadMember, 0)]


def test_many_tiny_members_take_linear_time() -> None:
    data = header() * 100_000 + END
    with hang_guard():
        assert len(read(data)) == 100_000


SOUND = make([*FILES, ("n" * 120 + ".txt", b"long")], tarfile.PAX_FORMAT) + make(
    [("m" * 120 + ".txt", b"long")], tarfile.GNU_FORMAT
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.binary(max_size=12)), max_size=6),
    st.integers(0, len(SOUND)),
    st.booleans(),
)
def test_changed_bytes_never_crash(
    changes: list[tuple[int, bytes]], end: int, repair: bool
) -> None:
    data = bytearray(SOUND)
    for position, new in changes:
        data[position : position + len(new)] = new
    if repair:  # a right checksum lets the change through
        for at in range(0, len(data) - 511, 512):
            if data[at + 257 : at + 262] == b"ustar":
                data[at + 148 : at + 156] = b" " * 8
                data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    for item in read(bytes(data[:end])):
        assert isinstance(item, Member | BadMember | CutShort)
