"""A changed threshold decides anew and scores nothing; `diff` tells what it moved, rule by rule."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from beam_runner import main
from pipeline.inspection.diff import diff_outputs
from pipeline.inspection.recipe_diff import recipe_changes, rule_of, threshold_of
from pipeline.inspection.show_diff import render_diff
from schemas.errors import InputError, UserError
from tests.small_crawl import picture, prose, response

RECIPE = """
[dedup]
buckets = 2
[refs]
buckets = 2
[shards]
target_samples = 3
[gates.dedup]
words = { value = "words", min = 20 }
[gates.fetch.caption]
length = { value = "length(text)", min = 5 }
[gates.shard.captioned]
min_side = { value = "least(width, height)", min = 100 }
aspect = { value = "width / height", max = 2 }
[gates.shard.interleaved.image]
min_side = { value = "least(width, height)", min = 100 }
[gates.shard.interleaved.document]
images = { value = "images", min = 1, max = 5 }
"""
RULE = "gates.shard.captioned.min_side"
CHANGE = f"{RULE}.min=135"
SITE = "https://hill.example"
PAGES = 12
LOST = 3
"""Pictures below the changed threshold."""


def side(number: int) -> int:
    """110, 120, 130, ... pixels."""
    return 110 + 10 * number


def page(number: int, sentences: int = 12) -> bytes:
    html = (
        f"<html><title>Page {number}</title><article><h1>Page {number}</h1>"
        f'<p>{prose(number, sentences)}</p><img src="/{number}.png" alt="The boat number {number}">'
        f"<p>{prose(-number - 1, sentences)}</p>"
    )
    image = picture(number, side(number))
    return response(f"{SITE}/{number}", "text/html", html.encode()) + response(
        f"{SITE}/{number}.png", "image/png", image
    )


def run(folder: Path, name: str = "out", *changes: str) -> Path:
    arguments = ["run", str(folder / "recipe.toml"), "-i", str(folder / "crawl"), "-q", "-w", "1"]
    more = [word for change in changes for word in ("--set", change)]
    assert main([*arguments, "-o", str(folder / name), *more]) == 0
    return folder / name


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crawl of two files, and its output `out`, which no test changes."""
    folder: Path = tmp_path_factory.mktemp("diff")
    (folder / "crawl").mkdir()
    for number in range(2):
        pages = range(number, PAGES, 2)
        (folder / "crawl" / f"{number}.warc").write_bytes(b"".join(page(n) for n in pages))
    (folder / "recipe.toml").write_text(RECIPE)
    run(folder)
    return folder


@pytest.fixture(scope="module")
def changed(place: Path) -> Path:
    """The output of the other threshold, made by a run from the beginning."""
    return run(place, "changed", CHANGE)


def stamps(output: Path, below: str) -> dict[str, tuple[int, int]]:
    return {
        path.relative_to(output).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in sorted((output / below).rglob("*"))
        if path.is_file()
    }


