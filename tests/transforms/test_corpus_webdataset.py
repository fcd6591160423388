"""Tars of pairs, as img2dataset writes them."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from schemas.rows import Node
from transforms.corpus_webdataset import WebDatasetReader
from transforms.input_rows import (
    LOCAL_IMAGE_HOST,
    BadRow,
    InputCaption,
    InputDocument,
    InputImage,
    local_image_url,
)
from transforms.urls import normalize_url


def picture(form: str = "JPEG", colour: str = "red") -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (32, 24), colour).save(sink, form)
    return sink.getvalue()


def about(key: str, **changes: object) -> dict[str, object]:
    """The `.json` of a pair as img2dataset writes it."""
    data = picture()
    full = {
        "url": f"http://img.example.com/{key}.jpg",
        "caption": f"caption of {key}",
        "key": key,
        "status": "success",
        "error_message": None,
        "width": 32,
        "height": 24,
        "original_width": 640,
        "original_height": 480,
        "exif": "{}",
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    return full | changes


def tar(path: Path, members: list[tuple[str, bytes | str | dict[str, Any]]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            data = json.dumps(content) if isinstance(content, dict) else content
            data = data.encode() if isinstance(data, str) else data
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def pair(key: str, form: str = "jpg", **changes: object) -> list[tuple[str, Any]]:
    return [
        (f"{key}.{form}", picture({"jpg": "JPEG"}.get(form, form.upper()))),
        (f"{key}.json", about(key, **changes)),
        (f"{key}.txt", f"caption of {key}"),
    ]


def read(path: Path) -> list[InputDocument | BadRow]:
    reader = WebDatasetReader()
    ((start, end),) = reader.slices(str(path), path.stat().st_size, 10)
    return list(reader.read(str(path), start, end))


@pytest.mark.parametrize("form", ["jpg", "png", "webp"])
def test_pair_becomes_document(tmp_path: Path, form: str) -> None:
    members = pair("000000000", form)
    url = "http://img.example.com/000000000.jpg"
    (document,) = read(tar(tmp_path / "000000.tar", members))
    assert document == InputDocument(
        key="000000000",
        url="",
        nodes=[Node("image", "image", image_url=url)],
        captions=[InputCaption(0, "caption of 000000000", "table")],
        images=[InputImage(url, members[0][1])],
    )


def test_caption_that_differs_is_kept_too(tmp_path: Path) -> None:
    members = pair("0", caption="the  alt text")
    (document,) = read(tar(tmp_path / "0.tar", members))
    assert isinstance(document, InputDocument)
    assert [caption.text for caption in document.captions] == ["caption of 0", "the alt text"]


def test_image_without_url_is_named_by_its_bytes(tmp_path: Path) -> None:
    data = picture()
    members = [("a/0.jpg", data), ("a/0.txt", "one"), ("b/7.jpg", data), ("c.jpg", picture("PNG"))]
    one, two, three = read(tar(tmp_path / "0.tar", members))
    for document in (one, two, three):
        assert isinstance(document, InputDocument)
        (node,) = document.nodes
        assert node.image_url == document.images[0].url == normalize_url(document.images[0].url)
        assert document.images[0].url.startswith(f"https://{LOCAL_IMAGE_HOST}/")
    assert isinstance(one, InputDocument)
    assert isinstance(two, InputDocument)
    assert isinstance(three, InputDocument)
    assert one.images == two.images != three.images
    assert (one.key, two.key, three.captions) == ("a/0", "b/7", [])
    expected = local_image_url("sha256", hashlib.sha256(data).hexdigest())
    assert one.images == [InputImage(expected, data)]


def test_pair_without_image_is_to_be_fetched(tmp_path: Path) -> None:
    failed = about("1", status="failed_to_download", error_message="HTTP Error 404", sha256=None)
    (document,) = read(tar(tmp_path / "0.tar", [("1.json", failed), ("1.txt", "a caption")]))
    assert isinstance(document, InputDocument)
    assert document.nodes[0].image_url == "http://img.example.com/1.jpg"
    assert document.images == []
    assert [caption.text for caption in document.captions] == ["a caption", "caption of 1"]


BROKEN: dict[str, tuple[list[tuple[str, Any]], str]] = {
    "only a text": ([("1.txt", "a")], "neither an image nor a URL"),
    "no URL and no image": ([("1.json", about("1", url="data:x"))], "neither an image nor a URL"),
    "broken JSON": ([("1.jpg", picture()), ("1.json", "{")], "json: no JSON"),
    "caption of another type": ([("1.json", about("1", caption=3))], "json: Expected `str"),
    "text not UTF-8": ([("1.jpg", picture()), ("1.txt", b"a\xff")], "no UTF-8"),
    "no bytes": ([("1.jpg", b""), ("1.txt", "a")], "an image of no bytes"),
    "two images": ([("1.jpg", picture()), ("1.png", picture())], "several images in one pair"),
    "long text": ([("1.jpg", picture()), ("1.txt", "a" * 5_000_001)], "more than 5000000"),
}


@pytest.mark.parametrize(("members", "message"), BROKEN.values(), ids=BROKEN)
def test_bad_pair_costs_only_itself(
    tmp_path: Path, members: list[tuple[str, Any]], message: str
) -> None:
    path = tar(tmp_path / "0.tar", [*pair("0"), *members, *pair("2")])
    first, bad, last = read(path)
    assert isinstance(first, InputDocument)
    assert isinstance(last, InputDocument)
    assert isinstance(bad, BadRow)
    assert bad.key == "1"
    assert message in str(bad.error)


def test_cut_tar_gives_its_whole_pairs(tmp_path: Path) -> None:
    path = tar(tmp_path / "0.tar", [member for n in range(5) for member in pair(str(n))])
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"3.txt")])
    found = read(path)
    assert [type(item) for item in found] == [InputDocument] * 3 + [BadRow]
    assert found[-1].key == "3"
