"""Model FLOPs: what the work of a step costs, whatever is computed to do it.

Counted, with a multiply-add as two: matrix products of encoder, connector, decoder layers and head,
forward and backward. Not counted: padding, the places and pictures of fillers, recomputed
activations, norms and activations, the optimizer, the dummy picture. Attention of a decoder counts
the pairs of a place with itself and the places before it in its document (half of the square, and
no more than the window of a layer that slides), that of the encoder all pairs. The head counts
where there is a label, for only there it is computed.

The backward pass costs a product for the gradient of the input, where something before it is
trained, and one for that of the weight, where the weight is.
"""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from trainer.data.batch import IGNORE, MicroBatch
from trainer.model.decoder import Decoder
from trainer.model.multimodal import MultimodalModel
from trainer.model.vision import VisionEncoder


@dataclass(frozen=True)
class Passes:
    """Which products of a part are computed."""

    weights: bool
    """Gradients of its weights."""
    inputs: bool
    """Gradients of its inputs: something before it is trained."""

    @property
    def of_weights(self) -> int:
        """Products of a layer with weights, the forward one included."""
        return 1 + self.weights + self.inputs

    @property
    def of_attention(self) -> int:
        """Products of each of attention's two, of which both sides are inputs."""
        return 3 if self.weights or self.inputs else 1


@dataclass(frozen=True)
class ModelShapes:
    """FLOPs of a model's parts by unit of work, forward and backward."""

    image: float
    """Encoder and connector, a picture."""
    place: float
    """Products with weights of the decoder's layers, a place of a document."""
    pair: float
    """Attention, a pair of places, over the layers that see whole documents."""
    sliding: tuple[tuple[int, float], ...]
    """(window, the same) of the layers that slide."""
    label: float
    """The head, a label."""


@dataclass(frozen=True)
class BatchFacts:
    """The real work in a batch."""

    lengths: npt.NDArray[np.int64]
    """Places of each document with a label: padding and fillers have none."""
    images: int
    """Pictures of these documents."""
    labels: int

    @property
    def places(self) -> int:
        """Places of documents."""
        return int(self.lengths.sum())


def batch_facts(batch: MicroBatch, image_tokens: int) -> BatchFacts:
    """Read from a batch on the CPU, before it goes to a device."""
    starts = (batch.positions == 0).flatten().numpy()
    labels = batch.labels.ne(IGNORE).flatten().numpy()
    images = batch.is_image.flatten().numpy()
    begin = np.flatnonzero(starts)
    lengths = np.diff(np.append(begin, len(starts)))
    labels_of = np.add.reduceat(labels.astype(np.int64), begin)
    images_of = np.add.reduceat(images.astype(np.int64), begin)
    real = labels_of > 0
    return BatchFacts(
        lengths[real], int(images_of[real].sum()) // image_tokens, int(labels_of.sum())
    )


def step_flops(shapes: ModelShapes, facts: BatchFacts) -> float:
    """FLOPs of a batch, forward and backward. Those of a step are the sum over its batches."""
    total = facts.images * shapes.image + facts.places * shapes.place
    total += facts.labels * shapes.label
    total += causal_pairs(facts.lengths) * shapes.pair
    for window, pair in shapes.sliding:
        total += causal_pairs(facts.lengths, window) * pair
    return total


def causal_pairs(lengths: npt.NDArray[np.int64], window: int = 0) -> float:
    """Pairs of a place and one that it sees, the customary half of the square of each length.

    With a window: of the places beyond it each sees `window` places.
    """
    whole = lengths.astype(np.float64)
    if not window:
        return float((whole**2 / 2).sum())
    inside = np.minimum(whole, window)
    return float((inside**2 / 2 + (whole - inside) * window).sum())


