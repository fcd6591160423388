"""`make clip`: trains the tiny CLIP and writes the folder that is shipped."""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from pipeline.demo.clip.judge import measure_separation
from pipeline.demo.clip.model import load_tiny_clip, train_tokenizer, write_folder
from pipeline.demo.clip.pairs import draw_scenes, written_caption
from pipeline.demo.clip.train import ClipTraining, train
from transforms.models import tiny_clip_folder

HELD_OUT = 1000
ENOUGH = 0.98
"""AUC, against captions of other scenes and against a wrong colour, of a model that is written."""
TOKENIZED = 4000
"""Captions that the tokenizer is made from."""


def main() -> None:
    """Draws, trains, measures, writes."""
    parser = argparse.ArgumentParser(prog="make clip", description=__doc__)
    parser.add_argument("--output", type=Path, default=tiny_clip_folder(), help="folder to write")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and captions")
    parser.add_argument("--processes", type=int, default=2, help="that draw the scenes")
    parser.add_argument("--epochs", type=int, default=ClipTraining().epochs, help="over all scenes")
    arguments = parser.parse_args()
    for name in ("processes", "epochs"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} {getattr(arguments, name)}: at least 1")
    if arguments.output.exists() and not arguments.output.is_dir():
        parser.error(f"--output {arguments.output}: is a file; a folder is written")

    import torch

    began = time.monotonic()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)  # of the judge; training has its own
    torch.use_deterministic_algorithms(True)
    config = ClipTraining(seed=arguments.seed, epochs=arguments.epochs)
    print(f"drawing {config.scenes} scenes", file=sys.stderr)
    drawn = draw_scenes("train", config.scenes, arguments.processes)
    rng = random.Random("clip/tokenizer")
    texts = [written_caption(scene, rng) for scene in drawn.scenes[:TOKENIZED]]
    tokenizer = train_tokenizer(texts)
    losses: list[float] = []

    def report(step: int, loss: float) -> None:
        losses.append(loss)
        if step % 10 == 0 or step == config.steps:
            recent = sum(losses[-10:]) / len(losses[-10:])
            seconds = time.monotonic() - began
            end = "\n" if step == config.steps else ""
            line = f"\rstep {step} of {config.steps}, loss {recent:.3f}, {seconds:.0f} s "
            print(line, end=end, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as temporary:
        write_folder(Path(temporary) / "random", tokenizer, None)
        clip = load_tiny_clip(Path(temporary) / "random")
        train(clip, drawn, config, report)
        trained = Path(temporary) / "trained"
        write_folder(trained, tokenizer, clip.model.state_dict())
        found = measure_separation(load_tiny_clip(trained), draw_scenes("held-out", HELD_OUT))
    print(f"AUC against captions of other scenes   {found.other:.4f}")
    print(f"AUC against captions, one wrong colour {found.colour:.4f}")
    print(f"AUC against captions, one wrong shape  {found.shape:.4f}")
    if min(found.other, found.colour) < ENOUGH:
        sys.exit(f"an AUC is below {ENOUGH}: {arguments.output} stays as it was; try more --epochs")
    write_folder(arguments.output, tokenizer, clip.model.state_dict())
    print(f"{arguments.output}, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
