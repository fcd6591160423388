"""What of a page is compared with others: its signature, or the shingles of its text.

It travels as bytes from the part that a page is in to wherever the page meets another.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.clusters import Indices, Similarity
from transforms.minhash import MinHashConfig, estimate_similarity
from transforms.pages import positions
from transforms.shingle_sets import ShingleSet, iter_shingle_sets, jaccard, of_column, to_column
from transforms.signed_pages import DedupConfig, SignedFiles, to_signatures


def iter_sets(
    output: str, files: SignedFiles, ids: Iterable[str], config: MinHashConfig
) -> Iterator[tuple[str, ShingleSet]]:
    """The shingles of some pages of a part, each once, one page after the other."""
    wanted = sorted(set(ids))
    if not wanted:
        return iter(())
    assert files.pages is not None, f"{files.part}: nothing says where its texts lie"
    return iter_shingle_sets(files.home(output), files.pages, wanted, config)


def read_compared(
    output: str, config: DedupConfig, files: SignedFiles, pages: pa.Table, rows: Indices
) -> pa.ChunkedArray:
    """What is compared of some pages of a part, as `dedup.verify` says.

    Args:
        output: The output of the run.
        config: Says what is compared.
        files: The files of the part.
        pages: Its signed pages (`signed_pages.read_signed`).
        rows: The rows of the pages that are compared; -1 is not allowed.

    Returns:
        Bytes for each of `rows`, in their order.
    """
    if config.verify == "signatures":
        return pages["signature"].take(pa.array(rows)).cast(pa.large_binary())
    ids = pages["id"].take(pa.array(rows)).to_pylist()
    found = dict(iter_sets(output, files, ids, config.minhash))
    return pa.chunked_array([to_column([found[page_id] for page_id in ids])])


class Comparison:
    """Compares pages by what was read of them."""

    def __init__(self, config: DedupConfig, ids: pa.ChunkedArray, compared: pa.ChunkedArray):
        """Take the pages, and of each the bytes of `read_compared`."""
        self._config = config
        self._ids = ids
        self._compared = compared

    def __call__(self, wanted: pa.Array) -> Similarity:
        """What compares the pages of some distinct ids, all among those that were taken."""
        at = positions(self._ids, pa.chunked_array([wanted]))
        assert (at >= 0).all(), "a page is compared that was not asked for"
        compared = self._compared.take(pa.array(at))
        if self._config.verify == "signatures":
            values = to_signatures(compared, self._config.minhash)
            return lambda pairs: estimate_similarity(values[pairs[:, 0]], values[pairs[:, 1]])
        sets = [np.empty(0, np.uint64) if one is None else one for one in of_column(compared)]
        return lambda pairs: _jaccards(sets, pairs)


def _jaccards(sets: list[ShingleSet], pairs: Indices) -> npt.NDArray[np.float64]:
    return np.array([jaccard(sets[a], sets[b]) for a, b in pairs.tolist()], np.float64)
