"""Codings are undone within bounds; a body that is not what it claims is used where it can be."""

import contextlib
import gzip
import tracemalloc
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ContentDecodeError, PayloadTooLargeError
from transforms.http_content import (
    MAX_MEMBERS,
    looks_like_html,
    looks_like_image,
    remove_chunks,
    undo_codings,
)

LIMIT = 1 << 20
HTML = b"<!DOCTYPE html><p>" + b"some text " * 50
TEXT = b"some text, neither a page nor an image " * 50


def raw_deflate(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(data) + deflater.flush()


def chunk(data: bytes, size: int = 100) -> bytes:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return body + b"0\r\n\r\n"


CODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("coding", [*CODERS, "GZIP", " gzip , identity"])
def test_each_coding_is_undone(coding: str) -> None:
    coded = CODERS.get(coding, gzip.compress)(TEXT)
    assert undo_codings(coded, None, coding, LIMIT) == TEXT


@pytest.mark.parametrize("coding", [None, "", "identity", "none", "Identity, identity"])
def test_no_coding_leaves_the_body(coding: str | None) -> None:
    assert undo_codings(TEXT, coding, coding, LIMIT) == TEXT


def test_raw_deflate_is_undone() -> None:
    assert undo_codings(raw_deflate(TEXT), None, "deflate", LIMIT) == TEXT


def test_several_codings_are_undone_from_the_last() -> None:
    coded = chunk(gzip.compress(brotli.compress(zlib.compress(TEXT))))
    assert undo_codings(coded, "gzip, chunked", "deflate, br", LIMIT) == TEXT


def test_several_members_are_one_body() -> None:
    assert undo_codings(gzip.compress(b"a") + gzip.compress(b"b"), None, "gzip", LIMIT) == b"ab"
    frames = CODERS["zstd"](b"a") + CODERS["zstd"](b"b")
    assert undo_codings(frames, None, "zstd", LIMIT) == b"ab"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_bytes_behind_the_compressed_data_are_ignored(coding: str) -> None:
    assert undo_codings(CODERS[coding](TEXT) + b"\r\npadding", None, coding, LIMIT) == TEXT


@pytest.mark.parametrize("coding", CODERS)
def test_empty_body_has_nothing_to_undo(coding: str) -> None:
    assert undo_codings(b"", "chunked", coding, LIMIT) == b""
    assert undo_codings(CODERS[coding](b""), None, coding, LIMIT) == b""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: x\r\n\r\n", b"abcde"),
        (b"3\nabc\n0\n\n", b"abc"),
        (b"A \r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (b"3\r\nabc\r\n", b"abc"),
        (b"5\r\nabc", b"abc"),
        (b"0\r\n\r\n", b""),
        (b"", b""),
        (b"<html>not chunked", b"<html>not chunked"),
        (b"abc\r\nno chunk of that size follows", b"no chunk of that size follows"),
        (b"3\r\nabcdef not three", b"3\r\nabcdef not three"),
        (b"3\r\nabc\r\nzz\r\nrest", b"abczz\r\nrest"),
        (b"3\r\nabc\r\n2\r\ndefg\r\n", b"abc2\r\ndefg\r\n"),
        (b"fffffffffffffffff\r\nx", b"fffffffffffffffff\r\nx"),
    ],
    ids=[
        *("plain", "lf", "space", "no_end", "cut", "only_end", "empty", "not_chunked"),
        *("too_large_a_size", "wrong_first", "damaged_size", "damaged_second", "absurd_size"),
    ],
)
def test_chunks_are_removed_where_there_are_any(body: bytes, expected: bytes) -> None:
    assert remove_chunks(body) == expected
    assert undo_codings(body, "Chunked", None, LIMIT) == expected


@settings(max_examples=100)
@given(body=st.binary(max_size=500), size=st.integers(1, 200))
def test_chunking_is_undone_for_any_body(body: bytes, size: int) -> None:
    assert remove_chunks(chunk(body, size)) == body


