"""`make bench-fetch`: how fast, how large and how politely images are fetched.

Ours beside img2dataset on one server of the loopback (benchmarks/fetch_server.py), with no more
processes and no resizing in either; then what a limit of requests to a host makes of the
rate, and what slow hosts do to the others. benchmarks/README.md says how each number is made.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.fetch_inputs import Pictures, Workload, load_pictures
from benchmarks.fetch_server import ServerProcess, bare_rate, free_port
from benchmarks.fetch_sides import (
    BYTES_ONLY,
    DEFAULT,
    NONE_SLOW,
    PEER,
    SETTINGS,
    SKIP_JPEG,
    Run,
    Setting,
    Slow,
    run_ours,
    run_peer,
)
from benchmarks.processes import ROOT, run_json, say
from benchmarks.report import RESULTS, Report, Row, hardware, middle, versions

QUICK_RESULTS = ROOT / "out" / "benchmarks"
DISTRIBUTIONS = ("weft-data", "apache-beam", "aiohttp", "pyarrow", "pillow")
PEER_DISTRIBUTIONS = ("img2dataset", "opencv-python-headless", "webdataset")
WORKERS = 2
"""Of ours; each has a decoder, so there are twice as many processes."""
PROCESSES = (2, 4)
"""Of img2dataset: as many as ours has workers, and as many as ours has processes."""
HOSTS = 199
SLOW_HOSTS = 10
"""One of twenty."""
SLOW_SECONDS = 5.0
THREADS = (16, 32, 64)
"""Of a process of img2dataset. What is fastest for a setting is taken, of processes too."""
BARE_THREADS = 8
FASTER = 2.0
"""How much faster than the peer, decoding both, ours must be."""
RATE_OFF = 0.05
"""How far from a host's limit the rate may be."""


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rounds: int
    mixed: int
    """Images of a run on files as the sites have them."""
    jpeg: int
    """Images of a run on JPEG files alone."""
    tuned_on: int
    """Images of a run that looks for the peer's number of threads."""
    threads: tuple[int, ...]
    rate_seconds: float
    """Time that a run under a limit must take."""


FULL = Scale(3, mixed=2000, jpeg=20_000, tuned_on=2000, threads=THREADS, rate_seconds=40.0)
QUICK = Scale(1, mixed=400, jpeg=800, tuned_on=200, threads=(32,), rate_seconds=6.0)


