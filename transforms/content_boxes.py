"""Boxes of a page that are kept or left out for what they are, after the rules on blocks.

- **Details.** Of an element that a reader opens and closes, all or nothing is kept, unless it is
  mostly links.
- **Signatures.** What a member of a forum has below each of their posts goes.
- **Labels of advertisements.** What stands alone in a box whose class says that it is for one, and
  is no more than a label, goes.
"""

import re

import numpy as np

from transforms import page_kernel
from transforms.content_features import LINKED_SHARE, Blocks
from transforms.content_rules import MAX_LINKED, Flags, block_spans, is_near
from transforms.dom import ATTRIBUTE, Dom, code_table
from transforms.name_groups import GROUPS

LABEL = 60
"""Visible bytes up to which all that a box says may be a label."""
BOXES = 3
"""Elements around a block, its own among them, that may be its box."""

_HEADINGS = code_table("h1 h2 h3 h4 h5 h6")
_CLASS = b"class"
_SIGNATURES = frozenset(b"signature post-signature message-signature postsignature".split())
_SIGNATURE_BOXES = code_table("div blockquote aside section")
# In documentation a signature is that of a function.
_CODE = code_table("pre code")
_AD = list(GROUPS).index("ad")
_FOR_ADVERTISEMENTS = re.compile(
    # Not sponsors, who may be what a page is about, nor `ad` in a hash: `css-1ad9`, `b7-ad06`.
    rb"(?<![A-Za-z0-9])ads?(?![a-z0-9])|(?<![A-Z0-9])A[dD]s?(?![a-z0-9])"
    rb"|(?:[aA]dvert(?:s|isement|ising)?|[aA]dsense|[wW]erbung|[aA]nzeige|[pP]ublicidad"
    rb"|[pP]ublicite)(?![a-z])"
)


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
    says = (blocks.size > 0) & ~chrome
    linked = blocks.size * blocks.measures[:, LINKED_SHARE]
    for begin, end in block_spans(dom, blocks, opened).tolist():
        inside = slice(begin, end)
        is_linked = 100 * linked[inside].sum() > MAX_LINKED * 64 * blocks.size[inside].sum()
        if keep[inside].any() and not is_linked:
            keep[inside] |= says[inside]


def drop_signatures(dom: Dom, blocks: Blocks, keep: Flags) -> None:
    """Leaves out the signatures of a forum's members."""
    boxes = [
        tag
        for tag, value in classes_with(dom, b"signature")
        if _SIGNATURE_BOXES[dom.tags[tag]]
        and not _SIGNATURES.isdisjoint(value.split())
        and not _CODE[np.maximum(dom.tags[tag : dom.closes[tag]], 0)].any()
    ]
    for begin, end in block_spans(dom, blocks, boxes).tolist() if boxes else []:
        keep[begin:end] = False


def drop_labels(dom: Dom, blocks: Blocks, keep: Flags) -> None:
    """Leaves out the labels of advertisements, whatever they say and in which language.

    A page of classified advertisements names its own content so: where a box with such a name holds
    a kept text that is longer than a label, nothing goes.
    """
    named = np.flatnonzero(keep & is_near(blocks, _AD) & (blocks.size > 0))
    if not len(named):
        return
    may_be_label = (blocks.size <= LABEL) & (blocks.measures[:, LINKED_SHARE] == 0)
    labels = []
    for block in named.tolist():
        tag = int(blocks.first[block])
        tag = tag if dom.tags[tag] > 0 else int(dom.parents[tag])
        box = -1
        for _ in range(BOXES):
            if tag < 0 or _HEADINGS[dom.tags[tag]]:
                break
            attributes = dict(ATTRIBUTE.findall(dom.source, dom.starts[tag], dom.stops[tag]))
            if _FOR_ADVERTISEMENTS.search(attributes.get(_CLASS, b"")):
                box = tag
            tag = int(dom.parents[tag])
        if box < 0:
            continue
        begin, end = block_spans(dom, blocks, [box])[0]
        if blocks.size[begin:end].sum() <= LABEL:
            if may_be_label[block]:
                labels.append(block)
        elif blocks.size[block] > LABEL:
            return
    keep[labels] = False
