"""What --verify finds: each kind of damage, named by file and key, with what is and should be."""

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from beam_runner import main
from pipeline.inspection.show_verify import render_verified
from pipeline.inspection.targets import find_target
from pipeline.inspection.verify import verify
from schemas.errors import InputError
from schemas.ids import image_key
from schemas.rows import ImageRecord, IndexRow, Sample
from schemas.shards import STREAMS, sample_key
from tests.small_output import EVIL, Output, build, jpeg
from transforms import storage
from transforms.packs import PackWriter
from transforms.shards import BLOCK, sample_of_block
from transforms.sink import PartSink

TRAIN = "shards/captioned/train-000000.tar"
KEYS = sorted(sample_key("captioned", number) for number in (1, 2, 3))


def with_pack(url: str) -> Output:
    """An output with a pack of two images that a table names."""
    out = Output(url)
    pictures = [jpeg(10, 10), jpeg(20, 20)]

    def extract(sink: PartSink) -> None:
        with PackWriter(url, 1 << 20) as packs:
            slots = []
            for data in pictures:
                key = image_key(hashlib.sha256(data).hexdigest())
                slots.append((key, packs.add(key, "jpeg", data)))
            (name,) = packs.close()
        sink.commit.packs = [name]
        for number, (key, slot) in enumerate(slots):
            sink.seen("image_records")
            sink.keep(
                "image_records",
                ImageRecord(f"http://a.example/{number}", key, "ok", "", "", "a", 0,
                            pack=name, offset=slot.offset, size=slot.size),
            )  # fmt: skip

    out.part("extract", "a", extract)
    for stream in STREAMS:
        out.publish(stream, [])
    for stage, name in (("dedup", "d"), ("refs", "r"), ("shard", "s")):
        out.part(stage, name, lambda sink: None)
    out.finish()
    return out


@pytest.fixture(params=["local", "memory"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Output]:
    if request.param == "local":
        yield build(str(tmp_path / "out [1]"))
        return
    yield build(f"memory://{tmp_path.name}/out")
    fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)


@pytest.fixture
def local(tmp_path: Path) -> Output:
    return build(str(tmp_path / "out"))


def verified(url: str, streams: Any = STREAMS) -> dict[str, Any]:
    return verify(find_target(url, tolerant=True), streams, quiet=True)


def problems(url: str, streams: Any = STREAMS) -> list[tuple[Any, ...]]:
    facts = verified(url, streams)
    assert facts["sound"] is not bool(facts["problems"])
    assert facts["problem_count"] == len(facts["problems"])
    return [(row["file"], row["key"], row["what"]) for row in facts["problems"]]


def test_sound_output_is_counted(out: Output) -> None:
    facts = verified(out.url)
    fs, root = storage.resolve(out.url)
    tars = [path for path in fs.find(f"{root}/shards") if path.endswith(".tar")]
    assert facts == {
        "output": out.url,
        "sound": True,
        "checked": {
            "shards": 4, "samples": 7, "members": 20, "bytes": sum(fs.size(path) for path in tars)
        },
        "problem_count": 0,
        "problems": [],
    }  # fmt: skip


@pytest.mark.parametrize("folder", ["shards", "shards/captioned"])
def test_shards_alone_are_verified(local: Output, folder: str) -> None:
    facts = verified(f"{local.url}/{folder}")
    assert facts["sound"]
    assert facts["checked"]["samples"] == (7 if folder == "shards" else 4)


def data_of(out: Output, name: str = TRAIN) -> bytearray:
    return bytearray(storage.read_bytes(f"{out.url}/{name}") or b"")


def rows_of(out: Output) -> list[dict[str, Any]]:
    rows = pq.read_table(f"{out.url}/shards/captioned/index.parquet").to_pylist()
    return sorted(rows, key=lambda row: (row["shard"], row["key"]))


def flip(place: Callable[[dict[str, Any]], int]) -> Callable[[Output], None]:
    """Change a byte of the second sample of the first shard."""

    def damage(out: Output) -> None:
        data = data_of(out)
        data[place(rows_of(out)[1])] ^= 1
        storage.write_bytes(f"{out.url}/{TRAIN}", bytes(data))

    return damage


