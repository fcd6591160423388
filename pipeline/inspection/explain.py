"""Why a page was kept or not: its duplicates, how it is linked to them, and what the gates said.

Of an image: its copies, and how often they are used.
"""

from collections.abc import Iterable
from typing import Any

import duckdb

from pipeline.inspection.database import broken_file, dict_rows, open_database
from pipeline.inspection.snapshot import DedupRecord, read_snapshot
from pipeline.inspection.streams import Json
from schemas.errors import InputError

MAX_PAGES = 20
"""Pages of one key that are explained: a URL may have been crawled many times."""
MAX_MEMBERS = 20
"""Members of a cluster that are listed."""
MAX_STEPS = 100
"""Edges of the longest path that is looked for."""
MIN_PREFIX = 6
"""Hexadecimal digits of an id that are enough to ask for it."""

_VIEWS = (
    "documents", "texts", "edges", "clusters", "earlier_pages", "ledger", "repeated_paragraphs",
    "image_answers", "image_clusters",
)  # fmt: skip
_PAGES = """
    SELECT doc_id AS id, 'document' AS kind, url, title, date FROM documents
    UNION ALL SELECT text_id, 'text', url, title, date FROM texts
"""


def explain(output: str, key: str) -> Json:
    """What became of the pages of a key, and the copies of an image.

    Args:
        output: An output of `run`.
        key: The URL of a page as it was crawled or of an image, or the id of a document or text or
            an `image_key`; of an id the first `MIN_PREFIX` digits are enough.

    Returns:
        `key`; `prefer`: what members are ranked by; `pages`: `id`, `kind`, `url`, `title`, `date`;
        for each its `clusters` (`kind`, `cluster_id`, `rank`, `similarity`, `exact`: whether that
        is no estimate, `size`, `members` and the `path` of edges from the page to the best-ranked
        member; a member is `published` where an earlier output has it in its shards), `edges` of
        pages that are in no cluster, the `repeated_paragraphs` that other pages of the site have
        too (`node`, `pages`), and the `ledger`: `gate`, `rule`, `decisive`, `value`, `value_text`,
        `threshold`. `images`: `id`, `cluster_id`, `rank`, `similarity`, `documents`, `sites`,
        `size` of the cluster, and its `members`: `id`, `rank`, `similarity`, `width`, `height`,
        `image_url`.

    Raises:
        InputError: No output, or no such page or image in it.
    """
    if not key.isprintable():
        raise InputError(f"{key!a}: no URL and no id has such a character")
    snapshot = read_snapshot(output)
    dedup = DedupRecord() if snapshot.run is None else snapshot.run.recipe.values.dedup
    with open_database(snapshot, _VIEWS) as con:
        try:
            pages = _explained(con, key, dedup.verify == "texts")
            images = _images(con, key)
        except duckdb.Error as e:
            files = [file for view in _VIEWS for file in snapshot.tables.get(view, [])]
            raise broken_file(snapshot, files) or e from e
    if not pages and not images:
        raise InputError(
            f"{key!r}: no page of {output} has this URL or id, and no image. Give the URL as it "
            f"was crawled, or at least {MIN_PREFIX} hexadecimal digits of a doc_id, text_id or "
            "image_key"
        )
    return {"key": key, "prefer": dedup.prefer, "pages": pages, "images": images}


def _explained(con: Any, key: str, exact: bool) -> list[Json]:
    con.execute(f"CREATE TEMP VIEW pages AS {_PAGES}")
    pages = _find(con, key)
    for page in pages:
        page["clusters"] = [_cluster(con, page["id"], row) for row in _joined(con, page["id"])]
        linked = {row["kind"] for row in page["clusters"]}
        page["edges"] = [row for row in _edges(con, [page["id"]]) if row["kind"] not in linked]
        for row in (*page["clusters"], *page["edges"], *_edges_of(page["clusters"])):
            row["exact"] = exact or row["kind"] != "near_text"
        page["repeated_paragraphs"] = dict_rows(
            con,
            "SELECT node, pages FROM repeated_paragraphs WHERE id = ? ORDER BY node",
            page["id"],
        )
        page["ledger"] = dict_rows(
            con,
            "SELECT gate, rule, decisive, value, value_text, threshold FROM ledger "
            "WHERE id = ? AND node IS NULL ORDER BY gate, decisive DESC, rule",
            page["id"],
        )
    return pages


