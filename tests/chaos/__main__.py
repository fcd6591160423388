"""`make chaos`: rounds of trouble, each of which must end in the undisturbed run's shards.

Exit code 1 when a round did not; the line names the first difference. docs/chaos.md says what is
done to a run and what is expected of it.
"""

import argparse
import os
import re
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.report import RESULTS, Report, Row, hardware, versions
from pipeline.demo import generate_demo_crawl
from pipeline.logs import silence_import_notice
from tests.chaos.judge import Played
from tests.chaos.places import FolderPlace, bytes_on_disk
from tests.chaos.player import Setting, play_round
from tests.chaos.rounds import plan_round
from tests.run_processes import DEADLINE, ROOT, run_command, start
from tests.store_server import BUCKET, FaultyStore, client, s3_server

OUT = ROOT / "out" / "chaos"
FULL = 50
"""Rounds that are a result to keep."""
CRAWL_FILES = ("demo-01.warc.gz", "demo-03.warc")
"""Of the demo crawl's four: one compressed, one not."""
SMALLER = ((r"part_bytes = \d+", "part_bytes = 262144"), (r"(?m)^buckets = \d+", "buckets = 2"))
CLIP = '[scorers.clip]\nmodel = "weft:tiny-clip"\ndocuments = "sentences"\n'
DISTRIBUTIONS = ("weft-data", "apache-beam", "pyarrow", "duckdb", "s3fs", "moto")


def write_recipe(path: Path, clip: bool) -> None:
    """The demo recipe in small parts; without CLIP, whose import takes half of a run."""
    text = (ROOT / "pipeline" / "recipes" / "demo.toml").read_text()
    for pattern, replacement in SMALLER:
        text, count = re.subn(pattern, replacement, text)
        assert count, f"the demo recipe has no {pattern}"
    if not clip:
        assert CLIP in text, "the demo recipe has another CLIP"
        text = re.sub(r"(?m)^alignment = .*\n", "", text.replace(CLIP, "[scorers.quality]\n"))
    path.write_text(text)


def make_setting(work: Path, store: FaultyStore, clip: bool, workers: int) -> Setting:
    """Generate the crawl and run the recipe over it undisturbed."""
    generate_demo_crawl(work / "demo")
    crawl, recipe = work / "crawl", work / "chaos.toml"
    crawl.mkdir()
    for name in CRAWL_FILES:
        shutil.move(work / "demo" / name, crawl / name)
    shutil.rmtree(work / "demo")
    write_recipe(recipe, clip)
    place, log = FolderPlace(work / "undisturbed"), work / "undisturbed.log"
    command = run_command(
        crawl, place.url, "--workers", str(workers), "--no-report", "--quiet", recipe=recipe
    )
    driver = start(command, log)
    try:
        status = driver.wait(timeout=DEADLINE)
    except psutil.TimeoutExpired:
        driver.kill()
        status = -1
    if status != 0:
        raise SystemExit(f"chaos: the undisturbed run failed: {log.read_text()}")
    setting = Setting(
        work, crawl, recipe, place.published(), place.files(), bytes_on_disk(place.path), store,
        workers,
    )  # fmt: skip
    shutil.rmtree(place.path)
    return setting


def outcome(played: Played) -> str:
    """How a round ended, in a few words."""
    if played.skipped:
        return f"skipped: {played.skipped}"
    return "identical" if played.identical else f"FAILED: {played.faults[0]}"


def table(rounds: Sequence[Played]) -> Table:
    """What was done to whom at which moment, a row a round."""
    shown = Table(title="chaos", title_justify="left")
    for heading in ("round", "kind", "what, at which moment", "ended with", "left over", "outcome"):
        shown.add_column(heading)
    for played in rounds:
        strikes = [
            f"{done.what}: {done.stage}, {done.files} files, start {done.start}"
            for done in played.strikes
        ]
        met = [f"{sum(played.requests.values())} requests failed"] if played.requests else []
        more = [f"{played.twice} parts done again"] if played.twice else []
        left = ", ".join(f"{count} {kind}" for kind, count in played.leftovers.items())
        shown.add_row(
            str(played.number), played.kind,
            "\n".join([*strikes, *met, *more]) or "nothing",
            ", ".join(map(str, played.statuses)), left, outcome(played),
        )  # fmt: skip
    return shown


def report(rounds: Sequence[Played], setting: Setting, command: str) -> Report:
    """The file of results."""
    counted = [played for played in rounds if not played.skipped]
    kinds = Counter(played.kind for played in counted)
    strikes = sum(len(played.strikes) for played in counted)
    starts = sum(len(played.statuses) for played in counted)
    rows = [
        Row("identical rounds", sum(played.identical for played in counted), "rounds",
            "rounds", len(counted)),
        Row("strikes", strikes, "strikes"),
        Row("starts of the command", starts, "starts"),
    ]  # fmt: skip
    details = {
        "files_of_a_run": setting.files,
        "bytes_of_a_run": setting.size,
        "rounds_by_kind": dict(sorted(kinds.items())),
        "rounds": [played.as_json() for played in rounds],
    }
    return Report("chaos", command, hardware(), versions(DISTRIBUTIONS), rows, details)


def main() -> int:
    """Program entry; returns the exit code."""
    silence_import_notice()
    # A shell starts what is in its background with SIGINT ignored, and runs would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=FULL, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--round", type=int, help="only the round of this number, from 0")
    parser.add_argument("--workers", type=int, default=2, help="of a run (default: %(default)s)")
    parser.add_argument(
        "--clip", action="store_true", help="score with the demo's CLIP, as it does"
    )
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds {arguments.rounds}: must be at least 1")
    command = f"python -m tests.chaos {' '.join(sys.argv[1:])}".rstrip()
    numbers = range(arguments.rounds) if arguments.round is None else [arguments.round]
    console = Console(width=None if sys.stdout.isatty() else 180, highlight=False)
    rounds: list[Played] = []
    with (
        tempfile.TemporaryDirectory(prefix="weft-chaos-") as work,
        s3_server() as server,
        FaultyStore(server) as store,
    ):
        os.environ.update(store.environment)
        client(server).create_bucket(Bucket=BUCKET)
        setting = make_setting(Path(work), store, arguments.clip, arguments.workers)
        for number in numbers:
            rounds.append(play_round(setting, plan_round(arguments.seed, number)))
            last = rounds[-1]
            facts = f"{last.kind}, {len(last.statuses)} starts, {last.seconds:.0f} s"
            console.print(f"round {number}: {facts}: {outcome(last)}", markup=False)
            # Each time: a chaos that is stopped has told what it did.
            made = report(rounds, setting, command)
            made.write(OUT / "chaos.json")
    console.print(table(rounds))
    if arguments.round is None and arguments.rounds >= FULL:
        made.write(RESULTS / "chaos.json")
    return verdict(rounds, console)


def verdict(rounds: Sequence[Played], console: Console) -> int:
    """Say how many rounds were identical; the exit code."""
    done = [played for played in rounds if not played.skipped]
    identical = sum(played.identical for played in done)
    console.print(f"{identical} of {len(done)} rounds identical")
    for played in rounds:
        if played.skipped:
            console.print(f"round {played.number} skipped: {played.skipped}", markup=False)
    if not done:
        print("chaos: no round was played", file=sys.stderr)
        return 1
    if identical == len(done):
        return 0
    failed = next(played for played in done if not played.identical)
    line = f"chaos: round {failed.number} ({failed.kind}): {failed.faults[0]}"
    print(line, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
