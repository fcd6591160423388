"""Resizing, several times as fast as Pillow's and to the same bits.

Pillow's own takes three quarters of the time that a photo of the web needs to become what a model
sees. `_resize_*.c` repeat its arithmetic in wide registers, on the part that is wanted only, and
read the pixels where Pillow keeps them. Where the kernel was not built, or Pillow is of another
version than the one whose arithmetic it repeats, Pillow does it.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image, _imaging

_PILLOW = "12"
"""The major version whose arithmetic this is: 13 does rows first where that is cheaper."""
_BAND = 16_000_000
"""Bytes of a picture that Pillow keeps in one block of memory: what lies in several is copied to
the kernel in bands of that size."""
_PIXEL = 4

try:
    from transforms import _resize_kernel
except ImportError:  # not built: there was no C compiler
    AVAILABLE = False
else:
    AVAILABLE = PIL.__version__.partition(".")[0] == _PILLOW

_SUPPORT = {Image.Resampling.BILINEAR: 1, Image.Resampling.BICUBIC: 2}

_MAX_ASPECT = 64
"""Of a longer strip only the middle is resized for a crop: of one pixel by 5,000 a crop of 224
would cost a gigabyte, and show some hundredth of it."""

Pixels = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]
Window = tuple[int, int, int, int]


def resize(
    picture: Image.Image,
    size: tuple[int, int],
    resample: Image.Resampling,
    *,
    box: Box | None = None,
    window: Window | None = None,
) -> Pixels:
    """What `picture.resize(size, resample, box).crop(window)` shows.

    Args:
        picture: Of mode RGB.
        size: Width and height that the box becomes.
        resample: `BICUBIC` or `BILINEAR`.
        box: What is resized: left, top, right, bottom in the picture; unset: all of it.
        window: What is wanted of the result, inside it; unset: all of it.

    Returns:
        [height, width, 3].

    Raises:
        ValueError: A picture of another mode, or a box or window that reaches outside.
    """
    if picture.mode != "RGB":
        raise ValueError(f"a picture of mode {picture.mode}, not RGB")
    box, window = box or (0, 0, *picture.size), window or (0, 0, *size)
    _check_inside("box", box, picture.size)
    _check_inside("window", window, size)
    if not AVAILABLE or _is_strip(picture.size, size):
        return _by_pillow(picture, size, resample, box, window)
    left, top, right, bottom = window
    # Planes, because the next who wants the pixels wants them so; seen as rows of pixels.
    planes = np.empty((3, bottom - top, right - left), np.uint8)
    support = _SUPPORT[resample]
    picture.load()
    for first, last, begin, end in _bands(picture.size, size, box, (top, bottom), support):
        is_all = (begin, end) == (0, picture.height)
        pixels = _shared(picture if is_all else picture.crop((0, begin, picture.width, end)))
        if pixels is None:
            return _by_pillow(picture, size, resample, box, window)
        is_whole = (first, last) == (top, bottom)
        part = planes if is_whole else np.empty((3, last - first, right - left), np.uint8)
        rows = (left, first, right, last)
        _resize_kernel.resize(pixels, (begin, end), picture.size, box, size, rows, support, part)
        if not is_whole:
            planes[:, first - top : last - top] = part
    return planes.transpose(1, 2, 0)


def resize_shorter(picture: Image.Image, side: int, resample: Image.Resampling) -> Pixels:
    """The square in the middle of a picture whose shorter side has become `side`.

    As torchvision's `Resize` and `CenterCrop` make it, and open_clip by `shortest`.

    Returns:
        [side, side, 3].

    Raises:
        ValueError: A picture of another mode than RGB.
    """
    picture = without_ends(picture)
    size = scaled_to_shorter(picture.size, side)
    left, top = middle_corner(size, side)
    return resize(picture, size, resample, window=(left, top, left + side, top + side))


def scaled_to_shorter(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Width and height where the shorter of them becomes `side`, as torchvision's `Resize`."""
    width, height = size
    longer = int(side * max(size) / min(size))
    return (side, longer) if width <= height else (longer, side)


def middle_corner(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Where torchvision's `CenterCrop` begins: Python rounds halves to the even number."""
    return round((size[0] - side) / 2), round((size[1] - side) / 2)


def without_ends(picture: Image.Image) -> Image.Image:
    """A picture without the ends that a crop to its middle drops anyway, where it is a strip."""
    width, height = picture.size
    most = _MAX_ASPECT * min(width, height)
    # As much at both ends, so that the middle stays where it is.
    x, y = max(0, (width - most) // 2), max(0, (height - most) // 2)
    return picture.crop((x, y, width - x, height - y)) if x or y else picture


def _check_inside(what: str, part: Sequence[float], size: tuple[int, int]) -> None:
    # In single precision, as Pillow: a box that ends a trifle beyond the picture ends with it.
    left, top, right, bottom = map(np.float32, part)
    width, height = map(np.float32, size)
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        whole = f"{size[0]} x {size[1]}"
        raise ValueError(f"a {what} {(*part,)} that is empty or reaches out of {whole}")


def _by_pillow(
    picture: Image.Image,
    size: tuple[int, int],
    resample: Image.Resampling,
    box: Box,
    window: Window,
) -> Pixels:
    return np.asarray(picture.resize(size, resample, box).crop(window))


def _is_strip(given: tuple[int, int], wanted: tuple[int, int]) -> bool:
    """Whether Pillow does rows before columns, which rounds in another order."""
    return given[1] > 100 * given[0] and wanted[1] < given[1]


def _bands(
    given: tuple[int, int], wanted: tuple[int, int], box: Box, rows: tuple[int, int], support: int
) -> Iterator[tuple[int, int, int, int]]:
    """Rows of the result, and the lines of the picture that they are made of, a band at a time."""
    (width, height), (top, bottom) = given, rows
    if width * height * _PIXEL <= _BAND:
        yield top, bottom, 0, height
        return
    scale = (box[3] - box[1]) / wanted[1]
    # With a line to spare at both ends: the kernel knows exactly, and refuses too few.
    reach = support * max(scale, 1) + 2
    lines = _BAND // (width * _PIXEL)
    step = max(1, int((lines - 2 * reach) / scale))
    for first in range(top, bottom, step):
        last = min(first + step, bottom)
        begin = max(0, math.floor(box[1] + first * scale - reach))
        yield first, last, begin, min(height, math.ceil(box[1] + last * scale + reach))


def _shared(picture: Image.Image) -> object | None:
    """Pillow's own memory of the pixels; None where their lines do not lie one behind the other."""
    if picture.width * _PIXEL % _imaging.get_alignment():
        return None
    try:
        return picture.__arrow_c_array__()[1]
    except ValueError:  # in several blocks
        return None
