"""Encoder, connector and decoder as one model: packed sequences in, loss sums out.

Image tokens take the places that the loader left for them; the table of embeddings needs no entry
for an image. Nothing here asks the device for a number, so the host runs ahead of it.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from schemas.errors import RecipeError
from trainer.config import TrainConfig
from trainer.data.batch import MicroBatch
from trainer.data.pictures import PictureSpec
from trainer.model.connectors import build_connector, tokens_of
from trainer.model.decoder import Decoder, build_decoder
from trainer.model.loss import LossSums, chunked_loss
from trainer.model.vision import VisionEncoder, build_vision
from trainer.model.vision_models import vision_shape

if TYPE_CHECKING:
    from trainer.data.tokenizer import TextTokenizer


class Probe(NamedTuple):
    """What `packing_check` looks at: the inside of a forward pass."""

    hidden: Tensor
    """[B, L, D], behind the last norm."""
    logits: Tensor
    """fp32 [B, L, vocabulary], as the loss takes them."""
    own_logits: Tensor
    """The same, by the model of transformers itself."""


class MultimodalModel(nn.Module):
    """A vision-language model in training.

    Attributes:
        image_tokens: Places of an image in a sequence.
        picture: How the loader makes pictures.
    """

    def __init__(
        self, vision: VisionEncoder, connector: nn.Module, decoder: Decoder, image_tokens: int
    ) -> None:
        super().__init__()
        self.vision = vision
        self.connector = connector
        self.decoder = decoder
        self.image_tokens = image_tokens

    @property
    def picture(self) -> PictureSpec:
        """How the loader makes pictures."""
        return self.vision.picture

    def decoder_layers(self) -> nn.ModuleList:
        """The decoder's layers: what `fully_shard` wraps one by one."""
        return self.decoder.layers()

    def encode_images(self, pictures: Tensor) -> Tensor:
        """Pictures uint8 [n, 3, S, S] to image tokens [n, image_tokens, D]."""
        # What is frozen up to some point needs no graph up to there.
        with torch.set_grad_enabled(torch.is_grad_enabled() and _is_trained(self.vision)):
            features = self.vision(pictures)
        trained = features.requires_grad or _is_trained(self.connector)
        with torch.set_grad_enabled(torch.is_grad_enabled() and trained):
            tokens: Tensor = self.connector(features)
        return tokens

    def embed(self, batch: MicroBatch) -> Tensor:
        """Embeddings [B, L, D] of the places of a batch, image tokens put in.

        A batch without a picture is given a black one whose tokens go nowhere: encoder and
        connector then get gradients of zeros, as gradients are reduced over all ranks.
        """
        embeddings = self.decoder.embed(batch.tokens)
        count = len(batch.pictures)
        pictures = batch.pictures
        if not count:
            side = self.picture.side
            pictures = pictures.new_zeros((1, 3, side, side))
        tokens = self.encode_images(pictures)[:count].flatten(0, 1).to(embeddings.dtype)
        places = batch.is_image.flatten()
        torch._assert_async(
            places.sum() == len(tokens), "places of images and image tokens differ in number"
        )
        # Unlike a masked scatter neither pass has to learn sizes from the device, and what the
        # backward pass gathers has one order.
        index = torch.nonzero_static(places, size=len(tokens)).squeeze(1)
        flat = embeddings.flatten(0, 1)
        return flat.index_copy(0, index, tokens).view_as(embeddings)

    def forward(self, batch: MicroBatch, chunk: int, probe: bool = False) -> LossSums | Probe:
        """Loss sums of a micro-batch on the model's device.

        Args:
            batch: Packed sequences.
            chunk: Labels whose logits are in memory at once.
            probe: Give what is inside instead. Here and not in a method of its own, for FSDP
                gathers weights around `forward`.
        """
        embeddings = self.embed(batch)
        hidden = self.decoder(embeddings, batch.positions)
        if probe:
            own = self.decoder.own_logits(embeddings, batch.positions)
            return Probe(hidden, self.decoder.logits(hidden), own)
        return chunked_loss(hidden, batch.labels, self.decoder.logits, chunk, batch.valid)


def image_tokens_of(config: TrainConfig) -> int:
    """Places of an image in a sequence, before anything is built.

    Raises:
        RecipeError: No such encoder, or a number that the connector cannot give.
    """
    return tokens_of(config.connector, vision_shape(config.vision).grid)


def build_model(config: TrainConfig, tokenizer: "TextTokenizer") -> MultimodalModel:
    """The model of a configuration, on the CPU in fp32.

    Random weights are a function of `run.seed`, each part's of its own.

    Raises:
        RecipeError: Parts that cannot be built, or that do not fit each other.
    """
    image_tokens = image_tokens_of(config)
    if image_tokens + 1 > config.data.sequence_length:
        raise RecipeError(
            f"data.sequence_length: {config.data.sequence_length} has no room for the "
            f"{image_tokens} tokens of an image and a text: lower connector.tokens"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.run.seed)
        vision = build_vision(config.vision)
        torch.manual_seed(config.run.seed + 1)
        decoder = build_decoder(config.decoder, tokenizer, config.data.sequence_length)
        torch.manual_seed(config.run.seed + 2)
        connector = build_connector(config.connector, vision.width, decoder.width, vision.grid)
    model = MultimodalModel(vision, connector, decoder, image_tokens)
    if not _is_trained(model):
        raise RecipeError("vision, connector and decoder are frozen: nothing would be trained")
    return model


def _is_trained(module: nn.Module) -> bool:
    return any(each.requires_grad for each in module.parameters())
