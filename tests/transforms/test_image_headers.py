"""Formats by their first bytes, and the root element of SVG."""

import pytest

from tests.conftest import hang_guard
from transforms.image_headers import format_of, is_svg, looks_like_image


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
