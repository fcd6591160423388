"""Model FLOPs against torch's own counter, on one document without padding."""

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests.trainer.model.models import IMAGE_TOKENS, SIZES, batch_of, decoder_config, model_of, pack
from trainer.config import ConnectorConfig, DecoderConfig, VisionConfig
from trainer.model.flops import batch_facts, causal_pairs, model_shapes, step_flops

LONG = [2, -1, *range(5, 60), -1, *range(10, 44), 1]
"""With its two images of four tokens 99 places; 91 labels are left."""


def counted(model: torch.nn.Module, length: int) -> float:
    """FLOPs of torch, which counts the whole square of attention, and does not know the fused
    attention of CPUs."""
    batch = batch_of(pack(LONG, length=length))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(batch, 1000).loss.sum().backward()
    return float(counter.get_total_flops())


@pytest.mark.parametrize(
    ("kind", "frozen"),
    [
        ("c_abstractor", ()),
        ("avg_pool", ()),
        ("q_former", ()),
        ("perceiver", ("vision",)),
        ("perceiver", ("decoder",)),
        ("c_abstractor", ("vision", "connector")),
        ("c_abstractor", ("vision", "decoder")),
    ],
)
def test_flops_are_those_that_torch_counts(kind: str, frozen: tuple[str, ...]) -> None:
    model = model_of(
        vision=VisionConfig("weft:tiny-clip", freeze="vision" in frozen),
        connector=ConnectorConfig(
            kind, IMAGE_TOKENS, hidden=32, depth=1, heads=4, freeze="connector" in frozen
        ),
        decoder=DecoderConfig(config=decoder_config().config, freeze="decoder" in frozen),
    ).train()
    places = len(LONG) + 2 * (IMAGE_TOKENS - 1)
    batch = batch_of(pack(LONG, length=places))
    facts = batch_facts(batch, IMAGE_TOKENS)
    assert (facts.places, facts.images) == (places, 2)
    shapes = model_shapes(model)
    ours = step_flops(shapes, facts)
    ours += causal_pairs(facts.lengths) * shapes.pair  # the half that nobody needs
    # The logits of the one chunk are computed again in the backward pass.
    recomputed = 2.0 * facts.labels * model.decoder.head.weight.numel()
    assert counted(model, places) == pytest.approx(ours + recomputed, rel=0.02)


def test_padding_fillers_and_their_pictures_are_no_work() -> None:
    plain = batch_facts(batch_of(pack(LONG, length=99)), IMAGE_TOKENS)
    padded = batch_of(pack(LONG, [2, -1], length=128), pack([0, 0, 0], length=128))
    padded.labels[1] = -100
    facts = batch_facts(padded, IMAGE_TOKENS)
    assert (facts.places, facts.images, facts.labels) == (plain.places, 2, plain.labels)
    assert facts.lengths.tolist() == [99]


def test_documents_count_by_the_square_of_their_own_length() -> None:
    assert causal_pairs(np.array([4, 6])) == (16 + 36) / 2
    assert causal_pairs(np.array([4, 100]), window=10) == 8 + 50 + 900


def test_sliding_layers_and_experts_count_what_they_see() -> None:
    gemma = model_shapes(model_of(decoder=decoder_config("gemma3_text")))
    assert gemma.sliding[0][0] == 16
    experts = {
        "model_type": "qwen3_moe",
        **SIZES,
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 24,
    }
    model = model_of(decoder=DecoderConfig(config=experts))
    dense = 2 * sum(p.numel() for p in model.decoder.layers().parameters() if p.dim() == 2)
    whole = 2 * sum(p.numel() for p in model.decoder.layers().parameters() if p.dim() == 3)
    assert model_shapes(model).place == 3 * (dense + whole / 4)
