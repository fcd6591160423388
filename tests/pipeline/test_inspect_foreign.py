"""Tars without an index, whoever wrote them: what they hold, and what is damaged."""

import gzip
import io
import json
import os
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import fsspec
import pytest
from PIL import Image
from rich.console import Console

from beam_runner import main
from pipeline.inspection.foreign import foreign_facts
from pipeline.inspection.samples import draw_samples, find_sample
from pipeline.inspection.show_foreign import render_foreign
from pipeline.inspection.snapshot import Snapshot
from pipeline.inspection.tallies import MAX_NAMES, OTHER, Tally, count_name
from pipeline.inspection.targets import TarFiles, find_target
from pipeline.inspection.verify import verify
from schemas.errors import InputError
from schemas.shards import STREAMS
from tests.small_output import EVIL, build, jpeg
from transforms import storage

Members = Sequence[tuple[str, bytes]]


def tar(members: Members) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def pair(key: str, width: int, height: int, text: str, **about: Any) -> Members:
    """A sample as img2dataset writes it."""
    facts = {"url": f"http://a.example/{key}", "caption": text, "key": key, "status": "success"}
    return [
        (f"{key}.jpg", jpeg(width, height)),
        (f"{key}.txt", text.encode()),
        (f"{key}.json", json.dumps(facts | about).encode()),
    ]


def stats(successes: int, failed: int) -> bytes:
    report = {
        "count": successes + failed, "successes": successes, "failed_to_download": failed,
        "failed_to_resize": 0, "duration": 1.5,
        "status_dict": {"success": successes, "404": failed},
    }  # fmt: skip
    return json.dumps(report).encode()


IMG2DATASET = {
    "00000.tar": tar(
        [*pair("000000000", 64, 32, "a" * 3, LANGUAGE="en"), *pair("000000001", 32, 64, "ü" * 5)]
    ),
    "00000.parquet": b"PAR1",
    "00000_stats.json": stats(2, 3),
    "00001.tar": tar(pair("000010000", 48, 48, "b" * 9, LANGUAGE="de")),
    "00001_stats.json": stats(1, 0),
}


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "local":
        yield str(tmp_path / "tars")
        return
    yield f"memory://{tmp_path.name}/tars"
    fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)


def write(place: str, files: dict[str, bytes]) -> str:
    for name, data in files.items():
        storage.write_bytes(f"{place}/{name}", data)
    return place


def facts_of(target: str) -> dict[str, Any]:
    found = find_target(target)
    assert isinstance(found, TarFiles)
    return foreign_facts(found, quiet=True)


def shown(facts: dict[str, Any]) -> str:
    file = io.StringIO()
    render_foreign(facts, Console(width=100, file=file))
    return file.getvalue()


def test_img2dataset_numbers_equal_hand_computed_ones(place: str) -> None:
    facts = facts_of(write(place, IMG2DATASET))
    pictures = sum(len(jpeg(*size)) for size in ((64, 32), (32, 64), (48, 48)))
    assert facts["problems"] == []
    assert facts["complete"] is True
    assert facts["formats"] == [{"format": "img2dataset", "shards": 2}]
    assert (facts["shards"], facts["samples"], facts["images"]) == (2, 3, 3)
    assert facts["bytes"] == sum(len(IMG2DATASET[name]) for name in ("00000.tar", "00001.tar"))
    members = {row["suffix"]: (row["members"], row["bytes"]) for row in facts["members"]}
    assert members["jpg"] == (3, pictures)
    assert members["txt"] == (3, 3 + 10 + 9)
    assert members["json"][0] == 3
    assert facts["characters"] == 17
    assert facts["text_length"] == {
        "count": 3, "min": 3, "median": 5, "mean": 5.6667, "p95": 9, "max": 9,
        "histogram": [{"from": 2, "count": 1}, {"from": 4, "count": 1}, {"from": 8, "count": 1}],
    }  # fmt: skip
    assert facts["languages"] == [
        {"language": "de", "samples": 1}, {"language": "en", "samples": 1}
    ]  # fmt: skip
    assert facts["image_formats"] == [{"format": "jpeg", "images": 3}]
    assert facts["image_width"]["max"] == 64
    assert facts["image_aspect"]["median"] == 2.0
    assert facts["image_shape"] == {"landscape": 1, "portrait": 1, "square": 1}
    assert facts["requests"] == {
        "count": 6, "successes": 3, "failed_to_download": 3, "failed_to_resize": 0,
        "statuses": [{"status": "404", "requests": 3}, {"status": "success", "requests": 3}],
    }  # fmt: skip
    told = shown(facts)
    assert "format img2dataset (2)" in told
    assert "downloads  6 URLs, 3 with an image, 3 failed" in told


