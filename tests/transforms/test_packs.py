import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ImageMissingError
from schemas.rows import Locator
from transforms import storage
from transforms.packs import PackWriter, coalesce, packs_url, read_images, tar_header


def write(output: str, images: list[tuple[str, bytes]], max_bytes: int = 10**6) -> list[Locator]:
    with PackWriter(output, max_bytes) as packs:
        slots = [packs.add(key, "jpeg", data) for key, data in images]
        names = packs.close()
    return [Locator(names[slot.pack], slot.offset, slot.size) for slot in slots]


@pytest.mark.parametrize("scheme", ["local", "memory"])
def test_pack_gives_back_the_same_bytes(scheme: str, tmp_path: Path) -> None:
    output = str(tmp_path) if scheme == "local" else "memory://packs-test"
    images = [(f"{number:032x}", bytes([number]) * (number * 700 + 1)) for number in range(20)]
    locators = write(output, images, max_bytes=20_000)
    assert len({locator.pack for locator in locators}) > 1, "the size limit must start new packs"
    found = read_images(output, locators)
    assert [found[locator] for locator in locators] == [data for _, data in images]


def test_pack_is_a_tar_named_by_the_headers_of_its_members(tmp_path: Path) -> None:
    (locator, *_) = write(str(tmp_path), [("a" * 32, b"one"), ("b" * 32, b"two")])
    data = storage.read_bytes(f"{packs_url(str(tmp_path))}/{locator.pack}")
    assert data is not None
    # Keys are hashes of the content, so headers tell which content it is.
    headers = data[:512] + data[1024:1536]
    assert locator.pack == hashlib.sha256(headers).hexdigest()[:32] + ".tar"
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames() == ["a" * 32 + ".jpeg", "b" * 32 + ".jpeg"]
        assert {member.mtime for member in tar} == {0}
        assert tar.extractfile("b" * 32 + ".jpeg").read() == b"two"  # type: ignore[union-attr]


def test_pack_writes_the_same_key_once(tmp_path: Path) -> None:
    first, second = write(str(tmp_path), [("a" * 32, b"one"), ("a" * 32, b"one")])
    assert first == second


def test_pack_that_is_not_closed_publishes_nothing(tmp_path: Path) -> None:
    with PackWriter(str(tmp_path), 1000) as packs:
        packs.add("a" * 32, "jpeg", b"data")
    assert storage.list_names(packs_url(str(tmp_path))) == []
    assert storage.list_names(str(tmp_path / "tmp")) == []


def test_lost_and_short_packs_give_errors_beside_good_images(tmp_path: Path) -> None:
    good, bad = write(str(tmp_path), [("a" * 32, b"x" * 900), ("b" * 32, b"y" * 900)], 1000)
    pack = tmp_path / "packs" / bad.pack
    pack.write_bytes(pack.read_bytes()[:600])
    lost = Locator("none.tar", 512, 3)
    found = read_images(str(tmp_path), [good, bad, lost])
    assert found[good] == b"x" * 900
    assert isinstance(found[bad], ImageMissingError)
    assert "cut short" in str(found[bad])
    assert isinstance(found[lost], ImageMissingError)
    assert "none.tar" in str(found[lost])


@given(
    st.lists(st.tuples(st.sampled_from("pq"), st.integers(0, 5000), st.integers(1, 900))),
    st.integers(0, 600),
    st.integers(1, 3000),
)
def test_coalesced_spans_hold_every_range(
    ranges: list[tuple[str, int, int]], gap: int, span: int
) -> None:
    locators = [Locator(*item) for item in ranges]
    spans = coalesce(locators, gap, span)
    held = [locator for item in spans for locator in item.locators]
    assert sorted(held, key=repr) == sorted(set(locators), key=repr), "each range once"
    for item in spans:
        assert len(item.locators) == 1 or item.end - item.start <= span
        for locator in item.locators:
            assert locator.pack == item.pack
            assert item.start <= locator.offset
            assert locator.offset + locator.size <= item.end


@pytest.mark.parametrize("name", ["a.jpg", "k" * 32 + ".webp", "x" * 100, "ü" * 50, "d/" * 70])
@pytest.mark.parametrize("size", [0, 1, 511, 10**6, 8**11 - 1])
def test_tar_headers_are_those_of_the_standard_library(name: str, size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    assert tar_header(name, size) == info.tobuf(format=tarfile.USTAR_FORMAT)
