"""What the bytes of an image file say before any decoder is asked.

Formats go by their first bytes. Directories of TIFF (also inside EXIF and Multi-Picture files) and
blocks of GIF are read here, in time and memory bounded by the file: readers that copy every value
can be made to copy the same bytes thousands of times.
"""

import contextlib
import re
import struct

from schemas.errors import ImageDecodeError

_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}

_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_AVIF_SIZE = re.compile(rb"ispe\0\0\0\0")
_AVIF_HEAD = 1 << 16
"""Bytes of an AVIF in which its boxes of metadata lie."""

# What stands before the root of an SVG file; atomic groups, so that matching takes linear time.
_SVG = re.compile(
    rb"(?>\s*(?><\?.*?\?>|<!--.*?-->|<!DOCTYPE(?>[^\[>]*)(?>\[[^\]]*\]\s*)?>))*+"
    rb"\s*<(?>[A-Za-z][\w.\-]*:)?svg[\s>/]",
    re.DOTALL,
)
_SVG_HEAD = 16384

_REFUSED = (
    ("icon", re.compile(rb"\0\0[\x01\x02]\0[^\0]\0")),
    ("jpeg 2000", re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51")),
    ("jpeg xl", re.compile(rb"\0\0\0\x0cJXL \r\n\x87\n|\xff\x0a")),
    ("photoshop", re.compile(rb"8BPS\0")),
    ("big tiff", re.compile(rb"II\x2b\0|MM\0\x2b")),
    ("heif", re.compile(rb".{4}ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL)),
)
"""Images by their first bytes that are not read here, under the name that the message gives."""


def format_of(data: bytes) -> str | None:
    """The format that is read here, by the first bytes; None for anything else."""
    head = data[:64]
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:4] in (b"II*\0", b"MM\0*"):
        return "tiff"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "bmp"
    brands = head[8 : min(int.from_bytes(head[:4], "big"), 64)]
    if head[4:8] == b"ftyp" and (b"avif" in brands or b"avis" in brands):
        return "avif"
    return None


def looks_like_image(data: bytes) -> bool:
    """Whether the first bytes are those of a raster image, be it one that is not read here.

    SVG is text and not among them: see `is_svg`.
    """
    return format_of(data) is not None or refused_format(data) is not None


def is_svg(data: bytes) -> bool:
    """Whether the root element, behind declarations and comments, is `svg`."""
    head = data[:_SVG_HEAD]
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if head.startswith(mark):
            head = head[2:].decode(encoding, "replace").encode("utf-8", "replace")
    return _SVG.match(head.removeprefix(b"\xef\xbb\xbf")) is not None


def refused_format(data: bytes) -> str | None:
    """The name of an image format that is known and not read here."""
    return next((name for name, magic in _REFUSED if magic.match(data[:64])), None)


def webp_size(data: bytes) -> tuple[int, int]:
    """Canvas size from the first chunk of a WebP file (RFC 9649, section 2)."""
    kind, body = data[12:16], data[20:30].ljust(10, b"\0")
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", body, 6)
    return width & 0x3FFF, height & 0x3FFF


def stored_size(data: bytes) -> tuple[int, int] | None:
    """Width and height as a file states them, not turned upright; None where it does not.

    Nothing is decoded. An AVIF states several sizes where it has several pictures: the largest is
    given.
    """
    name = format_of(data)
    size = (0, 0)
    with contextlib.suppress(struct.error):
        if name == "jpeg":
            size = _jpeg_size(data)
        elif name == "png":
            size = struct.unpack_from(">II", data, 16)
        elif name == "gif":
            size = struct.unpack_from("<HH", data, 6)
        elif name == "webp":
            size = webp_size(data)
        elif name == "bmp":
            kind = "<HH" if data[14] == 12 else "<ii"
            width, height = struct.unpack_from(kind, data, 18)
            size = (width, abs(height))
        elif name == "tiff":
            values = tiff_values(data)
            size = (values.get(_TIFF_WIDTH, 0), values.get(_TIFF_HEIGHT, 0))
        elif name == "avif":
            found = (match.start() + 8 for match in _AVIF_SIZE.finditer(data[:_AVIF_HEAD]))
            size = max((struct.unpack_from(">II", data, at) for at in found), default=size)
    return size if min(size) > 0 else None


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """The size in the first frame header (ITU-T T.81, B.2.2); raises `struct.error`."""
    at = 2
    while True:
        (mark, kind, length) = struct.unpack_from(">BBH", data, at)
        if mark != 0xFF:
            return 0, 0
        if kind == 0xFF:  # fill bytes may stand before a marker
            at += 1
            continue
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        if kind in (0xD9, 0xDA) or length < 2:
            return 0, 0
        at += 2 + length


def _directory(data: bytes, order: str) -> list[tuple[int, int, int, int]]:
    """Entries (tag, type, count, short or long value) of the first directory, as far as it goes."""
    (at,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    body = data[at + 2 : at + 2 + 12 * count]
    entries = []
    for tag, kind, items, value in struct.iter_unpack(order + "HHII", body[: len(body) // 12 * 12]):
        short = value >> 16 if order == ">" else value & 0xFFFF
        entries.append((tag, kind, items, short if kind == 3 else value))
    return entries


def tiff_values(data: bytes, strict: bool = False) -> dict[int, int]:
    """Single numbers of the first directory by tag, and the count of items under the negative tag.

    Raises:
        ImageDecodeError: With `strict`, if the values together are longer than the file, which
            would make a reader copy the same bytes over and over.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return {}
    try:
        entries = _directory(data, order)
    except struct.error:
        return {}
    size = sum(_TYPE_BYTES.get(kind, 0) * items for _, kind, items, _ in entries)
    if strict and size > len(data):
        raise ImageDecodeError("tiff directory: values longer than the file")
    values = {-tag: items for tag, _, items, _ in entries}
    return values | {tag: v for tag, kind, items, v in entries if items == 1 and kind in (3, 4)}


def gif_frames(data: bytes, limit: int) -> int:
    """Image descriptors of a GIF up to its trailer or its end (GIF89a, section 20)."""
    frames = 0
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    while at < len(data) and frames < limit:
        kind = data[at]
        if kind == 0x2C and at + 9 < len(data):
            frames += 1
            flags = data[at + 9]
            at += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        elif kind == 0x21:
            at += 2
        elif kind == 0x3B:
            break
        else:
            at += 1
            continue
        while at < len(data) and data[at]:
            at += data[at] + 1
        at += 1
    return max(1, frames)


def tiff_frames(data: bytes, limit: int) -> int:
    """Directories of a TIFF, each counted once."""
    order = "<" if data[:2] == b"II" else ">"
    seen: set[int] = set()
    try:
        (at,) = struct.unpack_from(order + "I", data, 4)
        while at and at not in seen and len(seen) < limit:
            (count,) = struct.unpack_from(order + "H", data, at)
            seen.add(at)
            (at,) = struct.unpack_from(order + "I", data, at + 2 + 12 * count)
    except struct.error:
        pass  # the chain leaves the file: what was counted is there
    return max(1, len(seen))
