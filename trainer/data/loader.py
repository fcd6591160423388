"""Micro-batches of a rank in order, read and decoded by worker processes.

Worker w of W makes the micro-batches w, w + W, ... from the first step on, and they are handed out
in turn: what comes, and when, does not depend on the number of workers. Nothing is kept between
micro-batches, so a run begins at any step as fast as at the first.

Bytes are read some micro-batches ahead by a thread, raw, and decoded where they are wanted.
"""

import os
import signal
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from schemas.errors import InputError, RecipeError, StageError, UserError
from trainer.config import DataConfig
from trainer.data.assemble import (
    Assembled,
    Assembler,
    PackPieces,
    packs_at,
    sample_ranges,
    samples_of,
)
from trainer.data.batch import BadSample, MicroBatch
from trainer.data.byte_ranges import ShardReader
from trainer.data.pictures import PictureSpec
from trainer.data.tokenizer import TextTokenizer

if TYPE_CHECKING:
    from trainer.data.corpus import Corpus

WORKER_SECONDS = 900
"""After which a worker that gives nothing counts as hung: longer than a read is tried for."""
LOOK_SECONDS = 5
"""After which it is looked whether workers live that give nothing: nobody tells when one dies, for
they are the children of another process."""
GRACE_SECONDS = 30
"""That a worker goes on after a request to end, so that the run can finish its step and save."""
DECODED_AHEAD = 2
"""Finished micro-batches that a worker has at most waiting."""
PRELOADED = [__name__, "trainer.data.corpus", "tokenizers"]
"""What workers need: imported once, in the process that they are forked from."""
TIMED_OUT = "DataLoader timed out"
"""How torch's error begins when all workers live and none has given anything."""
SHOWN = 5
"""Last bad samples that the error of too many names."""

Bytes = dict[tuple[int, int], bytes | memoryview]


class TooManyFailuresError(InputError):
    """Samples with undecodable content, too many in a row: the data is broken, not a sample."""


class LoaderError(StageError):
    """A worker of the loader died or hangs."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """An error of a worker, handed over as it is: torch would wrap it into its traceback."""

    error: UserError


def make_loader(
    corpus: "Corpus",
    picture: PictureSpec,
    config: DataConfig,
    *,
    seed: int,
    rank: int,
    ranks: int,
    first_step: int,
    last_step: int,
    pin: bool = False,
    tokenizer: TextTokenizer | None = None,
) -> Iterable[MicroBatch]:
    """The micro-batches of a rank, in the order (step, micro-step).

    Args:
        corpus: What is read, in which order.
        picture: What the encoder sees.
        config: Batch sizes, workers, bounds.
        seed: Of torch's workers; the order has its own, and nothing here draws a number.
        rank: Of `ranks`.
        ranks: Processes that train together.
        first_step: The first that is given.
        last_step: The first that is not.
        pin: Whether tensors lie in memory that a GPU copies from.
        tokenizer: That of the corpus, where it is loaded already.

    Returns:
        An iterable; every iteration begins at `first_step`.

    Raises:
        RecipeError: The global batch cannot be divided.
    """
    if config.global_batch % (ranks * config.micro_batch):
        raise RecipeError(
            f"data.global_batch: {config.global_batch} is no multiple of {ranks} ranks x "
            f"data.micro_batch {config.micro_batch}"
        )
    tokenizer = tokenizer or TextTokenizer(corpus.tokenizer_source)
    assembler = Assembler(corpus, tokenizer, picture, config.max_pixels, config.draft)
    dataset = _MicroBatches(corpus, assembler, config, rank, ranks, first_step, last_step)
    return _Loader(dataset, config, seed, pin)


class _Loader:
    def __init__(self, dataset: "_MicroBatches", config: DataConfig, seed: int, pin: bool) -> None:
        self._dataset = dataset
        self._config = config
        self._seed = seed
        self._pin = pin

    def __iter__(self) -> Iterator[MicroBatch]:
        failures = _FailuresInARow(self._config.max_failures)
        made = _begin(self._dataset, self._config.workers, self._seed, self._pin)
        waited = 0
        while True:
            try:
                each = next(made)
                waited = 0
            except StopIteration:
                return
            except (RuntimeError, OSError, EOFError) as error:
                if str(error).startswith(TIMED_OUT):
                    waited += LOOK_SECONDS
                    if waited < WORKER_SECONDS:
                        continue
                # Torch's own words, or a connection to a worker that is no longer there: no error
                # of a worker comes this way but wrapped, and reads fail as a `_Failure`.
                own = str(error).startswith("DataLoader ") or not isinstance(error, RuntimeError)
                if not own or self._config.workers == 0:
                    raise
                raise LoaderError(
                    f"a worker of the loader died or gave nothing for {WORKER_SECONDS} s: "
                    f"{type(error).__name__}: {error}. "
                    "A worker that is killed was most often out of memory: set data.workers or "
                    "data.read_ahead lower"
                ) from error
            if isinstance(each, _Failure):
                raise each.error
            failures.note(each)
            yield each.batch


def _begin(dataset: "_MicroBatches", workers: int, seed: int, pin: bool) -> Iterator[Any]:
    # Its own generator: the default one belongs to the model.
    generator = torch.Generator().manual_seed(seed)
    if workers == 0:
        return iter(
            DataLoader(
                dataset, batch_size=None, collate_fn=_same, pin_memory=pin, generator=generator
            )
        )
    context = torch.multiprocessing.get_context("forkserver")
    # Workers are forked from a process that has no threads, whatever runs in this one.
    context.set_forkserver_preload(PRELOADED)
    with warnings.catch_warnings():
        # How many workers are too many is the configuration's matter.
        warnings.filterwarnings("ignore", "This DataLoader will create")
        return iter(
            DataLoader(
                dataset,
                batch_size=None,
                collate_fn=_same,
                num_workers=workers,
                prefetch_factor=DECODED_AHEAD,
                multiprocessing_context=context,
                worker_init_fn=_begin_worker,
                timeout=LOOK_SECONDS,
                pin_memory=pin,
                generator=generator,
            )
        )


def _same(made: Any) -> Any:
    return made


def _begin_worker(number: int) -> None:
    del number
    # Ctrl-C goes to all processes of a terminal, a batch system's SIGTERM to all of a job; the run
    # still needs the rest of its step.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE_SECONDS))
    # A process a core is enough: a tokenizer's threads would be a core's each.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


class _FailuresInARow:
    """Counts samples that are replaced, over the micro-batches of a rank in their order."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._row = 0
        self._last: deque[BadSample] = deque(maxlen=SHOWN)

    def note(self, made: Assembled) -> None:
        """Raises `TooManyFailuresError` where the row is too long."""
        bad = iter(made.batch.bad)
        for outcome in made.outcomes:
            if not outcome:
                self._row = 0
                continue
            self._row += 1
            self._last.append(next(bad))
            if self._row >= self._most:
                named = "; ".join(
                    f"{each.key} of {each.shard}: {each.error}: {each.message}"
                    for each in self._last
                )
                raise TooManyFailuresError(
                    f"{self._row} samples in a row do not decode (data.max_failures). The last: "
                    f"{named}"
                )


