"""Checkpoints: written under a hidden name, published by a rename, readable by any number of ranks.

A folder `step-NNNNNNNN` holds what `torch.distributed.checkpoint` writes and `training.json`, which
tells what it belongs to. A folder that is there is whole. Read only checkpoints of your own runs:
torch keeps their table of contents as a pickle.
"""

import json
import os
import re
import shutil
import warnings
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint.filesystem import FileSystemWriter
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save

from schemas.errors import OutputError, RecipeError
from trainer.config import TrainConfig
from trainer.loop.world import World

VERSION = 1
FACTS = "training.json"
_NAME = re.compile(r"step-(\d{8})")
_PARTIAL = re.compile(r"\.step-\d{8}-partial")

MAY_DIFFER = frozenset(
    {
        "description",
        "data.micro_batch",
        "data.workers",
        "data.read_ahead",
        "data.retries",
        "data.max_failures",
        "data.cache",
        "vision.recompute",
        "decoder.recompute",
        "decoder.attention",
        "checkpoint.every",
        "checkpoint.keep",
        "checkpoint.asynchronous",
        "run.min_gpus",
        "run.threads",
        "run.compile",
        "run.loss_chunk",
        "run.log_every",
    }
)
"""Keys that say how, not what, is computed: a run may go on with others."""


@dataclass(frozen=True)
class TrainingFacts:
    """What `training.json` holds."""

    step: int
    """Steps done: the next one's number."""
    corpus: str
    """Fingerprint of the plan and the order of packs."""
    config: dict[str, Any]
    threads: int
    ranks: int
    versions: dict[str, str]
    version: int = VERSION


def _flat(plain: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in plain.items():
        # A decoder's own configuration and the sources are compared whole.
        if isinstance(value, dict) and f"{prefix}{key}" not in ("decoder.config", "data.sources"):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def config_as_json(config: TrainConfig) -> dict[str, Any]:
    """The configuration as JSON holds it: lists for tuples."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return plain


def check_same_training(facts: TrainingFacts, config: TrainConfig, corpus: str, where: str) -> None:
    """Refuse to go on with another model, schedule or order of data.

    Raises:
        RecipeError: Names the keys, or the data.
    """
    before, now = _flat(facts.config), _flat(config_as_json(config))
    changed = [
        key
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and key not in MAY_DIFFER
    ]
    if changed:
        told = "; ".join(f"{key} was {before.get(key)!r}, is {now.get(key)!r}" for key in changed)
        raise RecipeError(f"{where} belongs to another training: {told}: take another --output")
    if facts.corpus != corpus:
        raise RecipeError(
            f"{where} was trained on other packs: shards, tokenizer or their order changed "
            f"({facts.corpus} then, {corpus} now): take the former data, or another --output"
        )


def published(folder: Path) -> list[tuple[int, Path]]:
    """Steps and folders of the checkpoints that are whole, oldest first."""
    if not folder.is_dir():
        return []
    found = [(_NAME.fullmatch(path.name), path) for path in folder.iterdir()]
    return sorted((int(match[1]), path) for match, path in found if match)


def read_facts(path: Path) -> TrainingFacts:
    """What a checkpoint belongs to.

    Raises:
        OutputError: Not a checkpoint of ours, or of another version.
    """
    try:
        facts = TrainingFacts(**json.loads((path / FACTS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise OutputError(f"{path}: not a checkpoint: {error}") from error
    if facts.version != VERSION:
        raise OutputError(f"{path}: of version {facts.version}; this trainer reads {VERSION}")
    return facts


def remove_partial(folder: Path) -> None:
    """Remove what a killed run left behind."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if _PARTIAL.fullmatch(path.name):
            shutil.rmtree(path)


def _mean_one_process() -> None:
    """A run of one process has no group, and torch tells so at every save and load."""
    warnings.filterwarnings("ignore", message="torch.distributed is disabled")


def load_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Fill model and optimizer, whatever the number of ranks was."""
    _mean_one_process()
    weights, moments = get_state_dict(model, optimizer)
    state: dict[str, Any] = {"model": weights, "optimizer": moments}
    load(state, checkpoint_id=path, no_dist=not dist.is_initialized())
    set_state_dict(
        model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"]
    )


def load_weights(path: Path, model: nn.Module) -> None:
    """Fill a whole model on one process, without an optimizer."""
    _mean_one_process()
    state = {"model": model.state_dict()}
    load(state, checkpoint_id=path, no_dist=True)
    model.load_state_dict(state["model"])


class Checkpoints:
    """Saves, publishes and prunes the checkpoints of a run. One save is under way at most."""

    def __init__(self, folder: Path, keep: int, asynchronous: bool, world: World) -> None:
        self._folder = folder
        self._keep = keep
        self._asynchronous = asynchronous
        self._world = world
        self._saving: tuple[int, Future[Any]] | None = None
        _mean_one_process()
        # Beside training a save needs a group of its own: its collectives run in a thread.
        self._group = dist.new_group(backend="gloo") if world.is_grouped else None
        if world.is_first:
            folder.mkdir(parents=True, exist_ok=True)
            remove_partial(folder)
        world.wait()

    def save(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, facts: TrainingFacts
    ) -> None:
        """Begin a save; the one before is finished first."""
        self.finish()
        partial = self._folder / f".step-{facts.step:08d}-partial"
        if self._world.is_first:
            partial.mkdir()
            (partial / FACTS).write_text(json.dumps(asdict(facts), indent=1) + "\n")
        self._world.wait()
        weights, moments = get_state_dict(model, optimizer)
        future: Any = async_save(
            {"model": weights, "optimizer": moments},
            storage_writer=FileSystemWriter(partial, single_file_per_rank=True),
            process_group=self._group,
            no_dist=not self._world.is_grouped,
        )
        self._saving = facts.step, future
        if not self._asynchronous:
            self.finish()

    @property
    def is_done(self) -> bool:
        """Whether this rank's part of the save under way is written."""
        return self._saving is not None and self._saving[1].done()

    def finish(self) -> None:
        """Wait for the save under way and publish it. All ranks call it at the same step."""
        if self._saving is None:
            return
        step, future = self._saving
        self._saving = None
        future.result()
        self._world.wait()
        if self._world.is_first:
            publish(self._folder, step, self._keep)
        self._world.wait()


def publish(folder: Path, step: int, keep: int) -> None:
    """Give a whole checkpoint its name, then remove the oldest."""
    final = folder / f"step-{step:08d}"
    if final.exists():
        # The same step, trained again after a stop: what is published stays.
        shutil.rmtree(folder / f".{final.name}-partial")
    else:
        _sync(folder / f".{final.name}-partial" / FACTS)
        os.rename(folder / f".{final.name}-partial", final)
        _sync(folder)
    for _, path in published(folder)[:-keep]:
        # First the name, so that a half-removed one is never taken for a checkpoint.
        doomed = path.with_name(f".{path.name}-partial")
        os.rename(path, doomed)
        shutil.rmtree(doomed)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
