"""Imported into a run, it hands every part to the workers twice: runners promise at least once.

Parts go through one more shuffle after which there are two of each, dealt to workers that have
nothing to do with each other: the second attempt comes beside the first, or after its commit. No
attempt looks for the commit record of the other. Only what ends in a commit is doubled: what a
bundle emits to the next step, runners count once.
"""

import os
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam

from tests.chaos.rounds import NOTES
from transforms import parts, shuffle
from transforms.sink import Part


def twice(element: tuple[str, Iterable[Any]]) -> Iterator[tuple[str, list[Any]]]:
    """A key and its values, two times."""
    key, values = element
    kept = list(values)
    yield key, kept
    yield key, kept


def never_committed(stage: str, output: str, part: Part) -> bool:
    """Stands in for `is_committed`, and notes the attempt."""
    del output
    handle = os.open(os.environ[NOTES], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, f"{stage} {part.key}\n".encode())
    finally:
        os.close(handle)
    return False


def _map_parts(self: parts.MapParts, root: Any) -> Any:
    run = parts._RunPartFn(self.stage, self.output, self.function)
    dealt = parts.deal_parts(root, self.parts)
    doubled = dealt | "Twice" >> beam.FlatMap(twice) | "DealAgain" >> beam.Reshuffle()
    return doubled | "RunParts" >> beam.ParDo(run)


def _commit_blocks(self: shuffle.CommitBlocks, blocks: Any) -> Any:
    commit = shuffle._CommitBlocksFn(self.stage, self.output, self.identify, self.function)
    met = blocks | "MeetInBuckets" >> beam.GroupByKey()
    doubled = met | "Twice" >> beam.FlatMap(twice) | "DealAgain" >> beam.Reshuffle()
    return doubled | "CommitBuckets" >> beam.ParDo(commit)


parts.MapParts.expand = _map_parts  # type: ignore[method-assign]
shuffle.CommitBlocks.expand = _commit_blocks  # type: ignore[method-assign]
parts.is_committed = never_committed
shuffle.is_committed = never_committed
