"""What Beam says, and where it goes: to the log of the run, not to the user's terminal."""

import logging
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
    logger = logging.getLogger("apache_beam")
    handler = _LogFile(path, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    propagates = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = propagates
        logger.removeHandler(handler)
        handler.close()
