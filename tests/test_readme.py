"""Every command of the README runs; `make` targets are what CI itself runs."""

import json
import re
import shlex
from pathlib import Path

import pytest

from beam_runner import main
from pipeline.demo import generate_demo_crawl

README = (Path(__file__).resolve().parents[1] / "README.md").read_text("utf-8")


def commands() -> list[list[str]]:
    """The `weft` commands of the README's shell blocks, in order."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("weft ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("readme")
    (made / "crawl").mkdir()
    generate_demo_crawl(made / "crawl")
    return made


def test_readme_is_short_and_names_the_two_commands() -> None:
    assert len(README.splitlines()) <= 150
    assert "make demo" in README
    assert "make test" in README
    assert len(commands()) >= 5


def test_readme_commands_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    for command in commands():
        if "example.warc.gz" in command:
            continue
        assert main(command) == 0, f"weft {shlex.join(command)}: {capfd.readouterr().err}"
    for stream in ("captioned", "interleaved", "text"):
        manifest = json.loads((folder / f"out/mine/shards/{stream}/manifest.json").read_text())
        assert manifest["totals"]["samples"] > 0


def test_readme_relaxed_recipe_fills_every_stream_of_the_old_crawl(
    folder: Path,
    shared_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (command,) = [command for command in commands() if "example.warc.gz" in command]
    (folder / "example.warc.gz").symlink_to(shared_data / "warc/aut/example.warc.gz")
    monkeypatch.chdir(folder)
    assert main([*command, "--workers", "1"]) == 0, capfd.readouterr().err
    for stream in ("captioned", "interleaved", "text"):
        manifest = json.loads((folder / f"out/old/shards/{stream}/manifest.json").read_text())
        assert manifest["totals"]["samples"] > 0
