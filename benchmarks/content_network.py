"""The content network in floating point, with its gradients: what `train_content_model.py` fits.

The layers are those of `transforms/content_model.py`, which runs the same network in whole numbers.
Everything is plain NumPy and seeded, so the same data give the same weights on one machine.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from transforms.content_features import BITS, Blocks
from transforms.content_model import (
    CONTAINERS,
    EXACT,
    LARGEST,
    SHIFTS,
    UNIT,
    WEIGHT_UNIT,
    ContentModel,
    block_weights,
)
from transforms.name_groups import GROUPS

Array = npt.NDArray[Any]
Weights = dict[str, Array]

WIDTHS = (48, 24, 16)
"""Values a block has after each hidden layer."""

_SIZES = [*range(6), 35]
"""Columns that are logarithms of text sizes."""


@dataclass(slots=True)
class LabelledPage:
    """A page of a data set, measured."""

    key: str
    site: str
    kind: str
    """Page type."""
    blocks: Blocks
    words: list[list[str]]
    """Words of each block."""
    truth: list[str]
    """Words of the main content."""
    target: Array
    """Share of each block that is content."""
    weight: Array
    """What each block counts; sums to 1."""
    counts: Array
    """Words of each block, float32."""
    worth: float = 1.0
    """What the page counts among others."""


@dataclass(slots=True)
class Batch:
    """Several pages, one after the other."""

    measures: Array
    pages: Array
    page_of: Array
    ranges: list[tuple[Array, Array]]
    shares: list[Array]
    beside: list[Array]
    mean_weights: Array
    target: Array
    weight: Array
    counts: Array
    offsets: Array
    wanted: Array
    worth: Array


def make_batch(pages: list[LabelledPage]) -> Batch:
    """Puts pages together; nothing is shared between them."""
    offsets = np.cumsum([0] + [len(page.target) for page in pages])
    count = int(offsets[-1])
    page_of = np.repeat(np.arange(len(pages)), np.diff(offsets))
    own = (offsets[page_of], offsets[page_of + 1])
    ranges = []
    for level in CONTAINERS:
        both = np.concatenate(
            [
                page.blocks.ranges[level] + start
                for page, start in zip(pages, offsets, strict=False)
            ],
            axis=1,
        )
        ranges.append((both[0], both[1]))
    ranges.append(own)
    weights = np.concatenate([block_weights(page.blocks.size) for page in pages])
    running = np.concatenate([[0], np.cumsum(weights)])
    shares = [(1 / (running[end] - running[begin]))[:, None] for begin, end in ranges]
    beside = []
    for shift in SHIFTS:
        place = np.arange(count) + shift
        beside.append(np.where((place >= own[0]) & (place < own[1]), place, count))
    return Batch(
        np.concatenate([page.blocks.measures for page in pages]) / np.float32(UNIT),
        np.stack([page.blocks.page for page in pages]) / np.float32(UNIT),
        page_of,
        ranges,
        [share.astype(np.float32) for share in shares],
        beside,
        weights.astype(np.float32),
        np.concatenate([page.target for page in pages]),
        np.concatenate([page.weight for page in pages]),
        np.concatenate([page.counts for page in pages]),
        offsets,
        np.array([max(float((p.counts * p.target).sum()), 1) for p in pages], np.float32),
        np.array([page.worth for page in pages], np.float32),
    )


def disturb(batch: Batch, rng: np.random.Generator) -> None:
    """Makes pages differ as other sites do, so that no single kind of evidence is relied on.

    Some pages lose what their class names say (generated names), some what their tags say (a page
    of `div`), some speak a script that needs more or fewer bytes; and every batch lacks some
    measures.
    """
    pages = len(batch.pages)
    names = len(GROUPS)
    first = batch.measures.shape[1] - 2 * BITS
    nameless, tagless = rng.random(pages) < 0.25, rng.random(pages) < 0.15
    for start in (first, first + BITS):
        batch.measures[nameless[batch.page_of], start : start + names] = 0
        # From `nav` on, the groups of tags are those that name parts of a page.
        batch.measures[tagless[batch.page_of], start + names + 14 : start + names + 21] = 0
    longer = np.where(rng.random(pages) < 0.3, rng.integers(-6, 9, pages), 0) / UNIT
    shifted = batch.measures[:, _SIZES] + longer[batch.page_of][:, None].astype(np.float32)
    batch.measures[:, _SIZES] = np.maximum(shifted, 0)
    stays = np.greater(rng.random(batch.measures.shape[1]), 0.1)
    batch.measures *= stays.astype(np.float32)
    batch.pages *= (rng.random(batch.pages.shape) > 0.3).astype(np.float32)


def start_weights(measures: int, page: int, rng: np.random.Generator) -> Weights:
    """Random weights."""
    mixed = 1 + len(SHIFTS) + len(CONTAINERS) + 1

    def matrix(rows: int, columns: int, scale: float = 1.0) -> Array:
        values = rng.standard_normal((rows, columns)) * np.sqrt(2 / rows) * scale
        found: Array = values.astype(np.float32)
        return found

    one, two, three = WIDTHS
    return {
        "w1": matrix(measures, one, 0.7),
        "page": matrix(page, one, 0.5),
        "w2": matrix(mixed * one, two),
        "w3": matrix(mixed * two, three),
        "w4": matrix(three, 1),
        **{f"b{n}": np.zeros(width, np.float32) for n, width in enumerate((*WIDTHS, 1), 1)},
    }


def _mix(values: Array, batch: Batch) -> Array:
    count, width = values.shape
    padded = np.concatenate([values, np.zeros((1, width), np.float32)])
    running = np.zeros((count + 1, width))
    np.cumsum(values * batch.mean_weights[:, None], axis=0, dtype=np.float64, out=running[1:])
    parts = [values, *(padded[beside] for beside in batch.beside)]
    for (begin, end), share in zip(batch.ranges, batch.shares, strict=True):
        parts.append(((running[end] - running[begin]) * share).astype(np.float32))
    return np.concatenate(parts, axis=1)


def _unmix(gradient: Array, batch: Batch, width: int) -> Array:
    """The gradient of `_mix`."""
    count = len(gradient)
    parts = [gradient[:, at : at + width] for at in range(0, gradient.shape[1], width)]
    total = parts[0].copy()
    for beside, part in zip(batch.beside, parts[1:], strict=False):
        inside = beside < count
        total[beside[inside]] += part[inside]
    change = np.zeros((count + 1, width))
    means = parts[1 + len(SHIFTS) :]
    for (begin, end), share, part in zip(batch.ranges, batch.shares, means, strict=True):
        shared = part * share
        for place, sign in ((begin, 1.0), (end, -1.0)):
            order = np.argsort(place, kind="stable")
            ordered = place[order]
            runs = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
            change[ordered[runs]] += sign * np.add.reduceat(shared[order], runs, axis=0)
    spread = np.cumsum(change, axis=0)[:-1] * batch.mean_weights[:, None]
    return total + spread.astype(np.float32)


@dataclass(slots=True)
class _Pass:
    """What the backward pass needs of the forward pass."""

    hidden: list[Array]
    mixed: list[Array]
    odds: Array


def _forward(weights: Weights, batch: Batch, rng: np.random.Generator | None) -> _Pass:
    hidden, mixed = [], []
    inputs = batch.measures
    for number in (1, 2, 3):
        total = inputs @ weights[f"w{number}"] + weights[f"b{number}"]
        if number == 1:
            total += (batch.pages @ weights["page"])[batch.page_of]
        values = np.maximum(total, 0)
        if rng is not None and number < 3:
            values *= (rng.random(values.shape, np.float32) > 0.1).astype(np.float32) / 0.9
        hidden.append(values)
        if number < 3:
            inputs = _mix(values, batch)
            mixed.append(inputs)
    odds = (hidden[2] @ weights["w4"] + weights["b4"])[:, 0]
    return _Pass(hidden, mixed, odds)


def _probability(odds: Array) -> Array:
    found: Array = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
    return found


def _loss_gradient(odds: Array, batch: Batch) -> Array:
    """Of weighted cross entropy and of the mean over pages of 1 - F1 over words."""
    p, y, n = _probability(odds), batch.target, batch.counts
    starts = batch.offsets[:-1]
    right = np.add.reduceat(n * p * y, starts)
    both = np.add.reduceat(n * p, starts) + batch.wanted
    f1 = 2 * n * y / both[batch.page_of] - (2 * right / both**2)[batch.page_of] * n
    gradient = ((p - y) * batch.weight - f1 * p * (1 - p)) * batch.worth[batch.page_of]
    found: Array = (gradient / len(batch.wanted))[:, None].astype(np.float32)
    return found


def _backward(weights: Weights, batch: Batch, done: _Pass, gradient: Array) -> Weights:
    found = {"w4": done.hidden[2].T @ gradient, "b4": gradient.sum(0)}
    gradient = (gradient @ weights["w4"].T) * (done.hidden[2] > 0)
    for number in (3, 2):
        found[f"w{number}"] = done.mixed[number - 2].T @ gradient
        found[f"b{number}"] = gradient.sum(0)
        below = done.hidden[number - 2]
        gradient = _unmix(gradient @ weights[f"w{number}"].T, batch, below.shape[1])
        gradient = gradient * (below > 0)
    found["w1"] = batch.measures.T @ gradient
    found["b1"] = gradient.sum(0)
    found["page"] = batch.pages.T @ np.add.reduceat(gradient, batch.offsets[:-1], axis=0)
    return found


def fit(pages: list[LabelledPage], seed: int, epochs: int = 30, pages_at_once: int = 16) -> Weights:
    """Fits the network by AdamW with a cosine schedule; the result is the mean of its last tenth.

    Args:
        pages: What to learn from.
        seed: Of the first weights, the order, and what is disturbed.
        epochs: Passes over the pages.
        pages_at_once: Pages of a batch.
    """
    rng = np.random.default_rng(seed)
    weights = start_weights(pages[0].blocks.measures.shape[1], len(pages[0].blocks.page), rng)
    first = {name: np.zeros_like(value) for name, value in weights.items()}
    second = {name: np.zeros_like(value) for name, value in weights.items()}
    mean = {name: np.zeros_like(value) for name, value in weights.items()}
    steps = epochs * (len(pages) // pages_at_once)
    averaged = step = 0
    for _ in range(epochs):
        order = rng.permutation(len(pages))
        for start in range(0, len(pages) - pages_at_once + 1, pages_at_once):
            batch = make_batch([pages[at] for at in order[start : start + pages_at_once]])
            disturb(batch, rng)
            done = _forward(weights, batch, rng)
            gradients = _backward(weights, batch, done, _loss_gradient(done.odds, batch))
            step += 1
            rate = 2e-3 * min(1, step / 50) * (0.485 * (1 + np.cos(np.pi * step / steps)) + 0.03)
            for name, gradient in gradients.items():
                first[name] = 0.9 * first[name] + 0.1 * gradient
                second[name] = 0.99 * second[name] + 0.01 * gradient**2
                move = (first[name] / (1 - 0.9**step)) / (
                    np.sqrt(second[name] / (1 - 0.99**step)) + 1e-8
                )
                decay = 0.01 * weights[name] if name[0] != "b" else 0
                weights[name] = (weights[name] - rate * (move + decay)).astype(np.float32)
            if step > 0.9 * steps:
                averaged += 1
                for name, value in weights.items():
                    mean[name] += value
    return {name: (value / averaged).astype(np.float32) for name, value in mean.items()}


def to_whole_numbers(weights: Weights) -> dict[str, npt.NDArray[np.int32]]:
    """The weights as `content_model.py` reads them.

    Raises ValueError where a sum could leave what float32 holds exactly.
    """
    found = {}
    for name, value in weights.items():
        scale = WEIGHT_UNIT * (UNIT if name[0] == "b" else 1)
        found[name] = np.round(value * scale).astype(np.int64)
    for name, largest in (("w1", 255), ("w2", LARGEST), ("w3", LARGEST), ("w4", LARGEST)):
        total = np.abs(found[name]).sum(axis=0).max() * largest
        if name == "w1":
            total += np.abs(found["page"]).sum(axis=0).max() * 255
        total += np.abs(found[f"b{name[1]}"]).max()
        if total >= EXACT:
            raise ValueError(f"sums of {name} reach {total}, over {EXACT}")
    return {name: value.astype(np.int32) for name, value in found.items()}


def as_whole_model(arrays: dict[str, Any]) -> ContentModel:
    """The network of `to_whole_numbers`, to be run."""
    whole = {name: value.astype(np.float32) for name, value in arrays.items()}
    return ContentModel(tuple((whole[f"w{n}"], whole[f"b{n}"]) for n in range(1, 5)), whole["page"])
