"""What `make chaos` draws and how it judges; the rounds themselves are run by `.ci/run`."""

import io
import json
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from tests.chaos import player
from tests.chaos.__main__ import report, table, verdict, write_recipe
from tests.chaos.judge import STATUS, Done, Played, first_difference, judge_end
from tests.chaos.places import FolderPlace, current_stage
from tests.chaos.player import TAG, Setting, play_round
from tests.chaos.rounds import MEANING, SORTS, Round, Strike, plan_round
from tests.run_processes import processes_with, start, wait_for
from tests.store_server import FaultyStore

LINE = "weft: --output /tmp/out: no space left on device\n"


def test_rounds_are_a_function_of_seed_and_number_and_have_every_kind() -> None:
    plans = [plan_round(0, number) for number in range(50)]
    assert plans == [plan_round(0, number) for number in range(50)]
    assert plans != [plan_round(1, number) for number in range(50)]
    assert {plan.kind for plan in plans} == {kind for kinds in SORTS.values() for kind in kinds}
    assert {plan.kind for plan in plans} == set(MEANING)
    assert [plan.sort for plan in plans[:3]] == ["worker", "driver", "store"]
    for plan in plans:
        moments = [strike.moment for strike in plan.strikes]
        assert moments == sorted(moments)
        assert moments
        assert 0 <= moments[0] <= moments[-1] < 1


@pytest.mark.parametrize(
    ("kind", "status", "struck", "text", "wrong"),
    [
        ("worker", 0, True, "WARNING: stage dedup: a worker process died\n", None),
        ("worker", 1, True, LINE, "ended with status 1"),
        ("disk", 1, True, LINE, None),
        ("disk", 1, True, "", "ended without a line of its own"),
        ("disk", 1, True, LINE + LINE, "ended without a line of its own"),
        ("disk", 1, True, LINE + "and more\n", "ended without a line of its own"),
        ("disk", 1, False, LINE, "ended with status 1"),
        ("disk", -signal.SIGKILL, True, "", "ended with status -9"),
        ("driver", -signal.SIGKILL, True, "", None),
        ("driver", -signal.SIGKILL, False, "", "ended with status -9"),
        ("sigint", 130, True, "weft: stopped\n", None),
        ("worker", 0, True, "Traceback (most recent call last):\n", "printed a traceback"),
    ],
)
def test_the_end_of_a_run_is_judged_by_what_was_done_to_it(
    kind: str, status: int, struck: bool, text: str, wrong: str | None
) -> None:
    assert judge_end(kind, status, struck, text) == wrong


def test_kinds_that_may_end_a_run_are_kinds() -> None:
    assert set(STATUS) <= set(MEANING)


def test_the_first_difference_is_named() -> None:
    wanted = {"a.tar": b"1", "b.json": b"2"}
    assert first_difference(dict(wanted), wanted) is None
    assert first_difference({"b.json": b"2"}, wanted) == "a.tar is missing"
    assert first_difference({**wanted, "c": b""}, wanted) == "c is not of the undisturbed run"
    found = first_difference({"a.tar": b"1", "b.json": b"333"}, wanted)
    assert found == "b.json differs (3 bytes, not 1)"


class Ending(psutil.Popen):
    """A driver that has ended well, which is seen only when it is looked at for so many times."""

    looks = 0

    def poll(self) -> int | None:
        if self.looks:
            self.looks -= 1
            return None
        return int(self.wait())


