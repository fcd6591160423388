"""`make bench-extract`: what extraction keeps of a page, text and images, and how fast.

Ours on both backends beside trafilatura, readability-lxml and resiliparse, on the data sets of
../shared/data/extraction. Every run is a process of its own, held on one core, in turn with the
others. benchmarks/README.md says how each number is made.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.extraction_data import DATA, SETS, GoldPage, load_set, load_site_pages
from benchmarks.extraction_report import (
    MIN_AGREEMENT,
    Measured,
    make_rows,
    measure,
    show_sets,
    show_worst,
)
from benchmarks.peers import pin_to_one_core
from benchmarks.processes import ROOT, new_environment, run_json, say
from benchmarks.report import RESULTS, Report, Row, hardware, versions
from benchmarks.train_content_model import SETS as LEARNED_FROM
from transforms.html_parsers import BACKENDS

EXAMPLES = """
examples:
  python -m benchmarks.extraction
      everything; benchmarks/results/extract.json
  python -m benchmarks.extraction --quick
      every sixth page, one round; this and every other selection goes to out/benchmarks
  python -m benchmarks.extraction --no-peers --sets scrapinghub --backends lexbor --rounds 1
      our quality on one set, in seconds: for work on the rules
  python -m benchmarks.extraction --no-peers --sets wcxb --backends lexbor --rounds 1 --worst 20
      the same, and the pages that it does worst on
"""
DISTRIBUTIONS = ("weft-data", "selectolax", "beautifulsoup4", "html5lib")
PEERS = ("trafilatura", "trafilatura fast", "readability-lxml", "resiliparse")
NEEDS_INSTALL = ("trafilatura", "readability-lxml", "resiliparse")
IMAGE_RUNS = {
    "trafilatura": "trafilatura images",
    "trafilatura fast": "trafilatura fast images",
    "readability-lxml": "readability-lxml",
}
"""Where the images of a peer come from: trafilatura's text is asked for without them."""
ROUNDS = 3
SLOW = frozenset({"beautifulsoup"})
"""Backends of which one round is enough."""
QUICK_EVERY = 6
NO_WORSE = ("readability: F1", "wcxb: F1")
"""Text measures, of WCXB those of each page type too, that must reach trafilatura's."""
FOLDS = RESULTS / "content_model_folds.npz"
WHOLE = f"ours, {BACKENDS[0]}, all text nodes"
"""Ours with headline and captions, which no set holds, left in."""
PARTIAL_RESULTS = ROOT / "out" / "benchmarks"
"""Where anything less than the whole benchmark is written."""


class Bench:
    """The runs over the data sets, in one temporary folder."""

    def __init__(
        self,
        folder: Path,
        backends: Sequence[str],
        rounds: int,
        peer_python: str | None,
        folds: Path | None,
    ) -> None:
        self.folder = folder
        self.backends = backends
        self.rounds = rounds
        self.peer_python = peer_python
        self.folds = folds
        self.peer_versions: dict[str, str] = {}

    def _written(self, name: str, pages: Sequence[GoldPage]) -> Path:
        path = self.folder / f"{name}.json"
        rows = [{"name": page.name, "url": page.url, "html": page.html} for page in pages]
        path.write_text(json.dumps(rows), encoding="utf-8")
        return path

    def _ours(self, backend: str, name: str, path: Path, *more: str) -> dict[str, Any]:
        held_out = self.folds is not None and name in LEARNED_FROM
        what = ["held-out", backend, str(self.folds)] if held_out else ["pages", backend]
        return run_json([sys.executable, "-m", "benchmarks.extraction_ours", *more, *what, path])

    def _peer(self, peer: str, path: Path) -> dict[str, Any]:
        script = Path(__file__).with_name("peers.py")
        run = run_json([str(self.peer_python), script, "pages", peer, path])
        self.peer_versions[peer.partition(" ")[0]] = run["version"]
        return run

    def data_set(self, name: str, pages: Sequence[GoldPage]) -> list[Measured]:
        """Every extractor over a set, rounds in turn; ours first."""
        path = self._written(name, pages)
        peers = PEERS if self.peer_python else ()
        runs: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for number in range(self.rounds):
            say(f"{name}: round {number + 1} of {self.rounds}")
            for backend in self.backends:
                if number == 0 or backend not in SLOW:
                    runs[f"ours, {backend}"].append(self._ours(backend, name, path))
            if number == 0 and BACKENDS[0] in self.backends:
                runs[WHOLE].append(self._ours(BACKENDS[0], name, path, "--whole"))
            for peer in peers:
                runs[peer].append(self._peer(peer, path))
        images = {own: runs[own][0] for own in runs if own.startswith("ours")}
        if any(page.images for page in pages):
            for peer, source in IMAGE_RUNS.items():
                if peer in runs:
                    images[peer] = runs[peer][0] if peer == source else self._peer(source, path)
        return [
            measure(name, pages, extractor, own, images.get(extractor))
            for extractor, own in runs.items()
        ]

    def agreement(self, pages: Sequence[GoldPage]) -> dict[str, Any]:
        """The pages on which the backends do not give the same nodes."""
        say(f"both backends on {len(pages)} pages")
        path = self._written("agreement", pages)
        return run_json([sys.executable, "-m", "benchmarks.extraction_ours", "agreement", path])


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.extraction", description=__doc__, epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    flag = argparse.BooleanOptionalAction
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), metavar="SET",
                        help=f"data sets: {', '.join(SETS)} (all)")  # fmt: skip
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=list(BACKENDS),
                        metavar="BACKEND", help=f"ours on {' and '.join(BACKENDS)} (both); "
                        "the first is what the peers are compared with")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N",
                        help=f"timed runs of each extractor, the median counts ({ROUNDS}); "
                        "BeautifulSoup has one")  # fmt: skip
    parser.add_argument(
        "--folds",
        type=Path,
        default=FOLDS,
        metavar="FILE",
        help="weights of the content model by fold, with which ours judges pages "
        f"of {' and '.join(LEARNED_FROM)}: none has seen the page's site "
        f"({FOLDS.relative_to(ROOT)})",
    )
    parser.add_argument("--in-sample", action="store_true",
                        help="the shipped weights instead, fitted to these very pages: no measure "
                        "of quality")  # fmt: skip
    parser.add_argument("--peers", action=flag, default=True,
                        help=f"compare with {', '.join(NEEDS_INSTALL)}, installed into a throwaway "
                        "environment")  # fmt: skip
    parser.add_argument("--agreement", action=flag, default=None,
                        help="compare the nodes of both backends on every page of all sets "
                        "and sites (default: where all sets and both backends run)")  # fmt: skip
    parser.add_argument(
        "--quick", action="store_true", help=f"a smoke run: every {QUICK_EVERY}th page, one round"
    )
    parser.add_argument(
        "--worst",
        type=int,
        default=0,
        metavar="N",
        help="print the N pages of each set that ours does worst on",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="the file to write (extract.json in benchmarks/results for the whole "
        "benchmark, in out/benchmarks for a selection)",
    )
    parser.add_argument("--data", type=Path, default=DATA, metavar="FOLDER",
                        help="where `extraction` and `sites` are (../shared/data beside the "
                        "checkout)")  # fmt: skip
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error("--rounds: at least 1")
    if given.agreement is None:
        given.agreement = set(given.sets) == set(SETS) and set(given.backends) == set(BACKENDS)
    if given.quick:
        given.rounds = 1
    if not given.in_sample and set(given.sets) & set(LEARNED_FROM) and not given.folds.is_file():
        parser.error(
            f"{given.folds} is not there; `python -m benchmarks.train_content_model` makes it, "
            "--in-sample does without"
        )
    return given


