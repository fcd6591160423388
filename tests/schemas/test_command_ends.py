"""How commands end: what a signal or an error of a library becomes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.command_line import run_app

ROOT = Path(__file__).resolve().parents[2]
STOPPED = """
import multiprocessing, os, signal, sys, time
from schemas.command_line import run_app

# Who runs the tests in the background may have had it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

def child(ready):
    ready.set()
    time.sleep(60)

def app(args, standalone_mode):
    fork = multiprocessing.get_context("fork")
    ready = fork.Event()
    forked = fork.Process(target=child, args=(ready,))
    forked.start()
    ready.wait()
    forked.terminate()
    forked.join()
    print("child", forked.exitcode, flush=True)
    try:
        os.kill(os.getpid(), getattr(signal, args[0]))
        signal.pause()
    finally:
        if args[0] == "SIGTERM":
            os.kill(os.getpid(), signal.SIGTERM)
        print("tidied up", flush=True)

status = run_app(app, "weft", sys.argv[1:])
if sys.argv[1] == "SIGTERM":
    os.kill(os.getpid(), signal.SIGTERM)
sys.exit(status)
"""

ENDED = """
import atexit, concurrent.futures, sys, threading, time
from schemas.command_line import run_program

class Kept:
    def __del__(self):
        print("the interpreter is taken down", file=sys.stderr)

kept = Kept()
def main():
    if sys.argv[1] != "none":
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    pool = concurrent.futures.ThreadPoolExecutor(1)
    pool.submit(lambda: (time.sleep(0.3), print("pool", end=" ")))
    atexit.register(print, "at exit")
    if sys.stdout is not None:
        print("said", end=" ")
    if sys.argv[1] == "bug":
        raise KeyError("x")
    return 7

run_program(main)
"""


@pytest.mark.parametrize(("how", "told"), [("thread", ""), ("none", "taken down")])
def test_threads_that_are_left_do_not_meet_the_end_of_the_interpreter(how: str, told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDED, how],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == "said pool at exit\n"
    assert done.returncode == 7
    assert told in done.stderr
    assert bool(told) == bool(done.stderr)


def test_a_bug_ends_a_program_with_its_traceback_and_1() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDED, "bug"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == "said pool at exit\n"
    assert done.stderr.splitlines()[0].startswith("Traceback")
    assert done.stderr.splitlines()[-1] == "KeyError: 'x'"


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_program_without_streams_keeps_its_exit_code(closed: str) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", ENDED, "thread"],
        cwd=ROOT, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 7


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_output_that_cannot_be_written_at_the_end_is_no_success() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", ENDED.replace("return 7", "return 0"), "thread"],
            cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
            env={**os.environ, "PYTHONUNBUFFERED": ""},
        )  # fmt: skip
    assert done.returncode == 120


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_command_that_is_told_to_stop_tidies_up_and_says_so(name: str, status: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, name],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    # A process that it forked ends by the signal, and says nothing.
    assert done.stdout == f"child {-signal.SIGTERM}\ntidied up\n"
    assert done.stderr == "weft: stopped; run the same command again to go on\n"
    assert done.returncode == status


def test_who_ran_the_command_has_the_signal_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert run_app(lambda args, standalone_mode: 0, "weft") == 0
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("module", ["gcsfs.retry", "google.auth.exceptions", "adlfs"])
def test_a_store_whose_library_gives_up_is_one_line(
    module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = type("HttpError", (Exception,), {"__module__": module})

    def app(args: object, standalone_mode: bool) -> None:
        raise error("503\nbackend")

    assert run_app(app, "weft") == 1
    told = capsys.readouterr().err
    assert told == "weft: a store failed: HttpError: 503 backend\n"


def test_a_bug_is_raised() -> None:
    def app(args: object, standalone_mode: bool) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        run_app(app, "weft")
