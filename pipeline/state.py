"""What a run knows: its output, its recipe, its input, and what every step has committed so far."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pipeline.inputs import InputFile
from pipeline.recipe import Recipe
from schemas.commits import Commit, TableCounts, commit_path
from schemas.errors import InputError
from schemas.ids import digest
from transforms import storage
from transforms.distinct_images import ImageSource
from transforms.pages import PageFiles
from transforms.sink import Part

Commits = dict[str, Commit]
"""Part name -> its commit."""


@dataclass(frozen=True, slots=True)
class EvaluationTable:
    """A file of evaluation items."""

    url: str
    size: int
    stamp: str
    """Changes when the file's content does."""


@dataclass(frozen=True, slots=True)
class EarlierPart:
    """A part of an earlier output, whose pages new ones are compared with."""

    name: str
    """Its name in this run."""
    output: str
    signatures: str | None
    samples: str | None
    pages: PageFiles | None
    """Where its texts lie; None where they are not compared."""
    identity: str
    """Changes when its content does."""
    drawn: str | None = None
    """Its file of samples that were drawn from a pool."""


@dataclass(frozen=True, slots=True)
class EarlierOutputs:
    """What a run is told not to repeat."""

    parts: tuple[EarlierPart, ...] = ()
    images: tuple[ImageSource, ...] = ()
    """Files of `image_answers`: what their images look like."""


@dataclass
class RunState:
    """A run in progress."""

    output: str
    recipe: Recipe
    inputs: list[InputFile]
    commits: dict[str, Commits] = field(default_factory=dict)
    """Step -> commits of its parts."""
    record: dict[str, Any] = field(default_factory=dict)
    """What `run.json` holds."""
    resting: set[str] = field(default_factory=set)
    """Hosts that asked to be left alone in this run, or could not be reached."""
    asked: list[Commit] = field(default_factory=list)
    """Commits of answers that this run has made."""
    block_lists: str = ""
    """What identifies the content of the block lists."""
    evaluation_tables: list[EvaluationTable] = field(default_factory=list)
    text_models: dict[str, str] = field(default_factory=dict)
    """Name -> what identifies the content of its file."""
    earlier: EarlierOutputs = field(default_factory=EarlierOutputs)
    recaptioner: str = ""
    """Identity of what writes captions: model, prompts, sampling, checks."""

    def snapshot(self, step: str) -> str:
        """A hash of everything a step has committed."""
        return digest(*(commit.name for _, commit in sorted(self.commits[step].items())))

    def file(self, step: str, part: str, table: str) -> str | None:
        """The one file of a table that a part has committed."""
        return self.commits[step][part].file(table)


def read_commits(output: str, stage: str, parts: Iterable[Part]) -> Commits:
    """The commits of those parts that have one."""
    names = set(storage.list_names(storage.join(output, "commits", stage)))
    there = [part for part in parts if f"{part.key}.json" in names]
    read = _read_records(output, stage, [part.key for part in there])
    return {
        part.name: commit for part, commit in zip(there, read, strict=True) if commit is not None
    }


def read_answers(output: str, stage: str, prefix: str) -> Commits:
    """All commits of parts whose names begin with a prefix, whichever run made them."""
    names = [
        name.removesuffix(".json")
        for name in storage.list_names(storage.join(output, "commits", stage))
        if name.startswith(prefix) and name.endswith(".json")
    ]
    read = _read_records(output, stage, names)
    return {commit.name: commit for commit in read if commit is not None}


def read_commit(output: str, stage: str, name: str) -> Commit | None:
    """The commit of a part by the stem of its record; None where there is none."""
    return _read_records(output, stage, [name])[0]


def _read_records(output: str, stage: str, names: Sequence[str]) -> list[Commit | None]:
    """Commit records by their stems; None for one that is not there. Raises `InputError`."""
    urls = [storage.join(output, commit_path(stage, name)) for name in names]
    return [
        None if data is None else _decode(url, data)
        for url, data in zip(urls, storage.read_many(urls), strict=True)
    ]


def _decode(url: str, data: bytes) -> Commit:
    try:
        return Commit.from_json(data)
    except msgspec.MsgspecError as e:
        raise InputError(f"{url}: not a commit record: {e}") from e


def sum_counts(commits: Iterable[Commit]) -> dict[str, TableCounts]:
    """Counts by table over some commits."""
    totals: dict[str, TableCounts] = {}
    for commit in commits:
        for table, counts in commit.counts.items():
            totals.setdefault(table, TableCounts(rejected={}, failed={})).add(counts)
    return totals


def sum_facts(commits: Iterable[Commit]) -> dict[str, int]:
    """Facts added up over some commits."""
    totals: dict[str, int] = {}
    for commit in commits:
        for name, amount in commit.facts.items():
            totals[name] = totals.get(name, 0) + amount
    return dict(sorted(totals.items()))
