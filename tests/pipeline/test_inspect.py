"""Outputs are made with the pipeline's own writers; the numbers expected are worked out by hand."""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from beam_runner import main
from pipeline.inspection import database, facts, files, show, snapshot, sql, streams
from pipeline.inspection.facts import inspect_output
from pipeline.inspection.show import facts_json, render
from pipeline.inspection.show_sql import render_sql, sql_json
from pipeline.inspection.sql import run_sql
from pipeline.run_record import STAGES
from schemas.commits import Commit, commit_path
from schemas.errors import InputError, UserError
from schemas.shards import STREAMS
from schemas.tables import schema_of
from tests.small_output import EVIL, RECIPE, Output, build, parquet, text
from transforms import storage

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["local", "memory"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Output]:
    if request.param == "local":
        yield build(str(tmp_path / "out [1]"))
        return
    url = f"memory://{tmp_path.name}/out"
    yield build(url)
    fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)


@pytest.fixture
def local(tmp_path: Path) -> Output:
    """An output to damage."""
    return build(str(tmp_path / "out"))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Output:
    """An output that no test changes."""
    return build(str(tmp_path_factory.mktemp("sound") / "out"))


def printed(facts: dict[str, Any], width: int = 80, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, errors="strict")
    render(facts, Console(width=width, file=file))
    file.flush()
    return raw.getvalue().decode(encoding)


def spread(
    count: int, least: float, median: float, mean: float, p95: float, most: float,
    histogram: dict[float, int],
) -> dict[str, Any]:  # fmt: skip
    bins = [{"from": edge, "count": rows} for edge, rows in histogram.items()]
    return {"count": count, "min": least, "median": median, "mean": mean, "p95": p95, "max": most,
            "histogram": bins}  # fmt: skip


def test_captioned_numbers_equal_hand_computed_ones(out: Output) -> None:
    facts = inspect_output(out.url)
    assert facts["problems"] == []
    assert facts["complete"] is True
    stream = facts["streams"]["captioned"]
    fs, root = storage.resolve(out.url)
    sizes = {
        split: fs.size(f"{root}/shards/captioned/{split}-000000.tar")
        for split in ("train", "validation")
    }
    assert stream["splits"] == {
        "train": {
            "samples": 3, "shards": 1, "bytes": sizes["train"], "images": 3, "characters": 60
        },
        "validation": {
            "samples": 1, "shards": 1, "bytes": sizes["validation"], "images": 1,
            "characters": 100,
        },
    }  # fmt: skip
    assert (stream["samples"], stream["shards"], stream["images"]) == (4, 2, 4)
    assert stream["bytes"] == sum(sizes.values())
    assert stream["text_length"] == spread(4, 10, 20, 40.0, 100, 100, {8: 1, 16: 2, 32: 0, 64: 1})
    assert stream["caption_length"] == spread(
        5, 4, 20, 32.8, 100, 100, {4: 1, 8: 1, 16: 2, 32: 0, 64: 1}
    )
    assert stream["captions_by_origin"] == [
        {"origin": "alt", "captions": 3},
        {"origin": "figcaption", "captions": 1},
        {"origin": "title", "captions": 1},
    ]
    assert stream["image_width"] == spread(4, 32, 48, 86.0, 200, 200, {32: 2, 64: 1, 128: 1})
    assert stream["image_height"] == spread(4, 32, 32, 44.0, 64, 64, {32: 3, 64: 1})
    assert stream["image_aspect"] == spread(
        4, 1.0, 2.0, 2.8125, 6.25, 6.25, {1.0: 1, 1.25: 0, 1.5: 0, 2.0: 2, 3.0: 0, 5.0: 1}
    )
    assert stream["image_shape"] == {"landscape": 2, "portrait": 1, "square": 1}
    assert stream["languages"] == [
        {"language": "en", "samples": 3},
        {"language": "de", "samples": 1},
    ]
    assert stream["sites"] == 3
    assert stream["top_sites"] == [
        {"site": "a.example", "samples": 2},
        {"site": EVIL, "samples": 1},
        {"site": "b.example", "samples": 1},
    ]
    assert stream["judged"] == {
        "captions": {
            "in": 9, "kept": 4, "rejected": 5, "failed": 0,
            "rejected_by_rule": {"aspect": 1, "min_side": 3, "words": 1}, "failed_by_error": {},
        }
    }  # fmt: skip


