"""Trainings on small shards: resumed anywhere, on other ranks, killed, and wrong from the start."""

import hashlib
import json
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from schemas.errors import InputError, OutputError, RecipeError, TrainingError
from schemas.folder_lock import lock_folder
from tests.trainer.ranks import read_log, run_ranks, start_ranks
from tests.trainer.small_shards import write_shards
from trainer.config import load_config
from trainer.loop.checkpoint import published
from trainer.loop.restore import restore
from trainer.loop.train import CHECKPOINTS, TrainOptions, train

STEPS = 4
SETS = [
    f"optimizer.steps={STEPS}",
    "optimizer.warmup_steps=2",
    "data.sequence_length=128",
    "data.max_images=4",
    "data.global_batch=4",
    "data.micro_batch=1",
    "data.workers=0",
    "checkpoint.every=2",
    "checkpoint.keep=9",
    "run.threads=1",
    "run.log_every=1",
    "decoder.config.hidden_size=32",
    "decoder.config.intermediate_size=64",
    "decoder.config.num_hidden_layers=1",
]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def options(shards: Path, output: Path, steps: int | None = None, *sets: str) -> TrainOptions:
    config = load_config("tiny", [*SETS, *sets])
    return TrainOptions(config, str(shards), output, steps, quiet=True)


def arguments(shards: Path, output: Path, *sets: str) -> list[str]:
    given = ["train", "tiny", "--data", str(shards), "--output", str(output)]
    for each in (*SETS, *sets):
        given += ["--set", each]
    return given


def weights_hash(run: Path, step: int | None = None) -> str:
    """A hash of all weights of a checkpoint."""
    hasher = hashlib.sha256()
    for name, value in sorted(restore(run, step).model.state_dict().items()):
        hasher.update(name.encode() + value.numpy().tobytes())
    return hasher.hexdigest()


def losses(run: Path) -> list[tuple[int, float]]:
    return [(line["step"], line["loss"]) for line in read_log(run)]