def main() -> None:
    """Program entry."""
    given = parse_arguments()
    if not (given.data / "extraction").is_dir():
        say(f"skipped: the data sets are not there ({given.data / 'extraction'})")
        return
    machine = hardware()
    # Before any run starts: the threads that numpy makes when it is imported would keep all cores.
    pin_to_one_core()
    begin = time.perf_counter()
    every = QUICK_EVERY if given.quick else 1
    sets = {name: load_set(name, given.data)[::every] for name in given.sets}
    details: dict[str, Any] = {"rounds": given.rounds, "every": every, "sets": {}}
    measured: dict[str, list[Measured]] = {}
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as name:
        python = new_environment(Path(name), NEEDS_INSTALL) if given.peers else None
        folds = None if given.in_sample else given.folds
        bench = Bench(Path(name), given.backends, given.rounds, python, folds)
        for set_name, pages in sets.items():
            measured[set_name] = bench.data_set(set_name, pages)
            details["sets"][set_name] = {
                "pages": len(pages),
                "weights": "shipped"
                if folds is None or set_name not in LEARNED_FROM
                else "held out by site",
                "mb": round(sum(len(page.html.encode("utf-8")) for page in pages) / 1e6, 2),
                "expected_images": sum(len(page.images) for page in pages),
                "extractors": {
                    each.extractor: {"measures": each.measures, **each.details}
                    for each in measured[set_name]
                },
            }
        rows = make_rows(measured)
        if given.agreement:
            found = bench.agreement(all_pages(given.data)[::every])
            share = 1 - len(found["differing"]) / found["pages"]
            rows.append(
                Row("same nodes on both backends", share, "of pages", "target", MIN_AGREEMENT)
            )
            details["agreement"] = found
    details["seconds"] = round(time.perf_counter() - begin, 1)
    show_sets(console, measured, {name: len(pages) for name, pages in sets.items()})
    show_targets(console, rows)
    for set_name, extractors in measured.items():
        if given.worst:
            show_worst(console, set_name, extractors[0], given.worst)
    arguments = sys.argv[1:]
    command = "make bench-extract" + (f' ARGS="{" ".join(arguments)}"' if arguments else "")
    known = {**versions(DISTRIBUTIONS), **bench.peer_versions}
    report = Report("extract", command, machine, known, rows, details)
    path = given.output or (PARTIAL_RESULTS if arguments else RESULTS) / "extract.json"
    report.write(path)
    console.print(f"{path} written, {details['seconds']:.0f} s", highlight=False, soft_wrap=True)


def all_pages(data: Path) -> list[GoldPage]:
    """The pages of all sets and of the saved sites, each named by where it is."""
    pages = [(name, page) for name in SETS for page in load_set(name, data)]
    pages += [("sites", page) for page in load_site_pages(data)]
    return [GoldPage(f"{source}/{page.name}", page.url, page.html) for source, page in pages]


def show_targets(console: Console, rows: Sequence[Row]) -> None:
    """Print what is promised and what is: targets, and to be no worse than trafilatura."""
    for row in rows:
        beside = row.peer_name == "trafilatura" and row.what.startswith(NO_WORSE)
        if row.peer is not None and (beside or row.peer_name == "target"):
            verdict = "holds" if row.ours >= row.peer else "MISSED"
            console.print(
                f"{row.what}: {row.ours:.3f} {row.unit}".rstrip()
                + f", {row.peer_name} {row.peer:.3g}: {verdict}",
                highlight=False,
            )


if __name__ == "__main__":
    main()
