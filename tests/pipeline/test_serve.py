"""`weft serve`: what it shows, and everything that it must refuse."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fsspec
import pytest

from pipeline.report.page import render_page, static_text
from pipeline.report.standing import report_identity, report_urls
from pipeline.serve import corpus, handlers
from schemas.rows import Failure, ImageRef, Locator
from schemas.shards import sample_key
from tests.report.made_reports import empty_report
from tests.served import (
    HTML,
    JPEG,
    OTHER_JPEG,
    SVG,
    Answer,
    Served,
    build_with_packs,
    image,
    key_of,
    query_processes,
    serve,
)
from tests.small_output import EVIL, Output
from transforms import storage
from transforms.sink import PartSink

CAPTIONED, DOCUMENT = sample_key("captioned", 1), sample_key("interleaved", 2)
ENDLESS = "WITH RECURSIVE a(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM a) SELECT count(*) FROM a"


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Output:
    """An output that no test changes."""
    return build_with_packs(str(tmp_path_factory.mktemp("served") / "out"))


@pytest.fixture(scope="module")
def server(output: Output) -> Iterator[Served]:
    with serve(output.url, seconds=2.0) as found:
        yield found


@pytest.fixture(params=["local", "memory", "cached"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    """A server over an output in a folder, in memory, and in a store of other protocol."""
    url = str(tmp_path / "out")
    if request.param == "memory":
        url = f"memory://{tmp_path.name}/out"
    build_with_packs(url)
    if request.param == "cached":
        url = f"simplecache::file://{url}"
    with serve(url) as found:
        yield found
    if request.param == "memory":
        fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)


# --- what it shows


def test_image_is_served_as_received(anywhere: Served) -> None:
    for data in (JPEG, OTHER_JPEG):
        answer = anywhere.ask(f"/image/{key_of(data)}")
        assert (answer.status, answer.body) == (200, data)
        assert answer.headers["content-type"] == "image/jpeg"
        name = f'inline; filename="{key_of(data)}.jpeg"'
        assert answer.headers["content-disposition"] == name
        assert "sandbox" in answer.headers["content-security-policy"]


def test_members_of_samples_are_served_as_they_are(anywhere: Served) -> None:
    facts = anywhere.ask(f"/api/sample/{DOCUMENT}").json
    assert [node["kind"] for node in facts["nodes"]] == ["text", "image", "image", "image"]
    for stream, key in (("captioned", CAPTIONED), ("interleaved", DOCUMENT)):
        facts = anywhere.ask(f"/api/sample/{key}").json
        assert (facts["stream"], facts["key"]) == (stream, key)
        for member in facts["members"]:
            answer = anywhere.ask(f"/shard/{stream}/{key}/{member['suffix']}")
            assert (answer.status, len(answer.body)) == (200, member["bytes"])
            kind = {"json": "application/json; charset=utf-8", "txt": "text/plain; charset=utf-8"}
            wanted = kind.get(member["suffix"], "image/jpeg")
            assert answer.headers["content-type"] == wanted
    assert anywhere.ask(f"/shard/captioned/{CAPTIONED}/txt").body == b"x" * 10


def test_report_is_made_where_there_is_none_and_nothing_is_written(anywhere: Served) -> None:
    fs, path = fsspec.core.url_to_fs(anywhere.output)
    before = sorted(fs.find(path))
    with serve(f"{anywhere.output}/shards") as found:
        answer = found.ask("/")
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        page = answer.body.decode()
        assert '<a href="/query">Query the tables</a>' in page
        assert static_text("report.js") in page
        assert found.said[0] == "report: numbers"
        said = len(found.said)
        assert found.ask("/").body == answer.body
        assert len(found.said) == said
        assert found.ask(f"/shard/captioned/{CAPTIONED}/txt").body == b"x" * 10
    assert sorted(fs.find(path)) == before


def test_tables_are_told_with_their_columns(anywhere: Served) -> None:
    tables = {table["name"]: table for table in anywhere.ask("/api/tables").json["tables"]}
    assert {"name": "text", "type": "VARCHAR"} in tables["captions"]["columns"]
    assert tables["captions"]["files"] == 2
    assert tables["captions"]["bytes"] > 0
    assert tables["captions"]["meaning"]
    assert tables["edges"]["files"] == 0
    assert tables["index_captioned"]["files"] == 1
    assert {"name": "shard", "type": "VARCHAR"} in tables["index_captioned"]["columns"]


def test_query_is_answered_over_a_store(tmp_path: Path) -> None:
    build_with_packs(str(tmp_path / "out"))
    with serve(f"simplecache::file://{tmp_path}/out") as found:
        assert found.sql("SELECT count(*) AS n FROM samples").json["rows"] == [[7]]


def test_page_of_queries_is_one_file_that_runs_nothing_else(server: Served) -> None:
    answer = server.ask("/query")
    page = answer.body.decode()
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "'unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    for name in ("query.js", "query.css"):
        assert static_text(name, "pipeline.serve") in page
    assert server.output in page
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", page)


def test_html_in_the_name_of_an_output_is_text(tmp_path: Path) -> None:
    out = build_with_packs(str(tmp_path / "<b>@script@ & out"))
    with serve(out.url) as found:
        page = found.ask("/query").body.decode()
    assert "/&lt;b&gt;@script@ &amp; out</bdi>" in page


# --- queries


def test_query_gives_rows_as_values(server: Served) -> None:
    answer = server.sql(
        "SELECT key, 1.5 AS x, NULL AS x, [1, 2] AS l, 'ü' AS t, 9007199254740993 AS big "
        "FROM index_captioned ORDER BY key LIMIT 1"
    )
    found = answer.json
    assert answer.headers["content-type"] == "application/json"
    assert found["columns"] == ["key", "x", "x_2", "l", "t", "big"]
    assert found["rows"][0][1:] == [1.5, None, [1, 2], "ü", 9007199254740993]
    assert (found["count"], found["truncated"], found["counted"]) == (1, False, True)
    assert found["seconds"] >= 0


@pytest.mark.parametrize(
    "query",
    ["FROM ledger", "DESCRIBE samples", "SUMMARIZE ledger", "SHOW TABLES", "VALUES (1)",
     "WITH a AS (SELECT 1) FROM a", "EXPLAIN SELECT 1", "SELECT 1;", "-- why\nSELECT 1"],
)  # fmt: skip
def test_query_that_reads_is_answered(server: Served, query: str) -> None:
    answer = server.sql(query)
    assert answer.status == 200, answer.body
    assert answer.json["count"] > 0


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(1000, (1000, False, True, 1000)), (1001, (1001, True, True, 1000)),
     (100_000, (100_000, True, True, 1000)), (100_001, (100_000, True, False, 1000))],
    ids=["limit", "one more", "counted", "not counted"],
)  # fmt: skip
def test_rows_are_limited_and_counted(
    server: Served, rows: int, expected: tuple[int, bool, bool, int]
) -> None:
    found = server.sql(f"FROM range({rows})").json
    told = (found["count"], found["truncated"], found["counted"], len(found["rows"]))
    assert told == expected


def test_large_rows_are_left_out(server: Served) -> None:
    found = server.sql("SELECT repeat('x', 3000000) FROM range(5)").json
    assert (len(found["rows"]), found["count"], found["truncated"]) == (2, 5, True)
    answer = server.sql("SELECT repeat('x', 9000000)")
    assert (answer.status, "a row is above 8 MiB" in answer.json["error"]) == (400, True)


REFUSED = {
    "copy": "COPY samples TO '{folder}/stolen.csv'",
    "copy a query": "COPY (SELECT 1) TO '{folder}/stolen.parquet' (FORMAT parquet)",
    "copy to a table": "COPY (SELECT 1) TO 'weft://tables/x.parquet'",
    "read_csv": "SELECT * FROM read_csv('/etc/passwd')",
    "read_text": "SELECT * FROM read_text('/etc/passwd')",
    "read_blob": "SELECT * FROM read_blob('{folder}/out/run.json')",
    "read_parquet of a stale file": "SELECT * FROM read_parquet('weft://tables/samples/x.parquet')",
    "above the tables": "SELECT * FROM read_text('weft://../../../etc/passwd')",
    "a file as a table": "SELECT * FROM '/etc/passwd'",
    "glob": "SELECT * FROM glob('/*')",
    "sniff": "SELECT * FROM sniff_csv('/etc/passwd')",
    "http": "SELECT * FROM read_text('http://127.0.0.1:1/x')",
    "attach": "ATTACH '{folder}/stolen.db'",
    "install": "INSTALL httpfs",
    "load": "LOAD httpfs",
    "set": "SET enable_external_access = true",
    "pragma": "PRAGMA enable_profiling",
    "logging": "SELECT * FROM enable_logging(storage = 'file', storage_path = '{folder}/stolen')",
    "export": "EXPORT DATABASE '{folder}/stolen'",
    "create": "CREATE TABLE t (i INTEGER)",
    "create for the session": "CREATE TEMP TABLE t (i INTEGER)",
    "replace a view": "CREATE OR REPLACE VIEW samples AS SELECT 1",
    "drop": "DROP VIEW samples",
    "insert": "INSERT INTO edges SELECT * FROM edges",
    "explained": "EXPLAIN ANALYZE CREATE OR REPLACE VIEW samples AS SELECT 1",
    "commit": "COMMIT",
    "call": "CALL enable_logging()",
    "two": "SELECT 1; DROP VIEW samples",
    "none": "",
    "comment": "-- nothing",
    "syntax": "selec <b>1</b>",
    "parameter": "SELECT ?",
    "NUL": "SELECT 1 \x00; DROP VIEW samples",
    "memory": "SELECT list_sum(range(20000000000))",
}


@pytest.mark.parametrize("query", REFUSED.values(), ids=REFUSED.keys())
def test_query_that_does_more_than_read_tables_is_refused(
    server: Served, tmp_path: Path, query: str
) -> None:
    answer = server.sql(query.format(folder=tmp_path))
    assert answer.status == 400, answer.body
    assert answer.json["error"]
    assert "root:" not in answer.body.decode()
    assert list(tmp_path.iterdir()) == []
    assert server.sql("SELECT count(*) FROM samples").json["rows"] == [[7]]


@pytest.mark.parametrize("path", ["/api/sql", "/api/sql?q=SELECT+1&q=SELECT+2", "/api/sql?p=1"])
def test_request_without_one_query_is_refused(server: Served, path: str) -> None:
    assert server.ask(path).status == 400


def test_query_is_as_long_as_it_may_be(server: Served) -> None:
    comment = "ü" * (handlers.MAX_QUERY - len("SELECT 1 --"))
    assert server.sql(f"SELECT 1 --{comment}").json["rows"] == [[1]]
    answer = server.sql(f"SELECT 1 --{comment}ü")
    assert (answer.status, "20000 characters" in answer.json["error"]) == (400, True)


def test_long_query_is_stopped(server: Served) -> None:
    begin = time.monotonic()
    answer = server.sql(ENDLESS)
    assert answer.status == 400
    assert answer.json["error"] == "the query was stopped: it took longer than 2 s"
    assert time.monotonic() - begin > 2
    assert server.sql("SELECT 1").json["rows"] == [[1]]


def test_query_of_one_who_has_gone_is_ended(output: Output) -> None:
    others = query_processes()
    with serve(output.url) as found:
        assert found.sql("SELECT 1").status == 200
        (worker,) = query_processes() - others
        connection = found.connect()
        connection.request("GET", f"/api/sql?q={quote(ENDLESS)}")
        while worker.cpu_percent(0.1) < 10:
            pass
        connection.close()
        worker.wait(20)
        assert found.sql("SELECT 1").status == 200


def test_process_that_dies_costs_its_query_only(output: Output) -> None:
    others = query_processes()
    with serve(output.url) as found:
        assert found.sql("SELECT 1").status == 200
        (worker,) = query_processes() - others
        worker.kill()
        worker.wait(20)
        assert found.sql("SELECT 2").json["rows"] == [[2]]
    assert query_processes() == others


def test_corrupt_table_is_told_by_a_query(tmp_path: Path) -> None:
    out = build_with_packs(str(tmp_path / "out"))
    with serve(out.url) as found:
        assert found.sql("SELECT 1").status == 200
        (table,) = (tmp_path / "out/tables/image_answers").iterdir()
        table.write_bytes(b"junk" * 100)
        answer = found.sql("SELECT * FROM image_answers")
        assert answer.status == 500
        assert table.name in answer.json["error"]
        assert found.ask(f"/image/{key_of(JPEG)}").status == 500
        assert found.sql("SELECT count(*) FROM samples").json["rows"] == [[7]]


def test_run_that_ends_meanwhile_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "LOOK_SECONDS", 0.0)
    out = build_with_packs(str(tmp_path / "out"))

    def files(found: Served) -> int:
        tables: list[dict[str, Any]] = found.ask("/api/tables").json["tables"]
        return next(table["files"] for table in tables if table["name"] == "image_refs")

    with serve(out.url) as found:
        assert found.sql("SELECT count(*) FROM failures").json["rows"] == [[1]]
        assert files(found) == 0

        def dedup(sink: PartSink) -> None:
            sink.write_row("failures", Failure("dedup", "captions", "c", "RecordError", "late"))
            sink.write_row("image_refs", ImageRef("u", 1, 1))

        out.part("dedup", "edges", dedup)
        out.finish()
        assert found.sql("SELECT count(*) FROM failures").json["rows"] == [[2]]
        assert files(found) == 1


# --- what strangers wrote


def test_html_of_the_crawl_arrives_as_text(server: Served) -> None:
    answer = server.sql("SELECT text FROM captions WHERE caption_id IN ('c0', 'c9') ORDER BY 1")
    assert sorted(answer.json["rows"]) == sorted([[HTML], [EVIL]])
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    error = server.sql(f"SELECT '{HTML}'::INTEGER")
    assert HTML in error.json["error"]
    assert error.headers["content-type"].startswith("application/json")


def test_svg_is_a_file_to_save(server: Served) -> None:
    answer = server.ask(f"/image/{key_of(SVG)}")
    assert (answer.status, answer.body) == (200, SVG)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment;")


def test_place_that_nobody_vouches_for_is_not_read(tmp_path: Path) -> None:
    out = build_with_packs(str(tmp_path / "out"))
    secret = b"\xff\xd8\xff secret"
    (tmp_path / "secret.tar").write_bytes(secret)
    places = {
        b"1": Locator("../../secret.tar", 0, len(secret)),
        b"2": Locator(f"{'0' * 32}.tar", 0, 5),
        b"3": Locator(str(tmp_path / "secret.tar"), 0, len(secret)),
    }

    def fetch(sink: PartSink) -> None:
        for data, place in places.items():
            sink.seen("image_answers")
            sink.keep("image_answers", image("u", data, place))

    out.part("fetch", "evil", fetch)
    out.finish()
    with serve(out.url) as found:
        for data in places:
            answer = found.ask(f"/image/{key_of(data)}")
            assert (answer.status, b"secret" in answer.body) == (404, False)


def test_bytes_that_are_another_image_are_not_given(tmp_path: Path) -> None:
    out = build_with_packs(str(tmp_path / "out"))
    (pack,) = (tmp_path / "out/packs").iterdir()
    sound = pack.read_bytes()
    pack.write_bytes(sound.replace(JPEG, JPEG[:-1] + b"\0"))
    with serve(out.url) as found:
        answer = found.ask(f"/image/{key_of(JPEG)}")
        assert (answer.status, b"another image" in answer.body) == (500, True)
        assert found.ask(f"/image/{key_of(OTHER_JPEG)}").body == OTHER_JPEG
        pack.unlink()
        assert found.ask(f"/image/{key_of(OTHER_JPEG)}").status == 500
        pack.write_bytes(sound)
        assert found.ask(f"/image/{key_of(JPEG)}").body == JPEG


def test_shard_that_holds_something_else_is_not_given(tmp_path: Path) -> None:
    out = build_with_packs(str(tmp_path / "out"))
    shard = tmp_path / "out/shards/captioned/train-000000.tar"
    shard.write_bytes(b"root:x:0:0\n" * 10_000)
    with serve(out.url) as found:
        for path in (f"/shard/captioned/{CAPTIONED}/jpg", f"/api/sample/{CAPTIONED}"):
            answer = found.ask(path)
            assert (answer.status, b"root:" in answer.body) == (500, False)


# --- requests that it refuses


ESCAPES = [
    "/../run.json", "/..%2frun.json", "/%2e%2e/run.json", "/..%252frun.json", "/..\\run.json",
    "//etc/passwd", "/etc/passwd", "/file:///etc/passwd", "/run.json", "/report/report.json",
    "/image/../../../../etc/passwd", "/image/..%2f..%2frun.json", "/image/%2e%2e%2frun.json",
    "/image/%00", f"/image/{'0' * 31}%00", f"/image/{'0' * 32}%00", f"/image/{'0' * 32}%0a",
    f"/image/{'0' * 31}%EF%BC%90",
    f"/image/{'A' * 32}", f"/image/{'0' * 32}/", f"/image/{'0' * 33}", "/image/", "/image/*",
    f"/image/{'0' * 32}",
    "/shard/captioned/..%2f..%2f..%2frun.json/json", "/shard/../captioned/index.parquet",
    "/shard/captioned/index.parquet", f"/shard/etc/{CAPTIONED}/json",
    f"/shard/captioned/{CAPTIONED}/..%2fjson", f"/shard/captioned/{CAPTIONED}/json%00",
    f"/shard/captioned/{CAPTIONED}/png", f"/shard/captioned/{DOCUMENT}/json",
    f"/shard/captioned/{'0' * 32}/json", f"/shard/captioned%2f..%2finterleaved/{DOCUMENT}/json",
    f"/api/sample/{CAPTIONED[:7]}", f"/api/sample/{'0' * 32}", "/api/sample/%27%20OR%201=1--",
    "/api/sample/..", "/api/sqlx", "/query/", "/static/query.js", "/favicon.ico",
]  # fmt: skip


@pytest.mark.parametrize("path", ESCAPES)
def test_path_of_nothing_is_not_found(server: Served, path: str) -> None:
    answer = server.ask(path)
    assert answer.status in (400, 404), answer.body
    assert b"root:" not in answer.body
    assert b"recipe" not in answer.body


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1", 200), ("localhost:1", 200), ("LOCALHOST", 200), ("[::1]:80", 200),
     ("evil.example", 421), ("evil.example:8765", 421), ("127.0.0.1.evil.example", 421),
     ("localhost.evil.example", 421), ("192.0.2.1", 421), ("0.0.0.0", 421), ("", 421),
     ("localhost@evil.example", 421), ("localhost evil", 421)],
)  # fmt: skip
def test_host_of_another_name_is_refused(server: Served, host: str, status: int) -> None:
    for path in ("/query", "/nothing"):
        answer = server.ask(path, Host=host)
        assert answer.status == (404 if status == 200 and path == "/nothing" else status)


def test_request_without_host_is_refused(server: Served) -> None:
    connection = server.connect()
    connection.putrequest("GET", "/query", skip_host=True)
    connection.endheaders()
    assert connection.getresponse().status == 400
    connection.close()


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"]
)
@pytest.mark.parametrize("path", ["/", "/api/sql?q=SELECT+1", "/nothing"])
def test_method_that_does_not_read_is_refused(server: Served, method: str, path: str) -> None:
    answer = server.ask(path, method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET,HEAD")


def test_head_is_answered_without_a_body(server: Served) -> None:
    answer = server.ask(f"/image/{key_of(JPEG)}", "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-length"] == str(len(JPEG))


@pytest.mark.parametrize(
    ("path", "site", "mode", "status"),
    [("/api/tables", "cross-site", "no-cors", 403), ("/api/tables", "same-site", "cors", 403),
     ("/api/tables", "cross-site", "navigate", 403), ("/api/tables", "same-origin", "cors", 200),
     ("/api/tables", "none", "navigate", 200), ("/query", "cross-site", "navigate", 200),
     ("/query", "cross-site", "no-cors", 403)],
)  # fmt: skip
def test_page_of_another_site_can_ask_for_nothing(
    server: Served, path: str, site: str, mode: str, status: int
) -> None:
    answer = server.ask(path, Sec_Fetch_Site=site, Sec_Fetch_Mode=mode)
    assert answer.status == status


def test_every_answer_says_what_a_browser_may_do(server: Served) -> None:
    answers: list[Answer] = [
        server.ask(path)
        for path in ("/query", "/", "/api/tables", "/api/sql?q=x", "/nothing", "/image/1",
                     f"/image/{key_of(JPEG)}", f"/shard/captioned/{CAPTIONED}/json")
    ]  # fmt: skip
    answers += [server.ask("/", "POST"), server.ask("/", Host="evil.example")]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["server"] == "Weft"
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_report_that_stands_is_shown_as_long_as_it_is_of_the_last_run(tmp_path: Path) -> None:
    out = build_with_packs(str(tmp_path / "out"))
    facts = empty_report() | {"title": "quokka <disk>", "made_of": report_identity(out.url)}
    page_url, facts_url = report_urls(out.url)
    storage.write_bytes(page_url, render_page(facts).encode())
    storage.write_bytes(facts_url, json.dumps(facts).encode())
    with serve(out.url) as found:
        page = found.ask("/").body.decode()
        link = '<p class="links wide"><a href="/query">Query the tables</a></p>\n'
        assert page.replace(link, "") == render_page(facts)
        assert found.said == []
        out.edit_run(lambda record: record["stages"]["shard"].update(status="failed"))
        assert b"quokka" not in found.ask("/").body
        assert found.said[0] == "report: numbers"
