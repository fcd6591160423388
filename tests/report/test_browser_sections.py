"""What sections of the page say, beside what the report has."""

from pathlib import Path
from typing import Any

import pytest

from tests.report.browser import open_page, wait_for_frames
from tests.report.made_gates import Json


def percent(share: float) -> str:
    """As the page shows a share of some size."""
    return "0 %" if share == 0 else f"{100 * share:.{2 if share < 0.01 else 1}f} %"


@pytest.fixture(scope="module")
def opened(browser: Any, page: Path) -> Any:
    """The page, opened once: these tests look and change nothing that another looks at."""
    open_page(browser, page)
    return browser


def texts(browser: Any, selector: str) -> list[str]:
    """Texts of elements, shown or not."""
    found: list[str] = browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map((node) => node.textContent)",
        selector,
    )
    return found


def open_details(browser: Any, section: str) -> None:
    browser.execute_script(
        "document.querySelectorAll(`#${arguments[0]} details`).forEach((d) => { d.open = true; })",
        section,
    )
    wait_for_frames(browser)


def test_overview_tells_problems_sample_and_tokens(opened: Any) -> None:
    shown = opened.find_element("id", "overview").text
    assert "text: the manifest lists 10 samples, the index <i>9</i>" in shown
    assert "3,000,000 rows of 16 of 64 parts" in shown
    assert "4 characters a token, 144 tokens an image" in shown
    assert texts(opened, ".tile .figure")[:3] == ["620,000", "250,000", "130,000"]


def test_table_of_a_funnel_names_every_toll(opened: Any, report: Json) -> None:
    (figure,) = [
        node
        for node in opened.find_elements("css selector", "#funnel figure")
        if node.find_element("css selector", ".title").text == "Text"
    ]
    assert "5 more" in figure.find_element("css selector", "svg").get_attribute("textContent")
    opened.execute_script("arguments[0].querySelector('[aria-controls]').click()", figure)
    cells = opened.execute_script(
        """return [...arguments[0].querySelectorAll('tbody tr')].map(
          (row) => [...row.querySelectorAll('td')].slice(3, 5).map((cell) => cell.textContent));""",
        figure,
    )
    (funnel,) = [funnel for funnel in report["funnels"] if funnel["title"] == "Text"]
    tolls = [toll for step in funnel["steps"] for toll in step["tolls"] if toll["rows"]]
    named = sorted(cell for cell in cells if cell[0])
    assert named == sorted([toll["name"], f"{toll['rows']:,}"] for toll in tolls)


def test_thresholds_are_drawn_where_they_stand(opened: Any, report: Json) -> None:
    number, rule = next(
        (i, rule) for i, rule in enumerate(report["rules"]) if rule["name"] == "min_side"
    )
    figure = opened.find_element(
        "css selector", f"#distributions figure:has([href='#rule-{number}'])"
    )
    place = "return arguments[0].getBoundingClientRect()"
    (limit,) = figure.find_elements("css selector", ".limit")
    assert limit.text == "min 200"
    line = opened.execute_script(place, limit.find_element("css selector", "line"))
    bars = figure.find_elements("css selector", ".bars > g")
    counts = rule["histogram"]
    sides = {"left": [0, 0], "right": [0, 0]}
    for bar, rows, failed in zip(bars, counts["rows"], counts["failed"], strict=True):
        box = opened.execute_script(place, bar.find_element("css selector", ".hit"))
        side = "left" if (box["left"] + box["right"]) / 2 < line["left"] else "right"
        sides[side][0] += failed
        sides[side][1] += rows - failed
    assert sides == {"left": [rule["failed"], 0], "right": [0, rule["rows"] - rule["failed"]]}


def test_examples_stand_in_the_order_of_the_report(opened: Any, report: Json) -> None:
    open_details(opened, "rules")
    for column, side in enumerate(("kept", "dropped"), 1):
        cards = texts(opened, f"#rule-0 .columns > div:nth-child({column}) .badge.value")
        values = [one["value_text"] or "no value" for one in report["rules"][0]["examples"][side]]
        assert cards == values
    fates = " ".join(texts(opened, "#rule-0 .card .from"))
    assert "also fails aspect, words" in fates
    assert "lost later to alignment" in fates


def test_chosen_caption_is_marked_and_scores_shown(opened: Any, report: Json) -> None:
    chosen = texts(opened, "#captions .is-chosen .text > span")
    captions = [one for image in report["galleries"]["captions"] for one in image["captions"]]
    assert chosen == [one["text"] for one in captions if one["chosen"]]
    scores = sum(len(one["scores"]) for one in captions)
    assert len(texts(opened, "#captions .scores dd")) == scores > 0


def test_dropped_nodes_are_struck_out_with_their_rule(opened: Any, report: Json) -> None:
    open_details(opened, "documents")
    documents = report["galleries"]["documents"]
    dropped = [node for page in documents for node in page["nodes"] if not node["kept"]]
    struck = texts(opened, "#documents .struck")
    assert len(struck) == len(dropped) > 0
    for text, node in zip(struck, dropped, strict=True):
        assert f"dropped by {node['rule'].rsplit('.', 1)[1]}: {node['value']}" in text
    words = [node["text"] for node in dropped if node["text"]]
    assert all(any(word in text for text in texts(opened, "#documents s")) for word in words)
    kept = texts(opened, "#documents .item:not(.struck)")
    assert len(kept) == sum(len(page["nodes"]) for page in documents) - len(dropped)


def test_survivor_of_a_cluster_is_marked(opened: Any, report: Json) -> None:
    clusters = report["galleries"]["clusters"]
    members = [member for cluster in clusters for member in cluster["members"]]
    marked = texts(opened, "#duplicates .card .badge:first-child")
    assert marked == ["★ survives" if one["survives"] else "removed" for one in members]
    assert "38 members more." in texts(opened, "#duplicates .cluster .note")


@pytest.mark.parametrize("number", [0, 1, 2], ids=["language", "script", "orientation"])
def test_slices_show_rates_and_flags(opened: Any, report: Json, number: int) -> None:
    gate = report["slices"][0]
    dimension = gate["dimensions"][number]
    box = opened.find_element("css selector", "#slices .slice")
    buttons = box.find_elements("css selector", ".choice button")
    shown = [one["name"] for one in gate["dimensions"] if one["values"]]
    assert [button.text for button in buttons] == shown
    opened.execute_script("arguments[0].click()", buttons[number])
    table = box.find_elements("css selector", "table")[-1]
    rows = [
        [cell.text for cell in row.find_elements("css selector", "th, td")]
        for row in table.find_elements("css selector", "tbody tr")
    ]
    flags = {
        (flag["value"], flag["rule"])
        for flag in gate["flags"]
        if flag["dimension"] == dimension["name"]
    }
    expected = [
        [
            one["value"],
            f"{one['rows']:,}",
            percent(one["kept"] / one["rows"]),
            *(
                ("▲ " if (one["value"], rule) in flags else "") + percent(failed / one["rows"])
                for rule, failed in zip(gate["rules"], one["failed"], strict=True)
            ),
        ]
        for one in dimension["values"]
    ]
    assert rows[1:] == expected
    assert rows[0][3:] == [percent(failed / gate["rows"]) for failed in gate["failed"]]


def test_counts_of_all_tables_are_told(opened: Any) -> None:
    open_details(opened, "time")
    (row, _) = texts(opened, "#time details tbody tr")
    assert "<u>status</u> 100,000, TruncatedRecordError 50,000, length 30,000, 2 more" in row
