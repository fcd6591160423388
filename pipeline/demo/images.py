"""The image files of the demo crawl: scenes in many formats, and files that only pretend."""

import io
import random
import struct
import zlib
from dataclasses import dataclass, field

from PIL import Image

from pipeline.demo.scenes import Scene, draw_scene, make_scene

SIZES = ((320, 240), (360, 240), (400, 300), (300, 300), (240, 320), (480, 320), (400, 400))
LARGE = (640, 480)
HUGE_SIDE = 50_000


@dataclass(slots=True)
class Picture:
    """An image URL and what a crawler found there."""

    url: str
    data: bytes | None
    """The body; None: the crawl has no record of it."""
    content_type: str = "image/jpeg"
    outcome: str = "ok"
    scene: Scene | None = None
    width: int | None = None
    """Upright pixels."""
    height: int | None = None
    format: str | None = "jpeg"
    status: int = 200
    record_type: str = "response"
    revisit_of: "Picture | None" = None
    """A picture whose bytes this URL has too; the record holds only their digest."""
    revisited: bool = False
    """Whether a later `revisit` of the same URL follows."""
    pages: list[str] = field(default_factory=list)


def encode(image: Image.Image, format_name: str, **options: object) -> bytes:
    """The image as a file in a format of Pillow."""
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def _scene_image(rng: random.Random, size: tuple[int, int]) -> tuple[Scene, Image.Image]:
    scene = make_scene(rng)
    return scene, draw_scene(scene, *size)


def make_picture(rng: random.Random, url: str, size: tuple[int, int] | None = None) -> Picture:
    """An ordinary JPEG of a new scene."""
    width, height = size or rng.choice(SIZES)
    scene, image = _scene_image(rng, (width, height))
    data = encode(image, "JPEG", quality=85)
    return Picture(url, data, scene=scene, width=width, height=height)


def make_variant(picture: Picture, url: str, size: tuple[int, int], format_name: str) -> Picture:
    """The same scene in another size and format, as `srcset` and `source` offer it."""
    assert picture.scene is not None
    data = encode(draw_scene(picture.scene, *size), format_name, quality=85)
    kind = format_name.lower()
    return Picture(url, data, f"image/{kind}", "ok", picture.scene, *size, kind)


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def huge_png() -> bytes:
    """A PNG of a few hundred bytes whose header promises 50,000 x 50,000 pixels."""
    head = struct.pack(">IIBBBBB", HUGE_SIDE, HUGE_SIDE, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    chunks = ((b"IHDR", head), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(*chunk) for chunk in chunks)


def _animated_gif(rng: random.Random, size: tuple[int, int]) -> tuple[Scene, bytes]:
    scene, image = _scene_image(rng, size)
    frames = [image.transform(size, Image.Transform.AFFINE, (1, 0, x, 0, 1, 0)) for x in (0, 4, 8)]
    return scene, encode(
        frames[0].quantize(64),
        "GIF",
        save_all=True,
        append_images=[frame.quantize(64) for frame in frames[1:]],
        duration=200,
        loop=0,
    )


def _turned_jpeg(image: Image.Image) -> bytes:
    """Stored a quarter turn to the left, with the tag that turns it back, and with a position."""
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: turn by 90 degrees clockwise to show it.
    position = exif.get_ifd(0x8825)
    position.update({1: "N", 2: (48.0, 12.0, 30.0), 3: "E", 4: (16.0, 22.0, 12.0)})
    return encode(image.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=85, exif=exif)


_SVG = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="320" '
    b'height="240"><circle cx="160" cy="120" r="60" fill="red"/></svg>\n'
)
_HTML = (
    b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"
)

ODD_KINDS = (
    "missing",
    "missing_404",
    "truncated",
    "html",
    "empty",
    "pixel",
    "tiny",
    "huge",
    "banner",
    "tower",
    "gif",
    "cmyk",
    "turned",
    "rgba",
    "palette",
    "webp",
    "svg",
)


def make_odd_picture(rng: random.Random, kind: str, url: str) -> Picture:
    """A picture of one of `ODD_KINDS`; the URL's ending is the caller's choice, right or wrong."""
    size = (320, 240)
    if kind == "missing":
        return Picture(url, None, outcome="missing", format=None)
    if kind == "missing_404":
        return Picture(url, _HTML, "text/html", "missing", format=None, status=404)
    if kind == "html":
        return Picture(url, _HTML, "image/jpeg", "not_an_image", format=None)
    if kind == "empty":
        return Picture(url, b"", "image/jpeg", "not_an_image", format=None)
    if kind == "svg":
        return Picture(url, _SVG, "image/svg+xml", "svg", format="svg")
    if kind == "huge":
        side = HUGE_SIDE
        return Picture(url, huge_png(), "image/png", "too_many_pixels", None, side, side, "png")
    if kind == "gif":
        scene, data = _animated_gif(rng, size)
        return Picture(url, data, "image/gif", "ok", scene, *size, "gif")
    size = {"pixel": (1, 1), "tiny": (16, 16), "banner": (660, 200), "tower": (120, 400)}.get(
        kind, size
    )
    if kind in ("pixel", "tiny"):
        dot = Image.new("RGB", size, tuple(rng.randbytes(3)))
        name = "GIF" if kind == "pixel" else "PNG"
        data = encode(dot, name)
        return Picture(url, data, f"image/{name.lower()}", "too_small", None, *size, name.lower())
    scene, image = _scene_image(rng, size)
    if kind == "truncated":
        data = encode(image, "JPEG", quality=85)
        data = data[: len(data) * 3 // 5]
        return Picture(url, data, "image/jpeg", "decode_error", scene, *size)
    if kind in ("rgba", "palette"):
        if kind == "rgba":
            image.putalpha(Image.linear_gradient("L").resize(size))
        data = encode(image if kind == "rgba" else image.quantize(32), "PNG")
        return Picture(url, data, "image/png", "ok", scene, *size, "png")
    if kind == "webp":
        return Picture(
            url, encode(image, "WEBP", quality=85), "image/webp", "ok", scene, *size, kind
        )
    if kind == "turned":
        return Picture(url, _turned_jpeg(image), "image/jpeg", "ok", scene, *size)
    if kind == "cmyk":
        image = image.convert("CMYK")
    outcome = "aspect" if kind in ("banner", "tower") else "ok"
    return Picture(url, encode(image, "JPEG", quality=85), "image/jpeg", outcome, scene, *size)
