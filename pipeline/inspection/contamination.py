"""What decontamination removed: how much of each benchmark was found, and each removed item."""

from typing import Any

from pipeline.inspection.database import dict_rows
from pipeline.inspection.streams import Json

TOP_BENCHMARKS = 100
REMOVED_ROWS = 1000
"""Removed items that are listed, the closest matches first; table `contamination` has all."""


def contamination_facts(con: Any) -> Json:
    """What of the corpus held an evaluation item.

    Returns:
        `removed`: rows of the corpus that were removed. `benchmarks` (how many) and `by_benchmark`:
        `benchmark`, `items` (distinct ones that are named), `documents`, `texts`, `captions`,
        `images` (image URLs), sorted by what was removed, then name. `rows`: of each that was
        removed and each benchmark that it held `kind`, `id`, `url`, `benchmark`, `item`, `field`,
        `match`, `overlap`, `distance`, `items`, sorted by closeness, then kind, id and benchmark;
        `REMOVED_ROWS` at most.
    """
    removed, benchmarks = con.execute(
        "SELECT count(DISTINCT (kind, id)), count(DISTINCT benchmark) FROM contamination"
    ).fetchone()
    return {
        "removed": removed,
        "benchmarks": benchmarks,
        "by_benchmark": dict_rows(
            con,
            f"""
            SELECT benchmark, count(DISTINCT item) AS items,
                count(*) FILTER (kind = 'document') AS documents,
                count(*) FILTER (kind = 'text') AS texts,
                count(*) FILTER (kind = 'caption') AS captions,
                count(*) FILTER (kind = 'image_url') AS images
            FROM contamination GROUP BY benchmark ORDER BY count(*) DESC, benchmark
            LIMIT {TOP_BENCHMARKS}
            """,
        ),
        "rows": dict_rows(
            con,
            f"""
            SELECT kind, id, url, benchmark, item, field, match, overlap, distance, items
            FROM contamination
            ORDER BY coalesce(overlap, 1) DESC, coalesce(distance, 0), kind, id, benchmark
            LIMIT {REMOVED_ROWS}
            """,
        ),
    }
