"""The explorer in a browser: what it shows is what the numbers of the report say."""

import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

from schemas.overrides import override_value
from tests.report.browser import open_page, said_by_console, wait_for, wait_for_frames
from tests.report.explorer_counting import Json, Moved, as_in_recipe, expect
from tests.report.made_galleries import GATE, TEXT_GATE
from transforms.rules import parse_rule

RIGHT, LEFT, HOME, END = "\ue014", "\ue012", "\ue011", "\ue010"
PAGE_UP = "\ue00e"

# Keys for each handle, or values to tick; together they are one state of the explorer.
MOVES: dict[str, tuple[str, list[tuple[str, str, Any]]]] = {
    "nothing": (GATE, []),
    "a minimum upwards": (GATE, [("min_side", "lower", RIGHT * 3)]),
    "a minimum downwards": (GATE, [("min_side", "lower", LEFT * 2)]),
    "a maximum": (GATE, [("aspect", "upper", LEFT * 3)]),
    "above": (GATE, [("alignment", "lower", LEFT * 4)]),
    "below": (GATE, [("alignment", "upper", LEFT * 7)]),
    "no lower limit": (GATE, [("min_side", "lower", HOME)]),
    "no upper limit": (GATE, [("aspect", "upper", END)]),
    "a limit that the recipe has not": (GATE, [("min_side", "upper", LEFT + PAGE_UP + LEFT * 4)]),
    "a limit up to the other one": (GATE, [("alignment", "lower", END)]),
    "a member more": (GATE, [("language", "tick", "ar")]),
    "a member less": (GATE, [("language", "tick", "de")]),
    "all that can be moved together": (
        GATE,
        [
            ("min_side", "lower", LEFT * 3),
            ("aspect", "upper", RIGHT * 2),
            ("alignment", "lower", RIGHT),
            ("alignment", "upper", END),
            ("language", "tick", "ar"),
        ],
    ),
    "a member that is refused": (GATE, [("boilerplate", "tick", "True")]),
    "a rule alone": (GATE, [("shared_text", "upper", RIGHT * 2)]),
    "a rule alone, both limits": (
        TEXT_GATE,
        [("words", "lower", LEFT * 2), ("words", "upper", LEFT * 3)],
    ),
    "a rule of a gate without joint counts": (TEXT_GATE, [("top_3gram", "upper", LEFT * 5)]),
}


def choose_gate(browser: Any, report: Json, gate: str) -> Json:
    number = [explorer["gate"] for explorer in report["explorers"]].index(gate)
    browser.find_element("css selector", f"#explorer option[value='{number}']").click()
    wait_for_frames(browser)
    explorer: Json = report["explorers"][number]
    return explorer


def handle(browser: Any, path: str, side: str) -> Any:
    return browser.find_element("css selector", f".handle.{side}[data-rule='{path}']")


def make_moves(browser: Any, gate: str, moves: list[tuple[str, str, Any]]) -> None:
    for name, part, what in moves:
        path = f"{gate}.{name}"
        if part == "tick":
            selector = f"input[data-rule='{path}'][data-value='{what.lower()}']"
            browser.find_element("css selector", selector).send_keys(" ")
        else:
            for key in what:
                handle(browser, path, part).send_keys(key)
    wait_for_frames(browser)


def read_moves(browser: Any, explorer: Json) -> dict[str, Moved]:
    """What the handles and boxes themselves say, for the rules that differ from the recipe."""
    found = {}
    for rule in explorer["rules"]:
        path = rule["path"]
        if rule["form"] == "members":
            boxes = browser.find_elements("css selector", f"input[data-rule='{path}']")
            pairs = zip(rule["values"], boxes, strict=True)
            moved = Moved(passing=[value for value, box in pairs if box.is_selected()])
        else:
            at = {
                side: int(handle(browser, path, side).get_attribute("aria-valuenow"))
                for side in ("lower", "upper")
            }
            moved = Moved()
            if at["lower"] > 0:
                value, side = rule["cuts"][at["lower"] - 1]
                moved.lower, moved.above = value, side == 1
            if at["upper"] <= len(rule["cuts"]):
                value, side = rule["cuts"][at["upper"] - 1]
                moved.upper, moved.below = value, side == 0
        if moved != as_in_recipe(rule):
            found[path] = moved
    return found


