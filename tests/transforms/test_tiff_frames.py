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

from schemas.errors import ImageDecodeError, ImageError
from tests.conftest import hang_guard
from transforms import tiff_frames
from transforms.image_facts import ImageFactsConfig, read_image_facts
from transforms.image_headers import tiff_values
from transforms.tiff_frames import split_tiff

NOISE = np.random.default_rng(0).integers(0, 256, (60, 90, 4), np.uint8)


def picture(mode: str) -> Image.Image:
    if mode == "CMYK":
        return Image.frombytes("CMYK", (90, 60), NOISE.tobytes())
    if mode == "I;16":
        return Image.frombytes("I;16", (90, 60), NOISE[:, :, :2].tobytes())
    return Image.fromarray(NOISE if mode == "RGBA" else NOISE[:, :, :3]).convert(mode)


def tiff(*frames: Image.Image, **options: object) -> bytes:
    sink = io.BytesIO()
    frames[0].save(sink, "TIFF", save_all=True, append_images=frames[1:], **options)  # type: ignore[arg-type]
    return sink.getvalue()


def pixels_of_frames(data: bytes) -> list[tuple[str, tuple[int, int], bytes]]:
    """What Pillow sees in each frame of a file."""
    found = []
    with Image.open(io.BytesIO(data)) as opened:
        for number in range(getattr(opened, "n_frames", 1)):
            opened.seek(number)
            frame = opened.copy()
            found.append((frame.mode, frame.size, frame.tobytes()))
    return found


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "F", "CMYK", "LAB"]
)
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate"])
def test_frames_keep_their_pixels(mode: str, compression: str) -> None:
    if mode == "LAB":
        first = Image.frombytes("LAB", (90, 60), NOISE[:, :, :3].tobytes())
    else:
        first = picture(mode)
    second = first.crop((3, 5, 70, 40))
    data = tiff(first, second, compression=compression)
    made = split_tiff(data)
    assert [pixels_of_frames(each)[0] for each in made] == pixels_of_frames(data)
    assert [len(pixels_of_frames(each)) for each in made] == [1, 1]
    assert pixels_of_frames(made[0])[0][2] == first.tobytes()


@pytest.mark.parametrize(
    ("mode", "compression"), [("1", "group4"), ("RGB", "jpeg"), ("L", "jpeg"), ("RGB", "packbits")]
)
def test_codings_are_copied(mode: str, compression: str) -> None:
    data = tiff(picture(mode), picture(mode).rotate(180), compression=compression)
    made = split_tiff(data)
    assert [pixels_of_frames(each)[0] for each in made] == pixels_of_frames(data)


def test_metadata_that_shows_stays() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = b"a colour profile" * 20
    for data in split_tiff(tiff(picture("RGB"), picture("L"), exif=exif, icc_profile=profile)):
        assert read_image_facts(data, ImageFactsConfig()).orientation == 6
        with Image.open(io.BytesIO(data)) as opened:
            assert opened.info["icc_profile"] == profile


def test_file_of_one_picture_is_passed() -> None:
    for data in (tiff(picture("RGB")), b"\x89PNG\r\n\x1a\n...", b""):
        assert split_tiff(data) == [data]


def directories(entries: list[list[tuple[int, int, int, int]]], order: str = "<") -> bytes:
    """A TIFF of directories that follow each other, each entry tag, type, count and field."""
    data = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    for number, lines in enumerate(entries):
        end = len(data) + 2 + 12 * len(lines) + 4
        data += struct.pack(order + "H", len(lines))
        for tag, kind, items, value in lines:
            field = struct.pack(
                order + "HH" if kind == 3 else order + "I", *([value] + [0] * (kind == 3))
            )
            data += struct.pack(order + "HHI", tag, kind, items) + field
        data += struct.pack(order + "I", end if number + 1 < len(entries) else 0)
    return data


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiles_of_either_byte_order_are_copied(order: str) -> None:
    def lines(at: int) -> list[tuple[int, int, int, int]]:
        plain = [(256, 16), (257, 16), (258, 8), (259, 1), (262, 1), (277, 1), (322, 16), (323, 16)]
        return [(tag, 3, 1, value) for tag, value in plain] + [(324, 4, 1, at), (325, 4, 1, 256)]

    start = len(directories([lines(0), lines(0)]))
    tiles = NOISE.tobytes()[:512]
    data = directories([lines(start), lines(start + 256)], order) + tiles
    assert [pixels_of_frames(each) for each in split_tiff(data)] == [
        [("L", (16, 16), tiles[:256])],
        [("L", (16, 16), tiles[256:])],
    ]


