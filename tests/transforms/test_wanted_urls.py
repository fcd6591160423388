"""Wanted: used and unanswered, in the bucket of their registered domain."""

from pathlib import Path

import pyarrow as pa

from schemas.fetch_rows import WantedUrl
from schemas.rows import Image, ImageRef
from schemas.tables import schema_of, to_batch
from transforms.input_rows import local_image_url
from transforms.sink import Part, PartSink
from transforms.table_files import read_table
from transforms.wanted_urls import (
    AnswerFiles,
    EmitWanted,
    bucket_names,
    commit_wanted,
    site_bucket,
)


def answer(url: str, outcome: str) -> Image:
    facts = dict.fromkeys(schema_of(Image).names)
    return Image(**(facts | {"image_url": url, "outcome": outcome, "attempt": 1}))


def test_used_urls_without_an_answer_are_wanted_by_domain(tmp_path: Path) -> None:
    urls = [
        "http://a.example.org/ok.png", "http://a.example.org/broken.png",
        "http://a.example.org/again.png", "http://b.example.org:8080/new.png",
        "https://example.com/new.png", local_image_url("a.tar", "0.jpg"),
    ]  # fmt: skip
    answers = [
        answer(urls[0], "ok"), answer(urls[1], "decode_error"), answer(urls[2], "revisit_missing")
    ]  # fmt: skip
    with PartSink("refs", str(tmp_path), Part("images-00000", "f")) as sink:
        sink.write("image_refs", to_batch([ImageRef(url, 1, 1) for url in urls], ImageRef))
        sink.write("images", to_batch(answers, Image))
        files = sink.publish().files
    spec = AnswerFiles(files["image_refs"]["images-00000"], files["images"]["images-00000"])
    emit = EmitWanted(str(tmp_path), 8)
    blocks = list(emit(Part("images-00000", "", spec)))
    names = [name for name, _ in emit(Part("none", "", AnswerFiles(None, None)))]
    assert names == bucket_names(8)
    rows = [(name, row) for name, block in blocks for row in block.to_pylist()]
    assert sorted((row["image_url"], row["host"], row["site"]) for _, row in rows) == [
        (urls[2], "a.example.org", "example.org"),
        (urls[3], "b.example.org:8080", "example.org"),
        (urls[4], "example.com", "example.com"),
    ]
    assert all(name == site_bucket(row["site"], 8) for name, row in rows)


def test_hosts_stand_side_by_side(tmp_path: Path) -> None:
    rows = [
        {"image_url": f"http://{host}/{n}", "host": host, "site": "x.org"}
        for n in (2, 1) for host in ("b.x.org", "a.x.org")
    ]  # fmt: skip
    part = Part("wanted-00000-of-00001", "f")
    with PartSink("refs", str(tmp_path), part) as sink:
        commit_wanted(part, pa.Table.from_pylist(rows, schema_of(WantedUrl)), sink)
        commit = sink.publish()
    found = read_table(str(tmp_path), commit.files["wanted_urls"].values())
    assert found is not None
    assert found["image_url"].to_pylist() == [
        "http://a.x.org/1", "http://a.x.org/2", "http://b.x.org/1", "http://b.x.org/2"
    ]  # fmt: skip
    assert (sink.counts("wanted_urls").seen, sink.counts("wanted_urls").kept) == (4, 4)
