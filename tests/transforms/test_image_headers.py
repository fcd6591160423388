"""Formats by their first bytes, and the root element of SVG."""

import io

import pytest
from PIL import Image

from tests.conftest import hang_guard
from transforms.image_headers import format_of, is_svg, looks_like_image, stored_size


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"<svg>", True),
        (b"  \n<svg width='1'>", True),
        (b'\xef\xbb\xbf<?xml version="1.0"?><!-- <html> --><svg:svg xmlns:svg="x">', True),
        (
            b'<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C" "u" [<!ENTITY a "b">]>\n<svg/>',
            True,
        ),
        ("<svg>".encode("utf-16"), True),
        (b"<svgx>", False),
        (b"<html><svg>", False),
        (b"<!-- <svg> -->", False),
        (b"<!-- x -->" * 100_000 + b"<html>", False),
        (b"<!DOCTYPE [" + b"[" * 1_000_000, False),
        (b" " * 1_000_000 + b"x", False),
        (b"", False),
    ],
)
def test_is_svg_looks_at_the_root(data, expected):
    with hang_guard():
        assert is_svg(data) is expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\0\0\1\0\1\0\x10\x10", True),
        (b"BM", False),
        (b"BMW is a car maker, and more", False),
        (b"text", False),
        (b"", False),
        (b"RIFF\0\0\0\0WAVE", False),
    ],
    ids=["icon", "bm", "bmw", "text", "empty", "wave"],
)
def test_looks_like_image_goes_by_magic_bytes(data, expected):
    assert looks_like_image(data) is expected
    assert format_of(data) is None


@pytest.mark.parametrize("size", [(1, 1), (300, 17), (65, 4000)])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
def test_stored_size_is_what_the_decoder_says(form: str, size: tuple[int, int]) -> None:
    for mode, options in (("RGB", {}), ("L", {}), ("RGB", {"lossless": True, "progressive": True})):
        sink = io.BytesIO()
        Image.new(mode, size, 90).save(sink, form, **options)
        assert stored_size(sink.getvalue()) == size


def test_stored_size_passes_over_thumbnails_and_fill_bytes() -> None:
    sink, small = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (8, 8)).save(small, "JPEG")
    Image.new("RGB", (40, 30)).save(sink, "JPEG", exif=b"Exif\0\0" + small.getvalue())
    data = sink.getvalue()
    assert stored_size(data) == (40, 30)
    assert stored_size(data[:2] + b"\xff\xff" + data[2:]) == (40, 30)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
def test_stored_size_of_a_cut_file_is_none_or_right(form: str) -> None:
    sink = io.BytesIO()
    Image.new("RGB", (40, 30), 9).save(sink, form)
    data = sink.getvalue()
    for end in range(min(len(data), 400)):
        assert stored_size(data[:end]) in (None, (40, 30))
    assert stored_size(b"no image") is None
    assert stored_size(b"\xff\xd8\xff" + bytes(50)) is None
