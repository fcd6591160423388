"""Whole runs against servers that misbehave: each image has its typed outcome, the rest arrives."""

import gzip
import io
import json
import random
import struct
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest
from PIL import Image

from pipeline.demo.images import huge_png, make_picture
from tests.fault_server import (
    FaultServer,
    Handler,
    NameServer,
    certificates,
    in_turn,
    redirect,
    reply,
    tls_context,
)
from tests.test_fetch import answers, check_packs, recipe, rows, run, write_crawl

PICTURE = make_picture(random.Random(3), "http://x.example/a.png", (320, 240)).data


def png_of(width: int, height: int) -> bytes:
    """A whole PNG of one colour: small as a file, large once decoded."""

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack("!I", len(data)) + body + struct.pack("!I", zlib.crc32(body))

    head = struct.pack("!IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packer = zlib.compressobj(1)
    row = bytes(1 + 3 * width)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def page_as_jpeg() -> Handler:
    return reply(body=b"<!doctype html><title>Gone</title><p>Not here", Content_Type="image/jpeg")


def broken_jpeg() -> bytes:
    data = io.BytesIO()
    Image.effect_noise((300, 200), 60).convert("RGB").save(data, "JPEG")
    return data.getvalue()[:-2000]


HANDLERS: Mapping[str, Handler] = {
    "/picture": reply(body=PICTURE, Content_Type="image/png"),
    "/page-as-jpeg": page_as_jpeg(),
    "/huge-png": reply(body=png_of(200, 100)[:16] + huge_png()[16:], Content_Type="image/png"),
    "/svg": reply(body=b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    "/broken-jpeg": reply(body=broken_jpeg()),
    "/bomb": reply(body=gzip.compress(bytes(64 << 20)), Content_Encoding="gzip"),
    "/too-many": in_turn(reply(429, Retry_After="1"), reply(body=PICTURE)),
    "/then-ok": in_turn(reply(503), reply(502), reply(body=PICTURE)),
    "/noai": reply(body=PICTURE, X_Robots_Tag="noai, noimageai"),
    "/noindex": reply(body=PICTURE, X_Robots_Tag="noindex"),
    "/tdm": reply(body=PICTURE, tdm_reservation="1"),
    "/others": reply(body=PICTURE, X_Robots_Tag="googlebot: noindex"),
}

EXPECTED = {
    "/picture": "ok",
    "/slow-headers": "timeout",
    "/slow-body": "timeout",
    "/trickled-body": "timeout",
    "/endless-body": "too_large",
    "/huge-length": "too_large",
    "/long-length": "truncated",
    "/truncated-chunk": "truncated",
    "/closed": "disconnected",
    "/garbage": "protocol",
    "/bomb": "too_large",
    "/gzip-garbage": "content_coding",
    "/empty": "empty",
    "/loop": "too_many_redirects",
    "/to-file": "bad_redirect",
    "/to-private": "blocked_address",
    "/to-private-name": "blocked_address",
    "/status/404": "http_404",
    "/status/410": "http_410",
    "/status/500": "http_500",
    "/too-many": "ok",
    "/then-ok": "ok",
    "/page-as-jpeg": "not_an_image",
    "/huge-png": "too_many_pixels",
    "/svg": "svg",
    "/broken-jpeg": "decode_error",
    "/noai": "opt_out",
    "/noindex": "opt_out",
    "/tdm": "opt_out",
    "/others": "ok",
}
"""What becomes of each path; each is asked for at a host of its own."""


def host_of(path: str) -> str:
    return path.strip("/").replace("/", "-") + ".test"


def test_every_fault_has_its_outcome_and_the_other_images_arrive(tmp_path: Path) -> None:
    good = [f"/good/{number}" for number in range(40)]
    handlers = {
        **HANDLERS,
        **dict.fromkeys(good, reply(body=PICTURE)),
        "/to-private-name": redirect("http://inside.test/a.png"),
        "/to-private": redirect("http://10.0.0.1/a.png"),
    }
    hosts = {host_of(path): ["127.0.0.1"] for path in EXPECTED}
    names = {
        **hosts,
        "good.test": ["127.0.0.1"],
        "inside.test": ["192.168.7.7"],
        "mixed.test": ["93.184.215.14", "127.0.0.1"],
        "rebound.test": [["10.1.2.3"], ["127.0.0.1"]],
        "refused.test": ["127.0.0.1"],
        "bad-tls.test": ["127.0.0.1"],
    }
    self_signed = dict(certificates(tmp_path, "bad-tls.test"))["self-signed"]
    with (
        FaultServer(handlers) as server,
        FaultServer(tls=tls_context(self_signed)) as tls,
        NameServer(names) as name_server,
    ):
        with FaultServer() as closed:
            refused = closed.url("/picture", "refused.test")
        expected = {server.url(path, host_of(path)): out for path, out in EXPECTED.items()}
        expected |= {
            server.url("/picture", "inside.test"): "blocked_address",
            server.url("/picture", "mixed.test"): "blocked_address",
            server.url("/picture", "rebound.test"): "blocked_address",
            server.url("/picture", "nowhere.test"): "dns",
            f"http://[::1]:{server.port}/picture": "blocked_address",
            f"http://169.254.169.254:{server.port}/latest/meta-data": "blocked_address",
            tls.url("/ok", "bad-tls.test"): "tls",
            refused: "connect",
        }
        expected |= {server.url(path, "good.test"): "ok" for path in good}
        urls = list(expected)
        pages = {
            f"https://pages.example/{start}": urls[start : start + 6]
            for start in range(0, len(urls), 6)
        }
        crawl = write_crawl(tmp_path / "a.warc", pages)
        allowed = [*hosts, "good.test", "refused.test", "bad-tls.test"]
        settings = recipe(
            tmp_path,
            allow_hosts=allowed,
            nameservers=[name_server.address],
            connect_seconds=5.0,
            read_seconds=1.0,
            total_seconds=3.0,
            max_bytes=1 << 20,
            max_wait_seconds=5,
        )
        output = tmp_path / "out"
        assert run(settings, crawl, output) == 0
        found = {url: row["outcome"] for url, row in answers(output).items()}
        inside = [asked for asked in server.asked if asked.headers.get("Host", "") == "inside.test"]
        asked = server.paths()
    assert found == expected
    assert inside == []
    assert asked.count("/too-many") == 2
    assert asked.count("/then-ok") == 3
    check_packs(output)
    stages = json.loads((output / "run.json").read_text())["stages"]
    counts = stages["fetch"]["tables"]["image_urls"]
    assert counts["in"] == len(expected)
    assert counts["kept"] == sum(outcome == "ok" for outcome in expected.values())
    # Every refusal is a row of the ledger, everything else that went wrong one of the failures.
    refused_urls = {row["id"]: row["rule"] for row in rows(output, "ledger")
                    if row["kind"] == "image_url"}  # fmt: skip
    failed = {row["id"]: row["error"] for row in rows(output, "failures")}
    assert {**refused_urls, **failed} == {u: out for u, out in expected.items() if out != "ok"}
    assert set(refused_urls.values()) == {"blocked_address", "opt_out"}


def decoders_of(process: psutil.Process) -> list[psutil.Process]:
    found = []
    for child in process.children(recursive=True):
        try:
            if any("decode_worker" in part for part in child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.parametrize(("how", "outcome"), [("kill", "decode_crash"), ("stop", "decode_timeout")])
def test_a_picture_that_ends_its_decoder_costs_itself_alone(
    how: str, outcome: str, tmp_path: Path
) -> None:
    large = png_of(9000, 9000)
    good = [f"/good/{number}" for number in range(12)]
    done = threading.Event()

    def interfere() -> None:
        # A decoder that holds so much is at the large picture; with others first, then alone.
        while not done.is_set():
            for decoder in decoders_of(psutil.Process()):
                try:
                    if decoder.memory_info().rss > 150 << 20:
                        decoder.kill() if how == "kill" else decoder.suspend()
                except psutil.NoSuchProcess:
                    continue
            done.wait(0.005)

    handlers = {"/large": reply(body=large), **dict.fromkeys(good, reply(body=PICTURE))}
    with FaultServer(handlers) as server:
        urls = [server.url(path) for path in ("/large", *good)]
        crawl = write_crawl(tmp_path / "a.warc", {"https://pages.example/": urls})
        settings = recipe(tmp_path, decode_seconds=10.0)
        thread = threading.Thread(target=interfere)
        thread.start()
        try:
            assert run(settings, crawl, tmp_path / "out") == 0
        finally:
            done.set()
            thread.join()
    found = {url: row["outcome"] for url, row in answers(tmp_path / "out").items()}
    assert found == {urls[0]: outcome, **dict.fromkeys(urls[1:], "ok")}
    assert decoders_of(psutil.Process()) == []


def test_a_host_that_asks_for_a_long_rest_is_left_alone_until_the_next_run(tmp_path: Path) -> None:
    busy = [f"/busy/{number}" for number in range(40)]
    handlers = dict.fromkeys(busy, reply(429, Retry_After="3600"))
    with FaultServer(handlers) as server:
        crawl = write_crawl(
            tmp_path / "a.warc", {"https://pages.example/": [server.url(path) for path in busy]}
        )
        # A part of 8 URLs: without a rest each of five rounds would ask once more.
        settings = recipe(tmp_path, part_urls=8, host_concurrency=1)
        assert run(settings, crawl, tmp_path / "out") == 0
        asked = [path for path in server.paths() if path in busy]
        assert len(asked) == 1
        assert run(settings, crawl, tmp_path / "out") == 0
        assert len([path for path in server.paths() if path in busy]) == 2


def test_robots_files_are_known_to_runs_with_other_buckets(tmp_path: Path) -> None:
    good = [f"/good/{number}" for number in range(6)]
    robots = reply(body=b"User-agent: *\nDisallow: /good/5\n")
    handlers = {**dict.fromkeys(good, reply(body=PICTURE)), "/robots.txt": robots}
    with FaultServer(handlers) as server:
        urls = [server.url(path) for path in good]
        for count, buckets in ((3, 4), (6, 7)):
            crawl = write_crawl(tmp_path / "a.warc", {"https://pages.example/": urls[:count]})
            assert run(recipe(tmp_path, buckets=buckets), crawl, tmp_path / "out") == 0
        assert sorted(server.paths()) == sorted(["/robots.txt", *good[:5]])
    found = {url: row["outcome"] for url, row in answers(tmp_path / "out").items()}
    assert found == {**dict.fromkeys(urls[:5], "ok"), urls[5]: "robots"}
    card = (tmp_path / "out" / "shards" / "README.md").read_text()
    assert "crawler.example" not in card
