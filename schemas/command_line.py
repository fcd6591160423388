"""How every command of Weft ends: one line for an error, and its exit code."""

import errno
import os
import sys
from collections.abc import Callable
from typing import Any

from schemas.errors import StageError, StoreError, TrainingError, UserError

STOPPED = 130
"""After Ctrl-C."""


def run_app(app: Callable[..., Any], program: str, arguments: list[str] | None = None) -> int:
    """Run a Typer application; returns the exit code.

    2 for what the user can mend in the command, the configuration or the input; 1 for a run that
    failed. Anything else is a bug, and raised.

    Args:
        app: Called with `args` and `standalone_mode`.
        program: Begins each line.
        arguments: Of the command; unset: those of the process.
    """
    # By their names: `schemas` knows no command-line library.
    try:
        answer: Any = app(args=arguments, standalone_mode=False)
    except UserError as error:
        return _fail(program, error, 2)
    except (StageError, StoreError, TrainingError) as error:
        return _fail(program, error, 1)
    except Exception as error:
        return _other_failure(program, error)
    except KeyboardInterrupt:
        return _stopped(program)
    # Typer takes Ctrl-C itself, and gives back its exit code.
    return _stopped(program) if answer == STOPPED else int(answer or 0)


def _stopped(program: str) -> int:
    print(f"{program}: stopped; run the same command again to go on", file=sys.stderr)
    return STOPPED


def _other_failure(program: str, error: Exception) -> int:
    """Click's own errors (unknown option, missing argument) are the user's; others are bugs."""
    show = getattr(error, "format_message", None)
    if show is not None:
        return _fail(program, UserError(show()), 2)
    if type(error).__name__ == "Exit":
        return int(getattr(error, "exit_code", 0))
    if type(error).__name__ == "Abort":
        return _stopped(program)
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
