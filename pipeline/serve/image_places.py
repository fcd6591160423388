"""Where images lie, asked for by a page of pictures: what waits is looked up together."""

import asyncio
from collections import OrderedDict

from pipeline.serve.corpus import Corpus
from pipeline.serve.threads import in_thread
from schemas.rows import Locator

KEPT = 100_000
"""Places that are remembered."""


class ImagePlaces:
    """Places by `image_key`. A look-up reads the columns of whole tables, so many share one."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._known: OrderedDict[str, Locator] = OrderedDict()
        self._waiting: dict[str, asyncio.Future[Locator | None]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def find(self, key: str) -> Locator | None:
        """The place of an image; None of one that has no bytes.

        Raises:
            InputError: A table cannot be read.
        """
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        if key not in self._waiting:
            self._waiting[key] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[key]
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        # One who goes away does not take the place from others who want it.
        return await asyncio.shield(waiting)

    def forget(self, key: str) -> None:
        """Look an image up again: it is not where it was."""
        self._known.pop(key, None)

    async def _look(self) -> None:
        while self._waiting:
            asked, self._waiting = self._waiting, {}
            try:
                found = await in_thread(self._corpus.locate, list(asked))
            except Exception as error:
                for future in asked.values():
                    future.set_exception(error)
                    future.exception()  # nobody may wait any more
                continue
            for key, future in asked.items():
                future.set_result(found.get(key))
            self._known.update(found)
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
