"""Training of the tiny CLIP, from random weights, on drawn scenes.

Three losses. The contrastive one of CLIP (Radford et al. 2021) ranks the texts of a batch; a
picture also has against it captions of itself with one word changed, and sentences that describe
nothing. A gate, though, holds one pair against one threshold, so the second loss is the logistic
one of SigLIP (Zhai et al. 2023): it draws the cosines of right and of wrong pairs to the two sides
of one value for all pictures. The third reads the facts of a scene from both embeddings by one
linear layer, which is thrown away: a small batch says little about which shapes there are, and 500
steps tell a wrong shape by an AUC of 0.99 with it, of 0.92 without.

A step is made of many small operations, over which two threads of torch wait for each other longer
than they compute. The two encoders meet in the cosines only, so each has a thread of its own.
"""

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.demo.byte_pairs import PAD
from pipeline.demo.clip.facts import FACTS, facts_of
from pipeline.demo.clip.model import EMBEDDING, TinyClip, plain_text_tokenizer
from pipeline.demo.clip.muon import Muon
from pipeline.demo.clip.pairs import DrawnScenes, prose_sentences, written_caption
from pipeline.demo.scenes import wrong_scene
from transforms.clip_text import text_encoder

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class ClipTraining:
    """What the training costs and how it goes."""

    scenes: int = 12_000
    epochs: int = 3
    """Each with new captions."""
    batch: int = 48
    """Small: a picture's own wrong caption teaches more than many other scenes."""
    prose: int = 8
    """Sentences that describe nothing, a batch."""
    wrong: tuple[str, ...] = ("shape", "colour")
    """What is wrong in the wrong captions of each picture."""
    learning_rate: float = 5e-3
    warmup_steps: int = 30
    weight_decay: float = 0.05
    pair_weight: float = 2.0
    """Weight of the logistic loss."""
    facts_weight: float = 1.0
    """Weight of the facts at the highest learning rate: it falls with the rate, and what stays at
    the end is what a CLIP is for."""
    seed: int = 0

    @property
    def steps(self) -> int:
        """Batches of the whole training."""
        return self.epochs * (self.scenes // self.batch)


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures and texts that are judged against each other."""

    pictures: "torch.Tensor"
    """uint8 [batch, 3, side, side]."""
    tokens: "torch.Tensor"
    """[told + prose, CONTEXT]: a right caption each, wrong ones of each kind, then prose."""
    facts: "torch.Tensor"
    """float32 [told, facts]: of the right captions, which are those of the pictures, and of the
    wrong ones."""

    @property
    def same(self) -> "torch.Tensor":
        """Whether a text that is not the picture's own is right, [batch, told]."""
        own = len(self.pictures)
        same = (self.facts[:own, None] == self.facts[None]).all(dim=2)
        same[range(own), range(own)] = False
        return same


def batches(
    drawn: DrawnScenes, tokenize: Callable[[Sequence[str]], Any], config: ClipTraining
) -> Iterator[Batch]:
    """All batches of a training, in an order that the seed chooses."""
    import torch

    rng = random.Random(f"clip/batches/{config.seed}")
    prose = prose_sentences("train")
    pictures = torch.from_numpy(np.ascontiguousarray(drawn.pictures.transpose(0, 3, 1, 2)))
    order = list(range(len(drawn.scenes)))
    for _ in range(config.epochs):
        rng.shuffle(order)
        for start in range(0, len(order) - config.batch + 1, config.batch):
            chosen = order[start : start + config.batch]
            scenes = [drawn.scenes[i] for i in chosen]
            wrong = [wrong_scene(scene, rng, kind) for kind in config.wrong for scene in scenes]
            texts = [written_caption(scene, rng) for scene in (*scenes, *wrong)]
            texts += islice(prose, config.prose)
            facts = torch.from_numpy(facts_of([*scenes, *wrong]))
            yield Batch(pictures[chosen], tokenize(texts), facts)


def embed_texts(model: Any, tokens: "torch.Tensor") -> "torch.Tensor":
    """Unit vectors [texts, EMBEDDING]; short and long texts apart, for padding costs time."""
    import torch

    encode = text_encoder(model)
    lengths = (tokens != PAD).sum(dim=1)
    order = lengths.argsort(stable=True)
    found = [encode(tokens[some][:, : int(lengths[some].max())]) for some in order.tensor_split(3)]
    return torch.cat(found)[order.argsort()]


def embed_pictures(model: Any, pictures: "torch.Tensor") -> "torch.Tensor":
    """Unit vectors [pictures, EMBEDDING] of pixels, uint8."""
    found: torch.Tensor = model.encode_image(pictures.float() / 127.5 - 1, normalize=True)
    return found


def pair_loss(
    model: Any,
    pictures: "torch.Tensor",
    texts: "torch.Tensor",
    batch: Batch,
    config: ClipTraining,
) -> "torch.Tensor":
    """The contrastive and the logistic loss of a batch's embeddings, weighted."""
    import torch
    from torch.nn import functional

    size, told = len(pictures), len(batch.facts)
    logits = model.logit_scale.exp() * (pictures @ texts.T)
    masked = logits.clone()
    masked[:, :told].masked_fill_(batch.same, -math.inf)
    own = torch.arange(size)
    ranking = functional.cross_entropy(masked, own)
    ranking = (ranking + functional.cross_entropy(masked[:, :size].T, own)) / 2
    judged = logits + model.logit_bias
    right = functional.softplus(-judged[own, own]).mean()
    wrong_texts = torch.arange(size, told)
    wrong = functional.softplus(judged[wrong_texts % size, wrong_texts]).mean()
    prose = functional.softplus(judged[:, told:]).mean()
    return ranking + config.pair_weight * (right + wrong + prose)


def facts_loss(
    head: "torch.nn.Module", pictures: "torch.Tensor", texts: "torch.Tensor", batch: Batch
) -> "torch.Tensor":
    """How wrongly `head` reads the facts from the embeddings of pictures and of captions."""
    import torch
    from torch.nn import functional

    told = len(batch.facts)
    # Unit vectors have small components; the head starts as one of a layer's inputs would.
    read = head(torch.cat([pictures, texts[:told]]) * math.sqrt(EMBEDDING))
    facts = torch.cat([batch.facts[: len(pictures)], batch.facts])
    wrong = functional.binary_cross_entropy_with_logits(read, facts, reduction="none")
    return wrong.sum(dim=1).mean()


@dataclass(frozen=True, slots=True)
class _Learner:
    """What moves the parameters of one encoder.

    Muon takes the matrices of the blocks, AdamW everything else. Colours make almost all of the
    gradient. Muon gives every direction of a matrix an equal step, so that shapes are learned
    beside them: 750 steps without the facts tell a wrong shape by an AUC of 0.98. AdamW alone
    reached 0.82 in 560.
    """

    parameters: "list[torch.nn.Parameter]"
    muon: Muon
    adamw: "torch.optim.AdamW"

    def learn(self, found: "torch.Tensor", judged: "torch.Tensor", rate: float) -> None:
        """Makes one step: `judged` are the embeddings that were found, with their gradient."""
        import torch

        found.backward(judged.grad)  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.muon.step(rate)
        for group in self.adamw.param_groups:
            group["lr"] = rate
        self.adamw.step()
        for parameter in self.parameters:
            parameter.grad = None


def _learner(named: "Iterable[tuple[str, torch.nn.Parameter]]", config: ClipTraining) -> _Learner:
    import torch

    matrices: list[torch.nn.Parameter] = []
    tables: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, value in named:
        if "resblocks" in name and value.ndim == 2:
            matrices.append(value)
        else:
            (tables if value.ndim >= 2 else others).append(value)
    decay = config.weight_decay
    groups = [
        {"params": tables, "weight_decay": decay},
        {"params": others, "weight_decay": 0.0},
    ]
    # `learn` is given the rate of each step.
    adamw = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), fused=True)
    return _Learner([*matrices, *tables, *others], Muon(matrices, decay), adamw)


