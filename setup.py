"""What pyproject.toml cannot say: the page kernel is built where there is a C compiler.

Without one the installation goes on, and the numpy code that the kernel repeats does its work.
"""

from pathlib import Path

from setuptools import Extension, setup

HERE = Path(__file__).parent

setup(
    ext_modules=[
        Extension(
            "transforms._page_kernel",
            sorted(path.relative_to(HERE).as_posix() for path in HERE.glob("transforms/_page_*.c")),
            depends=sorted(
                path.relative_to(HERE).as_posix() for path in HERE.glob("transforms/_page_*.h")
            ),
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            extra_compile_args=["-std=c11", "-O3", "-fvisibility=hidden"],
            py_limited_api=True,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
