"""The plumbing: commits, counts, failures, skipping, and shuffles, on Beam's in-process runner."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

from schemas.commits import Commit, TableCounts
from schemas.errors import HtmlParseError, TextError
from schemas.rows import ImageRef, LedgerRow
from transforms import storage
from transforms.parts import MapParts, run_part
from transforms.shuffle import (
    CommitBlocks,
    EmitBlocks,
    RegroupBlocks,
    decode_blocks,
    encode_block,
    split_rows,
)
from transforms.sink import Part, PartSink, is_committed
from transforms.table_files import iter_batches, read_table


def run(*transforms: Any) -> None:
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        collection = pipeline
        for number, transform in enumerate(transforms):
            collection = collection | f"Step{number}" >> transform


def commit_of(output: Path, stage: str, part: Part) -> Commit:
    data = storage.read_bytes(f"{output}/commits/{stage}/{part.key}.json")
    assert data is not None
    return Commit.from_json(data)


@dataclass
class Judge:
    """Keeps even numbers, rejects odd ones, fails on numbers below zero, crashes on 13."""

    def setup(self) -> None:
        pass

    def __call__(self, part: Part, sink: PartSink) -> None:
        for number in part.spec:
            sink.seen("image_refs")
            if number == 13:
                raise ZeroDivisionError("a bug")
            with sink.guard("image_refs", str(number)):
                if number < 0:
                    raise HtmlParseError(f"number {number} \ud800")
                if number % 2:
                    sink.reject(
                        "image_refs",
                        LedgerRow("g", "number", str(number), None, "odd", True, number, None, ""),
                    )
                else:
                    sink.keep("image_refs", ImageRef(f"u{number}", number, 1))


def test_map_parts_commits_counts_tables_and_failures(tmp_path: Path) -> None:
    part = Part("p", "f1", [0, 1, 2, -3, 4, 5])
    run(MapParts("test", str(tmp_path), [part], Judge()))
    commit = commit_of(tmp_path, "test", part)
    counts = commit.counts["image_refs"]
    assert (counts.seen, counts.kept, counts.rejected, counts.failed) == (
        6, 3, {"odd": 2}, {"HtmlParseError": 1},
    )  # fmt: skip
    assert counts.lost == 0
    rows = read_table(str(tmp_path), commit.files["image_refs"].values())
    assert rows["image_url"].to_pylist() == ["u0", "u2", "u4"]
    failures = read_table(str(tmp_path), commit.files["failures"].values()).to_pylist()
    assert [(row["id"], row["error"]) for row in failures] == [("-3", "HtmlParseError")]
    assert "number -3" in failures[0]["message"], "a lone surrogate must not break the table"
    ledger = read_table(str(tmp_path), commit.files["ledger"].values()).to_pylist()
    assert [row["id"] for row in ledger] == ["1", "5"]


def test_map_parts_crashes_on_a_bug_and_commits_nothing(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="a bug"):
        run(MapParts("test", str(tmp_path), [Part("p", "f", [2, 13])], Judge()))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [], "a crashed part leaves neither files nor a record"


def test_map_parts_skips_what_is_committed(tmp_path: Path) -> None:
    part = Part("p", "f", [0])
    run_part("test", str(tmp_path), Judge(), part)
    crash = Part("p", "f", [13])
    assert run_part("test", str(tmp_path), Judge(), crash) == part.key
    other = Part("p", "g", [2])
    assert not is_committed("test", str(tmp_path), other), "another fingerprint is another part"


def test_sink_refuses_rows_that_went_nowhere(tmp_path: Path) -> None:
    with PartSink("test", str(tmp_path), Part("p", "f")) as sink:
        sink.seen("documents", 3)
        sink.count("documents", kept=1, rejected={"rule": 1})
        with pytest.raises(AssertionError, match="3 rows in, 1 of them neither"):
            sink.publish()
    assert list(tmp_path.rglob("*.json")) == []


def test_sink_writes_other_parts_files_in_one_commit(tmp_path: Path) -> None:
    part = Part("all", "f")
    with PartSink("test", str(tmp_path), part) as sink:
        for name in ("a", "b"):
            sink.write("clusters", pa.table({"x": [name]}), file=name)
        sink.publish()
    files = commit_of(tmp_path, "test", part).files["clusters"]
    assert files == {"a": "tables/clusters/a-f.parquet", "b": "tables/clusters/b-f.parquet"}
    assert read_table(str(tmp_path), [files["b"]])["x"].to_pylist() == ["b"]


def test_sink_streams_row_groups(tmp_path: Path) -> None:
    part = Part("p", "f")
    with PartSink("test", str(tmp_path), part) as sink:
        for number in range(20_000):
            sink.write_row("image_refs", ImageRef(str(number), number, 1))
        sink.publish()
    (path,) = commit_of(tmp_path, "test", part).files["image_refs"].values()
    batches = list(iter_batches(str(tmp_path), path, 8192))
    assert [len(batch) for batch in batches] == [8192, 8192, 3616]


def test_counts_add_up_over_parts() -> None:
    total = TableCounts(rejected={}, failed={})
    total.add(TableCounts(3, 1, {"a": 1}, {"E": 1}))
    total.add(TableCounts(2, 0, {"a": 1, "b": 1}, {}))
    assert total.as_json() == {
        "in": 5, "kept": 1, "rejected": 3, "failed": 1,
        "rejected_by_rule": {"a": 2, "b": 1}, "failed_by_error": {"E": 1},
    }  # fmt: skip


def emit_numbers(part: Part) -> Iterator[tuple[str, pa.Table]]:
    rows = pa.table({"x": part.spec})
    yield from split_rows(rows, ["even" if x % 2 == 0 else "odd" for x in part.spec])


def double(bucket: str, rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    yield f"{bucket} doubled", pa.table({"x": [2 * x for x in sorted(rows["x"].to_pylist())]})


def identify(bucket: str, rows: pa.Table) -> Part:
    return Part(bucket.replace(" ", "-"), str(len(rows)))


def commit_sum(part: Part, rows: pa.Table, sink: PartSink) -> None:
    sink.seen("numbers", len(rows))
    sink.count("numbers", kept=len(rows))
    sink.commit.details["sum"] = sum(rows["x"].to_pylist())
    if sink.commit.details["sum"] > 1000:
        raise TextError("a data error outside a guard is a bug of the step")


def test_shuffle_brings_rows_of_a_bucket_together(tmp_path: Path) -> None:
    parts = [Part("a", "", [1, 2, 3]), Part("b", "", [4, 5])]
    run(
        EmitBlocks("test", parts, emit_numbers),
        RegroupBlocks("test", double),
        CommitBlocks("test", str(tmp_path), identify, commit_sum),
    )
    sums = {
        name: commit_of(tmp_path, "test", Part(name, fingerprint)).details["sum"]
        for name, fingerprint in (("even-doubled", "2"), ("odd-doubled", "3"))
    }
    assert sums == {"even-doubled": 12, "odd-doubled": 18}


def test_commit_blocks_leaves_a_committed_bucket_alone(tmp_path: Path) -> None:
    for numbers in ([2, 4], [6, 8]):
        run(
            EmitBlocks("test", [Part("a", "", numbers)], emit_numbers),
            CommitBlocks("test", str(tmp_path), identify, commit_sum),
        )
    assert commit_of(tmp_path, "test", Part("even", "2")).details["sum"] == 6


def test_blocks_round_trip_and_keep_their_order() -> None:
    rows = pa.table({"x": [3, 1, 2], "s": ["c", None, "b"]})
    assert decode_blocks([encode_block(rows), encode_block(rows.slice(0, 0))]).equals(rows)
    dealt = dict(split_rows(rows, ["k", "l", "k"]))
    assert dealt["k"]["x"].to_pylist() == [3, 2]
    assert dealt["l"]["x"].to_pylist() == [1]
    assert list(split_rows(rows.slice(0, 0), [])) == []
