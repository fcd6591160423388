import json
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.extraction_data import (
    READABILITY_URL,
    SETS,
    GoldPage,
    ImageFiles,
    expected_images,
    html_text,
    load_set,
)
from benchmarks.extraction_ours import (
    compare_backends,
    content_of,
    first_difference,
    held_out_extractor,
)
from benchmarks.extraction_report import Measured, judge_images, make_rows, measure
from benchmarks.extraction_scores import (
    ImageCounts,
    Score,
    comparable_url,
    count_images,
    mean_score,
    score_shingles,
    score_words,
    shingles,
    snippets_present,
    sum_counts,
)
from benchmarks.peers import Content, forgiving, run_pages, set_blocks_apart
from benchmarks.processes import ROOT
from benchmarks.train_content_model import FOLDS, fold_of
from schemas.errors import HtmlParseError
from schemas.rows import Node
from transforms.content_model import ContentModel


def test_shingles_are_runs_of_four_words_with_counts() -> None:
    assert shingles("a b, c-d a b c d") == {
        ("a", "b", "c", "d"): 2,
        ("b", "c", "d", "a"): 1,
        ("c", "d", "a", "b"): 1,
        ("d", "a", "b", "c"): 1,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", {}, id="no words, no shingle"),
        pytest.param("one two", {("one", "two"): 1}, id="short text is one"),
        pytest.param("# a\n- b | c\n> d", {("a", "b", "c", "d"): 1}, id="light markup is no word"),
    ],
)
def test_shingles_of_edges(text: str, expected: dict[tuple[str, ...], int]) -> None:
    assert shingles(text) == expected


def test_score_shingles_is_f1_of_the_means_not_mean_of_f1() -> None:
    # Page 1: 2 expected shingles, 4 found, 2 common: precision 1/2, recall 1.
    # Page 2: 2 expected, 1 found, 1 common: precision 1, recall 1/2.
    pairs = [("a b c d e", "a b c d e f g"), ("a b c d e", "a b c d")]
    assert score_shingles(pairs) == Score(0.75, 0.75, 0.75)


def test_score_shingles_keeps_case() -> None:
    assert score_shingles([("a b c d", "A b c d")]).f1 == 0.0


def test_score_shingles_leaves_out_sides_that_are_empty() -> None:
    # Nothing found: recall 0, no precision. Nothing expected: precision 0, no recall.
    pairs = [("a b c d", ""), ("", "a b c d"), ("a b c d", "a b c d")]
    assert score_shingles(pairs) == Score.of(0.5, 0.5)


@pytest.mark.parametrize(
    ("expected", "found", "score"),
    [
        # Common: a twice (three against two), b once = 3 of 5 found and of 4 expected.
        pytest.param("a a b d", "A a a b c", Score(0.6, 0.75, 2 / 3), id="multiset, lower-cased"),
        pytest.param("a", "", Score(0, 0, 0), id="nothing found"),
        pytest.param("", "a", Score(0, 0, 0), id="nothing expected"),
        pytest.param("", "...", Score(1, 1, 1), id="both empty"),
    ],
)
def test_score_words(expected: str, found: str, score: Score) -> None:
    made = score_words(expected, found)
    assert made.precision == pytest.approx(score.precision)
    assert made.recall == pytest.approx(score.recall)
    assert made.f1 == pytest.approx(score.f1)


def test_mean_score_averages_f1_of_pages() -> None:
    made = mean_score([Score.of(1.0, 0.5), Score.of(0.0, 0.0)])
    assert (made.precision, made.recall) == (0.5, 0.25)
    assert made.f1 == pytest.approx(1 / 3)


def test_snippets_present_ignores_case_and_white_space() -> None:
    assert snippets_present(["Hello World", "bye"], "say\n hello \t world") == 1


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        pytest.param("a.png?w=3#x", "http://h/d/a.png", id="relative, query and fragment off"),
        pytest.param("//CDN.example/a b.png", "http://cdn.example/a b.png", id="protocol-relative"),
        pytest.param("/a%20b.png", "http://h/a b.png", id="escapes read"),
        pytest.param("data:image/png;base64,AA", None, id="data"),
        pytest.param("  ", None, id="empty"),
        pytest.param("http://[bad/a.png", None, id="no URL"),
    ],
)
def test_comparable_url(reference: str, expected: str | None) -> None:
    assert comparable_url("http://h/d/page.html", reference) == expected


def test_count_images_on_each_side() -> None:
    expected = [{"a", "a-large"}, {"b"}]
    found = [{"a-large"}, {"a"}, {"x"}, {"lazy"}]
    # a is found, once on the expected side and by two of ours; b is not; x is wrong.
    assert count_images(expected, found, optional={"lazy"}) == ImageCounts(2, 1, 3, 2)
    assert count_images(expected, found) == ImageCounts(2, 1, 4, 2)
    assert count_images([], []) == ImageCounts(0, 0, 0, 0)


