"""MINT-1T: the HTML part as Parquet and as tars, the PDF part with its pictures in a TIFF."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from schemas.errors import ImageDecodeError
from schemas.rows import Node
from transforms.corpus_mint import MintReader
from transforms.corpus_webdataset import image_url_of
from transforms.input_rows import BadRow, InputDocument, InputImage

KEY = "ef8e1a893ecf4e089f2358ab3ad0e87b"
PAGE = "https://example.org/report.pdf"


def frame(colour: str, mode: str = "RGB") -> Image.Image:
    return Image.new("RGB", (40, 30), colour).convert(mode)


def tiff(*frames: Image.Image, compression: str = "raw") -> bytes:
    sink = io.BytesIO()
    frames[0].save(sink, "TIFF", save_all=True, append_images=frames[1:], compression=compression)
    return sink.getvalue()


def png(picture: Image.Image) -> bytes:
    sink = io.BytesIO()
    picture.save(sink, "PNG")
    return sink.getvalue()


def pdf(**changes: Any) -> dict[str, Any]:
    """The `.json` of a sample in the layout of the PDF part."""
    full = {
        "bff_contained_ngram_count_before_dedupe": 29,
        "image_metadata": [
            {"height": 30, "page": 0, "sha256": "036f", "width": 40, "xref": 85},
            {"height": 30, "page": 2, "sha256": "04aa", "width": 40, "xref": 12},
        ],
        "images": ["page_0_image_85", None, "page_2_image_12"],
        "language_id_whole_page_fasttext": {"en": 0.8},
        "previous_word_count": 3031,
        "texts": [None, "First page.\n\nSecond page.", None],
        "url": PAGE,
    }
    return full | changes


def html(**changes: Any) -> dict[str, Any]:
    """A row in the layout of the HTML part."""
    full = {
        "url": "http://www.example.org/blog/",
        "texts": ["Some text.", None],
        "images": [None, "http://img.example.org/a.jpg"],
        "language_id_whole_page_fasttext": {"en": 0.9},
        "bff_contained_ngram_count_before_dedupe": 0,
        "previous_word_count": 120,
    }
    return full | changes


def tar(path: Path, members: list[tuple[str, Any]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            data = json.dumps(content).encode() if isinstance(content, dict) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def read(path: Path) -> list[InputDocument | BadRow]:
    reader = MintReader()
    slices = reader.slices(str(path), path.stat().st_size, 1 << 20)
    return [item for start, end in slices for item in reader.read(str(path), start, end)]


def only_document(path: Path) -> InputDocument:
    (document,) = read(path)
    assert isinstance(document, InputDocument)
    return document


def test_frames_of_a_pdf_stand_where_they_are_named(tmp_path: Path) -> None:
    data = tiff(frame("red"), frame("blue"))
    document = only_document(
        tar(tmp_path / "0.tar", [(f"{KEY}.json", pdf()), (f"{KEY}.tiff", data)])
    )
    assert (document.key, document.url) == (KEY, PAGE)
    kinds = [node.text or node.image_url for node in document.nodes]
    assert kinds == [document.images[0].url, "First page.", "Second page.", document.images[1].url]
    pixels = [Image.open(io.BytesIO(image.data)) for image in document.images]
    assert [(each.format, each.getpixel((0, 0))) for each in pixels] == [
        ("TIFF", (255, 0, 0)),
        ("TIFF", (0, 0, 255)),
    ]
    assert [image.url for image in document.images] == [
        image_url_of(image.data) for image in document.images
    ]


def test_single_frame_is_kept_as_it_is(tmp_path: Path) -> None:
    data = tiff(frame("red"))
    row = pdf(images=["page_0_image_85"], texts=[None])
    document = only_document(tar(tmp_path / "0.tar", [("a.json", row), ("a.tiff", data)]))
    assert document.images == [InputImage(image_url_of(data), data)]


def test_same_picture_twice_is_held_once(tmp_path: Path) -> None:
    data = tiff(frame("red"), frame("red"))
    document = only_document(tar(tmp_path / "0.tar", [("a.json", pdf()), ("a.tiff", data)]))
    assert len(document.images) == 1
    assert sum(node.kind == "image" for node in document.nodes) == 2


def test_single_files_are_matched_by_name_else_in_order(tmp_path: Path) -> None:
    red, blue = png(frame("red")), png(frame("blue"))
    named = [("a.json", pdf()), ("a.page_2_image_12.png", blue), ("a.page_0_image_85.png", red)]
    in_order = [("b.json", pdf()), ("b.00.png", red), ("b.01.png", blue)]
    for item in read(tar(tmp_path / "0.tar", named + in_order)):
        assert isinstance(item, InputDocument)
        assert [image.data for image in item.images] == [red, blue]


@pytest.mark.parametrize("form", ["parquet", "tar", "jsonl"])
def test_html_names_what_is_to_be_fetched(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"a.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist([html()]), path)
    elif form == "tar":
        tar(path, [("0.json", html())])
    else:
        path.write_text(json.dumps(html()))
    assert only_document(path) == InputDocument(
        key="0",
        url="http://www.example.org/blog/",
        nodes=[
            Node("text", "paragraph", "Some text."),
            Node("image", "image", image_url="http://img.example.org/a.jpg"),
        ],
        captions=[],
        images=[],
    )


def test_html_with_its_files_keeps_its_urls(tmp_path: Path) -> None:
    data = png(frame("red"))
    document = only_document(tar(tmp_path / "0.tar", [("0.json", html()), ("0.jpg", data)]))
    assert document.images == [InputImage("http://img.example.org/a.jpg", data)]


BROKEN: dict[str, tuple[list[tuple[str, Any]], str]] = {
    "no json": ([("1.tiff", tiff(frame("red")))], "a sample without a .json"),
    "broken json": ([("1.json", b"{")], "no JSON"),
    "lists differ": ([("1.json", pdf(texts=[]))], "0 texts and 3 images"),
    "no pictures": ([("1.json", pdf())], "'page_0_image_85' is no URL, and not in the tar"),
    "too few": ([("1.json", pdf()), ("1.tiff", tiff(frame("red")))], "2 images are named and 1"),
    "too many": ([("1.json", html()), ("1.tiff", tiff(frame("red"), frame("red")))], "and 2 are"),
    "none named": (
        [("1.json", html(texts=["a", "b"], images=[None, None])), ("1.jpg", b"x")],
        "0 images are",
    ),
}


@pytest.mark.parametrize(("members", "message"), BROKEN.values(), ids=BROKEN)
def test_bad_sample_costs_only_itself(
    tmp_path: Path, members: list[tuple[str, Any]], message: str
) -> None:
    path = tar(tmp_path / "0.tar", [("0.json", html()), *members, ("2.json", html())])
    first, bad, last = read(path)
    assert isinstance(first, InputDocument)
    assert isinstance(last, InputDocument)
    assert isinstance(bad, BadRow)
    assert message in str(bad.error)


def test_tiff_that_cannot_be_split_is_typed(tmp_path: Path) -> None:
    data = tiff(frame("red"), frame("blue"))
    (bad,) = read(tar(tmp_path / "0.tar", [("1.json", pdf()), ("1.tiff", data[:-8])]))
    assert isinstance(bad, BadRow)
    assert isinstance(bad.error, ImageDecodeError)


NAMES = st.sampled_from(["texts", "images", "url", "general_metadata"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 5) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(NAMES, VALUES), st.booleans())
def test_changed_row_never_crashes(
    tmp_path: Path, changes: dict[str, Any], has_pictures: bool
) -> None:
    pictures = [("0.tiff", tiff(frame("red"), frame("blue")))] if has_pictures else []
    path = tar(tmp_path / "0.tar", [("0.json", pdf(**changes)), *pictures, ("1.json", html())])
    item, last = read(path)
    assert isinstance(item, InputDocument | BadRow)
    assert isinstance(last, InputDocument)
