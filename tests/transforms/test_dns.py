import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from aiohttp.abc import ResolveResult

from schemas.errors import FetchError, RecipeError
from tests.conftest import hang_guard
from tests.fault_server import NameServer
from transforms.addresses import AllowedHosts, nameservers
from transforms.dns import Resolver
from transforms.fetch_config import FetchConfig

PUBLIC, OTHER_PUBLIC = "93.184.215.14", "93.184.215.15"


def resolved(
    names: NameServer,
    steps: Callable[[Resolver], Awaitable[Any]],
    allow: Sequence[str] = (),
    seconds: float = 5.0,
) -> Any:
    """What some steps with a resolver of these names give."""

    async def main() -> Any:
        config = FetchConfig(nameservers=(names.address,), dns_seconds=seconds)
        resolver = Resolver(config, AllowedHosts(allow))
        try:
            return await steps(resolver)
        finally:
            await resolver.close()

    with hang_guard():
        return asyncio.run(main())


def addresses(results: list[ResolveResult]) -> list[str]:
    return [result["host"] for result in results]


def outcome(names: NameServer, host: str, allow: Sequence[str] = (), port: int = 80) -> str:
    async def steps(resolver: Resolver) -> str:
        try:
            return " ".join(addresses(await resolver.resolve(host, port)))
        except FetchError as error:
            return error.outcome

    result: str = resolved(names, steps, allow)
    return result


def test_resolve_gives_addresses_with_port_and_family() -> None:
    with NameServer({"site.test": [PUBLIC]}) as names:
        (result,) = resolved(names, lambda resolver: resolver.resolve("site.test", 8080))
    assert result["host"] == PUBLIC
    assert result["port"] == 8080
    assert result["family"] == socket.AF_INET
    assert result["flags"] & socket.AI_NUMERICHOST


@pytest.mark.parametrize(
    "private", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "0.0.0.0"]
)
def test_resolve_of_private_address_blocked(private: str) -> None:
    with NameServer({"site.test": [private]}) as names:
        assert outcome(names, "site.test") == "blocked_address"
        assert outcome(names, "site.test", ["other.test", "site.test:81"]) == "blocked_address"
        assert outcome(names, "site.test", ["site.test"]) == private
        assert outcome(names, "site.test", ["site.test:81"], port=81) == private


def test_resolve_of_mixed_addresses_blocked() -> None:
    with NameServer({"site.test": [PUBLIC, "10.0.0.1"]}) as names:
        assert outcome(names, "site.test") == "blocked_address"


def test_resolve_of_localhost_from_the_hosts_file() -> None:
    with NameServer({}) as names:
        assert outcome(names, "localhost") == "blocked_address"
        assert "127.0.0.1" in outcome(names, "localhost", ["localhost"])
        assert names.asked == []


@pytest.mark.parametrize(
    "name", ["a" * 64 + ".test", "a..test", ".test", "", ".", ".".join(["abcdefg"] * 40)]
)
def test_resolve_of_impossible_name_no_address(name: str) -> None:
    with NameServer({}) as names:
        assert outcome(names, name) == "dns"
        assert names.asked == []


def test_resolve_of_absent_name_asked_once() -> None:
    async def steps(resolver: Resolver) -> None:
        for _ in range(3):
            with pytest.raises(FetchError, match=r"gone\.test"):
                await resolver.resolve("gone.test")

    with NameServer({}) as names:
        resolved(names, steps)
    assert [name for name, kind in names.asked if kind == 1] == ["gone.test"]


def test_resolve_of_name_without_search_domain() -> None:
    with NameServer({"intranet": ["10.0.0.1"]}) as names:
        assert outcome(names, "intranet") in ("blocked_address", "dns")
        assert {name for name, _ in names.asked} <= {"intranet"}


def test_resolve_of_silent_server_ends() -> None:
    async def steps(resolver: Resolver) -> None:
        with pytest.raises(FetchError) as caught:
            await resolver.resolve("silent.test")
        assert caught.value.outcome == "dns"

    with NameServer({}, silent=["silent.test"]) as names:
        resolved(names, steps, seconds=0.4)
    assert names.asked


@pytest.mark.parametrize(("ttl", "expected"), [(60, [PUBLIC] * 3), (0, [PUBLIC, OTHER_PUBLIC] * 2)])
def test_resolve_again_keeps_answer_for_its_time(ttl: int, expected: list[str]) -> None:
    async def steps(resolver: Resolver) -> list[str]:
        return [addresses(await resolver.resolve("site.test"))[0] for _ in range(3)]

    with NameServer({"site.test": [[PUBLIC], [OTHER_PUBLIC]]}, ttl=ttl) as names:
        found = resolved(names, steps)
    assert found == (expected if ttl else [PUBLIC, OTHER_PUBLIC, OTHER_PUBLIC])


def test_resolve_of_cached_name_checked_at_every_use() -> None:
    async def steps(resolver: Resolver) -> None:
        assert addresses(await resolver.resolve("site.test", 8080)) == ["127.0.0.1"]
        with pytest.raises(FetchError):
            await resolver.resolve("site.test", 8081)

    with NameServer({"site.test": ["127.0.0.1"]}) as names:
        resolved(names, steps, ["site.test:8080"])


def test_resolve_at_one_time_asks_once_whoever_gives_up() -> None:
    async def steps(resolver: Resolver) -> list[list[ResolveResult]]:
        impatient = asyncio.create_task(resolver.resolve("site.test"))
        others = [asyncio.create_task(resolver.resolve("site.test")) for _ in range(5)]
        await asyncio.sleep(0)
        impatient.cancel()
        results = await asyncio.gather(*others)
        assert impatient.cancelled()
        return results

    with NameServer({"site.test": [PUBLIC]}) as names:
        results = resolved(names, steps)
    assert [addresses(result) for result in results] == [[PUBLIC]] * 5
    assert [kind for _, kind in names.asked].count(1) == 1


def test_close_while_asking_leaves_no_task() -> None:
    async def steps(resolver: Resolver) -> set[Any]:
        waiting = asyncio.create_task(resolver.resolve("silent.test"))
        await asyncio.sleep(0.05)
        await resolver.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return asyncio.all_tasks() - {asyncio.current_task()}

    with NameServer({}, silent=["silent.test"]) as names:
        assert resolved(names, steps) == set()


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("127.0.0.1", "127.0.0.1:53"),
        ("127.0.0.1:5353", "127.0.0.1:5353"),
        ("::1", "[::1]:53"),
        ("[::1]", "[::1]:53"),
        ("[::1]:5353", "[::1]:5353"),
    ],
)
def test_nameservers_with_and_without_port(entry: str, expected: str) -> None:
    assert nameservers([entry]) == [expected]


@pytest.mark.parametrize("entry", ["", "dns.test", "127.0.0.1:", "127.0.0.1:x", "1.2.3.4.5"])
def test_nameservers_of_no_address_raises(entry: str) -> None:
    with pytest.raises(RecipeError, match="nameservers"):
        nameservers([entry])
