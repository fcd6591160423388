"""The outer layer of a crawl file: plain, or a row of compressed members.

FastWARC's own readers end quietly, or fail for good, at the first damaged member. Here every member
is opened at its byte offset, so that a reader can go on behind a damaged one, and a slice of a file
can start in its middle. Everything is read in bounded pieces: no member is ever held whole.
"""

import io
import re
import zlib
from typing import BinaryIO, Protocol, cast

import zstandard
from fastwarc.stream_io import Lz4Reader

from schemas.errors import StoreError, TruncatedRecordError, WarcParseError

BLOCK_BYTES = 256 << 10
"""Bytes asked of the file at a time."""
LOOK_BACK_BYTES = 4 << 20
"""Compressed bytes in front of a slice in which the member that covers its start is looked for."""
ZSTD_MAX_WINDOW_BYTES = 1 << 27
"""Largest window of a zstd frame that is accepted, as `zstd -d` does without `--long=31`."""
MAX_DICTIONARY_BYTES = 16 << 20
"""Largest dictionary in front of a `.warc.zst` that is accepted."""

_OUTPUT_STEP = 1 << 20
_INPUT_STEP = 16 << 10
# zstandard has no bound on the output of one call; a block of 4 bytes can give 128 KiB.
_ZSTD_INPUT_STEP = 256
_PROBE_BYTES = 64
# Skippable frames: 16 magic numbers shared by zstd and lz4; the fourteenth marks the dictionary of
# a `.warc.zst`.
_SKIPPABLE = b"\x2a\x4d\x18"
_DICTIONARY_MAGIC = b"\x5d\x2a\x4d\x18"


