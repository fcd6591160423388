"""Crawl files of every kind: one bad record costs one record, and no slice loses any."""

import base64
import gzip
import hashlib
import io
import itertools
import random
import tracemalloc
import zlib
from collections import Counter
from pathlib import Path

import pytest
import zstandard
from fastwarc.stream_io import Lz4Writer
from fastwarc.warc import ArchiveIterator
from fastwarc.warc import resource as resource_type
from fastwarc.warc import response as response_type
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import InputError
from transforms.warc import (
    BadRecord,
    Record,
    SkippedRecord,
    WarcConfig,
    can_slice,
    read_records,
    slice_bounds,
)
from transforms.warc_members import BLOCK_BYTES

CONFIG = WarcConfig()
DATA = Path(__file__).parents[2] / ".." / "shared" / "data" / "warc"


def warc_record(
    block: bytes,
    url: str = "http://example.org/",
    kind: str = "response",
    content_type: str = "application/http; msgtype=response",
    newline: bytes = b"\r\n",
    **headers: str,
) -> bytes:
    lines = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        f"WARC-Target-URI: {url}",
        "WARC-Date: 2024-05-01T00:00:00Z",
        f"Content-Type: {content_type}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
        f"Content-Length: {headers.get('length', len(block))}",
    ]
    head = newline.join(line.encode() for line in lines)
    return head + newline + newline + block + b"\r\n\r\n"


