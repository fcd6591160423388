"""Shards opened by readers that nobody here wrote: webdataset, Hugging Face datasets, Energon."""

import hashlib
import io
import json
import shutil
import sqlite3
import subprocess
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from schemas.ids import image_key
from schemas.rows import IndexRow, Sample, SampleImage
from schemas.shards import (
    Manifest,
    ShardEntry,
    ShardFormat,
    image_suffixes,
    sample_key,
    shard_name,
    shard_of,
)
from schemas.tables import from_dict, to_batch
from transforms.dataset_card import dataset_card, summarise_stream
from transforms.shards import iter_shard, read_sample, write_shard

ROOT = Path(__file__).resolve().parents[1]
ENERGON = ROOT / ".venv-energon" / "bin" / "energon"
SPLITS = {"train": 1, "val": 0}
TEXTS = ["Ein Baum", "木の下の猫 🐈", 'two\nlines: - "quoted" #', "", "café\u2028é", "{}"]


def pattern(mode: str, size: tuple[int, int], seed: int) -> Image.Image:
    colours = Image.linear_gradient("L").resize(size).rotate(90 * (seed % 4), expand=False)
    return Image.merge("RGB", [colours, colours.point(lambda v: 255 - v), colours]).convert(mode)


def picture(kind: str, seed: int) -> tuple[bytes, tuple[int, int]]:
    """The bytes of a picture and its upright size."""
    size = (40 + 8 * (seed % 5), 32)
    out = io.BytesIO()
    if kind == "png":
        pattern("RGBA", size, seed).save(out, "PNG")
    elif kind == "palette":
        pattern("P", size, seed).save(out, "PNG", transparency=0)
    elif kind == "gif":
        frames = [pattern("P", size, seed + step) for step in range(3)]
        frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    elif kind == "webp":
        pattern("RGB", size, seed).save(out, "WEBP")
    elif kind == "cmyk":
        pattern("CMYK", size, seed).save(out, "JPEG")
    elif kind == "grey":
        pattern("L", size, seed).save(out, "JPEG")
    elif kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        pattern("RGB", size, seed).save(out, "JPEG", exif=exif)
        size = size[::-1]
    else:
        pattern("RGB", size, seed).save(out, "JPEG")
    return out.getvalue(), size


KINDS = ["jpeg", "png", "palette", "gif", "webp", "cmyk", "grey", "turned"]


@dataclass
class Corpus:
    """Shards on disk, and what must be in them."""

    folder: Path
    samples: dict[str, dict[str, Sample]]
    sizes: dict[str, list[tuple[int, int]]]
    index: dict[str, list[IndexRow]]


