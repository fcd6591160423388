"""Members of strangers' tar files.

Read forward once, plain or compressed: POSIX ustar with its PAX headers, GNU long names, and old
tars without a magic. A name is only ever text: nothing is written, no link is followed, and what a
member holds is not looked into. `tarfile` trusts sizes and keeps every member it has seen.

A damaged header costs what lies between it and the next sound one. A tar without its end mark was
cut short: what was whole is given, then `CutShort`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from schemas.errors import InputRowError
from transforms.byte_streams import ByteStream, decompressed

BLOCK = 512
MAX_MEMBER_BYTES = 64 << 20
MAX_EXTENSION_BYTES = 1 << 20
"""Largest PAX header or GNU long name."""
MAX_NAME_CHARACTERS = 1024

_END = bytes(BLOCK)
_FILES = frozenset(b"0\x007")
_EXTENSIONS = frozenset(b"xgLKXN")
_SKIPPED = frozenset(b"5V")
"""Folders and volume labels: they hold nothing."""
_KINDS = {ord("1"): "hard link", ord("2"): "symbolic link", ord("S"): "sparse file"}
_OCTAL = re.compile(rb"[ \0]*([0-7]*)[ \0]*")
_RECORD = re.compile(rb"([1-9][0-9]{0,6}) ([^=\n]{1,256})=")


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a tar."""

    name: str
    offset: int
    """Of its header, in bytes of the decompressed tar."""
    data: bytes | None
    """None where it was not wanted."""
    size: int
    """Bytes of its content, wanted or not."""


@dataclass(frozen=True, slots=True)
class BadMember:
    """A member that cannot be used; without a name, a place of the tar that cannot be read."""

    name: str | None
    offset: int
    error: InputRowError


@dataclass(frozen=True, slots=True)
class CutShort:
    """The tar ends here, and not as a whole one does."""

    offset: int
    error: InputRowError


class _Cut(Exception):
    """The tar ends where it may not."""


class _Reader:
    """A stream with a position."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self.position = 0

    def take(self, size: int) -> bytes:
        """Exactly `size` bytes; raises `_Cut`."""
        parts: list[bytes] = []
        wanted = size
        while wanted:
            piece = self._stream.read(min(wanted, 1 << 20))
            if not piece:
                raise _Cut
            parts.append(piece)
            wanted -= len(piece)
            self.position += len(piece)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def block(self) -> bytes:
        """The next block; nothing at the end of the stream. Raises `_Cut`."""
        first = self._stream.read(BLOCK)
        self.position += len(first)
        return first + self.take(BLOCK - len(first)) if first else b""

    def skip(self, size: int) -> None:
        """Move behind `size` bytes; raises `_Cut`."""
        while size:
            piece = self._stream.read(min(size, 1 << 20))
            if not piece:
                raise _Cut
            size -= len(piece)
            self.position += len(piece)


def _number(data: bytes) -> int:
    """A numeric field: octal, or base 256 as GNU writes large ones; raises `InputRowError`."""
    if data[0] & 0x80:
        if data[0] != 0x80:
            raise InputRowError("a negative number in a tar header")
        return int.from_bytes(data[1:], "big")
    found = _OCTAL.fullmatch(data)
    if found is None:
        raise InputRowError("no number where a tar header has one")
    return int(found[1] or b"0", 8)


def is_header(header: bytes) -> bool:
    """Whether a block is a tar header: its checksum is right.

    It is taken of unsigned bytes or, as old tars do, of signed ones.
    """
    try:
        stated = _number(header[148:156])
    except InputRowError:
        return False
    rest = header[:148] + header[156:]
    total = sum(rest) + 8 * 0x20
    return stated == total or stated == total - 256 * sum(byte > 127 for byte in rest)


def _size_of(header: bytes) -> int:
    """What a sound header says of the size; raises `InputRowError` for one that is not sound."""
    if not is_header(header):
        raise InputRowError("no tar header where one must be")
    return _number(header[124:136])


def _text(data: bytes) -> str:
    """A name as text; raises `InputRowError`."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as e:
        raise InputRowError("a member's name that is no UTF-8") from e


def _checked(name: str) -> str:
    """A name that says where in its tar a file is, and nothing else; raises `InputRowError`."""
    if len(name) > MAX_NAME_CHARACTERS:
        raise InputRowError(f"a member's name of more than {MAX_NAME_CHARACTERS} characters")
    if not name.isprintable():
        raise InputRowError("a member's name with characters that cannot be shown")
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", name):
        raise InputRowError("a member's name that leads out of its tar")
    kept = [part for part in name.split("/") if part not in ("", ".")]
    if not kept:
        raise InputRowError("a member without a name")
    return "/".join(kept)


