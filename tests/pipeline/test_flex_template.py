"""The flex template: its parameters, its metadata, and the driver that its one element is."""

import json
import re
import sys
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

from pipeline.flex_template import (
    OPTIONAL,
    REQUIRED,
    build_driver,
    main,
    parse_parameters,
    run_arguments,
    run_weft,
)
from pipeline.run_record import read_run
from schemas.errors import StageError, UserError
from tests.small_crawl import picture_crawl

ROOT = Path(__file__).resolve().parents[2]
METADATA = json.loads((ROOT / "containers" / "flex_template.json").read_text("utf-8"))
GIVEN = [
    "--recipe=mm1", "--input=gs://b/a,gs://b/c", "--output=gs://b/out",
    "--sdk_container_image=eu/weft-cpu:1", "--gpu_image=eu/weft-gpu:1",
    "--set=dedup.buckets=8;captions.prefer=['alt','title']",
    "--runner=DataflowRunner", "--project=some-project", "--region=europe-west4",
    "--temp_location=gs://b/tmp", "--template_location=gs://b/job", "--job_name=launched",
    "--service_account_email=a@b", "--subnetwork=regions/x/subnetworks/y", "--no_use_public_ips",
]  # fmt: skip


def test_parameters_become_the_command_of_the_driver() -> None:
    options, own = parse_parameters(GIVEN)
    assert run_arguments(options) == [
        "run", "mm1", "--output", "gs://b/out", "--log-format", "json",
        "--input", "gs://b/a", "--input", "gs://b/c",
        "--set", "dedup.buckets=8", "--set", "captions.prefer=['alt','title']",
        "--set", "workers.image=eu/weft-cpu:1",
        "--set", "workers.score.models.image=eu/weft-gpu:1",
        "--set", "workers.recaption.models.image=eu/weft-gpu:1",
        "--stages", "extract,dedup,refs,fetch,dedup_images,score,recaption,shard",
        "--runner", "dataflow", "--project=some-project", "--region=europe-west4",
        "--temp_location=gs://b/tmp", "--service_account_email=a@b",
        "--subnetwork=regions/x/subnetworks/y", "--no_use_public_ips",
    ]  # fmt: skip
    # The template's own job has the rest, and the image with Weft in it.
    assert "--template_location=gs://b/job" in own
    assert "--sdk_container_image=eu/weft-cpu:1" in own


def test_a_missing_parameter_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="parameter output: is missing"):
        parse_parameters([each for each in GIVEN if not each.startswith("--output")])
    assert main(["--recipe=mm1"]) == 2
    assert capsys.readouterr().err == "weft: parameter input: is missing\n"


def test_what_weft_would_refuse_starts_no_job(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(beam, "Pipeline", None)  # it would be called
    monkeypatch.setattr("pipeline.runners._check_runner", lambda name: None)
    wrong = [*GIVEN, "--stages=extract,shred"]
    assert main(wrong) == 2
    assert "--stages shred: there is no such stage" in capsys.readouterr().err


def test_metadata_lists_the_parameters() -> None:
    found = {each["name"]: each for each in METADATA["parameters"]}
    assert list(found) == [*REQUIRED, *OPTIONAL]
    assert {name for name, each in found.items() if not each["isOptional"]} == set(REQUIRED)
    for each in found.values():
        assert set(each) == {"name", "label", "helpText", "paramType", "isOptional", "regexes"}
        assert each["label"]
        assert each["helpText"].endswith(".")


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("recipe", ["mm1", "gs://b/my.toml"], ["my.toml", "../mm1", "gs://b/my.json"]),
        ("input", ["gs://b/a", "gs://b/a,s3://b/c*"], ["/data", "gs://b/a,", "gs://b/a /etc"]),
        ("output", ["gs://b/out"], ["out", "gs://a,gs://b"]),
        ("sdk_container_image", ["eu-docker.pkg.dev/p/weft/weft-cpu:0.1.0"], ["--x", "a b"]),
        ("gpu_image", ["eu/weft-gpu@sha256:ab"], ["A"]),
        ("stages", ["extract", "extract,dedup_images"], ["extract dedup", ",extract"]),
        ("set", ["a.b=1", "a.b=[1,2];c_d=x"], ["a.b", ";a=1"]),
        ("against", ["gs://b/out"], ["out"]),
    ],
)
def test_metadata_refuses_what_cannot_be(name: str, good: list[str], bad: list[str]) -> None:
    (each,) = (each for each in METADATA["parameters"] if each["name"] == name)
    (regex,) = each["regexes"]
    assert [value for value in good if not re.match(regex, value)] == []
    assert [value for value in bad if re.match(regex, value)] == []


def test_the_one_element_of_the_job_runs_weft(tmp_path: Path) -> None:
    crawl = picture_crawl(tmp_path / "crawl.warc", 4)
    output = tmp_path / "out"
    command = ["run", "mm1", "-i", str(crawl), "-o", str(output), "-w", "1", "--no-report", "-q"]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        build_driver([*command, "--stages", "extract"], pipeline)
    record = read_run(str(output))
    assert record is not None
    assert record["stages"]["extract"]["status"] == "done"


def test_a_failed_command_is_an_error_that_quotes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = str(tmp_path / "nothing.warc")
    with pytest.raises(StageError, match=r"weft ended with status 2:\n.*nothing\.warc"):
        run_weft(["run", "mm1", "-i", nothing, "-o", str(tmp_path / "out"), "-w", "1"])
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(StageError, match="status 1"):
        run_weft([])
