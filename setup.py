"""What pyproject.toml cannot say: the kernels are built where there is a C compiler.

Without one the installation goes on, and the numpy code that a kernel repeats does its work.
"""

import platform
import sys
from pathlib import Path

from setuptools import Extension, setup

HERE = Path(__file__).parent
# What processors of the last ten years have; `page_kernel.py` asks before it takes it.
AVX2 = ["-mavx2", "-mbmi", "-mbmi2"]


def kernel(name: str, build: str = "", flags: list[str] | None = None) -> Extension:
    """The module `transforms._NAME_kernel` of all files whose names begin like its own.

    Args:
        name: As `page`.
        build: Behind the name of the module, where it is built more than once.
        flags: What its compiler is told more.
    """

    def files(ending: str) -> list[str]:
        found = HERE.glob(f"transforms/_{name}_*.{ending}")
        return sorted(path.relative_to(HERE).as_posix() for path in found)

    return Extension(
        f"transforms._{name}_kernel{build}",
        files("c"),
        depends=files("h"),
        define_macros=[("BUILD", build)] if build else [],
        extra_compile_args=[
            "-std=c11", "-O3", "-ffp-contract=off", "-fvisibility=hidden", *(flags or []),
        ],
        optional=True,
    )  # fmt: skip


kernels = [kernel("page"), kernel("minhash"), kernel("resize")]
if sys.platform == "linux" and platform.machine() == "x86_64":
    # Its time is spread over a hundred small functions, so no few of them can be built twice.
    kernels.append(kernel("page", "_avx2", AVX2))

setup(ext_modules=kernels)
