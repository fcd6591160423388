import hashlib
import io
import socket
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.console import Console

from benchmarks.fetch import show_targets
from benchmarks.fetch_inputs import (
    MAX_BYTES,
    MIN_BYTES,
    Workload,
    described,
    load_pictures,
    recipe_text,
)
from benchmarks.fetch_server import (
    OTHER,
    Request,
    Served,
    ServerProcess,
    bare_rate,
    free_port,
    host_names,
)
from benchmarks.fetch_sides import demand_same
from benchmarks.report import Row
from tests.conftest import hang_guard
from transforms.fetch_config import FetchConfig
from transforms.interleave import extract_page
from transforms.page_limits import ExtractConfig
from transforms.warc import Record, WarcConfig, read_records

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="hosts are addresses of 127.0.0.0/8, which only Linux has"
)


def encoded(color: str, kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), color).save(out, kind)
    return out.getvalue()


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    files = [encoded("red", "JPEG"), encoded("blue", "PNG"), encoded("green", "JPEG")]
    pictures = described("made here", files)
    folder = pictures.write(tmp_path_factory.mktemp("fetch") / "pictures")
    return Workload(pictures, folder, count=100, hosts=4, port=free_port())


@pytest.fixture(autouse=True)
def ends() -> Iterator[None]:
    with hang_guard():
        yield


def server_of(work: Workload, *slow: str, seconds: float = 0.0) -> ServerProcess:
    return ServerProcess(work.folder, work.count, work.port, work.hosts, slow, seconds)


def test_server_gives_every_url_bytes_of_its_own_that_digests_expect(work: Workload) -> None:
    got: Counter[str] = Counter()
    with server_of(work) as server:
        for number, url in enumerate(work.urls()):
            client = HTTPConnection(work.host_of(number), work.port)
            client.request("GET", url.partition(str(work.port))[2])
            answer = client.getresponse()
            body = answer.read()
            kind = "image/png" if url.endswith(".png") else "image/jpeg"
            assert (answer.status, answer.headers["Content-Type"]) == (200, kind)
            with Image.open(io.BytesIO(body)) as image:
                assert image.get_format_mimetype() == kind
                image.load()
            got[hashlib.sha256(body).hexdigest()] += 1
            client.close()
        served = server.stop()
    assert set(got.values()) == {1}
    demand_same("a client", got, work.digests())
    assert [request.number for request in served.images] == list(range(work.count))
    assert [request.host for request in served.images] == [
        work.host_of(number) for number in range(work.count)
    ]


def test_server_keeps_a_connection_until_the_client_closes_it(work: Workload) -> None:
    with server_of(work) as server:
        client = HTTPConnection("127.0.0.2", work.port)
        for path, status in (("/000000.jpg", 200), ("/robots.txt", 404), ("/000100.jpg", 404)):
            client.request("GET", path)
            answer = client.getresponse()
            answer.read()
            assert (answer.status, answer.will_close) == (status, False)
        client.request("GET", "/000001.png", headers={"Connection": "close"})
        answer = client.getresponse()
        assert len(answer.read()) == int(answer.headers["Content-Length"])
        assert answer.will_close
        served = server.stop()
    assert served.connections == 1
    assert [request.number for request in served.requests] == [0, OTHER, 100, 1]


def test_server_answers_a_request_that_arrives_in_pieces(work: Workload) -> None:
    with server_of(work) as server:
        with socket.create_connection(("127.0.0.3", work.port)) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in (b"GET /000002.jpg HTT", b"P/1.1\r\nHost: 127.0.0.3\r", b"\n\r", b"\n"):
                client.sendall(piece)
            assert client.recv(15) == b"HTTP/1.1 200 OK"
        assert [request.number for request in server.stop().requests] == [2]


def test_slow_host_delays_no_other(work: Workload) -> None:
    with server_of(work, "127.0.0.2", seconds=0.5) as server:
        late = HTTPConnection("127.0.0.2", work.port)
        late.request("GET", "/000000.jpg")
        prompt = HTTPConnection("127.0.0.3", work.port)
        prompt.request("GET", "/000001.png")
        for client in (prompt, late):
            assert client.getresponse().read()
        first, last = server.stop().requests
    assert (first.number, last.number) == (1, 0)
    assert last.answered - last.asked >= 0.5


@pytest.mark.parametrize("keep_alive", [True, False])
def test_bare_client_asks_for_every_image_once(work: Workload, keep_alive: bool) -> None:
    with server_of(work) as server:
        rate = bare_rate(work.host_names, work.port, work.count, 3, keep_alive)
        served = server.stop()
    assert rate > 0
    assert sorted(request.number for request in served.requests) == list(range(work.count))
    assert (served.connections < work.count) == keep_alive


