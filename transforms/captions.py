"""Texts that may describe an image, with where each was found and what is suspicious about it.

Candidates only: a file name as alt text is a candidate too, and its flags say so
(`caption_flags.py`); the rules of a recipe decide. The same text in alt and title of one image is
two candidates, because the origin is part of what rules look at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.ids import caption_id
from schemas.rows import Caption, Node
from transforms.caption_flags import flag_text, title_parts
from transforms.caption_words import plain

Origin = Literal["alt", "figcaption", "title", "neighbour", "paragraph"]


@dataclass(frozen=True, slots=True)
class CandidateConfig:
    """Which texts around an image are candidates."""

    origins: tuple[Origin, ...] = ("alt", "figcaption", "title", "neighbour")
    """Where candidates come from. `paragraph` is the nearest paragraph: text about the page, of
    which some may be about the image, so a recipe has to ask for it."""
    max_paragraph_characters: int = 1000
    """Longest paragraph that is a candidate. A longer one is none: half of it would be another
    text. About three times what CLIP's text encoder reads (77 tokens)."""


def _texts(node: Node, nodes: list[Node], config: CandidateConfig) -> Iterator[tuple[Origin, str]]:
    found: dict[Origin, str | None] = {
        "alt": node.alt,
        "figcaption": node.figcaption,
        "title": node.title,
        "neighbour": node.neighbour,
    }
    if node.paragraph is not None:
        text = nodes[node.paragraph].text or ""
        found["paragraph"] = text if len(text) <= config.max_paragraph_characters else None
    for origin, raw in found.items():
        if origin in config.origins and raw and (text := " ".join(raw.split())):
            yield origin, text


def _heading(nodes: list[Node]) -> str:
    """The document's first heading of the first level; may be empty."""
    for node in nodes:
        if node.role == "heading" and (node.text or "").startswith("# "):
            return (node.text or "")[2:]
    return ""


def find_captions(
    nodes: list[Node],
    doc_id: str,
    page_url: str,
    page_title: str = "",
    config: CandidateConfig = CandidateConfig(),
) -> list[Caption]:
    """The caption candidates of a document's images, in document order.

    Args:
        nodes: Nodes of the document, images with their edges (`link_images`); a caption names its
            image by position in this list.
        doc_id: Id of the document.
        page_url: URL of the page.
        page_title: Title of the page, for the flag `same_as_title`.
        config: Which origins are wanted.

    Returns:
        For each image its alt text, figcaption, title, neighbour and paragraph, those of
        `config.origins`, white space collapsed, in that order; none where a text is empty. Each
        `caption_id` occurs once. Flags are those of `caption_flags.FLAGS`.
    """
    found = [
        (position, origin, text)
        for position, node in enumerate(nodes)
        if node.kind == "image" and node.image_url is not None
        for origin, text in _texts(node, nodes, config)
    ]
    return make_captions(found, nodes, doc_id, page_url, page_title)


def make_captions(
    texts: Sequence[tuple[int, str, str]],
    nodes: list[Node],
    doc_id: str,
    page_url: str,
    page_title: str = "",
) -> list[Caption]:
    """Texts of a document's images as rows, with their flags.

    Args:
        texts: Position of the image node, origin, text with white space collapsed.
        nodes: Nodes of the document.
        doc_id: Id of the document.
        page_url: URL of the page.
        page_title: Title of the page.
    """
    if not texts:
        return []
    found = [
        (position, nodes[position].image_url or "", origin, text, plain(text))
        for position, origin, text in texts
    ]
    titles = title_parts([title for title in (page_title, _heading(nodes)) if title])
    pictures: dict[str, set[str]] = {}
    for _, url, _, _, said in found:
        pictures.setdefault(said, set()).add(url)
    captions = []
    for position, url, origin, text, said in found:
        flags = flag_text(text)
        if said in titles:
            flags.append("same_as_title")
        if len(pictures[said]) > 1:
            flags.append("repeated")
        identity = caption_id(doc_id, position, origin, text)
        captions.append(Caption(identity, doc_id, page_url, url, text, origin, position, flags))
    return captions
