"""What waits for which host, and which host is next.

A host is in the order of hosts while it has something to do and a lane free. Nothing here waits or
asks; the clock is the caller's.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

from transforms.fetch_config import FetchConfig
from transforms.host_limits import HostLimits

Work = TypeVar("Work")


@dataclass(eq=False, slots=True)
class HostQueue(Generic[Work]):
    """The work of one host."""

    limits: HostLimits
    waiting: deque[Work] = field(default_factory=deque)
    later: list[tuple[float, int, Work]] = field(default_factory=list)
    """A heap of what waits for its time, such as another try."""
    listed_at: float | None = None
    """The time under which the host stands in the order; None while it does not."""
    asking: bool = False
    """Whether it is being found out what the host allows; it stays out of the order meanwhile."""

    def ready_at(self) -> float:
        """When there is something to do, as far as time alone decides."""
        first = -math.inf if self.waiting else self.later[0][0]
        return max(first, self.limits.ready_at())

    def take(self, unwanted: Callable[[Work], bool]) -> list[Work]:
        """Remove and return all that is unwanted."""
        taken = [work for work in self.waiting if unwanted(work)]
        taken += [work for _, _, work in self.later if unwanted(work)]
        if taken:
            self.waiting = deque(work for work in self.waiting if not unwanted(work))
            self.later = [entry for entry in self.later if not unwanted(entry[2])]
            heapq.heapify(self.later)
        return taken


class HostQueues(Generic[Work]):
    """The queues of all hosts, in the order in which they may be served."""

    def __init__(self, config: FetchConfig) -> None:
        self._config = config
        self._queues: dict[str, HostQueue[Work]] = {}
        self._order: list[tuple[float, int, HostQueue[Work]]] = []
        self._numbers = count()

    def of(self, host: str) -> HostQueue[Work]:
        """The queue of a host, by its `name` or `name:port`."""
        queue = self._queues.get(host)
        if queue is None:
            queue = self._queues[host] = HostQueue(HostLimits(self._config))
        return queue

    def limits(self) -> list[tuple[str, HostLimits]]:
        """What is known of every host."""
        return [(name, queue.limits) for name, queue in self._queues.items()]

    def put_later(self, queue: HostQueue[Work], when: float, work: Work) -> None:
        """Put work into a queue that is not to begin before a time."""
        heapq.heappush(queue.later, (when, next(self._numbers), work))

    def enlist(self, queue: HostQueue[Work]) -> None:
        """Give a host its place in the order, if it has something to do and may do it."""
        limits = queue.limits
        if queue.asking or not (queue.waiting or queue.later) or limits.active >= limits.lanes:
            return
        when = queue.ready_at()
        if queue.listed_at is None or when < queue.listed_at:
            queue.listed_at = when
            heapq.heappush(self._order, (when, next(self._numbers), queue))

    def pop(self, now: float) -> tuple[HostQueue[Work], Work] | None:
        """Work that may begin now, and its host, which leaves the order; None if there is none."""
        while self._order and self._order[0][0] <= now:
            when, _, queue = heapq.heappop(self._order)
            if when != queue.listed_at:
                continue  # it was put further to the front since
            queue.listed_at = None
            while queue.later and queue.later[0][0] <= now:
                queue.waiting.appendleft(heapq.heappop(queue.later)[2])
            if queue.asking or queue.limits.active >= queue.limits.lanes:
                continue
            if queue.waiting and queue.limits.ready_at() <= now:
                return queue, queue.waiting.popleft()
            self.enlist(queue)
        return None

    def next_time(self) -> float | None:
        """When `pop` is worth asking again, unless something is put in before."""
        return self._order[0][0] if self._order else None

    def take(self, unwanted: Callable[[Work], bool]) -> list[Work]:
        """Remove and return all that is unwanted, of every host."""
        return [work for queue in self._queues.values() for work in queue.take(unwanted)]
