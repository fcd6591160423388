"""Facts of an image as received: format, upright size, frames, hashes, and whether it decodes.

The format is judged by content, and only formats of the open web are read: JPEG (Multi-Picture
files too), PNG, GIF, WebP, BMP, TIFF and AVIF. Icons are not: Pillow decodes an ICO while it opens
it, before its size can be checked. Everything else that Pillow can open (PostScript, FLI, PSD, ...)
never gets to a decoder.

The size is checked in the header, before a pixel is decoded. Then the first frame is decoded to its
end, a JPEG at an eighth of its size where that is enough: entropy decoding, which finds broken
files, happens in full. The trade-off: damage that a decoder patches silently (a flipped bit inside
a JPEG scan) and damage behind the first frame are not found.

No global state of Pillow is changed. JPEG, PNG, WebP and BMP decode in parallel threads; formats
whose readers warn about metadata take turns, because warning filters belong to the whole process.
"""

import hashlib
import io
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from schemas.errors import ImageDecodeError, ImageError, NotAnImageError, TooManyPixelsError
from transforms.image_headers import (
    format_of,
    gif_frames,
    is_svg,
    looks_like_image,
    refused_format,
    tiff_frames,
    tiff_values,
    webp_size,
)

__all__ = [
    "ImageFacts",
    "ImageFactsConfig",
    "format_of",
    "is_svg",
    "jpeg_at",
    "looks_like_image",
    "outcome_of",
    "perceptual_hash",
    "read_image_facts",
    "read_picture",
    "upright",
]

STEP_VERSION = 1

_SIDE = 32
_LOW = 8
_MIDDLE = (_LOW * _LOW - 1) // 2
_SAMPLED = 1024
_MAX_SCAN_WORK = 40
"""Scans x pixels of a JPEG, as a multiple of `max_pixels`: each scan visits every block again."""
_SCAN_BYTES = 10
"""Of a scan, at least: its marker and its header (ITU-T T.81, B.2.3)."""
_MAX_STRIPS = 1 << 17

_ORIENTATION, _MPF_IMAGES, _STRIPS, _TILES = 0x0112, 0xB001, 0x0111, 0x0144
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation(?:=\"|>)([0-9])")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(frozen=True)
class ImageFactsConfig:
    """Bounds of what is decoded."""

    max_pixels: int = 100_000_000
    """Width times height of the largest image that is decoded: the square of 10,000, MM1's largest
    side. Decoding takes up to 4 bytes of memory a pixel."""
    max_frames: int = 10_000
    """Frames are counted up to this number: counting costs time for each."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What is known of an image whose first frame decodes to its end."""

    format: str
    """`jpeg`, `png`, `gif`, `webp`, `bmp`, `tiff` or `avif`."""
    width: int
    """Upright: the orientation is applied."""
    height: int
    mode: str
    """Pillow's name of the pixel format as stored: `RGB`, `L`, `P`, `CMYK`, ..."""
    frames: int
    """Frames, pages or pictures of the file."""
    orientation: int
    """EXIF orientation, 1 to 8; 1 where there is none that can be read."""
    sha256: str
    phash: int
    """64-bit perceptual hash of the upright first frame on white, as a signed integer."""


def outcome_of(error: ImageError) -> str:
    """The `outcome` of an image record for an error of `read_image_facts`."""
    if isinstance(error, TooManyPixelsError):
        return "too_many_pixels"
    if isinstance(error, NotAnImageError):
        return "svg" if str(error).startswith("svg") else "not_an_image"
    return "decode_error"


def read_image_facts(data: bytes, config: ImageFactsConfig) -> ImageFacts:
    """Read the facts of an image and decode its first frame.

    Args:
        data: The bytes as received.
        config: Bounds.

    Raises:
        NotAnImageError: No format that is read here; the message begins with `svg` for an SVG.
        TooManyPixelsError: Above `max_pixels`, judged by the header.
        ImageDecodeError: The header or the pixels of the first frame are broken.
    """
    return read_picture(data, config)[0]


