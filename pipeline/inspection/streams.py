"""Measures of the streams of an output, from manifests, indexes and the table `samples`.

Sizes, lengths and images come from the index, which tells of every sample that stands in a shard;
no tar is opened. Languages, sites and captions are in the samples' JSON, of which only those rows
count that the index has. DuckDB streams the files and spills what it cannot hold.
"""

from typing import Any

from schemas.shards import Manifest, parse_shard_name

Json = dict[str, Any]

TOP_SITES = 20
QUANTILES = (0.5, 0.95)
ASPECT_EDGES = (1.0, 1.25, 1.5, 2.0, 3.0, 5.0)
"""Lower edges of the bins of an aspect ratio."""

_BINARY_BIN = "CASE WHEN x < 1 THEN 0 ELSE CAST(pow(2, floor(log2(x))) AS BIGINT) END"


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


def stream_facts(con: Any, stream: str, manifest: Manifest | None) -> Json:
    """Measures of one stream from its index; `read_places` must have run.

    Args:
        con: A connection with the views of the output.
        stream: The stream, whose index must be there.
        manifest: Its manifest, for shards and bytes; None where it is missing.
    """
    index = f"index_{stream}"
    splits = split_facts(con, index, manifest)
    facts: Json = {
        **{
            name: sum_or_none([split[name] for split in splits.values()])
            for name in ("samples", "shards", "bytes", "images", "characters")
        },
        "splits": splits,
        "text_length": distribution(con, f"SELECT text_length AS x FROM {index}"),
    }
    if stream == "captioned":
        facts |= _caption_facts(con)
    if stream == "interleaved":
        facts["images_per_document"] = distribution(con, f"SELECT images AS x FROM {index}")
    if stream != "text":
        facts |= _image_facts(con, index)
    return facts | _place_facts(con, stream)


def manifest_facts(manifest: Manifest) -> Json:
    """What a manifest alone tells of a stream."""
    splits = _manifest_splits(manifest)
    totals = {name: sum(split[name] for split in splits.values()) for name in _MANIFEST_FACTS}
    return {**totals, "splits": splits}


_MANIFEST_FACTS = ("samples", "shards", "bytes")


def _manifest_splits(manifest: Manifest) -> dict[str, Json]:
    splits: dict[str, Json] = {}
    for shard in manifest.shards:
        split = splits.setdefault(
            parse_shard_name(shard.name)[0], dict.fromkeys(_MANIFEST_FACTS, 0)
        )
        split["samples"] += shard.samples
        split["shards"] += 1
        split["bytes"] += shard.bytes
    return dict(sorted(splits.items()))


def sum_or_none(values: list[int | None]) -> int | None:
    """The sum, or None where a value is unknown."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def split_facts(con: Any, index: str, manifest: Manifest | None) -> dict[str, Json]:
    """Split -> samples, shards, images and characters of the index, bytes of the manifest."""
    rows = con.execute(
        f"""
        SELECT regexp_replace(shard, '-[0-9]{{6}}\\.tar$', '') AS split, count(*),
               count(DISTINCT shard), sum(images), sum(text_length)
        FROM {index} GROUP BY split ORDER BY split
        """
    ).fetchall()
    sizes = {} if manifest is None else _manifest_splits(manifest)
    return {
        split: {
            "samples": samples,
            "shards": shards,
            "bytes": sizes[split]["bytes"] if split in sizes else None,
            "images": images,
            "characters": characters,
        }
        for split, samples, shards, images, characters in rows
    }


def distribution(con: Any, source: str, edges: tuple[float, ...] | None = None) -> Json | None:
    """Measures of the column `x` of a query; None where it has no value.

    Args:
        con: The connection.
        source: SQL that gives one column `x` of numbers.
        edges: Lower edges of the bins; by default 0, 1, 2, 4, 8, ...

    Returns:
        `count`, `min`, `median`, `mean`, `p95`, `max`, and `histogram`, a list of `from` (the lower
        edge of a bin) and `count`, from the first bin that has values to the last. The median and
        the 95th percentile are values that occur: the smallest with at least that share at or
        below it.
    """
    quantiles = f"quantile_disc(x, [{', '.join(map(str, QUANTILES))}])"
    binned = _BINARY_BIN
    if edges is not None:
        binned = f"list_max(list_filter([{', '.join(map(str, edges))}], lambda edge: edge <= x))"
    row = con.execute(
        f"SELECT count(x), min(x), {quantiles}, avg(x), max(x), histogram({binned}) FROM ({source})"
    ).fetchone()
    count, least, found, mean, most, bins = row
    if not count:
        return None
    return {
        "count": count,
        "min": _rounded(least),
        "median": _rounded(found[0]),
        "mean": round(mean, 4),
        "p95": _rounded(found[1]),
        "max": _rounded(most),
        "histogram": _histogram(bins, edges),
    }


def _rounded(value: float) -> float:
    return round(value, 4) if isinstance(value, float) else value


def _histogram(bins: dict[float, int], edges: tuple[float, ...] | None) -> list[Json]:
    """Bins without a gap, so that bars stand at their true distance."""
    if edges is None:
        edges = (0, *(1 << power for power in range(int(max(bins)).bit_length())))
    return [
        {"from": edge, "count": bins.get(edge, 0)}
        for edge in edges
        if min(bins) <= edge <= max(bins)
    ]


def _image_facts(con: Any, index: str) -> Json:
    sizes = f"SELECT unnest(widths) AS w, unnest(heights) AS h FROM {index}"
    shapes = con.execute(
        "SELECT count(*) FILTER (w > h), count(*) FILTER (w < h), count(*) FILTER (w = h) "
        f"FROM ({sizes})"
    ).fetchone()
    return {
        "image_width": distribution(con, f"SELECT w AS x FROM ({sizes})"),
        "image_height": distribution(con, f"SELECT h AS x FROM ({sizes})"),
        "image_aspect": distribution(
            con, f"SELECT greatest(w, h) / least(w, h) AS x FROM ({sizes})", ASPECT_EDGES
        ),
        "image_shape": dict(zip(("landscape", "portrait", "square"), shapes, strict=True)),
    }


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
