"""A run from its configuration to its last checkpoint: join, open, build, resume, step, publish."""

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from schemas.errors import OutputError, WeftError
from schemas.folder_lock import lock_folder
from trainer.config import TrainConfig
from trainer.data.corpus import Corpus, open_corpus
from trainer.data.loader import make_loader
from trainer.data.progress import ProgressLine
from trainer.data.tokenizer import TextTokenizer
from trainer.loop.checkpoint import (
    Checkpoints,
    TrainingFacts,
    check_same_training,
    config_as_json,
    load_checkpoint,
    published,
    read_facts,
)
from trainer.loop.metrics import Reporter, Window, peak_flops
from trainer.loop.optimizer import make_optimizer
from trainer.loop.sharded import build_sharded, gather_no_longer
from trainer.loop.step import Step, StepResult
from trainer.loop.world import World, join_world, leave_world
from trainer.model.flops import ModelShapes, model_shapes
from trainer.model.multimodal import MultimodalModel, build_model, image_tokens_of
from trainer.model.packing_check import check_decoder

CHECKPOINTS = "checkpoints"
VERSIONED = ("torch", "transformers", "open_clip_torch", "timm", "numpy", "pillow")


@dataclass(frozen=True)
class TrainOptions:
    """What the command line gives."""

    config: TrainConfig
    data: str
    """Folder of shards."""
    output: Path
    """Checkpoints and logs; a run that is there goes on."""
    steps: int | None = None
    """Stop, with a checkpoint, after this step; the schedule stays that of the whole."""
    quiet: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    step: int
    stopped: bool
    """By a signal, before its last step."""


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collects SIGTERM and SIGINT; the second SIGINT ends the process."""
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        if number == signal.SIGINT and seen:
            raise KeyboardInterrupt
        seen.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def set_threads(config: TrainConfig, facts: TrainingFacts | None, world: World) -> int:
    """Threads of torch on a CPU: of the configuration, else of the checkpoint, else one a core."""
    threads = config.run.threads or (facts.threads if facts is not None else 0)
    if not threads:
        threads = max(1, len(os.sched_getaffinity(0)) // world.local_ranks)
    if world.device.type == "cpu":
        torch.set_num_threads(threads)
    return threads


def newest_facts(folder: Path) -> tuple[Path, TrainingFacts] | None:
    """The newest whole checkpoint of a run."""
    found = published(folder)
    return (found[-1][1], read_facts(found[-1][1])) if found else None


def train(options: TrainOptions) -> Outcome:
    """Train, or go on where the run in the output stands.

    Raises:
        UserError: Something in the command, the configuration or the data.
        TrainingError: The run cannot go on; what is published stays.
    """
    world = join_world(options.config)
    try:
        return _train(options, world)
    finally:
        leave_world()


def open_everywhere(config: TrainConfig, data: str, world: World, quiet: bool = False) -> Corpus:
    """The corpus: the first rank counts and plans, the others read what it wrote."""
    tokens = image_tokens_of(config)
    failure: WeftError | None = None
    if world.is_first:
        with closing(ProgressLine()) as tell:
            try:
                corpus = open_corpus(config, data, tokens, None if quiet else tell)
            except WeftError as error:
                failure = error  # the others wait for this one, and would for half an hour
    failures = world.gather([failure] if failure else [])
    if failures:
        raise failures[0]
    if not world.is_first:
        corpus = open_corpus(config, data, tokens)
    return corpus


def _train(options: TrainOptions, world: World) -> Outcome:
    folder = options.output / CHECKPOINTS
    if options.output.is_file():
        raise OutputError(f"{options.output}: a file; --output is a folder")
    with locked_everywhere(options.output, world):
        return _train_in(options, world, folder)


@contextmanager
def locked_everywhere(output: Path, world: World) -> Iterator[None]:
    """Hold the output by the first rank; where another run does, all ranks say so."""
    failure: WeftError | None = None
    with ExitStack() as held:
        if world.is_first:
            try:
                held.enter_context(lock_folder(str(output)))
            except WeftError as error:
                failure = error
        failures = world.gather([failure] if failure else [])
        if failures:
            raise failures[0]
        yield


def _train_in(options: TrainOptions, world: World, folder: Path) -> Outcome:
    config = options.config
    resumed = newest_facts(folder)
    threads = set_threads(config, resumed[1] if resumed else None, world)
    corpus = open_everywhere(config, options.data, world, options.quiet)
    if resumed:
        check_same_training(resumed[1], config, corpus.fingerprint, str(resumed[0]))
    tokenizer = TextTokenizer(corpus.tokenizer_source)
    model, measures = make_model(config, tokenizer, world)
    optimizer = make_optimizer(model, config, measures.decoder_parameters)
    first = 0
    if resumed:
        load_checkpoint(resumed[0], model, optimizer)
        first = resumed[1].step
    last = min(options.steps or config.optimizer.steps, config.optimizer.steps)
    if first >= last:
        _say(world, options, f"step {first} of {config.optimizer.steps} is done already")
        return Outcome(first, False)
    _say(world, options, f"{describe(corpus, measures)}; steps {first} to {last}")
    facts = TrainingFacts(
        first, corpus.fingerprint, config_as_json(config), threads, world.ranks,
        {name: version(name) for name in VERSIONED},
    )  # fmt: skip
    loader = make_loader(
        corpus, model.picture, config.data,
        seed=config.run.seed, rank=world.rank, ranks=world.ranks,
        first_step=first, last_step=last, pin=world.device.type == "cuda", tokenizer=tokenizer,
    )  # fmt: skip
    compute = Step(model, optimizer, config, world, measures.shapes, len(corpus.sources))
    checkpoints = Checkpoints(folder, config.checkpoint.keep, config.checkpoint.asynchronous, world)
    log = RunLog(options, world, [source.name for source in corpus.sources])
    log.rewind(first)
    with stop_signals() as signals, log:
        batches = iter(loader)
        for step in range(first, last):
            result = compute(step, batches, bool(signals), checkpoints.is_done)
            if result.saved:
                checkpoints.finish()
            is_last = step + 1 == last or result.stop
            log.note(result, is_last)
            if is_last or (step + 1) % config.checkpoint.every == 0:
                checkpoints.save(model, optimizer, replace(facts, step=step + 1))
            if result.stop:
                break
        checkpoints.finish()
    if result.stop:
        _say(world, options, f"stopped at step {step + 1}: run the same command to go on")
    return Outcome(step + 1, result.stop and step + 1 < last)


@dataclass(frozen=True)
class ModelMeasures:
    """What is known of a model before it is cut over the ranks."""

    shapes: ModelShapes
    parameters: int
    decoder_parameters: int
    """Without embeddings: the N of MM1's laws."""


