"""The kernels in C: they compile without a warning, and an installation goes on without them."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.plain_kernels import COMPILER

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(ROOT.glob("transforms/_*.c"))

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler")


@needs_compiler
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_kernels_compile_without_a_warning(tmp_path: Path, source: Path) -> None:
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror"]
    headers = f"-I{sysconfig.get_paths()['include']}"
    command = [str(COMPILER), *flags, headers, "-c", str(source), "-o", str(tmp_path / "out.o")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("compiler", ["cc", "/no/such/compiler"])
def test_installation_builds_the_kernels_or_goes_on(tmp_path: Path, compiler: str) -> None:
    if compiler == "cc" and COMPILER is None:
        pytest.skip("no C compiler")
    command = [sys.executable, "setup.py", "-q", "build_ext", f"--build-lib={tmp_path}/lib"]
    run = subprocess.run(
        [*command, f"--build-temp={tmp_path}/temp"],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "CC": compiler},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    built = sorted(path.name for path in tmp_path.rglob("_*_kernel*.so"))
    ending = sysconfig.get_config_var("EXT_SUFFIX")
    kernels = [f"_{name}_kernel{ending}" for name in ("minhash", "page", "resize")]
    assert built == (kernels if compiler == "cc" else [])
