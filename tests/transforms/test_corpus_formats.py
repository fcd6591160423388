"""Which format a file is, by what it holds and whatever it is called."""

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.corpus_formats import READERS, sniff
from transforms.input_rows import InputDocument

MMC4 = {"text_list": ["a"], "image_info": [], "similarity_matrix": [], "url": "http://a.example/"}
LISTS = {"texts": ["a"], "images": [None]}


def parquet(row: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row]), sink)
    return sink.getvalue()


def lines(*rows: object) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def zipped(name: str, data: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(name, data)
    return sink.getvalue()


def tar(members: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


OBELICS = parquet(
    {**LISTS, "metadata": "[null]", "general_metadata": '{"url":"http://a.example/"}'}
)
FILES: dict[str, tuple[bytes, str | None]] = {
    "obelics": (OBELICS, "obelics"),
    "omnicorpus": (
        parquet({**LISTS, "general_metadata": {"url": "http://a.example/"}}),
        "omnicorpus",
    ),
    "omnicorpus lines": (lines({**LISTS, "general_metadata": {}}), "omnicorpus"),
    "mint html": (parquet({**LISTS, "url": "http://a.example/"}), "omnicorpus"),
    "mmc4": (lines([], MMC4), "mmc4"),
    "mmc4 gzip": (gzip.compress(lines(MMC4)), "mmc4"),
    "mmc4 zip": (zipped("a.jsonl", lines(MMC4)), "mmc4"),
    "pairs": (tar({"0.jpg": b"x", "0.txt": b"a"}), "webdataset"),
    "pairs without images": (tar({"0.json": b'{"url":"http://a.example/b.png"}'}), "webdataset"),
    "mint1t": (tar({"README": b"", "0.json": lines(LISTS)}), "mint1t"),
    "mint gzip": (gzip.compress(tar({"0.json": lines(LISTS)})), "mint1t"),
    "table": (parquet({"url": "a", "caption": "b"}), None),
    "table lines": (lines({"url": "a", "caption": "b"}), None),
    "text": (b"url,caption\na,b\n", None),
    "empty": (b"", None),
    "other tar": (tar({"a.py": b"x"}), None),
    "other zip": (zipped("a.txt", b"x"), None),
    "cut Parquet": (OBELICS[:-9], None),
    "cut gzip": (gzip.compress(lines(MMC4))[:15], None),
}


@pytest.mark.parametrize(("data", "expected"), FILES.values(), ids=FILES)
def test_format_is_told_by_content(tmp_path: Path, data: bytes, expected: str | None) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert sniff(str(path)) == expected
    if expected is not None:
        reader = READERS[expected]()
        ((start, end),) = reader.slices(str(path), len(data), 1 << 20)
        found = list(reader.read(str(path), start, end))
        assert any(isinstance(item, InputDocument) for item in found)