@pytest.mark.parametrize("kind", [*SORTS["driver"], "store-driver", "forgotten", "worker"])
@pytest.mark.parametrize("looks", [1, 2], ids=["seen before the strike", "seen after it"])
def test_a_driver_that_had_ended_was_not_struck(
    kind: str, looks: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def begin(self: player._Player, log: Path) -> psutil.Popen:
        log.touch()
        driver = Ending(["true"], start_new_session=True)
        while driver.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        driver.looks = looks
        return driver

    monkeypatch.setattr(player._Player, "_start", begin)
    place = FolderPlace(tmp_path / "out")
    place.path.mkdir()
    (place.path / "a.parquet").touch()
    setting = Setting(
        tmp_path, tmp_path, tmp_path, {}, 100, 1000, FaultyStore("http://127.0.0.1:1"), 2
    )
    played = Played(0, "driver", kind)
    plan = Round(0, "driver", kind, 0, (Strike(0.0, 0.0, 0.5),))
    player._Player(setting, plan, place, played).play()
    assert played.statuses == [0]
    assert played.strikes == []


def test_a_round_in_which_nothing_was_done_is_played_again_sooner(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plan = plan_round(0, 0)
    setting = Setting(
        tmp_path, tmp_path, tmp_path, {}, 100, 1000, FaultyStore("http://127.0.0.1:1"), 2
    )
    moments: list[float] = []

    def play(setting: Setting, plan: Round) -> Played:
        moments.append(plan.strikes[0].moment)
        struck = [Done("worker", "extract", 1, 1)] if len(moments) in strikes_in else []
        return Played(plan.number, plan.sort, plan.kind, struck, identical=True)

    monkeypatch.setattr(player, "_play_once", play)
    strikes_in = {2}
    assert play_round(setting, plan).identical
    assert moments == [plan.strikes[0].moment, plan.strikes[0].moment / 2]
    strikes_in = set()
    played = play_round(setting, plan)
    assert not played.identical
    assert played.faults == ["nothing was done to it: 3 runs were over before"]


def test_a_round_that_differs_fails_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(file=io.StringIO())
    good = Played(0, "worker", "worker", identical=True)
    skipped = Played(1, "disk", "disk", skipped="no rights")
    bad = Played(2, "driver", "sigint", faults=["after the run: a.tar is missing"])
    assert verdict([good, skipped], console) == 0
    assert verdict([good, skipped, bad], console) == 1
    assert capsys.readouterr().err == ("chaos: round 2 (sigint): after the run: a.tar is missing\n")
    assert "1 of 1 rounds identical" in console.file.getvalue()  # type: ignore[attr-defined]


def test_the_table_and_the_file_tell_what_was_killed_when(tmp_path: Path) -> None:
    played = Played(3, "worker", "worker", identical=True, statuses=[0], leftovers={"tables": 2})
    played.strikes.append(Done("SIGKILL worker", "dedup", 41, 1))
    console = Console(file=io.StringIO(), width=200)
    console.print(table([played]))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "SIGKILL worker: dedup, 41 files, start 1" in shown
    assert "2 tables" in shown
    setting = Setting(tmp_path, tmp_path, tmp_path, {}, 100, 1000, FaultyStore(""), 2)
    report([played], setting, "make chaos").write(tmp_path / "chaos.json")
    details = json.loads((tmp_path / "chaos.json").read_text())["details"]
    strike = {"what": "SIGKILL worker", "stage": "dedup", "files": 41, "start": 1}
    assert details["rounds"][0]["strikes"] == [strike]
    assert details["rounds_by_kind"] == {"worker": 1}


def test_the_stage_of_a_run_and_what_it_has_written_are_seen(tmp_path: Path) -> None:
    assert current_stage(None) == "extract"
    record = b'{"stages": {"extract": {"status": "done"}, "dedup": {"status": "failed"}}}'
    assert current_stage(record) == "dedup"
    place = FolderPlace(tmp_path / "out")
    assert place.files() == 0
    for name in ("commits/extract/a.json", "tmp/b", "logs/c", "tables/x/.tmp-d", "tables/x/e"):
        path = tmp_path / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    assert place.files() == 2
    assert [path.name for path in place.commit_records()] == ["a.json"]


def test_processes_of_a_round_are_found_however_deep(tmp_path: Path) -> None:
    inner = "import time; print(1, flush=True); time.sleep(60)"
    outer = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {inner!r}])"
    driver = start([sys.executable, "-c", outer], tmp_path / "log", {TAG: str(tmp_path)})
    wait_for(lambda: False, driver, "the end of the outer process")
    found = processes_with(TAG, str(tmp_path))
    assert [process.cmdline()[-1] for process in found] == [inner]
    found[0].kill()
    found[0].wait()
    assert processes_with(TAG, str(tmp_path)) == []


@pytest.mark.parametrize("clip", [False, True])
def test_the_recipe_of_a_round_is_the_demo_in_small_parts(tmp_path: Path, clip: bool) -> None:
    from pipeline.recipe import load_recipe

    write_recipe(tmp_path / "chaos.toml", clip)
    recipe = load_recipe(str(tmp_path / "chaos.toml"), ())
    assert list(recipe.scorers) == (["clip"] if clip else ["quality"])
    assert recipe.settings.dedup.buckets == 2
