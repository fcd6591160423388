import pytest

from schemas.errors import RecipeError
from transforms.input_columns import (
    COMMON_NAMES,
    FIELDS,
    PRESETS,
    ColumnMap,
    InputConfig,
    check_config,
    find_columns,
)
from transforms.input_formats import format_names


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (InputConfig(preset="cc12"), "input.preset: 'cc12' is not one of cc12m, cc3m, coyo"),
        (InputConfig(format="xml"), "input.format: 'xml' is not one of auto, warc, parquet"),
        (InputConfig(1), "input.part_bytes: must be at least 65536"),
        (InputConfig(columns=ColumnMap(0, -1)), "input.columns.text: a position is from 0"),
        (InputConfig(columns=ColumnMap(0, "text")), "names or positions, not both"),
        (InputConfig(columns=ColumnMap(image_url=0)), "needed for image_url and text"),
    ],
    ids=["preset", "format", "part_bytes", "position", "mixed", "incomplete"],
)
def test_a_mistake_in_the_recipe_is_named(config: InputConfig, message: str) -> None:
    with pytest.raises(RecipeError) as error:
        check_config(config, format_names())
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("preset", ["", *PRESETS])
def test_every_preset_is_a_sound_setting(preset: str) -> None:
    check_config(InputConfig(preset=preset), format_names())
    assert set(PRESETS[preset].names if preset else COMMON_NAMES) <= set(FIELDS)


def test_one_column_has_one_meaning() -> None:
    found = find_columns(["url", "image_url", "alt", "text"], InputConfig())
    assert found == {"image_url": "image_url", "text": "text"}
    mapped = InputConfig(columns=ColumnMap(page_url="URL"))
    assert find_columns(["url", "image_url", "text"], mapped)["page_url"] == "url"


def test_a_mapped_column_that_is_not_there_is_named() -> None:
    config = InputConfig(columns=ColumnMap(text="words"))
    with pytest.raises(LookupError, match=r"input.columns.text: there is no column 'words'"):
        find_columns(["url", "text"], config)
