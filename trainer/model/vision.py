"""The image encoder: pictures to one feature a patch.

Features are the output of the last block, before the closing norm and without the class token: what
LLaVA models of Hugging Face and vLLM take with `vision_feature_layer = -1`. Everything behind it is
removed, so that each weight that is left takes part in the loss.
"""

from typing import Any

import torch
from torch import Tensor, nn

from schemas.errors import RecipeError
from trainer.config import VisionConfig
from trainer.data.pictures import PictureSpec
from trainer.model.vision_models import load_clip, picture_spec, preprocess_of, vision_shape


class VisionEncoder(nn.Module):
    """A vision transformer of open_clip.

    Attributes:
        picture: How the loader makes pictures for it.
        grid: Patches along a side.
        width: Width of a feature.
    """

    trunk: Any

    def __init__(self, trunk: nn.Module, picture: PictureSpec, grid: int, width: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.picture = picture
        self.grid = grid
        self.width = width
        preprocess = preprocess_of(trunk)
        self.mean = tuple(float(value) for value in preprocess.mean)
        self.std = tuple(float(value) for value in preprocess.std)

    @property
    def patches(self) -> int:
        """Features of a picture."""
        return self.grid**2

    def normalize(self, pictures: Tensor) -> Tensor:
        """As ToTensor and Normalize of torchvision: uint8 [n, 3, S, S] to fp32, on its device."""
        # Three numbers a channel as scalars: a tensor of them would be one more copy to the device,
        # and a buffer would be lost where modules are made without memory.
        scaled = pictures.float() / 255
        channels = [
            (scaled[:, channel] - mean) / std
            for channel, (mean, std) in enumerate(zip(self.mean, self.std, strict=True))
        ]
        return torch.stack(channels, dim=1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures uint8 [n, 3, S, S] to features [n, patches, width], of the weights' type."""
        dtype = next(self.trunk.parameters()).dtype
        features: Tensor = self.trunk.forward_intermediates(
            self.normalize(pictures).to(dtype),
            indices=1,
            normalize_intermediates=False,
            intermediates_only=True,
            output_fmt="NLC",
        )["image_intermediates"][0]
        # Not a view into the output with the class token: FSDP warns of views at a unit's end.
        return features.clone()


def build_vision(config: VisionConfig) -> VisionEncoder:
    """The encoder of a configuration, on the CPU in fp32; frozen where it says so.

    Raises:
        RecipeError: No such model or weights, or a size that it cannot take.
    """
    shape = vision_shape(config)
    tower: Any = load_clip(config)
    picture = picture_spec(tower, shape.side)
    if shape.is_timm:
        width = _strip_timm(tower)
    elif isinstance(tower, _own_vit()):
        width = _strip(tower)
    else:
        raise RecipeError(f"vision.model: {config.model} is a {type(tower).__name__}, not a ViT")
    tower.set_grad_checkpointing(config.recompute)
    encoder = VisionEncoder(tower, picture, shape.grid, width)
    if config.freeze:
        encoder.requires_grad_(False)
    return encoder


def _own_vit() -> type[nn.Module]:
    from open_clip.transformer import VisionTransformer

    found: type[nn.Module] = VisionTransformer
    return found


def _strip(tower: Any) -> int:
    """Remove what stands behind the last block of open_clip's own ViT."""
    tower.ln_post = nn.Identity()
    tower.proj = None
    tower.attn_pool = None
    tower.attn_pool_contrastive = None
    return int(tower.transformer.width)


def _strip_timm(tower: Any) -> int:
    """The same of a ViT of timm."""
    tower.trunk.prune_intermediate_layers(1, prune_norm=True, prune_head=True)
    tower.head = nn.Identity()
    return int(tower.trunk.embed_dim)
