"""Resizing, several times as fast as Pillow's and to the same bits.

Pillow's own takes three quarters of the time that a photo of the web needs to become what an
encoder sees. `_resize_kernel.c` repeats its arithmetic in wide registers, on the part that is
wanted only, and reads the pixels where Pillow keeps them. Without a C compiler at installation
Pillow does it.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

try:
    from trainer.data import _resize_kernel
except ImportError:  # not built: there was no C compiler
    AVAILABLE = False
else:
    AVAILABLE = True

_SUPPORT = {Image.Resampling.BILINEAR: 1, Image.Resampling.BICUBIC: 2}

Box = tuple[float, float, float, float]
Window = tuple[int, int, int, int]


def resize(
    picture: Image.Image,
    size: tuple[int, int],
    resample: Image.Resampling,
    *,
    box: Box | None = None,
    window: Window | None = None,
) -> npt.NDArray[np.uint8]:
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


def _check_inside(what: str, part: Sequence[float], size: tuple[int, int]) -> None:
    left, top, right, bottom = part
    if not (0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]):
        raise ValueError(f"a {what} {(*part,)} that is empty or reaches out of {size[0]} x {size[1]}")


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
