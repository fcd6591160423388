"""Whatever has facts has a thumbnail: upright, on white, small."""

import io

import numpy as np
import pytest
from PIL import Image

from transforms.image_facts import ImageFactsConfig, read_picture
from transforms.thumbnails import MAX_BYTES, SIDE, Thumbnail, make_thumbnail

CONFIG = ImageFactsConfig()
RED, BLUE = (220, 30, 20), (20, 40, 210)


def corners(width=300, height=200):
    """Blue, with its upper left quarter red."""
    image = Image.new("RGB", (width, height), BLUE)
    image.paste(RED, (0, 0, width // 2, height // 2))
    return image


def encode(image, image_format, **options):
    out = io.BytesIO()
    image.save(out, image_format.upper(), **options)
    return out.getvalue()


def thumbnail_of(data):
    facts, picture = read_picture(data, CONFIG)
    made = make_thumbnail(data, facts, picture)
    image = Image.open(io.BytesIO(made.jpeg))
    image.load()
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (made.width, made.height))
    assert max(image.size) <= SIDE
    assert len(made.jpeg) <= MAX_BYTES
    return image


def near(pixel, expected, most=30):
    return max(abs(a - b) for a, b in zip(pixel, expected, strict=True)) <= most


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((300, 200), (160, 107)), ((200, 300), (107, 160)), ((160, 160), (160, 160)),
        ((161, 160), (160, 159)), ((20, 10), (20, 10)), ((1, 1), (1, 1)), ((9000, 3), (160, 1)),
        ((3, 9000), (1, 160)), ((2500, 1400), (160, 90)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp"])
def test_size_is_bounded_and_in_proportion(size, expected, image_format):
    assert thumbnail_of(encode(Image.new("RGB", size, RED), image_format)).size == expected


@pytest.mark.parametrize("image_format", ["jpeg", "png", "gif", "webp", "bmp", "tiff", "avif"])
def test_picture_of_each_format_is_shown(image_format):
    image = thumbnail_of(encode(corners(), image_format))
    assert near(image.getpixel((20, 20)), RED)
    assert all(near(image.getpixel(at), BLUE) for at in [(140, 20), (20, 90), (140, 90)])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp", "tiff", "avif"])
def test_picture_is_upright(image_format, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = corners()
    if orientation != 1:
        stored = stored.transpose(undo[orientation])
    image = thumbnail_of(encode(stored, image_format, exif=exif))
    assert image.size == (160, 107)
    assert near(image.getpixel((20, 20)), RED)
    assert near(image.getpixel((140, 90)), BLUE)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(mode):
    image = Image.new("RGBA", (200, 200), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 100, 200))
    if mode == "P":
        image = Image.new("P", (200, 200), 1)
        image.putpalette([0, 0, 0, 40, 80, 40])
        image.paste(0, (0, 0, 100, 200))
        data = encode(image, "png", transparency=1)
    else:
        data = encode(image.convert(mode), "png")
    shown = thumbnail_of(data)
    assert near(shown.getpixel((150, 80)), (255, 255, 255))
    assert near(shown.getpixel((10, 80)), (0, 0, 0))


@pytest.mark.parametrize(
    ("image_format", "mode"),
    [
        ("jpeg", "L"), ("jpeg", "CMYK"), ("png", "1"), ("png", "L"), ("png", "LA"), ("png", "P"),
        ("png", "RGBA"), ("png", "I;16"), ("tiff", "I;16"), ("tiff", "I;16B"), ("tiff", "F"),
        ("tiff", "I"), ("tiff", "LAB"), ("tiff", "CMYK"), ("webp", "RGBA"), ("avif", "RGBA"),
        ("bmp", "1"), ("tiff", "PA"), ("tiff", "RGBX"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [(300, 200), (1500, 40)])
def test_each_pixel_mode_is_shown(image_format, mode, size):
    grey = Image.linear_gradient("L").resize(size)  # dark above, light below
    if mode == "LAB":
        plain = Image.new("L", size, 128)
        image = Image.merge("LAB", [grey, plain, plain])
    elif mode.startswith("I;16"):
        kind = ">u2" if mode.endswith("B") else "<u2"
        image = Image.frombytes(mode, size, (np.asarray(grey).astype(kind) * 257).tobytes())
    else:
        image = grey.convert(mode)
    shown = thumbnail_of(encode(image, image_format))
    top, bottom = shown.getpixel((80, 0)), shown.getpixel((80, shown.height - 1))
    assert near(top, (0, 0, 0), 60)
    assert near(bottom, (255, 255, 255), 60)


@pytest.mark.parametrize("values", [[0, 0], [np.nan, 1], [-np.inf, np.inf], [-3e38, 3e38]])
def test_any_floating_values_are_shown(values):
    pixels = np.array(values * 50, np.float32).reshape(10, 10)
    assert thumbnail_of(encode(Image.fromarray(pixels), "tiff")).size == (10, 10)


def test_noise_stays_below_the_size_limit():
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    thumbnail_of(encode(Image.fromarray(noise), "png"))


def test_same_bytes_give_the_same_thumbnail():
    data = encode(corners(), "png")
    made = [make_thumbnail(data, *read_picture(data, CONFIG)) for _ in range(2)]
    assert isinstance(made[0], Thumbnail)
    assert made[0] == made[1]
