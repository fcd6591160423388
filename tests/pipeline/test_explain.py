"""`explain`: the clusters of a page, its rank, the path of edges, what the gates said."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from beam_runner import main
from pipeline.inspection.explain import explain
from pipeline.inspection.show_explanation import render_explanation
from schemas.errors import InputError
from tests.small_crawl import write_pages
from transforms.minhash import MinHashConfig, estimate_similarity, signatures

RECIPE = """
[input]
format = "obelics"
[dedup]
buckets = 2
min_similarity = 0.7
[gates.dedup]
words = { value = "words", min = 3 }
"""
EVIL = "http://evil.example/\x1b[31m[bold]"


def text(first: int, last: int) -> str:
    """Words of a long story, from one to another: stories that overlap are alike."""
    return " ".join(f"word{number}" for number in range(first, last))


PAGES = {
    "http://chain.example/a": text(0, 400),
    "http://chain.example/b": text(50, 450),
    "http://chain.example/c": text(100, 500),
    "http://twice.example/": text(2000, 2100),
    "http://copy.example/": text(2000, 2100),
    "http://lonely.example/": text(3000, 3300),
    "http://short.example/": "too short",
}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("explain")
    write_pages(folder / "pages.parquet", PAGES)
    (folder / "recipe.toml").write_text(RECIPE)
    command = ["run", str(folder / "recipe.toml"), "--input", str(folder / "pages.parquet")]
    out = str(folder / "out")
    assert main([*command, "--output", out, "--stages", "extract,dedup", "--quiet"]) == 0
    return out


def page(output: str, key: str) -> dict[str, Any]:
    (found,) = explain(output, key)["pages"]
    return found


def shown(found: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=200, color_system=None)
    render_explanation(found, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_near_duplicate_tells_its_cluster_rank_and_similarity(output: str) -> None:
    names = [f"http://chain.example/{name}" for name in "abc"]
    values = signatures([PAGES[name] for name in names], MinHashConfig())
    ab, bc, ac = (
        float(estimate_similarity(values[i], values[j])) for i, j in ((0, 1), (1, 2), (0, 2))
    )
    assert min(ab, bc) >= 0.7 > ac  # a chain
    pages = {name: page(output, name) for name in names}
    ids = {name: found["id"] for name, found in pages.items()}
    lengths = {name: len(PAGES[name]) for name in names}
    # No dates: the longest text leads, which is the last of the chain; who is like it follows.
    assert max(lengths, key=lambda name: lengths[name]) == names[2]
    (cluster,) = pages[names[1]]["clusters"]
    assert (cluster["kind"], cluster["cluster_id"]) == ("near_text", ids[names[2]])
    assert (cluster["rank"], cluster["similarity"], cluster["size"]) == (1, bc, 2)
    assert [member["url"] for member in cluster["members"]] == [names[2], names[1]]
    assert [(edge["a"], edge["b"]) for edge in cluster["path"]] == [(ids[names[1]], ids[names[2]])]
    # The other end of the chain is not like the leader: no cluster, but the edge is told.
    assert pages[names[0]]["clusters"] == []
    (edge,) = pages[names[0]]["edges"]
    assert {edge["a"], edge["b"]} == {ids[names[0]], ids[names[1]]}
    assert edge["similarity"] == ab
    told = shown(explain(output, names[0]))
    assert "not similar to the best-ranked page" in told
    assert f"about {ab:.2f}" in told  # an estimate
    assert not edge["exact"]


def test_exact_copies_are_a_cluster_of_each_kind(output: str) -> None:
    found = page(output, "http://twice.example/")
    assert [cluster["kind"] for cluster in found["clusters"]] == ["near_text", "text"]
    assert all(cluster["size"] == 2 for cluster in found["clusters"])
    assert [cluster["exact"] for cluster in found["clusters"]] == [False, True]
    assert "pages with the same text" in shown(explain(output, "http://copy.example/"))


def test_page_without_duplicates_and_page_that_a_gate_refused(output: str) -> None:
    assert page(output, "http://lonely.example/")["clusters"] == []
    assert "no duplicate was found" in shown(explain(output, "http://lonely.example/"))
    refused = page(output, "http://short.example/")
    assert [(row["gate"], row["rule"], row["value"]) for row in refused["ledger"]] == [
        ("dedup", "words", 2.0)
    ]
    assert "rejected by  dedup.words  2" in shown(explain(output, "http://short.example/"))


def test_an_id_or_the_beginning_of_one_is_a_key(output: str) -> None:
    whole = page(output, "http://lonely.example/")
    for key in (whole["id"], whole["id"][:10]):
        assert page(output, key)["url"] == "http://lonely.example/"


@pytest.mark.parametrize(
    "key", ["http://nowhere.example/", "abcdef0123456789", "", "'; --", "%", "\udcff"]
)
def test_unknown_key_is_the_users_mistake(output: str, key: str, capsys: Any) -> None:
    with pytest.raises(InputError, match=r"no page of|no URL and no id"):
        explain(output, key)
    assert main(["explain", output, key]) == 2
    assert "id" in capsys.readouterr().err


def test_command_prints_json(output: str, capsys: Any) -> None:
    assert main(["explain", output, "http://twice.example/", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == explain(output, "http://twice.example/")


def test_text_of_strangers_is_text(output: str) -> None:
    found = page(output, "http://twice.example/")
    found["title"] = found["url"] = EVIL
    text = shown({**explain(output, "http://twice.example/"), "prefer": [EVIL], "pages": [found]})
    assert "[bold]" in text
    assert "\x1b" not in text