def http(body: bytes, *headers: str, status: int = 200, media: str = "text/html") -> bytes:
    lines = [f"HTTP/1.1 {status} Sure", f"Content-Type: {media}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def page(number: int, size: int = 400) -> bytes:
    """A body of some structure: text with line ends, then bytes that do not compress."""
    noise = random.Random(number).randbytes(size // 2)
    return b"<html><p>page %d\r\n\r\n" % number + b"words and words " * (size // 32) + noise


def response(number: int, size: int = 400) -> bytes:
    return warc_record(http(page(number, size)), f"http://example.org/{number}")


def read(
    data: bytes, name: str = "a.warc.gz", start: int = 0, end: int | None = None
) -> list[Record | BadRecord | SkippedRecord]:
    return list(read_records(io.BytesIO(data), name, CONFIG, start, end))


def comparable(items: list[Record | BadRecord | SkippedRecord]) -> list[object]:
    return [
        (item.offset, item.url, item.error.error, str(item.error))
        if isinstance(item, BadRecord)
        else item
        for item in items
    ]


def payloads(items: list[Record | BadRecord | SkippedRecord]) -> Counter[tuple[str, bytes]]:
    return Counter((item.url, item.payload) for item in items if isinstance(item, Record))


def kinds(items: list[Record | BadRecord | SkippedRecord]) -> list[str]:
    return [item.error.error if isinstance(item, BadRecord) else item.kind for item in items]


def only(data: bytes, name: str = "a.warc") -> Record:
    items = read(data, name)
    assert len(items) == 1
    assert isinstance(items[0], Record)
    return items[0]


def zstd_frames(records: list[bytes], dictionary: bytes | None = None) -> bytes:
    made = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
    compressor = zstandard.ZstdCompressor(dict_data=made, write_checksum=True)
    front = b""
    if dictionary:
        front = b"\x5d\x2a\x4d\x18" + len(dictionary).to_bytes(4, "little") + dictionary
    return front + b"".join(compressor.compress(record) for record in records)


def lz4_frames(records: list[bytes]) -> bytes:
    out = io.BytesIO()
    for record in records:
        writer = Lz4Writer(out)
        writer.write(record)
        writer.close()
    return out.getvalue()


PACKINGS = {
    "plain": b"".join,
    "gzip": lambda records: b"".join(gzip.compress(record) for record in records),
    "gzip_one_member": lambda records: gzip.compress(b"".join(records)),
    "gzip_uncompressed": lambda records: b"".join(gzip.compress(r, 0) for r in records),
    "zstd": zstd_frames,
    "zstd_one_frame": lambda records: zstd_frames([b"".join(records)]),
    "zstd_dictionary": lambda records: zstd_frames(records, b"WARC-Type: response " * 20),
    "lz4": lz4_frames,
    "lz4_one_frame": lambda records: lz4_frames([b"".join(records)]),
}
NAMES = {"plain": "a.warc", "gzip": "a.warc.gz", "zstd": "a.warc.zst", "lz4": "a.warc.lz4"}
BY_MEMBER = {"plain": bytes, "gzip": gzip.compress} | {
    "zstd": lambda record: zstd_frames([record]),
    "lz4": lambda record: lz4_frames([record]),
}


# --- sound files


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz", "renamed.bin"])
def test_every_packing_is_read_by_content(packing: str, name: str) -> None:
    records = [response(number, 5000) for number in range(5)]
    items = read(PACKINGS[packing](records), name)
    assert [(item.url, item.payload) for item in items] == [
        (f"http://example.org/{number}", page(number, 5000)) for number in range(5)
    ]


@pytest.mark.parametrize("packing", ["plain", "gzip", "zstd", "lz4"])
def test_offset_is_where_the_record_begins_in_the_file(packing: str) -> None:
    records = [BY_MEMBER[packing](response(number)) for number in range(3)]
    expected = [0, len(records[0]), len(records[0]) + len(records[1])]
    assert [item.offset for item in read(b"".join(records))] == expected


def test_response_fields_are_those_of_head_and_http() -> None:
    block = http(b"<p>x", "content-type: ignored/second", status=404, media="Text/HTML; charset=X")
    record = only(warc_record(block, " <http://a.org/x y> ", WARC_Truncated="length"))
    body_digest = base64.b32encode(hashlib.sha1(b"<p>x").digest()).decode()
    assert record == Record(
        kind="response",
        url="http://a.org/x y",
        date="2024-05-01T00:00:00Z",
        offset=0,
        status=404,
        content_type="text/html",
        content_type_raw="Text/HTML; charset=X, ignored/second",
        payload=b"<p>x",
        payload_digest=f"sha1:{body_digest}",
        truncated="length",
        refers_to_url=None,
        http_headers=(
            ("content-type", "Text/HTML; charset=X"),
            ("content-type", "ignored/second"),
        ),
    )


def test_resource_takes_its_type_from_the_warc_head() -> None:
    record = only(warc_record(b"\x89PNG", "http://a.org/p.png", "resource", "Image/PNG"))
    assert (record.kind, record.status, record.content_type, record.payload) == (
        "resource",
        None,
        "image/png",
        b"\x89PNG",
    )


def test_revisit_has_no_payload_but_digest_and_target() -> None:
    data = warc_record(
        http(b"", media="image/gif", status=304),
        kind="revisit",
        WARC_Payload_Digest="sha1:" + "ab" * 20,
        WARC_Refers_To_Target_URI="<http://a.org/first>",
    )
    record = only(data)
    assert record.payload == b""
    assert record.payload_digest == "sha1:" + base64.b32encode(b"\xab" * 20).decode()
    assert record.refers_to_url == "http://a.org/first"
    assert (record.status, record.content_type) == (304, "image/gif")


def test_revisit_without_http_head_and_digest_is_read() -> None:
    record = only(warc_record(b"", kind="revisit"))
    assert (record.status, record.payload_digest, record.content_type_raw) == (None, "", None)


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("sha1:qkxrwar2fdwmk7n5rm2r35zimjyxc6ya", "sha1:QKXRWAR2FDWMK7N5RM2R35ZIMJYXC6YA"),
        ("SHA1:" + "00" * 20, "sha1:" + "A" * 32),
        ("sha256:AbC=", "sha256:AbC="),
        ("nonsense", "sha1:2JMJ7L5RSW7YVB4VLWJLKYK4CR7Y2TNF"),
    ],
    ids=["base32", "hex", "another", "unusable"],
)
def test_declared_digest_has_one_spelling(declared: str, expected: str) -> None:
    record = only(warc_record(http(b""), WARC_Payload_Digest=declared))
    if declared == "nonsense":
        expected = "sha1:" + base64.b32encode(hashlib.sha1(b"").digest()).decode()
    assert record.payload_digest == expected


def test_digest_is_of_the_body_as_stored() -> None:
    stored = gzip.compress(b"<p>hello")
    record = only(warc_record(http(stored, "Content-Encoding: gzip")))
    assert record.payload == b"<p>hello"
    digest = base64.b32encode(hashlib.sha1(stored).digest()).decode()
    assert record.payload_digest == f"sha1:{digest}"


def test_response_that_is_not_http_keeps_its_block() -> None:
    record = only(
        warc_record(b"20240501\na.org. 1 IN A 1.2.3.4", "dns:a.org", "response", "text/dns")
    )
    assert (record.status, record.content_type) == (None, "text/dns")
    assert record.payload.endswith(b"1.2.3.4")


def test_other_types_are_skipped_by_name() -> None:
    data = b"".join(
        warc_record(b"x: y", kind=kind) for kind in ["warcinfo", "Request", "metadata", "new-type"]
    )
    assert read(data) == [
        SkippedRecord("warcinfo"),
        SkippedRecord("request"),
        SkippedRecord("metadata"),
        SkippedRecord("new-type"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        warc_record(http(b"<p>x"), newline=b"\n"),
        warc_record(b"HTTP/1.0 200\nContent-Type: text/html\n\n<p>x"),
        warc_record(http(b"<p>x")).removesuffix(b"\r\n"),
        warc_record(http(b"<p>x")).removesuffix(b"\r\n\r\n"),
        b"\r\n" + warc_record(http(b"<p>x")) + b"\r\n\n\n",
        warc_record(http(b"<p>x"), content_type=""),
        warc_record(http(b"<p>x", *(f"X-{n}: {'v' * 900}" for n in range(300)))),
    ],
    ids=["lf_head", "lf_http", "one_line_end", "no_line_end", "more_line_ends", "no_type", "long"],
)
def test_quirks_of_writers_are_accepted(data: bytes) -> None:
    items = read(data + response(1), "a.warc")
    assert kinds(items) == ["response", "response"]
    assert [item.payload for item in items] == [b"<p>x", page(1)]


def test_bytes_that_are_not_utf8_leave_valid_text() -> None:
    data = response(1).replace(b"example.org/1", b"example.org/\xff\xed\xa0\x80")
    record = only(data.replace(b"text/html", b"text/\xe4tml"))
    assert record.url.encode().startswith(b"http://example.org/")
    assert record.content_type_raw is not None
    assert record.content_type_raw.encode()


def test_record_cut_over_two_members_is_joined() -> None:
    middle = response(1)
    parts = [response(0), middle[:150], middle[150:900], middle[900:], response(2)]
    data = b"".join(gzip.compress(part) for part in parts)
    assert payloads(read(data)) == payloads(read(response(0) + middle + response(2)))


def test_zero_padding_between_members_is_passed_over() -> None:
    data = gzip.compress(response(0)) + bytes(700_000) + gzip.compress(response(1)) + bytes(10)
    assert kinds(read(data)) == ["response", "response"]


# --- errors


@pytest.mark.parametrize(
    ("data", "errors"),
    [
        (b"", ["WarcParseError"]),
        (b"\r\n\r\n", ["WarcParseError"]),
        (gzip.compress(b"", mtime=0), ["WarcParseError"]),
        (gzip.compress(b"hello", mtime=0), ["WarcParseError"]),
        (b"\x1f\x8b\x08 nothing", ["WarcParseError"]),
        (b"\x1f\x8b", ["WarcParseError"]),
        (b"<html>no crawl", ["WarcParseError"]),
        (b"\x28\xb5\x2f\xfd nothing at all", ["WarcParseError"]),
        (b"\x04\x22\x4d\x18\x64\x40\xa7", ["TruncatedRecordError"]),
        (b"WARC/1.0\r\n\r\n", ["WarcParseError"]),
        (b"WARC/1.0\r\nWARC-Type: response\r\n", ["TruncatedRecordError"]),
        (b"WARC/1.0\r\nWARC-Type: response\r\n\r\n", ["WarcParseError"]),
        (warc_record(b"", length="-5"), ["WarcParseError"]),
        (warc_record(b"", length="9" * 30), ["WarcParseError"]),
        (warc_record(http(b""), Content_Length="3"), ["WarcParseError"]),
        (warc_record(b"<html>"), ["HttpParseError"]),
        (warc_record(b"HTTP/1.1 nope\r\n\r\n"), ["HttpParseError"]),
        (warc_record(http(b"", "X: " + "v" * (1 << 21))), ["HttpParseError"]),
        (warc_record(http(b"plain", "Content-Encoding: gzip")), ["ContentDecodeError"]),
        (warc_record(http(b"plain", "Content-Encoding: foo")), ["ContentDecodeError"]),
        (warc_record(http(b"x"), length="5000"), ["TruncatedRecordError"]),
        (b"WARC/1.0\r\nX: " + b"y" * 40_000 + b"\r\n\r\n", ["WarcParseError"]),
    ],
)
@pytest.mark.parametrize("wrap", [False, True], ids=["alone", "before_a_sound_record"])
def test_bad_input_is_typed_and_named(data: bytes, errors: list[str], wrap: bool) -> None:
    packings = {b"\x1f": "gzip", b"\x28": "zstd", b"\x04": "lz4"}
    packing = packings.get(data[:1], "plain")
    name = "some" + NAMES[packing][1:]
    if wrap:
        if not data.strip():
            return
        data += BY_MEMBER[packing](response(7))
    items = read(data, name)
    bad = [item for item in items if isinstance(item, BadRecord)]
    assert all(str(item.error).startswith(f"{name}, offset ") for item in bad)
    if wrap:
        # What follows a cut may be read as part of it first, so only its own type can differ.
        assert len(bad) == 1
        assert payloads(items) == payloads(read(response(7)))
    else:
        assert kinds(items) == errors


@pytest.mark.parametrize(
    ("packing", "name"), [*sorted(NAMES.items()), ("plain", "renamed.bin")], ids=str
)
@pytest.mark.parametrize(
    "garbage", [b"\x04\x22\x4d\x18", b"\x1f\x8b\x08\x00", b"\x5d\x2a\x4d\x18", b"WARC/"]
)
def test_garbage_in_front_that_looks_like_another_format_costs_little(
    packing: str, name: str, garbage: bytes
) -> None:
    data = garbage + BY_MEMBER[packing](response(0)) + BY_MEMBER[packing](response(1))
    items = read(data, name)
    assert payloads(items)["http://example.org/1", page(1)] == 1


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["arc", "arc.gz"])
def test_arc_is_refused_with_a_hint(pack: object) -> None:
    data = b"filedesc://x.arc 127.0.0.1 20140301000000 text/plain 9\n1 0 Old\n"
    with pytest.raises(InputError, match=r"old\.arc: ARC .* convert it to WARC"):
        read(gzip.compress(data) if pack is gzip.compress else data, "old.arc")


