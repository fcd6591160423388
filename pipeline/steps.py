"""What a stage is made of: steps, and rounds of them until nothing is left to ask."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pipeline.runners import Build
from pipeline.state import Commits, RunState, read_answers
from transforms.pages import PageFiles
from transforms.parts import MapParts
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
    tables = ("documents", "texts", "captions", "scores_text", "image_records")
    files = {table: state.file("extract", name, table) for table in tables}
    return PageFiles(part=name, **files)
