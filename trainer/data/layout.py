"""A sample as a line of tokens: what stands where, before it is cut and packed.

A document is BOS (where the tokenizer has one), its elements in order, EOS. An element is a text or
an image; an image takes `image_tokens` places. In a captioned sample the image comes first. A piece
of a document is a range of these places.

Texts are stripped, texts of nothing vanish, and texts that follow each other become one with a
blank line between, so that two texts never meet without an image between them. What is no UTF-8, a
lone surrogate or NUL becomes U+FFFD.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.errors import DataError
from trainer.data.tiff_frames import FRAMED, frame_name, tiff_frames
from trainer.data.tokenizer import TextTokenizer

LAYOUT_VERSION = 1
"""Raised when a sample becomes other places than before."""
IMAGE = -1
"""In `DocumentTokens.tokens`: a place of an image."""
IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp", "img")
"""Image members of a captioned sample; Weft calls them `img` where formats are kept."""
PICTURE_SUFFIXES = frozenset({*IMAGE_SUFFIXES, *FRAMED, "gif", "bmp", "avif"})
"""Last parts of the suffixes of members that are images of an interleaved document."""
SEPARATOR = "\n\n"
"""Between texts of an interleaved document that follow each other."""
MAX_CHARACTERS = 4_000_000
"""Most characters of a sample: a longer one is no document, and is counted as bad."""
MAX_ELEMENTS = 100_000

_REPLACED = re.compile("[\0\ud800-\udfff]")

Bytes = bytes | bytearray | memoryview


class SampleError(DataError):
    """Members of a sample that are not what its stream holds."""


@dataclass(frozen=True, slots=True)
class SampleContent:
    """A sample's elements in order: a text, or the suffix of an image's member.

    A frame of a TIFF of several is `<suffix>#<number>` (`tiff_frames.split_frame_name`).
    """

    texts: list[str | None]
    images: list[str | None]
    """One of the two is None at each position."""


@dataclass(frozen=True, slots=True)
class DocumentTokens:
    """A document as places."""

    tokens: npt.NDArray[np.int32]
    """[places]: an id of the tokenizer, or IMAGE."""
    image_starts: npt.NDArray[np.int32]
    """[images]: the first place of each."""


def needs_bytes(suffix: str) -> bool:
    """Whether `read_content` looks into a member; the others may be given as no bytes."""
    return suffix in ("txt", "json") or suffix.rpartition(".")[2] in FRAMED


def _is_picture(suffix: str) -> bool:
    return suffix.rpartition(".")[2] in PICTURE_SUFFIXES and "#" not in suffix


def clean_text(text: str) -> str:
    """A text as it is encoded."""
    return _REPLACED.sub("�", text).strip()


def read_content(stream: str, members: Mapping[str, Bytes]) -> SampleContent:
    """The elements of a sample, from the bytes of its members by suffix.

    Raises:
        SampleError: A member is missing or is something else.
    """
    if stream == "interleaved":
        return _interleaved(members)
    text = clean_text(_member_text(members, "txt"))
    if len(text) > MAX_CHARACTERS:
        raise SampleError(f"a text of more than {MAX_CHARACTERS} characters")
    texts: list[str | None] = [text] if text else []
    if stream == "text":
        return SampleContent(texts, [None] * len(texts))
    images = [suffix for suffix in members if suffix in IMAGE_SUFFIXES]
    if len(images) != 1:
        found = ", ".join(images) or "none"
        raise SampleError(f"a captioned sample has one image, not {found}")
    return SampleContent([None, *texts], [images[0], *[None] * len(texts)])


def _member_text(members: Mapping[str, Bytes], suffix: str) -> str:
    if suffix not in members:
        raise SampleError(f"a sample without a .{suffix}")
    data = bytes(members[suffix])
    if len(data) > 4 * MAX_CHARACTERS:
        raise SampleError(f"a .{suffix} of more than {4 * MAX_CHARACTERS} bytes")
    return data.decode("utf-8-sig", "replace")


def _interleaved(members: Mapping[str, Bytes]) -> SampleContent:
    texts, images = _parallel_lists(_member_text(members, "json"))
    named = [image for image in images if image is not None]
    suffixes = iter(_image_members(members, named))
    elements: list[tuple[str | None, str | None]] = []
    run: list[str] = []
    for text, image in zip(texts, images, strict=True):
        if image is None:
            if cleaned := clean_text(text or ""):
                run.append(cleaned)
            continue
        if run:
            elements.append((SEPARATOR.join(run), None))
            run = []
        elements.append((None, next(suffixes)))
    if run:
        elements.append((SEPARATOR.join(run), None))
    return SampleContent([text for text, _ in elements], [image for _, image in elements])


def _parallel_lists(written: str) -> tuple[list[str | None], list[str | None]]:
    """`texts` and `images` of a document's JSON; at each position at most one is not null."""
    try:
        values: Any = json.loads(written)
    except (ValueError, RecursionError) as error:
        raise SampleError(f"a .json that is none: {str(error)[:100]}") from error
    if not isinstance(values, dict):
        raise SampleError("a .json that is no object")
    texts, images = values.get("texts"), values.get("images")
    if not isinstance(texts, list) or not isinstance(images, list):
        raise SampleError("a .json without the lists texts and images")
    if len(texts) != len(images):
        raise SampleError(f"{len(texts)} texts beside {len(images)} images")
    if len(texts) > MAX_ELEMENTS:
        raise SampleError(f"more than {MAX_ELEMENTS} texts and images")
    for position, pair in enumerate(zip(texts, images, strict=True)):
        if not all(value is None or isinstance(value, str) for value in pair):
            raise SampleError(f"position {position}: neither a text nor the name of an image")
        if None not in pair:
            raise SampleError(f"position {position}: a text and an image")
    if sum(len(text) for text in texts if text is not None) > MAX_CHARACTERS:
        raise SampleError(f"texts of more than {MAX_CHARACTERS} characters")
    return texts, images


