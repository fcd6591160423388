"""What `make bench-loader` sets side by side, each in a process of its own.

The last line on standard output is a JSON object. A side that loads through worker processes
begins its clock when the first batch is there: starting processes is another measurement.
"""

import argparse
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.loader_inputs import loader_config, open_input
from trainer.data.pictures import PictureSpec

SHUFFLE = 1000
"""Samples of webdataset's shuffle buffer."""
BATCH = 16
EPOCHS = 8
"""Of raw reading: one takes a fifth of a second, in which memory touched first decides."""
PACKS = 4
"""That ours reads at once where nothing is decoded."""
MAX_PIXELS = 100_000_000
MB = 1e6


def ours_raw(given: argparse.Namespace) -> dict[str, float]:
    """Members of every sample of this process' share, in the order of the plan; nothing decoded."""
    from trainer.data.assemble import packs_at
    from trainer.data.byte_ranges import ShardReader
    from trainer.data.loader import read_samples
    from trainer.data.tar_members import read_members

    corpus = open_input(given.folder, loader_config(0, True))
    readers = [ShardReader(source.index.shards, 0) for source in corpus.sources]
    packs = EPOCHS * corpus.sources[0].plan.packs
    begin = time.perf_counter()
    samples = read = 0
    mine = range(given.number, packs, given.processes)
    for first in range(0, len(mine), PACKS):
        data = read_samples(corpus, readers, packs_at(corpus, mine[first : first + PACKS]))
        for block in data.values():
            _, members = read_members(block)
            samples += 1
            read += sum(map(len, members.values()))
    return {"samples": samples, "bytes": read, "seconds": time.perf_counter() - begin}


def webdataset_raw(given: argparse.Namespace) -> dict[str, float]:
    """The same of webdataset: a share of the shards front to back, through a shuffle buffer."""
    import webdataset

    urls = shards_of(given)[given.number :: given.processes]
    dataset = webdataset.WebDataset(urls, shardshuffle=False).shuffle(SHUFFLE).repeat(EPOCHS)
    begin = time.perf_counter()
    samples = read = 0
    for sample in dataset:
        samples += 1
        read += sum(len(value) for value in sample.values() if isinstance(value, bytes))
    return {"samples": samples, "bytes": read, "seconds": time.perf_counter() - begin}


def ours_decoded(given: argparse.Namespace) -> dict[str, float]:
    """Micro-batches as a training gets them: packed, tokenized, pictures decoded."""
    from trainer.data.loader import make_loader

    config = loader_config(given.workers, given.draft)
    corpus = open_input(given.folder, config)
    steps = corpus.sources[0].plan.packs // config.data.global_batch
    batches = make_loader(
        corpus, spec(given), config.data, seed=0, rank=0, ranks=1, first_step=0, last_step=steps
    )
    return clocked((len(batch.pictures), batch.read_bytes) for batch in batches)


def webdataset_decoded(given: argparse.Namespace) -> dict[str, float]:
    """The loop one writes by hand: open_clip's resizing of Pillow's pictures, no tokens."""
    import torch
    import webdataset
    from open_clip.transform import PreprocessCfg, image_transform_v2

    steps = image_transform_v2(PreprocessCfg(size=given.side), is_train=False).transforms[:-2]

    def prepare(picture: Any) -> Any:
        for step in steps:
            picture = step(picture)
        return np.asarray(picture)

    dataset = (
        webdataset.WebDataset(shards_of(given), shardshuffle=False)
        .shuffle(SHUFFLE)
        .decode("pil")
        .to_tuple("jpg", "txt")
        .map_tuple(prepare, len)
        .batched(BATCH, collation_fn=stacked)
    )
    loader = torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=given.workers)
    return clocked((len(pictures), 0) for pictures, _ in loader)


def stacked(samples: list[Any]) -> Any:
    """A batch as ours: uint8 [n, 3, side, side]."""
    import torch

    pictures = torch.from_numpy(np.stack([picture for picture, _ in samples]))
    return pictures.permute(0, 3, 1, 2).contiguous(), [length for _, length in samples]


