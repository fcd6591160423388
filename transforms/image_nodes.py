"""An image element as a node: its URL, what the page says of it, and its size."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.rows import Node
from transforms.dom import CODES, Dom
from transforms.image_adverts import is_advertisement
from transforms.image_sources import choose_source, declared_length, is_svg
from transforms.markup import clean_text

LARGEST_EMOJI = 72
"""Pixels of a side from which a picture is no emoji."""
LONGEST_EMOJI = 32
"""Characters of an alt text up to which it may stand for an emoji: `:slightly_smiling_face:`."""

_EMOJI_CLASS = re.compile(
    rb' class="(?:[^"]*\s)?(?:wp-)?(?:emojis?|emojione|smil(?:ey|ie)s?|emoticons?|reaction-image)'
    rb'(?:--[^"\s]*)?[\s"]',
    re.I,
)
_EMOJI_FOLDER = re.compile(rb' (?:data-)?src="[^"]*/(?:emojis?|smil(?:ey|ie)s?|emoticons?)/', re.I)
_WORD = re.compile(r"[^\W\d_]{3}")
"""How a name begins that describes a drawing; `XD` and `8)` are drawings of letters."""
_SHORTCODE = re.compile(r":[\w+\-]+:")
_IMG = CODES["img"]
_PIXEL_STYLE = re.compile(r"(?:^|[\s;])(?:width|height)\s*:\s*[01]px")


@dataclass(frozen=True, slots=True)
class ImageNode:
    """An image and where it stands."""

    node: Node
    position: int
    """The `img` or `amp-img`."""
    lazy: bool
    """Whether a script would have loaded it: its twin may stand in a `noscript` beside it."""


def read_emoji(dom: Dom, element: int) -> str | None:
    """What an `img` that draws an emoji or a smiley stands for: `:)`; None for any other element.

    Forums and blogs draw what was written. A class says that they did, or the folder of the file
    and a text that is no word. A word (`Like`, `Smile`) is the name of the drawing, and was not
    written: nothing then.
    """
    inside = dom.starts[element], dom.stops[element]
    if dom.tags[element] != _IMG:
        return None
    by_class = _EMOJI_CLASS.search(dom.source, *inside) is not None
    if not by_class and _EMOJI_FOLDER.search(dom.source, *inside) is None:
        return None
    attributes = dom.attributes(element)
    sides = [declared_length(attributes.get(name)) or 0 for name in ("width", "height")]
    said = clean_text(attributes.get("alt") or attributes.get("title") or "")
    is_word = _WORD.match(said) is not None
    if max(sides) > LARGEST_EMOJI or len(said) > LONGEST_EMOJI:
        return None
    if not by_class and (is_word or not said):
        return None
    if _SHORTCODE.fullmatch(said):
        return f" {said} "
    return "" if is_word else said


def read_image(
    dom: Dom, element: int, base: str, link: str | None, max_text: int
) -> ImageNode | None:
    """The image of an `img`, an `amp-img` or a `picture`.

    Args:
        dom: The page.
        element: Position of the element.
        base: What relative references are relative to.
        link: Picture file that a link around the element leads to.
        max_text: Characters kept of alt and title.

    Returns:
        None for images without an http or https URL, spacers, trackers of one pixel, and
        advertisements.
    """
    position, attributes = element, dom.attributes(element)
    sources: list[dict[str, str]] = []
    if dom.name(element) == "picture":
        attributes = {}
        for inner in range(element + 1, int(dom.closes[element])):
            name = dom.name(inner) if dom.tags[inner] > 0 else ""
            if name == "source":
                sources.append(dom.attributes(inner))
            elif name in ("img", "amp-img") and not attributes:
                attributes, position = dom.attributes(inner), inner
    width = declared_length(attributes.get("width"))
    height = declared_length(attributes.get("height"))
    # A picture of which one side is 0 is seen when a script sets it: that side is not declared.
    if max(width or 0, height or 0) > 1:
        width, height = width or None, height or None
    if (width is not None and width <= 1) or (height is not None and height <= 1):
        return None
    if (style := attributes.get("style")) and _PIXEL_STYLE.search(style):
        return None
    source = choose_source(attributes, sources, base)
    alt = _short(attributes, "alt", max_text)
    if source is None or is_advertisement(source.url, alt, width, height):
        return None
    node = Node(
        "image",
        "image",
        image_url=source.url,
        alt=alt,
        title=_short(attributes, "title", max_text),
        declared_width=width,
        declared_height=height,
        full_url=link if link != source.url else None,
        svg=is_svg(source.url),
    )
    # An amp-img always has a script before it: what its noscript holds is its twin.
    return ImageNode(node, position, source.lazy or dom.name(position) == "amp-img")


def _short(attributes: Mapping[str, str], name: str, longest: int) -> str | None:
    text = attributes.get(name)
    return (clean_text(text)[:longest].rstrip() or None) if text else None
