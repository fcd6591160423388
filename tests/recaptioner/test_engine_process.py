"""An engine whose core, and then whose own process, is killed."""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from recaptioner.engines import gpus
from recaptioner.engines.gpus import VISIBLE, lease_gpus
from schemas.errors import RecipeError

SCRIPT = Path(__file__).with_name("engine_process.py")
SECONDS = 400.0
"""Longest wait, of which loading is nearly all."""


class Lines:
    """What the process says, as it says it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=[process.stdout], daemon=True).start()

    def _read(self, stream: Any) -> None:
        for line in stream:
            self._lines.put(line)
        self._lines.put(b'{"ended": true}')

    def next(self) -> dict[str, Any]:
        while not (line := self._lines.get(timeout=SECONDS)).startswith(b"{"):
            pass
        return json.loads(line)


def wait_for(*processes: psutil.Process) -> list[psutil.Process]:
    """Those that have not ended in time."""
    return psutil.wait_procs(processes, timeout=60)[1]


@pytest.mark.slow
def test_a_killed_core_loses_the_engine_and_a_killed_process_leaves_nothing(
    captioner_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(gpus, "lock_folder", lambda: tmp_path / f"weft-gpus-{os.getuid()}")
    monkeypatch.setenv(VISIBLE, "")
    # A GPU by name, so that the engine locks it: the build for CPUs looks at none.
    environment = {
        **os.environ,
        VISIBLE: "0",
        "TMPDIR": str(tmp_path),
        # Sockets of vLLM: a path of theirs may have 107 bytes.
        "VLLM_RPC_BASE_PATH": tempfile.gettempdir(),
    }
    with (tmp_path / "errors").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(captioner_folder)],
            env=environment, stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
    try:
        lines = Lines(process)
        first = lines.next()
        assert first.get("error") == "", (tmp_path / "errors").read_text()[-3000:]
        family = psutil.Process(process.pid).children(recursive=True)
        (core,) = [each for each in family if "EngineCore" in "".join(each.cmdline())]
        with pytest.raises(RecipeError, match="others hold the rest"):
            lease_gpus(["0"], 1, 0)
        core.send_signal(signal.SIGKILL)
        assert "EngineCore has died" in lines.next()["lost"]
        # The process that asked is well, and so is its lock.
        time.sleep(0.5)
        assert process.poll() is None
        with pytest.raises(RecipeError, match="others hold the rest"):
            lease_gpus(["0"], 1, 0)
        process.kill()
        process.wait(60)
        lease_gpus(["0"], 1, 60).release()
        assert wait_for(*family) == []
    finally:
        process.kill()
        process.wait(60)
        assert process.stdout is not None
        process.stdout.close()