def build(folder: Path, fmt: ShardFormat, count: int = 14) -> Corpus:
    store: dict[str, bytes] = {}
    corpus = Corpus(folder, {}, {}, {})

    def image(seed: int) -> tuple[SampleImage, tuple[int, int]]:
        data, size = picture(KINDS[seed % len(KINDS)], seed)
        key = image_key(hashlib.sha256(data).hexdigest())
        store[key] = data
        return SampleImage(key, "p.tar", 0, len(data), *size, "jpeg", "RGB", 1, 1), size

    def read_image(wanted: SampleImage) -> bytes:
        return store[wanted.image_key]

    summaries = {}
    for stream in ("captioned", "interleaved", "text"):
        samples = []
        for number in range(count):
            split = "val" if number % 4 == 3 else "train"
            key = sample_key(stream, number)
            text = f"{TEXTS[number % len(TEXTS)]} {number}"
            images = [image(3 * number + at) for at in range(_images(stream, number))]
            corpus.sizes[key] = [size for _, size in images]
            body: dict[str, object] = {"doc_id": key, "text": text}
            if stream == "interleaved":
                body = {"url": "https://a.example/" + "ü"}
                names = image_suffixes(stream, len(images), fmt.extension)
                body["texts"] = [text] + [None] * len(names)
                body["images"] = [None, *names]
            samples.append(
                Sample(
                    stream=stream,
                    split=split,
                    shard=shard_of(key, SPLITS[split]),
                    key=key,
                    txt=None if stream == "interleaved" else text,
                    json=json.dumps(body, sort_keys=True, ensure_ascii=False),
                    text_length=len(text),
                    images=[row for row, _ in images],
                )
            )
        corpus.samples[stream] = {sample.key: sample for sample in samples}
        target = folder / stream
        target.mkdir(parents=True)
        entries, rows = [], []
        for split, shard in sorted({(s.split, s.shard) for s in samples}):
            members = sorted(
                (s for s in samples if (s.split, s.shard) == (split, shard)), key=lambda s: s.key
            )
            name = shard_name(split, shard)
            with (target / name).open("wb") as out:
                done = write_shard(members, read_image, fmt, out, _no_failure)
            entries.append(ShardEntry(name, done.samples, done.bytes, done.sha256))
            rows += done.index
        assert len(entries) == 3, "two shards of train, one of val"
        manifest = Manifest(stream, "f" * 8, dict(SPLITS), entries)
        (target / "manifest.json").write_text(manifest.to_json())
        with pq.ParquetWriter(target / "index.parquet", to_batch(rows, IndexRow).schema) as writer:
            writer.write_batch(to_batch(rows, IndexRow))
        corpus.index[stream] = rows
        counts = [row.images for row in rows]
        summaries[stream] = summarise_stream(
            manifest, fmt.extension, sum(counts), max(counts), sum(r.text_length for r in rows)
        )
    card = dataset_card(summaries, '[recipe]\nname = "``` --- \\n: {{"\n', "f" * 8)
    (folder / "README.md").write_text(card)
    return corpus


def _images(stream: str, number: int) -> int:
    return {"captioned": 1, "interleaved": 1 + number % 5, "text": 0}[stream]


def _no_failure(sample: Sample, error: Exception) -> None:
    raise AssertionError(f"{sample.key}: {error}")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return build(tmp_path_factory.mktemp("out") / "shards", ShardFormat())


