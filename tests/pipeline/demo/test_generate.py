"""The demo crawl as a whole, and its duplicates."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from pipeline.demo import generate_demo_crawl, read_truth
from pipeline.demo.truth import IMAGE_OUTCOMES, REASONS, DemoTruth
from tests.pipeline.demo.crawl_reader import (
    UNSPACED,
    article_text,
    jaccard,
    kept,
    shingles,
)

PLANTED = {
    "language": 28,
    "encoding": 15,
    "frequent_image": 11,
    "shared_image": 10,
    "gallery": 3,
    "reference": 14,
    "near_duplicate": 13,
    "exact_duplicate": 6,
    "recrawled": 6,
    "spam": 6,
    "navigation": 5,
    "short": 5,
    "empty": 3,
    "lorem_ipsum": 1,
    "error": 5,
    "redirect": 3,
    "not_html": 4,
    "transfer": 6,
    "cut_by_crawler": 1,
    "broken_html": 7,
    "odd_image": 9,
    "no_good_image": 3,
    "url_word": 5,
    "image_record": 3,
    "repeated_image": 1,
    "poor_alt": 6,
    "wrong_caption": 10,
    "hostile_alt": 7,
    "same_record": 2,
    "revisited": 1,
    "revisit": 1,
    "resource": 1,
    "damaged": 3,
    "article": 20,
    "text_only": 12,
}
"""Least number of pages a kind in a crawl of 300."""


def test_crawl_same_seed_other_hash_seed_gives_same_bytes(
    folder: Path, truth: DemoTruth, tmp_path: Path
) -> None:
    script = (
        "import sys; from pathlib import Path; from pipeline.demo import generate_demo_crawl; "
        "generate_demo_crawl(Path(sys.argv[1]), seed=0, pages=300)"
    )
    # This process is the one to compare with; the other gets a hash seed that is not this one's.
    other = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    environment = {**os.environ, "PYTHONHASHSEED": other}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, env=environment)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in folder.iterdir())
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name


def test_crawl_other_seed_plants_the_same_kinds(truth: DemoTruth, tmp_path: Path) -> None:
    other = generate_demo_crawl(tmp_path, seed=7, pages=300)
    assert other.counts() == truth.counts()
    assert {w.sha256 for w in other.warcs}.isdisjoint(w.sha256 for w in truth.warcs)


def test_crawl_with_fewer_pages_than_planted_raises(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least"):
        generate_demo_crawl(tmp_path, pages=50)


def test_crawl_is_small_and_its_truth_reads_back(folder: Path, truth: DemoTruth) -> None:
    assert sum(path.stat().st_size for path in folder.iterdir()) < 15_000_000
    assert read_truth(folder / "truth.json") == truth
    assert len(truth.pages) == 300
    for warc in truth.warcs:
        data = (folder / warc.name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (warc.bytes, warc.sha256)


def test_crawl_every_kind_reason_and_outcome_is_there(truth: DemoTruth) -> None:
    kinds = Counter(page.kind for page in truth.pages)
    assert {kind: kinds[kind] for kind in PLANTED if kinds[kind] < PLANTED[kind]} == {}
    assert {r for page in truth.pages for r in page.reasons} == set(REASONS)
    assert {image.outcome for image in truth.images} == set(IMAGE_OUTCOMES)
    assert {page.outcome for page in truth.pages} == {"interleaved", "text", "rejected"}
    assert all((page.outcome == "rejected") == bool(page.reasons) for page in truth.pages)
    languages = {page.language for page in kept(truth)}
    assert languages == {"en", "de", "fr", "es", "zh", "ja", "ru"}


def test_crawl_sites_are_spread_and_reserved(truth: DemoTruth) -> None:
    files: dict[str, set[str]] = {}
    for page in truth.pages:
        host = page.url.split("/")[2]
        assert host.endswith((".example", ".test")), host
        files.setdefault(host, set()).add(page.warc)
    assert len(files) >= 12
    assert all(len(found) > 1 for found in files.values())
    warc_of = {page.url: page.warc for page in truth.pages}
    elsewhere = [i for i in truth.images if i.warcs and warc_of[i.pages[0]] not in i.warcs]
    assert len(elsewhere) >= 20


def test_clusters_hold_what_their_kind_says(
    truth: DemoTruth, soups: dict[tuple[str, str], BeautifulSoup]
) -> None:
    pages = {(page.url, page.date): page for page in truth.pages}
    assert Counter(c.kind for c in truth.clusters) == {
        "near_duplicate": 6, "exact_duplicate": 3, "same_url": 3
    }  # fmt: skip
    for cluster in truth.clusters:
        texts = {m: article_text(soups[m]) for m in cluster.members}
        for a, b in combinations(cluster.members, 2):
            if cluster.kind == "same_url":
                assert a[0] == b[0]
                assert a[1] != b[1]
            elif cluster.kind == "exact_duplicate":
                assert a[0] != b[0]
                assert texts[a] == texts[b]
            else:
                assert a[0].split("/")[2] != b[0].split("/")[2]
                assert texts[a] != texts[b]
                assert jaccard(shingles(texts[a]), shingles(texts[b])) >= 0.9, cluster.name
        able = [m for m in cluster.members if "too_many_images" not in pages[m].reasons]
        best = max(able, key=lambda m: (m[1], len(texts[m])))
        assert cluster.survivor == best, cluster.name
        assert pages[best].outcome != "rejected"
        assert all(pages[m].outcome == "rejected" for m in cluster.members if m != best)
        assert all(pages[m].cluster == cluster.name for m in cluster.members)


def test_clusters_other_pages_have_little_in_common(
    truth: DemoTruth, soups: dict[tuple[str, str], BeautifulSoup]
) -> None:
    texts = [
        shingles(article_text(soups[page.url, page.date]))
        for page in kept(truth)
        if page.language not in UNSPACED
    ]
    assert max(jaccard(a, b) for a, b in combinations(texts, 2)) < 0.4
