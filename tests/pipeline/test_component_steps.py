"""Labels in rounds as a run makes them: pipelines, commits, going on, and the same tables."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_runner import main
from pipeline import run_steps
from pipeline.cluster_steps import LABELS
from pipeline.plan import make_plan
from pipeline.progress import Progress
from pipeline.recipe import load_recipe
from pipeline.run import RunOptions
from pipeline.run_steps import run_loop
from pipeline.runners import Build, RunnerConfig
from pipeline.state import RunState, sum_facts
from schemas.errors import StageError
from schemas.ids import digest
from tests.components import commit_edges, labels_of, searched
from transforms.component_rounds import ROUNDS

BUCKETS = 3
RECIPE = """
[input]
format = "obelics"
part_bytes = 65536
[dedup]
buckets = 2
min_similarity = 0.7
"""


def committed(output: Path) -> tuple[RunState, dict[str, str]]:
    """A run that has committed edges, and the labels that follow: a chain, a star, two pairs."""
    pairs = [(digest(number), digest(number + 1)) for number in range(60)]
    pairs += [(digest("hub"), digest(number)) for number in range(1000, 1040)]
    pairs += [(digest("a"), digest("b")), (digest("c"), digest("d"))]
    random.Random(1).shuffle(pairs)
    overrides = [f"dedup.buckets={BUCKETS}", "dedup.one_process_edges=5"]
    state = RunState(str(output), load_recipe("demo", overrides), [])
    made = [commit_edges(state.output, f"edges-{n}", pairs[n::4]) for n in range(4)]
    state.commits["edges"] = {commit.part: commit for commit in made}
    return state, searched(pairs)


def run_labels(state: RunState, wanted: bool = True) -> int:
    return run_loop(state, LABELS, wanted, RunnerConfig(), Progress(quiet=True))


def labels(state: RunState) -> dict[str, str]:
    commits = state.commits["labels"].items()
    files = {
        name.rpartition("-")[2]: commit.files["labels"][name]
        for name, commit in commits
        if commit.files
    }
    return labels_of(state.output, files, BUCKETS)


def records(output: Path) -> list[str]:
    return sorted(path.name for path in (output / "commits" / "dedup").glob("labels-*"))


def test_rounds_end_and_only_the_last_stays(tmp_path: Path) -> None:
    state, expected = committed(tmp_path)
    assert run_labels(state) == BUCKETS
    assert labels(state) == expected
    rounds = sum_facts(state.commits["labels"].values())[ROUNDS]
    assert 3 <= rounds <= 9
    assert LABELS.started(state) == [rounds]
    assert len(records(tmp_path)) == BUCKETS
    assert len(list((tmp_path / "tables" / "labels").iterdir())) == BUCKETS
    # Nothing is left to do, whether it is wanted or not.
    before = state.commits.pop("labels")
    assert run_labels(state, wanted=False) == 0
    assert state.commits["labels"] == before


class Killed(Exception):
    """Stands for the end of the process."""


def test_a_killed_run_goes_on_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight, expected = committed(tmp_path / "straight")
    run_labels(straight)
    whole = sum_facts(straight.commits["labels"].values())[ROUNDS]
    state, _ = committed(tmp_path / "killed")
    run_graph, ran = run_steps.run_graph, []

    def killed_in_third(
        stage: str, build: Build, config: RunnerConfig, say: Callable[[str], None]
    ) -> None:
        run_graph(stage, build, config, say)
        ran.append(stage)
        if len(ran) == 3:
            # One bucket of the round was not done, and the round before is there no more.
            path = tmp_path / "killed" / "commits" / "dedup" / records(tmp_path / "killed")[-1]
            path.unlink()
            raise Killed

    monkeypatch.setattr(run_steps, "run_graph", killed_in_third)
    with pytest.raises(Killed):
        run_labels(state)
    assert LABELS.started(state) == [2, 3]
    state.commits.pop("labels")
    run_labels(state)
    assert len(ran) == whole + 1  # the third one twice
    assert labels(state) == expected
    assert records(tmp_path / "killed") == records(tmp_path / "straight")


def test_rounds_without_an_end_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, _ = committed(tmp_path)
    monkeypatch.setattr("transforms.component_rounds.most_rounds", lambda edges: 2)
    with pytest.raises(StageError, match="round 2 still moves something"):
        run_labels(state)


# --- a whole run


def pages() -> pa.Table:
    """Pages like their neighbours (chains that are cut), copies, and pages of one URL."""
    rng = random.Random(5)
    words = [f"word{number}" for number in range(4000)]
    texts = [" ".join(words[40 * n : 40 * n + 400]) for n in range(60)]
    texts += [texts[rng.randrange(60)] for _ in range(20)]
    urls = [f"http://s.example/{rng.randrange(60)}" for _ in texts]
    rows = [
        {
            "images": [None],
            "texts": [text],
            "metadata": "[null]",
            "general_metadata": json.dumps({"url": url}),
        }
        for url, text in zip(urls, texts, strict=True)
    ]
    return pa.Table.from_pylist(rows)


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("pages")
    for number in range(3):
        rows = pages().slice(number * 27, 27)
        pq.write_table(rows, folder / f"{number}.parquet")
    (folder / "recipe.toml").write_text(RECIPE)
    return ["run", str(folder / "recipe.toml"), "--input", str(folder), "--quiet"]


def tables(output: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What stage `dedup` tells of itself, and its clusters, by part."""
    record = json.loads((output / "run.json").read_text())["stages"]["dedup"]
    found: dict[str, Any] = {}
    for name in record["snapshot"]:
        commit = json.loads((output / "commits" / "dedup" / f"{name}.json").read_text())
        for table in ("clusters", "repeats"):
            for path in commit["files"].get(table, {}).values():
                found[table, commit["part"]] = pq.read_table(output / path).to_pylist()
    return record, found


