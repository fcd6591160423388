"""A large output of a run, for `make bench-report`: the demo's tables, many times over."""

import json
from pathlib import Path
from typing import Any

import duckdb

from schemas.shards import STREAMS

_IDS = ("id", "doc_id", "caption_id", "text_id", "key", "cluster_id", "component", "a_id", "b_id")
"""Columns that a copy changes: what they name is another row in each copy."""
_GROWN = (
    "documents", "texts", "captions", "scores_text", "wanted_images", "wanted_captions", "clusters",
    "candidates_documents", "candidates_nodes", "candidates_captions", "candidates_texts",
    "scores_clip", "scores_captions", "scores_nodes", "ledger", "samples",
)  # fmt: skip
"""Tables of pages and what is on them; those of images are as large as ever."""
_DIGITS = 6
_ROW_GROUP = 8192
"""As a sink writes them."""


def grow_output(output: Path, times: int) -> None:
    """Make every row of an output that many, by copies with ids of their own.

    Images stay what they are, so each is used by so many more rows.

    Args:
        output: An output of `run`; changed in place.
        times: Copies of each row.
    """
    con = duckdb.connect()
    tables = [path for name in _GROWN for path in sorted((output / "tables" / name).glob("*"))]
    indexes = [output / "shards" / stream / "index.parquet" for stream in STREAMS]
    for path in (*tables, *indexes):
        _grow_table(con, path, times)
    for path in (output / "commits").glob("*/*.json"):
        _grow_counts(path, times)
    _grow_counts(output / "run.json", times)
    for stream in STREAMS:
        path = output / "shards" / stream / "manifest.json"
        manifest = json.loads(path.read_text())
        for shard in manifest["shards"]:
            shard["samples"] *= times
        manifest["totals"]["samples"] *= times
        path.write_text(json.dumps(manifest))


def deal_shards(stream: Path, shards: int) -> int:
    """Deal the samples of a stream's folder to so many shards; how many each has then.

    Args:
        stream: A folder of an output below `shards`; changed in place. Its tars become holes of the
            size that the manifest tells: whoever reads one finds nothing.
        shards: How many there are then; what is left over of the samples is in none.
    """
    con = duckdb.connect()
    index = stream / "index.parquet"
    manifest = json.loads((stream / "manifest.json").read_text())
    samples: int = manifest["totals"]["samples"] // shards
    target = index.with_suffix(".dealt")
    con.execute(
        "COPY (SELECT * EXCLUDE (file_row_number) "
        f"REPLACE (printf('train-%06d.tar', file_row_number // {samples}) AS shard) "
        f"FROM read_parquet('{index}', file_row_number = true) "
        f"WHERE file_row_number < {shards * samples} ORDER BY file_row_number) "
        f"TO '{target}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP})"
    )
    target.replace(index)
    for shard in manifest["shards"]:
        (stream / shard["name"]).unlink()
    size = 10 * 1024 * samples
    manifest["shards"] = [
        {"name": f"train-{at:06d}.tar", "samples": samples, "bytes": size, "sha256": f"{at:064x}"}
        for at in range(shards)
    ]
    manifest["totals"] = {"samples": shards * samples, "shards": shards, "bytes": shards * size}
    (stream / "manifest.json").write_text(json.dumps(manifest))
    for shard in manifest["shards"]:
        with (stream / shard["name"]).open("wb") as file:
            file.truncate(size)
    return samples


def _grow_table(con: Any, path: Path, times: int) -> None:
    columns = [
        row[0] for row in con.execute(f"DESCRIBE SELECT * FROM read_parquet('{path}')").fetchall()
    ]
    tail = f"lpad(to_hex(copy), {_DIGITS}, '0')"
    changed = {name: f"left({name}, -{_DIGITS}) || {tail}" for name in columns if name in _IDS}
    if path.parent.name == "samples":
        ids = "json_extract_string(json, '$.doc_id')"
        changed["json"] = f"replace(json, {ids}, left({ids}, -{_DIGITS}) || {tail})"
    replaced = ", ".join(f"{sql} AS {name}" for name, sql in changed.items())
    star = "* EXCLUDE (copy)" + (f" REPLACE ({replaced})" if replaced else "")
    target = path.with_suffix(".grown")
    con.execute(
        f"COPY (SELECT {star} FROM read_parquet('{path}'), range({times}) copies(copy)) "
        f"TO '{target}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP})"
    )
    target.replace(path)


def _grow_counts(path: Path, times: int) -> None:
    def grown(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: grown(each) for key, each in value.items()}
        return value * times

    facts = json.loads(path.read_text())
    for section in ("counts", "facts"):
        if section in facts:
            facts[section] = grown(facts[section])
    for stage in facts.get("stages", {}).values():
        for section in ("tables", "facts"):
            stage[section] = grown(stage.get(section, {}))
    path.write_text(json.dumps(facts))
