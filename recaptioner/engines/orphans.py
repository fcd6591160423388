"""Ends what an engine has started when the process that holds it is killed.

The EngineCore of vLLM 0.32 does not notice that it is alone: it stays, and keeps the memory of its
GPU from whoever tries the part again. `Guard` starts this file as a script, a process that looks
after its parent once in a while.
"""

import os
import subprocess
import sys
import time
from contextlib import suppress

import psutil

_LOOK_SECONDS = 0.5


class Guard:
    """Ends the children of this process should it be killed, from now until `close`."""

    def __init__(self) -> None:
        # In a session of its own: Ctrl-C must not end it before the rest.
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        with self._process.stdout as ready:
            if not ready.readline():
                raise RuntimeError(f"{__file__} does not start")

    def close(self) -> None:
        """Guard nothing any more."""
        self._process.kill()
        self._process.wait()


def _children(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return process.children(recursive=True)  # type: ignore[no-any-return]
    return []


def _watch_parent() -> None:
    parent = psutil.Process(os.getppid())
    family: list[psutil.Process] = []
    print("ready", flush=True)
    while os.getppid() == parent.pid:
        family = _children(parent) or family
        time.sleep(_LOOK_SECONDS)
    for process in {*family, *(child for each in family for child in _children(each))}:
        with suppress(psutil.Error):
            # The tracker of multiprocessing ends by itself, once it has cleared up after all.
            if process.pid != os.getpid() and "resource_tracker" not in str(process.cmdline()):
                process.kill()


if __name__ == "__main__":
    _watch_parent()
