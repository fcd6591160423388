"""Where pages stand that were read more than once, in this run or before, and who goes first.

A page may stand in several parts: a record that was read twice, or again after an earlier output
had it. It belongs to one of them, and the others reject it.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.pages import first_rows, positions, take_or_null


def page_places(edges: pa.Table, earlier: Sequence[str]) -> pa.Table:
    """Where the pages of some edges stand: `id`, facts, `part`, `published`, `split`, `earlier`.

    Args:
        edges: Rows of `schemas.duplicate_rows.Edge`.
        earlier: The parts of earlier outputs.
    """
    names = ["id", "date", "length", "score", "part", "published", "split"]
    ends = [edges.select([f"{end}_{name}" for name in names]) for end in "ab"]
    places = pa.concat_tables([end.rename_columns(names) for end in ends])
    is_earlier = pc.is_in(places["part"], value_set=pa.array(earlier, pa.string()))
    return places.append_column("earlier", is_earlier)


def first_places(places: pa.Table) -> pa.Table:
    """One place for each page, sorted by id.

    A record that stands in several parts belongs to the one that an earlier output published, else
    to the first of this run: what an earlier one left out may come now.
    """
    order = [("id", "ascending"), ("published", "descending"), ("earlier", "ascending")]
    places = places.sort_by([*order, ("part", "ascending")])
    return places.take(first_rows(places["id"]))


def repeated_records(records: pa.Table, earlier: Sequence[str]) -> pa.Table:
    """Pages of this run that stand elsewhere too: `id`, `part`, sorted.

    Args:
        records: Edges of kind `record`: a star for each record that was read more than once.
        earlier: The parts of earlier outputs.

    Returns:
        All but the first of this run, and that one too where an earlier output published it.
    """
    places = page_places(records, earlier)
    kept = first_places(places).filter(pc.invert(pc.field("earlier")))
    own = places.filter(pc.invert(pc.field("earlier"))).select(["id", "part"])
    own = own.group_by(["id", "part"], use_threads=False).aggregate([])
    names = [pc.binary_join_element_wise(rows["id"], rows["part"], " ") for rows in (own, kept)]
    own = own.filter(pc.invert(pc.is_in(names[0], value_set=names[1].combine_chunks())))
    return own.sort_by([("id", "ascending"), ("part", "ascending")])


def holders_of(clusters: pa.Table) -> pa.Array:
    """Of every cluster row, the page whose text and images gate `fetch` prefers to its own.

    That is one that an earlier output published, else the best-ranked of this run; null where it is
    the page itself, and for clusters of other kinds, of which nothing is left out before gate
    `shard`.
    """
    rows = clusters.append_column("row", pa.array(np.arange(len(clusters))))
    rows = rows.filter(pc.equal(rows["kind"], "text"))
    wanted = rows.filter(pc.or_(rows["published"], pc.invert(rows["earlier"])))
    order = [("cluster_id", "ascending"), ("published", "descending"), ("rank", "ascending")]
    wanted = wanted.sort_by(order)
    holders = wanted.take(first_rows(wanted["cluster_id"]))
    at = positions(holders["cluster_id"], rows["cluster_id"])
    held_by = take_or_null(holders["id"], at)
    held_by = pc.if_else(pc.equal(held_by, rows["id"]), None, held_by).to_pylist()
    found: list[str | None] = [None] * len(clusters)
    for row, holder in zip(rows["row"].to_pylist(), held_by, strict=True):
        found[row] = holder
    return pa.array(found, pa.string())


def splits_of(clusters: pa.Table) -> pa.Array:
    """Of every cluster row, the split that an earlier output has given to its component.

    That of the first page, by `place`, which an earlier output has samples of; null where there is
    none. So copies of a page lie in one split, whichever run published them.
    """
    order = [("component", "ascending"), ("place", "ascending"), ("split", "ascending")]
    known = clusters.filter(clusters["split"].is_valid()).sort_by(order)
    known = known.take(first_rows(known["component"]))
    at = positions(known["component"], clusters["component"])
    return take_or_null(known["split"], at).combine_chunks()
