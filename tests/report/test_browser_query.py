"""The page of queries in a browser: what strangers wrote is text, pictures are there, keys work."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.report.browser import colours, resize, said_by_console, wait_for, wait_for_frames
from tests.served import HTML, JPEG, OTHER_JPEG, Served, build_with_packs, key_of, serve

CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")
CONTROL, ENTER, NULL = "\ue009", "\ue007", "\ue000"
PICTURES = "SELECT image_key, size FROM image_answers ORDER BY size"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    out = build_with_packs(str(tmp_path_factory.mktemp("served") / "out"))
    with serve(out.url) as found:
        yield found


def open_query(browser: Any, server: Served, sql: str | None = None, width: int = 1280) -> None:
    """Open the page of queries and wait for its answer."""
    resize(browser, width)
    browser.get("about:blank")
    said_by_console(browser)
    fragment = "" if sql is None else f"#sql={quote(sql)}"
    browser.get(f"http://localhost:{server.port}/query{fragment}")
    wait_for(browser, "document.documentElement.dataset.drawn === 'all'")
    if sql is not None:
        wait_for_answers(browser, 1)


def wait_for_answers(browser: Any, number: int) -> None:
    wait_for(browser, f"document.documentElement.dataset.answered === '{number}'", 60)
    wait_for_frames(browser)


def text_of(browser: Any, selector: str) -> str:
    found: str = browser.find_element("css selector", selector).get_property("textContent")
    return found


def test_html_of_a_caption_is_shown_as_text(browser: Any, server: Served) -> None:
    open_query(browser, server, "SELECT text FROM captions WHERE caption_id = 'c9'")
    assert text_of(browser, "#result tbody") == HTML
    assert browser.find_elements("css selector", "#result img, #result script") == []
    assert text_of(browser, "#status").startswith("1 row, ")
    open_query(browser, server, f"SELECT 1 AS \"{HTML}\", '{HTML}' AS a, ['{HTML}'] AS b")
    assert browser.find_elements("css selector", "#result img, #result script") == []
    assert text_of(browser, "#result thead").startswith(HTML)
    assert said_by_console(browser) == []


def test_error_is_shown_as_text(browser: Any, server: Served) -> None:
    open_query(browser, server, f"SELECT '{HTML}'::INTEGER")
    assert HTML in text_of(browser, "#result [role=alert]")
    assert browser.find_elements("css selector", "#result img, #result script") == []


def test_image_keys_are_pictures_that_lead_to_the_image(browser: Any, server: Served) -> None:
    open_query(browser, server, PICTURES)
    wait_for(
        browser,
        "[...document.querySelectorAll('#result .thumbnail img')].filter((image) => "
        "image.complete && image.naturalWidth).length === 2",
    )
    shown = browser.execute_script(
        "return [...document.querySelectorAll('#result .thumbnail')].map((link) => "
        "[new URL(link.href).pathname, link.querySelector('img')?.naturalWidth ?? null]);"
    )
    wanted = {f"/image/{key_of(JPEG)}": 20, f"/image/{key_of(OTHER_JPEG)}": 31}
    # The third is SVG: a file to save, and no picture.
    assert {path: width for path, width in shown if width is not None} == wanted
    assert len(shown) == 3
    browser.find_element("css selector", "#pictures").click()
    image = browser.find_element("css selector", "#result .thumbnail img")
    assert not image.is_displayed()


def test_first_rows_are_shown_and_the_others_on_request(browser: Any, server: Served) -> None:
    open_query(browser, server, "SELECT range AS n FROM range(1234)")
    rows = "return document.querySelectorAll('#result tbody tr').length"
    assert browser.execute_script(rows) == 100
    assert text_of(browser, "#status").startswith("the first 1,000 of 1,234 rows, ")
    browser.find_element("css selector", "#result button.more").click()
    assert browser.execute_script(rows) == 1000


def test_large_number_is_exact(browser: Any, server: Served) -> None:
    open_query(browser, server, "SELECT 9007199254740993 AS n, [9007199254740993] AS l, NULL AS x")
    assert text_of(browser, "#result tbody") == "9007199254740993" + '["9007199254740993"]' + "null"


def test_keys_run_a_query_and_the_address_keeps_it(browser: Any, server: Served) -> None:
    open_query(browser, server)
    box = browser.find_element("css selector", "#sql")
    box.send_keys("SELECT 'ä&b#c' AS one", CONTROL, ENTER, NULL)
    wait_for_answers(browser, 1)
    assert text_of(browser, "#result tbody") == "ä&b#c"
    first = browser.execute_script("return location.hash")
    assert first == "#sql=" + quote("SELECT 'ä&b#c' AS one", safe="'")
    box.clear()
    box.send_keys("SELECT 2 AS two")
    browser.find_element("css selector", "#run").send_keys(ENTER)
    wait_for_answers(browser, 2)
    assert text_of(browser, "#result tbody") == "2"
    browser.back()
    wait_for_answers(browser, 3)
    assert text_of(browser, "#result tbody") == "ä&b#c"
    assert box.get_property("value") == "SELECT 'ä&b#c' AS one"


def test_query_can_be_stopped(browser: Any, server: Served) -> None:
    open_query(browser, server)
    endless = "WITH RECURSIVE a(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM a) FROM a"
    browser.find_element("css selector", "#sql").send_keys(endless, CONTROL, ENTER, NULL)
    stop = browser.find_element("css selector", "#stop")
    wait_for(browser, "!document.getElementById('stop').hidden")
    stop.click()
    wait_for_answers(browser, 1)
    assert text_of(browser, "#status") == "stopped"
    assert not stop.is_displayed()


def test_examples_and_tables_are_queries(browser: Any, server: Served) -> None:
    open_query(browser, server)
    buttons = browser.find_elements("css selector", "#examples button")
    assert len(buttons) >= 4
    for number, button in enumerate(buttons, 1):
        button.click()
        wait_for_answers(browser, number)
        assert browser.find_elements("css selector", "#result [role=alert]") == [], button.text
    browser.execute_script(
        "document.querySelectorAll('details').forEach((n) => { n.open = true; })"
    )
    (look,) = browser.find_elements(
        "xpath", "//details[summary/code[text()='failures']]//button[text()='Look at it']"
    )
    look.click()
    wait_for_answers(browser, len(buttons) + 1)
    assert text_of(browser, "#status").startswith("1 row, ")
    assert said_by_console(browser) == []


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("sql", [PICTURES, "SELECT repeat('x', 3000) AS x", "selec"])
def test_page_fits_and_can_be_read(
    browser: Any, server: Served, sql: str, scheme: str, width: int
) -> None:
    colours(browser, scheme)
    open_query(browser, server, sql, width)
    browser.execute_script(
        "document.querySelectorAll('details').forEach((n) => { n.open = true; })"
    )
    wait_for_frames(browser)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script(CONTRAST) == []


def test_report_leads_to_the_queries_and_back(browser: Any, tmp_path: Path) -> None:
    out = build_with_packs(str(tmp_path / "out"))
    resize(browser, 1280)
    said_by_console(browser)
    with serve(f"{out.url}/shards") as found:
        browser.get(f"http://localhost:{found.port}/")
        wait_for(browser, "document.documentElement.dataset.drawn === 'all'", 60)
        browser.find_element("css selector", ".links a").click()
        wait_for(browser, "document.title === 'Query the tables'")
        browser.find_element("css selector", ".links a").click()
        wait_for(browser, "document.documentElement.dataset.drawn === 'all'", 60)
        assert said_by_console(browser) == []
