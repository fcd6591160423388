"""Whole runs from and to a real S3 store: the same shards as on a disk, whatever the store does."""

import io
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from beam_runner import main
from pipeline.clean import clean
from tests.small_crawl import (
    SITE,
    alt_text,
    picture_crawl,
    prose,
    response,
    write_pages,
    write_recipe,
)
from tests.store_server import (
    BUCKET,
    FAULTS,
    Faults,
    FaultyStore,
    client,
    objects,
    put_folder,
    uploads,
)
from transforms import storage

ROOT = Path(__file__).resolve().parents[1]
PAGES = 24
LARGE = 18
"""Pictures of the crawl that are so large that their packs and shards are uploads of parts."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crawl, a table of pages and a recipe."""
    folder = tmp_path_factory.mktemp("stores")
    (folder / "crawl").mkdir()
    picture_crawl(folder / "crawl" / "small.warc", PAGES)
    data = b""
    for number in range(LARGE):
        html = f'<p>{prose(f"large {number}", 6)}</p><img src="/large-{number}.jpg" '
        html += f'alt="{alt_text(100 + number)}" width=700 height=700>'
        body = f"<html><title>Large {number}</title><body><article>{html}</article></body></html>"
        data += response(f"{SITE}/large-{number}.html", "text/html", body.encode())
        picture = Image.frombytes("RGB", (700, 700), random.Random(number).randbytes(700 * 700 * 3))
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=92)
        data += response(f"{SITE}/large-{number}.jpg", "image/jpeg", out.getvalue())
    (folder / "crawl" / "large.warc").write_bytes(data)
    (folder / "pages").mkdir()
    pages = {f"{SITE}/text-{n}.html": prose(f"text {n}", 8) for n in range(40)}
    write_pages(folder / "pages" / "pages.parquet", pages)
    write_recipe(folder / "stores.toml", {})
    return folder


@pytest.fixture(scope="module")
def reference(place: Path) -> dict[str, bytes]:
    """What a run on the disk publishes."""
    output = place / "out"
    assert main(command(place, str(place / "crawl"), str(output))) == 0
    shards = output / "shards"
    found = {
        path.relative_to(shards).as_posix(): path.read_bytes()
        for path in shards.rglob("*")
        if path.is_file()
    }
    assert max(map(len, found.values())) > 8 * 1024 * 1024, "one upload of parts at least"
    return found


@pytest.fixture
def store(s3_url: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyStore]:
    """A proxy without faults, before a bucket that holds the crawl."""
    monkeypatch.setattr("botocore.retryhandler.delay_exponential", lambda *a, **b: 0.01)
    with FaultyStore(s3_url) as proxy:
        for name, value in proxy.environment.items():
            monkeypatch.setenv(name, value)
        client(s3_url).create_bucket(Bucket=BUCKET)
        if not objects(s3_url, "crawl"):
            put_folder(s3_url, place / "crawl", "crawl")
            put_folder(s3_url, place / "pages", "pages")
        yield proxy


def command(place: Path, input_: str, output: str, *more: str) -> list[str]:
    return [
        "run", str(place / "stores.toml"), "-i", input_, "-o", output, "-w", "1", "-q",
        "--no-report", *more,
    ]  # fmt: skip


def images_of(shards: dict[str, bytes]) -> int:
    """Images in the shards of a run, by its manifests' tars."""
    return sum(data.count(b".jpg\0") for name, data in shards.items() if name.endswith(".tar"))