class SourceFile:
    """Random access to a seekable binary stream through one block in memory."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.size = stream.seek(0, io.SEEK_END)
        self._start = 0
        self._data = b""

    def piece(self, offset: int, most: int, least: int = 1) -> bytes:
        """At most `most` bytes from `offset`; fewer than `least` only at the end of the file."""
        index = offset - self._start
        if index < 0 or index + min(least, self.size - offset) > len(self._data):
            self._stream.seek(offset)
            self._data = self._stream.read(BLOCK_BYTES)
            while len(self._data) < least and (more := self._stream.read(least)):
                self._data += more
            self._start, index = offset, 0
        return self._data[index : index + most]

    def skip_zeros(self, offset: int) -> int:
        """The offset of the first byte that is not zero."""
        while data := self.piece(offset, BLOCK_BYTES):
            rest = data.lstrip(b"\x00")
            offset += len(data) - len(rest)
            if rest:
                break
        return offset


class Member(Protocol):
    """One compressed member, or a whole plain file, being read from its start."""

    end: int
    """Byte offset behind the member; known once `read` has given nothing."""

    def read(self) -> bytes:
        """The next decoded bytes, nothing at the member's end.

        Raises:
            WarcParseError: The member is damaged.
            TruncatedRecordError: The file ends inside the member.
        """


class PlainMember:
    """An uncompressed file, from an offset to its end."""

    def __init__(self, file: SourceFile, offset: int) -> None:
        self._file = file
        self._position = offset
        self.end = file.size

    def read(self) -> bytes:
        """See `Member`."""
        data = self._file.piece(self._position, BLOCK_BYTES)
        self._position += len(data)
        return data

    def skip(self, count: int) -> int:
        """Pass over bytes without reading them; gives how many there were."""
        passed = min(count, self.end - self._position)
        self._position += passed
        return passed


class GzipMember:
    """One member of a gzip file; its checksum is verified at its end."""

    def __init__(self, file: SourceFile, offset: int, most: int) -> None:
        self._file = file
        self._position = offset
        self._most = most
        self._inflater = zlib.decompressobj(31)
        self.end = offset

    def read(self) -> bytes:
        """See `Member`."""
        inflater = self._inflater
        while not inflater.eof:
            given = inflater.unconsumed_tail
            if not given:
                given = self._file.piece(self._position, _INPUT_STEP)
                if not given:
                    raise TruncatedRecordError("the file ends inside a gzip member")
                self._position += len(given)
            try:
                data = inflater.decompress(given, self._most)
            except zlib.error as error:
                raise WarcParseError(f"damaged gzip member: {error}") from error
            if data:
                return data
        self.end = self._position - len(inflater.unused_data)
        return b""


class ZstdMember:
    """One zstd frame."""

    def __init__(
        self, file: SourceFile, offset: int, dictionary: zstandard.ZstdCompressionDict | None
    ) -> None:
        self._file = file
        self._position = offset
        self._frame = zstandard.ZstdDecompressor(
            dict_data=dictionary, max_window_size=ZSTD_MAX_WINDOW_BYTES
        ).decompressobj()
        self.end = offset

    def read(self) -> bytes:
        """See `Member`."""
        while not self._frame.eof:
            given = self._file.piece(self._position, _ZSTD_INPUT_STEP)
            if not given:
                raise TruncatedRecordError("the file ends inside a zstd frame")
            self._position += len(given)
            try:
                data = self._frame.decompress(given)
            except zstandard.ZstdError as error:
                raise WarcParseError(f"damaged zstd frame: {error}") from error
            if data:
                return data
        self.end = self._position - len(self._frame.unused_data)
        return b""


class _Span(io.RawIOBase):
    """A byte range of a file as a stream of its own, for FastWARC to read from."""

    def __init__(self, file: SourceFile, start: int, stop: int) -> None:
        super().__init__()
        self._file = file
        self._start = self._position = start
        self._stop = stop

    def read(self, size: int = -1) -> bytes:
        left = self._stop - self._position
        data = self._file.piece(self._position, left if size < 0 else min(size, left))
        self._position += len(data)
        return data

    def tell(self) -> int:
        return self._position - self._start


class Lz4Member:
    """One lz4 frame: its end is found by its block sizes, its content decoded by FastWARC."""

    def __init__(self, file: SourceFile, offset: int) -> None:
        self._file = file
        self._reader: Lz4Reader | None = None
        self.end = offset

    def _find_end(self) -> int:
        """Where the frame ends (the lz4 frame format, version 1.6.4).

        Its head: magic number, FLG, BD, content size if bit 3, dictionary id if bit 0, header
        checksum.
        """
        head = self._file.piece(self.end, 5, least=5)
        flags = head[4] if len(head) > 4 else 0
        position = self.end + 7 + (8 if flags & 8 else 0) + (4 if flags & 1 else 0)
        size = 1
        while size:
            field = self._file.piece(position, 4, least=4)
            size = int.from_bytes(field, "little") & 0x7FFFFFFF
            position += 4 + size + (4 if size and flags & 16 else 0)
            if len(field) < 4 or position > self._file.size:
                raise TruncatedRecordError("the file ends inside an lz4 frame")
        return position + (4 if flags & 4 else 0)

    def read(self) -> bytes:
        """See `Member`."""
        try:
            if self._reader is None:
                start, self.end = self.end, self._find_end()
                self._reader = Lz4Reader(cast(BinaryIO, _Span(self._file, start, self.end)))
            return bytes(self._reader.read(_OUTPUT_STEP))
        except StoreError:  # tells nothing of the frame
            raise
        except (OSError, ValueError) as error:
            raise WarcParseError(f"damaged lz4 frame: {error}") from error


class EmptyMember:
    """A skippable frame: it holds nothing that is a record."""

    def __init__(self, file: SourceFile, offset: int) -> None:
        head = file.piece(offset, 8, least=8)
        self.end = offset + 8 + int.from_bytes(head[4:], "little")
        self._is_cut = self.end > file.size

    def read(self) -> bytes:
        """See `Member`."""
        if self._is_cut:
            raise TruncatedRecordError("the file ends inside a skippable frame")
        return b""


class MemberFormat:
    """How the members of one file are recognised and opened."""

    def __init__(self, name: str, magic: bytes) -> None:
        self.name = name
        self.magic = magic
        self.dictionary: zstandard.ZstdCompressionDict | None = None

    def open(self, file: SourceFile, offset: int, most: int = _OUTPUT_STEP) -> Member:
        """The member at an offset; `most` bounds the bytes of one `read` where the codec can."""
        if self.name == "plain":
            return PlainMember(file, offset)
        if self.name == "gzip":
            return GzipMember(file, offset, most)
        if file.piece(offset, 4, least=4)[1:] == _SKIPPABLE:
            return EmptyMember(file, offset)
        if self.name == "zstd":
            return ZstdMember(file, offset, self.dictionary)
        return Lz4Member(file, offset)

    def begins_member(self, file: SourceFile, offset: int) -> bool:
        """Whether the bytes at the offset are those of a member's beginning."""
        head = file.piece(offset, 4, least=4)
        is_skippable = self.name in ("zstd", "lz4") and head[1:] == _SKIPPABLE
        return head.startswith(self.magic) or is_skippable

    def begins_with(self, file: SourceFile, offset: int, prefix: bytes) -> bool:
        """Whether there is a member at the offset whose content starts with these few bytes."""
        if file.piece(offset, len(self.magic), least=len(self.magic)) != self.magic:
            return False
        member = self.open(file, offset, _PROBE_BYTES)
        data = b""
        try:
            while len(data) < len(prefix) and (more := member.read()):
                data += more
        except (WarcParseError, TruncatedRecordError):
            pass
        return data.startswith(prefix)

    def find(self, file: SourceFile, start: int, stop: int, prefix: bytes) -> int | None:
        """The first offset in [start, stop) of a member whose content starts with `prefix`."""
        border = len(self.magic) - 1
        while start < min(stop, file.size):
            data = file.piece(start, BLOCK_BYTES, least=len(self.magic))
            found = data.find(self.magic)
            while found >= 0 and start + found < stop:
                if self.begins_with(file, start + found, prefix):
                    return start + found
                found = data.find(self.magic, found + 1)
            start += max(1, len(data) - border)
        return None

    def first_in_slice(self, file: SourceFile, start: int, stop: int, prefix: bytes) -> int | None:
        """`find`, but not inside a member: a payload may itself be a compressed crawl file.

        The members in front of the slice are walked from as far back as `LOOK_BACK_BYTES`, so a
        member that begins there and covers the offset found is seen.
        """
        found = self.find(file, start, stop, prefix)
        position = self.find(file, max(0, start - LOOK_BACK_BYTES), start, prefix)
        while found is not None and position is not None and position < found:
            end = self._end_of(file, position)
            if end is not None and end > found:
                found = self.find(file, end, stop, prefix)
            position = end if end is not None else self.find(file, position + 1, stop, prefix)
            if position is not None and not self.begins_with(file, position, prefix):
                position = self.find(file, position + 1, stop, prefix)
        return found

    def _end_of(self, file: SourceFile, offset: int) -> int | None:
        """Where the member at the offset ends; nothing for a damaged one."""
        member = self.open(file, offset)
        try:
            while member.read():
                pass
        except (WarcParseError, TruncatedRecordError):
            return None
        return member.end


