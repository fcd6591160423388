"""The stages, in order: what each is made of, what it reads, and what makes its parts up to date.

Read from top to bottom this is the design. A step lists the parts it wants; a part's fingerprint
is made of the commits it reads, the recipe's sections that shape it, and the versions of the code
that computes it. Parts without a commit record are run; everything else is left alone.
"""

from functools import partial
from typing import Any

import apache_beam as beam

from pipeline.cluster_steps import CLUSTERS, LABELS
from pipeline.contamination_steps import CONTAMINATION, EVALUATION, removed_texts
from pipeline.dedup_steps import EDGES, SIGNATURES
from pipeline.earlier import EARLIER
from pipeline.fetch_steps import ANSWERS, IMAGES, ROBOTS, WANTED
from pipeline.image_dedup_steps import DISTINCT_IMAGES, IMAGE_RANKS, IMAGE_USES
from pipeline.inputs import slice_inputs
from pipeline.judged_files import assign_files
from pipeline.paragraph_steps import PARAGRAPHS, kept_files
from pipeline.recaption_steps import (
    RECAPTION_ANSWERS,
    RECAPTIONS,
    WANTED_RECAPTIONS,
    recaption_file,
)
from pipeline.recipe import Settings
from pipeline.runners import Build
from pipeline.sampling_steps import SAMPLING, weight_section
from pipeline.score_steps import ANSWERS_OF_SCORERS, NEGATIVES, SCORES, WANTED_SCORES
from pipeline.state import RunState
from pipeline.steps import Loop, Rounds, Step, by_bucket, files_by_url, map_parts, meet_files
from pipeline.text_model_steps import MODELS, PARAGRAPH_SCORES
from schemas.ids import digest
from transforms import (
    assign,
    candidates,
    document_gate,
    extract,
    extract_rows,
    gates,
    image_facts,
    image_sets,
    interleave,
    refs,
    sample_rows,
    samples,
    select_images,
    settle,
    text_scores,
    warc,
    write_shards,
)
from transforms.caption_choice import ORIGINAL
from transforms.shuffle import CommitBlocks, EmitBlocks, RegroupBlocks
from transforms.sink import Part

# --- extract: crawl files to documents, texts, captions, scores, packed images


def _extract_parts(state: RunState) -> list[Part]:
    versions = digest(
        extract.STEP_VERSION,
        warc.STEP_VERSION,
        interleave.STEP_VERSION,
        text_scores.STEP_VERSION,
        image_facts.STEP_VERSION,
    )
    config = digest(state.recipe.section("extract"), versions)
    tables = digest(
        state.recipe.section("extract", "input"),
        extract_rows.STEP_VERSION,
        image_facts.STEP_VERSION,
        text_scores.STEP_VERSION,
    )
    return slice_inputs(state.inputs, state.recipe.settings.input, config, tables)


def _extract(state: RunState, missing: list[Part]) -> Build:
    settings = state.recipe.settings
    function = extract_rows.ExtractInput(state.output, settings.extract, settings.input)
    return map_parts("Extract", extract.STAGE, state.output, missing, function)


# --- refs: images worth having, how often they are used, and which have bytes already


def _select_parts(state: RunState) -> list[Part]:
    config = digest(
        state.snapshot("clusters"),
        state.recipe.section("gates.fetch"),
        select_images.STEP_VERSION,
        gates.STEP_VERSION,
    )
    return [
        Part(
            f"select-{name}",
            digest(
                commit.name,
                state.commits["signatures"][f"signatures-{name}"].name,
                removed_texts(state, name),
                config,
            )[:16],
            kept_files(state, name),
            sum(counts.kept for counts in commit.counts.values()),
        )
        for name, commit in sorted(state.commits["extract"].items())
    ]


def _select(state: RunState, missing: list[Part]) -> Build:
    decided = state.recipe.gates
    function = select_images.SelectImages(state.output, decided.fetch_image, decided.fetch_caption)
    return map_parts("SelectImages", refs.STAGE, state.output, missing, function)


