"""Every format, orientation and kind of damage; the perceptual hash; real images."""

import hashlib
import io
import struct
import threading
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, WebPImagePlugin

from schemas.errors import ImageDecodeError, ImageError, NotAnImageError, TooManyPixelsError
from transforms.image_facts import (
    ImageFacts,
    ImageFactsConfig,
    is_svg,
    looks_like_image,
    outcome_of,
    perceptual_hash,
    read_image_facts,
)

CONFIG = ImageFactsConfig()
FORMATS = ["jpeg", "png", "gif", "webp", "bmp", "tiff", "avif"]


def picture(seed=0, width=96, height=64, mode="RGB"):
    """A smooth picture without symmetry, with some texture."""
    rng = np.random.default_rng(seed)
    rough = Image.fromarray(rng.integers(0, 256, (6, 9, 3), dtype=np.uint8))
    return rough.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def encode(image, image_format, **options):
    out = io.BytesIO()
    image.copy().save(out, image_format.upper(), **options)  # a writer leaves settings behind
    return out.getvalue()


def exif_of(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def distance(left, right):
    return ((left ^ right) & (2**64 - 1)).bit_count()


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width, height):
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + png_chunk(b"IDAT", zlib.compress(b""))
        + png_chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("image_format", FORMATS)
def test_facts_of_each_format(image_format):
    data = encode(picture(), image_format)
    facts = read_image_facts(data, CONFIG)
    mode = "P" if image_format == "gif" else "RGB"
    assert facts == ImageFacts(
        image_format, 96, 64, mode, 1, 1, hashlib.sha256(data).hexdigest(), facts.phash
    )
    assert -(2**63) <= facts.phash < 2**63
    expected = read_image_facts(encode(picture(), "png"), CONFIG).phash
    assert distance(facts.phash, expected) <= 4
    assert looks_like_image(data)
    assert not is_svg(data)


@pytest.mark.parametrize(
    ("image_format", "mode"),
    [
        ("jpeg", "L"), ("jpeg", "CMYK"), ("png", "1"), ("png", "L"), ("png", "LA"), ("png", "P"),
        ("png", "RGBA"), ("png", "I;16"), ("tiff", "I;16"), ("tiff", "F"), ("tiff", "I"),
        ("tiff", "LAB"), ("tiff", "CMYK"), ("webp", "RGBA"), ("avif", "RGBA"),
        ("bmp", "1"),
    ],
)  # fmt: skip
def test_facts_of_each_pixel_mode(image_format, mode):
    grey = picture(mode="L")
    if mode == "LAB":
        image = Image.merge(
            "LAB", [grey, Image.new("L", grey.size, 128), Image.new("L", grey.size, 128)]
        )
    elif mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    elif mode == "1":
        image = grey.point(lambda value: 255 * (value > 127)).convert("1")
    else:
        image = grey.convert(mode)
        if "A" in mode:  # encoders drop an alpha channel that is opaque everywhere
            image.putpixel((0, 0), (*image.getpixel((0, 0))[:-1], 200))
    facts = read_image_facts(encode(image, image_format), CONFIG)
    assert (facts.mode, facts.width, facts.height) == (mode, 96, 64)
    expected = read_image_facts(encode(image.convert("L") if mode == "1" else grey, "png"), CONFIG)
    assert distance(facts.phash, expected.phash) <= 6


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp", "tiff", "avif"])
def test_orientation_makes_size_and_hash_upright(image_format, orientation):
    upright = picture(3)
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    data = encode(stored, image_format, exif=exif_of(orientation))
    facts = read_image_facts(data, CONFIG)
    assert (facts.width, facts.height, facts.orientation) == (96, 64, orientation)
    plain = read_image_facts(encode(upright, image_format), CONFIG)
    assert distance(facts.phash, plain.phash) <= 2


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"MM\0*\0\0\0\x08\xff\xff" + b"\1\x12\0\3" * 50,
        b"junk",
    ],
    ids=["empty", "short", "outside", "endless", "junk"],
)
def test_broken_exif_is_orientation_1(exif):
    data = encode(picture(), "jpeg", exif=b"Exif\0\0" + exif)
    facts = read_image_facts(data, CONFIG)
    assert (facts.orientation, facts.width) == (1, 96)


