import io
from typing import Any

import numpy as np
import pytest
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from schemas.errors import (
    ImageDecodeError,
    ImageError,
    NotAnImageError,
    RecipeError,
    TooManyPixelsError,
)
from trainer.data import pictures
from trainer.data.pictures import PictureSpec, decode_picture, image_format
from transforms.resize import resize as resize_picture

MANY = 10**8
SIZES = [(64, 64), (200, 133), (133, 200), (31, 90), (640, 480), (65, 64), (1000, 70), (5, 3)]


def photo(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    """Soft colours with some noise, different at every edge."""
    noise = np.random.default_rng(size[0]).integers(0, 256, (8, 9, 3), np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).convert(mode)


def encoded(picture: Image.Image, format: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, format, **options)
    return out.getvalue()


def by_open_clip(data: bytes, spec: PictureSpec) -> Any:
    mode = {"squash": "squash", "crop": "shortest", "pad": "longest"}[spec.resize]
    config = PreprocessCfg(
        size=spec.side, resize_mode=mode, interpolation=spec.interpolation, fill_color=spec.fill
    )
    with Image.open(io.BytesIO(data)) as picture:
        resized = picture.convert("RGB")
    for step in image_transform_v2(config, is_train=False).transforms[:-2]:
        resized = step(resized)
    return np.asarray(resized)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pixels_are_those_of_open_clip(
    resize: str, interpolation: str, size: tuple[int, int]
) -> None:
    spec = PictureSpec(64, resize, interpolation, fill=7)
    data = encoded(photo(size))
    found = decode_picture(data, spec, MANY, draft=False)
    assert found.shape == (64, 64, 3)
    assert found.dtype == np.uint8
    assert np.array_equal(found, by_open_clip(data, spec))


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
@pytest.mark.parametrize("size", [(1600, 1200), (700, 2000), (1031, 517)], ids=str)
def test_draft_is_near_the_whole_picture(resize: str, size: tuple[int, int]) -> None:
    spec = PictureSpec(64, resize)
    data = encoded(photo(size), quality=95)
    drafted = decode_picture(data, spec, MANY, draft=True).astype(int)
    whole = decode_picture(data, spec, MANY, draft=False).astype(int)
    assert np.abs(drafted - whole).max() <= 8
    assert np.abs(drafted - whole).mean() < 1


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_draft_leaves_at_least_twice_the_side(resize: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def resized(picture: Image.Image, *given: Any, **named: Any) -> Any:
        asked.append(picture.size)
        return resize_picture(picture, *given, **named)

    data = {size: encoded(photo(size)) for size in [(1023, 700), (257, 300), (300, 129)]}
    monkeypatch.setattr(pictures, "resize", resized)
    monkeypatch.setattr("transforms.resize.resize", resized)
    for size, each in data.items():
        decode_picture(each, PictureSpec(64, resize), MANY, draft=True)
        longest_wanted = 64 if resize != "crop" else 64 * max(size) / min(size)
        assert max(asked[-1]) >= min(max(size), 2 * longest_wanted)
        if resize != "pad":
            assert min(asked[-1]) >= min(min(size), 128)


def test_draft_leaves_small_pictures_as_they_are() -> None:
    spec = PictureSpec(64)
    data = encoded(photo((127, 200)))
    whole = decode_picture(data, spec, MANY, draft=False)
    assert np.array_equal(decode_picture(data, spec, MANY, draft=True), whole)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_picture_is_turned_upright(orientation: int) -> None:
    picture = photo((40, 24))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture, "PNG", exif=exif)
    turned = {
        1: picture,
        2: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: picture.rotate(180),
        4: picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: picture.transpose(Image.Transpose.TRANSPOSE),
        6: picture.rotate(270, expand=True),
        7: picture.transpose(Image.Transpose.TRANSVERSE),
        8: picture.rotate(90, expand=True),
    }[orientation]
    spec = PictureSpec(16)
    wanted = decode_picture(encoded(turned, "PNG"), spec, MANY, draft=False)
    assert np.array_equal(decode_picture(data, spec, MANY, draft=False), wanted)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
def test_formats_of_the_web_are_read(format: str) -> None:
    data = encoded(photo((20, 16)), format)
    assert image_format(data) == format.lower()
    assert decode_picture(memoryview(data), PictureSpec(8), MANY, draft=True).shape == (8, 8, 3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "YCbCr"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    if mode == "I;16":
        grey = np.asarray(photo((20, 16), "L")).astype(np.uint16) << 8
        picture = Image.fromarray(grey)
    else:
        picture = photo((20, 16), mode)
    data = encoded(picture, "JPEG" if mode in ("CMYK", "YCbCr") else "PNG")
    found = decode_picture(data, PictureSpec(16, "squash"), MANY, draft=False)
    wanted = np.asarray(photo((20, 16), "RGB").resize((16, 16))).astype(int)
    if mode not in ("1", "P"):
        grey = wanted.mean(axis=2).mean()
        assert abs(found.mean() - grey) < 12


def test_transparent_parts_are_white() -> None:
    picture = Image.new("RGBA", (10, 10), (200, 0, 0, 0))
    for format in ("PNG", "WEBP"):
        found = decode_picture(encoded(picture, format), PictureSpec(4), MANY, draft=False)
        assert found.min() == 255
    palette = Image.new("P", (10, 10), 0)
    palette.putpalette([9, 9, 9] * 256)
    data = encoded(palette, "PNG", transparency=0)
    assert decode_picture(data, PictureSpec(4), MANY, draft=False).min() == 255


def test_frame_of_a_tiff_is_taken() -> None:
    frames = [Image.new("RGB", (9, 9), (value, value, value)) for value in (10, 20, 30)]
    data = encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    for number, value in enumerate((10, 20, 30)):
        assert decode_picture(data, PictureSpec(4), MANY, False, number).max() == value
    with pytest.raises(ImageDecodeError):
        decode_picture(data, PictureSpec(4), MANY, False, 3)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
def test_size_is_judged_by_the_header(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(photo((30, 20)), format)

    def load(picture: Any) -> None:
        raise AssertionError("a pixel is decoded")

    if format != "AVIF":
        monkeypatch.setattr(Image.Image, "load", load)
    with pytest.raises(TooManyPixelsError, match="30 x 20 pixels, above 599"):
        decode_picture(data, PictureSpec(8), 599, draft=True)


def test_bound_of_pillow_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    data = encoded(photo((30, 20)))
    assert decode_picture(data, PictureSpec(8), 600, draft=True).shape == (8, 8, 3)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
def test_truncated_file_is_an_error(format: str) -> None:
    data = encoded(photo((300, 200)), format)
    for draft in (True, False):
        with pytest.raises(ImageDecodeError):
            decode_picture(data[: len(data) * 2 // 3], PictureSpec(8), MANY, draft)


@pytest.mark.parametrize("data", [b"", b"<svg/>", b"BM", b"%!PS-Adobe", b"\0\0\1\0\1\0"])
def test_what_is_no_image_is_an_error(data: bytes) -> None:
    with pytest.raises(ImageError):
        decode_picture(data, PictureSpec(8), MANY, draft=True)
    with pytest.raises(NotAnImageError):
        decode_picture(b"", PictureSpec(8), MANY, draft=True)


def test_endless_scans_are_refused() -> None:
    data = encoded(photo((1000, 1000)), progressive=True)
    start = data.index(b"\xff\xda")
    stop = data.index(b"\xff\xda", start + 2)
    data = data[:stop] + data[start:stop] * 300 + data[stop:]
    with pytest.raises(ImageDecodeError, match="scans over 1000000 pixels"):
        decode_picture(data, PictureSpec(8), 10**6, draft=True)


@pytest.mark.parametrize("size", [(1, 3000), (3000, 1)])
@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_strips_take_bounded_memory(size: tuple[int, int], resize: str) -> None:
    found = decode_picture(encoded(photo(size)), PictureSpec(32, resize), MANY, draft=True)
    assert found.shape == (32, 32, 3)


def test_impossible_wish_is_refused() -> None:
    for given in ((0,), (8, "stretch"), (8, "crop", "lanczos")):
        with pytest.raises(RecipeError):
            PictureSpec(*given)
