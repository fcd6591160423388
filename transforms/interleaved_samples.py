"""Samples of the interleaved stream: a document's texts and images in order, and its JSON."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.shards import image_suffixes, sample_key
from transforms.assigned_nodes import ASSIGNED_SCHEMA
from transforms.image_order import assigned_facts, in_order, is_text
from transforms.json_columns import json_column, list_column, struct_column
from transforms.pages import positions
from transforms.personal_data import Masker
from transforms.sample_rows import (
    IMAGE_FACTS,
    PAGE_FACTS,
    PLACE,
    Counts,
    SampleConfig,
    bounds_of,
    page_scores,
    samples_table,
    scores_of,
    splits_of,
    text_bytes,
)

_SAID = ("alt", "title", "figcaption")
_NODE_COLUMNS = ("node", "kind", "text", *_SAID, *IMAGE_FACTS, *PLACE)


def interleaved_samples(
    documents: pa.Table,
    nodes: pa.Table,
    config: SampleConfig,
    masker: Masker,
    models: Sequence[str] = (),
    scored: Sequence[str] = (),
) -> Iterator[pa.Table]:
    """The documents as rows of table `samples`, in their order.

    Args:
        documents: What the gate kept.
        nodes: Their nodes that it kept, and perhaps those of other documents, in any order.
        config: How samples are laid out.
        masker: Takes personal data from their texts.
        models: Columns of documents with the scores of models of the recipe.
        scored: Columns of nodes with the scores of images.
    """
    assigned = [name for name in ASSIGNED_SCHEMA.names if name in nodes.column_names]
    nodes = nodes.select([*_NODE_COLUMNS, *assigned, *scored, "id"])
    owners = positions(documents["id"], nodes["id"])
    owned = np.flatnonzero(owners >= 0)
    # Of all that nodes have only what they are sorted by: their texts are most of a part.
    sorted_by = nodes.select(["node", "kind", *assigned]).take(pa.array(owned))
    order = owned[in_order(owners[owned], sorted_by, config.order)]
    starts = np.searchsorted(owners[order], np.arange(len(documents) + 1))
    sizes = text_bytes(nodes, ("text", "image_url", *_SAID), owners, len(documents))
    for first, end in bounds_of(sizes):
        rows = order[starts[first] : starts[end]]
        yield _samples(
            documents.slice(first, end - first), nodes.take(pa.array(rows)), owners[rows] - first,
            config, masker, models, scored,
        )  # fmt: skip


def _samples(
    pages: pa.Table,
    nodes: pa.Table,
    owners: Counts,
    config: SampleConfig,
    masker: Masker,
    models: Sequence[str],
    scored: Sequence[str],
) -> pa.Table:
    """Some documents, with their nodes in order and the number of each node's document."""
    for name in ("text", *_SAID):
        masked = masker.mask_column(nodes[name])
        nodes = nodes.set_column(nodes.schema.get_field_index(name), name, masked)
    told = is_text(nodes)
    texts = pc.if_else(pa.array(told), nodes["text"], None)
    images = nodes.filter(pa.array(~told))
    node_counts = np.bincount(owners, minlength=len(pages))
    image_counts = np.bincount(owners[~told], minlength=len(pages))
    info = {
        **{name: images[name] for name in (*IMAGE_FACTS, *_SAID)},
        **assigned_facts(owners, nodes),
        **scores_of(images, scored),
    }
    keys = [sample_key("interleaved", page) for page in pages["id"].to_pylist()]
    layout = {
        "key": pa.array(keys, pa.string()),
        "doc_id": pages["id"],
        **{name: pages[name] for name in PAGE_FACTS},
        "title": masker.mask_column(pages["title"]),
        "texts": list_column(texts, node_counts),
        "images": list_column(_suffixes(told, image_counts, config.format.extension), node_counts),
        "image_info": list_column(struct_column(info), image_counts),
        "scores": page_scores(pages, models),
    }
    lengths = np.zeros(len(pages), np.int64)
    np.add.at(lengths, owners, pc.fill_null(pc.utf8_length(texts), 0).to_numpy())
    splits = splits_of(pages, config.validation)
    return samples_table(
        "interleaved", keys, splits, None, json_column(layout), pa.array(lengths),
        (images, image_counts),
    )  # fmt: skip


def _suffixes(told: np.ndarray, image_counts: Counts, extension: str) -> pa.Array:
    """The member that each node is, null where it is a text."""
    most = image_suffixes("interleaved", int(image_counts.max(initial=0)), extension)
    found = np.full(len(told), None, object)
    found[~told] = [suffix for count in image_counts.tolist() for suffix in most[:count]]
    return pa.array(found, pa.string())
