"""OmniCorpus and its like: Parquet as it is published, and the same rows as JSON lines."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import InputError
from schemas.rows import Node
from transforms.corpus_omnicorpus import OmniCorpusReader
from transforms.input_rows import BadRow, InputDocument

PAGE = "https://www.example.org/news/1"


def row(**changes: Any) -> dict[str, Any]:
    """A row in the layout of the corpus."""
    measured = {
        "aesthetic_prob": 5.1,
        "bytes": 80_011,
        "d_hash": "5e4c",
        "d_hash_dup_count": 2,
        "height": 480,
        "img_url_sha": "ab12",
        "p_hash": "9f00",
        "p_hash_dup_count": 1,
        "unsafe_prob": 0.01,
        "width": 640,
    }
    full = {
        "general_metadata": {
            "domain": ["example.org"],
            "fluency_prob": 0.9,
            "id": "0003f5ac",
            "non_advertisement_prob": 0.99,
            "politics_prob": 0.0,
            "porn_prob": 0.0,
            "toxic_prob": 0.0,
            "url": PAGE,
        },
        "images": [None, "https://img.example.org/a.jpg", None],
        "texts": ["One.\n \nTwo\nlines.", None, "Three."],
        "metadata": [None, measured, None],
    }
    return full | changes


def read(path: Path, part_bytes: int = 1 << 30) -> list[InputDocument | BadRow]:
    reader = OmniCorpusReader()
    slices = reader.slices(str(path), path.stat().st_size, part_bytes)
    return [item for start, end in slices for item in reader.read(str(path), start, end)]


def parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
    return path


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


EXPECTED = InputDocument(
    key="0",
    url=PAGE,
    nodes=[
        Node("text", "paragraph", "One."),
        Node("text", "paragraph", "Two\nlines."),
        Node("image", "image", image_url="https://img.example.org/a.jpg"),
        Node("text", "paragraph", "Three."),
    ],
    captions=[],
    images=[],
)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="struct"),
        pytest.param({"general_metadata": json.dumps({"url": PAGE, "id": "x"})}, id="string"),
        pytest.param({"general_metadata": None, "url": PAGE}, id="own column"),
    ],
)
def test_row_becomes_document(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert read(parquet(tmp_path / "a.parquet", [row(**changes)])) == [EXPECTED]
    assert read(lines(tmp_path / "a.jsonl", [row(**changes)])) == [EXPECTED]


def test_row_without_page_has_no_url(tmp_path: Path) -> None:
    rows = [{"images": [None], "texts": ["a"]}]
    for path in (parquet(tmp_path / "a.parquet", rows), lines(tmp_path / "a.jsonl", rows)):
        (document,) = read(path)
        assert isinstance(document, InputDocument)
        assert document.url == ""


def test_slices_give_every_row_once(tmp_path: Path) -> None:
    rows = [row(texts=[str(number), None, "x"]) for number in range(9)]
    for path in (parquet(tmp_path / "a.parquet", rows), lines(tmp_path / "a.jsonl", rows)):
        whole = read(path)
        assert [item.nodes[0].text for item in whole if isinstance(item, InputDocument)] == [
            str(number) for number in range(9)
        ]
        assert read(path, 700) == whole


def test_bad_rows_cost_only_themselves(tmp_path: Path) -> None:
    rows = [
        row(),
        row(texts=["a"]),
        row(texts=["a", "b", "c"]),
        row(images=[None, None, None]),
        row(images=[None, "  ", None]),
        row(),
    ]
    for path in (parquet(tmp_path / "a.parquet", rows), lines(tmp_path / "a.jsonl", rows)):
        first, *bad, last = read(path)
        assert isinstance(first, InputDocument)
        assert isinstance(last, InputDocument)
        assert [str(item.error) for item in bad if isinstance(item, BadRow)] == [
            "1 texts and 3 images in parallel lists",
            "position 1 holds both text and image",
            "position 1 holds neither text nor image",
            "an image without a URL",
        ]


def test_broken_general_metadata_is_typed(tmp_path: Path) -> None:
    (bad,) = read(parquet(tmp_path / "a.parquet", [row(general_metadata="{")]))
    assert isinstance(bad, BadRow)
    assert "general_metadata: no JSON" in str(bad.error)


def test_columns_of_another_type_are_typed(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"images": [1, 2], "texts": ["a", "b"]}), path)
    assert [str(item.error)[:16] for item in read(path) if isinstance(item, BadRow)] == [
        "Expected `array`",
        "Expected `array`",
    ]


def test_file_of_another_format_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column texts"):
        read(parquet(tmp_path / "a.parquet", [{"images": ["a"]}]))
    with pytest.raises(InputError, match="no texts"):
        read(lines(tmp_path / "a.jsonl", [{"images": ["a"]}]))


LISTS = st.none() | st.lists(st.none() | st.text(max_size=6), max_size=3)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(LISTS, LISTS, st.none() | st.text(max_size=12))
def test_any_lists_give_a_document_or_a_bad_row(
    tmp_path: Path, texts: list[str | None], images: list[str | None], url: str | None
) -> None:
    path = lines(tmp_path / "a.jsonl", [row(), row(texts=texts, images=images, url=url)])
    first, item = read(path)
    assert isinstance(first, InputDocument)
    if isinstance(item, InputDocument):
        assert sum(node.kind == "image" for node in item.nodes) == sum(
            image is not None for image in images
        )
        json.dumps([node.image_url or node.text for node in item.nodes]).encode("utf-8")
        assert all((node.image_url or node.text or "").encode("utf-8") for node in item.nodes)
