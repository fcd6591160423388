"""Runs of the real command in processes of their own, and how to find and end what they start."""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
DEADLINE = 180.0
"""Seconds that a run, or a moment in it, is waited for."""


def published(output: Path) -> dict[str, bytes]:
    """Everything below `OUT/shards`, by name; the manifests list the shards' sha256."""
    shards = output / "shards"
    return {
        path.relative_to(shards).as_posix(): path.read_bytes()
        for path in sorted(shards.rglob("*"))
        if path.is_file()
    }


def run_command(crawl: Path, output: object, *more: str, recipe: object = "demo") -> list[str]:
    """The command line of a run; `output` is a folder or a URL."""
    return [
        sys.executable, str(ROOT / "beam_runner.py"), "run", str(recipe), "--input", str(crawl),
        "--output", str(output), *more,
    ]  # fmt: skip


def start(
    arguments: list[str], log: Path, environment: Mapping[str, str] | None = None
) -> psutil.Popen:
    """Start a command at the head of a process group; its output is added to a log."""
    with log.open("ab") as file:
        return psutil.Popen(
            arguments, stdout=file, stderr=file, cwd=ROOT, start_new_session=True,
            env=None if environment is None else {**os.environ, **environment},
        )  # fmt: skip


def records(output: Path, stage: str) -> set[str]:
    """Names of the commit records of a stage."""
    folder = output / "commits" / stage
    return set(os.listdir(folder)) if folder.is_dir() else set()


def wait_for(condition: Callable[[], object], driver: psutil.Popen, what: str) -> None:
    """Wait until a condition holds or the driver has ended."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"waited too long for {what}"
        if driver.poll() is not None:
            return
        time.sleep(0.005)


def stage_processes_of(driver: psutil.Process) -> list[psutil.Process]:
    """The stage processes whose workers are up: each is the parent of its workers' clients."""
    found = {}
    with suppress(psutil.Error):
        for child in driver.children(recursive=True):
            if _is_client(child):
                with suppress(psutil.Error):
                    if (parent := child.parent()) is not None:
                        found[parent.pid] = parent
    return list(found.values())


def workers_of(driver: psutil.Process) -> list[psutil.Process]:
    """The worker processes: children of the worker server, which is a child of a stage process."""
    found = []
    for stage_process in stage_processes_of(driver):
        with suppress(psutil.Error):
            for server in stage_process.children():
                if not _is_client(server):
                    with suppress(psutil.Error):
                        found += server.children()
    return found


def _is_client(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return any("worker_client.py" in argument for argument in process.cmdline())
    return False


def processes_with(variable: str, value: str) -> list[psutil.Process]:
    """Processes that were started with an environment variable of that value, at any depth."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(variable) == value and process.pid != os.getpid():
                found.append(process)
    return [each for each in found if _is_running(each)]


def _is_running(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def end_group(driver: psutil.Process, number: signal.Signals) -> None:
    """Send a signal to the process group of a driver, as a terminal does."""
    with suppress(ProcessLookupError):
        os.killpg(driver.pid, number)
