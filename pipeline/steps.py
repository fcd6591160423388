"""What a stage is made of: steps, and rounds of them until nothing is left to do or to ask."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pipeline.runners import Build
from pipeline.state import Commits, RunState, read_answers, read_commits, sum_facts
from schemas.commits import Commit
from transforms import storage
from transforms.pages import PageFiles
from transforms.parts import MapParts
from transforms.refs import MeetFiles
from transforms.sink import Part


@dataclass(frozen=True)
class Step:
    """One Beam pipeline of a stage."""

    stage: str
    name: str
    parts: Callable[[RunState], list[Part]]
    """The parts that the step's result consists of."""
    graph: Callable[[RunState, list[Part]], Build]
    """The graph that makes the missing ones."""


@dataclass(frozen=True)
class Rounds:
    """Requests to the network: plan what is open, ask, commit the answers, until none is open.

    Answers are never asked for twice, so their parts are whatever has been committed under
    `prefix`, and a new round or run only adds some.
    """

    stage: str
    name: str
    prefix: str
    """What the names of the parts of answers begin with: the kind and version of the answers."""
    table: str
    """The table whose rows are the answers."""
    counted: str
    """The table under which they are counted."""
    plan: Callable[[RunState, frozenset[str]], list[Part]]
    """The parts of a plan, given the files of answers of earlier runs."""
    plan_graph: Callable[[RunState, list[Part]], Build]
    ask: Callable[[RunState, Commits, int], list[Part]]
    """The parts of a round, given its plan and the number of workers."""
    ask_graph: Callable[[RunState, list[Part]], Build]

    def read(self, state: RunState) -> frozenset[str]:
        """Read all answers into the state; the files that they lie in."""
        commits = read_answers(state.output, self.stage, self.prefix)
        state.commits[self.name] = commits
        return frozenset(
            path
            for commit in commits.values()
            for path in commit.files.get(self.table, {}).values()
        )


@dataclass(frozen=True)
class Loop:
    """Small pipelines, each on what the last has committed, until one of them moves nothing.

    The parts of a round are named `<name>-<number of the round>-...`. Nothing they depend on is in
    the rounds before them that is not in what those depend on, so whoever goes on begins after the
    last whole round that is there, and earlier ones are removed.
    """

    stage: str
    name: str
    most: Callable[[RunState], int]
    """Rounds after which it must have ended."""
    parts: Callable[[RunState, int], list[Part]]
    """The parts of a round, whatever the others have committed."""
    graph: Callable[[RunState, int, list[Part]], Build]
    """The graph of a round; the state knows the commits of the one before as those of the loop."""
    moved: str
    """The fact that counts what a round has moved; it is the last where that is nothing."""

    def read(self, state: RunState) -> int:
        """Read the last whole round into the state; its number, 0 where there is none."""
        state.commits[self.name] = {}
        for number in reversed(self.started(state)):
            parts = self.parts(state, number)
            found = read_commits(state.output, self.stage, parts)
            if len(found) == len(parts):
                state.commits[self.name] = found
                return number
        return 0

    def started(self, state: RunState) -> list[int]:
        """Numbers of the rounds that have a commit, of whatever recipe."""
        names = storage.list_names(storage.join(state.output, "commits", self.stage))
        heads = {name.split("-")[1] for name in names if name.startswith(f"{self.name}-")}
        return sorted(int(head) for head in heads)

    def has_ended(self, state: RunState) -> bool:
        """Whether the round that the state knows is the last."""
        commits = state.commits[self.name]
        return bool(commits) and not sum_facts(commits.values()).get(self.moved)


def map_parts(label: str, stage: str, output: str, parts: Sequence[Part], function: Any) -> Build:
    """A graph that runs a function on every part."""
    return partial(_map, label, stage, output, parts, function)


def _map(
    label: str, stage: str, output: str, parts: Sequence[Part], function: Any, pipeline: Any
) -> None:
    pipeline | label >> MapParts(stage, output, parts, function)


def by_bucket(parts: dict[str, Part], bucket: str, rows: Any) -> Part:
    """The part of a bucket of a shuffle."""
    del rows
    return parts[bucket]


def page_files(state: RunState, name: str) -> PageFiles:
    """The files of an extracted part."""
    return page_files_of(name, state.commits["extract"][name])


def page_files_of(name: str, commit: Commit) -> PageFiles:
    """The files of an extracted part, of this output or another."""
    tables = ("documents", "texts", "captions", "scores_text", "image_records")
    return PageFiles(part=name, **{table: commit.file(table) for table in tables})


def meet_files(state: RunState, name: str) -> MeetFiles:
    """What tells of the uses of image URLs by an extracted part."""
    return MeetFiles(
        part=name,
        wanted_images=state.file("select", f"select-{name}", "wanted_images"),
        wanted_captions=state.file("select", f"select-{name}", "wanted_captions"),
        documents=state.file("extract", name, "documents"),
        image_records=state.file("extract", name, "image_records"),
        clusters=state.file("clusters", f"clusters-{name}", "clusters"),
    )


def files_by_url(state: RunState, step: str, table: str) -> dict[str, str]:
    """The files of a table that lies in buckets of URLs, by bucket."""
    return {
        name.removeprefix(f"{step}-"): path
        for name in state.commits[step]
        if (path := state.file(step, name, table)) is not None
    }
