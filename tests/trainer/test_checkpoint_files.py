"""Names and facts of checkpoints: what is published, kept, refused."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from schemas.errors import OutputError, RecipeError
from trainer.config import load_config
from trainer.loop.checkpoint import (
    FACTS,
    TrainingFacts,
    check_same_training,
    config_as_json,
    publish,
    published,
    read_facts,
    remove_partial,
)
from trainer.loop.metrics import keep_lines, peak_flops

TINY = load_config("tiny")


def facts(step: int = 1, *sets: str, corpus: str = "c") -> TrainingFacts:
    config = load_config("tiny", sets)
    return TrainingFacts(step, corpus, config_as_json(config), 1, 1, {})


def write_partial(folder: Path, step: int) -> None:
    partial = folder / f".step-{step:08d}-partial"
    partial.mkdir(parents=True)
    (partial / FACTS).write_text(json.dumps(asdict(facts(step))))


def test_publishing_keeps_the_newest(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        write_partial(tmp_path, step)
        publish(tmp_path, step, keep=2)
    assert [step for step, _ in published(tmp_path)] == [2, 3]
    assert read_facts(published(tmp_path)[-1][1]).step == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]


def test_what_a_killed_run_leaves_is_no_checkpoint(tmp_path: Path) -> None:
    write_partial(tmp_path, 4)
    (tmp_path / "notes").mkdir()
    assert published(tmp_path) == []
    remove_partial(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_folder_without_facts_is_named(tmp_path: Path) -> None:
    (tmp_path / "step-00000001").mkdir()
    with pytest.raises(OutputError, match="step-00000001: not a checkpoint"):
        read_facts(tmp_path / "step-00000001")
    write_partial(tmp_path, 2)
    path = tmp_path / ".step-00000002-partial"
    (path / FACTS).write_text(json.dumps(asdict(facts(2)) | {"version": 99}))
    with pytest.raises(OutputError, match="of version 99"):
        read_facts(path)


@pytest.mark.parametrize(
    "change",
    ["data.micro_batch=2", "data.workers=0", "checkpoint.every=7", "run.threads=4"],
)
def test_run_may_go_on_computing_otherwise(change: str) -> None:
    check_same_training(facts(), load_config("tiny", [change]), "c", "here")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("data.global_batch=16", "data.global_batch was 8, is 16"),
        ("optimizer.steps=900", f"optimizer.steps was {TINY.optimizer.steps}, is 900"),
        ("run.seed=1", "run.seed was 0, is 1"),
        ("data.sources.text.weight=11", "data.sources was"),
        ("decoder.config.hidden_size=64", "decoder.config was"),
    ],
)
def test_another_training_is_refused(change: str, told: str) -> None:
    with pytest.raises(RecipeError) as caught:
        check_same_training(facts(), load_config("tiny", [change]), "c", "here")
    assert told in str(caught.value)
    assert "another --output" in str(caught.value)


def test_other_packs_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"trained on other packs.*c then, d now"):
        check_same_training(facts(), load_config("tiny"), "d", "here")


def test_log_lines_of_steps_done_again_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 10}\n{"step": 20}\n{"step": 3')
    keep_lines(path, lambda line: line["step"] <= 10)
    assert path.read_text() == '{"step": 10}\n'
    keep_lines(tmp_path / "absent", lambda line: True)
    assert not (tmp_path / "absent").exists()


def test_peak_is_known_by_the_name_of_the_device() -> None:
    assert peak_flops("NVIDIA H100 80GB HBM3") == 989e12
    assert peak_flops("NVIDIA A100-SXM4-80GB") == 312e12
    assert peak_flops("some other") is None
