"""One Arrow schema a table, derived from the row's dataclass; rows to record batches and back."""

import types
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import pyarrow as pa

from schemas import (
    contamination_rows,
    duplicate_rows,
    fetch_rows,
    paragraph_rows,
    recaption_rows,
    rows,
    score_rows,
)

_SCALARS: dict[type, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    bytes: pa.binary(),
}


def _arrow_type(hint: Any) -> tuple[pa.DataType, bool]:
    """The Arrow type of an annotation, and whether it is nullable."""
    if get_origin(hint) in (types.UnionType, Union):
        inner = [arg for arg in get_args(hint) if arg is not type(None)]
        assert len(inner) == 1, f"one type or None, not {hint}"
        return _arrow_type(inner[0])[0], True
    if get_origin(hint) is list:
        item, nullable = _arrow_type(get_args(hint)[0])
        return pa.list_(pa.field("item", item, nullable)), False
    if is_dataclass(hint):
        return pa.struct(list(_arrow_fields(hint))), False
    return _SCALARS[hint], False


def _arrow_fields(row_type: Any) -> Iterable[pa.Field]:
    hints = get_type_hints(row_type)
    for column in fields(row_type):
        data_type, nullable = _arrow_type(hints[column.name])
        yield pa.field(column.name, data_type, nullable)


@cache
def schema_of(row_type: type) -> pa.Schema:
    """The Arrow schema of a row type."""
    return pa.schema(list(_arrow_fields(row_type)))


@cache
def _converter(row_type: type) -> list[tuple[str, Any]]:
    """Field names of a row type, and the type of the rows that a field holds a list of, if any."""
    hints = get_type_hints(row_type)
    return [
        (
            column.name,
            next((arg for arg in get_args(hints[column.name]) if is_dataclass(arg)), None),
        )
        for column in fields(row_type)
    ]


def _column(values: Sequence[Any], data_type: pa.DataType, item_type: type | None) -> pa.Array:
    """A column; of nested rows the lists are laid end to end, and theirs are columns in turn."""
    if item_type is None:
        return pa.array(values, data_type)
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum([len(items) for items in values], out=offsets[1:])
    nested = to_batch([item for items in values for item in items], item_type).to_struct_array()
    return pa.ListArray.from_arrays(pa.array(offsets), nested, type=data_type)


def to_batch(items: Sequence[Any], row_type: type) -> pa.RecordBatch:
    """Rows of one type as a record batch of `schema_of(row_type)`."""
    schema = schema_of(row_type)
    columns = [
        _column([getattr(row, name) for row in items], schema.field(name).type, item_type)
        for name, item_type in _converter(row_type)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def from_dict(row_type: Any, values: dict[str, Any]) -> Any:
    """A row from a dictionary as Arrow gives it (`to_pylist`).

    Columns the row type lacks are ignored.
    """
    made = {}
    for name, item_type in _converter(row_type):
        value = values[name]
        if item_type is not None:
            value = [from_dict(item_type, item) for item in value]
        made[name] = value
    return row_type(**made)


TABLES: dict[str, type] = {
    "documents": rows.Document,
    "texts": rows.Text,
    "captions": rows.Caption,
    "scores_text": rows.TextScore,
    "image_records": rows.ImageRecord,
    "image_refs": rows.ImageRef,
    "images": rows.Image,
    "image_answers": rows.Image,
    "wanted_urls": fetch_rows.WantedUrl,
    "planned_urls": fetch_rows.PlannedUrl,
    "robots": fetch_rows.RobotsFile,
    "thumbnails": fetch_rows.Thumbnail,
    "edges": duplicate_rows.Edge,
    "clusters": duplicate_rows.Cluster,
    "earlier_pages": duplicate_rows.EarlierPage,
    "earlier_captions": duplicate_rows.EarlierCaption,
    "earlier_documents": duplicate_rows.EarlierDocument,
    "repeated_paragraphs": paragraph_rows.RepeatedParagraph,
    "scores_shortened": rows.TextScore,
    "distinct_images": duplicate_rows.DistinctImage,
    "image_pairs": duplicate_rows.ImagePair,
    "image_ranks": duplicate_rows.ImageRank,
    "image_clusters": duplicate_rows.ImageCluster,
    "planned_images": score_rows.PlannedImage,
    "planned_texts": score_rows.PlannedText,
    "image_scores": score_rows.ImageScore,
    "text_embeddings": score_rows.TextEmbedding,
    "text_units": score_rows.TextUnit,
    "wanted_recaptions": recaption_rows.WantedRecaption,
    "planned_recaptions": recaption_rows.PlannedRecaption,
    "recaption_answers": recaption_rows.RecaptionAnswer,
    "recaptions": recaption_rows.Recaption,
    "image_url_clusters": duplicate_rows.UrlCluster,
    "evaluation_texts": contamination_rows.EvaluationText,
    "evaluation_ngrams": contamination_rows.EvaluationNgram,
    "evaluation_images": contamination_rows.EvaluationImage,
    "contamination": contamination_rows.Contamination,
    "ledger": rows.LedgerRow,
    "failures": rows.Failure,
    "samples": rows.Sample,
    "index": rows.IndexRow,
}
"""Every table of fixed schema below `OUT/tables` (and the index of a stream)."""