def fresh(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> set[str]:
    return {name for name, stamp in after.items() if before.get(name) != stamp}


def sample_shards(output: Path) -> dict[str, str]:
    """Sample -> its shard, with the stream: what the indexes say."""
    return {
        row["key"]: f"{path.parent.name}/{row['shard']}"
        for path in sorted((output / "shards").rglob("index.parquet"))
        for row in pq.read_table(path).to_pylist()
    }


# --- re-decide


def test_changed_threshold_decides_anew_and_does_nothing_else(place: Path, changed: Path) -> None:
    output = place / "again"
    shutil.copytree(place / "out", output)
    commits, tables, packs = (stamps(output, name) for name in ("commits", "tables", "packs"))
    tars, before = stamps(output, "shards"), sample_shards(output)
    run(place, "again", CHANGE)
    # Stages before `shard` made nothing: no record, no table, no pack is new or touched.
    made = fresh(commits, stamps(output, "commits"))
    assert {name.split("/")[1] for name in made} == {"shard"}
    steps = {name.split("/")[2].partition("-")[0] for name in made}
    assert steps == {"samples", "shard", "published"}, "candidates are joined once"
    assert {name.split("/")[1] for name in fresh(tables, stamps(output, "tables"))} <= {
        "samples", "ledger", "index",
    }  # fmt: skip
    assert fresh(packs, stamps(output, "packs")) == set()
    parts = len(list((place / "crawl").iterdir()))
    assert len([name for name in made if "/samples-" in name]) == parts
    # Only shards whose rows changed are written; all others are the very files of before.
    after = sample_shards(output)
    lost = before.keys() - after.keys()
    assert len(lost) == LOST, "pictures of 110, 120 and 130 pixels"
    assert {before[key].split("/")[0] for key in lost} == {"captioned"}
    moved = {shard for key, shard in before.items() if after.get(key) != shard}
    written = {name for name in fresh(tars, stamps(output, "shards")) if name.endswith(".tar")}
    kept = {f"shards/{shard}" for shard in moved} & {
        path.relative_to(output).as_posix() for path in output.rglob("*.tar")
    }
    assert written == kept != set()
    everything = {name for name in tars if name.endswith(".tar")}
    assert len(everything) > len(written) + 4, "most shards stay"
    # And it is what a run from the beginning gives: nothing of the first threshold is left.
    found = diff_outputs(str(output), str(changed))
    assert found["recipe"] == found["rules"] == found["problems"] == []
    for shards in found["shards"].values():
        assert shards["differ"] == shards["a_only"] == shards["b_only"] == []


# --- diff


def test_diff_names_the_rule_and_the_rows(place: Path, changed: Path) -> None:
    found = diff_outputs(str(place / "out"), str(changed))
    assert found["recipe"] == [{"key": f"{RULE}.min", "a": 100, "b": 135}]
    (rule,) = found["rules"]
    assert (rule["rule"], rule["changed"]) == (RULE, True)
    assert (rule["threshold_a"], rule["threshold_b"]) == ("min=100", "min=135")
    assert rule["to_b"] == {"rows": 0, "elsewhere": 0, "examples": []}
    assert (rule["to_a"]["rows"], rule["to_a"]["elsewhere"]) == (LOST, 0)
    examples = {row["text"]: row for row in rule["to_a"]["examples"]}
    assert {text: row["value"] for text, row in examples.items()} == {
        "The boat number 0": 110.0,
        "The boat number 1": 120.0,
        "The boat number 2": 130.0,
    }  # fmt: skip
    row = examples["The boat number 0"]
    assert (row["kind"], row["node"], row["threshold"]) == ("caption", None, "min=135")
    assert (row["url"], row["image_url"]) == (f"{SITE}/0", f"{SITE}/0.png")
    assert found["streams"] == {
        "captioned": {"a_only": LOST, "b_only": 0, "both": PAGES - LOST},
        "interleaved": {"a_only": 0, "b_only": 0, "both": PAGES},
        "text": {"a_only": 0, "b_only": 0, "both": 0},
    }
    assert found["tables"]["captions"] == {"a_only": LOST, "b_only": 0, "both": PAGES - LOST}
    assert found["tables"]["image_nodes"] == {"a_only": 0, "b_only": 0, "both": PAGES}
    assert found["shards"]["interleaved"]["differ"] == []
    assert found["shards"]["interleaved"]["equal"] != []
    captioned = found["shards"]["captioned"]
    assert captioned["differ"] or captioned["a_only"]


def test_diff_turned_about_is_the_same_turned_about(place: Path, changed: Path) -> None:
    one = diff_outputs(str(place / "out"), str(changed))
    other = diff_outputs(str(changed), str(place / "out"))
    (rule,), (turned,) = one["rules"], other["rules"]
    assert rule["to_a"] == turned["to_b"]
    assert rule["to_b"] == turned["to_a"]
    for name in one["streams"]:
        assert one["streams"][name]["a_only"] == other["streams"][name]["b_only"]


def test_number_of_examples_is_bounded(place: Path, changed: Path) -> None:
    for wanted in (0, 1):
        (rule,) = diff_outputs(str(place / "out"), str(changed), wanted)["rules"]
        assert len(rule["to_a"]["examples"]) == wanted
        assert rule["to_a"]["rows"] == LOST


def test_diff_tells_removed_rules_other_gates_and_pages(place: Path) -> None:
    other = run(
        place, "other", f"{RULE}.min=155", "gates.shard.captioned.aspect=false",
        "gates.shard.interleaved.document.images.max=0.5",
        "gates.shard.interleaved.document.images.min=0.5", "gates.dedup.words.min=100000",
    )  # fmt: skip
    found = diff_outputs(str(place / "out"), str(other))
    rules = {rule["rule"]: rule for rule in found["rules"]}
    words = rules["gates.dedup.words"]
    assert words["to_a"]["rows"] == PAGES, "pages are rows too"
    assert words["to_a"]["examples"][0]["url"].startswith(SITE)
    assert rules["gates.fetch.document_rejected"]["to_a"]["rows"] == 2 * PAGES
    aspect = rules["gates.shard.captioned.aspect"]
    assert (aspect["changed"], aspect["threshold_a"], aspect["threshold_b"]) == (
        True, "max=2", None
    )  # fmt: skip
    assert [rule["changed"] for rule in found["rules"]] == sorted(
        (rule["changed"] for rule in found["rules"]), reverse=True
    )
    assert {"key": "gates.shard.captioned.aspect.max", "a": 2, "b": None} in found["recipe"]
    assert found["streams"]["interleaved"] == {"a_only": PAGES, "b_only": 0, "both": 0}


def test_documents_that_another_rule_drops_are_counted_apart(place: Path) -> None:
    one = run(place, "one", f"{RULE}.min=125")
    two = run(place, "two", "gates.shard.captioned.width.value=width",
              "gates.shard.captioned.width.min=125", f"{RULE}=false")  # fmt: skip
    found = diff_outputs(str(one), str(two))
    moved = {rule["rule"]: (rule["to_b"], rule["to_a"]) for rule in found["rules"]}
    nothing = {"rows": 0, "elsewhere": 0, "examples": []}
    assert moved == {
        RULE: ({**nothing, "elsewhere": 2}, nothing),
        "gates.shard.captioned.width": (nothing, {**nothing, "elsewhere": 2}),
    }
    assert found["streams"]["captioned"]["both"] == PAGES - 2


def test_other_input_is_told_and_no_rule_is_blamed(place: Path, tmp_path: Path) -> None:
    (tmp_path / "crawl").mkdir()
    shutil.copy(place / "crawl" / "0.warc", tmp_path / "crawl" / "0.warc")
    shutil.copy(place / "recipe.toml", tmp_path / "recipe.toml")
    found = diff_outputs(str(place / "out"), str(run(tmp_path)))
    assert [
        problem
        for problem in found["problems"]
        if "the inputs differ: 1 files only in A" in problem
    ]
    assert found["rules"] == []
    assert found["streams"]["interleaved"]["a_only"] == PAGES // 2


def test_command_prints_text_and_json(place: Path, changed: Path, capsys: Any) -> None:
    outputs = [str(place / "out"), str(changed)]
    assert main(["diff", *outputs, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == diff_outputs(*outputs)
    assert main(["diff", *outputs, "--examples", "1"]) == 0
    told = capsys.readouterr().out
    assert f"{RULE}.min:  100 -> 135" in told
    assert f"{RULE}  min=100 -> min=135" in told
    assert "3 kept in A, dropped in B" in told
    assert "and 2 more" in told
    assert "The boat number" in told
    assert main(["diff", "--help"]) == 0
    help_text = capsys.readouterr().out
    assert "--examples" in help_text
    assert "--json" in help_text


def test_equal_outputs_differ_in_nothing(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "out", tmp_path / "copy")
    console = Console(file=io.StringIO(), width=140, color_system=None)
    render_diff(diff_outputs(str(place / "out"), str(tmp_path / "copy")), console)
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert "the recipes are the same" in told
    assert "no rule moved a row" in told


def test_text_of_strangers_is_text(place: Path, changed: Path) -> None:
    found = diff_outputs(str(place / "out"), str(changed))
    evil = "\x1b[31m[bold]\u202e\x00"
    found["problems"], found["recipe"] = [evil], [{"key": evil, "a": evil, "b": [evil]}]
    for row in found["rules"][0]["to_a"]["examples"]:
        row |= {"text": evil, "url": evil, "image_url": evil, "value": None, "value_text": evil}
    console = Console(file=io.StringIO(), width=140, color_system=None)
    render_diff(found, console)
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[bold]" in told
    assert not {"\x1b", "\u202e", "\x00"} & set(told)


def test_one_output_twice_is_refused(place: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "link").symlink_to(place / "out")
    for other in (place / "out", Path(f"{place}/./out/"), tmp_path / "link"):
        with pytest.raises(UserError, match="are one output"):
            diff_outputs(str(place / "out"), str(other))
    assert main(["diff", str(place / "out"), str(place / "out")]) == 2
    assert "copy it" in capsys.readouterr().err


def test_output_that_is_none_or_has_not_ended_is_refused(place: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        diff_outputs(str(place / "out"), str(tmp_path / "nowhere"))
    shutil.copytree(place / "out", tmp_path / "half")
    record = json.loads((tmp_path / "half" / "run.json").read_text())
    del record["stages"]["shard"]
    (tmp_path / "half" / "run.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="run it to its end"):
        diff_outputs(str(tmp_path / "half"), str(place / "out"))


def test_broken_table_is_named(place: Path, changed: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "out", tmp_path / "broken")
    for file in (tmp_path / "broken" / "tables" / "candidates_nodes").iterdir():
        file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"tables/.*cannot be read"):
        diff_outputs(str(changed), str(tmp_path / "broken"))


# --- recipes


def test_changes_of_recipes_are_leaves_and_orders() -> None:
    a = {"x": 1, "gates": {"dedup": {"p": {"min": 1}, "q": "a > 1"}, "fetch": {}}, "list": [1, 2]}
    b = {
        "x": 2,
        "gates": {"dedup": {"q": "a > 1", "p": {"min": 1}}},
        "list": [1, 3],
        "new": {"y": 0},
    }
    assert recipe_changes(a, b) == [
        {"key": "x", "a": 1, "b": 2},
        {"key": "list", "a": [1, 2], "b": [1, 3]},
        {"key": "new.y", "a": None, "b": 0},
        {"key": "gates.dedup", "a": ["p", "q"], "b": ["q", "p"]},
    ]
    assert recipe_changes(a, a) == []


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        ("gates.dedup.words.min", "gates.dedup.words"),
        ("gates.dedup.words", "gates.dedup.words"),
        ("gates.shard.captioned.best.over", "gates.shard.captioned.best"),
        ("gates.shard.interleaved.image.best.min", "gates.shard.interleaved.image.best"),
        ("gates.shard.interleaved.rescore", ""),
        ("gates.dedup", ""),
        ("shards.quality", ""),
    ],
)
def test_rule_of_a_changed_value(key: str, rule: str) -> None:
    assert rule_of(key) == rule


def test_threshold_is_that_of_the_ledger() -> None:
    recipe = {
        "gates": {"dedup": {"words": {"value": "words", "min": 2, "max": 5}, "sql": "a  > 1"}}
    }
    assert threshold_of(recipe, "gates.dedup.words") == "min=2, max=5"
    assert threshold_of(recipe, "gates.dedup.sql") == "a > 1"
    assert threshold_of(recipe, "gates.dedup.gone") is None
    assert threshold_of(recipe, "gates.fetch.gone") is None
