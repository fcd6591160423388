"""Rows of tables and corpora become the tables of a crawl."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from schemas.errors import InputRowError, PageTooLargeError
from schemas.rows import Caption, Document, Locator, Node, Text
from transforms import extract_rows
from transforms.extract import ExtractSettings, InputSlice
from transforms.extract_rows import ExtractRows, RowTables, row_tables
from transforms.input_columns import InputConfig
from transforms.input_rows import (
    BadRow,
    InputCaption,
    InputDocument,
    InputImage,
    RefusedRow,
    Row,
    local_image_url,
)
from transforms.packs import read_images
from transforms.page_limits import ExtractConfig
from transforms.sink import Part, PartSink

SETTINGS = ExtractSettings()
BOAT = "https://img.boats.com/boat.jpg"


def image(url: str = BOAT, **more: Any) -> Node:
    return Node("image", "image", image_url=url, **more)


def text(said: str) -> Node:
    return Node("text", "paragraph", text=said)


def pair(key: str = "1", said: str = "A red boat at the quay", url: str = BOAT) -> InputDocument:
    return InputDocument(key, "", [image(url, alt=said)], [InputCaption(0, said, "table")])


def tables(document: InputDocument, settings: ExtractSettings = SETTINGS) -> RowTables:
    made = row_tables(document, "t.csv", settings)
    assert made is not None
    return made


def captions(document: InputDocument) -> list[tuple[int, str, str]]:
    return [(row.node, row.origin, row.text) for row in tables(document).captions]


def test_a_pair_is_a_document_at_the_site_of_its_image() -> None:
    made = tables(replace(pair(), place=77))
    page = made.page
    assert isinstance(page, Document)
    assert (page.url, page.site, page.charset, page.date) == ("", "boats.com", "", "")
    assert (page.source_file, page.source_offset) == ("t.csv", 77)
    assert [(node.kind, node.image_url) for node in page.nodes] == [("image", BOAT)]
    assert captions(pair()) == [(0, "table", "A red boat at the quay")]


def test_the_caption_is_what_is_scored_where_there_is_no_text() -> None:
    said = "Ein rotes Boot liegt für die Nacht am Kai, während die Fischer müde nach Hause gehen"
    made = tables(pair(said=said))
    assert (made.score.words, made.score.language) == (16, "de")
    assert made.page.language == "de"
    document = InputDocument("1", "", [text("Boats."), image()], [InputCaption(1, said, "table")])
    assert tables(document).score.words == 1


def test_ids_are_of_key_and_content() -> None:
    one = tables(pair()).page
    assert tables(pair()).page == one
    others = [pair(key="2"), pair(said="Another"), pair(url=BOAT + "?2")]
    ids = {tables(other).score.id for other in others} | {tables(pair()).score.id}
    assert len(ids) == 4


def test_a_document_of_a_corpus_keeps_order_and_gets_candidates() -> None:
    nodes = [text("# Boats"), image(alt="A boat"), text("They sail."), image(BOAT + "?2", alt="x")]
    document = InputDocument(
        "1", "HTTP://Page.example:80/a", nodes, [InputCaption(3, " Given\n text ", "alt")]
    )
    made = tables(document)
    assert isinstance(made.page, Document)
    assert (made.page.url, made.page.site) == ("http://page.example/a", "page.example")
    assert captions(document) == [(1, "alt", "A boat"), (3, "alt", "Given text")]
    assert {caption.page_url for caption in made.captions} == {"http://page.example/a"}


def test_flags_are_those_of_any_caption() -> None:
    (caption,) = tables(replace(pair(said="IMG_1234.jpg"))).captions
    assert caption.flags == ["file_name"]
    (caption,) = tables(replace(pair(said="Red boats"), title="Red boats")).captions
    assert caption.flags == ["same_as_title"]


def test_images_that_cannot_be_asked_for_are_no_nodes() -> None:
    nodes = [image("data:image/png;base64,AA"), text("Boats"), text(" "), image(alt="kept")]
    document = InputDocument(
        "1", "", nodes, [InputCaption(0, "gone", "table"), InputCaption(3, "here", "table")]
    )
    made = tables(document)
    assert isinstance(made.page, Document)
    assert [node.kind for node in made.page.nodes] == ["text", "image"]
    assert captions(document) == [(1, "table", "here")]


def test_a_document_without_an_image_is_a_text() -> None:
    page = tables(InputDocument("1", "http://p.example/", [text("One."), text("Two.")])).page
    assert isinstance(page, Text)
    assert page.text == "One.\n\nTwo."


def test_a_document_of_nothing_is_none() -> None:
    assert row_tables(InputDocument("1", "", []), "t", SETTINGS) is None
    assert row_tables(InputDocument("1", "", [image("ftp://x/y")]), "t", SETTINGS) is None


def test_a_page_url_that_is_none_is_left_out() -> None:
    page = tables(replace(pair(), url="javascript:void(0)")).page
    assert (page.url, page.site) == ("", "boats.com")


@pytest.mark.parametrize(
    "document",
    [
        pair(said="half a pair \ud83d"),
        pair(said="a NUL \0"),
        replace(pair(), title="\0"),
        replace(pair(), url="\udcff"),
        InputDocument("1", "", [text("\ud800")]),
        replace(pair(), captions=[InputCaption(1, "x", "table")]),
        replace(pair(), captions=[InputCaption(-1, "x", "table")]),
    ],
    ids=["surrogate", "nul", "title", "url", "text", "beyond", "before"],
)
def test_what_no_table_can_hold_fails(document: InputDocument) -> None:
    with pytest.raises(InputRowError):
        row_tables(document, "t", SETTINGS)


def test_limits_are_those_of_pages() -> None:
    tight = ExtractSettings(page=ExtractConfig(max_nodes=2, max_characters=10))
    assert (
        tables(InputDocument("1", "", [text("12345"), text("123")]), tight).score.characters == 10
    )
    with pytest.raises(PageTooLargeError):
        row_tables(InputDocument("1", "", [text("12345"), text("1234")]), "t", tight)
    with pytest.raises(PageTooLargeError):
        row_tables(InputDocument("1", "", [text("1")] * 3), "t", tight)
    short = ExtractSettings(page=ExtractConfig(max_alt_characters=5))
    assert [row.text for row in tables(pair(said="Red boats"), short).captions] == ["Red b"]


# --- a part


def jpeg(side: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, 20), (200, 40, side)).save(out, "JPEG")
    return out.getvalue()


class _Given:
    """A reader of rows that stand in the test."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows

    def slices(self, url: str, size: int, part_bytes: int) -> list[tuple[int, int | None]]:
        return [(0, None)]

    def read(self, url: str, start: int, end: int | None) -> Iterator[Row]:
        yield from self._rows


