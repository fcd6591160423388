"""A recipe over tables of URLs and texts, from the command line to the shards; nothing is fetched.

Most rows here have no images, so what is looked at is what stands before the fetch: the tables, the
duplicates, the counts. Images come from a crawl file, or with the rows.
"""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from beam_runner import main

RECIPE = """
[input]
preset = "laion"
[input.columns]
page_url = "PAGE"
[dedup]
buckets = 2
[refs]
buckets = 2
[gates.dedup]
words = { value = "words", min = 2 }
[gates.fetch.image]
min_side = { value = "least(declared_width, declared_height)", min = 100 }
"""
WORDS = [
    "boat",
    "barn",
    "quay",
    "mill",
    "bridge",
    "tower",
    "meadow",
    "market",
    "orchard",
    "harbour",
]


def rows() -> list[dict[str, Any]]:
    """40 good rows, then those whose fate is known, told by their key."""

    def row(key: object, url: str, text: str, **more: Any) -> dict[str, Any]:
        return {"SAMPLE_ID": key, "URL": url, "TEXT": text, "WIDTH": 640, "HEIGHT": 480, **more}

    made = [
        row(
            number,
            f"https://img{number % 7}.host{number % 5}.com/{number}.jpg",
            f"A {WORDS[number % 10]} and a {WORDS[number // 4]} by the river in {1900 + number}",
        )
        for number in range(40)
    ]
    shared = "https://img.shared.com/1.jpg"
    made += [
        row("same-1", shared, "The harbour in the morning"),
        row("same-2", shared, "The harbour in the morning"),
        row("other-text", shared, "Boats that wait for the tide"),
        row("other-image", "https://img.shared.com/2.jpg", "The harbour in the morning"),
        row("page-1", "https://img.pages.com/1.jpg", "A mill at a page", PAGE="http://p.com/"),
        row("page-2", "https://img.pages.com/2.jpg", "A barn at a page", PAGE="http://p.com/"),
        row("short", "https://img.short.com/1.jpg", "Boat"),
        row("small", "https://img.small.com/1.jpg", "A small picture of a boat", WIDTH=20),
        row("no-text", "https://img.none.com/1.jpg", ""),
        row("bad-url", "ftp://img.none.com/1.jpg", "A boat"),
        row("list", "https://img.none.com/2.jpg", ["A", "boat"]),
    ]
    return made


def write(path: Path) -> Path:
    lines = [json.dumps(row) for row in rows()]
    # The names of the columns are those of the first row.
    lines[0] = json.dumps({**rows()[0], "PAGE": None})
    path.write_text("\n".join([*lines[:30], "{broken", *lines[30:], lines[3]]) + "\n")
    return path


def run(folder: Path, name: str, *settings: str) -> tuple[int, dict[str, Any]]:
    (folder / "recipe.toml").write_text(RECIPE)
    more = [argument for setting in settings for argument in ("--set", setting)]
    out = folder / name
    code = main(
        ["run", str(folder / "recipe.toml"), "-i", str(folder / "rows.jsonl"), "-o", str(out),
         "-w", "1", "-q", *more]
    )  # fmt: skip
    record = out / "run.json"
    return code, json.loads(record.read_text())["stages"] if record.exists() else {}


def table(output: Path, name: str) -> list[dict[str, Any]]:
    found = [
        row for path in sorted((output / "tables" / name).iterdir())
        for row in pq.read_table(path).to_pylist()
    ]  # fmt: skip
    return found


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("table")
    write(folder / "rows.jsonl")
    code, stages = run(folder, "out")
    assert code == 0
    return folder / "out", stages


def test_rows_are_counted(output: tuple[Path, dict[str, Any]]) -> None:
    out, stages = output
    extract = stages["extract"]["tables"]
    assert extract["rows"] == {
        "in": 53, "kept": 48, "rejected": 3, "failed": 2,
        "rejected_by_rule": {"bad_url": 1, "no_text": 1, "same_record": 1},
        "failed_by_error": {"InputRowError": 2},
    }  # fmt: skip
    assert extract["documents"]["kept"] == extract["captions"]["kept"] == 48
    failed = {row["id"].partition(":")[0] for row in table(out, "failures")}
    assert failed == {"rows.jsonl"}
    assert "rows.jsonl:list" in {row["id"] for row in table(out, "failures")}


def test_captions_are_the_texts_of_the_table(output: tuple[Path, dict[str, Any]]) -> None:
    captions = table(output[0], "captions")
    texts = [row["TEXT"] for row in rows() if isinstance(row["TEXT"], str) and row["TEXT"]]
    texts.remove("A boat")
    assert sorted(row["text"] for row in captions) == sorted(texts)
    assert {(row["origin"], row["node"]) for row in captions} == {("table", 0)}
    pages = {row["text"]: row["page_url"] for row in captions}
    assert (pages["A mill at a page"], pages["Boat"]) == ("http://p.com/", "")


def test_only_rows_of_one_image_and_one_text_are_duplicates(
    output: tuple[Path, dict[str, Any]],
) -> None:
    out, stages = output
    assert stages["dedup"]["tables"]["pages"]["rejected_by_rule"] == {"words": 1}
    documents = stages["refs"]["tables"]["documents"]
    assert (documents["in"], documents["rejected_by_rule"]) == (47, {"duplicate": 1})
    clusters = table(out, "clusters")
    assert {row["kind"] for row in clusters} == {"text"}
    assert len({row["cluster_id"] for row in clusters}) == 1


def test_sizes_of_the_table_are_judged_before_anything_is_fetched(
    output: tuple[Path, dict[str, Any]],
) -> None:
    nodes = output[1]["refs"]["tables"]["image_nodes"]
    assert nodes["rejected_by_rule"]["min_side"] == 1


