"""Write shards: samples meet in their shard and become one tar, images read back by range.

A shard's fingerprint is the hash of its rows, so one whose rows are unchanged is not written
again. A shard has one name whatever its content; so the record of its old content is removed
before the new tar takes its place, and a record, where there is one, always tells of the tar.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from schemas.commits import commit_path
from schemas.errors import DataError, ImageMissingError
from schemas.ids import digest
from schemas.rows import Locator, Sample, SampleImage
from schemas.shards import SCHEMA_VERSION, ShardFormat, parse_shard_name, shard_name, shard_of
from schemas.tables import from_dict
from transforms import image_codec, shards, storage
from transforms.packs import read_windows
from transforms.shuffle import Block, split_rows
from transforms.sink import Part, PartSink
from transforms.table_files import iter_batches

STAGE = "shard"
STEP_VERSION = 1

WINDOW_BYTES = 48 * 1024 * 1024
"""Image bytes that are asked for at once; one window more is read ahead."""
WINDOW_IMAGES = 512


def shards_url(output: str) -> str:
    """The folder of the shards of an output."""
    return storage.join(output, "shards")


def versions() -> str:
    """Changes when the same samples give other shards."""
    return digest(STEP_VERSION, shards.STEP_VERSION, image_codec.STEP_VERSION, SCHEMA_VERSION)


def part_name(stream: str, shard: str) -> str:
    """The name of a shard's part, from its stream and file name."""
    return f"shard-{stream}-{shard.removesuffix('.tar')}"


@dataclass(eq=False)
class EmitSamples:
    """Map side: the samples of a part, to their shards."""

    output: str
    bits: Mapping[str, int]
    """`<stream>/<split>` -> k: its shards are 2^k."""

    def __call__(self, part: Part) -> Iterator[Block]:
        """Yield samples by shard, with the number of the shard filled in."""
        for path in part.spec:
            for batch in iter_batches(self.output, path):
                rows = pa.Table.from_batches([batch])
                columns = (rows[name].to_pylist() for name in ("stream", "split", "key"))
                names, numbers = [], []
                for stream, split, key in zip(*columns, strict=True):
                    number = shard_of(key, self.bits[f"{stream}/{split}"])
                    numbers.append(number)
                    names.append(f"{stream}/{shard_name(split, number)}")
                at = rows.schema.get_field_index("shard")
                rows = rows.set_column(at, rows.schema.field(at), pa.array(numbers, pa.int64()))
                yield from split_rows(rows, names)


@dataclass(frozen=True)
class IdentifyShard:
    """The part of a shard: its fingerprint is the hash of its rows, format and versions."""

    format: ShardFormat

    def __call__(self, bucket: str, rows: pa.Table) -> Part:
        """Hash the rows in the order of their keys."""
        stream, _, name = bucket.partition("/")
        hasher = hashlib.sha256()
        ordered = rows.sort_by("key")
        for sample in ordered.select(["key", "json", "txt", "images"]).to_pylist():
            # The offset in a pack is where bytes lie, not what they are: the image's key says that.
            images = [
                [image["image_key"], *(image[n] for n in ("width", "height", "orientation"))]
                for image in sample.pop("images")
            ]
            hasher.update(repr((*sample.values(), images)).encode("utf-8", "surrogatepass"))
        fingerprint = digest(hasher.hexdigest(), str(self.format), versions())
        return Part(part_name(stream, name), fingerprint[:16], (stream, name))


class _Images:
    """Images of coming samples, read some at a time so that near ranges are one request."""

    def __init__(self, output: str) -> None:
        self._output = output
        self._found: dict[Locator, bytes | Exception] = {}

    def samples(self, rows: pa.Table) -> Iterator[Sample]:
        """Samples in order, each when its images have been read; earlier ones are forgotten."""
        windows = (
            (window, [_locator(image) for sample in window for image in sample.images])
            for window in _windows(rows)
        )
        for window, found in read_windows(self._output, windows):
            self._found = found
            yield from window

    def read(self, image: SampleImage) -> bytes:
        """The bytes of an image that was fetched; raises `ImageMissingError`."""
        found = self._found[_locator(image)]
        if isinstance(found, DataError):
            raise found
        if isinstance(found, Exception):
            raise ImageMissingError(f"image {image.image_key}: {found}") from found
        return found


