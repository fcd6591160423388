"""OBELICS: rows as the corpus publishes them, and rows that are broken."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import InputError
from schemas.rows import Node
from transforms.corpus_obelics import END_OF_DOCUMENT, ObelicsReader
from transforms.input_rows import BadRow, InputDocument

SCHEMA = pa.schema(
    {
        "images": pa.list_(pa.string()),
        "metadata": pa.string(),
        "general_metadata": pa.string(),
        "texts": pa.list_(pa.string()),
    }
)
PAGE = "https://lamborghini.example.com/forum/news.728/"
PICTURE = "https://cdn.example.com/images/urus.jpg"


def described(src: str, **more: object) -> dict[str, object]:
    return {
        "document_url": PAGE,
        "unformatted_src": src,
        "src": src,
        "formatted_filename": "urus",
        "original_width": 1920,
        "original_height": 1080,
        "format": "jpeg",
        **more,
    }


def row(**changes: Any) -> dict[str, Any]:
    """A row in the layout of the corpus."""
    images = ["https://b.example.com/1.png", None, PICTURE, None]
    texts = [None, f"First line\nsecond\n\nSecond para.\n\n{END_OF_DOCUMENT}\n\nNext", None, "End."]
    metadata = [
        described("https://b.example.com/1.png", rendered_width=300, rendered_height=200),
        None,
        described(PICTURE, alt_text="VW Group  offer"),
        None,
    ]
    general = {
        "url": PAGE,
        "warc_filename": "crawl-data/CC-MAIN-2021-43/segments/1634323585204.68/warc/"
        "CC-MAIN-20211018032424-20211018062424-00511.warc.gz",
        "warc_record_offset": 322560850,
        "warc_record_length": 17143,
    }
    full = {
        "images": images,
        "metadata": json.dumps(metadata),
        "general_metadata": json.dumps(general),
        "texts": texts,
    }
    return full | changes


def write(
    path: Path, rows: list[dict[str, Any]], schema: pa.Schema = SCHEMA, group: int = 3
) -> str:
    pq.write_table(pa.Table.from_pylist(rows, schema), path, row_group_size=group)
    return str(path)


def read(url: str, part_bytes: int = 1 << 30) -> list[InputDocument | BadRow]:
    reader = ObelicsReader()
    size = Path(url).stat().st_size
    return [
        item
        for start, end in reader.slices(url, size, part_bytes)
        for item in reader.read(url, start, end)
    ]


def test_row_becomes_document(tmp_path: Path) -> None:
    (document,) = read(write(tmp_path / "a.parquet", [row()]))
    assert document == InputDocument(
        key="0",
        url=PAGE,
        nodes=[
            Node(
                "image",
                "image",
                image_url="https://b.example.com/1.png",
                declared_width=300,
                declared_height=200,
            ),
            Node("text", "paragraph", "First line\nsecond"),
            Node("text", "paragraph", "Second para."),
            Node("text", "paragraph", "Next"),
            Node("image", "image", image_url=PICTURE, alt="VW Group offer"),
            Node("text", "paragraph", "End."),
        ],
        captions=[],
        images=[],
        date="2021-10-18T03:24:24Z",
    )


def test_slices_give_every_row_once(tmp_path: Path) -> None:
    url = write(tmp_path / "a.parquet", [row(texts=[None, str(n), None, "x"]) for n in range(20)])
    whole = read(url)
    assert [item.key for item in whole] == [str(n) for n in range(20)]
    size = Path(url).stat().st_size
    bounds = ObelicsReader().slices(url, size, 1)
    assert bounds == [(n, n + 1) for n in range(7)]
    assert read(url, 1) == read(url, size // 3) == whole


def test_metadata_may_be_absent(tmp_path: Path) -> None:
    url = write(tmp_path / "a.parquet", [row(metadata=None)])
    (document,) = read(url)
    assert isinstance(document, InputDocument)
    assert document.nodes[0].declared_width is None
    without = pq.read_table(url).drop_columns(["metadata"])
    pq.write_table(without, tmp_path / "b.parquet")
    assert read(str(tmp_path / "b.parquet")) == [document]


def test_address_that_is_none_keeps_its_place(tmp_path: Path) -> None:
    images = ["data:image/png;base64,AAAA", None, "../x.jpg", None]
    (document,) = read(write(tmp_path / "a.parquet", [row(images=images)]))
    assert isinstance(document, InputDocument)
    urls = [node.image_url for node in document.nodes if node.kind == "image"]
    assert urls == [
        "data:image/png;base64,AAAA",
        "https://lamborghini.example.com/forum/x.jpg",
    ]


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "lengths differ": ({"texts": [None, "a"]}, "2 texts and 4 images"),
    "neither": ({"images": [PICTURE, None, None, None]}, "position 2 holds neither"),
    "both": ({"texts": ["a", "b", None, "c"]}, "position 0 holds both"),
    "no list": ({"texts": None}, r"Expected `array`, got `null` - at `\$.texts`"),
    "broken metadata": ({"metadata": '[{"src": '}, "metadata: no JSON"),
    "metadata of another type": ({"metadata": "{}"}, "metadata: Expected `array`"),
    "metadata too short": ({"metadata": "[null]"}, "metadata: 1 entries beside 4"),
    "alt of another type": ({"metadata": '[{"alt_text": 3},null,null,null]'}, "Expected `str"),
    "no general metadata": ({"general_metadata": None}, "general_metadata: Expected `object`"),
    "general metadata without URL": ({"general_metadata": "{}"}, "general_metadata: .* `url`"),
    "image without URL": ({"images": ["", None, PICTURE, None]}, "an image without a URL"),
    "too much text": ({"texts": [None, "a" * 5_000_001, None, "b"]}, "characters of text"),
    "too many nodes": ({"texts": [None, "a\n\n" * 50_001, None, "b"]}, "more than 50000 nodes"),
}


@pytest.mark.parametrize(("changes", "message"), BROKEN.values(), ids=BROKEN)
def test_bad_row_costs_only_itself(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    first, bad, last = read(write(tmp_path / "a.parquet", [row(), row(**changes), row()]))
    assert isinstance(first, InputDocument)
    assert isinstance(last, InputDocument)
    assert isinstance(bad, BadRow)
    assert (bad.key, bad.error.error) == ("1", "InputRowError")
    with pytest.raises(type(bad.error), match=message):
        raise bad.error


def test_file_of_another_format_is_the_users_mistake(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"url": ["a"], "caption": ["b"]}), path)
    with pytest.raises(InputError, match="no column images, texts, general_metadata; it has url"):
        ObelicsReader().slices(str(path), 1, 1)
    with pytest.raises(InputError, match=r"a\.parquet"):
        list(ObelicsReader().read(str(path), 0, None))
