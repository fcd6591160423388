"""Many URLs, fetched side by side: fast over all hosts, slow and polite to each.

A request starts when one of the slots is free and its host may be asked: what waits for a host's
rate, for `Retry-After` or for another try holds no slot, so a slow host stalls nobody. A redirect
goes to the queue of the host that it leads to, and is checked like any other URL.
"""

import asyncio
import math
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType

from schemas.errors import FetchError
from transforms.fetch_batches import BACKLOG, Answer, Batch, Request, Work
from transforms.fetch_config import FetchConfig
from transforms.host_limits import retry_after
from transforms.host_queues import HostQueue, HostQueues
from transforms.http_exchange import REDIRECTS, Exchange, Reply, one_line
from transforms.urls import normalize_url, resolve_url

__all__ = ["ACCEPT_IMAGES", "Answer", "Fetcher", "Permit", "Request", "fetch_all"]

ACCEPT_IMAGES = "image/*,*/*;q=0.5"
"""No format is named: many servers convert to the one that is, and the original is wanted."""
RETRIED = frozenset(
    {"timeout", "connect", "disconnected", "truncated", "http_429"}
    | {"http_500", "http_502", "http_503", "http_504"}
)
"""Outcomes that are tried again within one fetch."""

# Questions to `permit` at once, for each slot: they may wait for another host, and hold no slot.
_ASKING_PER_SLOT = 4

Permit = Callable[[str], "FetchError | Awaitable[FetchError | None] | None"]
"""Asked for every URL before it is requested, each redirect too; an error refuses it.

An answer that is not known yet is waited for, which costs a task."""


async def _raised(bug: Exception) -> FetchError | None:
    """A bug of `permit`, to be waited for like an answer that takes time."""
    raise bug


