"""The shards of samples, from as few files as it takes."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.ids import digest
from schemas.shards import shard_name, shard_of
from transforms import write_shards
from transforms.write_shards import expected_shards, part_name

Files = list[tuple[str, list[str]]]
Samples = list[tuple[str, str, str]]
"""Stream, split and key of each."""


def write(folder: Path, files: list[Samples]) -> Files:
    found: Files = []
    for number, samples in enumerate(files):
        columns = dict(zip(("stream", "split", "key"), map(list, zip(*samples, strict=True)),
                           strict=True))  # fmt: skip
        pq.write_table(pa.table(columns), folder / f"{number}.parquet")
        groups = {f"{stream}/{split}" for stream, split, _ in samples}
        found.append((f"{number}.parquet", sorted(groups)))
    return found


def samples(count: int, stream: str = "captioned", split: str = "train") -> Samples:
    return [(stream, split, digest(stream, split, count, number)) for number in range(count)]


def by_hand(files: list[Samples], bits: dict[str, int]) -> set[str]:
    return {
        part_name(stream, shard_name(split, shard_of(key, bits[f"{stream}/{split}"])))
        for rows in files
        for stream, split, key in rows
    }


@pytest.mark.parametrize("bits", [0, 1, 4, 9])
def test_shards_are_those_of_the_samples(tmp_path: Path, bits: int) -> None:
    files = [
        samples(40),
        samples(41) + samples(3, split="validation"),
        samples(30, "text"),
        samples(43) + samples(31, "text"),
    ]
    chosen = {"captioned/train": bits, "captioned/validation": 0, "text/train": 2}
    found = expected_shards(str(tmp_path), write(tmp_path, files), chosen)
    assert found == by_hand(files, chosen)


def test_files_are_read_until_every_shard_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [samples(100 + number) for number in range(5)]
    files.append(samples(7, split="validation"))
    read: list[str] = []
    iter_batches = write_shards.iter_batches

    def noted(output: str, path: str, *more: object) -> object:
        read.append(path)
        return iter_batches(output, path, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(write_shards, "iter_batches", noted)
    chosen = {"captioned/train": 2, "captioned/validation": 0}
    found = expected_shards(str(tmp_path), write(tmp_path, files), chosen)
    assert found == by_hand(files, chosen)
    assert read == ["0.parquet"]
