"""Packs into micro-batches: which bytes they need, and what tensors become of those.

A sample whose content does not decode leaves a hole of known length and known number of images. A
filler stands there: grey pictures, then padding, without labels. So packs, steps and balance are
what the plan says, whatever is in the shards.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from schemas.errors import DataError
from trainer.data.batch import IGNORE, BadSample, MicroBatch
from trainer.data.byte_ranges import ByteRange
from trainer.data.layout import IMAGE, DocumentTokens, SampleContent, lay_out, read_content
from trainer.data.pictures import PictureSpec, decode_picture
from trainer.data.tar_members import IndexMismatchError, read_members
from trainer.data.tiff_frames import split_frame_name
from trainer.data.tokenizer import TextTokenizer

if TYPE_CHECKING:
    from trainer.data.corpus import Corpus
    from trainer.data.pack_plan import Piece

GREY = 128
"""Of every pixel of a filler's pictures."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class PackPieces:
    """A pack: where it stands in the global order, and what is in it."""

    position: int
    source: int
    pieces: list["Piece"]


class Assembled(NamedTuple):
    """A micro-batch, and how its samples turned out."""

    batch: MicroBatch
    outcomes: bytes
    """A byte for each piece in order: 1 where a filler stands."""


def packs_at(corpus: "Corpus", positions: Sequence[int]) -> list[PackPieces]:
    """The packs at positions of the global order."""
    # At once: a permutation of a few numbers costs what that of one does.
    sources, packs = corpus.order.sources_and_packs(np.asarray(positions, np.int64))
    return [
        PackPieces(position, source, corpus.sources[source].plan.pieces_of(pack))
        for position, source, pack in zip(positions, sources.tolist(), packs.tolist(), strict=True)
    ]


def samples_of(packs: Sequence[PackPieces], source: int) -> list[int]:
    """Samples of a source that packs hold, each once."""
    return list(
        dict.fromkeys(
            piece.sample for pack in packs if pack.source == source for piece in pack.pieces
        )
    )


def sample_ranges(corpus: "Corpus", source: int, samples: Sequence[int]) -> list[ByteRange]:
    """Where the bytes of samples lie, in the shards of their source."""
    index = corpus.sources[source].index
    numbers = np.asarray(samples, np.int64)
    columns = [column[numbers].tolist() for column in (index.shard, index.offset, index.size)]
    return [ByteRange(*row) for row in zip(*columns, strict=True)]


