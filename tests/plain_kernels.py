"""The kernels as they are for processors without wide registers, built by a test."""

import importlib.machinery
import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMPILER = shutil.which("cc")


def build_plain_kernel(name: str, folder: Path, define: str) -> Any:
    """The module `transforms._NAME_kernel`, loaded beside the one that is installed.

    Skips the test where there is no compiler.

    Args:
        name: As `minhash`.
        folder: Where it is built.
        define: The macro that leaves wide registers out, as `PLAIN`.
    """
    if COMPILER is None or sys.platform != "linux":
        pytest.skip("takes a C compiler, and flags of a shared library on Linux")
    module = f"_{name}_kernel"
    library = folder / f"{module}.so"
    sources = sorted(ROOT.glob(f"transforms/_{name}_*.c"))
    command = [
        COMPILER, "-std=c11", "-O2", "-shared", "-fPIC", f"-D{define}",
        f"-I{sysconfig.get_paths()['include']}",
        *map(str, sources), "-o", str(library), "-lm",
    ]  # fmt: skip
    subprocess.run(command, check=True)
    loader = importlib.machinery.ExtensionFileLoader(module, str(library))
    spec = importlib.util.spec_from_file_location(module, library, loader=loader)
    assert spec is not None
    built = importlib.util.module_from_spec(spec)
    loader.exec_module(built)
    return built
