"""An image's bytes into what the encoder sees: uint8 [3, side, side], upright RGB.

Resized as open_clip does it for the same model, on the picture made RGB first. Without draft the
pixels are those of open_clip's own transform; with it libjpeg decodes an eighth, a quarter or half
of the size, still at least twice what is wanted, and the crop and the resizing are one step.

Formats go by their first bytes and are opened by their own reader, so that the size in the header
is judged before a pixel is decoded, by our bound and not by Pillow's global one.
"""

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
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

from schemas.errors import (
    ImageDecodeError,
    ImageError,
    NotAnImageError,
    RecipeError,
    TooManyPixelsError,
)
from transforms.resize import (
    Pixels,
    middle_corner,
    resize,
    resize_shorter,
    scaled_to_shorter,
)

DRAFT_MARGIN = 2
"""A drafted JPEG keeps at least this many times the side that it is resized to."""
_MAX_SCAN_WORK = 40
"""Scans x pixels of a JPEG, as a multiple of `max_pixels`: each scan visits every block again."""
_SCAN_BYTES = 10
"""Of a scan, at least: its marker and its header (ITU-T T.81, B.2.3)."""

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTED = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")
"""Where Pillow keeps what may hold an orientation."""
_RESIZES = ("squash", "crop", "pad")


@dataclass(frozen=True)
class PictureSpec:
    """What an encoder wants to see; mean and deviation are the model's business."""

    side: int
    """Pixels of the square."""
    resize: str = "crop"
    """`squash` both sides, `crop` the middle of the shorter side, or `pad` the longer side: what
    open_clip calls `squash`, `shortest` and `longest`."""
    interpolation: str = "bicubic"
    """`bicubic` or `bilinear`."""
    fill: int = 0
    """Grey level of what `pad` adds."""

    def __post_init__(self) -> None:
        if self.side < 1 or self.resize not in _RESIZES:
            raise RecipeError(f"pictures of side {self.side}, {self.resize!r}: no such resizing")
        if self.interpolation not in ("bicubic", "bilinear"):
            raise RecipeError(f"pictures: {self.interpolation!r} is neither bicubic nor bilinear")

    @property
    def filter(self) -> Image.Resampling:
        """Pillow's name of the interpolation."""
        bilinear = self.interpolation == "bilinear"
        return Image.Resampling.BILINEAR if bilinear else Image.Resampling.BICUBIC


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


def decode_picture(
    data: bytes | memoryview, spec: PictureSpec, max_pixels: int, draft: bool, frame: int = 0
) -> Pixels:
    """Decode and resize an image.

    Args:
        data: A JPEG, PNG, GIF, WebP, BMP, TIFF or AVIF.
        spec: What is wanted.
        max_pixels: Width x height above which it is refused, judged by the header.
        draft: Whether a JPEG may be decoded at a fraction of its size.
        frame: Which picture of a file with several.

    Returns:
        [side, side, 3], as rows of RGB pixels.

    Raises:
        NotAnImageError: The bytes are something else.
        TooManyPixelsError: Above `max_pixels`.
        ImageDecodeError: It does not decode to its end.
    """
    name = image_format(data)
    if name is None:
        raise NotAnImageError("no image of a format that is read" if len(data) else "no bytes")
    try:
        if name == "jpeg":
            return _decode(name, data, spec, max_pixels, draft, frame)
        with warnings.catch_warnings():
            # Other readers warn of broken metadata, which does not matter here.
            warnings.simplefilter("ignore")
            return _decode(name, data, spec, max_pixels, draft, frame)
    except ImageError:
        raise
    except MemoryError:
        raise
    except Exception as error:  # decoders of strangers' bytes raise anything
        text = _ADDRESS.sub("", f"{name}: {type(error).__name__}: {error}")[:300]
        raise ImageDecodeError(text.encode("utf-8", "replace").decode("utf-8")) from error


def image_format(data: bytes | memoryview) -> str | None:
    """The format by the first bytes; None for one that is not read."""
    head = bytes(data[:64])
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
    if head[:2] == b"BM":
        return "bmp"
    brands = head[8 : min(int.from_bytes(head[:4], "big"), 64)]
    if head[4:8] == b"ftyp" and (b"avif" in brands or b"avis" in brands):
        return "avif"
    return None


