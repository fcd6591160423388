"""The steps that find duplicate pages: signatures, the edges between pages, clusters.

``signatures -> keys -> pairs -> to the part of a -> to the part of b: edges -> clusters``
"""

from functools import partial
from typing import Any

from pipeline.runners import Build
from pipeline.state import RunState
from pipeline.steps import Step, by_bucket, map_parts, page_files
from schemas.ids import digest
from transforms import cluster_pages, clusters, duplicates, gates, minhash
from transforms.shuffle import CommitBlocks, EmitBlocks, RegroupBlocks
from transforms.sink import Part


def _signature_parts(state: RunState) -> list[Part]:
    config = digest(
        state.recipe.section("gates.dedup", "dedup.minhash"),
        duplicates.STEP_VERSION,
        minhash.STEP_VERSION,
        gates.STEP_VERSION,
    )
    return [
        Part(
            f"signatures-{name}",
            digest(commit.name, config)[:16],
            page_files(state, name),
            sum(counts.kept for counts in commit.counts.values()),
        )
        for name, commit in sorted(state.commits["extract"].items())
    ]


def _sign(state: RunState, missing: list[Part]) -> Build:
    settings = state.recipe.settings.dedup
    function = duplicates.SignPages(state.output, state.recipe.gates.dedup, settings)
    return map_parts("SignPages", duplicates.STAGE, state.output, missing, function)


def _signed(state: RunState) -> list[duplicates.SignedFiles]:
    return [
        duplicates.SignedFiles(name, state.file("signatures", f"signatures-{name}", "signatures"))
        for name in sorted(state.commits["extract"])
    ]


def _edge_parts(state: RunState) -> list[Part]:
    fingerprint = digest(
        state.snapshot("signatures"),
        state.recipe.section("dedup"),
        duplicates.STEP_VERSION,
    )
    return [
        Part(f"edges-{files.part}", fingerprint[:16], number)
        for number, files in enumerate(_signed(state))
    ]


def _edges(state: RunState, missing: list[Part]) -> Build:
    del missing
    config = state.recipe.settings.dedup
    return partial(edges_graph, state.output, config, _signed(state), _edge_parts(state))


def edges_graph(
    output: str,
    config: duplicates.DedupConfig,
    signed: list[duplicates.SignedFiles],
    parts: list[Part],
    pipeline: Any,
) -> None:
    """The shuffles that end in table `edges`: `parts` has a part for each of the signed ones."""
    by_number = {str(part.spec): part for part in parts}
    attach = duplicates.AttachPages(output, config, signed)
    commit = duplicates.CommitEdges(output, config, signed)
    (
        pipeline
        | "EmitKeys"
        >> EmitBlocks(duplicates.STAGE, parts, duplicates.EmitKeys(output, config, signed))
        | "LinkKeys" >> RegroupBlocks(duplicates.STAGE, duplicates.link_keys)
        | "AttachPages" >> RegroupBlocks(duplicates.STAGE, attach)
        | "CommitEdges"
        >> CommitBlocks(duplicates.STAGE, output, partial(by_bucket, by_number), commit)
    )


def _cluster_parts(state: RunState) -> list[Part]:
    fingerprint = digest(
        state.snapshot("edges"), state.recipe.section("dedup"), clusters.STEP_VERSION
    )
    names = sorted(state.commits["edges"])
    edges = [path for name in names if (path := state.file("edges", name, "edges"))]
    pages = sum(commit.counts["pages"].kept for commit in state.commits["signatures"].values())
    spec = cluster_pages.EdgeFiles(tuple(edges), tuple(_signed(state)), pages)
    return [Part("clusters-all", fingerprint[:16], spec)]


def _cluster(state: RunState, missing: list[Part]) -> Build:
    function = cluster_pages.ClusterPages(state.output, state.recipe.settings.dedup)
    return map_parts("ClusterPages", duplicates.STAGE, state.output, missing, function)


SIGNATURES = Step("dedup", "signatures", _signature_parts, _sign)
EDGES = Step("dedup", "edges", _edge_parts, _edges)
CLUSTERS = Step("dedup", "clusters", _cluster_parts, _cluster)
