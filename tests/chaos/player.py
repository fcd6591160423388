"""Plays a round: starts the command, strikes, starts it again until it ends, and judges the end."""

import random
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.chaos.judge import Done, Played, judge_end, judge_output, tail
from tests.chaos.places import (
    FolderPlace,
    Place,
    SkippedError,
    SmallDisk,
    StorePlace,
    folder_place,
    small_disk,
    store_place,
)
from tests.chaos.rounds import NOTES, STOPPING, Round, Strike
from tests.run_processes import (
    DEADLINE,
    end_group,
    processes_with,
    run_command,
    stage_processes_of,
    start,
    workers_of,
)
from tests.store_server import Faults, FaultyStore

TAG = "WEFT_CHAOS_RUN"
"""Environment variable that every process of a round is born with."""
MAX_STARTS = 8
"""Times that a round's command is started at most."""
TRIES = 3
"""Times that a round is played whose run ends before anything was done to it."""
PATIENCE = 15.0
"""Seconds that a process may outlive the driver that started it."""


@dataclass(frozen=True)
class Setting:
    """What all rounds share."""

    work: Path
    crawl: Path
    recipe: Path
    reference: Mapping[str, bytes]
    """What the undisturbed run published."""
    files: int
    """Files that it wrote."""
    size: int
    """Bytes of a disk that they take."""
    store: FaultyStore
    workers: int


class _Player:
    def __init__(self, setting: Setting, plan: Round, place: Place, played: Played) -> None:
        self._setting = setting
        self._plan = plan
        self._place = place
        self._played = played
        self._rng = random.Random(plan.seed)
        self._left = list(plan.strikes)
        self._folder = Path(tempfile.mkdtemp(prefix="r", dir=setting.work))
        self._notes = self._folder / "notes"
        self._tag = str(self._folder)

    def play(self) -> None:
        """Start the command until it ends well."""
        for number in range(1, MAX_STARTS + 1):
            status = self._start_once(number)
            self._played.statuses.append(status)
            if self._played.faults:
                return
            if status == 0:
                break
        else:
            self._fault(f"has not ended after {MAX_STARTS} starts")
        if self._plan.kind in ("outage", "storm") and not self._played.requests:
            self._played.strikes.clear()  # the trouble met nobody
        self._check_doubled()

    def finish(self) -> None:
        """Judge what is left: processes, files."""
        end = time.monotonic() + PATIENCE
        while (alive := processes_with(TAG, self._tag)) and time.monotonic() < end:
            time.sleep(0.1)
        if alive:
            self._fault(f"{len(alive)} processes are left: {', '.join(map(str, alive))}")
            for process in alive:
                with suppress(psutil.Error):
                    process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _fault(self, text: str) -> None:
        self._played.faults.append(text)

    def _command(self) -> list[str]:
        setting = self._setting
        command = run_command(
            setting.crawl, self._place.url, "--workers", str(setting.workers), "--no-report",
            "--quiet", recipe=setting.recipe,
        )  # fmt: skip
        if self._plan.kind == "doubled":
            command[1:2] = ["-m", "tests.chaos.at_least_once"]
        return command

    def _start(self, log: Path) -> psutil.Popen:
        temporary = self._folder / "t"
        temporary.mkdir(exist_ok=True)
        environment = {
            **self._place.environment, TAG: self._tag, NOTES: str(self._notes),
            "TMPDIR": str(temporary),
        }  # fmt: skip
        return start(self._command(), log, environment)

    def _start_once(self, number: int) -> int:
        """Start the command, strike while it runs, and wait for its end; the status."""
        log = self._folder / f"log-{number}"
        driver = self._start(log)
        strikes_before = len(self._played.strikes)
        end = time.monotonic() + DEADLINE
        while driver.poll() is None:
            if time.monotonic() > end:
                self._fault(f"start {number} does not end: {tail(log)}")
                end_group(driver, signal.SIGKILL)
            elif self._is_time():
                self._strike(driver, number)
            else:
                time.sleep(0.01)
        status = int(driver.wait())
        struck = len(self._played.strikes) > strikes_before
        if status == 0 and self._plan.kind in STOPPING:
            # It was over when the signal came.
            del self._played.strikes[strikes_before:]
        is_full = "no space left" in log.read_text(errors="replace").lower()
        if isinstance(self._place, SmallDisk) and status != 0 and self._left and is_full:
            struck = True
            self._make_room(self._place, number)
        self._judge(number, status, struck, log)
        if isinstance(self._place, StorePlace):
            self._played.requests = self._place.store.met()
            # The store is well again when somebody has seen that the run has ended.
            self._place.store.down = False
            self._place.store.faults = None
        return status

    def _is_time(self) -> bool:
        if not self._left or isinstance(self._place, SmallDisk):
            return False
        return self._place.files() >= max(1, int(self._left[0].moment * self._setting.files))

    def _judge(self, number: int, status: int, struck: bool, log: Path) -> None:
        wrong = judge_end(self._plan.kind, status, struck, log.read_text(errors="replace"))
        if wrong is not None:
            self._fault(f"start {number} {wrong}: {tail(log)}")

    def _strike(self, driver: psutil.Popen, number: int) -> None:
        strike = self._left[0]
        time.sleep(strike.pause)
        if driver.poll() is not None:
            return
        files, stage = self._place.files(), self._place.stage()
        what = self._do(driver, strike, number)
        if what is None:
            # Nobody to strike yet: the moment comes as soon as there is.
            time.sleep(0.01)
            return
        self._left.pop(0)
        self._played.strikes.append(Done(what, stage, files, number))

    def _do(self, driver: psutil.Popen, strike: Strike, number: int) -> str | None:
        """What was done; None where the victim is not there."""
        match self._plan.kind:
            case "worker" | "store-worker" | "doubled":
                workers = sorted(workers_of(driver), key=lambda each: each.pid)
                if not workers:
                    return None
                return _kill(workers[int(strike.draw * len(workers))], "worker")
            case "workers":
                workers = workers_of(driver)
                return _kill_all(workers, "workers") if workers else None
            case "stage-process":
                there = stage_processes_of(driver)
                return _kill(there[0], "stage process") if there else None
            case "driver" | "store-driver":
                driver.kill()
                driver.wait()
                return "SIGKILL driver"
            case "driver-group":
                end_group(driver, signal.SIGKILL)
                driver.wait()
                return "SIGKILL driver and group"
            case "sigterm":
                driver.terminate()
                self._await(driver)
                return "SIGTERM driver"
            case "sigint":
                end_group(driver, signal.SIGINT)
                self._await(driver)
                return "SIGINT driver's group"
            case "forgotten":
                driver.kill()
                driver.wait()
                return f"SIGKILL driver, {self._forget(strike.draw)} commit records lost"
            case "rivals":
                return self._rival(number)
            case "outage" | "storm":
                return self._trouble_store(strike)
        raise AssertionError(self._plan.kind)

    def _await(self, driver: psutil.Popen) -> None:
        """Let a driver end that was asked to."""
        try:
            driver.wait(timeout=PATIENCE)
        except psutil.TimeoutExpired:
            self._fault(f"the driver goes on {PATIENCE:.0f} s after it was told to stop")

    def _forget(self, share: float) -> int:
        assert isinstance(self._place, FolderPlace)
        end = time.monotonic() + PATIENCE
        while processes_with(TAG, self._tag) and time.monotonic() < end:
            time.sleep(0.05)
        there = self._place.commit_records()
        lost = self._rng.sample(there, int(len(there) * (0.1 + 0.9 * share)))
        for path in lost:
            path.unlink()
        return len(lost)

    def _rival(self, number: int) -> str:
        log = self._folder / f"rival-{number}"
        rival = self._start(log)
        try:
            status = rival.wait(timeout=DEADLINE)
        except psutil.TimeoutExpired:
            self._fault(f"the second driver does not end: {tail(log)}")
            end_group(rival, signal.SIGKILL)
            return "second driver"
        self._judge(number, status, True, log)
        return f"second driver, which ended with {status}"

    def _trouble_store(self, strike: Strike) -> str:
        assert isinstance(self._place, StorePlace)
        store = self._place.store
        if self._plan.kind == "outage":
            store.down = True
            return "store gone"
        share = 0.01 + 0.09 * strike.draw
        kinds = ("500", "503", "slow-down", "cut-answer", "cut-request", "lost-answer")
        store.faults = Faults(self._plan.seed, share, kinds)
        return f"{share:.0%} of requests fail"

    def _make_room(self, disk: SmallDisk, number: int) -> None:
        what = f"disk of {disk.room // 1024} KiB full"
        self._played.strikes.append(Done(what, disk.stage(), disk.files(), number))
        self._left.pop(0)
        # More than the undisturbed run takes: what is half-written stays until the next start.
        disk.give(self._left[0].moment if self._left else 3.0)

    def _check_doubled(self) -> None:
        if self._plan.kind != "doubled" or self._played.faults:
            return
        attempts = self._notes.read_text().splitlines() if self._notes.exists() else []
        self._played.twice = len(attempts) - len(set(attempts))
        once = [each for each in set(attempts) if attempts.count(each) < 2]
        if once or not attempts:
            self._fault(f"parts were done once only: {sorted(once)[:3]}")