class Bench:
    """The parts of the benchmark, in one temporary folder."""

    def __init__(self, pictures: Pictures, scale: Scale, folder: Path, peer: bool) -> None:
        self.scale = scale
        self.folder = folder
        self.peer = peer
        self.port = free_port()
        self.rows: list[Row] = []
        self.details: dict[str, Any] = {"runs": {}, "pictures": {}}
        self.tuned: dict[Setting, tuple[int, int]] = {}
        """Processes and threads of img2dataset."""
        self._served: dict[str, Path] = {}
        self.mixed, self.jpeg = pictures, pictures.only(".jpg")
        self.peer_versions = distribution_versions() if peer else {}
        self.peer_name = f"img2dataset {self.peer_versions.get('img2dataset', '')}"

    def work(self, pictures: Pictures, count: int, hosts: int = HOSTS) -> Workload:
        """A workload on the served files of these pictures."""
        name = pictures.source
        if name not in self._served:
            self._served[name] = pictures.write(self.folder / f"pictures-{len(self._served)}")
            self.details["pictures"][name] = pictures.facts
        return Workload(pictures, self._served[name], count, hosts, self.port)

    def ours(self, work: Workload, workers: int = WORKERS, slow: Slow = NONE_SLOW,
             overrides: Sequence[str] = ()) -> Run:  # fmt: skip
        """A run of ours."""
        return run_ours(work, self.folder, workers, slow, overrides)

    def theirs(self, work: Workload, setting: Setting, slow: Slow = NONE_SLOW) -> Run:
        """A run of img2dataset."""
        return run_peer(work, self.folder, setting, *self.tuned[setting], slow)

    def server_alone(self) -> None:
        """What the server gives to a client that does nothing but receive."""
        work = self.work(self.jpeg, self.scale.jpeg)
        found = {}
        for label, keep_alive in (("kept alive", True), ("closed", False)):
            rates = []
            for _ in range(self.scale.rounds):
                with ServerProcess(work.folder, work.count, work.port, work.hosts) as server:
                    rates.append(
                        bare_rate(work.host_names, work.port, work.count, BARE_THREADS, keep_alive)
                    )
                    server.stop()
            found[label] = middle(rates)
            self.rows.append(
                Row(f"the server alone, connections {label}", found[label], "images/s")
            )
        self.details["server_alone"] = found

    def tune(self) -> None:
        """The processes and threads with which the peer is fastest, for each setting."""
        work = self.work(self.jpeg, self.scale.tuned_on)
        tried: dict[str, dict[str, float]] = {}
        for setting in SETTINGS:
            rates = {}
            for each in product(PROCESSES, self.scale.threads):
                say(f"img2dataset, {setting.label}: {each[0]} processes of {each[1]} threads")
                run = run_peer(work, self.folder, setting, *each)
                rates[each] = round(work.count / run.seconds, 1)
            self.tuned[setting] = max(rates, key=lambda each: rates[each])
            tried[setting.label] = {f"{each[0]} x {each[1]}": rates[each] for each in rates}
        self.details["images_per_second_by_processes_and_threads"] = tried

    def speed(self, label: str, work: Workload, settings: Sequence[Setting]) -> dict[str, Run]:
        """Every side in turn; images a second and memory. Gives the last runs."""
        sides: dict[str, Callable[[], Run]] = {
            "ours": partial(self.ours, work),
            "ours, one worker": partial(self.ours, work, workers=1),
        }
        if self.peer:
            for setting in settings:
                sides[setting.label] = partial(self.theirs, work, setting)
        runs: defaultdict[str, list[Run]] = defaultdict(list)
        for number in range(self.scale.rounds):
            for side, run in sides.items():
                say(f"{label}, {side}: round {number + 1} of {self.scale.rounds}")
                runs[side].append(run())
        self.details["runs"][label] = {
            side: [run.as_json() for run in own] for side, own in runs.items()
        }
        for mine, name in (("ours", "fetch"), ("ours, one worker", "fetch, one worker")):
            beside: Sequence[Setting | None] = settings if self.peer else (None,)
            for each in beside:
                theirs = runs[each.label] if each else None
                self._compare(f"{name}, {label}", work.count, runs[mine], each, theirs)
        return {side: own[-1] for side, own in runs.items()}

    def _compare(
        self, what: str, count: int, ours: Sequence[Run], setting: Setting | None,
        theirs: Sequence[Run] | None,
    ) -> None:  # fmt: skip
        name = f"{self.peer_name}, {setting.label}" if setting else None

        def add(label: str, of: Callable[[Run], float], unit: str, more: bool = True) -> None:
            peer = middle([of(run) for run in theirs]) if theirs else None
            mine = middle([of(run) for run in ours])
            self.rows.append(Row(f"{what}{label}", mine, unit, name, peer, more))

        add("", lambda run: count / run.seconds, "images/s")
        add(": by the server's clock", lambda run: run.served.answer_rate(), "images/s")
        add(": whole command", lambda run: count / run.wall, "images/s")
        add(": peak of all processes", lambda run: run.peak_mb, "MB (PSS)", more=False)

    def slow_hosts(self, work: Workload, usual: Mapping[str, Run]) -> None:
        """What the other hosts give while one of twenty answers late."""
        slow = Slow(tuple(work.host_names[:: HOSTS // SLOW_HOSTS][:SLOW_HOSTS]), SLOW_SECONDS)
        label = f"{len(slow.hosts)} of {work.hosts} hosts answer after {SLOW_SECONDS:.0f} s"
        say(label)
        runs = {"ours": self.ours(work, slow=slow)}
        if self.peer:
            runs[DEFAULT.label] = self.theirs(work, DEFAULT, slow)
        rates = {side: run.served.answer_rate(slow.hosts) for side, run in runs.items()}
        # By the server's clock here too, and without the hosts that are slow above.
        before = {side: usual[side].served.answer_rate(slow.hosts) for side in runs}
        name = f"{self.peer_name}, {DEFAULT.label}" if self.peer else None
        kept = {side: rates[side] / before[side] for side in runs}
        whole = {side: run.seconds for side, run in runs.items()}
        for what, found, unit, more in (
            ("the others", rates, "images/s", True),
            ("the others, of their usual rate", kept, "share", True),
            ("all", whole, "s", False),
        ):
            peer = found.get(DEFAULT.label)
            self.rows.append(Row(f"{label}: {what}", found["ours"], unit, name, peer, more))
        self.details["runs"][label] = {side: run.as_json() for side, run in runs.items()}

    def host_limit(self, rate: float, workers: int) -> None:
        """Requests a second, as one host sees them, beside its limit."""
        work = self.work(self.jpeg, round(rate * self.scale.rate_seconds) + 1, hosts=1)
        overrides = [f"fetch.host_rate={rate}"]
        if workers > 1:
            # A host is dealt out in slices of an eighth of `part_urls`: four of them, so that each
            # worker has some and one round asks for all.
            overrides.append(f"fetch.part_urls={2 * work.count + 8}")
        label = f"{workers} worker{'s' if workers > 1 else ''}"
        say(f"one host, at most {rate:g} requests/s, {label}")
        run = self.ours(work, workers, overrides=overrides)
        found = run.served.request_rate()
        what = f"one host limited to {rate:g}/s, {label}"
        self.rows += [
            Row(what, found, "requests/s", "limit", rate),
            Row(f"{what}: off the limit", abs(found / rate - 1), "of it",
                "bound", RATE_OFF, more_is_better=False),
        ]  # fmt: skip
        self.details["runs"][what] = run.as_json() | {
            "requests_per_second": round(found, 3),
            "most_within_a_second": run.served.most_within(1.0),
        }


def distribution_versions() -> dict[str, str]:
    """Versions in the environment of img2dataset.

    Raises:
        SystemExit: There is no such environment.
    """
    if not PEER.exists():
        raise SystemExit(f"{PEER.parents[1]} is not there: `make bench-fetch` makes it")
    script = (
        "import json, sys; from importlib.metadata import version; "
        "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    )
    return run_json([PEER.with_name("python"), "-c", script, *PEER_DISTRIBUTIONS])


def main() -> None:
    """Program entry."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fetch", description=__doc__)
    quick = "a smoke run: few images, one round; its file goes to out/benchmarks"
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--no-peer", action="store_true", help="ours alone; to out/benchmarks too")
    given = parser.parse_args()
    scale = QUICK if given.quick else FULL
    machine = hardware()
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as name:
        bench = Bench(load_pictures(), scale, Path(name), peer=not given.no_peer)
        bench.server_alone()
        if bench.peer:
            bench.tune()
        bench.speed("PNG and JPEG", bench.work(bench.mixed, scale.mixed), (DEFAULT, BYTES_ONLY))
        jpeg = bench.work(bench.jpeg, scale.jpeg)
        usual = bench.speed("JPEG", jpeg, (DEFAULT, SKIP_JPEG, BYTES_ONLY))
        bench.slow_hosts(jpeg, usual)
        for rate, workers in ((20.0, 1), (50.0, 1), (20.0, 2), (50.0, 2)):
            bench.host_limit(rate, workers)
    bench.details |= {
        "rounds": scale.rounds,
        "hosts": HOSTS,
        "processes_and_threads": {setting.label: each for setting, each in bench.tuned.items()},
        "seconds": round(time.perf_counter() - begin, 1),
    }
    arguments = [f"--{key.replace('_', '-')}" for key, value in vars(given).items() if value]
    command = "make bench-fetch" + (f' ARGS="{" ".join(arguments)}"' if arguments else "")
    known = {**versions(DISTRIBUTIONS), **bench.peer_versions}
    report = Report("fetch", command, machine, known, bench.rows, bench.details)
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    report.show(console)
    show_targets(console, bench.rows)
    path = (QUICK_RESULTS if arguments else RESULTS) / "fetch.json"
    report.write(path)
    console.print(f"{path.relative_to(ROOT)} written, {bench.details['seconds']:.0f} s")


def show_targets(console: Console, rows: Sequence[Row]) -> None:
    """Print what is promised and what is."""
    for row in rows:
        decodes = row.peer_name is not None and row.peer_name.endswith(DEFAULT.label)
        # One clock for both sides: their own begin and end at different points.
        faster = decodes and row.what.endswith("by the server's clock")
        if faster and "one worker" not in row.what and row.ratio is not None:
            holds, bound = row.ratio >= FASTER, f"{row.ratio:.2f}x, at least {FASTER:g}x"
        elif row.peer_name == "bound":
            holds, bound = row.ours <= RATE_OFF, f"{row.ours:.1%}, at most {RATE_OFF:.0%}"
        else:
            continue
        console.print(f"{row.what}: {bound}: {'holds' if holds else 'MISSED'}", highlight=False)


if __name__ == "__main__":
    main()
