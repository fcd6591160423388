"""From features of the encoder to tokens of the decoder: [n, patches, D_v] -> [n, T, D_llm]."""

from math import isqrt

from torch import Tensor, nn

from schemas.errors import RecipeError
from trainer.config import ConnectorConfig
from trainer.model.c_abstractor import CAbstractor, GridPool, to_map, to_tokens
from trainer.model.resamplers import AttentionPool, Perceiver, QFormer

_ONE_A_PATCH = ("linear", "mlp")
_GRID = ("c_abstractor", "avg_pool")
_HEADED = ("attention_pool", "q_former")


class MlpConnector(nn.Module):
    """The projector of LLaVA 1.5: `linear_1`, exact GELU, `linear_2`, both as wide as the decoder.

    Names and shapes are those of `multi_modal_projector` in Hugging Face's LLaVA.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(features, width)
        self.act = nn.GELU()
        self.linear_2 = nn.Linear(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """[n, patches, D_v] to [n, patches, D_llm]."""
        tokens: Tensor = self.linear_2(self.act(self.linear_1(features)))
        return tokens


class AvgPoolConnector(nn.Module):
    """Average pooling to side x side, then a linear layer."""

    def __init__(self, features: int, width: int, grid: int, side: int, pooling: str) -> None:
        super().__init__()
        self.grid = grid
        self.pool = GridPool(grid, side, pooling)
        self.project = nn.Linear(features, width)

    def forward(self, features: Tensor) -> Tensor:
        """[n, grid x grid, D_v] to [n, side x side, D_llm]."""
        tokens: Tensor = self.project(to_tokens(self.pool(to_map(features, self.grid))))
        return tokens


def tokens_of(config: ConnectorConfig, grid: int) -> int:
    """Tokens an image, of features of a square grid.

    Raises:
        RecipeError: A number that the connector cannot give; the message names the key.
    """
    patches = grid**2
    tokens = config.tokens
    if config.kind in _ONE_A_PATCH:
        if tokens not in (0, patches):
            raise RecipeError(
                f"connector.tokens: {config.kind} gives one token a patch, which are {patches}: "
                f"set it to 0 or to {patches}, not {tokens}, or take avg_pool"
            )
        return patches
    if tokens < 1:
        raise RecipeError(f"connector.tokens: {config.kind} needs at least 1, not {tokens}")
    if config.kind in _GRID:
        side = isqrt(tokens)
        if side**2 != tokens:
            raise RecipeError(
                f"connector.tokens: {config.kind} pools to a square: take {side**2} or "
                f"{(side + 1) ** 2}, not {tokens}"
            )
        if side > grid:
            raise RecipeError(
                f"connector.tokens: {tokens} are {side} x {side}, more than the {grid} x {grid} "
                "patches of a picture: take fewer, or a larger vision.image_size"
            )
    return tokens


def build_connector(config: ConnectorConfig, features: int, width: int, grid: int) -> nn.Module:
    """The connector of a configuration.

    Args:
        config: Its section.
        features: D_v.
        width: D_llm.
        grid: Patches along a side.

    Raises:
        RecipeError: A value that it cannot be built with; the message names the key.
    """
    tokens = tokens_of(config, grid)
    _check(config)
    connector: nn.Module
    if config.kind == "linear":
        connector = nn.Linear(features, width)
    elif config.kind == "mlp":
        connector = MlpConnector(features, width)
    elif config.kind == "avg_pool":
        connector = AvgPoolConnector(features, width, grid, isqrt(tokens), config.pooling)
    elif config.kind == "c_abstractor":
        connector = CAbstractor(
            features,
            width,
            grid=grid,
            side=isqrt(tokens),
            hidden=config.hidden,
            depth=config.depth,
            pooling=config.pooling,
        )
    elif config.kind == "attention_pool":
        connector = AttentionPool(
            features, width, tokens=tokens, hidden=config.hidden, heads=config.heads
        )
    else:
        resampler = {"perceiver": Perceiver, "q_former": QFormer}[config.kind]
        connector = resampler(
            features,
            width,
            tokens=tokens,
            hidden=config.hidden,
            depth=config.depth,
            heads=config.heads,
        )
    if config.freeze:
        connector.requires_grad_(False)
    return connector


def _check(config: ConnectorConfig) -> None:
    if config.kind in _ONE_A_PATCH or config.kind == "avg_pool":
        return
    if config.hidden < 1 or config.heads < 1:
        raise RecipeError("connector: hidden and heads must be at least 1")
    if config.depth < 0 or (config.depth == 0 and config.kind in ("perceiver", "q_former")):
        raise RecipeError(f"connector.depth: {config.kind} cannot have {config.depth}")
    if config.kind in _HEADED and config.hidden % config.heads:
        raise RecipeError(
            f"connector.heads: {config.heads} do not divide the width of {config.hidden}"
        )
