"""Whether a caption names what a scene holds, and how often a captioner's captions do."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.demo.images import SIZES
from pipeline.demo.scenes import COLOURS, SHAPES, Scene, draw_scene, make_scene

HELD_OUT = 300
_AT_A_TIME = 100
_MOST_TOKENS = 40
_WORDS = re.compile(r"[a-z]+")
_SHAPE_WORDS = {shape: shape for shape in SHAPES} | {
    shape + ("es" if shape == "cross" else "s"): shape for shape in SHAPES
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was asked and answered."""

    scenes: int
    right: int
    captions: list[str]

    @property
    def share(self) -> float:
        """Of the scenes that are named rightly."""
        return self.right / self.scenes


def named_things(text: str) -> list[tuple[str, str]]:
    """The (colour, shape) that a text names, sorted, as often as they stand there.

    Named is a colour's word with a shape's, singular or plural, right behind it.
    """
    words = _WORDS.findall(text.lower())
    return sorted(
        (colour, _SHAPE_WORDS[shape])
        for colour, shape in pairwise(words)
        if colour in COLOURS and shape in _SHAPE_WORDS
    )


def names_rightly(scene: Scene, text: str) -> bool:
    """Whether a text names shape and colour of every object of the scene, once, and no other.

    The things alike of a group are one object. Place, relation and number are not judged.
    """
    return named_things(text) == sorted((thing.colour, thing.shape) for thing in scene.objects)


def held_out_scenes(count: int) -> list[tuple[Scene, Image.Image]]:
    """Scenes that no split of the shards holds, as large as the pictures of the crawl."""
    rng = random.Random("captioner/held-out")
    drawn = []
    for _ in range(count):
        scene = make_scene(rng)
        drawn.append((scene, draw_scene(scene, *rng.choice(SIZES))))
    return drawn


def caption_pictures(folder: Path, pictures: Sequence[Image.Image]) -> list[str]:
    """Greedy captions by a LLaVA folder, as `transformers` reads it: nothing of the trainer runs.

    The prompt is the picture alone.
    """
    import torch
    from transformers import AutoProcessor, LlavaForConditionalGeneration

    classes: Any = (AutoProcessor, LlavaForConditionalGeneration)  # they have no types
    processor, model = (each.from_pretrained(str(folder)) for each in classes)
    model.eval()
    captions = []
    for start in range(0, len(pictures), _AT_A_TIME):
        some = list(pictures[start : start + _AT_A_TIME])
        prompts = [processor.image_token] * len(some)
        inputs = processor(images=some, text=prompts, return_tensors="pt")
        with torch.inference_mode():
            made = model.generate(**inputs, max_new_tokens=_MOST_TOKENS, do_sample=False)
        answers = made[:, inputs["input_ids"].shape[1] :]
        captions += processor.batch_decode(answers, skip_special_tokens=True)
    return captions


def judge_captioner(folder: Path, count: int = HELD_OUT) -> Judgement:
    """Captions held-out scenes by a LLaVA folder and counts the right ones."""
    drawn = held_out_scenes(count)
    captions = caption_pictures(folder, [picture for _, picture in drawn])
    judged = zip(drawn, captions, strict=True)
    right = sum(names_rightly(scene, text) for (scene, _), text in judged)
    return Judgement(count, right, captions)
