"""Ids as numbers: 32 hexadecimal digits are two numbers of 64 bits, and keep their order.

Billions of ids are compared, sorted and moved in arrays of 16 bytes an id. All 128 bits count:
among three billion pages two would share their first 64 bits with a chance of one in five.
"""

import binascii

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.ids import ID_DIGITS

Numbers = npt.NDArray[np.uint64]
"""Ids, [ids, 2]: the first and the last 64 bits of each."""
Indices = npt.NDArray[np.int64]

BINARY_ID = pa.binary(ID_DIGITS // 2)
"""How ids travel where nobody reads them: as their bytes."""


def numbers_of(ids: pa.ChunkedArray) -> Numbers:
    """The numbers of ids. Raises `ValueError` where one has not 32 hexadecimal digits."""
    found = [np.empty((0, 2), np.uint64)]
    for chunk in ids.chunks:
        if (pc.binary_length(chunk).to_numpy(zero_copy_only=False) != ID_DIGITS).any():
            raise ValueError(f"an id has not {ID_DIGITS} digits")
        if len(chunk):
            # All values have one length, so they stand side by side from the first on.
            first = int(np.frombuffer(chunk.buffers()[1], np.int32)[chunk.offset])
            values = memoryview(chunk.buffers()[2])
            found.append(_from_bytes(
                binascii.unhexlify(values[first : first + len(chunk) * ID_DIGITS])
            ))  # fmt: skip
    return np.concatenate(found)


def to_column(numbers: Numbers) -> pa.Array:
    """Numbers as a column of `BINARY_ID`."""
    data = pa.py_buffer(np.ascontiguousarray(numbers.astype(">u8")))
    return pa.Array.from_buffers(BINARY_ID, len(numbers), [None, data])


def from_column(column: pa.ChunkedArray) -> Numbers:
    """The numbers of a column of `BINARY_ID`."""
    width = ID_DIGITS // 2
    found = [np.empty((0, 2), np.uint64)]
    for chunk in column.chunks:
        if len(chunk):
            data = memoryview(chunk.buffers()[1])
            found.append(_from_bytes(data[chunk.offset * width :][: len(chunk) * width]))
    return np.concatenate(found)


def distinct(numbers: Numbers) -> tuple[Numbers, Indices]:
    """Distinct ids in their order, and for each of the given ones its place among them."""
    if not len(numbers):
        return numbers, np.empty(0, np.int64)
    order = np.argsort(numbers[:, 0])
    ordered = numbers[order]
    same = ordered[1:] == ordered[:-1]
    if (same[:, 0] & ~same[:, 1]).any():
        # Two ids share 64 bits, which hardly ever happens: sorting by all of them is slower.
        order = np.lexsort((numbers[:, 1], numbers[:, 0]))
        ordered = numbers[order]
        same = ordered[1:] == ordered[:-1]
    new = np.r_[True, ~same.all(axis=1)]
    values = ordered[new]
    del ordered
    places = np.empty(len(numbers), np.int64)
    places[order] = np.cumsum(new) - 1
    return values, places


def buckets_of(numbers: Numbers, count: int) -> Indices:
    """The bucket of each id, one of `count`: ids are hashes, so buckets are alike in size."""
    return (numbers[:, 1] % np.uint64(count)).astype(np.int64)


def _from_bytes(data: bytes | memoryview) -> Numbers:
    return np.frombuffer(data, ">u8").reshape(-1, 2).astype(np.uint64)