def decode_alone(given: argparse.Namespace) -> dict[str, float]:
    """The decoder on bytes in memory, this process' share: what no loader here exceeds."""
    from trainer.data.pictures import decode_picture

    pictures = [
        data
        for number, data in enumerate(photos(given))
        if number % given.processes == given.number
    ]
    begin = time.perf_counter()
    for data in pictures:
        decode_picture(data, spec(given), MAX_PIXELS, given.draft)
    seconds = time.perf_counter() - begin
    return {"samples": len(pictures), "bytes": sum(map(len, pictures)), "seconds": seconds}


def resume(given: argparse.Namespace) -> dict[str, Any]:
    """Seconds from `make_loader` to the first batch, at the start and at the end, in turn."""
    from trainer.data.loader import make_loader

    config = loader_config(given.workers, True)
    corpus = open_input(given.folder, config)
    steps = corpus.sources[0].plan.packs // config.data.global_batch
    found: dict[str, list[float]] = {"start": [], "end": []}
    if 2 * (given.turns + 1) > steps:
        raise SystemExit(f"{given.turns} turns at either end of {steps} steps: they overlap")
    # The first starts the server that workers are forked from.
    for turn in range(given.turns + 1):
        for where, first in (("start", turn), ("end", steps - 1 - turn)):
            begin = time.perf_counter()
            batches = iter(make_loader(
                corpus, spec(given), config.data, seed=0, rank=0, ranks=1, first_step=first,
                last_step=steps,
            ))  # fmt: skip
            next(batches)
            if turn:
                found[where].append(time.perf_counter() - begin)
            batches.close()  # type: ignore[attr-defined]
    return {**found, "steps": steps}


def memory(given: argparse.Namespace) -> dict[str, Any]:
    """Proportional set size of the process and its workers, over two epochs."""
    from trainer.data.loader import make_loader

    config = loader_config(given.workers, True)
    corpus = open_input(given.folder, config)
    steps = corpus.sources[0].plan.packs // config.data.global_batch
    every = max(1, 2 * steps // 24)
    sizes = []
    for batch in make_loader(
        corpus, spec(given), config.data, seed=0, rank=0, ranks=1, first_step=0, last_step=2 * steps
    ):
        if batch.micro == 0 and batch.step % every == every - 1:
            sizes.append(round(tree_pss() / MB, 1))
    return {"pss_mb": sizes, "steps": 2 * steps}


def tree_pss() -> float:
    """Bytes of this process and all below it, shared pages shared out."""
    me = psutil.Process()
    return float(sum(each.memory_full_info().pss for each in [me, *me.children(recursive=True)]))


def clocked(batches: Iterator[tuple[int, int]]) -> dict[str, float]:
    """Samples and bytes behind the first batch."""
    next(batches)
    begin = time.perf_counter()
    samples = read = 0
    for count, size in batches:
        samples += count
        read += size
    return {"samples": samples, "bytes": read, "seconds": time.perf_counter() - begin}


def spec(given: argparse.Namespace) -> PictureSpec:
    return PictureSpec(given.side, "crop")


def shards_of(given: argparse.Namespace) -> list[str]:
    return sorted(str(path) for path in (given.folder / "captioned").glob("*.tar"))


def photos(given: argparse.Namespace) -> list[bytes]:
    """Every JPEG of the shards."""
    import tarfile

    found = []
    for shard in shards_of(given):
        with tarfile.open(fileobj=io.BytesIO(Path(shard).read_bytes())) as tar:
            for member in tar:
                if member.name.endswith(".jpg"):
                    file = tar.extractfile(member)
                    assert file is not None
                    found.append(file.read())
    return found


SIDES: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "ours-raw": ours_raw,
    "webdataset-raw": webdataset_raw,
    "ours-decoded": ours_decoded,
    "webdataset-decoded": webdataset_decoded,
    "decode-alone": decode_alone,
    "resume": resume,
    "memory": memory,
}


def main() -> None:
    """Program entry."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loader_sides", description=__doc__)
    parser.add_argument("what", choices=sorted(SIDES))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--side", type=int, default=336)
    parser.add_argument("--draft", action="store_true")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--number", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    print(json.dumps(SIDES[given.what](given)))


if __name__ == "__main__":
    main()
