"""What is asked for next: wanted keys minus answered ones, cut into slices of about equal work.

A round asks at most as much of a host as its rate allows in the time of a part, so no part waits
for one host for long; what is left comes in the next round. A host with more URLs than a slice
holds is dealt to several, and each of them takes a share of the host's rate.

Keys are image URLs, or the robots.txt of their hosts.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.fetch_rows import PlannedUrl
from schemas.outcomes import BLOCK_LISTED, matches
from schemas.tables import schema_of
from transforms.block_lists import BlockListConfig, BlockLists
from transforms.fetch_config import FetchConfig
from transforms.http_fetch import Request
from transforms.pages import positions, some, take_or_null
from transforms.robots_txt import origin_of
from transforms.sink import Part, PartSink
from transforms.table_files import read_rows, read_table

STEP_VERSION = 1

IMAGES, ROBOTS = "images", "robots"
_KEYS = {IMAGES: "image_url", ROBOTS: "origin"}
_BY_LIST = {IMAGES: ("final_url", "sha256", "phash")}
"""What block lists may name of an answer, beside its URL."""
RESTING = "resting"
"""Detail of a commit of answers: hosts that are left alone for the rest of the run."""
_SLICES_A_PART = 8
"""Slices are this much smaller than parts, so that parts come out even."""

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PlanFiles:
    """What a bucket of domains is planned from."""

    wanted: str | None
    answers: tuple[str, ...]
    """Files of answers, of this run and of earlier ones."""
    earlier: frozenset[str]
    """Those of earlier runs: only their answers may be asked for again."""
    images: tuple[str, ...] = ()
    """For a plan of robots.txt files: answers of images, which need none any more."""
    stale: str = ""
    """Robots.txt files read before this time are read again."""
    resting: frozenset[str] = frozenset()
    """Hosts that are left alone until the next run."""


@dataclass(frozen=True, slots=True)
class SliceFile:
    """A slice of a plan: rows of `planned_urls` with this number."""

    bucket: str
    path: str
    number: int
    urls: int


@dataclass(eq=False)
class PlanBucket:
    """Part function: the slices of one bucket of domains."""

    output: str
    table: str
    """`IMAGES` or `ROBOTS`."""
    config: FetchConfig
    block_lists: BlockListConfig

    def setup(self) -> None:
        """Load the block lists, once a worker."""
        self._blocked = BlockLists.load(self.block_lists)

    def __call__(self, part: Part, sink: PartSink) -> None:
        """Write `planned_urls`; the commit tells how long each slice is, and what is left."""
        files: PlanFiles = part.spec
        wanted = read_rows(self.output, some(files.wanted), "wanted_urls")
        if self.table == ROBOTS:
            images = PlanFiles(None, files.images, frozenset(files.images))
            due = self._attempts(wanted["image_url"], images, IMAGES)
            allowed = [self._blocked.url(url) is None for url in wanted["image_url"].to_pylist()]
            wanted = _origins(wanted.filter(pa.array((due > 0) & np.array(allowed, bool))))
        attempts = self._attempts(wanted["image_url"], files, self.table)
        rests = pc.is_in(wanted["host"], value_set=pa.array(sorted(files.resting), pa.string()))
        open_ones = (attempts > 0) & ~rests.to_numpy().astype(bool)
        planned, sizes = cut_slices(
            wanted.filter(pa.array(open_ones)), attempts[open_ones], self.config
        )
        sink.write("planned_urls", planned)
        sink.commit.details["slices"] = sizes
        sink.commit.details["left"] = int(open_ones.sum()) - len(planned)

    def _attempts(self, urls: pa.ChunkedArray, files: PlanFiles, table: str) -> Rows:
        """The number of the attempt that is due for each URL; 0 where none is."""
        due = np.ones(len(urls), np.int64)
        key = _KEYS[table]
        columns = [key, "outcome", "attempt", "answered_at", *_BY_LIST.get(table, ())]
        tables = []
        for path in files.answers:
            found = read_table(self.output, [path], columns)
            assert found is not None
            tables.append(
                found.append_column("earlier", pa.array([path in files.earlier] * len(found)))
            )
        if not tables:
            return due
        answers = pa.concat_tables(tables).sort_by([("attempt", "descending")])
        at = positions(answers[key], urls)  # the first, so the one with the highest attempt
        outcomes = set(answers["outcome"].unique().to_pylist())
        again = [name for name in outcomes if matches(name, self.config.retry)]
        may = pc.and_(
            pc.is_in(answers["outcome"], value_set=pa.array(again, pa.string())),
            pc.less(answers["attempt"], self.config.max_attempts),
        )
        if table == ROBOTS:
            may = pc.or_(may, pc.less(answers["answered_at"], files.stale))
        else:
            may = pc.or_(may, pa.chunked_array([self._unlisted(answers)]))
        next_attempt = pc.if_else(
            pc.and_(answers["earlier"], may), pc.add(answers["attempt"], 1), 0
        )
        answered = at >= 0
        due[answered] = take_or_null(next_attempt, at[answered]).to_numpy()
        return due

    def _unlisted(self, answers: pa.Table) -> pa.Array:
        """Whether a block list refused an image that no list names any more."""
        listed = pc.is_in(answers["outcome"], value_set=pa.array(BLOCK_LISTED, pa.string()))
        rows = np.flatnonzero(listed.to_numpy())
        free = np.zeros(len(answers), bool)
        found = answers.select([_KEYS[IMAGES], *_BY_LIST[IMAGES]]).take(pa.array(rows)).to_pylist()
        for row, values in zip(rows.tolist(), found, strict=True):
            free[row] = self._blocked.answer(**values) is None
        return pa.array(free)


def _origins(wanted: pa.Table) -> pa.Table:
    """The origins of wanted URLs, each once, in the same columns."""
    seen: dict[str, tuple[str, str]] = {}
    for url, host, site in zip(
        *(wanted[name].to_pylist() for name in ("image_url", "host", "site")), strict=True
    ):
        seen.setdefault(origin_of(url), (host, site))
    hosts, sites = [host for host, _ in seen.values()], [site for _, site in seen.values()]
    return pa.table([list(seen), hosts, sites], schema=wanted.schema)


def cut_slices(wanted: pa.Table, attempts: Rows, config: FetchConfig) -> tuple[pa.Table, list[int]]:
    """Deal what a round asks for to slices.

    Args:
        wanted: URLs with `host` and `site`, hosts side by side.
        attempts: The attempt that is due for each.
        config: Rates and sizes.

    Returns:
        Rows of `planned_urls`, slice by slice, and the number of URLs of each slice.
    """
    hosts = wanted["host"].combine_chunks().dictionary_encode()
    names = hosts.dictionary.to_pylist()
    host_of_row: Rows = hosts.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    counts = np.bincount(host_of_row, minlength=len(names))
    starts = np.cumsum(counts) - counts
    # Rows of a host stand side by side and dictionary codes rise with them.
    place = np.arange(len(host_of_row)) - starts[host_of_row]
    slice_urls = max(1, config.part_urls // _SLICES_A_PART)
    allowed = _allowance(config, slice_urls)
    chosen = place < allowed
    sizes = np.minimum(counts, allowed)
    shares = np.minimum(-(-sizes // slice_urls), config.host_concurrency).clip(1)
    unit_of_row = place % shares[host_of_row]
    units = [
        (int(size // share + (number < size % share)), host, number)
        for host, (size, share) in enumerate(zip(sizes.tolist(), shares.tolist(), strict=True))
        for number in range(share)
    ]
    bins = deal([size for size, _, _ in units], slice_urls)
    slice_of_unit = {(host, number): at for (_, host, number), at in zip(units, bins, strict=True)}
    rows = np.flatnonzero(chosen)
    numbers = np.array(
        [
            slice_of_unit[host, number]
            for host, number in zip(
                host_of_row[rows].tolist(), unit_of_row[rows].tolist(), strict=True
            )
        ],
        np.int64,
    )
    order = np.argsort(numbers, kind="stable")
    rows, numbers = rows[order], numbers[order]
    taken = wanted.take(pa.array(rows))
    planned = pa.table(
        [
            taken["image_url"],
            taken["host"],
            pa.array(numbers),
            pa.array(shares[host_of_row[rows]]),
            pa.array(attempts[rows]),
        ],
        schema=schema_of(PlannedUrl),
    )
    return planned, np.bincount(numbers).tolist() if len(numbers) else []


def _allowance(config: FetchConfig, slice_urls: int) -> int:
    """URLs of one host in one round."""
    most = slice_urls * config.host_concurrency
    if config.host_rate <= 0:
        return most
    return min(most, max(1, int(config.host_rate * config.part_seconds)))


def deal(sizes: Sequence[int], most: int) -> list[int]:
    """The bin of each size: as few bins as hold `most` each, the largest first to the emptiest."""
    count = max(1, -(-sum(sizes) // most))
    bins = [(0, number) for number in range(count)]
    found = [0] * len(sizes)
    for at in sorted(range(len(sizes)), key=lambda at: (-sizes[at], at)):
        load, number = heapq.heappop(bins)
        found[at] = number
        heapq.heappush(bins, (load + sizes[at], number))
    return found


def join_slices(
    slices: Sequence[SliceFile], config: FetchConfig, workers: int
) -> list[list[SliceFile]]:
    """Slices dealt to parts of even size: one for each worker, or two where that is too much, ...

    Fewer parts mean more hosts side by side, and it is hosts that are waited for. As many for each
    worker, so that none of them asks alone in the end.
    """
    workers = max(1, workers)
    total = sum(item.urls for item in slices)
    turns = max(1, -(-total // (workers * config.part_urls)))
    bins = deal([item.urls for item in slices], max(1, -(-total // (turns * workers))))
    parts: dict[int, list[SliceFile]] = {}
    for item, number in zip(slices, bins, strict=True):
        parts.setdefault(number, []).append(item)
    return [parts[number] for number in sorted(parts)]


@dataclass(frozen=True, slots=True)
class Planned:
    """A planned URL, with the bucket that its answer goes to."""

    bucket: str
    request: Request
    attempt: int


def read_planned(output: str, slices: Iterable[SliceFile]) -> dict[str, Planned]:
    """The planned URLs of some slices. Shares of one host that came together are joined."""
    found: list[tuple[str, dict[str, Any]]] = []
    slices_of_host: dict[str, set[tuple[str, int]]] = {}
    for item in slices:
        planned = read_table(output, [item.path])
        assert planned is not None
        for row in planned.filter(pc.equal(planned["slice"], item.number)).to_pylist():
            found.append((item.bucket, row))
            slices_of_host.setdefault(row["host"], set()).add((item.bucket, item.number))
    return {
        row["url"]: Planned(
            bucket,
            Request(row["url"], -(-row["shares"] // len(slices_of_host[row["host"]]))),
            row["attempt"],
        )
        for bucket, row in found
    }