def cut(out: Output) -> None:
    data = data_of(out)
    storage.write_bytes(f"{out.url}/{TRAIN}", bytes(data[: rows_of(out)[2]["offset"] + 700]))


def grow(out: Output) -> None:
    storage.write_bytes(f"{out.url}/{TRAIN}", bytes(data_of(out)) + bytes(BLOCK))


def index(edit: Callable[[list[dict[str, Any]]], Any]) -> Callable[[Output], None]:
    def damage(out: Output) -> None:
        url = f"{out.url}/shards/captioned/index.parquet"
        schema = pq.read_schema(url)
        rows = rows_of(out)
        edit(rows)
        with storage.publish(url) as file:
            pq.write_table(pa.Table.from_pylist(rows, schema), file)

    return damage


def manifest(edit: Callable[[dict[str, Any]], Any]) -> Callable[[Output], None]:
    def damage(out: Output) -> None:
        url = f"{out.url}/shards/captioned/manifest.json"
        record = json.loads(storage.read_bytes(url) or b"")
        edit(record)
        record["totals"] = {
            "bytes": sum(shard["bytes"] for shard in record["shards"]),
            "samples": sum(shard["samples"] for shard in record["shards"]),
            "shards": len(record["shards"]),
        }
        storage.write_bytes(url, json.dumps(record).encode())

    return damage


def broken(name: str, content: bytes = b"junk") -> Callable[[Output], None]:
    return lambda out: storage.write_bytes(f"{out.url}/{name}", content)


