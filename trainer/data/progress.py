"""A line on stderr that says how far a long pass is."""

import sys
import time

EVERY = 10.0
"""Seconds between two lines where stderr is no terminal."""


class ProgressLine:
    """Called with messages; a terminal sees the newest, a log file one now and then."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._last = -EVERY
        self._open = False

    def __call__(self, message: str) -> None:
        """Show a message."""
        now = time.monotonic()
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{message}")
            self._open = True
        elif now - self._last >= EVERY:
            self._last = now
            sys.stderr.write(f"{message}\n")
        sys.stderr.flush()

    def close(self) -> None:
        """End the line."""
        if self._open:
            sys.stderr.write("\n")
            self._open = False
