"""The order of packs on 1, 2 and 4 ranks: real processes, joined by gloo."""

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.ranks import run_ranks
from tests.trainer.small_shards import write_shards

FIRST, LAST, GLOBAL_BATCH = 1, 4, 8
SETS = [
    "data.sequence_length=128",
    "data.max_images=4",
    f"data.global_batch={GLOBAL_BATCH}",
]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"))


def batches(shards: Path, folder: Path, ranks: int, *sets: str) -> list[dict[str, Any]]:
    """Lines of all ranks."""
    folder.mkdir()
    arguments = [str(shards), str(folder), str(FIRST), str(LAST), *SETS, *sets]
    run_ranks("tests.trainer.dump_batches", arguments, ranks)
    files = sorted(folder.glob("rank-*.jsonl"))
    assert len(files) == ranks
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def by_step(lines: list[dict[str, Any]]) -> dict[int, list[tuple[int, str]]]:
    """Packs and their hashes of each step, whoever got them."""
    found: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for line in lines:
        found[line["step"]].append((line["pack"], line["hash"]))
    return {step: sorted(packs) for step, packs in found.items()}


@pytest.mark.slow
def test_steps_hold_the_same_packs_on_any_number_of_ranks(shards: Path, tmp_path: Path) -> None:
    one = batches(shards, tmp_path / "1", 1, "data.micro_batch=8", "data.workers=0")
    two = batches(shards, tmp_path / "2", 2, "data.micro_batch=2", "data.workers=1")
    four = batches(shards, tmp_path / "4", 4, "data.micro_batch=1", "data.workers=0")
    expected = by_step(one)
    assert sorted(expected) == list(range(FIRST, LAST))
    for step, packs in expected.items():
        begin = step * GLOBAL_BATCH
        assert [pack for pack, _ in packs] == list(range(begin, begin + GLOBAL_BATCH))
    assert by_step(two) == expected
    assert by_step(four) == expected
    for lines, ranks, micro_batch in ((two, 2, 2), (four, 4, 1)):
        shares = Counter((line["step"], line["micro"], line["rank"]) for line in lines)
        assert set(shares.values()) == {micro_batch}
        assert len(shares) == (LAST - FIRST) * GLOBAL_BATCH // micro_batch
        assert {rank for _, _, rank in shares} == set(range(ranks))
