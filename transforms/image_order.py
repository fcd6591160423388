"""Where the images of an interleaved sample stand: as in the page, or at the texts they belong to.

`interleaved.order = "assigned"` puts each image directly *before* the text node it is assigned to
(`assigned_nodes.py`). Before, because that is where the open readers of MMC4 put it (OpenFlamingo's
converter writes the image, then its sentence; our reader of MMC4 does the same), and because a
model that reads from left to right then has the image when it must predict the text about it. Texts
are never cut: an image of a sentence stands before the paragraph that holds the sentence. Several
images of one text stand in the order of their units, those of one unit with the best score first.
An image without a score stays where it was, before the text that followed it in the page.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import RecipeError

NATURAL, ASSIGNED = "natural", "assigned"

SCORE_DIGITS = 6
"""Decimals of a score in a sample: vectors are float16, more would be noise."""

Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class InterleavedConfig:
    """How interleaved samples are laid out."""

    order: str = NATURAL
    """`natural`: as in the page; `assigned`: images before their texts, where the gate assigns."""


def check_order(config: InterleavedConfig, assign: str | None) -> None:
    """Check the section against what the gate assigns by.

    Raises:
        RecipeError: An order that there is not, or that needs an assignment.
    """
    if config.order not in (NATURAL, ASSIGNED):
        raise RecipeError(f"interleaved.order: natural or assigned, not {config.order!r}")
    if config.order == ASSIGNED and assign is None:
        raise RecipeError(
            "interleaved.order: assigned needs images that are assigned: say "
            'gates.shard.interleaved.assign = "<scorer>"'
        )


def in_order(owners: Indices, nodes: pa.Table, order: str) -> Indices:
    """The rows of nodes, document by document, each as its sample has it.

    Args:
        owners: The number of each node's document.
        nodes: With `node`, its position in the page, and `kind`; with the columns of
            `assigned_nodes.ASSIGNED_SCHEMA` where the order is `assigned`.
        order: `natural` or `assigned`.
    """
    if order == NATURAL:
        keys: tuple[npt.NDArray[Any], ...] = (nodes["node"].to_numpy(), owners)
    else:
        keys = _assigned_keys(owners, nodes)
    rows: Indices = np.lexsort(keys)
    return rows


def _assigned_keys(owners: Indices, nodes: pa.Table) -> tuple[npt.NDArray[Any], ...]:
    position = nodes["node"].to_numpy()
    at, unit = (_filled(nodes[name], -1) for name in ("assigned_node", "assigned_unit"))
    is_assigned = at >= 0
    # What sorts nodes is the text they are at, then before it first the images that stay: an image
    # without a score stands between the text before it and the images of the text that follows it.
    kind = np.where(is_text(nodes), 3, np.where(is_assigned, 2, 1))
    place = np.where(is_assigned, at, position)
    return position, -_filled(nodes["assigned_score"], 0.0), unit, kind, place, owners


def is_text(nodes: pa.Table) -> Mask:
    """Which nodes are texts: the others are images."""
    found: Mask = pc.equal(nodes["kind"], "text").to_numpy()
    return found


def assigned_facts(owners: Indices, nodes: pa.Table) -> dict[str, pa.Array]:
    """What samples tell of their images' assignments, a row an image.

    Args:
        owners: The number of each node's document.
        nodes: In the order of `in_order`.

    Returns:
        `text_index`, the position in the sample of the text that the image is assigned to,
        `assigned_unit`, the unit in it, and `assigned_score`; all null of an image without a
        score. No column at all where the gate does not assign.
    """
    if "assigned_node" not in nodes.column_names:
        return {}
    texts = np.flatnonzero(is_text(nodes))
    images = nodes.filter(pa.array(~is_text(nodes)))
    index = np.arange(len(owners)) - np.searchsorted(owners, owners)
    span = int(nodes["node"].to_numpy().max(initial=0)) + 1
    known = (owners * span + nodes["node"].to_numpy())[texts]
    wanted = owners[~is_text(nodes)] * span + _filled(images["assigned_node"], 0)
    order = np.argsort(known)
    place = np.minimum(np.searchsorted(known, wanted, sorter=order), max(len(texts) - 1, 0))
    is_assigned = images["assigned_node"].is_valid().to_numpy()
    if np.any(is_assigned) and not np.array_equal(
        known[order[place[is_assigned]]], wanted[is_assigned]
    ):
        raise AssertionError("an image is assigned to a text that its sample lacks")
    at = np.zeros(len(images), np.int64)
    at[is_assigned] = index[texts[order[place[is_assigned]]]]
    return {
        "text_index": pa.array(at, mask=~is_assigned),
        "assigned_unit": images["assigned_unit"],
        "assigned_score": pc.round(images["assigned_score"], SCORE_DIGITS),
    }


def _filled(column: pa.ChunkedArray, value: float) -> npt.NDArray[Any]:
    filled: npt.NDArray[Any] = column.fill_null(value).to_numpy()
    return filled
