"""One side of `make bench-score` in a process of its own, that loads its model once.

Side `ours` measures `forward`: the model alone on ready tensors; `decode`: packs to prepared
pictures, no model; `images`, `texts`: the part function of stage `score`. Side `naive` measures
`loop`: a loop over a webdataset with open_clip.

A line of standard input says what to measure, on what; the answer is `ready` once nothing is left
to load. After one more line it begins, and answers with `items` and `seconds`, as JSON. So the
processes of a side begin each measurement together.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from schemas.rows import Locator
from schemas.score_rows import PlannedImage, PlannedText
from schemas.tables import schema_of
from transforms.clip_model import pick_device
from transforms.minhash import text_hash
from transforms.packs import PackWriter
from transforms.picture_feed import feed_pictures
from transforms.score_items import ItemSlices, ScoreItems
from transforms.score_plan import IMAGES, TEXTS, PlannedSlice
from transforms.scorers.base import Scorer
from transforms.scorers.clip import ClipConfig, load
from transforms.sink import Part, PartSink

IDENTITY = "bench"
PLANNED = {IMAGES: "planned_images.parquet", TEXTS: "planned_texts.parquet"}
WARM_ON_CPU = 2
"""Pictures: without a GPU nothing is compiled, and a batch of a large model takes minutes."""

Measurement = Callable[[], int]
"""What is timed; it gives the items it has done."""


def write_plan(output: Path, pairs: list[tuple[bytes, str]]) -> None:
    """A pack of the pictures and the plan of what is to be scored, each image and text once."""
    keys = {
        data: f"{number:032x}" for number, data in enumerate(dict.fromkeys(d for d, _ in pairs))
    }
    with PackWriter(str(output), 1 << 30) as packs:
        slots = {key: packs.add(key, "jpg", data) for data, key in keys.items()}
        names = packs.close()
    images = [
        PlannedImage(key, names[slot.pack], slot.offset, slot.size, [IDENTITY])
        for key, slot in slots.items()
    ]
    texts = {text_hash(text): text for _, text in pairs}
    rows = [PlannedText(key, text, [IDENTITY]) for key, text in sorted(texts.items())]
    for kind, found, row in ((IMAGES, images, PlannedImage), (TEXTS, rows, PlannedText)):
        columns = [[getattr(each, name) for each in found] for name in schema_of(row).names]
        pq.write_table(pa.table(columns, schema=schema_of(row)), output / PLANNED[kind])


def share_of(output: Path, kind: str, number: int, processes: int) -> PlannedSlice:
    """The rows of one of several processes."""
    rows = pq.ParquetFile(output / PLANNED[kind]).metadata.num_rows
    return PlannedSlice(PLANNED[kind], rows * number // processes, rows * (number + 1) // processes)


def warm_up(model: Any) -> None:
    """A batch of each, so that nothing is compiled or allocated in the measured time."""
    for _ in range(2):
        count = model.batch if pick_device() == "cuda" else WARM_ON_CPU
        model.finish(model.begin(blank(model, count)))
    model.embed_texts(["a boat at the quay"] * 8)


def blank(model: Any, count: int) -> list[Any]:
    """Ready pictures of the size that the model takes."""
    side = model._model.visual.image_size
    height, width = side if isinstance(side, tuple) else (side, side)
    rng = np.random.default_rng(0)
    return list(rng.integers(0, 256, (count, height, width, 3), np.uint8))


class Ours:
    """The model as the stage loads it, and its share of what the processes of the side do."""

    def __init__(self, config: ClipConfig, given: argparse.Namespace) -> None:
        self._model = load(config)
        self._scorer = Scorer("clip", "clip", config, (), ("clip_score",), IDENTITY)
        self._given = given
        warm_up(self._model)

    def prepare(self, what: str, output: Path, decoders: int) -> Measurement:
        """What is left to do when all is loaded."""
        if what in (IMAGES, TEXTS):
            return self._part(what, output, decoders)
        return {"forward": self._forward, "decode": self._decode}[what](output, decoders)

    def _part(self, kind: str, output: Path, decoders: int) -> Measurement:
        """The part function on a share of the plan."""
        function = ScoreItems(str(output), (self._scorer,), decoders, {IDENTITY: self._model})
        found = share_of(output, kind, self._given.number, self._given.processes)

        def run() -> int:
            name = f"{kind}-{self._given.number}-{time.time_ns()}"
            with PartSink("score", str(output), Part(name, "0")) as sink:
                function(Part(name, "0", ItemSlices(kind, (found,))), sink)
                sink.publish()
            return found.stop - found.start

        return run

    def _forward(self, output: Path, decoders: int) -> Measurement:
        """The image tower alone, on tensors that are ready."""
        model = self._model
        found = share_of(output, IMAGES, self._given.number, self._given.processes)
        count = found.stop - found.start
        pictures = blank(model, min(model.batch, count))

        def run() -> int:
            begun = None
            for start in range(0, count, model.batch):
                last, begun = begun, model.begin(pictures[: min(model.batch, count - start)])
                if last is not None:
                    model.finish(last)
            model.finish(begun)
            return count

        return run

    def _decode(self, output: Path, decoders: int) -> Measurement:
        """Packs to prepared pictures, in as many threads as the stage has."""
        model = self._model
        found = share_of(output, IMAGES, self._given.number, self._given.processes)
        table = pq.read_table(output / found.path).slice(found.start, found.stop - found.start)

        def run() -> int:
            made = feed_pictures(
                str(output),
                table.to_pylist(),
                lambda row: Locator(row["pack"], row["offset"], row["size"]),
                lambda row, picture: model.prepare(picture),
                side=model.side,
                threads=decoders or 2,
                ahead=2 * model.batch,
            )
            return sum(isinstance(each, np.ndarray) for _, each in made)

        return run


class Naive:
    """What one writes first: webdataset in, open_clip, a cosine a pair."""

    def __init__(self, config: ClipConfig, given: argparse.Namespace) -> None:
        import open_clip
        import torch

        from transforms.scorers.clip import open_clip_names

        self._device = pick_device()
        self._batch = given.batch or 32
        torch.manual_seed(0)
        name, weights = open_clip_names(config)
        self._clip, _, self._preprocess = open_clip.create_model_and_transforms(
            name, pretrained=None if weights == "random" else weights, device=self._device
        )
        self._clip.eval()
        self._tokenize = open_clip.get_tokenizer(name)
        count = self._batch if self._device == "cuda" else WARM_ON_CPU
        picture = self._preprocess(Image.new("RGB", (640, 480)))
        self._score([(torch.stack([picture] * count), ["a boat at the quay"] * count)])

    def prepare(self, what: str, output: Path, decoders: int) -> Measurement:
        """The loop over the tar of pairs."""
        import torch
        import webdataset as wds

        assert what == "loop"
        dataset = (
            wds.WebDataset(str(output / "pairs.tar"), shardshuffle=False)
            .decode("pil")
            .to_tuple("jpg", "txt")
            .map_tuple(self._preprocess, lambda text: text)
        )
        loader = torch.utils.data.DataLoader(dataset, batch_size=self._batch, num_workers=decoders)
        return lambda: self._score(loader)

    def _score(self, batches: Iterable[Any]) -> int:
        import torch

        seen = 0
        device = self._device
        with torch.inference_mode(), torch.autocast(device, enabled=device == "cuda"):
            for pictures, texts in batches:
                a = self._clip.encode_image(pictures.to(device), normalize=True)
                b = self._clip.encode_text(self._tokenize(texts).to(device), normalize=True)
                seen += len((a * b).sum(dim=1).float().cpu())
        return seen


def main() -> None:
    """Program entry."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.score_sides", description=__doc__)
    parser.add_argument("side", choices=("ours", "naive"))
    parser.add_argument("--model", required=True)
    parser.add_argument("--pretrained")
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--draft", action="store_true")
    parser.add_argument("--number", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    # Answers alone go to standard output; what a library prints goes to standard error.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    config = ClipConfig(
        given.model,
        given.pretrained,
        batch=given.batch,
        draft=given.draft,
        precision="bf16" if pick_device() == "cuda" else "fp32",
    )
    side = Ours(config, given) if given.side == "ours" else Naive(config, given)
    for line in sys.stdin:
        asked = json.loads(line)
        run = side.prepare(asked["what"], Path(asked["output"]), asked["decoders"])
        print("ready", file=answers)
        sys.stdin.readline()
        begin = time.perf_counter()
        items = run()
        seconds = time.perf_counter() - begin
        print(json.dumps({"items": items, "seconds": seconds}), file=answers)


if __name__ == "__main__":
    main()