@pytest.fixture(scope="module", params=["jpeg", "webp", "keep"])
def any_format(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    if request.param == "jpeg":
        return request.getfixturevalue("corpus")
    folder = tmp_path_factory.mktemp(request.param) / "shards"
    return build(folder, ShardFormat(image_format=request.param), count=8)


STREAMS = pytest.mark.parametrize("stream", ["captioned", "interleaved", "text"])


@STREAMS
def test_index_and_own_readers_agree_with_what_went_in(any_format: Corpus, stream: str) -> None:
    table = pq.read_table(any_format.folder / stream / "index.parquet")
    rows = [from_dict(IndexRow, values) for values in table.to_pylist()]
    assert {row.key for row in rows} == set(any_format.samples[stream])
    for row in rows:
        sample = any_format.samples[stream][row.key]
        with (any_format.folder / stream / row.shard).open("rb") as shard:
            members = read_sample(shard, row)
        assert members["json"].decode() == sample.json
        assert list(zip(row.widths, row.heights, strict=True)) == any_format.sizes[row.key]
        pictures = [data for suffix, data in members.items() if suffix not in ("json", "txt")]
        assert [Image.open(io.BytesIO(data)).size for data in pictures] == any_format.sizes[row.key]
    for path in sorted((any_format.folder / stream).glob("*.tar")):
        with path.open("rb") as shard:
            keys = [key for key, _ in iter_shard(shard)]
        assert keys == sorted(row.key for row in rows if row.shard == path.name)


@STREAMS
def test_webdataset_returns_what_the_index_lists(corpus: Corpus, stream: str) -> None:
    import webdataset

    shards = sorted(str(path) for path in (corpus.folder / stream).glob("*.tar"))
    found = {}
    data = webdataset.WebDataset(shards, shardshuffle=False, empty_check=False).decode("pil")
    for sample in data:
        assert sample["__key__"] not in found
        found[sample["__key__"]] = sample
    assert set(found) == set(corpus.samples[stream])
    for row in corpus.index[stream]:
        sample, want = found[row.key], corpus.samples[stream][row.key]
        assert {name for name in sample if not name.startswith("__")} == set(row.members)
        assert sample["json"] == json.loads(want.json)
        assert sample.get("txt") == want.txt
        sizes = [sample[name].size for name in row.members if name.endswith("jpg")]
        assert sizes == corpus.sizes[row.key] == list(zip(row.widths, row.heights, strict=True))


@STREAMS
@pytest.mark.parametrize("streaming", [False, True], ids=["plain", "streaming"])
def test_datasets_needs_only_folder_and_stream(
    any_format: Corpus,
    stream: str,
    streaming: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", tmp_path / "downloads")
    with warnings.catch_warnings():
        # Of that library's own making: files it leaves to the garbage collector.
        warnings.simplefilter("ignore")
        loaded = datasets.load_dataset(str(any_format.folder), stream, streaming=streaming)
        found = {
            sample["__key__"]: (split, sample)
            for split, samples in loaded.items()
            for sample in samples
        }
    assert set(found) == set(any_format.samples[stream])
    most = max(row.images for row in any_format.index[stream])
    for row in any_format.index[stream]:
        want = any_format.samples[stream][row.key]
        split, sample = found[row.key]
        assert split == want.split
        assert sample["json"] == json.loads(want.json)
        assert sample.get("txt") == want.txt
        columns = [name for name in sample if name not in ("json", "txt", "__key__", "__url__")]
        assert len(columns) == most
        sizes = [sample[name].size for name in columns if sample[name] is not None]
        assert sizes == any_format.sizes[row.key] == list(zip(row.widths, row.heights, strict=True))


@pytest.fixture(scope="module")
def prepare(
    corpus: Corpus, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[Path, str]]:
    """Run `energon prepare` on a copy of a stream: it writes beside the shards."""
    if not ENERGON.exists():
        pytest.skip("`make energon` has not built .venv-energon")

    def run(stream: str, *options: str) -> tuple[Path, str]:
        folder = tmp_path_factory.mktemp("energon") / stream
        shutil.copytree(corpus.folder / stream, folder)
        done = subprocess.run(
            [
                str(ENERGON),
                "prepare",
                str(folder),
                "--non-interactive",
                "--no-progress",
                "--num-workers=1",
                "--split-parts=train:train-.*",
                "--split-parts=val:val-.*",
                *options,
            ],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return folder, done.stdout

    return run


@pytest.mark.energon
@pytest.mark.parametrize(
    ("stream", "options"),
    [
        (
            "captioned",
            ["--sample-type=CaptioningSample", '--field-map={"image": "jpg", "caption": "txt"}'],
        ),
        ("interleaved", ["--sample-type=CrudeWebdataset"]),
        ("text", ["--sample-type=TextSample", '--field-map={"text": "txt"}']),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_energon_prepares_a_stream_and_finds_every_sample(
    corpus: Corpus, prepare: Callable[..., tuple[Path, str]], stream: str, options: list[str]
) -> None:
    folder, _ = prepare(stream, *options)
    meta = folder / ".nv-meta"
    assert (meta / "dataset.yaml").exists()
    counts = json.loads((meta / ".info.json").read_text())["shard_counts"]
    rows = corpus.index[stream]
    assert counts == {
        name: sum(row.shard == name for row in rows) for name in {row.shard for row in rows}
    }
    with sqlite3.connect(meta / "index.sqlite") as index:
        found = index.execute(
            "select sample_key, byte_offset, byte_size from samples order by sample_key"
        ).fetchall()
    assert found == sorted((row.key, row.offset, row.size) for row in rows)
