"""What is finished of a part that is not: lines beside it that outlive whoever writes them.

A part of stage `recaption` takes hours of a GPU. Each finished image is a line of JSON; a part that
is begun again reads the lines of all its earlier attempts and asks for the rest. The lines are
removed when the part is published. On a disk they are appended to one file an attempt, so that what
a killed process has written stays; a store takes whole objects only, so there a line waits for
others, at most `FLUSH_SECONDS`.
"""

import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict

import msgspec

from schemas.recaption_rows import RecaptionAnswer
from transforms import storage

FOLDER = "journals"
"""Below the output; beside `tables` and `commits`."""
FLUSH_LINES, FLUSH_SECONDS = 256, 30.0


class _Line(msgspec.Struct):
    image_key: str
    rows: list[RecaptionAnswer]


class Journal:
    """The finished images of one part."""

    def __init__(self, output: str, stage: str, key: str) -> None:
        self._folder = storage.join(output, FOLDER, stage, key)
        self._attempt = uuid.uuid4().hex
        self._count = 0
        self._lines: list[bytes] = []
        self._flushed = time.monotonic()
        self._is_local = storage.is_local(self._folder)

    def read(self) -> dict[str, list[RecaptionAnswer]]:
        """Image key -> its answers, of all attempts; the first by name where two have one."""
        found: dict[str, list[RecaptionAnswer]] = {}
        for name in sorted(storage.list_names(self._folder)):
            data = storage.read_bytes(storage.join(self._folder, name)) or b""
            for line in _lines(data):
                found.setdefault(line.image_key, line.rows)
        return found

    def add(self, image_key: str, rows: list[RecaptionAnswer]) -> None:
        """Note that an image is finished."""
        line = {"image_key": image_key, "rows": [asdict(row) for row in rows]}
        self._lines.append(msgspec.json.encode(line) + b"\n")
        waited = time.monotonic() - self._flushed
        if self._is_local or len(self._lines) >= FLUSH_LINES or waited >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if not self._lines:
            return
        data = b"".join(self._lines)
        if self._is_local:
            # One write of whole lines: the kernel has them when the process dies in the next one.
            os.makedirs(self._folder, exist_ok=True)
            with open(os.path.join(self._folder, f"{self._attempt}.jsonl"), "ab", 0) as file:
                file.write(data)
        else:
            name = f"{self._attempt}-{self._count:06d}.jsonl"
            storage.write_bytes(storage.join(self._folder, name), data)
        self._count += 1
        self._lines = []
        self._flushed = time.monotonic()

    def remove(self) -> None:
        """Forget it all: the part is published."""
        for name in storage.list_names(self._folder):
            storage.remove(storage.join(self._folder, name))


def _lines(data: bytes) -> Iterator[_Line]:
    for line in data.splitlines():
        try:
            yield msgspec.json.decode(line, type=_Line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # Cut off while it was written: that image is asked about again.
            continue
