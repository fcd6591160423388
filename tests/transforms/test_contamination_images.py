"""Images of evaluation items are found by bytes and by looks, each with the item that it is of."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.contamination_images import PHASH, SHA256, FoundImage, ImageIndex

SHA = [hashlib.sha256(bytes([number])).hexdigest() for number in range(4)]
WORDS = st.integers(-(2**63), 2**63 - 1)
LOOK = 0x0F0F_3C3C_5A5A_6996
OTHER = ~LOOK
"""As signed numbers, the one positive and the other negative."""


@pytest.mark.parametrize(
    ("sha256", "phash", "expected"),
    [
        (SHA[0], None, [FoundImage(0, SHA256, 0)]),
        (SHA[3], None, []),
        (None, None, []),
        (SHA[3], LOOK ^ 0b0001, [FoundImage(1, PHASH, 1), FoundImage(2, PHASH, 1)]),
        (SHA[3], LOOK ^ 0b1110, []),
        (SHA[1], LOOK, [FoundImage(1, SHA256, 0), FoundImage(2, PHASH, 0)]),
        (SHA[3], OTHER, [FoundImage(3, PHASH, 0)]),
        (SHA[3], OTHER ^ 0b110, [FoundImage(3, PHASH, 2)]),
        (SHA[3], OTHER ^ 0b111, []),
    ],
    ids=["bytes", "others", "nothing", "looks", "too-far", "both", "sign", "distance", "beyond"],
)
def test_image_is_found(sha256: str | None, phash: int | None, expected: list[FoundImage]) -> None:
    index = ImageIndex([SHA[0], SHA[1], None, None], [None, LOOK, LOOK, OTHER], 2)
    assert index.find(sha256, phash) == expected


@pytest.mark.parametrize("phash", [0, 1 << 40, 0b111_1111, -1, -1 ^ 0b111_1111])
def test_a_picture_without_structure_is_found_by_its_bytes_alone(phash: int) -> None:
    index = ImageIndex([SHA[0]], [phash], 4)
    assert index.find(SHA[1], phash) == []
    assert index.find(SHA[0], phash) == [FoundImage(0, SHA256, 0)]


def test_an_index_of_nothing_finds_nothing() -> None:
    assert ImageIndex([], [], 4).find(SHA[0], 7) == []


@given(st.lists(WORDS, max_size=20), WORDS, st.integers(0, 16))
@settings(deadline=None)
def test_looks_are_compared_as_a_plain_search_does(
    hashes: list[int], value: int, distance: int
) -> None:
    bits = [((known ^ value) % 2**64).bit_count() for known in hashes]
    bits = bits if 8 <= (value % 2**64).bit_count() <= 56 else []
    found = ImageIndex([None] * len(hashes), hashes, distance).find(None, value)
    assert [(each.row, each.distance) for each in found] == [
        (row, count) for row, count in enumerate(bits) if count <= distance
    ]


def test_a_large_index_finds_what_a_plain_search_finds() -> None:
    rng = np.random.default_rng(3)
    hashes = rng.integers(-(2**63), 2**63, 10_000).tolist()
    index = ImageIndex([None] * len(hashes), hashes, 4)
    for row in range(50):
        value = hashes[row] ^ (1 << 5) ^ (1 << 44) ^ (1 << 21)
        assert FoundImage(row, PHASH, 3) in index.find(None, value)


def test_a_picture_of_one_colour_is_no_look_alike() -> None:
    index = ImageIndex([None], [0xFF], 4)
    assert index.find(None, 0xF) == []
    assert len(index.find(None, 0x1FE)) == 1