def test_interleaved_and_text_numbers_equal_hand_computed_ones(out: Output) -> None:
    streams = inspect_output(out.url)["streams"]
    documents = streams["interleaved"]
    assert documents["images_per_document"] == spread(2, 1, 1, 2.0, 3, 3, {1: 1, 2: 1})
    assert (documents["samples"], documents["images"], documents["characters"]) == (2, 4, 6)
    assert documents["image_width"]["count"] == 4
    assert "caption_length" not in documents
    assert streams["text"]["text_length"] == spread(1, 7, 7, 7.0, 7, 7, {4: 1})
    assert streams["text"]["languages"] == [{"language": "de", "samples": 1}]
    assert "image_width" not in streams["text"]


def test_run_facts_are_those_of_the_record(sound: Output) -> None:
    facts = inspect_output(sound.url)
    assert facts["recipe"] == {"name": "demo", "fingerprint": RECIPE}
    assert facts["inputs"] == {"files": 2, "bytes": 1024}
    assert list(facts["stages"]) == list(STAGES)
    assert facts["stages"]["extract"]["tables"]["captions"] == {
        "in": 3, "kept": 2, "rejected": 0, "failed": 1,
        "rejected_by_rule": {}, "failed_by_error": {"RecordError": 1},
    }  # fmt: skip
    assert json.loads(facts_json(facts)) == facts


def test_stale_parts_are_ignored(out: Output) -> None:
    count = run_sql(
        out.url, "SELECT (SELECT count(*) FROM samples), (SELECT count(*) FROM captions)"
    )
    assert count.rows == [[7, 2]]


def test_every_table_has_a_view(out: Output) -> None:
    tables = run_sql(out.url, "SELECT table_name FROM information_schema.tables ORDER BY 1")
    names = [row[0] for row in tables.rows]
    assert names == sorted(
        {*snapshot.known_tables(), "index_captioned", "index_interleaved", "index_text"}
    )
    with database.open_database(snapshot.read_snapshot(out.url)) as con:
        for name in names:
            con.execute(f'SELECT * FROM "{name}"').fetchall()
    assert run_sql(out.url, "SELECT rule, value FROM ledger").rows == [["words", 1.0]]
    assert run_sql(out.url, "SELECT error FROM failures").rows == [["RecordError"]]
    assert run_sql(out.url, "SELECT sum(images) AS n FROM index_interleaved").rows == [[4]]


def test_tables_without_rows_have_the_columns_of_written_ones(tmp_path: Path) -> None:
    out = Output(str(tmp_path))
    for table in snapshot.known_tables():
        rows = schema_of(snapshot.TABLES[table]).empty_table()
        storage.write_bytes(f"{out.url}/tables/{table}/a-f0.parquet", parquet(rows))
    out.finish()
    describe = "SELECT table_name, column_name, data_type FROM duckdb_columns() ORDER BY ALL"
    absent = run_sql(out.url, describe).rows
    assert len(absent) > 100
    listed = {name: {"a": f"tables/{name}/a-f0.parquet"} for name in snapshot.known_tables()}
    commit = Commit("extract", "a", "f0", files=listed)
    storage.write_bytes(f"{out.url}/{commit_path('extract', 'a-f0')}", commit.to_json())
    out.edit_run(lambda run: run["stages"]["extract"].update(snapshot=["a-f0"]))
    assert run_sql(out.url, describe).rows == absent


REFUSED = {
    "syntax": ("selec", "--sql: Parser Error: syntax error at or near"),
    "unknown table": ("SELECT * FROM nope", "Table with name nope does not exist!"),
    "unknown column": ("SELECT nope FROM ledger", "nope"),
    "conversion": ("SELECT rule::INT FROM ledger", "--sql: Conversion Error"),
    "reads a file": ("SELECT * FROM read_text('/etc/hosts')", "disabled by configuration"),
    "writes a file": ("COPY ledger TO '/tmp/weft-no'", "disabled by configuration"),
    "writes a table": ("COPY ledger TO 'weft://tables/ledger/x'", "the tables are read-only"),
    "leaves the output": ("SELECT * FROM read_text('weft://../x')", "no file of this run"),
    "globs": ("SELECT * FROM read_parquet('weft://tables/*/*')", "no file of this run"),
    "attaches": ("ATTACH '/tmp/weft-no.db'", "disabled by configuration"),
    "unlocks": ("SET enable_external_access = true", "--sql:"),
    "loads": ("INSTALL httpfs", "--sql:"),
    "python variable": ("SELECT * FROM snapshot", "does not exist"),
    "nothing": ("", "--sql: no query"),
    "a comment": ("-- nothing", "--sql: no query"),
}


