"""The step that finds paragraphs which a site repeats; `dedup.paragraph_pages = 0` turns it off.

``paragraphs of kept pages -> [shuffle by site and text] -> counts -> [back to the part] -> table``
"""

from functools import partial
from typing import Any

from pipeline.contamination_steps import contamination_file, removed_texts
from pipeline.runners import Build
from pipeline.state import RunState
from pipeline.steps import Step, by_bucket, page_files
from schemas.ids import digest
from transforms import site_paragraphs, text_scores
from transforms.select_images import KeptFiles
from transforms.shortened_pages import ParagraphFiles
from transforms.shuffle import CommitBlocks, EmitBlocks, RegroupBlocks
from transforms.sink import Part


def kept_files(state: RunState, name: str) -> KeptFiles:
    """The pages of an extract part, and what dedup said of them."""
    return KeptFiles(
        pages=page_files(state, name),
        signatures=state.file("signatures", f"signatures-{name}", "signatures"),
        clusters=state.file("clusters", f"clusters-{name}", "clusters"),
        repeats=state.file("clusters", f"clusters-{name}", "repeats"),
        contamination=contamination_file(state, name),
    )


def paragraph_files(state: RunState, name: str) -> ParagraphFiles:
    """What was found in an extract part."""
    part = f"paragraphs-{name}"
    if part not in state.commits["paragraphs"]:
        return ParagraphFiles()
    tables = ("repeated_paragraphs", "scores_shortened")
    return ParagraphFiles(*(state.file("paragraphs", part, table) for table in tables))


def _paragraph_parts(state: RunState) -> list[Part]:
    """A part for each part of the extract stage: a paragraph is counted over all of them."""
    min_pages = state.recipe.settings.dedup.paragraph_pages
    if not min_pages:
        return []
    names = sorted(state.commits["extract"])
    fingerprint = digest(
        state.snapshot("extract"),
        state.snapshot("clusters"),
        *(removed_texts(state, name) for name in names),
        min_pages,
        site_paragraphs.STEP_VERSION,
        text_scores.STEP_VERSION,
    )
    return [Part(f"paragraphs-{name}", fingerprint[:16], name) for name in names]


def _paragraphs(state: RunState, missing: list[Part]) -> Build:
    del missing
    config = state.recipe.settings.dedup
    files = {name: kept_files(state, name) for name in sorted(state.commits["extract"])}
    sources = [
        Part(name, "", site_paragraphs.NumberedFiles(number, found))
        for number, (name, found) in enumerate(files.items())
    ]
    emit = site_paragraphs.EmitParagraphs(state.output, config.buckets)
    count = site_paragraphs.CountPages(config.paragraph_pages)
    commit = site_paragraphs.CommitParagraphs(state.output, config.paragraph_pages, files)
    parts = {str(number): part for number, part in enumerate(_paragraph_parts(state))}
    return partial(paragraphs_graph, state.output, sources, emit, count, commit, parts)


def paragraphs_graph(
    output: str,
    sources: list[Part],
    emit: Any,
    count: Any,
    commit: Any,
    parts: dict[str, Part],
    pipeline: Any,
) -> None:
    """The shuffles that end in table `repeated_paragraphs`."""
    stage = site_paragraphs.STAGE
    (
        pipeline
        | "EmitParagraphs" >> EmitBlocks(stage, sources, emit)
        | "CountPages" >> RegroupBlocks(stage, count)
        | "CommitParagraphs" >> CommitBlocks(stage, output, partial(by_bucket, parts), commit)
    )


PARAGRAPHS = Step("dedup", "paragraphs", _paragraph_parts, _paragraphs)
