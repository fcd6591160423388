"""Uses and records meet by URL; revisits take bytes by digest."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from schemas.rows import ImageRecord
from schemas.tables import schema_of, to_batch
from transforms.refs import (
    _MEET_SCHEMA,
    _USE_SCHEMA,
    CommitImages,
    JoinRevisits,
    RefsConfig,
    _meet_rows,
)
from transforms.sink import Part, PartSink
from transforms.table_files import read_table

CONFIG = RefsConfig(buckets=1)


def record(url: str, date: str = "2020", digest: str = "d1", **more: Any) -> ImageRecord:
    facts: dict[str, Any] = {
        "image_key": "k" * 32, "outcome": "ok", "source_file": "f", "source_offset": 0,
        "pack": "p.tar", "offset": 512, "size": 9, "width": 3, "height": 4, "format": "png",
    }  # fmt: skip
    return ImageRecord(image_url=url, date=date, payload_digest=digest, **{**facts, **more})


def use(url: str, page: str, site: str) -> dict[str, str]:
    return {"image_url": url, "page_url": page, "site": site}


def answers(
    records: list[ImageRecord], uses: list[dict[str, str]], output: Path
) -> tuple[dict[str, dict[str, Any]], PartSink]:
    rows = _meet_rows(
        "record", pa.Table.from_batches([to_batch(records, ImageRecord)], schema_of(ImageRecord))
    )
    met = [_meet_rows("use", pa.Table.from_pylist(uses, _USE_SCHEMA)), _MEET_SCHEMA.empty_table()]
    joined: Iterator[Any] = JoinRevisits(CONFIG)("digest 00000", rows)
    met += [table for _, table in joined]
    sink = PartSink("refs", str(output), Part("images-00000", "f"))
    CommitImages()(Part("images-00000", "f"), pa.concat_tables(met), sink)
    commit = sink.publish()
    images = read_table(str(output), commit.files.get("images", {}).values())
    found = [] if images is None else images.to_pylist()
    refs = read_table(str(output), commit.files.get("image_refs", {}).values())
    by_url = {row["image_url"]: dict(row) for row in ([] if refs is None else refs.to_pylist())}
    for row in found:
        by_url[row["image_url"]] |= row
    return by_url, sink


def test_refs_count_distinct_pages_and_sites(tmp_path: Path) -> None:
    uses = [
        use("u", "a/1", "a"), use("u", "a/2", "a"), use("u", "b/1", "b"), use("u", "b/1", "b"),
        use("v", "a/1", "a"),
    ]  # fmt: skip
    found, _ = answers([], uses, tmp_path)
    assert (found["u"]["documents"], found["u"]["sites"]) == (3, 2)
    assert (found["v"]["documents"], found["v"]["sites"]) == (1, 1)
    assert "outcome" not in found["u"], "a URL without a record has no answer yet"


def test_refs_take_the_latest_usable_record_of_a_url(tmp_path: Path) -> None:
    records = [
        record("u", "2020", image_key="a" * 32),
        record("u", "2021", image_key="b" * 32),
        record("u", "2022", image_key=None, outcome="decode_error"),
        record("w", "2020"),
    ]
    found, sink = answers(records, [use("u", "p", "s")], tmp_path)
    assert found["u"]["image_key"] == "b" * 32
    counts = sink.commit.counts["image_records"]
    assert counts.rejected == {"superseded": 2, "unreferenced": 1}
    assert (counts.seen, counts.kept, counts.lost) == (4, 1, 0)


def test_a_revisit_takes_the_bytes_of_its_digest_from_another_url(tmp_path: Path) -> None:
    records = [
        record("original", digest="same", image_key="a" * 32, offset=1024),
        record("revisited", "2023", digest="same", outcome="revisit", image_key=None, pack=None),
        record("lost", digest="other", outcome="revisit", image_key=None, pack=None),
    ]
    uses = [use(url, "p", "s") for url in ("original", "revisited", "lost")]
    found, _ = answers(records, uses, tmp_path)
    assert found["revisited"]["outcome"] == "ok"
    assert found["revisited"]["image_key"] == "a" * 32
    assert found["revisited"]["offset"] == 1024
    assert found["lost"]["outcome"] == "revisit_missing"
