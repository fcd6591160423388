"""A trained model out of a run's folder, whole, on one process: to evaluate and to export."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from schemas.errors import InputError
from trainer.config import TrainConfig, parse_config
from trainer.data.tokenizer import TextTokenizer
from trainer.loop.checkpoint import TrainingFacts, load_weights, published, read_facts
from trainer.loop.train import CHECKPOINTS
from trainer.model.multimodal import build_model


@dataclass(frozen=True)
class Trained:
    """A model and where it comes from."""

    model: Any
    config: TrainConfig
    tokenizer: TextTokenizer
    facts: TrainingFacts
    path: Path


def restore(run: Path, step: int | None = None) -> Trained:
    """Read a checkpoint of a run, the newest unless a step is named.

    Args:
        run: The `--output` of `train`, or the folder of one checkpoint.
        step: Of the checkpoint.

    Raises:
        InputError: There is none.
    """
    whole = dict(published(run / CHECKPOINTS))
    if not whole:
        # One checkpoint, among others of its training.
        beside = published(run.parent) if run.is_dir() else []
        whole = {number: path for number, path in beside if path.resolve() == run.resolve()}
    if not whole:
        raise InputError(
            f"{run}: no checkpoint in it: give the --output of a training, or one folder of its "
            f"{CHECKPOINTS}"
        )
    if step is not None and step not in whole:
        raise InputError(
            f"{run}: no checkpoint of step {step}; it has {', '.join(map(str, whole))}"
        )
    path = whole[max(whole) if step is None else step]
    facts = read_facts(path)
    config = parse_config(facts.config)
    tokenizer = TextTokenizer(config.decoder.tokenizer or config.decoder.model)
    # All weights come from the checkpoint: none are fetched.
    config = without_pretrained(config)
    model = build_model(config, tokenizer)
    load_weights(path, model)
    return Trained(model.eval(), config, tokenizer, facts, path)


def without_pretrained(config: TrainConfig) -> TrainConfig:
    """The same architecture, from random weights."""
    return replace(
        config,
        vision=replace(config.vision, pretrained=""),
        decoder=replace(config.decoder, random_weights=True),
    )
