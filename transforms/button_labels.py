"""Which labels of buttons are text: those that are all of a heading or of a term."""

from transforms.dom import CODES, Dom

MOST_TAGS = 50
"""Tags of a heading or a term that are looked at."""

_LABELLED = {CODES[name] for name in ("h1", "h2", "h3", "h4", "h5", "h6", "dt")}


def is_all_of_its_line(dom: Dom, button: int, end: int) -> bool:
    """Whether a heading or a term, of not many tags, says nothing but a button's label."""
    line = int(dom.parents[button])
    close = min(int(dom.closes[line]), line + MOST_TAGS)
    outside = (tag for tag in range(line, close) if not button <= tag < end)
    is_labelled = int(dom.tags[line]) in _LABELLED and close == dom.closes[line]
    return is_labelled and not any(dom.text_behind(tag).strip() for tag in outside)
