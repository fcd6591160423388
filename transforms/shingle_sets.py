"""Exact Jaccard similarity of texts: sets of hashed shingles, made when a pair is looked at.

The shingles are those of the signature, by all 64 bits of their hash: two sets are equal in size
and common part to those of the shingles themselves unless two of some thousand million shingles
collide. A set has 8 bytes a distinct shingle, some ten times a signature, so it is kept nowhere:
the texts of pages that have a candidate are read again.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.minhash import MinHashConfig, TokenHashes, shingle_values
from transforms.pages import PageFiles, iter_page_texts

ShingleSet = npt.NDArray[np.uint64]
"""Distinct hashes, sorted."""


def shingle_set(text: str, config: MinHashConfig, known: TokenHashes) -> ShingleSet:
    """The distinct shingles of a text; none of a text without a word.

    Args:
        text: The text.
        config: What a shingle is.
        known: A cache that several texts share.
    """
    values = np.sort(shingle_values(text, config, known))
    # `np.unique` takes five times as long for so few.
    new = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=new[1:])
    distinct: ShingleSet = values[new]
    return distinct


def jaccard(a: ShingleSet, b: ShingleSet) -> float:
    """The share of the shingles of two sets that both have; 1.0 only where they are equal.

    Sets without a shingle say nothing: 0.0.
    """
    both = np.concatenate((a, b))
    # Merges two sorted runs: faster than to look the one up in the other.
    both.sort(kind="stable")
    common = int(np.count_nonzero(both[1:] == both[:-1]))
    return common / max(len(both) - common, 1)


def iter_shingle_sets(
    output: str, files: PageFiles, ids: Sequence[str], config: MinHashConfig
) -> Iterator[tuple[str, ShingleSet]]:
    """The sets of some pages of a part, one page after the other, in the order of its files.

    Args:
        output: Where the files lie.
        files: The files of the part.
        ids: Distinct ids of pages.
        config: What a shingle is.

    Raises:
        ValueError: The part has no such page.
    """
    missing = set(ids)
    known = TokenHashes()
    for found, texts, _ in iter_page_texts(output, files, only=pa.array(ids, pa.string())):
        for page_id, text in zip(found, texts, strict=True):
            if page_id in missing:  # the same record may stand there twice
                missing.remove(page_id)
                yield page_id, shingle_set(text, config, known)
    if missing:
        raise ValueError(f"{files.part} has no page {min(missing)}, whose text is to be compared")


def to_column(sets: Sequence[ShingleSet | None]) -> pa.Array:
    """Sets as a column of bytes, so that they can travel."""
    return pa.array([None if one is None else one.tobytes() for one in sets], pa.large_binary())


def of_column(column: pa.ChunkedArray) -> list[ShingleSet | None]:
    """The sets of a column of `to_column`."""
    return [None if one is None else np.frombuffer(one, np.uint64) for one in column.to_pylist()]