@pytest.mark.parametrize("raw", [HTML, b"\x89PNG\r\n\x1a\n....", b"\xff\xd8\xff\xe0...."])
@pytest.mark.parametrize("coding", [*CODERS, "compress", "utf-8"])
def test_page_or_image_that_claims_a_coding_is_kept_raw(raw: bytes, coding: str) -> None:
    assert undo_codings(raw, None, coding, LIMIT) == raw
    assert undo_codings(chunk(raw, 7), "chunked", coding, LIMIT) == raw


@pytest.mark.parametrize("coding", [*CODERS, "compress", "a, b", ", ".join(["gzip"] * 9)])
def test_other_body_that_claims_a_coding_fails(coding: str) -> None:
    with pytest.raises(ContentDecodeError, match="coding"):
        undo_codings(TEXT, None, coding, LIMIT)


@pytest.mark.parametrize("coding", CODERS)
def test_cut_body_fails_unless_it_is_known_to_be_cut(coding: str) -> None:
    lines = b"".join(b"line %d of the text\n" % number for number in range(20_000))
    cut = CODERS[coding](lines)[:-200]
    with pytest.raises(ContentDecodeError, match="ends early"):
        undo_codings(cut, None, coding, LIMIT)
    kept = undo_codings(cut, None, coding, LIMIT, partial=True)
    assert kept
    assert lines.startswith(kept)


@pytest.mark.parametrize("coding", CODERS)
def test_limit_is_exact(coding: str) -> None:
    coded = CODERS[coding](TEXT)
    assert undo_codings(coded, None, coding, len(TEXT)) == TEXT
    with pytest.raises(PayloadTooLargeError):
        undo_codings(coded, None, coding, len(TEXT) - 1)


def test_limit_holds_without_a_coding() -> None:
    assert undo_codings(TEXT, None, None, len(TEXT)) == TEXT
    with pytest.raises(PayloadTooLargeError):
        undo_codings(TEXT, "chunked", None, len(TEXT) - 1)


@pytest.mark.parametrize("coding", CODERS)
def test_bomb_is_not_inflated_to_its_end(coding: str) -> None:
    zeros = bytes(100 << 20)
    bomb = brotli.compress(zeros, quality=1) if coding == "br" else CODERS[coding](zeros)
    del zeros
    tracemalloc.start()
    with pytest.raises(PayloadTooLargeError):
        undo_codings(bomb, None, coding, LIMIT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 << 20


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_endless_empty_members_are_refused(coding: str) -> None:
    with pytest.raises(ContentDecodeError, match=str(MAX_MEMBERS)):
        undo_codings(CODERS[coding](b"") * 200_000, None, coding, LIMIT)


@settings(max_examples=300, deadline=1000)
@given(
    body=st.binary(max_size=400),
    coding=st.sampled_from([*CODERS, "chunked", "gzip, br", "br, zstd, deflate"]),
    front=st.sampled_from([b"", *(coder(TEXT)[:30] for coder in CODERS.values())]),
    partial=st.booleans(),
)
def test_any_bytes_end_in_a_body_or_a_typed_error(
    body: bytes, coding: str, front: bytes, partial: bool
) -> None:
    # Any other exception than these two fails the test.
    with contextlib.suppress(ContentDecodeError, PayloadTooLargeError):
        assert len(undo_codings(front + body, coding, coding, 5000, partial=partial)) <= 5000


@pytest.mark.parametrize(
    ("body", "html", "image"),
    [
        (b"  \r\n<!DocType HTML>", True, False),
        (b"\xef\xbb\xbf<html lang=en>", True, False),
        (b"<?xml version='1.0'?><html>", True, False),
        (b"<p>", True, False),
        (b"<price 4", False, False),
        (b"<a href=x>", True, False),
        (b"text <html>", False, False),
        (b"GIF89a", False, True),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", False, True),
        (b"RIFF\x00\x00\x00\x00WAVE", False, False),
        (b"\x00\x00\x00\x1cftypavif", False, True),
        (b"", False, False),
    ],
)
def test_pages_and_images_are_told_by_content(body: bytes, html: bool, image: bool) -> None:
    assert (looks_like_html(body), looks_like_image(body)) == (html, image)
