"""The rows that a gate saw, judged once more: the ledger has the values of rejected rows only.

The recipe of `run.json` is parsed again and its gates are applied by the code that a run applies,
to the tables that it read, part by part. Nothing is written.
"""

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.judged_files import assign_files
from pipeline.paragraph_steps import kept_files
from pipeline.recipe import make_recipe
from pipeline.run_record import read_run
from pipeline.state import Commits, RunState, read_commit
from schemas.commits import commit_path
from schemas.errors import InputError
from transforms import assign
from transforms.document_gate import TOO_MANY_PAIRS
from transforms.gates import Decisions, RowGate, evaluate
from transforms.pages import Places, positions, read_pages, rows_with, take_or_null
from transforms.rules import RowRule
from transforms.select_images import (
    KeptFiles,
    as_seen_pages,
    contaminated_ids,
    exact_duplicates,
    iter_image_nodes,
    read_kept_pages,
    seen_captions,
    seen_images,
)
from transforms.table_files import iter_batches

GATES = (
    "gates.dedup",
    "gates.fetch.image",
    "gates.fetch.caption",
    "gates.shard.captioned",
    "gates.shard.interleaved.image",
    "gates.shard.interleaved.paragraph",
    "gates.shard.interleaved.document",
    "gates.shard.text",
)
"""Paths of the gates in a recipe, in the order in which they decide."""
_DOCUMENTS = "gates.shard.interleaved.document"
_BUILT_IN = {
    "gates.shard.interleaved.image": ("image_missing", "repeated_image"),
    "gates.shard.interleaved.paragraph": ("repeated_paragraph",),
    _DOCUMENTS: ("no_image",),
}
"""Rules that a recipe does not name, and whose outcome the gate tells."""
_MODELS = "models-"
_READERS = 16
_DOCUMENTS_AT_ONCE, _CAPTIONS_AT_ONCE = 8192, 65536


@dataclass(frozen=True)
class JudgedRows:
    """Rows of one part, and what a gate says of each."""

    gate: str
    """Its path, one of `GATES`."""
    kind: str
    """Kind of the row in the ledger."""
    ids: pa.ChunkedArray
    nodes: pa.ChunkedArray | None
    decisions: Decisions
    rows: pa.Table
    """Columns of what was judged; nodes of gate `shard` have their page's `url` and `language`."""

    @cached_property
    def failures(self) -> npt.NDArray[np.int64]:
        """How many rules each row fails."""
        failures: npt.NDArray[np.int64] = np.zeros(len(self.ids), np.int64)
        for outcome in self.decisions.outcomes:
            failures += outcome.failed
        return failures


class _ByStep(dict[str, Commits]):
    """Commits by step: part names are unique, so a step that is not told apart has them all."""

    def __init__(self, commits: Commits) -> None:
        super().__init__()
        self._all = commits

    def __missing__(self, step: str) -> Commits:
        return self._all


def read_state(output: str) -> RunState:
    """The state of a run that has ended, from what it recorded.

    Raises:
        InputError: There is no record, a stage of it has not ended, or a file is missing.
        RecipeError: The recipe was written by another version of Weft and is none any more.
    """
    record = read_run(output)
    if record is None or not record["stages"].get("shard", {}).get("snapshot"):
        raise InputError(f"{output}: no run has ended here; run it to its end first")
    commits: dict[str, Commits] = {}
    with ThreadPoolExecutor(_READERS) as pool:
        for stage, facts in record["stages"].items():
            read = partial(read_commit, output, stage)
            for name, commit in zip(
                facts["snapshot"], pool.map(read, facts["snapshot"]), strict=True
            ):
                if commit is None:
                    raise InputError(f"{output}: {commit_path(stage, name)} is missing")
                commits.setdefault(stage, {})[commit.part] = commit
    by_step = _ByStep({part: found for stage in commits.values() for part, found in stage.items()})
    # Of the stage's other step, models, each part is named after one of these.
    extract = commits["extract"]
    by_step["extract"] = {
        part: commit
        for part, commit in extract.items()
        if not (part.startswith(_MODELS) and part.removeprefix(_MODELS) in extract)
    }
    return RunState(output, make_recipe(record["recipe"]["values"]), [], by_step, record)


@dataclass(frozen=True)
class _PartPages:
    """The pages of a part as its gates see them, read at most once."""

    output: str
    files: KeptFiles

    @cached_property
    def pages(self) -> pa.Table:
        """What gate `dedup` sees."""
        return read_pages(self.output, self.files.pages)

    @cached_property
    def documents(self) -> tuple[pa.Table, Places]:
        """The documents whose images and captions gate `fetch` sees."""
        kept = read_kept_pages(self.output, self.files, self.pages)
        documents = rows_with(kept, "kind", ["document"])
        again = pc.is_in(documents["id"], value_set=exact_duplicates(self.output, self.files))
        pages = as_seen_pages(documents.filter(pc.invert(again)))
        return pages, Places(pages["id"])