def _kill(process: psutil.Process, name: str) -> str | None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return None
    return f"SIGKILL {name}"


def _kill_all(processes: list[psutil.Process], name: str) -> str | None:
    killed = [each for each in processes if _kill(each, name)]
    return f"SIGKILL {len(killed)} {name}" if killed else None


def play_round(setting: Setting, plan: Round) -> Played:
    """Play a round to its end; again, with earlier moments, where the run was over before them."""
    for _ in range(TRIES):
        played = _play_once(setting, plan)
        if played.strikes or played.faults or played.skipped:
            return played
        plan = plan.sooner()
    played.identical = False
    played.faults.append(f"nothing was done to it: {TRIES} runs were over before")
    return played


def _play_once(setting: Setting, plan: Round) -> Played:
    played = Played(plan.number, plan.sort, plan.kind)
    begin = time.monotonic()
    with ExitStack() as stack:
        try:
            if plan.on_store:
                # What a round waits for in an outage is what comes after the last try.
                tries = 2 if plan.kind == "outage" else 4
                prefix = f"r{plan.number}"
                place: Any = stack.enter_context(store_place(setting.store, prefix, tries))
            elif plan.kind == "disk":
                mount, share = setting.work / f"disk-{plan.number}", plan.strikes[0].moment
                place = stack.enter_context(small_disk(mount, setting.size, share))
            else:
                out = setting.work / f"out-{plan.number}"
                place = stack.enter_context(folder_place(out))
        except SkippedError as e:
            played.skipped = str(e)
            return played
        player = _Player(setting, plan, place, played)
        try:
            player.play()
        finally:
            player.finish()
        if not played.faults:
            judge_output(setting.reference, place, played)
    played.seconds = round(time.monotonic() - begin, 1)
    return played