def _edges_of(clusters: list[Json]) -> list[Json]:
    return [edge for cluster in clusters for edge in cluster["path"]]


def _is_id(key: str) -> bool:
    return len(key) >= MIN_PREFIX and set(key) <= set("0123456789abcdef")


def _find(con: Any, key: str) -> list[Json]:
    if _is_id(key):
        where, value = "starts_with(id, ?)", key
    else:
        where, value = "url = ?", key
    query = f"SELECT * FROM pages WHERE {where} ORDER BY date DESC, id LIMIT {MAX_PAGES}"
    return dict_rows(con, query, value)


def _images(con: Any, key: str) -> list[Json]:
    answered = "id IN (SELECT image_key FROM image_answers WHERE image_url = ?)"
    where = "starts_with(id, ?)" if _is_id(key) else answered
    query = f"SELECT * FROM image_clusters WHERE {where} ORDER BY id LIMIT {MAX_PAGES}"
    images = dict_rows(con, query, key)
    for image in images:
        image["members"] = dict_rows(
            con,
            "SELECT id, rank, similarity, min(width) AS width, min(height) AS height, "
            "min(image_url) AS image_url FROM image_clusters JOIN image_answers ON id = image_key "
            f"WHERE cluster_id = ? GROUP BY id, rank, similarity ORDER BY rank LIMIT {MAX_MEMBERS}",
            image["cluster_id"],
        )
        image["size"] = con.execute(
            "SELECT count(*) FROM image_clusters WHERE cluster_id = ?", [image["cluster_id"]]
        ).fetchone()[0]
    return images


def _joined(con: Any, page_id: str) -> list[Json]:
    return dict_rows(
        con,
        "SELECT kind, cluster_id, rank, similarity FROM clusters WHERE id = ? ORDER BY kind",
        page_id,
    )


def _cluster(con: Any, page_id: str, row: Json) -> Json:
    members = dict_rows(
        con,
        "SELECT id, rank, similarity, clusters.date, length, score, published, "
        "any_value(url) AS url FROM clusters LEFT JOIN (SELECT id, url FROM pages UNION ALL "
        "SELECT id, url FROM earlier_pages) USING (id) WHERE clusters.kind = ? AND cluster_id = ? "
        f"GROUP BY ALL ORDER BY rank LIMIT {MAX_MEMBERS}",
        row["kind"],
        row["cluster_id"],
    )
    size = con.execute(
        "SELECT count(*) FROM clusters WHERE kind = ? AND cluster_id = ?",
        [row["kind"], row["cluster_id"]],
    ).fetchone()[0]
    path = _path(con, row["kind"], page_id, row["cluster_id"])
    return row | {"size": size, "members": members, "path": path}


def _path(con: Any, kind: str, start: str, end: str) -> list[Json]:
    """The edges of a shortest path; none where the pages were compared without an edge."""
    came: dict[str, Json] = {start: {}}
    frontier = [start]
    for _ in range(MAX_STEPS):
        if end in came or not frontier:
            break
        found = []
        for edge in _edges(con, frontier):
            if edge["kind"] != kind:
                continue
            for here, there in ((edge["a"], edge["b"]), (edge["b"], edge["a"])):
                if here in came and there not in came:
                    came[there] = edge | {"a": here, "b": there}
                    found.append(there)
        frontier = found
    path: list[Json] = []
    while end in came and end != start:
        path.append(came[end])
        end = came[end]["a"]
    return path[::-1]


def _edges(con: Any, ids: Iterable[str]) -> list[Json]:
    return dict_rows(
        con,
        "SELECT DISTINCT kind, a_id AS a, b_id AS b, similarity FROM edges "
        "WHERE a_id <> b_id AND (list_contains(?, a_id) OR list_contains(?, b_id)) "
        "ORDER BY similarity DESC, kind, a, b",
        list(ids),
        list(ids),
    )
