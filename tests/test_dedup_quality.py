"""Near-duplicates against what was planted: labels, the LSH curve, clusters, a site's twins."""

import json
import subprocess
import sys
from collections import defaultdict
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from benchmarks.dedup_quality import (
    MIN_PRECISION,
    RECIPE,
    SETTINGS,
    VERIFIED,
    Quality,
    curve,
    judge,
    lsh_curve,
    measure_stage,
    quality_rows,
    read_clusters,
    run_dedup,
)
from benchmarks.planted_duplicates import (
    BINS,
    FEWEST,
    KINDS,
    NGRAM,
    SCRIPTS,
    Document,
    bin_of,
    edited,
    jaccard,
    make_corpus,
    make_pairs,
    vocabulary,
    write_corpus,
)
from pipeline.inspection.snapshot import read_snapshot
from pipeline.recipe import load_recipe
from transforms.minhash import MinHashConfig, catch_probability, shingles, text_hash, words
from transforms.pages import document_texts
from transforms.table_files import read_table

CONFIG = MinHashConfig()
DOCUMENTS = 5000
PAIRS_PER_BIN = 1500
DEDUP = load_recipe(RECIPE, SETTINGS).settings.dedup


def exact_jaccard(left: str, right: str) -> float:
    """By the definition: sets of the shingles of two texts."""
    a, b = set(shingles(left, CONFIG)), set(shingles(right, CONFIG))
    return len(a & b) / len(a | b)


@pytest.fixture(scope="module")
def corpus() -> list[Document]:
    return make_corpus(DOCUMENTS)


# --- the generator


@pytest.mark.parametrize("script", range(len(SCRIPTS)), ids=[script.name for script in SCRIPTS])
def test_words_of_a_vocabulary_are_the_words_of_a_shingle(script: int) -> None:
    known = vocabulary(script)
    between = " " if SCRIPTS[script].spaced else ""
    assert words(between.join(known).upper()) == list(known)
    assert len(set(known)) == len(known)


def test_shingles_of_the_generator_are_those_of_minhash() -> None:
    assert NGRAM == CONFIG.ngram == DEDUP.minhash.ngram


def test_labels_are_exact_jaccard_similarities(corpus: list[Document]) -> None:
    originals = {document.family: document for document in corpus if document.original}
    checked = defaultdict(int)
    for document in corpus:
        if document.original or checked[document.kind] == 40:
            continue
        checked[document.kind] += 1
        texts = document.page.text(), originals[document.family].page.text()
        assert document.jaccard == pytest.approx(exact_jaccard(*texts)), document.url
        if document.kind == "exact":
            assert texts[0] == texts[1]
        if document.kind == "same_words":
            assert document.jaccard == 1.0
            assert text_hash(texts[0]) != text_hash(texts[1])
    assert set(checked) == {"exact", "same_words", "near", "chain", "short_equal"}


def test_every_bin_has_near_copies(corpus: list[Document]) -> None:
    places = [bin_of(d.jaccard) for d in corpus if d.kind == "near" and not d.original]
    assert set(range(len(BINS))) <= set(places)
    assert sum(place is None for place in places) < 0.01 * len(places)


def test_documents_of_a_template_share_it_and_are_different(corpus: list[Document]) -> None:
    templates = defaultdict(list)
    for document in corpus:
        if document.kind in ("boilerplate", "short_different"):
            templates[document.template].append(document)
    shares = []
    for documents in templates.values():
        first = documents[0].page.text()
        for other in documents[1:4]:
            similarity = exact_jaccard(first, other.page.text())
            if other.kind == "short_different":
                assert similarity == 0.0
            else:
                assert 0.1 < similarity < 0.45
                shared = set(shingles(first, CONFIG)) & set(shingles(other.page.text(), CONFIG))
                shares.append(len(shared) / len(other.page.shingles()))
    assert min(shares) > 0.27
    assert max(shares) < 0.63
    assert len({document.family for group in templates.values() for document in group}) == sum(
        len(group) for group in templates.values()
    )


def test_corpus_has_every_kind_length_and_script(corpus: list[Document]) -> None:
    assert len(corpus) == DOCUMENTS
    assert {document.kind for document in corpus} == set(KINDS)
    for kind, (share, _) in KINDS.items():
        found = sum(document.kind == kind for document in corpus) / DOCUMENTS
        assert found == pytest.approx(share, abs=0.01), kind
    lengths = [len(document.page.words) for document in corpus]
    assert min(lengths) == 3
    assert max(lengths) > 1900
    assert {document.page.script for document in corpus} == set(range(len(SCRIPTS)))
    assert len({document.url for document in corpus}) == DOCUMENTS


