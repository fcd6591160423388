"""Does a decoder keep packed documents apart? It is asked, not believed.

Whether restarting positions separate documents depends on the family, on its version in
transformers and on the implementation of attention, and nothing tells when they do not: the loss
looks fine. So at start-up the model sees two packs of the same two documents, whole and with one of
them altered, and is refused where anything reaches across. The same passes show whether the head
that the loss uses is the model's own.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from schemas.errors import RecipeError
from trainer.data.batch import IGNORE, MicroBatch
from trainer.model.multimodal import MultimodalModel, Probe

_FIRST, _SECOND, _LENGTH = 40, 56, 128
"""Places of the two documents and of the pack: a multiple of the blocks of flex_attention."""
_TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 1e-2}
"""Of the largest value. A leak is hundreds of times larger; rounding may differ where the rows of a
mixture of experts are dealt in another order."""
_SHIFTED = 100.0
"""The same document elsewhere in a pack is other rows of the same kernels, and rotated by angles
that are rounded alike: it may differ by this many tolerances."""


def check_decoder(model: nn.Module, device: torch.device) -> None:
    """Refuse a decoder that mixes documents, looks ahead, or whose logits are not what we think.

    Call it once the weights are where they are trained; with FSDP on every rank.

    Args:
        model: A `MultimodalModel`, wrapped or not.
        device: Where it computes.

    Raises:
        RecipeError: The decoder leaks, or its head is not plain; the message names it.
    """
    was_training = model.training
    model.eval()  # dropout would be a difference of its own
    try:
        with torch.no_grad():
            _check(model, device)
    finally:
        model.train(was_training)


def _check(model: nn.Module, device: torch.device) -> None:
    decoder = _unwrapped(model).decoder
    name = f"decoder: {type(decoder.model).__name__} with attention {_attention(decoder.model)}"
    batch = _packs(decoder.vocabulary).to(device)
    clean: Probe = model(batch, 1, True)
    tolerance = _TOLERANCE[clean.hidden.dtype]
    first, second = slice(0, _FIRST), slice(_FIRST, _FIRST + _SECOND)
    altered: Probe = model(_alter(batch, first, decoder.vocabulary), 1, True)
    if not _same(clean.hidden[0, second], altered.hidden[0, second], tolerance):
        raise RecipeError(
            f"{name}: documents of a pack see each other: a change in one alters the next. This "
            "model cannot be trained packed; take another (Llama, Qwen, Gemma and Mistral keep "
            "them apart), or another decoder.attention"
        )
    if _same(clean.hidden[0, first], altered.hidden[0, first], tolerance):
        raise RecipeError(f"{name}: its hidden states do not depend on its input")
    last = slice(_FIRST - 1, _FIRST)
    ahead: Probe = model(_alter(batch, last, decoder.vocabulary), 1, True)
    before = slice(0, _FIRST - 1)
    if not _same(clean.hidden[0, before], ahead.hidden[0, before], tolerance):
        raise RecipeError(f"{name}: a place sees what follows it: this is no causal model")
    moved = clean.hidden[1, :_SECOND]
    if not _same(clean.hidden[0, second], moved, tolerance * _SHIFTED):
        raise RecipeError(
            f"{name}: a document is read differently where it stands later in a pack: this model "
            "does not use the positions it is given"
        )
    real = slice(0, _FIRST + _SECOND)
    if not _same(clean.own_logits[:, real], clean.logits[:, real], max(tolerance, 1e-4)):
        raise RecipeError(
            f"{name}: does more to its logits than its head, a factor and a soft cap: its loss "
            "would be wrong"
        )


def _unwrapped(model: nn.Module) -> MultimodalModel:
    for each in model.modules():
        if isinstance(each, MultimodalModel):
            return each
    raise TypeError(f"{type(model).__name__} holds no MultimodalModel")


def _attention(model: Any) -> str:
    return str(getattr(model.config, "_attn_implementation", "unknown"))


def _packs(vocabulary: int) -> MicroBatch:
    """Two documents, first then second, and in the other order; no labels, no pictures."""
    ids = (torch.arange(_FIRST + _SECOND) * 7919 + 13) % vocabulary
    first, second = ids[:_FIRST], ids[_FIRST:]
    rest = _LENGTH - len(ids)
    padding = ids.new_zeros(rest)
    runs = [torch.arange(count) for count in (_FIRST, _SECOND, rest)]
    return MicroBatch(
        step=0,
        micro=0,
        tokens=torch.stack(
            (torch.cat((first, second, padding)), torch.cat((second, first, padding)))
        ),
        labels=torch.full((2, _LENGTH), IGNORE),
        positions=torch.stack((torch.cat(runs), torch.cat((runs[1], runs[0], runs[2])))),
        is_image=torch.zeros(2, _LENGTH, dtype=torch.bool),
        pictures=torch.zeros(0, 3, 1, 1, dtype=torch.uint8),
        packs=torch.zeros(2, dtype=torch.int64),
        sources=torch.zeros(2, dtype=torch.int64),
        used=torch.full((2,), _FIRST + _SECOND),
    )


def _alter(batch: MicroBatch, places: slice, vocabulary: int) -> MicroBatch:
    tokens = batch.tokens.clone()
    tokens[0, places] = (tokens[0, places] + vocabulary // 2) % vocabulary
    return replace(batch, tokens=tokens)


def _same(one: Tensor, other: Tensor, tolerance: float) -> bool:
    one, other = one.float(), other.float()
    allowed = tolerance * float(one.abs().max())
    return float((one - other).abs().max()) <= allowed
