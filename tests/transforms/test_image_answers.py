"""One answer for each URL: the image where there is one, else the last; block lists hold for it."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from schemas.rows import Image
from schemas.tables import schema_of, to_batch
from transforms.block_lists import BlockListConfig
from transforms.image_answers import CommitAnswers, EmitAnswers
from transforms.refs import RefsConfig
from transforms.sink import Part, PartSink
from transforms.table_files import read_table

SHA = {name: hashlib.sha256(name.encode()).hexdigest() for name in "ab"}


def row(url: str, outcome: str = "ok", attempt: int = 1, at: str = "2026", **more: Any) -> Image:
    facts = dict.fromkeys(schema_of(Image).names) | {
        "image_url": url, "outcome": outcome, "attempt": attempt, "answered_at": at,
    }  # fmt: skip
    if outcome == "ok":
        facts |= {"image_key": SHA["a"][:32], "pack": "p.tar", "sha256": SHA["a"], "phash": 0}
    return Image(**(facts | more))


def settle(
    output: Path, rows: list[Image], lists: BlockListConfig | None = None
) -> tuple[dict[str, dict[str, Any]], PartSink]:
    part = Part("answers-00000", "f" * 16)
    function = CommitAnswers(lists or BlockListConfig())
    function.setup()
    with PartSink("fetch", str(output), part) as sink:
        function(part, pa.Table.from_batches([to_batch(rows, Image)]), sink)
        commit = sink.publish()
    found = read_table(str(output), commit.files["image_answers"].values())
    assert found is not None
    assert found["image_url"].to_pylist() == sorted(found["image_url"].to_pylist())
    return {row["image_url"]: row for row in found.to_pylist()}, sink


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row("u", "timeout", 1), row("u", "http_404", 2)], ("http_404", 2)),
        ([row("u", "ok", 1), row("u", "timeout", 2)], ("ok", 1)),
        ([row("u", "timeout", 1), row("u", "ok", 2)], ("ok", 2)),
        ([row("u", "revisit_missing", 1, "2020"), row("u", "http_410", 1)], ("http_410", 1)),
    ],
    ids=["last", "image-before-failure", "failure-before-image", "crawl-and-fetch"],
)
def test_the_image_counts_else_the_last_answer(
    rows: list[Image], expected: tuple[str, int], tmp_path: Path
) -> None:
    for order in (rows, rows[::-1]):
        found, sink = settle(tmp_path, order)
        assert (found["u"]["outcome"], found["u"]["attempt"]) == expected
        assert (sink.counts("image_answers").seen, sink.counts("image_answers").kept) == (1, 1)


def test_what_a_list_names_loses_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "sha256.txt").write_text(SHA["b"] + "\n")
    (tmp_path / "domains.txt").write_text("bad.example\n")
    (tmp_path / "phash.txt").write_text("0000000000000f00\n")
    lists = BlockListConfig(
        domains=(f"{tmp_path}/domains.txt",),
        sha256=(f"{tmp_path}/sha256.txt",),
        phash=(f"{tmp_path}/phash.txt",),
        phash_distance=1,
    )
    rows = [
        row("http://a.example/1", phash=-1),
        row("http://a.example/2", phash=-1, sha256=SHA["b"]),
        row("http://img.bad.example/3", phash=-1),
        row("http://img.bad.example/4", "http_404"),
        row("http://a.example/5", phash=0x0E00),
        row("http://a.example/6", phash=0x0C00),
    ]
    found, sink = settle(tmp_path, rows, lists)
    outcomes = {url.rpartition("/")[2]: answer["outcome"] for url, answer in found.items()}
    assert outcomes == {
        "1": "ok", "2": "blocked_image", "3": "blocked_domain", "4": "blocked_domain",
        "5": "blocked_phash", "6": "ok",
    }  # fmt: skip
    for answer in found.values():
        assert (answer["pack"] is not None) == (answer["outcome"] == "ok")
    counts = sink.counts("image_answers")
    assert (counts.seen, counts.kept, sum(counts.rejected.values())) == (6, 2, 4)


def test_answers_go_to_the_bucket_of_their_url_and_one_part_names_all(tmp_path: Path) -> None:
    rows = [row(f"http://a.example/{number}") for number in range(40)]
    with PartSink("fetch", str(tmp_path), Part("x", "f")) as sink:
        sink.write("images", to_batch(rows, Image))
        commit = sink.publish()
    emit = EmitAnswers(str(tmp_path), RefsConfig(buckets=4))
    blocks = list(emit(Part("x", "", tuple(commit.files["images"].values()))))
    urls = [url for _, block in blocks for url in block["image_url"].to_pylist()]
    assert sorted(urls) == sorted(item.image_url for item in rows)
    assert {name for name, _ in emit(Part("none", "", ()))} == {f"{n:05d}" for n in range(4)}
