"""The server of stage processes starts before Beam is imported, and is the one that runs use."""

import subprocess
import sys

CODE = """
import sys
from pipeline.stage_start import start_importing
start_importing()
assert "apache_beam" not in sys.modules
from multiprocessing import forkserver
first = forkserver._forkserver._forkserver_pid
from pipeline import run
run.start_stage_server()
assert first and forkserver._forkserver._forkserver_pid == first
"""


def test_the_server_starts_before_beam_is_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
