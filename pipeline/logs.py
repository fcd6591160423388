"""What Beam says, and where it goes: to the log of the run, not to the user's terminal."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def silence_import_notice() -> None:
    """Drop the line by which Beam says on import that its Google client libraries are missing."""
    logging.getLogger().addFilter(_is_not_about_apitools)


def _is_not_about_apitools(record: logging.LogRecord) -> bool:
    return "apitools" not in record.getMessage()


class _LogFile(logging.FileHandler):
    """A file that a full disk ends quietly: the run tells of the disk, once and in one line."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


@contextmanager
def beam_logs_to(path: str | None) -> Iterator[None]:
    """Send Beam's log of a graph that runs in this process to a file."""
    if path is None:
        yield
        return
    logger, root = logging.getLogger("apache_beam"), logging.getLogger()
    handler = _LogFile(path, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def is_not_of_beam(record: logging.LogRecord) -> bool:
        # What a job server says of a job, Beam logs under no name.
        if f"{os.sep}apache_beam{os.sep}" not in record.pathname:
            return True
        handler.handle(record)
        return False

    propagates = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    root.addFilter(is_not_of_beam)
    try:
        yield
    finally:
        root.removeFilter(is_not_of_beam)
        logger.propagate = propagates
        logger.removeHandler(handler)
        handler.close()
