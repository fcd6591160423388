"""Rows with their scores, as gate `shard` sees them: joined part by part when the gate decides."""

from dataclasses import dataclass

import pyarrow as pa

from transforms.assigned_nodes import PairScores
from transforms.pages import some
from transforms.score_columns import ScoreFile, with_scores
from transforms.scorers.base import Scorers
from transforms.table_files import read_table


@dataclass(frozen=True, slots=True)
class ScoreColumns:
    """The columns that the scorers of a recipe give."""

    image: tuple[str, ...] = ()
    """Of an image."""
    pair: tuple[str, ...] = ()
    """Of an image and a text; of an image node, the largest over the units of its document."""

    @classmethod
    def of(cls, scorers: Scorers) -> "ScoreColumns":
        """Those of some scorers, in recipe order."""
        return cls(
            tuple(name for each in scorers.values() for name in each.image_columns),
            tuple(name for each in scorers.values() for name in each.pair_columns),
        )


@dataclass(frozen=True, slots=True)
class ScoreFiles:
    """The scores of one part; None where there are none."""

    columns: ScoreColumns = ScoreColumns()
    images: str | None = None
    pairs: str | None = None
    nodes: str | None = None
    units: str | None = None
    captions: str | None = None


def with_caption_scores(output: str, files: ScoreFiles, captions: pa.Table) -> pa.Table:
    """Captions with the scores of their images, and of themselves with these."""
    captions = _with_image_scores(output, files, captions)
    scores = ScoreFile(files.captions, files.columns.pair)
    return with_scores(output, scores, captions, (("caption_id", "caption_id"),))


def with_node_scores(output: str, files: ScoreFiles, nodes: pa.Table) -> pa.Table:
    """Nodes with the scores of their images: null of texts."""
    nodes = _with_image_scores(output, files, nodes)
    best = ScoreFile(files.nodes, files.columns.pair)
    return with_scores(output, best, nodes, (("id", "id"), ("image_key", "image_key")))


def _with_image_scores(output: str, files: ScoreFiles, rows: pa.Table) -> pa.Table:
    scores = ScoreFile(files.images, files.columns.image)
    return with_scores(output, scores, rows, (("image_key", "image_key"),))


def document_scores(output: str, files: ScoreFiles, scorer: str | None) -> PairScores | None:
    """What a scorer says of the images and texts of documents; None where none is asked."""
    if scorer is None:
        return None
    empty = PairScores.empty(f"{scorer}_score")
    pairs = read_table(output, some(files.pairs))
    units = read_table(output, some(files.units))
    return PairScores(
        empty.pairs if pairs is None else pairs, empty.units if units is None else units
    )