_VERSION_LINE = re.compile(rb"WARC/\d\.\d{1,2}\r?\n")
_FORMATS = {
    "gzip": (b"\x1f\x8b\x08", ".gz"),
    "zstd": (b"\x28\xb5\x2f\xfd", ".zst"),
    "lz4": (b"\x04\x22\x4d\x18", ".lz4"),
}
"""Name of a format: its magic number, the suffix of its files."""


def detect_format(file: SourceFile, name: str) -> MemberFormat:
    """The format of a file: that of its first bytes if it holds a record, else that of its name.

    Raises:
        WarcParseError: The dictionary in front of a `.warc.zst` cannot be used.
    """
    position, head = 0, file.piece(0, 16, least=16)
    if _VERSION_LINE.match(head):
        return MemberFormat("plain", b"")
    damage: WarcParseError | None = None
    dictionary = None
    if head[:4] == _DICTIONARY_MAGIC:
        try:
            dictionary = _read_dictionary(file)
        except WarcParseError as error:
            damage = error
    if head[1:4] == _SKIPPABLE:
        position = 8 + int.from_bytes(head[4:8], "little")
        head = file.piece(position, 8, least=8) if position < file.size else b""
        position = position if head else 0
    seen = [form for form, (magic, _) in _FORMATS.items() if head.startswith(magic)]
    named = [form for form, (_, suffix) in _FORMATS.items() if name.lower().endswith(suffix)]
    for form_name in seen + named:
        form = MemberFormat(form_name, _FORMATS[form_name][0])
        form.dictionary = dictionary if form_name == "zstd" else None
        if form.begins_with(file, position, b"filedesc:"):
            return form
        if form.find(file, position, file.size, b"WARC/") is not None:
            return form
    if not named:
        return MemberFormat("plain", b"")
    if damage is not None:
        raise damage
    return MemberFormat(named[0], _FORMATS[named[0]][0])


def _read_dictionary(file: SourceFile) -> zstandard.ZstdCompressionDict:
    """The dictionary in the first, skippable frame of a `.warc.zst`; it may be compressed too."""
    size = int.from_bytes(file.piece(4, 4, least=4), "little")
    if size > MAX_DICTIONARY_BYTES:
        raise WarcParseError(f"a zstd dictionary of {size} bytes is too large")
    data = file.piece(8, size, least=size)
    try:
        if data.startswith(_FORMATS["zstd"][0]):
            with zstandard.ZstdDecompressor().stream_reader(data) as reader:
                data = reader.read(MAX_DICTIONARY_BYTES)
        return zstandard.ZstdCompressionDict(data)
    except zstandard.ZstdError as error:
        raise WarcParseError(f"the zstd dictionary cannot be used: {error}") from error
