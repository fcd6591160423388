"""Evaluation items planted in a crawl: each is removed and told with its benchmark, and no more.

Everything else about a run stays: what is not contaminated is in the shards, and the order of
tables, rows and workers changes nothing.
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_runner import main
from tests.small_crawl import commits, picture, prose, response, rows, shards

QUESTION = (
    "A train leaves the harbour at seven in the morning with forty boxes of herring; at each of "
    "its five stops three boxes are sold. How many boxes are left when it arrives in the city?"
)
PARAPHRASE = (
    "Forty boxes of herring are on a train that departs from the port at 7 am. Three are sold at "
    "every one of the five stations. What number reaches the city?"
)
RIDDLE = "What has a keel, two masts and no crew at all?"
CAPTION = "A red boat with two men and a dog at the quay"
SITE = "https://town.example"
RECIPE = """
[dedup]
buckets = 2
[refs]
buckets = 2
[decontamination]
tables = [{tables}]
"""


def page(
    name: str, seed: int, planted: str = "", image: bytes | None = None, alt: str = ""
) -> bytes:
    figure = f'<figure><img src="/{name}.png" alt="{alt or "The view of " + name}"></figure>'
    shown = figure if image else ""
    html = (
        f"<html><title>{name}</title><body><article><h1>Page {name}</h1><p>{prose(seed)}</p>"
        f"{shown}<p>{planted or 'The tide comes in.'}</p><p>{prose(seed + 1000)}</p></article>"
    )
    data = response(f"{SITE}/{name}", "text/html; charset=utf-8", html.encode())
    return data + (response(f"{SITE}/{name}.png", "image/png", image) if image else b"")


def make_crawl(folder: Path) -> Path:
    crawl = folder / "crawl"
    crawl.mkdir()
    (crawl / "a.warc").write_bytes(
        page("document", 1, f"Exercise: {QUESTION}", picture(1))
        + page("text", 2, QUESTION.upper().replace(";", " --"))
        + page("paraphrase", 3, PARAPHRASE)
        + page("clean", 4, "", picture(4))
    )
    (crawl / "b.warc").write_bytes(
        page("short", 5, f"Somebody asked: {RIDDLE} Nobody knew.")
        + page("caption", 6, "", picture(6), f"{CAPTION.upper()}!")
        + page("bytes", 7, "", picture(70))
        + page("looks", 8, "", picture(80, kind="JPEG", quality=40))
        + page("other", 9, "", picture(9))
    )
    return crawl


def quiz(order: int = 1, more: int = 0) -> list[dict[str, Any]]:
    rows = [
        {"id": "q-train", "question": QUESTION, "answer": "Twenty-five"},
        {"id": "q-riddle", "question": RIDDLE, "answer": "A wreck"},
        {"id": "q-short", "question": "The tide comes in?", "answer": None},
        {"id": "q-none", "question": None, "answer": None},
    ]
    rows += [
        {"id": f"q-{n}", "question": f"No page asks this question, nor number {n} of them.",
         "answer": "x"}
        for n in range(more)
    ]  # fmt: skip
    return rows[::order]


def write_tables(folder: Path, order: int = 1, more: int = 0) -> list[str]:
    """A quiz as JSON Lines, pictures with captions as Parquet."""
    folder.mkdir(exist_ok=True)
    lines = "".join(json.dumps(row) + "\n" for row in quiz(order, more))
    (folder / "quiz.jsonl").write_text(lines)
    pictures = [
        {"benchmark": "vqa", "id": 70, "image": {"bytes": picture(70)}, "caption": None},
        {"benchmark": "vqa", "id": 80, "image": {"bytes": picture(80)}, "caption": None},
        {"benchmark": "coco", "id": 6, "image": None, "caption": [CAPTION, "A boat"]},
    ]
    pq.write_table(pa.Table.from_pylist(pictures[::order]), folder / "pictures.parquet")
    return [f"{folder}/quiz.jsonl", f"{folder}/pict*.parquet"][::order]


def run(folder: Path, name: str, tables: list[str], *more: str) -> Path:
    recipe = folder / f"{name}.toml"
    recipe.write_text(RECIPE.format(tables=", ".join(json.dumps(table) for table in tables)))
    out = folder / name
    arguments = ["run", str(recipe), "-i", str(folder / "crawl"), "-o", str(out), "-q"]
    assert main([*arguments, *(more or ("-w", "1"))]) == 0
    return out


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contamination")
    make_crawl(folder)
    run(folder, "out", write_tables(folder / "evals"))
    return folder


def found_in(output: Path) -> set[tuple[Any, ...]]:
    return {
        (row["kind"], row["url"].removeprefix(SITE), row["benchmark"], row["item"], row["field"],
         row["match"], row["items"])
        for row in rows(output, "contamination")
    }  # fmt: skip


EXPECTED = {
    ("document", "/document", "quiz", "q-train", "question", "ngrams", 1),
    ("text", "/text", "quiz", "q-train", "question", "ngrams", 1),
    ("text", "/short", "quiz", "q-riddle", "question", "ngrams", 1),
    ("caption", "/caption", "coco", "6", "caption", "ngrams", 1),
    ("image_url", "/bytes.png", "vqa", "70", "image", "sha256", 1),
    ("image_url", "/looks.png", "vqa", "80", "image", "phash", 1),
}


def test_each_planted_item_is_found_with_its_benchmark(finished: Path) -> None:
    assert found_in(finished / "out") == EXPECTED
    told = {
        (row["kind"], row["value_text"])
        for row in rows(finished / "out", "ledger")
        if row["rule"] == "contaminated"
    }
    assert told == {
        ("page", "quiz: q-train (question)"),
        ("page", "quiz: q-riddle (question)"),
        ("caption", "coco: 6 (caption)"),
        ("image_url", "vqa: 70 (sha256)"),
        ("image_url", "vqa: 80 (phash)"),
    }


def test_items_without_enough_to_go_by_are_told(finished: Path) -> None:
    ledger = rows(finished / "out", "ledger")
    refused = {(row["id"], row["rule"]) for row in ledger if row["kind"] == "item"}
    assert refused == {("quiz.jsonl:2", "too_short"), ("quiz.jsonl:3", "no_content")}
    tables = json.loads((finished / "out" / "run.json").read_text())["stages"]["dedup"]["tables"]
    assert (tables["evaluation_items"]["in"], tables["evaluation_items"]["kept"]) == (7, 5)
    assert tables["decontaminated_pages"]["rejected_by_rule"] == {"contaminated": 3}
    assert tables["decontaminated_pages"]["kept"] == 6


def test_only_what_holds_an_item_is_missing_from_the_shards(finished: Path) -> None:
    samples = rows(finished / "out", "samples")
    urls = {
        stream: {
            str(facts.get("url") or facts.get("page_url")).removeprefix(f"{SITE}/")
            for row in samples
            if row["stream"] == stream
            for facts in [json.loads(row["json"])]
        }
        for stream in ("captioned", "interleaved", "text")
    }
    # A document that lost its only image is offered to the text stream.
    assert urls == {
        "captioned": {"clean", "other"},
        "interleaved": {"caption", "clean", "other"},
        "text": {"paraphrase", "bytes", "looks"},
    }


def test_order_and_workers_change_nothing(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "crawl").symlink_to(finished / "crawl")
    out = run(tmp_path, "out", write_tables(tmp_path / "evals", order=-1), "-w", "2")
    assert shards(out) == shards(finished / "out") != {}
    assert found_in(out) == EXPECTED


def test_changed_tables_make_only_what_depends_on_them_again(tmp_path: Path) -> None:
    make_crawl(tmp_path)
    tables = write_tables(tmp_path / "evals")
    out = run(tmp_path, "out", tables)
    before, made = commits(out), shards(out)
    # The same items in another order: the tables are read again, nothing else is done.
    write_tables(tmp_path / "evals", order=-1)
    run(tmp_path, "out", tables)
    new = commits(out) - before
    assert [name.partition("-")[0] for name in new] == ["evaluation"]
    # One item more: texts are looked at again; what is removed is the same, so no more than that.
    before |= new
    write_tables(tmp_path / "evals", more=1)
    run(tmp_path, "out", tables)
    new = commits(out) - before
    assert {name.partition("-")[0] for name in new} == {"evaluation", "contamination"}
    assert shards(out) == made
    # Without tables everything is there again.
    run(tmp_path, "out", [])
    assert rows(out, "contamination") == []
    assert len(rows(out, "samples")) == len({row["key"] for row in rows(out, "samples")}) == 15


def test_inspect_lists_what_was_removed(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(finished / "out"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)["contamination"]
    assert (facts["removed"], facts["benchmarks"]) == (6, 3)
    assert facts["by_benchmark"] == [
        {"benchmark": "quiz", "items": 2, "documents": 1, "texts": 2, "captions": 0, "images": 0},
        {"benchmark": "vqa", "items": 2, "documents": 0, "texts": 0, "captions": 0, "images": 2},
        {"benchmark": "coco", "items": 1, "documents": 0, "texts": 0, "captions": 1, "images": 0},
    ]
    assert {(row["kind"], row["benchmark"], row["item"]) for row in facts["rows"]} == {
        (kind, benchmark, item) for kind, _, benchmark, item, *_ in EXPECTED
    }
    assert main(["inspect", str(finished / "out")]) == 0
    shown = capsys.readouterr().out
    assert "6 removed for items of 3 benchmarks" in shown
    assert "q-riddle" in shown


HOSTILE = {
    "no such file": ("gone.parquet", None, "there is no such file"),
    "an empty file": ("a.jsonl", "", "the file is empty"),
    "no column of an item": ("a.csv", "q,a\n1,2\n", "its columns: q, a. Name those"),
    "no row that can be read": ("a.jsonl", '{"question": "Why?"}\n{broken\n', "row 21: no JSON"),
    "null rows": ("a.jsonl", '{"question": null}\nnull\n', "Expected `object`, got `null`"),
}


@pytest.mark.parametrize(("name", "content", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_table_of_no_items_is_the_users_mistake(
    name: str,
    content: str | None,
    message: str,
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    (tmp_path / "r.toml").write_text(RECIPE.format(tables=json.dumps(f"{tmp_path}/{name}")))
    arguments = ["run", f"{tmp_path}/r.toml", "-i", str(finished / "crawl"), "-q", "-w", "1"]
    assert main([*arguments, "-o", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert name in shown
    assert "decontamination" in shown
    assert not (tmp_path / "out").exists()


def test_a_column_that_no_table_has_is_refused(
    finished: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["run", f"{finished}/out.toml", "-i", str(finished / "crawl"), "-q", "-w", "1",
                 "-o", str(tmp_path / "out")]  # fmt: skip
    for setting, message in (
        ('decontamination.texts=["question", "cation"]', "no table has a column 'cation'"),
        ("decontamination.item=number", "has no column 'number', which decontamination.item"),
        ("decontamination.ngrams=8", "unknown key; did you mean ngram?"),
        ("decontamination.min_overlap=2.0", "decontamination.min_overlap: must be above 0"),
    ):
        assert main([*arguments, "--set", setting]) == 2
        assert message in capsys.readouterr().err
