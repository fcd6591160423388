"""The module that `setup.py` builds where there is a C compiler; `minhash_kernel.py` calls it."""

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

def folds(block: Callable[[int], bytes], token: Callable[[bytes], bytes], /) -> object: ...
def sign(
    folds: object,
    pieces: Iterable[bytes],
    factors: bytes,
    addends: bytes,
    ngram: int,
    characters: bool,
    row: npt.NDArray[np.uint32],
    /,
) -> int: ...
def shingles(folds: object, pieces: Iterable[bytes], ngram: int, characters: bool, /) -> bytes: ...
