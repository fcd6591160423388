"""The jobs that a run would ask Dataflow for: Beam's own requests, none of them sent."""

import importlib.util
import json
import os
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline import run as run_module
from pipeline import run_steps
from pipeline.dataflow import Job, is_installed
from pipeline.flex_template import DRIVER_OPTIONS, build_driver
from pipeline.next_job import next_job
from pipeline.run import RunOptions, execute, prepare
from pipeline.runners import RunnerConfig
from recaptioner.recaption import close_engines
from tests.chat_server import ChatServer
from tests.small_crawl import picture_crawl, write_recipe

ROOT = Path(__file__).resolve().parents[1]
WORKER = ROOT / ".venv-worker" / "bin" / "python"
CPU, GPU = "eu.example/weft-cpu:1", "eu.example/weft-gpu:1"
MODEL_STAGES = ("score", "recaption")
SETS = (
    f"workers.image={CPU}",
    "workers.machine_type=n2-standard-4",
    "workers.max_workers=50",
    "workers.disk_gb=40",
    "workers.dedup.min_ram=32GB",
    "workers.dedup.cpu_count=8",
    "workers.score.machine_type=n2-highmem-4",
    f"workers.score.models.image={GPU}",
    "workers.score.models.machine_type=n1-standard-8",
    "workers.score.models.max_workers=4",
    "workers.score.models.accelerator.type=nvidia-tesla-t4",
    f"workers.recaption.models.image={GPU}",
    "workers.recaption.models.machine_type=g2-standard-8",
    "workers.recaption.models.disk_gb=200",
    "workers.recaption.models.min_ram=30GB",
    "workers.recaption.models.accelerator={type='nvidia-l4', driver='5xx'}",
    "workers.shard.disk_type=pd-ssd",
    "workers.shard.public_ips=false",
)
GIVEN = (
    "--runner=DataflowRunner",
    "--project=some-project",
    "--region=europe-west4",
    "--temp_location=gs://some-bucket/tmp",
    "--service_account_email=weft@some-project.iam.gserviceaccount.com",
    "--labels=team=data",
)


