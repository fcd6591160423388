"""`make captioner`: the parts that are not the trainer's."""

import argparse
import shutil
import sys
from pathlib import Path

from pipeline.demo.captioner.judge import (
    HELD_OUT,
    LlavaFolder,
    judge_captioner,
    judge_fusions,
)
from pipeline.demo.captioner.shards import write_lessons
from pipeline.demo.captioner.tokenizer import tokenizer_folder, write_tokenizer

WANTED = 0.9
"""Share of the held-out scenes, and of fusions, below which a captioner is not taken."""
MOST_BYTES = 5_000_000


def _judge(folder: Path, count: int, install: Path | None) -> int:
    model = LlavaFolder(folder)
    found, fused = judge_captioner(model, count), judge_fusions(model)
    for text in (*found.captions[:5], *fused.captions[:5]):
        print(f"  {text}")
    print(f"{found.right} of {found.scenes} held-out scenes named rightly: {found.share:.1%}")
    print(
        f"{fused.right} of {fused.scenes} fusions keep name, number and things: {fused.share:.1%}"
    )
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {size} bytes")
    if min(found.share, fused.share) < WANTED or size >= MOST_BYTES:
        print(f"error: at least {WANTED:.0%} and below {MOST_BYTES} bytes", file=sys.stderr)
        return 1
    if install is not None:
        if install.exists():
            shutil.rmtree(install)
        shutil.copytree(folder, install)
        print(f"{install}: written")
    return 0


def main() -> int:
    """One of `tokenizer`, `shards`, `judge`."""
    parser = argparse.ArgumentParser(prog="pipeline.demo.captioner", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    each = commands.add_parser("tokenizer", help="learn the trainer's small tokenizer again")
    each.add_argument("--output", type=Path, default=tokenizer_folder())
    each = commands.add_parser("shards", help="draw scenes and texts, and write them as shards")
    each.add_argument("--output", required=True, help="where `captioned` and `text` are made")
    each.add_argument("--scenes", type=int, default=16_000, help="of the split train")
    each.add_argument("--validation", type=int, default=500, help="of the split validation")
    each.add_argument("--processes", type=int, default=2)
    each = commands.add_parser("judge", help="caption held-out scenes by an exported folder")
    each.add_argument("folder", type=Path)
    each.add_argument("--scenes", type=int, default=HELD_OUT)
    each.add_argument("--install", type=Path, help="copy a folder that is good enough to here")
    given = parser.parse_args()
    if given.command == "tokenizer":
        write_tokenizer(given.output)
    elif given.command == "shards":
        splits = {"train": given.scenes, "validation": given.validation}
        for manifest in write_lessons(given.output, splits, given.processes):
            totals = manifest.totals
            print(f"{manifest.stream}: {totals['samples']} samples, {totals['bytes']} bytes")
    else:
        return _judge(given.folder, given.scenes, given.install)
    return 0


if __name__ == "__main__":
    sys.exit(main())
