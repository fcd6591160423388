"""Figures that name their picture as the item they are about, and hold no picture."""

import re

import numpy as np

from transforms.dom import Dom, code_table
from transforms.html_parsers import escape_text
from transforms.image_sources import picture_file

_IMAGES = code_table("img amp-img picture")
_TYPE = re.compile(r"(?:^|\s)https?://schema\.org/ImageObject(?:$|\s)")


def show_image_objects(dom: Dom, base: str) -> Dom:
    """The page with an `img` in each figure that a script would have filled.

    Microdata (html.spec.whatwg.org, 5.2.3) says what is to be there: `itemid` is the global
    identifier of an item, and that of a schema.org `ImageObject` is mostly its file.

    Args:
        dom: The page.
        base: What relative references are relative to.

    Returns:
        The same page where there is none.

    Raises:
        PageTooLargeError: The page has too many tags with them.
    """
    pieces: list[bytes] = []
    copied = 0
    for figure in dom.positions("figure"):
        item = dom.attribute(figure, "itemid").strip()
        if not item or not _TYPE.search(dom.attribute(figure, "itemtype")):
            continue
        inside = dom.tags[figure : dom.closes[figure]]
        if _IMAGES[np.maximum(inside, 0)].any() or picture_file(item, base) is None:
            continue
        start = int(dom.stops[figure])
        file = escape_text(item).replace('"', "&quot;")
        # As a lazy picture, whose twin in a `noscript` is found.
        pieces += dom.source[copied:start], f'<img data-src="{file}">'.encode()
        copied = start
    return Dom(b"".join((*pieces, dom.source[copied:]))) if pieces else dom
