"""Rows that tell which pages and which images are the same, or alike."""

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
    """Jaccard similarity, estimated or exact (`dedup.verify`); 1.0 for exact kinds."""
    a_id: str
    a_date: str
    a_length: int
    """Characters of its text."""
    a_score: float | None
    """Value of `dedup.score`."""
    a_part: str
    a_published: bool
    """Whether an earlier output has it in its shards."""
    a_split: str | None
    """The split of the samples that an earlier output has of it."""
    b_id: str
    b_date: str
    b_length: int
    b_score: float | None
    b_part: str
    b_published: bool
    b_split: str | None


@dataclass(frozen=True, slots=True)
class EarlierPage:
    """A page that an earlier output compared with others."""

    id: str
    url: str
    published: bool
    """Whether it stands in one of its shards, as a document or a text."""
    split: str | None
    """The split of its samples, those of its captions included; null where it has none."""


@dataclass(frozen=True, slots=True)
class EarlierDocument:
    """An image of an interleaved document that stands in a shard of an earlier output."""

    id: str
    """`doc_id`."""
    image_key: str


@dataclass(frozen=True, slots=True)
class EarlierCaption:
    """A caption that stands in a shard of an earlier output."""

    caption_id: str
    image_key: str
    text: str


@dataclass(frozen=True, slots=True)
class DistinctImage:
    """The bytes of an image that some page uses, once."""

    image_key: str
    phash: int | None
    """Perceptual hash, signed; null where it says nothing of the picture, or is not to be used."""
    pixels: int
    """Width times height."""


@dataclass(frozen=True, slots=True)
class ImagePair:
    """Two different perceptual hashes that lie near each other, `a` below `b` as unsigned ones."""

    a: int
    b: int
    distance: int
    """Bits in which they differ."""


@dataclass(frozen=True, slots=True)
class ImageRank:
    """Membership of an image in a cluster of two or more; `rank` 0 has the most pixels."""

    image_key: str
    cluster_id: str
    """`image_key` of the best-ranked member."""
    rank: int
    similarity: float
    """Share of the 64 bits of its hash that are those of the best-ranked member's."""


@dataclass(frozen=True, slots=True)
class ImageCluster:
    """An image, the cluster that it is in (alone, it may be), and how often that one is used."""

    id: str
    """`image_key`."""
    cluster_id: str
    rank: int
    similarity: float
    documents: int
    """Distinct pages that use any URL of any image of the cluster."""
    sites: int
    """Distinct sites of those pages."""


@dataclass(frozen=True, slots=True)
class UrlCluster:
    """The cluster of the image that a URL led to, and how often that cluster is used."""

    image_url: str
    image_cluster: str
    image_documents: int
    image_sites: int
