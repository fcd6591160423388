"""`run`: checks everything the user gave, then takes the stages in order and records what they did.

Nothing is written before recipe, input, options and output have been checked. `run.json` is
replaced after every stage; its snapshots name the parts that readers may use.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pipeline import publish, recaption_steps
from pipeline.budgets import check_stage
from pipeline.contamination_steps import find_tables
from pipeline.dataflow import DATAFLOW, Job, check_dataflow
from pipeline.earlier import find_earlier
from pipeline.graphs import run_graph, start_stage_server
from pipeline.inputs import find_inputs
from pipeline.progress import LogFormat, Progress
from pipeline.recipe import Recipe, load_recipe
from pipeline.run_record import RUN_FILE, RUN_VERSION, STAGES, read_run, write_run
from pipeline.run_steps import (
    LOG_FOLDER,
    CommittedParts,
    run_loop,
    run_rounds,
    run_step,
    watched,
)
from pipeline.runners import RunnerConfig, check_places, runner_config
from pipeline.stages import STEPS
from pipeline.state import (
    RunState,
    read_commits,
    sum_counts,
    sum_facts,
)
from pipeline.steps import Loop, Rounds
from pipeline.text_model_steps import find_text_models
from recaptioner import recaption
from recaptioner.identity import identify_recaptioner
from recaptioner.journal import FOLDER
from schemas.commits import Commit
from schemas.errors import OutputError, StageError, StoreError, UserError
from schemas.folder_lock import LOCK_FILE, lock_folder
from schemas.shards import SCHEMA_VERSION
from transforms import storage
from transforms.block_lists import BlockLists
from transforms.scorers.registry import identify
from transforms.shipped import ship_to

OWN_NAMES = frozenset(
    {
        RUN_FILE,
        LOCK_FILE,
        LOG_FOLDER,
        "tables",
        "packs",
        "commits",
        "shards",
        "report",
        "tmp",
        FOLDER,
    }
)


@dataclass(frozen=True)
class RunOptions:
    """What the command line says."""

    recipe: str
    inputs: Sequence[str]
    output: str
    stages: Sequence[str] = STAGES
    overrides: Sequence[str] = ()
    workers: int | None = None
    processes: bool = False
    runner: str = "local"
    beam_options: Sequence[str] = ()
    quiet: bool = False
    log_format: LogFormat = "text"
    against: Sequence[str] = ()
    """Earlier outputs whose pages must not come again."""

    def runner_config(self) -> RunnerConfig:
        """How they say to run. Raises `UserError` where that cannot work."""
        return runner_config(
            self.runner,
            self.beam_options,
            self.workers,
            self.processes,
            default_workers=default_workers(),
        )


def default_workers() -> int:
    """Worker processes where the user names none: the processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_stages(names: Sequence[str]) -> list[str]:
    """The stages to run, in their order. Raises `UserError`."""
    for name in names:
        if name not in STAGES:
            raise UserError(f"--stages {name}: there is no such stage; stages: {', '.join(STAGES)}")
    return [stage for stage in STAGES if stage in names]


def check_options(options: RunOptions) -> tuple[Recipe, str]:
    """Recipe and output, checked as all options but the input are. Raises `UserError`."""
    check_stages(options.stages)
    if options.workers is not None and not 1 <= options.workers <= 1024:
        raise UserError(f"--workers {options.workers}: must be from 1 to 1024")
    runner = options.runner_config()
    recipe = load_recipe(options.recipe, options.overrides)
    if runner.runner == DATAFLOW:
        stages = check_stages(options.stages)
        places = {
            "--input": options.inputs,
            "--output": [options.output],
            "--against": options.against,
        }
        check_dataflow(recipe, places, stages, runner.beam_options)
    output = normal_output(options.output)
    if output.startswith("memory://") and not (runner.in_process and runner.sees_files):
        raise OutputError(
            f"--output {options.output}: lives in one process only; use --workers 1, or another "
            "output"
        )
    if not runner.sees_files:
        check_places(runner.runner, "--input", options.inputs)
        check_places(runner.runner, "--output", [options.output])
        check_places(runner.runner, "--against", options.against)
    check_output(output)
    return recipe, output


def prepare(options: RunOptions) -> RunState:
    """Check recipe, input, options and output; nothing is written. Raises `UserError`."""
    recipe, output = check_options(options)
    blocked = BlockLists.load(recipe.settings.block_lists)
    files = find_inputs(options.inputs, recipe.settings.input)
    recipe = replace(recipe, scorers=identify(recipe.scorers))
    return RunState(
        output,
        recipe,
        files,
        block_lists=blocked.identity,
        evaluation_tables=find_tables(recipe.settings.decontamination),
        text_models=find_text_models(recipe.settings.text_models),
        earlier=find_earlier(
            [normal_output(name, "--against") for name in options.against], output, recipe
        ),
        recaptioner=identify_recaptioner(recipe.settings.recaption),
    )


