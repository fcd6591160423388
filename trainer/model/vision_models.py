"""Which image encoder a configuration means: its shape, how pictures are made for it, its weights.

Shapes are read from configurations alone, so that packs can be planned before anything is built.
The encoders are those of open_clip; `weft:tiny-clip` is the folder of the small one that comes with
the pipeline, found as a path beside the installed package `transforms`, which is not imported.
"""

import warnings
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.transform import PreprocessCfg
from torch import nn

from schemas.errors import RecipeError
from trainer.config import VisionConfig
from trainer.data.pictures import PictureSpec

TINY = "weft:tiny-clip"
LOCAL, HUB = "local-dir:", "hf-hub:"
_RESIZE = {"shortest": "crop", "longest": "pad", "squash": "squash"}
# Instead of the text tower of a model whose weights are random: it is thrown away unused.
_NO_TEXT = {"context_length": 4, "vocab_size": 8, "width": 8, "heads": 1, "layers": 1}


@dataclass(frozen=True)
class VisionShape:
    """What is known of an encoder before it is built."""

    side: int
    """Pixels of the square input."""
    native_side: int
    """Pixels of what it was trained with."""
    patch: int
    """Pixels of a patch's side."""
    is_timm: bool

    @property
    def grid(self) -> int:
        """Patches along a side."""
        return self.side // self.patch


def open_clip_name(model: str) -> str:
    """The name that open_clip knows a model by.

    Raises:
        RecipeError: The tiny model is asked for, and the package that brings it is not installed.
    """
    if model != TINY:
        return model
    # A top-level package is found without being imported.
    spec = find_spec("transforms")
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    for place in places:
        folder = Path(place) / "models" / "tiny_clip"
        if (folder / "open_clip_config.json").is_file():
            return f"{LOCAL}{folder}"
    raise RecipeError(f"vision.model: {TINY} comes with the package `transforms`, which is missing")


def vision_shape(config: VisionConfig) -> VisionShape:
    """Size and grid of an encoder, from its configuration.

    Raises:
        RecipeError: No such model, one without patches, or a size that it cannot take.
    """
    vision = _model_config(config.model)["vision_cfg"]
    native = _one_side(vision.get("image_size", 224), config.model)
    timm_name = vision.get("timm_model_name")
    if timm_name is None and isinstance(vision.get("layers", 12), list | tuple):
        raise RecipeError(f"vision.model: {config.model} is a ResNet: it gives no patches")
    patch = _timm_patch(timm_name, config.model) if timm_name else vision.get("patch_size", 16)
    patch = _one_side(patch, config.model)
    side = config.image_size or native
    if timm_name and side != native:
        raise RecipeError(
            f"vision.image_size: {config.model} is built on timm and taken at its own size only: "
            f"{native}, not {side}; use 0, or a model of open_clip's own (ViT-L-14-336)"
        )
    if side % patch and side != native:
        raise RecipeError(
            f"vision.image_size: {side} is no multiple of the {patch} pixels of a patch of "
            f"{config.model}"
        )
    return VisionShape(side, native, patch, bool(timm_name))


def load_clip(config: VisionConfig) -> nn.Module:
    """The image tower of open_clip on the CPU in fp32, weights loaded, embeddings interpolated.

    The text tower is dropped; where weights are random it is not even built in full.

    Raises:
        RecipeError: Weights that are not there or do not fit.
    """
    shape = vision_shape(config)
    name = open_clip_name(config.model)
    is_folder = name.startswith((LOCAL, HUB))
    if is_folder and config.pretrained:
        raise RecipeError(f"vision.pretrained: {config.model} has its weights; leave it unset")
    has_weights = is_folder or bool(config.pretrained)
    options: dict[str, Any] = {} if has_weights else {"text_cfg": dict(_NO_TEXT)}
    if shape.side != shape.native_side:
        options["force_image_size"] = shape.side
    try:
        with warnings.catch_warnings():
            # An activation that is not the one of the weights would only be warned of.
            warnings.filterwarnings("error", message="QuickGELU mismatch")
            model = open_clip.create_model(
                name,
                pretrained=config.pretrained or None,
                load_weights=has_weights,
                pretrained_text=False,
                force_patch_dropout=None if shape.is_timm else 0.0,
                require_pretrained=has_weights,
                weights_only=True,
                **options,
            )
    except Exception as error:  # anything, of files that are no model
        raise RecipeError(
            f"vision.model: {config.model!r}, pretrained {config.pretrained!r}: cannot be loaded "
            f"by open_clip: {type(error).__name__}: {str(error)[:300]}"
        ) from error
    tower: nn.Module = model.visual
    return tower


def preprocess_of(tower: Any) -> PreprocessCfg:
    """How open_clip prepares pictures for a tower that `load_clip` gave."""
    return PreprocessCfg(**tower.preprocess_cfg)


def picture_spec(tower: nn.Module, side: int) -> PictureSpec:
    """The same for the loader; mean and spread stay with the encoder."""
    preprocess = preprocess_of(tower)
    resize = _RESIZE[preprocess.resize_mode]
    return PictureSpec(side, resize, preprocess.interpolation, preprocess.fill_color)


def _model_config(model: str) -> dict[str, Any]:
    name = open_clip_name(model)
    try:
        found = open_clip.get_model_config(name)
    except Exception as error:  # no folder, no network, no JSON
        raise RecipeError(
            f"vision.model: {model}: its configuration cannot be read: "
            f"{type(error).__name__}: {str(error)[:300]}"
        ) from error
    if found is None or "vision_cfg" not in found:
        near = get_close_matches(name, open_clip.list_models(), 5)
        raise RecipeError(
            f"vision.model: open_clip has no model {model!r}; near: {', '.join(near) or 'none'}"
        )
    config: dict[str, Any] = found
    return config


def _one_side(value: Any, model: str) -> int:
    if isinstance(value, int):
        return value
    sides = set(value)
    if len(sides) != 1:
        raise RecipeError(f"vision.model: {model} takes pictures or patches that are no squares")
    return int(sides.pop())


def _timm_patch(timm_name: str, model: str) -> Any:
    import timm

    with torch.device("meta"):
        trunk = timm.create_model(timm_name, pretrained=False)
    if not isinstance(trunk, timm.models.vision_transformer.VisionTransformer):
        raise RecipeError(f"vision.model: {model}: {timm_name} is no plain vision transformer")
    return trunk.patch_embed.patch_size
