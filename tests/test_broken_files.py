"""Broken crawl files: a typed failure or one line; never a traceback, a hang or a lost page."""

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from beam_runner import main
from schemas import errors
from schemas.commits import Commit
from tests.conftest import SHARED_DATA, hang_guard

PERMISSIVE = (
    "run.max_failed_fraction=1.0", "dedup.buckets=1", "refs.buckets=1", "gates.dedup.words=false",
    "gates.dedup.language=false", "gates.shard.text=false",
    "gates.shard.interleaved.document=false",
)  # fmt: skip

# Files of other projects' tests -> records that are rows, and the errors of those that failed.
KNOWN: dict[str, tuple[int, dict[str, int]]] = {
    "aut/example.warc.gz": (299, {}),
    "jwarc/gzip_extra_sl.warc.gz": (0, {}),
    "resiliparse/clipped.warc.gz": (1, {"TruncatedRecordError": 1}),
    "resiliparse/clueweb-quirk.warc.gz": (29, {}),
    "resiliparse/warcfile.warc": (16, {}),
    "resiliparse/warcfile.warc.gz": (16, {}),
    "resiliparse/warcfile.warc.lz4": (16, {}),
    "warcio/example-bad-non-chunked.warc.gz": (2, {}),
    "warcio/example-bad.warc.gz.bad": (3, {}),
    "warcio/example-trunc.warc": (1, {"WarcParseError": 1}),
    "webarchive-commons/abcd.gz": (1, {"WarcParseError": 1}),
    "webarchive-commons/double-single-inflate-error.gz": (1, {"WarcParseError": 1}),
    "webarchive-commons/empty.gz": (1, {"WarcParseError": 1}),
    "webarchive-commons/hi.gz": (1, {"WarcParseError": 1}),
}


@pytest.fixture(autouse=True)
def guarded() -> Iterator[None]:
    """Break off what hangs; the runs below work in this very thread and process."""
    with hang_guard():
        yield


def run(files: Path, output: Path, *more: str, sets: tuple[str, ...] = PERMISSIVE) -> int:
    options = [option for value in sets for option in ("--set", value)]
    return main(
        ["run", "demo", "-i", str(files), "-o", str(output), "-w", "1", "-q", *options, *more]
    )


def extracted(output: Path) -> tuple[dict[str, dict[str, int]], list[dict[str, str]]]:
    """The counts of stage extract, and its rows of `failures`."""
    stage = json.loads((output / "run.json").read_text())["stages"]["extract"]
    failures = []
    for name in stage["snapshot"]:
        commit = Commit.from_json((output / "commits" / "extract" / f"{name}.json").read_bytes())
        for path in commit.files.get("failures", {}).values():
            failures += pq.read_table(output / path).to_pylist()
    return stage["tables"], failures


def texts(output: Path) -> set[str]:
    """The texts of all pages that were extracted."""
    found = set()
    for path in sorted((output / "tables" / "texts").glob("*.parquet")):
        found |= set(pq.read_table(path, columns=["text"])["text"].to_pylist())
    return found


def check_typed(output: Path) -> list[dict[str, str]]:
    tables, failures = extracted(output)
    for table, counts in tables.items():
        total = counts["kept"] + counts["rejected"] + counts["failed"]
        assert counts["in"] == total, table
    assert len(failures) == sum(counts["failed"] for counts in tables.values())
    for row in failures:
        assert issubclass(getattr(errors, row["error"]), errors.DataError)
        assert row["message"]
        assert "Traceback" not in row["message"]
    return failures


# --- real files


def real_files() -> list[str]:
    folder = SHARED_DATA / "warc"
    if not folder.is_dir():
        return []
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != "LICENSE")
    return sorted(path.relative_to(folder).as_posix() for path in found)


