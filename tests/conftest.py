"""What every test shares: no model hub is asked for anything, where the real data lies, an end."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

# Before any test module imports `datasets`, which reads these once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"

# Fixtures of tests/recaptioner/conftest.py that load vLLM, a minute each.
_OF_VLLM = {"vllm_engine", "vllm_server"}

# Files of a minute and more: they begin first, so that no process is left with one at the end.
_LONG = (
    "test_engines.py", "test_resume.py", "test_real_sites.py", "test_fetch.py", "test_readme.py",
    "test_engine_process.py", "test_ranks.py", "test_fetch_faults.py", "test_object_stores.py",
)  # fmt: skip

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real crawls beside the checkout; the test is skipped where there is none."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real crawls (../shared/data) are not on this machine")
    return SHARED_DATA


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """The endpoint of an S3 server, for the whole session; the test is skipped without moto."""
    pytest.importorskip("s3fs", reason="the extra `s3` is not installed")
    pytest.importorskip("moto", reason="moto, an S3 server, is not installed")
    from tests.store_server import s3_server

    with s3_server() as url:
        yield url


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what loads vLLM: it changes how torch computes in its process, so `make test` runs these
    tests in one of their own.

    A test that ends the server of the others comes last, long files first.
    """
    items.sort(key=_turn)
    for item in items:
        if not _OF_VLLM.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.vllm)


def _turn(item: pytest.Item) -> tuple[bool, int]:
    name = item.path.name
    place = _LONG.index(name) if name in _LONG else len(_LONG)
    return item.get_closest_marker("ends_vllm_server") is not None, place


class HangError(Exception):
    """Code under `hang_guard` did not end."""


@contextmanager
def hang_guard(seconds: float = 60.0) -> Iterator[None]:
    """Break off what does not end, with a `HangError`; for the main thread.

    This is no measure of speed, so a slow or loaded machine changes nothing: what is guarded ends
    in a small part of the limit, and its input is so large that work which grew with its square
    would take minutes. What runs in C is broken off when it comes back.

    Args:
        seconds: CPU time of this process; what waits instead has ten times that.
    """

    def expire(number: int, frame: FrameType | None) -> None:
        del frame
        raise HangError(f"no end: {signal.Signals(number).name}, {seconds} s of CPU time")

    limits = (
        (signal.ITIMER_PROF, signal.SIGPROF, seconds),
        (signal.ITIMER_REAL, signal.SIGALRM, 10 * seconds),
    )
    if signal.getitimer(signal.ITIMER_PROF)[0]:
        raise RuntimeError("hang_guard inside a hang_guard: its timers are those of the outer one")
    before = [signal.signal(number, expire) for _, number, _ in limits]
    try:
        for timer, _, limit in limits:
            signal.setitimer(timer, limit)
        yield
    finally:
        for timer, _, _ in limits:
            signal.setitimer(timer, 0)
        for (_, number, _), handler in zip(limits, before, strict=True):
            signal.signal(number, handler)
