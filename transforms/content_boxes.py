"""Boxes of a page that are kept or left out for what they are, after the rules on blocks.

- **Details.** Of an element that a reader opens and closes, all or nothing is kept, unless it is
  mostly links.
- **Signatures.** What the members of a forum have below each of their posts goes.
- **Labels of advertisements.** What stands alone in a box whose class says that it is for one, and
  is no more than a label, goes.
"""

import re

import numpy as np

from transforms import page_kernel
from transforms.content_features import LINKED_SHARE, Blocks, tag_bit
from transforms.content_rules import (
    LINKED_UNIT,
    MAX_LINKED,
    MAX_SHARE,
    Flags,
    block_spans,
    drop_twins,
    is_around,
    is_near,
)
from transforms.dom import ATTRIBUTE, Dom, code_table
from transforms.name_groups import GROUPS

LABEL = 60
"""Visible bytes up to which all that a box says may be a label."""
BOXES = 3
"""Elements around a block, its own among them, that may be its box."""
MAX_LABELS = 2
"""Different labels of a page, "Advertisement" and "Continue reading below"; more are content."""
POST = 20
"""Visible bytes of a kept text that a signature may stand below."""

_HEADINGS = code_table("h1 h2 h3 h4 h5 h6")
_CLASS = b"class"
_SIGNATURES = frozenset(b"signature post-signature message-signature postsignature".split())
_SIGNATURE_BOXES = code_table("div blockquote aside")
# In documentation a signature is that of a function, and a section may have one.
_NO_SIGNATURE = code_table("pre code tt h1 h2 h3 h4 h5 h6")
_AD, _COMMENT = (list(GROUPS).index(name) for name in ("ad", "comment"))
# What stands in these is no label, whatever its class says.
_PARTS = ("li", "td th", "dl", "pre code", "blockquote q", "figure picture")
_FOR_ADVERTISEMENTS = re.compile(
    # Not sponsors, who may be what a page is about, nor `ad` in a hash: `css-1ad9`, `b7-ad06`; nor
    # at the end of a name: `vintage-ad`.
    rb"(?:^|\s)(?:ads?|Ads?|ADS?)(?![a-z0-9])|[a-z]Ad(?![a-z0-9])"
    rb"|[-_]ads?[-_](?:wrap|wrapper|unit|slot|box|container|label|placeholder)(?![a-z])"
    rb"|(?:^|[\s_])(?:[aA]dvert(?:s|isement|ising)?|[aA]dsense|[wW]erbung|[aA]nzeige|[pP]ublicidad"
    rb"|[pP]ublicite)(?![a-z])"
)

_MAY_BE_FOR_ADVERTISEMENTS = re.compile(rb"[aA][dD]|erbung|nzeige|ublici")
"""What all of these hold."""


def classes_with(dom: Dom, word: bytes) -> list[tuple[int, bytes]]:
    """The elements whose start tags hold a word, and their classes, which are not empty."""
    if page_kernel.AVAILABLE:
        return page_kernel.classes_with(dom, word)
    places, place = [], dom.source.find(word)
    while place >= 0:
        places.append(place)
        place = dom.source.find(word, place + len(word))
    tags = np.searchsorted(dom.starts, places) - 1
    tags = tags[(places < dom.stops[tags]) & (dom.closes[tags] > tags)]
    found = []
    for tag in dict.fromkeys(tags.tolist()):
        attributes = dict(ATTRIBUTE.findall(dom.source, dom.starts[tag], dom.stops[tag]))
        if value := attributes.get(_CLASS):
            found.append((tag, value))
    return found


