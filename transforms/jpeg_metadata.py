"""JPEG files as segments: how a picture is coded, and its location removed without touching pixels.

A camera writes the place into EXIF (a GPS directory), into XMP (GPS properties), and phones append
whole files behind the picture. All of that is cut out byte by byte; the coded picture is copied.
Names of places, and private blocks of camera makers, are left alone: no open format describes them.

Sources: ITU-T T.81 Annex B (markers), CIPA DC-008 (EXIF), ISO 16684-1 (XMP), CIPA DC-007 (MPF).
"""

import re
import struct
import threading
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image

from schemas.errors import ImageDecodeError
from transforms.image_headers import tiff_values

_APP1, _APP2, _SOS, _EOI = 0xE1, 0xE2, 0xDA, 0xD9
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_MPF = b"MPF\0"

_GPS_TAG, _EXIF_TAG, _ORIENTATION_TAG = 0x8825, 0x8769, 0x0112
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}

# Inside coded data an FF is followed by 00 or by a restart marker; anything else ends it.
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_LOCATION_ATTRIBUTE = re.compile(
    rb"(?i)\s[\w.\-]+:[\w.\-]*(?:gps|latitude|longt?itude)[\w.\-]*\s*=\s*(?:\"[^\"]*\"|'[^']*')"
)
_LOCATION = re.compile(rb"(?i)gps|latitude|longt?itude")
# Another picture, its metadata, or a film behind the end of the picture.
_HIDDEN_FILE = re.compile(rb"\xff\xd8\xff|Exif\0\0|<x:xmpmeta|ftyp")


_LOCK = threading.Lock()
_filters: list["warnings.catch_warnings[None]"] = []
_inside = 0


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings while any thread is in here: Pillow warns of metadata that is cut out here.

    Warning filters belong to the whole process: the first thread in sets them, the last one out
    puts them back.
    """
    global _inside
    with _LOCK:
        if _inside == 0:
            _filters.append(warnings.catch_warnings())
            _filters[-1].__enter__()
            warnings.simplefilter("ignore")
        _inside += 1
    try:
        yield
    finally:
        with _LOCK:
            _inside -= 1
            if _inside == 0:
                _filters.pop().__exit__(None, None, None)


@dataclass(frozen=True, slots=True)
class Segment:
    """A marker segment: `start` is the offset of its FF, `end` the offset behind its payload."""

    marker: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class JpegLayout:
    """Where the parts of a JPEG lie."""

    segments: list[Segment]
    frame: int
    """The SOF marker: 0xC0 baseline, 0xC1 extended, 0xC2 progressive, others are rare."""
    scans: int
    end: int
    """Offset behind the EOI marker."""


def parse_jpeg(data: bytes) -> JpegLayout | None:
    """The layout of a JPEG, or null where its markers cannot be followed to an EOI."""
    segments: list[Segment] = []
    frame = scans = 0
    position = 2
    while data[position : position + 1] == b"\xff" and position + 1 < len(data):
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker == _EOI:
            return JpegLayout(segments, frame, scans, position + 2) if frame and scans else None
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if end < position + 4 or end > len(data) or marker < 0xC0 or 0xD0 <= marker <= 0xD8:
            return None
        segments.append(Segment(marker, position, end))
        if marker in _FRAMES:
            frame = frame or marker
        position = end
        if marker == _SOS:
            scans += 1
            found = _END_OF_SCAN.search(data, position)
            if not found:
                return None
            position = found.start()
    return None


def _payloads(data: bytes, layout: JpegLayout, marker: int, prefix: bytes) -> list[Segment]:
    return [
        segment
        for segment in layout.segments
        if segment.marker == marker and data.startswith(prefix, segment.start + 4)
    ]


def has_several_frames(data: bytes, layout: JpegLayout) -> bool:
    """Whether the file is a Multi-Picture Format file: stereo pairs, previews, gain maps."""
    return bool(_payloads(data, layout, _APP2, _MPF))


def _clear_gps(tiff: bytes) -> bytes:
    """An EXIF block of the same length without its GPS directory.

    Raises:
        ValueError: The directories cannot be followed.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        raise ValueError("no TIFF header")
    block = bytearray(tiff)

    def entry(offset: int) -> tuple[int, int, int, int]:
        tag, kind, count, value = struct.unpack_from(order + "HHII", block, offset)
        return tag, kind, count, value

    def blank(start: int, size: int) -> None:
        if not 8 <= start <= start + size <= len(block):
            raise ValueError("a value lies outside the block")
        block[start : start + size] = bytes(size)

    try:
        pending, seen = [struct.unpack_from(order + "I", block, 4)[0]], set()
        while pending:
            directory = pending.pop()
            if directory == 0 or directory in seen:
                continue
            seen.add(directory)
            (count,) = struct.unpack_from(order + "H", block, directory)
            first, behind = directory + 2, directory + 2 + 12 * count
            (following,) = struct.unpack_from(order + "I", block, behind)
            pending.append(following)
            for number in reversed(range(count)):
                tag, _, _, value = entry(first + 12 * number)
                if tag == _EXIF_TAG:
                    pending.append(value)
                if tag != _GPS_TAG:
                    continue
                (gps_count,) = struct.unpack_from(order + "H", block, value)
                for gps_number in range(gps_count):
                    _, kind, items, start = entry(value + 2 + 12 * gps_number)
                    size = _TYPE_BYTES.get(kind, 1) * items
                    if size > 4:
                        blank(start, size)
                blank(value, 2 + 12 * gps_count)
                # Close the gap: the entries behind it and the link to the next directory move up.
                gap = first + 12 * number
                block[gap : behind - 8] = block[gap + 12 : behind + 4]
                block[behind - 8 : behind + 4] = bytes(12)
                behind, count = behind - 12, count - 1
                struct.pack_into(order + "H", block, directory, count)
    except struct.error as error:
        raise ValueError("a directory lies outside the block") from error
    return bytes(block)


