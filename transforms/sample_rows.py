"""Samples as rows: their names, splits and JSON, the sizes that shards are planned by, the pool.

Thousands of samples are laid out at once, column by column.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.ids import digest
from schemas.rows import Sample, TextScore
from schemas.shards import ShardFormat
from schemas.tables import schema_of
from transforms.image_order import NATURAL, SCORE_DIGITS
from transforms.json_columns import list_column, struct_column
from transforms.sink import PartSink
from transforms.soft_cap import SamplingConfig

PAGE_FACTS = ("url", "site", "title", "language", "date")
IMAGE_FACTS = ("image_url", "image_key", "sha256", "width", "height", "format")
"""What the JSON of a sample tells of a page, and of an image."""
PLACE = ("pack", "offset", "size", "mode", "frames", "orientation")
"""Where the bytes of an image lie, and what the shard writer must know of them."""
POOL = "sampling_pool"
"""Table of samples with a column `weight`, of a stream that is sampled (`sampled.py`)."""

_SCHEMA = schema_of(Sample)
_IMAGES = _SCHEMA.field("images").type
_SCORES = [column.name for column in schema_of(TextScore) if column.name not in ("id", "language")]
_MEMBER_OVERHEAD = 1024
"""Bytes a tar member takes beside its data, near enough to size shards."""
_ROWS = 4096
_BYTES = 32 * 1024 * 1024
"""Samples that are laid out at once, and their bytes."""
_ROW_BYTES = 512
"""Of an image or a caption beside its texts: hashes, places, names."""

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SampleConfig:
    """How samples are named, split and told apart."""

    format: ShardFormat
    prefer: tuple[str, ...]
    """Caption origins, best first."""
    validation: float
    """Share of sites or duplicate components that is held out."""
    order: str = NATURAL
    """Of the images of an interleaved sample (`image_order.py`)."""
    sampling: SamplingConfig | None = None
    """How captioned samples are drawn (`sampled.py`); None: all of them are written."""
    mask: tuple[str, ...] = ()
    """Kinds of personal data that no text of a sample has."""
    mix: Mapping[str, float] = field(default_factory=dict)
    """Origin -> share of the samples that are trained on it (`caption_choice.py`)."""


def splits_of(rows: pa.Table, validation: float) -> pa.ChunkedArray:
    """The split of each sample: that of an earlier output, else by its component, or its site.

    All duplicates of a page lie in one split, on whatever site, and so do all pages of a site that
    have no duplicate.

    Args:
        rows: With `earlier_split`, `component` and `site`.
        validation: Share that is held out.
    """
    groups = pc.coalesce(rows["component"], rows["site"]).combine_chunks().dictionary_encode()
    drawn = [_drawn_split(name, validation) for name in groups.dictionary.to_pylist()]
    return pc.coalesce(rows["earlier_split"], pa.array(drawn, pa.string()).take(groups.indices))


def _drawn_split(group: str, validation: float) -> str:
    point = int(digest("split", group)[:13], 16) / 16**13
    return "validation" if point < validation else "train"


def page_scores(pages: pa.Table, models: Sequence[str]) -> pa.StructArray:
    """The measures of pages, and what models of the recipe say of them, as the JSON has them."""
    return struct_column({name: pages[name] for name in (*_SCORES, *models)})


def scores_of(rows: pa.Table, names: Sequence[str]) -> dict[str, pa.StructArray]:
    """What the scorers of the recipe say of images, or of images and texts: a member, or none."""
    if not names:
        return {}
    rounded = {name: pc.round(rows[name].cast(pa.float64()), SCORE_DIGITS) for name in names}
    return {"scores": struct_column(rounded)}


def text_bytes(rows: pa.Table, names: Sequence[str], owners: Counts, samples: int) -> Counts:
    """About how many bytes the rows of each sample are laid out in.

    Args:
        rows: Nodes or captions.
        names: Their columns of text.
        owners: The number of each row's sample; -1: of none.
        samples: How many there are.
    """
    said = [pc.fill_null(pc.binary_length(rows[name]), 0).to_numpy() for name in names]
    found = np.zeros(samples + 1, np.int64)
    np.add.at(found, owners, _ROW_BYTES + np.sum(said, axis=0, dtype=np.int64))
    return found[:-1]


def bounds_of(sizes: Counts) -> Iterator[tuple[int, int]]:
    """Which samples to lay out at once, first and end: so many, and no more than memory bears.

    Args:
        sizes: Bytes of each sample, as of `text_bytes`.
    """
    ends = np.cumsum(sizes)
    first = 0
    while first < len(sizes):
        before = ends[first] - sizes[first]
        fits = int(np.searchsorted(ends, before + _BYTES, "right"))
        end = min(max(fits, first + 1), first + _ROWS)
        yield first, end
        first = end


def samples_table(
    stream: str,
    keys: Sequence[str],
    splits: pa.ChunkedArray,
    texts: pa.Array | pa.ChunkedArray | None,
    layouts: pa.Array,
    lengths: pa.Array | pa.ChunkedArray,
    images: tuple[pa.Table, Counts] | None = None,
) -> pa.Table:
    """Samples of a stream as rows of table `samples`.

    Args:
        stream: Of all of them.
        keys: Of each.
        splits: Of each.
        texts: What becomes `<key>.txt`; None where the stream has none.
        layouts: Their JSON.
        lengths: Characters of text of each.
        images: The rows of their images, end to end, and how many each has; None where the stream
            has none.
    """
    count = len(keys)
    columns = {
        "stream": pa.repeat(stream, count),
        "split": splits,
        "shard": pa.repeat(pa.scalar(0, pa.int64()), count),
        "key": pa.array(keys, pa.string()),
        "txt": pa.nulls(count, pa.string()) if texts is None else texts,
        "json": layouts,
        "text_length": lengths.cast(pa.int64()),
        "images": pa.array([[]] * count, _IMAGES) if images is None else _image_lists(*images),
    }
    return pa.table([columns[name] for name in _SCHEMA.names], schema=_SCHEMA)


def _image_lists(images: pa.Table, counts: Counts) -> pa.ListArray:
    fields = list(_IMAGES.value_type)
    columns = [images[field.name].combine_chunks().cast(field.type) for field in fields]
    return list_column(pa.StructArray.from_arrays(columns, fields=fields), counts, _IMAGES)


def keep_samples(sink: PartSink, samples: pa.Table) -> None:
    """Write samples and add them to the sizes that shards are planned by."""
    if not len(samples):
        return
    sink.seen("samples", len(samples))
    sink.count("samples", kept=len(samples))
    sink.write("samples", samples)
    sizes = _sizes(samples)
    groups = pc.binary_join_element_wise(samples["stream"], samples["split"], "/")
    for group in sorted(pc.unique(groups).to_pylist()):
        mine = pc.equal(groups, group).to_numpy()
        total = sink.commit.details.setdefault(group, [0, 0])
        total[0] += int(mine.sum())
        total[1] += int(sizes[mine].sum())


def _sizes(samples: pa.Table) -> Counts:
    """About how many bytes each sample takes in a shard."""
    images = samples["images"]
    members = pc.list_value_length(images).to_numpy().astype(np.int64) + 1
    texts = pc.add(
        pc.utf8_length(samples["json"]), pc.utf8_length(pc.fill_null(samples["txt"], ""))
    )
    sizes: Counts = texts.to_numpy().astype(np.int64) + members * _MEMBER_OVERHEAD
    found = pc.struct_field(pc.list_flatten(images), "size").to_numpy()
    np.add.at(sizes, pc.list_parent_indices(images).to_numpy(), found)
    return sizes


def joined(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in larger tables, so that a file has few row groups."""
    waiting: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        waiting.append(table)
        rows += len(table)
        size += table.nbytes
        if rows >= _ROWS or size >= _BYTES:
            yield pa.concat_tables(waiting)
            waiting, rows, size = [], 0, 0
    if waiting:
        yield pa.concat_tables(waiting)


def write_pool(sink: PartSink, samples: pa.Table, weights: pa.ChunkedArray) -> None:
    """Write samples and their weights to the pool."""
    sink.seen(POOL, len(samples))
    sink.count(POOL, kept=len(samples))
    sink.write(POOL, samples.append_column("weight", weights.cast(pa.float64())))
