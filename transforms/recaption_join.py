"""Where answers meet captions: each caption of a part gets what a model wrote for it.

``captions that want a text, answers -> [by image_key] -> [back to the part] -> recaptions``
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import RecordedError
from schemas.recaption_rows import (
    OUTCOME_FACT,
    OUTCOMES,
    PROBLEM_FACT,
    RECAPTIONS,
    Recaption,
    RecaptionAnswer,
)
from schemas.tables import schema_of
from transforms.distinct_images import key_bucket
from transforms.pages import known_columns, positions
from transforms.shuffle import Block, split_rows
from transforms.sink import Part, PartSink
from transforms.table_files import read_table

STEP_VERSION = 1
_TOLD = ("text", "origin", "prompt", "model", "outcome", "problems")
_ANSWER = schema_of(RecaptionAnswer)
_MEET_SCHEMA = pa.schema(
    [
        pa.field("image_key", pa.string()),
        pa.field("text_hash", pa.string()),
        pa.field("part", pa.string()),
        pa.field("caption_id", pa.string()),
        *(_ANSWER.field(name).with_nullable(True) for name in _TOLD),
    ]
)
"""A caption of a `part` that wants a text; without a part, an answer; with both, the two met."""


@dataclass(frozen=True, slots=True)
class MeetSource:
    """A part's wanted recaptions, or with no part a file of answers."""

    part: str | None
    path: str | None


@dataclass(eq=False)
class EmitAnswers:
    """Map side: uses and answers by image, and an empty block for each part."""

    output: str
    recaptioner: str
    buckets: int

    def __call__(self, part: Part) -> Iterator[Block]:
        """Yield rows by bucket of their image."""
        source: MeetSource = part.spec
        if source.part is not None:
            yield f"part {source.part}", _MEET_SCHEMA.empty_table()
        if source.path is None:
            return
        rows = read_table(self.output, [source.path])
        assert rows is not None
        known = dict(zip(rows.column_names, rows.columns, strict=True))
        if source.part is None:
            rows = rows.filter(pc.equal(rows["recaptioner"], self.recaptioner))
            known = {name: rows[name] for name in ("image_key", "text_hash", *_TOLD)}
        else:
            known = {name: known[name] for name in ("image_key", "text_hash", "caption_id")}
            known["part"] = pa.repeat(source.part, len(rows))
        table = known_columns(known, _MEET_SCHEMA, len(rows))
        keys = table["image_key"].to_pylist()
        yield from split_rows(table, [f"key {key_bucket(key, self.buckets)}" for key in keys])


def send_answers(bucket: str, rows: pa.Table) -> Iterator[Block]:
    """First reduce: every answer to the captions that want it."""
    if bucket.startswith("part "):
        yield bucket, rows
        return
    uses = rows.filter(rows["part"].is_valid())
    said = rows.filter(rows["part"].is_null())
    # What was asked again may have been answered; two runs may have answered one request.
    # Best outcome first; an error is worse than any.
    ranks = pc.index_in(said["outcome"], value_set=pa.array(list(OUTCOMES)))
    said = said.append_column("rank", pc.fill_null(ranks, len(OUTCOMES)))
    order = ("image_key", "text_hash", "rank", "outcome", "text")
    said = said.sort_by([(name, "ascending") for name in order])
    at = positions(_requests(said), _requests(uses))
    if (at < 0).any():
        lost = uses["caption_id"].filter(pa.array(at < 0))[0].as_py()
        raise AssertionError(f"caption {lost} was planned and has no answer")
    met = said.take(pa.array(at)).select(_MEET_SCHEMA.names)
    for name in ("part", "caption_id"):
        met = met.set_column(met.schema.get_field_index(name), name, uses[name])
    yield from split_rows(met, pc.binary_join_element_wise("part", met["part"], " "))


def _requests(rows: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(rows["image_key"], rows["text_hash"], ":")


@dataclass(eq=False)
class CommitRecaptions:
    """Last reduce: the recaptions of a part."""

    def __call__(self, part: Part, rows: pa.Table, sink: PartSink) -> None:
        """Write and count them: one a caption, by outcome."""
        rows = rows.sort_by([("caption_id", "ascending")])
        sink.seen(RECAPTIONS, len(rows))
        for counted in pc.value_counts(rows["outcome"]).to_pylist():
            outcome, count = counted["values"], counted["counts"]
            sink.fact(f"{OUTCOME_FACT}{outcome}", count)
            if outcome in OUTCOMES:
                sink.count(RECAPTIONS, kept=count)
        known = pa.array(list(OUTCOMES), pa.string())
        failed = rows.filter(pc.invert(pc.is_in(rows["outcome"], value_set=known)))
        for row in failed.select(["caption_id", "outcome"]).to_pylist():
            error = RecordedError(row["outcome"], "no model has answered for its image")
            sink.fail(RECAPTIONS, row["caption_id"], error)
        for problem in pc.value_counts(pc.list_flatten(rows["problems"])).to_pylist():
            sink.fact(f"{PROBLEM_FACT}{problem['values']}", problem["counts"])
        schema = schema_of(Recaption)
        sink.write(RECAPTIONS, rows.select(schema.names).cast(schema))
