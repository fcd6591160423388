"""`weft report`: when it writes, what it refuses, what a run without an end gives."""

import json
import shutil
from pathlib import Path

import pytest

from beam_runner import main
from pipeline.recipe import load_recipe
from pipeline.report.write import write_report
from schemas.errors import RecipeError
from tests.report.reported import Reported


@pytest.fixture
def copied(reported: Reported, tmp_path: Path) -> Path:
    output = tmp_path / "out"
    shutil.copytree(reported.output, output)
    return output


def facts_of(output: Path) -> dict[str, object]:
    return json.loads((output / "report" / "report.json").read_bytes())


def test_a_report_is_the_same_whenever_it_is_made(reported: Reported, copied: Path) -> None:
    before = {path.name: path.read_bytes() for path in (copied / "report").iterdir()}
    assert sorted(before) == ["index.html", "report.json"]
    shutil.rmtree(copied / "report")
    assert main(["report", str(copied), "-q"]) == 0
    after = {path.name: path.read_bytes() for path in (copied / "report").iterdir()}
    own, others = (str(path).encode() for path in (copied, reported.output))
    assert {name: data.replace(own, b"") for name, data in after.items()} == {
        name: data.replace(others, b"") for name, data in before.items()
    }


def test_a_report_of_this_very_run_is_left_alone(copied: Path) -> None:
    assert not write_report(str(copied), again=False).is_new
    page = copied / "report" / "index.html"
    stamp = page.stat().st_mtime_ns
    write_report(str(copied), again=False)
    assert page.stat().st_mtime_ns == stamp
    (copied / "report" / "report.json").write_text("{")
    assert write_report(str(copied), again=False).is_new
    run = json.loads((copied / "run.json").read_text())
    run["stages"]["shard"]["status"] = "stale"
    (copied / "run.json").write_text(json.dumps(run))
    assert write_report(str(copied), again=False).is_new


def test_a_run_without_an_end_shows_what_there_is(copied: Path) -> None:
    run = json.loads((copied / "run.json").read_text())
    del run["stages"]["shard"]
    (copied / "run.json").write_text(json.dumps(run))
    shutil.rmtree(copied / "shards")
    assert main(["report", str(copied), "-q"]) == 0
    facts = facts_of(copied)
    assert facts["complete"] is False
    assert any("no gate can be told of" in problem for problem in facts["problems"])
    assert [funnel["stream"] for funnel in facts["funnels"]] == [
        "captioned", "interleaved", "text", "images",
    ]  # fmt: skip
    assert facts["rules"] == facts["explorers"] == facts["slices"] == []


def test_a_report_of_a_sample_of_the_parts_says_so(copied: Path) -> None:
    run = json.loads((copied / "run.json").read_text())
    run["recipe"]["values"]["report"]["rows"] = 100
    (copied / "run.json").write_text(json.dumps(run))
    assert main(["report", str(copied), "-q"]) == 0
    judged = facts_of(copied)["judged"]
    assert 1 <= judged["parts"] < judged["of_parts"]


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_no_output_is_the_users_mistake(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["report", str(tmp_path / name)]) == 2
    assert str(tmp_path / name) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("report.mixture={ captioned = 0.0 }", "report.mixture: shares of captioned, interleaved"),
        ("report.mixture={ pairs = 1.0 }", "report.mixture"),
        ("report.examples=101", "report.examples: must be from 0 to 100"),
        ("report.rows=-1", "report.rows"),
        ("report.example=1", "report.example"),
    ],
)
def test_a_wrong_section_is_refused(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message.replace(".", r"\.")):
        load_recipe("demo", [override])


def test_the_section_shapes_no_shard() -> None:
    plain = load_recipe("demo")
    assert load_recipe("demo", ["report.examples=2"]).fingerprint == plain.fingerprint