def test_mint_numbers_equal_hand_computed_ones(place: str) -> None:
    frames = [Image.new("L", size) for size in ((30, 10), (20, 20))]
    sink = io.BytesIO()
    frames[0].save(sink, "TIFF", save_all=True, append_images=frames[1:])
    layout = {"texts": ["abc", None, None, "de"], "images": [None, "page_0_image_1", "p2", None]}
    members = [("k1.json", json.dumps(layout).encode()), ("k1.tiff", sink.getvalue())]
    facts = facts_of(write(place, {"a.tar": tar(members)}))
    assert facts["problems"] == []
    assert facts["formats"] == [{"format": "MINT-1T", "shards": 1}]
    assert (facts["samples"], facts["images"], facts["characters"]) == (1, 2, 5)
    assert facts["images_per_sample"]["max"] == 2
    assert facts["image_formats"] == [{"format": "tiff", "images": 1}]
    assert facts["image_width"]["max"] == 30
    found = find_sample(find_target(f"{place}/a.tar"), "k1", STREAMS, quiet=True)
    assert (found.key, found.stream, list(found.members)) == ("k1", None, ["json", "tiff"])


PLAIN = [("a/x.0.png", b"\x89PNG\r\n\x1a\n" + bytes(8) + bytes([0, 0, 0, 4, 0, 0, 0, 2])),
         ("a/x.mp4", bytes(100)), ("README", b"hello"), ("a/y.cls", b"7")]  # fmt: skip


def test_tars_of_any_members_are_counted(place: str) -> None:
    facts = facts_of(
        write(place, {"deep/er/b.tar": tar(PLAIN), "c.tgz": gzip.compress(tar(PLAIN))})
    )
    assert facts["problems"] == []
    assert facts["formats"] == [{"format": None, "shards": 2}]
    assert facts["samples"] == 4
    assert {row["suffix"]: row["members"] for row in facts["members"]} == {
        "N.png": 2, "mp4": 2, "cls": 2
    }  # fmt: skip
    assert facts["image_shape"]["landscape"] == 2
    assert facts["text_length"] is None
    assert facts["languages"] is None
    assert "no format that is known (2)" in shown(facts)


def test_place_may_be_a_glob_one_tar_or_a_tar_of_any_name(place: str) -> None:
    write(place, IMG2DATASET | {"other": IMG2DATASET["00001.tar"]})
    assert facts_of(f"{place}/0000[0-9].tar")["samples"] == 3
    assert facts_of(f"{place}/00000.tar")["samples"] == 2
    assert facts_of(f"{place}/*.tar")["shards"] == 2
    assert facts_of(f"{place}/other")["samples"] == 1


def test_links_to_tars_are_read_and_pipes_are_not(tmp_path: Path) -> None:
    write(str(tmp_path / "real"), IMG2DATASET)
    folder = tmp_path / "links"
    folder.mkdir()
    (folder / "a.tar").symlink_to(tmp_path / "real" / "00000.tar")
    (folder / "gone.tar").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe.tar")
    facts = facts_of(str(folder))
    assert (facts["shards"], facts["samples"]) == (1, 2)
    assert facts["bytes"] == len(IMG2DATASET["00000.tar"])


def test_weft_shards_without_an_index_are_read(tmp_path: Path) -> None:
    out = build(str(tmp_path / "out"))
    folder = tmp_path / "out" / "shards" / "text"
    for name in ("index.parquet", "manifest.json"):
        (folder / name).unlink()
    facts = facts_of(str(folder))
    assert (facts["shards"], facts["samples"], facts["characters"]) == (1, 1, 7)
    assert facts["languages"] == [{"language": "de", "samples": 1}]
    other = tmp_path / "elsewhere"
    (Path(out.url) / "shards" / "captioned").rename(other)
    assert isinstance(find_target(str(other)), Snapshot)  # its manifest tells what it is
    (other / "manifest.json").unlink()
    assert isinstance(find_target(str(other)), TarFiles)


