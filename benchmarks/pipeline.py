"""`make bench-pipeline`: speed, overhead and memory of the extract stage.

Speed and overhead are taken on one core, each run in a fresh process, plain loop and stage in turn;
memory in worker processes, on an input and on one ten times as large. README.md says how to read
the rows.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.crawls import Crawl, Repeat, Source, joined, load_source, together, write_repeats
from benchmarks.extract_runs import decoded_pages
from benchmarks.memory import run_watched
from benchmarks.processes import ROOT, new_environment, run_json, say
from benchmarks.report import RESULTS, Report, Row, hardware, middle, versions

QUICK_RESULTS = ROOT / "out" / "benchmarks"
DISTRIBUTIONS = (
    "weft-data", "apache-beam", "pyarrow", "fastwarc", "selectolax", "resiliparse", "pillow",
)  # fmt: skip
MAX_PLUMBING = 0.15
MAX_GROWTH = 1.2
MAX_WORKER_MB = 1000.0
TIMES = 10
"""How much larger the large input of the memory measurement is."""
DEFAULT_PART_BYTES = 256 * 1024 * 1024
NEEDS_INSTALL = ("trafilatura", "warcio")
SLICES = 3
"""Of the small input of the memory measurement; those of the large one are as large."""
CATEGORIES = {
    "inflate and frame WARC records": ("warc", "warc_members", "warc_decoded", "warc_records"),
    "decode characters": ("charset", "http_content"),
    "parse HTML": ("dom",),
    "frame the rows of a page": ("extract", "ids", "parts"),
    "walk the page: text, images, captions": (
        "interleave", "blocks", "block_writer", "main_content", "image_sources", "captions",
        "markup", "urls",
    ),
    "score text": ("text_scores", "repetition"),
    "decode and hash images": ("image_facts", "image_headers"),
    "rows to Arrow and Parquet": ("sink", "tables", "table_files", "rows"),
    "packs and publishing": ("packs", "storage"),
}  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rounds: int
    page_repeats: int
    """Repeats of the source's pages in the file of pages only."""
    mixed_repeats: int
    """Repeats in the file of pages and images."""
    memory_repeats: int
    """Repeats in the small input of the memory measurement; the large one has ten times these."""
    peer_pages: int
    least_pages: int = 0
    """Pages that the file of pages only must have."""
    every: int = 1
    """Take every so many-th page or image of the source only."""


FULL = Scale(rounds=3, page_repeats=5, mixed_repeats=2, memory_repeats=2, peer_pages=400,
             least_pages=5000)  # fmt: skip
QUICK = Scale(rounds=1, page_repeats=1, mixed_repeats=1, memory_repeats=1, peer_pages=50, every=6)


