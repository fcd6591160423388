"""A site's own paragraphs, from crawl to shards: out of both streams, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest

from beam_runner import main
from tests.small_crawl import picture, prose, response, rows, shards

NOTICE = "Every word of this paper is read aloud to the harbour master before it is printed."
INVITATION = "Write to the editor when you have seen something, and a reader of ours will answer."
RARE = "The ferry does not sail when the wind comes from the north and the moon is full."
CODE = "<pre><code>tide --port harbour</code></pre>"
WORDS = ["boat", "barn", "quay", "mill", "bridge", "tower", "meadow", "market", "orchard", "lamp"]
RECIPE = """
[dedup]
buckets = {buckets}
paragraph_pages = {pages}
[refs]
buckets = 2
[gates.shard.text]
words = {{ value = "words", min = 10 }}
"""
TOWN, CITY = "https://town.example", "https://city.test"


def page(
    name: str, seed: int, *more: str, site: str = TOWN, hour: int = 0, image: str = ""
) -> bytes:
    """A page of its own prose, then of paragraphs (or markup); `image` is `there` or `gone`."""
    caption = NOTICE if image == "there" else f"The view of {name}"
    figure = (
        f'<figure><img src="/{name}.png" alt="The view of {name}" width=240 height=240>'
        f"<figcaption>{caption}</figcaption></figure>"
    )
    own = f"<h1>Page {name}</h1><p>{prose(seed)}</p>" if seed else ""
    rest = "".join(text if text.startswith("<") else f"<p>{text}</p>" for text in more)
    html = (
        f"<html><title>{name}</title><body><article>{own}{figure if image else ''}{rest}</article>"
    )
    date = f"2026-01-01T{hour:02d}:00:00Z"
    data = response(f"{site}/{name}", "text/html; charset=utf-8", html.encode(), date)
    if image == "there":
        data += response(f"{site}/{name}.png", "image/png", picture(seed))
    return data


PAGES = [
    page("document", 1, "<h2>About us</h2>", NOTICE, "<h2>More</h2>", CODE, RARE, image="there"),
    page("one", 2, "<h2>More</h2>", CODE, prose(20, 2), "<h2>About us</h2>", NOTICE.upper()),
    page("two", 3, NOTICE, CODE, prose(30, 2), INVITATION),
    page("three", 4, INVITATION, "<h2>More</h2>", prose(40, 2), RARE),
    page("lost", 5, INVITATION, prose(50, 2), image="gone"),
    # Nothing but what the site repeats.
    page("empty", 0, NOTICE, INVITATION),
    # Little but what the site repeats: fewer words than the gate wants.
    page("short", 0, "Nothing happened here today.", NOTICE),
    # One page, crawled thrice and printed once, that others quote.
    *(page("copy", 6, prose(60, 3), hour=hour) for hour in range(3)),
    page("copy?print=1", 6, prose(60, 3)),
    # Another site says it once more.
    page("visitor", 7, NOTICE, RARE, site=CITY),
]


def run(
    folder: Path, name: str, files: int = 2, pages: int = 3, buckets: int = 2, *more: str
) -> Path:
    crawl, out = folder / f"{name}-crawl", folder / name
    if not crawl.exists():
        crawl.mkdir()
        for number in range(files):
            (crawl / f"{number}.warc").write_bytes(b"".join(PAGES[number::files]))
    (folder / f"{name}.toml").write_text(RECIPE.format(pages=pages, buckets=buckets))
    arguments = ["run", f"{folder}/{name}.toml", "-i", str(crawl), "-o", str(out), "-q"]
    assert main([*arguments, *(more or ("-w", "1"))]) == 0
    return out


def samples(output: Path) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Page -> stream, text, JSON."""
    found = {}
    for row in rows(output, "samples"):
        facts = json.loads(row["json"])
        if row["stream"] != "captioned":
            text = row["txt"] or "\n\n".join(text for text in facts["texts"] if text)
            found[facts["url"].rpartition("/")[2]] = (row["stream"], text, facts)
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paragraphs")
    run(folder, "out")
    return folder


def test_what_three_pages_say_is_in_neither_stream(finished: Path) -> None:
    found = samples(finished / "out")
    stream, text, _ = found["document"]
    assert stream == "interleaved"
    # The caption of the picture says the same, and is the picture's.
    assert text.count(NOTICE) == 1
    for name in ("one", "two", "three", "lost"):
        stream, text, facts = found[name]
        assert (name, stream) == (name, "text")
        assert NOTICE.lower() not in text.lower(), name
        assert INVITATION not in text, name
        assert facts["scores"]["words"] == len(text.split())
        assert facts["scores"]["characters"] == len(text)


def test_what_two_pages_or_another_site_say_stays(finished: Path) -> None:
    found = samples(finished / "out")
    for name in ("document", "three", "visitor"):
        assert RARE in found[name][1]
    assert NOTICE in found["visitor"][1]


def test_code_stays_and_a_heading_goes_with_what_stood_under_it(finished: Path) -> None:
    found = samples(finished / "out")
    for name in ("document", "one", "two"):
        assert "```\ntide --port harbour\n```" in found[name][1]
        assert "## About us" not in found[name][1]
    assert "## More" in found["three"][1]
    assert found["one"][1].startswith("# Page one\n\n")


def test_copies_of_a_page_keep_their_text_in_the_one_that_stays(finished: Path) -> None:
    found = samples(finished / "out")
    (name,) = (name for name in found if name.startswith("copy"))
    assert prose(60, 3) in found[name][1]


