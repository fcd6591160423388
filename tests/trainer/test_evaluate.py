"""Loss on held-out packs: each once, whatever the batch, and worse with the pictures of others."""

from pathlib import Path

import pytest
import torch

from tests.trainer.small_shards import write_shards
from trainer.config import load_config
from trainer.evaluate import evaluate_losses, held_out
from trainer.loop.restore import Trained, restore
from trainer.loop.train import TrainOptions, train

SETS = [
    "optimizer.steps=60",
    "optimizer.warmup_steps=5",
    "data.sequence_length=128",
    "data.max_images=4",
    "data.global_batch=8",
    "data.micro_batch=4",
    "data.workers=0",
    "run.threads=1",
    "decoder.config.num_hidden_layers=1",
    "data.sources.interleaved.weight=0",
    "data.sources.text.weight=0",
]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def trained(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model that has seen few captions often: what it knows of them it sees in the pictures."""
    before = torch.get_num_threads()
    output = tmp_path_factory.mktemp("run")
    train(TrainOptions(load_config("tiny", SETS), str(shards), output, None, quiet=True))
    torch.set_num_threads(before)
    return restore(output)


def test_every_pack_counts_once_where_a_step_has_several_batches(
    shards: Path, trained: Trained
) -> None:
    corpus = held_out(trained, str(shards), "train")
    data = trained.config.data
    assert data.global_batch == 2 * data.micro_batch
    found = evaluate_losses(trained, str(shards), "train")["captioned"]
    (source,) = corpus.sources
    assert found["packs"] == source.plan.packs
    assert found["packs"] % data.micro_batch, "a last batch that is not full"


def test_loss_is_worse_with_the_pictures_of_others(shards: Path, trained: Trained) -> None:
    found = evaluate_losses(trained, str(shards), "train")["captioned"]
    assert found["loss_with_other_images"] > found["loss"] + 0.02
