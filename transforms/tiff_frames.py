"""A TIFF of several pictures as files of one picture each.

A file with one picture is passed as it is. Of several, each becomes a PNG of the same pixels, which
is lossless and what readers of the web take, or a TIFF with deflate where PNG has no such pixels
(CMYK, Lab, 32 bits). The picture is upright and keeps its colour profile, and no other metadata.

What a file says of itself is bounded before a pixel is decoded: directories that name the same
bytes over and over would make a reader copy them each time.
"""

import io
import re
import struct

from PIL import Image, TiffImagePlugin

from schemas.errors import ImageDecodeError, ImageError, TooManyPixelsError
from transforms.image_facts import ImageFactsConfig
from transforms.image_headers import format_of, tiff_frames
from transforms.jpeg_metadata import quiet

MAX_FRAMES = 1000
MAX_TOTAL_PIXELS = 400_000_000
"""Of all pictures of a file together: a hundred scanned pages of 2,000 x 2,000."""
MAX_TOTAL_BYTES = 256 << 20
"""Of the files that are made of one."""

_MAX_STRIPS = 1 << 17
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_STRIPS = frozenset({0x0111, 0x0144})
_INNER = frozenset({0x014A, 0x8769, 0x8825, 0xA005})
"""Tags that lead to another directory: sub-images, EXIF, GPS, interoperability."""
_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def _cost(data: bytes, order: str, at: int, inner: list[int]) -> tuple[int, int]:
    """Bytes of the values of a directory, and where the next one is; notes those it leads to."""
    (count,) = struct.unpack_from(order + "H", data, at)
    cost = 12 * count
    for position in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, items, value = struct.unpack_from(order + "HHII", data, position)
        if tag in _STRIPS and items > _MAX_STRIPS:
            raise ImageDecodeError(f"tiff: more than {_MAX_STRIPS} strips or tiles")
        if tag in _INNER:
            inner.append(value)
        cost += _TYPE_BYTES.get(kind, 0) * items
    (following,) = struct.unpack_from(order + "I", data, at + 2 + 12 * count)
    return cost, following


def _check_directories(data: bytes) -> None:
    """Raise `ImageDecodeError` where the values together are several times longer than the file."""
    order = "<" if data[:2] == b"II" else ">"
    total = 0
    seen: set[int] = set()
    (at,) = struct.unpack_from(order + "I", data, 4)
    wanted = [at]
    while wanted:
        at = wanted.pop()
        if not at or at in seen:
            continue
        seen.add(at)
        inner: list[int] = []
        try:
            cost, following = _cost(data, order, at, inner)
        except struct.error:
            continue  # it leaves the file: the decoder says so, or never looks there
        total += cost
        if total > 4 * len(data) or len(seen) > 4 * MAX_FRAMES:
            raise ImageDecodeError("tiff directories: values several times longer than the file")
        wanted += [following, *inner]


def _saved(picture: Image.Image) -> bytes:
    plain = picture.copy()
    profile = picture.info.get("icc_profile")
    plain.info = {"icc_profile": profile} if isinstance(profile, bytes) else {}
    sink = io.BytesIO()
    if plain.mode in _PNG_MODES:
        plain.save(sink, "PNG", compress_level=3)
    else:
        plain.save(sink, "TIFF", compression="tiff_adobe_deflate")
    return sink.getvalue()


def _frames(data: bytes, count: int, config: ImageFactsConfig) -> list[bytes]:
    made = []
    pixels = size = 0
    picture = TiffImagePlugin.TiffImageFile(io.BytesIO(data))
    for number in range(count):
        picture.seek(number)
        area = picture.width * picture.height
        pixels += area
        if area > config.max_pixels or pixels > MAX_TOTAL_PIXELS:
            raise TooManyPixelsError(
                f"tiff: {picture.width} x {picture.height} pixels in frame {number}, "
                f"{pixels} up to it"
            )
        picture.load()
        made.append(_saved(picture))
        size += len(made[-1])
        if size > MAX_TOTAL_BYTES:
            raise ImageDecodeError(f"tiff: pictures of more than {MAX_TOTAL_BYTES} bytes")
    return made


def split_tiff(data: bytes, config: ImageFactsConfig) -> list[bytes]:
    """The pictures of a file, in order; a file that is no TIFF of several is its only picture.

    Args:
        data: The file.
        config: Bounds of one picture.

    Raises:
        TooManyPixelsError: A picture, or all together, above the bounds.
        ImageDecodeError: More than `MAX_FRAMES` pictures, or one that does not decode.
    """
    if format_of(data) != "tiff":
        return [data]
    count = tiff_frames(data, MAX_FRAMES + 1)
    if count == 1:
        return [data]
    if count > MAX_FRAMES:
        raise ImageDecodeError(f"tiff: more than {MAX_FRAMES} frames")
    try:
        _check_directories(data)
        with quiet():
            return _frames(data, count, config)
    except ImageError:
        raise
    except Image.DecompressionBombError as e:
        raise TooManyPixelsError(f"tiff: {e}") from e
    except Exception as e:  # decoders of strangers' bytes raise anything
        text = _ADDRESS.sub("", f"tiff: {type(e).__name__}: {e}")[:300]
        raise ImageDecodeError(text.encode("utf-8", "replace").decode("utf-8")) from e