WEFT = {
    "Weft, captioned": {"doc_id": "d", "captions": []},
    "Weft, interleaved": {"doc_id": "d", "texts": ["a"], "images": [None]},
    "Weft, text": {"doc_id": "d", "scores": {}},
    "MINT-1T": {"texts": ["a"], "images": [None]},
    "WebDataset pairs": {"url": "http://a.example/"},
}


@pytest.mark.parametrize(("expected", "about"), WEFT.items(), ids=WEFT)
def test_format_is_told_by_the_json(tmp_path: Path, expected: str, about: dict[str, Any]) -> None:
    data = json.dumps({"key": "0a"} | about).encode()
    facts = facts_of(write(str(tmp_path), {"a.tar": tar([("0a.json", data), ("0a.txt", b"a")])}))
    assert [row["format"] for row in facts["formats"]] == [expected]


# --- damage

SOUND = IMG2DATASET["00000.tar"]


def flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


DAMAGE: dict[str, tuple[bytes, str, int]] = {
    "cut short": (SOUND[:-3000], "000000001: the tar ends", 1),
    "no end mark": (SOUND[: SOUND.rindex(b"ustar") + 767], "000000001: the tar ends", 1),
    "a header": (flipped(SOUND, SOUND.index(b"000000001.txt")), "no tar header", 1),
    "no tar": (b"<html>not found</html>" * 100, "no tar header", 0),
    "empty file": (b"", "the tar ends", 0),
    "no sample": (tar([("README", b"")]), "holds no sample", 0),
    "json": (tar([("a.json", b"{"), ("a.txt", b"a"), ("b.txt", b"b")]), "a: no JSON", 1),
    "text": (tar([("a.txt", b"\xff"), ("b.txt", b"b")]), "a: a text that is no UTF-8", 1),
    "two of one name": (tar([("a.txt", b"a")] * 2), "a: two members of one name", 0),
    "a key again": (
        tar([("a.txt", b"a"), ("b.txt", b"b"), ("a.jpg", b"a")]), "a: the members of this key", 2
    ),
    "damaged gzip": (gzip.compress(SOUND)[:-200], "the gzip data ends early", 0),
}  # fmt: skip


@pytest.mark.parametrize(("data", "message", "samples"), DAMAGE.values(), ids=DAMAGE)
def test_damaged_tar_is_named_and_the_rest_counted(
    tmp_path: Path, data: bytes, message: str, samples: int
) -> None:
    place = write(str(tmp_path), {"00000.tar": data, "00001.tar": IMG2DATASET["00001.tar"]})
    facts = facts_of(place)
    assert facts["samples"] == samples + 1
    assert len(facts["problems"]) == 1
    assert facts["problems"][0].startswith("00000.tar: ")
    assert message in facts["problems"][0]
    assert facts["shard_problems"][0]["shard"] == "00000.tar"
    assert "! 00000.tar: " in shown(facts)
    checked = verify(find_target(place), quiet=True)
    assert not checked["sound"]
    assert {row["file"] for row in checked["problems"]} == {"00000.tar"}


@pytest.mark.parametrize(
    ("report", "message"),
    [
        (stats(3, 0), "holds 2 samples that can be read, 00000_stats.json tells of 3"),
        (b"{", "00000_stats.json cannot be read"),
    ],
    ids=["other count", "no JSON"],
)
def test_report_that_disagrees_is_a_problem(tmp_path: Path, report: bytes, message: str) -> None:
    place = write(str(tmp_path), IMG2DATASET | {"00000_stats.json": report})
    (problem,) = facts_of(place)["problems"]
    assert message in problem


def test_sound_tars_verify(place: str) -> None:
    facts = verify(find_target(write(place, IMG2DATASET)), quiet=True)
    assert facts["sound"]
    assert facts["checked"]["samples"] == 3
    assert facts["checked"]["members"] == 9


