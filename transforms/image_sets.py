"""Documents with the same set of images: the best one stays, whatever the others write.

Pages that show the same pictures are mostly one story: printed again, in another edition, or with
another text around the pictures of an agency. Their texts differ enough to be no duplicates, so
this is judged last, among documents that have won already: whoever lost to a duplicate is in
nobody's way. OBELICS does it by URL (`11_02`); here copies of an image are one.
"""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

import pyarrow as pa
import pyarrow.compute as pc

from schemas.ids import digest
from transforms.pages import known_columns, rows_with
from transforms.shuffle import Block, split_rows

IMAGE_SET = "image_set"
"""Kind of a verdict on a document for its images."""


def set_keys(ids: pa.ChunkedArray, clusters: pa.ChunkedArray, min_set: int) -> dict[str, str]:
    """A key for the set of images of each document, for those with enough different ones.

    Args:
        ids: The document of each image that gate `shard` left.
        clusters: The cluster of the image.
        min_set: Different images that a set has at least; 0: there are no sets.
    """
    if not min_set:
        return {}
    pairs = sorted(set(zip(ids.to_pylist(), clusters.to_pylist(), strict=True)))
    keys = {}
    for doc_id, rows in groupby(pairs, key=itemgetter(0)):
        images = [cluster for _, cluster in rows]
        if len(images) >= min_set:
            keys[doc_id] = digest("image_set", *images)
    return keys


def set_bucket(key: str, buckets: int) -> str:
    """The bucket where documents with the set of a key meet."""
    return f"set {int(key[:8], 16) % buckets:05d}"


def with_sets(rows: pa.Table, documents: pa.Table, keys: dict[str, str], part: str) -> pa.Table:
    """Contenders that tell of their set of images.

    Args:
        rows: Contenders of some documents, a row for each cluster of each: `image_set` is filled.
        documents: All documents of the part that pass gate `shard`; those that have a set and are
            in no cluster become contenders too, without `cluster` and `component`.
        keys: `set_keys`.
        part: The part's name.
    """
    held = [keys.get(page) for page in rows["id"].to_pylist()]
    at = rows.schema.get_field_index("image_set")
    rows = rows.set_column(at, "image_set", pa.array(held, pa.string()))
    met = pc.is_in(documents["id"], value_set=pc.unique(rows["id"]))
    alone = rows_with(documents.filter(pc.invert(met)), "id", list(keys))
    count = len(alone)
    known = {
        "row": pa.array(["page"] * count, pa.string()),
        "part": pa.array([part] * count, pa.string()),
        "id": alone["id"],
        "order": pa.array([0] * count, pa.int64()),
        "date": alone["date"],
        "length": alone["characters"],
        "image_set": pa.array([keys[page] for page in alone["id"].to_pylist()], pa.string()),
    }
    return pa.concat_tables([rows, known_columns(known, rows.schema, count)])


def winners_by_set(
    rows: pa.Table, lost: set[tuple[str, str, str]], buckets: int
) -> Iterator[Block]:
    """Documents that won and have a set of images, each once, to the bucket of the set.

    Args:
        rows: Contenders.
        lost: `row`, `part` and `id` of those that lost to a duplicate.
        buckets: Buckets of sets.
    """
    columns = (rows[name].to_pylist() for name in ("row", "part", "id", "image_set"))
    first: dict[tuple[str, str, str], int] = {}
    for at, (row, part, row_id, key) in enumerate(zip(*columns, strict=True)):
        if key is not None and (row, part, row_id) not in lost:
            first.setdefault((row, part, row_id), at)
    winners = rows.take(pa.array(first.values(), pa.int64()))
    names = [set_bucket(key, buckets) for key in winners["image_set"].to_pylist()]
    yield from split_rows(winners, names)


def settle_sets(bucket: str, rows: pa.Table) -> Iterator[Block]:
    """Second reduce of the settlement: of each set the best document stays.

    Args:
        bucket: `part NAME`, whose rows are verdicts and go on to the part; or `set NUMBER`.
        rows: Contenders (`assign.EmitContenders`) that share a set, each document once.
    """
    kind, _, name = bucket.partition(" ")
    if kind == "part":
        yield name, rows
        return
    rows = rows.sort_by(
        [
            ("image_set", "ascending"),
            ("order", "ascending"),
            ("date", "descending"),
            ("length", "descending"),
            ("id", "ascending"),
            ("part", "ascending"),
        ]
    )
    holders: dict[str, str] = {}
    columns = (rows[name].to_pylist() for name in ("part", "id", "image_set", "order"))
    losers = [
        (part, row_id, holders[key])
        for part, row_id, key, order in zip(*columns, strict=True)
        # What an earlier output published, of order -1, holds its set and loses to nobody.
        if holders.setdefault(key, row_id) != row_id and order >= 0
    ]
    table = pa.table(
        {
            "row": pa.array([IMAGE_SET] * len(losers), pa.string()),
            "id": pa.array([loser[1] for loser in losers], pa.string()),
            "winner": pa.array([loser[2] for loser in losers], pa.string()),
        }
    )
    yield from split_rows(table, [loser[0] for loser in losers])