def model_shapes(model: MultimodalModel) -> ModelShapes:
    """FLOPs by unit of a model as it was built: before its weights are sharded."""
    vision_trained = _is_trained(model.vision)
    connector_trained = _is_trained(model.connector)
    decoder = model.decoder
    head_trained = decoder.head.weight.requires_grad
    table_trained = decoder.model.get_input_embeddings().weight.requires_grad
    layers_trained = any(each.requires_grad for each in decoder.layers().parameters())
    before_layers = vision_trained or connector_trained or table_trained
    before_head = before_layers or layers_trained
    image = vision_flops(model.vision, Passes(vision_trained, vision_trained))
    image += connector_flops(model.connector, model.vision, vision_trained)
    passes = Passes(layers_trained, before_layers)
    full, sliding = attention_flops(decoder)
    return ModelShapes(
        image=image,
        place=2.0 * weights_used(decoder) * passes.of_weights,
        pair=full * passes.of_attention,
        sliding=tuple((window, flops * passes.of_attention) for window, flops in sliding),
        label=2.0 * decoder.head.weight.numel() * Passes(head_trained, before_head).of_weights,
    )


def vision_flops(vision: VisionEncoder, passes: Passes) -> float:
    """Of a picture: products of the blocks, attention of all places, the first convolution."""
    blocks: Any
    if hasattr(vision.trunk, "transformer"):
        blocks, first, extra = vision.trunk.transformer.resblocks, vision.trunk.conv1, 1
    else:
        trunk = vision.trunk.trunk
        blocks, first, extra = trunk.blocks, trunk.patch_embed.proj, trunk.num_prefix_tokens
    places = vision.patches + extra
    products = 2.0 * places * _matrices(blocks) * passes.of_weights
    attention = 4.0 * places**2 * vision.width * len(blocks) * passes.of_attention
    # The gradient of pixels is nobody's.
    entry = 2.0 * vision.patches * first.weight.numel() * (1 + passes.weights)
    return float(products + attention + entry)


def connector_flops(connector: nn.Module, vision: VisionEncoder, inputs: bool) -> float:
    """Of a picture: torch counts what a copy of the connector does, without memory for it."""
    with torch.device("meta"):
        features = torch.empty(1, vision.patches, vision.width, requires_grad=inputs)
    bare = _without_memory(connector)
    with FlopCounterMode(display=False) as counter:
        tokens = bare(features)
        if tokens.requires_grad:
            tokens.sum().backward()
    return float(counter.get_total_flops())


def weights_used(decoder: Decoder) -> float:
    """Weights that a place is multiplied with in the layers; of experts those it is sent to."""
    config = decoder.model.config
    chosen = getattr(config, "num_experts_per_tok", None) or 0
    total = 0.0
    for each in decoder.layers().parameters():
        if each.dim() == 2:
            total += each.numel()
        elif each.dim() == 3:  # experts, inputs, outputs
            total += each.numel() * min(chosen, len(each)) / len(each)
    return total


def attention_flops(decoder: Decoder) -> tuple[float, list[tuple[int, float]]]:
    """FLOPs of a pair of places, forward: of all full layers, and of each kind that slides."""
    config = decoder.model.config
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or decoder.width // heads
    value_width = getattr(config, "v_head_dim", None) or width
    flops = 2.0 * heads * (width + value_width)
    count = len(decoder.layers())
    window = getattr(config, "sliding_window", None) or 0
    kinds = getattr(config, "layer_types", None)
    if kinds is None:
        kinds = ["sliding_attention" if window else "full_attention"] * count
    slides = sum(kind == "sliding_attention" for kind in kinds) if window else 0
    return (count - slides) * flops, [(window, slides * flops)] if slides else []


def _matrices(blocks: nn.Module) -> int:
    return sum(each.numel() for each in blocks.parameters() if each.dim() >= 2)


def _is_trained(module: nn.Module) -> bool:
    return any(each.requires_grad for each in module.parameters())


def _without_memory(module: nn.Module) -> nn.Module:
    """A copy on the meta device, trained where the module is."""
    memo: dict[int, Any] = {}
    for each in module.parameters():
        bare = nn.Parameter(torch.empty_like(each, device="meta"), requires_grad=each.requires_grad)
        memo[id(each)] = bare
    return copy.deepcopy(module, memo)