def _read_exif(payload: bytes, tags: Collection[int] | None = None) -> dict[int, object] | None:
    """The first directory of an EXIF payload as Pillow reads it; null where Pillow fails.

    Values are decoded only when they are asked for: `tags` are those asked for, null for all.
    """
    exif = Image.Exif()
    try:
        with quiet():
            exif.load(payload)
            return {tag: exif[tag] for tag in list(exif) if tags is None or tag in tags}
    except Exception:  # a broken block makes Pillow raise anything
        return None


def _clean_exif(payload: bytes) -> bytes:
    """An EXIF payload without location; empty where only dropping it makes sure of that.

    A block whose directories are broken is kept as it is when it holds no GPS tag at all.
    """
    tiff = payload[len(_EXIF) :]
    if b"\x25\x88" not in tiff and b"\x88\x25" not in tiff:
        return payload
    try:
        cleared = _EXIF + _clear_gps(tiff)
    except ValueError:
        return b""
    if cleared == payload:
        return payload
    before, after = _read_exif(payload), _read_exif(cleared)
    if before is None or after is None or _GPS_TAG in after:
        return b""
    before.pop(_GPS_TAG, None)
    return cleared if after == before else b""


def _clean_xmp(payload: bytes) -> bytes:
    """An XMP payload with location attributes blanked; empty where location is left after that."""
    if not has_location(payload):
        return payload
    blanked = _LOCATION_ATTRIBUTE.sub(lambda match: b" " * len(match[0]), payload)
    return b"" if has_location(blanked) else blanked


def has_location(text: bytes) -> bool:
    """Whether an XMP packet, in any of its encodings, mentions a position."""
    return bool(_LOCATION.search(text.replace(b"\0", b"")))


def _joined(data: bytes, parts: list[Segment]) -> bytes:
    """One EXIF payload of all EXIF segments: a long block goes on in the next one."""
    return _EXIF + b"".join(data[part.start + 4 + len(_EXIF) : part.end] for part in parts)


def _replaced(data: bytes, new: dict[Segment, bytes], end: int) -> bytes:
    """The file up to `end` with other payloads of segments, no segment where there is none left."""
    pieces, position = [], 0
    for segment in sorted(new, key=lambda part: part.start):
        head = segment.start + 4
        if new[segment] == data[head : segment.end]:
            continue
        pieces.append(data[position : segment.start])
        if new[segment]:
            pieces += [data[segment.start : head], new[segment]]
        position = segment.end
    if position == 0 and end == len(data):
        return data
    return b"".join([*pieces, data[position:end]])


def drop_hostile_exif(data: bytes, layout: JpegLayout) -> bytes:
    """The same JPEG without an EXIF block that makes readers copy the same bytes over and over.

    Its values together are longer than the block: no camera writes that. The very same object where
    there is no such block.
    """
    exif = _payloads(data, layout, _APP1, _EXIF)
    try:
        tiff_values(_joined(data, exif)[len(_EXIF) :], strict=True)
    except ImageDecodeError:
        return _replaced(data, dict.fromkeys(exif, b""), len(data))
    return data


def strip_location(data: bytes, layout: JpegLayout) -> bytes:
    """The same JPEG without GPS data: the very same object where there is none.

    Args:
        data: A JPEG.
        layout: Its layout.

    Returns:
        The file with GPS cut out of EXIF and XMP, without an EXIF block that makes readers fail,
        and without a picture or a film behind its end. Frame, tables and coded data are copied.
    """
    new: dict[Segment, bytes] = {}
    if exif := _payloads(data, layout, _APP1, _EXIF):
        whole = _joined(data, exif)
        clean = _clean_exif(whole)
        if _read_exif(whole, (_ORIENTATION_TAG,)) is None:
            clean = b""
        if len(exif) == 1:
            new[exif[0]] = clean
        elif clean != whole:  # over several segments: all or nothing
            new.update(dict.fromkeys(exif, b""))
    for part in _payloads(data, layout, _APP1, _XMP):
        new[part] = _clean_xmp(data[part.start + 4 : part.end])
    extension = _payloads(data, layout, _APP1, _XMP_EXTENSION)
    # Each part begins with a GUID and two numbers behind the name.
    packet = b"".join(data[p.start + 4 + len(_XMP_EXTENSION) + 40 : p.end] for p in extension)
    if has_location(packet):
        new.update(dict.fromkeys(extension, b""))
    hidden = _HIDDEN_FILE.search(data, layout.end)
    return _replaced(data, new, layout.end if hidden else len(data))
