"""The records of the demo crawl."""

import base64
import hashlib
from collections import Counter
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType

from pipeline.demo.truth import DemoTruth
from tests.pipeline.demo.crawl_reader import (
    Record,
)


def test_records_have_unique_ids_and_right_digests(records: list[Record]) -> None:
    ids = Counter(r.headers["WARC-Record-ID"] for r in records)
    repeated = [i for i, count in ids.items() if count > 1]
    same = [r for r in records if r.headers["WARC-Record-ID"] in repeated]
    assert len(repeated) == 1, "only the record that is stored twice"
    assert len({(r.url, r.block) for r in same}) == 1
    for r in records:
        if r.kind in ("response", "resource"):
            digest = base64.b32encode(hashlib.sha1(r.body).digest()).decode()
            assert r.headers["WARC-Payload-Digest"] == f"sha1:{digest}", r.url


def test_records_fastwarc_reads_the_whole_file_alike(folder: Path, truth: DemoTruth) -> None:
    warc = truth.warcs[0]
    counts: Counter[str] = Counter()
    with (folder / warc.name).open("rb") as stream:
        for record in ArchiveIterator(
            stream, record_types=WarcRecordType.any_type, auto_decode="none"
        ):
            counts[record.headers["WARC-Type"]] += 1
            if record.headers["WARC-Type"] == "response":
                assert record.verify_payload_digest(), record.record_id
    assert counts == warc.records


def test_records_revisits_refer_to_an_earlier_record_of_that_digest(records: list[Record]) -> None:
    revisits = [r for r in records if r.kind == "revisit"]
    originals = {
        (r.url, r.headers["WARC-Date"]): r.headers.get("WARC-Payload-Digest")
        for r in records
        if r.kind == "response"
    }
    assert len(revisits) == 3
    assert sum(r.url != r.headers["WARC-Refers-To-Target-URI"] for r in revisits) == 1
    for r in revisits:
        key = r.headers["WARC-Refers-To-Target-URI"], r.headers["WARC-Refers-To-Date"]
        assert originals[key] == r.headers["WARC-Payload-Digest"]
        assert key[1] < r.headers["WARC-Date"]
        assert r.body == b""


def test_records_good_ones_lie_on_both_sides_of_the_corrupt_one(folder: Path) -> None:
    data = (folder / "demo-01.warc.gz").read_bytes()
    hole = data.index(b"\xff" * 64)
    assert 0.2 < hole / len(data) < 0.8


def test_records_status_and_type_are_what_the_truth_says(
    truth: DemoTruth, page_records: dict[tuple[str, str], Record]
) -> None:
    for page in truth.pages:
        if "record_failure" in page.reasons:
            assert (page.url, page.date) not in page_records
            continue
        record = page_records[page.url, page.date]
        assert record.kind == page.record_type
        assert (record.status != 200) == ("status" in page.reasons), page.url
        kind = record.http.get("Content-Type") or record.headers["Content-Type"]
        assert (not kind.startswith("text/html")) == ("content_type" in page.reasons), page.url