@pytest.mark.parametrize(("query", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_query_is_refused_in_one_line(sound: Output, query: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        run_sql(sound.url, query)
    assert not isinstance(error.value, InputError)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    if query.startswith("s"):
        assert "index_captioned" in str(error.value)


def test_stale_file_cannot_be_read_by_name(sound: Output) -> None:
    query = "SELECT count(*) FROM 'weft://tables/samples/samples-a-{}.parquet'"
    assert run_sql(sound.url, query.format("f0")).rows == [[7]]
    with pytest.raises(UserError, match="no file of this run"):
        run_sql(sound.url, query.format("old"))


@pytest.mark.parametrize("protocol", ["local", "memory"])
def test_threads_that_share_an_open_file_do_not_disturb_each_other(
    tmp_path: Path, protocol: str
) -> None:
    url = str(tmp_path) if protocol == "local" else f"memory://{tmp_path.name}"
    storage.write_bytes(f"{url}/tables/a", bytes(range(100)))
    file = files.SnapshotFiles({"": (url, ["tables/a"])}).open("weft://tables/a")
    assert file.seek(10) == 10
    other = Thread(target=lambda: (file.seek(50), file.read(7)))
    other.start()
    other.join()
    assert file.tell() == 10
    assert file.read(3) == bytes([10, 11, 12])
    assert file.seek(-2, 2) == 98
    assert file.read() == bytes([98, 99])
    assert file.read(5) == b""


def test_result_above_the_limit_is_refused(sound: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "MAX_RESULT_BYTES", 1000)
    assert len(run_sql(sound.url, "SELECT 1 FROM range(100)").rows) == 100
    with pytest.raises(UserError, match="put a LIMIT"):
        run_sql(sound.url, "SELECT repeat('x', 20) FROM range(100)")


def test_values_become_json(sound: Output) -> None:
    result = run_sql(
        sound.url,
        "SELECT 1 AS a, 2 AS a, sum(x) AS s, 'ab'::BLOB AS b, DATE '2020-01-02' AS d, "
        "'nan'::DOUBLE AS n, 1.5::DECIMAL(4,2) AS m, {'k': [NULL, 'v']} AS o, MAP {1: 2} AS p, "
        "170141183460469231731687303715884105727::HUGEINT AS h FROM range(4) t(x)",
    )
    assert json.loads(sql_json(result)) == [
        {
            "a": 1, "a_2": 2, "s": 6, "b": "6162", "d": "2020-01-02", "n": "nan", "m": 1.5,
            "o": {"k": [None, "v"]}, "p": {"1": 2}, "h": 2**127 - 1,
        }
    ]  # fmt: skip


def test_text_of_strangers_cannot_reach_the_terminal(out: Output) -> None:
    facts = inspect_output(out.url)
    shown = printed(facts)
    assert "[bold]evil[/bold]" in shown
    result = run_sql(out.url, "SELECT text, text AS again FROM captions")
    file = io.StringIO()
    render_sql(result, Console(width=80, file=file))
    render_sql(result, Console(width=10, file=file))
    assert file.getvalue().count("[bold]evil[/bold]") >= 4
    for output in (shown, file.getvalue(), facts_json(facts), sql_json(result)):
        assert not {c for c in output if c != "\n" and not c.isprintable()}
    assert json.loads(sql_json(result))[0]["text"] == EVIL
    assert json.loads(facts_json(facts))["streams"]["captioned"]["top_sites"][1]["site"] == EVIL


def test_render_shows_the_numbers_at_80_columns(sound: Output) -> None:
    shown = printed(inspect_output(sound.url))
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80
    held = show.size(Path(sound.url, "shards/captioned/validation-000000.tar").stat().st_size)
    assert any(
        line.split() == ["validation", "1", "1", *held.split(), "1", "100"] for line in lines
    )
    assert any(line.startswith("caption, chosen (chars)") and "40.00" in line for line in lines)
    assert any(line.split()[:4] == ["captions", "min_side", "3", "9"] for line in lines)
    assert "images: 2 landscape, 1 portrait, 1 square" in lines
    assert "…" not in shown


def test_render_needs_no_more_than_ascii(sound: Output) -> None:
    facts = inspect_output(sound.url)
    facts["streams"]["captioned"]["top_sites"] = []
    assert "#####" in printed(facts, encoding="ascii")


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([], ""), ([0, 0], "  "), ([1, 1000], "▁█"), ([500, 0, 1000], "▄ █")],
    ids=["none", "zeros", "a little is not blank", "half"],
)
def test_spark_shows_shares(counts: list[int], expected: str) -> None:
    assert show.spark(counts, ascii_only=False).plain == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [(None, "?"), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_960, "1.0 MB"),
     (1_234_567_890, "1.2 GB"), (10**19, "10,000.0 PB")],
)  # fmt: skip
def test_size_has_a_unit(count: int | None, expected: str) -> None:
    assert show.size(count) == expected


