import asyncio
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import hang_guard
from tests.fault_server import (
    BODY,
    Asked,
    FaultServer,
    NameServer,
    certificates,
    redirect,
    reply,
    tls_context,
)
from tests.fetching import config, one
from transforms.fetch_config import FetchConfig
from transforms.http_fetch import Answer, Fetcher, Request, fetch_all


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


FAULTY = [
    ("/slow-headers", "timeout", None),
    ("/trickled-headers", "timeout", None),
    ("/endless-interim", "timeout", None),
    ("/hang", "timeout", None),
    ("/slow-body", "timeout", 200),
    ("/trickled-body", "timeout", 200),
    ("/endless-body", "too_large", 200),
    ("/huge-length", "too_large", 200),
    ("/long-length", "truncated", 200),
    ("/short-length", "protocol", None),
    ("/reset-body", "truncated", 200),
    ("/bad-length", "protocol", None),
    ("/truncated-chunk", "truncated", 200),
    ("/no-last-chunk", "truncated", 200),
    ("/bad-chunk", "protocol", None),
    ("/gzip-bomb", "too_large", 200),
    ("/gzip-garbage", "content_coding", 200),
    ("/empty", "empty", 200),
    ("/closed", "disconnected", None),
    ("/half-head", "disconnected", None),
    ("/garbage", "protocol", None),
    ("/long-header", "protocol", None),
    ("/many-headers", "protocol", None),
    ("/big-headers", "protocol", None),
    ("/loop", "too_many_redirects", 302),
    ("/to-file", "bad_redirect", 302),
    ("/to-nowhere", "bad_redirect", 302),
    ("/status/404", "http_404", 404),
    ("/status/410", "http_410", 410),
    ("/status/204", "http_204", 204),
    ("/status/206", "http_206", 206),
    ("/status/304", "http_304", 304),
    ("/status/500", "http_500", 500),
    ("/status/600", "protocol", None),
]
WHOLE = ["/ok", "/chunks", "/no-length", "/gzip", "/gzip-lie"]


SHORT = {"read_seconds": 0.5, "total_seconds": 1.5}


def test_fetch_all_of_slow_answers_delays_no_others(server: FaultServer) -> None:
    slow = [server.url(path) for path, outcome, _ in FAULTY if outcome == "timeout"]
    hosts = [f"h{i}.test" for i in range(100)]

    async def main(settings: FetchConfig) -> list[Answer]:
        quick = [server.url("/ok", host) for host in hosts]
        async with Fetcher(settings) as fetcher:
            answers = fetch_all(fetcher, [Request(url) for url in slow + quick])
            return [await anext(answers) for _ in quick]

    with NameServer({host: ["127.0.0.1"] for host in hosts}) as names, hang_guard():
        settings = config(
            host_concurrency=20,
            read_seconds=600.0,
            total_seconds=600.0,
            nameservers=(names.address,),
            allow_hosts=("127.0.0.1", *hosts),
        )
        answers = asyncio.run(main(settings))
    assert {answer.outcome for answer in answers} == {"ok"}
    assert {answer.url for answer in answers}.isdisjoint(slow)


@pytest.mark.parametrize(("path", "outcome", "status"), FAULTY)
def test_fetch_of_fault_gives_outcome(
    server: FaultServer, path: str, outcome: str, status: int | None
) -> None:
    answer = one(server.url(path), config(**SHORT) if outcome == "timeout" else None)
    assert (answer.outcome, answer.status, answer.body) == (outcome, status, b"")
    assert answer.outcome.startswith("http_") or answer.message


@pytest.mark.parametrize("path", WHOLE)
def test_fetch_of_whole_body_arrives_bit_for_bit(server: FaultServer, path: str) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    answer = one(server.url(path))
    assert (answer.outcome, answer.status, answer.body) == ("ok", 200, BODY)
    assert (answer.message, answer.final_url) == (None, None)
    assert before <= datetime.fromisoformat(answer.answered_at) <= datetime.now(UTC)
    assert answer.answered_at.endswith("Z")


def test_fetch_sends_honest_headers_and_no_others() -> None:
    with FaultServer({"/cookie": reply(302, Location="/ok", Set_Cookie="a=b; Path=/")}) as server:
        answer = one(server.url("/cookie"), accept="image/png")
        assert answer.outcome == "ok"
        assert server.asked[1].headers == {
            "Host": f"127.0.0.1:{server.port}",
            "User-Agent": "Weft/0.1 (+https://example.org/bot)",
            "Accept": "image/png",
            "Accept-Encoding": "identity",
        }


def test_fetch_gives_headers_in_lower_case_and_readable() -> None:
    async def odd(asked: Asked) -> bool:
        await asked.send(b"HTTP/1.1 200 OK\r\nX-ROBOTS-Tag: noai\r\nX-Odd: \xff\xe9\r\n\r\nx")
        return True

    with FaultServer({"/odd": odd}) as server:
        assert one(server.url("/ok")).content_type == "image/jpeg"
        answer = one(server.url("/odd"))
    assert dict(answer.headers)["x-robots-tag"] == "noai"
    dict(answer.headers)["x-odd"].encode("utf-8")
    assert answer.content_type is None