def normal_output(output: str, option: str = "--output") -> str:
    """The output as a URL without a trailing slash; a local one as an absolute path."""
    if not output:
        raise OutputError(f"{option}: is empty")
    fs, path = storage.resolve(output)
    if storage.is_local(output):
        return path
    if not path.strip("/"):
        raise OutputError(f"{option} {output}: names no bucket or folder")
    return str(fs.unstrip_protocol(path)).rstrip("/")


def check_output(output: str) -> None:
    """Refuse a place that cannot be written, or holds something else. Raises `OutputError`."""
    fs, path = storage.resolve(output)
    if storage.is_read_only(fs) or "::" in output:
        raise OutputError(f"--output {output}: can be read only; give a folder, s3:// or gs://")
    try:
        if fs.isfile(path):
            raise OutputError(f"--output {output}: is a file, not a folder")
        storage.check_folder(output)
        names = set(storage.list_names(output))
    except OSError as e:
        raise OutputError(f"--output {output}: cannot be read: {e}") from e
    strangers = sorted(names - OWN_NAMES)
    if strangers and RUN_FILE not in names:
        raise OutputError(
            f"--output {output}: is not empty and no output of Weft (it holds {strangers[0]})"
        )
    if storage.is_local(output):
        at = path
        while not os.path.lexists(at):
            at = os.path.dirname(at)
        if not os.path.isdir(at):
            raise OutputError(f"--output {output}: {at} is not a folder")
        if not os.access(at, os.W_OK | os.X_OK):
            raise OutputError(f"--output {output}: {at} cannot be written")


def _check_rights(output: str) -> None:
    """Write, read, delete in a store, which tells no rights otherwise. Raises `OutputError`."""
    if storage.is_local(output):
        return
    try:
        storage.check_writable(output)
    except StoreError:
        raise
    except OSError as e:
        raise OutputError(f"--output {output}: cannot be written: {e}") from e


@contextlib.contextmanager
def locked(output: str) -> Iterator[None]:
    """Hold a local output for this run; the system lets go of it however the process ends."""
    if not storage.is_local(output):
        yield
        return
    with lock_folder(output):
        yield


def execute(options: RunOptions) -> RunState:
    """The whole run. Raises `UserError` before anything is written, `StageError` after."""
    runner = options.runner_config()
    if not runner.in_process:
        start_stage_server()
    state = prepare(options)
    runner.check_services()
    progress = Progress(options.quiet, options.log_format)
    wanted = check_stages(options.stages)
    last = STAGES.index(wanted[-1]) if wanted else -1
    check_left_out(state, wanted, last)
    with locked(state.output), runner.server or contextlib.nullcontext():
        _check_rights(state.output)
        state.record = _new_record(state)
        _clear_temporary(state.output)
        for stage in STAGES[: last + 1]:
            with ship_to(None if runner.is_local else storage.join(state.output, "tmp", "graphs")):
                _stage(state, stage, stage in wanted, runner, progress)
        # A worker that was killed, and started again since, may have left something too.
        _clear_temporary(state.output)
    return state


def check_left_out(state: RunState, wanted: Sequence[str], last: int) -> None:
    """Refuse to leave out a stage that is not up to date and that a later one needs."""
    if wanted == list(STAGES[: last + 1]):
        return
    to_run = False
    # A stage that the recipe does not have need not be named.
    left = set() if recaption_steps.is_on(state) else {recaption.STAGE}
    needed = [s for s in STEPS if STAGES.index(s.stage) <= last and s.stage not in left]
    for step in needed:
        if isinstance(step, Rounds):
            # What has no answer yet is nothing that a later stage could not do without.
            step.read(state)
            continue
        if isinstance(step, Loop):
            if not to_run:
                step.read(state)
            missing = to_run or not step.has_ended(state)
        else:
            parts = [] if to_run else step.parts(state)
            state.commits[step.name] = read_commits(state.output, step.stage, parts)
            missing = len(parts) > len(state.commits[step.name])
        if step.stage not in wanted and (to_run or missing):
            raise UserError(
                f"--stages: stage {step.stage} is not up to date, and later stages need it; name "
                "it as well"
            )
        to_run = to_run or missing


