"""How well near-duplicates are found: the LSH curve against theory, and clusters against labels.

The curve is of `minhash` alone: the share of planted pairs that share a band key, beside the mean
of `catch_probability` over the exact Jaccard similarities of the same pairs. The clusters are those
of the whole stage as the command line runs it, joined to the labels by URL.

The stage runs twice: pairs are verified on signatures, then on texts.

What a true near-duplicate is can be said in two ways, and both are told: two documents of one
family (what was planted), and two whose exact Jaccard similarity reaches `dedup.min_similarity`.
The corpus holds as many pairs just below the threshold as just above, which a crawl does not.
"""

import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.planted_duplicates import (
    BINS,
    SEED,
    Document,
    Page,
    Pair,
    bin_of,
    jaccard,
    make_corpus,
    make_pairs,
    write_corpus,
)
from benchmarks.processes import ROOT, say
from benchmarks.report import Row
from pipeline.inspection.snapshot import read_snapshot
from pipeline.recipe import load_recipe
from transforms.minhash import MinHashConfig, band_keys, catch_probability, signatures
from transforms.table_files import read_table

RECIPE = "mm1"
SETTINGS = ("gates.dedup.language=false",)
"""The only rule before dedup; made-up words are of no language."""
VERIFIED = ("signatures", "texts")
"""What pairs are verified on; the second run begins with the signatures of the first."""
DOCUMENTS = 100_000
PAIRS_PER_BIN = 10_000
"""The standard error of a share is then at most half a point."""
MAX_GAP = 0.02
MIN_PRECISION = 0.99
CLEARLY_SIMILAR = 0.8
"""From here on verification refuses next to nothing, so the LSH alone decides what is found."""

