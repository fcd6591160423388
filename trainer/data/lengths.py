"""Element lengths of every sample: one pass over the texts of a folder, in parallel, kept.

Images are not read: the index says where texts lie. What is kept is named by a hash of the shards,
the tokenizer and the layout, so a second opening only maps it.
"""

import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.errors import InputError, StageError
from schemas.ids import digest
from trainer.data.byte_ranges import ByteRange, ShardReader
from trainer.data.cut import Lengths
from trainer.data.index import Progress, ShardIndex, open_table
from trainer.data.layout import (
    IMAGE,
    LAYOUT_VERSION,
    MAX_CHARACTERS,
    SampleError,
    element_lengths,
    needs_bytes,
    read_content,
)
from trainer.data.mapped import Array, map_array, publish_folder
from trainer.data.tar_members import IndexMismatchError, read_members
from trainer.data.tokenizer import TextTokenizer

TASK_SAMPLES = 4096
"""Samples that a process counts at a time."""
SAMPLES_A_PROCESS = 1000
"""With fewer than twice as many no process is started: that takes longer than to count them."""
READ_BYTES = 16 << 20
"""Bytes of texts that a process holds."""
MAX_MEMBER_BYTES = 256 << 20
"""Largest member that is looked into: a TIFF of many pages."""
LISTED = 20
"""Bad samples that are listed; all are counted."""

_COLUMNS = ["key", "offset", "members", "member_offsets", "member_sizes"]


@dataclass(frozen=True)
class Task:
    """Samples first..last-1 of the index, rows of one row group of its table."""

    first: int
    last: int
    group: int
    group_start: int


@dataclass
class Counted:
    """What a task gives."""

    elements: Array
    """int32: as `cut.Lengths` has them."""
    counts: Array
    """int64 [samples]: elements of each."""
    bad: Counter[str] = field(default_factory=Counter)
    """Samples that are none, by the start of the message."""
    listed: list[str] = field(default_factory=list)
    """The first of them."""


class LengthCounter:
    """Counts the elements of samples; it can be pickled."""

    def __init__(
        self, index: ShardIndex, stream: str, tokenizer: TextTokenizer, retries: int
    ) -> None:
        self._index = index
        self._stream = stream
        self._tokenizer = tokenizer
        self._retries = retries

    def count(self, task: Task) -> Counted:
        """Raises `InputError` where a shard cannot be read, or is not the one of the index."""
        reader = ShardReader(self._index.shards, self._retries)
        try:
            return self._count(task, reader)
        finally:
            reader.close()

    def _count(self, task: Task, reader: ShardReader) -> Counted:
        found: list[int] = []
        counts = np.zeros(task.last - task.first, np.int64)
        result = Counted(np.empty(0, np.int32), counts)
        for number, key, members in self._samples(task, reader):
            try:
                if isinstance(members, SampleError):
                    raise members
                content = read_content(self._stream, members)
            except SampleError as error:
                where = f"{self._index.shards[self._index.shard[number]]} {key}"
                result.bad[str(error)[:80]] += 1
                if len(result.listed) < LISTED:
                    result.listed.append(f"{where}: {error}")
                continue
            # A text of no tokens takes no place.
            lengths = [each for each in element_lengths(content, self._tokenizer) if each]
            counts[number - task.first] = len(lengths)
            found += lengths
        result.elements = np.array(found, np.int32)
        return result

    def _samples(
        self, task: Task, reader: ShardReader
    ) -> Iterator[tuple[int, str, dict[str, Any] | SampleError]]:
        """Number, key and members of each sample; members that hold no text are empty."""
        table = _row_group(self._index.table, self._index.fingerprint, task.group)
        rows = np.asarray(self._index.row[task.first : task.last]) - task.group_start
        columns = table.take(pa.array(rows)).to_pydict()
        # Batches of samples whose texts are held at once.
        sizes = [
            sum(size for suffix, size in zip(*each, strict=True) if needs_bytes(suffix))
            for each in zip(columns["members"], columns["member_sizes"], strict=True)
        ]
        batches = np.cumsum(np.minimum(sizes, MAX_MEMBER_BYTES)) // READ_BYTES
        cuts = [0, *(np.flatnonzero(np.diff(batches)) + 1).tolist(), len(sizes)]
        for first, last in pairwise(cuts):
            yield from self._read_batch(task, columns, range(first, last), reader)

    def _read_batch(
        self, task: Task, columns: dict[str, list[Any]], rows: range, reader: ShardReader
    ) -> Iterator[tuple[int, str, dict[str, Any] | SampleError]]:
        members: list[dict[str, Any] | SampleError] = []
        ranges: list[ByteRange] = []
        places: list[tuple[int, str]] = []
        for row in rows:
            shard = int(self._index.shard[task.first + row])
            given: dict[str, Any] | SampleError = {}
            begin = columns["offset"][row]
            for suffix, offset, size in zip(
                *(columns[name][row] for name in ("members", "member_offsets", "member_sizes")),
                strict=True,
            ):
                end = offset + size + -size % 512
                if isinstance(given, dict):
                    given[suffix] = b""
                    limit = 4 * MAX_CHARACTERS if suffix in ("txt", "json") else MAX_MEMBER_BYTES
                    if needs_bytes(suffix) and size > limit:
                        given = SampleError(f"a .{suffix} of more than {limit} bytes")
                    elif needs_bytes(suffix):
                        places.append((row - rows.start, suffix))
                        ranges.append(ByteRange(shard, begin, end - begin))
                begin = end
            members.append(given)
        read = reader.read(ranges)
        for (place, suffix), where, data in zip(places, ranges, read, strict=True):
            try:
                found = read_members(data)[1]
                if list(found) != [suffix]:
                    raise IndexMismatchError(f"the member is {', '.join(found)}, not {suffix}")
            except IndexMismatchError as error:
                raise IndexMismatchError(
                    f"{self._index.shards[where.shard]}: byte {where.offset}: {error}: index and "
                    "shard are of different runs: copy the whole folder, or publish it again"
                ) from error
            given = members[place]
            if isinstance(given, dict):
                given[suffix] = found[suffix]
        for row, given in zip(rows, members, strict=True):
            yield task.first + row, columns["key"][row], given


