"""A file of an input as a stream of bytes, decompressed where its first bytes say so.

The compression is told by content, never by name. Output is produced in bounded pieces however well
the data is compressed. What is damaged or cut short ends in an `InputRowError` behind the last byte
that could be read; errors of the file system pass as they are.
"""

import bz2
import contextlib
import zlib
from collections.abc import Iterator
from typing import Any, Protocol

import zstandard

from schemas.errors import InputRowError
from transforms import storage

PIECE_BYTES = 1 << 18
"""Bytes read from a file at once, and about the most that one step gives."""
COMPRESSED_ENDINGS = (".gz", ".zst", ".bz2")
"""Names of files that are one stream and cannot be cut."""

_MAGIC = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bzip2"))
_ZSTD_WINDOW_BYTES = 1 << 27
# zstandard has no bound on the output of one call. A block takes 4 bytes or more and gives 128 KiB
# at most, so a small piece bounds it.
_ZSTD_PIECE_BYTES = 1 << 10
_FIRST_STEP_BYTES, _LAST_STEP_BYTES = 1 << 9, 1 << 16


class ByteStream(Protocol):
    """What is read forward only."""

    def read(self, size: int) -> bytes:
        """At most `size` bytes, at least one before the end."""
        ...


class _Decompressed:
    """A compressed stream, forward only; the members of a file follow each other."""

    def __init__(self, stream: ByteStream, kind: str, head: bytes) -> None:
        self._stream = stream
        self._kind = kind
        self._buffer, self._position = head, 0
        self._ready = b""
        self._begin()

    def _begin(self) -> None:
        """Expect a member: few bytes at first, so that many tiny ones cost no more than one."""
        self._step = _FIRST_STEP_BYTES
        self._begun = False
        if self._kind == "gzip":
            self._member: Any = zlib.decompressobj(31)
        elif self._kind == "bzip2":
            self._member = bz2.BZ2Decompressor()
        else:
            decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
            self._member = decompressor.decompressobj()

    def read(self, size: int) -> bytes:
        while not self._ready:
            if self._member.eof:
                self._begin()
            # bzip2 keeps what it was given; the others give it back.
            given = b""
            if self._kind != "bzip2" or self._member.needs_input:
                given = self._next_bytes()
                if not given:
                    if self._begun:
                        raise InputRowError(f"the {self._kind} data ends early")
                    return b""
            self._ready = self._decode(given)
        piece, self._ready = self._ready[:size], self._ready[size:]
        return piece

    def _next_bytes(self) -> bytes:
        while True:
            if self._position >= len(self._buffer):
                self._buffer, self._position = self._stream.read(PIECE_BYTES), 0
                if not self._buffer:
                    return b""
            given = self._buffer[self._position : self._position + self._step]
            self._position += len(given)
            if self._begun or (given := given.lstrip(b"\0")):  # zeros between members are padding
                return given

    def _decode(self, given: bytes) -> bytes:
        self._begun = True
        member = self._member
        try:
            if self._kind == "zstd":
                piece = member.decompress(given)
            else:
                piece = member.decompress(given, PIECE_BYTES)
        except (zlib.error, OSError, zstandard.ZstdError) as e:
            raise InputRowError(f"the {self._kind} data is damaged: {e}") from e
        if member.eof:
            self._position -= len(member.unused_data)
        elif self._kind == "gzip":
            self._position -= len(member.unconsumed_tail)
        most = _ZSTD_PIECE_BYTES if self._kind == "zstd" else _LAST_STEP_BYTES
        self._step = min(2 * self._step, most)
        return bytes(piece)


class _Headed:
    """A plain stream whose first bytes were read already."""

    def __init__(self, stream: ByteStream, head: bytes) -> None:
        self._stream = stream
        self._head = head

    def read(self, size: int) -> bytes:
        if self._head:
            piece, self._head = self._head[:size], self._head[size:]
            return piece
        return self._stream.read(size)


def compression_of(head: bytes) -> str | None:
    """`gzip`, `zstd` or `bzip2` by a file's first bytes; None for anything else."""
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)


def decompressed(stream: ByteStream) -> ByteStream:
    """The stream itself, or what it holds if it is compressed; reads its first bytes."""
    head = stream.read(4)
    while 0 < len(head) < 4 and (more := stream.read(4 - len(head))):
        head += more
    kind = compression_of(head)
    return _Headed(stream, head) if kind is None else _Decompressed(stream, kind, head)


@contextlib.contextmanager
def open_file(url: str) -> Iterator[Any]:
    """The file behind a URL, binary and seekable."""
    fs, path = storage.resolve(url)
    with fs.open(path, "rb") as file:
        yield file
