"""One run of either side against a fresh server: ours by its command line, img2dataset by its own.

Both must have got every image, bit for bit, or the benchmark ends here. img2dataset hashes what it
receives (`compute_hash`, on by default), so its table tells even where its shards hold other bytes.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.fetch_inputs import Workload, recipe_text
from benchmarks.fetch_server import Served, ServerProcess
from benchmarks.memory import MB, MemorySampler
from benchmarks.processes import ROOT, RUN_SECONDS

PEER = ROOT / ".venv-img2dataset" / "bin" / "img2dataset"
PEER_ENVIRONMENT = {
    # Its libraries ask the internet for newer versions of themselves when they are imported.
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "WANDB_MODE": "disabled",
    # As ours sets for itself: processes, not threads of a matrix library, use the cores.
    "OPENBLAS_NUM_THREADS": "1",
}
STAGES = "extract,dedup,refs,fetch"
CONTACT = "https://example.org/weft-benchmark"
SHARDS_A_PROCESS = 2


@dataclass(frozen=True)
class Setting:
    """How img2dataset treats an image."""

    label: str
    arguments: tuple[str, ...]
    keeps_bytes: bool = False


DEFAULT = Setting("decodes and re-encodes", ())
SKIP_JPEG = Setting("decodes, keeps JPEG", ("--skip_reencode=True",))
BYTES_ONLY = Setting("decodes nothing", ("--disable_all_reencoding=True",), keeps_bytes=True)
SETTINGS = (DEFAULT, SKIP_JPEG, BYTES_ONLY)


@dataclass(frozen=True)
class Slow:
    """Hosts that answer late."""

    hosts: tuple[str, ...] = ()
    seconds: float = 0.0


NONE_SLOW = Slow()


@dataclass(frozen=True)
class Run:
    """One run of a side."""

    seconds: float
    """Of the fetching alone, as the side itself counts: our stage, from img2dataset's first shard
    begun to its last one done."""
    wall: float
    """Of the whole command."""
    peak_mb: float
    """Most memory of all processes together: PSS, sampled twice a second."""
    stages: Mapping[str, float]
    """Seconds of each stage of ours."""
    served: Served

    def as_json(self) -> dict[str, Any]:
        """For the details of a report: the record of the server in short."""
        found = asdict(self)
        del found["served"]
        return found | {
            "connections": self.served.connections,
            "other_requests": len(self.served.requests) - len(self.served.images),
            "server_cpu": self.served.cpu,
        }


def run_ours(
    work: Workload,
    folder: Path,
    workers: int,
    slow: Slow = NONE_SLOW,
    overrides: Sequence[str] = (),
) -> Run:
    """The stages up to fetch on a crawl of pages; every image must be in a pack, once."""
    output = folder / "ours"
    recipe = folder / "everything.toml"
    recipe.write_text(recipe_text(work.host_names, CONTACT), encoding="utf-8")
    command = [
        sys.executable, "beam_runner.py", "run", str(recipe),
        "--input", str(work.write_pages(folder / "pages.warc.gz")), "--output", str(output),
        "--stages", STAGES, "--workers", str(workers), "--quiet",
    ]  # fmt: skip
    for override in overrides:
        command += ["--set", override]

    def stage_seconds() -> tuple[float, dict[str, float]]:
        record = json.loads((output / "run.json").read_text())["stages"]
        seconds = {name: float(stage["seconds"]) for name, stage in record.items()}
        return seconds["fetch"], seconds

    run = _watched(command, work, slow, stage_seconds)
    members = Counter(
        hashlib.sha256(data).hexdigest() for _, data in _members(output.glob("packs/*.tar"))
    )
    demand_same("ours", members, work.digests())
    shutil.rmtree(output)
    return run


def run_peer(
    work: Workload,
    folder: Path,
    setting: Setting,
    processes: int,
    threads: int,
    slow: Slow = NONE_SLOW,
) -> Run:
    """img2dataset on a table; every image must have been received, once."""
    output = folder / "peer"
    each = -(-work.count // (processes * SHARDS_A_PROCESS))
    command = [
        str(PEER), str(work.write_table(folder / "urls.parquet")), f"--output_folder={output}",
        "--input_format=parquet", "--url_col=url", "--caption_col=caption",
        "--output_format=webdataset", "--resize_mode=no", f"--processes_count={processes}",
        f"--thread_count={threads}", f"--number_sample_per_shard={each}", "--retries=0",
        "--enable_wandb=False", *setting.arguments,
    ]  # fmt: skip

    def shard_span() -> tuple[float, dict[str, float]]:
        shards = [json.loads(path.read_text()) for path in output.glob("*_stats.json")]
        begin = min(shard["start_time"] for shard in shards)
        return max(shard["end_time"] for shard in shards) - begin, {}

    run = _watched(command, work, slow, shard_span, PEER_ENVIRONMENT)
    rows = [row for path in output.glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    received = Counter(row["sha256"] for row in rows if row["status"] == "success")
    demand_same(f"img2dataset, {setting.label}", received, work.digests())
    if setting.keeps_bytes:
        members = Counter(
            hashlib.sha256(data).hexdigest()
            for name, data in _members(output.glob("*.tar"))
            if name.endswith(".jpg")
        )
        demand_same(f"shards of img2dataset, {setting.label}", members, work.digests())
    shutil.rmtree(output)
    return run


def _watched(
    command: Sequence[str],
    work: Workload,
    slow: Slow,
    own_seconds: Callable[[], tuple[float, dict[str, float]]],
    environment: Mapping[str, str] | None = None,
) -> Run:
    with ServerProcess(
        work.folder, work.count, work.port, work.hosts, slow.hosts, slow.seconds
    ) as server:
        begin = time.perf_counter()
        with (
            subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                env={**os.environ, **(environment or {})},
            ) as process,
            MemorySampler(process.pid) as sampler,
        ):  # fmt: skip
            said, _ = process.communicate(timeout=RUN_SECONDS)
        wall = time.perf_counter() - begin
        if process.returncode != 0:
            print(said[-4000:], file=sys.stderr)
            raise SystemExit(f"{' '.join(command)}: ended with status {process.returncode}")
        served = server.stop()
    seconds, stages = own_seconds()
    peak = round(sampler.total_pss / MB, 1)
    return Run(round(seconds, 3), round(wall, 3), peak, stages, served)


def _members(paths: Iterator[Path]) -> Iterator[tuple[str, bytes]]:
    for path in sorted(paths):
        with tarfile.open(path) as tar:
            for member in tar:
                data = tar.extractfile(member)
                assert data is not None
                yield member.name, data.read()


def demand_same(side: str, got: Counter[str], sent: Counter[str]) -> None:
    """Every image once and nothing else, by SHA-256.

    Raises:
        SystemExit: It is not so; then a speed means nothing.
    """
    if got != sent:
        missing, more = (sent - got).total(), (got - sent).total()
        raise SystemExit(
            f"{side}: of {sent.total()} images {missing} are missing, {more} should not be there"
        )
