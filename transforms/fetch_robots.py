"""Robots: the robots.txt of every host that images are wanted from, asked for once and kept.

A file that cannot be read forbids everything on its host (RFC 9309, section 2.3.1.4), so what
became of the request decides for the host's images: one that does not resolve fails them all at
once, and none of them is asked for.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import FetchError
from schemas.fetch_rows import RobotsFile
from schemas.outcomes import OK
from schemas.tables import from_dict, to_batch
from transforms.fetch_config import FetchConfig
from transforms.fetch_plan import SliceFile, read_planned
from transforms.http_fetch import Answer, Fetcher, Request, fetch_all
from transforms.robots_txt import (
    MAX_ROBOTS_BYTES,
    RobotsRules,
    decode_robots,
    origin_of,
    robots_url,
)
from transforms.sink import Part, PartSink
from transforms.table_files import read_table

STAGE = "refs"
STEP_VERSION = 1

ACCEPT = "text/plain,*/*;q=0.5"


@dataclass(eq=False)
class FetchRobots:
    """Part function: the robots.txt of the origins of some slices."""

    output: str
    config: FetchConfig

    def setup(self) -> None:
        """Nothing is heavy here."""

    def __call__(self, part: Part, sink: PartSink) -> None:
        """Ask; one row of `robots` for each answer."""
        slices: tuple[SliceFile, ...] = part.spec
        rows: dict[str, list[RobotsFile]] = {}

        async def ask() -> None:
            planned = {
                robots_url(origin): item
                for origin, item in read_planned(self.output, slices).items()
            }
            requests = [replace(item.request, url=url) for url, item in planned.items()]
            async with (
                robots_fetcher(self.config) as fetcher,
                contextlib.aclosing(
                    fetch_all(fetcher, requests, seconds=self.config.part_seconds)
                ) as answers,
            ):
                async for answer in answers:
                    item = planned[answer.url]
                    row = robots_row(answer, item.attempt)
                    rows.setdefault(item.bucket, []).append(row)
                    sink.seen("robots")
                    # Whatever the answer is, it is known now; what it means for images is theirs.
                    sink.count("robots", kept=1)

        asyncio.run(ask())
        for bucket, found in sorted(rows.items()):
            found.sort(key=lambda row: row.origin)
            sink.write("robots", to_batch(found, RobotsFile), file=f"answers-{bucket}")


def robots_fetcher(config: FetchConfig) -> Fetcher:
    """What asks for robots.txt files: nothing else has to permit that.

    A file may be longer than what is read of it; one that has no end must have one.
    """
    return Fetcher(config, accept=ACCEPT, max_bytes=8 * MAX_ROBOTS_BYTES)


def robots_row(answer: Answer, attempt: int) -> RobotsFile:
    """What an answer tells of a host."""
    return RobotsFile(
        origin=origin_of(answer.url),
        outcome=answer.outcome,
        attempt=attempt,
        status=answer.status,
        final_url=answer.final_url,
        answered_at=answer.answered_at,
        text=decode_robots(answer.body) if answer.outcome == OK else None,
        message=answer.message,
    )


def read_robots(output: str, paths: Iterable[str], urls: Iterable[str]) -> dict[str, RobotsFile]:
    """The latest answers of the hosts of some URLs, by origin."""
    origins = pa.array(sorted({origin_of(url) for url in urls}), pa.string())
    found: dict[str, RobotsFile] = {}
    for path in paths:
        rows = read_table(output, [path])
        assert rows is not None
        for values in rows.filter(pc.is_in(rows["origin"], value_set=origins)).to_pylist():
            row: RobotsFile = from_dict(RobotsFile, values)
            known = found.get(row.origin)
            if known is None or (row.attempt, row.answered_at) > (known.attempt, known.answered_at):
                found[row.origin] = row
    return found


@dataclass(eq=False)
class RobotsBook:
    """The robots.txt files that a part knows; those of hosts that redirects lead to it asks for."""

    rows: dict[str, RobotsFile]
    fetcher: Fetcher
    slow_down: Callable[[str, float], None]
    """Told what hosts want between two requests: the host, and seconds."""
    longest_delay: float
    asked: list[RobotsFile] = field(default_factory=list)
    """Files that were asked for here."""
    _rules: dict[str, RobotsRules] = field(default_factory=dict)
    _asking: dict[str, "asyncio.Task[RobotsFile]"] = field(default_factory=dict)

    def refusal(self, url: str) -> FetchError | Awaitable[FetchError | None] | None:
        """Why the robots.txt of a URL's host forbids it; None where it does not.

        To be waited for where the host's robots.txt has to be asked for.
        """
        origin = origin_of(url)
        if origin not in self.rows:
            return self._learn(origin, url)
        return self._of(origin).verdict(url)

    def slow_down_all(self) -> None:
        """Obey the `Crawl-delay` of every host that is known."""
        for origin in self.rows:
            self._of(origin)

    def _of(self, origin: str) -> RobotsRules:
        rules = self._rules.get(origin)
        if rules is None:
            rules = self._rules[origin] = RobotsRules.of(self.rows[origin])
            if seconds := rules.crawl_delay:
                host = origin.partition("://")[2]
                self.slow_down(host, min(seconds, self.longest_delay))
        return rules

    async def _learn(self, origin: str, url: str) -> FetchError | None:
        if origin not in self._asking:
            self._asking[origin] = asyncio.create_task(self._ask(origin))
        # One of those that wait may be cancelled; the others still want the answer.
        await asyncio.shield(self._asking[origin])
        return self._of(origin).verdict(url)

    async def _ask(self, origin: str) -> RobotsFile:
        row = robots_row(await self.fetcher.fetch(Request(robots_url(origin))), 1)
        self.rows[origin] = row
        self.asked.append(row)
        return row
