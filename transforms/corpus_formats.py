"""The formats of existing corpora by name, and which of them a file is."""

from itertools import islice

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import InputRowError
from transforms.byte_streams import open_file
from transforms.corpus_mint import MintReader
from transforms.corpus_mmc4 import Mmc4Reader, read_corpus_lines
from transforms.corpus_obelics import ObelicsReader
from transforms.corpus_omnicorpus import OmniCorpusReader
from transforms.corpus_webdataset import IMAGE_SUFFIXES, WebDatasetReader
from transforms.file_kinds import file_kind
from transforms.input_rows import InputReader
from transforms.json_lines import Line, decode_json
from transforms.tar_samples import Sample, read_samples

STEP_VERSION = 1
"""Raised when one of the readers gives other rows of the same file."""

READERS: dict[str, type[InputReader]] = {
    "obelics": ObelicsReader,
    "mmc4": Mmc4Reader,
    "omnicorpus": OmniCorpusReader,
    "webdataset": WebDatasetReader,
    "mint1t": MintReader,
}
SNIFFED_ROWS = 10
"""First rows or samples of a file that are looked at."""


def sniff(url: str) -> str | None:
    """The name in `READERS` of a file's format; None where its first rows are of none.

    Parquet with `images` and `texts` is `obelics` where its metadata are JSON strings, else
    `omnicorpus`, whose reader takes the HTML part of MINT-1T as well. A tar is `mint1t` where a
    `.json` has these lists.
    """
    kind = file_kind(url)
    if kind == "parquet":
        return _sniff_columns(url)
    if kind == "tar":
        return _sniff_tar(url)
    lines = (line for line in read_corpus_lines(url, 0, None) if isinstance(line, Line))
    return next((name for line in islice(lines, SNIFFED_ROWS) if (name := _by_members(line))), None)


def _sniff_columns(url: str) -> str | None:
    with open_file(url) as file:
        try:
            schema = pq.read_schema(file)
        except pa.ArrowException:
            return None
    columns = {field.name: field.type for field in schema}
    if not {"images", "texts"} <= columns.keys():
        return None
    texts = [columns.get(name, pa.null()) for name in ("general_metadata", "metadata")]
    if all(pa.types.is_string(kind) or pa.types.is_large_string(kind) for kind in texts):
        return "obelics"
    return "omnicorpus"


def _member_names(data: bytes) -> set[str]:
    try:
        return set(decode_json(data, dict[str, msgspec.Raw]))
    except InputRowError:
        return set()


def _by_members(line: Line) -> str | None:
    names = _member_names(line.data)
    if {"text_list", "image_info"} <= names:
        return "mmc4"
    return "omnicorpus" if {"texts", "images"} <= names else None


def sample_format(sample: Sample) -> str | None:
    """The name in `READERS` of the format of a tar's sample; None where it is of none."""
    names = _member_names(sample.members.get("json", b""))
    if {"texts", "images"} <= names:
        return "mint1t"
    if "url" in names or not sample.members.keys().isdisjoint(IMAGE_SUFFIXES):
        return "webdataset"
    return None


def _sniff_tar(url: str) -> str | None:
    with open_file(url) as file:
        samples = read_samples(file, {*IMAGE_SUFFIXES, "json"}.__contains__)
        for sample in islice(samples, SNIFFED_ROWS):
            if isinstance(sample, Sample) and (name := sample_format(sample)):
                return name
    return None
