"""What is answered to which address. Nothing of an address becomes a path or SQL."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from pipeline.inspection.sample_content import sample_facts
from pipeline.serve.corpus import Corpus
from pipeline.serve.guard import failure
from pipeline.serve.image_places import ImagePlaces
from pipeline.serve.pages import Page, ReportPage
from pipeline.serve.query_pool import BusyError, QueryPool
from pipeline.serve.threads import in_thread
from schemas.errors import ImageMissingError
from schemas.shards import STREAMS
from transforms.image_headers import format_of

MAX_QUERY = 20_000
"""Characters of a query."""
MAX_REQUEST_LINE = 1 << 17
"""Bytes of the first line of a request: such a query, percent-encoded."""
READS_AT_ONCE = 8

_KEY = "[0-9a-f]{8,64}"
_IMAGE_KEY = "[0-9a-f]{32}"
_SUFFIX = r"(?:[0-9]{2,4}\.)?[a-z]{3,5}"
_TYPES = {"json": "application/json", "txt": "text/plain"}
"""Of members that are texts in UTF-8."""


@dataclass
class Site:
    """Everything that answers are made of."""

    corpus: Corpus
    places: ImagePlaces
    queries: QueryPool
    report: ReportPage
    query: Page

    def __post_init__(self) -> None:
        self._reads = asyncio.Semaphore(READS_AT_ONCE)

    def add_routes(self, app: web.Application) -> None:
        """Name what is answered where."""
        routes: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
            "/": self.show_report,
            "/query": self.show_query,
            "/api/tables": self.tell_tables,
            "/api/sql": self.run_sql,
            f"/api/sample/{{key:{_KEY}}}": self.tell_sample,
            f"/image/{{key:{_IMAGE_KEY}}}": self.show_image,
            f"/shard/{{stream:{'|'.join(STREAMS)}}}/{{key:{_KEY}}}/{{suffix:{_SUFFIX}}}": (
                self.show_member
            ),
        }
        for path, handler in routes.items():
            app.router.add_get(path, handler)

    async def show_report(self, request: web.Request) -> web.Response:
        """The report."""
        return _page(await self.report.get())

    async def show_query(self, request: web.Request) -> web.Response:
        """The page of queries."""
        return _page(self.query)

    async def tell_tables(self, request: web.Request) -> web.Response:
        """`tables`: as `Corpus.tables`."""
        async with self._reads:
            return web.json_response({"tables": await in_thread(self.corpus.tables)})

    async def run_sql(self, request: web.Request) -> web.Response:
        """The answer to the query `q`: a `QueryResult`, or `error` with what is wrong with it."""
        queries = request.query.getall("q", [])
        if len(queries) != 1 or set(request.query) != {"q"}:
            return failure(request, 400, "one query is asked for: /api/sql?q=SELECT+...")
        if len(queries[0]) > MAX_QUERY:
            return failure(request, 400, f"the query has more than {MAX_QUERY} characters")
        try:
            status, text = await self.queries.ask(queries[0], request.remote or "")
        except BusyError:
            return failure(request, 503, "too many queries wait; try again in a while")
        return web.Response(body=text, status=status, content_type="application/json")

    async def tell_sample(self, request: web.Request) -> web.Response:
        """A sample, as `sample_facts`."""
        async with self._reads:
            found = await in_thread(self.corpus.sample, request.match_info["key"])
        if found is None:
            return failure(request, 404, "no stream has a sample of this key")
        return web.json_response(sample_facts(found))

    async def show_image(self, request: web.Request) -> web.Response:
        """The bytes of an image, as received."""
        key = request.match_info["key"]
        place = await self.places.find(key)
        if place is None:
            return failure(request, 404, "no image of this key has bytes")
        try:
            async with self._reads:
                data = await in_thread(self.corpus.image, key, place)
        except ImageMissingError:
            self.places.forget(key)
            raise
        return _file(data, key)

    async def show_member(self, request: web.Request) -> web.Response:
        """The bytes of a member of a sample."""
        stream, key, suffix = (request.match_info[name] for name in ("stream", "key", "suffix"))
        async with self._reads:
            data = await in_thread(self.corpus.member, stream, key, suffix)
        if data is None:
            return failure(request, 404, f"stream {stream} has no sample with this member")
        if suffix in _TYPES:
            return web.Response(body=data, content_type=_TYPES[suffix], charset="utf-8")
        return _file(data, f"{key}.{suffix.partition('.')[0]}" if "." in suffix else key)


def _page(page: Page) -> web.Response:
    headers = {"Content-Security-Policy": page.policy}
    return web.Response(
        body=page.html, content_type="text/html", charset="utf-8", headers=headers
    )  # fmt: skip


def _file(data: bytes, stem: str) -> web.Response:
    """Bytes of strangers: an image where the bytes begin as one, else a file to save.

    Args:
        data: The bytes.
        stem: Of the file's name; of letters, digits and dots.
    """
    kind = format_of(data)
    if kind is None:
        name, content_type, disposition = f"{stem}.bin", "application/octet-stream", "attachment"
    else:
        name, content_type, disposition = f"{stem}.{kind}", f"image/{kind}", "inline"
    headers = {"Content-Disposition": f'{disposition}; filename="{name}"'}
    return web.Response(body=data, content_type=content_type, headers=headers)