def test_large_payload_is_refused_and_its_neighbours_are_kept() -> None:
    config = WarcConfig(max_payload_bytes=1000)
    bomb = warc_record(http(gzip.compress(bytes(10**6)), "Content-Encoding: gzip"))
    data = response(0) + bomb + response(1, 5000) + response(2)
    items = list(read_records(io.BytesIO(data), "a.warc", config))
    assert kinds(items) == ["response", "PayloadTooLargeError", "PayloadTooLargeError", "response"]


@pytest.mark.parametrize("packing", ["plain", "gzip", "gzip_one_member", "zstd", "lz4"])
def test_huge_records_are_passed_over_in_bounded_memory(packing: str) -> None:
    config = WarcConfig(max_payload_bytes=1000)
    size = 40 << 20
    big = [
        warc_record(bytes(size), kind="resource"),
        warc_record(bytes(size), kind="metadata"),
        warc_record(http(b"cut"), kind="resource", length=str(2 * size)),
    ]
    data = PACKINGS[packing]([response(0), *big, response(1)])
    stream = io.BytesIO(data)
    tracemalloc.start()
    items = list(read_records(stream, "a.warc", config))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kinds(items)[:3] == ["response", "PayloadTooLargeError", "metadata"]
    assert isinstance(items[3], BadRecord)
    assert kinds(items)[4:] == ["response"]
    assert peak < 32 << 20