@dataclass(frozen=True)
class Rejudge:
    """The gates of a run, to be applied again."""

    state: RunState

    @cached_property
    def rules(self) -> dict[str, RowRule | None]:
        """Path -> rule, of all rules in recipe order; None of a built-in one without a value."""
        found: dict[str, RowRule | None] = {}
        for path in GATES:
            found |= {f"{path}.{name}": None for name in _BUILT_IN.get(path, ())}
            if path == _DOCUMENTS and self.state.recipe.gates.interleaved.assign is not None:
                found[f"{path}.{TOO_MANY_PAIRS}"] = None
            found |= {f"{path}.{rule.name}": rule for rule in self._gate(path).rules}
        return found

    def limits(self, path: str) -> list[float]:
        """The numbers at which a rule turns: its limits, or the cutoff of its `top_fraction`."""
        rule = self.rules[path]
        if rule is None:
            return []
        if rule.top_fraction is None:
            return [limit for limit in (rule.lower, rule.upper) if limit is not None]
        part = path.split(".")[-2]
        cutoff = self._stream_gates.cutoffs[part][rule.name].value
        return [] if cutoff is None else [cutoff]

    @property
    def parts(self) -> list[str]:
        """Names of the parts whose rows the gates saw."""
        return sorted(self.state.commits["extract"])

    def rows(self, path: str) -> Iterator[JudgedRows]:
        """What the gate of a path says of all rows that it saw, part by part."""
        for name in self.parts:
            yield from self.part(name, (path,))

    def part(self, name: str, paths: Collection[str] = GATES) -> Iterator[JudgedRows]:
        """What some gates say of the rows of one part; a gate's rows may come in several pieces."""
        pages = _PartPages(self.state.output, kept_files(self.state, name))
        judges: dict[str, Callable[[_PartPages], Iterator[JudgedRows]]] = {
            "gates.dedup": self._pages,
            "gates.fetch.image": self._images,
            "gates.fetch.caption": self._captions,
        }
        for path, judge in judges.items():
            if path in paths:
                yield from judge(pages)
        if any(path.startswith("gates.shard.") for path in paths):
            # One join serves all gates of the stage.
            yield from (rows for rows in self._of_shard(name) if rows.gate in paths)

    def _gate(self, path: str) -> RowGate:
        gates = self.state.recipe.gates
        return {
            "gates.dedup": gates.dedup,
            "gates.fetch.image": gates.fetch_image,
            "gates.fetch.caption": gates.fetch_caption,
            "gates.shard.captioned": gates.captioned,
            "gates.shard.interleaved.image": gates.interleaved.image,
            "gates.shard.interleaved.paragraph": gates.interleaved.paragraph,
            "gates.shard.interleaved.document": gates.interleaved.document,
            "gates.shard.text": gates.text,
        }[path]

    def _pages(self, of: "_PartPages") -> Iterator[JudgedRows]:
        gate = "gates.dedup"
        said = evaluate(self._gate(gate), of.pages)
        yield JudgedRows(gate, "page", of.pages["id"], None, said, of.pages)

    def _images(self, of: "_PartPages") -> Iterator[JudgedRows]:
        pages, places = of.documents
        gate = "gates.fetch.image"
        for nodes in iter_image_nodes(self.state.output, of.files.pages, _DOCUMENTS_AT_ONCE):
            at = places.of(nodes["id"])
            rows = seen_images(nodes.filter(pa.array(at >= 0)), pages, at[at >= 0])
            said = evaluate(self._gate(gate), rows)
            yield JudgedRows(gate, "image", rows["id"], rows["node"], said, rows)

    def _captions(self, of: "_PartPages") -> Iterator[JudgedRows]:
        pages, places = of.documents
        removed = contaminated_ids(self.state.output, of.files, ("caption",))
        gate = "gates.fetch.caption"
        for path in of.files.pages.paths("captions"):
            for batch in iter_batches(self.state.output, path, _CAPTIONS_AT_ONCE):
                captions = pa.Table.from_batches([batch])
                at = places.of(captions["doc_id"])
                at[np.asarray(pc.is_in(captions["caption_id"], value_set=removed))] = -1
                rows = seen_captions(captions.filter(pa.array(at >= 0)), pages, at[at >= 0])
                said = evaluate(self._gate(gate), rows)
                yield JudgedRows(gate, "caption", rows["caption_id"], None, said, rows)

    @cached_property
    def _stream_gates(self) -> assign.StreamGates:
        """Gate `shard` with the cutoffs of its `top_fraction` rules."""
        gates = self.state.recipe.gates
        return assign.find_stream_cutoffs(
            self.state.output,
            [assign_files(self.state, name) for name in self.parts],
            assign.StreamGates(gates.captioned, gates.interleaved, gates.text, {}),
        )

    def _of_shard(self, name: str) -> Iterator[JudgedRows]:
        files = assign_files(self.state, name)
        judged = assign.judge(self.state.output, files, self._stream_gates)
        decided, captions, texts = judged.document_decisions, judged.captions, judged.texts
        of_captions, of_texts = judged.caption_decisions, judged.text_decisions
        gate = "gates.shard.captioned"
        yield JudgedRows(gate, "caption", captions["caption_id"], None, of_captions, captions)
        documents = judged.documents
        for kind, chosen, said in (
            ("image", decided.image_rows, decided.images),
            ("paragraph", decided.paragraph_rows, decided.paragraphs),
        ):
            nodes: Any = judged.nodes.take(pa.array(chosen))
            at = positions(documents["id"], nodes["id"])
            for column in ("url", "language"):
                nodes = nodes.append_column(column, take_or_null(documents[column], at))
            gate = f"gates.shard.interleaved.{kind}"
            yield JudgedRows(gate, kind, nodes["id"], nodes["node"], said, nodes)
        gate = "gates.shard.interleaved.document"
        yield JudgedRows(gate, "document", documents["id"], None, decided.documents, documents)
        yield JudgedRows("gates.shard.text", "text", texts["id"], None, of_texts, texts)