def run(rows: list[Row], output: Path, monkeypatch: pytest.MonkeyPatch) -> PartSink:
    monkeypatch.setattr(extract_rows, "make_reader", lambda name, config: _Given(rows))
    part = Part("p", "0", InputSlice("/none", "dir/t.tar", 0, None, "given"))
    with PartSink("extract", str(output), part) as sink:
        ExtractRows(str(output), SETTINGS, InputConfig())(part, sink)
        sink.publish()
    return sink


def table(output: Path, name: str) -> list[dict[str, Any]]:
    (path,) = (output / "tables" / name).iterdir()
    return pq.read_table(path).to_pylist()  # type: ignore[no-any-return]


def test_every_row_is_kept_rejected_or_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[Row] = [
        pair("1"),
        BadRow("2", InputRowError("no JSON")),
        RefusedRow("3", "no_text", BOAT, "a text"),
        pair("4", said="\0"),
        pair("1"),
        InputDocument("5", "", []),
        pair("1", said="The same key, another text"),
        InputDocument("6", "http://p.example/", [text("A text.")]),
    ]
    counts = run(rows, tmp_path, monkeypatch).commit.counts
    assert (counts["rows"].seen, counts["rows"].kept) == (8, 3)
    assert counts["rows"].failed == {"InputRowError": 2}
    assert counts["rows"].rejected == {"no_text": 1, "same_record": 1, "no_content": 1}
    assert (counts["documents"].kept, counts["texts"].kept, counts["captions"].kept) == (2, 1, 2)
    failures = {row["id"]: (row["table"], row["message"]) for row in table(tmp_path, "failures")}
    assert failures["dir/t.tar:2"] == ("rows", "no JSON")
    assert "NUL" in failures["dir/t.tar:4"][1]
    ledger = {row["rule"]: row for row in table(tmp_path, "ledger")}
    assert (ledger["no_text"]["id"], ledger["no_text"]["gate"]) == ("dir/t.tar:3", "record")
    assert len(table(tmp_path, "scores_text")) == 3


def test_images_go_to_packs_and_bad_ones_are_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = local_image_url("t.tar", "0001.jpg")
    good, cut = jpeg(30), jpeg(40)[:-200]
    rows: list[Row] = [
        replace(pair("1", url=local), images=[InputImage(local, good)]),
        replace(pair("2"), images=[InputImage(BOAT, cut)]),
        replace(pair("3", url=BOAT + "?3"), images=[InputImage(BOAT + "?3", b"<html>")]),
        replace(pair("4", url=BOAT + "?4"), images=[InputImage(BOAT + "?4", good)]),
        replace(pair("5", said="\0"), images=[InputImage(BOAT + "?5", good)]),
    ]
    sink = run(rows, tmp_path, monkeypatch)
    counts = sink.commit.counts["image_records"]
    assert (counts.seen, counts.kept) == (4, 2)
    assert counts.failed == {"ImageDecodeError": 1, "NotAnImageError": 1}
    found = {row["image_url"]: row for row in table(tmp_path, "image_records")}
    assert set(found) == {local, BOAT, BOAT + "?3", BOAT + "?4"}
    assert found[BOAT]["outcome"] == "decode_error"
    assert found[local]["width"] == 30
    assert found[local]["payload_digest"] == found[BOAT + "?4"]["payload_digest"]
    (pack,) = sink.commit.packs
    assert found[local]["pack"] == found[BOAT + "?4"]["pack"] == pack
    where = Locator(pack, found[local]["offset"], found[local]["size"])
    assert read_images(str(tmp_path), [where])[where] == good


def test_a_caption_that_is_given_twice_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = replace(pair(), captions=[InputCaption(0, "A boat", "table")] * 2)
    counts = run([twice], tmp_path, monkeypatch).commit.counts["captions"]
    assert (counts.seen, counts.kept, counts.rejected) == (2, 1, {"same_record": 1})
    assert isinstance(tables(twice).captions[0], Caption)
