"""MMC4 (Zhu et al. 2023, arXiv 2304.06939; `allenai/mmc4`): JSON lines, also inside a zip.

The project publishes zips that hold a `.jsonl`; plain and compressed files are read as well.
A row is a page: `text_list`, its sentences; `image_info`, its images, each with `raw_url` and
`matched_text_index`, the sentence that it is assigned to; and `url`. Where the images stood in the
page is not known. An image stands directly before its sentence, several on one sentence in the
order of `image_info`. A sentence is a node of its own: where the page's paragraphs began is not
known either, and joined sentences could not be told apart again. `similarity_matrix`, which is most
of the file, is passed over.
"""

import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import msgspec

from schemas.errors import InputRowError
from schemas.rows import Node
from transforms.byte_streams import open_file
from transforms.corpus_nodes import (
    check_size,
    image_address,
    image_node,
    page_address,
)
from transforms.file_kinds import file_kind
from transforms.input_rows import BadRow, InputDocument
from transforms.json_lines import Line, line_slices, lines_of, read_lines
from transforms.json_rows import rows_of
from transforms.markup import clean_text

REQUIRED = ("text_list", "image_info")
MAX_ZIP_DIRECTORY_BYTES = 4 << 20
"""Largest directory of a zip that is read; a real one has an entry."""

_LINES_ENDINGS = (".jsonl", ".json", ".ndjson")


class _Image(msgspec.Struct):
    raw_url: str
    matched_text_index: int


class _Row(msgspec.Struct):
    text_list: list[str]
    image_info: list[_Image]
    url: str | None = None


def _document(key: str, row: _Row) -> InputDocument:
    sentences = len(row.text_list)
    check_size(sentences + len(row.image_info), sum(map(len, row.text_list)))
    url = page_address(row.url)
    before: dict[int, list[Node]] = {}
    for image in row.image_info:
        if not 0 <= image.matched_text_index < sentences:
            raise InputRowError(
                f"an image at sentence {image.matched_text_index} of {sentences} sentences"
            )
        node = image_node(image_address(image.raw_url, url))
        before.setdefault(image.matched_text_index, []).append(node)
    nodes: list[Node] = []
    for position, raw in enumerate(row.text_list):
        nodes += before.get(position, [])
        if sentence := clean_text(raw):
            nodes.append(Node("text", "paragraph", sentence))
    return InputDocument(key, url, nodes, [], [])


class _Bounded:
    """A file of which no piece can be read that is larger than a sound zip needs."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        most = MAX_ZIP_DIRECTORY_BYTES + 1
        data = bytes(self._file.read(min(size, most) if size >= 0 else most))
        if len(data) == most:
            raise zipfile.BadZipFile(f"a directory of {most} bytes or more")
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 0 and offset < 0:
            raise zipfile.BadZipFile("a place in front of the file")
        return int(self._file.seek(offset, whence))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _Member:
    """A member of a zip whose damage is an `InputRowError`."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        try:
            return bytes(self._file.read(size))
        except (zipfile.BadZipFile, zlib.error, EOFError) as e:
            raise InputRowError(f"the zip is damaged: {e}") from e


def _zip_lines(file: Any) -> Iterator[Line | BadRow]:
    """The lines of every `.jsonl` of a zip; raises `InputRowError` where it cannot be read."""
    try:
        archive = zipfile.ZipFile(_Bounded(file))
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as e:
        raise InputRowError(f"no zip that can be read: {e}") from e
    with archive:
        entries = [
            (number, entry)
            for number, entry in enumerate(archive.infolist())
            if entry.filename.lower().endswith(_LINES_ENDINGS)
            and not entry.filename.startswith("__MACOSX/")
        ]
        if not entries:
            raise InputRowError("a zip without a .jsonl")
        for number, entry in entries:
            # Keys are offsets; of several members they need the member's place too.
            place = f"{number}:" if len(entries) > 1 else ""
            if entry.flag_bits & 1 or entry.compress_type not in (
                zipfile.ZIP_STORED,
                zipfile.ZIP_DEFLATED,
            ):
                yield BadRow(f"{place}0", InputRowError("a zip that is encrypted, or not deflated"))
                continue
            try:
                opened = archive.open(entry)
            except (zipfile.BadZipFile, NotImplementedError, ValueError) as e:
                yield BadRow(f"{place}0", InputRowError(f"the zip is damaged: {e}"))
                continue
            with opened:
                for line in lines_of(_Member(opened)):
                    if place and isinstance(line, BadRow):
                        line = BadRow(place + line.key, line.error)
                    elif place:
                        assert isinstance(line, Line)
                        line = Line(line.offset, line.data, place)
                    yield line


def read_corpus_lines(url: str, start: int, end: int | None) -> Iterator[Line | BadRow]:
    """The lines of a slice, whatever holds them; a zip belongs to the slice that starts at 0."""
    if file_kind(url) != "zip":
        yield from read_lines(url, start, end)
    elif start == 0:
        with open_file(url) as file:
            try:
                yield from _zip_lines(file)
            except InputRowError as e:
                yield BadRow("0", e)


class Mmc4Reader:
    """Reads files of MMC4; a unit is a byte, a key the offset of a line."""

    def slices(self, url: str, size: int, part_bytes: int) -> list[tuple[int, int | None]]:
        """Ranges of bytes of a plain file, else the whole file."""
        if file_kind(url) == "zip":
            return [(0, None)]
        return line_slices(url, size, part_bytes)

    def read(self, url: str, start: int, end: int | None) -> Iterator[InputDocument | BadRow]:
        """The rows of a slice."""
        lines = read_corpus_lines(url, start, end)
        for item in rows_of(lines, _Row, url, REQUIRED if start == 0 else ()):
            if isinstance(item, BadRow):
                yield item
                continue
            key, row = item
            try:
                yield _document(key, row)
            except InputRowError as e:
                yield BadRow(key, e)
