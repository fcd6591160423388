"""Progress of a stage: one live line on a terminal, plain lines in a log.

Beam's metrics cannot be read before a pipeline ends, so the line counts commit records, and the
rows that workers note in heartbeat files.
"""

import contextlib
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

PLAIN_SECONDS = 10.0
LIVE_SECONDS = 0.5

Count = Callable[[], int]


class Progress:
    """Reports stages to a stream; `quiet` reports nothing."""

    def __init__(self, quiet: bool = False) -> None:
        # Whoever closed the stream wants to hear nothing.
        self._quiet = quiet or sys.stderr is None
        self._live = not self._quiet and sys.stderr.isatty()

    def say(self, line: str) -> None:
        """Print a line of its own."""
        if not self._quiet:
            sys.stderr.write(f"\r\x1b[K{line}\n" if self._live else f"{line}\n")
            sys.stderr.flush()

    @contextlib.contextmanager
    def step(self, name: str, total: int, done: Count) -> Iterator[str]:
        """Report a step of `total` parts while the block runs; gives the heartbeat folder."""
        folder = tempfile.mkdtemp(prefix="weft-heartbeats-")
        stop = threading.Event()
        begin = time.monotonic()
        first = done()

        def line() -> str:
            seconds = time.monotonic() - begin
            finished = done()
            rows = _rows(folder)
            rate = f", {rows / seconds:,.0f} rows/s" if rows and seconds else ""
            left = ""
            if finished > first and finished < total:
                left = f", {_span((total - finished) * seconds / (finished - first))} left"
            return f"{name}: {finished}/{total} parts{rate}{left}, {_span(seconds)}"

        def report() -> None:
            while not stop.wait(LIVE_SECONDS if self._live else PLAIN_SECONDS):
                text = line()
                if self._live:
                    sys.stderr.write(f"\r\x1b[K{text}")
                    sys.stderr.flush()
                else:
                    self.say(text)

        thread = threading.Thread(target=report, name="progress", daemon=True)
        if not self._quiet:
            thread.start()
        try:
            yield folder
        finally:
            stop.set()
            if thread.is_alive():
                thread.join()
            if self._live:
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()
            shutil.rmtree(folder, ignore_errors=True)


def _rows(folder: str) -> int:
    total = 0
    for name in os.listdir(folder):
        with contextlib.suppress(OSError, ValueError), open(os.path.join(folder, name)) as file:
            total += int(file.read() or 0)
    return total


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
    )
