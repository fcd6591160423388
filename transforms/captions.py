"""Texts that may describe an image, with where each was found.

Candidates only: nothing is judged here, a file name as alt text is a candidate too. The same text
in alt and title of one image is two candidates, because the origin is part of what later rules look
at.
"""

from collections.abc import Iterator

from schemas.ids import caption_id
from schemas.rows import Caption, Node


def _texts(node: Node) -> Iterator[tuple[str, str]]:
    for origin, text in (
        ("alt", node.alt),
        ("figcaption", node.figcaption),
        ("title", node.title),
    ):
        if text and (text := " ".join(text.split())):
            yield origin, text


def find_captions(nodes: list[Node], doc_id: str, page_url: str) -> list[Caption]:
    """The caption candidates of a document's images, in document order.

    Args:
        nodes: Nodes of the document; a caption names its image by position in this list.
        doc_id: Id of the document.
        page_url: URL of the page.

    Returns:
        For each image its alt text, figcaption and title, white space collapsed, in that order;
        none where a text is empty. Each `caption_id` occurs once.
    """
    captions = []
    for position, node in enumerate(nodes):
        if node.kind != "image" or node.image_url is None:
            continue
        for origin, text in _texts(node):
            identity = caption_id(doc_id, position, origin, text)
            captions.append(
                Caption(identity, doc_id, page_url, node.image_url, text, origin, position)
            )
    return captions