def _decode(
    name: str,
    data: bytes | memoryview,
    spec: PictureSpec,
    max_pixels: int,
    draft: bool,
    frame: int,
) -> Pixels:
    if name == "webp":  # the decoder allocates two canvases when it is made
        _check_pixels(_webp_size(bytes(data[:30])), max_pixels)
    picture = _OPEN[name](io.BytesIO(data))
    if frame:
        picture.seek(frame)
    _check_pixels(picture.size, max_pixels)
    wanted = _resized(picture.size, spec)
    drafted = None
    if name == "jpeg":
        _check_scans(data, picture.width * picture.height, max_pixels)
        if draft:
            # No mode: a conversion by the decoder would not be the one of pictures without draft.
            drafted = picture.draft(None, (DRAFT_MARGIN * wanted[0], DRAFT_MARGIN * wanted[1]))
    picture.load()
    # Pillow turns a TIFF while it loads it.
    turn = None if name == "tiff" else _UPRIGHT.get(_orientation(picture))
    rgb = _rgb(picture)
    if drafted is not None and picture.decoderconfig[0] > 1:
        # A draft's last row and column may hold less than the others: the box says how much. It is
        # the square that is turned, so that the box stays where it is.
        small = _fit_drafted(rgb, spec, wanted, drafted[1])
        return small if turn is None else np.asarray(Image.fromarray(small).transpose(turn))
    return _fit(rgb if turn is None else rgb.transpose(turn), spec)


def _check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        raise TooManyPixelsError(f"{size[0]} x {size[1]} pixels, above {max_pixels}")


def _check_scans(data: bytes | memoryview, pixels: int, max_pixels: int) -> None:
    most = _MAX_SCAN_WORK * max_pixels
    if len(data) // _SCAN_BYTES * pixels <= most:
        return  # however many there are
    scans = bytes(data).count(b"\xff\xda")
    if scans * pixels > most:
        raise ImageDecodeError(f"jpeg: {scans} scans over {pixels} pixels")


def _webp_size(head: bytes) -> tuple[int, int]:
    """Canvas size from the first chunk of a WebP file (RFC 9649, section 2)."""
    kind, body = head[12:16], head[20:30].ljust(10, b"\0")
    if kind == b"VP8X":
        return (
            int.from_bytes(body[4:7], "little") + 1,
            int.from_bytes(body[7:10], "little") + 1,
        )
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return (
        int.from_bytes(body[6:8], "little") & 0x3FFF,
        int.from_bytes(body[8:10], "little") & 0x3FFF,
    )


def _orientation(picture: Image.Image) -> int:
    """The EXIF orientation; 1 where none can be read: then other readers see none either."""
    if not any(name in picture.info for name in _ORIENTED):
        return 1
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # a broken block makes Pillow raise anything
        return 1


def _rgb(picture: Image.Image) -> Image.Image:
    """The picture as 8-bit RGB, what is transparent on white."""
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    if picture.mode in ("I", "F"):
        raise ImageDecodeError("32-bit pixels have no range to scale to 8 bits")
    if picture.mode.startswith("I;16"):
        # By arithmetic: 16 bits to 8 is a shift, while conversions between modes clip.
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        canvas = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        return Image.alpha_composite(canvas, layer).convert("RGB")
    return picture.convert("RGB")


def _resized(size: tuple[int, int], spec: PictureSpec) -> tuple[int, int]:
    """Width and height that a picture is resized to, before it is cropped or padded."""
    width, height = size
    side = spec.side
    if spec.resize == "squash":
        return side, side
    if spec.resize == "crop":
        return scaled_to_shorter(size, side)
    ratio = max(height / side, width / side)  # as open_clip's ResizeKeepRatio
    return max(1, round(width / ratio)), max(1, round(height / ratio))


def _fit(picture: Image.Image, spec: PictureSpec) -> Pixels:
    """Resize, then crop or pad, to the very pixels of open_clip."""
    if spec.resize != "crop":
        return _padded(resize(picture, _resized(picture.size, spec), spec.filter), spec)
    return resize_shorter(picture, spec.side, spec.filter)


def _fit_drafted(
    picture: Image.Image,
    spec: PictureSpec,
    wanted: tuple[int, int],
    extent: tuple[float, float, float, float],
) -> Pixels:
    """As `_fit`, the crop and the resizing in one step.

    Args:
        picture: As the decoder shrank it.
        spec: What is wanted.
        wanted: What the whole picture is resized to.
        extent: What counts of the shrunk picture, from 0, 0.
    """
    side = spec.side
    if spec.resize != "crop":
        return _padded(resize(picture, wanted, spec.filter, box=extent), spec)
    left, top = middle_corner(wanted, side)
    x, y = extent[2] / wanted[0], extent[3] / wanted[1]
    box = (left * x, top * y, (left + side) * x, (top + side) * y)
    return resize(picture, (side, side), spec.filter, box=box)


def _padded(pixels: Pixels, spec: PictureSpec) -> Pixels:
    height, width, _ = pixels.shape
    if height == width == spec.side:
        return pixels
    canvas = np.full((spec.side, spec.side, 3), spec.fill, np.uint8)
    top, left = (spec.side - height) // 2, (spec.side - width) // 2
    canvas[top : top + height, left : left + width] = pixels
    return canvas