def test_many_rows_are_cut_and_counted(sound: Output) -> None:
    file = io.StringIO()
    render_sql(run_sql(sound.url, "FROM range(250)"), Console(width=80, file=file))
    cells = file.getvalue().partition("250 rows")[0].split()
    assert cells == ["range", *map(str, range(100))]
    assert "250 rows, the first 100 shown" in file.getvalue()


def broken(name: str, content: bytes = b"junk") -> Callable[[Output], None]:
    return lambda out: storage.write_bytes(f"{out.url}/{name}", content)


def wrong_index(out: Output) -> None:
    with storage.publish(f"{out.url}/shards/text/index.parquet") as file:
        pq.write_table(pa.table({"key": ["a"]}), file)


def other_index(change: Callable[[pa.Table], pa.Table]) -> Callable[[Output], None]:
    def damage(out: Output) -> None:
        url = f"{out.url}/shards/captioned/index.parquet"
        rows = change(pq.read_table(url))
        with storage.publish(url) as file:
            pq.write_table(rows, file)

    return damage


def without_values(rows: pa.Table) -> pa.Table:
    at = rows.schema.get_field_index("text_length")
    return rows.set_column(at, "text_length", pa.nulls(len(rows), pa.int64()))


def as_text(rows: pa.Table) -> pa.Table:
    at = rows.schema.get_field_index("images")
    return rows.set_column(at, "images", pa.array(["1"] * len(rows)))


def uneven(rows: pa.Table) -> pa.Table:
    at = rows.schema.get_field_index("widths")
    return rows.set_column(at, "widths", pa.array([[1, 2]] * len(rows)))


def cut_samples(out: Output) -> None:
    """Damage data pages and leave the footer whole."""
    name = f"{out.url}/tables/samples/samples-a-f0.parquet"
    data = bytearray(storage.read_bytes(name) or b"")
    meta = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
    column = next(meta.column(n) for n in range(20) if meta.column(n).path_in_schema == "json")
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    storage.write_bytes(name, bytes(data))


def set_stage(stage: str, key: str, value: Any) -> Callable[[Output], None]:
    return lambda out: out.edit_run(lambda run: run["stages"][stage].update({key: value}))


def bad_commit(out: Output) -> None:
    name = f"{out.url}/{commit_path('extract', 'a-f0')}"
    data = (storage.read_bytes(name) or b"").replace(b"tables/captions/a", b"tables/captions/../a")
    storage.write_bytes(name, data)