def test_image_shares_are_of_sums() -> None:
    counts = sum_counts([ImageCounts(1, 1, 4, 1), ImageCounts(3, 1, 1, 1)])
    assert (counts.recall, counts.precision) == (0.5, 0.4)
    assert sum_counts([]) == ImageCounts(0, 0, 0, 0)


def test_expected_images_gathers_files_and_sets_those_without_src_apart() -> None:
    html = """
    <picture><source srcset="big.webp 2x, /small.webp?x=1 1x"><img src="a.png?v=1"></picture>
    <img src="a.png" data-src="lazy.png" width=3>
    <img src="data:image/gif;base64,AA" data-srcset="only-lazy.png 300w">
    """
    images, optional = expected_images(html, READABILITY_URL)
    base = "http://fakehost/test/"
    others = {f"{base}big.webp", "http://fakehost/small.webp", f"{base}lazy.png"}
    assert images == (ImageFiles(f"{base}a.png", frozenset(others)),)
    assert optional == {f"{base}only-lazy.png"}


def test_expected_text_sets_blocks_apart_and_inline_elements_not() -> None:
    html = "<p>one</p><ul><li>t<b>w</b>o</li><li>three</ul>x<br>y<script>no</script>"
    assert html_text(html).split() == ["one", "two", "three", "x", "y"]
    assert set_blocks_apart("<b>a</b><p>b</p>") == "<b>a</b> <p>b </p>"


def test_content_of_nodes_is_text_by_line_and_files_of_images() -> None:
    nodes = [
        Node("text", "heading", text="# One"),
        Node("image", "image", image_url="http://h/a.png", full_url="http://h/b.png", alt="no"),
        Node("text", "paragraph", text="two"),
    ]
    files = [["http://h/a.png", "http://h/b.png"]]
    assert content_of(nodes, whole=True) == Content("# One\ntwo", files)
    assert content_of(nodes) == Content("two", files), "the headline is no body text"


def test_body_text_is_without_the_headline_and_captions_only() -> None:
    nodes = [
        Node("text", "heading", text="## First"),
        Node("text", "caption", text="of a picture"),
        Node("text", "heading", text="# Second"),
    ]
    assert content_of(nodes).text == "## First\n# Second"


@pytest.mark.parametrize(
    ("second", "position"),
    [
        pytest.param(["a", "b"], None, id="the same"),
        pytest.param(["a", "c"], 1, id="another text"),
        pytest.param(["a"], 1, id="one is shorter"),
    ],
)
def test_first_difference(second: list[str], position: int | None) -> None:
    first = [Node("text", "paragraph", text=text) for text in ("a", "b")]
    others = [Node("text", "paragraph", text=text) for text in second]
    assert first_difference(first, others) == position
    assert first_difference(others, first) == position


def test_compare_backends_lists_each_page_that_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    def extract(html: str, url: str, config: object, backend: str) -> object:
        if html == "refused" and backend == "lexbor":
            raise HtmlParseError("no")
        other = "c" if html == "differs" and backend == "lexbor" else "b"
        return SimpleNamespace(nodes=[Node("text", "p", text=text) for text in ("a", other)])

    monkeypatch.setattr("benchmarks.extraction_ours.extract_page", extract)
    pages = [{"name": name, "url": "", "html": name} for name in ("same", "differs", "refused")]
    second = {"kind": "text", "role": "p", "svg": False}
    assert compare_backends(pages) == [
        {"page": "differs", "node": 1, "lexbor": {**second, "text": "c"},
         "beautifulsoup": {**second, "text": "b"}},
        {"page": "refused", "node": 0, "lexbor": "HtmlParseError",
         "beautifulsoup": {**second, "text": "a"}},
    ]  # fmt: skip


