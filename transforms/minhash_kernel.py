"""Signatures computed in C where a compiler was there at installation: the same bits, much faster.

From the text to its minima in one pass (`_minhash_*.c`): words are folded and hashed, shingles
roll, and the permutations run in the widest registers that the processor has. Folding of ASCII is
done there; of the rest of Unicode the kernel knows only what `text_words.py` tells it, a block of
code points when the first of them turns up. The numpy code in `minhash.py` is the description and
the reference, and runs where the kernel was not built.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from transforms.text_words import fold_block, fold_token, pieces

try:
    from transforms import _minhash_kernel
except ImportError:  # not built: there was no C compiler
    AVAILABLE = False
else:
    AVAILABLE = True

Hashes = npt.NDArray[np.uint32]
Numbers = npt.NDArray[np.uint64]


@cache
def _folds() -> object:
    return _minhash_kernel.folds(fold_block, fold_token)


def sign_texts(
    texts: Sequence[str], a: Hashes, b: Hashes, ngram: int, characters: bool
) -> tuple[Hashes, Numbers]:
    """What `minhash.sign` gives.

    Args:
        texts: Of any length; other threads run while the words of a text are hashed.
        a: The factors of the permutations.
        b: Their addends, as many.
        ngram: Words or characters of a shingle.
        characters: Whether it is characters.
    """
    result = np.empty((len(texts), len(a)), dtype=np.uint32)
    factors, addends = a.tobytes(), b.tobytes()
    sums = np.empty(len(texts), dtype=np.uint64)
    for number, (row, text) in enumerate(zip(result, texts, strict=True)):
        sums[number] = _minhash_kernel.sign(
            _folds(), pieces(text), factors, addends, ngram, characters, row
        )
    return result, sums


def shingle_values(text: str, ngram: int, characters: bool) -> Numbers:
    """What `minhash.shingle_values` gives; read-only."""
    values = _minhash_kernel.shingles(_folds(), pieces(text), ngram, characters)
    return np.frombuffer(values, dtype=np.uint64)