def shown_counts(browser: Any) -> tuple[int, dict[str, int]]:
    def number(text: str) -> int:
        return int(text.replace(",", ""))

    cells = browser.find_elements("css selector", "#explorer [data-language]")
    kept = browser.find_element("css selector", "[data-count='kept']").text
    return number(kept), {cell.get_attribute("data-language"): number(cell.text) for cell in cells}


def copied(browser: Any, key: str) -> str:
    area = browser.find_element("css selector", f"textarea[data-copy='{key}']")
    text: str = area.get_attribute("value")
    return text


def recipe_of(explorer: Json) -> Json:
    """The gate as the recipe has it, to set lines of a command line on."""
    rules: Json = {}
    for rule in explorer["rules"]:
        spec: Json = {"value": rule["expression"]}
        if rule["form"] == "members":
            spec["not_in" if rule["exclude"] else "in"] = rule["members"]
        if rule["lower"] is not None:
            spec["above" if rule["above"] else "min"] = rule["lower"]
        if rule["upper"] is not None:
            spec["below" if rule["below"] else "max"] = rule["upper"]
        rules[rule["name"]] = spec
    recipe: Json = {}
    at = recipe
    *sections, last = explorer["gate"].split(".")
    for name in sections:
        at = at.setdefault(name, {})
    at[last] = rules
    return recipe


def gate_of(recipe: Json, gate: str) -> Json:
    for name in gate.split("."):
        recipe = recipe[name]
    return recipe


def check_rule(name: str, spec: Any, rule: Json, moved: Moved) -> None:
    """The copied rule, read by the parser of recipes, asks for what the handles say."""
    parsed = parse_rule(name, spec, f"gates.{name}")
    if parsed.sql:
        # No condition is left but that there is a value.
        assert parsed.threshold == f"({rule['expression']}) IS NOT NULL"
        assert (moved.lower, moved.upper) == (None, None)
    elif rule["form"] == "range":
        assert (parsed.lower, parsed.upper) == (moved.lower, moved.upper)
        assert (parsed.above, parsed.below) == (moved.above, moved.below)
    else:
        passing = [v for v in rule["values"] if (v in (parsed.members or ())) != parsed.exclude]
        assert passing == moved.passing
        assert parsed.exclude == rule["exclude"]


