"""The trainer's command line: `python -m trainer COMMAND`.

Thin, like Weft's own: it parses, calls, prints, and turns errors into one line and an exit code: 2
for what the user can mend, 1 for a training that cannot go on, 128 + signal for one that was asked
to stop and can be resumed.
"""

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from schemas.command_line import run_app, run_program
from trainer.config import TrainConfig, config_names, load_config

STOPPED = 143
"""As after SIGTERM: a scheduler sees that the run is not done."""

app = typer.Typer(
    name="python -m trainer",
    help="Multimodal pre-training on Weft's shards, and on other WebDataset shards, as in MM1: "
    "captioned images, interleaved documents and text, in exact proportions and order.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Config = Annotated[
    str,
    typer.Argument(
        help=f"Name of a configuration ({', '.join(config_names())}), or a .toml file.",
        show_default=False,
    ),
]
Data = Annotated[
    str,
    typer.Option(
        "--data", "-d",
        help="Folder or fsspec URL with a folder a source: OUT/shards of a Weft run.",
        show_default=False,
    ),
]  # fmt: skip
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Change a value of the configuration: --set optimizer.steps=500. Repeat it.",
        show_default=False,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress lines.")]


def _config(name: str, sets: list[str] | None) -> TrainConfig:
    return load_config(name, sets or ())


@app.command(
    "train",
    epilog="On many GPUs: torchrun --nproc-per-node 8 -m trainer train ... Run the same command "
    "again to go on from the newest checkpoint, on more or fewer GPUs too.",
)
def train_command(
    config: Config,
    data: Data,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for checkpoints and logs.")
    ],
    set_: Sets = None,
    steps: Annotated[
        int | None,
        typer.Option(help="Stop after this step, with a checkpoint; the schedule stays.", min=1),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train, or go on where a run stands."""
    settings = _config(config, set_)
    from trainer.loop.train import TrainOptions, train

    outcome = train(TrainOptions(settings, data, output, steps, quiet))
    if outcome.stopped:
        raise typer.Exit(STOPPED)


@app.command("prepare")
def prepare_command(config: Config, data: Data, set_: Sets = None) -> None:
    """Count tokens and plan the packs, and tell what they hold; `train` does it too."""
    settings = _config(config, set_)
    from trainer.data.corpus import open_corpus
    from trainer.data.progress import ProgressLine
    from trainer.model.multimodal import image_tokens_of

    with closing(ProgressLine()) as tell:
        corpus = open_corpus(settings, data, image_tokens_of(settings), tell)
    print(json.dumps(corpus.counts(), indent=1))


Run = Annotated[
    Path,
    typer.Argument(help="The --output of a training, or one checkpoint.", show_default=False),
]
AtStep = Annotated[
    int | None, typer.Option("--step", help="Checkpoint of this step; default: the newest.")
]


@app.command("evaluate")
def evaluate_command(
    run: Run,
    data: Data,
    split: Annotated[str, typer.Option(help="Shards to evaluate on.")] = "validation",
    step: AtStep = None,
    captions: Annotated[
        int, typer.Option(help="Captions to write and judge by CIDEr-D; 0: none.", min=0)
    ] = 0,
) -> None:
    """Tell the loss per source on a held-out split, and what it is with other images."""
    from trainer.captions import evaluate_captions
    from trainer.evaluate import evaluate_losses
    from trainer.loop.restore import restore

    trained = restore(run, step)
    print(f"evaluating {trained.path}", file=sys.stderr)
    found = evaluate_losses(trained, data, split)
    if captions:
        found |= evaluate_captions(trained, data, split, captions)
    print(json.dumps(found, indent=1))


@app.command("export")
def export_command(
    run: Run,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    step: AtStep = None,
) -> None:
    """Write a checkpoint as safetensors; with connector `mlp`, as Hugging Face's LLaVA."""
    from trainer.export import export
    from trainer.loop.restore import restore

    print(export(restore(run, step), output))


@app.command("bench")
def bench_command(
    config: Config,
    data: Data,
    set_: Sets = None,
    steps: Annotated[int, typer.Option(help="Steps that are timed.", min=1)] = 50,
    warmup: Annotated[int, typer.Option(help="Steps before.", min=0)] = 10,
    result: Annotated[
        Path | None, typer.Option(help="JSON file to write.", show_default=False)
    ] = None,
) -> None:
    """Measure training speed on real shards, from random weights."""
    settings = _config(config, set_)
    from trainer.bench import BenchOptions, bench

    command = " ".join(["python -m trainer", *sys.argv[1:]])
    found = bench(BenchOptions(settings, data, steps, warmup, result, command))
    print(json.dumps(found, indent=1))


def main(arguments: list[str] | None = None) -> int:
    """Program entry; returns the exit code."""
    return run_app(app, "trainer", arguments)


if __name__ == "__main__":
    run_program(main)
