"""What became of image URLs: success by outcome, by host and by type of content."""

from typing import Any

from pipeline.inspection.database import dict_rows
from pipeline.inspection.streams import Json

TOP_HOSTS = 20
TOP_TYPES = 20

_ANSWERS = """
    SELECT outcome,
        outcome = 'ok' AS ok,
        regexp_extract(image_url, '^[a-z]+://([^/?]+)', 1) AS host,
        coalesce(format, lower(trim(split_part(content_type, ';', 1)))) AS type,
        size
    FROM image_answers
"""


def answer_facts(con: Any) -> Json:
    """Outcomes of the image URLs that kept pages use.

    Returns:
        `urls`, `ok`, `bytes`; `by_outcome`: `outcome`, `urls`; `hosts` (how many) and `by_host`:
        `host`, `urls`, `ok`, `mostly` (its most frequent outcome but `ok`); `by_type`: `type` (the
        format, else the declared type, null where there is none), `urls`, `ok`. Lists are sorted by
        `urls`, then name.
    """
    con.execute(f"CREATE TEMP TABLE answered AS {_ANSWERS}")
    urls, ok, size, hosts = con.execute(
        "SELECT count(*), count(*) FILTER (ok), coalesce(sum(size) FILTER (ok), 0)::BIGINT, "
        "count(DISTINCT host) FROM answered"
    ).fetchone()
    return {
        "urls": urls,
        "ok": ok,
        "bytes": size,
        "by_outcome": dict_rows(
            con, "SELECT outcome, count(*) AS urls FROM answered GROUP BY ALL ORDER BY 2 DESC, 1"
        ),
        "hosts": hosts,
        "by_host": dict_rows(
            con,
            "SELECT host, count(*) AS urls, count(*) FILTER (ok) AS ok, "
            "mode(outcome ORDER BY outcome) FILTER (NOT ok) AS mostly "
            f"FROM answered GROUP BY host ORDER BY 2 DESC, 1 LIMIT {TOP_HOSTS}",
        ),
        "by_type": dict_rows(
            con,
            "SELECT type, count(*) AS urls, count(*) FILTER (ok) AS ok "
            f"FROM answered GROUP BY type ORDER BY 2 DESC, 1 NULLS LAST LIMIT {TOP_TYPES}",
        ),
    }
