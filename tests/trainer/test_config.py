"""Configurations: the shipped ones load, and every mistake is named."""

from pathlib import Path

import pytest

from schemas.errors import RecipeError
from trainer.config import config_names, load_config, parse_config
from trainer.loop.world import check_world

SMALLEST_WORLDS = {"mm1_ablation": 1, "mm1_3b": 1, "mm1_7b": 4, "mm1_30b": 16}


@pytest.mark.parametrize("name", config_names())
def test_shipped_configuration_loads(name: str) -> None:
    config = load_config(name)
    assert config.description
    assert config.run.min_gpus == SMALLEST_WORLDS.get(name, 0)


@pytest.mark.parametrize("name", sorted(SMALLEST_WORLDS))
def test_recipe_of_mm1_is_what_the_paper_says(name: str) -> None:
    config = load_config(name)
    data, optimizer = config.data, config.optimizer
    weights = {source: each.weight for source, each in data.sources.items()}
    assert weights == {"interleaved": 45, "captioned": 45, "text": 10}
    assert (data.sequence_length, data.max_images, data.global_batch) == (4096, 16, 512)
    assert (config.connector.kind, config.connector.tokens) == ("c_abstractor", 144)
    assert (optimizer.steps, optimizer.warmup_steps) == (200_000, 2000)
    assert optimizer.learning_rate == 0  # by the law
    assert optimizer.z_loss == (1e-4 if name == "mm1_30b" else 0)


def test_override_changes_a_value() -> None:
    sets = ["optimizer.steps=7", "vision.model=ViT-B-32", "data.sources.text.weight=0"]
    config = load_config("tiny", sets)
    assert config.optimizer.steps == 7
    assert config.vision.model == "ViT-B-32"
    assert config.data.sources["text"].weight == 0


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("optimizer.stepz=7", "optimizer.stepz: no such key; near: steps"),
        ("optimiser.steps=7", "optimiser: no such key; near: optimizer"),
        ("optimizer.steps=many", "optimizer.steps"),
        ("optimizer.steps=0", "optimizer.steps: must be at least 1"),
        ("optimizer", "give it as section.key=value"),
        ("description.x=1", "description is a value"),
        ("connector.kind=magic", "connector.kind: 'magic' is none of"),
        ("run.precision=fp8", "run.precision: 'fp8' is none of"),
        ("data.sources.pictures.weight=1", "data.sources.pictures.stream: 'pictures' is none of"),
        ("data.sources.text.wieght=1", "data.sources.text.wieght: no such key; near: weight"),
        ("data.sources.text.weight=-1", "data.sources.text.weight: must not be negative"),
        ("data.workers=-1", "data.workers: must not be negative"),
        ("decoder.tokenizer=", "decoder.tokenizer"),
        ("run.seed=-1", "run.seed: must not be negative"),
        ("optimizer.learning_rate=nan", "optimizer.learning_rate: a finite number is wanted"),
        ("optimizer.betas=[0.9, inf]", "optimizer.betas: a finite number is wanted"),
        ("optimizer.betas=[0.9, 1.0]", "optimizer.betas: from 0 to below 1"),
        ("optimizer.epsilon=0.0", "optimizer.epsilon: must be above 0"),
        ("optimizer.final_fraction=1.5", "optimizer.final_fraction: a share, 0 to 1"),
        ("optimizer.weight_decay=-0.1", "optimizer.weight_decay: not negative, or -1"),
        ("vision.learning_rate=-1.0", "vision.learning_rate: must not be negative"),
    ],
)
def test_mistake_is_named(override: str, told: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_config("tiny", [override])
    assert told in str(caught.value)


def test_file_that_is_no_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"tiny2: no configuration of this name: .*tiny"):
        load_config("tiny2")
    path = tmp_path / "a.toml"
    path.write_text("[data\n")
    with pytest.raises(RecipeError, match="not TOML"):
        load_config(str(path))
    with pytest.raises(RecipeError, match="no source has a weight"):
        parse_config({})


@pytest.mark.parametrize(
    ("name", "ranks", "has_gpu", "told"),
    [
        ("mm1_7b", 2, True, "takes 4 GPUs of 80 GB, and here is 2 GPUs"),
        ("mm1_7b", 8, False, "takes 4 GPUs of 80 GB, and here is no GPU"),
        ("mm1_30b", 8, True, "takes 16 GPUs"),
        ("tiny", 3, False, "8 packs are no multiple of 3 ranks x data.micro_batch 4"),
    ],
)
def test_world_that_is_too_small_is_refused(
    name: str, ranks: int, has_gpu: bool, told: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        check_world(load_config(name), ranks, has_gpu)
    assert told in str(caught.value)


def test_world_that_fits_is_taken() -> None:
    check_world(load_config("mm1_7b"), 4, True)
    check_world(load_config("tiny"), 2, False)
