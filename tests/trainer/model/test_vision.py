"""The encoder gives what open_clip's own trunk has before its last norm."""

from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from schemas.errors import RecipeError
from trainer.config import VisionConfig
from trainer.model.vision import build_vision
from trainer.model.vision_models import TINY, open_clip_name, vision_shape


def pictures(count: int, side: int) -> torch.Tensor:
    noise = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=noise)


def trunk_output(model: Any, prepared: torch.Tensor) -> torch.Tensor:
    """Output of the last block of open_clip's model, seen by a hook in its own forward pass."""
    seen: list[torch.Tensor] = []
    hook = model.visual.transformer.register_forward_hook(
        lambda module, inputs, output: seen.append(output)
    )
    with torch.no_grad():
        model.encode_image(prepared)
    hook.remove()
    return seen[0][:, 1:]


@pytest.mark.parametrize("side", [64, 96])
def test_features_are_those_of_open_clip_before_the_last_norm(side: int) -> None:
    model = open_clip.create_model(open_clip_name(TINY), force_image_size=side).train()
    preprocess = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    given = pictures(3, side)
    prepared = torch.stack(
        [preprocess(Image.fromarray(each.permute(1, 2, 0).numpy())) for each in given]
    )
    encoder = build_vision(VisionConfig(TINY, image_size=side))
    torch.testing.assert_close(encoder.normalize(given), prepared)
    with torch.no_grad():
        features = encoder(given)
    assert features.shape == (3, (side // 16) ** 2, 128)
    torch.testing.assert_close(features, trunk_output(model, prepared))


def test_every_weight_takes_part() -> None:
    encoder = build_vision(VisionConfig(TINY))
    encoder(pictures(2, 64)).square().sum().backward()
    assert [name for name, each in encoder.named_parameters() if each.grad is None] == []
    assert not any("ln_post" in name or name == "proj" for name, _ in encoder.named_parameters())


def test_recomputed_activations_give_the_same_gradients() -> None:
    plain = build_vision(VisionConfig(TINY))
    recomputed = build_vision(VisionConfig(TINY, recompute=True))
    for encoder in (plain, recomputed):
        encoder(pictures(2, 64)).square().sum().backward()
    for one, other in zip(plain.parameters(), recomputed.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_weights_of_another_type_give_features_of_it() -> None:
    encoder = build_vision(VisionConfig(TINY)).to(torch.bfloat16)
    assert encoder(pictures(1, 64)).dtype == torch.bfloat16


def test_frozen_encoder_has_nothing_to_train() -> None:
    encoder = build_vision(VisionConfig(TINY, freeze=True))
    assert not any(each.requires_grad for each in encoder.parameters())


@pytest.mark.parametrize(
    ("model", "size", "side", "grid"),
    [
        ("ViT-L-14-336", 0, 336, 24),
        ("ViT-L-14", 0, 224, 16),
        ("ViT-H-14-378", 0, 378, 27),
        ("ViT-L-14", 378, 378, 27),
        ("ViT-B-16-SigLIP-384", 0, 384, 24),
        (TINY, 0, 64, 4),
    ],
)
def test_shape_is_known_without_weights(model: str, size: int, side: int, grid: int) -> None:
    shape = vision_shape(VisionConfig(model, image_size=size))
    assert (shape.side, shape.grid) == (side, grid)


def test_picture_is_made_as_the_model_was_trained() -> None:
    assert build_vision(VisionConfig(TINY)).picture.resize == "squash"
    # A model of open_clip without a remark is cropped.
    small = build_vision(VisionConfig("ViT-S-32", freeze=True))
    assert (small.picture.side, small.picture.resize, small.picture.interpolation) == (
        224,
        "crop",
        "bicubic",
    )


def test_tower_of_timm_is_stripped_too() -> None:
    encoder = build_vision(VisionConfig("vit_medium_patch16_gap_256"))
    assert not [
        name
        for name, _ in encoder.named_parameters()
        if any(part in name for part in ("attn_pool", "head", "trunk.norm", "fc_norm"))
    ]
    with torch.no_grad():
        assert encoder(pictures(1, 256)).shape == (1, 256, 512)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (VisionConfig("ViT-L-99"), "no model 'ViT-L-99'; near: ViT-L-1"),
        (VisionConfig("ViT-L-14", image_size=225), "no multiple of the 14 pixels"),
        (VisionConfig("ViT-B-16-SigLIP", image_size=384), "at its own size only: 224"),
        (VisionConfig("convnext_base"), "no plain vision transformer"),
        (VisionConfig("RN50"), "is a ResNet"),
        (VisionConfig("local-dir:/nowhere"), "cannot be read"),
    ],
)
def test_model_that_cannot_be_taken_is_refused(config: VisionConfig, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        vision_shape(config)


def test_weights_of_another_activation_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # OpenAI's weights want QuickGELU; open_clip only warns. No weights are needed to see it.
    monkeypatch.setattr("open_clip.factory.download_pretrained", lambda *args, **kwargs: "none.pt")
    with pytest.raises(RecipeError, match="QuickGELU mismatch"):
        build_vision(VisionConfig("ViT-B-32", "openai"))


def test_file_that_holds_no_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.pt").write_bytes(b"nothing")
    with pytest.raises(RecipeError, match="cannot be loaded by open_clip"):
        build_vision(VisionConfig("ViT-S-32", str(tmp_path / "broken.pt")))


def test_tiny_model_takes_no_other_weights() -> None:
    with pytest.raises(RecipeError, match="leave it unset"):
        build_vision(VisionConfig(TINY, "openai"))
