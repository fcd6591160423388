"""OBELICS (Laurençon et al. 2023, arXiv 2306.16527; `HuggingFaceM4/OBELICS`): Parquet.

A row is two parallel lists, `texts` and `images` (URLs), of which exactly one holds something at
each position; `metadata`, a JSON list parallel to them with what the page said of each image; and
`general_metadata`, a JSON object with the page's URL and where its crawl has it.

The paragraph `END_OF_DOCUMENT_TOKEN_TO_BE_REPLACED`, which the corpus puts where a `more-link` of a
page stood, is no text of the page and left out. `src` and the URL in `images` are the same; the
latter is taken. `original_width` was measured and is not declared, `rendered_width` was.
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
from transforms.input_rows import BadRow, InputDocument
from transforms.json_lines import convert_row, decode_json
from transforms.parquet_rows import Columns, parquet_slices, read_parquet

COLUMNS = Columns(("images", "texts", "general_metadata"), ("metadata",))
END_OF_DOCUMENT = "END_OF_DOCUMENT_TOKEN_TO_BE_REPLACED"


class _Described(msgspec.Struct):
    """What the page said of an image."""

    alt_text: str | None = None
    rendered_width: int | float | str | None = None
    rendered_height: int | float | str | None = None


class _General(msgspec.Struct):
    url: str
    warc_filename: str | None = None


class _Row(msgspec.Struct):
    images: list[str | None]
    texts: list[str | None]
    general_metadata: Any
    metadata: Any = None


def _decoded(value: Any, kind: Any, column: str) -> Any:
    """A column that is a JSON string, or a struct already."""
    try:
        if isinstance(value, str):
            return decode_json(value, kind)
        return convert_row(value, kind)
    except InputRowError as e:
        raise InputRowError(f"{column}: {e}") from e


def _document(key: str, values: dict[str, Any]) -> InputDocument:
    row = convert_row(values, _Row)
    check_parallel(row.texts, row.images)
    general: _General = _decoded(row.general_metadata, _General, "general_metadata")
    url = page_address(general.url)
    described: list[_Described | None] = [None] * len(row.images)
    if row.metadata is not None:
        described = _decoded(row.metadata, list[_Described | None], "metadata")
        if len(described) != len(row.images):
            raise InputRowError(
                f"metadata: {len(described)} entries beside {len(row.images)} positions"
            )
    nodes: list[Node] = []
    for text, image, said in zip(row.texts, row.images, described, strict=True):
        if text is not None:
            nodes += paragraphs(text, END_OF_DOCUMENT)
            continue
        assert image is not None
        said = said or _Described()
        address = image_address(image, url)
        nodes.append(image_node(address, said.alt_text, said.rendered_width, said.rendered_height))
    check_size(len(nodes), 0)
    return InputDocument(key, url, nodes, [], [], date=crawl_time(general.warc_filename))


class ObelicsReader:
    """Reads files of OBELICS; a unit is a row group, a key the number of a row."""

    def slices(self, url: str, size: int, part_bytes: int) -> list[tuple[int, int | None]]:
        """Runs of row groups."""
        return parquet_slices(url, size, part_bytes, COLUMNS)

    def read(self, url: str, start: int, end: int | None) -> Iterator[InputDocument | BadRow]:
        """The rows of a run of row groups."""
        for item in read_parquet(url, start, end, COLUMNS):
            if isinstance(item, BadRow):
                yield item
                continue
            key, values = item
            try:
                yield _document(key, values)
            except InputRowError as e:
                yield BadRow(key, e)
