"""Which caption a sample is trained on: by origin, and by chance where a recipe mixes origins.

Chance is the hash of the sample's key: the same key always gets the same choice, whatever stands
beside it, and a larger share of one origin moves only as many samples as it must.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.errors import RecipeError
from schemas.ids import digest

ORIGINAL = "original"
"""In a mix: the captions of the page, the best of them by `prefer`."""
SYNTHETIC = ("describe", "fuse", "rewrite")
"""Origins of synthetic texts."""
TRAINED_ON = "trained_on_"
"""What the facts that count the origins of a sample's text begin with."""


@dataclass(frozen=True, slots=True)
class CaptionConfig:
    """Section `captions`: which caption of an image becomes the sample's text."""

    prefer: tuple[str, ...] = ("table", "alt", "figcaption", "neighbour", "title", "paragraph")
    """Origins, best first; within an origin the longer caption wins. MM1 trains on alt text."""
    mix: Mapping[str, float] = field(default_factory=dict)
    """`original` and origins of synthetic captions -> share of the samples that have all of them;
    where one is missing the others take its share. Empty: half original, half of what the recipe
    asks a model for (VeCap, Lai et al. 2024)."""

    def __post_init__(self) -> None:
        for name, share in self.mix.items():
            if name not in (ORIGINAL, *SYNTHETIC):
                known = ", ".join((ORIGINAL, *SYNTHETIC))
                raise RecipeError(f"captions.mix.{name}: no such origin; known: {known}")
            if not 0 <= share < float("inf"):
                raise RecipeError(f"captions.mix.{name}: must be at least 0, not {share}")
        if self.mix and not any(self.mix.values()):
            raise RecipeError("captions.mix: one share at least must be above 0")


def choose_caption(
    captions: Sequence[Mapping[str, Any]], prefer: Sequence[str]
) -> Mapping[str, Any]:
    """The caption for training: by origin, then the longest, then the smallest id."""
    ranks = {origin: rank for rank, origin in enumerate(prefer)}
    return min(
        captions,
        key=lambda row: (
            ranks.get(row["origin"], len(ranks)), -len(row["text"]), row["caption_id"]
        ),
    )  # fmt: skip


def chosen_rows(captions: pa.Table, prefer: Sequence[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Of each image of each page the row of the caption for training.

    Args:
        captions: With `doc_id`, `image_key`, `origin`, `text`, `caption_id`.
        prefer: Origins, best first.

    Returns:
        For every row the number of the row that its image is trained on.
    """
    names = ("doc_id", "image_key", "origin", "text", "caption_id")
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for number, row in enumerate(captions.select(list(names)).to_pylist()):
        place = (row["doc_id"], row["image_key"])
        groups.setdefault(place, []).append(row | {"number": number})
    chosen = np.empty(len(captions), np.int64)
    for rows in groups.values():
        best = choose_caption(rows, prefer)["number"]
        for row in rows:
            chosen[row["number"]] = best
    return chosen


def mixed_origin(key: str, mix: Mapping[str, float], present: Sequence[str]) -> str:
    """The origin that a sample is trained on.

    Args:
        key: Of the sample.
        mix: Origin -> share.
        present: Origins that the sample has, `ORIGINAL` among them.
    """
    shares = {name: share for name, share in mix.items() if share and name in present}
    if not shares:
        return ORIGINAL
    point = int(digest("caption mix", key)[:13], 16) / 16**13 * sum(shares.values())
    for name, share in shares.items():
        point -= share
        if point < 0:
            return name
    return next(reversed(shares))
