"""Pictures and captions that the tiny CLIP learns from and is judged by.

Every set is drawn from a generator named by the set and the number of a chunk, so that training
scenes, held-out scenes and the scenes of a demo crawl come from different generators, and the
number of processes changes nothing.
"""

import multiprocessing
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.demo.images import SIZES
from pipeline.demo.prose import make_article, sentence_with
from pipeline.demo.scenes import Scene, caption, draw_scene, make_scene

SIDE = 64
"""Pixels of the model's square input."""
CHUNK = 500
"""Scenes that one generator draws."""

_NOISE = "<>/'\"();{}[]|=*#_-:!?&%0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class DrawnScenes:
    """Scenes with their pictures, as the model sees them."""

    scenes: list[Scene]
    pictures: npt.NDArray[np.uint8]
    """[scenes, SIDE, SIDE, 3], RGB."""


def _draw_chunk(name: str, chunk: int) -> tuple[list[Scene], npt.NDArray[np.uint8]]:
    rng = random.Random(f"clip/{name}/{chunk}")
    scenes, pictures = [], []
    for _ in range(CHUNK):
        scene = make_scene(rng)
        width, height = rng.choice(SIZES)
        # Half the size of the crawl's pictures: at 64 pixels nobody sees it, and it costs a third.
        picture = draw_scene(scene, width // 2, height // 2)
        # What open_clip's `squash` does.
        picture = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        scenes.append(scene)
        pictures.append(np.asarray(picture))
    return scenes, np.stack(pictures)


def draw_scenes(name: str, count: int, processes: int = 1) -> DrawnScenes:
    """The first `count` scenes of the set `name`; the same whatever `processes` is."""
    chunks = range(-(-count // CHUNK))
    if processes == 1:
        drawn = [_draw_chunk(name, chunk) for chunk in chunks]
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, mp_context=context) as pool:
            drawn = list(pool.map(_draw_chunk, [name] * len(chunks), chunks))
    scenes = [scene for found, _ in drawn for scene in found][:count]
    return DrawnScenes(scenes, np.concatenate([pictures for _, pictures in drawn])[:count])


def _noise(rng: random.Random) -> str:
    return "".join(rng.choice(_NOISE) for _ in range(rng.randint(1, 12)))


def written_caption(scene: Scene, rng: random.Random) -> str:
    """A right caption in one of the forms in which pages carry it.

    Bare; as a sentence; inside a sentence of a paragraph; among signs that mean nothing.
    """
    text = caption(scene, rng)
    form = rng.random()
    if form < 0.5:
        return text
    if form < 0.75:
        return text[0].upper() + text[1:] + "."
    if form < 0.9:
        return sentence_with(rng, text)
    return rng.choice((f"{_noise(rng)} {text}", f"{text} {_noise(rng)}", f'"{text}"'))


def prose_sentences(name: str) -> Iterator[str]:
    """Sentences that describe no picture, for ever, as the articles of a crawl hold them."""
    rng = random.Random(f"clip/{name}/prose")
    while True:
        for paragraph in make_article(rng, "en", 9).paragraphs:
            for sentence in paragraph.split(". "):
                yield sentence.rstrip(".") + "."
