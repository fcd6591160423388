"""Samples of tars: members side by side, whole or not at all."""

import io
import tarfile

import pytest

from transforms import tar_samples
from transforms.input_rows import BadRow
from transforms.tar_samples import Sample, read_samples, sample_name


def make(names: list[str], linked: str = "") -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            if name == linked:
                info.type = tarfile.SYMTYPE
                tar.addfile(info)
            else:
                info.size = len(name)
                tar.addfile(info, io.BytesIO(name.encode()))
    return sink.getvalue()


def read(data: bytes) -> list[Sample | BadRow]:
    return list(read_samples(io.BytesIO(data), lambda suffix: suffix != "npy"))


def outline(found: list[Sample | BadRow]) -> list[object]:
    return [
        (item.key, list(item.members)) if isinstance(item, Sample) else (item.key, str(item.error))
        for item in found
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("000.jpg", ("000", "jpg")),
        ("a/b/000.JPG", ("a/b/000", "jpg")),
        ("a.b/000.00.jpg", ("a.b/000", "00.jpg")),
        ("README", None),
        (".DS_Store", None),
        ("a/._000.jpg", None),
        ("a.b/README", None),
        ("000.", None),
    ],
)
def test_name_splits_at_its_first_dot(name: str, expected: tuple[str, str] | None) -> None:
    assert sample_name(name) == expected


def test_members_of_a_key_make_a_sample() -> None:
    names = ["0.jpg", "0.TXT", "a/0.jpg", "README", "a/0.json", "a/0.npy", ".x.jpg", "1.txt"]
    found = read(make(names))
    assert outline(found) == [("0", ["jpg", "txt"]), ("a/0", ["jpg", "json"]), ("1", ["txt"])]
    assert isinstance(found[1], Sample)
    assert found[1].members["json"] == b"a/0.json"


def test_key_that_comes_again_is_a_bad_row() -> None:
    found = read(make(["0.jpg", "1.jpg", "0.txt", "2.jpg"]))
    assert outline(found) == [
        ("0", ["jpg"]),
        ("1", ["jpg"]),
        ("0", "the members of this key do not stand side by side"),
        ("2", ["jpg"]),
    ]


def test_member_twice_costs_its_sample() -> None:
    found = read(make(["0.jpg", "0.txt", "0.JPG", "1.jpg"]))
    assert outline(found) == [("0", "two members of one name, of suffix jpg"), ("1", ["jpg"])]


def test_link_costs_its_sample() -> None:
    found = read(make(["0.jpg", "0.txt", "1.jpg"], linked="0.txt"))
    assert outline(found) == [
        ("0", "a symbolic link: only files are read"),
        ("1", ["jpg"]),
    ]


def test_damage_costs_the_samples_beside_it() -> None:
    data = bytearray(make(["0.jpg", "1.jpg", "1.txt", "2.jpg", "2.txt", "3.jpg"]))
    data[2 * 1024] ^= 1  # the header of 1.txt
    found = read(bytes(data))
    assert [item.key for item in found if isinstance(item, Sample)] == ["0", "3"]
    assert [item.key for item in found if isinstance(item, BadRow)] == ["1", "2"]


def test_cut_tar_costs_its_last_sample() -> None:
    data = make(["0.jpg", "0.txt", "1.jpg", "1.txt"])
    for end in (3 * 1024, 3 * 1024 + 700, 4 * 1024):
        first, bad = read(data[:end])
        assert (first.key, bad.key) == ("0", "1")
        assert isinstance(bad, BadRow)
    (empty,) = read(b"")
    assert outline([empty]) == [("offset 0", "the tar ends without its end mark")]


def test_bounds_cost_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    data = make(["0.a", "0.b", "0.c", "1.a"])
    monkeypatch.setattr(tar_samples, "MAX_SAMPLE_MEMBERS", 2)
    assert outline(read(data)) == [("0", "more than 2 members in one sample"), ("1", ["a"])]
    monkeypatch.setattr(tar_samples, "MAX_SAMPLE_BYTES", 5)
    assert outline(read(data)) == [("0", "a sample of more than 5 bytes"), ("1", ["a"])]
    monkeypatch.setattr(tar_samples, "MAX_SAMPLES", 1)
    assert outline(read(data))[-1] == ("1", "more than 1 samples in one tar")
