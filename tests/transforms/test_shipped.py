"""Large lists of a graph lie in files, and the graph runs as before."""

import pickle
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest

from pipeline import run_steps
from pipeline.runners import RunnerConfig
from schemas.ids import digest
from transforms import shipped, storage
from transforms.shipped import Shipped, ship_to
from transforms.shuffle import Block, CommitBlocks, EmitBlocks
from transforms.sink import Part, PartSink

PARTS = 3000


class Emit:
    """The number of a part to one of two buckets; `names` stands for the files of all parts."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def __call__(self, part: Part) -> Iterator[Block]:
        assert self.names[part.spec] == part.name
        yield f"{part.spec % 2}", pa.table({"number": pa.array([part.spec], pa.int64())})


def identify(parts: dict[str, Part], bucket: str, rows: pa.Table) -> Part:
    return parts[bucket]


def commit(part: Part, rows: pa.Table, sink: PartSink) -> None:
    sink.write("numbers", rows.sort_by("number"))
    sink.fact("sum", sum(rows["number"].to_pylist()))


def build(output: str, pipeline: Any) -> None:
    # As hard to compress as the names of files are.
    sources = [Part(digest(number), digest(number, 1)[:16], number) for number in range(PARTS)]
    buckets = {
        name: Part(f"bucket-{name}", "f" * 16, [digest(name, number) for number in range(PARTS)])
        for name in "01"
    }
    (
        pipeline
        | "Emit" >> EmitBlocks("stage", sources, Emit([part.name for part in sources]))
        | "Commit" >> CommitBlocks("stage", output, partial(identify, buckets), commit)
    )


def test_the_graph_holds_names_and_gives_the_same(tmp_path: Path) -> None:
    records = {}
    for folder in (None, str(tmp_path / "graphs")):
        output = str(tmp_path / f"out-{folder is None}")
        with ship_to(folder):
            pipeline = beam.Pipeline()
            build(output, pipeline)
            size = len(pipeline.to_runner_api().SerializeToString())
            assert (size < 60_000) == (folder is not None), size
            vars(run_steps)["run_graph"]("stage", partial(build, output), RunnerConfig())
            assert bool(storage.list_names(str(tmp_path / "graphs"))) == (folder is not None)
        records[folder] = [
            storage.read_bytes(f"{output}/commits/stage/bucket-{name}-{'f' * 16}.json")
            for name in "01"
        ]
    assert storage.list_names(str(tmp_path / "graphs")) == [], "they go when the graphs have run"
    (here, elsewhere) = records.values()
    assert here == elsewhere
    assert None not in here
    assert str(sum(range(0, PARTS, 2))).encode() in (here[0] or b"")


def test_small_values_travel_in_the_graph(tmp_path: Path) -> None:
    with ship_to(str(tmp_path)):
        data = pickle.dumps(Shipped("small"))
        assert storage.list_names(str(tmp_path)) == []
    assert pickle.loads(data).value == "small"


def test_a_value_is_written_once_and_its_name_is_passed_on(tmp_path: Path) -> None:
    large = list(range(shipped.LIMIT))
    with ship_to(str(tmp_path)):
        first, second = (pickle.dumps(Shipped(large)) for _ in range(2))
        assert first == second
        assert len(first) < 300
        assert len(storage.list_names(str(tmp_path))) == 1
        again = pickle.loads(first)
        assert pickle.dumps(again) == first, "a value that nobody has read is not read to be sent"
        assert again.value == large
    with pytest.raises(FileNotFoundError, match="a part of the graph is gone"):
        _ = pickle.loads(first).value
