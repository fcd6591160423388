"""The steps that find duplicate images, after the download: distinct images, clusters, their uses.

``answers -> distinct images -> pairs -> clusters -> how often pages use them, by URL``
"""

from functools import partial
from typing import Any

from pipeline.runners import Build
from pipeline.state import RunState
from pipeline.steps import Step, by_bucket, files_by_url, map_parts, meet_files
from schemas.ids import digest
from transforms import distinct_images, image_clusters, image_frequency
from transforms.distinct_images import ImageSource
from transforms.refs import RefsConfig
from transforms.shuffle import CommitBlocks, EmitBlocks, RegroupBlocks
from transforms.sink import Part

STAGE = distinct_images.STAGE


def image_sources(state: RunState) -> list[ImageSource]:
    """The images that pages of this run use, and all those of earlier outputs."""
    refs = files_by_url(state, "images", "image_refs")
    answers = files_by_url(state, "answers", "image_answers")
    own = [
        ImageSource(state.output, answers[bucket], refs[bucket])
        for bucket in sorted(answers)
        if bucket in refs
    ]
    return [*own, *state.earlier.images]


def _distinct_parts(state: RunState) -> list[Part]:
    buckets = state.recipe.settings.dedup.buckets
    fingerprint = digest(
        state.snapshot("answers"),
        state.snapshot("images"),
        # The name of a file tells its content.
        *(source.answers for source in state.earlier.images),
        state.recipe.section("dedup_images.perceptual", "dedup_images.max_distance"),
        buckets,
        distinct_images.STEP_VERSION,
    )
    return [
        Part(f"{name}-{number:05d}", fingerprint[:16], kind)
        for name, kind in (("distinct", "images"), ("pairs", "pairs"))
        for number in range(buckets)
    ]


def _distinct(state: RunState, missing: list[Part]) -> Build:
    del missing
    settings = state.recipe.settings
    sources = [Part("none", "")]
    sources += [
        Part(f"{number:05d}", "", source) for number, source in enumerate(image_sources(state))
    ]
    parts = _buckets(_distinct_parts(state))
    return partial(
        distinct_graph,
        state.output,
        sources,
        settings.dedup_images,
        settings.dedup.buckets,
        parts,
    )


def _buckets(parts: list[Part]) -> dict[str, Part]:
    """Parts by the names of the buckets that they are made of: `kind 00000`."""
    return {f"{part.spec} {part.name.rpartition('-')[2]}": part for part in parts}


def distinct_graph(
    output: str,
    sources: list[Part],
    config: distinct_images.ImageDedupConfig,
    buckets: int,
    parts: dict[str, Part],
    pipeline: Any,
) -> None:
    """The shuffles that end in `distinct_images` and `image_pairs`; a part's spec is a source."""
    (
        pipeline
        | "EmitDistinctImages"
        >> EmitBlocks(STAGE, sources, distinct_images.EmitImages(config, buckets))
        | "ChooseImages" >> RegroupBlocks(STAGE, distinct_images.ChooseImages(config, buckets))
        | "CommitImages"
        >> CommitBlocks(
            STAGE, output, partial(by_bucket, parts), distinct_images.CommitImages(config)
        )
    )


def _cluster_parts(state: RunState) -> list[Part]:
    fingerprint = digest(state.snapshot("distinct_images"), image_clusters.STEP_VERSION)
    found = [commit.files for _, commit in sorted(state.commits["distinct_images"].items())]
    files = {
        table: tuple(path for each in found for path in each.get(table, {}).values())
        for table in ("distinct_images", "image_pairs")
    }
    spec = image_clusters.ImageFiles(files["distinct_images"], files["image_pairs"])
    return [Part("image-ranks-all", fingerprint[:16], spec)]


def _cluster(state: RunState, missing: list[Part]) -> Build:
    settings = state.recipe.settings
    function = image_clusters.ClusterImages(
        state.output, settings.dedup_images, settings.dedup.buckets
    )
    return map_parts("ClusterImages", STAGE, state.output, missing, function)


def _use_parts(state: RunState) -> list[Part]:
    settings = state.recipe.settings
    fingerprint = digest(
        state.snapshot("image_ranks"),
        state.snapshot("select"),
        state.snapshot("answers"),
        settings.refs.buckets,
        settings.dedup.buckets,
        image_frequency.STEP_VERSION,
    )
    return [
        Part(f"{name}-{number:05d}", fingerprint[:16], kind)
        for name, kind, count in (
            ("image-clusters", "clusters", settings.dedup.buckets),
            ("image_uses", "urls", settings.refs.buckets),
        )
        for number in range(count)
    ]


def _uses(state: RunState, missing: list[Part]) -> Build:
    del missing
    settings = state.recipe.settings
    sources = [Part("none", "")]
    sources += [
        Part(name, "", meet_files(state, name)) for name in sorted(state.commits["extract"])
    ]
    ranks = state.commits["image_ranks"]["image-ranks-all"].files.get("image_ranks", {})
    return partial(
        _uses_graph,
        state.output,
        sources,
        settings.refs,
        settings.dedup.buckets,
        files_by_url(state, "answers", "image_answers"),
        ranks,
        _buckets(_use_parts(state)),
    )


def _uses_graph(
    output: str,
    sources: list[Part],
    refs: RefsConfig,
    buckets: int,
    answers: dict[str, str],
    ranks: dict[str, str],
    parts: dict[str, Part],
    pipeline: Any,
) -> None:
    (
        pipeline
        | "EmitUses" >> EmitBlocks(STAGE, sources, image_frequency.EmitUses(output, refs, buckets))
        | "FindImages" >> RegroupBlocks(STAGE, image_frequency.FindImages(output, answers, buckets))
        | "FindClusters"
        >> RegroupBlocks(STAGE, image_frequency.FindClusters(output, ranks, buckets))
        | "CountUses" >> RegroupBlocks(STAGE, image_frequency.CountUses(refs))
        | "CommitClusters"
        >> CommitBlocks(STAGE, output, partial(by_bucket, parts), image_frequency.CommitClusters())
    )


DISTINCT_IMAGES = Step(STAGE, "distinct_images", _distinct_parts, _distinct)
IMAGE_RANKS = Step(STAGE, "image_ranks", _cluster_parts, _cluster)
IMAGE_USES = Step(STAGE, "image_uses", _use_parts, _uses)
