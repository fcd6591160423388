"""Pairs of an image and a text: of a caption, or of an image and a unit of its document."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.pages import positions
from transforms.score_wanted import PAIR_SCHEMA
from transforms.scorers.base import Floats

PAIRS_OF_A_PIECE = 500_000
"""Pairs of some documents that are in memory together: about 0.4 GB."""


def _key(pairs: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(*(pairs[name] for name in PAIR_SCHEMA.names), " ")


def by_documents(wanted: pa.Table, units: pa.Table) -> Iterator[tuple[pa.Table, pa.Table]]:
    """What is wanted of some documents and their units, a bounded number of pairs at a time.

    Documents are taken in the order of their ids, so the pieces are sorted as the whole would be.
    """
    ids = pc.unique(wanted["id"]).sort()
    at = positions(pa.chunked_array([ids]), wanted["id"])
    of_unit = positions(pa.chunked_array([ids]), units["id"])
    alone = np.asarray(wanted["text_hash"].is_null())
    images = np.bincount(at[alone], minlength=len(ids))
    texts = np.bincount(of_unit[of_unit >= 0], minlength=len(ids))
    pairs = images * texts + np.bincount(at, minlength=len(ids))
    groups = np.cumsum(pairs) // PAIRS_OF_A_PIECE
    for group in np.unique(groups):
        yield (
            wanted.filter(pa.array(groups[at] == group)),
            units.filter(pa.array((of_unit >= 0) & (groups[of_unit] == group))),
        )


def document_pairs(images: pa.Table, units: pa.Table) -> pa.Table:
    """Every image of a document with every unit of its text."""
    units = units.select(["id", "text_hash"]).group_by(["id", "text_hash"], use_threads=False)
    texts = units.aggregate([]).sort_by([("id", "ascending"), ("text_hash", "ascending")])
    ids = texts["id"].to_numpy(zero_copy_only=False).astype(str)
    wanted = images["id"].to_numpy(zero_copy_only=False).astype(str)
    starts = np.searchsorted(ids, wanted, "left")
    counts = np.searchsorted(ids, wanted, "right") - starts
    rows = np.repeat(np.arange(len(wanted)), counts)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    hashes = texts["text_hash"].take(pa.array(starts[rows] + within))
    taken = images.take(pa.array(rows))
    return pa.table([taken["id"], taken["image_key"], hashes], schema=PAIR_SCHEMA)


def fill_captions(scores: Mapping[str, Floats], captions: pa.Table, pairs: pa.Table) -> None:
    """Note the scores of the captions that are among some pairs."""
    rows = np.flatnonzero(np.asarray(pc.is_in(captions["id"], value_set=pc.unique(pairs["id"]))))
    asked = captions.take(pa.array(rows))
    at = positions(_key(pairs), _key(asked))
    for name, known in scores.items():
        known[rows[at >= 0]] = pairs[name].to_numpy()[at[at >= 0]]


def best_units(pairs: pa.Table, met: pa.Table, names: Sequence[str]) -> pa.Table:
    """The largest score of each image over the units of its document."""
    at = positions(_key(pairs), _key(met))
    rows = pairs.take(pa.array(at))
    best = rows.group_by(["id", "image_key"], use_threads=False).aggregate(
        [(name, "max") for name in names]
    )
    best = best.rename_columns(["id", "image_key", *names])
    return best.sort_by([("id", "ascending"), ("image_key", "ascending")])
