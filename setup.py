"""What pyproject.toml cannot say: the kernels are built where there is a C compiler.

Without one the installation goes on, and the numpy code that a kernel repeats does its work.
"""

from pathlib import Path

from setuptools import Extension, setup

HERE = Path(__file__).parent


def kernel(name: str) -> Extension:
    """The module `transforms._NAME_kernel` of all files whose names begin like its own."""

    def files(ending: str) -> list[str]:
        found = HERE.glob(f"transforms/_{name}_*.{ending}")
        return sorted(path.relative_to(HERE).as_posix() for path in found)

    return Extension(
        f"transforms._{name}_kernel",
        files("c"),
        depends=files("h"),
        extra_compile_args=["-std=c11", "-O3", "-ffp-contract=off", "-fvisibility=hidden"],
        optional=True,
    )


setup(ext_modules=[kernel("page"), kernel("minhash"), kernel("resize")])
