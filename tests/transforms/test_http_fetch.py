import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any, cast

import pytest

from schemas.errors import FetchError
from tests.conftest import hang_guard
from tests.fault_server import (
    BODY,
    FAULTS,
    Asked,
    FaultServer,
    Handler,
    NameServer,
    in_turn,
    reply,
)
from tests.fetching import config, fetched, one
from transforms.fetch_config import FetchConfig
from transforms.host_limits import HostLimits
from transforms.http_fetch import Answer, Fetcher, Request, fetch_all

# Limits, tries and what a host asks for.


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When requests began, by the clock of the fetcher."""
    times = []
    begin = HostLimits.begin

    def recorded(host: HostLimits, now: float) -> None:
        times.append(now)
        begin(host, now)

    monkeypatch.setattr(HostLimits, "begin", recorded)
    return times


def spans(times: list[float]) -> list[float]:
    """What lies between one and the next; a float of a clock has its grain."""
    return [after - before + 1e-6 for before, after in pairwise(times)]


def test_fetch_all_keeps_the_rate_of_a_host(begun: list[float]) -> None:
    with FaultServer() as server:
        settings = config(host_rate=50.0, host_concurrency=8)
        answers = fetched([server.url(f"/{i}") for i in range(40)], settings)
    assert len(answers) == len(begun) == 40
    # Never faster, whatever this machine does; that it is no slower is shown by `host_limits`.
    assert all(now - begun[0] >= i / 50.0 - 1e-6 for i, now in enumerate(begun))


def test_fetch_all_waiting_for_a_rate_holds_no_slot() -> None:
    hosts = [f"h{i}.test" for i in range(20)]
    with NameServer({host: ["127.0.0.1"] for host in hosts}) as names, FaultServer() as server:
        settings = config(
            host_rate=2.0,
            concurrency=1,
            nameservers=(names.address,),
            allow_hosts=("127.0.0.1", *hosts),
        )
        one_host = [server.url(f"/status/{i}") for i in (401, 402, 403)]
        others = [server.url("/ok", host) for host in hosts]
        answers = fetched(one_host + others, settings)
    assert {answer.url for answer in answers[:21]} == {one_host[0], *others}


def test_fetch_all_keeps_lanes_of_hosts_and_of_all() -> None:
    now, most = 0, 0

    async def counted(asked: Asked) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        await asked.answer(404)

    paths = [f"/{i}" for i in range(20)]
    for settings, expected in (
        (config(host_concurrency=3), 3),
        (config(host_concurrency=30, concurrency=2), 2),
        (config(host_concurrency=30), 20),
    ):
        now = most = 0
        with FaultServer(dict.fromkeys(paths, counted)) as server:
            fetched([server.url(path) for path in paths], settings)
        assert most == expected


def test_fetch_with_shares_uses_its_share(begun: list[float]) -> None:
    async def main() -> None:
        async with Fetcher(config(host_rate=20.0)) as fetcher:
            requests = [Request(server.url(f"/{i}"), shares=4) for i in range(3)]
            assert [a.outcome async for a in fetch_all(fetcher, requests)] == ["http_404"] * 3

    with FaultServer() as server, hang_guard():
        asyncio.run(main())
    # At 20 a second one is due after 0.05 s; a share of four waits for four.
    assert min(spans(begun)) >= 0.1


def test_slow_down_spaces_requests(begun: list[float]) -> None:
    async def main() -> None:
        async with Fetcher(config()) as fetcher:
            fetcher.slow_down(f"127.0.0.1:{server.port}", 0.2)
            for _ in range(3):
                assert (await fetcher.fetch(Request(server.url("/ok")))).outcome == "ok"

    with FaultServer() as server, hang_guard():
        asyncio.run(main())
    assert min(spans(begun)) >= 0.1


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_fetch_of_status_that_passes_tried_again(status: int) -> None:
    handler = in_turn(reply(status), reply(status), reply(body=BODY))
    with FaultServer({"/a": handler}) as server:
        assert one(server.url("/a"), config(retries=1)).outcome == f"http_{status}"
    with FaultServer({"/a": handler}) as server:
        assert one(server.url("/a"), config(retries=2)).outcome == "ok"
        assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("path", "tries"),
    [
        ("/closed", 3),
        ("/truncated-chunk", 3),
        ("/slow-headers", 3),
        ("/status/404", 1),
        ("/status/501", 1),
        ("/empty", 1),
        ("/garbage", 1),
        ("/huge-length", 1),
    ],
)
def test_fetch_tries_again_only_what_may_pass(path: str, tries: int) -> None:
    with FaultServer() as server:
        one(server.url(path), config(retries=2, read_seconds=0.1))
        assert len(server.asked) == tries


def test_fetch_doubles_the_wait_between_tries(begun: list[float]) -> None:
    with FaultServer() as server:
        one(server.url("/status/500"), config(retries=3, backoff_seconds=0.1))
    first, second, third = spans(begun)
    assert first >= 0.1
    assert second >= 0.2
    assert third >= 0.4


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("dated", [False, True])
def test_fetch_all_pauses_the_host_as_it_asks(status: int, dated: bool, begun: list[float]) -> None:
    async def busy(asked: Asked) -> None:
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
        await asked.answer(status, Retry_After=date if dated else "1")

    paths = [f"/{i}" for i in range(4)]
    handlers: dict[str, Handler] = dict.fromkeys(paths, reply(body=BODY))
    handlers["/0"] = in_turn(busy, reply(body=BODY))
    with FaultServer(handlers) as server:
        settings = config(host_concurrency=1, retries=1)
        answers = fetched([server.url(path) for path in paths], settings)
        assert server.paths()[0] == "/0"
    # A date says whole seconds, so two of them are more than one from now.
    assert spans(begun)[0] >= 1.0
    assert [answer.outcome for answer in answers] == ["ok"] * 4


@pytest.mark.parametrize("status", [429, 503])
def test_fetch_all_of_host_that_asks_for_too_much_leaves_it_alone(status: int) -> None:
    with FaultServer({"/0": reply(status, Retry_After="3600")}) as server:
        settings = config(host_concurrency=1, retries=2, max_wait_seconds=30.0)
        answers = fetched([server.url(f"/{i}") for i in range(20)], settings)
        assert server.paths() == ["/0"]
    assert {answer.outcome for answer in answers} == {f"http_{status}"}
    messages = {answer.url: answer.message or "" for answer in answers}
    assert messages[server.url("/0")] == "the host asked to wait for 3600 s"
    assert messages[server.url("/7")] == "not asked: the host asked to wait for 3600 s"


@pytest.mark.parametrize(
    ("path", "outcome"), [("/closed", "disconnected"), ("/slow-headers", "timeout")]
)
def test_fetch_all_of_dead_host_asks_a_few_times_only(path: str, outcome: str) -> None:
    dead = FaultServer()
    with dead as server:
        server.handlers = dict.fromkeys([f"/{i}" for i in range(200)], server.handlers[path])
        settings = config(host_failures=6, host_concurrency=2, retries=2, read_seconds=0.1)
        answers = fetched([server.url(f"/{i}") for i in range(200)], settings)
        # The last failure may find another request under way.
        assert 6 <= len(server.asked) <= 7
    assert len(answers) == 200
    assert {answer.outcome for answer in answers} == {outcome}
    unasked = [a for a in answers if (a.message or "").startswith("not asked: 6 failures in a row")]
    assert 193 <= len(unasked) <= 199


def test_fetch_all_of_host_that_answers_now_and_then_goes_on() -> None:
    handlers = {f"/{i}": FAULTS["/closed" if i % 3 else "/ok"] for i in range(60)}
    with FaultServer(handlers) as server:
        settings = config(host_failures=3, host_concurrency=1)
        answers = fetched([server.url(f"/{i}") for i in range(60)], settings)
    assert [a.outcome for a in answers] == ["disconnected" if i % 3 else "ok" for i in range(60)]
    assert not any((a.message or "").startswith("not asked") for a in answers)


# Connections.


def test_fetch_all_uses_connections_again() -> None:
    with FaultServer() as server:
        paths = ["/ok", "/status/404", "/status/500", "/chain/2", "/gzip", "/empty"] * 10
        answers = fetched([server.url(path) for path in paths], config(host_concurrency=2))
        assert server.connections <= 2
    assert len(answers) == 60


def test_fetch_on_connection_that_was_closed_meanwhile_asks_once_more() -> None:
    """No other try: the server had closed the connection before the request came."""
    closing: list[Asked] = []

    async def close_on_sight(asked: Asked) -> bool | None:
        if len(closing) < 1 and asked.number == 0:
            closing.append(asked)
            return True
        await asked.answer(body=BODY)
        return None

    async def main() -> list[str]:
        async with Fetcher(config(host_concurrency=1)) as fetcher:
            urls = [server.url("/ok"), server.url("/close"), server.url("/ok")]
            return [(await fetcher.fetch(Request(url))).outcome for url in urls]

    with FaultServer({"/close": close_on_sight}) as server, hang_guard():
        assert asyncio.run(main()) == ["ok"] * 3
        assert server.paths() == ["/ok", "/close", "/close", "/ok"]


def test_fetch_all_closed_early_leaves_no_task_and_no_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with Fetcher(
            config(host_concurrency=50, read_seconds=60, total_seconds=60)
        ) as fetcher:
            requests = [
                Request(server.url(path)) for path in ["/ok", *(["/hang", "/slow-body"] * 10)]
            ]
            answers = cast(AsyncGenerator[Answer], fetch_all(fetcher, requests))
            assert (await anext(answers)).outcome == "ok"
            while server.open < 20:
                await asyncio.sleep(0.01)
            await answers.aclose()
            assert asyncio.all_tasks() == {asyncio.current_task()}
            # The fetcher is as good as new.
            assert (await fetcher.fetch(Request(server.url("/ok")))).outcome == "ok"
        assert asyncio.all_tasks() == {asyncio.current_task()}
        while server.open:
            await asyncio.sleep(0.01)

    with FaultServer() as server, hang_guard():
        asyncio.run(main())
    assert [record for record in caplog.records if record.levelname != "DEBUG"] == []


def test_fetch_all_in_cancelled_task_leaves_nothing() -> None:
    async def consume(fetcher: Fetcher) -> None:
        async for _ in fetch_all(fetcher, [Request(server.url("/hang")) for _ in range(4)]):
            pass

    async def main() -> None:
        async with Fetcher(config(read_seconds=60, total_seconds=60)) as fetcher:
            task = asyncio.create_task(consume(fetcher))
            while server.open < 4:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert asyncio.all_tasks() == {asyncio.current_task()}

    with FaultServer() as server, hang_guard():
        asyncio.run(main())


def test_fetch_all_of_slow_consumer_reads_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transforms.fetch_batches.BACKLOG", 5)
    monkeypatch.setattr("transforms.http_fetch.BACKLOG", 5)

    async def main() -> None:
        async with Fetcher(config(concurrency=3, host_concurrency=50)) as fetcher:
            requests = [Request(server.url("/ok")) for _ in range(100)]
            answers = cast(AsyncGenerator[Answer], fetch_all(fetcher, requests))
            for taken in range(1, 11):
                assert (await anext(answers)).outcome == "ok"
                await asyncio.sleep(0.1)
                assert len(server.asked) <= taken + 5 + 3
            assert len(server.asked) == 10 + 5 + 3
            assert len([answer async for answer in answers]) == 90

    with FaultServer() as server, hang_guard():
        asyncio.run(main())


# Time, consent and bugs.


def test_fetch_all_out_of_time_leaves_out_what_was_not_asked() -> None:
    with FaultServer() as server:
        urls = [server.url(f"/{i}") for i in range(1000)]
        answers = fetched(urls, config(host_rate=20.0), seconds=0.5)
        asked = set(server.paths())
    assert 0 < len(answers) < 1000
    assert {answer.url for answer in answers} == {server.url(path) for path in asked}


def test_fetch_all_without_time_asks_one() -> None:
    with FaultServer() as server:
        answers = fetched([server.url(f"/{i}") for i in range(50)], config(), seconds=0.0)
        assert len(server.asked) == len(answers) == 1


def test_fetch_all_out_of_time_answers_what_was_tried() -> None:
    with FaultServer() as server:
        settings = config(retries=5, backoff_seconds=60.0)
        (answer,) = fetched([server.url("/status/500")], settings, seconds=0.3)
        assert (answer.outcome, len(server.asked)) == ("http_500", 1)


def test_fetch_all_of_nothing_ends() -> None:
    assert fetched([], config()) == []
    assert fetched([], config(), seconds=0.0) == []


def test_permit_asked_before_every_url_and_hop_and_obeyed() -> None:
    seen = []

    async def permit(url: str) -> FetchError | None:
        seen.append((url, len(server.asked)))
        return FetchError("robots", "Disallow: /ok") if url.endswith("/ok") else None

    with FaultServer() as server:
        answer = one(server.url("/chain/2"), permit=permit)
        assert server.paths() == ["/chain/2", "/chain/1"]
        hops = [server.url("/chain/2"), server.url("/chain/1"), server.url("/ok")]
    assert seen == [(url, number) for number, url in enumerate(hops)]
    assert answer.outcome == "robots"
    assert answer.message == f"Disallow: /ok (redirected to {hops[-1]})"


def test_permit_not_asked_for_what_is_refused_anyway() -> None:
    async def permit(url: str) -> FetchError | None:
        raise AssertionError(url)

    assert one("http://10.0.0.1/", permit=permit).outcome == "blocked_address"


def test_permit_that_waits_for_one_host_stalls_no_other() -> None:
    release = asyncio.Event()

    async def permit(url: str) -> FetchError | None:
        if "/slow" in url:
            await release.wait()
        return None

    async def main(settings: FetchConfig) -> list[str]:
        async with Fetcher(settings, permit=permit) as fetcher:
            slow = [Request(slow_server.url(f"/slow/{i}")) for i in range(30)]
            quick = [Request(server.url(f"/status/{i}")) for i in range(410, 440)]
            outcomes = []
            async for answer in fetch_all(fetcher, [*slow, *quick]):
                outcomes.append(answer.outcome)
                if len(outcomes) == 30:
                    release.set()
            return outcomes

    with FaultServer() as server, FaultServer() as slow_server, hang_guard():
        outcomes = asyncio.run(main(config(concurrency=1)))
    assert outcomes == [f"http_{i}" for i in range(410, 440)] + ["http_404"] * 30


@pytest.mark.parametrize("place", ["permit", "exchange"])
def test_fetch_all_with_a_bug_crashes(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    async def broken(*_: Any) -> Any:
        raise TypeError("a bug")

    options = {"permit": broken} if place == "permit" else {}
    if place == "exchange":
        monkeypatch.setattr("transforms.http_exchange.Exchange._read", broken)
    with FaultServer() as server, pytest.raises(TypeError, match="a bug"):
        fetched([server.url("/ok"), server.url("/hang")], config(), **options)
