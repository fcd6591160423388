"""A run whose recipe verifies on texts and prefers by a score, and what a change makes again."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from beam_runner import main
from pipeline.inspection.explain import explain
from pipeline.inspection.show_explanation import render_explanation
from pipeline.plan import make_plan
from pipeline.run import RunOptions
from tests.small_crawl import write_pages

RECIPE = """
[input]
format = "obelics"
[dedup]
buckets = 2
min_similarity = 0.75
verify = "texts"
prefer = ["score", "latest"]
score = "CASE WHEN words < 430 THEN -words END"
[gates.dedup]
words = { value = "words", min = 3 }
[gates.shard.text]
words = { value = "words", min = 3 }
"""


def text(first: int, last: int) -> str:
    return " ".join(f"word{number}" for number in range(first, last))


PAGES = {
    "http://story.example/long": text(0, 450),
    "http://story.example/middle": text(25, 440),
    "http://story.example/short": text(40, 430),
    "http://other.example/": text(3000, 3300),
}
STEPS = ("signatures", "edges", "labels", "clusters")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("order")
    write_pages(folder / "pages.parquet", PAGES)
    (folder / "recipe.toml").write_text(RECIPE)
    command = ["run", str(folder / "recipe.toml"), "--input", str(folder / "pages.parquet")]
    assert main([*command, "--output", str(folder / "out"), "--workers", "1", "--quiet"]) == 0
    return folder


def edges_of(page: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for cluster in page["clusters"]:
        yield from cluster["path"]


def test_the_best_score_leads_and_wins_and_similarity_is_exact(folder: Path) -> None:
    out = str(folder / "out")
    found = explain(out, "http://story.example/long")
    assert found["prefer"] == ["score", "latest"]
    (page,) = found["pages"]
    (cluster,) = page["clusters"]
    assert cluster["exact"]
    shown = [(m["url"].rpartition("/")[2], m["score"]) for m in cluster["members"]]
    # The longest has more words than get a score, so it comes last.
    assert shown == [("short", -390.0), ("middle", -415.0), ("long", None)]
    # Both are runs of one story, so the shingles of the shorter are among those of the longer.
    similarities = [m["similarity"] for m in cluster["members"]]
    assert similarities == [1.0, 386 / 411, 386 / 446]
    assert [edge["exact"] for edge in edges_of(page)] == [True]
    console = Console(file=io.StringIO(), width=200, color_system=None)
    render_explanation(found, console)
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert "(best: score, then latest)" in told
    assert "0.939" in told
    assert "about" not in told
    assert "score -415" in told
    # At gate `shard` the same page stays.
    assert [row["rule"] for row in page["ledger"]] == ["duplicate"]
    (best,) = explain(out, "http://story.example/short")["pages"]
    assert best["ledger"] == []
    assert page["ledger"][0]["value_text"] == best["id"]


@pytest.mark.parametrize(
    ("changes", "again"),
    [
        ([], None),
        (["dedup.buckets=5"], "labels"),
        (["dedup.prefer=['longest', 'score']"], "clusters"),
        (["dedup.verify=signatures"], "edges"),
        (["dedup.min_similarity=0.76"], "edges"),
        (["dedup.score=words"], "signatures"),
        (["dedup.minhash.bands=13"], "signatures"),
    ],
    ids=str,
)
def test_a_change_makes_again_what_hangs_on_it(
    folder: Path, changes: list[str], again: str | None
) -> None:
    options = RunOptions(
        str(folder / "recipe.toml"), [str(folder / "pages.parquet")], str(folder / "out"),
        workers=1, overrides=changes,
    )  # fmt: skip
    steps = {step["step"]: step.get("to_run") for step in make_plan(options)["steps"]}
    expected = STEPS.index(again) if again else len(STEPS)
    assert [steps[name] == 0 for name in STEPS] == [n < expected for n in range(len(STEPS))], steps