@lru_cache(maxsize=1)
def _row_group(url: str, fingerprint: str, group: int) -> pa.Table:
    """Tasks come in the order of their row groups, so the last one is often wanted again.

    The fingerprint tells a file from another that was written in its place.
    """
    del fingerprint
    with open_table(url) as file:
        return file.read_row_group(group, columns=_COLUMNS)


_counter: LengthCounter | None = None
"""Of a process of the pool."""


def _start(counter: LengthCounter) -> None:
    global _counter
    _counter = counter
    # There is a process for each core already.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def _count(task: Task) -> Counted:
    assert _counter is not None
    return _counter.count(task)


def tasks_of(index: ShardIndex) -> list[Task]:
    """The samples of an index in tasks, none across two row groups of its table."""
    with open_table(index.table) as file:
        groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(groups, dtype=np.int64)])
    bounds = np.searchsorted(index.row, starts).tolist()
    return [
        Task(first, min(first + TASK_SAMPLES, end), group, int(starts[group]))
        for group, (begin, end) in enumerate(pairwise(bounds))
        for first in range(begin, end, TASK_SAMPLES)
    ]


def count_all(
    counter: LengthCounter, tasks: list[Task], progress: Progress | None = None
) -> Iterator[Counted]:
    """The result of each task, in order, whatever the number of processes.

    Raises:
        InputError: A shard cannot be read, or is not the one of the index.
        StageError: A process died.
    """
    total = tasks[-1].last if tasks else 0
    workers = min(total // SAMPLES_A_PROCESS, os.cpu_count() or 1)

    def tell(task: Task) -> None:
        if progress:
            progress(f"tokens: {task.last} of {total} samples counted")

    if workers <= 1:
        for task in tasks:
            yield counter.count(task)
            tell(task)
        return
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(workers, context, _start, (counter,)) as pool:
            for task, counted in zip(tasks, pool.map(_count, tasks), strict=True):
                yield counted
                tell(task)
    except BrokenProcessPool as error:
        raise StageError("a process that counts tokens died; was there enough memory?") from error


def open_lengths(
    index: ShardIndex,
    stream: str,
    tokenizer: TextTokenizer,
    retries: int,
    progress: Progress | None = None,
) -> tuple[Lengths, dict[str, Any], Path]:
    """Element lengths of all samples: mapped where they were counted before.

    Returns:
        The lengths; `samples`, `bad_samples`, `bad_reasons`, `bad_listed`, `empty_samples`,
        `text_tokens`, `images`; and the folder in which they are kept.

    Raises:
        InputError: A shard cannot be read, or is not the one of the index.
        StageError: A process died.
    """
    name = digest("lengths", LAYOUT_VERSION, stream, tokenizer.fingerprint)
    kept = index.kept / f"lengths-{name}"
    if not kept.is_dir():
        counter = LengthCounter(index, stream, tokenizer, retries)
        elements: list[Array] = []
        counts: list[Array] = []
        bad: Counter[str] = Counter()
        listed: list[str] = []
        for each in count_all(counter, tasks_of(index), progress):
            elements.append(each.elements)
            counts.append(each.counts)
            bad += each.bad
            listed += each.listed[: LISTED - len(listed)]
        all_elements = np.concatenate([np.empty(0, np.int32), *elements])
        all_counts = np.concatenate([np.empty(0, np.int64), *counts])
        if len(all_counts) != len(index):
            raise InputError(f"{index.table}: its rows and its row groups do not agree")
        is_image = all_elements == IMAGE
        reasons = sorted(bad.items(), key=lambda item: (-item[1], item[0]))
        facts = {
            "samples": len(index),
            "bad_samples": bad.total(),
            "bad_reasons": dict(reasons[:LISTED]),
            "bad_listed": listed,
            "empty_samples": int((all_counts == 0).sum()) - bad.total(),
            "text_tokens": int(all_elements[~is_image].sum(dtype=np.int64)),
            "images": int(is_image.sum()),
        }
        with publish_folder(kept) as new:
            starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(all_counts)])
            np.save(new / "elements.npy", all_elements)
            np.save(new / "element_start.npy", starts)
            (new / "counts.json").write_text(json.dumps(facts, indent=1) + "\n")
    lengths = Lengths(map_array(kept / "elements.npy"), map_array(kept / "element_start.npy"))
    return lengths, json.loads((kept / "counts.json").read_text()), kept
