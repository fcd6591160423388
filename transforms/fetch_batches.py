"""What is asked of a fetch, what comes of it, and what stands between the two.

A batch is one call: the answers that wait to be taken, and how many are still to come. Bodies are
the memory of a fetch, so a batch says when too many of them wait.
"""

import asyncio
import math
import time
from collections import deque
from dataclasses import dataclass, field

from transforms.http_exchange import Reply, one_line

BACKLOG = 32
"""Bodies that may wait to be taken before they keep the slots that they came through."""


@dataclass(frozen=True, slots=True)
class Request:
    """A URL to fetch."""

    url: str
    """Normalised (`transforms/urls.py`)."""
    shares: int = 1
    """Parts of the work that share the host's limits."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a URL."""

    url: str
    outcome: str
    """`ok` (status 200 with a whole body), or another of `schemas/outcomes.py`."""
    message: str | None
    """One line for people: the redirect, address or header at fault."""
    status: int | None
    """Of the last answer; None where none came."""
    final_url: str | None
    """Where redirects led, if there were any."""
    headers: tuple[tuple[str, str], ...]
    """Of the last answer; names in lower case."""
    body: bytes = field(repr=False)
    """Its content coding undone; empty unless `ok`."""
    answered_at: str
    """UTC, ISO 8601 to the second."""

    @property
    def content_type(self) -> str | None:
        """The header `Content-Type`."""
        return next((value for name, value in self.headers if name == "content-type"), None)


@dataclass(eq=False, slots=True)
class Batch:
    """The answers of one call, and what is still to come."""

    deadline: float = math.inf
    started: bool = False
    left: int = 0
    """URLs without an answer."""
    answers: deque[Answer] = field(default_factory=deque)
    bodies: int = 0
    """Bodies among the answers."""
    bug: Exception | None = None
    """Not of the network: the caller gets it."""
    waiter: asyncio.Future[None] | None = None
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def wake(self) -> None:
        """Let the caller look again."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def over(self, now: float) -> bool:
        """Whether no request may begin any more."""
        return self.started and now >= self.deadline

    def put(self, work: "Work", reply: Reply) -> bool:
        """Hand over what became of a URL; whether its body keeps a slot until it is taken."""
        self.started = True
        self.left -= 1
        self.answers.append(work.answer(reply))
        self.wake()
        if not reply.body:
            return False
        self.bodies += 1
        return self.bodies > BACKLOG

    def leave_out(self, work: "Work") -> None:
        """Let go of a URL that there is no time for; a failed try is an answer all the same."""
        if work.failure is not None:
            self.put(work, work.failure)
        else:
            self.left -= 1
            self.wake()

    def take(self) -> tuple[Answer, bool]:
        """The answer that has waited longest, and whether a slot is free for it."""
        answer = self.answers.popleft()
        if not answer.body:
            return answer, False
        self.bodies -= 1
        return answer, self.bodies >= BACKLOG


@dataclass(eq=False, slots=True)
class Work:
    """One URL on its way: where it stands after redirects and tries."""

    request: Request
    batch: Batch
    url: str
    seen: tuple[str, ...] = ()
    """URLs that led here."""
    tries: int = 0
    permitted: bool = False
    failure: Reply | None = None
    """Of the try before, if this is another one."""
    note: str | None = None

    def answer(self, reply: Reply) -> Answer:
        """The answer to the request that this work began with."""
        return Answer(
            url=self.request.url,
            outcome=reply.outcome,
            message=reply.message or (one_line(self.note) if self.note else None),
            status=reply.status,
            final_url=self.url if self.seen else None,
            headers=reply.headers,
            body=reply.body,
            answered_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        )
