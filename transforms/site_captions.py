"""On how many pages of a site, and at how many pictures and sites at all, a caption's text stands.

What a template writes at every picture describes none, whatever it says; nor does what many sites
write at many pictures ("Watch the video"). Uses of a text meet by site and text, and by text alone,
in the same shuffle in which uses of an image meet by URL (`candidates.py`); a part sends each use
once and gets one row a text back. Texts are compared without case, punctuation and white space.
Memory is a bucket of texts.
"""

import pyarrow as pa
import pyarrow.compute as pc

from schemas.ids import digest
from transforms.caption_words import plain
from transforms.pages import page_names

SITE_FIELDS = [pa.field("site_documents", pa.int64()), pa.field("site_images", pa.int64())]
"""Distinct pages, and distinct image URLs, of one site that carry a caption of the same text. Only
captions past gate `fetch` count, of pages that dedup kept."""
TEXT_FIELDS = [pa.field("text_images", pa.int64()), pa.field("text_sites", pa.int64())]
"""Distinct image URLs, and distinct sites, of the corpus that carry a caption of the same text."""
COUNT_FIELDS = [*SITE_FIELDS, *TEXT_FIELDS]

_USE_SCHEMA = pa.schema(
    [pa.field(name, pa.string()) for name in ("part", "key", "page_url", "image_url", "site")]
)


def text_keys(sites: pa.ChunkedArray, texts: pa.ChunkedArray) -> pa.Array:
    """One key for one text of one site."""
    pairs = zip(sites.to_pylist(), texts.to_pylist(), strict=True)
    return pa.array([digest("site", site, plain(text)) for site, text in pairs], pa.string())


def corpus_keys(texts: pa.ChunkedArray) -> pa.Array:
    """One key for one text, on whatever site."""
    return pa.array([digest("corpus", plain(text)) for text in texts.to_pylist()], pa.string())


def text_uses(
    part: str, captions: pa.Table, sites: pa.ChunkedArray, components: pa.ChunkedArray
) -> pa.Table:
    """The uses of texts in a part, each once: `part`, `key`, `page_url`, `image_url`, `site`.

    Those of a text of a site have no `site`, those of a text alone have no `page_url`.

    Args:
        part: the part's name.
        captions: its captions.
        sites: the site of each caption's page; empty where it has none.
        components: the duplicate component of its page; null where it has none.
    """
    count = len(captions)
    parts, none = pa.array([part] * count, pa.string()), pa.nulls(count, pa.string())
    pages = page_names(captions["page_url"], captions["doc_id"], components)
    known = pc.if_else(pc.equal(sites, ""), None, sites)
    images = captions["image_url"]
    tables = [
        pa.table(columns, names=_USE_SCHEMA.names).cast(_USE_SCHEMA)
        for columns in (
            [parts, text_keys(sites, captions["text"]), pages, images, none],
            [parts, corpus_keys(captions["text"]), none, images, known],
        )
    ]
    uses = pa.concat_tables(tables)
    return uses.group_by(_USE_SCHEMA.names, use_threads=False).aggregate([])


def count_uses(uses: pa.Table) -> pa.Table:
    """For every part and text it uses: `part`, `key` and the counts over all parts.

    Of a text of a site `SITE_FIELDS`, of a text alone `TEXT_FIELDS`; the others are null.
    """
    columns = ("page_url", "image_url", "site")
    counts = uses.group_by("key", use_threads=False).aggregate(
        [(name, "count_distinct") for name in columns]
    )
    pages, images, sites = (counts[f"{name}_count_distinct"] for name in columns)
    # Every use of a text of a site has a page, no use of a text alone has one.
    of_site = pc.greater(pages, 0)
    counted = pa.table(
        {
            "key": counts["key"],
            "site_documents": pc.if_else(of_site, pages, None),
            "site_images": pc.if_else(of_site, images, None),
            "text_images": pc.if_else(of_site, None, images),
            "text_sites": pc.if_else(of_site, None, sites),
        }
    )
    parts = uses.group_by(["part", "key"], use_threads=False).aggregate([])
    return parts.join(counted, "key", use_threads=False).select(
        ["part", "key", *(field.name for field in COUNT_FIELDS)]
    )