class Assembler:
    """Makes micro-batches of bytes."""

    def __init__(
        self,
        corpus: "Corpus",
        tokenizer: TextTokenizer,
        picture: PictureSpec,
        max_pixels: int,
        draft: bool,
    ) -> None:
        """Keep what all micro-batches share."""
        self._corpus = corpus
        self._tokenizer = tokenizer
        self._picture = picture
        self._max_pixels = max_pixels
        self._draft = draft

    def assemble(
        self,
        step: int,
        micro: int,
        packs: Sequence[PackPieces],
        data: Mapping[tuple[int, int], bytes | memoryview],
    ) -> Assembled:
        """One micro-batch.

        Args:
            step: Its step.
            micro: Its number within the step.
            packs: What it holds.
            data: Bytes of the samples, by source and number.

        Raises:
            IndexMismatchError: A sample is not the one that was planned.
        """
        shape = len(packs), self._corpus.sequence_length
        side = self._picture.side
        tokens = np.full(shape, self._tokenizer.pad, np.int64)
        labels = np.full(shape, IGNORE, np.int64)
        positions = np.empty(shape, np.int64)
        is_image = np.zeros(shape, np.bool_)
        count = sum(piece.images for pack in packs for piece in pack.pieces)
        pictures = np.empty((count, 3, side, side), np.uint8)
        bad: list[BadSample] = []
        outcomes = bytearray()
        picture = 0
        for row, pack in enumerate(packs):
            place = 0
            for piece in pack.pieces:
                stop = place + piece.stop - piece.start
                slots = pictures[picture : picture + piece.images]
                found = self._piece(pack.source, piece, data[pack.source, piece.sample], slots)
                if isinstance(found, BadSample):
                    bad.append(found)
                    outcomes.append(1)
                    slots[:] = GREY
                    is_image[row, place : place + piece.images * self._corpus.image_tokens] = True
                else:
                    outcomes.append(0)
                    images = found == IMAGE
                    tokens[row, place:stop][~images] = found[~images]
                    is_image[row, place:stop] = images
                    # The label of a place is what follows, where that is text of this piece.
                    labels[row, place : stop - 1][~images[1:]] = found[1:][~images[1:]]
                positions[row, place:stop] = np.arange(stop - place)
                picture += piece.images
                place = stop
            positions[row, place:] = np.arange(shape[1] - place)
        batch = MicroBatch(
            step,
            micro,
            torch.from_numpy(tokens),
            torch.from_numpy(labels),
            torch.from_numpy(positions),
            torch.from_numpy(is_image),
            torch.from_numpy(pictures),
            torch.tensor([pack.position for pack in packs], dtype=torch.int64),
            torch.tensor([pack.source for pack in packs], dtype=torch.int64),
            torch.tensor(
                [sum(each.stop - each.start for each in pack.pieces) for pack in packs],
                dtype=torch.int64,
            ),
            bad=bad,
            read_bytes=sum(map(len, data.values())),
        )
        return Assembled(batch, bytes(outcomes))

    def _piece(
        self, source: int, piece: "Piece", data: bytes | memoryview, slots: Pixels
    ) -> npt.NDArray[np.int32] | BadSample:
        """The places of a piece, its pictures in their slots; or what is wrong with its sample."""
        try:
            key, members = read_members(data)
        except IndexMismatchError as error:
            raise self._mismatch(source, piece, str(error)) from error
        try:
            content = read_content(self._corpus.sources[source].stream, members)
            document = lay_out(content, self._tokenizer, self._corpus.image_tokens)
            self._check(source, piece, document)
            self._decode(_images(content), piece, members, slots)
        except DataError as error:
            shard = self._shard(source, piece)
            return BadSample(self._corpus.sources[source].name, shard, key, error.error, str(error))
        return document.tokens[piece.start : piece.stop]

    def _decode(
        self,
        names: list[str],
        piece: "Piece",
        members: Mapping[str, memoryview],
        slots: Pixels,
    ) -> None:
        for slot, name in enumerate(names[piece.first_image : piece.first_image + piece.images]):
            suffix, frame = split_frame_name(name)
            pixels = decode_picture(
                members[suffix], self._picture, self._max_pixels, self._draft, frame
            )
            slots[slot] = pixels.transpose(2, 0, 1)

    def _check(self, source: int, piece: "Piece", document: DocumentTokens) -> None:
        """Refuse a document that is not laid out as the plan was told."""
        starts = document.image_starts
        first, last = (int(n) for n in np.searchsorted(starts, (piece.start, piece.stop)))
        fits = (
            piece.stop <= len(document.tokens)
            and last - first == piece.images
            and (piece.images == 0 or first == piece.first_image)
            and not _cuts_image(document, piece.start)
            and not _cuts_image(document, piece.stop)
        )
        if not fits:
            raise self._mismatch(
                source,
                piece,
                f"{len(document.tokens)} places and {len(starts)} images, where the plan takes "
                f"places {piece.start} to {piece.stop} with {piece.images} images",
            )

    def _mismatch(self, source: int, piece: "Piece", what: str) -> IndexMismatchError:
        offset = int(self._corpus.sources[source].index.offset[piece.sample])
        return IndexMismatchError(
            f"{self._shard(source, piece)}: sample {piece.sample} at byte {offset} is not the one "
            f"that was indexed: {what}. The shard has changed: run `python -m trainer prepare` "
            "again, and start a new run"
        )

    def _shard(self, source: int, piece: "Piece") -> str:
        index = self._corpus.sources[source].index
        return index.shards[int(index.shard[piece.sample])]


def _images(content: SampleContent) -> list[str]:
    return [name for name in content.images if name is not None]


def _cuts_image(document: DocumentTokens, place: int) -> bool:
    """Whether an image lies on both sides of a place."""
    if place >= len(document.tokens) or document.tokens[place] != IMAGE:
        return False
    return place not in document.image_starts