class _MicroBatches(IterableDataset[Any]):
    """What a worker runs: its share of a rank's micro-batches."""

    def __init__(
        self,
        corpus: "Corpus",
        assembler: Assembler,
        config: DataConfig,
        rank: int,
        ranks: int,
        first_step: int,
        last_step: int,
    ) -> None:
        self._corpus = corpus
        self._assembler = assembler
        self._config = config
        self._rank = rank
        self._ranks = ranks
        self._first_step = first_step
        self._last_step = last_step

    def __iter__(self) -> Iterator[Assembled | _Failure]:
        info = get_worker_info()
        mine, workers = (info.id, info.num_workers) if info is not None else (0, 1)
        try:
            yield from self._made(mine, workers)
        except UserError as error:
            yield _Failure(error)

    def _made(self, mine: int, workers: int) -> Iterator[Assembled]:
        readers = [
            ShardReader(source.index.shards, self._config.retries)
            for source in self._corpus.sources
        ]
        ahead: deque[tuple[int, int, list[PackPieces], Future[Bytes]]] = deque()
        with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as thread:
            try:
                for step, micro, positions in self._wanted(mine, workers):
                    packs = packs_at(self._corpus, positions)
                    read = thread.submit(read_samples, self._corpus, readers, packs)
                    ahead.append((step, micro, packs, read))
                    if len(ahead) > self._config.read_ahead:
                        yield self._next(ahead)
                while ahead:
                    yield self._next(ahead)
            finally:
                thread.shutdown(cancel_futures=True)
                for reader in readers:
                    reader.close()

    def _next(self, ahead: deque[tuple[int, int, list[PackPieces], Future[Bytes]]]) -> Assembled:
        step, micro, packs, read = ahead.popleft()
        return self._assembler.assemble(step, micro, packs, read.result())

    def _wanted(self, mine: int, workers: int) -> Iterator[tuple[int, int, list[int]]]:
        """Step, micro-step and positions of the packs of a worker's micro-batches."""
        micro_steps = self._config.global_batch // (self._ranks * self._config.micro_batch)
        dealt: list[list[list[int]]] = []
        dealt_step = -1
        for number in count(mine, workers):
            step = self._first_step + number // micro_steps
            if step >= self._last_step:
                return
            if step != dealt_step:
                dealt = self._corpus.order.step(step, self._ranks, self._config.micro_batch)
                dealt_step = step
            micro = number % micro_steps
            yield step, micro, dealt[micro][self._rank]


def read_samples(corpus: "Corpus", readers: list[ShardReader], packs: list[PackPieces]) -> Bytes:
    """The bytes of all samples of some packs; `readers` are of the corpus' sources, in turn."""
    found: Bytes = {}
    for source in sorted({pack.source for pack in packs}):
        samples = samples_of(packs, source)
        ranges = sample_ranges(corpus, source, samples)
        for sample, data in zip(samples, readers[source].read(ranges), strict=True):
            found[source, sample] = data
    return found