INDEX = "shards/captioned/index.parquet"
SHA, BYTES = "sha256 of the file", "bytes of the file"
DAMAGE: dict[str, tuple[Callable[[Output], Any], list[tuple[Any, ...]]]] = {
    "a byte of an image": (
        flip(lambda row: row["member_offsets"][-1] + 100), [(TRAIN, None, SHA)]
    ),
    "a byte of a header": (
        flip(lambda row: row["offset"]),
        [
            (TRAIN, None, "is no whole tar: byte "),
            (TRAIN, KEYS[1], "cannot be read by the index: "),
            (TRAIN, None, SHA),
            (TRAIN, None, "samples that can be read"),
        ],
    ),
    "a byte of padding": (
        flip(lambda row: row["member_offsets"][0] + row["member_sizes"][0]),
        [(TRAIN, None, "is no whole tar: byte "), (TRAIN, None, SHA)],
    ),
    "a cut shard": (
        cut,
        [
            (TRAIN, None, "is no whole tar: byte "),
            (TRAIN, KEYS[2], "cannot be read by the index: "),
            (TRAIN, None, BYTES),
            (TRAIN, None, SHA),
            (TRAIN, None, "samples that can be read"),
        ],
    ),
    "a shard that grew": (
        grow,
        [(TRAIN, None, "is no whole tar: byte "), (TRAIN, None, BYTES), (TRAIN, None, SHA)],
    ),
    "a missing shard": (lambda out: out.remove(TRAIN), [(TRAIN, None, "the shard is missing")]),
    "a shard too many": (
        broken("shards/captioned/train-000001.tar", bytes(1024)),
        [("shards/captioned/train-000001.tar", None, "the manifest does not list it")],
    ),
    "a tar of another name": (
        broken("shards/captioned/a.tar"), [(INDEX, None, "not the name of a shard: 'a.tar'")]
    ),
    "an offset of the index": (
        index(lambda rows: rows[1].update(offset=rows[1]["offset"] + 512)),
        [(TRAIN, KEYS[1], "offset: tar, index")],
    ),
    "an offset of a member": (
        index(lambda rows: rows[1].update(member_offsets=[512, 1536, 0])),
        [(TRAIN, KEYS[1], "offsets of members: tar, index")],
    ),
    "a size of a member": (
        index(lambda rows: rows[0].update(member_sizes=[1, 2, 3])),
        [(TRAIN, KEYS[0], "sizes of members: tar, index")],
    ),
    "a number of images": (
        index(lambda rows: rows[0].update(images=3)), [(TRAIN, KEYS[0], "images: tar, index")]
    ),
    "a row that is missing": (
        index(lambda rows: rows.pop(2)), [(TRAIN, KEYS[2], "is in the tar and not in the index")]
    ),
    "a row too many": (
        index(lambda rows: rows.append(rows[0] | {"key": "0" * 32})),
        [(TRAIN, "0" * 32, "is in the index and not in the tar")],
    ),
    "a key that comes twice": (
        index(lambda rows: rows.append(rows[0] | {"shard": rows[3]["shard"]})),
        [
            (INDEX, KEYS[0], "rows of the key in the index"),
            ("shards/captioned/validation-000000.tar", KEYS[0],
             "is in the index and not in the tar"),
        ],
    ),
    "a sha256 of the manifest": (
        manifest(lambda record: record["shards"][0].update(sha256="0" * 64)), [(TRAIN, None, SHA)]
    ),
    "a count of the manifest": (
        manifest(lambda record: record["shards"][0].update(samples=9)),
        [(TRAIN, None, "samples that can be read")],
    ),
    "a number of shards": (
        manifest(lambda record: record["bits"].update(train=19)),
        [(TRAIN, key, "the key belongs to another shard") for key in KEYS],
    ),
    "no index": (lambda out: out.remove(INDEX), [("OUT", None, f"{INDEX} is missing")]),
    "a corrupt index": (broken(INDEX), [(INDEX, None, "index.parquet: cannot be read")]),
    "a corrupt manifest": (
        broken("shards/captioned/manifest.json"),
        [("OUT", None, "manifest.json: not a manifest")],
    ),
    "a manifest that does not list a shard": (
        manifest(lambda record: record["shards"].pop(0)),
        [(TRAIN, None, "the manifest does not list it")],
    ),
    "a size of the index": (
        index(lambda rows: rows[0].update(size=1 << 60)), [(TRAIN, KEYS[0], "size: tar, index")]
    ),
    "a run that was stopped": (
        lambda out: out.edit_run(lambda run: run["stages"].pop("refs")),
        [("OUT", None, "the run is not complete: no refs yet")],
    ),
    "no run record": (
        lambda out: out.remove("run.json"),
        [("OUT", None, "run.json is missing: what its stages did is not known")],
    ),
    "a commit": (
        broken("commits/shard/samples-a-f0.json"), [("OUT", None, "not a commit record")]
    ),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "expected"), DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_found_and_named(
    local: Output, damage: Callable[[Output], Any], expected: list[tuple[Any, ...]]
) -> None:
    damage(local)
    found = problems(local.url)
    assert len(found) == len(expected), found
    for (file, key, what), (in_file, of_key, words) in zip(found, expected, strict=True):
        assert (file, key) == (in_file.replace("OUT", local.url), of_key)
        assert words in what
    # The rest is verified all the same.
    assert verified(local.url)["checked"]["samples"] >= 4


def test_problem_says_what_is_and_what_should_be(local: Output) -> None:
    flip(lambda row: row["member_offsets"][-1] + 100)(local)
    data = bytes(data_of(local))
    (problem,) = verified(local.url)["problems"]
    assert problem["is"] == hashlib.sha256(data).hexdigest()
    entries = json.loads(Path(local.url, "shards/captioned/manifest.json").read_text())["shards"]
    assert problem["should_be"] == entries[0]["sha256"]


def test_samples_behind_damage_can_still_be_read(local: Output) -> None:
    """The claim that a sample can be read by the index is checked against its bytes."""
    flip(lambda row: row["offset"])(local)
    facts = verified(local.url, ["captioned"])
    assert facts["checked"]["samples"] == 3
    last = IndexRow(**rows_of(local)[2])
    block = bytes(data_of(local)[last.offset : last.offset + last.size])
    assert set(sample_of_block(block, last)) == {"json", "txt", "jpg"}


def test_only_the_named_streams_are_verified(local: Output) -> None:
    cut(local)
    assert verified(local.url, ["text", "interleaved"])["sound"]
    assert not verified(local.url, ["captioned"])["sound"]


# --- packs


@pytest.fixture
def packed(tmp_path: Path) -> Output:
    return with_pack(str(tmp_path / "out"))


def pack_of(out: Output) -> Path:
    (path,) = Path(out.url, "packs").iterdir()
    return path


