"""What in a document belongs to each of its images: a caption beside it, the paragraph near it.

A caption beside an image is a text whose element says so by its class (role `caption`), or one that
says so itself where a caption stands: directly behind the image (`Figure 3: ...`, a credit at its
end, the words of the alt text, a short line that interrupts prose), or a numbered one directly
before it. An image with a figcaption needs no other. A caption belongs to the one image that it
touches: only a `figure` says that several share one. Better no caption than a wrong one.

Nearness is counted in texts that no picture and no caption is: what stands in between matters to a
reader, a row of pictures does not. On 2,000 pages the nearer of the two paragraphs around an image
shares more words with its alt text two times in three or more; of two at one distance neither side
does, so the one behind the image is taken.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from schemas.rows import Node
from transforms.caption_flags import ends_in_credit

MAX_NEIGHBOUR = 1000
"""Characters up to which a text of role `caption` is a caption and no essay in its place."""
MAX_BY_PLACE = 300
"""Characters up to which a paragraph may be a caption by its place."""
MAX_LINE = 150
"""Characters up to which a line that repeats the alt text, or interrupts prose, is a caption."""
MIN_PROSE = 160
"""Characters from which a paragraph is prose."""
MIN_PARAGRAPH = 40
"""Characters from which a text is a paragraph and no label, date or button; half as many where no
word has spaces around it."""

_PARAGRAPHS = frozenset(["paragraph", "quote", "list", "definition_list"])
_OWN_CAPTION = frozenset(["table", "code"])
"""What a caption may belong to as well as to an image."""
_NUMBERED = re.compile(
    r"""[(\[]?(?:
        (?:figures?|fig|image|photo|picture|plate|illustration|diagram|chart|exhibit
          |abbildung|abb|bild|foto|grafik|figura|figure|imagen|imagem|immagine|ilustração
          |ilustración|afbeelding|figuur|afb|bilde|billede|figur|kuva|kuvio|rysunek|rys|ryc|obrázek
          |obr|slika|ábra|şekil|resim|рисунок|рис|фото|малюнок|мал|εικόνα|hình|ảnh|gambar)
        \.?\s*\d+(?:[.\-]\d+)*[a-z]?\s*[\])]?\s*(?:[:.|\-\u2013\u2014]|$)
        |[图圖図]\s*\d+|그림\s*\d+|شكل\s*\d+)""",
    re.I | re.X,
)
"""`Figure 3: ...`, not `Figure 3 shows ...`."""
_IMPRINT = re.compile(r"\W*(?:copyright\b|\u00a9\s*\d{4}|\(c\)\s*\d{4})", re.I)
"""How the last line of a page begins."""
_SENTENCE_END = re.compile(r"[.!?\u3002\uff01\uff1f\u0964\u061f]")
_WORD = re.compile(r"[^\W\d_]+")
_LINE_START = re.compile(r"(?!\d{1,2}[.)]?\s)\w")
"""No item of a list and no footnote."""
_LINE_END = re.compile(r"[\w)\]\u201d\u2019\"'\u300d\u300f]$")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


def _line(text: str) -> str:
    return " ".join(text.split())


def _is_prose(node: Node) -> bool:
    text = node.text or ""
    least = MIN_PROSE // 2 if _UNSPACED.search(text[:40]) else MIN_PROSE
    return (
        node.role in _PARAGRAPHS and len(text) >= least and _SENTENCE_END.search(text) is not None
    )


def _is_paragraph(text: str | None) -> bool:
    """Whether a text of one of the roles `_PARAGRAPHS` is long enough."""
    length = len(text) if text else 0
    return length >= MIN_PARAGRAPH or (
        length >= MIN_PARAGRAPH // 2 and _UNSPACED.search(text or "") is not None
    )


def _repeats(text: str, said: str | None) -> bool:
    """Whether a line is made of what alt or title says: three of its words, and half of them."""
    if not said or len(text) > MAX_LINE or text[-1] in ":?\uff1a\uff1f":
        return False
    ours, theirs = (
        {word.casefold() for word in _WORD.findall(one) if len(word) > 2} for one in (text, said)
    )
    shared = len(ours & theirs)
    return shared >= 3 and 2 * shared >= len(ours)


def _is_interruption(text: str) -> bool:
    """Whether a line reads as a title that stands between paragraphs."""
    least = 8 if _UNSPACED.search(text) else 4
    length = len(_UNSPACED.findall(text)) if least == 8 else len(text.split())
    return (
        least <= length
        and len(text) <= MAX_LINE
        and _LINE_START.match(text) is not None
        and "://" not in text
        and not text.isupper()
        and _LINE_END.search(text) is not None
    )


def _runs(nodes: list[Node], captions: list[bool]) -> Iterator[list[tuple[int, int]]]:
    """Each stretch of images and captions as runs (first, end) of images, captions, ... in turn."""
    runs: list[tuple[int, int]] = []
    for position, node in enumerate(nodes):
        image = node.kind == "image"
        if not image and not captions[position]:
            if runs:
                yield runs
            runs = []
        elif runs and (nodes[runs[-1][0]].kind == "image") == image:
            runs[-1] = (runs[-1][0], position + 1)
        else:
            runs.append((position, position + 1))
    if runs:
        yield runs


def _by_class(nodes: list[Node]) -> dict[int, str]:
    """Captions of images by the class of their element.

    A stretch that begins with a caption and ends with an image has its captions before the images,
    any other behind them. Captions in a row are one (text and credit), unless images in a row stand
    beside them: then nothing says which is whose.
    """
    if "caption" not in [node.role for node in nodes]:
        return {}
    figcaptions = {_line(node.figcaption) for node in nodes if node.figcaption}
    captions = [
        node.role == "caption"
        and bool(node.text)
        and len(node.text or "") <= MAX_NEIGHBOUR
        and _line(node.text or "") not in figcaptions
        for node in nodes
    ]
    found: dict[int, str] = {}
    for runs in _runs(nodes, captions):
        before = nodes[runs[0][0]].kind != "image" and nodes[runs[-1][0]].kind == "image"
        for (first, end), (next_first, next_end) in pairwise(runs):
            if (nodes[first].kind == "image") == before:
                continue
            image, (start, stop) = (
                (next_first, (first, end)) if before else (end - 1, (next_first, next_end))
            )
            images = next_end - next_first if before else end - first
            beside = start - 1 if before else stop
            if 0 <= beside < len(nodes) and nodes[beside].role in _OWN_CAPTION:
                continue
            if stop - start > 1 and images > 1:
                continue
            text = _line(" ".join(nodes[at].text or "" for at in range(start, stop)))
            if len(text) > MAX_NEIGHBOUR:
                text = _line(nodes[stop - 1 if before else start].text or "")
            found[image] = text
    return found


def _by_place(nodes: list[Node], image: int) -> int | None:
    """Position of the paragraph behind an image, else before it, that reads as its caption."""
    node = nodes[image]
    if image + 1 < len(nodes) and nodes[image + 1].role == "paragraph":
        raw = nodes[image + 1].text or ""
        if len(raw) <= MAX_BY_PLACE and raw.count("\n") <= 2:
            text = _line(raw)
            if not text:
                return None
            if (
                _NUMBERED.match(text)
                or (ends_in_credit(text) and not _IMPRINT.match(text))
                or _repeats(text, node.alt)
                or _repeats(text, node.title)
            ):
                return image + 1
            interrupts = (
                image > 0
                and image + 2 < len(nodes)
                and _is_prose(nodes[image - 1])
                and _is_prose(nodes[image + 2])
            )
            if interrupts and "\n" not in raw and _is_interruption(text):
                return image + 1
    if image > 0 and nodes[image - 1].role == "paragraph":
        raw = nodes[image - 1].text or ""
        behind_image = image > 1 and nodes[image - 2].kind == "image"
        if len(raw) <= MAX_BY_PLACE and not behind_image and _NUMBERED.match(raw):
            return image - 1
    return None


def _paragraphs_toward(
    nodes: list[Node], images: list[int], captions: set[int], step: int
) -> dict[int, tuple[int, int] | None]:
    """Of each image the texts up to the nearest paragraph in a direction, and its position."""
    found: dict[int, tuple[int, int] | None] = {}
    for image in images if step < 0 else reversed(images):
        texts, position = 0, image + step
        found[image] = None
        while 0 <= position < len(nodes):
            node = nodes[position]
            role = node.role
            if role == "image":
                # All that lies behind it has been looked at.
                if behind := found[position]:
                    found[image] = (texts + behind[0], behind[1])
                break
            if role != "caption" and position not in captions:
                if role in _PARAGRAPHS and _is_paragraph(node.text):
                    found[image] = (texts, position)
                    break
                texts += 1
            position += step
    return found


def _nearest_paragraphs(
    nodes: list[Node], images: list[int], captions: set[int]
) -> list[int | None]:
    """For every image the paragraph with the fewest texts in between, behind it where two tie."""
    before = _paragraphs_toward(nodes, images, captions, -1)
    behind = _paragraphs_toward(nodes, images, captions, 1)
    nearest: list[int | None] = []
    for image in images:
        one, other = before[image], behind[image]
        is_before = one is not None and (other is None or one[0] < other[0])
        chosen = one if is_before else other
        nearest.append(None if chosen is None else chosen[1])
    return nearest


def link_images(nodes: list[Node]) -> None:
    """Gives each image its `neighbour` and `paragraph`.

    `neighbour` has its white space collapsed. `paragraph` is the position of the nearest paragraph,
    quote or list of at least `MIN_PARAGRAPH` characters; None where the document has none. Time is
    linear in the nodes and their text.

    Args:
        nodes: Nodes of a document, in reading order. Only these fields of images are changed.
    """
    images = [position for position, node in enumerate(nodes) if node.role == "image"]
    if not images:
        return
    neighbours = _by_class(nodes)
    by_place: set[int] = set()
    for position in images:
        if nodes[position].figcaption or position in neighbours:
            continue
        place = _by_place(nodes, position)
        if place is not None:
            by_place.add(place)
            neighbours[position] = _line(nodes[place].text or "")
    paragraphs = _nearest_paragraphs(nodes, images, by_place)
    for position, paragraph in zip(images, paragraphs, strict=True):
        node = nodes[position]
        node.neighbour = None if node.figcaption else neighbours.get(position)
        node.paragraph = paragraph
