"""Shapes and gradients of every connector, and the numbers that they refuse."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from schemas.errors import RecipeError
from trainer.config import CONNECTORS, ConnectorConfig
from trainer.model.c_abstractor import GridPool
from trainer.model.connectors import build_connector, tokens_of

FEATURES, WIDTH = 24, 40


def config(kind: str, tokens: int, pooling: str = "adaptive") -> ConnectorConfig:
    return ConnectorConfig(kind, tokens, hidden=32, depth=2, heads=4, pooling=pooling)


def number(kind: str, grid: int) -> int:
    """Tokens to ask of a connector."""
    return {"linear": 0, "mlp": grid**2}.get(kind, 16)


@pytest.mark.parametrize("grid", [6, 9])
@pytest.mark.parametrize("pooling", ["adaptive", "uniform"])
@pytest.mark.parametrize("kind", CONNECTORS)
def test_connector_gives_its_tokens_and_trains(kind: str, pooling: str, grid: int) -> None:
    chosen = config(kind, number(kind, grid), pooling)
    torch.manual_seed(0)
    connector = build_connector(chosen, FEATURES, WIDTH, grid)
    features = torch.randn(3, grid**2, FEATURES, requires_grad=True)
    tokens = connector(features)
    assert tokens.shape == (3, tokens_of(chosen, grid), WIDTH)
    (tokens * torch.randn_like(tokens)).sum().backward()
    for name, each in connector.named_parameters():
        assert each.grad is not None, name
        assert float(each.grad.abs().sum()) > 0 or name.endswith("key.bias"), name
    assert features.grad is not None
    assert bool((features.grad.abs().sum(2) > 0).all()), "a patch that nothing sees"


@pytest.mark.parametrize("kind", CONNECTORS)
def test_images_do_not_see_each_other(kind: str) -> None:
    torch.manual_seed(0)
    connector = build_connector(config(kind, number(kind, 6)), FEATURES, WIDTH, 6).eval()
    features = torch.randn(3, 36, FEATURES)
    with torch.no_grad():
        together = connector(features)
        alone = torch.cat([connector(features[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", CONNECTORS)
def test_connector_of_bfloat16_gives_bfloat16(kind: str) -> None:
    connector = build_connector(config(kind, number(kind, 6)), FEATURES, WIDTH, 6)
    connector.to(torch.bfloat16)
    assert connector(torch.randn(1, 36, FEATURES).bfloat16()).dtype == torch.bfloat16


def test_mlp_is_the_projector_of_llava() -> None:
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig
    from transformers.models.llava.modeling_llava import LlavaMultiModalProjector

    theirs = LlavaMultiModalProjector(
        LlavaConfig(
            vision_config=CLIPVisionConfig(hidden_size=FEATURES, num_attention_heads=4),
            text_config=LlamaConfig(hidden_size=WIDTH, num_attention_heads=4),
        )
    )
    ours = build_connector(config("mlp", 0), FEATURES, WIDTH, 6)
    theirs.load_state_dict(ours.state_dict())
    features = torch.randn(2, 36, FEATURES)
    torch.testing.assert_close(ours(features), theirs(features))


@pytest.mark.parametrize(("grid", "side"), [(24, 12), (27, 12), (16, 8), (7, 3), (4, 4)])
def test_uniform_pooling_is_that_of_equal_windows(grid: int, side: int) -> None:
    maps = torch.randn(2, 3, grid, grid, dtype=torch.float64)
    stride = grid // side
    size = grid - (side - 1) * stride
    expected = torch.stack(
        [
            torch.stack(
                [
                    maps[:, :, y * stride : y * stride + size, x * stride : x * stride + size].mean(
                        (2, 3)
                    )
                    for x in range(side)
                ],
                dim=2,
            )
            for y in range(side)
        ],
        dim=2,
    )
    torch.testing.assert_close(GridPool(grid, side, "uniform")(maps), expected)


def test_adaptive_pooling_of_27_to_12_has_uneven_steps() -> None:
    starts = [row * 27 // 12 for row in range(12)]
    stops = [-(-(row + 1) * 27 // 12) for row in range(12)]
    assert {stop - start for start, stop in zip(starts, stops, strict=True)} == {3}
    assert {later - start for start, later in pairwise(starts)} == {2, 3}
    maps = torch.randn(1, 2, 27, 27, dtype=torch.float64)
    pooled = GridPool(27, 12, "adaptive")(maps)
    assert pooled.shape == (1, 2, 12, 12)
    for y, x in ((0, 0), (1, 5), (11, 11)):
        window = maps[0, :, starts[y] : stops[y], starts[x] : stops[x]]
        torch.testing.assert_close(pooled[0, :, y, x], window.mean((1, 2)))


def test_pooling_without_blocks_is_left_of_depth_0() -> None:
    connector = build_connector(ConnectorConfig("c_abstractor", 4, 32, 0), FEATURES, WIDTH, 6)
    assert isinstance(connector.stage_1, nn.Identity)
    assert connector(torch.randn(1, 36, FEATURES)).shape == (1, 4, WIDTH)


@pytest.mark.parametrize(
    ("kind", "tokens", "message"),
    [
        ("linear", 16, "connector.tokens: linear gives one token a patch, which are 36"),
        ("mlp", 144, "set it to 0 or to 36"),
        ("c_abstractor", 10, "take 9 or 16, not 10"),
        ("avg_pool", 49, "7 x 7, more than the 6 x 6"),
        ("perceiver", 0, "connector.tokens: perceiver needs at least 1"),
        ("c_abstractor", 0, "connector.tokens"),
    ],
)
def test_number_of_tokens_that_does_not_fit_is_refused(
    kind: str, tokens: int, message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        tokens_of(config(kind, tokens), 6)


@pytest.mark.parametrize("kind", ["attention_pool", "q_former"])
def test_heads_that_do_not_divide_are_refused(kind: str) -> None:
    with pytest.raises(RecipeError, match=r"connector.heads: 5 do not divide the width of 32"):
        build_connector(ConnectorConfig(kind, 4, 32, 2, 5), FEATURES, WIDTH, 6)


def test_frozen_connector_has_nothing_to_train() -> None:
    connector = build_connector(ConnectorConfig("linear", 0, freeze=True), FEATURES, WIDTH, 6)
    assert not any(each.requires_grad for each in connector.parameters())
