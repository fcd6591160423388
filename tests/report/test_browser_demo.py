"""The report of a real run in a browser: what the explorer shows is what DuckDB counts."""

from typing import Any

import pytest

from tests.report.browser import open_page, said_by_console, wait_for_frames
from tests.report.reported import Reported
from tests.report.test_browser_explorer import RIGHT, choose_gate, handle, shown_counts

GATE = "gates.shard.interleaved.image"
WHERE = (
    "FROM {candidates_nodes} JOIN (SELECT id, language FROM {candidates_documents}) USING (id) "
    "WHERE kind = 'image' AND least(width, height) >= ? AND (id, node) NOT IN ("
    "SELECT (id, node) FROM {ledger} WHERE gate = 'shard.interleaved' AND kind = 'image' "
    "AND rule <> 'min_side')"
)


@pytest.fixture
def demo(browser: Any, reported: Reported) -> Any:
    open_page(browser, reported.output / "report" / "index.html")
    return browser


def test_the_report_of_the_demo_opens_without_a_word(demo: Any, reported: Reported) -> None:
    assert said_by_console(demo) == []
    shown = demo.find_element("css selector", "body").text
    for stream in ("captioned", "interleaved", "text"):
        assert f"{reported.facts['streams'][stream]['samples']:,}" in shown
    images = demo.find_elements("css selector", "img")
    assert len(images) > 20
    assert all((image.get_attribute("alt") or "").strip() for image in images)


def test_a_threshold_that_is_dragged_shows_what_duckdb_counts(
    demo: Any, reported: Reported
) -> None:
    explorer = choose_gate(demo, reported.facts, GATE)
    (rule,) = (rule for rule in explorer["rules"] if rule["name"] == "min_side")
    seen = set()
    for _ in range(4):
        handle(demo, rule["path"], "lower").send_keys(RIGHT)
        wait_for_frames(demo)
        at = int(handle(demo, rule["path"], "lower").get_attribute("aria-valuenow"))
        value, side = rule["cuts"][at - 1]
        assert side == 0
        kept, languages = shown_counts(demo)
        ((counted,),) = reported.rows(f"SELECT count(*) {WHERE}", value)
        assert kept == counted
        seen.add(kept)
        by_language = dict(
            reported.rows(f"SELECT language, count(*) {WHERE} GROUP BY language", value)
        )
        assert languages["en"] == by_language["en"]
    assert len(seen) > 1
