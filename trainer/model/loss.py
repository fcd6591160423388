"""Cross-entropy over the labels that count, a chunk of logits in memory at a time.

Of 4,096 places times a vocabulary of 128,000 the logits alone would be 2 GB in fp32, and their
gradient as much. So only places with a label pass through the head, and each chunk's logits are
computed again in the backward pass.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from trainer.data.batch import IGNORE


class LossSums(NamedTuple):
    """Sums of a micro-batch of B packs; the loop divides by the labels of the whole step.

    A tuple, so that FSDP finds the tensors in it.
    """

    loss: Tensor
    """fp32 [B]: cross-entropy summed over the labels of each pack."""
    tokens: Tensor
    """int64 [B]: labels of each pack."""
    z: Tensor
    """fp32 scalar: sum of the squared log-partition over all labels."""


def chunked_loss(
    hidden: Tensor,
    labels: Tensor,
    head: Callable[[Tensor], Tensor],
    chunk: int,
    valid: int = -1,
) -> LossSums:
    """Loss sums of packed sequences.

    Args:
        hidden: [B, L, D].
        labels: int64 [B, L], the token that each place predicts, or IGNORE.
        head: Hidden states [r, D] to fp32 logits [r, vocabulary].
        chunk: Rows whose logits are in memory at once.
        valid: How many labels are not IGNORE; -1: they are counted, for which a GPU is waited for.

    Without any label the head still runs, on nothing, so that its weights get a gradient of zeros.
    """
    packs, length = labels.shape
    counts = labels.ne(IGNORE)
    if valid < 0:
        valid = int(counts.sum())
    # `nonzero` would wait for the device to learn its size.
    rows = torch.nonzero_static(counts.flatten(), size=valid).squeeze(1)
    states = hidden.flatten(0, 1).index_select(0, rows)
    targets = labels.flatten().index_select(0, rows)
    owners = rows // length
    loss = hidden.new_zeros(packs, dtype=torch.float32)
    z = hidden.new_zeros((), dtype=torch.float32)
    for start in range(0, max(valid, 1), chunk):
        piece = slice(start, start + chunk)
        row_loss, row_z = checkpoint(
            _rows_loss,
            states[piece],
            targets[piece],
            head,
            use_reentrant=False,
            preserve_rng_state=False,  # nothing random in a head
        )
        loss = loss + _sums_by_pack(row_loss, owners[piece], packs)
        z = z + row_z.sum()
    return LossSums(loss, counts.sum(1), z)


def _rows_loss(
    states: Tensor, targets: Tensor, head: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Cross-entropy and squared log-partition of each row."""
    logits = head(states)
    partition = logits.logsumexp(-1)
    chosen = logits.gather(1, targets.unsqueeze(1)).squeeze(1)
    # What `cross_entropy` computes, with the one pass over the logits that z needs anyway.
    return partition - chosen, partition.square()


def _sums_by_pack(values: Tensor, owners: Tensor, packs: int) -> Tensor:
    """Sums in a fixed order: an `index_add` on a GPU would add as its threads come."""
    of_pack = owners.unsqueeze(0) == torch.arange(packs, device=owners.device).unsqueeze(1)
    return torch.where(of_pack, values, values.new_zeros(())).sum(1)