def test_fetch_of_body_at_and_above_the_cap(server: FaultServer) -> None:
    assert one(server.url("/ok"), max_bytes=len(BODY)).outcome == "ok"
    for path in WHOLE:
        assert one(server.url(path), max_bytes=len(BODY) - 1).outcome == "too_large"


def test_fetch_of_chunks_that_go_wrong_later_ends() -> None:
    async def late(asked: Asked) -> bool:
        await asked.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await asyncio.sleep(0.1)
        await asked.send(b"no chunk\r\n")
        return True

    with FaultServer({"/late": late}) as server:
        assert one(server.url("/late")).outcome in ("protocol", "truncated")


# Redirects.


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_fetch_follows_redirect(status: int) -> None:
    with FaultServer({"/from": redirect("ok?a=b#part", status)}) as server:
        server.handlers["/ok?a=b"] = server.handlers["/ok"]
        answer = one(server.url("/from"))
        assert (answer.outcome, answer.body) == ("ok", BODY)
        assert (answer.url, answer.final_url) == (server.url("/from"), server.url("/ok?a=b"))


def test_fetch_of_other_3xx_not_followed() -> None:
    with FaultServer({"/from": redirect("/ok", 300)}) as server:
        assert one(server.url("/from")).outcome == "http_300"


@pytest.mark.parametrize(("hops", "outcome"), [(3, "ok"), (4, "too_many_redirects")])
def test_fetch_of_redirect_chain_bounded(server: FaultServer, hops: int, outcome: str) -> None:
    answer = one(server.url(f"/chain/{hops}"), config(max_redirects=3))
    assert answer.outcome == outcome


def test_fetch_of_redirect_loop_ends_at_once() -> None:
    with FaultServer() as server:
        answer = one(server.url("/loop"), config(max_redirects=50))
        assert (answer.outcome, server.paths()) == ("too_many_redirects", ["/loop", "/loop-back"])
        assert server.url("/loop") in (answer.message or "")


@pytest.mark.parametrize(
    ("location", "outcome", "named"),
    [
        ("http://10.0.0.1/", "blocked_address", "10.0.0.1"),
        ("http://169.254.169.254/latest/meta-data/", "blocked_address", "169.254.169.254"),
        ("http://2130706434/", "blocked_address", "127.0.0.2"),
        ("http://0x7f.2/", "blocked_address", "127.0.0.2"),
        ("http://0177.0.0.2/", "blocked_address", "127.0.0.2"),
        ("http://[::1]/", "blocked_address", "::1"),
        ("http://[::ffff:127.0.0.2]/", "blocked_address", "::ffff:7f00:2"),
        ("http://[fe80::1%25eth0]/", "blocked_address", "fe80::1"),
        ("http://private.test/", "blocked_address", "10.1.2.3"),
        ("http://mixed.test/", "blocked_address", "10.1.2.3"),
        ("http://localhost/", "blocked_address", "localhost"),
        ("http://gone.test/", "dns", "gone.test"),
        ("http://site.test:22/", "bad_url", "22"),
        ("http://site.test:6379/", "bad_url", "6379"),
        ("file:///etc/passwd", "bad_redirect", "file:"),
        ("gopher://site.test/", "bad_redirect", "gopher:"),
        ("data:image/png;base64,AA", "bad_redirect", "data:"),
        ("http://", "bad_redirect", "http:"),
        ("http://a b/", "bad_redirect", "a b"),
    ],
)
def test_fetch_of_redirect_to_forbidden_place_refused(
    location: str, outcome: str, named: str
) -> None:
    names = {"private.test": ["10.1.2.3"], "mixed.test": ["93.184.215.14", "10.1.2.3"]}
    with NameServer(names) as dns, FaultServer({"/from": redirect(location)}) as server:
        answer = one(server.url("/from"), config(nameservers=(dns.address,)))
        assert server.paths() == ["/from"]
    assert answer.outcome == outcome
    assert named in (answer.message or "")


@pytest.mark.parametrize(
    "location", ["/ok%0d%0aX-Evil:%201", "/ok\tX-Evil: 1", "/ok X-Evil: 1", "/ok%00", "/ok\xe9"]
)
def test_fetch_of_redirect_with_injection_asks_one_clean_request(location: str) -> None:
    with FaultServer({"/from": redirect(location)}) as server:
        answer = one(server.url("/from"))
        assert answer.outcome == "http_404"
        assert len(server.asked) == 2
        assert set(server.asked[1].headers) == set(server.asked[0].headers)


def test_fetch_of_redirect_from_https_to_http_noted(tmp_path: Path) -> None:
    files = dict(certificates(tmp_path, "site.test"))
    trust = ssl.create_default_context(cafile=str(files["authority"]))
    with NameServer({"site.test": ["127.0.0.1"]}) as names, FaultServer() as plain:
        secure = FaultServer({"/from": redirect(plain.url("/ok"))}, tls=tls_context(files["good"]))
        with secure:
            settings = config(nameservers=(names.address,))
            answer = one(secure.url("/from", "site.test"), settings, tls=trust)
    assert answer.outcome == "ok"
    assert answer.message == f"redirected from https to {plain.url('/ok')}"