@pytest.mark.parametrize("order", "<>")
def test_orientation_counts_in_a_directory_cut_behind_it(order):
    head = {"<": b"II*\0\x08\0\0\0", ">": b"MM\0*\0\0\0\x08"}[order]
    exif = head + struct.pack(order + "HHHIHH", 2, 0x0112, 3, 1, 6, 0)
    facts = read_image_facts(encode(picture(), "jpeg", exif=b"Exif\0\0" + exif), CONFIG)
    assert (facts.orientation, facts.width) == (6, 64)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_orientation_out_of_range_is_1(value):
    assert read_image_facts(encode(picture(), "jpeg", exif=exif_of(value)), CONFIG).orientation == 1


def test_orientation_in_xmp_counts_where_exif_has_none():
    packet = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    facts = read_image_facts(encode(picture(), "jpeg", xmp=packet), CONFIG)
    assert (facts.orientation, facts.width, facts.height) == (6, 64, 96)


@pytest.mark.parametrize("image_format", ["gif", "png", "webp", "avif", "tiff", "mpo"])
def test_frames_are_counted(image_format):
    images = [picture(seed) for seed in range(5)]
    data = encode(images[0], image_format, save_all=True, append_images=images[1:])
    facts = read_image_facts(data, CONFIG)
    assert facts.frames == 5
    assert facts.format == ("jpeg" if image_format == "mpo" else image_format)
    assert distance(facts.phash, read_image_facts(encode(images[0], "png"), CONFIG).phash) <= 6
    assert read_image_facts(data, ImageFactsConfig(max_frames=3)).frames == 3


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("image_format", FORMATS)
def test_truncated_image_is_a_decode_error(image_format, share):
    noise = np.random.default_rng(1).integers(0, 256, (80, 90, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), image_format)
    with pytest.raises(ImageDecodeError, match=image_format) as caught:
        read_image_facts(data[: int(len(data) * share)], CONFIG)
    assert outcome_of(caught.value) == "decode_error"


