"""Real processes joined by gloo: a training, started as `torchrun` starts it."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def start_ranks(module: str, arguments: Sequence[str], ranks: int = 1) -> subprocess.Popen[str]:
    """`python -m MODULE ARGUMENTS` on some ranks, one thread each."""
    command = [sys.executable]
    if ranks > 1:
        command += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    return subprocess.Popen(
        [*command, "-m", module, *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_ranks(module: str, arguments: Sequence[str], ranks: int = 1) -> str:
    """The same to its end; what it printed. Fails where it does."""
    with start_ranks(module, arguments, ranks) as process:
        out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err[-4000:]
    return out


def read_log(output: Path) -> list[dict[str, Any]]:
    """The lines of a run's log."""
    lines = (output / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]
