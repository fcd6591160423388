import json
import struct
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer_shards import captioned, interleaved, text_sample, write_tokenizer
from trainer.data import layout
from trainer.data.layout import (
    IMAGE,
    SampleContent,
    SampleError,
    element_lengths,
    lay_out,
    places_of,
    read_content,
)
from trainer.data.tokenizer import TextTokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> TextTokenizer:
    return TextTokenizer(write_tokenizer(tmp_path_factory.mktemp("tokenizer")))


def tiff(frames: int) -> bytes:
    data = b"II*\0" + struct.pack("<I", 8 if frames else 0)
    for number in range(frames):
        last = number == frames - 1
        data += struct.pack("<HI", 0, 0 if last else len(data) + 6)
    return data


def test_captioned_sample_has_its_image_first() -> None:
    content = read_content("captioned", captioned(" a cat\n"))
    assert content == SampleContent([None, "a cat"], ["jpg", None])


def test_text_sample_is_its_text() -> None:
    assert read_content("text", text_sample("a\n\nb")) == SampleContent(["a\n\nb"], [None])


def test_empty_texts_vanish() -> None:
    assert read_content("captioned", captioned(" \n")) == SampleContent([None], ["jpg"])
    assert read_content("text", text_sample("")) == SampleContent([], [])
    content = read_content("interleaved", interleaved("a", "", 0, " ", 1, "b"))
    assert content.texts == ["a", None, None, "b"]


def test_texts_that_follow_each_other_are_joined_by_a_blank_line() -> None:
    content = read_content("interleaved", interleaved("a ", "b", 0, "c", "", "d"))
    assert content == SampleContent(["a\n\nb", None, "c\n\nd"], [None, "00.jpg", None])


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "png", "webp"])
def test_foreign_pair_has_any_image(suffix: str) -> None:
    members = {"txt": b"a cat", "json": b"not looked at", suffix: b""}
    assert read_content("captioned", members).images == [suffix, None]


def test_mint_names_are_stems_of_members() -> None:
    written = {"texts": [None, "a", None], "images": ["p_1", None, "p_0"]}
    members = {"json": json.dumps(written).encode(), "p_0.png": b"", "p_1.png": b""}
    assert read_content("interleaved", members).images == ["p_1.png", None, "p_0.png"]


def test_mint_images_stand_in_the_order_of_their_members() -> None:
    written = {"texts": ["a", None, None], "images": [None, "https://a.b/c", "https://d.e/f"]}
    members = {"json": json.dumps(written).encode(), "0.jpg": b"", "1.png": b""}
    assert read_content("interleaved", members).images == [None, "0.jpg", "1.png"]


def test_frames_of_a_tiff_are_its_images() -> None:
    written = {"texts": [None, "a", None], "images": ["page_0_image_1", None, "page_0_image_2"]}
    members = {"json": json.dumps(written).encode(), "tiff": tiff(2)}
    assert read_content("interleaved", members).images == ["tiff#0", None, "tiff#1"]
    with pytest.raises(SampleError, match="2 images are named and 3 are in the shard"):
        read_content("interleaved", members | {"tiff": tiff(3)})
    with pytest.raises(SampleError, match="no TIFF"):
        read_content("interleaved", members | {"tiff": b"\xff\xd8"})
    with pytest.raises(SampleError, match="leads out"):
        read_content("interleaved", members | {"tiff": tiff(2)[:-3]})
    loop = b"II*\0" + struct.pack("<IHI", 8, 0, 8)
    with pytest.raises(SampleError, match="without end"):
        read_content("interleaved", members | {"tiff": loop})


def test_what_no_tokenizer_takes_is_replaced() -> None:
    assert read_content("text", {"txt": b"a\0b\xff"}).texts == ["a�b�"]
    assert read_content("interleaved", interleaved("a\ud800b\0")).texts == ["a�b�"]
    assert read_content("text", {"txt": b"\xef\xbb\xbfa"}).texts == ["a"]


BAD = {
    "captioned": [
        ({"json": b"{}", "jpg": b""}, "without a .txt"),
        ({"txt": b"a"}, "one image, not none"),
        ({"txt": b"a", "jpg": b"", "png": b""}, "one image, not jpg, png"),
    ],
    "text": [({"json": b"{}"}, "without a .txt")],
    "interleaved": [
        ({"txt": b"a"}, "without a .json"),
        ({"json": b"{"}, "a .json that is none"),
        ({"json": b"[" * 100_000}, "a .json that is none"),
        ({"json": b"[]"}, "no object"),
        ({"json": b'{"texts": ["a"]}'}, "without the lists"),
        ({"json": b'{"texts": ["a"], "images": []}'}, "1 texts beside 0 images"),
        ({"json": b'{"texts": [1], "images": [null]}'}, "position 0: neither"),
        ({"json": b'{"texts": ["a"], "images": ["b"]}'}, "position 0: a text and an image"),
        ({"json": b'{"texts": [null], "images": ["b"]}'}, "1 images are named and 0 are"),
        ({"json": b'{"texts": [null], "images": ["json"]}'}, "1 images are named and 0 are"),
    ],
}


@pytest.mark.parametrize(
    ("stream", "members", "message"),
    [(stream, *case) for stream, cases in BAD.items() for case in cases],
)
def test_bad_sample_is_told(stream: str, members: dict[str, bytes], message: str) -> None:
    with pytest.raises(SampleError, match=message):
        read_content(stream, members)


@pytest.mark.parametrize("stream", ["text", "captioned", "interleaved"])
def test_endless_text_is_no_sample(stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MAX_CHARACTERS", 10)
    members = captioned("a" * 11) | interleaved("a" * 11)
    with pytest.raises(SampleError, match=r"more than 10 characters|more than 40 bytes"):
        read_content(stream, members)


def test_document_is_bos_elements_eos(tokenizer: TextTokenizer) -> None:
    content = read_content("interleaved", interleaved("ab", 0, 1, "c"))
    document = lay_out(content, tokenizer, 3)
    a, b, c = tokenizer.encode("abc")
    assert document.tokens.tolist() == [1, a, b, *[IMAGE] * 6, c, 2]
    assert document.image_starts.tolist() == [3, 6]


@settings(deadline=None, max_examples=60)
@given(
    elements=st.lists(st.text(max_size=20) | st.sampled_from([0, "</s>", "", " "]), max_size=12),
    image_tokens=st.integers(1, 5),
)
def test_places_are_told_from_lengths_alone(
    tokenizer: TextTokenizer, elements: list[str | int], image_tokens: int
) -> None:
    numbers = iter(range(20))
    sample = interleaved(*(each if isinstance(each, str) else next(numbers) for each in elements))
    content = read_content("interleaved", sample)
    lengths = element_lengths(content, tokenizer)
    document = lay_out(content, tokenizer, image_tokens)
    assert places_of(lengths, tokenizer, image_tokens) == len(document.tokens)
    assert lengths.count(IMAGE) == len(document.image_starts)
    assert np.count_nonzero(document.tokens == IMAGE) == image_tokens * lengths.count(IMAGE)
    assert all(IMAGE in pair for pair in pairwise(lengths)), "texts meet"
