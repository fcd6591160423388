"""Which GPUs are whose: an engine holds a lock file for each of its devices.

Workers are processes that know nothing of each other, and two engines on one GPU end both. A lock
is the kernel's (`flock`), so it goes with the process that holds it, however that ends.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from schemas.errors import RecipeError

VISIBLE = "CUDA_VISIBLE_DEVICES"
_LIST_SECONDS = 60.0
_POLL_SECONDS = 0.2


def visible_gpus() -> list[str]:
    """Names of the GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` takes them."""
    chosen = os.environ.get(VISIBLE)
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    listed = subprocess.run(
        [command, "-L"], capture_output=True, text=True, timeout=_LIST_SECONDS, check=False
    )
    return re.findall(r"^GPU (\d+):", listed.stdout, re.MULTILINE) if not listed.returncode else []


def cuda_is_in_use() -> bool:
    """Whether CUDA has begun in this process: from then on its devices cannot be chosen."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_initialized())


class GpuLease:
    """GPUs held for an engine until `release`, or until the process ends."""

    def __init__(self, names: list[str], files: ExitStack) -> None:
        self.names = names
        self._files = files

    def release(self) -> None:
        """Let others have them. `CUDA_VISIBLE_DEVICES` stays: CUDA reads it once a process."""
        self._files.close()


def lock_folder() -> Path:
    """The folder of the lock files, one a user of this machine."""
    return Path(tempfile.gettempdir()) / f"weft-gpus-{os.getuid()}"


def _try_lock(name: str, files: ExitStack) -> bool:
    folder = lock_folder()
    folder.mkdir(mode=0o700, exist_ok=True)
    file = (folder / (re.sub(r"[^0-9A-Za-z-]", "_", name) + ".lock")).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    files.enter_context(file)
    return True


def lease_gpus(names: list[str], count: int, wait_seconds: float) -> GpuLease:
    """Take `count` of these GPUs and make them the only ones that CUDA shows this process.

    Args:
        names: As of `visible_gpus`.
        count: How many.
        wait_seconds: An engine whose worker has just been ended needs a moment to let go.

    Raises:
        RecipeError: There are not as many, or others hold them.
    """
    if count > len(names):
        raise RecipeError(
            f"recaption.vllm.tensor_parallel_size: {count}, where this machine shows "
            f"{len(names)} GPUs"
        )
    deadline = time.monotonic() + wait_seconds
    while True:
        with ExitStack() as files:
            taken: list[str] = []
            for name in names:
                if len(taken) < count and _try_lock(name, files):
                    taken.append(name)
            if len(taken) == count:
                os.environ[VISIBLE] = ",".join(taken)
                return GpuLease(taken, files.pop_all())
        if time.monotonic() >= deadline:
            raise RecipeError(
                f"recaption.vllm: an engine holds {count} of the {len(names)} GPUs of this machine "
                "for itself and others hold the rest: run with fewer workers, at most "
                f"--workers {len(names) // count}"
            )
        time.sleep(_POLL_SECONDS)