_PAIRS_AT_ONCE = 4096
_SAME_SHINGLES = ("exact", "same_words", "short_equal")


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What became of the pairs of a Jaccard bin."""

    jaccard: float
    """Middle of the bin."""
    pairs: int
    found: float
    """Share of the pairs that were found."""
    theory: float
    """Mean probability that such a pair shares a band."""
    error: float
    """Standard error of a share of so many independent pairs, if theory is right."""

    @property
    def gap(self) -> float:
        """How far the share is from theory."""
        return abs(self.found - self.theory)


@dataclass(frozen=True, slots=True)
class Quality:
    """What the stage made of a labelled corpus."""

    near_pairs: int
    """Members of `near_text` clusters, each with the representative of its cluster."""
    of_one_family: float
    """Share of the near pairs that were planted as duplicates."""
    similar: float
    """Share of the near pairs whose exact Jaccard similarity reaches the threshold."""
    explained: float
    """Share of the near pairs whose exact Jaccard similarity is at most three standard errors of a
    signature below the threshold: what an estimate can be wrong by."""
    unlike: dict[str, int]
    """Kind -> near pairs below the threshold."""
    least_similar: float
    """Smallest exact Jaccard similarity of a near pair."""
    joined_different: tuple[tuple[str, str], ...]
    """URLs of members and representatives that were planted as different, in clusters of all kinds;
    the member is what dedup would remove."""
    found: dict[str, float]
    """Kind -> share of the copies with the shingles of their original that stand in a cluster with
    it."""
    near: tuple[CurvePoint, ...]
    """Of the documents of kind `near`: what the stage finds, bin by bin. Below the threshold and
    just above it verification refuses what the LSH finds."""
    clearly_similar: CurvePoint
    """The same of all pairs from `CLEARLY_SIMILAR` on."""
    refused: tuple[str, ...]
    """URLs of copies of kind `near` that share a band with their original, are more similar than
    the threshold by four standard errors of a signature, and yet are in no cluster with it."""


def meet(originals: Sequence[Page], copies: Sequence[Page], config: MinHashConfig) -> list[bool]:
    """Whether the two pages of each pair share a band key."""
    found: list[bool] = []
    for start in range(0, len(originals), _PAIRS_AT_ONCE):
        end = start + _PAIRS_AT_ONCE
        left, right = (
            band_keys(signatures([page.text() for page in pages[start:end]], config), config)
            for pages in (originals, copies)
        )
        found += (left == right).any(axis=1).tolist()
    return found


def curve_point(
    middle: float,
    similarities: Sequence[float],
    found: npt.NDArray[np.bool_],
    config: MinHashConfig,
) -> CurvePoint:
    """Compare the pairs of one bin with theory.

    Raises:
        ValueError: No pairs.
    """
    if not similarities:
        raise ValueError(f"no pair about Jaccard {middle}")
    theory = np.array([catch_probability(value, config) for value in similarities])
    error = sqrt(float((theory * (1 - theory)).sum())) / len(theory)
    return CurvePoint(middle, len(theory), float(found.mean()), float(theory.mean()), error)


def curve(
    similarities: Sequence[float], found: Sequence[bool], config: MinHashConfig
) -> list[CurvePoint]:
    """Compare pairs with theory, bin by bin of their exact Jaccard similarity."""
    values, were_found = np.array(similarities), np.array(found, bool)
    places = np.array([-1 if (at := bin_of(value)) is None else at for value in similarities])
    return [
        curve_point(middle, values[places == at].tolist(), were_found[places == at], config)
        for at, middle in enumerate(BINS)
    ]


def lsh_curve(pairs: Sequence[Pair], config: MinHashConfig) -> list[CurvePoint]:
    """The share of pairs that meet in a band, beside theory, bin by bin."""
    met = meet([pair.original for pair in pairs], [pair.copy for pair in pairs], config)
    return curve([pair.jaccard for pair in pairs], met, config)


def run_dedup(corpus: Path, output: Path, workers: int, verify: str = VERIFIED[0]) -> None:
    """Run the stages up to dedup; raises `CalledProcessError` where the run fails."""
    settings = (*SETTINGS, f"dedup.verify={verify}")
    sets = [word for setting in settings for word in ("--set", setting)]
    command = [
        *(sys.executable, str(ROOT / "beam_runner.py"), "run", RECIPE, "-q", "-w", str(workers)),
        *("-i", str(corpus), "-o", str(output), "--stages", "extract,dedup", *sets),
    ]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def read_clusters(output: Path) -> dict[str, dict[str, str]]:
    """Kind -> URL of each clustered page -> URL of the best-ranked page of its cluster."""
    tables = read_snapshot(str(output)).tables
    urls: dict[str, str] = {}
    for table, key in (("documents", "doc_id"), ("texts", "text_id")):
        pages = read_table(str(output), tables.get(table, []), [key, "url"])
        if pages is not None:
            urls.update(zip(pages[key].to_pylist(), pages["url"].to_pylist(), strict=True))
    columns = ["kind", "id", "cluster_id", "rank"]
    clusters = read_table(str(output), tables.get("clusters", []), columns)
    rows = list(_tuples(clusters, columns)) if clusters is not None else []
    best = {(kind, cluster): page for kind, page, cluster, rank in rows if rank == 0}
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for kind, page, cluster, _ in rows:
        found[kind][urls[page]] = urls[best[kind, cluster]]
    return dict(found)


def _tuples(table: pa.Table, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[name].to_pylist() for name in columns), strict=True)


def judge(
    documents: Sequence[Document],
    clusters: dict[str, dict[str, str]],
    config: MinHashConfig,
    min_similarity: float,
) -> Quality:
    """Join clusters (see `read_clusters`) back to labels."""
    known = {document.url: document for document in documents}
    near = [
        (known[member], known[best])
        for member, best in sorted(clusters.get("near_text", {}).items())
        if member != best
    ]
    true = [jaccard(a.page.shingles(), b.page.shingles()) for a, b in near]
    error = sqrt(min_similarity * (1 - min_similarity) / config.hashes)
    below = (a.kind for (a, _), value in zip(near, true, strict=True) if value < min_similarity)
    apart = sorted(
        (member, best)
        for pairs in clusters.values()
        for member, best in pairs.items()
        if known[member].family != known[best].family
    )
    copies, originals = _copies(documents)
    joined = [_joined(clusters, a.url, b.url) for a, b in zip(copies, originals, strict=True)]
    found = {
        kind: float(np.mean([here for copy, here in zip(copies, joined, strict=True)
                             if copy.kind == kind]))
        for kind in _SAME_SHINGLES
    }  # fmt: skip
    is_near = [place for place, copy in enumerate(copies) if copy.kind == "near"]
    similarities = [copies[place].jaccard for place in is_near]
    near_joined = [joined[place] for place in is_near]
    met = meet([originals[p].page for p in is_near], [copies[p].page for p in is_near], config)
    refused = [
        copies[place].url
        for place, similarity, meeting, here in zip(
            is_near, similarities, met, near_joined, strict=True
        )
        if meeting and not here and similarity >= min_similarity + 4 * error
    ]
    clearly = np.array(similarities) >= CLEARLY_SIMILAR
    return Quality(
        near_pairs=len(near),
        of_one_family=float(np.mean([a.family == b.family for a, b in near])),
        similar=float(np.mean([value >= min_similarity for value in true])),
        explained=float(np.mean([value >= min_similarity - 3 * error for value in true])),
        unlike=dict(sorted(Counter(below).items())),
        least_similar=min(true),
        joined_different=tuple(apart),
        found=found,
        near=tuple(curve(similarities, near_joined, config)),
        clearly_similar=curve_point(
            CLEARLY_SIMILAR,
            np.array(similarities)[clearly].tolist(),
            np.array(near_joined)[clearly],
            config,
        ),
        refused=tuple(sorted(refused)),
    )


def _copies(documents: Sequence[Document]) -> tuple[list[Document], list[Document]]:
    """Every document that is a copy, and beside it the original of its family."""
    originals = {document.family: document for document in documents if document.original}
    copies = [document for document in documents if not document.original]
    return copies, [originals[document.family] for document in copies]


def _joined(clusters: dict[str, dict[str, str]], a: str, b: str) -> bool:
    """Whether two pages stand in one cluster of text."""
    return any(
        a in pages and pages[a] == pages.get(b)
        for kind, pages in clusters.items()
        if kind in ("text", "near_text")
    )


def measure_stage(
    planted: Sequence[Document], folder: Path, workers: int = 2
) -> dict[str, Quality]:
    """Write a corpus into a folder, run the stage on it and judge what it finds.

    Returns:
        What pairs are verified on -> what is found.
    """
    dedup = load_recipe(RECIPE, SETTINGS).settings.dedup
    corpus, output = folder / "planted.parquet", folder / "out"
    write_corpus(planted, corpus)
    found = {}
    for verify in VERIFIED:
        run_dedup(corpus, output, workers, verify)
        clusters = read_clusters(output)
        found[verify] = judge(planted, clusters, dedup.minhash, dedup.min_similarity)
    return found


def quality_rows(points: Sequence[CurvePoint], stage: Mapping[str, Quality]) -> list[Row]:
    """What was measured beside what is asked for; `stage` is of `measure_stage`."""
    gap = 100 * max(point.gap for point in points)
    rows = [
        Row("largest gap of the LSH curve in a Jaccard bin", gap, "points", "limit",
            100 * MAX_GAP, more_is_better=False)
    ]  # fmt: skip
    for verify, quality in stage.items():
        rows += _stage_rows(f"verified on {verify}:", quality, exact=verify == "texts")
    return rows


def _stage_rows(how: str, quality: Quality, exact: bool) -> list[Row]:
    different = float(len(quality.joined_different))
    clearly, least = quality.clearly_similar, f"at Jaccard {CLEARLY_SIMILAR} and more"
    return [
        Row(f"{how} near pairs that were planted", quality.of_one_family, "share", "limit",
            MIN_PRECISION),
        Row(f"{how} near pairs whose exact Jaccard reaches the threshold", quality.similar,
            "share", "limit", 1.0 if exact else MIN_PRECISION),
        Row(f"{how} the same, or misses it by three standard errors", quality.explained, "share",
            "limit", MIN_PRECISION),
        Row(f"{how} different documents that were joined", different, "documents", "limit", 0.0,
            more_is_better=False),
        Row(f"{how} near copies {least} that were found", clearly.found, "share", "LSH theory",
            clearly.theory),
        *(Row(f"{how} copies of kind {kind} that were found", share, "share", "limit", 1.0)
          for kind, share in quality.found.items()),
    ]  # fmt: skip


def rows_and_details(
    folder: Path, documents: int = DOCUMENTS, pairs_per_bin: int = PAIRS_PER_BIN, workers: int = 2
) -> tuple[list[Row], dict[str, Any]]:
    """Measure the curve and the stage: rows for a report, and what they were made of."""
    config = load_recipe(RECIPE, SETTINGS).settings.dedup.minhash
    say(f"the LSH curve: {pairs_per_bin} pairs in each of {len(BINS)} bins")
    points = lsh_curve(make_pairs(pairs_per_bin), config)
    say(f"the stage on {documents} labelled documents")
    stage = measure_stage(make_corpus(documents), folder, workers)
    details = {
        "documents": documents,
        "seed": SEED,
        "lsh_curve": [asdict(point) for point in points],
        "stage": {verify: asdict(quality) for verify, quality in stage.items()},
    }
    return quality_rows(points, stage), details
