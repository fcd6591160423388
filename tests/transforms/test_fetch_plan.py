"""Plans: everything open is asked for once, in slices of bounded size, hosts within their rate."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.fetch_rows import RobotsFile, WantedUrl
from schemas.rows import Image
from schemas.tables import schema_of
from transforms.block_lists import BlockListConfig
from transforms.fetch_config import FetchConfig
from transforms.fetch_plan import (
    IMAGES,
    ROBOTS,
    PlanBucket,
    PlanFiles,
    SliceFile,
    cut_slices,
    deal,
    join_slices,
    read_planned,
)
from transforms.sink import Part, PartSink


def wanted(hosts: dict[str, int]) -> pa.Table:
    rows = [
        {"image_url": f"http://{host}/{number:05d}.png", "host": host, "site": host}
        for host in sorted(hosts)
        for number in range(hosts[host])
    ]
    return pa.Table.from_pylist(rows, schema_of(WantedUrl))


def first(rows: pa.Table) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return np.ones(len(rows), np.int64)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 90), min_size=1),
    st.integers(8, 200),
    st.integers(1, 6),
)
def test_every_url_is_planned_once_in_slices_of_about_one_size(
    hosts: dict[str, int], part_urls: int, host_concurrency: int
) -> None:
    config = FetchConfig(
        part_urls=part_urls, host_concurrency=host_concurrency, host_rate=0, part_seconds=1000
    )
    rows = wanted(hosts)
    planned, sizes = cut_slices(rows, first(rows), config)
    slice_urls = part_urls // 8
    allowed = {host: min(count, slice_urls * host_concurrency) for host, count in hosts.items()}
    assert Counter(planned["host"].to_pylist()) == allowed
    urls = planned["url"].to_pylist()
    assert len(set(urls)) == len(urls)
    assert Counter(planned["slice"].to_pylist()) == dict(enumerate(sizes))
    # No slice holds more than the mean and one unit.
    assert max(sizes) <= sum(sizes) / len(sizes) + slice_urls


def test_a_large_host_is_dealt_to_slices_that_share_its_rate() -> None:
    config = FetchConfig(part_urls=80, host_concurrency=3, host_rate=0)
    rows = wanted({"large": 100, "small": 4})
    planned, _ = cut_slices(rows, first(rows), config)
    large = planned.filter(pa.array([host == "large" for host in planned["host"].to_pylist()]))
    assert set(large["shares"].to_pylist()) == {3}
    assert len(large) == 30
    assert len(set(large["slice"].to_pylist())) == 3


def test_a_round_asks_no_more_of_a_host_than_its_rate_allows() -> None:
    config = FetchConfig(host_rate=2.0, part_seconds=10)
    rows = wanted({"large": 500, "small": 5})
    planned, _ = cut_slices(rows, first(rows), config)
    assert Counter(planned["host"].to_pylist()) == {"large": 20, "small": 5}


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 50))
def test_dealing_is_even(sizes: list[int], most: int) -> None:
    bins = deal(sizes, most)
    loads = [0] * max(1, -(-sum(sizes) // most))
    for size, number in zip(sizes, bins, strict=True):
        loads[number] += size
    assert max(loads) - min(loads) <= max(sizes, default=0)


@pytest.mark.parametrize(("workers", "parts"), [(1, 1), (4, 4), (64, 9)])
def test_slices_are_joined_to_as_many_parts_as_workers(workers: int, parts: int) -> None:
    slices = [SliceFile("b", "p", number, 10) for number in range(9)]
    joined = join_slices(slices, FetchConfig(), workers)
    assert len(joined) == parts
    assert sorted(item.number for part in joined for item in part) == list(range(9))


def test_parts_are_bounded_whatever_the_number_of_workers() -> None:
    slices = [SliceFile("b", "p", number, 10) for number in range(90)]
    joined = join_slices(slices, FetchConfig(part_urls=100), 1)
    assert {sum(item.urls for item in part) for part in joined} == {100}


def test_each_worker_has_as_many_parts() -> None:
    slices = [SliceFile("b", "p", number, 10) for number in range(24)]
    joined = join_slices(slices, FetchConfig(part_urls=100), 2)
    assert [sum(item.urls for item in part) for part in joined] == [60] * 4


def answer(url: str, outcome: str, attempt: int) -> dict[str, object]:
    return {"image_url": url, "outcome": outcome, "attempt": attempt, "answered_at": "2026"}


def write(output: Path, name: str, rows: pa.Table) -> str:
    path = output / "tables" / f"{name}.parquet"
    path.parent.mkdir(exist_ok=True)
    pq.write_table(rows, path)
    return f"tables/{name}.parquet"


def plan(output: Path, table: str, files: PlanFiles, config: FetchConfig) -> dict[str, int]:
    """The attempt that is planned for each key."""
    part = Part("plan", "f" * 16, files)
    with PartSink("fetch", str(output), part) as sink:
        function = PlanBucket(str(output), table, config, BlockListConfig())
        function.setup()
        function(part, sink)
        commit = sink.publish()
    slices = [
        SliceFile("b", commit.files["planned_urls"]["plan"], number, size)
        for number, size in enumerate(commit.details["slices"])
    ]
    return {url: item.attempt for url, item in read_planned(str(output), slices).items()}


def test_what_is_answered_is_left_alone_unless_an_earlier_run_failed_in_a_way_to_retry(
    tmp_path: Path,
) -> None:
    rows = wanted({"h": 9})
    urls = rows["image_url"].to_pylist()
    config = FetchConfig(retry=("timeout", "http_5xx"), max_attempts=3)
    columns = [
        "image_url", "outcome", "attempt", "answered_at", "final_url", "sha256", "phash"
    ]  # fmt: skip
    schema = pa.schema([schema_of(Image).field(name) for name in columns])
    earlier = write(
        tmp_path,
        "earlier",
        pa.Table.from_pylist(
            [
                answer(urls[0], "ok", 1),
                answer(urls[1], "http_404", 1),
                answer(urls[2], "timeout", 1),
                answer(urls[3], "http_503", 2),
                answer(urls[4], "timeout", 3),
                answer(urls[5], "timeout", 1),
                answer(urls[6], "timeout", 1),
            ],
            schema,
        ),
    )
    now = write(
        tmp_path,
        "now",
        pa.Table.from_pylist(
            [answer(urls[5], "ok", 2), answer(urls[6], "timeout", 2), answer(urls[7], "dns", 1)],
            schema,
        ),
    )
    path = write(tmp_path, "wanted", rows)
    files = PlanFiles(path, (earlier, now), frozenset({earlier}))
    assert plan(tmp_path, IMAGES, files, config) == {urls[2]: 2, urls[3]: 3, urls[8]: 1}


def test_the_robots_file_of_every_origin_is_asked_for_once(tmp_path: Path) -> None:
    urls = ["https://a.org/1.png", "http://a.org/2.png", "https://a.org/3.png", "http://b.org:81/x"]
    rows = pa.Table.from_pylist(
        [{"image_url": u, "host": u.split("/")[2], "site": u.split("/")[2][:5]} for u in urls],
        schema_of(WantedUrl),
    )
    columns = ("origin", "outcome", "attempt", "answered_at")
    schema = pa.schema([schema_of(RobotsFile).field(name) for name in columns])
    known = write(
        tmp_path,
        "known",
        pa.Table.from_pylist(
            [
                {
                    "origin": "http://a.org",
                    "outcome": "ok",
                    "attempt": 1,
                    "answered_at": "2026-01-02T00:00:00Z",
                }
            ],
            schema,
        ),
    )
    path = write(tmp_path, "wanted", rows)
    files = PlanFiles(path, (known,), frozenset({known}), stale="2026-01-01T00:00:00+00:00")
    others = {"https://a.org": 1, "http://b.org:81": 1}
    assert plan(tmp_path, ROBOTS, files, FetchConfig()) == others
    # An old file is read again, unless nothing more is wanted of its host.
    old = replace(files, stale="2026-02-01T00:00:00+00:00")
    assert plan(tmp_path, ROBOTS, old, FetchConfig()) == {**others, "http://a.org": 2}


def test_hosts_that_rest_are_planned_by_the_next_run(tmp_path: Path) -> None:
    path = write(tmp_path, "wanted", wanted({"a": 3, "b": 2}))
    files = PlanFiles(path, (), frozenset(), resting=frozenset({"a"}))
    assert set(plan(tmp_path, IMAGES, files, FetchConfig())) == {
        "http://b/00000.png", "http://b/00001.png"
    }  # fmt: skip


def test_nothing_wanted_gives_no_slice(tmp_path: Path) -> None:
    assert plan(tmp_path, IMAGES, PlanFiles(None, (), frozenset()), FetchConfig()) == {}
