"""`explain`: the whole life of an item on a small crawl, and rules at their threshold."""

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from beam_runner import main
from pipeline.inspection.explain import explain
from pipeline.inspection.rule_examples import explain_rule
from pipeline.inspection.show_explanation import render_explanation
from pipeline.inspection.show_rule import render_rule
from pipeline.recipe import load_recipe, make_recipe, shipped_recipes
from schemas.errors import InputError, UserError
from schemas.shards import sample_key
from tests.small_crawl import picture, prose, response, rows

ROOT = Path(__file__).resolve().parents[1]
RECIPE = """
[dedup]
buckets = 2
[refs]
buckets = 2
[gates.dedup]
language = { value = "language", in = ["en"] }
[gates.fetch.caption]
words = { value = "words", min = 50 }
length = { value = "length(text)", min = 10 }
[gates.shard.captioned]
min_side = { value = "least(width, height)", min = 200 }
aspect = { value = "width / height", max = 2 }
best = { value = "width", top_fraction = 0.5, over = "all" }
[gates.shard.interleaved.image]
min_side = { value = "least(width, height)", min = 120 }
[gates.shard.interleaved.document]
images = { value = "images", min = 1, max = 2 }
landscape = "images > 0"
"""
SITE = "https://hill.example"
SIDES = {"a": 100, "b": 150, "c": 190, "d": 210, "e": 400}
EVIL = "[bold]\x1b[31mA red\x07 boat\u202e[/bold] at the quay of the town"


def page(name: str, images: dict[str, str]) -> bytes:
    """A page with pictures, by name and alternative text."""
    figures = "".join(
        f'<img src="/{n}.png" alt="{alt}"><p>{prose(n)}</p>' for n, alt in images.items()
    )
    html = (
        f"<html><title>Page {name}</title><article><h1>{name}</h1><p>{prose(name, 12)}</p>{figures}"
    )
    return response(f"{SITE}/{name}", "text/html; charset=utf-8", html.encode())


def crawl() -> bytes:
    data = b"".join(
        response(f"{SITE}/{name}.png", "image/png", picture(side, side))
        for name, side in SIDES.items()
    )
    data += page("one", {"a": "The first small boat", "b": "The second boat of them all"})
    data += page("two", {"c": "The third boat at the quay", "d": EVIL, "e": "short"})
    data += page(
        "three", {"d": "The fourth boat again", "e": "The largest boat", "gone": "A lost boat"}
    )
    data += response(f"{SITE}/empty", "text/html", b"<html></html>")
    return data + response(f"{SITE}/plain", "text/html", f"<p>{prose('plain', 30)}</p>".encode())


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("life")
    (folder / "crawl.warc").write_bytes(crawl())
    (folder / "recipe.toml").write_text(RECIPE)
    command = ["run", str(folder / "recipe.toml"), "-i", str(folder / "crawl.warc"), "-q"]
    assert main([*command, "-o", str(folder / "out"), "-w", "1"]) == 0
    return str(folder / "out")


