"""Lines of progress: for people, and for programs."""

import json
import time
from types import SimpleNamespace

import pytest

from beam_runner import main
from pipeline import progress as module
from pipeline.graphs import job_link
from pipeline.progress import Done, Progress
from pipeline.run_steps import CommittedParts
from schemas.errors import DataError, StoreError
from transforms.sink import Part, PartSink


def test_lines_for_programs_are_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "PLAIN_SECONDS", 0.02)
    shown = Progress(log_format="json")
    parts = iter(range(1000))
    with shown.step("extract", 9, lambda: Done(min(next(parts), 5), 2)):
        while "progress" not in capsys.readouterr().err:
            pass
    shown.stage("extract", 3, 9, 1.5)
    shown.say("a \x1b[31mword")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    ended = [line for line in lines if line["event"] == "stage"]
    assert ended == [
        {"event": "stage", "stage": "extract", "parts_run": 3, "parts": 9, "seconds": 1.5}
    ]
    assert lines[-1] == {"event": "message", "text": "a \x1b[31mword"}


def wait_for_lines(capsys: pytest.CaptureFixture[str], count: int) -> list[str]:
    """What is told until there are so many lines, or for a minute."""
    lines: list[str] = []
    end = time.monotonic() + 60
    while len(lines) < count and time.monotonic() < end:
        lines += capsys.readouterr().err.splitlines()
    assert len(lines) >= count
    return lines


def test_looking_takes_little_of_the_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "PLAIN_SECONDS", 0.01)
    monkeypatch.setattr(module, "LOOKING", 1e-9)  # after one look, none for a minute
    looks: list[Done] = []

    def done() -> Done:
        looks.append(Done(len(looks)))
        return looks[-1]

    with Progress().step("extract", 9, done):
        lines = wait_for_lines(capsys, 4)
    assert len(looks) == 2  # the first is at the beginning
    assert all(line.startswith("extract: 1/9 parts, ") for line in lines)


def test_a_store_that_fails_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "PLAIN_SECONDS", 0.01)
    monkeypatch.setattr(module, "LOOKING", 1e-9)
    looks = iter([Done(0), None, None, Done(5)])

    def done() -> Done:
        found = next(looks)
        if found is None:
            raise StoreError("gone")
        return found

    with Progress().step("extract", 9, done):
        lines = wait_for_lines(capsys, 1)
    assert lines[0].startswith("extract: 5/9 parts, ")


def test_a_line_tells_parts_failures_and_what_is_left() -> None:
    line, event = module._told("score", "parts", 10, 0, Done(5, 1234), 0, 0.0)
    assert line.startswith("score: 5/10 parts, 1,234 failed, ")
    assert " left, " in line
    assert event["failed"] == 1234
    assert event["seconds_left"] == pytest.approx(event["seconds"], rel=0.01)


def test_failures_of_committed_parts_are_counted_once(tmp_path) -> None:
    output = str(tmp_path)
    done = CommittedParts(output, "extract", lambda name: name.startswith("p"))
    assert done() == Done(0, 0)
    for name, failures in (("p1", 2), ("p2", 0), ("other", 5)):
        with PartSink("extract", output, Part(name, "f")) as sink:
            sink.counts("pages").seen += failures + 1
            sink.count("pages", kept=1)
            for number in range(failures):
                sink.fail("pages", f"{name}-{number}", DataError("broken"))
            sink.publish()
    assert done() == Done(2, 2)
    assert done() == Done(2, 2)
    (tmp_path / "commits" / "extract" / "p3-f.json").write_text("{")
    assert done() == Done(3, 2)


def test_a_job_elsewhere_has_a_link() -> None:
    job = SimpleNamespace(location="europe-west1", id="2026-11-22_1", project_id="corpus")
    assert job_link(SimpleNamespace(_job=job)) == (
        "https://console.cloud.google.com/dataflow/jobs/europe-west1/2026-11-22_1?project=corpus"
    )
    assert job_link(SimpleNamespace()) is None
    assert job_link(SimpleNamespace(_job=None)) is None


def test_another_format_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "demo", "-i", "x", "-o", "y", "--log-format", "xml"]) == 2
    assert "--log-format xml: text or json" in capsys.readouterr().err
