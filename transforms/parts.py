"""The Beam plumbing of map stages, written once.

A *part* is the unit of work: a slice of an input file, or a bucket of a shuffle. It is handled
inside one DoFn call: rows stream in, go through a pure function, stream out, commit (`sink.py`).
Beam distributes, retries and rebalances parts; it never sees a row, an image or a page. Rows that
must meet travel in blocks (`shuffle.py`).
"""

import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import apache_beam as beam
import psutil
from apache_beam.metrics import Metrics

from transforms.shipped import Shipped
from transforms.sink import Part, PartSink, is_committed

WATCH_VARIABLE = "WEFT_WATCH_PID"
"""Environment variable: worker processes end when the process of this number does."""


class PartFunction(Protocol):
    """What a map stage does with a part."""

    def setup(self) -> None:
        """Build what is heavy, once a worker."""

    def __call__(self, part: Part, sink: "PartSink") -> None:
        """Read the part and hand every row to the sink."""


def run_part(stage: str, output: str, function: PartFunction, part: Part) -> str:
    """Handle one part from its input to its commit record; returns the part's key."""
    if not is_committed(stage, output, part):
        with PartSink(stage, output, part) as sink:
            function(part, sink)
            sink.publish()
    return part.key


def watch_process() -> None:
    """End this process when the one that `WATCH_VARIABLE` names ends; once a process.

    A worker whose driver was killed would otherwise wait for work for ever.
    """
    number = os.environ.get(WATCH_VARIABLE)
    if number is None or int(number) == os.getpid():
        return
    name = "watch-process"
    if any(thread.name == name for thread in threading.enumerate()):
        return
    try:
        watched = psutil.Process(int(number))
    except psutil.NoSuchProcess:
        os._exit(1)

    def watch() -> None:
        # `is_running` compares start times, so a reused number does not deceive it.
        while watched.is_running() and watched.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, name=name, daemon=True).start()


class PartDoFn(beam.DoFn):
    """Sets a function up once a worker, and ends the worker with the driver."""

    def __init__(self, stage: str, function: Any) -> None:
        self._stage = stage
        self._shipped = Shipped(function)

    @property
    def _function(self) -> Any:
        return self._shipped.value

    def setup(self) -> None:
        """Beam's hook."""
        watch_process()
        setup = getattr(self._function, "setup", None)
        if setup is not None:
            setup()


class _RunPartFn(PartDoFn):
    def __init__(self, stage: str, output: str, function: PartFunction) -> None:
        super().__init__(stage, function)
        self._output = output

    def process(self, element: tuple[str, Iterable[Part]]) -> Iterator[str]:
        for part in element[1]:
            yield run_part(self._stage, self._output, self._function, part)
            Metrics.counter(self._stage, "parts").inc()


def deal_parts(root: Any, parts: Sequence[Part]) -> Any:
    """Parts as a keyed collection, largest first: local runners deal them in turn to workers."""
    ordered = sorted(parts, key=lambda part: (-part.weight, part.name))
    return (
        root
        | "ListParts" >> beam.Create([Shipped(ordered)], reshuffle=False)
        | "SpreadParts" >> beam.FlatMap(_spread_parts).with_output_types(tuple[str, Part])
        | "DealParts" >> beam.GroupByKey()
    )


def _spread_parts(parts: Any) -> list[tuple[str, Part]]:
    return [(part.key, part) for part in parts.value]


@dataclass(eq=False)
class MapParts(beam.PTransform):
    """Run a function on every part that has no commit record; yields the keys of the parts."""

    stage: str
    output: str
    parts: Sequence[Part]
    function: PartFunction

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, root: Any) -> Any:
        """Beam's hook."""
        run = _RunPartFn(self.stage, self.output, self.function)
        return deal_parts(root, self.parts) | "RunParts" >> beam.ParDo(run)