def shown(found: dict[str, Any], render: Any = render_explanation) -> str:
    console = Console(file=io.StringIO(), width=140, color_system=None)
    render(found, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def only(output: str, key: str, kind: str = "pages") -> dict[str, Any]:
    (found,) = explain(output, key)[kind]
    return dict(found)


# --- one item


def test_page_tells_where_it_came_from_and_what_it_measures(output: str) -> None:
    found = only(output, f"{SITE}/one")
    assert found["source"]["file"] == "crawl.warc"
    assert found["source"]["offset"] > 0
    assert found["facts"]["site"] == "hill.example"
    assert found["facts"]["language"] == found["scores"]["language"] == "en"
    assert found["scores"]["words"] > 100
    told = shown(explain(output, f"{SITE}/one"))
    assert "from  crawl.warc  at" in told
    assert "site hill.example" in told


def test_page_tells_nodes_and_captions_with_the_rules_that_ended_them(output: str) -> None:
    found = only(output, f"{SITE}/one")
    images = [node for node in found["nodes"] if node["kind"] == "image"]
    assert [node["ended_by"] for node in images] == [["gates.shard.interleaved.image.min_side"], []]
    (row,) = images[0]["ledger"]
    assert (row["value"], row["threshold"], row["decisive"]) == (100.0, "min=120", True)
    captions = {caption["text"]: caption for caption in found["captions"]}
    small = captions["The first small boat"]
    # All failing rules, the decisive first.
    assert [(row["rule"], row["decisive"], row["value"]) for row in small["ledger"]] == [
        ("min_side", True, 100.0),
        ("best", False, 100.0),
    ]
    assert small["ended_by"] == ["gates.shard.captioned.min_side"]
    assert small["samples"] == []
    told = shown({**explain(output, f"{SITE}/one")})
    assert "rejected by  shard.interleaved.image.min_side  100  (min=120)" in told
    assert "also failed  shard.captioned.best  100" in told


def test_items_tell_in_which_shard_they_ended(output: str) -> None:
    found = only(output, f"{SITE}/three")
    keys = {sample["stream"]: sample["key"] for sample in found["samples"]}
    assert keys["interleaved"] == sample_key("interleaved", found["id"])
    index = {row["key"]: row["shard"] for row in rows(Path(output), "index")}
    for sample in found["samples"]:
        assert index[sample["key"]] == sample["shard"]
        assert sample["split"] == "train"
        # The key of a sample, or the beginning of it, leads back to its page.
        for key in (sample["key"], sample["key"][:10]):
            assert only(output, key)["id"] == found["id"]
        assert f"ended in  {sample['stream']}/{sample['shard']}" in shown(
            explain(output, sample["key"])
        )
    (large,) = [each for each in found["captions"] if each["text"] == "The largest boat"]
    assert [sample["stream"] for sample in large["samples"]] == ["captioned"]
    image = only(output, keys["captioned"], "images")
    assert image["id"] == large["image_key"]


def test_caption_is_a_key(output: str) -> None:
    caption = only(output, f"{SITE}/one")["captions"][0]
    for key in (caption["id"], caption["id"][:12]):
        found = explain(output, key)
        assert found["captions"] == [caption]
        assert found["pages"] == found["images"] == []
    assert caption["text"] in shown(found)


def test_image_tells_where_its_bytes_lie_and_each_use(output: str) -> None:
    image = only(output, f"{SITE}/e.png", "images")
    (answer,) = image["answers"]
    assert (answer["outcome"], answer["width"], answer["format"]) == ("ok", 400, "png")
    data = (Path(output) / "packs" / answer["pack"]).read_bytes()
    assert data[answer["offset"] :][: answer["size"]] == picture(400, 400)
    assert image["used"] == len(image["uses"]) == 2
    ended = {use["page_url"]: (use["ended_by"], use["samples"]) for use in image["uses"]}
    path = "gates.shard.interleaved.document.images"
    assert ended[f"{SITE}/two"][0] == [path]
    assert [sample["stream"] for sample in ended[f"{SITE}/three"][1]] == [
        "interleaved",
        "captioned",
    ]
    assert only(output, image["id"][:16], "images") == image
    assert "packs/" in shown(explain(output, f"{SITE}/e.png"))


def test_image_without_bytes_tells_its_outcome(output: str) -> None:
    found = only(output, f"{SITE}/three")["captions"]
    (lost,) = [each for each in found if each["text"] == "A lost boat"]
    assert lost["ended_by"] == ["gates.shard.captioned.image_missing"]
    assert lost["ledger"][0]["value_text"] == "missing"


def test_record_that_became_no_page_is_told(output: str) -> None:
    found = explain(output, f"{SITE}/empty")
    (record,) = found["records"]
    assert (record["rule"], record["value_text"]) == ("no_content", f"{SITE}/empty")
    assert record["id"].startswith("crawl.warc:")
    assert explain(output, record["id"])["records"] == [record]
    assert "rejected by  record.no_content" in shown(found)


def test_text_of_strangers_is_text(output: str) -> None:
    told = shown(explain(output, f"{SITE}/two"))
    assert "[bold]" in told
    assert not {"\x1b", "\x07", "\u202e"} & set(told)


def test_lists_are_bounded_and_json_is_whole(output: str, capsys: Any) -> None:
    found = explain(output, f"{SITE}/one")
    (page,) = found["pages"]
    page["nodes"] = page["nodes"] * 30
    page["captions"] = page["captions"] * 30
    told = shown(found)
    assert f"and {len(page['nodes']) - 20:,} more" in told
    assert f"and {len(page['captions']) - 20:,} more" in told
    assert all(len(row) < 300 for row in told.splitlines())
    assert main(["explain", output, f"{SITE}/one", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == explain(output, f"{SITE}/one")


def test_scores_are_told_where_their_tables_exist(output: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(output, out)
    (page,) = explain(output, f"{SITE}/three")["pages"]
    caption = next(each for each in page["captions"] if each["text"] == "The largest boat")
    image = {"image_key": [caption["image_key"]], "blur": [0.25], "nsfw": [None]}
    pair = {"caption_id": [caption["id"]], "clip_score": [0.5]}
    record = sorted((out / "commits" / "extract").glob("*.json"))[0]
    commit = json.loads(record.read_text())
    for table, columns in (("scores_images", image), ("scores_captions", pair)):
        path = f"tables/{table}/part-0.parquet"
        (out / path).parent.mkdir()
        pq.write_table(pa.table(columns), out / path)
        commit["files"][table] = {"part": path}
    record.write_text(json.dumps(commit))
    found = only(str(out), caption["id"], "captions")
    assert found["scores"] == {"blur": 0.25, "nsfw": None, "clip_score": 0.5}
    assert "scores  blur 0.25, clip_score 0.5" in shown(explain(str(out), caption["id"]))
    assert only(str(out), caption["image_key"], "images")["scores"] == {"blur": 0.25, "nsfw": None}


# --- one rule


def values(found: list[dict[str, Any]]) -> list[float | None]:
    return [row["value"] for row in found]


def test_rule_shows_rows_on_both_sides_of_its_threshold(output: str) -> None:
    found = explain_rule(output, "gates.shard.interleaved.image.min_side")
    assert (found["kind"], found["threshold"]) == ("image", "min=120")
    assert found["spec"] == {"value": "least(width, height)", "min": 120}
    # a, b; c, d, e; d, e, and one that is missing, of which the value is NULL.
    assert (found["rows"], found["failed"], found["decisive"]) == (8, 2, 1)
    assert (found["alone"], found["without_value"]) == (1, 1)
    assert values(found["kept"]) == [150.0, 190.0, 210.0, 210.0, 400.0, 400.0]
    assert values(found["dropped"]) == [100.0, None]
    assert found["dropped"][0]["image_url"] == f"{SITE}/a.png"
    assert found["dropped"][0]["url"] == f"{SITE}/one"
    assert found["dropped"][0]["text"] == "The first small boat"
    assert found["dropped"][1]["also"] == ["image_missing"]


def test_number_of_examples_is_that_asked_for(output: str) -> None:
    found = explain_rule(output, "captioned.min_side", 1)
    assert [len(found[side]) for side in ("kept", "dropped")] == [1, 1]
    # 150 and 190 are dropped: the nearest is told, and what else it fails.
    assert values(found["dropped"]) == [190.0]
    assert found["dropped"][0]["also"] == ["best"]
    none = explain_rule(output, "captioned.min_side", 0)
    assert none["kept"] == none["dropped"] == []
    assert none["failed"] == found["failed"] == 4


def test_values_agree_with_the_ledger_for_every_rule(output: str) -> None:
    ledger = rows(Path(output), "ledger")
    for gate, rules in (
        ("dedup", ["language"]),
        ("fetch.caption", ["words", "length"]),
        ("shard.captioned", ["image_missing", "min_side", "aspect", "best"]),
        ("shard.interleaved.document", ["images", "landscape", "no_image"]),
        ("shard.interleaved.image", ["image_missing", "min_side", "repeated_image"]),
    ):
        for rule in rules:
            found = explain_rule(output, f"gates.{gate}.{rule}", 100)
            mine = [
                row for row in ledger
                if row["rule"] == rule and gate in (row["gate"], f"{row['gate']}.{row['kind']}")
            ]  # fmt: skip
            assert found["failed"] == len(mine) == len(found["dropped"]), rule
            assert found["decisive"] == sum(row["decisive"] for row in mine)
            told = {(row["id"], row["node"]): (row["value"], row["value_text"]) for row in mine}
            for row in found["dropped"]:
                assert told[row["id"], row["node"]] == (row["value"], row["value_text"])
            kept = {(row["id"], row["node"]) for row in found["kept"]}
            assert not kept & told.keys()


def test_top_fraction_shows_rows_about_its_cutoff(output: str) -> None:
    found = explain_rule(output, "captioned.best", 2)
    assert found["threshold"].startswith("top_fraction=0.5")
    assert "cutoff 210" in found["threshold"]
    assert values(found["kept"]) == [210.0, 210.0]
    assert values(found["dropped"]) == [190.0, 150.0]


def test_refused_texts_are_counted(output: str) -> None:
    found = explain_rule(output, "shard.captioned.image_missing")
    assert found["values"] == [{"value": "missing", "rows": 1}]
    assert found["spec"] is None
    assert "missing" in shown(found, render_rule)


def test_rule_of_no_gate_is_told_by_the_ledger(output: str) -> None:
    found = explain_rule(output, "no_content")
    assert (found["rule"], found["rows"], found["failed"]) == ("record.no_content", None, 1)
    assert found["dropped"][0]["value_text"] == f"{SITE}/empty"
    assert "the ledger alone tells" in shown(found, render_rule)


def test_rule_for_a_terminal_tells_counts_values_and_texts(output: str) -> None:
    told = shown(explain_rule(output, "captioned.min_side"), render_rule)
    assert "gates.shard.captioned.min_side  min=200" in told
    assert "4 of 7 rows (caption) fail it" in told
    assert "The third boat at the quay" in told
    assert told.index("kept, nearest first") < told.index("dropped, nearest first")
    evil = shown(explain_rule(output, "captioned.aspect"), render_rule)
    assert "[bold]" in evil
    assert not {"\x1b", "\x07", "\u202e"} & set(evil)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("min_side", "gates.shard.captioned.min_side, gates.shard.interleaved.image.min_side"),
        ("min_sid", "did you mean gates.shard"),
        ("qqqqqqq", "rules: gates.dedup.language"),
        ("", "no rule of the run"),
        ("\udcff\x1b", "no rule of the run"),
    ],
    ids=["several", "misspelt", "unknown", "empty", "odd"],
)
def test_unknown_or_ambiguous_rule_is_the_users_mistake(
    name: str, message: str, output: str, capsys: Any
) -> None:
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        explain_rule(output, name)
    assert main(["explain", output, "--rule", name]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_key_or_rule_but_not_both(output: str, capsys: Any) -> None:
    for arguments in ([], ["abcdef", "--rule", "min_side"]):
        assert main(["explain", output, *arguments]) == 2
        assert "give a KEY, or --rule NAME" in capsys.readouterr().err


def test_rule_of_a_run_that_has_not_ended_is_refused(tmp_path: Path, output: str) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        explain_rule(str(tmp_path / "nowhere"), "min_side")
    out = tmp_path / "out"
    shutil.copytree(output, out)
    record = json.loads((out / "run.json").read_text())
    del record["stages"]["shard"]
    (out / "run.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="run it to its end"):
        explain_rule(str(out), "min_side")


def test_looking_changes_nothing(output: str) -> None:
    def stamps() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in sorted(Path(output).rglob("*"))}

    before = stamps()
    explain(output, f"{SITE}/one")
    explain_rule(output, "captioned.best")
    assert stamps() == before


# --- what both rest on


@pytest.mark.parametrize("name", shipped_recipes())
def test_recorded_recipe_is_the_recipe(name: str) -> None:
    recipe = load_recipe(name)
    again = make_recipe(json.loads(json.dumps(recipe.values)))
    assert again.fingerprint == recipe.fingerprint
    assert again.section("gates") == recipe.section("gates")
    assert again.gates == recipe.gates


@pytest.mark.parametrize("name", ["explain", "diff", "facts", "foreign", "samples", "verify"])
def test_looking_does_not_load_the_steps(name: str) -> None:
    code = f"import sys, pipeline.inspection.{name}; sys.exit('apache_beam' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
