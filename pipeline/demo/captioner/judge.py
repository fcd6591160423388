"""Whether a caption names what a scene holds, and how often a captioner's captions do."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.demo.captioner.fusions import TEMPLATE
from pipeline.demo.credits import make_credit, with_credit
from pipeline.demo.images import SIZES
from pipeline.demo.scenes import COLOURS, SHAPES, Scene, caption, draw_scene, make_scene
from pipeline.demo.words import LISTS
from recaptioner.prompts import render

HELD_OUT = 300
FUSED = 100
_AT_A_TIME = 100
_MOST_TOKENS = 64
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


class LlavaFolder:
    """A LLaVA folder as `transformers` reads it: nothing of the trainer runs."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoProcessor, LlavaForConditionalGeneration

        classes: Any = (AutoProcessor, LlavaForConditionalGeneration)  # they have no types
        self._processor, model = (each.from_pretrained(str(folder)) for each in classes)
        self._model = model.eval()

    def describe(self, pictures: Sequence[Image.Image]) -> list[str]:
        """Greedy captions; the prompt is the picture alone."""
        captions: list[str] = []
        for start in range(0, len(pictures), _AT_A_TIME):
            some = list(pictures[start : start + _AT_A_TIME])
            prompts = [self._processor.image_token] * len(some)
            captions += self._answer(images=some, text=prompts)
        return captions

    def fuse(self, pairs: Sequence[tuple[str, str]]) -> list[str]:
        """Greedy fusions of (alt text, description)."""
        prompts = [render(TEMPLATE, alt=alt, description=said).user for alt, said in pairs]
        # One at a time: prompts of other lengths would have to be padded.
        return [self._answer(text=[prompt])[0] for prompt in prompts]

    def _answer(self, **asked: Any) -> list[str]:
        import torch

        inputs = self._processor(**asked, return_tensors="pt")
        with torch.inference_mode():
            made = self._model.generate(**inputs, max_new_tokens=_MOST_TOKENS, do_sample=False)
        answers = made[:, inputs["input_ids"].shape[1] :]
        found: list[str] = self._processor.batch_decode(answers, skip_special_tokens=True)
        return found


def judge_captioner(model: LlavaFolder, count: int = HELD_OUT) -> Judgement:
    """Captions held-out scenes and counts those whose things are named rightly."""
    drawn = held_out_scenes(count)
    captions = model.describe([picture for _, picture in drawn])
    judged = zip(drawn, captions, strict=True)
    right = sum(names_rightly(scene, text) for (scene, _), text in judged)
    return Judgement(count, right, captions)


def judge_fusions(model: LlavaFolder, count: int = FUSED) -> Judgement:
    """Fuses alt texts with people of the demo, and counts those that keep name, number, things."""
    rng = random.Random("captioner/held-out fusions")
    pairs, wanted = [], []
    for _ in range(count):
        scene, credit = make_scene(rng), make_credit(rng, LISTS["name"])
        description = caption(scene, rng)
        pairs.append((with_credit(rng, caption(scene, rng), credit), description))
        wanted.append((scene, credit))
    fused = model.fuse(pairs)
    right = sum(
        credit.name in text and credit.number in text and names_rightly(scene, text)
        for (scene, credit), text in zip(wanted, fused, strict=True)
    )
    return Judgement(count, right, fused)