def _image_parts(state: RunState) -> list[Part]:
    fingerprint = digest(
        state.snapshot("select"),
        state.snapshot("extract"),
        state.recipe.section("refs"),
        refs.STEP_VERSION,
    )
    count = state.recipe.settings.refs.buckets
    return [Part(f"images-{number:05d}", fingerprint[:16]) for number in range(count)]


def _images(state: RunState, missing: list[Part]) -> Build:
    config = state.recipe.settings.refs
    sources = [Part(name, "", meet_files(state, name)) for name in sorted(state.commits["extract"])]
    buckets = {part.name.removeprefix("images-"): part for part in _image_parts(state)}
    del missing
    return partial(_images_graph, state.output, sources, config, buckets)


def _images_graph(
    output: str,
    sources: list[Part],
    config: refs.RefsConfig,
    buckets: dict[str, Part],
    pipeline: Any,
) -> None:
    (
        pipeline
        | "EmitImages" >> EmitBlocks(refs.STAGE, sources, refs.EmitImages(output, config))
        | "JoinRevisits" >> RegroupBlocks(refs.STAGE, refs.JoinRevisits(config))
        | "CommitImages"
        >> CommitBlocks(refs.STAGE, output, partial(by_bucket, buckets), refs.CommitImages())
    )


# --- score: candidates (what is asked of models follows in score_steps.py)


def _candidate_files(state: RunState, name: str) -> candidates.CandidateFiles:
    return candidates.CandidateFiles(
        kept=kept_files(state, name),
        wanted_images=state.file("select", f"select-{name}", "wanted_images"),
        wanted_captions=state.file("select", f"select-{name}", "wanted_captions"),
    )


def _candidate_parts(state: RunState) -> list[Part]:
    config = digest(
        state.snapshot("select"),
        state.snapshot("images"),
        state.snapshot("answers"),
        state.snapshot("image_uses"),
        candidates.STEP_VERSION,
    )
    return [
        Part(f"candidates-{name}", config[:16], name) for name in sorted(state.commits["extract"])
    ]


def _candidates(state: RunState, missing: list[Part]) -> Build:
    files = {name: _candidate_files(state, name) for name in sorted(state.commits["extract"])}
    sources = [Part(name, "", found) for name, found in files.items()]
    look_up = candidates.LookUpImages(
        state.output,
        files_by_url(state, "answers", "image_answers"),
        files_by_url(state, "images", "image_refs"),
        files_by_url(state, "image_uses", "image_url_clusters"),
    )
    build = candidates.BuildCandidates(state.output, files)
    parts = {part.spec: part for part in _candidate_parts(state)}
    emit = candidates.EmitUses(state.output, state.recipe.settings.refs)
    del missing
    return partial(_candidates_graph, state.output, sources, emit, look_up, build, parts)


def _candidates_graph(
    output: str,
    sources: list[Part],
    emit: Any,
    look_up: Any,
    build: Any,
    parts: dict[str, Part],
    pipeline: Any,
) -> None:
    (
        pipeline
        | "EmitUses" >> EmitBlocks(candidates.STAGE, sources, emit)
        | "LookUpImages" >> RegroupBlocks(candidates.STAGE, look_up)
        | "BuildCandidates"
        >> CommitBlocks(candidates.STAGE, output, partial(by_bucket, parts), build)
    )


# --- shard: verdicts, samples (writing them is in publish.py)


def _sample_parts(state: RunState) -> list[Part]:
    config = digest(
        state.snapshot("candidates"),
        state.snapshot("earlier"),
        state.snapshot("paragraphs"),
        state.snapshot("models"),
        state.snapshot("paragraph_scores"),
        state.snapshot("scores"),
        state.snapshot("recaptions"),
        state.recipe.section(
            "gates.shard",
            "captions",
            "splits",
            "shards.image_format",
            "dedup_images.min_set",
            "interleaved",
            "privacy",
        ),
        weight_section(state),
        assign.STEP_VERSION,
        samples.STEP_VERSION,
        gates.STEP_VERSION,
        document_gate.STEP_VERSION,
    )
    return [Part(f"samples-{name}", config[:16], name) for name in sorted(state.commits["extract"])]


