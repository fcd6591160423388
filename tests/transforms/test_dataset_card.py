import re

import pytest
import yaml

from schemas.shards import Manifest, ShardEntry
from transforms.dataset_card import dataset_card, stream_features, summarise_stream

ENTRIES = [
    ShardEntry("val-000000.tar", 1, 1024, "a"),
    ShardEntry("train-000000.tar", 2, 2048, "b"),
    ShardEntry("train-000001.tar", 1234, 4096, "c"),
]


def summary(stream: str, max_images: int = 3, entries: list[ShardEntry] | None = None):  # type: ignore[no-untyped-def]
    manifest = Manifest(stream, "f", {}, ENTRIES if entries is None else entries)
    return summarise_stream(manifest, "jpg", 77, max_images, 5555)


STREAMS = {stream: summary(stream) for stream in ("text", "captioned", "interleaved")}


def header(card: str) -> dict[str, object]:
    assert card.startswith("---\n")
    values = yaml.safe_load(card.split("---\n")[1])
    assert isinstance(values, dict)
    return values


def test_card_has_a_config_a_stream_and_a_glob_a_split() -> None:
    values = header(dataset_card(STREAMS, "", "f"))
    assert values["configs"] == [
        {
            "config_name": stream,
            "data_files": [
                {"split": split, "path": f"{stream}/{split}-*.tar"} for split in ("train", "val")
            ],
        }
        for stream in ("captioned", "interleaved", "text")
    ]
    infos = values["dataset_info"]
    assert isinstance(infos, list)
    assert infos[1]["splits"] == [
        {"name": "train", "num_bytes": 6144, "num_examples": 1236},
        {"name": "val", "num_bytes": 1024, "num_examples": 1},
    ]
    assert {f["name"]: f["dtype"] for f in infos[1]["features"]} == stream_features(
        "interleaved", STREAMS["interleaved"]
    )


@pytest.mark.parametrize(
    ("stream", "images", "fields"),
    [
        ("captioned", 1, {"jpg"}),
        ("interleaved", 0, set()),
        ("interleaved", 3, {"00.jpg", "01.jpg", "02.jpg"}),
        ("text", 0, set()),
    ],
)
def test_features_have_the_images_of_the_stream(stream: str, images: int, fields: set[str]) -> None:
    features = stream_features(stream, summary(stream, images))
    assert {name for name, kind in features.items() if kind == "image"} == fields
    assert features["json"] == "json"
    assert ("txt" in features) == (stream != "interleaved")


@pytest.mark.parametrize(
    "recipe",
    ['x = "---"\n---\nconfigs: []\n', "```\n# out\n````\n", "*.*: {{ }} &a", ""],
    ids=["document end", "fences", "yaml", "empty"],
)
def test_recipe_stays_inside_its_fence(recipe: str) -> None:
    card = dataset_card(STREAMS, recipe, "f")
    assert header(card) == header(dataset_card(STREAMS, "", "f"))
    body = card.split("## Recipe", 1)[1]
    fence = re.search(r"\n(`{3,})toml\n", body)
    assert fence
    assert body.rstrip().endswith("\n" + fence[1])
    assert fence[1] not in recipe
    assert recipe.rstrip() in body


def test_card_counts_for_a_person() -> None:
    card = dataset_card(STREAMS, "", "f")
    assert "| captioned | train | 2 | 1,236 | 6,144 |" in card
    assert "| interleaved | 77 | 3 | 5,555 |" in card


def test_stream_without_samples_is_left_out() -> None:
    card = dataset_card({**STREAMS, "text": summary("text", entries=[])}, "", "f")
    configs = header(card)["configs"]
    assert isinstance(configs, list)
    assert [config["config_name"] for config in configs] == ["captioned", "interleaved"]
    assert "text/" not in card
    assert dataset_card({}, "", "f").startswith("# No samples")


def test_stream_of_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no stream is called x: \["):
        dataset_card({"x: [": STREAMS["text"]}, "", "f")
