"""Pictures that a page holds twice and shows once: for wide and narrow screens, for light and dark.

Style sheets hide one of the two. CSS frameworks and site builders have classes for it, one the
opposite of the other: `hidden md:block` and `md:hidden` (Tailwind), `d-none d-md-block` and
`d-md-none` (Bootstrap 4 and 5), `hidden-xs` and `visible-xs` (Bootstrap 3), `show-for-medium` and
`hide-for-medium` (Foundation), `elementor-hidden-mobile` and `elementor-hidden-desktop`,
`only-light` and `only-dark` (Sphinx), `themedComponent--light` and `--dark` (Docusaurus),
`gh-light-mode-only` (GitHub). Twins without such classes are told by URL (`layout_twins.py`).
"""

import re

import numpy as np
import numpy.typing as npt

from transforms.dom import Dom
from transforms.image_marks import tag_span

BOXES = 3
"""Elements that say when a picture is shown: it, and those around it that hold no other one."""
FARTHEST = 16
"""Tags from one picture to its twin, at most."""

_CLASS = re.compile(rb' class="([^"]*)"')
_ALT = re.compile(rb' alt="\s*([^"\s][^"]*)"')
_MAY_SAY = re.compile(rb"hid|none|show|visible|only|themedC")
"""What all classes hold that say when something is shown."""
_HIDDEN = frozenset(("d-none", "hidden"))
"""Classes of what is hidden unless another one says when it is shown."""
_UTILITY = re.compile(
    r"(?:d-(sm|md|lg|xl|xxl)-|(max-)?(sm|md|lg|xl|2xl):|(dark):)"
    r"(?:(none|hidden)|block|flex|grid|inline|inline-(?:block|flex|grid)|contents|table)"
)
_RANGE = re.compile(
    r"(?:(hide|hidden)|show|visible)(?:-for)?-(xs|(?:small|medium|large)(?:-only)?)"
    r"(?:-(?:block|inline|inline-block))?"
)
_NAMED = re.compile(
    r"(?:[a-z]+-)?(?:(hide|hidden)|show|visible|only)-(?:(?:on|for|in)-)?"
    r"(mobile|phone|desktop|light|dark)(?:-only)?"
    r"|(?:[a-z]+-)?(mobile|phone|desktop|light|dark)(?:-mode)?-(?:(hide|hidden)|show|only)"
    r"|themedComponent--(light|dark)_\w+"
)
_PLACES = {"mobile": ("wide", False), "phone": ("wide", False), "desktop": ("wide", True),
           "light": ("light", True), "dark": ("light", False)}  # fmt: skip


def _conditions(classes: str) -> set[tuple[str, bool]]:
    """When something of some classes is shown: conditions, and whether each has to hold."""
    words = classes.split()
    found = set()
    for word in words:
        if match := _UTILITY.fullmatch(word):
            # `md:block` of what is never hidden says nothing.
            if match[5] or not _HIDDEN.isdisjoint(words):
                name = "light" if match[4] else match[1] or match[3]
                found.add((name, bool(match[5]) == bool(match[2] or match[4])))
        elif match := _RANGE.fullmatch(word):
            # On the narrowest screens alone, or from some width on.
            is_narrow = match[2].startswith(("xs", "small"))
            found.add((match[2], bool(match[1]) == is_narrow))
        elif match := _NAMED.fullmatch(word):
            name, holds = _PLACES[match[2] or match[3] or match[5]]
            found.add((name, holds != bool(match[1] or match[4])))
    return found


def _shown_when(dom: Dom, picture: int, before: int, behind: int) -> set[tuple[str, bool]]:
    """When a picture is shown, by itself and the boxes that hold neither of the pictures beside."""
    found: set[tuple[str, bool]] = set()
    element = picture
    for _ in range(BOXES):
        if element <= before or dom.closes[element] > behind:
            break
        classes = _CLASS.search(dom.source, *tag_span(dom, element))
        if classes and _MAY_SAY.search(classes[1]):
            found |= _conditions(classes[1].decode("utf-8", "replace"))
        element = int(dom.parents[element])
    return found


def drop_display_twins(
    dom: Dom, chosen: npt.NDArray[np.bool_], keep: npt.NDArray[np.bool_],
    pictures: list[tuple[int, int]],
) -> None:  # fmt: skip
    """Leaves out pictures that are shown only where the one right before is not, or the reverse.

    Of two stays the one that is described; of two alike the one for wide screens, or light ones.
    Two that say different things are no twins.

    Args:
        dom: The page.
        chosen: Of each tag, whether it is a picture that is content; is changed.
        keep: Of each block, whether its text is kept: such a text parts two pictures.
        pictures: The tag and the block of each picture that is content, in order.
    """
    tags = [0, *(tag for tag, _ in pictures), len(dom)]
    for number, (tag, place) in enumerate(pictures[1:], 2):
        twin, its_place = pictures[number - 2]
        if tag - twin > FARTHEST or not chosen[twin]:
            continue
        ours = _shown_when(dom, tag, twin, tags[number + 1])
        if not ours or keep[its_place + 1 : place].any():
            continue
        theirs = _shown_when(dom, twin, tags[number - 2], tag)
        opposite = {when for when in ours if (when[0], not when[1]) in theirs}
        if not opposite:
            continue
        said, its = (_ALT.search(dom.source, *tag_span(dom, each)) for each in (tag, twin))
        if said and its and said[1] != its[1]:
            continue
        is_default = all(holds for _, holds in opposite)
        stays = bool(said) if bool(said) != bool(its) else is_default
        chosen[twin if stays else tag] = False
