"""What a reader of tables or corpora gives, whatever the format: documents, and rows that are bad.

Every document is as its row says it; scores, ids and caption candidates are made from it later.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from schemas.errors import DataError
from schemas.ids import digest
from schemas.rows import Node

LOCAL_IMAGE_HOST = "weft.invalid"
"""The host of images that an input holds and gives no URL for. Names below `.invalid` never
resolve (RFC 6761, section 6.4), so nothing can be asked for under it."""


def local_image_url(source: str, member: str) -> str:
    """A URL for an image without one, on a host that cannot exist.

    Args:
        source: What the image is from.
        member: What tells it from the others of its source.
    """
    return f"https://{LOCAL_IMAGE_HOST}/{digest(source, member)}"


@dataclass(frozen=True, slots=True)
class InputImage:
    """The bytes of an image that the input holds."""

    url: str
    """The URL under which nodes name it; `local_image_url` where the corpus has none."""
    data: bytes


@dataclass(frozen=True, slots=True)
class InputCaption:
    """A text that the input pairs with an image."""

    node: int
    """Position of the image in the document's nodes, from 0."""
    text: str
    origin: str
    """`table` for the text of a pair."""


@dataclass(frozen=True, slots=True)
class InputDocument:
    """A row as a document."""

    key: str
    """Stable within its file: the row's number or offset, or the corpus' own key."""
    url: str
    """URL of the page, empty where there is none."""
    nodes: list[Node]
    """Text and image nodes in reading order."""
    captions: list[InputCaption]
    images: list[InputImage]
    title: str = ""
    date: str = ""
    language_declared: str | None = None
    license: str | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row, or a place in the file, that cannot be read."""

    key: str
    error: DataError


class InputReader(Protocol):
    """A format of files whose rows become documents."""

    def slices(self, url: str, size: int, part_bytes: int) -> list[tuple[int, int | None]]:
        """Cut a file into ranges of the reader's own units, each of about `part_bytes` bytes.

        Args:
            url: The file.
            size: Its size in bytes.
            part_bytes: Bytes of a slice, about.

        Returns:
            Half-open ranges of row groups or bytes; (0, None) alone for a file that cannot be cut.

        Raises:
            InputError: The file is none of this format.
        """
        ...

    def read(self, url: str, start: int, end: int | None) -> Iterator[InputDocument | BadRow]:
        """The rows of a slice, in bounded memory.

        Raises:
            InputError: The file is none of this format.
        """
        ...
