"""One step of a run, or its rounds: missing parts, run and committed."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from pipeline.dataflow import DATAFLOW, Job, job_options, parts_at_once
from pipeline.graphs import run_graph
from pipeline.progress import Done, Progress
from pipeline.runners import Build, RunnerConfig
from pipeline.state import Commits, RunState, read_commit, read_commits, sum_counts
from pipeline.steps import Loop, Rounds, Step
from schemas.commits import commit_path
from schemas.errors import InputError, StageError
from transforms import storage
from transforms.fetch_plan import RESTING
from transforms.sink import Part

LOG_FOLDER = "logs"


def run_step(
    state: RunState, step: Step, wanted: bool, runner: RunnerConfig, progress: Progress
) -> int:
    """Run the missing parts of a step; returns how many there were."""
    parts = step.parts(state)
    found = read_commits(state.output, step.stage, parts)
    missing = [part for part in parts if part.name not in found]
    assert wanted or not missing, step.name
    if missing:
        name = step.stage if step.name == step.stage else f"{step.stage}, {step.name}"
        build = step.graph(state, missing)
        found = run_parts(state, name, step.stage, parts, build, runner, progress)
    state.commits[step.name] = found
    return len(missing)


def run_loop(
    state: RunState, loop: Loop, wanted: bool, runner: RunnerConfig, progress: Progress
) -> int:
    """Run round after round until one moves nothing; returns how many parts the last one ran."""
    number = loop.read(state)
    ran = 0
    while True:
        if wanted:
            _remove_rounds(state, loop, number)
        if loop.has_ended(state):
            return ran
        number += 1
        if number > loop.most(state):
            raise StageError(
                f"stage {loop.stage}, {loop.name}: round {number - 1} still moves something, which "
                "no input can cause: please report it"
            )
        step = Step(
            loop.stage,
            loop.name if number == 1 else f"{loop.name}, round {number}",
            partial(_parts_of, loop, number),
            partial(_graph_of, loop, number),
        )
        ran = run_step(state, step, wanted, runner, progress)
        state.commits[loop.name] = state.commits.pop(step.name)


def _parts_of(loop: Loop, number: int, state: RunState) -> list[Part]:
    return loop.parts(state, number)


def _graph_of(loop: Loop, number: int, state: RunState, missing: list[Part]) -> Build:
    return loop.graph(state, number, missing)


def _remove_rounds(state: RunState, loop: Loop, last: int) -> None:
    """Remove the rounds before the last, each record before what it makes visible."""
    for number in loop.started(state):
        if number >= last:
            break
        for commit in read_commits(state.output, loop.stage, loop.parts(state, number)).values():
            storage.remove(storage.join(state.output, commit_path(loop.stage, commit.name)))
            for files in commit.files.values():
                for path in files.values():
                    storage.remove(storage.join(state.output, path))


def parts_in_work(state: RunState, stage: str, runner: RunnerConfig) -> int:
    """Parts of a round that can be in work at the same time."""
    if runner.runner == DATAFLOW:
        settings = state.recipe.settings.workers.of(stage, models=True)
        return parts_at_once(settings, runner.beam_options)
    return runner.workers


def run_rounds(
    state: RunState, rounds: Rounds, wanted: bool, runner: RunnerConfig, progress: Progress
) -> int:
    """Plan and ask until nothing is open; returns how many parts of answers that took."""
    earlier = rounds.read(state)
    before = len(state.commits[rounds.name])
    number = 0
    while wanted:
        number += 1
        plan = Step(
            rounds.stage,
            f"{rounds.name}, plan {number}",
            lambda state: rounds.plan(state, earlier),
            rounds.plan_graph,
        )
        run_step(state, plan, wanted, runner, progress)
        plans = state.commits.pop(plan.name)
        parts = rounds.ask(state, plans, parts_in_work(state, rounds.stage, runner))
        if not parts:
            break
        label = f"{rounds.stage}, {rounds.name}, round {number}"
        build = rounds.ask_graph(state, parts)
        asked = run_parts(state, label, rounds.stage, parts, build, runner, progress, models=True)
        rounds.read(state)
        state.asked += asked.values()
        for commit in asked.values():
            state.resting |= set(commit.details.get(RESTING, ()))
        answered = sum(sum_counts([commit])[rounds.counted].seen for commit in asked.values())
        if not answered:
            raise StageError(f"{label}: {len(parts)} parts asked for nothing")
        left = sum(commit.details["left"] for commit in plans.values())
        if not left and answered == sum(part.weight for part in parts):
            break
    return len(state.commits[rounds.name]) - before


class CommittedParts:
    """Counts the records of a stage that are there; each is read once.

    Args:
        output: Where the records lie.
        stage: Of the records.
        counts: Whether a file name is that of a record which counts.
    """

    def __init__(self, output: str, stage: str, counts: Callable[[str], bool]) -> None:
        self._output = output
        self._stage = stage
        self._counts = counts
        self._folder = storage.join(output, "commits", stage)
        self._failed: dict[str, int] = {}

    def __call__(self) -> Done:
        """How many there are now, and the rows in them that failed."""
        names = [name for name in storage.list_names(self._folder) if self._counts(name)]
        for name in names:
            if name not in self._failed:
                self._failed[name] = self._failed_rows(name)
        return Done(len(names), sum(self._failed[name] for name in names))

    def _failed_rows(self, name: str) -> int:
        try:
            commit = read_commit(self._output, self._stage, name.removesuffix(".json"))
        except InputError:  # the stage says so when it reads it
            return 0
        if commit is None:  # a record that was replaced meanwhile
            return 0
        return sum(sum(counts.failed.values()) for counts in commit.counts.values())


def run_parts(
    state: RunState,
    name: str,
    stage: str,
    parts: Sequence[Part],
    build: Build,
    runner: RunnerConfig,
    progress: Progress,
    models: bool = False,
) -> Commits:
    """Run a graph that commits what is missing of some parts.

    Args:
        state: The run.
        name: What progress lines call the parts.
        stage: Of the parts.
        parts: All that the result consists of.
        build: The graph of the missing ones.
        runner: What runs it.
        progress: Is told.
        models: Whether the graph may show items to models.

    Raises:
        StageError: The graph fails, or a part left no record.
    """
    done = CommittedParts(state.output, stage, {f"{part.key}.json" for part in parts}.__contains__)
    with progress.step(name, len(parts), done) as heartbeats:
        job = Job(stage, name, models)
        run_graph(stage, build, watched(state, runner, heartbeats, job), progress.say)
    found = read_commits(state.output, stage, parts)
    lost = sorted({part.name for part in parts} - set(found))
    if lost:
        raise StageError(f"stage {stage}: {len(lost)} parts left no record: {lost[0]}, ...")
    return found


def watched(state: RunState, runner: RunnerConfig, heartbeats: str, job: Job) -> RunnerConfig:
    """A runner for one job, whose workers tell how far they are.

    They log to the output where it is local; a service is told what machines the recipe wants.
    """
    log = None
    if storage.is_local(state.output):
        folder = os.path.join(state.output, LOG_FOLDER)
        os.makedirs(folder, exist_ok=True)
        log = os.path.join(folder, "workers.log")
    options = runner.beam_options
    if runner.runner == DATAFLOW:
        options = job_options(state.recipe.settings.workers, state.output, job, options)
    return replace(runner, beam_options=options, heartbeats=heartbeats, log=log or os.devnull)