def test_wrong_lengths_cost_one_record_each() -> None:
    short = warc_record(http(b"<p>" + b"x" * 50), "http://short/", length="70")
    long = warc_record(http(b"<p>x"), "http://long/", length="1500")
    longer = warc_record(http(b"<p>x"), "http://longer/", length=str(10**12))
    data = response(0) + short + response(1) + long + response(2) + longer + response(3)
    for packed in (data, gzip.compress(data)):
        items = read(packed, "a.warc")
        assert [i.url for i in items if isinstance(i, BadRecord)] == [
            "http://short/",
            "http://long/",
            "http://longer/",
        ]
        good = [i.url[-1] for i in items if isinstance(i, Record)]
        assert good == ["0", "1", "2", "3"]


def test_damaged_checksum_condemns_the_record() -> None:
    member = bytearray(gzip.compress(response(0)))
    member[-6] ^= 1
    items = read(gzip.compress(response(1)) + bytes(member) + gzip.compress(response(2)))
    assert kinds(items) == ["response", "WarcParseError", "response"]


@settings(max_examples=250, deadline=2000)
@given(data=st.data(), packing=st.sampled_from(sorted(BY_MEMBER)))
def test_damage_inside_one_record_leaves_all_others(data: st.DataObject, packing: str) -> None:
    members = [BY_MEMBER[packing](response(n, 60 + 90 * n)) for n in range(4)]
    victim = data.draw(st.integers(0, 3))
    member = members[victim]
    at = data.draw(st.integers(1 if victim else 0, len(member) - 1))
    operation = data.draw(st.sampled_from(["flip", "cut", "insert"]))
    if operation == "flip":
        broken = bytearray(member)
        broken[at] ^= data.draw(st.integers(1, 255))
        member = bytes(broken)
    elif operation == "cut":
        member = member[:at] + member[data.draw(st.integers(at + 1, len(member))) :]
    else:
        member = member[:at] + data.draw(st.binary(min_size=1, max_size=200)) + member[at:]
    members[victim] = member
    whole = b"".join(members)
    items = read(whole, NAMES[packing])
    found = payloads(items)
    for number in set(range(4)) - {victim}:
        assert found[f"http://example.org/{number}", page(number, 60 + 90 * number)] == 1
    assert 3 <= len(items) <= 8
    if packing == "gzip":
        cut = data.draw(st.integers(1, len(whole)))
        halves = read(whole, "a.warc.gz", 0, cut) + read(whole, "a.warc.gz", cut)
        assert comparable(halves) == comparable(items)