def _samples(state: RunState, missing: list[Part]) -> Build:
    del missing
    settings = state.recipe.settings
    names = sorted(state.commits["extract"])
    files = {
        name: samples.SampleFiles(
            assign_files(state, name), kept_files(state, name), recaption_file(state, name)
        )
        for name in names
    }
    sources = [Part(name, "", found.candidates) for name, found in files.items()]
    decided = state.recipe.gates
    stream_gates = assign.find_stream_cutoffs(
        state.output,
        [found.candidates for found in files.values()],
        assign.StreamGates(decided.captioned, decided.interleaved, decided.text, {}),
    )
    config = sample_rows.SampleConfig(
        settings.shards,
        settings.captions.prefer,
        settings.splits.validation,
        settings.interleaved.order,
        settings.sampling.captioned,
        settings.privacy.mask,
        caption_mix(settings),
    )
    emit = assign.EmitContenders(
        state.output, stream_gates, settings.dedup.buckets, settings.dedup_images.min_set
    )
    ranks = state.commits["image_ranks"]["image-ranks-all"].files.get("image_ranks", {})
    published = settle.EmitPublished(
        state.output, settings.dedup.buckets, ranks, settings.dedup_images.min_set
    )
    settling = partial(settle.settle_duplicates, buckets=settings.dedup.buckets)
    build = samples.BuildSamples(state.output, stream_gates, config, files)
    parts = {part.spec: part for part in _sample_parts(state)}
    earlier = _published_parts(state)
    return partial(
        _samples_graph, state.output, sources, emit, earlier, published, settling, build, parts
    )


def caption_mix(settings: Settings) -> dict[str, float]:
    """The shares of origins that samples are trained on: half and half where nothing is said."""
    if settings.captions.mix or not settings.recaption.is_on:
        return dict(settings.captions.mix)
    return {ORIGINAL: 0.5, settings.recaption.origin: 0.5}


def _published_parts(state: RunState) -> list[Part]:
    return [
        Part(
            part.name,
            "",
            settle.PublishedFiles(
                part.name,
                state.file("clusters", f"clusters-{part.name}", "clusters"),
                state.file("earlier", part.name, "earlier_captions"),
                state.file("earlier", part.name, "earlier_documents"),
            ),
        )
        for part in state.earlier.parts
    ]


def _samples_graph(
    output: str,
    sources: list[Part],
    emit: Any,
    earlier: list[Part],
    published: Any,
    settling: Any,
    build: Any,
    parts: dict[str, Part],
    pipeline: Any,
) -> None:
    contenders = [pipeline | "EmitContenders" >> EmitBlocks(write_shards.STAGE, sources, emit)]
    if earlier:
        contenders.append(
            pipeline | "EmitPublished" >> EmitBlocks(write_shards.STAGE, earlier, published)
        )
    (
        tuple(contenders)
        | "FlattenContenders" >> beam.Flatten()
        | "SettleDuplicates" >> RegroupBlocks(write_shards.STAGE, settling)
        | "SettleSets" >> RegroupBlocks(write_shards.STAGE, image_sets.settle_sets)
        | "BuildSamples"
        >> CommitBlocks(write_shards.STAGE, output, partial(by_bucket, parts), build)
    )


STEPS: tuple[Step | Loop | Rounds, ...] = (
    Step("extract", "extract", _extract_parts, _extract),
    MODELS,
    EVALUATION,
    SIGNATURES,
    CONTAMINATION,
    EARLIER,
    EDGES,
    LABELS,
    CLUSTERS,
    PARAGRAPHS,
    Step("refs", "select", _select_parts, _select),
    Step("refs", "images", _image_parts, _images),
    WANTED,
    ROBOTS,
    IMAGES,
    ANSWERS,
    DISTINCT_IMAGES,
    IMAGE_RANKS,
    IMAGE_USES,
    Step("score", "candidates", _candidate_parts, _candidates),
    WANTED_SCORES,
    ANSWERS_OF_SCORERS,
    NEGATIVES,
    SCORES,
    PARAGRAPH_SCORES,
    WANTED_RECAPTIONS,
    RECAPTION_ANSWERS,
    RECAPTIONS,
    Step("shard", "samples", _sample_parts, _samples),
    SAMPLING,
)
"""Everything that runs, in order; writing shards follows (`publish.py`)."""