def test_frequency_counts_rows_without_a_page_one_by_one(
    output: tuple[Path, dict[str, Any]],
) -> None:
    refs = {
        row["image_url"]: (row["documents"], row["sites"]) for row in table(output[0], "image_refs")
    }
    assert refs["https://img.shared.com/1.jpg"] == (2, 1)
    assert refs["https://img.pages.com/1.jpg"] == (1, 1)
    sites = {row["site"] for row in table(output[0], "documents")}
    assert {"host0.com", "shared.com", "p.com"} <= sites


def test_rows_without_an_image_or_a_page_text_are_no_samples(
    output: tuple[Path, dict[str, Any]],
) -> None:
    shard = output[1]["shard"]["tables"]
    assert shard["interleaved"]["kept"] == 0
    assert shard["text"]["kept"] == 0


def pictures(folder: Path) -> None:
    """A crawl file that holds the images of the rows: what a fetch would have brought."""
    with (folder / "images.warc").open("wb") as file:
        for row in rows():
            if not str(row["URL"]).startswith("http"):
                continue
            out = io.BytesIO()
            shade = sum(map(ord, row["URL"])) % 256
            Image.new("RGB", (640, 480), (shade, 90, 200)).save(out, "JPEG")
            body = out.getvalue()
            http = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n" + body
            head = (
                f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: {row['URL']}\r\n"
                "WARC-Date: 2024-01-01T00:00:00Z\r\nWARC-Record-ID: <urn:uuid:0>\r\n"
                "Content-Type: application/http; msgtype=response\r\n"
                f"Content-Length: {len(http)}\r\n\r\n"
            )
            file.write(head.encode() + http + b"\r\n\r\n")


def test_one_and_several_slices_give_the_same_shards(tmp_path: Path) -> None:
    write(tmp_path / "rows.jsonl")
    # Rows of a table are small: repeats of wide ones make more than one part.
    with (tmp_path / "rows.jsonl").open("a") as file:
        for number in range(20):
            row = {
                "SAMPLE_ID": f"wide-{number}", "URL": f"https://wide.com/{number}.jpg",
                "TEXT": f"A wide {WORDS[number // 2]} {number}", "more": "x" * 8000,
            }  # fmt: skip
            file.write(json.dumps(row) + "\n")
    pictures(tmp_path)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    manifests, parts = [], []
    for part_bytes in (65536, 1 << 20):
        out = tmp_path / f"out{part_bytes}"
        code = main(
            ["run", str(tmp_path / "recipe.toml"), "-i", str(tmp_path / "rows.jsonl"),
             "-i", str(tmp_path / "images.warc"), "-o", str(out), "-w", "1", "-q",
             "--set", f"input.part_bytes={part_bytes}", "--set", "gates.fetch.image.min_side=false"]
        )  # fmt: skip
        assert code == 0
        stages = json.loads((out / "run.json").read_text())["stages"]
        parts.append(stages["extract"]["parts"])
        names = ("captioned", "interleaved", "text")
        paths = [out / "shards" / name / "manifest.json" for name in names]
        manifests.append([path.read_bytes() for path in paths if path.exists()])
    assert parts[0] > parts[1] == 2
    assert manifests[0] == manifests[1]
    captioned = json.loads(manifests[0][0])
    assert captioned["totals"]["samples"] == 46


def test_pairs_with_bytes_become_samples(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "00000.tar", "w") as file:
        for number, word in enumerate(WORDS):
            out = io.BytesIO()
            Image.new("RGB", (300, 200), (number * 20, 90, 60)).save(out, "JPEG")
            data = out.getvalue()[: -100 if word == "mill" else None]
            for suffix, member in (("jpg", data), ("txt", f"A {word} by the river".encode())):
                info = tarfile.TarInfo(f"{number:09d}.{suffix}")
                info.size = len(member)
                file.addfile(info, io.BytesIO(member))
    (tmp_path / "recipe.toml").write_text("[dedup]\nbuckets = 2\n[refs]\nbuckets = 2\n")
    out = tmp_path / "out"
    code = main(
        ["run", str(tmp_path / "recipe.toml"), "-i", str(tmp_path), "-o", str(out), "-w", "1", "-q",
         "--set", "run.max_failed_fraction=0.2"]
    )  # fmt: skip
    assert code == 0
    extract = json.loads((out / "run.json").read_text())["stages"]["extract"]["tables"]
    assert (extract["rows"]["kept"], extract["image_records"]["kept"]) == (10, 9)
    assert extract["image_records"]["failed_by_error"] == {"ImageDecodeError": 1}
    with tarfile.open(out / "shards" / "captioned" / "train-000000.tar") as shard:
        texts = {
            shard.extractfile(name).read().decode()  # type: ignore[union-attr]
            for name in shard.getnames() if name.endswith(".txt")
        }  # fmt: skip
    assert texts == {f"A {word} by the river" for word in WORDS if word != "mill"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["input.preset=laoin"], "input.preset: 'laoin' is not one of"),
        (["input.format=xml"], "input.format: 'xml' is not one of"),
        (["input.columns.text=words"], "there is no column 'words'"),
        (["input.format=parquet"], "no Parquet file"),
        (["input.colums.text=a"], "input.colums: unknown key; did you mean columns?"),
    ],
    ids=["preset", "format", "column", "not-parquet", "key"],
)
def test_a_mistake_is_one_line_before_anything_runs(
    settings: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "rows.jsonl")
    code, _ = run(tmp_path, "out", *settings)
    error = capsys.readouterr().err
    assert code == 2
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
