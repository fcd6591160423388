import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InputError, RecipeError
from schemas.shards import (
    MAX_BITS,
    SCHEMA_VERSION,
    Manifest,
    ShardEntry,
    ShardFormat,
    check_interleaved,
    choose_bits,
    image_suffixes,
    member_name,
    parse_member_name,
    parse_shard_name,
    sample_key,
    shard_name,
    shard_of,
)

KEYS = st.text("0123456789abcdef", min_size=32, max_size=32)
BITS = st.integers(0, MAX_BITS)


def mean_over_target(
    samples: int, payload: int, target_samples: int, target_bytes: int, bits: int
) -> float:
    return max(samples / target_samples, payload / target_bytes) / 2**bits


@given(KEYS, BITS)
def test_shard_of_is_the_top_bits_of_the_key(key: str, bits: int) -> None:
    assert shard_of(key, bits) == int(bin(int(key, 16))[2:].zfill(128)[:bits] or "0", 2)


@given(KEYS, st.integers(0, MAX_BITS - 1))
def test_shard_of_one_more_bit_cuts_a_shard_in_two(key: str, bits: int) -> None:
    assert shard_of(key, bits + 1) // 2 == shard_of(key, bits)


@given(KEYS, KEYS, BITS)
def test_shard_of_keeps_the_order_of_keys(one: str, other: str, bits: int) -> None:
    first, second = sorted([one, other])
    assert shard_of(first, bits) <= shard_of(second, bits)


def test_shard_of_spreads_keys_evenly() -> None:
    counts = [0] * 16
    for number in range(16_000):
        counts[shard_of(sample_key("text", number), 4)] += 1
    # 1,000 expected; six standard deviations are 184.
    assert all(816 < count < 1184 for count in counts)


AMOUNTS = st.integers(0, 10**12)
TARGETS = st.integers(1, 10**9)


@given(AMOUNTS, AMOUNTS, TARGETS, TARGETS, st.none() | BITS)
def test_choose_bits_is_never_off_by_more_than_two(
    samples: int, payload: int, target_samples: int, target_bytes: int, previous: int | None
) -> None:
    amounts = (samples, payload, target_samples, target_bytes)
    bits = choose_bits(*amounts, previous)
    off = mean_over_target(*amounts, bits)
    limit = 2 if bits == previous else 2**0.5
    assert off <= limit * 1.000001 or bits == MAX_BITS
    assert off * limit * 1.000001 >= 1 or bits == 0


@given(AMOUNTS, AMOUNTS, TARGETS, TARGETS, BITS)
def test_choose_bits_moves_only_when_off_by_more_than_two(
    samples: int, payload: int, target_samples: int, target_bytes: int, previous: int
) -> None:
    amounts = (samples, payload, target_samples, target_bytes)
    if 0.500001 <= mean_over_target(*amounts, previous) <= 1.999999:
        assert choose_bits(*amounts, previous) == previous


@pytest.mark.parametrize(
    ("samples", "payload", "previous", "bits"),
    [
        (0, 0, None, 0),
        (100, 0, None, 0),
        (141, 0, None, 0),
        (142, 0, None, 1),
        (800, 0, None, 3),
        (10, 800_000, None, 3),
        (800, 0, 2, 2),
        (801, 0, 2, 3),
        (400, 0, 3, 3),
        (399, 0, 3, 2),
        (0, 0, 5, 0),
        (10**9, 0, None, MAX_BITS),
    ],
)
def test_choose_bits_at_its_thresholds(
    samples: int, payload: int, previous: int | None, bits: int
) -> None:
    assert choose_bits(samples, payload, 100, 100_000, previous) == bits


def test_names_round_trip() -> None:
    assert shard_name("train", 12) == "train-000012.tar"
    assert parse_shard_name("train-000012.tar") == ("train", 12)
    key = sample_key("interleaved", "d", 1)
    assert parse_member_name(member_name(key, "00.jpg")) == (key, "00.jpg")
    assert len({sample_key(stream, "a") for stream in ("captioned", "interleaved", "text")}) == 3


