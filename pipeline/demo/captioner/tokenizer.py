"""The small tokenizer that comes with the trainer: captions of scenes and the demo's prose.

It keeps case, has no normaliser and puts no space in front, so decoding gives the very text back.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path

from pipeline.demo.byte_pairs import SPECIAL, train_byte_pairs
from pipeline.demo.clip.pairs import written_caption
from pipeline.demo.languages import LANGUAGES
from pipeline.demo.prose import make_article
from pipeline.demo.scenes import make_scene

VOCABULARY = 1024
IMAGE = "<image>"
"""No text holds it; where the model is exported, it marks the places of an image."""

_CAPTIONS = 4000
_ENGLISH = 300
_FOREIGN = 60
_SENTENCES = 12


def tokenizer_folder() -> Path:
    """Where the trainer looks for it as `weft:tiny`."""
    return Path(__file__).parents[3] / "trainer" / "tokenizers" / "tiny"


def training_texts() -> Iterator[str]:
    """Captions of scenes, then articles in each language of the demo."""
    rng = random.Random("captioner/tokenizer")
    for _ in range(_CAPTIONS):
        yield written_caption(make_scene(rng), rng)
    for language in ("en", *sorted(LANGUAGES)):
        for _ in range(_ENGLISH if language == "en" else _FOREIGN):
            article = make_article(rng, language, _SENTENCES)
            yield article.title
            yield article.text


def write_tokenizer(folder: Path) -> None:
    """Learns the tokenizer and writes it as `transformers.AutoTokenizer` and vLLM read it."""
    tokenizer = train_byte_pairs(
        training_texts(), VOCABULARY, (*SPECIAL, IMAGE), "<s> $A", lowercase=False,
        prefix_space=False,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=True)
    # The class name that every release of transformers knows, where `save_pretrained` writes the
    # newest one's.
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "image_token": IMAGE,
        "extra_special_tokens": {"image_token": IMAGE},
        "clean_up_tokenization_spaces": False,
        "model_max_length": 1_000_000,
    }
    text = json.dumps(config, indent=1, sort_keys=True) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