def test_many_problems_of_a_tar_are_counted(tmp_path: Path) -> None:
    members = [(f"{number}.json", b"{") for number in range(30)]
    place = write(str(tmp_path), {"a.tar": tar(members)})
    facts = facts_of(place)
    assert facts["damaged"] == 30
    assert facts["problems"][0].endswith("(and 29 more)")
    assert len(facts["shard_problems"][0]["first"]) == 5
    assert verify(find_target(place), quiet=True)["problem_count"] == 30


NOTHING: dict[str, Callable[[Path], Any]] = {
    "no tar in it": lambda path: (path.mkdir(), (path / "a.txt").write_text("x")),
    "another file": lambda path: path.write_text("x"),
    "an empty folder": lambda path: path.mkdir(),
    "nothing": lambda path: None,
}


@pytest.mark.parametrize("make", NOTHING.values(), ids=NOTHING)
def test_place_without_tars_is_one_clear_line(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    make(tmp_path / "x")
    for target in (str(tmp_path / "x"), str(tmp_path / "x" / "*.tar")):
        with pytest.raises(InputError, match="and no tar is there") as error:
            find_target(target)
        assert "\n" not in str(error.value)


# --- samples


def test_sample_is_found_by_key_or_beginning(place: str) -> None:
    target = find_target(write(place, IMG2DATASET))
    for key in ("000010000", "000010", "00001000"):
        found = find_sample(target, key, STREAMS, quiet=True)
        assert (found.shard, found.key, found.offset) == ("00001.tar", "000010000", 0)
        assert found.members["txt"] == b"b" * 9
    for key, message in (
        ("000000", "several keys"),
        ("00001", "no sample"),
        ("x" * 9, "no sam"),
    ):
        with pytest.raises(InputError, match=message):
            find_sample(target, key, STREAMS, quiet=True)


def test_samples_are_drawn_by_hash(place: str) -> None:
    target = find_target(write(place, IMG2DATASET))
    drawn = [[s.key for s in draw_samples(target, 2, n, STREAMS, quiet=True)] for n in range(12)]
    assert drawn[3] == [s.key for s in draw_samples(target, 2, 3, STREAMS, quiet=True)]
    assert len({key for keys in drawn for key in keys}) == 3
    assert len(draw_samples(target, 9, 0, STREAMS, quiet=True)) == 3


def test_command_tells_of_foreign_tars(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = write(str(tmp_path / "tars"), IMG2DATASET)
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", place]) == 0
    assert "img2dataset" in capfd.readouterr().out
    assert main(["inspect", place, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["samples"] == 3
    assert main(["inspect", place, "--sample", "000000001"]) == 0
    assert Path("000000001.00.jpg").read_bytes() == jpeg(32, 64)
    assert main(["inspect", place, "--verify"]) == 0
    Path(place, "00001.tar").write_bytes(SOUND[:-3000])
    assert main(["inspect", place, "--verify"]) == 1
    assert main(["inspect", place]) == 0
    capfd.readouterr()
    assert main(["inspect", place, "--stream", "text"]) == 2
    assert "has no streams" in capfd.readouterr().err
    assert main(["inspect", place, "--sql", "SELECT 1"]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000001.00.jpg", "tars"]


def test_names_of_strangers_cannot_reach_the_terminal(tmp_path: Path) -> None:
    members = pair("a", 8, 8, EVIL, language=EVIL)
    place = write(str(tmp_path), {"a.tar": tar(members), "a_stats.json": stats(2, 1)})
    facts = facts_of(place)
    told = shown(facts | {"output": EVIL, "problems": [EVIL] * 30})
    assert "and 10 problems more" in told
    assert not {c for c in told if c != "\n" and not c.isprintable()}


# --- tallies


def test_names_without_end_are_counted_as_others() -> None:
    counts: Counter[str] = Counter()
    for number in range(MAX_NAMES + 5):
        count_name(counts, f"n{number}")
    count_name(counts, "n0")
    assert (len(counts), counts[OTHER], counts["n0"]) == (MAX_NAMES + 1, 5, 2)
    total, more = Tally(), Tally(languages=Counter(fr=2))
    total.languages = counts
    total.add(more)
    assert total.languages[OTHER] == 7
