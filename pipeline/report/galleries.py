"""Samples to look at: captions side by side, documents as they are read, clusters of duplicates."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.inspection.database import dict_rows
from pipeline.inspection.rule_paths import ledger_path
from pipeline.inspection.streams import Json
from schemas.rows import Locator
from schemas.shards import sample_key

VIEWS = (
    "samples", "documents", "texts", "captions", "ledger", "clusters", "image_clusters", "images",
    "image_answers",
)  # fmt: skip
"""Views that are read."""
CAPTIONS, DOCUMENTS, DROPPED_DOCUMENTS, CLUSTERS = 24, 8, 4, 12
DRAWN = 400
"""Samples of a stream among which those to show are looked for."""
MEMBERS = 6
"""Members of a cluster that are shown."""
NODES = 60
"""Nodes of a document that are shown."""
_TEXT = 1200
"""Characters of a text that are shown."""
_IDS = "(SELECT unnest(?::VARCHAR[]))"


class Places:
    """Where the images lie that galleries ask for, and in which order they were asked for."""

    def __init__(self, con: Any) -> None:
        self._con = con
        self.wanted: dict[str, Locator] = {}

    def by_url(self, urls: Iterable[str | None]) -> dict[str, str]:
        """URL -> key of its picture, of those that have bytes."""
        rows = dict_rows(
            self._con,
            "SELECT image_url, any_value(image_key) AS image_key, any_value(pack) AS pack, "
            'any_value("offset") AS place, any_value(size) AS size FROM image_answers '
            f"WHERE outcome = 'ok' AND image_url IN {_IDS} GROUP BY image_url ORDER BY image_url",
            sorted({url for url in urls if url}),
        )
        for row in rows:
            self.note(row["image_key"], row["pack"], row["place"], row["size"])
        return {row["image_url"]: row["image_key"] for row in rows}

    def by_key(self, keys: Iterable[str]) -> None:
        """Note where images lie."""
        rows = dict_rows(
            self._con,
            'SELECT image_key, any_value(pack) AS pack, any_value("offset") AS place, '
            "any_value(size) AS size FROM image_answers "
            f"WHERE outcome = 'ok' AND image_key IN {_IDS} GROUP BY image_key ORDER BY image_key",
            sorted(set(keys)),
        )
        for row in rows:
            self.note(row["image_key"], row["pack"], row["place"], row["size"])

    def note(self, key: str, pack: str, offset: int, size: int) -> None:
        """Ask for an image."""
        self.wanted.setdefault(key, Locator(pack, offset, size))


def _drawn(con: Any, stream: str) -> list[Json]:
    """Some samples of a stream, by the hash of their keys; the JSON of the others is not read."""
    return dict_rows(
        con,
        "SELECT key, txt, json, images FROM samples WHERE key IN (SELECT key FROM samples "
        "WHERE stream = ? ORDER BY md5(key) LIMIT ?) ORDER BY md5(key)",
        stream,
        DRAWN,
    )


def caption_gallery(con: Any, places: Places) -> list[Json]:
    """Captioned samples, those with a synthetic caption first."""
    rows = _drawn(con, "captioned")
    rows = sorted(rows, key=lambda row: '"outcome":' not in row["json"])[:CAPTIONS]
    found = []
    for row in rows:
        facts = json.loads(row["json"])
        for image in row["images"]:
            places.note(image["image_key"], image["pack"], image["offset"], image["size"])
        captions = facts.get("captions", [])
        # Two of one text are one text: the first stands for it.
        texts = [caption["text"] for caption in captions]
        chosen = texts.index(row["txt"]) if row["txt"] in texts else -1
        found.append({
            "key": row["key"], "url": facts.get("page_url"), "picture": facts.get("image_key"),
            "unsafe": False,
            "captions": [
                {
                    "text": caption["text"][:_TEXT],
                    "origin": caption["origin"],
                    "model": caption.get("model"),
                    "outcome": caption.get("outcome"),
                    "chosen": at == chosen,
                    "scores": caption.get("scores", {}),
                }
                for at, caption in enumerate(captions)
            ],
        })  # fmt: skip
    return found


def document_gallery(con: Any, places: Places) -> list[Json]:
    """Documents of the interleaved stream, kept and dropped, those that lost a node first."""
    told = [json.loads(row["json"]).get("doc_id") for row in _drawn(con, "interleaved")]
    drawn = [id_ for id_ in told if id_]
    shortened = {
        row[0]
        for row in con.execute(
            "SELECT DISTINCT id FROM ledger WHERE gate = 'shard.interleaved' AND node IS NOT NULL "
            f"AND id IN {_IDS}",
            [drawn],
        ).fetchall()
    }
    kept = sorted(drawn, key=lambda id_: id_ not in shortened)[:DOCUMENTS]
    dropped = con.execute(
        "SELECT id, any_value(rule) FROM ledger WHERE gate = 'shard.interleaved' "
        "AND kind = 'document' AND decisive GROUP BY id ORDER BY md5(id) LIMIT ?",
        [DROPPED_DOCUMENTS],
    ).fetchall()
    rules = {id_: f"gates.shard.interleaved.document.{rule}" for id_, rule in dropped}
    ids = [*kept, *rules]
    documents = {
        row["id"]: row
        for row in dict_rows(
            con,
            "SELECT doc_id AS id, any_value(url) AS url, any_value(title) AS title, "
            f"any_value(nodes[:{NODES}]) AS nodes FROM documents WHERE doc_id IN {_IDS} "
            "GROUP BY id",
            ids,
        )
    }
    removed = {
        (row["id"], row["node"]): row
        for row in dict_rows(
            con,
            "SELECT id, node, gate, kind, rule, value FROM ledger WHERE decisive AND node IS NOT "
            f"NULL AND gate IN ('shard.interleaved', 'fetch.image', 'fetch') AND id IN {_IDS} "
            "ORDER BY ALL",
            ids,
        )
    }
    pictures = places.by_url(
        node["image_url"] for row in documents.values() for node in row["nodes"]
    )
    return [
        _document(documents[id_], rules.get(id_), removed, pictures)
        for id_ in ids
        if id_ in documents
    ]


def _document(document: Json, rule: str | None, removed: Any, pictures: dict[str, str]) -> Json:
    nodes = []
    for at, node in enumerate(document["nodes"]):
        lost = removed.get((document["id"], at))
        is_image = node["kind"] == "image"
        nodes.append({
            "kind": node["kind"],
            "text": None if is_image else (node["text"] or "")[:_TEXT],
            "alt": (node["alt"] or "")[:_TEXT] if is_image else None,
            "picture": pictures.get(node["image_url"]) if is_image else None,
            "unsafe": False,
            "kept": lost is None,
            "rule": None if lost is None else ledger_path(lost["gate"], lost["kind"], lost["rule"]),
            "value": None if lost is None else lost["value"],
        })  # fmt: skip
    return {
        "id": document["id"], "url": document["url"], "title": document["title"],
        "kept": rule is None, "rule": rule, "nodes": nodes,
    }  # fmt: skip


def cluster_gallery(con: Any, places: Places) -> list[Json]:
    """Clusters of pages and of images, the largest first, a few of each kind."""
    return [*_page_clusters(con), *_image_clusters(con, places)]


def _largest(con: Any, table: str, kind: str) -> list[Json]:
    return dict_rows(
        con,
        f"SELECT * FROM (SELECT {kind} AS kind, cluster_id, count(*) AS size FROM {table} "
        "GROUP BY ALL HAVING size > 1) QUALIFY row_number() OVER (PARTITION BY kind ORDER BY "
        "size DESC, cluster_id) <= ? ORDER BY kind, size DESC, cluster_id",
        CLUSTERS // 3,
    )


def _page_clusters(con: Any) -> list[Json]:
    clusters = _largest(con, "clusters", "kind")
    rows = dict_rows(
        con,
        "SELECT kind, cluster_id, id, rank, similarity, url, title FROM clusters JOIN ("
        "SELECT doc_id AS id, url, title FROM documents UNION ALL "
        "SELECT text_id, url, title FROM texts) USING (id) "
        f"WHERE cluster_id IN {_IDS} QUALIFY row_number() OVER (PARTITION BY kind, cluster_id "
        "ORDER BY rank, id) <= ? ORDER BY rank, id",
        [row["cluster_id"] for row in clusters],
        MEMBERS,
    )
    alive = _survivors(con, [row["id"] for row in rows])
    members: dict[Any, list[Json]] = {}
    for row in rows:
        at = row.pop("kind"), row.pop("cluster_id")
        shown = {"picture": None, "unsafe": False, "text": None}
        members.setdefault(at, []).append(row | shown | {"survives": row["id"] in alive})
    return [
        {
            "kind": row["kind"],
            "size": row["size"],
            "members": members[row["kind"], row["cluster_id"]],
        }
        for row in clusters
        if (row["kind"], row["cluster_id"]) in members
    ]


def _survivors(con: Any, ids: Sequence[str]) -> set[str]:
    """The pages of which a sample was made."""
    keys = {sample_key(stream, id_): id_ for id_ in ids for stream in ("interleaved", "text")}
    rows = con.execute(f"SELECT key FROM samples WHERE key IN {_IDS}", [sorted(keys)]).fetchall()
    return {keys[key] for (key,) in rows}


def _image_clusters(con: Any, places: Places) -> list[Json]:
    clusters = _largest(con, "image_clusters", "'image'")
    rows = dict_rows(
        con,
        "SELECT cluster_id, id, rank, similarity, documents FROM image_clusters "
        f"WHERE cluster_id IN {_IDS} QUALIFY row_number() OVER (PARTITION BY cluster_id "
        "ORDER BY rank, id) <= ? ORDER BY rank, id",
        [row["cluster_id"] for row in clusters],
        MEMBERS,
    )
    places.by_key(row["id"] for row in rows)
    members: dict[str, list[Json]] = {}
    for row in rows:
        members.setdefault(row["cluster_id"], []).append({
            "id": row["id"], "url": None, "title": None, "rank": row["rank"],
            "similarity": row["similarity"], "survives": row["rank"] == 0,
            "picture": row["id"], "unsafe": False,
            "text": f"on {row['documents']:,} page{'' if row['documents'] == 1 else 's'}",
        })  # fmt: skip
    return [
        {"kind": "image", "size": row["size"], "members": members[row["cluster_id"]]}
        for row in clusters
    ]
