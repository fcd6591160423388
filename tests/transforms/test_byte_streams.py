"""Compressed inputs, whole, in members, damaged and hostile."""

import bz2
import gzip
import io
from collections.abc import Callable

import pytest
import zstandard

from schemas.errors import InputRowError
from tests.conftest import hang_guard
from transforms.byte_streams import PIECE_BYTES, compression_of, decompressed

TEXT = b"".join(b"line %d of some text that repeats\n" % number for number in range(20_000))
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    "plain": bytes,
}


def read_all(data: bytes, size: int = 10_000) -> bytes:
    stream = decompressed(io.BytesIO(data))
    parts = []
    while piece := stream.read(size):
        assert len(piece) <= size
        parts.append(piece)
    return b"".join(parts)


@pytest.mark.parametrize("kind", PACK)
def test_stream_gives_what_was_packed(kind: str) -> None:
    packed = PACK[kind](TEXT)
    assert (compression_of(packed) or "plain") == kind
    assert read_all(packed) == TEXT


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "zstd"])
def test_members_follow_each_other_with_padding_between(kind: str) -> None:
    packed = b"".join(PACK[kind](TEXT[at : at + 9973]) for at in range(0, len(TEXT), 9973))
    assert read_all(packed) == TEXT
    both = PACK[kind](b"one ") + bytes(1000) + PACK[kind](b"two") + bytes(PIECE_BYTES)
    assert read_all(both) == b"one two"


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "zstd"])
@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_cut_stream_ends_in_error(kind: str, kept: float) -> None:
    packed = PACK[kind](TEXT)
    with pytest.raises(InputRowError, match="ends early"):
        read_all(packed[: int(len(packed) * kept)])


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "zstd"])
def test_damaged_stream_ends_in_error(kind: str) -> None:
    packed = bytearray(PACK[kind](TEXT))
    packed[len(packed) // 2 : len(packed) // 2 + 40] = bytes(40)
    with pytest.raises(InputRowError, match=r"damaged|ends early"):
        read_all(bytes(packed))
    with pytest.raises(InputRowError, match="damaged"):
        read_all(PACK[kind](TEXT) + b"no member at all, nothing of the kind")


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "zstd"])
def test_bomb_comes_in_bounded_pieces(kind: str) -> None:
    stream = decompressed(io.BytesIO(PACK[kind](bytes(50_000_000))))
    longest = 0
    total = 0
    with hang_guard():
        while piece := stream.read(1 << 40):
            longest, total = max(longest, len(piece)), total + len(piece)
    assert total == 50_000_000
    assert longest <= 32 << 20


def test_many_empty_members_take_linear_time() -> None:
    with hang_guard():
        assert read_all(gzip.compress(b"") * 200_000 + gzip.compress(b"end")) == b"end"


@pytest.mark.parametrize("data", [b"", b"a", b"\x1f", b"ab\n"])
def test_short_file_is_plain(data: bytes) -> None:
    assert read_all(data) == data
