"""A process that is killed takes with it what it has started, though that does not notice."""

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
PARENT = """
    import subprocess, sys, time
    from recaptioner.engines.orphans import Guard
    guard = Guard()
    deep = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; "
    deep += "time.sleep(600)']); time.sleep(600)"
    subprocess.Popen([sys.executable, "-c", deep], start_new_session=True)
    {then}
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def parent_of():
    started: list[subprocess.Popen] = []

    def start(then: str = "") -> tuple[subprocess.Popen, list[psutil.Process]]:
        code = textwrap.dedent(PARENT.format(then=then))
        process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        family: list[psutil.Process] = []
        while len(family) < (2 if then else 3):
            family = psutil.Process(process.pid).children(recursive=True)
        return process, family

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def has_looked(family: list[psutil.Process]) -> None:
    """Wait until the guard has slept and woken: so it has seen all that there is."""
    (guard,) = [each for each in family if "orphans.py" in str(each.cmdline())]
    seen = guard.num_ctx_switches().voluntary
    deadline = time.monotonic() + 120
    while guard.num_ctx_switches().voluntary < seen + 3:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def end(processes: list[psutil.Process]) -> None:
    for process in processes:
        process.kill()


def test_children_of_a_killed_process_are_ended(parent_of):
    process, family = parent_of()
    has_looked(family)
    process.kill()
    process.wait()
    alive = psutil.wait_procs(family, timeout=60)[1]
    end(alive)
    assert alive == []


def test_a_guard_that_is_closed_ends_nothing(parent_of):
    process, family = parent_of("guard.close()")
    process.kill()
    process.wait()
    alive = psutil.wait_procs(family, timeout=2)[1]
    end(alive)
    assert len(alive) == len(family) == 2
