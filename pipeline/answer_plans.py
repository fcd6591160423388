"""Plans of what models have not answered yet: shared by the stages whose answers are recorded."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from pipeline.state import Commits
from pipeline.steps import by_bucket
from schemas.commits import Commit
from schemas.ids import digest
from transforms.score_plan import PlannedSlice
from transforms.shuffle import CommitBlocks, EmitBlocks, RegroupBlocks
from transforms.sink import Part


def plan_fingerprint(
    base: str, prefix: str, commits: Commits, is_open: Callable[[Commit], bool]
) -> str:
    """The fingerprint of the plan that counts: of what is wanted, and of all other answers.

    A plan's own answers do not make it another one, or every run would plan anew after the run that
    answered. Answers carry the plan that they are of in their names. Where images were not to be
    had, as when a store did not answer, a new plan asks for them again.

    Args:
        base: All that shapes a plan but the answers.
        prefix: What the names of answers begin with.
        commits: The answers.
        is_open: Whether some of a commit's answers are none, and asked for again.
    """

    def plan_beside(own: str) -> str:
        others = [
            name
            for name, commit in sorted(commits.items())
            if not name.startswith(f"{prefix}{own}-") or is_open(commit)
        ]
        return digest(base, *others)[:16]

    known = sorted({name.removeprefix(prefix).partition("-")[0] for name in commits})
    return next((plan for plan in known if plan_beside(plan) == plan), plan_beside("none"))


def plan_graph(
    stage: str,
    output: str,
    sources: Sequence[Any],
    emit: Any,
    choose: Any,
    commit: Any,
    parts: dict[str, Part],
    pipeline: Any,
) -> None:
    """What is wanted meets what is answered, and goes on to the buckets of the plan.

    Args:
        stage: Its name.
        output: Where the files lie.
        sources: Files of what is wanted and of answers, a part of the graph each; one more has
            none, so that every bucket of the plan exists.
        emit: Map side.
        choose: First reduce.
        commit: Last reduce.
        parts: The plan's part of each bucket.
        pipeline: Beam's.
    """
    emitted = [Part("none", "", ())]
    emitted += [Part(f"{number:05d}", "", (source,)) for number, source in enumerate(sources)]
    (
        pipeline
        | "EmitOpen" >> EmitBlocks(stage, emitted, emit)
        | "ChooseOpen" >> RegroupBlocks(stage, choose)
        | "CommitPlan" >> CommitBlocks(stage, output, partial(by_bucket, parts), commit)
    )


def joined_slices(
    plans: Commits, table: str, size: int
) -> Iterator[tuple[tuple[PlannedSlice, ...], int]]:
    """Slices of plans joined until they hold so many rows, and the answers that they want.

    Args:
        plans: The plans; those without the table have nothing of its kind.
        table: The plan's table.
        size: Rows at most, where no slice alone has more.
    """
    held: list[PlannedSlice] = []
    rows = answers = 0
    for _, commit in sorted(plans.items()):
        path = commit.file(table)
        if path is None:
            continue
        for start, stop, wanted in commit.details["slices"]:
            if held and rows + stop - start > size:
                yield tuple(held), answers
                held, rows, answers = [], 0, 0
            held.append(PlannedSlice(path, start, stop))
            rows += stop - start
            answers += wanted
    if held:
        yield tuple(held), answers


def slices_fingerprint(slices: tuple[PlannedSlice, ...]) -> str:
    """What tells a part of these slices from others."""
    return digest(*(f"{item.path} {item.start} {item.stop}" for item in slices))[:16]
