"""One epoch through Megatron-Energon, for `make bench-loader`; runs in .venv-energon.

It knows nothing of Weft: Energon reads the shards by the index that `energon prepare` made.
"""

import json
import sys
import time
from typing import Any

import numpy as np
import torch
from megatron.energon import (  # type: ignore[import-not-found]
    DefaultTaskEncoder,
    SampleDecoder,
    WorkerConfig,
    get_loader,
    get_train_dataset,
)
from PIL import Image

BATCH = 16
SHUFFLE = 1000


def cropped(picture: Image.Image, side: int) -> Image.Image:
    """Resize by the shorter side and crop the middle, as the others do."""
    width, height = picture.size
    scale = side / min(width, height)
    size = (max(side, int(width * scale)), max(side, int(height * scale)))
    picture = picture.resize(size, Image.Resampling.BICUBIC)
    left, top = round((size[0] - side) / 2), round((size[1] - side) / 2)
    return picture.crop((left, top, left + side, top + side)).convert("RGB")


class Encoder(DefaultTaskEncoder):  # type: ignore[misc]
    """Pictures of a batch, uint8 [n, 3, side, side]."""

    side = 336
    decoder = SampleDecoder(image_decode="pilrgb")

    def encode_sample(self, sample: Any) -> Any:
        """A picture, resized."""
        return np.asarray(cropped(sample.image, self.side))

    def batch(self, samples: list[Any]) -> Any:
        """Pictures, stacked."""
        return torch.from_numpy(np.stack(samples)).permute(0, 3, 1, 2).contiguous()

    def encode_batch(self, batch: Any) -> Any:
        """What is handed out."""
        return batch


def main() -> None:
    """Program entry: folder, workers, side."""
    folder, workers, Encoder.side = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    config = WorkerConfig(rank=0, world_size=1, num_workers=workers)
    with open(f"{folder}/.nv-meta/.info.json") as file:
        samples = sum(json.load(file)["shard_counts"].values())
    dataset = get_train_dataset(
        folder, worker_config=config, batch_size=BATCH, shuffle_buffer_size=SHUFFLE,
        max_samples_per_sequence=100, task_encoder=Encoder(),
    )  # fmt: skip
    batches = iter(get_loader(dataset, watchdog_timeout_seconds=None))
    next(batches)
    begin = time.perf_counter()
    seen = 0
    while seen < samples - BATCH:
        seen += len(next(batches))
    print(json.dumps({"samples": seen, "seconds": time.perf_counter() - begin, "bytes": 0}))


if __name__ == "__main__":
    main()
