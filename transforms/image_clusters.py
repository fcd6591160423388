"""Clusters of images: what pairs of perceptual hashes join, how far one may reach, and ranks.

Images of one hash are one node, which ranks as its best image does: most pixels, then the smallest
key. Looking alike is not transitive, so components are cut into stars as those of pages are
(`clusters.cut_chains`): every image of a cluster lies within `max_distance` of its best-ranked one.

One process holds the hash and size of every distinct image, 16 bytes each, and all pairs; keys only
of images that have a twin. 100 million images need 2 GB and what their pairs take.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.duplicate_rows import DistinctImage, ImageRank
from schemas.tables import schema_of
from transforms.clusters import connected_components, cut_chains
from transforms.distinct_images import ImageDedupConfig, key_bucket, to_hashes
from transforms.phash_index import Hashes
from transforms.shuffle import split_rows
from transforms.sink import Part, PartSink
from transforms.table_files import read_rows

STEP_VERSION = 1

_BITS = 64

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ImageClusters:
    """Clusters of two or more images, and what was done to components that were no clusters."""

    rows: pa.Table
    """Rows of `ImageRank`, by cluster in the order of their best images, then by rank."""
    cut_components: int
    """Components with an image too far from the best-ranked one."""
    cut_images: int
    """Such images: each leads a cluster of its own, joined that of another, or is left alone."""


def cluster_images(images: pa.Table, a: Hashes, b: Hashes, max_distance: int) -> ImageClusters:
    """Join, cut and rank.

    Args:
        images: Rows of `DistinctImage`, each key once, in any order. Images without a hash, or
            without a twin, are in no cluster.
        a: One end of each pair of hashes, in any order and with repetition; each within the
            distance.
        b: The other end.
        max_distance: Bits by which a hash may differ from that of the best image of its cluster.

    Raises:
        ValueError: A pair names a hash that no image has.
    """
    images = images.filter(images["phash"].is_valid())
    images = images.sort_by([("pixels", "descending"), ("image_key", "ascending")])
    known, first, inverse = np.unique(
        to_hashes(images["phash"]), return_index=True, return_inverse=True
    )
    # Nodes in the order of their best images, so that the smallest of a component is its best.
    order = np.argsort(first)
    nodes = known[order]
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    low, high = place[_find(known, a)], place[_find(known, b)]

    def similar(pairs: Indices) -> npt.NDArray[np.float64]:
        differ = np.bitwise_count(nodes[pairs[:, 0]] ^ nodes[pairs[:, 1]])
        found: npt.NDArray[np.float64] = 1 - differ / _BITS
        return found

    component = connected_components(low, high, len(nodes))
    leader, similarity = cut_chains(component, low, high, similar, 1 - max_distance / _BITS)
    of_image = place[inverse]
    cut = leader != component
    rows = _rank(images, leader[of_image], similarity[of_image])
    return ImageClusters(rows, len(np.unique(component[cut])), int(cut[of_image].sum()))


def _find(known: Hashes, wanted: Hashes) -> Indices:
    at = np.searchsorted(known, wanted)
    if len(wanted) and (not len(known) or (known[np.minimum(at, len(known) - 1)] != wanted).any()):
        raise ValueError("a pair names a hash that no image has")
    return at


def _rank(images: pa.Table, leader: Indices, similarity: npt.NDArray[np.float64]) -> pa.Table:
    """Members of clusters of two or more; images stand best first."""
    sizes = np.bincount(leader, minlength=1)
    chosen = np.flatnonzero(sizes[leader] > 1)
    order = chosen[np.argsort(leader[chosen], kind="stable")]
    heads = leader[order]
    starts = np.flatnonzero(np.r_[True, heads[1:] != heads[:-1]]) if len(order) else order
    lengths = np.diff(np.r_[starts, len(order)])
    keys = images["image_key"]
    columns = [
        keys.take(pa.array(order)),
        keys.take(pa.array(np.repeat(order[starts], lengths))),
        pa.array(np.arange(len(order)) - np.repeat(starts, lengths)),
        pa.array(similarity[order]),
    ]
    return pa.table(columns, schema=schema_of(ImageRank))


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """What clusters of images are made of."""

    images: tuple[str, ...]
    """Files of `distinct_images`."""
    pairs: tuple[str, ...]
    """Files of `image_pairs`."""


@dataclass(eq=False)
class ClusterImages:
    """Part function: all pairs to clusters, a file for each bucket of image keys."""

    output: str
    config: ImageDedupConfig
    buckets: int

    def setup(self) -> None:
        """Nothing is heavy here."""

    def __call__(self, part: Part, sink: PartSink) -> None:
        """Join, cut, rank and write."""
        files: ImageFiles = part.spec
        pairs = read_rows(self.output, files.pairs, "image_pairs", ["a", "b"])
        a, b = to_hashes(pairs["a"]), to_hashes(pairs["b"])
        images = self._with_twins(files.images, np.unique(np.concatenate([a, b])))
        found = cluster_images(images, a, b, self.config.max_distance)
        clusters = int((found.rows["rank"].to_numpy() == 0).sum())
        sink.fact("clusters_phash", clusters)
        sink.fact("images_in_clusters", len(found.rows))
        sink.fact("cut_components", found.cut_components)
        sink.fact("cut_images", found.cut_images)
        keys = found.rows["image_key"].to_pylist()
        names = [key_bucket(key, self.buckets) for key in keys]
        for name, rows in split_rows(found.rows, names):
            sink.write("image_ranks", rows.sort_by("image_key"), file=name)

    def _with_twins(self, paths: Sequence[str], paired: Hashes) -> pa.Table:
        """The images whose hash is that of another one, or near it."""
        hashes = read_rows(self.output, paths, "distinct_images", ["phash"])["phash"]
        known, counts = np.unique(to_hashes(hashes.drop_null()), return_counts=True)
        wanted = np.union1d(known[counts > 1], paired).view(np.int64)
        tables = [schema_of(DistinctImage).empty_table()]
        for path in paths:
            rows = read_rows(self.output, [path], "distinct_images")
            chosen = np.isin(np.asarray(rows["phash"].fill_null(0)), wanted)
            tables.append(rows.filter(pa.array(chosen & np.asarray(rows["phash"].is_valid()))))
        return pa.concat_tables(tables)
