"""One process at a time: who writes into a folder holds a lock on it."""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from schemas.errors import OutputError

LOCK_FILE = ".lock"


@contextlib.contextmanager
def lock_folder(path: str) -> Iterator[None]:
    """Hold a local folder, made if missing; the system lets go of it however the process ends.

    Raises:
        OutputError: Another process holds it, or it cannot be written.
    """
    try:
        os.makedirs(path, exist_ok=True)
        with open(os.path.join(path, LOCK_FILE), "a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutputError(f"--output {path}: another run is using it") from None
            yield
    except PermissionError as e:
        raise OutputError(f"--output {path}: cannot be written: {e}") from e