def test_damaged_png_is_a_decode_error():
    data = bytearray(encode(picture(), "png"))
    data[len(data) // 2] ^= 0x40
    with pytest.raises(ImageDecodeError):
        read_image_facts(bytes(data), CONFIG)


@pytest.mark.parametrize(
    ("data", "outcome", "message"),
    [
        (b"", "not_an_image", "no bytes"),
        (b"<!doctype html><p>404</p><svg></svg>", "not_an_image", "no image format"),
        (b"<svg xmlns='x'/>", "svg", "svg"),
        (b"\0\0\1\0\1\0\x10\x10\0\0", "not_an_image", "icon"),
        (b"%!PS-Adobe-3.0", "not_an_image", "no image format"),
        (b"8BPS\0\1", "not_an_image", "photoshop"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "not_an_image", "heif"),
        (b"II\x2b\0\x08\0", "not_an_image", "big tiff"),
    ],
    ids=["empty", "html", "svg", "icon", "postscript", "photoshop", "heif", "bigtiff"],
)
def test_other_bytes_are_not_an_image(data, outcome, message):
    with pytest.raises(NotAnImageError, match=message) as caught:
        read_image_facts(data, CONFIG)
    assert outcome_of(caught.value) == outcome


@pytest.mark.parametrize(
    "image_format", ["eps", "ico", "ppm", "tga", "jpeg2000", "dds", "pcx", "sgi"]
)
def test_formats_off_the_list_never_reach_a_decoder(image_format):
    with pytest.raises(NotAnImageError):
        read_image_facts(encode(picture(width=64), image_format), CONFIG)


def huge_of_each_format():
    vp8x = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + b"\x4f\xc3\x00" * 2 + b"ANIM"
    jpeg = bytearray(encode(picture(), "jpeg"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", 50_000, 50_000)
    gif = bytearray(encode(picture(), "gif"))
    gif[6:10] = struct.pack("<HH", 50_000, 50_000)
    bmp = bytearray(encode(picture(), "bmp"))
    bmp[18:26] = struct.pack("<ii", 50_000, 50_000)
    tiff = encode(picture(), "tiff")
    for tag in (256, 257):
        at = tiff.index(struct.pack("<HHI", tag, 4, 1))
        tiff = tiff[: at + 8] + struct.pack("<I", 50_000) + tiff[at + 12 :]
    return {
        "png": png_header(50_000, 50_000),
        "webp": b"RIFF" + struct.pack("<I", len(vp8x) + 4) + b"WEBP" + vp8x,
        "jpeg": bytes(jpeg),
        "gif": bytes(gif),
        "bmp": bytes(bmp),
        "tiff": tiff,
    }


@pytest.mark.parametrize("image_format", ["png", "webp", "jpeg", "gif", "bmp", "tiff"])
def test_huge_image_is_refused_by_its_header(image_format, monkeypatch):
    data = huge_of_each_format()[image_format]

    def decode(picture):
        pytest.fail("it was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    monkeypatch.setattr(WebPImagePlugin.WebPImageFile, "_open", decode)  # allocates two canvases
    with pytest.raises(TooManyPixelsError, match="50000 x 50000") as caught:
        read_image_facts(data, CONFIG)
    assert outcome_of(caught.value) == "too_many_pixels"


def test_pixel_cap_is_inclusive_and_above_pillows_own():
    data = encode(picture(), "png")
    assert read_image_facts(data, ImageFactsConfig(max_pixels=96 * 64)).width == 96
    with pytest.raises(TooManyPixelsError):
        read_image_facts(data, ImageFactsConfig(max_pixels=96 * 64 - 1))
    # Pillow's own limit would refuse this before our cap does; the pixels then are not there.
    with pytest.raises(ImageDecodeError):
        read_image_facts(png_header(200_000, 1_000), ImageFactsConfig(max_pixels=10**9))


def test_scans_without_end_are_refused():
    data = encode(picture(), "jpeg", progressive=True)
    at = data.rindex(b"\xff\xd9")
    with pytest.raises(ImageDecodeError, match="scans"):
        read_image_facts(
            data[:at] + b"\xff\xda\0\x08\1\1\0\1\x3f\0" * 100 + data[at:],
            ImageFactsConfig(max_pixels=96 * 64),
        )


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # of the writer that makes the file
@pytest.mark.parametrize("count", [4000, 60_000], ids=["whole", "cut"])
@pytest.mark.parametrize("image_format", ["tiff", "avif"])
def test_metadata_that_copies_itself_is_refused(image_format, count):
    entries = b"".join(struct.pack("<HHII", tag, 7, 60_000, 0) for tag in range(1000, 5000))
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", count) + entries + bytes(20_000)
    data = block if image_format == "tiff" else encode(picture(), "avif", exif=b"Exif\0\0" + block)
    with pytest.raises(ImageDecodeError, match="longer than the file"):
        read_image_facts(data, CONFIG)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("jpeg", lambda p: encode(p, "jpeg", quality=40)),
        ("webp", lambda p: encode(p, "webp", quality=50)),
        ("half", lambda p: encode(p.resize((200, 150)), "jpeg")),
        ("larger", lambda p: encode(p.resize((1500, 1125)), "bmp")),
        ("brighter", lambda p: encode(p.point(lambda v: v * 0.8 + 20), "png")),
        ("grey", lambda p: encode(p.convert("L"), "jpeg")),
        ("palette", lambda p: encode(p, "gif")),
        ("opaque", lambda p: encode(p.convert("RGBA"), "png")),
    ],
)
def test_copies_have_near_hashes(name, change):
    for seed in range(2):
        original = picture(seed, 400, 300)
        left = read_image_facts(encode(original, "png"), CONFIG).phash
        right = read_image_facts(change(original), CONFIG).phash
        assert distance(left, right) <= 6, name


def test_different_pictures_have_far_hashes():
    hashes = [read_image_facts(encode(picture(s), "png"), CONFIG).phash for s in range(25)]
    apart = [distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(apart) >= 14
    assert np.mean(apart) == pytest.approx(31, abs=3)


def test_transparent_picture_hashes_like_itself_on_white():
    shape = picture(5, mode="RGBA")
    shape.putalpha(picture(6, mode="L"))
    white = Image.new("RGBA", shape.size, "white")
    flat = Image.alpha_composite(white, shape).convert("RGB")
    left = read_image_facts(encode(shape, "png"), CONFIG).phash
    assert distance(left, read_image_facts(encode(flat, "png"), CONFIG).phash) <= 3


def test_flat_picture_hashes_to_zero():
    data = encode(Image.new("RGB", (50, 40), (10, 200, 30)), "png")
    assert read_image_facts(data, CONFIG).phash == 0


def test_perceptual_hash_equals_its_definition():
    grey = np.random.default_rng(7).integers(0, 256, (32, 32)).astype(float)
    n = np.arange(32)
    values = []
    for u in range(8):
        for v in range(8):
            wave = np.outer(
                np.cos((2 * n + 1) * u * np.pi / 64), np.cos((2 * n + 1) * v * np.pi / 64)
            )
            values.append(
                (0.5**0.5 if u == 0 else 1) * (0.5**0.5 if v == 0 else 1) * (grey * wave).sum()
            )
    median = sorted(values[1:])[31]
    bits = "0" + "".join("1" if value > median else "0" for value in values[1:])
    assert perceptual_hash(grey) & (2**64 - 1) == int(bits, 2)


def test_hash_of_a_known_picture_stays():
    # Golden: a change here needs a new STEP_VERSION.
    ramp = np.add.outer(np.arange(64) ** 2 % 251, np.arange(64) * 3 % 199).astype(np.uint8)
    assert (
        read_image_facts(encode(Image.fromarray(ramp), "png"), CONFIG).phash == 1517494302684427051
    )


def seeds():
    first = picture(width=24, height=20)

    def two(name):
        return encode(first, name, save_all=True, append_images=[picture(1, 24, 20)])

    return [
        *(encode(first, name, exif=exif_of(6)) for name in ("jpeg", "png", "webp", "tiff", "avif")),
        *(two(name) for name in ("png", "gif", "mpo", "tiff", "webp")),
        *(encode(first, name) for name in ("gif", "bmp")),
        encode(first, "tiff", compression="tiff_lzw"),
        encode(first, "webp", lossless=True),
        encode(first, "jpeg", progressive=True),
    ]


SEEDS = seeds()
OUTCOMES = {"not_an_image", "svg", "decode_error", "too_many_pixels"}


def outcome_and_message(data, config):
    try:
        return "ok", read_image_facts(data, config)
    except ImageError as error:
        return outcome_of(error), str(error)


@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=12),
    st.floats(0, 1),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_mutated_images_give_facts_or_an_image_error(seed, changes, cut, is_cut):
    data = bytearray(seed)
    for place, value in changes:
        # Mostly in the front, where the structure is.
        data[int(place**3 * (len(data) - 1))] = value
    if is_cut:
        del data[int(cut * len(data)) :]
    outcome, found = outcome_and_message(bytes(data), ImageFactsConfig(max_pixels=300_000))
    if outcome == "ok":
        assert 1 <= found.width * found.height <= 300_000
        assert found.frames >= 1
        assert 1 <= found.orientation <= 8
    else:
        assert outcome in OUTCOMES
        assert found.encode("utf-8")


def test_pillow_and_warning_filters_stay_as_they_were():
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    threads = [
        threading.Thread(target=lambda: [read_image_facts(seed, CONFIG) for seed in SEEDS * 5])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert before == (
        Image.MAX_IMAGE_PIXELS,
        ImageFile.LOAD_TRUNCATED_IMAGES,
        list(warnings.filters),
    )


def test_images_of_real_sites_all_give_facts(shared_data):
    paths = sorted((shared_data / "sites").rglob("*"))
    paths = [path for path in paths if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".gif"}]
    if not paths:
        pytest.skip("no images beside the checkout")
    for path in paths[::12]:
        data = path.read_bytes()
        facts = read_image_facts(data, CONFIG)
        with Image.open(io.BytesIO(data)) as image:
            expected = (image.width, image.height, getattr(image, "n_frames", 1))
        assert (facts.width, facts.height, facts.frames) == expected, path.name