class Bench:
    """The parts of the benchmark, over one source and one temporary folder."""

    def __init__(self, source: Source, scale: Scale, folder: Path) -> None:
        self.source = source
        self.scale = scale
        self.folder = folder
        self.rows: list[Row] = []
        self.details: dict[str, Any] = {"source": source.name, "runs": {}, "crawls": {}}
        self._outputs = 0

    def output(self) -> str:
        """A place that no run has used."""
        self._outputs += 1
        return str(self.folder / f"out-{self._outputs}")

    def ours(self, what: str, *arguments: str | Path) -> dict[str, Any]:
        """One of the measurements of `extract_runs`, in a fresh process."""
        return run_json([sys.executable, "-m", "benchmarks.extract_runs", what, *arguments])

    def make(self, name: str, repeats: int, image_share: int, start: int = 0) -> list[Crawl]:
        """Crawl files, one a repeat."""
        wanted = [Repeat(start + number, image_share) for number in range(repeats)]
        return write_repeats(self.source, self.folder / "crawls", name, wanted)

    def speed(self, name: str, label: str, crawl: Crawl) -> None:
        """Loop and stage in turn; pages a second of a core, and the share of plumbing."""
        (path,) = crawl.paths
        loops, stages = [], []
        for number in range(self.scale.rounds):
            say(f"{label}: round {number + 1} of {self.scale.rounds}")
            loops.append(self.ours("loop", path))
            stages.append(self.ours("stage", path, "--output", self.output()))
            for run in (loops[-1], stages[-1]):
                if (run["pages"], run["images"]) != (crawl.pages, crawl.images):
                    raise SystemExit(f"{label}: {run} does not cover {crawl.as_json()}")
        self.details["crawls"][name] = crawl.as_json()
        self.details["runs"][name] = {"loop": loops, "stage": stages}
        for clock, title in (("wall", "a core"), ("cpu", "CPU")):
            stage = middle([run[clock] for run in stages])
            loop = middle([run[clock] for run in loops])
            unit = "pages/s" if clock == "wall" else "pages/CPU s"
            self.rows += [
                Row(f"extract, {label}, {title}", crawl.pages / stage, unit,
                    "the same functions in a plain loop", crawl.pages / loop),
                Row(f"share of plumbing, {label}, {title}", (stage - loop) / stage,
                    "of the stage", "limit", MAX_PLUMBING, more_is_better=False),
            ]  # fmt: skip

    def profile(self, name: str, crawl: Crawl) -> None:
        """Where the time goes."""
        say(f"profile, {name}")
        found = self.ours("profile", crawl.paths[0], "--output", self.output())
        functions: dict[str, float] = found["functions"]
        self.details.setdefault("profile", {})[name] = {
            "cpu_seconds": found["cpu"],
            "by_category": by_category(functions),
            "top_functions": dict(list(functions.items())[:15]),
        }

    def memory(self) -> None:
        """Peaks on an input and on ten times as much, as one file and as many."""
        each = self.scale.memory_repeats
        # The small input must hold every image once, the largest too: decoding it sets the peak.
        files = self.make("memory", each * TIMES, image_share=each, start=100)
        small, large = files[:each], files
        once = joined(small, self.folder / "crawls" / "one-1x.warc.gz")
        self._memory("one file in slices", once.bytes // SLICES + 1, once, large)
        self._memory("many files", DEFAULT_PART_BYTES, together(small), together(large))

    def _memory(
        self, label: str, part_bytes: int, small: Crawl, large: Crawl | Sequence[Crawl]
    ) -> None:
        if not isinstance(large, Crawl):
            large = joined(large, self.folder / "crawls" / f"one-{TIMES}x.warc.gz")
        peaks = []
        for times, crawl in ((1, small), (TIMES, large)):
            say(f"memory, {label}, {times}x: {crawl.pages} pages, {crawl.images} images")
            peaks.append(self._peak(crawl, part_bytes))
        first, last = (peak["by_role"] for peak in peaks)
        for role in ("worker", "stage process", "driver"):
            for kind in ("rss", "uss"):
                self.rows.append(
                    Row(f"memory of a {role} ({kind.upper()}), {label}", last[role][kind],
                        f"MB at {TIMES}x", "1x", first[role][kind], more_is_better=False)
                )  # fmt: skip
            growth = last[role]["rss"] / first[role]["rss"]
            self.rows.append(
                Row(f"growth of a {role} (RSS), {label}", growth, f"{TIMES}x / 1x",
                    "limit", MAX_GROWTH, more_is_better=False)
            )  # fmt: skip
        self.rows.append(
            Row(f"peak of a worker (RSS), {label}", max(first["worker"]["rss"],
                last["worker"]["rss"]), "MB", "limit", MAX_WORKER_MB, more_is_better=False)
        )  # fmt: skip
        self.details["crawls"][f"memory, {label}"] = [small.as_json(), large.as_json()]
        self.details.setdefault("memory_mb", {})[label] = {"1x": peaks[0], f"{TIMES}x": peaks[1]}

    def _peak(self, crawl: Crawl, part_bytes: int) -> dict[str, Any]:
        command = [sys.executable, "-m", "benchmarks.extract_runs", "memory"]
        command += [str(path) for path in crawl.paths]
        command += ["--output", self.output(), "--workers", "2", "--part-bytes", str(part_bytes)]
        begin = time.perf_counter()
        answer, sampler = run_watched(command)
        run = json.loads(answer.splitlines()[-1])
        if run["pages"] != crawl.pages:
            raise SystemExit(f"memory: {run} does not cover {crawl.as_json()}")
        return {
            "part_bytes": part_bytes,
            "parts": run["parts"],
            "seconds": round(time.perf_counter() - begin, 1),
            "by_role": sampler.by_role(),
            "all_processes_pss": round(sampler.total_pss / 1e6, 1),
        }

    def peers(self, crawl: Crawl, interpreters: Mapping[str, str]) -> None:
        """Ours and peers in turn: reading records, and the content of decoded pages."""
        pages = self.folder / "pages.json"
        every = max(1, self.source.pages // self.scale.peer_pages)
        pages.write_text(json.dumps(decoded_pages(crawl.paths[0], every)), encoding="utf-8")
        self._peers("records", crawl.paths[0], "records",
                    "read a WARC file", ("fastwarc", "warcio"), interpreters)  # fmt: skip
        self._peers("content", pages, "pages",
                    "decoded HTML to content", ("resiliparse", "trafilatura"),
                    interpreters)  # fmt: skip

    def _peers(
        self, what: str, path: Path, count: str, label: str, names: Sequence[str],
        interpreters: Mapping[str, str],
    ) -> None:  # fmt: skip
        names = [name for name in names if name in interpreters]
        mine: list[dict[str, Any]] = []
        theirs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        script = str(Path(__file__).with_name("peers.py"))
        for number in range(self.scale.rounds):
            say(f"peers, {label}: round {number + 1} of {self.scale.rounds}")
            mine.append(self.ours(what, path))
            for name in names:
                theirs[name].append(run_json([interpreters[name], script, what, name, str(path)]))
        rate = middle([run[count] / run["wall"] for run in mine])
        for name in names:
            peer = middle([run[count] / run["wall"] for run in theirs[name]])
            version = theirs[name][0]["version"]
            self.rows.append(Row(label, rate, f"{count}/s", f"{name} {version}", peer))
        self.details["runs"][f"peers, {label}"] = {"ours": mine, **theirs}


def by_category(functions: Mapping[str, float]) -> dict[str, float]:
    """Shares of a profile summed by what the modules are for, largest first."""
    category_of = {name: label for label, names in CATEGORIES.items() for name in names}
    sums: defaultdict[str, float] = defaultdict(float)
    for function, share in functions.items():
        sums[category_of.get(Path(function.partition(":")[0]).stem, "the rest")] += share
    return {label: round(sums[label], 3) for label in sorted(sums, key=lambda name: -sums[name])}


def peer_interpreters(install: bool, folder: Path) -> dict[str, str]:
    """An interpreter for each peer: ours for what Weft depends on, else a throwaway environment."""
    found = dict.fromkeys(("fastwarc", "resiliparse"), sys.executable)
    if install:
        python = new_environment(folder, NEEDS_INSTALL)
        found |= dict.fromkeys(NEEDS_INSTALL, python)
    return found


def main() -> None:
    """Program entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    quick = "a smoke run: little input, one round; its file goes to out/benchmarks"
    parser.add_argument("--quick", action="store_true", help=quick)
    peers = f"compare with {' and '.join(NEEDS_INSTALL)} too, in a throwaway environment"
    parser.add_argument("--peers", action="store_true", help=peers)
    given = parser.parse_args()
    scale = QUICK if given.quick else FULL
    machine = hardware()
    begin = time.perf_counter()
    source = load_source().thinned(scale.every)
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as name:
        bench = Bench(source, scale, Path(name))
        say(f"writing crawl files: {source.name}, {source.pages} pages, {source.images} images")
        wanted = max(scale.page_repeats, -(-scale.least_pages // source.pages))
        pages = joined(bench.make("pages", wanted, 0), Path(name) / "pages.warc.gz")
        mixed = joined(bench.make("mixed", scale.mixed_repeats, 1), Path(name) / "mixed.warc.gz")
        bench.speed("pages", "pages only", pages)
        bench.speed("pages and images", "pages and images", mixed)
        for kind, share in (("pages", 0), ("pages and images", 1)):
            bench.profile(kind, bench.make("profile", 1, share)[0])
        bench.memory()
        bench.peers(pages, peer_interpreters(given.peers, Path(name)))
    bench.details["seconds"] = round(time.perf_counter() - begin, 1)
    bench.details["rounds"] = scale.rounds
    arguments = [f"--{flag}" for flag in ("quick", "peers") if getattr(given, flag)]
    command = "make bench-pipeline" + (f' ARGS="{" ".join(arguments)}"' if arguments else "")
    report = Report(
        "pipeline", command, machine, versions(DISTRIBUTIONS), bench.rows, bench.details
    )
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    report.show(console)
    show_profile(console, bench.details["profile"])
    path = (QUICK_RESULTS if given.quick else RESULTS) / "pipeline.json"
    report.write(path)
    console.print(f"{path.relative_to(ROOT)} written, {bench.details['seconds']:.0f} s")


def show_profile(console: Console, profiles: Mapping[str, Any]) -> None:
    """Print where the time goes."""
    for name, found in profiles.items():
        console.print(f"CPU time of a part, {name}:")
        for label, share in found["by_category"].items():
            console.print(f"  {share:6.1%}  {label}", highlight=False)


if __name__ == "__main__":
    main()
