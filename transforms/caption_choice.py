"""Which caption a sample is trained on: by origin, and by chance where a recipe mixes origins.

Chance is the hash of the sample's key: the same key always gets the same choice, whatever stands
beside it, and a larger share of one origin moves only as many samples as it must.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import RecipeError
from schemas.ids import digest

Indices = npt.NDArray[np.int64]

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


def chosen_rows(captions: pa.Table, prefer: Sequence[str]) -> Indices:
    """Of each image of each page the row of the caption for training.

    It is chosen by origin, then the longest is, then that of the smallest id.

    Args:
        captions: With `doc_id`, `image_key`, `origin`, `text`, `caption_id`.
        prefer: Origins, best first.

    Returns:
        For every row the number of the row that its image is trained on.
    """
    groups = image_groups(captions)
    ranks = pc.index_in(captions["origin"], value_set=pa.array(prefer, pa.string()))
    keys = {
        "group": pa.array(groups),
        "rank": pc.fill_null(ranks, len(prefer)),
        "length": pc.utf8_length(captions["text"]),
        "id": captions["caption_id"],
    }
    by = [("group", "ascending"), ("rank", "ascending"), ("length", "descending")]
    best_first = pc.sort_indices(pa.table(keys), [*by, ("id", "ascending")]).to_numpy()
    _, firsts = np.unique(groups[best_first], return_index=True)
    chosen: Indices = best_first.astype(np.int64)[firsts][groups]
    return chosen


def image_groups(captions: pa.Table) -> Indices:
    """The number of each caption's image of a page, in the order in which they come first."""
    places = pc.binary_join_element_wise(captions["doc_id"], captions["image_key"], ":")
    groups: Indices = places.combine_chunks().dictionary_encode().indices.to_numpy()
    return groups.astype(np.int64)


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
