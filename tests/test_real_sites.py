"""Recipe `mm1` on real sites, packed into one WARC each."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from beam_runner import main


@pytest.mark.parametrize("site", ["dc-image-processing", "flink-web", "cc-opensource-blog"])
def test_mm1_fills_every_stream_and_loses_no_row(
    site: str, shared_data: Path, tmp_path: Path
) -> None:
    warc, output = tmp_path / f"{site}.warc.gz", tmp_path / "out"
    tool = shared_data.parent / "tools" / "site_to_warc.py"
    subprocess.run(
        [sys.executable, str(tool), str(shared_data / "sites" / site), str(warc)], check=True
    )
    assert main(["run", "mm1", "-i", str(warc), "-o", str(output), "-w", "1", "-q"]) == 0
    for stream in ("captioned", "interleaved", "text"):
        manifest = json.loads((output / "shards" / stream / "manifest.json").read_text())
        assert manifest["totals"]["samples"] >= 8, stream
    stages = json.loads((output / "run.json").read_text())["stages"]
    for stage, facts in stages.items():
        for table, counts in facts["tables"].items():
            assert counts["in"] == counts["kept"] + counts["rejected"] + counts["failed"], (
                f"{stage}, {table}"
            )