def _windows(rows: pa.Table) -> Iterator[list[Sample]]:
    """Samples in order, as many at a time as have images enough."""
    window: list[Sample] = []
    size = count = 0
    for batch in rows.to_batches(max_chunksize=256):
        for values in batch.to_pylist():
            sample: Sample = from_dict(Sample, values)
            bytes_more = sum(image.size for image in sample.images)
            if window and (size + bytes_more > WINDOW_BYTES or count >= WINDOW_IMAGES):
                yield window
                window, size, count = [], 0, 0
            window.append(sample)
            size += bytes_more
            count += len(sample.images)
    yield window


def _locator(image: SampleImage) -> Locator:
    return Locator(image.pack, image.offset, image.size)


@dataclass(eq=False)
class WriteShard:
    """Reduce side: one shard."""

    output: str
    format: ShardFormat
    stale: Mapping[str, list[str]]
    """Part name of a shard -> names of all its commit records, to be removed before it changes."""

    def __call__(self, part: Part, rows: pa.Table, sink: PartSink) -> None:
        """Write the tar, its index rows and its entry in the manifest."""
        stream, name = part.spec
        for record in self.stale.get(part.name, []):
            if record != part.key:
                storage.remove(storage.join(self.output, commit_path(STAGE, record)))
        sink.seen(f"{stream}_samples", len(rows))

        def fail(sample: Sample, error: DataError) -> None:
            sink.fail(f"{stream}_samples", sample.key, error)

        url = storage.join(shards_url(self.output), stream, name)
        images = _Images(self.output)
        ordered = rows.sort_by("key")
        with storage.publish(url) as out:
            result = shards.write_shard(
                images.samples(ordered), images.read, self.format, out, fail
            )
        sink.count(f"{stream}_samples", kept=result.samples)
        for row in result.index:
            sink.write_row("index", row)
        entry = {"name": name, "samples": result.samples, "bytes": result.bytes}
        sink.commit.details["entry"] = {**entry, "sha256": result.sha256}
        sink.commit.details["stream"] = stream


def expected_shards(
    output: str, files: Sequence[tuple[str, Collection[str]]], bits: Mapping[str, int]
) -> set[str]:
    """Part names of the shards that samples fall into.

    Reads keys, and of no more files than it takes: a group has 2^k shards, and when each of them
    has been seen, no further key tells anything. With thousands of samples a shard that is soon.

    Args:
        output: Where the files lie.
        files: Files of the table `samples`, each with the groups (`<stream>/<split>`) in it.
        bits: Group -> k.
    """
    seen: dict[str, set[int]] = {}
    for path, groups in files:
        # The only shard of a group that has samples has some.
        seen |= {group: {0} for group in groups if not bits[group]}
        if all(len(seen.get(group, ())) == 1 << bits[group] for group in groups):
            continue
        for group, heads in _key_heads(output, path):
            seen.setdefault(group, set()).update(shard_of(head, bits[group]) for head in heads)
    return {
        part_name(stream, shard_name(split, number))
        for group, numbers in seen.items()
        for stream, _, split in [group.partition("/")]
        for number in numbers
    }


def _key_heads(output: str, path: str) -> Iterator[tuple[str, list[str]]]:
    """What decides the shard of a sample: its group, and the head of its key."""
    for batch in iter_batches(output, path, 65536, ["stream", "split", "key"]):
        places = pa.Table.from_batches([batch])
        groups = pc.binary_join_element_wise(places["stream"], places["split"], "/")
        heads = pc.utf8_slice_codeunits(places["key"], 0, 8)
        for group in pc.unique(groups).to_pylist():
            yield group, pc.unique(heads.filter(pc.equal(groups, group))).to_pylist()


def shard_of_part(name: str) -> tuple[str, str]:
    """Stream and file name of a shard, from its part's name."""
    _, stream, shard = name.split("-", 2)
    parse_shard_name(f"{shard}.tar")
    return stream, f"{shard}.tar"
