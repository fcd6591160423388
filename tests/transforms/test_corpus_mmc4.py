"""MMC4: rows as the project publishes them, plain, compressed and zipped."""

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import InputError
from schemas.rows import Node
from transforms import corpus_mmc4
from transforms.corpus_mmc4 import Mmc4Reader
from transforms.input_rows import BadRow, InputDocument

PAGE = "http://www.example.com/honda-fit/"


def image(name: str, index: int, **more: object) -> dict[str, object]:
    return {
        "face_detections": None,
        "image_name": f"{name}.jpg",
        "matched_sim": 0.27694183588027954,
        "matched_text_index": index,
        "raw_url": f"http://pics.example.com/{name}.jpg",
        **more,
    }


def row(**changes: Any) -> dict[str, Any]:
    """A row in the layout of the corpus."""
    full = {
        "text_list": ["When you lock the door ", "press once.", "", "Twice  opens it."],
        "image_info": [image("b", 3), image("a", 0), image("c", 3), image("d", 2)],
        "similarity_matrix": [[0.24, 0.22, 0.0, 0.27]] * 4,
        "url": PAGE,
        "could_have_url_duplicate": 0,
    }
    return full | changes


def dump(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def read(path: Path, part_bytes: int = 1 << 30) -> list[InputDocument | BadRow]:
    reader = Mmc4Reader()
    slices = reader.slices(str(path), path.stat().st_size, part_bytes)
    return [item for start, end in slices for item in reader.read(str(path), start, end)]


def zipped(members: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return sink.getvalue()


def test_image_stands_before_its_sentence(tmp_path: Path) -> None:
    path = tmp_path / "docs.jsonl"
    path.write_bytes(dump([row()]))
    (document,) = read(path)

    def picture(name: str) -> Node:
        return Node("image", "image", image_url=f"http://pics.example.com/{name}.jpg")

    assert document == InputDocument(
        key="0",
        url=PAGE,
        nodes=[
            picture("a"),
            Node("text", "paragraph", "When you lock the door"),
            Node("text", "paragraph", "press once."),
            picture("d"),
            picture("b"),
            picture("c"),
            Node("text", "paragraph", "Twice opens it."),
        ],
        captions=[],
        images=[],
    )


NAME = "docs_no_face_shard_0_v2.jsonl"


def test_every_packing_gives_the_same(tmp_path: Path) -> None:
    data = dump([row(url=f"{PAGE}{number}") for number in range(30)])
    plain = tmp_path / NAME
    plain.write_bytes(data)
    expected = read(plain)
    assert [item.url for item in expected if isinstance(item, InputDocument)] == [
        f"{PAGE}{number}" for number in range(30)
    ]
    assert read(plain, 1000) == expected
    packed = tmp_path / f"{NAME}.gz"
    packed.write_bytes(gzip.compress(data))
    assert read(packed, 100) == expected
    archive = tmp_path / f"{NAME}.zip"
    archive.write_bytes(zipped({NAME: data, f"__MACOSX/._{NAME}": b"x", "notes.txt": b"y"}))
    assert read(archive, 100) == expected
    archive.rename(plain)  # under a name that says it could be cut
    assert read(plain, 100) == expected


def test_keys_of_several_members_differ(tmp_path: Path) -> None:
    path = tmp_path / "docs.zip"
    path.write_bytes(zipped({"a.jsonl": dump([row()]), "b.jsonl": dump([row()]) + b"{\n"}))
    assert [item.key for item in read(path)] == ["0:0", "1:0", f"1:{len(dump([row()]))}"]


BROKEN: dict[str, tuple[bytes, str]] = {
    "no JSON": (b'{"text_list": [', "no JSON"),
    "not UTF-8": (b'{"text_list":["\xff"]}', "no JSON"),
    "no object": (b"[1]", "Expected `object`"),
    "no sentences": (dump([{"image_info": []}]), "`text_list`"),
    "sentence of another type": (dump([row(text_list=["a", 3])]), r"\$\.text_list\[1\]"),
    "image without URL": (dump([row(image_info=[image("a", 0, raw_url=" ")])]), "without a URL"),
    "image without sentence": (dump([row(image_info=[image("a", 4)])]), "sentence 4 of 4"),
    "image before all": (dump([row(image_info=[image("a", -1)])]), "sentence -1 of 4"),
    "index of another type": (dump([row(image_info=[{"raw_url": "x"}])]), "matched_text_index"),
    "too many": (dump([row(text_list=["a"] * 50_001)]), "more than 50000 nodes"),
}


@pytest.mark.parametrize(("line", "message"), BROKEN.values(), ids=BROKEN)
def test_bad_row_costs_only_itself(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "docs.jsonl"
    path.write_bytes(dump([row()]) + line.rstrip() + b"\n" + dump([row()]))
    first, bad, last = read(path)
    assert isinstance(first, InputDocument)
    assert isinstance(last, InputDocument)
    assert isinstance(bad, BadRow)
    assert bad.key == str(len(dump([row()])))
    with pytest.raises(type(bad.error), match=message):
        raise bad.error


def test_numbers_that_are_none_are_read(tmp_path: Path) -> None:
    path = tmp_path / "docs.jsonl"
    path.write_bytes(dump([row(similarity_matrix=[[float("nan")]])]))
    (document,) = read(path)
    assert isinstance(document, InputDocument)


def test_file_of_another_format_is_the_users_mistake(tmp_path: Path) -> None:
    path = tmp_path / "docs.jsonl"
    path.write_bytes(dump([{"url": "a", "text_list": []}] * 3))
    with pytest.raises(InputError, match=r"docs\.jsonl: its rows have no image_info"):
        read(path)
    path.write_bytes(dump([{"url": "a"}] * 3 + [row()]))
    assert [type(item) for item in read(path)] == [BadRow] * 3 + [InputDocument]
    path.write_bytes(dump([{"url": "a"}] * 200 + [row()]))
    with pytest.raises(InputError, match="no text_list, image_info"):
        read(path)


BAD_ZIPS = {
    "cut": (zipped({NAME: dump([row()])})[:-30], "no zip that can be read"),
    "without lines": (zipped({"a.txt": b"x"}), "a zip without a .jsonl"),
    "encrypted": (
        zipped({NAME: b"x"}).replace(
            b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"
        ),
        "encrypted",
    ),
}


@pytest.mark.parametrize(("data", "message"), BAD_ZIPS.values(), ids=BAD_ZIPS)
def test_zip_that_cannot_be_read_is_one_bad_row(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "docs.zip"
    path.write_bytes(data)
    (bad,) = read(path)
    assert isinstance(bad, BadRow)
    assert message in str(bad.error)


def test_zip_with_a_large_directory_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "docs.zip"
    path.write_bytes(zipped({NAME: dump([row()])} | {f"{n}.txt": b"" for n in range(2000)}))
    assert len(read(path)) == 1
    monkeypatch.setattr(corpus_mmc4, "MAX_ZIP_DIRECTORY_BYTES", 90_000)
    (bad,) = read(path)
    assert isinstance(bad, BadRow)
    assert "a directory of 90001 bytes or more" in str(bad.error)


def test_damage_inside_a_zip_is_told_behind_its_rows(tmp_path: Path) -> None:
    rows = dump([row(url=f"{PAGE}{number * 7919 % 10007}") for number in range(3000)])
    data = bytearray(zipped({NAME: rows}))
    data[len(data) // 2] ^= 0xFF
    path = tmp_path / "docs.zip"
    path.write_bytes(data)
    found = read(path)
    assert isinstance(found[-1], BadRow)
    assert "the zip is damaged" in str(found[-1].error)
    assert sum(isinstance(item, InputDocument) for item in found) > 500


SOUND = zipped({NAME: dump([row(), row()])})


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), max_size=4),
    st.integers(0, len(SOUND)),
)
def test_changed_zip_never_crashes(
    tmp_path: Path, changes: list[tuple[int, int]], end: int
) -> None:
    data = bytearray(SOUND)
    for position, value in changes:
        data[position] = value
    path = tmp_path / "docs.zip"
    for kept in (data, data[:end]):
        path.write_bytes(kept)
        assert all(isinstance(item, InputDocument | BadRow) for item in read(path))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 5) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(st.sampled_from(["text_list", "image_info", "url"]), JSON))
def test_changed_row_never_crashes(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "docs.jsonl"
    path.write_bytes(dump([row(), row(**changes), row(image_info=[changes])]))
    first, *others = read(path)
    assert isinstance(first, InputDocument)
    assert len(others) == 2