def read_picture(data: bytes, config: ImageFactsConfig) -> tuple[ImageFacts, Image.Image]:
    """As `read_image_facts`, with the decoded first frame: a JPEG as a small grey picture only.

    The frame is as stored, but that of a TIFF, which Pillow turns upright.
    """
    name = format_of(data)
    if name is None:
        raise NotAnImageError(_what_else(data))
    _check_before_open(name, data, config)
    with _decoding(name, quiet=name in _WARN or (name == "png" and b"acTL" in data)):
        picture = _OPEN[name](io.BytesIO(data))
        width, height = picture.size
        _check_pixels(name, width, height, config)
        if name == "jpeg":
            _check_scans(data, width * height, config)
        mode = picture.mode
        if name == "jpeg":
            picture.draft("L", (2 * _SIDE, 2 * _SIDE))
        picture.load()
        grey = _grey(picture)
    frames = _count_frames(name, data, picture, config.max_frames)
    if name == "tiff":  # Pillow turns a TIFF while it loads it, and gives the upright size before
        orientation = tiff_values(data).get(_ORIENTATION, 1)
        orientation = orientation if 1 <= orientation <= 8 else 1
    else:
        orientation = _exif_orientation(picture)
        grey = upright(grey, orientation)
        if orientation >= 5:
            width, height = height, width
    sha256 = hashlib.sha256(data).hexdigest()
    phash = perceptual_hash(grey)
    facts = ImageFacts(name, width, height, mode, frames, orientation, sha256, phash)
    return facts, picture


