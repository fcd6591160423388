"""Connectors of learned queries that look at the features: attention pool, Perceiver, Q-Former."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PERCEIVER_HEAD = 64
"""Width of a head of the Perceiver (Flamingo)."""
_EXPANSION = 4
_CROSS_EVERY = 2
"""The Q-Former looks at the features in every second layer (BLIP-2)."""


class Attention(nn.Module):
    """Queries [n, q, D_q] look at [n, k, D_k]; the answer is [n, q, D_q]."""

    def __init__(self, queries: int, keys: int, inner: int, heads: int, *, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(queries, inner, bias=bias)
        self.key = nn.Linear(keys, inner, bias=bias)
        self.value = nn.Linear(keys, inner, bias=bias)
        self.output = nn.Linear(inner, queries, bias=bias)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """See the class."""
        q, k, v = (
            layer(each).view(*each.shape[:2], self.heads, -1).transpose(1, 2)
            for layer, each in ((self.query, queries), (self.key, keys), (self.value, keys))
        )
        seen = F.scaled_dot_product_attention(q, k, v)
        answer: Tensor = self.output(seen.transpose(1, 2).flatten(2))
        return answer


def learned_queries(tokens: int, width: int, std: float) -> nn.Parameter:
    """[tokens, width] of normal numbers."""
    queries = nn.Parameter(torch.empty(tokens, width))
    nn.init.normal_(queries, std=std)
    return queries


class AttentionPool(nn.Module):
    """Each of k learned queries takes an average of the features (MM1: 64 or 144 queries)."""

    def __init__(self, features: int, width: int, *, tokens: int, hidden: int, heads: int) -> None:
        super().__init__()
        self.queries = learned_queries(tokens, hidden, 0.02)
        self.norm = nn.LayerNorm(features)
        self.attention = Attention(hidden, features, hidden, heads, bias=True)
        self.closing_norm = nn.LayerNorm(hidden)
        self.project = nn.Linear(hidden, width)

    def forward(self, features: Tensor) -> Tensor:
        """[n, patches, D_v] to [n, tokens, D_llm]."""
        queries = self.queries.expand(len(features), -1, -1)
        pooled = self.attention(queries, self.norm(features))
        tokens: Tensor = self.project(self.closing_norm(pooled))
        return tokens


class PerceiverLayer(nn.Module):
    """Latents look at the features and at themselves, then a feed-forward layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.media_norm = nn.LayerNorm(width)
        self.latent_norm = nn.LayerNorm(width)
        self.attention = Attention(width, width, heads * PERCEIVER_HEAD, heads, bias=False)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, _EXPANSION * width, bias=False),
            nn.GELU(),
            nn.Linear(_EXPANSION * width, width, bias=False),
        )

    def forward(self, media: Tensor, latents: Tensor) -> Tensor:
        """Media [n, patches, D], latents [n, tokens, D]: the new latents."""
        normed = self.latent_norm(latents)
        keys = torch.cat((self.media_norm(media), normed), dim=1)
        latents = latents + self.attention(normed, keys)
        answer: Tensor = latents + self.feed_forward(latents)
        return answer


class Perceiver(nn.Module):
    """The resampler of Flamingo (Alayrac et al. 2022), as in OpenFlamingo, without time.

    Features of another width than `hidden` are projected first.
    """

    def __init__(
        self, features: int, width: int, *, tokens: int, hidden: int, depth: int, heads: int
    ) -> None:
        super().__init__()
        self.enter = nn.Linear(features, hidden) if features != hidden else nn.Identity()
        self.latents = learned_queries(tokens, hidden, 1.0)
        self.layers = nn.ModuleList(PerceiverLayer(hidden, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(hidden)
        self.project = nn.Linear(hidden, width)

    def forward(self, features: Tensor) -> Tensor:
        """[n, patches, D_v] to [n, tokens, D_llm]."""
        media = self.enter(features)
        latents = self.latents.expand(len(features), -1, -1)
        for layer in self.layers:
            latents = layer(media, latents)
        tokens: Tensor = self.project(self.norm(latents))
        return tokens


class QFormerLayer(nn.Module):
    """A layer of BERT, norms after the sums; every second one looks at the features."""

    def __init__(self, features: int, width: int, heads: int, *, looks: bool) -> None:
        super().__init__()
        self.attention = Attention(width, width, width, heads, bias=True)
        self.norm = nn.LayerNorm(width)
        self.cross = Attention(width, features, width, heads, bias=True) if looks else None
        self.cross_norm = nn.LayerNorm(width) if looks else None
        self.feed_forward = nn.Sequential(
            nn.Linear(width, _EXPANSION * width),
            nn.GELU(),
            nn.Linear(_EXPANSION * width, width),
        )
        self.closing_norm = nn.LayerNorm(width)

    def forward(self, media: Tensor, queries: Tensor) -> Tensor:
        """Media [n, patches, D_v], queries [n, tokens, D]: the new queries."""
        queries = self.norm(queries + self.attention(queries, queries))
        if self.cross is not None and self.cross_norm is not None:
            queries = self.cross_norm(queries + self.cross(queries, media))
        answer: Tensor = self.closing_norm(queries + self.feed_forward(queries))
        return answer


class QFormer(nn.Module):
    """The querying transformer of BLIP-2 (Li et al. 2023), from scratch and without its texts."""

    def __init__(
        self, features: int, width: int, *, tokens: int, hidden: int, depth: int, heads: int
    ) -> None:
        super().__init__()
        self.media_norm = nn.LayerNorm(features)
        self.queries = learned_queries(tokens, hidden, 0.02)
        self.query_norm = nn.LayerNorm(hidden)
        self.layers = nn.ModuleList(
            QFormerLayer(features, hidden, heads, looks=number % _CROSS_EVERY == 0)
            for number in range(depth)
        )
        self.project = nn.Linear(hidden, width)

    def forward(self, features: Tensor) -> Tensor:
        """[n, patches, D_v] to [n, tokens, D_llm]."""
        media = self.media_norm(features)
        queries = self.query_norm(self.queries).expand(len(features), -1, -1)
        for layer in self.layers:
            queries = layer(media, queries)
        tokens: Tensor = self.project(queries)
        return tokens