def test_a_run_on_a_store_is_that_on_a_disk_with_no_more_image_requests_than_images(
    store: FaultyStore, place: Path, reference: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    out = f"s3://{BUCKET}/clean"
    run = command(place, f"s3://{BUCKET}/crawl", out)
    assert main([*run, "--stages", "extract,dedup,refs,fetch,dedup_images,score"]) == 0
    store.forget()
    assert main(run) == 0
    assert objects(store.server, "clean/shards") == reference
    gets = store.count("GET-RANGE", below="clean/packs/")
    images = images_of(reference)
    assert images > 60
    assert 0 < gets <= 1.1 * images
    assert store.count("GET", "HEAD", below="clean/packs/") == 0
    assert store.count("CREATE-UPLOAD", below="clean/shards/") >= 1
    assert uploads(store.server) == []
    # Nothing is done again, and nothing is left that no record names.
    store.forget()
    assert main(run) == 0
    written = [each.key for each in store.requests if each.kind in ("PUT", "PART", "DELETE")]
    assert set(written) == {f"{BUCKET}/clean/run.json", f"{BUCKET}/clean/tmp/.tmp-write"}
    assert clean(out, remove=False, hours=0).facts()["files"] == 0
    _look_at_it(place, out, reference, capsys)


def _look_at_it(
    place: Path, out: str, reference: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    """What looks at an output looks at one in a store."""

    def told(*arguments: str) -> str:
        capsys.readouterr()
        assert main(list(arguments)) == 0
        return capsys.readouterr().out

    samples = {
        stream: json.loads(reference[f"{stream}/manifest.json"])["totals"]["samples"]
        for stream in ("captioned", "interleaved", "text")
    }
    facts = json.loads(told("inspect", out, "--json"))
    assert {name: facts["streams"][name]["samples"] for name in samples} == samples
    verified = json.loads(told("inspect", out, "--verify", "--json", "-q"))
    assert verified["sound"]
    drawn = json.loads(told("inspect", out, "--random", "1", "--json", "-q"))
    key = drawn[0]["key"]
    shown = json.loads(
        told("inspect", out, "--sample", key, "--images", str(place / "images"), "--json", "-q")
    )
    assert shown["key"] == key
    rows = told("inspect", out, "--sql", "SELECT count(*) AS n FROM captions", "--json")
    assert json.loads(rows)
    assert told("report", out, "-q").strip() == f"{out}/report/index.html"
    page = storage.read_bytes(f"{out}/report/index.html")
    assert page is not None
    assert page.lower().startswith(b"<!doctype html>")
    planned = json.loads(
        told("plan", str(place / "stores.toml"), "-i", f"s3://{BUCKET}/crawl", "-o", out, "--json")
    )
    assert planned


def test_a_run_through_faults_publishes_the_same(
    store: FaultyStore, place: Path, reference: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    out = f"s3://{BUCKET}/faults"
    store.faults = Faults(5, 0.1)
    assert main(command(place, f"s3://{BUCKET}/crawl", out)) == 0
    met = store.met()
    assert set(met) == set(FAULTS), met
    assert sum(met.values()) >= 25
    images = images_of(reference)
    good = [each for each in store.requests if not each.fault and "faults/packs/" in each.key]
    assert sum(each.kind == "GET-RANGE" for each in good) <= 1.1 * images
    store.faults = None
    assert objects(store.server, "faults/shards") == reference
    # An upload whose first answer was lost was begun twice: `clean` ends it.
    begun = uploads(store.server)
    capsys.readouterr()
    assert main(["clean", out, "--older-than", "0", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [f"faults/{path}" for path in told["paths"]] == begun
    assert main(["clean", out, "--older-than", "0", "--yes"]) == 0
    assert uploads(store.server) == []
    assert clean(out, remove=False, hours=0).found == []
    assert objects(store.server, "faults/shards") == reference
    assert main(["inspect", out, "--verify", "-q"]) == 0


def test_a_store_that_fails_ends_the_run_and_publishes_nothing_half(
    store: FaultyStore,
    place: Path,
    reference: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = f"s3://{BUCKET}/broken"
    run = command(place, f"s3://{BUCKET}/crawl", out)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    store.break_on = "broken/shards/interleaved/"
    assert main(run) == 1
    told = capsys.readouterr().err
    assert "broken/shards/interleaved/train-0000" in told
    assert "the store failed in every try" in told
    assert not any(
        name.startswith("interleaved/") for name in objects(store.server, "broken/shards")
    )
    store.break_on = ""
    assert main(run) == 0
    assert objects(store.server, "broken/shards") == reference
    assert clean(out, remove=True, hours=0).facts()["kinds"]["shards"]["files"] == 0
    assert uploads(store.server) == []


def test_a_run_that_was_killed_goes_on_and_clean_finds_what_it_left(
    store: FaultyStore, place: Path, reference: dict[str, bytes]
) -> None:
    out = f"s3://{BUCKET}/killed"
    arguments = command(place, f"s3://{BUCKET}/crawl", out)
    arguments[arguments.index("1")] = "2"
    store.faults = Faults(9, 0.02)
    store.pause = 0.02
    process = psutil.Popen(
        [sys.executable, str(ROOT / "beam_runner.py"), *arguments], cwd=ROOT,
        env={**os.environ, **store.environment}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    end = time.monotonic() + 150
    while not store.count("PUT", below="killed/commits/refs/"):
        assert process.poll() is None, "the run has ended by itself"
        assert time.monotonic() < end
        time.sleep(0.01)
    workers = process.children(recursive=True)
    process.kill()
    _, alive = psutil.wait_procs([process, *workers], timeout=60)
    assert alive == []
    store.faults = None
    store.pause = 0.0
    # As an attempt leaves it that was killed between its file and its record.
    _leave_orphans(out)
    assert main(command(place, f"s3://{BUCKET}/crawl", out)) == 0
    assert objects(store.server, "killed/shards") == reference
    before = set(objects(store.server, "killed"))
    assert ORPHAN_SHARD not in before, "a run removes it with the shards that are no more"
    assert clean(out, remove=True).found == [], "by default what is young stays"
    found = clean(out, remove=True, hours=0)
    paths = {orphan.file.path for orphan in found.found if not orphan.file.upload}
    assert set(ORPHANS) <= paths
    assert set(objects(store.server, "killed")) == before - paths
    assert uploads(store.server) == []
    assert main(["inspect", out, "--verify", "-q"]) == 0


ORPHANS = (
    "tables/captions/part-0123456789abcdef.parquet",
    "packs/00000000000000000000000000000000.tar",
)
ORPHAN_SHARD = "shards/text/validation-000099.tar"


def _leave_orphans(out: str) -> None:
    for path in (*ORPHANS, ORPHAN_SHARD):
        storage.write_bytes(f"{out}/{path}", b"half")


def test_a_table_of_a_store_is_read_as_one_of_a_disk(store: FaultyStore, place: Path) -> None:
    def tables(input_: str, out: str) -> dict[str, Any]:
        assert main(command(place, input_, out, "--stages", "extract")) == 0
        run = json.loads(storage.read_bytes(f"{out}/run.json") or b"")
        found: dict[str, Any] = run["stages"]["extract"]["tables"]
        return found

    here = tables(str(place / "pages"), str(place / "table"))
    assert max(counts["kept"] for counts in here.values()) >= 40
    for number, name in enumerate(("pages.parquet", "*.parquet", "")):
        there = tables(f"s3://{BUCKET}/pages/{name}", f"s3://{BUCKET}/table-{number}")
        assert there == here


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["-o", "s3://no-such-bucket/out"], "--output s3://no-such-bucket/out: cannot be read"),
        (["-i", f"s3://{BUCKET}/none", "-o", f"s3://{BUCKET}/x"], "there is no such file"),
    ],
    ids=["no-bucket", "no-input"],
)
def test_a_place_that_is_not_there_is_one_line(
    arguments: list[str],
    named: str,
    store: FaultyStore,
    place: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    crawl = [] if "-i" in arguments else ["-i", f"s3://{BUCKET}/crawl"]
    assert main(["run", str(place / "stores.toml"), *crawl, *arguments, "-w", "1"]) == 2
    told = capsys.readouterr().err
    assert named in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    "denied", [("PUT",), ("DELETE",), ("GET", "GET-RANGE"), ("PUT", "DELETE")], ids="-".join
)
def test_a_missing_right_is_told_before_anything_is_done(
    denied: tuple[str, ...],
    store: FaultyStore,
    place: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = f"s3://{BUCKET}/denied-{'-'.join(denied)}"
    store.forget()
    store.denied = frozenset(denied)
    try:
        assert main(command(place, str(place / "crawl"), output)) == 2
    finally:
        store.denied = frozenset()
    told = capsys.readouterr().err
    assert f"--output {output}: cannot be written" in told
    assert "Access Denied" in told
    assert told.count("\n") == 1
    assert store.count("PUT") == 1
