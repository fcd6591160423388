"""Images fetched by a whole run, from servers on loopback: bit for bit, once, and after a kill."""

import csv
import hashlib
import json
import os
import random
import signal
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pyarrow.parquet as pq
import pytest

from beam_runner import main
from pipeline.demo.images import encode, make_picture
from pipeline.demo.warcs import record
from tests.file_server import FileServer, serve
from tests.small_crawl import rows
from transforms.urls import normalize_url

ROOT = Path(__file__).resolve().parents[1]
PROSE = (
    "The lamp on the pier was lit before dusk, and the keeper wrote down the hour, the wind and "
    "the names of the boats that had not come back yet."
)


def recipe(folder: Path, **fetch: Any) -> Path:
    """A recipe without a gate that fetches from loopback without a limit."""
    values = {
        "contact": "https://crawler.example/about",
        "allow_hosts": ["127.0.0.1"],
        "host_rate": 0,
        "host_concurrency": 16,
        "buckets": 4,
        "backoff_seconds": 0.01,
        **fetch,
    }
    lines = ["[refs]", "buckets = 4", "[dedup]", "buckets = 4", "[fetch]"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    path = folder / "test.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def write_crawl(path: Path, images: Mapping[str, Iterable[str]]) -> Path:
    """A WARC of pages, each of which shows some images."""
    data = b""
    for url, sources in images.items():
        body = "".join(
            f"<p>{PROSE} {number}</p><figure><img src='{source}' alt='Boat {number} of {url}' "
            f"width=300 height=200></figure><p>{PROSE} {url} {number}</p>"
            for number, source in enumerate(sources)
        )
        html = f"<html><title>{url}</title><body><article><h1>The pier</h1>{body}</article>"
        block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + html.encode()
        headers = [("Content-Type", "application/http; msgtype=response")]
        data += record("response", url, "2026-01-01T00:00:00Z", block, headers)
    path.write_bytes(data)
    return path


def write_pictures(folder: Path, count: int) -> list[str]:
    """Pictures of several formats; the paths below the folder."""
    folder.mkdir()
    rng = random.Random(7)
    names = []
    for number in range(count):
        format_name = ("JPEG", "PNG", "GIF", "WEBP")[number % 4]
        picture = make_picture(rng, "http://x.example/a.png", (120 + number, 100))
        name = f"{number:03d}.{format_name.lower()}"
        image = _reopened(picture.data)
        (folder / name).write_bytes(encode(image, format_name))
        names.append(name)
    return names


def _reopened(data: bytes) -> Any:
    import io

    from PIL import Image

    return Image.open(io.BytesIO(data)).convert("RGB")


def run(recipe_path: Path, crawl: Path, output: Path, *more: str) -> int:
    arguments = ["run", str(recipe_path), "-i", str(crawl), "-o", str(output), "-q", *more]
    return main([*arguments, *(() if "-w" in more else ("-w", "1"))])


def answers(output: Path) -> dict[str, dict[str, Any]]:
    return {row["image_url"]: row for row in rows(output, "image_answers")}


def packed(output: Path, row: Mapping[str, Any]) -> bytes:
    data = (output / "packs" / row["pack"]).read_bytes()
    return data[row["offset"] : row["offset"] + row["size"]]


def check_packs(output: Path) -> None:
    """Packs are whole tars, no image stands in one twice, and commits name all of them."""
    named = set()
    for path in (output / "commits").rglob("*.json"):
        named |= set(json.loads(path.read_text()).get("packs", []))
    for name in sorted(named):
        with tarfile.open(output / "packs" / name) as tar:
            members = [member.name for member in tar]
        assert len(set(members)) == len(members), name


@pytest.fixture
def site(tmp_path: Path) -> Any:
    names = write_pictures(tmp_path / "www", 24)
    with serve(tmp_path / "www") as server:
        yield server, names


def crawl_of(server: FileServer, names: list[str], path: Path) -> Path:
    pages = {
        f"https://pages.example/{start}": [
            f"{server.url}/{name}" for name in names[start : start + 4]
        ]
        for start in range(0, len(names), 4)
    }
    return write_crawl(path, pages)


def test_every_image_arrives_bit_for_bit_and_only_once(site: Any, tmp_path: Path) -> None:
    server, names = site
    crawl = crawl_of(server, names, tmp_path / "a.warc")
    output, settings = tmp_path / "out", recipe(tmp_path)
    assert run(settings, crawl, output) == 0
    found = answers(output)
    assert sorted(found) == sorted(f"{server.url}/{name}" for name in names)
    for name in names:
        row = found[f"{server.url}/{name}"]
        assert row["outcome"] == "ok", row
        assert packed(output, row) == (server.folder / name).read_bytes()
        assert row["sha256"] == hashlib.sha256((server.folder / name).read_bytes()).hexdigest()
    assert sorted(server.images_asked) == sorted(f"/{name}" for name in names)
    check_packs(output)
    shards = sorted((output / "shards").rglob("*.tar"))
    before = {path.name: path.read_bytes() for path in shards}
    server.requests.clear()
    assert run(settings, crawl, output) == 0
    assert server.requests == []
    assert {path.name: path.read_bytes() for path in shards} == before
    stages = json.loads((output / "run.json").read_text())["stages"]
    assert stages["fetch"]["tables"]["image_urls"]["kept"] == len(names)
    assert stages["refs"]["tables"]["robots"]["kept"] == 1


def test_shards_do_not_depend_on_workers_or_on_how_requests_are_cut(
    site: Any, tmp_path: Path
) -> None:
    server, names = site
    crawl = crawl_of(server, names, tmp_path / "a.warc")
    found = []
    cut = {"part_urls": 8, "buckets": 3, "host_concurrency": 1}
    for number, (more, workers) in enumerate([({}, "1"), (cut, "2")]):
        output = tmp_path / f"out{number}"
        assert run(recipe(tmp_path, **more), crawl, output, "-w", workers) == 0
        found.append({p.name: p.read_bytes() for p in sorted((output / "shards").rglob("*.tar"))})
    assert found[0]
    assert found[0] == found[1]


def test_a_wider_crawl_asks_only_for_what_is_new(site: Any, tmp_path: Path) -> None:
    server, names = site
    output, settings = tmp_path / "out", recipe(tmp_path)
    assert run(settings, crawl_of(server, names[:12], tmp_path / "a.warc"), output) == 0
    server.requests.clear()
    assert run(settings, crawl_of(server, names, tmp_path / "a.warc"), output) == 0
    assert sorted(server.images_asked) == sorted(f"/{name}" for name in names[12:])
    assert Counter(row["outcome"] for row in answers(output).values()) == {"ok": 24}


def test_nothing_is_asked_for_without_a_contact(
    site: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server, names = site
    crawl = crawl_of(server, names, tmp_path / "a.warc")
    assert run(recipe(tmp_path, contact=""), crawl, tmp_path / "out") == 0
    assert server.requests == []
    assert "24 of 24 images that pages use are not in the input" in capsys.readouterr().out


def test_only_outcomes_to_retry_are_asked_for_again_and_by_another_run(
    tmp_path: Path,
) -> None:
    names = write_pictures(tmp_path / "www", 8)
    hidden = (tmp_path / "www" / names[0]).rename(tmp_path / "hidden")
    with serve(tmp_path / "www") as server:
        crawl = crawl_of(server, names, tmp_path / "a.warc")
        output, settings = tmp_path / "out", recipe(tmp_path)
        url = f"{server.url}/{names[0]}"
        assert run(settings, crawl, output) == 0
        assert answers(output)[url]["outcome"] == "http_404"
        hidden.rename(tmp_path / "www" / names[0])
        server.requests.clear()
        assert run(settings, crawl, output) == 0
        assert server.requests == []
        assert run(recipe(tmp_path, retry=["http_4xx"]), crawl, output) == 0
        assert server.images_asked == [f"/{names[0]}"]
    row = answers(output)[url]
    assert (row["outcome"], row["attempt"]) == ("ok", 2)
    assert packed(output, row) == (tmp_path / "www" / names[0]).read_bytes()
    attempts = [row["attempt"] for row in rows(output, "images") if row["image_url"] == url]
    assert sorted(attempts) == [1, 2]


def test_robots_txt_is_asked_for_once_and_honoured(tmp_path: Path) -> None:
    names = write_pictures(tmp_path / "www", 8)
    robots = f"User-agent: weft\nDisallow: /{names[3]}\n\nUser-agent: *\nDisallow: /\n"
    with serve(tmp_path / "www", robots=robots) as server:
        crawl = crawl_of(server, names, tmp_path / "a.warc")
        output = tmp_path / "out"
        assert run(recipe(tmp_path), crawl, output) == 0
        found = {url: row["outcome"] for url, row in answers(output).items()}
        forbidden = f"{server.url}/{names[3]}"
        assert [path for _, path in server.requests].count("/robots.txt") == 1
        assert f"/{names[3]}" not in server.images_asked
    assert found.pop(forbidden) == "robots"
    assert set(found.values()) == {"ok"}
    [row] = [row for row in rows(output, "ledger") if row["rule"] == "robots"]
    assert (row["gate"], row["kind"], row["id"]) == ("answer", "image_url", forbidden)
    assert answers(output)[forbidden]["answered_at"].endswith("Z")
    [file] = rows(output, "robots")
    assert (file["outcome"], file["text"]) == ("ok", robots)


def test_inspect_tells_success_by_outcome_host_and_type(
    site: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server, names = site
    (server.folder / names[0]).unlink()
    (server.folder / names[1]).write_text("no image")
    crawl = crawl_of(server, names, tmp_path / "a.warc")
    assert run(recipe(tmp_path), crawl, tmp_path / "out") == 0
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "out"), "--json"]) == 0
    images = json.loads(capsys.readouterr().out)["images"]
    assert (images["urls"], images["ok"], images["hosts"]) == (24, 22, 1)
    assert images["by_outcome"] == [
        {"outcome": "ok", "urls": 22},
        {"outcome": "http_404", "urls": 1},
        {"outcome": "not_an_image", "urls": 1},
    ]
    host = server.url.removeprefix("http://")
    assert images["by_host"] == [{"host": host, "urls": 24, "ok": 22, "mostly": "http_404"}]
    formats = {row["type"]: (row["urls"], row["ok"]) for row in images["by_type"]}
    assert formats["gif"] == formats["webp"] == (6, 6)
    assert formats["image/png"] == (1, 0)
    assert main(["inspect", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "24 answered URLs at 1 host, 91.7% with an image" in shown
    assert "http_404" in shown


def test_block_lists_hold_before_and_after_the_fetch(site: Any, tmp_path: Path) -> None:
    server, names = site
    crawl = crawl_of(server, names, tmp_path / "a.warc")
    by_url, by_bytes = f"{server.url}/{names[0]}", f"{server.url}/{names[1]}"
    (tmp_path / "urls.txt").write_text(f"# known\n{by_url}\n")
    digest = hashlib.sha256((server.folder / names[1]).read_bytes()).hexdigest()
    (tmp_path / "sha256.csv").write_text(f"sha256\n{digest}\n")
    output, settings = tmp_path / "out", recipe(tmp_path)
    lists = (
        "--set", f'block_lists.urls=["{tmp_path}/urls.txt"]',
        "--set", f'block_lists.sha256=["{tmp_path}/sha256.csv"]',
    )  # fmt: skip
    assert run(settings, crawl, output, *lists) == 0
    found = answers(output)
    assert found[by_url]["outcome"] == "blocked_url"
    assert f"/{names[0]}" not in server.images_asked
    assert found[by_bytes]["outcome"] == "blocked_image"
    assert not any(row["image_url"] == by_bytes and row["pack"] for row in rows(output, "images"))
    assert {row["rule"] for row in rows(output, "ledger")} >= {"blocked_url", "blocked_image"}
    # An entry that is added holds for what is there already; what is named no more is asked for.
    late = f"{server.url}/{names[2]}"
    digest = hashlib.sha256((server.folder / names[2]).read_bytes()).hexdigest()
    (tmp_path / "sha256.csv").write_text(f"sha256\n{digest}\n")
    server.requests.clear()
    assert run(settings, crawl, output, *lists) == 0
    assert server.images_asked == [f"/{names[1]}"]
    assert answers(output)[by_bytes]["outcome"] == "ok"
    assert answers(output)[late]["outcome"] == "blocked_image"
    assert answers(output)[late]["pack"] is None


def test_killed_while_it_fetches_the_next_run_goes_on(tmp_path: Path) -> None:
    names = write_pictures(tmp_path / "www", 60)
    output = tmp_path / "out"
    with serve(tmp_path / "www", delay=0.2) as server:
        crawl = crawl_of(server, names, tmp_path / "a.warc")
        settings = recipe(tmp_path, part_urls=8, host_concurrency=4)
        command = [
            sys.executable, str(ROOT / "beam_runner.py"), "run", str(settings), "-i", str(crawl),
            "-o", str(output), "-w", "2",
        ]  # fmt: skip
        folder = output / "commits" / "fetch"
        with (tmp_path / "log").open("wb") as log:
            driver = psutil.Popen(command, stdout=log, stderr=log, cwd=ROOT)
            published: list[str] = []
            while len(published) < 2 and driver.poll() is None:
                names_there = os.listdir(folder) if folder.is_dir() else []
                published = [name for name in names_there if name.startswith("images-")]
                time.sleep(0.01)
            family = driver.children(recursive=True)
            assert driver.poll() is None, (tmp_path / "log").read_text()
            driver.send_signal(signal.SIGKILL)
            driver.wait()
        _, alive = psutil.wait_procs(family, timeout=60)
        assert alive == [], "a worker or decoder outlives its driver"
        # Parts that were published before the last process ended count too.
        published = [name for name in os.listdir(folder) if name.startswith("images-")]
        answered = set()
        for name in published:
            commit = json.loads((folder / name).read_text())
            for file in commit["files"]["images"].values():
                answered |= {row["image_url"] for row in pq.read_table(output / file).to_pylist()}
        assert 0 < len(answered) < len(names)
        server.requests.clear()
        assert run(settings, crawl, output) == 0
        wanted = {f"{server.url}/{name}" for name in names}
        assert sorted(server.images_asked) == sorted(
            url.removeprefix(server.url) for url in wanted - answered
        )
        found = answers(output)
        assert {url: row["outcome"] for url, row in found.items()} == dict.fromkeys(wanted, "ok")
        for name in names:
            row = found[f"{server.url}/{name}"]
            assert packed(output, row) == (server.folder / name).read_bytes()
    check_packs(output)
    assert [path for path in output.rglob(".tmp-*")] == []


@pytest.mark.parametrize("name", ["dc-image-processing", "flink-web", "cc-opensource-blog"])
def test_every_local_image_of_a_real_site_arrives_bit_for_bit(
    name: str, shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "sites" / name
    refs = [json.loads(line) for line in (folder / "_refs.jsonl").read_text().splitlines()]
    files = sorted({ref["file"] for ref in refs if ref["status"] == "local"})
    assert len(files) > 20
    with serve(folder) as server:
        table = tmp_path / "images.csv"
        with table.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["url", "caption"])
            for path in files:
                writer.writerow([f"{server.url}/{quote(path)}", f"Picture {path} of {name}"])
        output, settings = tmp_path / "out", recipe(tmp_path)
        assert run(settings, table, output) == 0
        found = answers(output)
        assert len(found) == len(files)
        for path in files:
            row = found[normalize_url(f"{server.url}/{quote(path)}")]
            data = (folder / path).read_bytes()
            if row["outcome"] == "ok":
                assert packed(output, row) == data
            else:
                # A drawing in text is no raster image, and says so.
                assert (row["outcome"], path.endswith(".svg")) == ("svg", True), path
        server.requests.clear()
        assert run(settings, table, output) == 0
        assert server.requests == []
