"""The samples of tars that have no index, one tar or many at once."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from pipeline.inspection.targets import TarFile
from transforms.byte_streams import open_file
from transforms.corpus_webdataset import IMAGE_SUFFIXES
from transforms.input_rows import BadRow
from transforms.tar_samples import Sample, read_samples

THREADS = 8
TEXT_SUFFIXES = ("txt", "json", "caption", "text")

Result = TypeVar("Result")


def is_image(suffix: str) -> bool:
    """Whether members of a suffix (`jpg`, `00.jpg`) are images by their name."""
    return suffix.rpartition(".")[2] in IMAGE_SUFFIXES


def _wants(suffix: str) -> bool:
    return is_image(suffix) or suffix.rpartition(".")[2] in TEXT_SUFFIXES


def iter_samples(tar: TarFile) -> Iterator[Sample | BadRow]:
    """The samples of a tar in its order, images and texts with their bytes; one is held.

    Raises:
        OSError: The file cannot be read.
    """
    with open_file(tar.url) as file:
        yield from read_samples(file, _wants)


def map_files(function: Callable[[Any], Result], files: Iterable[Any]) -> Iterator[Result]:
    """A function of many files in threads; the results in order."""
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            yield from pool.map(function, files)
        finally:
            # Whoever stopped early does not wait for what was not begun.
            pool.shutdown(wait=False, cancel_futures=True)