CORRUPT = {
    "run.json": (broken("run.json"), "run.json: not a run record"),
    "run.json is no text": (broken("run.json", b"\xff{"), "run.json: not a run record"),
    "run.json of another version": (
        lambda out: out.edit_run(lambda run: run.update(run_version=2)),
        "run.json: written by another version",
    ),
    "a stage's name": (
        lambda out: out.edit_run(lambda run: run["stages"].update({"[b]x": {"status": "done"}})),
        "run.json: not a run record",
    ),
    "a count below 0": (
        set_stage("shard", "tables", {"text": {"in": -1, "kept": 0, "rejected": 0, "failed": 0}}),
        "run.json: not a run record",
    ),
    "a snapshot that climbs": (
        set_stage("shard", "snapshot", ["../../x"]), "run.json: not a run record"
    ),
    "a commit": (broken("commits/shard/samples-a-f0.json"), "samples-a-f0.json: not a commit"),
    "a commit that climbs": (bad_commit, "a-f0.json: not a commit record"),
    "a manifest": (broken("shards/text/manifest.json"), "text/manifest.json: not a manifest"),
    "an index": (broken("shards/text/index.parquet"), "text/index.parquet: cannot be read"),
    "an index of something else": (wrong_index, "index.parquet: not an index: no column shard"),
    "an index with a null": (other_index(without_values), "index.parquet: cannot be read"),
    "an index of other types": (other_index(as_text), "index.parquet: cannot be read"),
    "an index of odd sizes": (other_index(uneven), "8 widths beside 4 heights"),
    "samples": (broken("tables/samples/samples-a-f0.parquet"), "samples-a-f0.parquet: cannot be"),
    "samples inside": (cut_samples, "samples-a-f0.parquet: cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "message"), CORRUPT.values(), ids=CORRUPT.keys())
def test_corrupt_file_is_named(
    local: Output, damage: Callable[[Output], None], message: str
) -> None:
    damage(local)
    with pytest.raises(InputError) as error:
        inspect_output(local.url)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_corrupt_table_is_named_by_a_query(out: Output) -> None:
    cut_samples(out)
    assert run_sql(out.url, "SELECT count(*) FROM captions").rows == [[2]]
    with pytest.raises(InputError, match=r"samples-a-f0\.parquet: cannot be read"):
        run_sql(out.url, "SELECT count(DISTINCT json) FROM samples")
    broken("tables/captions/a-f0.parquet")(out)
    with pytest.raises(InputError, match=r"tables/captions/a-f0\.parquet: cannot be read"):
        run_sql(out.url, "SELECT 1")


PARTIAL = {
    "a stage is missing": (
        lambda out: out.edit_run(lambda run: run["stages"].pop("refs")),
        ["the run is not complete: no refs yet"],
    ),
    "a stage failed": (
        set_stage("shard", "status", "failed"),
        ["stage shard is failed; the numbers are of its last good run"],
    ),
    "a stage failed at once": (
        lambda out: out.edit_run(lambda run: run["stages"].update(dedup={"status": "failed"})),
        ["stage dedup is failed"],
    ),
    "counts do not add up": (
        lambda out: out.edit_run(
            lambda run: run["stages"]["extract"]["tables"]["captions"].update({"in": 4})
        ),
        ["stage extract, table captions: 4 rows in are not the sum of 2 kept, 0 rejected, "
         "1 failed"],
    ),
    "a commit is missing": (
        lambda out: out.remove("commits/extract/a-f0.json"),
        ["stage extract: 1 of 1 commit records are missing (commits/extract/a-f0.json)"],
    ),
    "a table's file is missing": (
        lambda out: out.remove("tables/captions/a-f0.parquet"),
        ["table captions: 1 of 1 files are missing (tables/captions/a-f0.parquet)"],
    ),
    "a manifest is missing": (
        lambda out: out.remove("shards/text/manifest.json"),
        ["shards/text/manifest.json is missing"],
    ),
    "an index is missing": (
        lambda out: out.remove("shards/captioned/index.parquet"),
        ["shards/captioned/index.parquet is missing"],
    ),
    "a stream is missing": (
        lambda out: out.remove("shards/text"),
        ["shards/text/index.parquet is missing", "shards/text/manifest.json is missing"],
    ),
    "a shard is missing": (
        lambda out: out.remove("shards/text/train-000000.tar"),
        ["text: 1 shards are missing (shards/text/train-000000.tar)"],
    ),
    "a shard is cut": (
        broken("shards/text/train-000000.tar", b"x"),
        ["text: 1 shards have another size than the manifest says (shards/text/train-000000.tar)"],
    ),
    "a shard too many": (
        broken("shards/text/train-000001.tar", b"x"),
        ["text: 1 shards are not in the manifest (shards/text/train-000001.tar)"],
    ),
    "another recipe": (
        lambda out: out.edit_run(lambda run: run["recipe"].update(fingerprint="cd" * 16)),
        [f"{stream}: its shards are of recipe abababababab, the last run was of cdcdcdcdcdcd"
         for stream in STREAMS],
    ),
    "an index of other samples": (
        lambda out: out.publish("text", [text(1, "d.example", 7), text(5, "e.example", 3)]),
        ["text: 1 of 2 samples are in the tables of the last run; languages, sites and captions "
         "are of those only"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "problems"), PARTIAL.values(), ids=PARTIAL.keys())
def test_partial_output_says_what_is_wrong_and_shows_the_rest(
    local: Output, damage: Callable[[Output], None], problems: list[str]
) -> None:
    damage(local)
    facts = inspect_output(local.url)
    assert facts["problems"] == problems
    assert facts["complete"] is False
    assert facts["streams"]["interleaved"]["samples"] == 2
    assert facts["streams"]["captioned"]["samples"] == 4
    shown = printed(facts, width=200)
    assert all(f"! {problem}" in shown for problem in problems)
    assert "interleaved" in shown
    run_sql(local.url, "SELECT * FROM captions")


def test_manifest_that_disagrees_with_the_index_is_a_problem(local: Output) -> None:
    rows = pq.read_table(f"{local.url}/shards/captioned/index.parquet")
    with storage.publish(f"{local.url}/shards/captioned/index.parquet") as file:
        pq.write_table(rows.slice(1), file)
    assert inspect_output(local.url)["problems"] == [
        "captioned: the manifest lists 4 samples in 2 shards, the index 3 in 2"
    ]


def test_run_stopped_in_its_first_stage_is_shown(local: Output) -> None:
    for name in ("run.json", "shards"):
        local.remove(name)
    facts = inspect_output(local.url)
    assert facts["problems"] == [
        "run.json is missing: the run was stopped before its first stage ended"
    ]
    assert facts["streams"] == {}
    assert "stopped before its first stage" in printed(facts)


def test_empty_streams_are_shown(tmp_path: Path) -> None:
    out = Output(str(tmp_path))
    for stream in STREAMS:
        out.publish(stream, [])
    out.finish()
    facts = inspect_output(out.url)
    assert facts["problems"] == []
    assert facts["streams"]["captioned"]["samples"] == 0
    assert facts["streams"]["captioned"]["text_length"] is None
    assert any(line.split()[:3] == ["all", "0", "0"] for line in printed(facts).splitlines())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "there is no such folder"),
        (lambda path: path.mkdir(), "is empty"),
        (lambda path: path.write_text("x"), "is a file, not an output of Weft"),
        (lambda path: (path.mkdir(), (path / "a.txt").write_text("x")), "no output of Weft"),
    ],
    ids=["missing", "empty", "a file", "something else"],
)
def test_place_without_output_is_one_clear_line(
    tmp_path: Path, make: Callable[[Path], Any], message: str
) -> None:
    path = tmp_path / "out"
    make(path)
    for look in (inspect_output, lambda url: run_sql(url, "SELECT 1")):
        with pytest.raises(InputError) as error:
            look(str(path))
        assert message in str(error.value)
        assert str(path) in str(error.value)