@pytest.mark.parametrize(("gate", "moves"), MOVES.values(), ids=MOVES.keys())
def test_count_is_that_of_the_numbers(
    browser: Any, page: Path, report: Json, gate: str, moves: list[tuple[str, str, Any]]
) -> None:
    open_page(browser, page, fragment="#explorer")
    explorer = choose_gate(browser, report, gate)
    make_moves(browser, gate, moves)
    moved = read_moves(browser, explorer)
    assert {path.rsplit(".", 1)[1] for path in moved} == {name for name, _, _ in moves}
    kept, languages = shown_counts(browser)
    if moved or explorer["joint"]:
        expected = expect(explorer, moved)
        assert (kept, languages) == (expected.kept, expected.languages)
    if not moved:
        assert kept == explorer["kept"]
        assert copied(browser, "toml") == copied(browser, "set") == ""
    else:
        recipe = tomllib.loads(copied(browser, "toml"))
        specs = gate_of(recipe, gate)
        rules = {rule["path"]: rule for rule in explorer["rules"]}
        assert {f"{gate}.{name}" for name in specs} == moved.keys()
        for name, spec in specs.items():
            check_rule(name, spec, rules[f"{gate}.{name}"], moved[f"{gate}.{name}"])
        words = shlex.split(copied(browser, "set").replace("\\\n", ""))
        assert words[::2] == ["--set"] * (len(words) // 2)
        changed = recipe_of(explorer)
        for override in words[1::2]:
            override_value(changed, override)
        whole = {name: parse_rule(name, spec, name) for name, spec in specs.items()}
        after = gate_of(changed, gate)
        assert {name: parse_rule(name, after[name], name) for name in whole} == whole
    assert said_by_console(browser) == []


def test_rule_that_is_counted_alone_puts_the_others_back(
    browser: Any, page: Path, report: Json
) -> None:
    open_page(browser, page, fragment="#explorer")
    explorer = choose_gate(browser, report, GATE)
    make_moves(browser, GATE, [("min_side", "lower", RIGHT), ("shared_text", "upper", RIGHT)])
    moved = read_moves(browser, explorer)
    assert moved.keys() == {f"{GATE}.shared_text"}
    assert shown_counts(browser)[0] == expect(explorer, moved).kept
    result = browser.find_element("css selector", ".result").text
    assert "min_side went back to the recipe" in result


def test_reset_shows_the_recipe_again(browser: Any, page: Path, report: Json) -> None:
    open_page(browser, page, fragment="#explorer")
    explorer = choose_gate(browser, report, GATE)
    make_moves(browser, GATE, [("min_side", "lower", RIGHT * 2)])
    assert shown_counts(browser)[0] != explorer["kept"]
    browser.find_element("css selector", ".result button").click()
    wait_for_frames(browser)
    assert read_moves(browser, explorer) == {}
    assert shown_counts(browser)[0] == explorer["kept"]


def test_handle_follows_the_pointer(browser: Any, page: Path, report: Json) -> None:
    from selenium.webdriver import ActionChains

    open_page(browser, page, fragment="#explorer")
    explorer = choose_gate(browser, report, GATE)
    grip = handle(browser, f"{GATE}.min_side", "lower").find_element("css selector", "circle")
    ActionChains(browser).drag_and_drop_by_offset(grip, 90, 0).perform()
    wait_for_frames(browser)
    moved = read_moves(browser, explorer)
    assert moved[f"{GATE}.min_side"].lower > 200
    assert shown_counts(browser)[0] == expect(explorer, moved).kept


def test_lines_can_be_copied(browser: Any, page: Path, report: Json) -> None:
    open_page(browser, page, fragment="#explorer")
    choose_gate(browser, report, GATE)
    make_moves(browser, GATE, [("min_side", "lower", RIGHT)])
    area = browser.find_element("css selector", "textarea[data-copy='toml']")
    row = area.find_element("xpath", "..")
    row.find_element("css selector", "button").click()
    wait_for(browser, "document.querySelector('.copy-head [role=status]').textContent !== ''")
    said = row.find_element("css selector", "[role=status]").text
    assert said in {"copied", "selected: press Ctrl+C"}
    if said == "copied":
        browser.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite"]})
        copied_text = browser.execute_async_script(
            "const done = arguments[0]; navigator.clipboard.readText().then(done, String);"
        )
    else:
        copied_text = browser.execute_script("return String(getSelection())")
    assert copied_text == copied(browser, "toml")


def test_two_cuts_at_a_number_share_a_bar(browser: Any, page: Path, report: Json) -> None:
    open_page(browser, page, fragment="#explorer")
    explorer = choose_gate(browser, report, GATE)
    (rule,) = [rule for rule in explorer["rules"] if rule["name"] == "alignment"]
    numbers = [value for value, _ in rule["cuts"]]
    assert len(set(numbers)) < len(numbers)
    chart = handle(browser, rule["path"], "lower").find_element("xpath", "..")
    bars = chart.find_elements("css selector", ".bars > g")
    assert len(bars) == len(set(numbers)) + 1
    tips = [bar.get_attribute("data-tip") for bar in bars]
    shown = [int(tip.split(": ")[1].split(" row")[0].replace(",", "")) for tip in tips]
    at = [rule["path"] for rule in explorer["rules"] if rule["is_joint"]].index(rule["path"])
    table = explorer["joint"]
    valued = [n for n, number in zip(table["rows"], table["bins"][at], strict=True) if number > 0]
    assert sum(shown) == sum(valued)


def test_last_member_of_a_list_stays(browser: Any, page: Path, report: Json) -> None:
    open_page(browser, page, fragment="#explorer")
    explorer = choose_gate(browser, report, GATE)
    make_moves(browser, GATE, [("language", "tick", "en"), ("language", "tick", "de")])
    assert read_moves(browser, explorer)[f"{GATE}.language"].passing == ["de"]
