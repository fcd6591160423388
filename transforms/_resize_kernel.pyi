"""The module that `setup.py` builds where there is a C compiler; `resize.py` calls it."""

import numpy as np
import numpy.typing as npt

def resize(
    source: object,
    lines: tuple[int, int],
    size: tuple[int, int],
    box: tuple[float, float, float, float],
    whole: tuple[int, int],
    window: tuple[int, int, int, int],
    support: int,
    out: npt.NDArray[np.uint8],
    /,
) -> None: ...
