"""Crawl files (WARC 1.0, 1.1, and 0.1x of old crawls): one bad record costs one record.

Framing is ours, the heads are parsed by FastWARC: its iterator ends quietly or fails for good at
the first damaged member, and a crawl of years has damaged members. A record is given only once what
follows it shows that it ended where it said; otherwise it is a `BadRecord`, and reading goes on at
the next place where a record begins. The trade-off is that a record is held whole, up to
`WarcConfig.max_payload_bytes`.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

from schemas.errors import (
    InputError,
    PayloadTooLargeError,
    RecordError,
    TruncatedRecordError,
    WarcParseError,
)
from transforms.warc_decoded import DecodedMember
from transforms.warc_members import EmptyMember, SourceFile, detect_format
from transforms.warc_records import (
    MAX_HTTP_HEAD_BYTES,
    BadRecord,
    Record,
    SkippedRecord,
    WarcConfig,
    clean_url,
    parse_head,
    to_record,
)

__all__ = [
    "STEP_VERSION",
    "BadRecord",
    "Record",
    "SkippedRecord",
    "WarcConfig",
    "can_slice",
    "read_records",
    "slice_bounds",
]

STEP_VERSION = 2
"""Raised whenever the records that a file gives change."""

MAX_WARC_HEAD_BYTES = 32 << 10
"""The most bytes of a record's head; FastWARC's own limit."""

_ROW_KINDS = frozenset({"response", "resource", "revisit"})
_PREFIX = b"WARC/"
# Where a record begins: a version line, at the start of a line or with the line end that the
# standard demands, followed by a header of the kind that every record has.
_RECORD_START = re.compile(
    rb"(?:(?:\A|(?<=\n))WARC/[01]\.\d{1,2}\n|WARC/[01]\.\d{1,2}\r\n)"
    rb"(?=(?:WARC|Content)-[A-Za-z-]{1,40}[ \t]*:)"
)
_NEWLINES = re.compile(rb"[\r\n]*")
_RECORD_START_BYTES = 128  # more than it can match
_HEAD_END = re.compile(rb"\n\r?\n")
_TARGET = re.compile(rb"\nWARC-Target-URI[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)


def can_slice(name: str) -> bool:
    """Whether a file of this name can be sliced: gzip members can be found from any offset."""
    return name.lower().endswith(".warc.gz")


def slice_bounds(size: int, part_bytes: int, name: str) -> list[tuple[int, int]]:
    """Cut a file into half-open ranges of at most `part_bytes` bytes; one if it cannot be cut."""
    if part_bytes <= 0:
        raise ValueError(f"part_bytes must be positive, not {part_bytes}")
    if not can_slice(name) or size <= part_bytes:
        return [(0, size)]
    return [(start, min(start + part_bytes, size)) for start in range(0, size, part_bytes)]


def _skip_newlines(decoded: DecodedMember) -> None:
    while decoded.fill(1):
        match = _NEWLINES.match(decoded.buffer, decoded.position)
        assert match is not None
        decoded.position = match.end()
        if decoded.position < len(decoded.buffer):
            return


def _take_head(decoded: DecodedMember) -> bytes:
    """The record's head with its empty line; the position moves behind it."""
    wanted = 4 << 10
    while True:
        have = decoded.fill(wanted)
        match = _HEAD_END.search(decoded.buffer, decoded.position)
        if match is not None and match.end() - decoded.position <= MAX_WARC_HEAD_BYTES:
            head = bytes(decoded.buffer[decoded.position : match.end()])
            decoded.position = match.end()
            if b"\nWARC/" in head:
                raise WarcParseError("a record begins inside the head of another")
            return head
        if match is not None or have >= MAX_WARC_HEAD_BYTES:
            raise WarcParseError(f"a record head of more than {MAX_WARC_HEAD_BYTES} bytes")
        if have >= wanted:
            wanted = min(2 * wanted, MAX_WARC_HEAD_BYTES)
        elif not decoded.join():
            raise decoded.error or TruncatedRecordError("the data ends inside a record head")


def _check_end(decoded: DecodedMember) -> None:
    """Raise unless a record ends here: two line ends, or at least a new record or no more."""
    decoded.fill(9)
    tail = bytes(decoded.buffer[decoded.position : decoded.position + 9])
    if tail[:4] == b"\r\n\r\n" and (len(tail) > 4 or decoded.error is None):
        decoded.position += 4
        return
    _skip_newlines(decoded)
    if not decoded.fill(len(_PREFIX)):
        if decoded.error is not None:
            raise decoded.error
    elif not decoded.buffer.startswith(_PREFIX, decoded.position):
        raise WarcParseError("Content-Length does not lead to the end of the record")


def _take_block(
    decoded: DecodedMember, headers: dict[str, str], config: WarcConfig
) -> bytes | None:
    """The block of a record, and move behind it; None where it is not wanted or too large."""
    length = int(headers["content-length"])
    block: bytes | None = None
    wanted = headers["warc-type"].lower() in _ROW_KINDS
    if wanted and length <= config.max_payload_bytes + MAX_HTTP_HEAD_BYTES:
        while decoded.fill(length) < length and decoded.join():
            pass
        ended = decoded.fill(length) < length
        block = bytes(memoryview(decoded.buffer)[decoded.position : decoded.position + length])
        decoded.position += len(block)
    else:
        ended = not decoded.skip(length)
    if ended:
        raise decoded.error or TruncatedRecordError(
            f"the data ends inside a record of {length} bytes"
        )
    return block


