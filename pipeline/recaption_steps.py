"""The steps of stage `recaption`: what is to be written anew, what a model wrote, and for whom.

``captions -> wanted -> plan of what is open -> answers, recorded -> [met] -> recaptions``

A recipe whose mode is `off` has none of them.
"""

from functools import partial
from typing import Any

from pipeline.answer_plans import (
    joined_slices,
    plan_fingerprint,
    plan_graph,
    slices_fingerprint,
)
from pipeline.judged_files import caption_files
from pipeline.runners import Build
from pipeline.state import Commits, RunState
from pipeline.steps import Rounds, Step, by_bucket, map_parts
from recaptioner.engines.handler import CaptionHandler
from recaptioner.identity import ladder_of
from recaptioner.recaption import COUNTED, STAGE, Recaption
from schemas.commits import Commit
from schemas.ids import digest
from schemas.recaption_rows import ASKED_AGAIN
from transforms import gates, recaption_join, recaption_plan, recaption_wanted
from transforms.score_plan import PlannedSlice
from transforms.shuffle import CommitBlocks, EmitBlocks, RegroupBlocks
from transforms.sink import Part

STEP_VERSION = 1
"""Raised when answers of the same recaptioner are no longer what they were: all are asked again."""
_PREFIX = f"answers-v{STEP_VERSION}-"
_WANTED = "wanted_recaptions"


def is_on(state: RunState) -> bool:
    """Whether the recipe asks for captions."""
    return state.recipe.settings.recaption.is_on


# --- wanted


def _wanted_parts(state: RunState) -> list[Part]:
    if not is_on(state):
        return []
    config = digest(
        state.recipe.section("gates.recaption", "captions.prefer"),
        state.snapshot("candidates"),
        state.snapshot("models"),
        state.snapshot("paragraphs"),
        state.snapshot("scores"),
        recaption_wanted.STEP_VERSION,
        gates.STEP_VERSION,
    )
    return [
        Part(f"wanted-{name}", config[:16], caption_files(state, name))
        for name in sorted(state.commits["extract"])
    ]


def _want(state: RunState, missing: list[Part]) -> Build:
    function = recaption_wanted.WantRecaptions(
        state.output,
        state.recipe.gates.recaption,
        state.recipe.settings.captions.prefer,
    )
    return map_parts("WantRecaptions", STAGE, state.output, missing, function)


# --- answers


def _answer_files(commits: Commits) -> list[str]:
    return [
        path
        for _, commit in sorted(commits.items())
        for path in commit.files.get(COUNTED, {}).values()
    ]


def _wanted_files(state: RunState) -> dict[str, str | None]:
    """Extract part -> its wanted recaptions."""
    return {
        name.removeprefix("wanted-"): commit.file(_WANTED)
        for name, commit in sorted(state.commits[_WANTED].items())
    }


def _plan_id(state: RunState) -> str:
    config = state.recipe.settings.recaption
    base = digest(
        state.snapshot(_WANTED),
        state.recaptioner,
        config.buckets,
        config.part_images,
        recaption_plan.STEP_VERSION,
    )
    return plan_fingerprint(base, _PREFIX, state.commits[COUNTED], _asks_again)


def _asks_again(commit: Commit) -> bool:
    return not commit.counts[COUNTED].failed.keys().isdisjoint(ASKED_AGAIN)


def _plan_parts(state: RunState, earlier: frozenset[str]) -> list[Part]:
    del earlier
    if not is_on(state):
        return []
    plan = _plan_id(state)
    buckets = range(state.recipe.settings.recaption.buckets)
    return [Part(f"plan-{number:05d}", plan, f"{number:05d}") for number in buckets]


def _plan(state: RunState, missing: list[Part]) -> Build:
    del missing
    config = state.recipe.settings.recaption
    wanted = [path for path in _wanted_files(state).values() if path is not None]
    sources = [recaption_plan.RecaptionSource(path) for path in wanted]
    sources += [
        recaption_plan.RecaptionSource(path, is_answer=True)
        for path in _answer_files(state.commits[COUNTED])
    ]
    planned = {f"plan {part.spec}": part for part in _plan_parts(state, frozenset())}
    return partial(
        plan_graph,
        STAGE,
        state.output,
        sources,
        recaption_plan.EmitOpen(state.output, state.recaptioner, config.buckets),
        recaption_plan.ChooseOpen(config.buckets),
        recaption_plan.CommitPlan(config.part_images),
        planned,
    )


