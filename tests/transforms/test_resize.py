"""Resizing: the pixels of Pillow, whatever the sizes, the box, the window and the processor."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.plain_kernels import build_plain_kernel
from transforms import resize as resizing
from transforms.resize import Box, Window, resize

ROOT = Path(__file__).resolve().parents[2]
BICUBIC, BILINEAR = Image.Resampling.BICUBIC, Image.Resampling.BILINEAR

needs_kernel = pytest.mark.skipif(not resizing.AVAILABLE, reason="no C compiler built the kernel")

sides = st.integers(1, 40) | st.integers(1, 900)


@st.composite
def spans(draw: st.DrawFn, length: int) -> tuple[float, float]:
    """Two places in order between 0 and a length."""
    whole = st.integers(0, length) | st.floats(0, length, width=32)
    low, high = sorted((draw(whole), draw(whole)))
    return (low, high) if high > low else (0, length)


@st.composite
def windows(draw: st.DrawFn, length: int) -> tuple[int, int]:
    low = draw(st.integers(0, length - 1))
    return low, draw(st.integers(low + 1, length))


@st.composite
def tasks(draw: st.DrawFn) -> tuple[Image.Image, tuple[int, int], Box | None, Window | None]:
    width, height, wide, tall = (draw(sides) for _ in range(4))
    noise = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 256, (height, width, 3))
    if draw(st.booleans()):  # the cubic swings beyond both ends of a byte
        noise = (noise > 127) * 255
    box = window = None
    if draw(st.booleans()):
        (left, right), (top, bottom) = draw(spans(width)), draw(spans(height))
        box = (left, top, right, bottom)
    if draw(st.booleans()):
        (first, last), (upper, lower) = draw(windows(wide)), draw(windows(tall))
        window = (first, upper, last, lower)
    return Image.fromarray(noise.astype(np.uint8)), (wide, tall), box, window


def check_equal(
    picture: Image.Image,
    size: tuple[int, int],
    resample: Image.Resampling,
    box: Box | None = None,
    window: Window | None = None,
) -> None:
    found = resize(picture, size, resample, box=box, window=window)
    wanted = np.asarray(picture.resize(size, resample, box).crop(window or (0, 0, *size)))
    assert found.shape == wanted.shape
    assert np.array_equal(found, wanted)


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def plain_kernel(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The kernel as it is for processors without AVX2."""
    return build_plain_kernel("resize", tmp_path_factory.mktemp("plain"), "PLAIN")


@needs_kernel
@pytest.mark.parametrize("how", ["wide", "plain", "bands"])
@pytest.mark.parametrize("resample", [BICUBIC, BILINEAR])
@given(task=tasks())
# More than a hundred times as high as wide: Pillow then begins with the rows.
@example(task=(noise(2, 355), (4, 21), None, None))
@example(task=(noise(2, 200), (4, 21), None, None))
@example(task=(noise(3, 301), (30, 400), None, None))
@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_pixels_are_those_of_pillow(
    request: pytest.FixtureRequest,
    how: str,
    resample: Image.Resampling,
    task: tuple[Image.Image, tuple[int, int], Box | None, Window | None],
) -> None:
    picture, size, box, window = task
    with pytest.MonkeyPatch.context() as patch:
        if how == "plain":
            patch.setattr(resizing, "_resize_kernel", request.getfixturevalue("plain_kernel"))
        elif how == "bands":
            patch.setattr(resizing, "_BAND", 90_000)
        check_equal(picture, size, resample, box, window)


def test_a_box_may_end_where_rounding_puts_it() -> None:
    beyond = 0.1 * 3 * 100  # 30.000000000000004
    assert beyond > 30
    check_equal(noise(30, 30), (7, 7), BICUBIC, (0.5, 0, beyond, beyond))


def test_a_box_may_end_where_single_precision_puts_it() -> None:
    picture = Image.new("RGB", (2**24 + 3, 1))
    assert resize(picture, (8, 1), BICUBIC, box=(0, 0, 2**24 + 3, 1)).shape == (1, 8, 3)