def _pace(step: int, config: ClipTraining) -> float:
    """The learning rate of a step, relative to the highest: a warm-up, then a cosine."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return 0.02 + 0.98 * (1 + math.cos(math.pi * min(1.0, done))) / 2


def train(
    clip: TinyClip,
    drawn: DrawnScenes,
    config: ClipTraining,
    report: Callable[[int, float], None],
    steps: int | None = None,
) -> None:
    """Trains the model in place, in two threads that use one core each.

    Args:
        clip: the model with random weights, and its tokenizer.
        drawn: `config.scenes` training scenes.
        config: how it goes.
        report: called after each step with its number, from 1, and its loss.
        steps: fewer steps than `config.steps`, for a test; the schedule stays that of the whole.
    """
    import torch

    model = clip.model.train()
    head = torch.nn.Linear(EMBEDDING, len(FACTS))
    named = [*model.named_parameters(), *head.named_parameters()]
    seeing = _learner((item for item in named if item[0].startswith("visual.")), config)
    reading = _learner((item for item in named if not item[0].startswith("visual.")), config)
    drawing = islice(batches(drawn, plain_text_tokenizer(clip), config), steps)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as beside:
            batch = next(drawing, None)
            for number in count():
                if batch is None:
                    break
                pace = _pace(number, config)
                rate = config.learning_rate * pace
                looking = beside.submit(embed_pictures, model, batch.pictures)
                text = embed_texts(model, batch.tokens)
                seen = looking.result()
                pictures, texts = (found.detach().requires_grad_() for found in (seen, text))
                loss: Any = pair_loss(model, pictures, texts, batch, config)  # without types
                loss = loss + config.facts_weight * pace * facts_loss(head, pictures, texts, batch)
                loss.backward()
                learning = beside.submit(seeing.learn, seen, pictures, rate)
                reading.learn(text, texts, rate)
                with torch.no_grad():
                    model.logit_scale.clamp_(0, math.log(100))
                # Beside the step of the picture encoder, which takes longer than that of the texts.
                batch = next(drawing, None)
                learning.result()
                report(number + 1, loss.item())
    finally:
        torch.set_num_threads(threads)
        model.eval()
