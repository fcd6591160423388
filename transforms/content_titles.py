"""Which headings of a page repeat its title: they stand over what the page is about.

Pages that carry several articles, or the beginnings of others, differ from each other in nothing
else.
"""

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from transforms.dom import CODES, Dom

Array = npt.NDArray[Any]

COLUMNS = 4
"""Measures of a block that are made here."""
SHORTEST = 8
"""Characters from which a heading may be said to repeat a title."""
MAX_HEADINGS = 200
"""Headings of a page that are looked at."""

_LEVELS = np.array([CODES[f"h{level}"] for level in range(1, 7)])
_WORDS = re.compile(r"\w+")


def _spelled(text: str) -> str:
    return " ".join(_WORDS.findall(text.lower()))


def title_measures(dom: Dom, first: Array) -> Array:
    """Measures of blocks, whole numbers, float32, (blocks, `COLUMNS`).

    Whether the block follows a heading that repeats the title, with no heading of its level or
    higher in between; whether it follows one at all; whether one is still to come; and whether the
    page has any.

    Args:
        dom: The page.
        first: The tag behind which each block starts.
    """
    measures = np.zeros((len(first), COLUMNS), np.float32)
    titles = dom.positions("title")
    headings = np.flatnonzero((dom.tags >= _LEVELS[0]) & (dom.tags <= _LEVELS[-1]))[:MAX_HEADINGS]
    title = _spelled(dom.text_of(titles[0])) if titles else ""
    if len(title) < SHORTEST or not len(headings):
        return measures
    levels = (dom.tags[headings] - _LEVELS[0]).tolist()
    places = np.searchsorted(first, headings).tolist()
    last = -1
    for number, heading in enumerate(headings.tolist()):
        text = _spelled(dom.text_of(heading))
        if len(text) < SHORTEST or (text not in title and title not in text):
            continue
        end = next(
            (
                places[other]
                for other in range(number + 1, len(places))
                if levels[other] <= levels[number]
            ),
            len(first),
        )
        measures[places[number] : end, 0] = 32
        if last < 0:
            measures[places[number] :, 1] = 32
        last = places[number]
    if last >= 0:
        measures[:last, 2] = 32
        measures[:, 3] = 32
    return measures
