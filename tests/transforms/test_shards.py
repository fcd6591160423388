import dataclasses
import hashlib
import io
import json
import tarfile
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from schemas.errors import DataError, ImageMissingError, InputError
from schemas.ids import image_key
from schemas.rows import IndexRow, Sample, SampleImage
from schemas.shards import ShardFormat, image_suffixes, sample_key
from transforms.shards import BLOCK, ShardResult, iter_shard, read_sample, write_shard

FORMAT = ShardFormat()


class Packs:
    """Images by key, as packs hold them."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def add(self, data: bytes) -> SampleImage:
        key = image_key(hashlib.sha256(data).hexdigest())
        self.held[key] = data
        return SampleImage(key, "p.tar", 512, len(data), 0, 0, "jpeg", "RGB", 1, 1)

    def picture(self, seed: int, image_format: str = "JPEG", side: int = 16) -> SampleImage:
        pixels = np.random.default_rng(seed).integers(0, 255, (side, side + 2, 3), dtype=np.uint8)
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, image_format)
        return self.add(out.getvalue())

    def read(self, image: SampleImage) -> bytes:
        if image.image_key not in self.held:
            raise ImageMissingError(f"image {image.image_key} is not in its pack")
        return self.held[image.image_key]


def sample(stream: str, number: int, images: list[SampleImage]) -> Sample:
    body: dict[str, object] = {"number": number}
    if stream == "interleaved":
        names = image_suffixes(stream, len(images), "jpg")
        body |= {"texts": [f"tęxt {number}"] + [None] * len(names), "images": [None, *names]}
    txt = None if stream == "interleaved" else f"tęxt {number}"
    return Sample(
        stream, "train", 3, sample_key(stream, number), txt, json.dumps(body), 6 + number, images
    )


def by_key(samples: list[Sample]) -> list[Sample]:
    return sorted(samples, key=lambda one: one.key)


def write(samples: list[Sample], packs: Packs) -> tuple[bytes, ShardResult, list[tuple[str, str]]]:
    out, failed = io.BytesIO(), list[tuple[str, str]]()

    def on_failure(one: Sample, error: DataError) -> None:
        failed.append((one.key, error.error))

    result = write_shard(iter(samples), packs.read, FORMAT, out, on_failure)
    return out.getvalue(), result, failed


def build(stream: str, packs: Packs, count: int = 6) -> list[Sample]:
    number_of = {"captioned": lambda n: 1, "interleaved": lambda n: n % 4, "text": lambda n: 0}
    return by_key(
        [
            sample(stream, n, [packs.picture(9 * n + i) for i in range(number_of[stream](n))])
            for n in range(count)
        ]
    )


STREAMS = pytest.mark.parametrize("stream", ["captioned", "interleaved", "text"])


@STREAMS
def test_shard_is_a_plain_tar_with_constant_headers(stream: str) -> None:
    packs = Packs()
    samples = build(stream, packs)
    data, result, failed = write(samples, packs)
    assert not failed
    assert (len(data), hashlib.sha256(data).hexdigest()) == (result.bytes, result.sha256)
    want = []
    for one in samples:
        want.append((f"{one.key}.json", one.json.encode()))
        if one.txt is not None:
            want.append((f"{one.key}.txt", one.txt.encode()))
        suffixes = image_suffixes(stream, len(one.images), "jpg")
        want += [
            (f"{one.key}.{suffix}", packs.held[image.image_key])
            for suffix, image in zip(suffixes, one.images, strict=True)
        ]
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        found = [(info.name, tar.extractfile(info).read()) for info in tar]  # type: ignore[union-attr]
        facts = {
            (m.isreg(), m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in tar.getmembers()
        }
    assert found == want
    assert facts == {(True, 0, 0, 0, "", "", 0o644)}


@STREAMS
def test_index_points_at_the_bytes(stream: str) -> None:
    packs = Packs()
    data, result, _ = write(build(stream, packs), packs)
    end = 0
    for row in result.index:
        assert row.shard == "train-000003.tar"
        assert row.offset == end
        end = row.offset + row.size
        with tarfile.open(fileobj=io.BytesIO(data[row.offset : end]), mode="r:") as tar:
            infos = tar.getmembers()
        assert [info.name for info in infos] == [f"{row.key}.{name}" for name in row.members]
        assert [row.offset + info.offset_data for info in infos] == row.member_offsets
        assert [info.size for info in infos] == row.member_sizes
        assert row.images == len(row.widths) == len(row.heights)
        assert set(row.widths) <= {18}
        assert set(row.heights) <= {16}
    assert end == len(data) - 2 * BLOCK
    assert [row.text_length for row in result.index] == [
        s.text_length for s in build(stream, packs)
    ]


@STREAMS
def test_own_readers_return_every_member(stream: str) -> None:
    packs = Packs()
    data, result, _ = write(build(stream, packs), packs)
    read = {row.key: read_sample(io.BytesIO(data), row) for row in result.index}
    assert list(iter_shard(io.BytesIO(data))) == list(read.items())
    assert [list(members) for members in read.values()] == [row.members for row in result.index]


def test_two_writes_are_the_same_bytes() -> None:
    packs = Packs()
    samples = by_key([sample("captioned", n, [packs.picture(n, "PNG")]) for n in range(4)])
    assert write(samples, packs) == write(samples, packs)


def test_sample_with_a_bad_image_fails_whole_and_leaves_no_bytes() -> None:
    packs = Packs()
    good = [sample("interleaved", n, [packs.picture(n), packs.picture(50 + n)]) for n in range(3)]
    cut, lost, swapped = packs.picture(90, side=64), packs.picture(91), packs.picture(92)
    packs.held[cut.image_key] = packs.held[cut.image_key][:400]
    cut = packs.add(packs.held[cut.image_key])
    del packs.held[lost.image_key]
    packs.held[swapped.image_key] = packs.held[good[0].images[0].image_key]
    text = packs.add(b"<html>not found</html>")
    bad = {
        "ImageDecodeError": cut,
        "ImageMissingError": lost,
        "NotAnImageError": text,
    }
    wrong = [
        sample("interleaved", 10 + n, [packs.picture(70 + n), image])
        for n, image in enumerate([*bad.values(), swapped])
    ]
    errors = [*bad, "ImageMissingError"]
    data, result, failed = write(by_key(good + wrong), packs)
    assert sorted(failed) == sorted(zip((one.key for one in wrong), errors, strict=True))
    assert (data, result) == write(by_key(good), packs)[:2]
    assert result.samples == 3


def test_shard_of_failures_only_is_an_empty_tar() -> None:
    packs = Packs()
    data, result, failed = write([sample("captioned", 1, [packs.add(b"x")])], packs)
    assert len(failed) == 1
    assert (data, result.samples, result.index) == (bytes(1024), 0, [])
    assert list(iter_shard(io.BytesIO(data))) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": "f" * 31 + "g"}, "hex digits"),
        ({"key": "0" * 32}, "keys must rise"),
        ({"shard": 4}, "does not belong"),
        ({"split": "val"}, "does not belong"),
        ({"stream": "captioned"}, "does not belong"),
        ({"txt": None}, "wrong members"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_samples_of_a_wrong_caller_are_refused(change: dict[str, object], message: str) -> None:
    first = dataclasses.replace(sample("text", 0, []), key="0" * 32)
    second = dataclasses.replace(sample("text", 1, []), **{"key": "f" * 32, **change})
    with pytest.raises(ValueError, match=message):
        write([first, second], Packs())


def test_interleaved_json_that_disagrees_with_the_members_is_refused() -> None:
    packs = Packs()
    one = sample("interleaved", 0, [packs.picture(0), packs.picture(1)])
    with pytest.raises(ValueError, match="images named"):
        write([dataclasses.replace(one, images=one.images[:1])], packs)


def test_memory_is_bounded_by_a_sample() -> None:
    packs = Packs()
    image = packs.picture(0, side=600)
    size = len(packs.held[image.image_key])
    assert size > 200_000

    def samples() -> Iterator[Sample]:
        for number in range(32):
            yield dataclasses.replace(sample("captioned", 0, [image]), key=f"{number:032x}")

    class Sink(io.RawIOBase):
        written = 0

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.written += len(data)
            return len(data)

    sink = Sink()
    tracemalloc.start()
    result = write_shard(samples(), packs.read, FORMAT, sink, lambda *_: None)  # type: ignore[arg-type]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sink.written == result.bytes > 32 * size
    assert peak < 4 * size


def tampered(data: bytes, row: IndexRow) -> dict[str, bytes]:
    header = data[row.offset : row.offset + BLOCK]
    info = tarfile.TarInfo.frombuf(header, "utf-8", "strict")

    def remade(**values: object) -> bytes:
        other = tarfile.TarInfo(info.name)
        other.size, other.mode = info.size, 0o644
        for name, value in values.items():
            setattr(other, name, value)
        head = other.tobuf(format=tarfile.USTAR_FORMAT)
        return data[: row.offset] + head + data[row.offset + BLOCK :]

    padding = row.member_offsets[0] + row.member_sizes[0]
    return {
        "cut in a header": data[:700],
        "cut in data": data[: row.offset + BLOCK + 3],
        "cut before the end": data[: -2 * BLOCK],
        "half an end": data[:-BLOCK],
        "bytes behind the end": data + b"\0",
        "a second tar": data + data,
        "checksum": data[: row.offset + 20] + b"zz" + data[row.offset + 22 :],
        "padding": data[:padding] + b"x" + data[padding + 1 :],
        "a link": remade(type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        "a device": remade(type=tarfile.CHRTYPE),
        "a clock": remade(mtime=1),
        "a path": remade(name="../" + info.name),
        "pax header": remade(type=tarfile.XHDTYPE),
        "twice": data[: row.offset] + data[row.offset : row.offset + row.size] + data[row.offset :],
        "huge": remade(size=8 * 1024**3 - 1),
        "empty": b"",
        "gzip": b"\x1f\x8b" + data,
    }


KINDS = list(tampered(*(lambda d, r, _: (d, r.index[1]))(*write(build("text", Packs()), Packs()))))


@pytest.mark.parametrize("kind", KINDS)
def test_strict_reader_refuses_a_changed_shard(kind: str) -> None:
    packs = Packs()
    data, result, _ = write(build("captioned", packs), packs)
    assert len(list(iter_shard(io.BytesIO(data)))) == 6
    with pytest.raises(InputError, match=r"^byte \d+: "):
        list(iter_shard(io.BytesIO(tampered(data, result.index[1])[kind])))


def test_strict_reader_refuses_a_sample_above_its_bound() -> None:
    packs = Packs()
    data, _, _ = write(build("captioned", packs), packs)
    with pytest.raises(InputError, match="above 500 bytes"):
        list(iter_shard(io.BytesIO(data), max_sample_bytes=500))


def test_read_sample_refuses_a_row_of_another_shard() -> None:
    packs = Packs()
    data, result, _ = write(build("captioned", packs), packs)
    first, second = result.index[:2]
    moved = dataclasses.replace(first, key=second.key)
    for shard, row in [(data, moved), (data[: second.offset + 100], second)]:
        with pytest.raises(InputError, match="does not hold"):
            read_sample(io.BytesIO(shard), row)
