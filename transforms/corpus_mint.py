"""MINT-1T (Awadalla et al. 2024, arXiv 2406.11271; `mlfoundations/MINT-1T-*`).

The HTML part is Parquet with the parallel lists `texts` and `images` (URLs) and `url`; it is read
as `corpus_omnicorpus` reads rows of that layout. The PDF and ArXiv parts are tars by the WebDataset
convention: `<key>.json` has the same lists, with names such as `page_0_image_85` where the HTML
part has URLs, and `<key>.tiff` holds the pictures, a frame each in the order of the list. Tars of
the HTML layout, with files of single images (`<key>.0.jpg`, or `<key>.<name>.png`) or none, are
read too.

A TIFF of several frames becomes single pictures (`tiff_frames`). Where names and pictures do not
agree in number nothing tells which is which, and the row is bad.
"""

from collections.abc import Iterator

from schemas.errors import DataError, InputRowError
from schemas.rows import Node
from transforms.byte_streams import open_file
from transforms.corpus_nodes import check_parallel, check_size, image_node, paragraphs
from transforms.corpus_omnicorpus import InterleavedRow, OmniCorpusReader, page_of
from transforms.corpus_webdataset import IMAGE_SUFFIXES, image_url_of
from transforms.file_kinds import file_kind
from transforms.input_rows import BadRow, InputDocument, InputImage
from transforms.json_lines import decode_json
from transforms.tar_samples import MAX_SAMPLE_BYTES, Sample, read_samples
from transforms.tiff_frames import split_tiff
from transforms.urls import normalize_url


def _is_image(suffix: str) -> bool:
    return suffix.rpartition(".")[2] in IMAGE_SUFFIXES


def _wants(suffix: str) -> bool:
    return suffix == "json" or _is_image(suffix)


def _pictures(sample: Sample, names: list[str]) -> list[bytes | None]:
    """The bytes of each named image, None where the tar holds no image at all.

    Raises `InputRowError` or `ImageError`.
    """
    files = {suffix: data for suffix, data in sample.members.items() if _is_image(suffix)}
    if not files:
        return [None] * len(names)
    by_name = {suffix.rpartition(".")[0]: data for suffix, data in files.items()}
    if names and len(by_name) == len(files) and all(name.lower() in by_name for name in names):
        return [by_name[name.lower()] for name in names]
    found: list[bytes] = []
    for data in files.values():
        found += split_tiff(data)
        if sum(map(len, found)) > MAX_SAMPLE_BYTES:
            raise InputRowError(f"pictures of more than {MAX_SAMPLE_BYTES} bytes")
    if len(found) != len(names):
        raise InputRowError(f"{len(names)} images are named and {len(found)} are in the tar")
    return list(found)


def _document(sample: Sample) -> InputDocument:
    if "json" not in sample.members:
        raise InputRowError("a sample without a .json")
    row = decode_json(sample.members["json"], InterleavedRow)
    check_parallel(row.texts, row.images)
    url, date = page_of(row)
    names = [name for name in row.images if name is not None]
    pictures = iter(_pictures(sample, names))
    nodes: list[Node] = []
    images: dict[str, InputImage] = {}
    for text, name in zip(row.texts, row.images, strict=True):
        if text is not None:
            nodes += paragraphs(text)
        elif name is not None:
            data = next(pictures)
            address = normalize_url(name)
            if data is None and address is None:
                raise InputRowError(f"the image {name[:100]!r} is no URL, and not in the tar")
            if data is not None:
                address = address or image_url_of(data)
                images.setdefault(address, InputImage(address, data))
            assert address is not None
            nodes.append(image_node(address))
    check_size(len(nodes), 0)
    return InputDocument(sample.key, url, nodes, [], list(images.values()), date=date)


class MintReader:
    """Reads files of MINT-1T: tars, which cannot be cut, else what `OmniCorpusReader` reads."""

    def __init__(self) -> None:
        self._tables = OmniCorpusReader()

    def slices(self, url: str, size: int, part_bytes: int) -> list[tuple[int, int | None]]:
        """The whole of a tar; runs of row groups or ranges of bytes of a table."""
        if file_kind(url) == "tar":
            return [(0, None)]
        return self._tables.slices(url, size, part_bytes)

    def read(self, url: str, start: int, end: int | None) -> Iterator[InputDocument | BadRow]:
        """The samples of a tar, or the rows of a slice of a table."""
        if file_kind(url) != "tar":
            yield from self._tables.read(url, start, end)
            return
        with open_file(url) as file:
            for item in read_samples(file, _wants):
                if isinstance(item, BadRow):
                    yield item
                    continue
                try:
                    yield _document(item)
                except DataError as e:
                    yield BadRow(item.key, e)
