"""Small pictures for the report: upright, on white, RGB, of bounded size.

They show what an image is and are no data: nothing is decided by them. Whatever has facts has a
thumbnail, so odd pixel formats are shown approximately (Lab by its lightness, 32-bit values
stretched to the range they use) instead of refused.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from transforms.image_facts import ImageFacts, jpeg_at, upright

SIDE = 160
"""Pixels of the longest side, at most."""
MAX_BYTES = 12_000
"""Size of the file, at most."""

_QUALITIES = (80, 60, 40, 20, 5)
_SAMPLED = 1024


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small picture."""

    width: int
    height: int
    jpeg: bytes
    """The file, an RGB JPEG without metadata."""


def make_thumbnail(data: bytes, facts: ImageFacts, picture: Image.Image) -> Thumbnail:
    """Make the thumbnail of an image whose facts are known.

    Args:
        data: The bytes as received.
        facts: Their facts.
        picture: The first frame, as `read_picture` gives it.
    """
    if facts.format == "jpeg":  # that one is tiny and grey
        picture = jpeg_at(data, 2 * SIDE)
    size = _size((facts.width, facts.height), SIDE)
    as_stored = facts.format != "tiff"  # Pillow turns those while it loads them
    if as_stored and facts.orientation >= 5:
        size = size[::-1]
    rgb = _on_white(_averageable(picture).resize(size, Image.Resampling.BOX, reducing_gap=3.0))
    if as_stored:
        rgb = Image.fromarray(np.ascontiguousarray(upright(np.asarray(rgb), facts.orientation)))
    return Thumbnail(rgb.width, rgb.height, _encode(rgb))


def _size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """A size with no side above `side`, in proportion."""
    longest = max(size)
    if longest <= side:
        return size
    width, height = (max(1, (2 * value * side + longest) // (2 * longest)) for value in size)
    return width, height


def _averageable(picture: Image.Image) -> Image.Image:
    """The picture, no larger than needed, in a mode whose values can be averaged."""
    sampled = _size(picture.size, _SAMPLED)
    if sampled != picture.size:  # sampling needs no second copy of a large picture
        picture = picture.resize(sampled, Image.Resampling.NEAREST)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
    elif picture.mode in ("P", "PA"):
        picture = picture.convert("RGB")
    elif picture.mode == "1":
        picture = picture.convert("L")
    elif picture.mode == "LAB":
        picture = picture.getchannel(0)
    elif picture.mode.startswith("I;16"):
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    elif picture.mode in ("I", "F"):
        picture = _stretched(picture)
    return picture


def _stretched(picture: Image.Image) -> Image.Image:
    """32-bit values as 8-bit grey: black is the smallest there is, white the largest."""
    values = np.asarray(picture, dtype=np.float64)
    values = np.where(np.isfinite(values), values, 0.0)
    low, high = float(values.min()), float(values.max())
    # Each is divided on its own: the difference of two finite numbers may be infinite.
    scale = max(abs(low), abs(high)) or 1.0
    values, low, high = values / scale, low / scale, high / scale
    grey = 255 * (values - low) / ((high - low) or 1.0)
    return Image.fromarray(grey.astype(np.uint8))


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, picture).convert("RGB")


def _encode(picture: Image.Image) -> bytes:
    """The picture as a JPEG, as good as `MAX_BYTES` allow."""
    data = b""
    for quality in _QUALITIES:
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=quality)
        data = out.getvalue()
        if len(data) <= MAX_BYTES:
            break
    return data
