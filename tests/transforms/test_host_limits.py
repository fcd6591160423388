import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import FetchError
from transforms.fetch_config import FetchConfig
from transforms.host_limits import HostLimits, retry_after

NOW = datetime(2024, 3, 5, 9, 0, 0, tzinfo=UTC)


def limits(**changes: float) -> HostLimits:
    return HostLimits(FetchConfig(**changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("0", 0.0),
        ("120", 120.0),
        (" 5 ", 5.0),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("9" * 5000, 999999999999.0),
        ("Tue, 05 Mar 2024 09:00:30 GMT", 30.0),
        ("Tuesday, 05-Mar-24 09:00:30 GMT", 30.0),
        ("Tue, 05 Mar 2024 09:00:30 -0000", 30.0),
        ("Tue, 05 Mar 2024 08:00:00 GMT", 0.0),
        ("Tue, 05 Mar 2024 10:00:00 +0100", 0.0),
        ("Tue, 99 Mar 2024 09:00:30 GMT", None),
    ],
)
def test_retry_after_reads_seconds_and_dates(value: str | None, expected: float | None) -> None:
    assert retry_after(value, NOW) == expected


@given(st.text())
def test_retry_after_of_text_never_raises(text: str) -> None:
    seconds = retry_after(text, NOW)
    assert seconds is None or seconds >= 0


def test_begin_spaces_requests_evenly() -> None:
    host = limits(host_rate=5.0)
    assert host.ready_at() == -math.inf
    times = []
    now = 100.0
    for _ in range(4):
        times.append(now)
        host.begin(now)
        now = host.ready_at()
    assert times == pytest.approx([100.0, 100.2, 100.4, 100.6])


def test_begin_a_little_late_keeps_the_rate() -> None:
    host = limits(host_rate=50.0)
    host.begin(0.0)
    for _ in range(999):
        host.begin(host.ready_at() + 0.004)
    assert host.ready_at() == pytest.approx(1000 / 50.0)


def test_begin_after_idle_time_no_burst() -> None:
    host = limits(host_rate=5.0)
    host.begin(0.0)
    host.begin(60.0)
    assert host.ready_at() == pytest.approx(60.2)


@given(st.lists(st.floats(0, 3), max_size=50), st.floats(0.5, 50))
def test_begin_whatever_the_lateness_never_ahead_of_the_rate(
    lateness: list[float], rate: float
) -> None:
    host = limits(host_rate=rate)
    host.begin(0.0)
    for number, late in enumerate(lateness, start=1):
        now = host.ready_at() + late
        assert now >= number / rate - 1e-6
        host.begin(now)


def test_begin_without_rate_always_ready() -> None:
    host = limits(host_rate=0.0)
    host.begin(7.0)
    assert host.ready_at() == 7.0


@pytest.mark.parametrize(
    ("shares", "lanes", "interval"), [(1, 4, 0.2), (2, 2, 0.4), (3, 1, 0.6), (8, 1, 1.6)]
)
def test_share_divides_rate_and_lanes(shares: int, lanes: int, interval: float) -> None:
    host = limits(host_rate=5.0, host_concurrency=4)
    host.share(shares)
    host.share(1)
    host.begin(0.0)
    assert host.lanes == lanes
    assert host.ready_at() == pytest.approx(interval)


def test_slow_down_counts_where_it_is_slower() -> None:
    host = limits(host_rate=5.0)
    host.slow_down(0.1)
    host.begin(0.0)
    assert host.ready_at() == pytest.approx(0.2)
    host.slow_down(3.0)
    host.begin(10.0)
    assert host.ready_at() == pytest.approx(13.0)


def test_pause_holds_back_and_is_not_made_up_for() -> None:
    host = limits(host_rate=5.0)
    host.begin(0.0)
    host.pause(30.0)
    host.pause(20.0)
    assert host.ready_at() == 30.0
    host.begin(30.0)
    assert host.ready_at() == pytest.approx(30.2)


def test_failed_so_often_in_a_row_left_alone() -> None:
    host = limits(host_failures=3)
    host.failed(FetchError("timeout", "slow"))
    host.failed(FetchError("timeout", "slow"))
    host.heard()
    host.failed(FetchError("connect", "refused"))
    host.failed(FetchError("protocol", "garbage"))
    host.failed(FetchError("connect", "refused"))
    assert host.verdict is None
    host.failed(FetchError("timeout", "slow"))
    assert host.verdict is not None
    assert host.verdict.outcome == "timeout"
    assert str(host.verdict) == "not asked: 3 failures in a row, last slow"


@pytest.mark.parametrize("outcome", ["dns", "blocked_address"])
def test_failed_for_good_left_alone_at_once(outcome: str) -> None:
    host = limits()
    host.failed(FetchError(outcome, "why"))
    assert host.verdict is not None
    assert (host.verdict.outcome, str(host.verdict)) == (outcome, "not asked: why")


def test_leave_alone_twice_keeps_first_reason() -> None:
    host = limits()
    host.leave_alone(FetchError("http_429", "first"))
    host.leave_alone(FetchError("dns", "second"))
    assert host.verdict is not None
    assert host.verdict.outcome == "http_429"
