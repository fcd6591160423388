"""Cores and engines without a model: what they do is said when they are made."""

import threading
from collections import deque
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

from recaptioner.engines.base import Reply, Request, Sampling
from recaptioner.engines.vllm_core import RequestRefusedError


def request(key: str, user: str = "") -> Request:
    return Request(key, "", user, None, Sampling(4))


class FakeCore:
    """Answers each request with its text in capitals, `width` of them a step.

    Texts that are refused: `unrendered` and `unadded`.
    """

    def __init__(
        self, width: int = 2, step: Callable[[int], None] = lambda number: None,
        processes: list[BaseProcess] | None = None,
    ) -> None:  # fmt: skip
        self.processes = processes or []
        self.steps = 0
        self.closed = threading.Event()
        self.threads: dict[str, set[int]] = {}
        self._width = width
        self._step = step
        self._running: deque[Request] = deque()

    def _called(self, name: str) -> None:
        self.threads.setdefault(name, set()).add(threading.get_ident())

    def render(self, request: Request) -> Any:
        self._called("render")
        if request.user == "unrendered":
            raise RequestRefusedError("no such picture")
        return request.user.upper()

    def add(self, request: Request, rendered: Any) -> None:
        self._called("add")
        assert rendered == request.user.upper()
        if request.user == "unadded":
            raise RequestRefusedError("too long")
        self._running.append(request)

    def step(self) -> list[Reply]:
        self._called("step")
        assert self._running
        self.steps += 1
        self._step(self.steps)
        ended = [self._running.popleft() for _ in range(min(self._width, len(self._running)))]
        return [Reply(each.key, each.user.upper(), "stop", 1, 1) for each in ended]

    def close(self) -> None:
        self._called("close")
        self.closed.set()


class FakeEngine:
    """An engine that answers the newest request first, one a poll."""

    model = "fake"

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.most = 0
        self._flying: list[Request] = []

    def submit(self, request: Request) -> None:
        self._flying.append(request)
        self.most = max(self.most, len(self._flying))

    def poll(self) -> list[Reply]:
        return [Reply(self._flying.pop().key, "x", "stop")] if self._flying else []

    def close(self) -> None:
        self._flying.clear()