@pytest.fixture(scope="module")
def straight(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run from its first step to its last."""
    output = tmp_path_factory.mktemp("straight")
    outcome = train(options(shards, output))
    assert (outcome.step, outcome.stopped) == (STEPS, False)
    return output


def test_run_writes_checkpoints_and_a_line_a_step(straight: Path) -> None:
    assert [step for step, _ in published(straight / CHECKPOINTS)] == [2, 4]
    lines = read_log(straight)
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    for line in lines:
        assert 0 < line["fill"] <= 1
        assert 0 < line["labels"] < line["fill"]
        assert line["image_balance"] == 1  # one rank
        assert line["flops_a_second"] > 0
        packs = sum(found["packs"] for found in line["sources"].values())
        assert packs == 4
    assert list((straight / "tensorboard").iterdir())
    assert lines[-1]["loss"] < lines[0]["loss"]


def test_run_stopped_at_every_step_is_the_straight_run(
    shards: Path, straight: Path, tmp_path: Path
) -> None:
    for step in range(1, STEPS + 1):
        assert train(options(shards, tmp_path, step)).step == step
    assert losses(tmp_path) == losses(straight)
    assert weights_hash(tmp_path) == weights_hash(straight)
    assert train(options(shards, tmp_path)).step == STEPS  # nothing is left to do


def test_micro_batches_and_workers_change_no_loss(
    shards: Path, straight: Path, tmp_path: Path
) -> None:
    train(options(shards, tmp_path, None, "data.micro_batch=4", "data.workers=2"))
    for (step, loss), (other_step, other) in zip(losses(tmp_path), losses(straight), strict=True):
        assert step == other_step
        assert loss == pytest.approx(other, rel=1e-5)


@pytest.mark.slow
def test_run_goes_on_with_other_ranks(shards: Path, straight: Path, tmp_path: Path) -> None:
    train(options(shards, tmp_path, 2))
    run_ranks("trainer", arguments(shards, tmp_path), 2)
    for (step, loss), (other_step, other) in zip(losses(tmp_path), losses(straight), strict=True):
        assert step == other_step
        assert loss == pytest.approx(other, rel=1e-5)
    one = restore(straight).model.state_dict()
    two = restore(tmp_path).model.state_dict()
    for name, value in one.items():
        assert torch.allclose(value, two[name], rtol=1e-3, atol=1e-4), name


@pytest.mark.slow
def test_run_killed_while_it_saves_loses_no_step(
    shards: Path, straight: Path, tmp_path: Path
) -> None:
    folder = tmp_path / CHECKPOINTS
    with start_ranks("trainer", arguments(shards, tmp_path, "checkpoint.every=1")) as process:
        while process.poll() is None and not list(folder.glob(".step-*2-partial")):
            time.sleep(0.001)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    before = [step for step, _ in published(folder)]
    assert before in ([1], [1, 2])
    train(options(shards, tmp_path))
    assert not list(folder.glob(".*"))
    assert losses(tmp_path) == losses(straight)
    assert weights_hash(tmp_path) == weights_hash(straight)


@pytest.mark.slow
def test_signal_stops_a_run_with_a_checkpoint(shards: Path, straight: Path, tmp_path: Path) -> None:
    with start_ranks("trainer", arguments(shards, tmp_path, "checkpoint.every=100")) as process:
        while process.poll() is None and not (tmp_path / "metrics.jsonl").exists():
            time.sleep(0.001)
        process.terminate()
        _, told = process.communicate(timeout=120)
    done = [step for step, _ in published(tmp_path / CHECKPOINTS)]
    if process.returncode == 0:
        pytest.skip("the run ended before the signal came")
    assert process.returncode == 143, told
    assert len(done) == 1
    assert "run the same command to go on" in told
    train(options(shards, tmp_path, None, "checkpoint.every=100"))
    assert weights_hash(tmp_path) == weights_hash(straight)


def test_other_data_is_refused(shards: Path, tmp_path: Path) -> None:
    train(options(shards, tmp_path / "run", 1))
    other = write_shards(tmp_path / "other", captioned=30)
    with pytest.raises(RecipeError, match="trained on other packs"):
        train(options(other, tmp_path / "run"))


def test_two_runs_do_not_train_into_one_folder(shards: Path, tmp_path: Path) -> None:
    with (
        lock_folder(str(tmp_path)),
        pytest.raises(OutputError, match="another run is using it"),
    ):
        train(options(shards, tmp_path))
    assert not (tmp_path / "checkpoints").exists()
    assert train(options(shards, tmp_path, 1)).step == 1


def test_loss_that_is_not_finite_stops_before_the_optimizer(shards: Path, tmp_path: Path) -> None:
    sets = ["optimizer.learning_rate=1e30", "optimizer.weight_decay=0"]
    with pytest.raises(TrainingError, match=r"step [12]: the .* is (nan|inf).*weights are those"):
        train(options(shards, tmp_path, None, *sets))
    assert published(tmp_path / CHECKPOINTS) == []


def damaged(shards: Path, folder: Path) -> Path:
    """A copy of the shards without what was planned of them."""
    shutil.copytree(shards, folder, ignore=shutil.ignore_patterns(".trainer"))
    return folder


def test_missing_shard_is_named(shards: Path, tmp_path: Path) -> None:
    data = damaged(shards, tmp_path / "data")
    (data / "captioned" / "train-000001.tar").unlink()
    with pytest.raises(InputError, match=r"train-000001\.tar"):
        train(options(data, tmp_path / "run"))


def test_truncated_shard_is_named(shards: Path, tmp_path: Path) -> None:
    data = damaged(shards, tmp_path / "data")
    path = data / "interleaved" / "train-000000.tar"
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(InputError, match=r"train-000000\.tar"):
        train(options(data, tmp_path / "run"))


def test_undecodable_images_are_replaced_and_counted(shards: Path, tmp_path: Path) -> None:
    data = damaged(shards, tmp_path / "data")
    for path in (data / "captioned").glob("train-*.tar"):
        # Every JPEG loses its first marker; the tar itself stays whole.
        path.write_bytes(path.read_bytes().replace(b"\xff\xd8\xff", b"\x00\x00\x00"))
    train(options(data, tmp_path / "run", 2))
    line = read_log(tmp_path / "run")[-1]
    assert sum(line["bad_samples"].values()) > 0
    assert all(name.startswith("captioned/") for name in line["bad_samples"])
    rows = (tmp_path / "run" / "bad_samples.jsonl").read_text().splitlines()
    bad: list[dict[str, Any]] = [json.loads(row) for row in rows]
    assert {row["source"] for row in bad} == {"captioned"}
    with pytest.raises(InputError, match="in a row"):
        train(options(data, tmp_path / "other", None, "data.max_failures=3"))
