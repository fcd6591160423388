"""Loss per source on a held-out split, whether the images are used, and how captions read."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from schemas.errors import InputError
from trainer.data.batch import MicroBatch
from trainer.data.corpus import Corpus, open_corpus
from trainer.data.index import NoShardsError
from trainer.data.loader import make_loader
from trainer.data.order import Numbers
from trainer.loop.restore import Trained


@dataclass(frozen=True)
class EveryPackOnce:
    """An order for evaluation: all packs of all sources, source by source."""

    packs: tuple[int, ...]
    """Packs of each source."""
    batch: int
    """Packs of a step."""

    @property
    def steps(self) -> int:
        """Until every pack was seen."""
        return -(-sum(self.packs) // self.batch)

    def sources_and_packs(self, positions: Numbers) -> tuple[Numbers, Numbers]:
        """Source and pack at each position."""
        counts: Numbers = np.array(self.packs, np.int64)
        ends: Numbers = np.cumsum(counts)
        sources: Numbers = np.searchsorted(ends, positions, side="right")
        starts: Numbers = ends - counts
        return sources, positions - starts[sources]

    def step(self, step: int, ranks: int, micro_batch: int) -> list[list[list[int]]]:
        """One micro-step of one rank: as `Order.step`."""
        if (ranks, micro_batch) != (1, self.batch):
            raise ValueError("evaluation runs on one rank, a step a micro-batch")
        begin = step * self.batch
        return [[list(range(begin, min(begin + self.batch, sum(self.packs))))]]


@dataclass(frozen=True, slots=True)
class SourceLoss:
    """What a source's held-out packs cost."""

    loss: float
    """Mean cross-entropy of its labels."""
    labels: int
    packs: int


def held_out(trained: Trained, data: str, split: str) -> Corpus:
    """The packs of another split, each once; a source that has no such split is left out.

    Raises:
        InputError: No source has it.
    """
    config = trained.config
    opened: list[Corpus] = []
    missing: list[str] = []
    for name, source in config.data.sources.items():
        if not source.weight:
            continue
        alone = replace(config.data, split=split, sources={name: source})
        try:
            opened.append(
                open_corpus(replace(config, data=alone), data, trained.model.image_tokens)
            )
        except NoShardsError as error:
            missing.append(str(error))
    if not opened:
        raise InputError("; ".join(missing))
    sources = tuple(source for corpus in opened for source in corpus.sources)
    packs = tuple(source.plan.packs for source in sources)
    order: Any = EveryPackOnce(packs, config.data.micro_batch)
    return replace(opened[0], sources=sources, order=order)


def batches_of(trained: Trained, corpus: Corpus) -> Iterator[MicroBatch]:
    """All micro-batches of held-out packs."""
    order: Any = corpus.order
    # A step of this order is one micro-batch, however many a step of the training has.
    config = replace(trained.config.data, global_batch=trained.config.data.micro_batch)
    yield from make_loader(
        corpus, trained.model.picture, config,
        seed=trained.config.run.seed, rank=0, ranks=1, first_step=0, last_step=order.steps,
        tokenizer=trained.tokenizer,
    )  # fmt: skip


def with_other_images(batch: MicroBatch) -> MicroBatch:
    """The same texts, each with the picture of another place of the batch."""
    count = len(batch.pictures)
    return replace(batch, pictures=batch.pictures.roll(max(1, count // 2), dims=0))


@torch.inference_mode()
def losses(trained: Trained, corpus: Corpus, shuffle_images: bool = False) -> dict[str, SourceLoss]:
    """Mean loss a source, over every pack.

    Args:
        trained: The model.
        corpus: As of `held_out`.
        shuffle_images: Give each text the picture of another: how much worse it gets is how much
            the model looks.
    """
    device = next(trained.model.parameters()).device
    sums = torch.zeros(len(corpus.sources), 3, dtype=torch.float64)
    for batch in batches_of(trained, corpus):
        shown = with_other_images(batch) if shuffle_images else batch
        found = trained.model(shown.to(device), trained.config.run.loss_chunk)
        here = torch.stack(
            [found.loss.double().cpu(), found.tokens.double().cpu(), torch.ones(len(batch.packs))],
            dim=1,
        )
        sums.index_add_(0, batch.sources, here.double())
    rows = zip(corpus.sources, sums.tolist(), strict=True)
    return {
        source.name: SourceLoss(loss / labels, int(labels), int(packs))
        for source, (loss, labels, packs) in rows
        if labels
    }


def evaluate_losses(trained: Trained, data: str, split: str) -> dict[str, Any]:
    """Losses with the right and with other images, as the command prints them."""
    corpus = held_out(trained, data, split)
    own = losses(trained, corpus)
    other = losses(trained, corpus, shuffle_images=True)
    if not own:
        raise InputError(f"{data}: split {split!r} has no place with a label")
    return {
        name: {
            "loss": found.loss,
            "loss_with_other_images": other[name].loss,
            "labels": found.labels,
            "packs": found.packs,
        }
        for name, found in own.items()
    }
