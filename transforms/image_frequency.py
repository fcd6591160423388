"""How often images are used: distinct pages and sites of a whole cluster, whatever its URLs.

A picture that stands on many pages of one site is a part of that site; one that stands on many
sites was syndicated. Counting by URL sees neither where a page has its own copy.

``uses -> [by URL] the image -> [by image_key] its cluster -> [by cluster] counted -> [by URL]``
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.duplicate_rows import ImageCluster, UrlCluster
from schemas.outcomes import OK
from schemas.tables import schema_of
from transforms.distinct_images import key_bucket
from transforms.pages import first_rows, positions, some, take_or_null
from transforms.refs import MeetFiles, RefsConfig, page_uses, url_bucket
from transforms.shuffle import Block, split_rows
from transforms.sink import Part, PartSink
from transforms.table_files import read_rows

STEP_VERSION = 1

_CLUSTER_SCHEMA = schema_of(ImageCluster)
_URL_SCHEMA = schema_of(UrlCluster)


def _url_buckets(kind: str, rows: pa.Table, config: RefsConfig) -> list[str]:
    urls = rows["image_url"].to_pylist()
    return [f"{kind} {url_bucket(url, config.buckets)}" for url in urls]


@dataclass(eq=False)
class EmitUses:
    """Map side: distinct uses of URLs by the pages of a part. A part's spec is its files.

    A part without files makes every bucket of the last shuffle exist.
    """

    output: str
    refs: RefsConfig
    buckets: int

    def __call__(self, part: Part) -> Iterator[Block]:
        """Yield uses by bucket of URLs."""
        files: MeetFiles | None = part.spec
        if files is None:
            for number in range(self.buckets):
                yield f"clusters {number:05d}", _CLUSTER_SCHEMA.empty_table()
            for number in range(self.refs.buckets):
                yield f"urls {number:05d}", _URL_SCHEMA.empty_table()
            return
        uses = page_uses(self.output, files)
        yield from split_rows(uses, _url_buckets("use", uses, self.refs))


@dataclass(eq=False)
class FindImages:
    """First reduce: the image that each URL led to; uses of URLs that led to none end here."""

    output: str
    image_answers: Mapping[str, str]
    """Bucket of URLs -> file of `image_answers`."""
    buckets: int

    def __call__(self, bucket: str, rows: pa.Table) -> Iterator[Block]:
        """Yield uses by bucket of image keys."""
        kind, _, name = bucket.partition(" ")
        if kind != "use":
            yield bucket, rows
            return
        columns = ["image_url", "image_key", "outcome"]
        paths = some(self.image_answers.get(name))
        answers = read_rows(self.output, paths, "image_answers", columns)
        answers = answers.filter(pc.equal(answers["outcome"], OK))
        at = positions(answers["image_url"], rows["image_url"])
        rows = rows.filter(pa.array(at >= 0))
        keys = answers["image_key"].take(pa.array(at[at >= 0]))
        rows = rows.append_column("image_key", keys)
        names = [f"key {key_bucket(key, self.buckets)}" for key in keys.to_pylist()]
        yield from split_rows(rows, names)


@dataclass(eq=False)
class FindClusters:
    """Second reduce: the cluster of each image; an image in none is one of its own."""

    output: str
    image_ranks: Mapping[str, str]
    """Bucket of image keys -> file of `image_ranks`."""
    buckets: int

    def __call__(self, bucket: str, rows: pa.Table) -> Iterator[Block]:
        """Yield uses by bucket of clusters."""
        kind, _, name = bucket.partition(" ")
        if kind != "key":
            yield bucket, rows
            return
        ranks = read_rows(self.output, some(self.image_ranks.get(name)), "image_ranks")
        at = positions(ranks["image_key"], rows["image_key"])
        clusters = pc.coalesce(take_or_null(ranks["cluster_id"], at), rows["image_key"])
        rows = rows.append_column("cluster_id", clusters)
        rows = rows.append_column("rank", pc.fill_null(take_or_null(ranks["rank"], at), 0))
        similarity = pc.fill_null(take_or_null(ranks["similarity"], at), 1.0)
        rows = rows.append_column("similarity", similarity)
        names = [f"cluster {key_bucket(key, self.buckets)}" for key in clusters.to_pylist()]
        yield from split_rows(rows, names)


@dataclass(eq=False)
class CountUses:
    """Third reduce: pages and sites of each cluster, for its images and for its URLs."""

    refs: RefsConfig

    def __call__(self, bucket: str, rows: pa.Table) -> Iterator[Block]:
        """Yield the clusters of the bucket, and URLs by bucket."""
        kind, _, name = bucket.partition(" ")
        if kind != "cluster":
            yield bucket, rows
            return
        counts = rows.group_by("cluster_id", use_threads=False).aggregate(
            [("page_url", "count_distinct"), ("site", "count_distinct")]
        )
        at = pa.array(positions(counts["cluster_id"], rows["cluster_id"]))
        rows = rows.append_column("documents", counts["page_url_count_distinct"].take(at))
        rows = rows.append_column("sites", counts["site_count_distinct"].take(at))
        images = rows.sort_by("image_key")
        images = images.take(first_rows(images["image_key"]))
        names = ["image_key", *_CLUSTER_SCHEMA.names[1:]]
        images = images.select(names).rename_columns(_CLUSTER_SCHEMA.names)
        yield f"clusters {name}", images.cast(_CLUSTER_SCHEMA)
        urls = rows.sort_by("image_url")
        urls = urls.take(first_rows(urls["image_url"]))
        urls = urls.select(["image_url", "cluster_id", "documents", "sites"])
        urls = urls.rename_columns(_URL_SCHEMA.names).cast(_URL_SCHEMA)
        yield from split_rows(urls, _url_buckets("urls", urls, self.refs))


@dataclass(eq=False)
class CommitClusters:
    """Last reduce: `image_clusters` of a bucket of clusters, `image_url_clusters` of one of URLs.

    A part's spec says which: `clusters` or `urls`.
    """

    def __call__(self, part: Part, rows: pa.Table, sink: PartSink) -> None:
        """Write, and count images."""
        if part.spec == "urls":
            sink.write("image_url_clusters", rows.sort_by("image_url"))
            return
        sink.seen("image_clusters", len(rows))
        sink.count("image_clusters", kept=len(rows))
        is_first = np.asarray(pc.equal(rows["rank"], 0))
        sink.fact("distinct_pictures", int(is_first.sum()))
        order = [("cluster_id", "ascending"), ("rank", "ascending")]
        sink.write("image_clusters", rows.sort_by(order))
