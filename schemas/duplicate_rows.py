"""Rows that tell which pages are the same, or alike."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cluster:
    """Membership of a page in a cluster of duplicates; `rank` 0 is the preferred member."""

    kind: str
    """`url`, `text` (exact) or `near_text`."""
    id: str
    cluster_id: str
    rank: int
    similarity: float
    """Similarity to the cluster's representative, 1.0 for exact kinds."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Two pages that are the same, or alike."""

    kind: str
    """`record` (read twice), `url`, `text` (exact) or `near_text`."""
    similarity: float
    """Estimated Jaccard similarity, 1.0 for exact kinds."""
    a_id: str
    a_date: str
    a_length: int
    """Characters of its text."""
    a_part: str
    b_id: str
    b_date: str
    b_length: int
    b_part: str