def _new_record(state: RunState) -> dict[str, Any]:
    old = read_run(state.output) or {}
    return {
        "run_version": RUN_VERSION,
        "schema_version": SCHEMA_VERSION,
        "versions": versions(),
        "recipe": {
            "name": state.recipe.name,
            "fingerprint": state.recipe.fingerprint,
            "values": state.recipe.values,
        },
        "inputs": [{"source": file.source, "bytes": file.size} for file in state.inputs],
        "against": sorted({part.output for part in state.earlier.parts}),
        "stages": old.get("stages", {}),
    }


def versions() -> dict[str, str]:
    """Versions of Weft and of what shapes its output."""
    found = {}
    for name in (
        "weft-data", "apache-beam", "pyarrow", "duckdb", "fastwarc", "selectolax", "resiliparse",
        "pillow", "datasketch", "open_clip_torch", "torch",
    ):  # fmt: skip
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _clear_temporary(output: str) -> None:
    """Delete what a killed run left in the spool folder; nobody else uses it under the lock."""
    if not storage.is_local(output):
        return
    for folder, _, names in os.walk(output):
        for name in names:
            if name.startswith(storage.TEMPORARY_PREFIX):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(folder, name))


def _stage(
    state: RunState, stage: str, wanted: bool, runner: RunnerConfig, progress: Progress
) -> None:
    """Run one stage, or only read what it has committed."""
    begin = time.monotonic()
    old = state.record["stages"].get(stage, {})
    before = old.get("snapshot")
    ran = 0
    commits: list[Commit] = []
    try:
        for step in (step for step in STEPS if step.stage == stage):
            if isinstance(step, Rounds):
                ran += run_rounds(state, step, wanted, runner, progress)
            elif isinstance(step, Loop):
                ran += run_loop(state, step, wanted, runner, progress)
            else:
                ran += run_step(state, step, wanted, runner, progress)
            commits += state.commits[step.name].values()
        if stage == publish.STAGE:
            more, written = _publish(state, runner, progress)
            commits += more
            ran += written
    except BaseException:
        if wanted:
            state.record["stages"][stage] = {**old, "status": "failed"}
            # Where the disk is full this fails as well, and the first error is the one to report.
            with contextlib.suppress(OSError):
                write_run(state.output, state.record)
        raise
    seconds = time.monotonic() - begin
    if ran or old.get("status") != "done" or not {"snapshot", "seconds"} <= set(old):
        old = {"seconds": round(seconds, 3)}
    tables = sum_counts(commits)
    state.record["stages"][stage] = {
        "status": "done",
        "seconds": old["seconds"],
        "parts": len(commits),
        "tables": {name: counts.as_json() for name, counts in sorted(tables.items())},
        "facts": sum_facts(commits),
        "snapshot": sorted(commit.name for commit in commits),
    }
    snapshot = state.record["stages"][stage]["snapshot"]
    if snapshot != before:
        for later in STAGES[STAGES.index(stage) + 1 :]:
            if later in state.record["stages"]:
                # What they made was made of parts that count no more.
                state.record["stages"][later]["status"] = "stale"
    write_run(state.output, state.record)
    if wanted:
        progress.stage(stage, ran, len(commits), seconds)
    facts = state.record["stages"][stage]["facts"]
    check_stage(stage, state.recipe, tables, facts, state.asked)


def _publish(state: RunState, runner: RunnerConfig, progress: Progress) -> tuple[list[Commit], int]:
    """Write shards, unless those of these very samples stand already."""
    plan = publish.plan_shards(state)
    found, stale = publish.shard_commits(state.output, plan)
    ran = 0
    before = {commit.name for commit in found.values()}
    marker = storage.join(state.output, "commits", publish.STAGE, publish.PUBLISHED)
    if not publish.is_published(state.output, plan, found):
        unsound = publish.unsound_shards(state.output, found)
        storage.remove(marker)
        publish.delete_records(state.output, sorted(unsound))
        done = CommittedParts(state.output, publish.STAGE, lambda name: name.startswith("shard-"))
        with progress.step("shard, write", len(plan.parts), done) as heartbeats:
            if plan.parts:
                build = publish.write_graph(state, plan)
                job = Job(publish.STAGE, "shard, write")
                run_graph(
                    publish.STAGE, build, watched(state, runner, heartbeats, job), progress.say
                )
        found, stale = publish.shard_commits(state.output, plan)
        lost = sorted(plan.parts - set(found))
        if lost:
            raise StageError(f"stage shard: {len(lost)} shards left no record: {lost[0]}, ...")
        publish.publish_streams(state.output, state.recipe, plan, found)
        publish.delete_records(state.output, stale)
        storage.write_bytes(marker, plan.fingerprint.encode())
        ran = len({commit.name for commit in found.values()} - before | unsound)
    return list(found.values()), ran