def _ask_parts(state: RunState, plans: Commits, workers: int) -> list[Part]:
    """Slices joined to parts of the size that the recipe says, whatever the number of workers."""
    del workers
    plan = _plan_id(state)
    done = {commit.name for commit in state.commits[COUNTED].values()}
    size = state.recipe.settings.recaption.part_images
    found = enumerate(joined_slices(plans, recaption_plan.PLANNED, size))
    parts = [
        Part(f"{_PREFIX}{plan}-{number:05d}", slices_fingerprint(slices), slices, answers)
        for number, (slices, answers) in found
    ]
    return [part for part in parts if part.key not in done]


def sample_part(state: RunState, plans: Commits, images: int) -> Part | None:
    """A part of some images of every bucket of a plan; None where nothing is open."""
    found = [
        (path, *commit.details["slices"][0][:2])
        for _, commit in sorted(plans.items())
        if (path := commit.file(recaption_plan.PLANNED)) is not None
    ]
    each = -(-images // max(1, len(found)))
    slices: list[PlannedSlice] = []
    for path, start, stop in found:
        count = min(each, stop - start, images - sum(s.stop - s.start for s in slices))
        if count > 0:
            slices.append(PlannedSlice(path, start, start + count))
    if not slices:
        return None
    # Of no plan's own answers: the next plan is made without these images.
    name = f"{_PREFIX}sample-{_plan_id(state)}"
    return Part(name, slices_fingerprint(tuple(slices)), tuple(slices))


def _ask(state: RunState, missing: list[Part]) -> Build:
    config = state.recipe.settings.recaption
    function = Recaption(
        state.output,
        CaptionHandler(config.engine_config),
        ladder_of(config, state.recaptioner),
        config.max_side,
        config.decoders,
        config.max_fallback_fraction,
    )
    return map_parts("Recaption", STAGE, state.output, missing, function)


# --- recaptions


def _recaption_parts(state: RunState) -> list[Part]:
    if not is_on(state):
        return []
    fingerprint = digest(
        state.snapshot(_WANTED),
        *_answer_files(state.commits[COUNTED]),
        state.recaptioner,
        recaption_join.STEP_VERSION,
    )
    return [Part(f"recaptions-{name}", fingerprint[:16], name) for name in _wanted_files(state)]


def _recaptions(state: RunState, missing: list[Part]) -> Build:
    del missing
    sources = [
        Part(name, "", recaption_join.MeetSource(name, path))
        for name, path in _wanted_files(state).items()
    ]
    sources += [
        Part(f"answers {number:05d}", "", recaption_join.MeetSource(None, path))
        for number, path in enumerate(_answer_files(state.commits[COUNTED]))
    ]
    buckets = state.recipe.settings.recaption.buckets
    emit = recaption_join.EmitAnswers(state.output, state.recaptioner, buckets)
    parts = {f"part {part.spec}": part for part in _recaption_parts(state)}
    return partial(_meet_graph, state.output, sources, emit, parts)


def _meet_graph(
    output: str, sources: list[Part], emit: Any, parts: dict[str, Part], pipeline: Any
) -> None:
    (
        pipeline
        | "EmitAnswers" >> EmitBlocks(STAGE, sources, emit)
        | "SendAnswers" >> RegroupBlocks(STAGE, recaption_join.send_answers)
        | "CommitRecaptions"
        >> CommitBlocks(STAGE, output, partial(by_bucket, parts), recaption_join.CommitRecaptions())
    )


def recaption_file(state: RunState, name: str) -> str | None:
    """The recaptions of an extract part; None where it has none."""
    part = f"recaptions-{name}"
    if part not in state.commits["recaptions"]:
        return None
    return state.file("recaptions", part, "recaptions")


WANTED_RECAPTIONS = Step(STAGE, _WANTED, _wanted_parts, _want)
RECAPTION_ANSWERS = Rounds(
    STAGE, COUNTED, _PREFIX, COUNTED, COUNTED, _plan_parts, _plan, _ask_parts, _ask
)
RECAPTIONS = Step(STAGE, "recaptions", _recaption_parts, _recaptions)
