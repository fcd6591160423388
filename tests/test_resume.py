"""Same shards whatever happens: other worker counts, killed drivers, killed workers."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from beam_runner import main
from pipeline.demo import generate_demo_crawl
from pipeline.run_record import STAGES

ROOT = Path(__file__).resolve().parents[1]
STREAMS = ("captioned", "interleaved", "text")
DEADLINE = 180.0


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


def published(output: Path) -> dict[str, bytes]:
    """Everything below `OUT/shards`, by name; the manifests list the shards' sha256."""
    shards = output / "shards"
    return {
        path.relative_to(shards).as_posix(): path.read_bytes()
        for path in sorted(shards.rglob("*"))
        if path.is_file()
    }


def without_card(found: dict[str, bytes]) -> dict[str, bytes]:
    """All but the card, which quotes the recipe."""
    return {name: data for name, data in found.items() if name != "README.md"}


def command(crawl: Path, output: Path, *more: str) -> list[str]:
    return [
        sys.executable, str(ROOT / "beam_runner.py"), "run", "demo", "--input", str(crawl),
        "--output", str(output), *more,
    ]  # fmt: skip


def start(arguments: list[str], log: Path) -> psutil.Popen:
    with log.open("ab") as file:
        return psutil.Popen(arguments, stdout=file, stderr=file, cwd=ROOT)


def records(output: Path, stage: str) -> set[str]:
    folder = output / "commits" / stage
    return set(os.listdir(folder)) if folder.is_dir() else set()


def has_shards(output: Path) -> bool:
    return any(name.startswith("shard-") for name in records(output, "shard"))


def wait_for(condition: object, driver: psutil.Popen, what: str) -> None:
    """Wait until a condition holds or the driver has ended."""
    assert callable(condition)
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"waited too long for {what}"
        if driver.poll() is not None:
            return
        time.sleep(0.005)


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
        command(crawl, tmp_path / "out", *how), capture_output=True, timeout=DEADLINE, cwd=ROOT,
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
        driver = start(command(crawl, output, "--workers", "2"), log)
        wait_for(lambda stage=stage, before=before: records(output, stage) - before, driver, stage)
        if driver.poll() is None:
            no_survivors += driver.children(recursive=True)
            driver.send_signal(signal.SIGKILL)
            killed.append(stage)
        driver.wait()
    assert killed == stages, f"the run was over before it could be killed: {log.read_text()}"
    driver = start(command(crawl, output, "--workers", "2"), log)
    wait_for(lambda: has_shards(output), driver, "the first shard")
    no_survivors += driver.children(recursive=True)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert not (output / "shards" / "text" / "manifest.json").exists(), "killed too late to tell"
    done = subprocess.run(
        command(crawl, output, "--workers", "2"), capture_output=True, timeout=DEADLINE, cwd=ROOT,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert published(output) == reference
    temporary = [path for path in output.rglob("*") if path.name.startswith(".tmp-")]
    assert temporary == [], "what killed runs left half-written is cleared by the next"


def workers_of(driver: psutil.Popen) -> list[psutil.Process]:
    """The worker processes: children of the worker server, which is a child of a stage process."""
    found = []
    with_clients = {
        child.ppid()
        for child in driver.children(recursive=True)
        if any("worker_client.py" in argument for argument in _arguments(child))
    }
    for stage_process in with_clients:
        for server in psutil.Process(stage_process).children():
            if not any("worker_client.py" in argument for argument in _arguments(server)):
                found += server.children()
    return found


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_killed_worker_neither_hangs_nor_fails_the_run(
    crawl: Path, reference: dict[str, bytes], tmp_path: Path
) -> None:
    output, log = tmp_path / "out", tmp_path / "log"
    driver = start(command(crawl, output, "--workers", "2", "--stages", "extract"), log)
    wait_for(lambda: records(output, "extract"), driver, "the first part")
    victims: list[psutil.Process] = []

    def has_workers() -> bool:
        try:
            victims[:] = workers_of(driver)
        except psutil.NoSuchProcess:
            victims.clear()
        return bool(victims)

    wait_for(has_workers, driver, "a worker")
    assert victims, "no worker process was found to kill"
    victims[0].kill()
    assert driver.wait(timeout=DEADLINE) == 0, log.read_text()
    assert "a worker process died; starting it again" in log.read_text()
    assert main(["run", "demo", "-i", str(crawl), "-o", str(output), "-w", "1", "-q"]) == 0
    assert published(output) == reference
