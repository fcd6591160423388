"""The image files of the demo crawl."""

import hashlib
import io
from collections import Counter

import pytest
from PIL import Image

from pipeline.demo.truth import DemoTruth
from tests.pipeline.demo.crawl_reader import (
    TYPES_OF_PAGES,
    Record,
    kept,
)

URL_WORDS = ("logo", "button", "icon", "plugin", "widget")


def test_images_are_what_the_truth_says(truth: DemoTruth, records: list[Record]) -> None:
    stored: dict[str, list[Record]] = {}
    for record in records:
        if record.kind in TYPES_OF_PAGES:
            stored.setdefault(record.url, []).append(record)
    by_url = {image.url: image for image in truth.images}
    for image in truth.images:
        found = stored.get(image.url, [])
        assert sorted(r.warc for r in found) == sorted(image.warcs)
        if image.outcome == "missing":
            assert all(r.status == 404 for r in found)
            continue
        if image.same_bytes_as:
            assert [r.kind for r in found] == ["revisit"]
            assert image.sha256 == by_url[image.same_bytes_as].sha256
            continue
        data = found[0].body
        assert hashlib.sha256(data).hexdigest() == image.sha256
        check_image(image.outcome, data, image.width, image.height, image.format)


def check_image(
    outcome: str, data: bytes, width: int | None, height: int | None, name: str | None
) -> None:
    if outcome in ("not_an_image", "svg"):
        with pytest.raises(OSError, match="cannot identify"):
            Image.open(io.BytesIO(data))
        assert (b"<svg" in data) == (outcome == "svg")
        return
    if outcome == "too_many_pixels":
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        assert int.from_bytes(data[16:20], "big") * int.from_bytes(data[20:24], "big") > 2e9
        return
    with Image.open(io.BytesIO(data)) as image:
        size = image.size[::-1] if image.getexif().get(0x0112) == 6 else image.size
        assert (*size, image.format) == (width, height, str(name).upper())
        if outcome == "decode_error":
            with pytest.raises(OSError, match="truncated"):
                image.load()
            return
        image.load()
    assert (min(size) < 100) == (outcome == "too_small")
    if outcome != "too_small":
        assert (max(size) > 2 * min(size)) == (outcome == "aspect")


def test_images_odd_formats_are_all_there(truth: DemoTruth, records: list[Record]) -> None:
    seen = set()
    for r in records:
        if r.kind not in TYPES_OF_PAGES or "/odd/" not in r.url or r.status != 200:
            continue
        if "html" in r.url or "empty" in r.url or "svg" in r.url or "huge" in r.url:
            continue
        with Image.open(io.BytesIO(r.body)) as image:
            exif = image.getexif()
            turned = exif.get(0x0112) == 6 and bool(exif.get_ifd(0x8825))
            seen.add((image.format, image.mode, getattr(image, "n_frames", 1) > 1, turned))
    assert {
        ("GIF", "P", True, False),
        ("JPEG", "CMYK", False, False),
        ("JPEG", "RGB", False, True),
        ("PNG", "RGBA", False, False),
        ("PNG", "P", False, False),
        ("WEBP", "RGB", False, False),
    } <= seen


def test_images_differ_unless_planned(truth: DemoTruth) -> None:
    hashes = Counter(i.sha256 for i in truth.images if i.sha256 and i.outcome in ("ok", "frequent"))
    planned = sum(1 for image in truth.images if image.same_bytes_as)
    assert len([h for h, count in hashes.items() if count > 1]) == planned == 1


def test_images_url_words_and_frequencies(truth: DemoTruth) -> None:
    for image in truth.images:
        worded = any(word in image.url for word in URL_WORDS)
        assert worded == (image.outcome == "url_word"), image.url
        using = {
            page.url
            for page in kept(truth)
            for use in page.images
            if image.url in (use.url, *use.alternatives)
        }
        assert len(using) == image.documents
        assert (len(using) > 10) == (image.outcome == "frequent")
        assert len(image.pages) <= 10 or image.outcome == "frequent"
    assert max(i.documents for i in truth.images if i.outcome == "ok") == 10
