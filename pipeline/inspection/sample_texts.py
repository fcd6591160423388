"""What only table `samples` tells of the streams: languages, sites, captions.

They are in the samples' JSON, of which only those rows count that the index has. DuckDB streams the
files and spills what it cannot hold; it is what takes the time in a large output.
"""

from typing import Any

from pipeline.inspection.distributions import Json, distribution

TOP_SITES = 20
CAPTION_FACTS = ("caption_length", "captions_by_origin")
PLACE_FACTS = ("languages", "sites", "top_sites", "samples_in_tables")


def read_places(con: Any, streams: list[str]) -> None:
    """Make the temporary table `places`: samples by stream, language and site.

    It is read from the JSON of the samples once, for all streams.
    """
    keys = " UNION ALL ".join(f"SELECT key FROM index_{stream}" for stream in streams)
    con.execute(
        f"""
        CREATE TEMP TABLE places AS
        SELECT stream, found[1] AS language, found[2] AS site, count(*) AS samples
        FROM (
            SELECT stream, json_extract_string(json, ['$.language', '$.site']) AS found
            FROM samples SEMI JOIN ({keys}) USING (key)
        )
        GROUP BY ALL
        """
    )


def text_facts(con: Any, stream: str) -> Json:
    """What the JSON of the samples tells of a stream; `read_places` must have run."""
    captions = _caption_facts(con) if stream == "captioned" else {}
    return captions | _place_facts(con, stream)


def unread_facts(stream: str) -> Json:
    """The names of `text_facts`, where the table is not read."""
    return dict.fromkeys([*(CAPTION_FACTS if stream == "captioned" else ()), *PLACE_FACTS])


def _caption_facts(con: Any) -> Json:
    """All captions of the samples; the one for training is what `text_length` measures."""
    con.execute(
        """
        CREATE TEMP TABLE caption_facts AS
        SELECT unnest(json_extract_string(json, '$.captions[*].origin')) AS origin,
               length(unnest(json_extract_string(json, '$.captions[*].text'))) AS x
        FROM samples SEMI JOIN index_captioned USING (key)
        """
    )
    rows = con.execute(
        "SELECT origin, count(*) AS n FROM caption_facts GROUP BY ALL ORDER BY n DESC, origin"
    ).fetchall()
    return {
        "caption_length": distribution(con, "SELECT x FROM caption_facts"),
        "captions_by_origin": [{"origin": origin, "captions": n} for origin, n in rows],
    }


def _place_facts(con: Any, stream: str) -> Json:
    languages, sites = (
        con.execute(
            f"SELECT {column}, sum(samples)::BIGINT AS n FROM places WHERE stream = $1 "
            f"AND {column} IS NOT NULL GROUP BY ALL ORDER BY n DESC, {column} {limit}",
            [stream],
        ).fetchall()
        for column, limit in (("language", ""), ("site", f"LIMIT {TOP_SITES}"))
    )
    distinct, known = con.execute(
        "SELECT count(DISTINCT site), coalesce(sum(samples), 0)::BIGINT FROM places "
        "WHERE stream = $1",
        [stream],
    ).fetchone()
    return {
        "languages": [{"language": name, "samples": n} for name, n in languages],
        "sites": distinct,
        "top_sites": [{"site": name, "samples": n} for name, n in sites],
        "samples_in_tables": known,
    }