def test_pages_of_nothing_else_are_rejected(finished: Path) -> None:
    assert {"empty", "short"} & set(samples(finished / "out")) == set()
    urls = {
        row["text_id"]: row["url"].rpartition("/")[2] for row in rows(finished / "out", "texts")
    }
    told = {
        (urls[row["id"]], row["rule"], row["value"])
        for row in rows(finished / "out", "ledger")
        if row["gate"] == "shard.text" and row["kind"] == "text" and row["decisive"]
        and row["rule"] != "duplicate"
    }  # fmt: skip
    assert told == {("empty", "repeated_paragraph", 0.0), ("short", "words", 4.0)}


def test_each_paragraph_that_goes_is_told_with_its_pages(finished: Path) -> None:
    out = finished / "out"
    ids = {row["doc_id"]: row["url"].rpartition("/")[2] for row in rows(out, "documents")}
    ids |= {row["text_id"]: row["url"].rpartition("/")[2] for row in rows(out, "texts")}
    told = sorted(
        (row["gate"], row["kind"], ids[row["id"]], row["value"], row["threshold"])
        for row in rows(out, "ledger")
        if row["rule"] == "repeated_paragraph" and row["node"] is not None
    )
    notice, invitation = (5.0, "max=2"), (4.0, "max=2")
    assert told == sorted(
        [("shard.interleaved", "paragraph", "document", *notice)] * 2
        + [("shard.interleaved", "paragraph", "lost", *invitation)]
        + [("shard.text", "text_paragraph", "one", *notice)] * 2
        + [("shard.text", "text_paragraph", name, *notice) for name in ("two", "empty", "short")]
        + [
            ("shard.text", "text_paragraph", name, *invitation)
            for name in ("two", "three", "lost", "empty")
        ]
    )
    tables = json.loads((out / "run.json").read_text())["stages"]["shard"]["tables"]
    assert tables["text_paragraphs"]["rejected_by_rule"] == {"repeated_paragraph": 9}
    assert tables["paragraphs"]["rejected_by_rule"] == {"repeated_paragraph": 3}


def test_captions_tell_at_how_many_images_of_the_corpus_their_text_stands(finished: Path) -> None:
    told = {
        (row["text"], row["site_documents"], row["site_images"], row["text_images"],
         row["text_sites"])
        for row in rows(finished / "out", "candidates_captions")
    }  # fmt: skip
    assert told == {
        ("The view of document", 1, 1, 1, 1), (NOTICE, 1, 1, 1, 1), ("The view of lost", 1, 1, 1, 1)
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["text.repeated_paragraph", "interleaved.paragraph.repeated_paragraph"]
)
def test_no_rule_of_a_recipe_has_the_name_of_the_built_in_one(
    name: str, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--set", f"gates.shard.{name}={{value = 'words', min = 1}}"]
    arguments = ["run", f"{finished}/out.toml", "-i", f"{finished}/out-crawl", "-q", *more]
    assert main([*arguments, "-o", f"{finished}/none"]) == 2
    assert "built-in rule" in capsys.readouterr().err


def test_explain_tells_what_of_a_page_is_left_out(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(finished / "out"), f"{TOWN}/document", "--json"]) == 0
    (page,) = json.loads(capsys.readouterr().out)["pages"]
    assert [row["pages"] for row in page["repeated_paragraphs"]] == [5, 5]
    assert main(["explain", str(finished / "out"), f"{TOWN}/document"]) == 0
    assert "is left out  it stands on 5 pages of the site" in capsys.readouterr().out


@pytest.mark.parametrize("more", [(1, 3, 5), (3, 3, 1, "-w", "2")], ids=["one file", "two workers"])
def test_parts_buckets_and_workers_change_nothing(
    more: tuple[Any, ...], finished: Path, tmp_path: Path
) -> None:
    assert shards(run(tmp_path, "out", *more)) == shards(finished / "out") != {}


def test_another_number_of_pages_makes_only_what_depends_on_it_again(tmp_path: Path) -> None:
    out = run(tmp_path, "out")
    before, made = {path.stem for path in (out / "commits").rglob("*.json")}, shards(out)
    run(tmp_path, "out")
    assert {path.stem for path in (out / "commits").rglob("*.json")} == before
    run(tmp_path, "out", 2, 0)
    new = {path.stem for path in (out / "commits").rglob("*.json")} - before
    assert {name.partition("-")[0] for name in new} == {"samples", "shard"}
    off = samples(out)
    assert NOTICE in off["document"][1]
    assert {"empty", "short"} <= set(off)
    assert rows(out, "repeated_paragraphs") == []
    # The run of a number that has its parts makes samples alone again.
    run(tmp_path, "out")
    assert shards(out) == made


def test_a_lost_part_is_made_again(tmp_path: Path) -> None:
    out = run(tmp_path, "out")
    made = shards(out)
    for path in (out / "commits" / "dedup").glob("paragraphs-*.json"):
        path.unlink()
        break
    run(tmp_path, "out")
    assert shards(out) == made


@pytest.mark.parametrize("pages", [1, -1])
def test_a_number_that_would_delete_everything_is_refused(
    pages: int, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", f"{finished}/out.toml", "-i", f"{finished}/out-crawl", "-q"]
    more = ["-o", f"{finished}/none", "--set", f"dedup.paragraph_pages={pages}"]
    assert main([*arguments, *more]) == 2
    assert "dedup.paragraph_pages: must be 0 (off), or at least 2" in capsys.readouterr().err
