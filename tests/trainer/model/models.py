"""Small models and batches, made in code."""

from types import SimpleNamespace
from typing import Any

import torch

from trainer.config import ConnectorConfig, DataConfig, DecoderConfig, TrainConfig, VisionConfig
from trainer.data.batch import IGNORE, MicroBatch
from trainer.model.multimodal import MultimodalModel, build_model

VOCABULARY = 96
SIDE = 64
IMAGE_TOKENS = 4
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama_tied": {"model_type": "llama", "tie_word_embeddings": True},
    "qwen2": {},
    "qwen3": {"head_dim": 8},
    "gemma": {"head_dim": 8},
    "gemma2": {"head_dim": 8, "sliding_window": 16},
    "gemma3_text": {"head_dim": 8, "sliding_window": 16, "final_logit_softcapping": 2.0},
    "mistral": {"sliding_window": 16},
    "granite": {"logits_scaling": 4.0, "embedding_multiplier": 3.0},
    "cohere": {"logit_scale": 0.25},
}


def tokenizer(vocabulary: int = VOCABULARY) -> Any:
    return SimpleNamespace(vocabulary=vocabulary, pad=0, eos=1, bos=2)


def decoder_config(family: str = "llama", **fields: Any) -> DecoderConfig:
    chosen = FAMILIES.get(family, {})
    plain = {"model_type": family, **SIZES, **chosen, **fields}
    return DecoderConfig(config=plain, tokenizer="none", attention="auto")


def train_config(**sections: Any) -> TrainConfig:
    """Tiny CLIP, four tokens an image, a Llama of two layers; sections replace those."""
    chosen = {
        "data": DataConfig(sequence_length=128),
        "vision": VisionConfig(model="weft:tiny-clip"),
        "connector": ConnectorConfig(kind="avg_pool", tokens=IMAGE_TOKENS, hidden=32, heads=4),
        "decoder": decoder_config(),
        **sections,
    }
    return TrainConfig(**chosen)


def model_of(**sections: Any) -> MultimodalModel:
    return build_model(train_config(**sections), tokenizer())


def pack(*documents: list[int], length: int, image_tokens: int = IMAGE_TOKENS) -> dict[str, list]:
    """A row of a batch. A document is its ids; -1 stands for a whole image."""
    tokens: list[int] = []
    labels: list[int] = []
    positions: list[int] = []
    images: list[bool] = []
    for document in documents:
        places = [
            place
            for element in document
            for place in ([-1] * image_tokens if element == -1 else [element])
        ]
        following = [*places[1:], -1]
        tokens += [max(place, 0) for place in places]
        labels += [IGNORE if place == -1 else place for place in following]
        positions += range(len(places))
        images += [place == -1 for place in places]
    rest = length - len(tokens)
    assert rest >= 0
    return {
        "tokens": tokens + [0] * rest,
        "labels": labels + [IGNORE] * rest,
        "positions": positions + list(range(rest)),
        "is_image": images + [False] * rest,
    }


def batch_of(*packs: dict[str, list], seed: int = 0) -> MicroBatch:
    """Packs of one length, pictures of noise."""
    rows = {name: torch.tensor([each[name] for each in packs]) for name in packs[0]}
    count = int(rows["is_image"].sum()) // IMAGE_TOKENS
    noise = torch.Generator().manual_seed(seed)
    return MicroBatch(
        step=0,
        micro=0,
        **rows,
        pictures=torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=noise),
        packs=torch.arange(len(packs)),
        sources=torch.zeros(len(packs), dtype=torch.int64),
        used=torch.full((len(packs),), rows["tokens"].shape[1]),
    )


TEXT = [2, 5, 9, 33, 7, 21, 1]
CAPTIONED = [2, -1, 11, 12, 13, 1]
INTERLEAVED = [2, 8, 7, -1, 40, 41, -1, 42, 1]
