"""What one rank of a training gets: a line a pack, with a hash of all that the model sees of it."""

import hashlib
import json
import sys
from pathlib import Path

import torch.distributed as dist

from trainer.config import load_config
from trainer.data.batch import MicroBatch
from trainer.data.corpus import open_corpus
from trainer.data.loader import make_loader
from trainer.data.pictures import PictureSpec
from trainer.loop.world import join_world, leave_world

IMAGE_TOKENS = 16


def pack_hashes(batch: MicroBatch) -> list[str]:
    """A hash of each pack: its tokens, labels, positions and pictures."""
    found = []
    picture = 0
    for row in range(len(batch.packs)):
        hasher = hashlib.sha256()
        for tensor in (batch.tokens, batch.labels, batch.positions, batch.is_image):
            hasher.update(tensor[row].numpy().tobytes())
        count = int(batch.is_image[row].sum()) // IMAGE_TOKENS
        hasher.update(batch.pictures[picture : picture + count].numpy().tobytes())
        picture += count
        found.append(hasher.hexdigest())
    return found


def main() -> None:
    """Arguments: shards, folder to write to, first and last step, then `--set` values."""
    shards, folder, first, last, *sets = sys.argv[1:]
    config = load_config("tiny", sets)
    world = join_world(config)
    # As in a training: the first rank plans, the others read what it wrote.
    if world.is_first:
        open_corpus(config, shards, IMAGE_TOKENS)
    world.wait()
    corpus = open_corpus(config, shards, IMAGE_TOKENS)
    loader = make_loader(
        corpus, PictureSpec(64, "squash", "bicubic"), config.data,
        seed=0, rank=world.rank, ranks=world.ranks, first_step=int(first), last_step=int(last),
    )  # fmt: skip
    lines = [
        {"step": batch.step, "micro": batch.micro, "rank": world.rank, "pack": pack, "hash": found}
        for batch in loader
        for pack, found in zip(batch.packs.tolist(), pack_hashes(batch), strict=True)
    ]
    assert not dist.is_initialized() or dist.get_world_size() == world.ranks
    text = "".join(json.dumps(line) + "\n" for line in lines)
    Path(folder, f"rank-{world.rank}.jsonl").write_text(text)
    world.wait()
    leave_world()


if __name__ == "__main__":
    main()
