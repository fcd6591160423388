"""Progress of a stage: one live line on a terminal, plain lines in a log, or a JSON object a line.

Beam's metrics cannot be read before a pipeline ends, so the line counts commit records and the rows
in them that failed, and the rows that workers note in heartbeat files.
"""

import contextlib
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from schemas.errors import StoreError

PLAIN_SECONDS = 10.0
LIVE_SECONDS = 0.5
"""Between two looks at how far a step is: in a log, and on a terminal."""
LOOKING = 0.02
"""Share of the time that looking may take: a listing of 100,000 parts is a second of work."""
LONGEST_SECONDS = 60.0
"""Between two looks, however long one takes."""

LogFormat = Literal["text", "json"]


@dataclass(frozen=True, slots=True)
class Done:
    """How far a step is."""

    parts: int
    failed: int = 0
    """Rows of those parts that failed."""


class Progress:
    """Reports stages to a stream; `quiet` reports nothing.

    Args:
        quiet: Say nothing.
        log_format: `text` for people; `json` for programs: every line an object with `event`,
            which is `message` (`text`), `progress` (of a step: `step`, `parts`, `of`, `rows`,
            `rows_per_second`, `failed`, `seconds`, `seconds_left` or null) or `stage` (of one that
            has ended: `stage`, `parts_run`, `parts`, `seconds`).
    """

    def __init__(self, quiet: bool = False, log_format: LogFormat = "text") -> None:
        # Whoever closed the stream wants to hear nothing.
        self._quiet = quiet or sys.stderr is None
        self._json = log_format == "json"
        self._live = not self._quiet and not self._json and sys.stderr.isatty()

    def say(self, line: str) -> None:
        """Print a line of its own."""
        self._tell(line, {"event": "message", "text": line})

    def stage(self, name: str, ran: int, parts: int, seconds: float) -> None:
        """Say that a stage has ended."""
        what = f"{ran} of {parts} parts run" if ran else "up to date"
        facts = {"stage": name, "parts_run": ran, "parts": parts, "seconds": round(seconds, 3)}
        self._tell(f"{name}: {what}, {seconds:.1f} s", {"event": "stage", **facts})

    def _tell(self, line: str, event: dict[str, object]) -> None:
        if self._quiet:
            return
        text = json.dumps(event) if self._json else line
        sys.stderr.write(f"\r\x1b[K{text}\n" if self._live else f"{text}\n")
        sys.stderr.flush()

    @contextlib.contextmanager
    def step(
        self, name: str, total: int, done: Callable[[], Done], unit: str = "parts"
    ) -> Iterator[str]:
        """Report a step of `total` parts while the block runs; gives the heartbeat folder.

        Args:
            name: Of the step.
            total: Its parts.
            done: Tells how many are done.
            unit: What they are called.
        """
        folder = tempfile.mkdtemp(prefix="weft-heartbeats-")
        stop = threading.Event()
        begin = time.monotonic()
        first = done().parts

        def report() -> None:
            now, next_look = Done(first), 0.0
            while not stop.wait(LIVE_SECONDS if self._live else PLAIN_SECONDS):
                looked = time.monotonic()
                if looked >= next_look:
                    try:
                        now = done()
                    except StoreError:  # the run itself will say so
                        continue
                    ended = time.monotonic()
                    next_look = ended + min((ended - looked) / LOOKING, LONGEST_SECONDS)
                line, event = _told(name, unit, total, first, now, _rows(folder), begin)
                if self._live:
                    sys.stderr.write(f"\r\x1b[K{line}")
                    sys.stderr.flush()
                else:
                    self._tell(line, event)

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


def _told(
    name: str, unit: str, total: int, first: int, done: Done, rows: int, begin: float
) -> tuple[str, dict[str, object]]:
    """How far a step is, as a line and as an event.

    Args:
        name: Of the step.
        unit: What its parts are called.
        total: Parts of it.
        first: Parts that were there when it began.
        done: What is there now.
        rows: Rows that workers have handled.
        begin: When it began, by the monotonic clock.
    """
    seconds = time.monotonic() - begin
    rate = rows / seconds if seconds else 0.0
    left = None
    if first < done.parts < total:
        left = (total - done.parts) * seconds / (done.parts - first)
    line = f"{name}: {done.parts}/{total} {unit}"
    line += f", {rate:,.0f} rows/s" if rows else ""
    line += f", {done.failed:,} failed" if done.failed else ""
    line += f", {_span(left)} left" if left is not None else ""
    event: dict[str, object] = {
        "event": "progress", "step": name, "parts": done.parts, "of": total, "rows": rows,
        "rows_per_second": round(rate, 1), "failed": done.failed, "seconds": round(seconds, 1),
        "seconds_left": None if left is None else round(left, 1),
    }  # fmt: skip
    return f"{line}, {_span(seconds)}", event


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
