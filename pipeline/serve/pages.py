"""The two pages of the server: the report with a link to the other, and the page of queries."""

import asyncio
import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.report.page import (
    fill_slots,
    one_script,
    page_policy,
    render_page,
    static_text,
)
from pipeline.report.standing import report_identity, standing_facts
from pipeline.serve.threads import in_thread

_STYLES = ("base.css",)
_SCRIPTS = ("format.js", "dom.js")
"""What the page of queries has of the report's."""
_OWN = "pipeline.serve"
_NO_FRAMES = "frame-ancestors 'none'"
_REPORT_POLICY = f"{_NO_FRAMES}; base-uri 'none'; form-action 'none'"
"""The page itself holds the rest, by the hashes of its script and style."""


@dataclass(frozen=True)
class Page:
    """A page, and the Content-Security-Policy that goes with it."""

    html: bytes
    policy: str


class ReportPage:
    """The report of an output, made again where a run has changed the output."""

    def __init__(self, output: str, say: Callable[[str], None]) -> None:
        """Nothing is read yet.

        Args:
            output: Folder or URL of the output.
            say: Is told what is done where a report must be made, a line each.
        """
        self._output = output
        self._say = say
        self._made_of = ""
        self._page: Page | None = None
        self._making: asyncio.Task[Page] | None = None

    async def get(self) -> Page:
        """The page.

        Raises:
            InputError: A file of the output cannot be read.
        """
        if self._making is None or self._making.done():
            self._making = asyncio.create_task(in_thread(self._make))
        # Who asks again and goes away does not have it made again and again.
        return await asyncio.shield(self._making)

    def _make(self) -> Page:
        identity = report_identity(self._output)
        if self._page is None or identity != self._made_of:
            report = standing_facts(self._output, identity) or self._facts()
            text = render_page(report, {"Query the tables": "/query"})
            self._made_of, self._page = identity, Page(text.encode(), _REPORT_POLICY)
        return self._page

    def _facts(self) -> dict[str, Any]:
        # It takes seconds to import, and most outputs have their report.
        from pipeline.report.facts import report_facts

        return report_facts(self._output, lambda line: self._say(f"report: {line}"))


def query_page(output: str) -> Page:
    """The page of queries.

    Args:
        output: As the user named it.
    """
    style = "".join([*map(static_text, _STYLES), static_text("query.css", _OWN)])
    script = one_script([*map(static_text, _SCRIPTS), static_text("query.js", _OWN)])
    more = ("img-src 'self' data:", "connect-src 'self'", _NO_FRAMES)
    slots = {
        "style": style,
        "script": script,
        "output": html.escape(output.encode("utf-8", "replace").decode()),
    }
    text = fill_slots(static_text("query.html", _OWN), slots)
    return Page(text.encode(), page_policy(style, script, *more))
