"""The trainer's commands: help is quick, mistakes are one line and exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainer.ranks import ROOT
from trainer.__main__ import main

COMMANDS = ("train", "prepare", "evaluate", "export", "bench")


def test_help_lists_commands_and_configurations(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in COMMANDS)
    assert main(["train", "--help"]) == 0
    told = capsys.readouterr().out
    for word in ("mm1_7b", "--data", "--output", "--set", "torchrun"):
        assert word in told


def test_help_loads_no_torch() -> None:
    code = "import sys; import trainer.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["train"], "Missing argument"),
        (["train", "tiny", "--data", "d"], "Missing option '--output'"),
        (["train", "nothing", "-d", "d", "-o", "o"], "nothing: no configuration of this name"),
        (["train", "tiny", "-d", "d", "-o", "o", "--set", "x.y=1"], "x: no such key"),
        (["train", "tiny", "-d", "d", "-o", "o", "--steps", "0"], "--steps"),
        (["train", "mm1_7b", "-d", "d", "-o", "o"], "run.min_gpus: this model takes 4 GPUs"),
        (["train", "tiny", "-d", "no/folder", "-o", "o"], "no/folder"),
        (["evaluate", "no/run", "-d", "d"], "no/run: no checkpoint in it"),
        (["export", "no/run", "-o", "o"], "no/run: no checkpoint in it"),
        (["train", "tiny", "-d", "d", "-o", "o", "--stepz", "3"], "No such option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistake_is_one_line_and_code_2(
    arguments: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("trainer: ")
    assert told in said
    assert said.count("\n") == 1
    assert not list(tmp_path.glob("o/checkpoints/*"))
