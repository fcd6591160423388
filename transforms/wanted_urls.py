"""Wanted URLs: images that deduplicated pages use and whose bytes no crawl file holds.

They leave the buckets of URLs, in which `refs` counts them, for buckets of registered domains, so
that one place knows all that is wanted of a host and can say how fast it may be asked.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from schemas.fetch_rows import WantedUrl
from schemas.ids import digest
from schemas.tables import schema_of
from transforms.input_rows import LOCAL_IMAGE_HOST
from transforms.pages import positions, some, take_or_null
from transforms.shuffle import Block, split_rows
from transforms.sink import Part, PartSink
from transforms.table_files import read_rows
from transforms.urls import site_of

STAGE = "refs"
STEP_VERSION = 1

_ASK_AGAIN = ("revisit_missing",)
"""Answers of a crawl file that leave a URL wanted: a server said no more than "as before"."""


@dataclass(frozen=True, slots=True)
class AnswerFiles:
    """A bucket of `refs`: the URLs that are used, and the answers that crawl files hold."""

    image_refs: str | None
    images: str | None


def bucket_name(number: int, buckets: int) -> str:
    """The name of a bucket of domains; it tells how many there are."""
    return f"{number:05d}-of-{buckets:05d}"


def bucket_names(buckets: int) -> list[str]:
    """The names of all buckets of domains."""
    return [bucket_name(number, buckets) for number in range(buckets)]


def site_bucket(site: str, buckets: int) -> str:
    """The bucket of a registered domain."""
    return bucket_name(int(digest("site", site)[:8], 16) % buckets, buckets)


def host_of(url: str) -> str:
    """Host and port of a normalised URL, as they stand in it."""
    return urlsplit(url).netloc


def _ours(url: str) -> bool:
    """Whether a URL is a name that we gave to an image without one: nobody can be asked for it."""
    return host_of(url) == LOCAL_IMAGE_HOST


@dataclass(eq=False)
class EmitWanted:
    """Map side: the URLs of a bucket of `refs` without an answer, by registered domain."""

    output: str
    buckets: int

    def __call__(self, part: Part) -> Iterator[Block]:
        """Yield wanted URLs; an empty block for every bucket where the part has no file."""
        files: AnswerFiles = part.spec
        if files.image_refs is None:
            for name in bucket_names(self.buckets):
                yield name, schema_of(WantedUrl).empty_table()
            return
        refs = read_rows(self.output, some(files.image_refs), "image_refs", ["image_url"])
        answers = read_rows(self.output, some(files.images), "images", ["image_url", "outcome"])
        outcomes = take_or_null(
            answers["outcome"], positions(answers["image_url"], refs["image_url"])
        )
        open_ones = pc.or_(
            pc.is_null(outcomes), pc.is_in(outcomes, value_set=pa.array(_ASK_AGAIN, pa.string()))
        )
        urls = [url for url in refs["image_url"].filter(open_ones).to_pylist() if not _ours(url)]
        sites = [site_of(url) for url in urls]
        wanted = pa.table(
            [urls, [host_of(url) for url in urls], sites], schema=schema_of(WantedUrl)
        )
        yield from split_rows(wanted, [site_bucket(site, self.buckets) for site in sites])


def commit_wanted(part: Part, rows: pa.Table, sink: PartSink) -> None:
    """Reduce side: the wanted URLs of a bucket of domains, hosts side by side."""
    del part
    sink.seen("wanted_urls", len(rows))
    sink.count("wanted_urls", kept=len(rows))
    order = [("site", "ascending"), ("host", "ascending"), ("image_url", "ascending")]
    sink.write("wanted_urls", rows.sort_by(order))
