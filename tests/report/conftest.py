"""A run of the demo with its report, one browser for all tests, and the pages that they open."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from beam_runner import main
from pipeline.report.page import render_page
from tests.report.browser import find_browser, open_browser
from tests.report.made_reports import empty_report, made_report
from tests.report.reported import Reported


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """A fresh run: all files of its tables are of it."""
    output = tmp_path_factory.mktemp("reported") / "out"
    assert main(["demo", "-o", str(output), "-w", "1", "-q"]) == 0
    facts = json.loads((output / "report" / "report.json").read_bytes())
    return Reported(output, facts)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    find_browser()
    with open_browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="session")
def report() -> dict[str, Any]:
    return made_report()


@pytest.fixture(scope="session")
def page(report: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "index.html"
    file.write_text(render_page(report), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def empty_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("empty") / "index.html"
    file.write_text(render_page(empty_report()), encoding="utf-8")
    return file
