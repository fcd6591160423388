"""The page in a browser: all is drawn, can be reached and read, and no text of a stranger runs."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.report.page import render_page
from tests.report.browser import colours, open_page, resize, said_by_console, wait_for_frames
from tests.report.made_galleries import HOSTILE
from tests.report.made_reports import bare_report, zero_report

TAB = "\ue004"
ENTER = "\ue007"
SECTIONS = [
    "overview", "funnel", "distributions", "domains", "explorer", "rules", "captions", "documents",
    "duplicates", "slices", "fetch", "recaption", "time",
]  # fmt: skip

# Opens all that opens, so that everything of the page is there.
OPEN_ALL = "document.querySelectorAll('details').forEach((node) => { node.open = true; });"

CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")


def open_everything(browser: Any) -> None:
    browser.execute_script(OPEN_ALL)
    wait_for_frames(browser)
    wait_for_frames(browser)


def test_every_chart_is_drawn_without_a_word_on_the_console(
    browser: Any, page: Path, report: dict[str, Any]
) -> None:
    open_page(browser, page)
    assert [
        node.get_attribute("id") for node in browser.find_elements("css selector", "main > section")
    ] == SECTIONS
    open_everything(browser)
    drawn = browser.execute_script(
        """return [...document.querySelectorAll('figure[data-chart]')].map((node) => {
          const svg = node.querySelector('svg');
          return [node.dataset.chart, svg ? svg.querySelectorAll('rect, path').length : 0,
                  svg ? svg.getBoundingClientRect().width : 0];
        });"""
    )
    empty = [chart for chart in drawn if chart[1] == 0 or chart[2] < 40]
    assert empty == []
    kinds = [kind for kind, _, _ in drawn]
    judged = [rule for rule in report["rules"] if rule["histogram"]]
    expected = {
        "balance": 1,
        "sankey": len(report["funnels"]),
        "rule-histogram": 2 * len(judged),
        "members": sum(bool(rule["members"]) for rule in report["rules"]),
        "tolls": len({rule["gate"] for rule in report["rules"]}),
        "explorer": sum(r["form"] == "range" for r in report["explorers"][0]["rules"]),
        "distribution": 2 + 4 + 4 + 1,
        "clusters": 2,
        "hosts": 1,
        "time": 1,
    }
    assert {kind: kinds.count(kind) for kind in expected} == expected
    assert len(browser.find_elements("css selector", "[data-chart='slices']")) == 2
    assert said_by_console(browser) == []


def test_report_of_nothing_opens(browser: Any, empty_page: Path) -> None:
    open_page(browser, empty_page)
    sections = browser.find_elements("css selector", "main > section")
    assert [node.get_attribute("id") for node in sections] == ["overview"]
    assert "The run is not complete." in sections[0].text
    assert said_by_console(browser) == []


@pytest.mark.parametrize("made", [bare_report, zero_report], ids=["bare", "zero"])
def test_report_that_tells_little_is_shown(browser: Any, tmp_path: Path, made: Any) -> None:
    file = tmp_path / "index.html"
    file.write_text(render_page(made()), encoding="utf-8")
    open_page(browser, file)
    open_everything(browser)
    shown = browser.find_element("css selector", "main").get_attribute("textContent")
    for word in ("undefined", "NaN", "null", "Infinity", "[object"):
        assert word not in shown
    assert said_by_console(browser) == []


def test_texts_of_strangers_are_shown_and_do_not_run(browser: Any, page: Path) -> None:
    open_page(browser, page)
    open_everything(browser)
    captions = [
        node.get_attribute("textContent")
        for node in browser.find_elements("css selector", "#captions .versions .text > span")
    ]
    for text in HOSTILE[:5]:
        assert text in captions
    assert browser.execute_script("return window.attacked === undefined")
    # The page's own two, and no element that a text could have made.
    assert browser.execute_script("return document.querySelectorAll('script').length") == 2
    foreign = "main b, main i:not(.swatch), main em, iframe, object, base"
    assert browser.find_elements("css selector", foreign) == []
    assert "mm1 </title><script>" in browser.title
    assert said_by_console(browser) == []


def test_links_lead_to_web_pages_only_and_tell_them_nothing(browser: Any, page: Path) -> None:
    open_page(browser, page)
    open_everything(browser)
    links = browser.execute_script(
        "return [...document.querySelectorAll('a[target]')].map((a) => [a.protocol, a.rel])"
    )
    assert links
    assert {tuple(link) for link in links} == {("https:", "noopener noreferrer nofollow")}
    others = browser.execute_script(
        "const inner = [...document.querySelectorAll('a:not([target])')];"
        "return inner.map((a) => a.getAttribute('href'))"
    )
    assert all(href.startswith("#") for href in others)
    known = "return arguments[0].filter((href) => !document.getElementById(href.slice(1)))"
    assert browser.execute_script(known, others) == []


def test_page_loads_nothing(browser: Any, page: Path) -> None:
    open_page(browser, page)
    open_everything(browser)
    entries = browser.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert [name for name in entries if not name.startswith("data:")] == []


def shown_pictures(report: dict[str, Any]) -> list[dict[str, Any]]:
    """All that the galleries show with a picture."""
    galleries = report["galleries"]
    examples = [rule["examples"] for rule in report["rules"]]
    found = [one for sides in examples for side in sides.values() for one in side]
    found += galleries["captions"]
    for group, members in (("documents", "nodes"), ("clusters", "members")):
        found += [member for one in galleries[group] for member in one[members]]
    return [one for one in found if one["picture"]]


def test_images_have_words_and_what_a_safety_gate_dropped_is_veiled(
    browser: Any, page: Path, report: dict[str, Any]
) -> None:
    open_page(browser, page)
    open_everything(browser)
    alts = browser.execute_script("return [...document.images].map((image) => image.alt)")
    pictures = shown_pictures(report)
    assert len(alts) == len(pictures) > 20
    assert all(alt.strip() for alt in alts)
    assert {HOSTILE[0], "A red Peugeot bicycle leans against a yellow wall in Lyon."} <= set(alts)
    # The image of a document that has neither text nor alternative.
    assert alts.count("picture without text") == 1
    veiled = browser.find_elements("css selector", ".picture.veiled")
    assert len(veiled) == sum(one["unsafe"] for one in pictures) >= 4
    for box in veiled:
        image = box.find_element("css selector", "img")
        assert "blur(" in image.value_of_css_property("filter")
    button = veiled[0].find_element("css selector", "button")
    browser.execute_script("arguments[0].focus()", button)
    button.send_keys(ENTER)
    image = veiled[0].find_element("css selector", "img")
    assert image.value_of_css_property("filter") == "none"
    assert button.text == "Blur"
    button.send_keys(ENTER)
    assert "blur(" in image.value_of_css_property("filter")


def test_keyboard_reaches_navigation_handles_and_veils(browser: Any, page: Path) -> None:
    open_page(browser, page)
    open_everything(browser)
    wanted = {"nav a", ".handle[role=slider]", ".unveil", "summary", "a.rule", ".tools button"}
    browser.execute_script(
        """window.reached = new Set();
        document.addEventListener('focusin', (event) => {
          for (const selector of arguments[0]) {
            if (event.target.matches(selector)) window.reached.add(selector);
          }
        });
        document.activeElement.blur();""",
        sorted(wanted),
    )
    reached: set[str] = set()
    for _ in range(40):
        browser.switch_to.active_element.send_keys(TAB * 25)
        reached = set(browser.execute_script("return [...window.reached]"))
        if reached == wanted:
            break
    assert reached == wanted


def test_arrow_keys_tell_the_marks_of_a_chart(browser: Any, page: Path) -> None:
    open_page(browser, page)
    chart = browser.find_element("css selector", "[data-chart='balance'] svg")
    browser.execute_script("arguments[0].focus()", chart)
    tip = browser.find_element("id", "tip")
    assert not tip.is_displayed()
    chart.send_keys("\ue014")
    assert tip.text == "samples: Captioned images 62.0 %"
    chart.send_keys("\ue010")
    assert tip.text == "recipe: Text 10.0 %"


def test_every_chart_has_words_and_a_table(browser: Any, page: Path) -> None:
    open_page(browser, page)
    open_everything(browser)
    wordless = browser.execute_script(
        """return [...document.querySelectorAll('figure[data-chart] svg')].filter((svg) => {
          const image = svg.getAttribute('role') === 'img' ? svg : svg.querySelector('[role=img]');
          return !image || image.getAttribute('aria-label').length < 8;
        }).map((svg) => svg.closest('figure').dataset.chart);"""
    )
    assert wordless == []
    rows = browser.execute_script(
        """return [...document.querySelectorAll('figure[data-chart]')].map((node) => {
          node.querySelector('button[aria-controls]').click();
          return [node.dataset.chart, node.querySelectorAll('table tbody tr').length];
        });"""
    )
    assert [kind for kind, count in rows if count == 0] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_text_can_be_read(browser: Any, page: Path, scheme: str, width: int) -> None:
    colours(browser, scheme)
    open_page(browser, page, width=width)
    open_everything(browser)
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    dark = int(ground.strip("rgba()").split(",")[0]) < 60
    assert dark == (scheme == "dark")
    assert browser.execute_script(CONTRAST) == []
    colours(browser, "light")


def test_theme_can_be_chosen(browser: Any, page: Path) -> None:
    colours(browser, "light")
    open_page(browser, page)
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = browser.execute_script(ground)
    auto, bright, dark = browser.find_elements("css selector", "header .choice button")
    dark.click()
    assert browser.execute_script(ground) != light
    colours(browser, "dark")
    bright.click()
    assert browser.execute_script(ground) == light
    auto.click()
    assert browser.execute_script(ground) != light
    colours(browser, "light")


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_page_is_no_wider_than_the_window(browser: Any, page: Path, width: int) -> None:
    open_page(browser, page, width=width)
    open_everything(browser)
    assert browser.execute_script("return innerWidth") == width
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    assert wide <= width


def test_sankey_stands_upright_where_it_is_narrow(browser: Any, page: Path) -> None:
    def shape() -> tuple[float, float]:
        box = browser.find_element("css selector", "[data-chart='sankey'] svg").rect
        return box["width"], box["height"]

    open_page(browser, page)
    width, height = shape()
    assert width > height
    resize(browser, 390)
    wait_for_frames(browser)
    wait_for_frames(browser)
    width, height = shape()
    assert height > width
    assert width <= 390


def test_toll_of_the_sankey_leads_to_its_rule(browser: Any, page: Path) -> None:
    open_page(browser, page)
    toll = browser.find_element("css selector", "[data-chart='sankey'] a.rule")
    target = toll.get_attribute("href")
    browser.execute_script("arguments[0].focus()", toll)
    toll.send_keys(ENTER)
    wait_for_frames(browser)
    rule = browser.find_element("css selector", browser.execute_script("return location.hash"))
    assert target
    assert rule.get_attribute("open")
    wait_for_frames(browser)
    assert rule.find_elements("css selector", "[data-chart='rule-histogram'] svg")


def test_address_of_a_rule_opens_it(browser: Any, page: Path) -> None:
    open_page(browser, page, fragment="#rule-1")
    assert browser.find_element("id", "rule-1").get_attribute("open")


def test_bands_of_the_sankey_are_as_wide_as_their_rows(browser: Any, page: Path) -> None:
    open_page(browser, page)
    steps = browser.execute_script("return weft.sankeySteps(weft.report.funnels[0], 200)")
    assert [one["breaks"] for one in steps] == [False, True, False, False, True, False]
    scales = [one["unit_pixels"] for one in steps]
    assert scales[1] == scales[2] == scales[3]
    for one in steps:
        shown = sum(toll["rows"] for toll in one["tolls"])
        assert shown == one["step"]["rejected"] + one["step"]["failed"]
        assert one["step"]["in"] * one["unit_pixels"] <= 200.0001


def test_long_text_is_cut_and_can_be_had_whole(browser: Any, page: Path) -> None:
    open_page(browser, page)
    open_everything(browser)
    long = HOSTILE[5]
    assert len(long) > 10_000
    button = browser.find_element("css selector", "#rules .text .more")
    box = button.find_element("xpath", "..").find_element("css selector", "span")
    assert len(box.get_attribute("textContent")) <= 400
    browser.execute_script("arguments[0].click()", button)
    assert box.get_attribute("textContent") == long