STRIP, SIZE = (0x0111, 4, 1, 8), (0x0117, 4, 1, 4)
BROKEN: dict[str, tuple[list[tuple[int, int, int, int]], str]] = {
    "no strips": ([(256, 3, 1, 5)], "without strips or tiles"),
    "no sizes": ([STRIP], "without their sizes"),
    "fewer sizes": ([(0x0111, 4, 3, 8), SIZE], "3 strips or tiles, 1 sizes"),
    "strip outside": ([(0x0111, 4, 1, 1 << 31), SIZE], "leads out of the file"),
    "value outside": ([STRIP, SIZE, (0x010E, 2, 40, 1 << 31)], "leads out of the file"),
    "offsets of another type": ([(0x0111, 2, 1, 8), SIZE], "strips or tiles, or none"),
    "old JPEG": ([STRIP, SIZE, (0x0201, 4, 1, 8)], "old JPEG"),
}


@pytest.mark.parametrize(("lines", "message"), BROKEN.values(), ids=BROKEN)
def test_directory_that_cannot_be_followed_is_typed(
    lines: list[tuple[int, int, int, int]], message: str
) -> None:
    with pytest.raises(ImageDecodeError, match=message):
        split_tiff(directories([[STRIP, SIZE], lines]))


@pytest.mark.parametrize("tag", [0x014A, 0x8769, 0x8825])
def test_inner_directory_is_left_out(tag: int) -> None:
    for data in split_tiff(directories([[STRIP, SIZE, (tag, 4, 1, 8)]] * 2)):
        assert {0x0111, 0x0117} <= tiff_values(data).keys()
        assert tag not in tiff_values(data)


def test_chain_that_leaves_the_file_is_typed() -> None:
    data = bytearray(directories([[STRIP, SIZE], [STRIP, SIZE]]))
    data[-4:] = struct.pack("<I", 1 << 30)
    with pytest.raises(ImageDecodeError, match="leads out of the file"):
        split_tiff(bytes(data))
    data[-4:] = struct.pack("<I", 8)  # back to the first one
    assert len(split_tiff(bytes(data))) == 2


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(lambda size: [STRIP, (0x0117, 4, 1, size - 8)], id="strips"),
        pytest.param(lambda size: [STRIP, SIZE, (0x010E, 7, size - 8, 8)], id="values"),
        pytest.param(lambda size: [STRIP, SIZE, (0x010E, 12, 1 << 29, 8)], id="beyond the file"),
    ],
)
def test_directories_that_repeat_bytes_are_refused(
    lines: Callable[[int], list[tuple[int, int, int, int]]],
) -> None:
    size = 20_000_000
    data = directories([lines(size)] * 900).ljust(size, b"x")
    with hang_guard(), pytest.raises(ImageDecodeError, match="several times longer"):
        split_tiff(data)


def test_bounds_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    data = directories([[STRIP, SIZE]] * 4)
    assert len(split_tiff(data)) == 4
    monkeypatch.setattr(tiff_frames, "MAX_FRAMES", 3)
    with pytest.raises(ImageDecodeError, match="more than 3 frames"):
        split_tiff(data)
    monkeypatch.setattr(tiff_frames, "MAX_FRAMES", 4)
    monkeypatch.setattr(tiff_frames, "MAX_PIECES", 0)
    with pytest.raises(ImageDecodeError, match="more than 0 strips"):
        split_tiff(data)


SOUND = tiff(picture("L").resize((20, 10)), picture("1").resize((8, 8)), compression="tiff_lzw")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(2, len(SOUND) - 1), st.integers(0, 255)), max_size=6))
def test_changed_bytes_are_typed(changes: list[tuple[int, int]]) -> None:
    data = bytearray(SOUND)
    for position, value in changes:
        data[position] = value
    with contextlib.suppress(ImageError):
        assert all(split_tiff(bytes(data)))