def test_unknown_protocol_is_one_clear_line() -> None:
    with pytest.raises(UserError, match=r"nowhere://x/.*: cannot be opened"):
        inspect_output("nowhere://x")


# --- parts of an output


def test_one_stream_is_told_with_its_tables(out: Output) -> None:
    whole, facts = inspect_output(out.url), inspect_output(out.url, ["text"])
    assert list(facts["streams"]) == ["text"]
    assert facts["streams"]["text"] == whole["streams"]["text"]
    assert "captions" in whole["stages"]["shard"]["tables"]
    assert list(facts["stages"]["shard"]["tables"]) == ["samples"]
    assert facts["stages"]["extract"]["tables"] == {}
    captions = inspect_output(out.url, ["captioned", "text"])
    assert captions["stages"] == whole["stages"]
    assert list(captions["streams"]) == ["captioned", "text"]


@pytest.mark.parametrize("folder", ["shards", "shards/captioned", "copy"])
def test_shards_alone_are_told_from_their_index(out: Output, folder: str) -> None:
    if folder == "copy":
        fs, root = storage.resolve(out.url)
        fs.mv(f"{root}/shards/captioned", f"{root}/elsewhere/copy", recursive=True)
        folder = "elsewhere/copy"
    facts = inspect_output(f"{out.url}/{folder}")
    assert facts["problems"] == []
    assert facts["recipe"] is None
    stream = facts["streams"]["captioned"]
    assert (stream["samples"], stream["shards"], stream["characters"]) == (4, 2, 160)
    assert stream["text_length"]["median"] == 20
    assert (stream["languages"], stream["caption_length"]) == (None, None)
    assert list(facts["streams"]) == (list(STREAMS) if folder == "shards" else ["captioned"])
    assert "caption, chosen" in printed(facts)
    query = "SELECT sum(images) FROM index_captioned"
    assert run_sql(f"{out.url}/{folder}", query).rows == [[4]]


