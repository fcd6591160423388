"""Single samples of shards: found by the index, read by range, shown, their images written out."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from rich.console import Console

from beam_runner import main
from pipeline.inspection.sample_content import FoundSample, sample_facts
from pipeline.inspection.sample_images import write_images
from pipeline.inspection.samples import draw_samples, find_sample
from pipeline.inspection.show_samples import render_sample, render_samples
from pipeline.inspection.snapshot import Snapshot
from pipeline.inspection.targets import find_target
from pipeline.inspection.verify import verify
from schemas.errors import InputError, OutputError
from schemas.rows import Sample
from schemas.shards import STREAMS, sample_key
from tests.small_output import EVIL, Output, build, captioned, interleaved, jpeg, text
from transforms import storage


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Output:
    """An output that no test changes."""
    return build(str(tmp_path_factory.mktemp("sound") / "out"))


@pytest.fixture
def local(tmp_path: Path) -> Output:
    return build(str(tmp_path / "out"))


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Output]:
    yield build(f"memory://{tmp_path.name}/out")
    fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)


def shown(facts: Any) -> str:
    file = io.StringIO()
    console = Console(width=100, file=file)
    if isinstance(facts, list):
        render_samples(facts, console)
    else:
        render_sample(facts, console)
    return file.getvalue()


def find(url: str, key: str, streams: Any = STREAMS) -> FoundSample:
    return find_sample(find_target(url), key, streams, quiet=True)


def draw(url: str, count: int, seed: int = 0, streams: Any = STREAMS) -> list[FoundSample]:
    return draw_samples(find_target(url), count, seed, streams, quiet=True)


KEY = sample_key("captioned", 1)
DOCUMENT = sample_key("interleaved", 2)
NAMES = ("00.jpg", "01.jpg", "02.jpg")


def row_of(url: str, stream: str, key: str) -> dict[str, Any]:
    rows = pq.read_table(f"{url}/shards/{stream}/index.parquet").to_pylist()
    return next(row for row in rows if row["key"] == key)


@pytest.mark.parametrize("digits", [6, 7, 32])
def test_captioned_sample_is_told_in_full(sound: Output, digits: int) -> None:
    facts = sample_facts(find(sound.url, KEY[:digits]))
    row = row_of(sound.url, "captioned", KEY)
    about = facts.pop("about")
    assert about == {"key": KEY, "site": "a.example", "language": "en"}
    assert facts == {
        "stream": "captioned", "split": "train", "shard": "shards/captioned/train-000000.tar",
        "key": KEY, "offset": row["offset"],
        "members": [
            {"suffix": suffix, "bytes": size}
            for suffix, size in zip(row["members"], row["member_sizes"], strict=True)
        ],
        "text": "x" * 10,
        "captions": [
            {"origin": "alt", "text": "x" * 10, "chosen": True},
            {"origin": "title", "text": "y" * 4, "chosen": False},
        ],
        "nodes": None,
        "images": [
            {"member": "jpg", "format": "jpeg", "width": 64, "height": 32,
             "bytes": len(jpeg(64, 32))}
        ],
        "problems": [],
    }  # fmt: skip
    lines = shown(facts | {"about": about}).splitlines()
    assert " * alt        xxxxxxxxxx" in lines
    assert "   title      yyyy" in lines
    assert any("jpeg, 64 x 32" in line for line in lines)


def test_interleaved_sample_has_its_nodes_in_order(sound: Output) -> None:
    facts = sample_facts(find(sound.url, DOCUMENT))
    assert facts["text"] is None
    assert facts["nodes"] == [
        {"kind": "text", "text": "abc"},
        *({"kind": "image", "name": name, "member": name} for name in NAMES),
    ]
    assert [(image["width"], image["height"]) for image in facts["images"]] == [
        (64, 32), (32, 64), (48, 48)
    ]  # fmt: skip
    assert "texts" not in facts["about"]
    assert "1  image 00.jpg" in shown(facts)


def test_image_facts_stand_beside_their_nodes() -> None:
    layout = {"texts": ["a", None, None], "images": [None, "00.jpg", "01.jpg"],
              "image_info": [{"alt": "one", "scores": {"clip": 0.3}}, {"alt": "two"}]}  # fmt: skip
    members = {"json": json.dumps(layout).encode(), "00.jpg": jpeg(8, 8), "01.jpg": jpeg(9, 9)}
    sizes = {name: len(data) for name, data in members.items()}
    facts = sample_facts(FoundSample("a.tar", "k", 0, members, sizes))
    assert [node.get("alt") for node in facts["nodes"]] == [None, "one", "two"]
    assert '{"clip": 0.3}' in shown(facts)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("0123456789abcdef", "no sample of"),
        (KEY[:5], "at least 6 characters"),
        (KEY + "0", "no sample of"),
        ("%" * 6, "no sample of"),
    ],
    ids=["unknown", "too short", "too long", "a pattern"],
)
def test_key_of_no_sample_is_one_clear_line(sound: Output, key: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find(sound.url, key)


def test_beginning_of_several_keys_is_refused_with_their_names(local: Output) -> None:
    keys = [f"abcdef{number:02x}" + "0" * 24 for number in range(8)]
    local.publish("text", [Sample("text", "train", 0, key, "x", "{}", 1) for key in keys])
    with pytest.raises(InputError, match=f"several keys.*{keys[4]} and more"):
        find(local.url, "abcdef")
    assert find(local.url, keys[2][:8]).key == keys[2]


def test_only_the_streams_that_are_named_are_looked_at(sound: Output) -> None:
    with pytest.raises(InputError, match="no sample of"):
        find(sound.url, KEY, ["text"])


def test_sample_is_read_by_range_and_nothing_else(
    memory: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[int, int]] = []
    cat_file, opened = MemoryFileSystem.cat_file, MemoryFileSystem._open

    def cat(self: Any, path: str, start: Any = None, end: Any = None, **options: Any) -> bytes:
        if path.endswith(".tar"):
            read.append((start, end))
        return cat_file(self, path, start=start, end=end, **options)

    def refuse(self: Any, path: str, *args: Any, **options: Any) -> Any:
        assert "captioned/train-000000.tar" not in path or read
        return opened(self, path, *args, **options)

    monkeypatch.setattr(MemoryFileSystem, "cat_file", cat)
    monkeypatch.setattr(MemoryFileSystem, "_open", refuse)
    found = find(memory.url, KEY)
    sizes = [-(-size // 512) * 512 + 512 for size in found.sizes.values()]
    assert read == [(found.offset, found.offset + sum(sizes))]
    assert found.members["jpg"] == jpeg(64, 32)


def change_index(out: Output, **changes: Any) -> None:
    url = f"{out.url}/shards/captioned/index.parquet"
    rows = [row | changes for row in pq.read_table(url).to_pylist()]
    with storage.publish(url) as file:
        pq.write_table(pa.Table.from_pylist(rows, pq.read_schema(url)), file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offset": 512}, "is not the shard that its index tells of"),
        ({"size": 1 << 60}, "is not the shard that its index tells of"),
        ({"members": ["json", "txt", "../x"]}, "cannot be read"),
        ({"shard": "../../train-000000.tar"}, "not the name of a shard"),
        ({"shard": "train-000009.tar"}, "cannot be read"),
    ],
    ids=["offset", "size", "suffix", "a shard that climbs", "a missing shard"],
)
def test_index_that_lies_is_one_clear_line(
    local: Output, changes: dict[str, Any], message: str
) -> None:
    change_index(local, **changes)
    with pytest.raises(InputError, match=message) as error:
        find(local.url, KEY)
    assert "captioned" in str(error.value)


def test_row_of_the_index_that_lacks_a_value_is_one_clear_line(local: Output) -> None:
    url = f"{local.url}/shards/captioned/index.parquet"
    rows = pq.read_table(url)
    at = rows.schema.get_field_index("members")
    with storage.publish(url) as file:
        pq.write_table(
            rows.set_column(at, "members", pa.nulls(len(rows), rows["members"].type)), file
        )
    for look in (lambda: find(local.url, KEY), lambda: draw(local.url, 3)):
        with pytest.raises(InputError, match="index of captioned has a row that cannot be"):
            look()
    found = verify(find_target(local.url), quiet=True)
    assert {row["file"] for row in found["problems"]} == {
        f"shards/captioned/{split}-000000.tar" for split in ("train", "validation")
    }  # fmt: skip


def test_output_without_an_index_is_one_clear_line(local: Output) -> None:
    for stream in STREAMS:
        local.remove(f"shards/{stream}/index.parquet")
    for look in (lambda: find(local.url, KEY), lambda: draw(local.url, 3)):
        with pytest.raises(InputError, match=r"no index\.parquet is there"):
            look()


def test_samples_are_drawn_by_hash_and_spread_over_the_streams(sound: Output) -> None:
    drawn = draw(sound.url, 4)
    assert [sample.key for sample in drawn] == [sample.key for sample in draw(sound.url, 4)]
    assert [sample.stream for sample in drawn] == [
        "captioned", "captioned", "interleaved", "text"
    ]  # fmt: skip
    everything = draw(sound.url, 100)
    assert len({sample.key for sample in everything}) == 7
    orders = {tuple(s.key for s in draw(sound.url, 2, seed, ["captioned"])) for seed in range(20)}
    assert len(orders) > 3
    assert {s.stream for s in draw(sound.url, 5, 3, ["interleaved"])} == {"interleaved"}


def test_drawn_samples_are_shown_in_short(sound: Output) -> None:
    told = shown([sample_facts(sample) for sample in draw(sound.url, 7)])
    assert told.count("sample ") == 7
    assert "nodes  4, 3 images" in told


def test_images_are_written_and_no_other_file_is_overwritten(sound: Output, tmp_path: Path) -> None:
    sample = find(sound.url, DOCUMENT)
    folder = tmp_path / "new" / "images"
    paths = write_images(sample, str(folder))
    names = [f"{DOCUMENT}.{number:02d}.jpg" for number in range(3)]
    assert paths == {f"{n:02d}.jpg": str(folder / name) for n, name in enumerate(names)}
    assert (folder / names[1]).read_bytes() == jpeg(32, 64)
    assert write_images(sample, str(folder)) == paths
    (folder / names[2]).write_bytes(b"mine")
    with pytest.raises(OutputError, match=f"{names[2]}: is there already"):
        write_images(sample, str(folder))
    assert (folder / names[2]).read_bytes() == b"mine"
    assert sorted(path.name for path in folder.iterdir()) == names


def test_link_is_not_written_through(sound: Output, tmp_path: Path) -> None:
    (tmp_path / f"{KEY}.00.jpg").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError):
        write_images(find(sound.url, KEY), str(tmp_path))
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("folder", ["memory://images", "FILE"])
def test_folder_that_cannot_be_is_one_clear_line(
    sound: Output, tmp_path: Path, folder: str
) -> None:
    (tmp_path / "file").write_text("x")
    where = folder.replace("FILE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="--images"):
        write_images(find(sound.url, KEY), where)


def test_name_of_a_file_never_comes_from_a_tar(tmp_path: Path) -> None:
    members = {"jpg": jpeg(8, 8), "../../evil.png": b"\x89PNG\r\n\x1a\n" + bytes(40), "txt": b"a"}
    sizes = {name: len(data) for name, data in members.items()}
    for key in ("../up", "a/b", "con\x1b[31m", "x" * 300):
        write_images(FoundSample("a.tar", key, 0, members, sizes), str(tmp_path / "images"))
    names = [path.name for path in (tmp_path / "images").iterdir()]
    assert len(names) == 8
    assert all(name[:32].isalnum() and name[32:] in (".00.jpg", ".01.png") for name in names)
    assert list(tmp_path.iterdir()) == [tmp_path / "images"]


def test_bytes_that_are_no_image_are_not_written(tmp_path: Path) -> None:
    sample = FoundSample("a.tar", "0" * 8, 0, {"jpg": b"<script>"}, {"jpg": 8})
    assert sample_facts(sample)["images"] == [
        {"member": "jpg", "format": None, "width": None, "height": None, "bytes": 8}
    ]
    assert write_images(sample, str(tmp_path)) == {}


def test_text_of_strangers_cannot_reach_the_terminal(tmp_path: Path) -> None:
    out = Output(str(tmp_path / "out"))
    out.publish("captioned", [captioned(out, 1, EVIL, EVIL, (8, 8), [(EVIL, EVIL)])])
    out.publish("interleaved", [interleaved(out, 1, EVIL, [(8, 8)])])
    out.publish("text", [text(1, EVIL, 3)])
    url = str(tmp_path / "out" / "shards")
    found = [sample_facts(sample) for sample in draw(url, 3)]
    found[0]["problems"] = [EVIL]
    found[1]["nodes"] += [{"kind": "text", "text": EVIL}, {"kind": "image", "member": EVIL,
                          "name": EVIL, "alt": EVIL}]  # fmt: skip
    told = shown(found) + "".join(map(shown, found))
    assert "[bold]evil[/bold]" in told
    assert not {c for c in told if c != "\n" and not c.isprintable()}


def test_long_text_is_cut_and_counted(sound: Output) -> None:
    facts = sample_facts(find(sound.url, KEY)) | {"text": "word " * 1000}
    assert "... 1,000 characters more" in shown(facts)


BROKEN = {
    "json": ({"json": b"{"}, "json: no JSON"),
    "json is a list": ({"json": b"[]"}, "json: "),
    "text": ({"txt": b"a\xff"}, "txt: no UTF-8"),
}


@pytest.mark.parametrize(("members", "problem"), BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_read_is_told_and_the_rest_shown(
    members: dict[str, bytes], problem: str
) -> None:
    members = {"jpg": jpeg(8, 9), **members}
    facts = sample_facts(FoundSample("a.tar", "k", 0, members, {}))
    assert facts["problems"][0].startswith(problem)
    assert facts["images"][0]["height"] == 9


# --- the command


def test_command_shows_a_sample_and_writes_its_images_here(
    sound: Output, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", sound.url, "--sample", KEY[:8]]) == 0
    assert f"{KEY}.00.jpg" in capfd.readouterr().out
    assert (tmp_path / f"{KEY}.00.jpg").read_bytes() == jpeg(64, 32)
    assert main(["inspect", sound.url, "--sample", KEY, "--json", "--images", "there"]) == 0
    facts = json.loads(capfd.readouterr().out)
    assert facts["images"][0]["path"] == f"there/{KEY}.00.jpg"
    assert len(list((tmp_path / "there").iterdir())) == 1


def test_command_draws_and_writes_only_what_it_is_asked_to(
    sound: Output, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", sound.url, "--random", "2", "--stream", "captioned", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert [facts["stream"] for facts in found] == ["captioned", "captioned"]
    assert [image["path"] for facts in found for image in facts["images"]] == [None, None]
    assert list(tmp_path.iterdir()) == []
    assert main(["inspect", sound.url, "--random", "7", "--images", "here"]) == 0
    assert len(list((tmp_path / "here").iterdir())) == 8
    assert isinstance(find_target(sound.url), Snapshot)


REFUSED = {
    "two questions": (["--sample", KEY, "--random", "1"], "--sample and --random"),
    "images of nothing": (["--images", "x"], "--images goes with"),
    "a stream of no name": (["--stream", "images"], "--stream 'images'"),
    "a stream of a query": (["--sql", "SELECT 1", "--stream", "text"], "--sql"),
    "none at all": (["--random", "0"], "--random"),
}


@pytest.mark.parametrize(("options", "named"), REFUSED.values(), ids=REFUSED)
def test_mistake_is_one_line_and_exit_code_2(
    sound: Output, options: list[str], named: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", sound.url, *options]) == 2
    told = capfd.readouterr()
    assert told.out == ""
    assert named in told.err
    assert told.err.count("\n") == 1