FRONTS = [
    *(b"", b"WARC/1.0\r\n", gzip.compress(b"WARC/1.0\r\n", mtime=0), b"\x1f\x8b\x08\x00"),
    *(b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"\x5d\x2a\x4d\x18", b"\x50\x2a\x4d\x18"),
]


@settings(max_examples=150, deadline=2000)
@given(
    front=st.sampled_from(FRONTS),
    garbage=st.binary(max_size=3000),
    name=st.sampled_from([*NAMES.values(), "x"]),
    start=st.integers(0, 50),
)
def test_garbage_ends_and_is_never_a_traceback(
    front: bytes, garbage: bytes, name: str, start: int
) -> None:
    items = read(front + garbage, name, start)
    assert len(items) <= 20
    assert all(isinstance(item, BadRecord) for item in items)
    if start == 0:
        assert items


# --- slices


def slice_file() -> bytes:
    """Members with one record and several, none, a part of one, and damage of three kinds."""
    broken = bytearray(gzip.compress(response(5)))
    broken[60] ^= 0x55
    parts = [
        gzip.compress(response(0)),
        gzip.compress(response(1) + response(2)),
        gzip.compress(b"", mtime=0),
        gzip.compress(response(3)[:200]),
        gzip.compress(response(3)[200:]),
        bytes(5),
        bytes(broken),
        gzip.compress(response(7)),
        gzip.compress(b"not a record"),
        gzip.compress(response(8)),
        b"garbage",
        gzip.compress(response(6)),
    ]
    return b"".join(parts)


