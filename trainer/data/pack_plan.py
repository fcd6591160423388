"""From element lengths to packs: documents cut into pieces, pieces put together.

A document of more than `sequence_length` places or `max_images` images is cut: anywhere inside a
text, never inside an image, and images whose text would begin the next piece go with it. A piece
without a token of text behind another place teaches nothing and is dropped. The plan is a function
of the lengths and of `PlanConfig`; its arrays are hashed.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from schemas.errors import InputError, RecipeError
from schemas.ids import digest
from trainer.data.best_fit import pack_pieces
from trainer.data.cut import PIECE_FIELDS, Lengths, cut_documents
from trainer.data.mapped import Array, Mapped, hash_arrays, map_array, publish_folder
from trainer.data.permutation import derive, hash_numbers

PLAN_VERSION = 1
"""Raised when the same lengths become other packs than before."""

_ARRAYS = (*PIECE_FIELDS, "pack_start", "token_counts", "image_counts")


@dataclass(frozen=True)
class PlanConfig:
    """All that shapes a plan beside the lengths.

    Raises:
        RecipeError: An image does not fit into a packed sequence.
    """

    sequence_length: int
    max_images: int
    image_tokens: int
    bos: bool
    """Whether a document opens with a token of its own; every one ends with one."""
    seed: int

    def __post_init__(self) -> None:
        if self.image_tokens + 1 > self.sequence_length:
            raise RecipeError(
                f"data.sequence_length: {self.sequence_length} places do not hold an image of "
                f"{self.image_tokens} tokens and a token of text"
            )


class Piece(NamedTuple):
    """A range of a document's places."""

    sample: int
    """Row of the index."""
    start: int
    stop: int
    images: int
    first_image: int
    """Number, in the document, of its first image."""


@dataclass(frozen=True)
class PackPlan(Mapped):
    """Which pieces stand in which packed sequence. P pieces, K packs."""

    config: PlanConfig
    counts: dict[str, int]
    """Documents, pieces, what was cut and dropped; see `cut.cut_documents`."""
    fingerprint: str
    sample: Array
    """int64 [P], pack by pack; so are the others."""
    start: Array
    """int64 [P]"""
    stop: Array
    """int64 [P]"""
    images: Array
    """int32 [P]"""
    first_image: Array
    """int32 [P]"""
    pack_start: Array
    """int64 [K + 1]: the first piece of each pack."""
    token_counts: Array
    """int32 [K]: places that are taken, those of images too."""
    image_counts: Array
    """int32 [K]"""

    @property
    def packs(self) -> int:
        """Packed sequences of an epoch."""
        return len(self.token_counts)

    @property
    def fill(self) -> float:
        """Share of the places of all packs that is taken."""
        return self.counts["places"] / (self.packs * self.config.sequence_length)

    def pieces_of(self, pack: int) -> list[Piece]:
        """The pieces of a pack, in the order in which they stand in it."""
        if not 0 <= pack < self.packs:
            raise IndexError(f"pack {pack} of {self.packs}")
        rows = slice(int(self.pack_start[pack]), int(self.pack_start[pack + 1]))
        columns = [getattr(self, name)[rows].tolist() for name in PIECE_FIELDS]
        return [Piece(*row) for row in zip(*columns, strict=True)]


def make_plan(
    lengths: Lengths, config: PlanConfig, progress: Callable[[str], None] | None = None
) -> tuple[dict[str, Array], dict[str, int]]:
    """The arrays of a plan, by their names in `PackPlan`, and its counts."""
    pieces, counts = cut_documents(
        lengths, config.sequence_length, config.max_images, config.image_tokens, config.bos
    )
    # Any two numbers have different hashes, so there are no ties for a sort to settle.
    key = derive(config.seed, PLAN_VERSION)
    order = np.argsort(hash_numbers(key, np.arange(len(pieces["sample"]))), kind="stable")
    pieces = {name: column[order] for name, column in pieces.items()}
    tokens = pieces["stop"] - pieces["start"]
    pack_of = pack_pieces(
        tokens, pieces["images"], config.sequence_length, config.max_images, progress
    )
    packs = int(pack_of.max()) + 1 if len(pack_of) else 0
    by_pack = np.argsort(pack_of, kind="stable")
    arrays = {name: column[by_pack] for name, column in pieces.items()}
    arrays["pack_start"] = np.concatenate(
        [np.zeros(1, np.int64), np.cumsum(np.bincount(pack_of, minlength=packs))]
    )
    for name, column in (("token_counts", tokens), ("image_counts", pieces["images"])):
        arrays[name] = np.bincount(pack_of, weights=column, minlength=packs).astype(np.int32)
    counts["packs"] = packs
    counts["places"] = int(tokens.sum())
    return arrays, counts


def open_plan(
    folder: Path,
    lengths: Lengths,
    config: PlanConfig,
    what: str,
    progress: Callable[[str], None] | None = None,
) -> PackPlan:
    """The plan of lengths: mapped where it was made before, else made and kept.

    Args:
        folder: Where the lengths are kept: its name stands for them.
        lengths: All elements of all samples.
        config: What shapes the plan.
        what: Names the source in messages.
        progress: Told how far it is.

    Raises:
        InputError: Nothing is left to pack.
    """
    values = [f"{name}={value}" for name, value in asdict(config).items()]
    kept = folder / f"plan-{digest('plan', PLAN_VERSION, *values)}"
    if not kept.is_dir():
        begun = time.monotonic()
        arrays, counts = make_plan(lengths, config, progress)
        if not counts["packs"]:
            raise InputError(
                f"{what}: no packed sequence comes of its {counts['documents']} documents "
                f"({_listed(counts)}); take other data, or leave the source out by weight 0"
            )
        facts = {"counts": counts, "fingerprint": hash_arrays(*(arrays[n] for n in _ARRAYS))}
        with publish_folder(kept) as new:
            for name in _ARRAYS:
                np.save(new / f"{name}.npy", arrays[name])
            (new / "plan.json").write_text(json.dumps(facts, sort_keys=True, indent=1) + "\n")
        if progress:
            seconds = max(time.monotonic() - begun, 1e-9)
            progress(f"{what}: {counts['packs']} packs planned, {seconds:.1f} s")
    facts = json.loads((kept / "plan.json").read_text())
    mapped: dict[str, Any] = {name: map_array(kept / f"{name}.npy") for name in _ARRAYS}
    return PackPlan(config, facts["counts"], facts["fingerprint"], **mapped)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in counts.items() if value)
