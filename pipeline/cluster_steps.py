"""The steps from edges to clusters: the component of each page, then the clusters of a component.

``edges -> labels, in one process or in rounds -> by component: clusters -> to the part of a page``
"""

from functools import partial
from typing import Any

from pipeline.dedup_steps import COMPARED, signed_files
from pipeline.runners import Build
from pipeline.state import RunState, sum_facts
from pipeline.steps import Loop, Step, by_bucket, map_parts
from schemas.ids import digest
from transforms import (
    cluster_pages,
    clusters,
    component_labels,
    component_rounds,
    duplicates,
    signed_pages,
)
from transforms.component_rounds import LinkFiles
from transforms.shuffle import CommitBlocks, EmitBlocks, RegroupBlocks
from transforms.sink import Part


def _edges(state: RunState) -> int:
    return sum_facts(state.commits["edges"].values())[duplicates.LINKS]


def _edge_files(state: RunState) -> list[str]:
    names = sorted(state.commits["edges"])
    return [path for name in names if (path := state.file("edges", name, "edges"))]


def _most_rounds(state: RunState) -> int:
    return component_rounds.most_rounds(_edges(state))


def _label_parts(state: RunState, number: int) -> list[Part]:
    config = state.recipe.settings.dedup
    fingerprint = digest(
        state.snapshot("edges"),
        state.recipe.section("dedup.buckets", "dedup.one_process_edges"),
        component_labels.STEP_VERSION,
    )[:16]
    name = f"labels-{number:04d}"
    if component_labels.in_one_process(config, _edges(state)):
        return [Part(f"{name}-all", fingerprint, tuple(_edge_files(state)))]
    return [
        Part(f"{name}-{bucket:05d}", fingerprint, number if bucket == 0 else 0)
        for bucket in range(config.buckets)
    ]


def _labels(state: RunState, number: int, missing: list[Part]) -> Build:
    config = state.recipe.settings.dedup
    edges = _edges(state)
    if component_labels.in_one_process(config, edges):
        function = component_labels.LabelPages(state.output, config, edges)
        return map_parts("LabelPages", signed_pages.STAGE, state.output, missing, function)
    if number == 1:
        links = [LinkFiles(edges=path) for path in _edge_files(state)]
    else:
        links = [LinkFiles(labels=path) for _, path in sorted(_label_files(state).items())]
    sources = [Part("none", "", LinkFiles())]
    sources += [Part(f"links-{row}", "", files) for row, files in enumerate(links)]
    parts = _label_parts(state, number)
    return partial(round_graph, state.output, config.buckets, sources, parts)


def round_graph(
    output: str, buckets: int, sources: list[Part], parts: list[Part], pipeline: Any
) -> None:
    """One round of large-star and small-star: `parts` has a part for each bucket."""
    by_name = {_bucket(part.name): part for part in parts}
    (
        pipeline
        | "EmitLinks"
        >> EmitBlocks(signed_pages.STAGE, sources, component_rounds.EmitLinks(output, buckets))
        | "LinkLarger" >> RegroupBlocks(signed_pages.STAGE, component_rounds.LinkLarger(buckets))
        | "CommitLinks"
        >> CommitBlocks(
            signed_pages.STAGE, output, partial(by_bucket, by_name), component_rounds.CommitLinks()
        )
    )


def _bucket(name: str) -> str:
    return name.rpartition("-")[2]


def _label_files(state: RunState) -> dict[str, str]:
    """The file of each bucket of labels that has any."""
    return {
        _bucket(name): path
        for commit in state.commits["labels"].values()
        for name, path in commit.files.get("labels", {}).items()
    }


def _signed_pages(state: RunState, name: str) -> int:
    return state.commits["signatures"][f"signatures-{name}"].counts["pages"].kept


def _cluster_parts(state: RunState) -> list[Part]:
    fingerprint = digest(
        state.snapshot("edges"),
        state.recipe.section(*COMPARED, "dedup.prefer"),
        clusters.STEP_VERSION,
        cluster_pages.STEP_VERSION,
    )
    return [
        Part(
            f"clusters-{files.part}",
            fingerprint[:16],
            cluster_pages.EdgeFiles(
                files.part,
                state.file("edges", f"edges-{files.part}", "edges"),
                0 if files.earlier is not None else _signed_pages(state, files.part),
            ),
        )
        for files in signed_files(state)
    ]


def _cluster(state: RunState, missing: list[Part]) -> Build:
    del missing
    config = state.recipe.settings.dedup
    found = component_labels.label_buckets(config, _edges(state))
    join = cluster_pages.JoinLabels(state.output, _label_files(state), config.buckets)
    answer = cluster_pages.AnswerPages(state.output, config, signed_files(state))
    return partial(clusters_graph, state.output, found, join, answer, _cluster_parts(state))


def clusters_graph(
    output: str,
    buckets: int,
    join: cluster_pages.JoinLabels,
    answer: cluster_pages.AnswerPages,
    parts: list[Part],
    pipeline: Any,
) -> None:
    """The shuffles that end in table `clusters`: `parts` has a part for each of pages."""
    by_name = {part.spec.part: part for part in parts}
    build = cluster_pages.BuildComponents(answer.config, answer.signed)
    (
        pipeline
        | "EmitEdges"
        >> EmitBlocks(signed_pages.STAGE, parts, cluster_pages.EmitEdges(output, buckets))
        | "JoinLabels" >> RegroupBlocks(signed_pages.STAGE, join)
        | "AskPages" >> RegroupBlocks(signed_pages.STAGE, cluster_pages.AskPages())
        | "AnswerPages" >> RegroupBlocks(signed_pages.STAGE, answer)
        | "BuildComponents" >> RegroupBlocks(signed_pages.STAGE, build)
        | "CommitClusters"
        >> CommitBlocks(
            signed_pages.STAGE,
            output,
            partial(by_bucket, by_name),
            cluster_pages.CommitClusters(output),
        )
    )


LABELS = Loop("dedup", "labels", _most_rounds, _label_parts, _labels, component_rounds.MOVED)
CLUSTERS = Step("dedup", "clusters", _cluster_parts, _cluster)