@settings(max_examples=200, deadline=2000)
@given(cuts=st.lists(st.integers(0, len(slice_file())), max_size=6))
def test_slices_together_give_the_whole_file(cuts: list[int]) -> None:
    data = slice_file()
    bounds = [0, *sorted(cuts), len(data)]
    found = []
    for start, end in itertools.pairwise(bounds):
        found += read(data, start=start, end=end) if start < end else []
    assert comparable(found) == comparable(read(data))


def test_two_slices_give_each_record_once() -> None:
    data = slice_file()
    whole = comparable(read(data))
    assert sorted(kinds(read(data))) == ["WarcParseError"] * 3 + ["response"] * 7
    for cut in range(1, len(data), 3):
        assert comparable(read(data, end=cut) + read(data, start=cut)) == whole


def test_record_stored_inside_a_payload_is_never_a_record_of_the_file() -> None:
    inner = gzip.compress(warc_record(http(b"<p>forged"), "http://forged/"))
    outer = warc_record(http(inner * 3, media="application/gzip"), "http://outer/")
    data = gzip.compress(response(0)) + gzip.compress(outer, 0) + gzip.compress(response(1))
    whole = read(data)
    assert data.count(inner) == 3
    assert kinds(whole) == ["response"] * 3
    for cut in range(1, len(data)):
        assert read(data, end=cut) + read(data, start=cut) == whole


@pytest.mark.parametrize("shift", range(-5, 6))
def test_member_on_the_border_of_a_scanned_block_is_found(shift: int) -> None:
    first = gzip.compress(response(0))
    wanted = 1 + BLOCK_BYTES + shift
    filler = b"\x1f\x8b\x08" + b"\xff" * (wanted - len(first) - 3)
    data = first + filler + gzip.compress(response(1))
    (record,) = read(data, start=1)
    assert isinstance(record, Record)
    assert record.offset == wanted


@pytest.mark.parametrize("packing", ["plain", "gzip_one_member", "zstd", "lz4"])
def test_file_that_cannot_be_cut_belongs_to_the_first_slice(packing: str) -> None:
    data = PACKINGS[packing]([response(number) for number in range(3)])
    assert kinds(read(data, end=10)) == ["response"] * 3
    assert read(data, start=10) == []


def test_slice_bounds_cover_the_file_once() -> None:
    assert slice_bounds(10, 4, "a.warc.gz") == [(0, 4), (4, 8), (8, 10)]
    assert slice_bounds(8, 4, "A.WARC.GZ") == [(0, 4), (4, 8)]
    assert slice_bounds(4, 4, "a.warc.gz") == [(0, 4)]
    assert slice_bounds(0, 4, "a.warc.gz") == [(0, 0)]
    assert slice_bounds(10, 4, "a.warc") == slice_bounds(10, 4, "a.warc.zst") == [(0, 10)]
    assert can_slice("a.warc.gz")
    assert not can_slice("a.warc.lz4")


# --- real files