def test_tables_are_the_same_in_one_process_and_in_rounds(
    command: list[str], tmp_path: Path
) -> None:
    command = [*command, "--stages", "extract,dedup"]
    outputs = []
    for most, workers in (("1000000", "1"), ("0", "2")):
        output = tmp_path / f"{most}-{workers}"
        more = ["-o", str(output), "-w", workers, "--set", f"dedup.one_process_edges={most}"]
        assert main([*command, *more]) == 0
        outputs.append(output)
    (one, found), *others = [tables(output) for output in outputs]
    assert len(found) >= 3
    assert one["facts"]["cut_components"] >= 1
    for record, rows in others:
        assert rows == found
        assert record["tables"] == one["tables"]
        rounds = {name: amount for name, amount in record["facts"].items() if "label" in name}
        told = {name: amount for name, amount in record["facts"].items() if name in one["facts"]}
        assert told == one["facts"]
        assert rounds[ROUNDS] >= 2


def test_plan_tells_of_rounds(command: list[str], tmp_path: Path) -> None:
    _, recipe, _, folder, _ = command
    output = tmp_path / "out"
    overrides = ["dedup.one_process_edges=0"]
    options = RunOptions(recipe, [folder], str(output), overrides=overrides, workers=1)

    def planned() -> dict[str, Any]:
        return {step["step"]: step for step in make_plan(options)["steps"]}

    assert "parts" not in planned()["labels"]
    assert main([*command, "-o", str(output), "-w", "1", "--set", *overrides]) == 0
    step = planned()["labels"]
    assert (step["parts"], step["up_to_date"], step["to_run"]) == (2, 2, 0)
    assert planned()["write"]["to_run"] == 0
    for path in (output / "commits" / "dedup").glob("labels-*-00001-*"):
        path.unlink()
    # A round is missed, so all of them are.
    step = planned()["labels"]
    assert (step["parts"], step["up_to_date"], step["to_run"]) == (2, 0, 2)
    assert "parts" not in planned()["clusters"]
