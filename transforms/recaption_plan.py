"""Plan what is to be written anew: wanted minus answered, image by image.

``what parts want, what was answered -> [by image_key] open -> [by pack] slices``

A model describes an image once, whatever texts stand beside it on whatever pages; a text is fused
once with each image. So a row of the plan is an image with its open texts, and with the description
that an earlier part has of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.recaption_rows import (
    ASKED_AGAIN,
    PlannedRecaption,
    PlannedText,
    WantedRecaption,
)
from schemas.tables import schema_of
from transforms.distinct_images import key_bucket
from transforms.pages import first_rows, known_columns, positions, take_or_null
from transforms.shuffle import Block, split_rows
from transforms.sink import Part, PartSink
from transforms.table_files import read_table

STEP_VERSION = 1
PLANNED = "planned_recaptions"
_ANSWER_COLUMNS = ("recaptioner", "image_key", "text_hash", "text", "outcome")
_PLAN = "plan "
_PLAN_SCHEMA = schema_of(PlannedRecaption)
_WANTED = schema_of(WantedRecaption)
_OPEN_SCHEMA = pa.schema(
    [
        *(_WANTED.field(name) for name in ("image_key", "text_hash")),
        *(
            _WANTED.field(name).with_nullable(True)
            for name in ("pack", "offset", "size", "text", "language")
        ),
        pa.field("recaptioner", pa.string()),
    ]
)
"""A text that is wanted for an image; with a `recaptioner`, one that it has answered."""


@dataclass(frozen=True, slots=True)
class RecaptionSource:
    """A file of wanted recaptions, or of answers."""

    path: str
    is_answer: bool = False


@dataclass(eq=False)
class EmitOpen:
    """Map side: what is wanted, and what this recaptioner has answered, by image.

    A part without a source makes every bucket of the plan exist.
    """

    output: str
    recaptioner: str
    buckets: int

    def __call__(self, part: Part) -> Iterator[Block]:
        """Yield rows by bucket of their image."""
        sources: Sequence[RecaptionSource] = part.spec
        if not sources:
            for number in range(self.buckets):
                yield f"{_PLAN}{number:05d}", _PLAN_SCHEMA.empty_table()
            return
        for source in sources:
            rows = read_table(
                self.output, [source.path], list(_ANSWER_COLUMNS) if source.is_answer else None
            )
            assert rows is not None
            if source.is_answer:
                mine = pc.equal(rows["recaptioner"], self.recaptioner)
                again = pc.is_in(rows["outcome"], value_set=pa.array(ASKED_AGAIN))
                rows = rows.filter(pc.and_not(mine, again))
            known = dict(zip(rows.column_names, rows.columns, strict=True))
            table = known_columns(known, _OPEN_SCHEMA, len(rows))
            keys = table["image_key"].to_pylist()
            yield from split_rows(table, [key_bucket(key, self.buckets) for key in keys])


@dataclass(eq=False)
class ChooseOpen:
    """First reduce: what is open, each image at one place with its texts; to buckets of packs."""

    buckets: int

    def __call__(self, bucket: str, rows: pa.Table) -> Iterator[Block]:
        """Yield rows of the plan."""
        if bucket.startswith(_PLAN):
            yield bucket, rows
            return
        answers = rows.filter(rows["recaptioner"].is_valid())
        rows = rows.filter(rows["recaptioner"].is_null())
        order = ("image_key", "text_hash", "pack", "offset", "size", "text", "language")
        rows = rows.sort_by([(name, "ascending") for name in order])
        rows = rows.take(first_rows(_pairs(rows)))
        rows = rows.filter(pc.invert(pc.is_in(_pairs(rows), value_set=_array(_pairs(answers)))))
        planned = _by_image(rows, answers)
        packs = [key_bucket(pack, self.buckets) for pack in planned["pack"].to_pylist()]
        yield from split_rows(planned, [f"{_PLAN}{pack}" for pack in packs])


def _pairs(rows: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(rows["image_key"], rows["text_hash"], ":")


def _array(column: pa.ChunkedArray) -> pa.Array:
    found = column.combine_chunks()
    return found if isinstance(found, pa.Array) else pa.concat_arrays(found.chunks)


def _by_image(rows: pa.Table, answers: pa.Table) -> pa.Table:
    """Rows of the plan from open texts in the order of images."""
    firsts = first_rows(rows["image_key"])
    images = rows.take(firsts)
    starts = np.append(np.asarray(firsts), len(rows)).astype(np.int32)
    texts = pa.StructArray.from_arrays(
        [_array(rows[name]) for name in schema_of(PlannedText).names],
        fields=list(schema_of(PlannedText)),
    )
    # Two runs may have described one image.
    is_description = pc.equal(answers["text_hash"], "")
    said = answers.filter(pc.and_(is_description, pc.not_equal(answers["text"], "")))
    said = said.sort_by([("image_key", "ascending"), ("text", "ascending")])
    said = said.take(first_rows(said["image_key"]))
    at = positions(said["image_key"], images["image_key"])
    columns = {
        **{name: images[name] for name in ("image_key", "pack", "offset", "size")},
        "description": take_or_null(said["text"], at),
        "texts": pa.ListArray.from_arrays(pa.array(starts), texts).cast(
            _PLAN_SCHEMA.field("texts").type
        ),
    }
    return pa.table([columns[name] for name in _PLAN_SCHEMA.names], schema=_PLAN_SCHEMA)


@dataclass(eq=False)
class CommitPlan:
    """Last reduce: the plan of a bucket, and how it is cut."""

    images_a_slice: int

    def __call__(self, part: Part, rows: pa.Table, sink: PartSink) -> None:
        """Write the plan; the record holds the slices: first row, last row, answers wanted."""
        rows = rows.sort_by([("pack", "ascending"), ("offset", "ascending")])
        texts = pc.list_value_length(rows["texts"]).to_numpy()
        sink.seen(PLANNED, len(rows))
        sink.count(PLANNED, kept=len(rows))
        sink.write(PLANNED, rows)
        step = self.images_a_slice
        sink.commit.details["slices"] = [
            [start, min(start + step, len(rows)), int(texts[start : start + step].sum())]
            for start in range(0, len(rows), step)
        ]
        sink.commit.details["left"] = 0
