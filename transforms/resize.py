"""Resizing, several times as fast as Pillow's and to the same bits.

Pillow's own takes three quarters of the time that a photo of the web needs to become what a model
sees. `_resize_kernel.c` repeats its arithmetic in wide registers, on the part that is
wanted only, and reads the pixels where Pillow keeps them. Without a C compiler at installation
Pillow does it.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

try:
    from transforms import _resize_kernel
except ImportError:  # not built: there was no C compiler
    AVAILABLE = False
else:
    AVAILABLE = True

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
    # As precise as Pillow takes it: one that ends a trifle beyond the picture ends with it.
    _check_inside("box", np.asarray(box, np.float32).tolist(), picture.size)
    _check_inside("window", window, size)
    if not AVAILABLE or _is_strip(picture.size, size):
        return np.asarray(picture.resize(size, resample, box).crop(window))
    # Planes, because the next who wants the pixels wants them so; seen as rows of pixels.
    planes = np.empty((3, window[3] - window[1], window[2] - window[0]), np.uint8)
    _resize_kernel.resize(
        _pixels(picture), picture.size, box, size, window, _SUPPORT[resample], planes
    )  # fmt: skip
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
    left, top, right, bottom = part
    if not (0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]):
        whole = f"{size[0]} x {size[1]}"
        raise ValueError(f"a {what} {(*part,)} that is empty or reaches out of {whole}")


def _is_strip(given: tuple[int, int], wanted: tuple[int, int]) -> bool:
    """Whether Pillow does rows before columns, which rounds in another order."""
    return given[1] > 100 * given[0] and wanted[1] < given[1]


def _pixels(picture: Image.Image) -> object:
    """Four bytes a pixel: in Pillow's own memory, or a copy where those lie in several blocks."""
    picture.load()
    try:
        return picture.__arrow_c_array__()[1]
    except ValueError:
        return picture.tobytes("raw", "RGBX")