def _pax(data: bytes) -> dict[bytes, bytes]:
    """The records of a PAX header; raises `InputRowError`."""
    values: dict[bytes, bytes] = {}
    position = 0
    while position < len(data) and data[position]:
        found = _RECORD.match(data, position)
        end = position + int(found[1]) if found else 0
        if found is None or end > len(data) or end <= found.end() or data[end - 1] != 0x0A:
            raise InputRowError("a PAX header that cannot be read")
        values[found[2]] = data[found.end() : end - 1]
        position = end
    return values


@dataclass(slots=True)
class _Pending:
    """What extension headers say of the member that follows them."""

    name: bytes | None = None
    size: int | None = None
    sparse: bool = False
    error: InputRowError | None = None


def _extend(pending: _Pending, kind: int, data: bytes) -> None:
    """Note what an extension says."""
    try:
        if kind == ord("L"):
            pending.name = data.split(b"\0", 1)[0]
        elif kind in b"xX":
            values = _pax(data)
            pending.sparse |= any(key.startswith(b"GNU.sparse.") for key in values)
            pending.name = values.get(b"path", pending.name)
            if (size := values.get(b"size")) is not None:
                if not size.isdigit() or len(size) > 20:
                    raise InputRowError("a PAX header that cannot be read")
                pending.size = int(size)
        elif kind == ord("g"):
            _pax(data)
    except InputRowError as e:
        pending.error = e


def _own_name(header: bytes) -> bytes:
    name = header[:100].split(b"\0", 1)[0]
    prefix = header[345:500].split(b"\0", 1)[0]
    if prefix and header[257:263] == b"ustar\0":
        return prefix + b"/" + name
    return name


def _member(
    reader: _Reader,
    header: bytes,
    pending: _Pending,
    size: int,
    offset: int,
    wants: Callable[[str], bool],
) -> Iterator[Member | BadMember]:
    """The member that a sound header opens; the reader moves behind it. Raises `_Cut`."""
    kind = header[156]
    name: str | None = None
    error = pending.error
    if pending.size is not None:
        size = pending.size
    try:
        raw = _text(pending.name if pending.name is not None else _own_name(header))
        folder = kind == ord("5") or (kind in b"0\0" and raw.endswith("/"))
        if kind not in _SKIPPED and not folder:
            name = _checked(raw)
    except InputRowError as e:
        folder = kind == ord("5")
        error = error or e
    if kind == ord("S"):
        more = header[482]
        while more:
            more = reader.take(BLOCK)[504]
    if kind in b"123456":  # no content follows, whatever the size says
        size = 0
    if kind not in _FILES and kind not in _SKIPPED:
        what = _KINDS.get(kind, f"member of type {chr(kind)!a}")
        error = error or InputRowError(f"a {what}: only files are read")
    elif pending.sparse:
        error = error or InputRowError("a sparse file: only whole ones are read")
    padded = size + -size % BLOCK
    if error is not None or name is None or not wants(name):
        reader.skip(padded)
        data = None
    elif size > MAX_MEMBER_BYTES:
        error = InputRowError(f"a member of {size} bytes, more than {MAX_MEMBER_BYTES}")
        reader.skip(padded)
        data = None
    else:
        data = reader.take(size)
        reader.skip(padded - size)
    if error is not None:
        yield BadMember(name, offset, error)
    elif name is not None:
        yield Member(name, offset, data, size)


def read_members(
    stream: ByteStream, wants: Callable[[str], bool]
) -> Iterator[Member | BadMember | CutShort]:
    """The members of a tar in their order; folders are left out.

    Args:
        stream: The tar, plain or compressed.
        wants: Whether the content of a member of this name is wanted; others are passed over.

    Yields:
        `Member`, `BadMember`, and as the last one `CutShort` where the tar has no end mark or ends
        inside a member. Tars that were joined end to end are read as one.
    """
    reader = _Reader(decompressed(stream))
    pending = _Pending()
    ended = False
    lost = False
    offset = 0
    try:
        while True:
            offset = reader.position
            header = reader.block()
            if not header:
                break
            if header == _END:
                ended = True
                continue
            try:
                size = _size_of(header)
            except InputRowError as e:
                if lost:
                    ended = False
                elif not ended:  # behind the end mark anything may follow
                    yield BadMember(None, offset, e)
                    lost = True
                continue
            ended = lost = False
            if header[156] not in _EXTENSIONS:
                yield from _member(reader, header, pending, size, offset, wants)
                pending = _Pending()
            elif size > MAX_EXTENSION_BYTES:
                pending.error = InputRowError(f"a tar extension of {size} bytes")
                reader.skip(size + -size % BLOCK)
            else:
                data = reader.take(size)
                reader.skip(-size % BLOCK)
                _extend(pending, header[156], data)
    except _Cut:
        if not lost:
            yield CutShort(offset, InputRowError(f"the tar ends inside the member at {offset}"))
    except InputRowError as e:
        yield CutShort(offset, e)
    else:
        if not ended and not lost:
            yield CutShort(offset, InputRowError("the tar ends without its end mark"))
