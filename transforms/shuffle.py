"""Shuffles in blocks: rows that must meet travel as Arrow blocks of many rows, keyed by a bucket.

A block is an Arrow IPC stream; Beam's GroupByKey brings the blocks of a bucket together. Their
order is the runner's, so whoever reads them sorts before order matters. Memory: a bucket.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics import Metrics

from transforms.parts import PartDoFn, deal_parts
from transforms.shipped import Shipped
from transforms.sink import Part, PartSink, is_committed


def encode_block(rows: pa.RecordBatch | pa.Table) -> bytes:
    """Rows as one block: an Arrow IPC stream, LZ4."""
    buffer = pa.BufferOutputStream()
    # Handing a small block to other threads costs more than it saves; workers are processes.
    options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
    with pa.ipc.new_stream(buffer, rows.schema, options=options) as writer:
        writer.write(rows)
    return bytes(buffer.getvalue())


def decode_blocks(blocks: Iterable[bytes]) -> pa.Table:
    """Blocks of one schema as one table. Their order is the runner's: sort before it matters."""
    options = pa.ipc.IpcReadOptions(use_threads=False)
    return pa.concat_tables(
        [pa.ipc.open_stream(block, options=options).read_all() for block in blocks]
    )


Block = tuple[str, pa.RecordBatch | pa.Table]
"""A bucket's name, and rows for it."""


def split_rows(rows: pa.Table, buckets: Sequence[str] | pa.Array) -> Iterator[Block]:
    """Deal rows to named buckets: one block a bucket that has any, rows in their order."""
    column = buckets.combine_chunks() if isinstance(buckets, pa.ChunkedArray) else buckets
    encoded = pa.array(column, pa.string()).dictionary_encode()
    numbers = encoded.indices.to_numpy(zero_copy_only=False)
    order = numbers.argsort(kind="stable")
    ordered = numbers[order]
    for number, name in enumerate(encoded.dictionary.to_pylist()):
        start, stop = ordered.searchsorted([number, number + 1])
        yield name, rows.take(pa.array(order[start:stop]))


class _EmitBlocksFn(PartDoFn):
    def process(self, element: tuple[str, Iterable[Part]]) -> Iterator[tuple[str, bytes]]:
        for part in element[1]:
            for bucket, rows in self._function(part):
                yield bucket, encode_block(rows)


class _RegroupBlocksFn(PartDoFn):
    def process(self, element: tuple[str, Iterable[bytes]]) -> Iterator[tuple[str, bytes]]:
        for bucket, rows in self._function(element[0], decode_blocks(element[1])):
            yield bucket, encode_block(rows)


class _CommitBlocksFn(PartDoFn):
    def __init__(
        self,
        stage: str,
        output: str,
        identify: Callable[[str, pa.Table], Part],
        function: Callable[[Part, pa.Table, PartSink], None],
    ) -> None:
        super().__init__(stage, function)
        self._output = output
        self._identify = Shipped(identify)

    def process(self, element: tuple[str, Iterable[bytes]]) -> Iterator[str]:
        bucket, blocks = element
        rows = decode_blocks(blocks)
        part = self._identify.value(bucket, rows)
        if not is_committed(self._stage, self._output, part):
            with PartSink(self._stage, self._output, part) as sink:
                self._function(part, rows, sink)
                sink.publish()
        Metrics.counter(self._stage, "parts").inc()
        yield part.key


@dataclass(eq=False)
class EmitBlocks(beam.PTransform):
    """Run a function on every part; it yields `(bucket, rows)` for the shuffle that follows."""

    stage: str
    parts: Sequence[Part]
    function: Callable[[Part], Iterator[Block]]

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, root: Any) -> Any:
        """Beam's hook."""
        emit = _EmitBlocksFn(self.stage, self.function)
        return deal_parts(root, self.parts) | "EmitBlocks" >> beam.ParDo(emit)


@dataclass(eq=False)
class RegroupBlocks(beam.PTransform):
    """Bring the blocks of a bucket together, and emit rows for the next shuffle."""

    stage: str
    function: Callable[[str, pa.Table], Iterator[Block]]

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, blocks: Any) -> Any:
        """Beam's hook."""
        regroup = _RegroupBlocksFn(self.stage, self.function)
        return blocks | "MeetInBuckets" >> beam.GroupByKey() | "Regroup" >> beam.ParDo(regroup)


@dataclass(eq=False)
class CommitBlocks(beam.PTransform):
    """Bring the blocks of a bucket together, and commit the bucket as a part.

    `identify` names the part of a bucket; a bucket whose part is committed is left alone.
    """

    stage: str
    output: str
    identify: Callable[[str, pa.Table], Part]
    function: Callable[[Part, pa.Table, PartSink], None]

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, blocks: Any) -> Any:
        """Beam's hook."""
        commit = _CommitBlocksFn(self.stage, self.output, self.identify, self.function)
        return blocks | "MeetInBuckets" >> beam.GroupByKey() | "CommitBuckets" >> beam.ParDo(commit)
