import os
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data import byte_ranges
from trainer.data.byte_ranges import (
    ByteRange,
    ShardReader,
    ShardReadError,
    TruncatedShardError,
    merged,
)

DATA = bytes(range(256)) * 8


def never(seconds: float) -> None:
    raise AssertionError(f"waits {seconds} s")


@pytest.fixture(params=["path", "file", "memory"])
def shards(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Three shards, each the data turned by its number."""
    urls = []
    for number in range(3):
        path = tmp_path / f"{number}.tar"
        path.write_bytes(DATA[number:] + DATA[:number])
        urls.append(str(path))
        if request.param == "file":
            urls[-1] = f"file://{path}"
        if request.param == "memory":
            urls[-1] = f"memory://{tmp_path}/{number}.tar"
            fsspec.filesystem("memory").pipe(urls[-1], path.read_bytes())
    return urls


def test_ranges_come_in_the_order_asked_for(shards: list[str]) -> None:
    reader = ShardReader(shards, 0, never)
    wanted = [ByteRange(2, 7, 9), ByteRange(0, 2040, 8), ByteRange(2, 0, 3), ByteRange(1, 5, 0)]
    turned = [DATA[number:] + DATA[:number] for number in range(3)]
    found = [bytes(data) for data in reader.read(wanted)]
    assert found == [turned[w.shard][w.offset : w.offset + w.size] for w in wanted]
    reader.close()
    assert [bytes(data) for data in reader.read(wanted)] == found
    reader.close()


def test_truncated_shard_is_named(shards: list[str]) -> None:
    reader = ShardReader(shards, 3, never)
    with pytest.raises(TruncatedShardError, match=r"1\.tar: ends before byte 2049, .*prepare"):
        reader.read([ByteRange(1, 2040, 9)])


def test_missing_shard_is_not_waited_for(shards: list[str]) -> None:
    reader = ShardReader([shards[0].replace("0.tar", "no.tar")], 3, never)
    with pytest.raises(ShardReadError, match=r"no\.tar: 9 bytes at 4: .*tried once: FileNotFound"):
        reader.read([ByteRange(0, 4, 9)])


def test_unknown_store_is_named() -> None:
    with pytest.raises(ShardReadError, match=r"^nowhere://a: no such kind of store"):
        ShardReader(["nowhere://a"], 0).read([ByteRange(0, 0, 1)])


class StoreError(Exception):
    """What clients of stores raise is no OSError."""


def failing(times: int, error: Exception, real: Any) -> Any:
    left = [times]

    def read(*given: Any, **named: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise error
        return real(*given, **named)

    return read


def break_reads(monkeypatch: pytest.MonkeyPatch, url: str, times: int) -> None:
    if url.startswith("memory"):
        system = type(fsspec.filesystem("memory"))
        read = failing(times, StoreError("slow down"), system.cat_file)
        monkeypatch.setattr(system, "cat_file", read)
    else:
        monkeypatch.setattr(os, "pread", failing(times, OSError(5, "slow down"), os.pread))


def test_failed_read_is_tried_again(shards: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    break_reads(monkeypatch, shards[0], 3)
    reader = ShardReader(shards, 3, waits.append)
    assert reader.read([ByteRange(0, 3, 4)]) == [DATA[3:7]]
    assert waits == [0.5, 1.0, 2.0]
    reader.close()


def test_read_that_goes_on_failing_ends_with_its_place(
    shards: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    break_reads(monkeypatch, shards[0], 3)
    with pytest.raises(ShardReadError, match=r"0\.tar: 4 bytes at 3: .*tried 3 times: .*slow down"):
        ShardReader(shards, 2, waits.append).read([ByteRange(0, 3, 4)])
    assert waits == [0.5, 1.0]


def test_few_files_are_open_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_ranges, "OPEN_FILES", 4)
    paths = []
    for number in range(20):
        paths.append(str(tmp_path / f"{number}.tar"))
        Path(paths[-1]).write_bytes(bytes([number]))
    reader = ShardReader(paths, 0)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        found = reader.read([ByteRange(number, 0, 1) for number in range(20)])
        assert found == [bytes([number]) for number in range(20)]
        assert len(os.listdir("/proc/self/fd")) == before + 4
    reader.close()
    assert len(os.listdir("/proc/self/fd")) == before


RANGES = st.lists(
    st.builds(ByteRange, st.integers(0, 2), st.integers(0, 1 << 26), st.integers(0, 1 << 24))
)


@given(RANGES)
@settings(deadline=None)
def test_merged_ranges_hold_each_range_once(ranges: list[ByteRange]) -> None:
    blocks = merged(ranges)
    assert sorted(n for _, members in blocks for n in members) == list(range(len(ranges)))
    for block, members in blocks:
        inside = [ranges[n] for n in members]
        assert {each.shard for each in inside} == {block.shard}
        assert min(each.offset for each in inside) == block.offset
        assert max(each.offset + each.size for each in inside) == block.offset + block.size
        assert block.size <= byte_ranges.MAX_BLOCK or len(inside) == 1


def test_near_ranges_are_one_request_and_far_ones_are_not() -> None:
    gap = byte_ranges.MAX_GAP
    ranges = [ByteRange(0, 200 + gap, 5), ByteRange(0, 100, 100), ByteRange(0, 206 + 2 * gap, 1)]
    assert merged(ranges) == [(ByteRange(0, 100, 105 + gap), [1, 0]), (ranges[2], [2])]
