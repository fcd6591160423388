"""A TIFF of several pictures becomes single ones, the same to the pixel."""

import contextlib
import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from schemas.errors import ImageDecodeError, ImageError, TooManyPixelsError
from tests.conftest import hang_guard
from transforms import tiff_frames
from transforms.image_facts import ImageFactsConfig
from transforms.tiff_frames import split_tiff

CONFIG = ImageFactsConfig()
NOISE = np.random.default_rng(0).integers(0, 256, (20, 30, 4), np.uint8)


def picture(mode: str) -> Image.Image:
    if mode in ("RGBA", "CMYK"):
        return (
            Image.fromarray(NOISE).convert("RGBA")
            if mode == "RGBA"
            else Image.frombytes("CMYK", (30, 20), NOISE.tobytes())
        )
    if mode == "I;16":
        return Image.frombytes("I;16", (30, 20), NOISE[:, :, :2].tobytes())
    return Image.fromarray(NOISE[:, :, :3]).convert(mode)


def tiff(*frames: Image.Image, **options: object) -> bytes:
    sink = io.BytesIO()
    frames[0].save(sink, "TIFF", save_all=True, append_images=frames[1:], **options)  # type: ignore[arg-type]
    return sink.getvalue()


@pytest.mark.parametrize(
    ("mode", "form"),
    [
        ("1", "PNG"),
        ("L", "PNG"),
        ("LA", "PNG"),
        ("P", "PNG"),
        ("RGB", "PNG"),
        ("RGBA", "PNG"),
        ("I;16", "PNG"),
        ("CMYK", "TIFF"),
        ("F", "TIFF"),
        ("I", "TIFF"),
    ],
)
def test_frames_keep_their_pixels(mode: str, form: str) -> None:
    other = picture(mode).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    made = split_tiff(tiff(picture(mode), other, compression="tiff_adobe_deflate"), CONFIG)
    assert len(made) == 2
    for data, expected in zip(made, [picture(mode), other], strict=True):
        found = Image.open(io.BytesIO(data))
        assert (found.format, found.mode, found.size) == (form, mode, (30, 20))
        assert found.convert("RGB").tobytes() == expected.convert("RGB").tobytes()
        assert found.tobytes() == expected.tobytes() or mode == "P"


def test_frames_come_upright_without_metadata() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "maker"
    made = split_tiff(tiff(picture("RGB"), picture("RGB"), exif=exif, dpi=(300, 300)), CONFIG)
    first = Image.open(io.BytesIO(made[0]))
    assert first.size == (20, 30)
    assert not first.getexif()
    assert first.info == {}


def test_file_of_one_picture_is_passed() -> None:
    for data in (tiff(picture("RGB")), b"\x89PNG\r\n\x1a\n...", b""):
        assert split_tiff(data, CONFIG) == [data]


def test_bounds_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiff(*[picture("RGB")] * 4)
    with pytest.raises(TooManyPixelsError, match="30 x 20 pixels in frame 0"):
        split_tiff(data, ImageFactsConfig(max_pixels=599))
    monkeypatch.setattr(tiff_frames, "MAX_TOTAL_PIXELS", 1300)
    with pytest.raises(TooManyPixelsError, match="in frame 2, 1800 up to it"):
        split_tiff(data, CONFIG)
    monkeypatch.setattr(tiff_frames, "MAX_TOTAL_BYTES", 3000)
    with pytest.raises(ImageDecodeError, match="pictures of more than 3000 bytes"):
        split_tiff(data, CONFIG)
    monkeypatch.setattr(tiff_frames, "MAX_FRAMES", 3)
    with pytest.raises(ImageDecodeError, match="more than 3 frames"):
        split_tiff(data, CONFIG)


def directories(count: int, entries: Callable[[int], bytes]) -> bytes:
    """A TIFF of directories that follow each other."""
    data = b"II*\0" + struct.pack("<I", 8)
    for number in range(count):
        body = entries(number)
        head = struct.pack("<H", len(body) // 12)
        following = len(data) + len(head) + len(body) + 4 if number + 1 < count else 0
        data += head + body + struct.pack("<I", following)
    return data


@pytest.mark.parametrize("tag", [0x010E, 0x0111, 0x8769])
def test_directories_that_repeat_bytes_are_refused(tag: int) -> None:
    entry = struct.pack("<HHII", tag, 7, 60_000, 8)
    if tag == 0x8769:  # an inner directory of large values behind the two of the file
        inner = directories(1, lambda _: struct.pack("<HHII", 0x010E, 7, 1 << 30, 8) * 5)[8:]
        outer = len(directories(2, lambda _: bytes(12)))
        data = directories(2, lambda _: struct.pack("<HHII", tag, 4, 1, outer)) + inner
    else:
        data = directories(300, lambda _: entry * 300)
    with hang_guard(), pytest.raises(ImageDecodeError, match=r"several times longer|strips"):
        split_tiff(data, CONFIG)


SOUND = tiff(*(picture(mode) for mode in ("RGB", "L")), compression="tiff_lzw")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(8, len(SOUND) - 1), st.integers(0, 255)), max_size=6))
def test_changed_bytes_are_typed(changes: list[tuple[int, int]]) -> None:
    data = bytearray(SOUND)
    for position, value in changes:
        data[position] = value
    with contextlib.suppress(ImageError):
        assert all(split_tiff(bytes(data), CONFIG))
