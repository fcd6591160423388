"""Pages that look alike, shards that were damaged, and disks that are full: nothing is lost."""

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from beam_runner import main
from pipeline.inputs import find_inputs, slice_inputs
from transforms.input_columns import InputConfig

ROOT = Path(__file__).resolve().parents[1]
PROSE = (
    "The harbour lies below the town, and in the morning the boats come back with the tide. "
    "People walk along the quay to see what the night has brought, and they talk about the wind. "
    "In winter the light is low and the water is dark, but the market opens every day at seven. "
    "Nobody here remembers a year in which the old bridge was closed for more than a week. "
)


def record(url: str, date: str, content_type: str, body: bytes) -> bytes:
    http = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n".encode() + body
    digest = base64.b32encode(hashlib.sha1(body).digest()).decode()
    head = (
        f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nWARC-Date: {date}\r\n"
        f"WARC-Record-ID: <urn:uuid:{hashlib.md5(url.encode()).hexdigest()}>\r\n"
        f"WARC-Payload-Digest: sha1:{digest}\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(http)}\r\n\r\n"
    )
    return head.encode() + http + b"\r\n\r\n"


def page(url: str, date: str, image: str | None, alt: str = "") -> bytes:
    shown = f'<figure><img src="{image}" alt="{alt}"></figure>' if image else ""
    html = f"<html><body><article><h1>Harbour</h1>{shown}<p>{PROSE * 2}</p></article></body></html>"
    return record(url, date, "text/html; charset=utf-8", html.encode())


def picture(url: str, number: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (300, 200), (number * 12 % 256, 90, 200 - number * 9 % 200)).save(out, "JPEG")
    return record(url, "2024-01-01T00:00:00Z", "image/jpeg", out.getvalue())


def run(crawl: Path, output: Path, *settings: str) -> int:
    more = [argument for setting in settings for argument in ("--set", setting)]
    arguments = ["run", "mm1", "-i", str(crawl), "-o", str(output), "-w", "1", "-q", *more]
    return main([*arguments, "--set", "gates.shard.interleaved.document.dup_line_chars=false"])


def samples(output: Path, stream: str) -> int:
    manifest = json.loads((output / "shards" / stream / "manifest.json").read_text())
    return int(manifest["totals"]["samples"])


def gallery(folder: Path, pictures: int = 12) -> Path:
    """Pages of one template, each with a picture of its own."""
    crawl, site = folder / "gallery.warc", "https://photos.example"
    crawl.write_bytes(
        b"".join(
            page(f"{site}/{n}", "2024-01-01T00:00:00Z", f"/{n}.jpg", f"boat number {n}")
            + picture(f"{site}/{n}.jpg", n)
            for n in range(pictures)
        )
    )  # fmt: skip
    return crawl


def test_pages_of_one_template_keep_their_pictures(tmp_path: Path) -> None:
    assert run(gallery(tmp_path), tmp_path / "out") == 0
    assert samples(tmp_path / "out", "captioned") == 12, "each picture has its own caption"
    assert samples(tmp_path / "out", "interleaved") == 1, "the texts are near-duplicates"


def test_an_illustrated_page_goes_before_its_newer_print_version(tmp_path: Path) -> None:
    crawl = tmp_path / "twins.warc"
    crawl.write_bytes(
        page("https://news.example/a", "2024-01-01T00:00:00Z", "/a.jpg", "boats in the harbour")
        + picture("https://news.example/a.jpg", 1)
        + page("https://news.example/print/a", "2024-02-01T00:00:00Z", None)
    )
    assert run(crawl, tmp_path / "out") == 0
    streams = ("captioned", "interleaved", "text")
    assert [samples(tmp_path / "out", stream) for stream in streams] == [1, 1, 0]


def test_a_damaged_shard_is_written_again(tmp_path: Path) -> None:
    crawl = gallery(tmp_path)
    assert run(crawl, tmp_path / "out") == 0
    (shard,) = (tmp_path / "out/shards/captioned").glob("*.tar")
    whole = shard.read_bytes()
    shard.write_bytes(whole[:1000])
    assert run(crawl, tmp_path / "out") == 0
    assert shard.read_bytes() == whole


def test_samples_that_failed_come_back_when_their_pack_does(tmp_path: Path) -> None:
    crawl, output = gallery(tmp_path), tmp_path / "out"
    lenient = ("run.max_failed_fraction=1.0", "extract.pack_bytes=65536")
    assert run(crawl, output, *lenient, "gates.shard.captioned.words=false") == 0
    (pack,) = (output / "packs").iterdir()
    pack.rename(tmp_path / "away.tar")
    assert run(crawl, output, *lenient, "shards.quality=90") == 0
    assert samples(output, "captioned") == 0
    (tmp_path / "away.tar").rename(pack)
    assert run(crawl, output, *lenient, "shards.quality=90") == 0
    assert samples(output, "captioned") == 12


def test_parts_of_a_hundred_thousand_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    # The first 32 bits of the digests of these three names are not all different.
    for folder in ("d1", "d11783", "d30402"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "data.warc.gz").write_bytes(b"x")
    parts = slice_inputs(find_inputs([str(tmp_path)]), InputConfig(1 << 20), "config")
    assert len({part.name for part in parts}) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_full_disk_ends_the_run_with_one_line(workers: str, tmp_path: Path) -> None:
    crawl, disk = gallery(tmp_path), tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", str(disk)], check=False,
        capture_output=True,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip(f"no small disk could be mounted: {mounted.stderr.decode().strip()}")
    try:
        done = subprocess.run(
            [sys.executable, str(ROOT / "beam_runner.py"), "run", "mm1", "-i", str(crawl),
             "-o", str(disk / "out"), "-w", workers, "-q"],
            capture_output=True, timeout=120, check=False, cwd=ROOT,
        )  # fmt: skip
        told = done.stderr.decode()
        assert done.returncode == 1, told
        assert "Traceback" not in told
        assert "No space left" in told
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert run(crawl, tmp_path / "out") == 0
    assert samples(tmp_path / "out", "captioned") == 12
