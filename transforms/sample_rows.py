"""Samples as rows: their JSON, the sizes that shards are planned by, and the pool to draw from."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from schemas.rows import Sample
from schemas.tables import to_batch
from transforms.sink import PartSink

POOL = "sampling_pool"
"""Table of samples with a column `weight`, of a stream that is sampled (`sampled.py`)."""
_MEMBER_OVERHEAD = 1024
"""Bytes a tar member takes beside its data, near enough to size shards."""
_ROWS = 1024
# Made once: `json.dumps` makes one a call.
_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(values: Mapping[str, Any]) -> str:
    """JSON with one form: keys sorted, no spaces, non-ASCII as it is, no NaN."""
    return _JSON.encode(values)


def keep_sample(sink: PartSink, sample: Sample) -> None:
    """Write a sample and add it to the sizes that shards are planned by."""
    sink.seen("samples")
    sink.keep("samples", sample)
    sizes = sink.commit.details.setdefault(f"{sample.stream}/{sample.split}", [0, 0])
    sizes[0] += 1
    sizes[1] += len(sample.json) + len(sample.txt or "") + _MEMBER_OVERHEAD
    sizes[1] += sum(image.size + _MEMBER_OVERHEAD for image in sample.images)


def write_pool(sink: PartSink, rows: Iterator[tuple[Sample, float | None]]) -> None:
    """Write samples and their weights to the pool."""
    waiting: list[tuple[Sample, float | None]] = []
    for row in rows:
        waiting.append(row)
        if len(waiting) == _ROWS:
            _write_rows(sink, waiting)
            waiting = []
    _write_rows(sink, waiting)


def _write_rows(sink: PartSink, rows: Sequence[tuple[Sample, float | None]]) -> None:
    batch = pa.Table.from_batches([to_batch([sample for sample, _ in rows], Sample)])
    weights = pa.array([weight for _, weight in rows], pa.float64())
    sink.seen(POOL, len(rows))
    sink.count(POOL, kept=len(rows))
    sink.write(POOL, batch.append_column("weight", weights))
