"""Which blocks of a page are content: a small network over their measures.

Each block becomes a vector of what it is by itself; then twice over, vectors are mixed with those
of the blocks beside it and with the means over the containers around it and over the page, so that
a block is judged by the company it keeps. The weights were fitted by
`benchmarks/train_content_model.py`, which names the pages, their licence and what the model gains,
on pages of other sites than those it is judged on.

All weights and all values in between are whole numbers below 2**24, which float32 sums exactly in
any order: a page is judged alike on every machine.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from transforms import page_kernel
from transforms.content_features import Blocks

Array = npt.NDArray[Any]

WEIGHTS = Path(__file__).with_name("content_model.npz")

UNIT = 32
"""What stands for 1 in measures and in values between layers."""
WEIGHT_UNIT = 256
"""What stands for 1 in weights."""
LARGEST = 1023
"""Largest value between layers."""
SHIFTS = (-1, 1)
"""Blocks beside a block whose vectors it sees."""
CONTAINERS = (0, 1, 2, 4)
"""Containers around a block whose means it sees, as levels of `Blocks.ranges`."""
AT_ONCE = 4096
"""Blocks whose surroundings are in memory at once."""
EXACT = 1 << 24
"""Whole numbers up to here are exact in float32."""


@dataclass(frozen=True, slots=True, eq=False)
class ContentModel:
    """The weights of the network."""

    layers: tuple[tuple[Array, Array], ...]
    """Weights (inputs, outputs) and biases of each layer, whole numbers in float32."""
    page: Array
    """Weights of the page's measures in the first layer."""


@cache
def load_model(path: Path = WEIGHTS) -> ContentModel:
    """Reads weights."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name].astype(np.float32) for name in file.files}
    layers = tuple((arrays[f"w{n}"], arrays[f"b{n}"]) for n in range(1, 5))
    return ContentModel(layers, arrays["page"])


def block_weights(size: Array) -> Array:
    """What a block counts in the mean of a container; grows with the root of its text."""
    roots: Array = np.sqrt(np.minimum(size, 400) * 16 + 16)
    return roots.astype(np.int64)


def _layer(values: Array, layer: tuple[Array, Array], extra: Array | float = 0.0) -> Array:
    total = values @ layer[0] + layer[1] + extra
    found: Array = np.clip(np.floor(total / WEIGHT_UNIT), 0, LARGEST)
    return found


def score_blocks(blocks: Blocks, model: ContentModel | None = None) -> Array:
    """The log-odds that each block is content, float32."""
    model = model or load_model()
    count = len(blocks.size)
    if not count:
        return np.zeros(0, np.float32)
    if page_kernel.AVAILABLE:
        return page_kernel.score_blocks(blocks, model)
    weights = block_weights(blocks.size).astype(np.float64)
    running = np.zeros(count + 1)
    np.cumsum(weights, out=running[1:])
    begins = np.concatenate([blocks.ranges[list(CONTAINERS), 0], np.zeros((1, count), np.int64)])
    ends = np.concatenate([blocks.ranges[list(CONTAINERS), 1], np.full((1, count), count)])
    divisors = (running[ends] - running[begins])[:, :, None]

    def mix(values: Array, layer: tuple[Array, Array]) -> Array:
        # Sums of whole numbers below 2**53, exact in float64.
        width = values.shape[1]
        sums = np.zeros((count + 1, width))
        np.cumsum(values * weights[:, None], axis=0, out=sums[1:])
        padded = np.zeros((count + 2, width), np.float32)
        padded[1:-1] = values
        made = np.empty((count, len(layer[1])), np.float32)
        for start in range(0, count, AT_ONCE):
            part = slice(start, min(start + AT_ONCE, count))
            size = part.stop - start
            means = np.floor((sums[ends[:, part]] - sums[begins[:, part]]) / divisors[:, part])
            mixed = np.empty((size, width * (3 + len(ends))), np.float32)
            mixed[:, :width] = values[part]
            mixed[:, width : 2 * width] = padded[start : start + size]
            mixed[:, 2 * width : 3 * width] = padded[start + 2 : start + 2 + size]
            mixed[:, 3 * width :] = means.transpose(1, 0, 2).reshape(size, -1)
            made[part] = _layer(mixed, layer)
        return made

    first, second, third, last = model.layers
    values = _layer(blocks.measures, first, blocks.page @ model.page)
    values = mix(values, second)
    values = mix(values, third)
    total = values @ last[0] + last[1]
    found: Array = total[:, 0] / (UNIT * WEIGHT_UNIT)
    return found
