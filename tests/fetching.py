"""Fetching from the servers of `tests/fault_server.py`."""

import asyncio
from collections.abc import Iterable
from typing import Any

from schemas.outcomes import is_outcome
from tests.conftest import hang_guard
from transforms.fetch_config import FetchConfig
from transforms.http_fetch import Answer, Fetcher, Request, fetch_all


def config(**changes: Any) -> FetchConfig:
    """Loopback allowed, no limit of rate, one try."""
    settings: dict[str, Any] = {
        "contact": "https://example.org/bot",
        "allow_hosts": ("127.0.0.1", "site.test"),
        "host_rate": 0.0,
        "retries": 0,
        "backoff_seconds": 0.01,
        "read_seconds": 10.0,
        "total_seconds": 20.0,
        "max_bytes": 1 << 20,
        "host_failures": 1000,
    }
    return FetchConfig(**(settings | changes))


def fetched(
    urls: Iterable[str], settings: FetchConfig, *, seconds: float | None = None, **options: Any
) -> list[Answer]:
    """The answers in the order in which they came; nothing may be left behind."""

    async def main() -> list[Answer]:
        async with Fetcher(settings, **options) as fetcher:
            requests = [Request(url) for url in urls]
            answers = [a async for a in fetch_all(fetcher, requests, seconds=seconds)]
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return answers

    with hang_guard():
        answers = asyncio.run(main())
    assert all(is_outcome(answer.outcome) for answer in answers)
    assert all("\n" not in (answer.message or "") for answer in answers)
    return answers


def one(url: str, settings: FetchConfig | None = None, **options: Any) -> Answer:
    (answer,) = fetched([url], settings or config(), **options)
    return answer
