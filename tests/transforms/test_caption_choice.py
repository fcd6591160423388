"""Which caption a sample is trained on: by origin, and by the hash of its key in a mix."""

from collections import Counter

import pyarrow as pa
import pytest

from schemas.errors import RecipeError
from transforms.caption_choice import CaptionConfig, chosen_rows, mixed_origin

KEYS = [f"{number:032x}" for number in range(20_000)]


@pytest.mark.parametrize("mix", [{"original": 0.5, "fuse": 0.5}, {"original": 2, "fuse": 8}])
def test_shares_are_those_of_the_recipe(mix: dict[str, float]) -> None:
    found = Counter(mixed_origin(key, mix, ("original", "fuse")) for key in KEYS)
    share = mix["original"] / sum(mix.values())
    # Of 20,000 keys a share is off by less than four deviations.
    assert abs(found["original"] / len(KEYS) - share) < 4 * (share * (1 - share) / len(KEYS)) ** 0.5


def test_a_key_always_gets_the_same_choice() -> None:
    mix = {"original": 0.5, "fuse": 0.5}
    once = [mixed_origin(key, mix, ("original", "fuse")) for key in KEYS[:500]]
    assert once == [mixed_origin(key, mix, ("fuse", "original")) for key in KEYS[:500]]


def test_a_larger_share_moves_samples_one_way_only() -> None:
    some, more = ({"original": 1 - share, "fuse": share} for share in (0.3, 0.4))
    present = ("original", "fuse")
    for key in KEYS[:5000]:
        if mixed_origin(key, some, present) == "fuse":
            assert mixed_origin(key, more, present) == "fuse"


def test_what_is_missing_leaves_its_share_to_the_others() -> None:
    mix = {"original": 0.2, "describe": 0.4, "fuse": 0.4}
    found = Counter(mixed_origin(key, mix, ("original", "fuse")) for key in KEYS)
    assert set(found) == {"original", "fuse"}
    assert abs(found["fuse"] / len(KEYS) - 2 / 3) < 0.02
    assert {mixed_origin(key, {"fuse": 1}, ("original",)) for key in KEYS[:50]} == {"original"}
    assert {mixed_origin(key, {}, ("original", "fuse")) for key in KEYS[:50]} == {"original"}


@pytest.mark.parametrize(
    ("mix", "told"),
    [
        ({"blip": 1.0}, "captions.mix.blip: no such origin"),
        ({"fuse": -0.1}, "captions.mix.fuse: must be at least 0"),
        ({"fuse": float("nan")}, "captions.mix.fuse: must be at least 0"),
        ({"fuse": 0.0}, "captions.mix: one share at least must be above 0"),
    ],
)
def test_a_mix_that_cannot_be_is_refused(mix: dict[str, float], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        CaptionConfig(mix=mix)


def test_one_row_an_image_of_a_page() -> None:
    rows = pa.table(
        {
            "doc_id": ["d", "d", "d", "e"],
            "image_key": ["i", "i", "j", "i"],
            "origin": ["title", "alt", "title", "title"],
            "text": ["long title", "alt", "t", "t"],
            "caption_id": ["1", "2", "3", "4"],
        }
    )
    assert chosen_rows(rows, ("alt", "title")).tolist() == [1, 1, 2, 3]
    assert chosen_rows(rows.slice(0, 0), ("alt",)).tolist() == []


def test_caption_is_chosen_by_origin_then_length_then_id() -> None:
    rows = pa.table(
        {
            "doc_id": ["d"] * 5,
            "image_key": ["i"] * 4 + ["j"],
            "origin": ["title", "alt", "alt", "alt", "other"],
            "text": ["the longest of all", "short", "longer", "equal!", "comes last"],
            "caption_id": ["1", "4", "3", "2", "0"],
        }
    )
    assert chosen_rows(rows, ("alt", "title")).tolist() == [3, 3, 3, 3, 4]
    assert chosen_rows(rows, ("title", "alt")).tolist() == [0, 0, 0, 0, 4]
    assert chosen_rows(rows, ("other",)).tolist() == [0, 0, 0, 0, 4]
