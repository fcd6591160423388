"""Earlier outputs that a run is told not to repeat (`--against`): found, checked, read.

Step `earlier` reads what they published; the steps of duplicates take their signatures as further
parts, which come before those of the run itself.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from pipeline.recipe import Recipe
from pipeline.run_record import RUN_VERSION, STAGES, read_run
from pipeline.runners import Build
from pipeline.state import EarlierOutputs, EarlierPart, RunState, read_commit
from pipeline.steps import Step, map_parts, page_files_of
from schemas.commits import Commit
from schemas.errors import InputError, RecipeError
from schemas.ids import digest
from schemas.shards import SCHEMA_VERSION
from transforms import earlier, signed_pages, storage
from transforms.distinct_images import ImageSource
from transforms.signed_pages import EarlierSigned, SignedFiles
from transforms.sink import Part


def find_earlier(outputs: Sequence[str], output: str, recipe: Recipe) -> EarlierOutputs:
    """What there is in earlier outputs, whatever the order in which these are named.

    Args:
        outputs: Earlier outputs, as absolute paths or URLs.
        output: That of this run.
        recipe: Its recipe: signatures can only be compared with those of one scheme.

    Raises:
        InputError: No output, or one that is not complete, was made by another version, or is
            named twice.
        RecipeError: Its signatures were made in another way.
    """
    found: dict[str, EarlierOutputs] = {}
    for name in outputs:
        if _is_same(name, output):
            raise InputError(f"--against {name}: is the output of this run")
        try:
            earlier = _read_output(name, recipe)
        except OSError as e:
            raise InputError(f"--against {name}: cannot be read: {e}") from e
        identity = digest(*(part.identity for part in earlier.parts))
        if identity in found:
            raise InputError(f"--against {name}: the same pages are named twice")
        found[identity] = earlier
    # By content and not by name, so that a folder may be moved and nothing is done again.
    ordered = [earlier for _, earlier in sorted(found.items())]
    parts = tuple(
        replace(part, name=f"earlier-{number:02d}-{part.name}")
        for number, earlier in enumerate(ordered)
        for part in earlier.parts
    )
    return EarlierOutputs(parts, tuple(image for earlier in ordered for image in earlier.images))


def _is_same(a: str, b: str) -> bool:
    """Whether two outputs are one, a local one perhaps by another path.

    A run against its own output would leave out all that it has published itself.
    """
    if storage.is_local(a) and storage.is_local(b):
        return os.path.realpath(a) == os.path.realpath(b)
    return a == b


def _read_output(output: str, recipe: Recipe) -> EarlierOutputs:
    where = f"--against {output}"
    record = read_run(output)
    if record is None:
        raise InputError(f"{where}: is no output of Weft, it has no run.json")
    if record.get("run_version") != RUN_VERSION or record.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{where}: was made by another version of Weft; run it again there")
    stages: dict[str, Any] = record.get("stages", {})
    for stage in STAGES:
        if stages.get(stage, {}).get("status") != "done":
            raise InputError(f"{where}: stage {stage} is not done there; finish that run first")
    theirs = record.get("recipe", {}).get("values", {}).get("dedup", {})
    dedup = recipe.settings.dedup
    if dedup.score != theirs.get("score") and "score" in dedup.prefer:
        raise RecipeError(
            f"{where}: pages cannot be ranked by score with those here: dedup.score is "
            f"{theirs.get('score')!r} there and {dedup.score!r} here"
        )
    scheme = signed_pages.signature_scheme(dedup.minhash)
    signed = _commits(output, "dedup", "signatures-", stages)
    samples = _commits(output, "shard", "samples-", stages)
    drawn = _commits(output, "shard", "sampling-", stages)
    for commit in signed.values():
        if commit.details.get(signed_pages.SCHEME) != scheme:
            ours = recipe.values["dedup"]["minhash"]
            why = f"dedup.minhash is {theirs.get('minhash')} there and {ours} here"
            if theirs.get("minhash") == ours:
                why = "they were made by another version of Weft; run it again there"
            raise RecipeError(f"{where}: its signatures cannot be compared: {why}")
    extracted = _commits(output, "extract", "", stages) if dedup.verify == "texts" else {}
    parts = tuple(
        EarlierPart(
            name,
            output,
            commit.file("signatures"),
            samples[name].file("samples") if name in samples else None,
            page_files_of(name, extracted[name]) if name in extracted else None,
            digest(
                commit.name,
                samples[name].name if name in samples else "",
                *([drawn[name].name] if name in drawn else []),
            ),
            drawn[name].file("samples") if name in drawn else None,
        )
        for name, commit in sorted(signed.items())
    )
    _check_files(output, "signatures", [part.signatures for part in parts])
    _check_files(output, "samples", [path for part in parts for path in (part.samples, part.drawn)])
    for table in ("documents", "texts"):
        pages = [part.pages for part in parts if part.pages is not None]
        _check_files(output, table, [path for files in pages for path in files.paths(table)])
    answers = sorted(_commits(output, "fetch", "answers-", stages).items())
    found = [path for _, commit in answers if (path := commit.file("image_answers")) is not None]
    _check_files(output, "image_answers", found)
    return EarlierOutputs(parts, tuple(ImageSource(output, path) for path in found))


def _commits(output: str, stage: str, prefix: str, stages: dict[str, Any]) -> dict[str, Commit]:
    """Of the parts that a finished run names, by the extracted part they were made of."""
    found = {}
    for name in stages[stage].get("snapshot", []):
        if name.startswith(prefix):
            commit = read_commit(output, stage, name)
            if commit is None:
                path = storage.join(output, "commits", stage, f"{name}.json")
                raise InputError(f"--against {output}: {path} is missing")
            found[commit.part.removeprefix(prefix)] = commit
    return found


def _check_files(output: str, table: str, paths: Iterable[str | None]) -> None:
    """Refuse an output whose tables were tidied away, before hours of work."""
    folder = storage.join(output, "tables", table)
    there = set(storage.list_names(folder))
    for path in paths:
        if path is not None and path.rpartition("/")[2] not in there:
            raise InputError(f"--against {output}: {storage.join(output, path)} is missing")


def _earlier_parts(state: RunState) -> list[Part]:
    return [
        Part(
            part.name,
            digest(part.identity, earlier.STEP_VERSION)[:16],
            earlier.EarlierFiles(part.output, part.signatures, part.samples, part.drawn),
        )
        for part in state.earlier.parts
    ]


def _read_earlier(state: RunState, missing: list[Part]) -> Build:
    function = earlier.ReadEarlier()
    return map_parts("ReadEarlier", signed_pages.STAGE, state.output, missing, function)


def earlier_signed(state: RunState) -> list[SignedFiles]:
    """The signatures of earlier outputs."""
    return [
        SignedFiles(
            part.name,
            part.signatures,
            part.pages,
            EarlierSigned(part.output, state.file("earlier", part.name, "earlier_pages")),
        )
        for part in state.earlier.parts
    ]


EARLIER = Step("dedup", "earlier", _earlier_parts, _read_earlier)
