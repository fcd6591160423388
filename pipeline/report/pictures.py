"""Thumbnails of the images that a report shows, out of packs, by processes that may crash."""

import asyncio
import base64
from collections.abc import Iterable

from schemas.errors import DataError
from schemas.rows import Locator
from transforms.decode_pool import DecodePool
from transforms.image_facts import ImageFactsConfig
from transforms.packs import read_images

MAX_BYTES = 8_000_000
"""Of all thumbnails of a report, as text: what is asked for first is shown."""
_WINDOW = 64
_DECODE_SECONDS = 20.0


def data_urls(
    output: str, wanted: Iterable[tuple[str, Locator]], decoders: int = 2
) -> dict[str, str]:
    """Key -> thumbnail as a `data:` URL, of the images that can be decoded.

    Args:
        output: The output whose packs they lie in.
        wanted: Key and place of each image, the most wanted first; a key may come again.
        decoders: Processes that decode.
    """
    places = dict(reversed(list(wanted)))
    return asyncio.run(_make(output, list(reversed(places.items())), decoders))


async def _make(output: str, wanted: list[tuple[str, Locator]], decoders: int) -> dict[str, str]:
    found: dict[str, str] = {}
    size = 0
    if not wanted:
        return found
    async with DecodePool(decoders, _DECODE_SECONDS, ImageFactsConfig()) as pool:
        for start in range(0, len(wanted), _WINDOW):
            window = wanted[start : start + _WINDOW]
            read = await asyncio.to_thread(read_images, output, [place for _, place in window])
            made = await asyncio.gather(*(_thumbnail(pool, read[place]) for _, place in window))
            for (key, _), url in zip(window, made, strict=True):
                if url and size + len(url) <= MAX_BYTES:
                    found[key] = url
                    size += len(url)
    return found


async def _thumbnail(pool: DecodePool, data: bytes | Exception) -> str:
    """Empty where there is nothing to show: what became of an image is told elsewhere."""
    if isinstance(data, Exception):
        return ""
    try:
        decoded = await pool.decode(data, thumbnail=True)
    except DataError:
        return ""
    small = decoded.thumbnail
    if small is None:
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(small.jpeg).decode()
