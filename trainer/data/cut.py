"""Documents into pieces that fit a packed sequence, from the lengths of their elements alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from trainer.data.mapped import Array, Mapped

IMAGE_ELEMENT = -1
PIECE_FIELDS = ("sample", "start", "stop", "images", "first_image")
_TYPES = (np.int64, np.int64, np.int64, np.int32, np.int32)


@dataclass(frozen=True)
class Lengths(Mapped):
    """Element lengths of n samples."""

    elements: Array
    """int32: tokens of each text (at least 1), -1 for an image, sample by sample."""
    element_start: Array
    """int64 [n + 1]: the first element of each sample. One without elements is no document."""


class _Cut(NamedTuple):
    """A piece of a document, as `PIECE_FIELDS` without the sample, and whether it has a label."""

    start: int
    stop: int
    images: int
    first_image: int
    labelled: bool


@dataclass
class _Open:
    """The piece that is being filled."""

    start: int
    place: int
    first_image: int
    images: int = 0
    text_end: int = -1
    """Place behind its last text; -1 without one."""
    labelled: bool = False
    images_at_end: int = 0
    """Images behind its last text."""

    def cut(self) -> _Cut:
        return _Cut(self.start, self.place, self.images, self.first_image, self.labelled)


def cut_document(
    elements: list[int], sequence_length: int, max_images: int, image_tokens: int, bos: bool
) -> Iterator[_Cut]:
    """The pieces of one document; together they are all its places, in order."""
    piece = _Open(0, int(bos), 0)
    last_text = max((n for n, length in enumerate(elements) if length > 0), default=-1)

    def close(number: int) -> Iterator[_Cut]:
        """End the piece in front of element `number`.

        Images at its end whose text is still to come go to the next, unless it has nothing else.
        """
        nonlocal piece
        moved = piece.images_at_end if piece.text_end >= 0 and number <= last_text else 0
        end = piece.place
        piece.place -= moved * image_tokens
        piece.images -= moved
        yield piece.cut()
        next_image = piece.first_image + piece.images
        piece = _Open(piece.place, end, next_image, images=moved, images_at_end=moved)

    for number, length in enumerate(elements):
        if length == IMAGE_ELEMENT:
            full = piece.place - piece.start + image_tokens > sequence_length
            if full or piece.images == max_images:
                yield from close(number)
            # The images that went along may leave no room for this one.
            if (
                piece.place - piece.start + image_tokens > sequence_length
                or piece.images == max_images
            ):
                yield from close(number)
            piece.place += image_tokens
            piece.images += 1
            piece.images_at_end += 1
            continue
        left = length
        while left:
            room = sequence_length - (piece.place - piece.start)
            if not room:
                yield from close(number)
                continue
            taken = min(left, room)
            piece.labelled |= taken > 1 or piece.place > piece.start
            piece.place += taken
            piece.text_end, piece.images_at_end = piece.place, 0
            left -= taken
    if piece.place - piece.start == sequence_length:
        yield from close(len(elements))
    piece.place += 1
    yield piece.cut()


def cut_documents(
    lengths: Lengths, sequence_length: int, max_images: int, image_tokens: int, bos: bool
) -> tuple[dict[str, Array], dict[str, int]]:
    """The pieces of all documents, and counts.

    Returns:
        Arrays by `PIECE_FIELDS`, in the order of the samples; and `documents`, `cut_documents` (of
        more than one piece), `pieces` (kept), `images` (in those), `dropped_pieces`,
        `dropped_places` and `dropped_images` (pieces without a label), `dropped_documents` (those
        of which nothing was kept).
    """
    elements, starts = np.asarray(lengths.elements), np.asarray(lengths.element_start)
    is_image = elements == IMAGE_ELEMENT
    text = np.where(is_image, 0, elements).astype(np.int64)
    images = _sums(is_image, starts)
    texts = _sums(text, starts)
    places = texts + images * image_tokens + int(bos) + 1
    documents = np.diff(starts) > 0
    whole = (places <= sequence_length) & (images <= max_images)
    # A text that opens a piece has its first token predicted by nothing.
    first_is_text = np.zeros(len(documents), bool)
    first_is_text[documents] = ~is_image[starts[:-1][documents]]
    opens = first_is_text & (not bos)
    labelled = texts > np.where(opens, 1, 0)

    simple = np.flatnonzero(documents & whole)
    columns = [simple, np.zeros_like(simple), places[simple], images[simple], np.zeros_like(simple)]
    keep = [labelled[simple]]
    found: list[tuple[int, ...]] = []
    for sample in np.flatnonzero(documents & ~whole).tolist():
        each = elements[starts[sample] : starts[sample + 1]].tolist()
        found += [
            (sample, *cut)
            for cut in cut_document(each, sequence_length, max_images, image_tokens, bos)
        ]
    long = np.array(found, np.int64).reshape(-1, 6).T
    columns = [np.concatenate([a, b]) for a, b in zip(columns, long[:5], strict=True)]
    kept = np.concatenate([*keep, long[5] > 0])
    order = np.argsort(columns[0], kind="stable")
    columns, kept = [column[order] for column in columns], kept[order]

    dropped = [column[~kept] for column in columns]
    pieces = {
        name: column[kept].astype(kind)
        for name, column, kind in zip(PIECE_FIELDS, columns, _TYPES, strict=True)
    }
    counts = {
        "documents": int(documents.sum()),
        "cut_documents": int((documents & ~whole).sum()),
        "pieces": len(pieces["sample"]),
        "images": int(pieces["images"].sum()),
        "dropped_documents": int(documents.sum()) - len(np.unique(pieces["sample"])),
        "dropped_pieces": len(dropped[0]),
        "dropped_places": int((dropped[2] - dropped[1]).sum()),
        "dropped_images": int(dropped[3].sum()),
    }
    return pieces, counts


def _sums(values: Array, starts: Array) -> Array:
    """Sums of the values of each sample: int64 [n]."""
    total = np.concatenate([np.zeros(1, np.int64), np.cumsum(values, dtype=np.int64)])
    sums: Array = total[starts[1:]] - total[starts[:-1]]
    return sums
