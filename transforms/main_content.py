"""Which part of a page is content.

Every block of text and every picture of a page gets the log-odds of being content
(`content_features.py` measures it, `content_model.py` weighs it). Then

- a page with less than `MIN_TEXT` of text and no element that tells of chrome is content as a
  whole: nothing can be told apart;
- a block is kept from `THRESHOLD` on, or, on a page where nothing reaches it, from a little below
  the best block;
- a page of which nothing is left is kept as far as it is not sure chrome, if that is little;
- what is sure, or goes together, is settled by rules (`content_rules.py`);
- a picture goes with the text around it (`content_images.py`).

What cannot be told apart is kept: losing a paragraph costs more than keeping a byline.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.errors import PageTooLargeError
from transforms import page_kernel
from transforms.content_boxes import drop_labels, drop_signatures, keep_details
from transforms.content_features import LINKED_SHARE, Blocks, measure_blocks
from transforms.content_images import select_pictures
from transforms.content_model import ContentModel, score_blocks
from transforms.content_rules import (
    Flags,
    drop_lone_headings,
    drop_twins,
    keep_alike,
    keep_code,
    keep_headline,
    keep_whole,
    sure_chrome,
)
from transforms.dom import Dom, code_table

THRESHOLD = -0.3
"""Log-odds from which a block is content."""

BELOW_BEST = 1.0
"""How far below the best block one is still content where none reaches `THRESHOLD`."""

MIN_TEXT = 300
"""Visible bytes of text of a page below which all of it is content."""

MAX_BLOCKS = 300_000
"""Blocks of a page; each costs about 2 kB while it is weighed."""

_CHROME = code_table("nav header footer aside form dialog")
_IMAGES = code_table("img amp-img")


@dataclass(frozen=True, slots=True)
class Content:
    """What of a page is content; one entry a tag."""

    kept: Flags
    """Whether the text behind the tag is content."""
    opens_line: Flags
    """Whether a kept block starts there."""
    images: Flags
    """Whether the tag is a picture that is content."""


def is_small(dom: Dom, blocks: Blocks) -> bool:
    """Whether a page has little text and no element that is there for something else."""
    little = int(blocks.size.sum()) < MIN_TEXT
    return little and not _CHROME[np.maximum(dom.tags, 0)].any()


def decide(dom: Dom, blocks: Blocks, scores: npt.NDArray[Any], chrome: Flags) -> Flags:
    """Which blocks are content, given their log-odds and which are sure chrome."""
    if is_small(dom, blocks):
        return ~chrome
    threshold = min(THRESHOLD, float(scores[blocks.size > 0].max(initial=-100.0)) - BELOW_BEST)
    keep = (scores > threshold) & ~chrome
    linked = blocks.measures[:, LINKED_SHARE].astype(np.int64)
    above = scores.astype(np.float64) - np.float32(threshold)
    keep_whole(dom, blocks, linked, keep, above, chrome)
    keep_code(dom, blocks, keep)
    keep_alike(dom, blocks, linked, keep, chrome)
    drop_twins(dom, blocks, keep)
    drop_lone_headings(dom, blocks, scores, keep)
    keep_headline(dom, blocks, keep, chrome)
    if not (keep & (blocks.size > 0)).any() and int(blocks.size[~chrome].sum()) < MIN_TEXT:
        return ~chrome
    return keep


def settle_blocks(
    dom: Dom, blocks: Blocks, scores: npt.NDArray[np.float32]
) -> tuple[Flags, Flags, bool]:
    """What the rules make of the log-odds of a page's blocks, of which there is one or more.

    Returns:
        Which blocks are sure chrome; which are content; and whether the page is small.
    """
    if page_kernel.AVAILABLE and len(dom.source) <= page_kernel.LARGEST:
        return page_kernel.settle_blocks(dom, blocks, scores)
    chrome = sure_chrome(dom, blocks)
    return chrome, decide(dom, blocks, scores, chrome), is_small(dom, blocks)


def cover_tags(dom: Dom, blocks: Blocks, chosen: Flags) -> tuple[Flags, Flags]:
    """Of each tag, whether it lies in one of the chosen blocks, and whether one starts there."""
    if page_kernel.AVAILABLE:
        return page_kernel.cover_tags(dom, blocks, chosen)
    change = np.zeros(len(dom) + 1, np.int8)
    starts = np.zeros(len(dom), np.bool_)
    change[blocks.first[chosen]] += 1
    change[blocks.last[chosen] + 1] -= 1
    starts[blocks.first[chosen]] = True
    return np.cumsum(change[:-1], dtype=np.int8).astype(np.bool_), starts


def select_content(dom: Dom, model: ContentModel | None = None) -> Content:
    """The content of a page. Raises `PageTooLargeError`."""
    blocks = measure_blocks(dom)
    if len(blocks.first) > MAX_BLOCKS:
        raise PageTooLargeError(f"more than {MAX_BLOCKS} blocks")
    if not len(blocks.first):
        nothing = np.zeros(len(dom), np.bool_)
        return Content(nothing, nothing, nothing)
    scores = score_blocks(blocks, model)
    chrome, keep, small = settle_blocks(dom, blocks, scores)
    keep &= blocks.size > 0
    keep_details(dom, blocks, keep, chrome)
    drop_signatures(dom, blocks, keep)
    drop_labels(dom, blocks, keep)
    if small:
        pictures = _IMAGES[np.maximum(dom.tags, 0)] & ~cover_tags(dom, blocks, chrome)[0]
    else:
        pictures, captions = select_pictures(dom, blocks, keep, chrome, scores)
        keep |= captions
    return Content(*cover_tags(dom, blocks, keep), pictures)
