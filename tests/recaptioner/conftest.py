"""Real vLLM for the tests: one engine in the process and one server, each for the whole session.

Every test that uses one of them runs in one process (`tests/conftest.py`).
"""

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from recaptioner.engines.in_process import VllmEngine
from recaptioner.engines.vllm_config import VllmConfig
from recaptioner.models import tiny_captioner_folder
from tests.captioners import make_captioner

START_SECONDS = 400.0
SERVED = "tiny"


@pytest.fixture(scope="session")
def captioner_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The captioner that is shipped, or one whose weights are drawn."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed (make setup-recaption)")
    shipped = tiny_captioner_folder()
    if (shipped / "config.json").is_file():
        return shipped
    return make_captioner(tmp_path_factory.mktemp("captioner") / "drawn")


def captioner_config(folder: Path) -> VllmConfig:
    return VllmConfig(
        model=str(folder), dtype="float32", enforce_eager=True, kv_cache_gib=0.25, max_num_seqs=32
    )


@pytest.fixture(scope="session")
def vllm_engine(captioner_folder: Path) -> Iterator[VllmEngine]:
    """vLLM in this process; a test leaves nothing in flight."""
    engine = VllmEngine(captioner_config(captioner_folder), with_prompt_ids=True)
    yield engine
    engine.close()


@dataclass
class VllmServer:
    """A server of vLLM that was started here."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def cores(self) -> list[psutil.Process]:
        """Its EngineCore."""
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if "EngineCore" in "".join(child.cmdline())]

    def wait_until_ready(self) -> None:
        health = self.url.removesuffix("/v1") + "/health"
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                with urllib.request.urlopen(health, timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                assert self.process.poll() is None, self.log.read_text()[-3000:]
                assert time.monotonic() < deadline, self.log.read_text()[-3000:]
                time.sleep(0.5)

    def end(self) -> None:
        try:
            family = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            family = []
        self.process.kill()
        for process in family:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait(60)


@pytest.fixture(scope="session")
def vllm_server(
    captioner_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VllmServer]:
    """vLLM's server on loopback with the same model; only a test that `ends_vllm_server` may."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", captioner_folder,
        "--served-model-name", SERVED, "--dtype", "float32", "--enforce-eager",
        "--kv-cache-memory-bytes", "256M", "--max-num-seqs", "32", "--seed", "0",
        "--limit-mm-per-prompt", '{"image": 1}', "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    quiet = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command], stdout=output, stderr=subprocess.STDOUT,
            env={**os.environ, **quiet},
        )  # fmt: skip
    server = VllmServer(process, f"http://127.0.0.1:{port}/v1", log)
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.end()
