import dataclasses
import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile, ImageOps

from schemas.errors import ImageDecodeError, NotAnImageError, TooManyPixelsError
from schemas.rows import SampleImage
from schemas.shards import ShardFormat
from transforms.image_codec import PreparedImage, prepare_image

FORMAT = ShardFormat()
ROW = SampleImage("0" * 32, "p.tar", 0, 0, 0, 0, "", "", 1, 1)


def prepare(data: bytes, **options: object) -> PreparedImage:
    return prepare_image(data, ROW, dataclasses.replace(FORMAT, **options))


def encoded(picture: Image.Image, image_format: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, image_format, **options)
    return out.getvalue()


def opened(prepared: PreparedImage) -> Image.Image:
    picture = Image.open(io.BytesIO(prepared.data))
    picture.load()
    assert picture.size == (prepared.width, prepared.height)
    return picture


def quarters(mode: str = "RGB", size: tuple[int, int] = (48, 32)) -> Image.Image:
    """Four colours, so that every turn and every mirror shows."""
    picture = Image.new("RGB", size)
    half = (size[0] // 2, size[1] // 2)
    for x, y, colour in [(0, 0, "red"), (1, 0, "lime"), (0, 1, "blue"), (1, 1, "yellow")]:
        picture.paste(colour, (x * half[0], y * half[1], (x + 1) * half[0], (y + 1) * half[1]))
    return picture.convert(mode)


def assert_alike(one: Image.Image, other: Image.Image, tolerance: float = 3.0) -> None:
    assert one.size == other.size
    pixels = [np.asarray(picture.convert("RGB"), dtype=float) for picture in (one, other)]
    assert np.abs(pixels[0] - pixels[1]).mean() <= tolerance


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 2}], ids=str)
@pytest.mark.parametrize("image_format", ["jpeg", "keep"])
def test_plain_jpeg_passes_bit_for_bit(
    mode: str, options: dict[str, object], image_format: str
) -> None:
    data = encoded(quarters(mode), "JPEG", **options)
    prepared = prepare(data, image_format=image_format)
    assert prepared.data is data
    assert (prepared.width, prepared.height) == (48, 32)
    assert prepared.extension == {"jpeg": "jpg", "keep": "img"}[image_format]


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_comes_out_upright(orientation: int, source: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(quarters(), source, exif=exif)
    prepared = prepare(data)
    picture = opened(prepared)
    if source == "JPEG" and orientation in (0, 1, 9):
        assert prepared.data is data
    else:
        assert 0x0112 not in picture.getexif()
    assert_alike(picture, ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    turned = orientation in (5, 6, 7, 8)
    assert picture.size == ((32, 48) if turned else (48, 32))


def test_gps_alone_does_not_reencode() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera Works"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 30.5)})
    data = encoded(quarters(), "JPEG", exif=exif)
    picture = opened(prepare(data))
    assert not picture.getexif().get_ifd(0x8825)
    assert picture.getexif()[0x010F] == "Camera Works"
    assert picture.tobytes() == Image.open(io.BytesIO(data)).tobytes()


def test_cmyk_becomes_rgb() -> None:
    picture = opened(prepare(encoded(quarters("CMYK"), "JPEG", quality=95)))
    assert (picture.mode, picture.format) == ("RGB", "JPEG")
    assert_alike(picture, quarters(), 8)


def test_jpeg_with_several_frames_keeps_the_first() -> None:
    frames = [quarters(), Image.new("RGB", (48, 32), "black")]
    data = encoded(frames[0], "MPO", save_all=True, append_images=frames[1:], quality=95)
    picture = opened(prepare(data))
    assert picture.format == "JPEG"
    assert_alike(picture, quarters(), 8)


def test_animated_gif_becomes_its_first_frame() -> None:
    frames = [quarters("P"), Image.new("P", (48, 32), 0)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert_alike(opened(prepare(data)), quarters())


def transparent(mode: str) -> bytes:
    """The upper half black and opaque, the lower half black and transparent."""
    alpha = Image.new("L", (20, 20), 255)
    alpha.paste(0, (0, 10, 20, 20))
    if mode == "P":
        picture = Image.new("P", (20, 20), 1)
        picture.putpalette([255, 0, 0, 0, 0, 0] + [0] * 762)
        picture.paste(0, (0, 10, 20, 20))
        return encoded(picture, "PNG", transparency=0)
    if mode == "PA":
        picture = Image.new("P", (20, 20), 1)
        picture.putpalette([0, 0, 0] * 256)
        picture.paste(2, (0, 10, 20, 20))
        return encoded(picture, "PNG", transparency=bytes([255, 255, 0]))
    if mode in ("L", "RGB"):
        picture = Image.new("RGB", (20, 20), 0)
        picture.paste((9, 9, 9), (0, 10, 20, 20))
        colour: object = 9 if mode == "L" else (9, 9, 9)
        return encoded(picture.convert(mode), "PNG", transparency=colour)
    picture = Image.new(mode, (20, 20), 0)
    picture.putalpha(alpha)
    return encoded(picture, "PNG")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA", "L", "RGB"])
@pytest.mark.parametrize("background", [(255, 255, 255), (0, 128, 255)], ids=["white", "blue"])
def test_transparency_lies_on_the_background(mode: str, background: tuple[int, int, int]) -> None:
    picture = opened(prepare(transparent(mode), background=background))
    assert picture.mode == "RGB"
    pixels = np.asarray(picture, dtype=int)
    assert np.abs(pixels[:8]).max() <= 12
    assert np.abs(pixels[12:] - background).max() <= 12


def test_sixteen_bit_png_keeps_its_tones() -> None:
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (16, 1))
    picture = opened(prepare(encoded(Image.fromarray(ramp), "PNG")))
    assert picture.mode == "L"
    assert np.abs(np.asarray(picture, dtype=int) - (ramp >> 8)).mean() < 2


@pytest.mark.parametrize(
    ("picture", "source", "mode"),
    [
        (quarters("1"), "PNG", "L"),
        (quarters("L"), "PNG", "L"),
        (quarters("P"), "GIF", "RGB"),
        (quarters(), "BMP", "RGB"),
        (quarters(), "TIFF", "RGB"),
        (quarters(), "WEBP", "RGB"),
        (quarters(), "AVIF", "RGB"),
        (quarters("CMYK"), "TIFF", "RGB"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.mode,
)
def test_other_formats_become_jpeg(picture: Image.Image, source: str, mode: str) -> None:
    prepared = prepare(encoded(picture, source))
    result = opened(prepared)
    assert (result.format, result.mode, prepared.extension) == ("JPEG", mode, "jpg")
    assert_alike(result, picture, 10)


def test_metadata_does_not_survive_reencoding() -> None:
    data = encoded(quarters(), "PNG", exif=camera_exif(), icc_profile=swapped_profile())
    assert set(opened(prepare(data)).info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def camera_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F] = "Camera Works"
    exif.get_ifd(0x8825)[1] = "N"
    return exif


def swapped_profile() -> bytes:
    """An sRGB profile with red and blue exchanged, so that it matters whether it is used."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    named = profile.replace(b"sRGB", b"test").replace("sRGB".encode("utf-16-be"), bytes(8))
    swapped = bytearray(named)
    places = {}
    for number in range(struct.unpack_from(">I", profile, 128)[0]):
        tag = profile[132 + 12 * number : 136 + 12 * number]
        places[tag] = 132 + 12 * number + 4
    red, blue = places[b"rXYZ"], places[b"bXYZ"]
    swapped[red : red + 8], swapped[blue : blue + 8] = (
        profile[blue : blue + 8],
        profile[red : red + 8],
    )
    return bytes(swapped)


def test_colour_profile_is_applied() -> None:
    data = encoded(Image.new("RGB", (32, 32), (255, 0, 0)), "PNG", icc_profile=swapped_profile())
    red, _, blue = opened(prepare(data)).getpixel((16, 16))  # type: ignore[misc]
    assert red < 60
    assert blue > 200


def test_broken_colour_profile_counts_as_none() -> None:
    data = encoded(quarters(), "PNG", icc_profile=b"no profile")
    assert_alike(opened(prepare(data)), quarters())


@pytest.mark.parametrize("source", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    ("size", "wanted"),
    [((640, 320), (64, 32)), ((320, 640), (32, 64)), ((64, 64), (64, 64)), ((1000, 3), (64, 1))],
    ids=str,
)
def test_max_side_shrinks_in_proportion(
    source: str, size: tuple[int, int], wanted: tuple[int, int]
) -> None:
    data = encoded(quarters(size=size), source)
    prepared = prepare(data, max_side=64)
    assert (prepared.width, prepared.height) == wanted
    opened(prepared)
    assert (prepared.data is data) == (source == "JPEG" and size == wanted)
    if size == (640, 320):
        assert_alike(opened(prepared), quarters(size=wanted), 8)


@pytest.mark.parametrize(
    ("source", "passes"), [("WEBP", True), ("JPEG", False), ("PNG", False)], ids=str
)
def test_format_webp_makes_everything_webp(source: str, passes: bool) -> None:
    data = encoded(quarters(), source)
    prepared = prepare(data, image_format="webp")
    assert (prepared.data is data) == passes
    assert (opened(prepared).format, prepared.extension) == ("WEBP", "webp")
    assert_alike(opened(prepared), quarters(), 8)


def test_format_keep_changes_only_what_must_be() -> None:
    plain = encoded(quarters("RGBA"), "PNG")
    assert prepare(plain, image_format="keep").data is plain
    exif = camera_exif()
    placed = prepare(encoded(quarters(), "WEBP", exif=exif, lossless=True), image_format="keep")
    assert opened(placed).format == "PNG"
    assert 0x8825 not in opened(placed).getexif()
    assert_alike(opened(placed), quarters(), 0)


@pytest.mark.parametrize("source", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("image_format", ["jpeg", "webp", "keep"])
def test_truncated_image_is_refused(source: str, share: float, image_format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), source)
    with pytest.raises(ImageDecodeError, match="image 000"):
        prepare(data[: int(len(data) * share)], image_format=image_format)


@pytest.mark.parametrize(
    "data",
    [b"", b"<svg/>", b"<html>", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\0\0\1\0\1\0", b"\0" * 100],
    ids=["empty", "svg", "html", "eps", "ico", "zeros"],
)
def test_other_bytes_are_no_image(data: bytes) -> None:
    with pytest.raises(NotAnImageError):
        prepare(data)


def png_header(width: int, height: int) -> bytes:
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


def test_header_of_a_bomb_is_refused_without_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    small = encoded(quarters(), "JPEG")

    def decode(picture: Image.Image) -> None:
        pytest.fail("it was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    body = b"IDAT" + zlib.compress(bytes(1000))
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    for size in [(50_000, 50_000), (12_000, 12_000)]:
        with pytest.raises(TooManyPixelsError):
            prepare(png_header(*size) + chunk)
    with pytest.raises(TooManyPixelsError, match="48 x 32 pixels, above 1000"):
        prepare(small, max_pixels=1000)


def test_jpeg_of_a_thousand_scans_is_refused() -> None:
    data = encoded(quarters("L"), "JPEG", progressive=True)
    start = data.index(b"\xff\xda")
    end = data.index(b"\xff", start + 2 + struct.unpack_from(">H", data, start + 2)[0])
    bomb = data[:start] + data[start:end] * 1000 + data[start:]
    with pytest.raises(ImageDecodeError, match="scans over 1536 pixels"):
        prepare(bomb, max_pixels=2000)


def test_float_pixels_are_refused() -> None:
    data = encoded(Image.new("F", (8, 8), 0.5), "TIFF")
    with pytest.raises(ImageDecodeError, match="no range"):
        prepare(data)


@pytest.mark.parametrize("image_format", ["jpeg", "webp", "keep"])
def test_same_bytes_give_the_same_member(image_format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    for data in (encoded(quarters("RGBA"), "PNG", exif=exif), encoded(quarters("CMYK"), "JPEG")):
        assert prepare(data, image_format=image_format) == prepare(data, image_format=image_format)


def copying_exif(values: int) -> bytes:
    """An EXIF block in which every value is the whole block."""
    size = 8 + 2 + 12 * values + 4
    block = struct.pack("<4sIH", b"II*\0", 8, values)
    for number in range(values):
        block += struct.pack("<HHII", 0x9000 + number, 7, size, 0)
    return b"Exif\0\0" + block + bytes(4)


def test_exif_that_readers_would_copy_again_and_again_is_dropped() -> None:
    plain, exif = encoded(quarters(), "JPEG"), copying_exif(5000)
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(exif)) + exif
    assert prepare(plain[:2] + segment + plain[2:]).data == plain
    with pytest.raises(ImageDecodeError, match="longer than the file"):
        prepare(plain[:2] + segment + b"junk" + plain[2:])


def test_many_threads_give_the_same_members_and_leave_warnings_alone() -> None:
    sources = [encoded(quarters(mode), "PNG") for mode in ("RGBA", "P", "L")] * 8
    filters = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(prepare, sources))
    assert found == [prepare(source) for source in sources]
    assert warnings.filters == filters
