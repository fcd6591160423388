"""Programs that a benchmark runs: one measurement a process, peers in environments of their own."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RUN_SECONDS = 900
"""Of one run; the slowest, BeautifulSoup over six hundred pages, takes a sixth."""


def run_json(command: Sequence[str | Path], seconds: int = RUN_SECONDS) -> dict[str, Any]:
    """The JSON on the last line that a program prints, within so many seconds.

    Raises:
        SystemExit: The program failed; it has said why on standard error.
    """
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=seconds, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words)}: ended with status {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def new_environment(folder: Path, packages: Sequence[str]) -> str:
    """The interpreter of a throwaway environment with the newest versions of packages."""
    uv = str(Path(sys.executable).with_name("uv"))
    environment = folder / "peers"
    say(f"installing {', '.join(packages)} into a throwaway environment")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, environment], check=True)
    python = str(environment / "bin" / "python")
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *packages], check=True)
    return python


def say(text: str) -> None:
    """A line of progress."""
    print(f"==> {text}", file=sys.stderr, flush=True)
