"""`plan`: what `run` would do, without doing it.

Parts of the first step that is not up to date can be counted; steps behind it depend on what it
will commit, so they are only said to follow.
"""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline import publish
from pipeline.recaption_cost import predict_cost
from pipeline.recaption_steps import WANTED_RECAPTIONS
from pipeline.run import RunOptions, prepare
from pipeline.stages import STEPS
from pipeline.state import RunState, read_commits
from pipeline.steps import Loop, Rounds, Step
from recaptioner.recaption import COUNTED
from transforms.sink import Part


def make_plan(options: RunOptions) -> dict[str, Any]:
    """What a run with these options would do. Raises `UserError` for what `run` would refuse."""
    state = prepare(options)
    steps: list[dict[str, Any]] = []
    known = True
    for step in STEPS:
        entry: dict[str, Any] = {"stage": step.stage, "step": step.name}
        if isinstance(step, Rounds):
            known = known and _nothing_open(state, step)
            if known:
                count = len(state.commits[step.name])
                entry |= {"parts": count, "up_to_date": count, "to_run": 0, "weight": 0}
        elif known:
            parts = _parts(state, step)
            found = read_commits(state.output, step.stage, parts)
            if not isinstance(step, Loop):
                state.commits[step.name] = found
            entry |= {
                "parts": len(parts),
                "up_to_date": len(found),
                "to_run": len(parts) - len(found),
                "weight": sum(part.weight for part in parts if part.name not in found),
            }
            known = len(found) == len(parts)
        steps.append(entry)
    last: dict[str, Any] = {"stage": publish.STAGE, "step": "write"}
    if known:
        plan = publish.plan_shards(state)
        commits, _ = publish.shard_commits(state.output, plan)
        done = publish.is_published(state.output, plan, commits)
        count = len(plan.parts)
        last |= {
            "parts": count, "up_to_date": count if done else 0, "to_run": 0 if done else count
        }  # fmt: skip
    steps.append(last)
    cost = None
    if WANTED_RECAPTIONS.name in state.commits and COUNTED in state.commits:
        cost = predict_cost(state)
    runner = options.runner_config()
    return {
        "recipe": {"name": state.recipe.name, "fingerprint": state.recipe.fingerprint},
        "output": state.output,
        "runner": {"name": runner.runner, "workers": runner.workers},
        "inputs": {
            "files": len(state.inputs),
            "bytes": sum(file.size for file in state.inputs),
            "largest": max(
                ({"source": file.source, "bytes": file.size} for file in state.inputs),
                key=lambda file: (file["bytes"], file["source"]),
            ),
        },
        "steps": steps,
        "captions": cost,
    }


def _parts(state: RunState, step: Step | Loop) -> list[Part]:
    """The parts of a step; of a loop those of its next round, or its last where it has ended."""
    if isinstance(step, Step):
        return step.parts(state)
    number = step.read(state)
    return step.parts(state, number if step.has_ended(state) else number + 1)


def _nothing_open(state: RunState, rounds: Rounds) -> bool:
    """Whether all that is wanted has an answer that stays."""
    parts = rounds.plan(state, rounds.read(state))
    plans = read_commits(state.output, rounds.stage, parts)
    return len(plans) == len(parts) and not rounds.ask(state, plans, 1)


def show(plan: dict[str, Any], console: Console) -> None:
    """Print a plan."""
    inputs = plan["inputs"]
    console.print(
        f"recipe {escape(plan['recipe']['name'])} ({plan['recipe']['fingerprint'][:12]}), "
        f"{plan['runner']['name']}, {plan['runner']['workers']} workers\n"
        f"input {inputs['files']:,} files, {inputs['bytes']:,} bytes; largest "
        f"{escape(inputs['largest']['source'])}, {inputs['largest']['bytes']:,} bytes\n"
        f"output {escape(plan['output'])}\n",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("stage", "step"):
        table.add_column(name)
    for name in ("parts", "up to date", "to run"):
        table.add_column(name, justify="right")
    for step in plan["steps"]:
        counts = (
            [f"{step[key]:,}" for key in ("parts", "up_to_date", "to_run")]
            if "parts" in step
            else ["", "", "follows"]
        )
        table.add_row(step["stage"], step["step"], *counts)
    console.print(table)
    if plan["captions"] is not None:
        _show_cost(plan["captions"], console)


def _show_cost(cost: dict[str, Any], console: Console) -> None:
    console.print(
        f"\ncaptions: {cost['wanted']:,} wanted, {cost['written']:,} written, a caption "
        f"{cost['prompt_tokens']:,} prompt and {cost['completion_tokens']:,} written tokens and "
        f"{cost['engine_seconds']:.3g} s of the engine.\n"
        f"The rest: about {cost['tokens_left']:,} tokens, {cost['engine_hours_left']:,} engine "
        "hours.",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