def test_server_that_cannot_start_ends_the_benchmark(work: Workload) -> None:
    with (
        socket.create_server((host_names(1)[0], work.port)),
        pytest.raises(SystemExit, match="did not start"),
        server_of(work),
    ):
        pass


def served_at(*answers: tuple[float, float, str]) -> Served:
    requests = [Request(asked, answered, host, 0) for asked, answered, host in answers]
    return Served((Request(0.0, 0.1, "a", OTHER), *requests), 1, 0.0)


def test_request_rate_counts_intervals_between_images() -> None:
    served = served_at((5.0, 9.0, "a"), (6.0, 6.1, "a"), (7.0, 7.1, "a"))
    assert served.request_rate() == pytest.approx(1.0)


@pytest.mark.parametrize(("seconds", "most"), [(0.5, 2), (1.0, 2), (1.1, 3), (9.0, 4)])
def test_most_within_is_the_fullest_window(seconds: float, most: int) -> None:
    served = served_at(*((at, at, "a") for at in (3.0, 1.0, 2.0, 2.1)))
    assert served.most_within(seconds) == most


def test_answer_rate_leaves_out_the_named_hosts() -> None:
    served = served_at((1.0, 9.0, "slow"), (1.5, 2.0, "a"), (1.5, 3.0, "b"))
    assert served.answer_rate(["slow"]) == pytest.approx(2 / 2)
    assert served.answer_rate() == pytest.approx(3 / 8)


@pytest.mark.parametrize(
    ("got", "says"),
    [
        pytest.param(["a"], "of 2 images 1 are missing, 0 should", id="one missing"),
        pytest.param(["a", "b", "b"], "of 2 images 0 are missing, 1 should", id="one twice"),
        pytest.param(["a", "x"], "of 2 images 1 are missing, 1 should", id="one altered"),
    ],
)
def test_demand_same_ends_when_an_image_differs(got: list[str], says: str) -> None:
    demand_same("ours", Counter(["b", "a"]), Counter(["a", "b"]))
    with pytest.raises(SystemExit, match=f"^ours: {says}"):
        demand_same("ours", Counter(got), Counter(["a", "b"]))


def test_table_and_pages_name_every_image_once(work: Workload, tmp_path: Path) -> None:
    table = pq.read_table(work.write_table(tmp_path / "urls.parquet")).to_pydict()
    assert table["url"] == work.urls()
    assert len(set(table["url"])) == len(set(table["caption"])) == work.count
    path = work.write_pages(tmp_path / "pages.warc.gz")
    shown: list[tuple[str | None, str | None]] = []
    with path.open("rb") as stream:
        for record in read_records(stream, path.name, WarcConfig(), 0, None):
            assert isinstance(record, Record)
            nodes = extract_page(record.payload.decode(), record.url, ExtractConfig()).nodes
            shown += [(node.image_url, node.alt) for node in nodes if node.kind == "image"]
    assert sorted(shown) == sorted(zip(table["url"], table["caption"], strict=True))


def test_recipe_limits_no_host_and_allows_the_loopback_by_name() -> None:
    fetch = tomllib.loads(recipe_text(["127.0.0.2", "127.0.0.3"], "https://example.org"))
    config = FetchConfig(**fetch["fetch"])
    assert (config.host_rate, config.contact) == (0.0, "https://example.org")
    assert config.allow_hosts == ["127.0.0.2", "127.0.0.3"]


def test_pictures_are_of_the_size_of_the_web_without_saved_sites_too(tmp_path: Path) -> None:
    pictures = load_pictures(tmp_path)
    assert pictures.facts["source"].startswith("generated")
    assert all(MIN_BYTES <= len(data) <= MAX_BYTES for _, data in pictures.files)
    assert pictures.only(".jpg").files == pictures.files


def test_targets_are_judged_by_one_clock_beside_the_peer_that_decodes() -> None:
    clock, decodes = ": by the server's clock", "img2dataset 1, decodes and re-encodes"
    rows = [
        Row("fetch, JPEG", 190.0, "images/s", decodes, 100.0),
        Row(f"fetch, JPEG{clock}", 300.0, "images/s", decodes, 100.0),
        Row(f"fetch, PNG{clock}", 150.0, "images/s", decodes, 100.0),
        Row(f"fetch, JPEG{clock}", 300.0, "images/s", "img2dataset 1, decodes nothing", 900.0),
        Row("limited", 0.05, "of it", "bound", 0.05, more_is_better=False),
        Row("limited twice", 0.06, "of it", "bound", 0.05, more_is_better=False),
    ]
    console = Console(width=200)
    with console.capture() as captured:
        show_targets(console, rows)
    assert captured.get().splitlines() == [
        f"fetch, JPEG{clock}: 3.00x, at least 2x: holds",
        f"fetch, PNG{clock}: 1.50x, at least 2x: MISSED",
        "limited: 5.0%, at most 5%: holds",
        "limited twice: 6.0%, at most 5%: MISSED",
    ]