PINNED: dict[str, dict[str, int]] = {
    "resiliparse/clipped.warc.gz": {"TruncatedRecordError": 1},
    "resiliparse/clueweb-quirk.warc.gz": {"warcinfo": 1, "response": 29},
    "resiliparse/block-sized-records.warc": {"unknown": 3},
    "resiliparse/block-sized-records.warc.gz": {"unknown": 3},
    "resiliparse/block-sized-records.warc.lz4": {"unknown": 3},
    "resiliparse/warcfile.warc": {"warcinfo": 1, "request": 17, "response": 16, "metadata": 16},
    "resiliparse/warcfile.warc.gz": {"warcinfo": 1, "request": 17, "response": 16, "metadata": 16},
    "resiliparse/warcfile.warc.lz4": {"warcinfo": 1, "request": 17, "response": 16, "metadata": 16},
    "warcio/example-bad.warc.gz.bad": {"warcinfo": 1, "response": 2, "request": 2, "revisit": 1},
    "warcio/example-bad-non-chunked.warc.gz": {
        "warcinfo": 2,
        "response": 1,
        "request": 2,
        "revisit": 1,
    },
    "warcio/example-trunc.warc": {"warcinfo": 2, "WarcParseError": 1, "request": 1},
    "warcio/example-wrong-chunks.warc.gz": {"response": 1, "request": 1},
    "warcio/example-wget-bad-target-uri.warc.gz": {
        "warcinfo": 1,
        "request": 1,
        "response": 1,
        "metadata": 1,
        "resource": 2,
    },
    "warcio/example-resource.warc.gz": {"warcinfo": 2, "resource": 1},
    "warcio/example.warc.gz": {"warcinfo": 2, "response": 1, "request": 2, "revisit": 1},
    "webarchive-commons/mutliple-headers.warc": {"response": 1},
    "webarchive-commons/double-single-inflate-error.gz": {"WarcParseError": 1},
    "webarchive-commons/abcd.gz": {"WarcParseError": 1},
    "webarchive-commons/hi.gz": {"WarcParseError": 1},
    "webarchive-commons/hi-2.gz": {"WarcParseError": 2},
    "webarchive-commons/empty.gz": {"WarcParseError": 1},
    "jwarc/gzip_extra_sl.warc.gz": {"warcinfo": 1},
    "aut/issue-493.warc": {"warcinfo": 2, "response": 10, "request": 15, "revisit": 5},
    "aut/example.warc.gz": {"warcinfo": 1, "response": 299, "request": 261, "metadata": 261},
}


def real(path: str) -> Path:
    if not DATA.is_dir():
        pytest.skip("the real crawl files are not at ../shared/data/warc")
    return DATA / path


@pytest.mark.parametrize("path", PINNED)
def test_real_file_gives_what_is_in_it(path: str) -> None:
    file = real(path)
    with file.open("rb") as stream:
        items = list(read_records(stream, file.name, CONFIG))
    assert Counter(kinds(items)) == PINNED[path]
    assert not any(item.url.startswith("<") for item in items if isinstance(item, Record))


@pytest.mark.parametrize("path", [path for path in PINNED if path.endswith(".warc.gz")])
def test_real_file_in_slices_gives_the_same(path: str) -> None:
    data = real(path).read_bytes()
    part = max(100, len(data) // 23)
    found = []
    for start, end in slice_bounds(len(data), part, path):
        found += read(data, path, start, end)
    assert comparable(found) == comparable(read(data, path))


@pytest.mark.parametrize(
    "path", ["aut/example.warc.gz", "aut/issue-493.warc", "resiliparse/warcfile.warc.lz4"]
)
def test_real_file_agrees_with_the_iterator_of_fastwarc(path: str) -> None:
    file = real(path)
    theirs = []
    with file.open("rb") as stream:
        for record in ArchiveIterator(stream, auto_decode="all"):
            body = record.reader.read()
            if record.record_type in (response_type, resource_type):
                theirs.append((record.headers["WARC-Target-URI"], zlib.crc32(body)))
    with file.open("rb") as stream:
        ours = [
            (item.url, zlib.crc32(item.payload))
            for item in read_records(stream, file.name, CONFIG)
            if isinstance(item, Record) and item.kind != "revisit"
        ]
    assert ours == theirs