def keep_details(dom: Dom, blocks: Blocks, keep: Flags, chrome: Flags) -> None:
    """Keeps all of a `details` of which something is kept: the answer with the question."""
    opened = dom.positions("details")
    if not opened:
        return
    says = (blocks.size > 0) & ~chrome & ~is_near(blocks, _COMMENT)
    linked = blocks.size * blocks.measures[:, LINKED_SHARE]
    for begin, end in block_spans(dom, blocks, opened).tolist():
        inside = slice(begin, end)
        size = LINKED_UNIT * blocks.size[inside].sum()
        is_linked = 100 * linked[inside].sum() > MAX_LINKED * size
        if keep[inside].any() and not is_linked:
            keep[inside] |= says[inside]
    drop_twins(dom, blocks, keep)


def drop_signatures(dom: Dom, blocks: Blocks, keep: Flags) -> None:
    """Leaves out the signatures of a forum's members: two and more, each below a longer text."""
    boxes = [
        tag
        for tag, value in classes_with(dom, b"signature")
        if _SIGNATURE_BOXES[dom.tags[tag]]
        and not _SIGNATURES.isdisjoint(value.split())
        and not _NO_SIGNATURE[np.maximum(dom.tags[tag : dom.closes[tag]], 0)].any()
    ]
    if not boxes:
        return
    running = np.concatenate([[0], np.cumsum(blocks.size * keep)])
    found, last_end = [], 0
    for begin, end in block_spans(dom, blocks, boxes).tolist():
        if begin < last_end:
            continue  # in another one
        if running[begin] - running[last_end] >= POST:
            found.append((begin, end))
        last_end = end
    taken = sum(running[end] - running[begin] for begin, end in found)
    if len(found) > 1 and 100 * taken <= MAX_SHARE * running[-1]:
        for begin, end in found:
            keep[begin:end] = False


def drop_labels(dom: Dom, blocks: Blocks, keep: Flags) -> None:
    """Leaves out the labels of advertisements, whatever they say and in which language.

    A label is all that its box says, in one block that is no part of a list, table, quote, figure
    or listing, and a page has no more than `MAX_LABELS`. A page of classified advertisements names
    its own content so: where a kept text longer than a label is near such a name, nothing goes.
    """
    named = np.flatnonzero(keep & is_near(blocks, _AD) & (blocks.size > 0))
    if not len(named):
        return
    is_box: dict[int, bool] = {}
    boxes: list[tuple[int, int]] = []
    for block in named.tolist():
        tag = int(blocks.first[block])
        tag = tag if dom.tags[tag] > 0 else int(dom.parents[tag])
        box = -1
        for _ in range(BOXES):
            if tag < 0 or _HEADINGS[dom.tags[tag]]:
                break
            if tag not in is_box:
                inside = dom.starts[tag], dom.stops[tag]
                may_be = _MAY_BE_FOR_ADVERTISEMENTS.search(dom.source, *inside)
                start = dict(ATTRIBUTE.findall(dom.source, *inside)) if may_be else {}
                is_box[tag] = bool(_FOR_ADVERTISEMENTS.search(start.get(_CLASS, b"")))
            box = tag if is_box[tag] else box
            tag = int(dom.parents[tag])
        if box >= 0:
            boxes.append((block, box))
    if not boxes:
        return
    may_be_label = (blocks.size <= LABEL) & (blocks.measures[:, LINKED_SHARE] == 0)
    for names in _PARTS:
        may_be_label &= ~is_around(blocks, tag_bit(names))
    running = np.zeros((2, len(keep) + 1), np.int64)
    np.cumsum([blocks.size, blocks.size > 0], axis=1, out=running[:, 1:])
    labels: dict[bytes, list[int]] = {}
    for block, box in boxes:
        begin, end = block_spans(dom, blocks, [box])[0]
        size, texts = (running[:, end] - running[:, begin]).tolist()
        if size > LABEL and blocks.size[block] > LABEL:
            return
        if size <= LABEL and texts == 1 and may_be_label[block]:
            first = int(blocks.first[block])
            text = dom.source[dom.stops[first] : dom.text_stops[blocks.last[block]]]
            labels.setdefault(b" ".join(text.split()), []).append(block)
    if len(labels) <= MAX_LABELS:
        for places in labels.values():
            keep[places] = False
