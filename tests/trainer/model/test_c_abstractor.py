"""The C-Abstractor against the same network written down in numpy."""

from typing import Any

import numpy as np
import pytest
import torch

from trainer.model.c_abstractor import CAbstractor

Array = np.ndarray[Any, np.dtype[np.float64]]
Weights = dict[str, Array]


def silu(x: Array) -> Array:
    return x / (1 + np.exp(-x))


def one_by_one(x: Array, weight: Array) -> Array:
    """[h, w, in] by a 1 x 1 convolution [out, in, 1, 1]."""
    return x @ weight[:, :, 0, 0].T


def depthwise(x: Array, weight: Array) -> Array:
    """[h, w, c] by 3 x 3 of each channel [c, 1, 3, 3], zeros around."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    height, width, _ = x.shape
    return sum(
        padded[dy : dy + height, dx : dx + width] * weight[:, 0, dy, dx]
        for dy in range(3)
        for dx in range(3)
    )


def norm(x: Array, weights: Weights, name: str) -> Array:
    """Layer norm over the channels of each place, epsilon as in timm's norm with activation."""
    mean = x.mean(-1, keepdims=True)
    spread = np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + 1e-5)
    return (x - mean) / spread * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def block(x: Array, weights: Weights, name: str) -> Array:
    """A bottleneck of RegNet-Y: 1x1, 3x3 a channel, squeeze-excite, 1x1, shortcut."""
    inner = silu(
        norm(one_by_one(x, weights[f"{name}.conv1.conv.weight"]), weights, f"{name}.conv1.bn")
    )
    inner = silu(
        norm(depthwise(inner, weights[f"{name}.conv2.conv.weight"]), weights, f"{name}.conv2.bn")
    )
    squeezed = inner.mean((0, 1))
    squeezed = silu(
        weights[f"{name}.se.fc1.weight"][:, :, 0, 0] @ squeezed + weights[f"{name}.se.fc1.bias"]
    )
    gate = weights[f"{name}.se.fc2.weight"][:, :, 0, 0] @ squeezed + weights[f"{name}.se.fc2.bias"]
    inner = inner / (1 + np.exp(-gate))
    inner = norm(
        one_by_one(inner, weights[f"{name}.conv3.conv.weight"]), weights, f"{name}.conv3.bn"
    )
    if f"{name}.downsample.conv.weight" in weights:
        x = norm(
            one_by_one(x, weights[f"{name}.downsample.conv.weight"]),
            weights,
            f"{name}.downsample.bn",
        )
    return silu(inner + x)


def windows(grid: int, side: int, pooling: str) -> list[tuple[int, int]]:
    if pooling == "uniform":
        stride = grid // side
        return [(k * stride, grid - (side - 1 - k) * stride) for k in range(side)]
    return [(k * grid // side, -(-(k + 1) * grid // side)) for k in range(side)]


def c_abstractor(x: Array, weights: Weights, grid: int, side: int, pooling: str) -> Array:
    """One picture: [patches, D_v] to [tokens, D_llm]."""
    maps = (x + weights["position_embedding"][0]).reshape(grid, grid, -1)
    for number in (1, 2):
        maps = block(maps, weights, f"stage_1.b{number}")
    spans = windows(grid, side, pooling)
    maps = np.array([[maps[a:b, c:d].mean((0, 1)) for c, d in spans] for a, b in spans])
    for number in (1, 2):
        maps = block(maps, weights, f"stage_2.b{number}")
    tokens = maps.reshape(side * side, -1)
    tokens = silu(tokens @ weights["readout.0.weight"].T + weights["readout.0.bias"])
    return tokens @ weights["readout.2.weight"].T + weights["readout.2.bias"]


@pytest.mark.parametrize("pooling", ["adaptive", "uniform"])
@pytest.mark.parametrize(("features", "hidden"), [(6, 8), (8, 8)])
def test_c_abstractor_is_what_is_written_down(features: int, hidden: int, pooling: str) -> None:
    torch.manual_seed(0)
    connector = CAbstractor(
        features, 5, grid=5, side=2, hidden=hidden, depth=2, pooling=pooling
    ).double()
    with torch.no_grad():
        for each in connector.parameters():
            each.copy_(torch.randn_like(each) * 0.5)
    weights = {name: each.detach().numpy() for name, each in connector.named_parameters()}
    given = torch.randn(2, 25, features, dtype=torch.float64)
    with torch.no_grad():
        tokens = connector(given)
    for picture, found in zip(given, tokens, strict=True):
        expected = c_abstractor(picture.numpy(), weights, 5, 2, pooling)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-9)


def test_squeeze_is_a_quarter_of_what_enters_the_block() -> None:
    connector = CAbstractor(24, 5, grid=4, side=2, hidden=32, depth=2, pooling="adaptive")
    shapes = {name: tuple(each.shape) for name, each in connector.named_parameters()}
    assert shapes["stage_1.b1.se.fc1.weight"] == (6, 32, 1, 1)
    assert shapes["stage_1.b2.se.fc1.weight"] == (8, 32, 1, 1)
    assert shapes["stage_1.b1.conv2.conv.weight"] == (32, 1, 3, 3)
    assert "stage_1.b2.downsample.conv.weight" not in shapes
