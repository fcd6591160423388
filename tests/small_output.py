"""A small output of a run, made with the pipeline's own writers: no graph runs."""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.run_record import STAGES
from schemas.commits import Commit, TableCounts
from schemas.ids import image_key
from schemas.rows import Caption, IndexRow, LedgerRow, Sample, SampleImage
from schemas.shards import STREAMS, Manifest, ShardEntry, ShardFormat, sample_key, shard_name
from schemas.tables import to_batch
from transforms import storage
from transforms.shards import write_shard
from transforms.sink import Part, PartSink

RECIPE = "ab" * 16
EVIL = "\x1b[31m[bold]evil[/bold]\x9b2J\u202e.example\r\n"


def jpeg(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(buffer, "JPEG")
    return buffer.getvalue()


def parquet(rows: pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(rows, buffer, **options)
    return buffer.getvalue()


@dataclass
class Output:
    """An output under construction."""

    url: str
    images: dict[str, bytes] = field(default_factory=dict)
    commits: dict[str, list[Commit]] = field(default_factory=dict)

    def image(self, width: int, height: int) -> SampleImage:
        data = jpeg(width, height)
        key = image_key(hashlib.sha256(data).hexdigest())
        self.images[key] = data
        return SampleImage(key, "p", 0, len(data), width, height, "jpeg", "RGB", 1, 1)

    def part(self, stage: str, name: str, fill: Callable[[PartSink], None], fp: str = "f0") -> str:
        with PartSink(stage, self.url, Part(name, fp)) as sink:
            fill(sink)
            self.commits.setdefault(stage, []).append(sink.publish())
        return f"{name}-{fp}"

    def publish(self, stream: str, samples: list[Sample]) -> None:
        """Write shards, index and manifest of a stream."""
        entries, rows = [], []
        groups: dict[tuple[str, int], list[Sample]] = {}
        for sample in sorted(samples, key=lambda sample: (sample.split, sample.shard, sample.key)):
            groups.setdefault((sample.split, sample.shard), []).append(sample)
        for (split, number), members in groups.items():
            name = shard_name(split, number)
            with storage.publish(f"{self.url}/shards/{stream}/{name}") as out:
                result = write_shard(
                    members, lambda image: self.images[image.image_key], ShardFormat(), out, _never
                )
            rows += result.index
            entries.append(ShardEntry(name, result.samples, result.bytes, result.sha256))
        with storage.publish(f"{self.url}/shards/{stream}/index.parquet") as file:
            pq.write_table(pa.Table.from_batches([to_batch(rows, IndexRow)]), file)
        manifest = Manifest(stream, RECIPE, {"train": 0}, entries)
        storage.write_bytes(
            f"{self.url}/shards/{stream}/manifest.json", manifest.to_json().encode()
        )

    def finish(self, **changes: Any) -> None:
        """Write `run.json` over everything committed."""
        stages = {}
        for stage in STAGES:
            commits = self.commits.get(stage, [])
            tables: dict[str, TableCounts] = {}
            for commit in commits:
                for table, counts in commit.counts.items():
                    tables.setdefault(table, TableCounts(rejected={}, failed={})).add(counts)
            stages[stage] = {
                "status": "done",
                "seconds": 1.5,
                "parts": len(commits),
                "tables": {name: counts.as_json() for name, counts in tables.items()},
                "facts": {},
                "snapshot": sorted(commit.name for commit in commits),
            }
        record = {
            "run_version": 1,
            "schema_version": 1,
            "versions": {"duckdb": "2"},
            "recipe": {"name": "demo", "fingerprint": RECIPE, "values": {}},
            "inputs": [{"source": "a.warc", "bytes": 1000}, {"source": "b.warc", "bytes": 24}],
            "stages": stages,
        } | changes
        storage.write_bytes(f"{self.url}/run.json", json.dumps(record).encode())

    def edit_run(self, edit: Callable[[dict[str, Any]], Any]) -> None:
        record = json.loads(storage.read_bytes(f"{self.url}/run.json") or b"")
        edit(record)
        storage.write_bytes(f"{self.url}/run.json", json.dumps(record).encode())

    def remove(self, name: str) -> None:
        fs, path = storage.resolve(f"{self.url}/{name}")
        fs.rm(path, recursive=True)


def _never(sample: Sample, error: Exception) -> None:
    raise error


def captioned(
    out: Output, number: int, site: str, language: str, size: tuple[int, int],
    captions: list[tuple[str, str]], split: str = "train",
) -> Sample:  # fmt: skip
    key = sample_key("captioned", number)
    facts = {
        "key": key,
        "site": site,
        "language": language,
        "captions": [{"origin": origin, "text": text} for origin, text in captions],
    }
    text = captions[0][1]
    return Sample("captioned", split, 0, key, text, json.dumps(facts), len(text),
                  [out.image(*size)])  # fmt: skip


def interleaved(out: Output, number: int, site: str, sizes: list[tuple[int, int]]) -> Sample:
    key = sample_key("interleaved", number)
    names = [f"{position:02d}.jpg" for position in range(len(sizes))]
    layout = {"key": key, "site": site, "language": "en", "texts": ["abc", *[None] * len(sizes)],
              "images": [None, *names]}  # fmt: skip
    images = [out.image(*size) for size in sizes]
    return Sample("interleaved", "train", 0, key, None, json.dumps(layout), 3, images)


def text(number: int, site: str, characters: int) -> Sample:
    key = sample_key("text", number)
    facts = json.dumps({"key": key, "site": site, "language": "de"})
    return Sample("text", "train", 0, key, "x" * characters, facts, characters)


def build(url: str) -> Output:
    """Four captioned samples in two splits, two documents, and one text."""
    out = Output(url)
    samples = [
        captioned(out, 1, "a.example", "en", (64, 32), [("alt", "x" * 10), ("title", "y" * 4)]),
        captioned(out, 2, "a.example", "en", (32, 64), [("alt", "x" * 20)]),
        captioned(out, 3, "b.example", "de", (48, 48), [("figcaption", "x" * 30)]),
        captioned(out, 4, EVIL, "en", (200, 32), [("alt", "ü" * 100)], "validation"),
        interleaved(out, 1, "a.example", [(64, 32)]),
        interleaved(out, 2, "c.example", [(64, 32), (32, 64), (48, 48)]),
        text(1, "d.example", 7),
    ]

    def extract(sink: PartSink) -> None:
        sink.seen("captions", 3)
        for number in range(2):
            sink.keep("captions", Caption(f"c{number}", "d", "u", "i", EVIL, "alt", number))
        sink.fail("captions", "c2", InputLikeError("no [red]text"))

    def shard(sink: PartSink) -> None:
        for sample in samples:
            sink.seen("samples")
            sink.keep("samples", sample)
        sink.seen("captions", 9)
        sink.count("captions", kept=4, rejected={"min_side": 3, "aspect": 1})
        sink.reject(
            "captions",
            LedgerRow("shard.captioned", "caption", "c9", None, "words", True, 1.0, None, "min=2"),
        )

    out.part("extract", "a", extract)
    out.part("dedup", "clusters-all", lambda sink: None)
    out.part("refs", "images-00000", lambda sink: None)
    out.part("shard", "samples-a", shard)
    # A part of another recipe lies beside: nothing names it.
    stale = Output(url, out.images)
    stale.part("shard", "samples-a", lambda sink: sink.write_row("samples", samples[0]), fp="old")
    stale.part("extract", "a", extract, fp="old")
    for stream in STREAMS:
        out.publish(stream, [sample for sample in samples if sample.stream == stream])
    out.finish()
    return out


class InputLikeError(Exception):
    """Stands for a `DataError`."""

    error = "RecordError"