def python_with_gcp() -> str:
    """An interpreter that has Beam's part for Google Cloud; the test is skipped without one."""
    if is_installed():
        return sys.executable
    if not WORKER.exists():
        pytest.skip("`make worker` has not built .venv-worker, and the extra gcp is not installed")
    return str(WORKER)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Name of a job -> what would be sent for it; all graphs of a whole run, and the template's."""
    python = python_with_gcp()
    if importlib.util.find_spec("open_clip") is None:
        pytest.skip("open_clip is not installed (the extra `clip`), so nothing scores here")
    folder = tmp_path_factory.mktemp("jobs")
    crawl = picture_crawl(folder / "crawl.warc", 6)
    recipe = write_recipe(folder / "recipe.toml", {})
    noted: list[tuple[Job, tuple[str, ...]]] = []
    watched, run_graph = run_steps.watched, run_steps.run_graph

    def note_options(state: Any, runner: Any, heartbeats: str, job: Job) -> RunnerConfig:
        found = next_job(prepare(options), runner)
        assert found is not None
        # `weft plan --job-request` tells of the job that comes.
        assert found[0] == job
        there = watched(state, RunnerConfig(beam_options=GIVEN), heartbeats, job)
        noted.append((job, there.beam_options))
        return watched(state, runner, heartbeats, job)

    def note_graph(stage: str, build: Any, *args: Any) -> None:
        path = folder / f"{len(noted):03d}.pickle"
        path.write_bytes(pickle.dumps((*noted[-1], build)))
        run_graph(stage, build, *args)

    with pytest.MonkeyPatch.context() as patch, ChatServer(lambda asked: "A small boat.") as chat:
        for module in (run_steps, run_module):
            patch.setattr(module, "watched", note_options)
            patch.setattr(module, "run_graph", note_graph)
        sets = (
            "scorers.clip.model=weft:tiny-clip",
            "recaption.mode=describe",
            "recaption.engine=server",
            f"recaption.server.url={chat.url}",
            "recaption.server.model=tiny",
            *SETS,
        )
        output = str(folder / "out")
        options = RunOptions(
            str(recipe), [str(crawl)], output, overrides=sets, workers=1, quiet=True
        )
        execute(options)
        assert next_job(prepare(options), RunnerConfig()) is None
        close_engines()
    driver = partial(build_driver, ["run", "mm1"])
    own = (*GIVEN, *DRIVER_OPTIONS, f"--sdk_container_image={CPU}")
    (folder / "driver.pickle").write_bytes(pickle.dumps((Job("", "driver"), own, driver)))
    result = subprocess.run(
        [python, str(Path(__file__).with_name("dataflow_requests.py")), str(folder)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    made = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    assert len(made) == len(noted) + 1
    return {each["name"]: each for each in made}


def environment(job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = job["request"]["job"]["environment"]
    return found


def pool(job: dict[str, Any]) -> dict[str, Any]:
    (found,) = environment(job)["workerPools"]
    return dict(found)


def hints(job: dict[str, Any]) -> dict[str, str]:
    """What every transform of a job asks of its workers."""
    (only,) = job["environments"]
    return {name.removeprefix("beam:resources:").removesuffix(":v1"): value
            for name, value in only["hints"].items()}  # fmt: skip


def test_every_stage_that_ran_has_a_request(jobs: dict[str, dict[str, Any]]) -> None:
    ran = {job["stage"] for job in jobs.values() if job["stage"]}
    assert ran >= {"extract", "dedup", "refs", "dedup_images", "score", "recaption", "shard"}
    for job in jobs.values():
        sent = job["request"]
        assert (sent["projectId"], sent["location"]) == ("some-project", "europe-west4")
        assert sent["job"]["type"] == "JOB_TYPE_BATCH"
        assert environment(job)["serviceAccountEmail"] == GIVEN[4].partition("=")[2]
        assert environment(job)["tempStoragePrefix"].startswith(
            "storage.googleapis.com/some-bucket/tmp"
        )
        assert "use_runner_v2" in environment(job)["experiments"]
        assert all(url.startswith("gs://some-bucket/tmp/") for url in job["staged"])
        # Neither code nor what is in `__main__` travels: both are in the image. Beam adds a list of
        # what is installed here, where there is a pip to tell.
        staged = {url.rpartition("/")[2] for url in job["staged"]}
        assert staged - {"submission_environment_dependencies.txt"} == {"pipeline.pb"}


def test_every_job_of_a_run_has_a_name_of_its_own(jobs: dict[str, dict[str, Any]]) -> None:
    names = [job["request"]["job"]["name"] for job in jobs.values() if job["stage"]]
    assert len(set(names)) == len(names) > 15
    heads = {name[: len("weft-00000000-")] for name in names}
    assert len(heads) == 1  # of one output
    assert next(iter(heads)) + "score-answers-of-scorers-round-1" in names
    assert jobs["shard, write"]["request"]["job"]["labels"] == {
        "weft-stage": "shard", "weft-output": next(iter(heads))[5:13], "team": "data",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "transforms"),
    [
        ("extract", ["Extract/ListParts", "Extract/DealParts", "Extract/RunParts"]),
        ("dedup, edges", ["EmitKeys", "AttachPages/MeetInBuckets", "CommitEdges/CommitBuckets"]),
        ("score, answers_of_scorers, round 1", ["ScoreItems/RunParts"]),
        ("recaption, recaption_answers, round 1", ["Recaption/RunParts"]),
        ("shard, samples", ["EmitContenders/EmitBlocks", "BuildSamples/CommitBuckets"]),
        ("shard, write", ["EmitSamples/EmitBlocks", "WriteShards/CommitBuckets"]),
    ],
)
def test_steps_of_a_job_have_the_names_of_the_graph(
    jobs: dict[str, dict[str, Any]], name: str, transforms: list[str]
) -> None:
    assert set(transforms) <= set(jobs[name]["transforms"])


def test_jobs_without_models_have_the_cpu_image_and_what_all_stages_have(
    jobs: dict[str, dict[str, Any]],
) -> None:
    job = jobs["extract"]
    assert pool(job)["machineType"] == "n2-standard-4"
    assert pool(job)["autoscalingSettings"]["maxNumWorkers"] == 50
    assert pool(job)["diskSizeGb"] == 40
    assert pool(job)["numThreadsPerWorker"] == 1
    assert "use_multiple_sdk_containers" in environment(job)["experiments"]
    assert hints(job) == {}
    images = {name: pool(job)["workerHarnessContainerImage"] for name, job in jobs.items()}
    assert {name for name, image in images.items() if image != CPU} == {
        name for name, job in jobs.items() if job["models"] and job["stage"] in MODEL_STAGES
    }
    assert {image for image in images.values() if image != CPU} == {GPU}
    for job in jobs.values():
        (harness,) = pool(job)["sdkHarnessContainerImages"]
        assert harness["containerImage"] == pool(job)["workerHarnessContainerImage"]


def test_hints_are_those_of_the_stage(jobs: dict[str, dict[str, Any]]) -> None:
    for name in ("dedup, signatures", "dedup, edges", "dedup, clusters"):
        assert hints(jobs[name]) == {"min_ram_bytes": "32000000000", "cpu_count": "8"}
    assert hints(jobs["shard, write"]) == {}


def test_an_accelerator_is_asked_for_only_by_the_job_that_shows_items_to_models(
    jobs: dict[str, dict[str, Any]],
) -> None:
    wanted = "worker_accelerator=type:nvidia-tesla-t4;count:1;install-nvidia-driver"
    asking = jobs["score, answers_of_scorers, round 1"]
    assert environment(asking)["serviceOptions"] == [wanted]
    assert pool(asking)["machineType"] == "n1-standard-8"
    assert pool(asking)["autoscalingSettings"]["maxNumWorkers"] == 4
    # One process a worker, and one part in it at a time: a model is loaded once.
    assert "no_use_multiple_sdk_containers" in environment(asking)["experiments"]
    assert "use_multiple_sdk_containers" not in environment(asking)["experiments"]
    assert pool(asking)["numThreadsPerWorker"] == 1
    joining = jobs["score, candidates"]
    assert pool(joining)["machineType"] == "n2-highmem-4"
    assert "serviceOptions" not in environment(joining)
    assert "no_use_multiple_sdk_containers" not in environment(joining)["experiments"]


def test_with_right_fitting_the_accelerator_is_a_hint(jobs: dict[str, dict[str, Any]]) -> None:
    (asking,) = (job for job in jobs.values() if job["stage"] == "recaption" and job["models"])
    assert hints(asking) == {
        "min_ram_bytes": "30000000000",
        "accelerator": "type:nvidia-l4;count:1;machine_type:g2-standard-8;"
        "install-nvidia-driver:5xx",
    }
    # The service takes either that or the option.
    assert "serviceOptions" not in environment(asking)
    assert pool(asking)["diskSizeGb"] == 200


def test_disk_and_addresses_are_those_of_the_stage(jobs: dict[str, dict[str, Any]]) -> None:
    writing = pool(jobs["shard, write"])
    assert writing["diskType"] == "compute.googleapis.com/projects//zones//diskTypes/pd-ssd"
    assert writing["ipConfiguration"] == "WORKER_IP_PRIVATE"
    assert "ipConfiguration" not in pool(jobs["extract"])


def test_the_flex_template_has_one_worker_that_runs_the_driver(
    jobs: dict[str, dict[str, Any]],
) -> None:
    driver = jobs["driver"]
    assert pool(driver)["numWorkers"] == 1
    assert pool(driver)["autoscalingSettings"]["maxNumWorkers"] == 1
    assert "RunWeft" in driver["transforms"]