@pytest.mark.parametrize(
    "name",
    ["abc.jpg", "ABCDEF01.jpg", "0123abcd", "0123abcd.", "0123abcd.j/pg", "./0123abcd.jpg", "../x"],
)
def test_member_name_of_another_form_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="member"):
        parse_member_name(name)


@pytest.mark.parametrize("split", ["", "a-b", "../x", "1st", "a" * 33])
def test_split_that_readers_would_trip_over_is_refused(split: str) -> None:
    with pytest.raises(ValueError, match="shard"):
        shard_name(split, 0)


def test_image_suffixes_per_stream() -> None:
    assert image_suffixes("captioned", 1, "jpg") == ["jpg"]
    assert image_suffixes("interleaved", 2, "webp") == ["00.webp", "01.webp"]
    assert image_suffixes("text", 0, "jpg") == []
    for stream, images in [("captioned", 0), ("captioned", 2), ("text", 1)]:
        with pytest.raises(ValueError, match=f"has not {images} images"):
            image_suffixes(stream, images, "jpg")


def test_interleaved_layout_is_accepted() -> None:
    layout = {"texts": ["a", None, "", None], "images": [None, "00.jpg", None, "01.jpg"], "url": 1}
    check_interleaved(layout, ["00.jpg", "01.jpg"])


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"texts": []}, "must be lists"),
        ({"texts": "a", "images": [None]}, "must be lists"),
        ({"texts": ["a"], "images": []}, "1 texts beside 0"),
        ({"texts": ["a"], "images": ["00.jpg"]}, "position 0: exactly one"),
        ({"texts": [None], "images": [None]}, "position 0: exactly one"),
        ({"texts": [None, 3], "images": ["00.jpg", None]}, "position 1: neither"),
        ({"texts": ["a"], "images": [None]}, "images named"),
        ({"texts": [None, None], "images": ["00.jpg", "00.jpg"]}, "images named"),
        ({"texts": [None], "images": ["01.jpg"]}, "images named"),
    ],
)
def test_interleaved_layout_that_breaks_a_rule_is_refused(
    layout: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_interleaved(layout, ["00.jpg"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image_format", "gif"),
        ("quality", 0),
        ("quality", 101),
        ("max_side", 15),
        ("background", (0, 0)),
        ("background", (0, 0, 256)),
        ("max_pixels", 0),
        ("max_pixels", 10**9),
        ("target_samples", 0),
        ("target_bytes", 0),
    ],
)
def test_shard_format_out_of_range_names_the_key(field: str, value: object) -> None:
    with pytest.raises(RecipeError, match=f"^{field} "):
        dataclasses.replace(ShardFormat(), **{field: value})


ENTRIES = [ShardEntry("val-000000.tar", 2, 9, "b"), ShardEntry("train-000001.tar", 3, 7, "a")]


def test_manifest_is_canonical_and_round_trips() -> None:
    manifest = Manifest("text", "abc", {"val": 0, "train": 1}, ENTRIES)
    text = manifest.to_json()
    assert text == Manifest("text", "abc", {"train": 1, "val": 0}, ENTRIES[::-1]).to_json()
    assert Manifest.from_json(text).to_json() == text
    values = json.loads(text)
    assert values["totals"] == {"shards": 2, "samples": 5, "bytes": 16}
    assert [shard["name"] for shard in values["shards"]] == ["train-000001.tar", "val-000000.tar"]
    assert values["schema_version"] == SCHEMA_VERSION


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": SCHEMA_VERSION + 1}, "schema version"),
        ({"totals": {"shards": 1, "samples": 5, "bytes": 16}}, "sums"),
        ({"shards": [{"name": "x"}]}, "not a manifest"),
        ({"bits": {"train": "1"}}, "not a manifest"),
    ],
)
def test_manifest_that_is_not_one_is_refused(change: dict[str, object], message: str) -> None:
    values = json.loads(Manifest("text", "abc", {"train": 1}, ENTRIES).to_json()) | change
    with pytest.raises(InputError, match=message):
        Manifest.from_json(json.dumps(values))
    with pytest.raises(InputError, match="not a manifest"):
        Manifest.from_json(b"\xff{")
