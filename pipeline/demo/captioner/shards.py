"""What the captioner learns from, as shards: scenes with captions, and texts that fuse.

Each split is drawn from generators named by the split and the number of a chunk, so that splits
have no generator in common and the number of processes changes nothing.
"""

import hashlib
import multiprocessing
import random
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO

from pipeline.demo.captioner import fusions
from pipeline.demo.captioner.drawn import CHUNK, DrawnSample, draw_samples, write_stream
from pipeline.demo.images import SIZES
from pipeline.demo.scenes import SceneObject, caption, draw_scene, make_scene
from schemas.ids import image_key
from schemas.rows import Sample, SampleImage
from schemas.shards import Manifest, sample_key
from transforms.json_columns import canonical_json

STREAM = "captioned"
QUALITY = 90


def _describe(thing: SceneObject) -> dict[str, str]:
    return {"colour": thing.colour, "shape": thing.shape}


def _draw_scene(split: str, number: int, rng: random.Random) -> DrawnSample:
    scene = make_scene(rng)
    width, height = rng.choice(SIZES)
    # Half the size of the crawl's pictures: at the 64 pixels that the model sees nobody sees it,
    # and it costs a third.
    width, height = width // 2, height // 2
    file = BytesIO()
    draw_scene(scene, width, height).save(file, "JPEG", quality=QUALITY)
    picture = file.getvalue()
    text = caption(scene, rng)
    key = sample_key(STREAM, "scene", split, number)
    details = {
        "caption": text,
        "key": key,
        "count": scene.count,
        "kind": scene.kind,
        "objects": [_describe(thing) for thing in scene.objects],
        "position": scene.position,
        "relation": scene.relation,
    }
    found = image_key(hashlib.sha256(picture).hexdigest())
    image = SampleImage(found, "", 0, len(picture), width, height, "jpeg", "RGB", 1, 1)
    json = canonical_json(details)
    return Sample(STREAM, split, 0, key, text, json, len(text), [image]), picture


def draw_chunk(split: str, chunk: int, count: int) -> list[DrawnSample]:
    """The first scenes of one generator."""
    rng = random.Random(f"captioner/{split}/{chunk}")
    return [_draw_scene(split, chunk * CHUNK + number, rng) for number in range(count)]


def write_lessons(output: str, splits: dict[str, int], processes: int = 1) -> list[Manifest]:
    """Write `captioned/` and `text/` below a folder: shards, index and, last, the manifest.

    Args:
        output: Folder or fsspec URL; it takes the place that `OUT/shards` has in a run.
        splits: Scenes of each split, and texts as many.
        processes: They only make it faster.
    """
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context) if processes > 1 else None
    manifests = []
    try:
        for stream, draw in ((STREAM, draw_chunk), (fusions.STREAM, fusions.draw_chunk)):
            drawn = {
                split: draw_samples(draw, split, count, pool)
                for split, count in sorted(splits.items())
            }
            manifests.append(write_stream(output, stream, drawn, str(QUALITY)))
    finally:
        if pool is not None:
            pool.shutdown()
    return manifests