def upright(pixels: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Undo an EXIF orientation (CIPA DC-008, tag 274) of an array of rows and columns."""
    if orientation >= 5:
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def perceptual_hash(grey: npt.NDArray[np.float64]) -> int:
    """The 64-bit DCT hash of a 32 x 32 picture (Zauner 2010, section 3.2.1), as a signed integer.

    The lowest 8 x 8 frequencies in rows from the highest bit down, each against their median; the
    constant term takes no part in the median and its bit is 0. A picture of one colour hashes to 0.
    """
    low = _COSINES @ (grey - grey.mean()) @ _COSINES.T
    # The last digits of a sum depend on its order, which differs between processors.
    values = np.round(low, 6).ravel()
    # Of an odd number of values the median is one of them.
    bits = values > np.partition(values[1:], _MIDDLE)[_MIDDLE]
    bits[0] = False
    return int.from_bytes(np.packbits(bits).tobytes(), "big", signed=True)


def _cosines() -> npt.NDArray[np.float64]:
    """The first rows of the orthonormal DCT-II matrix, [8, 32]."""
    rows, columns = np.arange(_LOW)[:, None], np.arange(_SIDE)[None, :]
    matrix = np.cos(np.pi * rows * (2 * columns + 1) / (2 * _SIDE)) * np.sqrt(2 / _SIDE)
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix)


_COSINES = _cosines()
_TURN = threading.Lock()
_WARN = ("gif", "tiff", "avif")


class _JpegFile(JpegImagePlugin.JpegImageFile):
    """A JPEG without Pillow's look for a resolution, which copies every value of the EXIF block."""

    def _read_dpi_from_exif(self) -> None:
        pass


_OPEN: dict[str, Callable[[io.BytesIO], Any]] = {
    "jpeg": _JpegFile,
    "png": PngImagePlugin.PngImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
    "avif": AvifImagePlugin.AvifImageFile,
}


def jpeg_at(data: bytes, side: int) -> Image.Image:
    """A JPEG that has facts, in colour, scaled by the decoder to no less than that longest side."""
    picture = _JpegFile(io.BytesIO(data))
    width, height = (max(1, value * side // max(picture.size)) for value in picture.size)
    picture.draft("RGB", (width, height))
    picture.load()
    return picture


@contextmanager
def _decoding(name: str, quiet: bool) -> Iterator[None]:
    """Turn whatever a decoder trips over into an `ImageError`."""
    try:
        if quiet:
            with _TURN, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        else:
            yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise TooManyPixelsError(f"{name}: {error}") from error
    except Exception as error:  # decoders of strangers' bytes raise anything
        text = _ADDRESS.sub("", f"{name}: {type(error).__name__}: {error}")[:300]
        raise ImageDecodeError(text.encode("utf-8", "replace").decode("utf-8")) from error


def _what_else(data: bytes) -> str:
    """Why bytes are no image that is read here."""
    if not data:
        return "no bytes"
    if is_svg(data):
        return "svg: a drawing in text, not a raster image"
    refused = refused_format(data)
    return f"{refused}: a format that is not read" if refused else "bytes of no image format"


def _check_pixels(name: str, width: int, height: int, config: ImageFactsConfig) -> None:
    if width * height > config.max_pixels:
        raise TooManyPixelsError(f"{name}: {width} x {height} pixels, above {config.max_pixels}")


def _check_before_open(name: str, data: bytes, config: ImageFactsConfig) -> None:
    """Checks where opening a file already costs memory by its header."""
    if name == "webp":  # the decoder allocates two canvases when it is made
        _check_pixels(name, *webp_size(data), config)
    elif name == "tiff":
        values = tiff_values(data, strict=True)
        if max(values.get(-_STRIPS, 0), values.get(-_TILES, 0)) > _MAX_STRIPS:
            raise ImageDecodeError(f"tiff: more than {_MAX_STRIPS} strips or tiles")
    elif name == "avif":  # Pillow copies every value of an EXIF block
        for count, found in enumerate(re.finditer(rb"II\*\0|MM\0\*", data)):
            tiff_values(data[found.start() :], strict=True)
            if count == 16:
                raise ImageDecodeError("avif: more than 16 EXIF blocks")


def _check_scans(data: bytes, pixels: int, config: ImageFactsConfig) -> None:
    most = _MAX_SCAN_WORK * config.max_pixels
    if len(data) // _SCAN_BYTES * pixels <= most:
        return  # however many there are
    scans = data.count(b"\xff\xda")
    if scans * pixels > most:
        raise ImageDecodeError(f"jpeg: {scans} scans over {pixels} pixels")


def _exif_orientation(picture: Image.Image) -> int:
    """The orientation in EXIF, else in XMP: where Pillow's `ImageOps.exif_transpose` finds it."""
    info = picture.info
    exif = info.get("exif") or b""
    if not exif and "Raw profile type exif" in info:
        try:
            exif = bytes.fromhex("".join(str(info["Raw profile type exif"]).split("\n")[3:]))
        except ValueError:
            exif = b""
    value = tiff_values(exif.removeprefix(b"Exif\0\0")).get(_ORIENTATION)
    if value is None:
        packet = info.get("xmp") or info.get("XML:com.adobe.xmp") or b""
        found = _XMP_ORIENTATION.search(
            packet if isinstance(packet, bytes) else str(packet).encode("utf-8", "replace")
        )
        value = int(found[1]) if found else 1
    return value if 1 <= value <= 8 else 1


def _count_frames(name: str, data: bytes, picture: Any, limit: int) -> int:
    if name == "gif":
        return gif_frames(data, limit)
    if name == "tiff":
        return tiff_frames(data, limit)
    if name == "jpeg":
        frames = tiff_values(picture.info.get("mp", b"")).get(_MPF_IMAGES, 1)
    else:
        frames = int(getattr(picture, "n_frames", 1))
    return max(1, min(frames, limit))


def _grey(picture: Image.Image) -> npt.NDArray[np.float64]:
    """The picture as 32 x 32 grey values, transparent parts on white."""
    if max(picture.size) > _SAMPLED:  # sampling needs no second copy of a large picture
        size = (min(picture.width, _SAMPLED), min(picture.height, _SAMPLED))
        picture = picture.resize(size, Image.Resampling.NEAREST)
    if picture.mode == "RGBA":
        if picture.getchannel("A").getextrema() == (255, 255):
            picture = picture.convert("RGB")
    elif picture.has_transparency_data:
        picture = picture.convert("RGBA")
    elif picture.mode == "P":
        picture = picture.convert("RGB")
    elif picture.mode == "1":
        picture = picture.convert("L")
    elif picture.mode == "LAB":
        picture = picture.getchannel(0)
    elif picture.mode.startswith("I;16"):
        picture = picture.convert("I")
    small = picture.resize((_SIDE, _SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    if small.mode in ("L", "I"):
        return np.asarray(small, dtype=np.float64)
    if small.mode == "F":
        return np.nan_to_num(np.asarray(small, dtype=np.float64), posinf=0.0, neginf=0.0)
    if small.mode == "CMYK":
        small = small.convert("RGB")
    grey = np.asarray(small.convert("L"), dtype=np.float64)
    if small.mode == "RGBA":
        opaque = np.asarray(small.getchannel("A"), dtype=np.float64) / 255
        grey = grey * opaque + 255 * (1 - opaque)
    return grey
