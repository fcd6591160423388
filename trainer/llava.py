"""A trained model as Hugging Face's LLaVA: names of weights, configuration, processor.

Names are those of the first LLaVA checkpoints (`vision_tower.vision_model.*`,
`language_model.model.*`): vLLM wants them and transformers reads them.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from trainer.model.connectors import MlpConnector

if TYPE_CHECKING:
    from transformers import LlavaConfig

    from trainer.model.multimodal import MultimodalModel

IMAGE_TOKEN = "<image>"
_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_BICUBIC, _BILINEAR = 3, 2
"""Numbers of Pillow's filters."""

# Texts and pictures in reading order and nothing else: the model has seen no dialogue.
CHAT_TEMPLATE = (
    "{{ bos_token or '' }}{% for message in messages %}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] in ('image', 'image_url') %}"
    + IMAGE_TOKEN
    + "{% elif part['type'] == 'text' %}"
    "{{ part['text'] }}{% endif %}{% endfor %}{% endif %}{% endfor %}"
)


def activation_name(module: nn.Module) -> str | None:
    """What transformers calls an activation of open_clip; None where it has no such one."""
    from open_clip.transformer import QuickGELU

    if isinstance(module, QuickGELU):
        return "quick_gelu"
    if isinstance(module, nn.GELU):
        return "gelu" if module.approximate == "none" else "gelu_pytorch_tanh"
    return None


def obstacle(model: "MultimodalModel") -> str | None:
    """Why a model cannot be written as LLaVA; None where it can."""
    from open_clip.transformer import ResidualAttentionBlock, VisionTransformer

    if not isinstance(model.connector, MlpConnector):
        return "its connector is not `mlp`"
    trunk: Any = model.vision.trunk
    if not isinstance(trunk, VisionTransformer):
        return "its encoder is not open_clip's own ViT"
    plain = isinstance(trunk.ln_pre, nn.LayerNorm) and all(
        isinstance(block, ResidualAttentionBlock)
        and isinstance(block.ls_1, nn.Identity)
        and activation_name(block.mlp.gelu) is not None
        for block in trunk.transformer.resblocks
    )
    if not plain or trunk.conv1.bias is not None:
        return "its encoder's blocks are not those of CLIP"
    if model.picture.resize not in ("squash", "crop"):
        return "its pictures are padded, which CLIP's processor does not do"
    decoder: Any = model.decoder.model
    if decoder.base_model_prefix != "model" or not hasattr(decoder, "lm_head"):
        return f"LLaVA takes no {type(decoder).__name__} as its language model"
    return None


def vision_weights(trunk: Any) -> dict[str, Tensor]:
    """Weights of open_clip's ViT under the names of `CLIPVisionModel`."""
    found = {
        "embeddings.class_embedding": trunk.class_embedding,
        "embeddings.patch_embedding.weight": trunk.conv1.weight,
        "embeddings.position_embedding.weight": trunk.positional_embedding,
        "pre_layrnorm.weight": trunk.ln_pre.weight,
        "pre_layrnorm.bias": trunk.ln_pre.bias,
    }
    for number, block in enumerate(trunk.transformer.resblocks):
        place = f"encoder.layers.{number}"
        # One matrix for queries, keys and values in torch, one each in transformers.
        for kind, value in (
            ("weight", block.attn.in_proj_weight),
            ("bias", block.attn.in_proj_bias),
        ):
            for name, part in zip("qkv", value.chunk(3), strict=True):
                found[f"{place}.self_attn.{name}_proj.{kind}"] = part
        for ours, theirs in _BLOCK.items():
            layer = block.get_submodule(ours)
            found[f"{place}.{theirs}.weight"] = layer.weight
            found[f"{place}.{theirs}.bias"] = layer.bias
    # Behind what LLaVA takes; transformers would warn of its absence.
    found["post_layernorm.weight"] = torch.ones_like(trunk.ln_pre.weight)
    found["post_layernorm.bias"] = torch.zeros_like(trunk.ln_pre.bias)
    return found


def with_row(weight: Tensor, row: int) -> Tensor:
    """A table with at least `row` + 1 rows; new ones are the mean of all.

    The logit of a mean row is the mean of all logits, so it is never the largest.
    """
    missing = row + 1 - len(weight)
    if missing <= 0:
        return weight
    mean = weight.float().mean(dim=0, keepdim=True).to(weight.dtype)
    return torch.cat([weight, mean.expand(missing, -1)])


def llava_weights(model: "MultimodalModel", image_token: int) -> dict[str, Tensor]:
    """All weights under LLaVA's names; a head that shares the embeddings is left out."""
    found = {
        f"vision_tower.vision_model.{name}": value
        for name, value in vision_weights(model.vision.trunk).items()
    }
    for name, value in model.connector.state_dict().items():
        found[f"multi_modal_projector.{name}"] = value
    decoder: Any = model.decoder.model
    tied = decoder.get_input_embeddings().weight is decoder.get_output_embeddings().weight
    for name, value in decoder.state_dict().items():
        if name in ("lm_head.weight", "model.embed_tokens.weight"):
            if name == "lm_head.weight" and tied:
                continue
            value = with_row(value, image_token)
        found[f"language_model.{name}"] = value
    return {name: value.detach() for name, value in found.items()}


def llava_config(model: "MultimodalModel", image_token: int, rows: int) -> "LlavaConfig":
    """The configuration; `rows` is the size of the embeddings' table."""
    from transformers import CLIPVisionConfig, LlavaConfig

    trunk: Any = model.vision.trunk
    block = trunk.transformer.resblocks[0]
    vision = CLIPVisionConfig(
        hidden_size=model.vision.width,
        intermediate_size=block.mlp.c_fc.out_features,
        num_hidden_layers=len(trunk.transformer.resblocks),
        num_attention_heads=block.attn.num_heads,
        image_size=model.picture.side,
        patch_size=trunk.conv1.kernel_size[0],
        hidden_act=activation_name(block.mlp.gelu) or "",
        layer_norm_eps=block.ln_1.eps,
    )
    decoder: Any = model.decoder.model
    text = {**decoder.config.to_dict(), "vocab_size": rows}
    tied = decoder.get_input_embeddings().weight is decoder.get_output_embeddings().weight
    return LlavaConfig(
        vision_config=vision.to_dict(),
        text_config=text,
        image_token_index=image_token,
        image_seq_length=model.image_tokens,
        projector_hidden_act="gelu",
        multimodal_projector_bias=True,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=tied,
        architectures=["LlavaForConditionalGeneration"],
    )


def image_processor_config(model: "MultimodalModel") -> dict[str, Any]:
    """`preprocessor_config.json`: pictures as the encoder saw them in training."""
    side = model.picture.side
    square = {"height": side, "width": side}
    crops = model.picture.resize == "crop"
    return {
        "image_processor_type": "CLIPImageProcessor",
        "processor_class": "LlavaProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": side} if crops else square,
        "resample": _BICUBIC if model.picture.interpolation == "bicubic" else _BILINEAR,
        "do_center_crop": crops,
        "crop_size": square,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(model.vision.mean),
        "image_std": list(model.vision.std),
    }


def processor_config(model: "MultimodalModel") -> dict[str, Any]:
    """`processor_config.json`: how `<image>` becomes the places of a picture."""
    trunk: Any = model.vision.trunk
    return {
        "processor_class": "LlavaProcessor",
        "image_token": IMAGE_TOKEN,
        "patch_size": trunk.conv1.kernel_size[0],
        "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
    }
