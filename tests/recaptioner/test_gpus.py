"""Who gets which GPU, on a machine that needs none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recaptioner.engines import gpus, in_process
from recaptioner.engines.gpus import VISIBLE, lease_gpus, visible_gpus
from recaptioner.engines.vllm_config import VllmConfig
from schemas.errors import RecipeError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def own_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(gpus, "lock_folder", lambda: tmp_path / "locks")
    monkeypatch.setenv(VISIBLE, "")


def fake_nvidia_smi(folder: Path, body: str) -> None:
    folder.mkdir()
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{body}\n")
    (folder / "nvidia-smi").chmod(0o755)


@pytest.mark.parametrize(
    ("value", "names"),
    [("0,2", ["0", "2"]), (" GPU-1a , MIG-2/b ", ["GPU-1a", "MIG-2/b"]), ("", []), ("-1", [])],
)
def test_what_the_user_shows_is_what_there_is(monkeypatch, value, names):
    monkeypatch.setenv(VISIBLE, value)
    assert visible_gpus() == names


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("echo 'GPU 0: NVIDIA H100 (UUID: GPU-a)'; echo 'GPU 1: NVIDIA H100'", ["0", "1"]),
        ("echo 'NVIDIA-SMI has failed'; exit 9", []),
        ("echo 'No devices were found'", []),
    ],
    ids=["two", "broken driver", "none"],
)
def test_the_driver_is_asked_otherwise(tmp_path, monkeypatch, body, names):
    fake_nvidia_smi(tmp_path / "bin", body)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    monkeypatch.delenv(VISIBLE)
    assert visible_gpus() == names


def test_a_machine_without_a_driver_has_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(VISIBLE)
    assert visible_gpus() == []


def test_each_engine_gets_gpus_of_its_own():
    one = lease_gpus(["0", "1", "2"], 1, 0)
    assert (one.names, os.environ[VISIBLE]) == (["0"], "0")
    two = lease_gpus(["0", "1", "2"], 2, 0)
    assert (two.names, os.environ[VISIBLE]) == (["1", "2"], "1,2")
    with pytest.raises(RecipeError, match="--workers 3"):
        lease_gpus(["0", "1", "2"], 1, 0)
    one.release()
    assert lease_gpus(["0", "1", "2"], 1, 0).names == ["0"]
    two.release()


def test_what_was_not_enough_is_let_go():
    held = lease_gpus(["1"], 1, 0)
    with pytest.raises(RecipeError, match="--workers 1"):
        lease_gpus(["0", "1"], 2, 0.5)
    free = lease_gpus(["0", "1"], 1, 0)
    assert free.names == ["0"]
    held.release()
    free.release()


@pytest.mark.parametrize(
    ("in_use", "separate", "taken"),
    [(False, False, ["1"]), (True, True, ["1"]), (True, False, None)],
    ids=["free to choose", "a core of its own", "another model is on the first"],
)
def test_cuda_shows_a_process_what_it_began_with(monkeypatch, in_use, separate, taken):
    monkeypatch.setenv(VISIBLE, "0,1")
    monkeypatch.setattr(in_process, "cuda_is_in_use", lambda: in_use)
    other = lease_gpus(["0"], 1, 0)
    monkeypatch.setenv(VISIBLE, "0,1")
    config = VllmConfig(gpu_wait_seconds=0.0, separate_process=separate)
    if taken is None:
        with pytest.raises(RecipeError, match="others hold the rest"):
            in_process._lease(config)
    else:
        lease = in_process._lease(config)
        assert lease is not None
        assert lease.names == taken
        lease.release()
    other.release()


def test_a_machine_without_gpus_needs_no_lock():
    assert in_process._lease(VllmConfig()) is None


def test_more_gpus_than_there_are_cannot_be_had():
    with pytest.raises(RecipeError, match=r"tensor_parallel_size: 2, where .* 1 GPUs"):
        lease_gpus(["0"], 2, 0)


def test_a_lock_goes_with_its_process(tmp_path):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom recaptioner.engines import gpus\n"
        f"gpus.lock_folder = lambda: Path({str(tmp_path / 'locks')!r})\n"
        "lease = gpus.lease_gpus(['0'], 1, 0)\nprint('held', flush=True)\ntime.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RecipeError, match="others hold the rest"):
            lease_gpus(["0"], 1, 0)
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    lease_gpus(["0"], 1, 0).release()
