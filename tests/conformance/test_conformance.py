"""Golden pages: each case is a page and the nodes a person expects of it, on both parsers."""

import difflib
from pathlib import Path

import pytest

from tests.conformance.case_files import Case, read_cases, show_facts, show_nodes, write_nodes
from transforms.captions import find_captions
from transforms.html_parsers import BACKENDS
from transforms.interleave import extract_page
from transforms.page_facts import page_facts
from transforms.page_limits import ExtractConfig

CASES = read_cases()
CONFIG = ExtractConfig()

MISJUDGED = {
    "boilerplate/boxes-inside-the-body": "a newsletter box inside the body is kept",
    "boilerplate/hidden-elements": "a label that only `aria-hidden` hides is kept",
    "boilerplate/lead-picture-above-body": "the lead above the body is left out",
    "boilerplate/german-cookie-wall-and-footer": "the author's box is kept",
    "page_types/wiki-page-with-infobox": "the table of contents is kept",
}
"""What the content model gets wrong: strict, so that a better model has to take the case off."""


@pytest.mark.parametrize(
    ("case", "backend"),
    [
        pytest.param(
            case,
            backend,
            id=f"{case.name}[{backend}]",
            marks=[pytest.mark.xfail(strict=True, reason=MISJUDGED[case.name])]
            if case.name in MISJUDGED
            else [],
        )
        for case in CASES
        for backend in BACKENDS
    ],
)
def test_page_becomes_expected_nodes(case: Case, backend: str) -> None:
    page = extract_page(case.html, case.url, CONFIG, backend)
    facts = page_facts(case.html, page.dom, page.base_url, case.headers, case.crawled)
    captions = find_captions(page.nodes, case.name, case.url, facts.title)
    found = show_nodes(page.nodes, captions, case.ignored)
    if found != case.expected:
        expected = write_nodes(case.expected).split("\n")
        difference = difflib.unified_diff(
            expected, write_nodes(found).split("\n"), "expected", "found", n=1, lineterm=""
        )
        pytest.fail("\n".join([case.name, *difference]), pytrace=False)
    assert show_facts(facts, page.base_url, case.facts) == case.facts


def test_suite_is_as_large_as_it_says() -> None:
    topics = {case.name.partition("/")[0] for case in CASES}
    assert topics == {
        "boilerplate", "captions", "images", "page_facts", "page_types", "robustness", "text",
    }  # fmt: skip
    assert len(CASES) >= 140


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("=== a\n<p>x\nparagraph | x\n", "no line ---"),
        ("=== a\n<p>x\n---\n", "no nodes"),
        ("=== a\n<p>x\n---\nparagraph : x\n", "not understood"),
        ("=== a\n<p>x\n---\nimage | 1.jpg\n          @ alternative = x\n", "no such field"),
        ("=== a\n@ignore nothing\n<p>x\n---\nparagraph | x\n", "no such field"),
        ("=== a\n<p>x\n---\npage colour = red\n", "no such page fact"),
        ("=== a\n<p>x\n---\nparagraph | x\n=== a\n<p>x\n---\nparagraph | x\n", "occur twice"),
        ("<p>x\n=== a\n<p>x\n---\nparagraph | x\n", "before the first case"),
    ],
)
def test_slip_in_a_case_file_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "topic").mkdir()
    (tmp_path / "topic" / "slip.case").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_cases(tmp_path)