def test_held_out_extractor_judges_a_page_with_the_fold_of_its_site(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = [f"{letter}{layer}" for letter in "wb" for layer in range(1, 5)] + ["page"]
    arrays = {f"{fold}/{name}": np.full(1, fold) for fold in range(FOLDS) for name in names}
    np.savez(tmp_path / "folds.npz", **arrays)  # type: ignore[arg-type]  # numpy types its own keyword
    used: list[float] = []

    def extract(html: str, url: str, config: object, backend: str, model: ContentModel) -> object:
        used.append(float(model.page[0]))
        return SimpleNamespace(nodes=[])

    monkeypatch.setattr("benchmarks.extraction_ours.extract_page", extract)
    sites = [f"site{number}.com" for number in range(20)]
    urls = [f"https://www.{site}/page" for site in sites]
    pages = [{"url": url} for url in urls]
    judged = held_out_extractor("lexbor", tmp_path / "folds.npz", pages)
    for url in urls:
        judged("", url)
    assert used == [fold_of(site) for site in sites]
    assert len(set(used)) == FOLDS


def run_of(texts: list[str], seconds: float, images: list[list[list[str]]] | None = None) -> dict:  # type: ignore[type-arg]
    found = [
        {"text": text, "images": images[at] if images else [], "failed": False}
        for at, text in enumerate(texts)
    ]
    clock = [seconds / len(texts)] * len(texts)
    return {"found": found, "cpu": clock, "wall": [2 * each for each in clock]}


def test_measure_of_wcxb_has_types_snippets_and_speed_of_the_middle_run() -> None:
    pages = [
        GoldPage("1", "http://h/1", "x" * 500_000, "a b", "article", ("a b",), ("menu",)),
        GoldPage("2", "http://h/2", "x" * 500_000, "a b", "forum", ("b",), ("menu",)),
    ]
    runs = [run_of(["a b", "menu a"], seconds) for seconds in (9.0, 2.0, 4.0)]
    made = measure("wcxb", pages, "ours", runs, None)
    assert made.measures == pytest.approx({
        "precision": 0.75, "recall": 0.75, "F1": 0.75, "F1 article": 1.0, "F1 forum": 0.5,
        "pages/s": 0.25, "pages/CPU s": 0.5, "MB/CPU s": 0.25,
    })  # fmt: skip
    assert made.details["wanted_snippets_kept"] == 0.5
    assert made.details["unwanted_snippets_left_out"] == 0.5
    assert made.page_f1 == {"1": 1.0, "2": 0.5}


def test_judge_images_matches_any_file_or_src_alone() -> None:
    url = "http://h/p"
    page = GoldPage(
        "1", url, "", "a", images=(ImageFiles("http://h/s.png", frozenset({"http://h/2x.png"})),),
        optional_images=frozenset({"http://h/lazy.png"}),
    )  # fmt: skip
    found = [
        {"images": [["/2x.png?q"], ["/2x.png"], ["/lazy.png"], ["/t.png", "/s.png"], ["data:,"]]}
    ]
    assert judge_images([page], found) == ImageCounts(1, 1, 2, 2)
    assert judge_images([page], found, by_src_alone=True) == ImageCounts(1, 0, 3, 0)


def test_make_rows_sets_ours_against_each_peer_and_target() -> None:
    ours = Measured("ours, lexbor", {"F1": 0.97, "pages/CPU s": 300.0})
    slow = Measured("trafilatura", {"F1": 0.96, "pages/CPU s": 15.0})
    rows = [row.as_json() for row in make_rows({"scrapinghub": [ours, slow]})]
    assert [(row["what"], row["ours"], row["peer_name"], row["peer"]) for row in rows] == [
        ("scrapinghub: F1", 0.97, "trafilatura", 0.96),
        ("scrapinghub: F1", 0.97, "target", 0.96),
        ("scrapinghub: pages/CPU s", 300.0, "trafilatura", 15.0),
        ("scrapinghub: speed over trafilatura", 20.0, "target", 15.0),
    ]


def test_run_pages_times_each_page_and_a_peer_may_fail() -> None:
    calls: list[str] = []

    def extract(html: str, url: str) -> Content:
        calls.append(url)
        if html == "bad":
            raise RecursionError
        return Content(html.upper())

    pages = [{"html": "a", "url": "1"}, {"html": "bad", "url": "2"}]
    made = run_pages(forgiving(extract), pages)
    assert calls == ["1", "1", "2"]  # the first page warms up
    assert [(each["text"], each["failed"]) for each in made["found"]] == [("A", False), ("", True)]
    assert len(made["cpu"]) == len(made["wall"]) == 2
    assert all(math.isfinite(each) and each >= 0 for each in made["cpu"] + made["wall"])


def test_without_data_the_program_says_so_and_ends_well(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks.extraction",
        "--in-sample",
        "--data",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "skipped: the data sets are not there" in done.stderr
    assert done.stdout == ""


def test_sets_have_the_published_sizes(shared_data: Path) -> None:
    pages = {name: load_set(name, shared_data) for name in SETS}
    assert {name: len(own) for name, own in pages.items()} == {
        "scrapinghub": 181, "readability": 130, "wcxb": 613
    }  # fmt: skip
    assert sum(len(page.images) for page in pages["readability"]) == 412
    assert all(page.html and page.url for own in pages.values() for page in own)
    assert len({page.kind for page in pages["wcxb"]}) == 7


def test_resiliparse_reaches_its_published_figure(shared_data: Path) -> None:
    from benchmarks.peers import resiliparse_content

    extract = resiliparse_content()
    pages = load_set("scrapinghub", shared_data)
    score = score_shingles((page.text, extract(page.html, page.url).text) for page in pages)
    assert score.f1 == pytest.approx(0.916, abs=0.005)


def test_a_run_writes_the_promised_form(shared_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "made" / "extract.json"
    words = f"--quick --in-sample --no-peers --sets readability --backends lexbor --output {path}"
    command = [sys.executable, "-m", "benchmarks.extraction", *words.split()]
    command += ["--data", str(shared_data)]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    made = json.loads(path.read_text())
    assert made["name"] == "extract"
    whats = {row["what"] for row in made["rows"]}
    assert {"readability: F1", "readability: image recall", "readability: pages/s"} <= whats
    assert made["details"]["sets"]["readability"]["weights"] == "shipped"
