"""`make bench-store`: requests of a run that reads and writes S3, by stage and by output shard.

The store is moto's server on loopback behind a proxy that counts, that waits before each answer as
a store across a network does, and in a second run answers with faults. benchmarks/README.md says
how each number is made.
"""

import argparse
import io
import json
import os
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from rich.console import Console

from beam_runner import main as weft
from benchmarks.processes import ROOT, say
from benchmarks.report import RESULTS, Report, Row, hardware, versions
from pipeline.demo import generate_demo_crawl
from pipeline.run_record import STAGES
from schemas.shards import STREAMS
from tests.store_server import BUCKET, Faults, FaultyStore, client, objects, put_folder, s3_server

QUICK_RESULTS = ROOT / "out" / "benchmarks"
DISTRIBUTIONS = ("weft-data", "s3fs", "fsspec", "botocore", "moto", "pyarrow")
PAGES, QUICK_PAGES = 1200, 300
PAUSE = 0.03
"""Seconds before each answer."""
SHARE = 0.03
"""Of requests that meet a fault, in the run with faults."""
MOST_GETS = 1.1
"""Image requests that a shard may take for each image in it."""
SETTINGS = ("shards.target_samples=200", "dedup.buckets=4", "refs.buckets=4")


def measure(store: FaultyStore, output: str) -> dict[str, Any]:
    """Run the demo's recipe stage by stage; requests and bytes of each."""
    found: dict[str, Any] = {}
    more = [argument for setting in SETTINGS for argument in ("--set", setting)]
    run = ["run", "demo", "-i", f"s3://{BUCKET}/crawl", "-o", f"s3://{BUCKET}/{output}", "-w", "1"]
    for number, stage in enumerate(STAGES):
        say(f"{output}: {stage}")
        store.forget()
        begin = time.perf_counter()
        names = ",".join(STAGES[: number + 1])
        with redirect_stdout(io.StringIO()):
            if weft([*run, "-q", "--no-report", *more, "--stages", names]) != 0:
                raise SystemExit(f"stage {stage} failed")
        found[stage] = {
            "seconds": round(time.perf_counter() - begin, 2),
            "requests": store.kinds(),
            "faults": store.met(),
            "bytes_read": sum(request.received for request in store.requests),
            "bytes_written": sum(request.sent for request in store.requests),
            "most_at_once": dict(sorted(store.most_at_once.items())),
            "image_gets": store.count("GET-RANGE", "GET", below=f"{output}/packs/"),
        }
    return found


def shards_of(server: str, output: str) -> dict[str, dict[str, int]]:
    """Shards and images in them, by stream."""
    there = objects(server, f"{output}/shards")
    found = {}
    for stream in STREAMS:
        manifest = json.loads(there[f"{stream}/manifest.json"])
        tars = [there[f"{stream}/{shard['name']}"] for shard in manifest["shards"]]
        found[stream] = {"shards": len(tars), "images": sum(tar.count(b".jpg\0") for tar in tars)}
    return found


def main() -> None:
    """Program entry."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=__doc__)
    quick = "a smoke run over few pages; its file goes to out/benchmarks"
    parser.add_argument("--quick", action="store_true", help=quick)
    given = parser.parse_args()
    pages = QUICK_PAGES if given.quick else PAGES
    machine = hardware()
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as name, s3_server() as server:
        crawl = Path(name) / "crawl"
        generate_demo_crawl(crawl, pages=pages)
        with FaultyStore(server, pause=PAUSE) as store:
            os.environ.update(store.environment)
            client(server).create_bucket(Bucket=BUCKET)
            put_folder(server, crawl, "crawl")
            plain = measure(store, "plain")
            store.faults = Faults(1, SHARE)
            faulty = measure(store, "faults")
            shards = shards_of(server, "plain")
            same = objects(server, "plain/shards") == objects(server, "faults/shards")
    if not same:
        raise SystemExit("the run with faults gave other shards")
    images = sum(stream["images"] for stream in shards.values())
    count = sum(stream["shards"] for stream in shards.values())
    last = plain["shard"]
    limit = "images in it x 1.1"
    rows = [
        Row(
            what, runs["shard"]["image_gets"] / count, "requests a shard", limit,
            MOST_GETS * images / count, more_is_better=False,
        )
        for what, runs in (("image requests", plain), ("image requests, faults", faulty))
    ]  # fmt: skip
    rows += [
        Row("image requests at once", last["most_at_once"].get("GET-RANGE", 0), "requests"),
        Row("all requests of stage shard", sum(last["requests"].values()) / count, "a shard"),
        Row("shards", count, "files"),
        Row("images in shards", images, "images"),
    ]
    details = {
        "pages": pages, "pause_seconds": PAUSE, "share_of_faults": SHARE, "streams": shards,
        "plain": plain, "faults": faulty, "seconds": round(time.perf_counter() - begin, 1),
    }  # fmt: skip
    command = "make bench-store" + (' ARGS="--quick"' if given.quick else "")
    report = Report("store", command, machine, versions(DISTRIBUTIONS), rows, details)
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    report.show(console)
    path = (QUICK_RESULTS if given.quick else RESULTS) / "store.json"
    report.write(path)
    console.print(f"{path.relative_to(ROOT)} written, {details['seconds']:.0f} s")


if __name__ == "__main__":
    main()
