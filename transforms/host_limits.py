"""When a host may be asked next, and when it is left alone.

Pure bookkeeping over a clock that the caller reads: nothing here waits.
"""

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from schemas.errors import FetchError
from transforms.fetch_config import FetchConfig

UNREACHED = frozenset({"dns", "connect", "tls", "timeout", "disconnected"})
"""Outcomes that say that a host was not reached: so many in a row, and it is left alone."""
FINAL = frozenset({"dns", "blocked_address"})
"""Outcomes that are of the host rather than of a URL, so that asking again changes nothing."""

# A request that is late by less than this, or by half an interval, is made up for: otherwise the
# clock's grain would take a few per cent from every rate.
_LATENESS_SECONDS = 0.02


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a `Retry-After` asks for (RFC 9110, 10.2.3), or None where it says nothing.

    Args:
        value: The header: seconds, or an HTTP date.
        now: Aware, to count from.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:12])
    try:
        when = parsedate_to_datetime(value)
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        return max(0.0, (when - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


class HostLimits:
    """What one host (`name` or `name:port`) was asked, and what it said to that.

    Args:
        config: Of it the rate, the concurrency, the longest wait and the failures that suffice.

    Times are seconds of one clock that never goes back.
    """

    __slots__ = (
        "_config",
        "_failures",
        "_interval",
        "_next",
        "_shares",
        "_slowest",
        "active",
        "lanes",
        "verdict",
    )

    def __init__(self, config: FetchConfig) -> None:
        self._config = config
        self._failures = 0
        self._next = -math.inf
        self._shares = 0
        self._slowest = 0.0
        self.active = 0
        """Requests under way."""
        self.lanes = 0
        """Requests that may be under way."""
        self.verdict: FetchError | None = None
        """Why the host is not asked any more."""
        self.share(1)

    def share(self, shares: int) -> None:
        """Note that so many parts of the work ask this host; the most that was named counts."""
        if shares > self._shares:
            self._shares = shares
            self.lanes = max(1, self._config.host_concurrency // shares)
            self._reckon()

    def slow_down(self, seconds: float) -> None:
        """At least so long between two requests, of all parts together."""
        self._slowest = max(self._slowest, seconds)
        self._reckon()

    def _reckon(self) -> None:
        rate = self._config.host_rate
        self._interval = self._shares * max(1 / rate if rate > 0 else 0.0, self._slowest)

    def ready_at(self) -> float:
        """When the next request may begin."""
        return self._next

    def begin(self, now: float) -> None:
        """Book a request that begins now: the next is an interval behind the time of this one."""
        grace = max(self._interval / 2, _LATENESS_SECONDS)
        due = self._next if now - self._next < grace else now
        self._next = max(self._next, due + self._interval)
        self.active += 1

    def end(self) -> None:
        """A request is over."""
        self.active -= 1

    def pause(self, until: float) -> None:
        """Ask nothing before a time."""
        self._next = max(self._next, until)

    def leave_alone(self, error: FetchError) -> None:
        """Ask nothing any more; the first reason stays."""
        if self.verdict is None:
            self.verdict = FetchError(error.outcome, f"not asked: {error}")

    @property
    def rests(self) -> bool:
        """Whether the host is left alone for a reason that may pass."""
        return self.verdict is not None and self.verdict.outcome not in FINAL

    def heard(self) -> None:
        """The host answered, whatever it said."""
        self._failures = 0

    def failed(self, error: FetchError) -> None:
        """Count a request without an answer."""
        if error.outcome in FINAL:
            self.leave_alone(error)
        elif error.outcome in UNREACHED:
            self._failures += 1
            if self._failures >= self._config.host_failures:
                self.leave_alone(
                    FetchError(error.outcome, f"{self._failures} failures in a row, last {error}")
                )