class Fetcher:
    """Connections, name look-ups and host limits; used as an asynchronous context manager.

    Args:
        config: Limits, deadlines and the user agent.
        accept: The header `Accept`.
        max_bytes: Largest body, before and after its coding is undone; by default the config's.
        permit: Asked for every URL before it is requested. If it fetches, then by another Fetcher.
        shares_elsewhere: Parts of the work that redirects may lead to a host that none has planned.
        tls: What certificates are checked by, if not by what OpenSSL trusts.
    """

    def __init__(
        self,
        config: FetchConfig,
        *,
        accept: str = ACCEPT_IMAGES,
        max_bytes: int | None = None,
        permit: Permit | None = None,
        shares_elsewhere: int = 1,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._config = config
        self._accept = accept
        self._max_bytes = config.max_bytes if max_bytes is None else max_bytes
        self._permit = permit
        self._shares_elsewhere = shares_elsewhere
        self._tls = tls
        self._hosts: HostQueues[Work] = HostQueues(config)
        self._slots = config.concurrency
        self._may_ask = _ASKING_PER_SLOT * config.concurrency
        self._timer: asyncio.TimerHandle | None = None
        self._batches: set[Batch] = set()
        self._exchange: Exchange
        self._loop: asyncio.AbstractEventLoop

    async def __aenter__(self) -> "Fetcher":
        """Open the pool of connections."""
        self._loop = asyncio.get_running_loop()
        self._exchange = Exchange(
            self._config, accept=self._accept, max_bytes=self._max_bytes, tls=self._tls
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Break off what is under way and close every connection."""
        for batch in list(self._batches):
            await self._withdraw(batch)
        if self._timer is not None:
            self._timer.cancel()
        await self._exchange.close()

    def slow_down(self, host: str, seconds: float) -> None:
        """Leave a host (`name` or `name:port`) at least so long between two requests."""
        self._hosts.of(host).limits.slow_down(seconds)

    def resting(self) -> list[str]:
        """Hosts to leave alone for some time: they asked for it, or could not be reached."""
        return sorted(name for name, limits in self._hosts.limits() if limits.rests)

    async def fetch(self, request: Request) -> Answer:
        """One URL with its redirects and tries. Nothing about the network is raised."""
        batch = self._submit((request,))
        try:
            answer = await self._next(batch)
            assert answer is not None  # without a deadline nothing is left out
            return answer
        finally:
            await self._withdraw(batch)

    def _submit(self, requests: Iterable[Request], seconds: float = math.inf) -> Batch:
        """Put requests into the queues of their hosts."""
        batch = Batch(deadline=self._loop.time() + seconds)
        self._batches.add(batch)
        for request in requests:
            batch.left += 1
            url = normalize_url(request.url)
            work = Work(request, batch, url or "")
            if url is None:
                work.batch.put(work, Reply("bad_url", "no http or https URL"))
            else:
                self._enqueue(work)
        batch.started = False  # an answer without a request is none that ends the batch's time
        self._start()
        return batch

    def _enqueue(self, work: Work) -> None:
        """Put a URL, new or led to, into the queue of its host, unless it is refused."""
        host = self._hosts.of(work.url.split("/", 3)[2])
        host.limits.share(self._shares_elsewhere if work.seen else work.request.shares)
        refusal = self._exchange.refusal(work.url) or host.limits.verdict
        if refusal is not None:
            self._refuse(work, refusal)
        else:
            host.waiting.append(work)
            self._hosts.enlist(host)

    def _start(self) -> None:
        """Start all that may start now, and set the clock for what may start later."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._loop.time()
        while self._slots > 0 and self._may_ask > 0:
            if (found := self._hosts.pop(now)) is None:
                when = self._hosts.next_time()
                if when is not None:
                    self._timer = self._loop.call_at(when, self._start)
                return
            host, work = found
            batch = work.batch
            if batch.over(now):
                work.batch.leave_out(work)
            elif isinstance(answer := self._permitted(work), Awaitable):
                # One question a host at a time: the first may fetch its robots.txt for all.
                host.asking = True
                self._may_ask -= 1
                self._spawn(self._ask(answer, host, work), batch)
            elif answer is not None:
                self._refuse(work, answer)
            else:
                batch.started = True
                self._slots -= 1
                host.limits.begin(now)
                self._spawn(self._run(host, work), batch)
                if now >= batch.deadline:
                    self._expire(batch)
            self._hosts.enlist(host)

    def _permitted(self, work: Work) -> FetchError | Awaitable[FetchError | None] | None:
        if work.permitted or self._permit is None:
            return None
        try:
            return self._permit(work.url)
        except Exception as bug:
            return _raised(bug)

    def _spawn(self, steps: Coroutine[None, None, None], batch: Batch) -> None:
        task = self._loop.create_task(steps)
        batch.tasks.add(task)
        task.add_done_callback(batch.tasks.discard)

    async def _ask(
        self, answer: Awaitable[FetchError | None], host: HostQueue[Work], work: Work
    ) -> None:
        try:
            refusal = await answer or host.limits.verdict
            if refusal is not None:
                self._refuse(work, refusal)
            elif work.batch.over(self._loop.time()):
                work.batch.leave_out(work)
            else:
                work.permitted = True
                host.waiting.appendleft(work)
        except Exception as bug:
            work.batch.bug = bug
            work.batch.wake()
        finally:
            host.asking = False
            self._may_ask += 1
            self._hosts.enlist(host)
            self._start()

    async def _run(self, host: HostQueue[Work], work: Work) -> None:
        kept = False
        try:
            reply = await self._exchange.get(work.url)
            kept = self._settle(host, work, reply)
        except Exception as bug:
            work.batch.bug = bug
            work.batch.wake()
        finally:
            host.limits.end()
            self._slots += not kept
            self._hosts.enlist(host)
            self._start()

    def _settle(self, host: HostQueue[Work], work: Work, reply: Reply) -> bool:
        """Decide what follows from a reply; whether its body keeps the slot."""
        if reply.status is None:
            host.limits.failed(FetchError(reply.outcome, reply.message or ""))
        else:
            host.limits.heard()
        if reply.status in REDIRECTS:
            self._redirect(work, reply)
            return False
        if reply.outcome in RETRIED:
            now = self._loop.time()
            wait = self._config.backoff_seconds * 2.0**work.tries
            if reply.status in (429, 503):
                reply, wait = self._hold_back(host, reply, wait, now)
            if (
                host.limits.verdict is None
                and work.tries < self._config.retries
                and now < work.batch.deadline
            ):
                work.tries += 1
                work.failure = reply
                self._hosts.put_later(host, now + wait, work)
                return False
        if host.limits.verdict is not None:
            for other in host.take(lambda _: True):
                self._refuse(other, host.limits.verdict)
        return work.batch.put(work, reply)

    def _hold_back(
        self, host: HostQueue[Work], reply: Reply, wait: float, now: float
    ) -> tuple[Reply, float]:
        """Do as a host says that is asked too much: wait, or leave it alone."""
        asked = retry_after(reply.header("retry-after"), datetime.now(UTC))
        if asked is None:
            if reply.status == 429:
                host.limits.pause(now + wait)
        elif asked <= self._config.max_wait_seconds:
            wait = asked
            host.limits.pause(now + wait)
        else:
            reply = replace(reply, message=f"the host asked to wait for {asked:.0f} s")
            host.limits.leave_alone(FetchError(reply.outcome, reply.message or ""))
        return reply, wait

    def _redirect(self, work: Work, reply: Reply) -> None:
        location = reply.header("location")
        target = None if location is None else resolve_url(work.url, location)
        if target is None:
            to = "nowhere: no Location" if location is None else f"to {location!r}"
            failure = FetchError("bad_redirect", f"{reply.status} {to}")
        elif target == work.url or target in work.seen:
            failure = FetchError("too_many_redirects", f"in a circle, back to {target}")
        elif len(work.seen) >= self._config.max_redirects:
            failure = FetchError("too_many_redirects", f"after {len(work.seen)} to {target}")
        else:
            if work.url.startswith("https:") and target.startswith("http:"):
                work.note = f"redirected from https to {target}"
            work.seen = (*work.seen, work.url)
            work.url = target
            work.permitted, work.tries, work.failure = False, 0, None
            self._enqueue(work)
            return
        message = one_line(str(failure))
        work.batch.put(work, Reply(failure.outcome, message, reply.status, reply.headers))

    def _refuse(self, work: Work, error: FetchError) -> None:
        """Answer a URL that is not asked for; one that was asked keeps what came of it."""
        if work.failure is not None:
            work.batch.put(work, work.failure)
        else:
            message = f"{error} (redirected to {work.url})" if work.seen else str(error)
            work.batch.put(work, Reply(error.outcome, one_line(message)))

    def _expire(self, batch: Batch) -> None:
        """Empty the queues of a batch whose time is over, once it has come to anything."""
        if batch.started:
            for work in self._hosts.take(lambda work: work.batch is batch):
                work.batch.leave_out(work)

    async def _next(self, batch: Batch) -> Answer | None:
        """The next answer as soon as there is one; None after the last."""
        while batch.bug is None and not batch.answers and batch.left:
            batch.waiter = self._loop.create_future()
            await batch.waiter
        if batch.bug is not None:
            raise batch.bug
        if not batch.answers:
            return None
        answer, freed = batch.take()
        if freed:
            self._slots += 1
            self._start()
        return answer

    async def _withdraw(self, batch: Batch) -> None:
        """Take a batch back: nothing of it stays in a queue, in a task or in a slot."""
        self._batches.discard(batch)
        if batch.left:
            self._hosts.take(lambda work: work.batch is batch)
        tasks = list(batch.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._slots += max(0, batch.bodies - BACKLOG)
        batch.bodies = 0


async def fetch_all(
    fetcher: Fetcher, requests: Iterable[Request], *, seconds: float | None = None
) -> AsyncGenerator[Answer, None]:
    """The answers of many URLs, as they come.

    Args:
        fetcher: Open; its limits hold over everything that it fetches.
        requests: Read at once: they are put into the queues of their hosts.
        seconds: Begin no request after this time, but at least one; what was not asked for by then
            is left out, and so is what a redirect still has to be followed for.

    An iterator that is closed early breaks off what is under way.
    """
    batch = fetcher._submit(requests, math.inf if seconds is None else seconds)
    timer = None
    try:
        if seconds is not None:
            timer = fetcher._loop.call_at(batch.deadline, fetcher._expire, batch)
        while (answer := await fetcher._next(batch)) is not None:
            yield answer
    finally:
        if timer is not None:
            timer.cancel()
        await fetcher._withdraw(batch)
