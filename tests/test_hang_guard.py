"""The guard of the tests against code that does not end (`conftest.py`)."""

import re
import signal
import threading
from collections.abc import Callable

import pytest

from tests.conftest import HangError, hang_guard


def loop() -> None:
    while True:
        pass


@pytest.mark.parametrize(
    "hang",
    [
        pytest.param(loop, id="loop"),
        pytest.param(lambda: re.match(r"(a|a)*$", "a" * 100 + "b"), id="pattern"),
        pytest.param(lambda: threading.Event().wait(), id="waiting"),
    ],
)
def test_what_does_not_end_is_broken_off(hang: Callable[[], object]) -> None:
    with pytest.raises(HangError), hang_guard(0.05):
        hang()


@pytest.mark.parametrize("fails", [False, True], ids=["ends", "raises"])
def test_guard_leaves_signals_and_timers_as_they_were(fails: bool) -> None:
    numbers = (signal.SIGPROF, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers]
    try:
        with hang_guard():
            assert signal.getitimer(signal.ITIMER_PROF)[0] > 0
            assert all(signal.getsignal(number) not in before for number in numbers)
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    assert [signal.getsignal(number) for number in numbers] == before
    assert signal.getitimer(signal.ITIMER_PROF) == signal.getitimer(signal.ITIMER_REAL) == (0, 0)
