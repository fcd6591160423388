"""What a rank computes at once, as the loader makes it and the model takes it."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

IGNORE = -100
"""Label of a position that carries no loss."""
_TENSORS = (
    "tokens", "labels", "positions", "is_image", "pictures", "packs", "sources", "used",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BadSample:
    """A sample with content that does not decode, in whose place a filler stands."""

    source: str
    shard: str
    key: str
    error: str
    """Name of the error's type."""
    message: str


@dataclass(slots=True)
class MicroBatch:
    """Packed sequences. B packs of L tokens, n images.

    A document is a run of positions 0, 1, 2, ...; the padding at the end of a pack is one more run.
    """

    step: int
    micro: int
    """Number of the micro-step within the step."""
    tokens: "torch.Tensor"
    """int64 [B, L]: ids of text tokens; of an image's positions and of padding the padding id."""
    labels: "torch.Tensor"
    """int64 [B, L]: the token that follows, where it is text of the same document; else IGNORE."""
    positions: "torch.Tensor"
    """int64 [B, L]: restart at 0 with each document and with the padding."""
    is_image: "torch.Tensor"
    """bool [B, L]: places of image tokens; n x tokens-an-image of them."""
    pictures: "torch.Tensor"
    """uint8 [n, 3, S, S], RGB, in the order of their places: pack by pack, left to right."""
    packs: "torch.Tensor"
    """int64 [B]: positions of the packs in the global order."""
    sources: "torch.Tensor"
    """int64 [B]: number of each pack's source, in the order of the configuration."""
    used: "torch.Tensor"
    """int64 [B]: places of documents; the rest of a pack is padding."""
    bad: list[BadSample] = field(default_factory=list)
    read_bytes: int = 0
    """Of tar members."""
    valid: int = -1
    """Labels that are not IGNORE; -1: not counted yet. `to` counts them before they leave the CPU:
    to ask a GPU for a number is to wait for it."""

    def to(self, device: "torch.device") -> "MicroBatch":
        """The same on a device; copies do not block where memory is pinned."""
        valid = self.valid
        if valid < 0 and self.labels.device.type == "cpu":
            valid = int(self.labels.ne(IGNORE).sum())
        moved = {name: getattr(self, name).to(device, non_blocking=True) for name in _TENSORS}
        return replace(self, **moved, valid=valid)

    def pin_memory(self) -> "MicroBatch":
        """The same in memory that a GPU copies from; torch's DataLoader calls it."""
        return replace(self, **{name: getattr(self, name).pin_memory() for name in _TENSORS})
