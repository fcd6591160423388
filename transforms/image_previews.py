"""Blurred previews: small pictures that stand in for one that a script loads."""

import re
from bisect import bisect_left

import numpy as np
import numpy.typing as npt

from transforms.dom import ATTRIBUTE, Dom
from transforms.image_sources import SIDES

FARTHEST = 2000
"""Bytes of markup between a preview and the `noscript` of its twin, at most."""

_MARKUP = re.compile(rb"<[^>]*>")
_SOURCE = re.compile(rb' src="([^"]*)"')


def drop_previews(dom: Dom, chosen: npt.NDArray[np.bool_], tags: list[int]) -> None:
    """Leaves out pictures that a script replaces by the one of the same size in a `noscript`.

    Such a preview has a file of its own, a few dozen pixels wide, and is shown blurred. One that
    names its own replacement is no preview: `interleave.py` tells such twins.

    Args:
        dom: The page.
        chosen: Of each tag, whether it is a picture that is content; is changed.
        tags: The pictures of the page that may be content, in order.
    """
    source, inside = dom.source, -1
    for plain in dom.positions("noscript"):
        inside_before, inside = inside, int(dom.closes[plain])
        begin = bisect_left(tags, plain)
        pictures = tags[begin : bisect_left(tags, inside, begin)]
        if len(pictures) != 1 or not chosen[pictures[0]]:
            continue
        twin = source[dom.starts[pictures[0]] : dom.stops[pictures[0]]]
        sides = SIDES.findall(twin)
        # Back to the first that has a source: an `img` without one is filled by the script.
        for other in tags[max(begin - 2, 0) : begin][::-1]:
            between = source[dom.stops[other] : dom.starts[plain]][: FARTHEST + 1]
            is_beside = other > max(int(dom.parents[plain]), inside_before)
            if not is_beside or len(between) > FARTHEST or _MARKUP.sub(b"", between).strip():
                break
            tag = source[dom.starts[other] : dom.stops[other]]
            sources = [name for name, _ in ATTRIBUTE.findall(tag) if b"src" in name]
            if sources:
                if sources == [b"src"] and len(sides) == 2 and SIDES.findall(tag) == sides:
                    chosen[other] &= _SOURCE.findall(tag) == _SOURCE.findall(twin)
                break
