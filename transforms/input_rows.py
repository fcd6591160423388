"""What a reader of tables and existing corpora gives: documents, and rows that it cannot read.

A reader knows one format and nothing of packs, ids, counts or tables: it opens a file, streams over
a slice of it and yields what stands there, in order. `extract_rows.py` does the rest, the same for
every format, so that what follows cannot tell a row of a table from a page of a crawl.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from schemas.errors import DataError
from schemas.ids import digest
from schemas.rows import Node

TABLE_ORIGIN = "table"
"""Origin of a caption that is a table's own text."""
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
    """An image of an input row: bytes that the input holds."""

    url: str
    """The URL under which nodes name it; `local_image_url` where the corpus has none."""
    data: bytes
    """As stored; what does not decode becomes a typed failure of the table `image_records`."""


@dataclass(frozen=True, slots=True)
class InputCaption:
    """A text that the input gives to an image."""

    node: int
    """Position of the image in the document's nodes, from 0."""
    text: str
    origin: str
    """`table` for a table's own text, else as in `Caption.origin`."""


@dataclass(frozen=True, slots=True)
class InputDocument:
    """A row of a table, or a document of a corpus.

    Image URLs need not be normalised. An image node without a caption here gets the candidates that
    an image of a page gets (alt, figcaption, title, ...). A document with a NUL or half a surrogate
    pair in a text fails, so a reader may decode broken UTF-8 with `surrogateescape`.
    """

    key: str
    """Stable within its file, whatever the slice: the corpus' own key, else a row number or the
    offset of a line."""
    url: str
    """URL of the page, as it stands in the input; empty where there is none."""
    nodes: list[Node]
    """Text and image nodes in reading order."""
    captions: list[InputCaption] = field(default_factory=list)
    images: list[InputImage] = field(default_factory=list)
    title: str = ""
    date: str = ""
    """When the page was fetched, ISO 8601 in UTC, or empty."""
    language_declared: str | None = None
    license: str | None = None
    date_published: str | None = None
    place: int = 0
    """Row number or byte offset in the file: what `source_offset` says of a record of a crawl."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read: it becomes a failure."""

    key: str
    error: DataError
    """An `InputRowError`, or what is wrong with the row more exactly."""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that can be read and is of no use: it becomes a ledger row of gate `record`."""

    key: str
    rule: str
    """`no_text`, `no_image`, ...: what is counted."""
    value: str
    threshold: str
    """What the row would have to be, in words."""


Row = InputDocument | BadRow | RefusedRow


class InputReader(Protocol):
    """Reads the files of one format."""

    def slices(self, url: str, size: int, part_bytes: int) -> list[tuple[int, int | None]]:
        """Cut a file of `size` bytes into slices of about `part_bytes`.

        In units of the reader's own (row groups, byte offsets), sorted, without a gap; `None` is
        the end of the file, and `[(0, None)]` a file that cannot be cut. Raises `InputError` where
        the file is no file of this format.
        """
        ...

    def read(self, url: str, start: int, end: int | None) -> Iterator[Row]:
        """Stream over the rows that begin in a slice.

        Memory is bounded by a row or a batch. What is wrong with a place in the file is a `BadRow`
        with the key of the place; `InputError` is raised where the file is of another format.
        """
        ...
