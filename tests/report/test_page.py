"""The file that a report becomes: what strangers wrote stays text, and nothing is loaded."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import pytest

from pipeline.report.page import SCRIPTS, STYLES, render_page
from tests.report.made_galleries import HOSTILE
from tests.report.made_reports import empty_report, made_report

STATIC = files("pipeline.report") / "static"


class Elements(HTMLParser):
    """The elements of a page with the text that stands directly in them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self.inside = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), ""))
        self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            tag, attributes, text = self.found[-1]
            self.found[-1] = (tag, attributes, text + data)

    def of(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [(attributes, text) for name, attributes, text in self.found if name == tag]


def data_of(page: str) -> Any:
    (text,) = [
        text
        for attributes, text in Elements(page).of("script")
        if attributes.get("type") == "application/json"
    ]
    return json.loads(text)


def with_texts(texts: list[str]) -> dict[str, Any]:
    return {**empty_report(), "title": texts[0], "problems": texts}


@pytest.mark.parametrize("report", [made_report(), empty_report()], ids=["full", "empty"])
def test_page_holds_the_report_as_it_is(report: dict[str, Any]) -> None:
    assert data_of(render_page(report)) == json.loads(json.dumps(report))


def test_hostile_texts_stay_inside_the_data() -> None:
    texts = [
        *HOSTILE,
        "</SCRIPT >",
        "</script\n",
        "<!-- <script ",
        "-->",
        "\u2028\u2029",
        "]]>",
        "@script@ @data@",
    ]
    page = render_page(with_texts(texts))
    assert data_of(page)["problems"] == texts
    raw = page.split('id="data">')[1].split("</script>")[0]
    assert re.findall("[<>&\u2028\u2029]", raw) == []
    plain = render_page(with_texts(["nothing"]))
    assert [name for name, _, _ in Elements(page).found] == [
        name for name, _, _ in Elements(plain).found
    ]


def test_title_is_escaped() -> None:
    page = render_page(with_texts(["</title><script>alert(1)</script>"]))
    assert Elements(page).of("title")[0][1].startswith("</title><script>alert(1)</script>")
    assert len(Elements(page).of("script")) == 2


def test_half_of_a_character_survives() -> None:
    page = render_page(with_texts(["a\ud800b"]))
    page.encode()
    assert data_of(page)["problems"] == ["a\ud800b"]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_number_that_json_has_not_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        render_page({**empty_report(), "balance": [number]})


def test_policy_allows_the_page_itself_and_nothing_else() -> None:
    page = render_page(made_report())
    elements = Elements(page)
    (policy,) = [
        attributes["content"] or ""
        for attributes, _ in elements.of("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    script = elements.of("script")[-1][1]
    style = elements.of("style")[0][1]

    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert directives == {
        "default-src": "'none'",
        "script-src": source(script),
        "style-src": source(style),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    # The policy stands before all that it is about.
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_page_names_no_address_to_load_from() -> None:
    elements = Elements(render_page(empty_report()))
    for _, attributes, _ in elements.found:
        assert not {"src", "srcset", "style", "onclick", "onload"} & attributes.keys()
        assert attributes.get("href", "#").startswith(("#", "data:"))
    own = "".join(text for tag in ("script", "style") for _, text in elements.of(tag))
    assert set(re.findall(r"https?://[^\s\"'`]+", own)) == {"http://www.w3.org/2000/svg"}
    for call in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "fetch(",
    ):
        assert call not in own


def test_page_without_scripts_says_what_it_needs() -> None:
    page = render_page(made_report())
    (inside,) = re.findall("<noscript>(.*?)</noscript>", page, re.DOTALL)
    assert "JavaScript" in inside


def test_page_itself_is_small() -> None:
    assert len(render_page(empty_report()).encode()) < 200_000


def test_every_static_file_is_in_the_page() -> None:
    found = {file.name for file in STATIC.iterdir()}
    assert found == {"report.html", *STYLES, *SCRIPTS}


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_as_short_as_other_sources(name: str) -> None:
    lines = (STATIC / name).read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 400
    assert [line for line in lines if len(line) > 100] == []
