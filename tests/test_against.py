"""Runs against earlier outputs: nothing published comes again, and clusters are those of one run.

A crawl is dealt to two or three runs; each knows the outputs before it. Whatever the deal, the
clusters and ranks that the last one sees are those of one run over everything.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from beam_runner import main
from tests.small_crawl import picture, prose, response, rows, shards

RECIPE = """
[dedup]
buckets = 3
min_similarity = 0.6
[refs]
buckets = 2
[splits]
validation = 0.0
{more}
"""
EDITS = {"near": "The tide comes in at noon.", "nearer": "The tide comes in at dusk."}


def page(
    url: str,
    seed: int,
    edit: str = "",
    image: int | None = None,
    alt: str = "",
    paragraphs: int = 8,
) -> bytes:
    """An article of some paragraphs, `edit` in the middle, and perhaps a picture under its URL."""
    texts = [f"<p>{prose(100 * seed + n)}</p>" for n in range(paragraphs)]
    texts.insert(paragraphs // 2, f"<p>{edit or 'Nothing happens here.'}</p>")
    shown = f'<figure><img src="{url}.png" alt="{alt}"></figure>' if image is not None else ""
    html = f"<html><title>{seed}</title><body><article><h1>Page {seed}</h1>{shown}{''.join(texts)}"
    data = response(url, "text/html; charset=utf-8", html.encode())
    if image is not None:
        data += response(f"{url}.png", "image/png", picture(image))
    return data


def early() -> bytes:
    return b"".join(
        [
            page("https://a.example/exact", 1),
            page("https://a.example/near", 2),
            page("https://a.example/refused", 3, paragraphs=1),
            page("https://a.example/record", 4),
            page("https://a.example/picture", 5, image=5, alt="A red boat at the quay"),
            page("https://a.example/url", 6),
            page("https://a.example/alone", 7),
        ]
    )


def late() -> bytes:
    return b"".join(
        [
            page("https://b.example/exact", 1),
            page("https://b.example/near", 2, EDITS["near"]),
            page("https://b.example/nearer", 2, EDITS["nearer"]),
            page("https://b.example/refused", 3, paragraphs=1),
            page("https://a.example/record", 4),
            page("https://b.example/picture", 8, image=5, alt="A red boat at the quay"),
            page("https://b.example/other", 9, image=5, alt="Two men and a dog in a boat"),
            page("https://a.example/url", 10),
            page("https://b.example/new", 11, image=11, alt="The old mill behind the bridge"),
        ]
    )


def run(folder: Path, name: str, crawls: list[str], *options: str, more: str = "") -> Path:
    recipe = folder / f"{name}.toml"
    recipe.write_text(RECIPE.format(more=more))
    inputs = [value for crawl in crawls for value in ("-i", str(folder / crawl))]
    out = folder / name
    assert main(["run", str(recipe), *inputs, "-o", str(out), "-q", *options]) == 0
    return out


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outputs `first`, `second` (against it) and `whole` (everything in one run)."""
    folder = tmp_path_factory.mktemp("against")
    (folder / "early.warc").write_bytes(early())
    (folder / "late.warc").write_bytes(late())
    # A page of few words is refused by the first run and published by the others.
    strict = "[gates.shard.text]\nwords = { value = 'words', min = 300 }"
    run(folder, "first", ["early.warc"], "-w", "1", more=strict)
    run(folder, "second", ["late.warc"], "-w", "1", "--against", str(folder / "first"))
    run(folder, "whole", ["early.warc", "late.warc"], "-w", "1")
    return folder


def clusters(output: Path) -> set[tuple[Any, ...]]:
    names = ("kind", "id", "cluster_id", "rank", "similarity", "component")
    return {tuple(row[name] for name in names) for row in rows(output, "clusters")}


def published(output: Path) -> dict[str, set[str]]:
    """URLs of pages by stream."""
    found: dict[str, set[str]] = {}
    for row in rows(output, "samples"):
        facts = json.loads(row["json"])
        found.setdefault(row["stream"], set()).add(facts.get("url") or facts["page_url"])
    return found


def files(output: Path) -> dict[str, str]:
    return {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(output.rglob("*"))
        if path.is_file()
    }


def test_clusters_and_ranks_are_those_of_one_run(finished: Path) -> None:
    expected = clusters(finished / "whole")
    assert {row[0] for row in expected} == {"near_text", "text", "url"}
    assert clusters(finished / "second") == expected


def test_nothing_that_was_published_comes_again(finished: Path) -> None:
    found = published(finished / "second")
    assert found["text"] == {"https://b.example/refused"}, "an earlier run did not publish it"
    assert found["interleaved"] == {
        f"https://b.example/{name}" for name in ("picture", "other", "new")
    }
    # The first shows the picture of an earlier page with the words of that page.
    assert found["captioned"] == {f"https://b.example/{name}" for name in ("other", "new")}
    assert published(finished / "first")["captioned"] == {"https://a.example/picture"}


def test_the_ledger_names_the_page_that_stands_already(finished: Path) -> None:
    urls = {row["id"]: row["url"] for row in rows(finished / "second", "earlier_pages")}
    told = {
        row["rule"]: urls.get(row["value_text"], "")
        for row in rows(finished / "second", "ledger")
        if row["gate"] == "shard.text"
    }
    assert told["duplicate"].startswith("https://a.example/")
    assert "same_record" in {row["rule"] for row in rows(finished / "second", "ledger")}


def test_explain_shows_the_earlier_page(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(finished / "second"), "https://b.example/near"]) == 0
    said = capsys.readouterr().out
    assert "https://a.example/near  published by an earlier run" in said
    assert "rejected by  shard.text.duplicate" in said