@pytest.mark.parametrize("name", real_files() or [pytest.param("", id="none")])
def test_real_file_is_read_or_refused_in_one_line(
    name: str, shared_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    code = run(shared_data / "warc" / name, output, "--stages", "extract")
    told = capfd.readouterr().err
    if ".arc" in name:
        assert code == 2
        assert "ARC file" in told
        assert len(told.splitlines()) == 1
        return
    assert code == 0, told
    assert told == ""
    failures = check_typed(output)
    records = extracted(output)[0].get("records", {"in": 0, "failed": 0})
    if name in KNOWN:
        found: dict[str, int] = {}
        for row in failures:
            if row["table"] == "records":
                found[row["error"]] = found.get(row["error"], 0) + 1
        assert (records["in"], found) == KNOWN[name]


def test_all_real_files_together_end_in_shards(
    shared_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # The one large crawl that is not broken is left to other tests.
    names = [n for n in real_files() if ".arc" not in n and n != "aut/example.warc.gz"]
    listed = tmp_path / "files.txt"
    listed.write_text("".join(f"{shared_data / 'warc' / name}\n" for name in names))
    assert run(listed, tmp_path / "out") == 0, capfd.readouterr().err
    told = capfd.readouterr()
    assert told.err == ""
    check_typed(tmp_path / "out")
    tables = json.loads((tmp_path / "out" / "run.json").read_text())["stages"]["shard"]["tables"]
    assert tables["text_samples"]["kept"] > 20


# --- made-up files


def page(number: int) -> bytes:
    """A record of a page that says its number."""
    html = (
        f"<html><head><title>Page {number}</title></head><body><p>This is the page of number "
        f"{number}, and it is told apart from every other page by that number alone.</p>"
        "</body></html>"
    ).encode()
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + html
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\n"
        f"WARC-Record-ID: <urn:uuid:00000000-0000-4000-8000-{number:012d}>\r\n"
        f"WARC-Date: 2024-05-01T00:00:{number:02d}Z\r\n"
        f"WARC-Target-URI: https://numbers.example/{number}.html\r\n"
        "Content-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(http)}\r\n\r\n"
    )
    return head.encode() + http + b"\r\n\r\n"


def member(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


def noise(size: int) -> bytes:
    return random.Random(7).randbytes(size)


def numbers_in(output: Path) -> set[int]:
    return {number for number in range(10) for text in texts(output) if f"number {number}," in text}


SECOND = member(page(2))
LENGTH = b"\nContent-Length: "
NOISE = noise(999)
DAMAGED = {
    # Name of the file, what it holds, failures.
    "corrupt-member": ("a.warc.gz", [member(page(1)), flipped(SECOND, 60), member(page(3))], 1),
    "cut-member": ("a.warc.gz", [member(page(1)), SECOND[:90], member(page(3))], 1),
    "noise": ("a.warc.gz", [member(page(1)), NOISE, member(page(3))], 1),
    "zeros": ("a.warc.gz", [member(page(1)), bytes(70_000), member(page(3))], 0),
    "member-of-noise": ("a.warc.gz", [member(page(1)), member(NOISE), member(page(3))], 1),
    "large-member-of-noise": (
        "a.warc.gz", [member(page(1)), member(noise(300_000)), member(page(3))], 1,
    ),
    "cut-off": ("a.warc.gz", [member(page(1)), member(page(3)), SECOND[:-40]], 1),
    "plain-cut-off": ("a.warc", [page(1), page(3), page(2)[:-70]], 1),
    "plain-noise": ("a.warc", [page(1), NOISE, b"\r\n", page(3)], 1),
    "plain-length-too-long": (
        "a.warc", [page(1), page(2).replace(LENGTH, LENGTH + b"9", 1), page(3)], 1,
    ),
    "plain-length-too-short": (
        "a.warc", [page(1), page(2).replace(LENGTH + b"2", LENGTH + b"1", 1), page(3)], 1,
    ),
    "plain-without-length": (
        "a.warc", [page(1), page(2).replace(LENGTH, b"\nContent-Longth: ", 1), page(3)], 1,
    ),
    "plain-under-the-name-of-gzip": ("a.warc.gz", [page(1), page(3)], 0),
    "gzip-under-a-plain-name": ("a.warc", [member(page(1)), member(page(3))], 0),
    "one-member": ("a.warc.gz", [member(page(1) + page(3))], 0),
}  # fmt: skip


@pytest.mark.parametrize(("name", "pieces", "failed"), DAMAGED.values(), ids=list(DAMAGED))
def test_good_pages_around_a_bad_record_come_out(
    name: str, pieces: list[bytes], failed: int, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(b"".join(pieces))
    assert run(path, tmp_path / "out", "--stages", "extract") == 0
    assert len(check_typed(tmp_path / "out")) == failed
    assert numbers_in(tmp_path / "out") == {1, 3}


def test_pages_around_a_wrong_checksum_come_out(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    path.write_bytes(member(page(1)) + flipped(SECOND, len(SECOND) - 6) + member(page(3)))
    assert run(path, tmp_path / "out", "--stages", "extract") == 0
    found = numbers_in(tmp_path / "out")
    assert {1, 3} <= found
    # All bytes of the page in between are there: it is kept, or it fails, but it is not lost.
    assert len(check_typed(tmp_path / "out")) + len(found) == 3


def test_a_damaged_file_goes_through_all_stages(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    path.write_bytes(member(page(1)) + flipped(SECOND, 60) + member(page(3)))
    assert run(path, tmp_path / "out") == 0
    manifest = json.loads((tmp_path / "out" / "shards" / "text" / "manifest.json").read_text())
    assert manifest["totals"]["samples"] == 2


GARBAGE = {
    "random-bytes": noise(50_000),
    "random-bytes-like-gzip": b"\x1f\x8b\x08\x00" + noise(50_000),
    "cut-gzip": member(page(1))[:100],
    "cut-gzip-head": member(page(1))[:11],
    "text": b"this is no crawl\n" * 1000,
    "one-byte": b"\x1f",
    "zeros": bytes(100_000),
}


@pytest.mark.parametrize(
    ("name", "data"),
    [pytest.param("a.warc.gz", data, id=name) for name, data in GARBAGE.items()]
    + [
        pytest.param(name, GARBAGE[what], id=f"{what}-{name}")
        for name in ("a.warc", "a.warc.zst", "a.warc.lz4")
        for what in ("random-bytes", "zeros")
    ],
)
def test_garbage_breaks_the_failure_budget_in_one_line(
    name: str, data: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert run(path, tmp_path / "out", sets=()) == 1
    told = capfd.readouterr().err
    assert len(told.splitlines()) == 1, told
    assert "max_failed_fraction" in told
    assert "records" in told
    failures = check_typed(tmp_path / "out")
    assert failures
    assert len(failures) < 100, "a failure for each piece of garbage would be garbage too"


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz"])
def test_an_empty_file_is_refused_before_anything_is_written(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(b"")
    assert run(path, tmp_path / "out", sets=()) == 2
    told = capfd.readouterr().err
    assert len(told.splitlines()) == 1
    assert str(path) in told
    assert "empty" in told
    assert not (tmp_path / "out").exists()


def test_a_file_that_goes_away_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline import run as run_module

    path = tmp_path / "a.warc"
    path.write_bytes(page(1))
    prepare = run_module.prepare

    def prepare_and_delete(options: run_module.RunOptions) -> object:
        state = prepare(options)
        path.unlink()
        return state

    monkeypatch.setattr(run_module, "prepare", prepare_and_delete)
    assert run(path, tmp_path / "out", sets=()) == 1
    told = capfd.readouterr().err
    assert len(told.splitlines()) == 1, told
    assert "a.warc" in told
