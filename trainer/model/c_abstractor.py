"""The C-Abstractor: convolutions that keep the neighbourhood, around a pooling to k x k tokens.

After Cha et al. 2024 (Honeybee), whose code fixes what the paper leaves open: three blocks of
RegNet, average pooling, three blocks, a readout of two layers. The blocks are timm's `RegStage`;
its defaults (ReLU, batch norm) would silently be another network, so both are given. timm fuses
norm and activation into its `LayerNormAct2d`, whose epsilon is 1e-5.
"""

from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from timm.layers.norm import LayerNorm2d
from timm.models.regnet import RegStage
from torch import Tensor, nn

_READOUT_LAYERS = 2


class GridPool(nn.Module):
    """Average pooling of a square map to a smaller one.

    `adaptive` takes the windows of torch's `adaptive_avg_pool2d`: k begins at floor(k in / out) and
    ends at ceil((k + 1) in / out) (27 to 12: windows of 3, some of which overlap by one). `uniform`
    takes windows of one size and stride, stride = in // out and size = in - (out - 1) x stride
    (27 to 12: 2 and 5), as Apple's toolkit does.
    """

    def __init__(self, grid: int, side: int, pooling: str) -> None:
        super().__init__()
        self.side = side
        self.is_uniform = pooling == "uniform"
        self.stride = grid // side
        self.size = grid - (side - 1) * self.stride

    def forward(self, maps: Tensor) -> Tensor:
        """[n, channels, grid, grid] to [n, channels, side, side]."""
        if self.is_uniform:
            return F.avg_pool2d(maps, self.size, self.stride)
        return F.adaptive_avg_pool2d(maps, self.side)


def to_map(features: Tensor, grid: int) -> Tensor:
    """[n, grid x grid, D] to [n, D, grid, grid], channels last in memory: nothing is copied."""
    return features.reshape(len(features), grid, grid, -1).permute(0, 3, 1, 2)


def to_tokens(maps: Tensor) -> Tensor:
    """[n, D, side, side] to [n, side x side, D]."""
    return maps.permute(0, 2, 3, 1).flatten(1, 2)


class CAbstractor(nn.Module):
    """Features [n, grid x grid, D_v] to tokens [n, side x side, D_llm].

    Args:
        features: D_v.
        width: D_llm.
        grid: Patches along a side.
        side: Tokens along a side.
        hidden: Channels of the blocks.
        depth: Blocks before and after the pooling; 0: pooling and readout alone.
        pooling: `adaptive` or `uniform`.
    """

    def __init__(
        self,
        features: int,
        width: int,
        *,
        grid: int,
        side: int,
        hidden: int,
        depth: int,
        pooling: str,
    ) -> None:
        super().__init__()
        self.grid = grid
        self.position_embedding = nn.Parameter(torch.empty(1, grid**2, features))
        nn.init.trunc_normal_(self.position_embedding, std=0.02)
        stage = partial(
            RegStage, depth, stride=1, dilation=1, act_layer=nn.SiLU, norm_layer=LayerNorm2d
        )
        self.stage_1 = stage(features, hidden) if depth else nn.Identity()
        self.pool = GridPool(grid, side, pooling)
        self.stage_2 = stage(hidden, hidden) if depth else nn.Identity()
        widths = [hidden if depth else features] + [width] * _READOUT_LAYERS
        layers: list[nn.Module] = []
        for wide, narrow in pairwise(widths):
            layers += [nn.Linear(wide, narrow), nn.SiLU()]
        self.readout = nn.Sequential(*layers[:-1])

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        maps = to_map(features + self.position_embedding, self.grid)
        maps = self.stage_2(self.pool(self.stage_1(maps)))
        tokens: Tensor = self.readout(to_tokens(maps))
        return tokens