def measure_model(model: MultimodalModel) -> ModelMeasures:
    """The measures of a whole model."""
    parameters = sum(each.numel() for each in model.parameters())
    decoder = model.decoder.parameters_without_embeddings()
    return ModelMeasures(model_shapes(model), parameters, decoder)


def make_model(
    config: TrainConfig, tokenizer: TextTokenizer, world: World
) -> tuple[Any, ModelMeasures]:
    """The model on its device or over the ranks, and its measures."""
    model, measures = build_sharded(
        lambda: build_model(config, tokenizer), measure_model, config, world
    )
    check_decoder(model, world.device)
    gather_no_longer(model)
    if config.run.compile:
        for layer in model.decoder_layers():
            layer.compile()
        model.vision.compile()
    return model.train(), measures


def describe(corpus: Corpus, measures: ModelMeasures) -> str:
    """A line about what is trained on what."""
    mix = ", ".join(
        f"{source.name} {source.plan.packs:,} packs x {source.weight}" for source in corpus.sources
    )
    return f"{measures.parameters / 1e6:,.1f} M parameters; {mix}"


def _say(world: World, options: TrainOptions, text: str) -> None:
    if world.is_first and not options.quiet:
        print(text, file=sys.stderr, flush=True)


class RunLog:
    """The log of a run: every rank takes its steps in, the first writes."""

    def __init__(self, options: TrainOptions, world: World, names: list[str]) -> None:
        self._config = options.config
        self._world = world
        self._names = names
        self._window = Window()
        self._counts: Counter[str] = Counter()
        gpu = world.device.type == "cuda"
        self._peak = peak_flops(torch.cuda.get_device_name(world.device)) if gpu else None
        self._reporter = (
            Reporter(options.output, options.config, names, options.quiet)
            if world.is_first
            else None
        )

    def rewind(self, step: int) -> None:
        """Forget lines of steps that will be done again."""
        if self._reporter:
            self._reporter.rewind(step)

    def note(self, result: StepResult, is_last: bool) -> None:
        """Take a step in; write a line where one is due."""
        self._window.results.append(result)
        if not is_last and (result.step + 1) % self._config.run.log_every:
            return
        bad = self._world.gather(
            [asdict(each) | {"step": found.step} for found in self._window.results
             for each in found.bad]
        )  # fmt: skip
        if self._reporter:
            line = self._window.summary(self._config, self._names, self._world.ranks, self._peak)
            self._counts.update(f"{each['source']}/{each['shard']}" for each in bad)
            if self._counts:
                line["bad_samples"] = dict(sorted(self._counts.items()))
            self._reporter.write(line, bad)
        self._window = Window()

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._reporter:
            self._reporter.close()
