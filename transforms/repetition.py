"""How much of a text repeats itself: lines, paragraphs and n-grams, as in Gopher (A.1.1).

A repeat is an occurrence after the first. Overlaps count once, so a ratio is at most 1. The
ratios are columns of `text_scores`, which says what a word, a line and a paragraph are.
"""

from array import array
from itertools import count, pairwise

import numpy as np

_FEW = 64
"""Lines or words up to which sets tell sooner than arrays that nothing repeats: captions."""


def repeat_ratios(hashes: "array[int]", lengths: "array[int]") -> tuple[float | None, float | None]:
    """The share of repeats among lines or paragraphs, and the share of their characters."""
    if not hashes:
        return None, None
    if len(hashes) <= _FEW and len(set(hashes)) == len(hashes):
        return 0.0, 0.0
    values, sizes = np.frombuffer(hashes, np.int64), np.frombuffer(lengths, np.int64)
    order = np.argsort(values)
    repeat = values[order[1:]] == values[order[:-1]]
    # Equal lines are equally long, so it does not matter which of them counts as the first.
    characters = int(sizes[order[1:]][repeat].sum())
    return int(repeat.sum()) / len(hashes), characters / int(sizes.sum())


def ngram_ratios(words: list[str]) -> dict[int, float | None]:
    """Shares of characters: the top n-gram's for n of 2 to 4, in repeats for n of 5 to 10.

    Only places whose 2-gram occurs twice matter, in ordinary text a fifth. They are sorted once, by
    the ten words that start there; then the places of equal n-grams stand together for every n.
    """
    if not words:
        return dict.fromkeys(range(2, 11))
    ratios: dict[int, float | None] = dict.fromkeys(range(2, 11), 0.0)
    if len(words) <= _FEW and len(set(pairwise(words))) == len(words) - 1:
        return ratios
    numbers = dict(zip(dict.fromkeys(words), count(), strict=False))
    ids = np.fromiter(map(numbers.__getitem__, words), np.int64, len(words))
    pairs = ids[:-1] * len(numbers) + ids[1:]
    order = np.argsort(pairs)
    ordered = pairs[order]
    same = ordered[1:] == ordered[:-1]
    if not same.any():
        return ratios
    several = np.zeros(len(pairs), np.bool_)
    several[1:] = same
    several[:-1] |= same
    places = order[several]
    # Beyond the end stand numbers that no two places share at the same distance.
    padded = np.concatenate((ids, np.arange(-10, 0)))
    following = [padded[places + step] for step in range(2, 10)]
    order = np.lexsort((*following[::-1], pairs[places]))
    places = places[order]
    lengths = np.fromiter(map(len, numbers), np.int64, len(numbers))[ids]
    ends = np.zeros(len(ids) + 1, np.int64)
    np.cumsum(lengths, out=ends[1:])
    total = int(ends[-1])
    split = np.ones(len(places) + 1, np.bool_)
    joined = pairs[places[1:]] == pairs[places[:-1]]
    for n in range(2, 11):
        if n > 2:
            column = following[n - 3][order]
            joined &= column[1:] == column[:-1]
        np.logical_not(joined, out=split[1:-1])
        bounds = np.flatnonzero(split)
        starts, sizes = bounds[:-1], bounds[1:] - bounds[:-1]
        if len(starts) == len(places):
            break
        if n <= 4:
            first = places[starts]
            characters = ends[np.minimum(first + n, len(ids))] - ends[first]
            best = int(np.argmax(sizes * (total + 1) + characters))
            chosen = places[starts[best] : starts[best] + sizes[best]]
        else:
            earliest = np.minimum.reduceat(places, starts)
            chosen = places[places != np.repeat(earliest, sizes)]
        marks = np.zeros(len(ids) + 1, np.int64)
        marks[chosen] += 1
        marks[chosen + n] -= 1
        ratios[n] = int(lengths[np.cumsum(marks[:-1]) > 0].sum()) / total
    return ratios