@needs_kernel
def test_a_picture_in_several_blocks_of_memory_is_resized_in_bands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    large = noise(2100, 2300)
    with pytest.raises(ValueError, match="multiple array blocks"):
        large.__arrow_c_array__()
    wanted = large.resize((700, 766), BICUBIC).crop((17, 33, 353, 369))
    sizes = []
    crop = Image.Image.crop

    def note(picture: Image.Image, box: Any) -> Image.Image:
        part = crop(picture, box)
        sizes.append(part.width * part.height * 4)
        return part

    monkeypatch.setattr(Image.Image, "crop", note)
    monkeypatch.setattr(Image.Image, "resize", None)
    found = resize(large, (700, 766), BICUBIC, window=(17, 33, 353, 369))
    assert np.array_equal(found, np.asarray(wanted))
    # Never a whole copy, and little that is copied twice.
    assert max(sizes) <= 16_000_000
    assert sum(sizes) < 1.02 * 2100 * 2300 * 4


@needs_kernel
def test_a_line_that_is_longer_than_a_band_is_left_to_pillow() -> None:
    check_equal(Image.linear_gradient("L").resize((9000, 800)).convert("RGB"), (90, 2), BICUBIC)


@needs_kernel
@pytest.mark.parametrize("alignment", ["1", "16", "64"])
def test_lines_that_pillow_puts_apart_are_no_danger(alignment: str) -> None:
    code = """if True:
        import numpy as np
        from PIL import Image
        from transforms.resize import resize
        pixels = np.random.default_rng(0).integers(0, 256, (61, 59, 3), np.uint8)
        picture = Image.fromarray(pixels)
        found = resize(picture, (23, 31), Image.Resampling.BICUBIC)
        print(np.array_equal(found, np.asarray(picture.resize((23, 31)))))
    """
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "PILLOW_ALIGNMENT": alignment},
    )  # fmt: skip
    assert done.stdout == "True\n"


@pytest.mark.parametrize("kernel", [True, False])
def test_a_window_outside_and_other_modes_are_refused(
    kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernel and not resizing.AVAILABLE:
        pytest.skip("no C compiler built the kernel")
    monkeypatch.setattr(resizing, "AVAILABLE", kernel)
    for mode in ("L", "RGBA", "CMYK"):
        with pytest.raises(ValueError, match=f"mode {mode}, not RGB"):
            resize(Image.new(mode, (8, 8)), (4, 4), BICUBIC)
    for window in ((0, 0, 5, 4), (-1, 0, 4, 4), (2, 0, 2, 4), (0, 3, 4, 2)):
        with pytest.raises(ValueError, match="window"):
            resize(noise(8, 8), (4, 4), BICUBIC, window=window)
    for box in ((0, 0, 9, 8), (-0.5, 0, 8, 8), (4, 0, 4, 8), (0, float("nan"), 8, 8)):
        with pytest.raises(ValueError, match="box"):
            resize(noise(8, 8), (4, 4), BICUBIC, box=box)


@needs_kernel
def test_memory_of_another_picture_is_refused() -> None:
    kernel = resizing._resize_kernel
    shared = noise(8, 8).__arrow_c_array__()[1]
    out = np.empty((3, 4, 4), np.uint8)
    kernel.resize(shared, (0, 8), (8, 8), (0, 0, 8, 8), (4, 4), (0, 0, 4, 4), 2, out)
    whole = ((0, 0, 8, 9), (4, 4), (0, 0, 4, 4), 2)
    with pytest.raises(ValueError, match="Arrow array of other pixels"):
        kernel.resize(shared, (0, 9), (8, 9), *whole, out)
    grey = Image.new("L", (8, 9)).__arrow_c_array__()[1]
    with pytest.raises(ValueError, match="Arrow array of other pixels"):
        kernel.resize(grey, (0, 9), (8, 9), *whole, out)
    with pytest.raises(ValueError, match="PyCapsule"):
        kernel.resize(bytes(8 * 9 * 4), (0, 9), (8, 9), *whole, out)
    taller = noise(8, 9).__arrow_c_array__()[1]
    for other in (np.empty((3, 4, 5), np.uint8), np.empty((2, 4, 4), np.uint8)):
        with pytest.raises(ValueError, match="buffer of another size"):
            kernel.resize(taller, (0, 9), (8, 9), *whole, other)
    with pytest.raises(ValueError, match="lines that are not enough"):
        kernel.resize(shared, (0, 8), (8, 9), *whole, out)