def test_packs_are_verified(packed: Output) -> None:
    facts = verified(packed.url)
    assert facts["problems"] == []
    size = pack_of(packed).stat().st_size
    assert facts["checked"] == {
        "shards": 0, "samples": 0, "members": 0, "bytes": 0,
        "packs": 1, "packed_images": 2, "pack_bytes": size - 2 * BLOCK,
    }  # fmt: skip
    assert "packs" not in verified(packed.url, ["text"])["checked"]


def test_changed_image_of_a_pack_is_named(packed: Output) -> None:
    path, data = pack_of(packed), jpeg(20, 20)
    key = image_key(hashlib.sha256(data).hexdigest())
    content = bytearray(path.read_bytes())
    content[content.index(data) + 200] ^= 1
    path.write_bytes(content)
    (problem,) = verified(packed.url)["problems"]
    assert (problem["file"], problem["key"]) == (f"packs/{path.name}", key)
    assert problem["should_be"] == key
    assert problem["is"] != key


def test_pack_that_is_cut_missing_or_another_is_told(packed: Output) -> None:
    path = pack_of(packed)
    file, content = f"packs/{path.name}", path.read_bytes()
    path.write_bytes(content[:700])
    found = problems(packed.url)
    assert found[0][2].startswith("is no whole pack: byte 0: the pack ends inside the image")
    assert [what for _, _, what in found[1:]] == [
        "the tables say that an image lies where it does not"
    ] * 2
    path.write_bytes(content[BLOCK + 1024 :])
    assert (file, None, "name by its headers") in problems(packed.url)
    path.unlink()
    assert problems(packed.url) == [(file, None, "the pack is missing")]


def test_pack_of_a_commit_that_climbs_is_refused(packed: Output) -> None:
    url = f"{packed.url}/commits/extract/a-f0.json"
    data = (storage.read_bytes(url) or b"").replace(pack_of(packed).name.encode(), b"../../x.tar")
    storage.write_bytes(url, data)
    assert problems(packed.url) == [(packed.url, None, problems(packed.url)[0][2])]
    assert "not a commit record: pack '../../x.tar'" in problems(packed.url)[0][2]


# --- the command


def test_exit_code_says_whether_all_is_well(
    local: Output, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", local.url, "--verify"]) == 0
    told = capfd.readouterr()
    assert "checked 7 samples in 4 shards (20 members, " in told.out
    assert "nothing is wrong" in told.out
    flip(lambda row: row["member_offsets"][-1])(local)
    assert main(["inspect", local.url, "--verify", "--quiet"]) == 1
    told = capfd.readouterr()
    assert f"! {TRAIN}: sha256 of the file" in told.out
    assert "1 problem\n" in told.out
    assert main(["inspect", local.url, "--verify", "--json"]) == 1
    assert json.loads(capfd.readouterr().out)["problem_count"] == 1
    (tmp_path / "empty").mkdir()
    for place in ("empty", "none"):
        assert main(["inspect", str(tmp_path / place), "--verify"]) == 2
        assert capfd.readouterr().err.startswith("weft: ")


def test_run_record_of_something_else_is_a_mistake(local: Output) -> None:
    broken("run.json")(local)
    with pytest.raises(InputError, match=r"run\.json: not a run record"):
        verified(local.url)


def test_names_of_strangers_cannot_reach_the_terminal() -> None:
    problem = {"file": EVIL, "key": EVIL, "what": EVIL, "is": EVIL, "should_be": [EVIL]}
    facts = {
        "output": EVIL, "sound": False, "problem_count": 2000, "problems": [problem] * 60,
        "checked": {"shards": 1, "samples": 1, "members": 1, "bytes": 1},
    }  # fmt: skip
    file = io.StringIO()
    render_verified(facts, Console(width=80, file=file))
    assert "and 1,950 problems more" in file.getvalue()
    assert not {c for c in file.getvalue() if c != "\n" and not c.isprintable()}


def test_empty_shard_of_a_stream_without_samples_is_sound(tmp_path: Path) -> None:
    out = Output(str(tmp_path))
    out.publish("text", [Sample("text", "train", 0, "ab" * 16, "x", "{}", 1)])
    assert verified(f"{out.url}/shards/text")["sound"]
