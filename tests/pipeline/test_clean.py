"""`weft clean`: orphans go, everything else stays."""

import fcntl
import json
import shutil
from pathlib import Path

import pytest

from beam_runner import main
from pipeline.clean import KINDS, clean
from schemas.commits import Commit, commit_path
from schemas.errors import InputError, OutputError
from schemas.folder_lock import LOCK_FILE
from schemas.shards import Manifest, ShardEntry

NAMED = {
    "tables/texts/a-0000000000000001.parquet": 10,
    "packs/11111111111111111111111111111111.tar": 20,
    "shards/text/train-000000.tar": 30,
    "shards/text/train-000001.tar": 30,
    "shards/text/index.parquet": 5,
    "journals/recaption/open-0000000000000009/0a.jsonl": 5,
    "report/index.html": 5,
    "logs/workers.log": 5,
    "tables/texts/README": 5,
    "tables/texts/deep/a.parquet": 5,
    "tables/texts/part-00000.parquet": 5,
    "packs/of-somebody.tar": 5,
    "shards/text/notes.tar": 5,
    "strange/.tmp-x": 5,
    "notes.txt": 5,
}
ORPHANS = {
    "tables": "tables/texts/a-0000000000000002.parquet",
    "packs": "packs/22222222222222222222222222222222.tar",
    "shards": "shards/text/train-000002.tar",
    "journals": "journals/recaption/done-0000000000000008/0b.jsonl",
    "temporary": "tables/texts/.tmp-abc_1",
}
SPOOLED = ("tmp/.tmp-abc.tar", ".tmp-run_json")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """An output with one orphan of each kind that a disk knows, and two spooled files more."""
    out = tmp_path / "out"
    for path in [*NAMED, *ORPHANS.values(), *SPOOLED]:
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(bytes(NAMED.get(path, 100)))
    commits = [
        Commit(
            "extract", "a", "0000000000000001",
            files={"texts": {"a": "tables/texts/a-0000000000000001.parquet"}},
            packs=["11111111111111111111111111111111.tar"],
        ),
        Commit("recaption", "done", "0000000000000008"),
        Commit(
            "shard", "shard-text-train-000001", "0000000000000003",
            details={"stream": "text", "entry": {"name": "train-000001.tar"}},
        ),
    ]  # fmt: skip
    for commit in commits:
        path = out / commit_path(commit.stage, commit.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(commit.to_json())
    (out / "commits" / "shard" / "published").write_text("x")
    entry = ShardEntry("train-000000.tar", 1, 30, "0" * 64)
    manifest = Manifest("text", "recipe", {"train": 0}, [entry])
    (out / "shards" / "text" / "manifest.json").write_text(manifest.to_json())
    (out / "run.json").write_text(json.dumps({"run_version": 1, "stages": {}}))
    return out


def files(folder: Path) -> set[str]:
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    return found - {LOCK_FILE}


def test_clean_tells_and_with_yes_removes_what_nothing_names(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(output)
    orphans = {*ORPHANS.values(), *SPOOLED}
    assert main(["clean", str(output)]) == 0
    told = capsys.readouterr().out
    assert files(output) == before
    assert all(path in told for path in orphans)
    assert "7 files, 700 B: would be removed" in told
    assert "--yes" in told
    assert main(["clean", str(output), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert {kind: facts["kinds"][kind]["files"] for kind in KINDS} == {
        "tables": 1, "packs": 1, "shards": 1, "journals": 1, "temporary": 3, "uploads": 0,
    }  # fmt: skip
    assert (facts["files"], facts["bytes"], facts["removed"]) == (7, 700, False)
    assert main(["clean", str(output), "--yes"]) == 0
    assert "removed from" in capsys.readouterr().out
    assert files(output) == before - orphans
    assert clean(str(output), remove=True).found == []


def test_what_is_young_stays_where_that_is_wanted(output: Path) -> None:
    orphans = clean(str(output), remove=True, hours=1)
    assert (orphans.found, orphans.young) == ([], 7)
    assert set(ORPHANS.values()) <= files(output)


def test_an_output_in_use_is_refused(output: Path) -> None:
    with open(output / LOCK_FILE, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(OutputError, match="another run is using it"):
            clean(str(output), remove=True)
    assert set(ORPHANS.values()) <= files(output)


def test_a_record_that_cannot_be_read_stops_it(output: Path) -> None:
    """What the record names would look like an orphan."""
    (output / commit_path("extract", "a-0000000000000001")).write_bytes(b"{")
    with pytest.raises(InputError, match="not a commit record"):
        clean(str(output), remove=True)
    assert set(ORPHANS.values()) <= files(output)
    (output / commit_path("extract", "a-0000000000000001")).unlink()
    (output / "shards" / "text" / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"manifest\.json"):
        clean(str(output), remove=True)
    assert set(ORPHANS.values()) <= files(output)


def test_a_first_run_that_was_killed_is_an_output(output: Path) -> None:
    for path in ("run.json", "notes.txt"):
        (output / path).unlink()
    shutil.rmtree(output / "strange")
    assert len(clean(str(output), remove=True).found) == 7


@pytest.mark.parametrize("what", ["stranger", "empty", "none", "other-record", "file"])
def test_what_is_no_output_is_refused(
    what: str, output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = output
    if what == "stranger":  # `tables` and `packs`, and things that no run puts there
        (output / "run.json").unlink()
    elif what == "empty":
        target = tmp_path / "empty"
        target.mkdir()
    elif what == "none":
        target = tmp_path / "none"
    elif what == "other-record":
        (output / "run.json").write_text('{"name": "something else"}')
    else:
        target = output / "notes.txt"
    before = files(output)
    assert main(["clean", str(target), "--yes"]) == 2
    told = capsys.readouterr().err
    assert str(target) in told
    assert told.count("\n") == 1
    assert files(output) == before
    assert (what != "none") == target.exists(), "nothing is made either"


def test_records_out_of_sight_make_no_orphans(output: Path, tmp_path: Path) -> None:
    run = {"run_version": 1, "stages": {"extract": {"snapshot": ["a-0000000000000001"]}}}
    (output / "run.json").write_text(json.dumps(run))
    (output / "commits").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"commits/extract/a-0000000000000001\.json is missing"):
        clean(str(output), remove=True)
    (output / "commits").symlink_to(tmp_path / "elsewhere")
    clean(str(output), remove=True)
    assert (output / "tables/texts/a-0000000000000001.parquet").exists()
    assert not (output / ORPHANS["tables"]).exists()


def test_output_of_another_version_is_left_alone(output: Path) -> None:
    (output / "run.json").write_text(json.dumps({"run_version": 99, "stages": {}}))
    with pytest.raises(InputError, match="is of version 99, not 1"):
        clean(str(output), remove=True)


def test_tables_of_somebody_are_no_output(tmp_path: Path) -> None:
    path = tmp_path / "lake" / "tables" / "users" / "part-00000.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    with pytest.raises(InputError, match="is no output of Weft"):
        clean(str(tmp_path / "lake"), remove=True)
    assert path.exists()
