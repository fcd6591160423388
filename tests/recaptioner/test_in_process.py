"""The threads around a core: order, refusals, and every way in which it can be lost."""

import multiprocessing
import signal
import threading
import time
from multiprocessing.process import BaseProcess

import pytest

from recaptioner.engines.base import EngineLostError, Reply
from recaptioner.engines.in_process import EngineThreads
from tests.recaptioner.fake_engines import FakeCore, request

LONG = 120.0
"""Seconds that no test waits for."""


def start(core: FakeCore, step_seconds: float = LONG) -> EngineThreads:
    return EngineThreads(lambda: core, LONG, step_seconds)


def collect(threads: EngineThreads, found: dict[str, Reply] | None = None) -> dict[str, Reply]:
    found = {} if found is None else found
    while replies := threads.poll():
        found.update((reply.key, reply) for reply in replies)
    return found


def ended(process: BaseProcess) -> int:
    """Its exit code, whichever thread was the first to learn it."""
    deadline = time.monotonic() + LONG
    while process.exitcode is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process.exitcode


def hang(number: int) -> None:
    threading.Event().wait()


def test_all_requests_are_answered_and_then_none_is_in_flight():
    threads = start(FakeCore(width=3))
    assert threads.poll() == []
    for number in range(50):
        threads.submit(request(str(number), f"text {number}"))
    found = collect(threads)
    assert {key: reply.text for key, reply in found.items()} == {
        str(number): f"TEXT {number}" for number in range(50)
    }
    assert threads.poll() == []
    threads.close()


def test_requests_that_come_later_join_those_under_way():
    may_go = threading.Event()
    core = FakeCore(width=1, step=lambda number: may_go.wait(LONG) and None)
    threads = start(core)
    threads.submit(request("a"))
    threads.submit(request("b"))
    may_go.set()
    first = threads.poll()
    threads.submit(request("c"))
    found = {reply.key for reply in first} | set(collect(threads))
    assert found == {"a", "b", "c"}
    threads.close()


@pytest.mark.parametrize("where", ["unrendered", "unadded"])
def test_a_refused_request_fails_alone(where):
    threads = start(FakeCore())
    for key, text in (("a", "x"), ("bad", where), ("b", "y")):
        threads.submit(request(key, text))
    found = collect(threads)
    assert found["bad"].error == {"unrendered": "no such picture", "unadded": "too long"}[where]
    assert (found["a"].text, found["b"].text) == ("X", "Y")
    threads.close()


def test_a_core_is_one_threads_own_except_for_rendering():
    core = FakeCore()
    threads = start(core)
    for number in range(20):
        threads.submit(request(str(number)))
    collect(threads)
    threads.close()
    assert core.closed.wait(LONG)
    own = core.threads["add"] | core.threads["step"] | core.threads["close"]
    assert len(own) == len(core.threads["render"]) == 1
    assert own.isdisjoint(core.threads["render"] | {threading.get_ident()})


def test_a_step_that_fails_loses_the_engine():
    def fail(number: int) -> None:
        raise ValueError("out of memory\non the device")

    core = FakeCore(step=fail)
    threads = start(core)
    threads.submit(request("a"))
    with pytest.raises(EngineLostError, match="has failed: ValueError: out of memory on the dev"):
        threads.poll()
    with pytest.raises(EngineLostError, match="has failed"):
        threads.submit(request("b"))
    with pytest.raises(EngineLostError, match="has failed"):
        threads.poll()
    assert core.closed.wait(LONG)


def test_a_step_that_never_ends_loses_the_engine():
    threads = start(FakeCore(step=hang), step_seconds=0.5)
    threads.submit(request("a"))
    with pytest.raises(EngineLostError, match=r"moves no request for 0\.5 s"):
        threads.poll()


def test_an_engine_that_waits_for_requests_is_not_lost():
    threads = start(FakeCore(), step_seconds=0.2)
    threads.submit(request("a"))
    collect(threads)
    time.sleep(0.5)
    threads.submit(request("b"))
    assert set(collect(threads)) == {"b"}
    threads.submit(request("c"))
    time.sleep(0.5)
    assert set(collect(threads)) == {"c"}
    threads.close()


def test_answers_from_before_the_loss_are_given():
    may_go = threading.Event()

    def step(number: int) -> None:
        may_go.wait(LONG)
        if number == 3:
            raise RuntimeError("gone")

    threads = start(FakeCore(width=1, step=step))
    for key in "abcd":
        threads.submit(request(key))
    may_go.set()
    found: dict[str, Reply] = {}
    with pytest.raises(EngineLostError, match="gone"):
        collect(threads, found)
    assert set(found) == {"a", "b"}


def test_a_killed_process_of_the_core_loses_the_engine():
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=time.sleep, args=[LONG], daemon=True)
    process.start()
    try:
        threads = start(FakeCore(step=hang, processes=[process]))
        threads.submit(request("a"))
        assert process.pid is not None
        process.kill()
        with pytest.raises(EngineLostError, match=f"EngineCore has died: .*{-signal.SIGKILL}"):
            threads.poll()
    finally:
        process.kill()
        process.join()


def test_closing_ends_a_process_that_hangs(monkeypatch):
    from recaptioner.engines import in_process

    monkeypatch.setattr(in_process, "_CLOSE_SECONDS", 0.2)
    process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=[LONG])
    process.start()
    try:
        threads = start(FakeCore(step=hang, processes=[process]))
        threads.submit(request("a"))
        threads.close()
        assert ended(process) == -signal.SIGKILL
        with pytest.raises(EngineLostError, match="closed"):
            threads.poll()
    finally:
        process.kill()
        process.join()


def test_what_loading_raises_is_raised():
    def load() -> FakeCore:
        raise RuntimeError("no such model")

    with pytest.raises(RuntimeError, match="no such model"):
        EngineThreads(load, LONG, LONG)


def test_loading_that_never_ends_is_given_up():
    def load() -> FakeCore:
        hang(0)
        return FakeCore()

    with pytest.raises(EngineLostError, match=r"not loaded its model within 0\.2 s"):
        EngineThreads(load, 0.2, LONG)


def test_closing_an_idle_engine_closes_its_core():
    core = FakeCore()
    threads = start(core)
    threads.close()
    assert core.closed.is_set()
    with pytest.raises(EngineLostError, match="closed"):
        threads.submit(request("a"))
