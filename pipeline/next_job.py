"""The job that a run would start first, and what it would send to Dataflow for it.

Later jobs are planned from what this one commits, so nobody can tell them yet.
"""

import json

from pipeline import publish
from pipeline.dataflow import DATAFLOW, Job, job_options, request_job
from pipeline.run import RunOptions, prepare
from pipeline.run_steps import parts_in_work
from pipeline.runners import Build, RunnerConfig
from pipeline.stages import STEPS
from pipeline.state import RunState, read_commits
from pipeline.steps import Loop, Rounds, Step
from schemas.errors import OutputError, UserError

Found = tuple[Job, Build]


def next_job(state: RunState, runner: RunnerConfig) -> Found | None:
    """The job that a run of all stages would start first; None where all is up to date.

    Args:
        state: A run before its first stage; it is told what is committed.
        runner: How it would run.
    """
    for step in STEPS:
        if isinstance(step, Rounds):
            found = _of_rounds(state, step, runner)
        elif isinstance(step, Loop):
            found = _of_loop(state, step)
        else:
            found = _of_step(state, step)
        if found is not None:
            return found
    plan = publish.plan_shards(state)
    commits, _ = publish.shard_commits(state.output, plan)
    if not plan.parts or publish.is_published(state.output, plan, commits):
        return None
    return Job(publish.STAGE, "shard, write"), publish.write_graph(state, plan)


def _of_step(state: RunState, step: Step) -> Found | None:
    parts = step.parts(state)
    found = read_commits(state.output, step.stage, parts)
    state.commits[step.name] = found
    missing = [part for part in parts if part.name not in found]
    if not missing:
        return None
    name = step.stage if step.name == step.stage else f"{step.stage}, {step.name}"
    return Job(step.stage, name), step.graph(state, missing)


def _of_loop(state: RunState, loop: Loop) -> Found | None:
    number = loop.read(state)
    if loop.has_ended(state):
        return None
    number += 1
    parts = loop.parts(state, number)
    found = read_commits(state.output, loop.stage, parts)
    missing = [part for part in parts if part.name not in found]
    name = loop.name if number == 1 else f"{loop.name}, round {number}"
    return Job(loop.stage, f"{loop.stage}, {name}"), loop.graph(state, number, missing)


def _of_rounds(state: RunState, rounds: Rounds, runner: RunnerConfig) -> Found | None:
    parts = rounds.plan(state, rounds.read(state))
    plans = read_commits(state.output, rounds.stage, parts)
    missing = [part for part in parts if part.name not in plans]
    label = f"{rounds.stage}, {rounds.name}"
    if missing:
        return Job(rounds.stage, f"{label}, plan 1"), rounds.plan_graph(state, missing)
    asked = rounds.ask(state, plans, parts_in_work(state, rounds.stage, runner))
    if not asked:
        return None
    return Job(rounds.stage, f"{label}, round 1", models=True), rounds.ask_graph(state, asked)


def write_request(options: RunOptions, path: str) -> str:
    """Write what the next job would send to Dataflow; nothing is sent. Returns a line about it.

    Raises:
        UserError: Another runner, nothing is left to do, or what `run` would refuse.
        OutputError: The file cannot be written.
    """
    runner = options.runner_config()
    if runner.runner != DATAFLOW:
        raise UserError("--job-request: is for --runner dataflow")
    state = prepare(options)
    found = next_job(state, runner)
    if found is None:
        raise UserError(f"--job-request {path}: all is up to date, so no job would be started")
    job, build = found
    workers = state.recipe.settings.workers
    made = request_job(build, job_options(workers, state.output, job, runner.beam_options))
    try:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(made.request, file, indent=1)
            file.write("\n")
    except OSError as e:
        raise OutputError(f"--job-request {path}: cannot be written: {e}") from e
    return f"{path}: the request of job {made.request['job']['name']}; nothing was sent"