def _item(
    headers: dict[str, str], block: bytes | None, offset: int, config: WarcConfig
) -> Record | SkippedRecord:
    """What a soundly framed record is; raises `RecordError`."""
    kind = headers["warc-type"].lower()
    if kind not in _ROW_KINDS:
        return SkippedRecord(kind[:40])
    if block is None:
        raise PayloadTooLargeError(
            f"a record of {headers['content-length']} bytes, above {config.max_payload_bytes}"
        )
    return to_record(kind, headers, block, offset, config)


def _url_in(head: bytes) -> str:
    """The URL of a head that cannot be parsed."""
    match = _TARGET.search(head)
    return clean_url(match[1].decode("utf-8", "replace")) if match else ""


def _bad(name: str, offset: int, url: str, error: RecordError) -> BadRecord:
    return BadRecord(offset, url, type(error)(f"{name}, offset {offset}: {error}"))


def _read_member(
    decoded: DecodedMember, name: str, offset: int, config: WarcConfig
) -> Iterator[Record | BadRecord | SkippedRecord]:
    """Every record of one member; of a damaged one those in front of the damage."""
    reported: RecordError | None = None
    empty = offset == 0 and not isinstance(decoded.member, EmptyMember)
    while True:
        _skip_newlines(decoded)
        start = decoded.tell()
        at = offset + start if decoded.is_plain else offset
        url, head = "", b""
        if not decoded.fill(1):
            if decoded.error is not reported and decoded.error is not None:
                yield _bad(name, at, "", decoded.error)
            elif empty:
                yield _bad(name, at, "", WarcParseError("there is no WARC record"))
            return
        empty = False
        try:
            if decoded.fill(len(_PREFIX)) and not decoded.buffer.startswith(
                _PREFIX, decoded.position
            ):
                raise decoded.error or WarcParseError("no WARC record begins here")
            head = _take_head(decoded)
            headers = parse_head(head)
            url = clean_url(headers.get("warc-target-uri", ""))
            block = _take_block(decoded, headers, config)
            _check_end(decoded)
        except RecordError as error:
            reported = decoded.error
            yield _bad(name, at, url or _url_in(head), error)
            # Nothing that this record says of its length can be relied on: look behind its first
            # bytes.
            decoded.back_to(start + 1)
            decoded.seek(_RECORD_START, _RECORD_START_BYTES)
            continue
        try:
            item: Record | SkippedRecord | BadRecord = _item(headers, block, at, config)
        except RecordError as error:
            item = _bad(name, at, url, error)
        yield item


def read_records(
    stream: BinaryIO, name: str, config: WarcConfig, start: int = 0, end: int | None = None
) -> Iterator[Record | BadRecord | SkippedRecord]:
    """Read the records of a crawl file, or of the slice [start, end) of one.

    The format (plain, gzip, zstd, lz4) is told by content. A slice gives the records of the gzip
    members that begin in it, and what is found between them until the next sound member begins; so
    the slices of a file, however it is cut, together give exactly what the whole file gives. A file
    of another format belongs to the slice that starts at 0.

    Args:
        stream: A seekable binary stream; it is read in bounded pieces, one record is held at a
            time.
        name: The file's name, for messages, and for the format where the first bytes are damaged.
        config: Bounds of the reader.
        start: Byte offset at which the slice starts.
        end: Byte offset at which it ends; the file's end if not given.

    Yields:
        `Record`, `SkippedRecord` for the types that hold no page, `BadRecord` for what cannot be
        read. A file that is empty or no WARC file gives a `BadRecord`.

    Raises:
        InputError: The file is an ARC file.
    """
    file = SourceFile(stream)
    end = file.size if end is None else min(end, file.size)
    try:
        form = detect_format(file, name)
        if file.size == 0:
            raise WarcParseError("the file is empty")
    except WarcParseError as error:
        if start == 0:
            yield _bad(name, 0, "", error)
        return
    if start == 0 and form.begins_with(file, 0, b"filedesc:"):
        raise InputError(f"{name}: ARC files are not read; convert it to WARC first")
    if form.name != "gzip":
        end = file.size
        if start > 0:
            return
    position = form.first_in_slice(file, start, end, _PREFIX) if start else 0
    # A member that no search finds is read by the slice that comes to it from the member in front.
    while (
        position is not None
        and position < file.size
        and (position < end or not form.begins_with(file, position, _PREFIX))
    ):
        if form.name != "plain" and file.piece(position, 1) == b"\x00":
            position = file.skip_zeros(position)
            continue
        if not form.begins_member(file, position):
            yield _bad(name, position, "", WarcParseError(f"no {form.name} member begins here"))
            position = form.find(file, position + 1, file.size, _PREFIX)
            continue
        decoded = DecodedMember(file, form, position, _PREFIX)
        yield from _read_member(decoded, name, position, config)
        if decoded.error is None:
            position = decoded.member.end
        else:
            position = form.find(file, position + 1, file.size, _PREFIX)
