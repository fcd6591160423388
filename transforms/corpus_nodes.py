"""Documents of interleaved corpora: parallel lists of texts and images become nodes.

A text becomes one node a paragraph, cut at blank lines as pages are. The URL of an image is
normalised, against the page where it is relative; one that is no http or https URL is kept as it
is, so that the image has its outcome (`bad_url`) and the document keeps its order.

The sizes that a corpus measured are not taken for declared ones: those are the page's.
"""

import re
from collections.abc import Sequence

from schemas.errors import InputRowError
from schemas.rows import Node
from transforms.image_sources import declared_length, is_svg
from transforms.markup import clean_text
from transforms.urls import MAX_URL_LENGTH, normalize_url, resolve_url

MAX_NODES = 50_000
MAX_CHARACTERS = 5_000_000
"""Of all texts together; the bounds are those of a page."""
MAX_ALT_CHARACTERS = 4_000

_BLANK_LINES = re.compile(r"\n[^\S\n]*\n\s*")
_CRAWL_TIME = re.compile(r"-(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)-")


def page_address(url: str | None) -> str:
    """The normalised URL of a page, what stands there if it is none, or nothing."""
    return normalize_url(url) or clean_text(url)[:MAX_URL_LENGTH] if url else ""


def image_address(raw: str, page_url: str) -> str:
    """The URL of an image; raises `InputRowError` where nothing stands there."""
    if not raw.strip():
        raise InputRowError("an image without a URL")
    return resolve_url(page_url, raw) or clean_text(raw)[:MAX_URL_LENGTH] or "about:invalid"


def image_node(
    url: str, alt: str | None = None, width: object = None, height: object = None
) -> Node:
    """An image with what the page said of it; sizes that are no lengths count as none."""
    return Node(
        "image",
        "image",
        image_url=url,
        alt=(clean_text(alt)[:MAX_ALT_CHARACTERS].rstrip() or None) if alt else None,
        declared_width=_length(width),
        declared_height=_length(height),
        svg=is_svg(url),
    )


def _length(value: object) -> int | None:
    if isinstance(value, str):
        return declared_length(value)
    if isinstance(value, int | float) and 0 <= value < 1_000_000:
        return int(value)
    return None


def paragraphs(text: str, dropped: str | None = None) -> list[Node]:
    """The paragraphs of a text: lines cleaned, `dropped` is what a paragraph alone may be."""
    nodes = []
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    for piece in _BLANK_LINES.split(text):
        lines = [line for raw in piece.split("\n") if (line := clean_text(raw))]
        if lines and lines != [dropped]:
            nodes.append(Node("text", "paragraph", "\n".join(lines)))
    return nodes


def check_size(nodes: int, characters: int) -> None:
    """Raise `InputRowError` where a document is larger than a page may be."""
    if nodes > MAX_NODES:
        raise InputRowError(f"more than {MAX_NODES} nodes")
    if characters > MAX_CHARACTERS:
        raise InputRowError(f"more than {MAX_CHARACTERS} characters of text")


def check_parallel(texts: Sequence[str | None], images: Sequence[str | None]) -> None:
    """Raise `InputRowError` unless each position holds a text or an image."""
    if len(texts) != len(images):
        raise InputRowError(f"{len(texts)} texts and {len(images)} images in parallel lists")
    for position, (text, image) in enumerate(zip(texts, images, strict=True)):
        if (text is None) == (image is None):
            what = "neither text nor image" if text is None else "both text and image"
            raise InputRowError(f"position {position} holds {what}")
    check_size(len(texts), sum(len(text) for text in texts if text))


def crawl_time(name: str | None) -> str:
    """When a crawl file begins, by its name, as ISO 8601: `..-20211015192439-..`; or nothing."""
    found = _CRAWL_TIME.search(name or "")
    return "{}-{}-{}T{}:{}:{}Z".format(*found.groups()) if found else ""
