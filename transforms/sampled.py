"""Which samples are drawn, and how often: the pool of a stream becomes its samples.

A stream that is sampled (`[sampling.captioned]`) leaves `samples.py` as a pool: the samples that
passed gate `shard` and lost to no duplicate, each with its weight. So the number of draws is that
of the corpus as it is written. A sample that is drawn is written once; its JSON says how often it
was drawn, `sampling_repeats`. One that is not goes to the ledger under rule `sampling`.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.rows import LedgerRow
from transforms.json_columns import canonical_json
from transforms.sample_rows import keep_samples
from transforms.sink import Part, PartSink
from transforms.soft_cap import Floats, SamplingConfig, count_repeats, find_draws
from transforms.table_files import iter_batches
from transforms.top_fraction import Cutoff

STEP_VERSION = 1

RULE = "sampling"
REPEATS = "sampling_repeats"
_ROWS = 1024


def find_pool_draws(output: str, paths: Sequence[str], config: SamplingConfig) -> Cutoff:
    """The last draw that counts, over the pools of all parts."""

    def parts() -> Iterator[tuple[Floats, Any]]:
        for path in paths:
            for batch in iter_batches(output, path, 1 << 17, ["key", "weight"]):
                yield _weights(batch), batch.column("key")

    return find_draws(config, parts)


def _weights(batch: pa.RecordBatch) -> Floats:
    weights: Floats = batch.column("weight").to_numpy(zero_copy_only=False).astype(np.float64)
    return weights


@dataclass(eq=False)
class DrawSamples:
    """Part function: of a pool, what is drawn."""

    output: str
    config: SamplingConfig
    cutoff: Cutoff

    def setup(self) -> None:
        """Nothing is heavy here."""

    def __call__(self, part: Part, sink: PartSink) -> None:
        """Write `samples`, and the ledger of those that are not drawn."""
        path: str | None = part.spec
        if path is None:
            return
        amount = f"draws={self.config.draws}"
        if self.config.draws is None:
            amount = f"fraction={self.config.fraction}"
        threshold = f"{amount}, cap={self.config.cap}"
        for batch in iter_batches(self.output, path, _ROWS):
            weights = _weights(batch)
            repeats = count_repeats(self.config, self.cutoff, weights, batch.column("key"))
            sink.seen("sampled", len(batch))
            sink.count("sampled", kept=int((repeats > 0).sum()))
            sink.fact("sampling_draws", int(repeats.sum()))
            drawn = pa.array(repeats > 0)
            samples = pa.Table.from_batches([batch]).drop_columns("weight").filter(drawn)
            told = zip(samples["json"].to_pylist(), repeats[repeats > 0].tolist(), strict=True)
            layouts = [canonical_json(json.loads(known) | {REPEATS: n}) for known, n in told]
            at = samples.schema.get_field_index("json")
            field = samples.schema.field(at)
            keep_samples(sink, samples.set_column(at, field, pa.array(layouts, pa.string())))
            lost = batch.select(["stream", "key", "weight"]).filter(pc.invert(drawn))
            for row in lost.to_pylist():
                gate = f"shard.{row['stream']}"
                sink.reject(
                    "sampled",
                    LedgerRow(
                        gate, "sample", row["key"], None, RULE, True, row["weight"], None, threshold
                    ),
                )
