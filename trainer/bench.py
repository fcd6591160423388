"""`python -m trainer bench`: how fast a configuration trains here, on real shards, random weights.

The clock runs over whole steps after a warm-up, with the wait for data and the optimizer in it. MFU
is operations of real work over time and peak (`model/flops.py` says what is counted).
"""

import json
import platform
import statistics
import sys
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from schemas.errors import RecipeError
from trainer.config import TrainConfig
from trainer.data.loader import make_loader
from trainer.data.tokenizer import TextTokenizer
from trainer.loop.metrics import Window, peak_flops
from trainer.loop.optimizer import make_optimizer
from trainer.loop.restore import without_pretrained
from trainer.loop.step import Step, StepResult
from trainer.loop.train import VERSIONED, make_model, open_everywhere, set_threads
from trainer.loop.world import World, join_world, leave_world

LEAST_STEPS = 50


@dataclass(frozen=True)
class BenchOptions:
    """What the command line gives."""

    config: TrainConfig
    data: str
    steps: int = LEAST_STEPS
    warmup: int = 10
    result: Path | None = None
    """A JSON file to write, by the first rank."""
    command: str = ""


def bench(options: BenchOptions) -> dict[str, Any]:
    """Train some steps and tell their speed. The same answer on every rank."""
    if options.steps < 1:
        raise RecipeError(f"--steps: must be at least 1, not {options.steps}")
    world = join_world(options.config)
    try:
        found = _bench(options, world)
    finally:
        leave_world()
    if world.is_first and options.result is not None:
        options.result.parent.mkdir(parents=True, exist_ok=True)
        options.result.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found


def _bench(options: BenchOptions, world: World) -> dict[str, Any]:
    config = without_pretrained(options.config)
    config = replace(config, optimizer=replace(config.optimizer, warmup_steps=1))
    threads = set_threads(config, None, world)
    corpus = open_everywhere(config, options.data, world)
    tokenizer = TextTokenizer(corpus.tokenizer_source)
    model, measures = make_model(config, tokenizer, world)
    optimizer = make_optimizer(model, config, measures.decoder_parameters)
    last = options.warmup + options.steps
    loader = make_loader(
        corpus, model.picture, config.data,
        seed=config.run.seed, rank=world.rank, ranks=world.ranks,
        first_step=0, last_step=last, pin=world.device.type == "cuda", tokenizer=tokenizer,
    )  # fmt: skip
    compute = Step(model, optimizer, config, world, measures.shapes, len(corpus.sources))
    batches = iter(loader)
    results: list[StepResult] = []
    for step in range(last):
        result = compute(step, batches, stop=False, saved=False)
        if step >= options.warmup:
            results.append(result)
        if world.is_first:
            print(f"\rstep {step + 1} of {last}, {result.seconds:.2f} s", end="", file=sys.stderr)
    if world.is_first:
        print(file=sys.stderr)
    on_gpu = world.device.type == "cuda"
    device = torch.cuda.get_device_name(world.device) if on_gpu else platform.processor() or "CPU"
    names = [source.name for source in corpus.sources]
    peak = peak_flops(device) if on_gpu else None
    line = Window(results).summary(config, names, world.ranks, peak)
    return {
        "name": "train_gpu" if on_gpu else "train_cpu",
        "command": options.command,
        "hardware": {
            "device": device,
            "ranks": world.ranks,
            "threads": None if on_gpu else threads,
            "memory_gib": torch.cuda.max_memory_allocated() / 2**30 if on_gpu else None,
        },
        "versions": {name: version(name) for name in VERSIONED},
        "steps": options.steps,
        "warmup": options.warmup,
        "parameters": measures.parameters,
        "seconds_a_step": statistics.median(each.seconds for each in results),
        "peak_flops": peak,
        "result": {key: value for key, value in line.items() if key != "step"},
        "packs": corpus.counts(),
    }
