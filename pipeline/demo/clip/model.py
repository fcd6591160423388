"""The tiny CLIP as a folder that open_clip loads: architecture, tokenizer, files."""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.demo.byte_pairs import END, PAD, SPECIAL, train_byte_pairs
from pipeline.demo.clip.pairs import SIDE

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

CONTEXT = 32
"""Tokens of a text with the two that open and end it: the longest caption has 18."""
VOCABULARY = 512
EMBEDDING = 64
WEIGHTS = "open_clip_model.safetensors"
CONFIG = "open_clip_config.json"

_MEAN, _STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)


@dataclass(frozen=True, slots=True)
class TinyClip:
    """A model, its preprocessing and its tokenizer, as open_clip makes them."""

    model: Any
    """open_clip's `CLIP`."""
    preprocess: Any
    """A PIL image to a float tensor [3, SIDE, SIDE]."""
    tokenize: Any
    """Texts to token ids [texts, CONTEXT]."""


def model_config() -> dict[str, Any]:
    """The architecture, as `open_clip_config.json` holds it.

    `pool_type` is `eos`: open_clip's default pools the token with the largest id, which is the end
    token of its own vocabulary and any rare word of another. `squash` keeps what stands at the edge
    of a picture in view; cropping would cut it off.
    """
    model = {
        "embed_dim": EMBEDDING,
        "init_logit_bias": -5.0,
        "vision_cfg": {
            "image_size": SIDE,
            "patch_size": 16,
            "width": 128,
            "layers": 3,
            "head_width": 32,
            "mlp_ratio": 2.0,
        },
        "text_cfg": {
            "context_length": CONTEXT,
            "vocab_size": VOCABULARY,
            # Any name: of a `local-dir:` open_clip takes the tokenizer in the folder itself.
            "hf_tokenizer_name": "weft-tiny-clip",
            "width": 64,
            "heads": 2,
            "layers": 2,
            "pool_type": "eos",
            "pad_id": PAD,
            "eos_id": END,
        },
    }
    picture = {"mean": _MEAN, "std": _STD, "interpolation": "bicubic", "resize_mode": "squash"}
    return {"model_cfg": model, "preprocess_cfg": picture}


def train_tokenizer(texts: Sequence[str]) -> "PreTrainedTokenizerFast":
    """A byte-level BPE of lower-case text: no text is unknown to it, however odd."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = train_byte_pairs(
        texts, VOCABULARY, SPECIAL, "<s> $A </s>", lowercase=True, prefix_space=True
    )
    wrap: Any = PreTrainedTokenizerFast  # it has no types
    wrapped: PreTrainedTokenizerFast = wrap(
        tokenizer_object=tokenizer,
        model_max_length=CONTEXT,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
    )
    return wrapped


def load_tiny_clip(folder: Path) -> TinyClip:
    """Loads a folder in evaluation mode on the CPU; no network is asked.

    Raises:
        FileNotFoundError: there is no such folder, or no configuration in it.
    """
    import open_clip

    name = f"local-dir:{folder}"
    model, _, preprocess = open_clip.create_model_and_transforms(name)
    return TinyClip(model.eval(), preprocess, open_clip.get_tokenizer(name))


def plain_text_tokenizer(clip: TinyClip) -> Callable[[Sequence[str]], "torch.Tensor"]:
    """Tokens as `clip.tokenize` gives them, of texts that need no cleaning, in a third of the time.

    open_clip repairs encodings and entities first, which a drawn caption hardly ever needs. The
    padding of `clip.tokenize`'s own tokenizer is set; it sets it again itself.
    """
    import torch

    tokenizer = clip.tokenize.tokenizer.backend_tokenizer
    tokenizer.enable_truncation(CONTEXT)
    tokenizer.enable_padding(length=CONTEXT, pad_id=PAD, pad_token=SPECIAL[PAD])

    def tokenize(texts: Sequence[str]) -> torch.Tensor:
        return torch.tensor([encoding.ids for encoding in tokenizer.encode_batch(texts)])

    return tokenize


def write_folder(folder: Path, tokenizer: "PreTrainedTokenizerFast", weights: Any) -> None:
    """Writes configuration, tokenizer and, if given, weights; the folder appears whole or not.

    Args:
        folder: replaced where it exists.
        tokenizer: as `train_tokenizer` makes it.
        weights: the state dict of the model, or None for a folder that gives a random model.
    """
    from safetensors.torch import save_file

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        made = Path(temporary) / "made"
        made.mkdir()
        (made / CONFIG).write_text(json.dumps(model_config(), indent=1) + "\n", encoding="utf-8")
        tokenizer.save_pretrained(str(made))
        if weights is not None:
            save_file({name: value.contiguous() for name, value in weights.items()}, made / WEIGHTS)
        for path in made.iterdir():
            path.chmod(0o644)
        if folder.exists():
            folder.rename(Path(temporary) / "former")
        made.rename(folder)
