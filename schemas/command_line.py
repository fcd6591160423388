"""How every command of Weft ends: one line for an error, and its exit code."""

import atexit
import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from schemas.errors import StageError, StoreError, TrainingError, UserError

STOPPED = 130
"""After Ctrl-C."""
TERMINATED = 128 + signal.SIGTERM
"""After SIGTERM, which is what schedulers send."""
_STORES = ("gcsfs.", "google.auth.", "google.api_core.", "adlfs.", "azure.", "aiohttp.")
"""Modules, and their parents, whose errors tell that a store failed."""


def run_app(app: Callable[..., Any], program: str, arguments: list[str] | None = None) -> int:
    """Run a Typer application; returns the exit code.

    2 for what the user can mend in the command, the configuration or the input; 1 for a run that
    failed. Anything else is a bug, and raised.

    Args:
        app: Called with `args` and `standalone_mode`.
        program: Begins each line.
        arguments: Of the command; unset: those of the process.
    """
    stops: list[int] = []
    # By their names: `schemas` knows no command-line library.
    try:
        with _stopped_by_sigterm(stops):
            answer: Any = app(args=arguments, standalone_mode=False)
    except UserError as error:
        return _fail(program, error, 2)
    except (StageError, StoreError, TrainingError) as error:
        return _fail(program, error, 1)
    except Exception as error:
        return _other_failure(program, error, stops)
    except KeyboardInterrupt:
        return _stopped(program, stops)
    # Typer takes Ctrl-C itself, and gives back its exit code.
    return _stopped(program, stops) if answer == STOPPED else int(answer or 0)


def run_program(main: Callable[[], int]) -> NoReturn:
    """Run a program to the end of its process, with its exit code whatever its threads do.

    A thread that comes back from C++ while the interpreter is taken down is ended in the middle of
    it, and C++ then aborts the process (https://github.com/python/cpython/issues/87135). Threads of
    Beam's workers, gRPC and readers of shards are such. So where a daemon thread is left, the
    interpreter is not taken down: other threads are waited for, exit handlers run and output is
    written as ever, but what an open file has not written is lost.

    Args:
        main: Gives the exit code. What it raises is a bug: its traceback is shown, and the code 1.
    """
    try:
        status = main()
    except Exception:
        sys.excepthook(*sys.exc_info())
        status = 1
    others = (each for each in threading.enumerate() if each is not threading.main_thread())
    if not any(each.daemon for each in others):
        sys.exit(status)
    try:
        # As the interpreter begins its end: the first waits for other threads, and for pools.
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            try:
                if stream is not None:  # closed before the program began
                    stream.flush()
            except (OSError, ValueError):
                # Nobody reads it, or the disk is full: the interpreter's own code for it.
                status = status or 120
    finally:
        os._exit(status)


@contextlib.contextmanager
def _stopped_by_sigterm(stops: list[int]) -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does; what came is noted.

    Not where somebody has seen to it, nor outside the main thread, which alone may.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def stop(number: int, frame: object) -> None:
        stops.append(number)
        if len(stops) == 1:  # it is told once: what is held is being tidied up
            raise KeyboardInterrupt

    def default_again() -> None:
        if signal.getsignal(signal.SIGTERM) is stop:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    # Nobody asked a forked child to tell anything. It takes the default itself, and not a handler
    # that ends it: Python runs handlers between instructions, so a signal that comes just before a
    # call that waits would be seen to only after it.
    os.register_at_fork(after_in_child=default_again)
    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        # The process takes a while to end, and its exit code is said.
        signal.signal(signal.SIGTERM, signal.SIG_IGN if stops else signal.SIG_DFL)


def _stopped(program: str, stops: list[int]) -> int:
    print(f"{program}: stopped; run the same command again to go on", file=sys.stderr)
    return TERMINATED if stops else STOPPED


def _other_failure(program: str, error: Exception, stops: list[int]) -> int:
    """Click's own errors (unknown option, missing argument) are the user's; others are bugs."""
    show = getattr(error, "format_message", None)
    if show is not None:
        return _fail(program, UserError(show()), 2)
    if type(error).__name__ == "Exit":
        return int(getattr(error, "exit_code", 0))
    if type(error).__name__ == "Abort":
        return _stopped(program, stops)
    if f"{type(error).__module__}.".startswith(_STORES):
        told = f"{type(error).__name__}: {error}"
        return _fail(program, StoreError(f"a store failed: {told}"), 1)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return _fail(program, error, 1)
    if isinstance(error, BrokenPipeError):
        # Whoever read the output has gone, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    raise error


def _fail(program: str, error: Exception, code: int) -> int:
    # One line, whatever is in the name of a file.
    print(f"{program}:", " ".join(str(error).splitlines()), file=sys.stderr)
    return code
