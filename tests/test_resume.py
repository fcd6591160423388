"""Same shards whatever happens: other worker counts, killed drivers, killed workers."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from beam_runner import main
from pipeline.demo import generate_demo_crawl
from pipeline.run_record import STAGES
from tests.run_processes import (
    DEADLINE,
    ROOT,
    published,
    records,
    run_command,
    start,
    wait_for,
    workers_of,
)

STREAMS = ("captioned", "interleaved", "text")


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crawl")
    generate_demo_crawl(folder)
    return folder


@pytest.fixture(scope="module")
def reference(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The shards of an undisturbed run inside this process."""
    output = tmp_path_factory.mktemp("reference") / "out"
    assert main(["run", "demo", "-i", str(crawl), "-o", str(output), "-w", "1", "-q"]) == 0
    found = published(output)
    assert all(json.loads(found[f"{stream}/manifest.json"])["totals"]["samples"] > 20
               for stream in STREAMS)  # fmt: skip
    return found


def without_card(found: dict[str, bytes]) -> dict[str, bytes]:
    """All but the card, which quotes the recipe."""
    return {name: data for name, data in found.items() if name != "README.md"}


def has_shards(output: Path) -> bool:
    return any(name.startswith("shard-") for name in records(output, "shard"))


@pytest.fixture
def no_survivors() -> Iterator[list[psutil.Process]]:
    """Processes that must have ended when the test has: nobody may outlive a killed driver."""
    watched: list[psutil.Process] = []
    yield watched
    _, alive = psutil.wait_procs(watched, timeout=DEADLINE)
    for process in alive:
        process.kill()
    assert alive == [], "processes of a killed run are still there"


@pytest.mark.parametrize(
    ("how", "hash_seed"),
    [(("--workers", "2"), "4711"), (("--workers", "1", "--processes"), "0")],
    ids=["two-processes", "one-process"],
)
def test_shards_do_not_depend_on_workers_nor_on_the_hash_seed(
    how: tuple[str, ...],
    hash_seed: str,
    crawl: Path,
    reference: dict[str, bytes],
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        run_command(crawl, tmp_path / "out", *how), capture_output=True, timeout=DEADLINE, cwd=ROOT,
        check=False, env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert published(tmp_path / "out") == reference


def test_shards_do_not_depend_on_how_work_is_cut(
    crawl: Path, reference: dict[str, bytes], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    settings = ("input.part_bytes=65536", "dedup.buckets=3", "refs.buckets=5")
    more = [argument for setting in settings for argument in ("--set", setting)]
    assert main(["run", "demo", "-i", str(crawl), "-o", str(output), "-w", "1", "-q", *more]) == 0
    assert without_card(published(output)) == without_card(reference)


def test_files_that_stand_twice_in_the_input_change_nothing(
    crawl: Path, reference: dict[str, bytes], tmp_path: Path
) -> None:
    twice, output = tmp_path / "crawl", tmp_path / "out"
    shutil.copytree(crawl, twice)
    shutil.copy(crawl / "demo-00.warc.gz", twice / "again.warc.gz")
    shutil.copy(crawl / "demo-03.warc", twice / "other-name.warc")
    assert main(["run", "demo", "-i", str(twice), "-o", str(output), "-w", "1", "-q"]) == 0
    assert published(output) == reference
    tables = json.loads((output / "run.json").read_text())["stages"]["dedup"]["tables"]
    assert tables["distinct_pages"]["rejected_by_rule"]["same_record"] > 50


def test_killed_in_every_stage_and_between_shards_the_next_run_gives_the_same(
    crawl: Path,
    reference: dict[str, bytes],
    tmp_path: Path,
    no_survivors: list[psutil.Process],
) -> None:
    output, log = tmp_path / "out", tmp_path / "log"
    killed = []
    # The demo asks for captions where it is told to only.
    stages = [stage for stage in STAGES if stage != "recaption"]
    for stage in stages:
        before = records(output, stage)
        driver = start(run_command(crawl, output, "--workers", "2"), log)
        wait_for(lambda stage=stage, before=before: records(output, stage) - before, driver, stage)
        if driver.poll() is None:
            no_survivors += driver.children(recursive=True)
            driver.send_signal(signal.SIGKILL)
            killed.append(stage)
        driver.wait()
    assert killed == stages, f"the run was over before it could be killed: {log.read_text()}"
    driver = start(run_command(crawl, output, "--workers", "2"), log)
    wait_for(lambda: has_shards(output), driver, "the first shard")
    no_survivors += driver.children(recursive=True)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert not (output / "shards" / "text" / "manifest.json").exists(), "killed too late to tell"
    done = subprocess.run(
        run_command(crawl, output, "--workers", "2"), capture_output=True, timeout=DEADLINE,
        cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert published(output) == reference
    temporary = [path for path in output.rglob("*") if path.name.startswith(".tmp-")]
    assert temporary == [], "what killed runs left half-written is cleared by the next"


def test_a_killed_worker_neither_hangs_nor_fails_the_run(
    crawl: Path, reference: dict[str, bytes], tmp_path: Path
) -> None:
    output, log = tmp_path / "out", tmp_path / "log"
    driver = start(run_command(crawl, output, "--workers", "2", "--stages", "extract"), log)
    wait_for(lambda: records(output, "extract"), driver, "the first part")
    victims: list[psutil.Process] = []

    def has_workers() -> bool:
        victims[:] = workers_of(driver)
        return bool(victims)

    wait_for(has_workers, driver, "a worker")
    assert victims, "no worker process was found to kill"
    victims[0].kill()
    assert driver.wait(timeout=DEADLINE) == 0, log.read_text()
    assert "a worker process died; starting it again" in log.read_text()
    assert main(["run", "demo", "-i", str(crawl), "-o", str(output), "-w", "1", "-q"]) == 0
    assert published(output) == reference