def test_texts_of_earlier_pages_are_compared_where_asked(finished: Path) -> None:
    exact = ["-w", "1", "--set", "dedup.verify=texts"]
    out = run(finished, "exact", ["late.warc"], *exact, "--against", str(finished / "first"))
    whole = run(finished, "exact-whole", ["early.warc", "late.warc"], *exact)
    assert clusters(out) == clusters(whole) != clusters(finished / "whole")
    assert published(out) == published(finished / "second")


def splits(output: Path) -> dict[str, str]:
    found = {}
    for row in rows(output, "samples"):
        facts = json.loads(row["json"])
        found[facts.get("url") or facts["page_url"]] = row["split"]
    return found


def test_copies_of_a_page_lie_in_the_split_that_an_earlier_run_chose(finished: Path) -> None:
    pages, copies = [], []
    for seed in range(8):
        alt = f"The view number {seed} of the harbour"
        pages.append(page(f"https://p{seed}.example/page", 50 + seed))
        copies.append(page(f"https://q{seed}.example/copy", 50 + seed, "New.", 50 + seed, alt))
    (finished / "pages.warc").write_bytes(b"".join(pages))
    (finished / "copies.warc").write_bytes(b"".join(copies))
    half = ("-w", "1", "--set", "splits.validation=0.5")
    before = splits(run(finished, "pages", ["pages.warc"], *half))
    assert set(before.values()) == {"train", "validation"}
    out = run(finished, "copies", ["copies.warc"], *half, "--against", str(finished / "pages"))
    after = splits(out)
    assert len(after) == 8, "the captions of copies are new"
    assert [after[f"https://q{n}.example/copy"] for n in range(8)] == [
        before[f"https://p{n}.example/page"] for n in range(8)
    ]


def test_an_earlier_output_is_only_read(finished: Path) -> None:
    before = files(finished / "first")
    run(finished, "again", ["late.warc"], "-w", "1", "--against", str(finished / "first"))
    assert files(finished / "first") == before
    assert shards(finished / "again") == shards(finished / "second")


def test_workers_and_a_moved_folder_change_nothing(finished: Path) -> None:
    first = finished / "elsewhere" / "first"
    first.parent.mkdir()
    first.symlink_to(finished / "first")
    out = run(finished, "moved", ["late.warc"], "-w", "2", "--against", str(first))
    assert shards(out) == shards(finished / "second")
    assert clusters(out) == clusters(finished / "second")


def test_two_earlier_outputs_in_any_order(finished: Path) -> None:
    (finished / "last.warc").write_bytes(
        page("https://c.example/near", 2, "The tide goes out.")
        + page("https://c.example/new", 11, image=11, alt="The old mill behind the bridge")
        + page("https://c.example/own", 12)
    )
    names = [str(finished / "first"), str(finished / "second")]
    outs = []
    for number, given in enumerate((names, names[::-1])):
        against = [value for name in given for value in ("--against", name)]
        outs.append(run(finished, f"third{number}", ["last.warc"], "-w", "1", *against))
    assert shards(outs[0]) == shards(outs[1])
    assert published(outs[0]) == {"text": {"https://c.example/own"}}
    whole = run(finished, "three", ["early.warc", "late.warc", "last.warc"], "-w", "1")
    assert clusters(outs[0]) == clusters(outs[1]) == clusters(whole)


def test_a_run_without_the_flag_forgets_them(finished: Path) -> None:
    out = run(finished, "forgets", ["late.warc"], "-w", "1", "--against", str(finished / "first"))
    run(finished, "forgets", ["late.warc"], "-w", "1")
    assert "https://b.example/exact" in published(out)["text"]


def test_the_output_of_the_run_is_refused_by_any_path(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (finished / "alias").symlink_to(finished / "second")
    before = shards(finished / "second")
    arguments = ["run", str(finished / "second.toml"), "-i", str(finished / "late.warc"), "-w", "1"]
    out = str(finished / "second")
    assert main([*arguments, "-o", out, "--against", str(finished / "alias")]) == 2
    assert "is the output of this run" in capsys.readouterr().err
    assert shards(finished / "second") == before


@pytest.mark.parametrize(
    ("against", "options", "said"),
    [
        ("nowhere", [], "is no output of Weft"),
        ("refused", [], "is the output of this run"),
        ("", [], "is empty"),
        ("first", ["--set", "dedup.minhash.bands=9"], "cannot be compared: dedup.minhash is"),
        (
            "first",
            ["--set", 'dedup.prefer=["score"]', "--set", "dedup.score=words"],
            "dedup.score is None there and 'words' here",
        ),
        ("unfinished", [], "stage dedup is not done there"),
        ("damaged", [], "signatures-early"),
        ("tidied", [], "is missing"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    finished: Path, capsys: pytest.CaptureFixture[str], against: str, options: list[str], said: str
) -> None:
    folder = finished
    if against == "unfinished":
        run(folder, "unfinished", ["early.warc"], "-w", "1", "--stages", "extract")
    if against in ("damaged", "tidied"):
        run(folder, against, ["early.warc"], "-w", "1")
        lost = "commits/dedup" if against == "damaged" else "tables/signatures"
        for path in (folder / against / lost).glob("*early*"):
            path.unlink()
    given = str(folder / against) if against else ""
    arguments = ["run", str(folder / "second.toml"), "-i", str(folder / "late.warc"), "-w", "1"]
    out = folder / "refused"
    assert main([*arguments, "-o", str(out), "--against", given, *options]) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()
