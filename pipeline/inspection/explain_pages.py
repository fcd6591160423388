"""Pages and captions: source, facts, measures, nodes, what each gate said, where they ended."""

from typing import Any

from pipeline.inspection.database import dict_rows
from pipeline.inspection.lookup import Lookup, ended_by
from pipeline.inspection.streams import Json
from schemas.rows import Document
from schemas.shards import sample_key
from schemas.tables import schema_of

VIEWS = ("documents", "texts", "captions", "repeated_paragraphs", "image_answers")
"""Views that are read, beside those of `lookup`."""
MAX_TEXT = 2000
"""Characters of a text that are told."""
_TOLD = ("doc_id", "url", "title", "date", "source_file", "source_offset", "nodes")
_FACTS = [name for name in schema_of(Document).names if name not in _TOLD]
_COMMON = f"url, title, date, source_file, source_offset, {', '.join(_FACTS)}"
_PAGES = f"""
    SELECT doc_id AS id, 'document' AS kind, {_COMMON}, nodes, NULL::VARCHAR AS text FROM documents
    UNION ALL
    SELECT text_id, 'text', {_COMMON}, NULL, text[:{MAX_TEXT}] FROM texts
"""
_CAPTIONS = """
    SELECT caption_id AS id, doc_id, page_url, node, origin, captions.text, flags,
        captions.image_url, image_key, outcome
    FROM captions LEFT JOIN image_answers USING (image_url)
"""


def pages_where(tables: Lookup, where: str, *values: Any) -> list[Json]:
    """Pages, the latest first.

    Args:
        tables: What can be asked.
        where: SQL on the columns of `_PAGES`.
        values: Its parameters, and the most pages that are wanted.

    Returns:
        Of each `id`, `kind`, `url`, `title`, `date`, `source` (`file`, `offset`), `facts` (the
        other columns of its record), `scores` (measures of its text), `text` (of a text, its
        beginning), `nodes` (of a document: `node`, `kind`, `role`, `text`, `image_url`, `alt`,
        `ledger`, `ended_by`), `captions` (`captions_where`), `repeated_paragraphs` (that other
        pages of the site have too: `node`, `pages`), `ledger` (`gate`, `kind`, `rule`, `decisive`,
        `value`, `value_text`, `threshold`), `ended_by` (paths of its decisive rules) and `samples`
        (`stream`, `split`, `shard`, `key`): those of its captions too.
    """
    pages = dict_rows(
        tables.con,
        f"SELECT * FROM ({_PAGES}) WHERE {where} ORDER BY date DESC, id LIMIT ?",
        *values,
    )
    return [_page(tables, row) for row in pages]


def _page(tables: Lookup, row: Json) -> Json:
    page_id, ledger = row["id"], tables.ledger([row["id"]])
    captions = captions_where(tables, "doc_id = ?", page_id)
    keys = [sample_key(stream, page_id) for stream in ("interleaved", "text")]
    of_captions = [sample for caption in captions for sample in caption["samples"]]
    found = [*tables.samples(keys).values(), *of_captions]
    mine = ledger.get((page_id, None), [])
    return {
        **{name: row[name] for name in ("id", "kind", "url", "title", "date")},
        "source": {"file": row["source_file"], "offset": row["source_offset"]},
        "facts": {name: row[name] for name in _FACTS},
        "scores": tables.text_scores(page_id),
        "text": row["text"],
        "nodes": [
            _node(number, node, ledger.get((page_id, number), []))
            for number, node in enumerate(row["nodes"] or [])
        ],
        "captions": captions,
        "repeated_paragraphs": dict_rows(
            tables.con,
            "SELECT node, pages FROM repeated_paragraphs WHERE id = ? ORDER BY node",
            page_id,
        ),
        "ledger": mine,
        "ended_by": ended_by(mine),
        "samples": list({sample["key"]: sample for sample in found}.values()),
    }


def _node(number: int, node: Json, ledger: list[Json]) -> Json:
    names = ("kind", "role", "image_url", "alt")
    return {
        "node": number,
        **{name: node[name] for name in names},
        "text": None if node["text"] is None else node["text"][:MAX_TEXT],
        "ledger": ledger,
        "ended_by": ended_by(ledger),
    }


def captions_where(tables: Lookup, where: str, *values: Any) -> list[Json]:
    """Captions by node and id.

    Returns:
        Of each `id`, `doc_id`, `page_url`, `node`, `origin`, `text`, `flags`, `image_url`,
        `image_key`, `outcome` (of its image; null where no page past gate `fetch` uses it),
        `scores` (of the image alone, and with this text), `ledger`, `ended_by`, `samples`.
    """
    condition, limit, rest = where.partition(" LIMIT")
    query = f"{_CAPTIONS} WHERE {condition} ORDER BY doc_id, node, id{limit}{rest}"
    captions = dict_rows(tables.con, query, *values)
    ledger = tables.ledger([row["id"] for row in captions], ["caption"])
    pairs = tables.caption_scores({row["id"] for row in captions})
    alone = tables.image_scores({row["image_key"] for row in captions if row["image_key"]})
    keys = {
        row["id"]: sample_key("captioned", row["image_key"], row["doc_id"])
        for row in captions
        if row["image_key"]
    }
    samples = tables.samples(keys.values())
    for row in captions:
        row["scores"] = {**alone.get(row["image_key"], {}), **pairs.get(row["id"], {})}
        row["ledger"] = ledger.get((row["id"], None), [])
        row["ended_by"] = ended_by(row["ledger"])
        found = samples.get(keys.get(row["id"], ""))
        # A sample has all captions of its image on the page that were kept.
        row["samples"] = [] if found is None or row["ended_by"] else [found]
    return captions
