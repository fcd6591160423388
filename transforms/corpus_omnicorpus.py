"""OmniCorpus (Li et al. 2024, arXiv 2406.08418; `OpenGVLab/OmniCorpus-CC`): Parquet or JSON lines.

A row is two parallel lists, `texts` and `images` (URLs), of which exactly one holds something at
each position, and `general_metadata` with the page's URL: a struct, or a JSON string of one. Files
that have the page's `url` as a column of its own instead are read too, as many corpora of this
layout do. What the corpus measured of texts and images (`metadata`, scores, hashes) is not read:
we measure it ourselves.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from schemas.errors import InputRowError
from schemas.rows import Node
from transforms.corpus_nodes import (
    check_parallel,
    check_size,
    crawl_time,
    image_address,
    image_node,
    page_address,
    paragraphs,
)
from transforms.file_kinds import file_kind
from transforms.input_rows import BadRow, InputDocument
from transforms.json_lines import convert_row, decode_json, line_slices
from transforms.json_rows import read_json_rows
from transforms.parquet_rows import Columns, parquet_slices, read_parquet

REQUIRED = ("images", "texts")
COLUMNS = Columns(REQUIRED, ("general_metadata.url", "url"))


class _General(msgspec.Struct):
    url: str | None = None
    warc_filename: str | None = None


class InterleavedRow(msgspec.Struct):
    """A row of this layout, from Parquet, JSON lines or a member of a tar."""

    images: list[str | None]
    texts: list[str | None]
    url: str | None = None
    general_metadata: Any = None


def page_of(row: InterleavedRow) -> tuple[str, str]:
    """URL and date of a row's page; raises `InputRowError`."""
    general = _General()
    if row.general_metadata is not None:
        try:
            if isinstance(row.general_metadata, str):
                general = decode_json(row.general_metadata, _General)
            else:
                general = convert_row(row.general_metadata, _General)
        except InputRowError as e:
            raise InputRowError(f"general_metadata: {e}") from e
    return page_address(row.url or general.url), crawl_time(general.warc_filename)


def interleaved_document(key: str, row: InterleavedRow) -> InputDocument:
    """A row whose images are all behind URLs; raises `InputRowError`."""
    check_parallel(row.texts, row.images)
    url, date = page_of(row)
    nodes: list[Node] = []
    for text, image in zip(row.texts, row.images, strict=True):
        if text is not None:
            nodes += paragraphs(text)
        elif image is not None:
            nodes.append(image_node(image_address(image, url)))
    check_size(len(nodes), 0)
    return InputDocument(key, url, nodes, [], [], date=date)


class OmniCorpusReader:
    """Reads files of OmniCorpus and its like.

    Of Parquet a unit is a row group and a key the number of a row; of JSON lines both are bytes.
    """

    def slices(self, url: str, size: int, part_bytes: int) -> list[tuple[int, int | None]]:
        """Runs of row groups, or ranges of bytes."""
        if file_kind(url) == "parquet":
            return parquet_slices(url, size, part_bytes, COLUMNS)
        return line_slices(url, size, part_bytes)

    def read(self, url: str, start: int, end: int | None) -> Iterator[InputDocument | BadRow]:
        """The rows of a slice."""
        rows: Iterator[tuple[str, InterleavedRow] | BadRow]
        if file_kind(url) == "parquet":
            rows = _parquet_rows(url, start, end)
        else:
            rows = read_json_rows(url, start, end, InterleavedRow, REQUIRED)
        for item in rows:
            if isinstance(item, BadRow):
                yield item
                continue
            key, row = item
            try:
                yield interleaved_document(key, row)
            except InputRowError as e:
                yield BadRow(key, e)


def _parquet_rows(
    url: str, start: int, end: int | None
) -> Iterator[tuple[str, InterleavedRow] | BadRow]:
    for item in read_parquet(url, start, end, COLUMNS):
        if isinstance(item, BadRow):
            yield item
            continue
        key, values = item
        try:
            yield key, convert_row(values, InterleavedRow)
        except InputRowError as e:
            yield BadRow(key, e)