# Addresses.


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.2",
        "2130706434",
        "0x7f.2",
        "127.2",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[fe80::1%251]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "localhost",
        "LOCALHOST.",
        "private.test",
        "mixed.test",
    ],
)
def test_fetch_of_private_address_blocked_without_a_connection(host: str) -> None:
    names = {"private.test": ["127.0.0.1"], "mixed.test": ["93.184.215.14", "127.0.0.1"]}
    with NameServer(names) as dns, FaultServer() as victim:
        settings = config(nameservers=(dns.address,), allow_hosts=("127.0.0.1:1",))
        answer = one(f"http://{host}:{victim.port}/ok", settings)
        assert victim.connections == 0
    assert answer.outcome == "blocked_address"
    assert answer.message


def test_fetch_of_ipv6_literal_allowed_by_name() -> None:
    with FaultServer(address="::1") as server:
        assert one(server.url("/ok"), config(allow_hosts=("::1",))).outcome == "ok"


@pytest.mark.parametrize("retries", [0, 3])
def test_fetch_of_rebinding_name_never_reaches_the_second_address(
    monkeypatch: pytest.MonkeyPatch, retries: int
) -> None:
    """The name is public when it is checked and loopback a moment later."""
    connected = []
    connect = asyncio.SelectorEventLoop.sock_connect

    async def sock_connect(loop: Any, sock: socket.socket, address: Any) -> None:
        connected.append(address[0])
        if address[0] != "127.0.0.1":  # nothing else is ever reached from a test
            raise ConnectionRefusedError(111, "refused")
        await connect(loop, sock, address)

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", sock_connect)
    answers = [["93.184.215.14"], ["127.0.0.1"]]
    with NameServer({"rebinding.test": answers}, ttl=0) as names, FaultServer() as victim:
        settings = config(nameservers=(names.address,), retries=retries)
        answer = one(victim.url("/ok", "rebinding.test"), settings)
        assert victim.connections == 0
    assert connected == ["93.184.215.14"]
    assert answer.outcome == ("blocked_address" if retries else "connect")


def test_fetch_of_url_that_is_none_refused(server: FaultServer) -> None:
    for url in (
        "file:///etc/passwd",
        "ftp://a.test/",
        "",
        "http://",
        server.url("/ok")[:12] + ":0",
    ):
        assert one(url).outcome == "bad_url"


@pytest.mark.parametrize("name", ["a" * 64 + ".test", "a..test", ".test", "gone.test"])
def test_fetch_of_name_without_address_dns(name: str) -> None:
    with NameServer({}) as names:
        settings = config(nameservers=(names.address,))
        assert one(f"http://{name}/", settings).outcome == "dns"
        assert one(f"https://{name}/", settings).outcome == "dns"


def test_fetch_of_closed_port_connect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert one(f"http://127.0.0.1:{port}/").outcome == "connect"


def test_fetch_of_host_that_does_not_accept_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        held = []
        for _ in range(4):  # until the queue of the listener is full
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(full.getsockname())
            held.append(client)
        answer = one(f"http://127.0.0.1:{full.getsockname()[1]}/", config(connect_seconds=0.3))
        for client in held:
            client.close()
    assert answer.outcome == "timeout"


# TLS.


@pytest.mark.parametrize("label", ["expired", "other-name", "self-signed"])
def test_fetch_of_bad_certificate_tls(tmp_path: Path, label: str) -> None:
    files = dict(certificates(tmp_path, "site.test"))
    trust = ssl.create_default_context(cafile=str(files["authority"]))
    names = NameServer({"site.test": ["127.0.0.1"]})
    with names, FaultServer(tls=tls_context(files[label])) as server:
        settings = config(nameservers=(names.address,), retries=2)
        answer = one(server.url("/ok", "site.test"), settings, tls=trust)
        assert server.asked == []
    assert answer.outcome == "tls"
    assert "certificate" in (answer.message or "")


def test_fetch_of_good_certificate_trusted_by_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = dict(certificates(tmp_path, "site.test"))
    names = NameServer({"site.test": ["127.0.0.1"]})
    with names, FaultServer(tls=tls_context(files["good"])) as server:
        settings = config(nameservers=(names.address,))
        assert one(server.url("/ok", "site.test"), settings).outcome == "tls"
        monkeypatch.setenv("SSL_CERT_FILE", str(files["authority"]))
        answer = one(server.url("/ok", "site.test"), settings)
    assert (answer.outcome, answer.body) == ("ok", BODY)


def test_fetch_of_another_service_no_answer() -> None:
    with FaultServer(greeting=b"SSH-2.0-OpenSSH_9.6\r\n") as server:
        assert one(server.url("/ok").replace("http:", "https:")).outcome == "tls"
        assert one(server.url("/ok")).outcome == "protocol"


def test_fetch_ignores_proxies_of_environment(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert one(server.url("/ok")).outcome == "ok"