def test_a_corpus_is_the_same_for_its_seed_only(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_corpus(make_corpus(FEWEST, seed), tmp_path / name)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_a_corpus_too_small_for_every_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer than"):
        make_corpus(FEWEST - 1)


@pytest.mark.parametrize("target", [0.5, 0.75, 0.95])
def test_edits_come_close_to_their_target(target: float) -> None:
    rng = np.random.default_rng(4)
    kinds = set()
    for pair in make_pairs(20, seed=3):
        copy = edited(pair.original, target, rng)
        same = len(copy.words) == len(pair.original.words)
        kinds.add("replaced" if same else len(copy.words) > len(pair.original.words))
        assert exact_jaccard(pair.original.text(), copy.text()) == pytest.approx(target, abs=0.05)
    assert kinds == {"replaced", True, False}


# --- the curve


def test_lsh_curve_is_what_theory_predicts() -> None:
    """Bounds that a right implementation misses for one seed in a thousand, and this seed is fixed.

    Pairs are independent and each meets with its own known probability, so the share of a bin has
    the standard error `point.error`, at most 1.3 points here. Four of them hold in ten bins at once
    with probability 0.9994. All bins together are ten times as many pairs: there the bound is below
    the 2 points that the benchmark asks of every bin.
    """
    points = lsh_curve(make_pairs(PAIRS_PER_BIN), CONFIG)
    for point in points:
        assert point.pairs > 0.9 * PAIRS_PER_BIN
        # Where theory expects a hundredth of a pair to be missed, one may be.
        assert point.gap <= 4 * point.error + 1 / point.pairs, point
    pairs = sum(point.pairs for point in points)
    bias = sum(point.pairs * (point.found - point.theory) for point in points) / pairs
    error = sqrt(sum((point.pairs * point.error) ** 2 for point in points)) / pairs
    assert 4 * error < 0.02
    assert abs(bias) <= 4 * error


def test_curve_tells_a_gap() -> None:
    similarities = [middle for middle in BINS for _ in range(10)]
    points = curve(similarities, [True] * len(similarities), CONFIG)
    assert [point.found for point in points] == [1.0] * len(BINS)
    for point in points:
        probability = catch_probability(point.jaccard, CONFIG)
        assert point.gap == pytest.approx(1 - probability)
        assert point.error == pytest.approx(sqrt(probability * (1 - probability) / 10))
    with pytest.raises(ValueError, match="no pair"):
        curve([0.7], [True], CONFIG)


# --- the stage


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("planted")


@pytest.fixture(scope="module")
def stage(corpus: list[Document], planted: Path) -> dict[str, Quality]:
    return measure_stage(corpus, planted, workers=1)


@pytest.fixture(params=VERIFIED)
def quality(stage: dict[str, Quality], request: pytest.FixtureRequest) -> Quality:
    return stage[request.param]


@pytest.mark.usefixtures("stage")
def test_every_document_reaches_dedup(planted: Path) -> None:
    stages = json.loads((planted / "out" / "run.json").read_text())["stages"]
    assert stages["extract"]["tables"]["texts"]["kept"] == DOCUMENTS
    assert stages["dedup"]["tables"]["pages"]["kept"] == DOCUMENTS


def test_no_planted_different_document_is_joined(quality: Quality) -> None:
    assert quality.joined_different == ()


def test_near_pairs_are_what_was_planted(quality: Quality) -> None:
    assert quality.near_pairs > 0.15 * DOCUMENTS
    assert quality.of_one_family >= MIN_PRECISION


def test_texts_tell_exactly_who_is_similar(stage: dict[str, Quality]) -> None:
    estimated, exact = (stage[verify] for verify in VERIFIED)
    assert exact.similar == 1.0
    assert exact.least_similar >= DEDUP.min_similarity > estimated.least_similar
    assert exact.unlike == {}
    # Whoever is clearly similar is so by either.
    assert exact.clearly_similar.found >= estimated.clearly_similar.found - 0.005


@pytest.mark.usefixtures("stage")
def test_edges_of_texts_have_their_exact_similarity(corpus: list[Document], planted: Path) -> None:
    output = str(planted / "out")
    tables = read_snapshot(output).tables
    pages = read_table(output, tables["texts"], ["text_id", "url"])
    urls = dict(zip(pages["text_id"].to_pylist(), pages["url"].to_pylist(), strict=True))
    texts = {document.url: document.page.shingles() for document in corpus}
    near = [row for row in read_table(output, tables["edges"]).to_pylist()
            if row["kind"] == "near_text"]  # fmt: skip
    assert len(near) > 0.15 * DOCUMENTS
    for row in near:
        a, b = (texts[urls[row[end]]] for end in ("a_id", "b_id"))
        assert row["similarity"] == jaccard(a, b)


def test_copies_with_the_same_shingles_are_found(quality: Quality) -> None:
    assert quality.found == {"exact": 1.0, "same_words": 1.0, "short_equal": 1.0}


def test_near_copies_are_found_as_often_as_they_meet(quality: Quality) -> None:
    assert quality.refused == ()
    # As in the curve: all of these are found if they share a band, which each does with a known
    # probability. Four standard errors.
    point = quality.clearly_similar
    assert point.pairs > 200
    assert point.gap <= 4 * point.error
    # Pairs that are less similar than the threshold by four such errors are refused.
    threshold = DEDUP.min_similarity
    least = threshold - 4 * sqrt(threshold * (1 - threshold) / DEDUP.minhash.hashes)
    below = [point for point in quality.near if point.jaccard + 0.025 < least]
    assert [point.found for point in below] == [0.0]


def test_a_pair_of_strangers_counts_against_precision(corpus: list[Document]) -> None:
    near = {}
    for document in corpus:
        if document.kind == "near":
            near.setdefault(document.family, []).append(document.url)
    first, second = list(near.values())[:2]
    clusters = {"near_text": dict.fromkeys([*first, second[0]], first[0])}
    told = judge(corpus, clusters, DEDUP.minhash, DEDUP.min_similarity)
    assert told.near_pairs == 2
    assert told.of_one_family == 0.5
    assert told.least_similar == 0.0
    assert told.unlike["near"] >= 1
    assert told.joined_different == ((second[0], first[0]),)
    assert told.found == {"exact": 0.0, "same_words": 0.0, "short_equal": 0.0}
    assert told.refused
    rows = {row.what: row for row in quality_rows(told.near, {"texts": told})}
    assert rows["verified on texts: near pairs that were planted"].ours == 0.5
    assert rows["verified on texts: different documents that were joined"].ours == 1


# --- the twins of a real site


def twins(shared_data: Path) -> list[str]:
    """Pages of the lesson that have a version for instructors."""
    site = shared_data / "sites" / "dc-image-processing"
    names = sorted(path.name for path in (site / "instructor").glob("*.html"))
    return [name for name in names if (site / name).is_file()]


@pytest.fixture(scope="module")
def lesson(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of dedup on the lesson's pages."""
    folder = tmp_path_factory.mktemp("lesson")
    tool = shared_data.parent / "tools" / "site_to_warc.py"
    site = shared_data / "sites" / "dc-image-processing"
    warc = folder / "lesson.warc.gz"
    subprocess.run([sys.executable, tool, site, warc, "--no-images"], check=True)
    run_dedup(warc, folder / "out", workers=1)
    return folder / "out"


def page_texts(output: Path) -> dict[str, str]:
    """URL -> text, of the pages as extracted."""
    tables, found = read_snapshot(str(output)).tables, {}
    for batch in read_table(str(output), tables["documents"]).to_batches():
        texts, _ = document_texts(batch["nodes"])
        found.update(zip(batch["url"].to_pylist(), texts, strict=True))
    pages = read_table(str(output), tables["texts"])
    found.update(zip(pages["url"].to_pylist(), pages["text"].to_pylist(), strict=True))
    return found


def test_every_page_for_instructors_is_found_with_its_twin_for_learners(
    lesson: Path, shared_data: Path
) -> None:
    names, texts, clusters = twins(shared_data), page_texts(lesson), read_clusters(lesson)
    assert len(names) == 23
    near = clusters["near_text"]
    (start,) = (url.removesuffix("instructor/aio.html") for url in texts if "instructor/aio" in url)
    less_similar = {}
    for name in names:
        learner, instructor = start + name, f"{start}instructor/{name}"
        similarity = exact_jaccard(texts[learner], texts[instructor])
        chance = catch_probability(similarity, DEDUP.minhash)
        assert learner in near, (name, similarity, chance)
        assert near[learner] == near.get(instructor), (name, similarity, chance)
        if similarity == 1.0:
            assert clusters["text"][learner] == clusters["text"][instructor], name
        if similarity < 0.95:
            less_similar[name] = similarity
    # Pages with more for instructors. Theory finds such a start page with probability 0.87, so
    # this holds for this text and these permutations; all others are found almost surely.
    assert less_similar == {
        "index.html": pytest.approx(0.78, abs=0.02),
        "instructor-notes.html": pytest.approx(0.84, abs=0.02),
    }


def test_pages_of_a_site_that_differ_are_not_joined(lesson: Path) -> None:
    # They share the site's header and footer as far as the extraction leaves them.
    for pages in read_clusters(lesson).values():
        for member, best in pages.items():
            assert member.rpartition("/")[2] == best.rpartition("/")[2]
