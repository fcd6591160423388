"""The keys by which duplicates meet, and the pairs that follow from them.

What is shuffled is a row a key: its kind, a 64-bit key, a 64-bit check, and the *node*, which is
where the page stands: the number of its part and its row there. Pages of equal keys meet in a
bucket. For an exact kind (`record`, `text`, `url`) key and check are the halves of a cryptographic
hash, so equal means equal. For `near_text` the key is that of a band of the signature (MinHash
LSH), the check tells whether the whole signatures are equal; pairs that meet are candidates. Where
texts are compared, the check tells whether all shingles are: pages of one signature may differ, and
which of them stands for the others must not hang on where it stands.

Nothing here depends on the order of rows. The number of a part only names it: which of several
pages with one signature stands for them has no effect on what is found similar.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.ids import digest
from transforms.minhash import MinHashConfig, Signatures, band_keys, has_words

NEAR_TEXT = 0
KINDS = ("near_text", "record", "text", "url")
"""Kinds of duplicates, by their code."""
SPLIT = 255
"""Code of a row that reports a group above `MAX_GROUP`: `a` is one of its nodes, `b` its size."""
MAX_GROUP = 64
"""Different signatures under one band key that are compared each with each."""

KEY_SCHEMA = pa.schema(
    [
        pa.field("kind", pa.uint8(), False),
        pa.field("key", pa.uint64(), False),
        pa.field("check", pa.uint64(), False),
        pa.field("node", pa.uint64(), False),
    ]
)
"""What is shuffled first."""

PAIR_SCHEMA = pa.schema(
    [
        pa.field("kind", pa.uint8(), False),
        pa.field("a", pa.uint64(), False),
        pa.field("b", pa.uint64(), False),
    ]
)
"""Two nodes, `a` below `b`."""

Numbers = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]

_PART_BITS = 32
_ROW_MASK = np.uint64((1 << _PART_BITS) - 1)
_MIX = np.uint64(0x9FB21C651E98DF25)


def node_numbers(part: int, rows: Indices) -> Numbers:
    """The nodes of rows of a part."""
    return np.uint64(part) << np.uint64(_PART_BITS) | rows.astype(np.uint64)


def part_of(nodes: Numbers) -> Indices:
    """The part of each node."""
    return (nodes >> np.uint64(_PART_BITS)).astype(np.int64)


def row_of(nodes: Numbers) -> Indices:
    """The row of each node within its part."""
    return (nodes & _ROW_MASK).astype(np.int64)


def key_rows(
    part: int,
    ids: Sequence[str],
    text_keys: Sequence[str],
    urls: Sequence[str],
    signatures: Signatures,
    config: MinHashConfig,
    same: Numbers | None = None,
) -> pa.Table:
    """The keys of a part's pages.

    Args:
        part: The number of the part.
        ids: The id of each page, 32 hexadecimal digits: the same record read twice meets itself.
        text_keys: `minhash.text_hash` of each page, empty where it has no text.
        urls: The normalised URL of each page, empty where it is not the page's own.
        signatures: MinHash signatures, [pages, hashes]. A text without a word gets no key.
        config: The bands.
        same: A number for each page, the same for pages that count as one; by default that of the
            signature.

    Returns:
        Rows of `KEY_SCHEMA`.
    """
    chosen = np.flatnonzero(has_words(signatures))
    bands = band_keys(signatures[chosen], config)
    nodes = [np.repeat(node_numbers(part, chosen), config.bands)]
    keys = [bands.ravel()]
    own = _signature_checks(bands) if same is None else same[chosen]
    checks = [np.repeat(own, config.bands)]
    kinds = [np.full(len(nodes[0]), NEAR_TEXT, np.uint8)]
    for code, values in ((1, ids), (2, text_keys), (3, urls)):
        rows, halves = _exact_keys(KINDS[code], values)
        nodes.append(node_numbers(part, rows))
        keys.append(halves[:, 0])
        checks.append(halves[:, 1])
        kinds.append(np.full(len(rows), code, np.uint8))
    columns = (np.concatenate(column) for column in (kinds, keys, checks, nodes))
    return pa.table([pa.array(column) for column in columns], schema=KEY_SCHEMA)


def _signature_checks(bands: Numbers) -> Numbers:
    """A number for each signature, from its band keys [signatures, bands]: equal for equal ones."""
    check = np.zeros(len(bands), np.uint64)
    for band in bands.T:
        check = (check ^ band) * _MIX
        check ^= check >> np.uint64(29)
    return check


def _exact_keys(kind: str, values: Sequence[str]) -> tuple[Indices, Numbers]:
    """Rows that have a value, and the 128-bit key of each as two numbers, [rows, 2]."""
    rows = [row for row, value in enumerate(values) if value]
    data = b"".join(bytes.fromhex(digest(kind, values[row])) for row in rows)
    return np.asarray(rows, np.int64), np.frombuffer(data, "<u8").reshape(-1, 2)


def pairs_of_keys(rows: pa.Table, most: int = MAX_GROUP) -> pa.Table:
    """Pairs of pages that share a key.

    Pages that are equal by key and check become a star around the smallest node. Different
    signatures under one band key are compared each with each, up to `most` of them. A larger group
    is split, in the order of the checks, into groups of `most`, each a star around its first, and
    those firsts a star around the first of all: n pages cost n - 1 pairs, and pages that are as
    similar to each other as the key says still form one component. `SPLIT` rows tell of it.

    Args:
        rows: Rows of `KEY_SCHEMA` of one bucket, in any order.
        most: Size above which a group is split.

    Returns:
        Rows of `PAIR_SCHEMA`: distinct pairs of this bucket, and a row for each group split.
    """
    kind, key, check, node = (rows[name].to_numpy() for name in KEY_SCHEMA.names)
    order = np.lexsort((node, check, key, kind))
    kind, key, check, node = kind[order], key[order], check[order], node[order]
    same_key = _runs(kind, key)
    same = _runs(same_key, check)
    first = np.r_[True, same[1:] != same[:-1]] if len(same) else np.empty(0, bool)
    leader = np.flatnonzero(first)[same] if len(same) else np.empty(0, np.int64)
    others = np.flatnonzero(~first)
    found = [(kind[others], node[leader[others]], node[others])]
    near = np.flatnonzero(first & (kind == NEAR_TEXT))
    found += _pairs_of_groups(node[near], same_key[near], most)
    kinds, a, b = (np.concatenate(column) for column in zip(*found, strict=True))
    small = kinds == SPLIT
    low, high = np.where(small, a, np.minimum(a, b)), np.where(small, b, np.maximum(a, b))
    return distinct_pairs(kinds, low, high)


def distinct_pairs(kind: npt.NDArray[np.uint8], a: Numbers, b: Numbers) -> pa.Table:
    """Rows of `PAIR_SCHEMA` without repetition, sorted by kind, a, b."""
    order = np.lexsort((b, a, kind))
    kind, a, b = kind[order], a[order], b[order]
    new = np.ones(len(a), bool)
    new[1:] = (kind[1:] != kind[:-1]) | (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    columns = [pa.array(column[new]) for column in (kind, a, b)]
    return pa.table(columns, schema=PAIR_SCHEMA)


def _runs(*columns: npt.NDArray[np.generic]) -> Indices:
    """Of sorted rows, the number of the run of equal values that each is in."""
    length = len(columns[0])
    if not length:
        return np.empty(0, np.int64)
    new = np.zeros(length, bool)
    for column in columns:
        new[1:] |= column[1:] != column[:-1]
    return np.cumsum(new)


_Pairs = tuple[npt.NDArray[np.uint8], Numbers, Numbers]


def _pairs_of_groups(nodes: Numbers, groups: Indices, most: int) -> list[_Pairs]:
    """Pairs within groups of rows that stand side by side, in the order of their checks."""
    if not len(nodes):
        return []
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    sizes = np.diff(np.r_[starts, len(nodes)])
    place = np.arange(len(nodes)) - np.repeat(starts, sizes)
    size = np.repeat(sizes, sizes)
    found = []
    for distance in range(1, min(most, int(sizes.max()))):
        left = np.flatnonzero((size <= most) & (place + distance < size))
        found.append(_pairs(NEAR_TEXT, nodes[left], nodes[left + distance]))
    large = np.flatnonzero(size > most)
    if len(large):
        within = place[large] % most
        pivot = large - np.where(within == 0, place[large], within)
        member = large != pivot
        found.append(_pairs(NEAR_TEXT, nodes[pivot[member]], nodes[large[member]]))
        heads = large[place[large] == 0]
        found.append(_pairs(SPLIT, nodes[heads], size[heads].astype(np.uint64)))
    return found


def _pairs(kind: int, a: Numbers, b: Numbers) -> _Pairs:
    return np.full(len(a), kind, np.uint8), a, b