def test_problems_of_shards_alone_are_told(local: Output) -> None:
    local.remove("shards/captioned/manifest.json")
    local.remove("shards/captioned/train-000000.tar")
    local.remove("shards/text/train-000000.tar")
    assert inspect_output(f"{local.url}/shards")["problems"] == [
        "captioned/manifest.json is missing", "text: 1 shards are missing (text/train-000000.tar)"
    ]  # fmt: skip
    facts = inspect_output(f"{local.url}/shards/captioned")
    assert facts["problems"] == ["manifest.json is missing"]
    assert facts["streams"]["captioned"]["samples"] == 4


def test_lost_run_record_is_told_and_the_shards_shown(local: Output) -> None:
    local.remove("run.json")
    facts = inspect_output(local.url)
    assert facts["problems"] == ["run.json is missing: what its stages did is not known"]
    assert facts["streams"]["captioned"]["samples"] == 4
    assert facts["streams"]["captioned"]["languages"] is None


def test_large_table_of_samples_is_read_only_when_asked(sound: Output) -> None:
    size = snapshot.read_snapshot(sound.url).table_bytes["samples"]
    whole = inspect_output(sound.url)
    assert inspect_output(sound.url, samples_limit=size) == whole
    facts = inspect_output(sound.url, samples_limit=size - 1)
    assert facts["notes"] == [
        f"languages, sites and captions were not counted: table samples has {size:,} bytes; "
        "--full reads it"
    ]
    assert facts["complete"] is True
    stream = facts["streams"]["captioned"]
    left_out = {"languages", "sites", "top_sites", "samples_in_tables", "caption_length",
                "captions_by_origin"}  # fmt: skip
    expected = whole["streams"]["captioned"] | dict.fromkeys(left_out)
    assert stream == expected
    shown = printed(facts)
    assert "--full reads it" in shown
    assert "language" not in shown.partition("captioned")[2]


def test_index_is_all_that_is_read_of_shards(out: Output) -> None:
    fs, root = storage.resolve(out.url)
    tars = [path for path in fs.find(f"{root}/shards") if path.endswith(".tar")]
    whole = inspect_output(out.url)
    for path in tars:
        size = fs.size(path)
        fs.pipe_file(path, bytes(size))
    assert inspect_output(out.url) == whole


def test_index_of_many_row_groups_has_the_same_measures(
    local: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = inspect_output(local.url)
    url = f"{local.url}/shards/captioned/index.parquet"
    rows = pq.read_table(url)
    with storage.publish(url) as file:
        pq.write_table(rows, file, row_group_size=1)
    for read in (1, 3, 1000):
        monkeypatch.setattr(streams, "_READ_ROWS", read)
        assert inspect_output(local.url) == whole


def test_numbers_of_shards_need_neither_duckdb_nor_pandas(sound: Output) -> None:
    code = (
        "import sys; from pipeline.inspection import inspect_output; "
        f"inspect_output({sound.url + '/shards'!r}); "
        "sys.exit(str(sorted({'duckdb', 'pandas', 'apache_beam'} & set(sys.modules)) or '') or 0)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_command_tells_of_one_stream_and_of_shards_alone(
    sound: Output, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", sound.url, "--stream", "text", "--stream", "captioned", "--json"]) == 0
    assert list(json.loads(capfd.readouterr().out)["streams"]) == ["captioned", "text"]
    assert main(["inspect", f"{sound.url}/shards/text"]) == 0
    told = capfd.readouterr().out
    assert "text (chars)" in told
    assert "captioned" not in told
    assert main(["diff", sound.url, f"{sound.url}/shards"]) == 2
    assert main(["explain", f"{sound.url}/shards", "0123456789"]) == 2


@pytest.mark.parametrize("place", ["missing", "empty"])
def test_command_ends_with_2_where_there_is_nothing(
    place: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    for options in ([], ["--json"], ["--random", "1"], ["--sample", "0" * 8], ["--verify"]):
        assert main(["inspect", str(tmp_path / place), *options]) == 2
        told = capfd.readouterr()
        assert told.out == ""
        assert told.err.count("\n") == 1
        assert str(tmp_path / place) in told.err


def test_command_reads_the_whole_table_when_asked(
    sound: Output, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "SAMPLES_LIMIT", 10)
    assert main(["inspect", sound.url]) == 0
    assert "--full reads it" in capfd.readouterr().out
    assert main(["inspect", sound.url, "--full", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == inspect_output(sound.url)
