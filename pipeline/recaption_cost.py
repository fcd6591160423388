"""What captions will cost: tokens and hours of the engine, from those that are written already.

A sample is written where there are none: its captions are recorded as all others are, so that the
run that follows has them already.
"""

from contextlib import nullcontext
from typing import Any

from pipeline.graphs import start_stage_server
from pipeline.progress import Progress
from pipeline.recaption_steps import RECAPTION_ANSWERS, WANTED_RECAPTIONS, is_on, sample_part
from pipeline.run import RunOptions, check_left_out, locked, prepare
from pipeline.run_record import STAGES
from pipeline.run_steps import run_parts, run_step
from pipeline.state import RunState
from pipeline.steps import Step
from recaptioner.recaption import COMPLETION_TOKENS, COUNTED, MILLISECONDS, PROMPT_TOKENS, STAGE
from schemas.errors import UserError


def write_sample(options: RunOptions, images: int) -> None:
    """Have captions written for a sample of the images that have none.

    Raises:
        UserError: The recipe asks for none, or a stage before is not up to date.
        StageError: They cannot be written.
    """
    runner = options.runner_config()
    state = prepare(options)
    if not is_on(state):
        raise UserError("--sample: the recipe asks for no captions: recaption.mode is off")
    check_left_out(state, [STAGE], STAGES.index(STAGE))
    if not runner.in_process:
        start_stage_server()
    progress = Progress(options.quiet)
    with locked(state.output), runner.server or nullcontext():
        run_step(state, WANTED_RECAPTIONS, True, runner, progress)
        earlier = RECAPTION_ANSWERS.read(state)
        plan = Step(
            STAGE,
            f"{COUNTED}, plan of a sample",
            lambda state: RECAPTION_ANSWERS.plan(state, earlier),
            RECAPTION_ANSWERS.plan_graph,
        )
        run_step(state, plan, True, runner, progress)
        part = sample_part(state, state.commits.pop(plan.name), images)
        if part is not None:
            build = RECAPTION_ANSWERS.ask_graph(state, [part])
            label = f"{STAGE}, sample"
            run_parts(state, label, STAGE, [part], build, runner, progress, models=True)


def predict_cost(state: RunState) -> dict[str, Any] | None:
    """What the captions that are wanted will cost, of which some may be written already.

    Returns:
        `wanted`: captions, those of one image and text told once for each part of the input;
        `written`: answers of this recaptioner; a caption's `prompt_tokens`, `completion_tokens` and
        `engine_seconds`; `tokens_left` and `engine_hours_left` for those that are not written: of
        one engine, whatever number of GPUs it is spread over. None where none was ever written.
    """
    wanted = sum(
        commit.counts["captions"].kept for commit in state.commits[WANTED_RECAPTIONS.name].values()
    )
    answers = [
        commit
        for commit in state.commits[COUNTED].values()
        if commit.details.get("recaptioner") == state.recaptioner
    ]
    written = sum(commit.counts[COUNTED].kept for commit in answers)
    if not written:
        return None

    def mean(fact: str) -> float:
        return sum(commit.facts.get(fact, 0) for commit in answers) / written

    prompt, completion = mean(PROMPT_TOKENS), mean(COMPLETION_TOKENS)
    seconds = mean(MILLISECONDS) / 1000
    left = max(0, wanted - written)
    return {
        "wanted": wanted,
        "written": written,
        "prompt_tokens": round(prompt, 1),
        "completion_tokens": round(completion, 1),
        "engine_seconds": round(seconds, 4),
        "tokens_left": round(left * (prompt + completion)),
        "engine_hours_left": round(left * seconds / 3600, 3),
    }
