"""Images out of packs, decoded ahead of whoever looks at them, in the order they are asked for.

One thread reads ranges of packs, some decode; both stay a bounded way ahead. Decoders and resizers
let go of the interpreter's lock, so threads are enough, and a picture never leaves the process.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from PIL import Image

from schemas.errors import DataError
from schemas.rows import Locator
from schemas.shards import ShardFormat
from transforms.image_codec import decode_picture
from transforms.packs import read_windows

WINDOW_BYTES = 32 << 20
"""Bytes of packs that are read at once; one window more is read ahead."""
WINDOW_IMAGES = 512

Item = TypeVar("Item")


def feed_pictures(
    output: str,
    items: Sequence[Item],
    locate: Callable[[Item], Locator],
    prepare: Callable[[Item, Image.Image], Any],
    *,
    side: int,
    threads: int,
    ahead: int,
) -> Iterator[tuple[Item, Any | DataError]]:
    """Decode the image of each item, and yield what `prepare` makes of it.

    Args:
        output: The output whose packs they lie in.
        items: What is wanted, best in the order in which it lies in packs.
        locate: Where an item's bytes lie.
        prepare: Called with an upright RGB picture, in a thread.
        side: As of `decode_picture`.
        threads: That decode.
        ahead: Decoded items at most that nobody has taken yet.

    Yields:
        The items in their order, each with what was made of it, or with the error that it ended in.
    """

    def decode(item: Item, data: bytes | Exception) -> Any:
        try:
            if isinstance(data, Exception):
                raise data
            return prepare(item, decode_picture(data, _name(locate(item)), _FORMAT, side))
        except DataError as error:
            return error

    with ThreadPoolExecutor(threads) as decoders:
        waiting: deque[tuple[Item, Future[Any]]] = deque()
        windows = (
            (window, [locate(item) for item in window]) for window in _windows(items, locate)
        )
        for window, found in read_windows(output, windows):
            for item in window:
                waiting.append((item, decoders.submit(decode, item, found[locate(item)])))
                if len(waiting) >= ahead:
                    first, made = waiting.popleft()
                    yield first, made.result()
        while waiting:
            first, made = waiting.popleft()
            yield first, made.result()


_FORMAT = ShardFormat()
"""Background and bounds of shards as recipes have them unless they say otherwise."""


def _name(locator: Locator) -> str:
    return f"at {locator.offset} of pack {locator.pack}"


def _windows(items: Sequence[Item], locate: Callable[[Item], Locator]) -> Iterator[Sequence[Item]]:
    start = size = 0
    for number, item in enumerate(items):
        if size >= WINDOW_BYTES or number - start >= WINDOW_IMAGES:
            yield items[start:number]
            start, size = number, 0
        size += locate(item).size
    if start < len(items):
        yield items[start:]
