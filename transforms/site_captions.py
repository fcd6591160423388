"""On how many pages of a site, and at how many pictures, a caption's text stands.

What a template writes at every picture describes none, whatever it says. Uses of a text meet by
site and text, in the same shuffle in which uses of an image meet by URL (`candidates.py`); a part
sends each use once and gets one row a text back. Texts are compared without case, punctuation and
white space. Memory is a bucket of texts.
"""

import pyarrow as pa

from schemas.ids import digest
from transforms.caption_words import plain
from transforms.pages import page_names

COUNT_FIELDS = [pa.field("site_documents", pa.int64()), pa.field("site_images", pa.int64())]
"""Distinct pages, and distinct image URLs, of one site that carry a caption of the same text. Only
captions past gate `fetch` count, of pages that dedup kept."""

_USE_SCHEMA = pa.schema(
    [pa.field(name, pa.string()) for name in ("part", "key", "page_url", "image_url")]
)


def text_keys(sites: pa.ChunkedArray, texts: pa.ChunkedArray) -> pa.Array:
    """One key for one text of one site."""
    pairs = zip(sites.to_pylist(), texts.to_pylist(), strict=True)
    return pa.array([digest("site", site, plain(text)) for site, text in pairs], pa.string())


def text_uses(part: str, captions: pa.Table, sites: pa.ChunkedArray) -> pa.Table:
    """The uses of texts in a part, each once: `part`, `key`, `page_url`, `image_url`.

    Args:
        part: the part's name.
        captions: its captions.
        sites: the site of each caption's page.
    """
    columns = [
        pa.array([part] * len(captions), pa.string()),
        text_keys(sites, captions["text"]),
        page_names(captions["page_url"], captions["doc_id"]),
        captions["image_url"],
    ]
    uses = pa.table(columns, names=_USE_SCHEMA.names).cast(_USE_SCHEMA)
    return uses.group_by(_USE_SCHEMA.names, use_threads=False).aggregate([])


def count_uses(uses: pa.Table) -> pa.Table:
    """For every part and text it uses: `part`, `key` and the counts over all parts."""
    counts = uses.group_by("key", use_threads=False).aggregate(
        [("page_url", "count_distinct"), ("image_url", "count_distinct")]
    )
    counts = counts.rename_columns(
        {"page_url_count_distinct": "site_documents", "image_url_count_distinct": "site_images"}
    )
    parts = uses.group_by(["part", "key"], use_threads=False).aggregate([])
    return parts.join(counts, "key", use_threads=False).select(
        ["part", "key", *(field.name for field in COUNT_FIELDS)]
    )
