"""One step of the optimizer: the loss is a sum over all ranks, divided once by all valid tokens.

So micro-batches and ranks with few labels weigh what they hold, and accumulation equals one large
batch. All that ranks must agree on travels in one reduction a step.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from schemas.errors import TrainingError
from schemas.ids import digest
from trainer.config import TrainConfig
from trainer.data.batch import BadSample, MicroBatch
from trainer.loop.optimizer import check_gradients, clip_gradients, divide_gradients, set_pace
from trainer.loop.world import World
from trainer.model.flops import ModelShapes, batch_facts, step_flops


@dataclass(frozen=True, slots=True)
class SourceSums:
    """What a step has of one source, over all ranks."""

    loss: float
    """Sum of cross-entropy."""
    labels: int
    packs: int
    tokens: int
    """Places that are not padding."""
    images: int


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step did."""

    step: int
    loss: float
    """Mean cross-entropy of the valid tokens of all ranks."""
    gradient_norm: float
    pace: float
    """Learning rate relative to its peak."""
    sources: list[SourceSums]
    flops: float
    """Of all ranks."""
    seconds: float
    data_seconds: float
    """Of them, waiting for batches, on the rank that waited longest."""
    most_images: int
    """Images that the fullest rank had, summed over micro-steps."""
    stop: bool
    """Whether any rank was asked to stop."""
    saved: bool
    """Whether the save under way is written on every rank."""
    bad: list[BadSample] = field(default_factory=list)
    """Of this rank."""


class Step:
    """Computes steps of one model."""

    def __init__(
        self,
        model: Any,
        optimizer: torch.optim.Optimizer,
        config: TrainConfig,
        world: World,
        shapes: ModelShapes,
        sources: int,
    ) -> None:
        self._model = model
        self._optimizer = optimizer
        self._config = config
        self._world = world
        self._shapes = shapes
        self._sources = sources
        self._micro_steps = config.data.global_batch // (world.ranks * config.data.micro_batch)
        self._checked = False

    def __call__(
        self, step: int, batches: Iterator[MicroBatch], stop: bool, saved: bool
    ) -> StepResult:
        """Compute one step from the next micro-batches.

        Args:
            step: Its number, from 0.
            batches: In order, at the first micro-batch of the step.
            stop: Whether this rank was asked to stop.
            saved: Whether this rank's part of a save under way is written.

        Raises:
            TrainingError: The loss or the gradient is not finite, no place has a label, or a
                trainable parameter has no gradient. Weights are as before the step.
        """
        begin = time.perf_counter()
        device = self._world.device
        # What draws numbers (dropout) draws them by step and rank: a resumed run draws the same.
        torch.manual_seed(
            int(digest("step", self._config.run.seed, step, self._world.rank)[:15], 16)
        )
        sums = torch.zeros(self._sources, 5, dtype=torch.float64, device=device)
        flops, images, waited = 0.0, 0, 0.0
        bad: list[BadSample] = []
        packs: list[int] = []
        self._optimizer.zero_grad(set_to_none=True)
        for micro in range(self._micro_steps):
            asked = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - asked
            assert (batch.step, batch.micro) == (step, micro)
            flops += step_flops(self._shapes, batch_facts(batch, self._model.image_tokens))
            images += len(batch.pictures)
            bad += batch.bad
            packs += batch.packs.tolist()
            batch = batch.to(device)
            found = self._model(batch, self._config.run.loss_chunk)
            total = found.loss.sum() + self._config.optimizer.z_loss * found.z
            total.backward()
            here = torch.stack(
                [
                    found.loss.detach().double(),
                    found.tokens.double(),
                    torch.ones_like(batch.sources, dtype=torch.float64),
                    batch.used.double(),
                    batch.is_image.sum(dim=1).double() / self._model.image_tokens,
                ],
                dim=1,
            )
            sums.index_add_(0, batch.sources, here)
        if not self._checked:
            check_gradients(self._model, self._optimizer)
            self._checked = True
        facts = torch.tensor([flops, stop, saved], dtype=torch.float64, device=device)
        whole = self._world.sum(torch.cat([sums.flatten(), facts]))
        table = whole[:-3].view_as(sums).tolist()
        labels = sum(row[1] for row in table)
        if labels == 0:
            raise TrainingError(f"step {step}: no place of its packs has a label: {packs}")
        loss = sum(row[0] for row in table) / labels
        self._check_finite(loss, step, "loss", packs)
        divide_gradients(self._model, labels)
        norm = clip_gradients(self._model, self._config.optimizer.clip_norm)
        self._check_finite(norm, step, "norm of the gradient", packs)
        now = set_pace(self._optimizer, self._config, step)
        self._optimizer.step()
        seconds = time.perf_counter() - begin
        slowest = self._world.highest(
            torch.tensor([waited, images], dtype=torch.float64, device=device)
        ).tolist()
        return StepResult(
            step,
            loss,
            norm,
            now,
            [SourceSums(row[0], *(int(value) for value in row[1:])) for row in table],
            float(whole[-3]),
            seconds,
            slowest[0],
            int(slowest[1]),
            bool(whole[-2] > 0),
            bool(whole[-1] == self._world.ranks),
            bad,
        )

    def _check_finite(self, value: float, step: int, what: str, packs: list[int]) -> None:
        if value != value or value in (float("inf"), float("-inf")):
            raise TrainingError(
                f"step {step}: the {what} is {value}; weights are those before the step. Packs of "
                f"this rank: {packs}. Resume from an earlier checkpoint at a lower rate, "
                "or look at these packs"
            )