def _image_members(members: Mapping[str, Bytes], named: list[str]) -> list[str]:
    """The member, or the frame of one, of each named image.

    Weft names images by their suffix, `00.jpg`; others by what stands before the extension
    (`page_0_image_1`), or by URL: then members and frames stand for the images in their order, and
    there must be as many of them.
    """
    found = [suffix for suffix in members if _is_picture(suffix)]
    if all(name in found for name in named):
        return named
    by_stem = {suffix.rpartition(".")[0]: suffix for suffix in found if "." in suffix}
    if len(by_stem) == len(found) and all(name.lower() in by_stem for name in named):
        return [by_stem[name.lower()] for name in named]
    frames: list[str] = []
    for suffix in found:
        if suffix.rpartition(".")[2] in FRAMED:
            try:
                count = tiff_frames(members[suffix])
            except ValueError as error:
                raise SampleError(f".{suffix}: {error}") from error
            frames += [frame_name(suffix, number) for number in range(count)]
        else:
            frames.append(suffix)
    if len(frames) != len(named):
        raise SampleError(f"{len(named)} images are named and {len(frames)} are in the shard")
    return frames


def element_lengths(content: SampleContent, tokenizer: TextTokenizer) -> list[int]:
    """Tokens of each text element, IMAGE for an image."""
    texts = tokenizer.encode_batch([text for text in content.texts if text is not None])
    lengths = iter(texts)
    return [IMAGE if text is None else len(next(lengths)) for text in content.texts]


def lay_out(content: SampleContent, tokenizer: TextTokenizer, image_tokens: int) -> DocumentTokens:
    """The places of the whole document."""
    texts = iter(tokenizer.encode_batch([text for text in content.texts if text is not None]))
    image = np.full(image_tokens, IMAGE, np.int32)
    parts: list[npt.NDArray[np.int32]] = []
    starts: list[int] = []
    place = 0
    if tokenizer.bos is not None:
        parts.append(np.array([tokenizer.bos], np.int32))
        place = 1
    for text in content.texts:
        if text is None:
            starts.append(place)
            parts.append(image)
        else:
            parts.append(np.array(next(texts), np.int32))
        place += len(parts[-1])
    parts.append(np.array([tokenizer.eos], np.int32))
    return DocumentTokens(np.concatenate(parts), np.array(starts, np.int32))


def places_of(lengths: Sequence[int], tokenizer: TextTokenizer, image_tokens: int) -> int:
    """Places of a document, from its element lengths alone: what `lay_out` gives."""
    ends = 1 if tokenizer.bos is None else 2
    return ends + sum(image_tokens if length == IMAGE else length for length in lengths)
