"""`weft plan --job-request`. That the job it tells of is the one that comes, all through a run:
tests/test_dataflow_jobs.py."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline import next_job as module
from pipeline.dataflow import JobRequest
from pipeline.next_job import next_job, write_request
from pipeline.run import RunOptions, prepare
from pipeline.runners import RunnerConfig
from schemas.errors import OutputError, UserError
from tests.small_crawl import picture_crawl

GIVEN = ("--project=some-project", "--region=europe-west4", "--temp_location=gs://bucket/tmp")


def options(tmp_path: Path, runner: str) -> RunOptions:
    crawl = picture_crawl(tmp_path / "crawl.warc", 2)
    return RunOptions(
        "mm1", [str(crawl)], str(tmp_path / "out"), overrides=["workers.image=cpu:1"],
        runner=runner, beam_options=GIVEN if runner == "dataflow" else (),
    )  # fmt: skip


def test_of_a_new_output_it_is_the_first_step(tmp_path: Path) -> None:
    found = next_job(prepare(options(tmp_path, "local")), RunnerConfig())
    assert found is not None
    assert (found[0].stage, found[0].name, found[0].models) == ("extract", "extract", False)


def test_another_runner_has_no_request(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is for --runner dataflow"):
        write_request(options(tmp_path, "local"), str(tmp_path / "next.json"))


def test_the_request_is_that_of_the_options_and_is_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def request(build: Any, given: tuple[str, ...]) -> JobRequest:
        asked.append(given)
        return JobRequest({"job": {"name": "weft-1-extract"}}, None, ())

    monkeypatch.setattr("pipeline.runners._check_runner", lambda name: None)
    # A bucket would be asked for otherwise, and Beam's Google part be needed.
    here = prepare(options(tmp_path, "local"))
    monkeypatch.setattr(module, "prepare", lambda options: here)
    monkeypatch.setattr(module, "request_job", request)
    path = tmp_path / "next.json"
    line = write_request(options(tmp_path, "dataflow"), str(path))
    assert line == f"{path}: the request of job weft-1-extract; nothing was sent"
    assert json.loads(path.read_text()) == {"job": {"name": "weft-1-extract"}}
    (given,) = asked
    assert {"--sdk_container_image=cpu:1", "--runner=DataflowRunner", *GIVEN} <= set(given)
    assert given[-1].endswith("-extract")
    with pytest.raises(OutputError, match="cannot be written"):
        write_request(options(tmp_path, "dataflow"), str(tmp_path / "none" / "next.json"))
