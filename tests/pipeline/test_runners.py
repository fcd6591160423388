"""Options of Beam, and errors without Beam's two hundred lines around them."""

import multiprocessing
import signal
import time

import pytest

from pipeline import graphs
from pipeline.beam_options import parse_beam_options
from pipeline.graphs import own_error, summarize
from pipeline.runners import RunnerConfig
from schemas.errors import InputError, StageError, UserError


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--runnr=DirectRunner"], "--runnr=DirectRunner: neither an option of this command"),
        (["--direct_num_workers=many"], "--direct_num_workers"),
        (["stray"], "stray: neither"),
    ],
)
def test_bad_beam_option_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        parse_beam_options(words)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_options_of_beam_are_those_that_were_given() -> None:
    words = [
        "--flink_master=localhost:8081",
        "--job_name",
        "x",
        "--experiments=a",
        "--experiments=b",
    ]
    options = parse_beam_options(words)
    assert options.given == {
        "flink_master": "localhost:8081", "job_name": "x", "experiments": ["a", "b"],
    }  # fmt: skip
    assert options.owners["flink_master"] == "FlinkRunnerOptions"
    assert options.words == tuple(words)
    assert parse_beam_options([]).given == {}


@pytest.mark.parametrize(
    ("config", "in_process", "runner"),
    [
        (RunnerConfig(1), True, "FnApiRunner"),
        (RunnerConfig(2), False, "FnApiRunner"),
        (RunnerConfig(1, processes=True), False, "FnApiRunner"),
        (RunnerConfig(8, ("--runner=FlinkRunner",)), True, "FlinkRunner"),
        (RunnerConfig(8, ("--runner", "PrismRunner")), True, "PrismRunner"),
    ],
)
def test_runner_config(config: RunnerConfig, in_process: bool, runner: str) -> None:
    assert (config.in_process, config.runner) == (in_process, runner)


WORKER_TEXT = """Error processing instruction bundle_1. Original traceback is
Traceback (most recent call last):
  File "site-packages/apache_beam/runners/common.py", line 1512, in process
  File "/home/x/weft/transforms/extract.py", line 7, in __call__
    raise InputError("x.warc: ARC files are not read")
{error} [while running 'Extract/RunParts-ptransform-5']

"""


def test_own_errors_are_found_in_what_a_worker_process_reports() -> None:
    text = WORKER_TEXT.format(error="schemas.errors.InputError: x.warc: ARC files are not read")
    found = own_error(RuntimeError(text))
    assert isinstance(found, InputError)
    assert str(found) == "x.warc: ARC files are not read"
    assert str(own_error(InputError("bad [while running 'A/B']"))) == "bad"
    assert isinstance(own_error(StageError("lost")), StageError)
    assert own_error(RuntimeError(WORKER_TEXT.format(error="ValueError: no"))) is None


def test_a_bug_is_summarised_in_one_line_with_its_place() -> None:
    text = summarize(RuntimeError(WORKER_TEXT.format(error="ValueError: no")))
    assert text.startswith("ValueError: no")
    assert 'transforms/extract.py", line 7' in text
    assert "\n" not in text
    assert summarize(ValueError("simple")) == "ValueError: simple"
    assert summarize(KeyError()) == "KeyError"


def test_a_stage_process_that_heads_no_group_yet_is_ended() -> None:
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    process.start()
    graphs._end_group(process)
    assert process.exitcode == -signal.SIGKILL
