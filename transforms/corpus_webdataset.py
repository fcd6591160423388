"""Tars of image and text pairs by the WebDataset convention, as img2dataset writes them.

A sample is `<key>.jpg` (or png, webp, ...), `<key>.txt` and `<key>.json`, of which the last has the
image's `url`, its `caption` and what became of the request. The image becomes a document with one
node and its texts captions of it: `txt`, and `caption` where that says something else.

Bytes are taken as they lie in the tar; img2dataset has re-encoded them by default. A sample without
an image has a URL that is still to be asked for, also where `status` tells of a failure: whether it
is asked again is for the fetch stage to say. An image without a URL gets one by its bytes.
"""

import hashlib
from collections.abc import Iterator

import msgspec

from schemas.errors import InputRowError
from transforms.byte_streams import open_file
from transforms.corpus_nodes import MAX_CHARACTERS, image_node
from transforms.input_rows import (
    BadRow,
    InputCaption,
    InputDocument,
    InputImage,
    local_image_url,
)
from transforms.json_lines import decode_json
from transforms.markup import clean_text
from transforms.tar_samples import Sample, read_samples
from transforms.urls import normalize_url

IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif")
ORIGIN = "table"

_WANTED = frozenset({*IMAGE_SUFFIXES, "txt", "json"})


class _Pair(msgspec.Struct):
    url: str | None = None
    caption: str | None = None


def image_url_of(data: bytes) -> str:
    """The name of an image that has no URL: by its bytes, so that it is the same in any file."""
    return local_image_url("sha256", hashlib.sha256(data).hexdigest())


def member_text(data: bytes) -> str:
    """A text member; raises `InputRowError`."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise InputRowError(f"a text that is no UTF-8: {e.reason} at {e.start}") from e


def _document(sample: Sample) -> InputDocument:
    members = sample.members
    suffixes = [suffix for suffix in IMAGE_SUFFIXES if suffix in members]
    if len(suffixes) > 1:
        raise InputRowError(f"several images in one pair: {', '.join(suffixes)}")
    pair = _Pair()
    if "json" in members:
        try:
            pair = decode_json(members["json"], _Pair)
        except InputRowError as e:
            raise InputRowError(f"json: {e}") from e
    texts = [member_text(members["txt"])] if "txt" in members else []
    texts.append(pair.caption or "")
    if sum(map(len, texts)) > MAX_CHARACTERS:
        raise InputRowError(f"more than {MAX_CHARACTERS} characters of text")
    url = normalize_url(pair.url or "")
    images: list[InputImage] = []
    if suffixes:
        data = members[suffixes[0]]
        if not data:
            raise InputRowError("an image of no bytes")
        url = url or image_url_of(data)
        images.append(InputImage(url, data))
    elif url is None:
        raise InputRowError("neither an image nor a URL of one")
    captions = dict.fromkeys(text for raw in texts if (text := clean_text(raw)))
    return InputDocument(
        sample.key,
        "",
        [image_node(url)],
        [InputCaption(0, text, ORIGIN) for text in captions],
        images,
    )


class WebDatasetReader:
    """Reads tars of pairs; a tar cannot be cut, a key is that of a sample."""

    def slices(self, url: str, size: int, part_bytes: int) -> list[tuple[int, int | None]]:
        """The whole file."""
        del url, size, part_bytes
        return [(0, None)]

    def read(self, url: str, start: int, end: int | None) -> Iterator[InputDocument | BadRow]:
        """The samples of a tar."""
        del start, end
        with open_file(url) as file:
            for item in read_samples(file, _WANTED.__contains__):
                if isinstance(item, BadRow):
                    yield item
                    continue
                try:
                    yield _document(item)
                except InputRowError as e:
                    yield BadRow(item.key, e)
